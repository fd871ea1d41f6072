"""The HTTP server: the pages, the accounts' webhooks, the health page, and the door for the command line."""

from __future__ import annotations

import hmac
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from pydantic import ValidationError

from bot.accounts import Accounts
from bot.failures import log_failure
from channels.errors import BadSignature, NotAccepted, PayloadNotUnderstood
from knowledge.errors import KnowledgeError, NotFound, StoreUnavailable

log = logging.getLogger(__name__)

MOST_BODY_BYTES = 4 * 1024 * 1024
_RETRY_AFTER_S = "2"

Status = Callable[[], Awaitable[dict[str, Any]]]


Answer = Callable[[web.Request], Awaitable[Any]]


class LocalDoor:
    """What the command line asks of a running server, with the token that only the data folder's owner can read."""

    def __init__(self, token: str) -> None:
        self._token = token

    def is_ours(self, request: web.Request) -> bool:
        """Return whether a request carries the token."""
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        return hmac.compare_digest(given.encode("utf-8", "replace"), self._token.encode())

    def guarded(self, answer: Answer, *, status: int = 200) -> Callable[[web.Request], Awaitable[web.Response]]:
        """Return a handler that answers the command line of this machine alone, in JSON."""

        async def handler(request: web.Request) -> web.Response:
            if not self.is_ours(request):
                return web.json_response({"error": "This door is for the command line of this machine."}, status=403)
            try:
                return web.json_response(await answer(request), status=status)
            except NotFound as error:
                return web.json_response({"error": str(error)}, status=404)
            except (KnowledgeError, ValidationError, ValueError) as error:
                next_step = getattr(error, "next_step", "")
                return web.json_response({"error": f"{error} {next_step}".strip()}, status=422)

        return handler


class Hooks:
    """Answers every path that no page answers: it belongs to an account, or to nobody."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Let the account's adapter answer; errors become the statuses that platforms understand."""
        try:
            found = self._accounts.route(request.method, request.path)
            if found is None and await self._accounts.find(request.path):
                found = self._accounts.route(request.method, request.path)
        except StoreUnavailable:
            return _later()
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
        if not self._accounts.is_loaded and request.method == "POST":
            return _later()
        raise web.HTTPNotFound


def _later() -> web.Response:
    return web.json_response({"error": "try again"}, status=503, headers={"Retry-After": _RETRY_AFTER_S})


def add_routes(application: web.Application, *, accounts: Accounts, status: Status) -> None:
    """Add what is neither a page nor for the command line. Call it last: the accounts answer whatever is left."""
    hooks = Hooks(accounts)

    async def health(request: web.Request) -> web.Response:
        found = await status()
        return web.json_response(found, status=200 if found["is_ok"] else 503)

    application.router.add_get("/health", health)
    application.router.add_route("*", "/{path:.*}", hooks.answer)
