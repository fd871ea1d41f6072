"""What every page works with: the services, the templates, the gate, and the words to show once after a redirect."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from aiohttp import web
from jinja2 import Environment

from admin.auth import Gate
from admin.errors import FormInvalid, PageNotFound
from admin.ports import Services
from knowledge import incidents, personas
from knowledge.clock import Clock
from knowledge.database import Connection
from knowledge.tables import Persona

T = TypeVar("T")
_MOST_NOTICES = 500


@dataclass(frozen=True, slots=True)
class Notice:
    """Words for one operator after a redirect. `links` are shown once and kept nowhere else."""

    kind: str
    words: str
    links: tuple[tuple[str, str], ...] = ()


class Notices:
    """The words waiting for a browser's next page, kept for a short while in memory alone."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, Notice] = OrderedDict()

    def leave(self, session: str, notice: Notice) -> None:
        """Leave words for a session."""
        self._waiting[session] = notice
        self._waiting.move_to_end(session)
        while len(self._waiting) > _MOST_NOTICES:
            self._waiting.popitem(last=False)

    def take(self, session: str) -> Notice | None:
        """Return the words for a session, once."""
        return self._waiting.pop(session, None)


class Desk:
    """The shared part of all pages."""

    def __init__(self, services: Services, gate: Gate, templates: Environment) -> None:
        self.services = services
        self.gate = gate
        self.notices = Notices()
        self._templates = templates

    @property
    def clock(self) -> Clock:
        return self.services.clock

    def now(self) -> datetime:
        """Return the time of the one clock."""
        return self.services.clock.now()

    async def read(self, query: Callable[[Connection], T]) -> T:
        """Run a query."""
        return await self.services.database.read(query)

    async def write(self, change: Callable[[Connection], T]) -> T:
        """Run a change."""
        return await self.services.database.write(change)

    async def persona(self, request: web.Request) -> Persona:
        """Return the persona named in the address.

        Raises:
            PageNotFound: when there is none.
        """
        slug = request.match_info["slug"]
        found = await self.read(lambda c: personas.persona_by_slug(c, slug))
        if found is None:
            raise PageNotFound("There is no persona at this address.")
        return found

    def render(self, template: str, **context: Any) -> str:
        """Return a template filled in."""
        return self._templates.get_template(template).render(now=self.now(), **context)

    async def public_page(
        self, request: web.Request, template: str, *, here: str = "", status: int = 200, **context: Any
    ) -> web.Response:
        """Return a page that anybody may see."""
        signed_in = await self.gate.signed_in(request)
        operator = signed_in.operator if signed_in else None
        return _html(self.render(template, here=here, operator=operator, **context), status)

    async def panel_page(
        self,
        request: web.Request,
        template: str,
        *,
        here: str,
        persona: Persona | None = None,
        error: FormInvalid | None = None,
        **context: Any,
    ) -> web.Response:
        """Return a page of the panel, for whoever is signed in; with the status of `error` when a form was wrong."""
        signed_in = await self.gate.need(request)
        waiting = await self.read(lambda c: len(incidents.open_incidents(c)))
        body = self.render(
            template,
            here=here,
            persona=persona,
            error=error,
            errors=error.fields if error else {},
            signed_in=signed_in,
            operator=signed_in.operator,
            may_change=signed_in.may("curator"),
            may_own=signed_in.may("owner"),
            form_token=signed_in.csrf_token,
            flash=self.notices.take(signed_in.session),
            incident_count=waiting,
            **context,
        )
        return _html(body, error.status if error else 200)

    async def done(
        self,
        request: web.Request,
        to: str,
        words: str = "",
        *,
        kind: str = "good",
        links: tuple[tuple[str, str], ...] = (),
    ) -> web.Response:
        """Return the redirect after a form was taken, with words for the page that follows."""
        signed_in = await self.gate.signed_in(request)
        if words and signed_in is not None:
            self.notices.leave(signed_in.session, Notice(kind, words, links))
        return see_other(to)


def see_other(to: str) -> web.Response:
    """Return a redirect that the browser follows with GET."""
    return web.Response(status=303, headers={"Location": to})


def _html(body: str, status: int) -> web.Response:
    return web.Response(text=body, status=status, content_type="text/html")
