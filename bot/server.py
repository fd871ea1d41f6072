"""The HTTP server: the pages, the accounts' webhooks, the health page, and the door for the command line."""

from __future__ import annotations

import hmac
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from bot.accounts import Accounts
from bot.failures import log_failure
from channels.errors import BadSignature, NotAccepted, PayloadNotUnderstood
from knowledge.errors import KnowledgeError, NotFound, StoreUnavailable

log = logging.getLogger(__name__)

MOST_BODY_BYTES = 4 * 1024 * 1024
_RETRY_AFTER_S = "2"

Status = Callable[[], Awaitable[dict[str, Any]]]


class LocalImports:
    """What the command line asks of a running server, over loopback and with the token of the data folder."""

    def __init__(
        self,
        *,
        start: Callable[[dict[str, Any]], Awaitable[dict[str, Any]]],
        job: Callable[[str], Awaitable[dict[str, Any]]],
        token: str,
    ) -> None:
        self._start = start
        self._job = job
        self._token = token

    def is_ours(self, request: web.Request) -> bool:
        """Return whether a request carries the token that only this data folder's owner can read."""
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        return hmac.compare_digest(given.encode("utf-8", "replace"), self._token.encode())

    async def post(self, request: web.Request) -> web.Response:
        """Start an import and answer with its job's id."""
        if not self.is_ours(request):
            raise web.HTTPForbidden(text="This door is for the command line of the same machine.")
        try:
            wanted = json.loads(await request.text())
            return web.json_response(await self._start(wanted), status=202)
        except (KnowledgeError, ValueError) as error:
            return web.json_response({"error": str(error)}, status=422)

    async def get(self, request: web.Request) -> web.Response:
        """Answer with how far an import is."""
        if not self.is_ours(request):
            raise web.HTTPForbidden(text="This door is for the command line of the same machine.")
        try:
            return web.json_response(await self._job(request.match_info["job"]))
        except NotFound as error:
            return web.json_response({"error": str(error)}, status=404)


class Hooks:
    """Answers every path that no page answers: it belongs to an account, or to nobody."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Let the account's adapter answer; errors become the statuses that platforms understand."""
        found = self._accounts.route(request.method, request.path)
        if found is None:
            return self._nobody(request)
        route, inlet = found
        try:
            return await route.handler(request, inlet)
        except BadSignature:
            return web.json_response({"error": "the signature is wrong"}, status=403)
        except (NotAccepted, StoreUnavailable):
            return _later()
        except PayloadNotUnderstood:
            return web.json_response({"error": "the body was not understood"}, status=400)
        except web.HTTPException:
            raise
        except ConnectionError:
            raise
        except Exception as error:
            # Whatever it was, nothing was accepted: the platform must send it again.
            log_failure(log, "a webhook failed", error, path=request.path.split("/")[1])
            return _later()

    def _nobody(self, request: web.Request) -> web.StreamResponse:
        known = self._accounts.methods(request.path)
        if known:
            raise web.HTTPMethodNotAllowed(request.method, sorted(known))
        if not self._accounts.is_loaded and request.path.startswith("/hooks/"):
            return _later()
        raise web.HTTPNotFound


def _later() -> web.Response:
    return web.json_response({"error": "try again"}, status=503, headers={"Retry-After": _RETRY_AFTER_S})


def add_routes(app: web.Application, *, accounts: Accounts, local: LocalImports, status: Status) -> None:
    """Add everything that is not a page. Call it last: the accounts answer whatever is left."""
    hooks = Hooks(accounts)

    async def health(request: web.Request) -> web.Response:
        found = await status()
        return web.json_response(found, status=200 if found["is_ok"] else 503)

    app.router.add_get("/health", health)
    app.router.add_post("/local/imports", local.post)
    app.router.add_get("/local/imports/{job}", local.get)
    app.router.add_route("*", "/{path:.*}", hooks.answer)


__all__ = ["MOST_BODY_BYTES", "Hooks", "LocalImports", "add_routes"]
