"""What is shown when something goes wrong: the same design for people, JSON for programs."""

from __future__ import annotations

import logging
import traceback
from dataclasses import dataclass
from urllib.parse import quote

from aiohttp import web
from aiohttp.typedefs import Handler

from admin.auth import GATE
from admin.desk import Desk, see_other
from admin.errors import AdminError, FormInvalid, Unauthenticated
from knowledge.errors import ArchiveInvalid, Conflict, Forbidden, KnowledgeError, NotFound, StoreUnavailable

log = logging.getLogger(__name__)

_TITLES = {
    400: ("This request made no sense", "The page that sent it may be old. Go back, reload it, and try again."),
    401: ("Please sign in", "This page is for the people who look after the personas here."),
    403: ("This is not yours to open", "Your role does not allow it."),
    404: ("There is nothing here", "The address may be mistyped, or what was here has been deleted."),
    405: ("This request made no sense", "This address does not take what was sent to it."),
    409: ("That is taken", "Choose another name."),
    413: ("That is too large", "Send less at once, or use the import page for files."),
    415: ("This request made no sense", "This address takes forms only."),
    422: ("Something needs another look", "Go back and check what you wrote."),
    429: ("A little slower, please", "Wait a minute, then try again."),
    500: (
        "Something broke on our side",
        "Nothing you wrote is lost. Try again; if it stays, look at the server's log.",
    ),
    503: ("The server cannot do this right now", "Nothing was changed. Wait a moment, then try again."),
}


@dataclass(frozen=True, slots=True)
class Mishap:
    """What went wrong, as it is shown."""

    status: int
    title: str
    words: str
    fields: dict[str, str]


class Mishaps:
    """Turns every error of a request into a page or into JSON."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer the request, whatever happens."""
        request[GATE] = self._desk.gate
        try:
            return await self._dressed(request, await handler(request))
        except web.HTTPException as error:
            if error.status < 400 or not _is_bare(error):
                raise
            return await self._show(request, mishap_of(error.status), error)
        except Unauthenticated as error:
            if wants_page(request):
                return see_other(await self._door(request))
            return await self._show(request, mishap_of(error.status, str(error)))
        except AdminError as error:
            fields = error.fields if isinstance(error, FormInvalid) else {}
            return await self._show(request, mishap_of(error.status, str(error), fields))
        except KnowledgeError as error:
            return await self._show(request, _known(error))
        except ConnectionError:
            raise
        except Exception as error:
            if request.transport is None:
                raise
            # The place alone: an error's own words may quote somebody.
            frames = traceback.extract_tb(error.__traceback__)[-4:]
            where = " < ".join(f"{frame.name}:{frame.lineno}" for frame in reversed(frames))
            log.error("page failed: %s at %s", type(error).__name__, where, extra={"ids": {"route": _route(request)}})
            return await self._show(request, mishap_of(500))

    async def _dressed(self, request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
        """Put a bare sentence that refuses a browser's form into the design of the pages."""
        is_bare = isinstance(response, web.Response) and response.content_type == "text/plain"
        if response.prepared or not is_bare or response.status < 400 or not wants_page(request):
            return response
        assert isinstance(response, web.Response)
        return await self._page(request, mishap_of(response.status, response.text or ""))

    async def _door(self, request: web.Request) -> str:
        if not await self._desk.gate.has_operators():
            return "/admin/setup"
        back = request.path_qs if request.method == "GET" else ""
        return f"/admin/sign-in?next={quote(back, safe='')}" if back else "/admin/sign-in"

    async def _show(
        self, request: web.Request, mishap: Mishap, error: web.HTTPException | None = None
    ) -> web.StreamResponse:
        if wants_page(request):
            response: web.Response = await self._page(request, mishap)
        else:
            response = web.json_response(
                {"error": mishap.title, "next": mishap.words, "fields": mishap.fields}, status=mishap.status
            )
        for name in ("Allow", "Retry-After"):
            if error is not None and name in error.headers:
                response.headers[name] = error.headers[name]
        return response

    async def _page(self, request: web.Request, mishap: Mishap) -> web.Response:
        is_panel = request.path.startswith("/admin")
        body = self._desk.render(
            "error.html",
            here="",
            operator=None,
            status=mishap.status,
            title=mishap.title,
            words=mishap.words,
            back="/admin" if is_panel else "/",
            back_words="Back to the panel" if is_panel else "Back to the beginning",
        )
        return web.Response(text=body, status=mishap.status, content_type="text/html")


def mishap_of(status: int, words: str = "", fields: dict[str, str] | None = None) -> Mishap:
    """Return how a status is shown; `words` say more than the usual sentence."""
    title, usual = _TITLES.get(status) or _TITLES[500 if status >= 500 else 400]
    return Mishap(status, title, words or usual, fields or {})


def wants_page(request: web.Request) -> bool:
    """Return whether a person's browser asks, rather than a program."""
    return "text/html" in request.headers.get("Accept", "")


def _known(error: KnowledgeError) -> Mishap:
    statuses = ((NotFound, 404), (Forbidden, 403), (Conflict, 409), (ArchiveInvalid, 422), (StoreUnavailable, 503))
    status = next((status for kind, status in statuses if isinstance(error, kind)), 500)
    if status >= 500:
        log.error("page failed: %s", type(error).__name__)
    more = f" {error.next_step}" if isinstance(error, ArchiveInvalid) and error.next_step else ""
    return mishap_of(status, f"{error}{more}" if status < 500 else "")


def _is_bare(error: web.HTTPException) -> bool:
    """Return whether an HTTP error carries no words of its own."""
    return error.text == f"{error.status}: {error.reason}"


def _route(request: web.Request) -> str:
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else ""
