"""The public pages: who is here, talking to one of them, and what happens to your words."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from itertools import groupby
from typing import Any

from aiohttp import web

from admin.desk import Desk, see_other
from admin.errors import PageNotFound
from admin.form import number, query_text
from admin.ports import TalkLine, TalkView
from admin.rendering import day_label, zone_of
from knowledge import personas, profiles
from knowledge.database import Connection
from knowledge.names import slug_of
from knowledge.tables import Persona
from knowledge.viewer import public_viewer

_MOST_SUGGESTIONS = 4
_ANSWER_TAKES = timedelta(minutes=2)
_MOST_LOOKS = 4
"""Then a page without script is reloaded by hand alone, so that nobody loses what they are writing."""
_SHOWS_SOMETHING = re.compile(r"<(?:img|audio|video)\b|>[^<\s]|^[^<\s]")
_MOST_KNOCKS = 4
_REFUSED = "This invitation cannot be used: it is not whole, was used before, or ran out. Ask for a new one."


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A persona as the explore page shows it: what anybody may know."""

    slug: str
    name: str
    kind: str
    biography: str
    languages: tuple[str, ...]


class PublicPages:
    """The pages that need nobody signed in."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> list[web.AbstractRouteDef]:
        """Return the routes of these pages."""
        return [
            web.get("/", self.explore),
            web.get("/about", self.about),
            web.get("/privacy", self.privacy),
            web.get("/p/{slug}", self.talk),
        ]

    async def explore(self, request: web.Request) -> web.Response:
        """Show the public personas."""
        cards = await self._desk.read(_cards)
        return await self._desk.public_page(request, "public/explore.html", here="explore", personas=cards)

    async def about(self, request: web.Request) -> web.Response:
        """Say what this is."""
        return await self._desk.public_page(request, "public/about.html", here="about")

    async def privacy(self, request: web.Request) -> web.Response:
        """Say what is kept and how to be forgotten."""
        answering = self._desk.services.answering
        return await self._desk.public_page(request, "public/privacy.html", answering=answering)

    async def talk(self, request: web.Request) -> web.Response:
        """Show the conversation of this visitor with one persona, or a closed door."""
        slug = slug_of(request.match_info["slug"])
        token = invitation_code(query_text(request, "invite", most=400))
        if token:
            return await self._desk.public_page(request, "public/welcome.html", slug=slug, token=token)
        persona = await self._desk.read(lambda c: personas.persona_by_slug(c, slug))
        if persona is None:
            # A private persona and none at all must look the same from outside.
            return await self._knock(request, slug)
        view = await self._desk.services.talk.view(request, persona.slug)
        if view.is_welcome:
            response = await self._open(request, persona, view)
        else:
            response = await self._knock(request, slug)
        if view.set_cookie is not None:
            name, value = view.set_cookie
            is_secure = self._desk.services.is_secure
            response.set_cookie(
                name, value, max_age=31_536_000, httponly=True, samesite="Lax", secure=is_secure, path="/"
            )
        return response

    async def _knock(self, request: web.Request, slug: str) -> web.Response:
        """Wait a little after an invitation was sent, because it is honoured a moment later; else the closed door."""
        if "refused" in request.query:
            return await self._closed(request, slug, is_refused=True)
        has_sent = _is_from_welcome(request.headers.get("Referer", ""), request.path)
        knocks = number(request.query.get("knock"), default=1 if has_sent else 0, most=_MOST_KNOCKS + 1)
        if not knocks:
            return await self._closed(request, slug)
        if knocks > _MOST_KNOCKS:
            return await self._closed(request, slug, is_refused=True)
        onward = f"/p/{slug}?knock={knocks + 1}"
        response = await self._desk.public_page(request, "public/opening.html", onward=onward)
        response.headers["Refresh"] = f"2; url={onward}"
        return response

    async def _closed(self, request: web.Request, slug: str, *, is_refused: bool = False) -> web.Response:
        errors = {"invite": _REFUSED} if is_refused else {}
        status = 422 if is_refused else 200
        return await self._desk.public_page(request, "public/closed.html", slug=slug, errors=errors, status=status)

    async def _open(self, request: web.Request, persona: Persona, view: TalkView) -> web.Response:
        if persona.state in ("draft", "retired") and not view.is_owner:
            raise PageNotFound("This persona is not here any more, or not yet.")
        if "knock" in request.query:
            return see_other(f"/p/{persona.slug}")
        zone, now = zone_of(persona.timezone), self._desk.now()
        profile = await self._desk.read(lambda c: profiles.current_profile(c, public_viewer(persona.id)))
        lines = [line for line in view.lines if _has_something(line)]
        last = lines[-1] if lines else None
        is_waiting = last is not None and not last.is_ours and now - last.at < _ANSWER_TAKES
        return await self._desk.public_page(
            request,
            "public/talk.html",
            persona=persona,
            biography=profile.biography if profile else "",
            days=_by_day(lines, now, zone),
            zone=zone,
            is_owner=view.is_owner,
            is_waiting=is_waiting,
            again=_again(request, is_waiting=is_waiting),
            suggestions=_suggestions(persona.settings, request.headers.get("Accept-Language", "")),
            client_id=secrets.token_urlsafe(12),
        )


def invitation_code(text: str) -> str:
    """Return the token of a pasted invitation link, or the token itself."""
    for mark in ("invite=", "start="):
        text = text.rsplit(mark, 1)[-1]
    return text.split("&")[0].strip()


def _again(request: web.Request, *, is_waiting: bool) -> int:
    """Return how often a page without script has looked for an answer when it looks again; 0 when it need not.

    What was sent a moment ago may not be among the lines yet, so a page that was just sent from looks again too.
    """
    looks = number(request.query.get("again"), most=_MOST_LOOKS + 1)
    has_sent = not looks and request.headers.get("Referer", "").partition("?")[0].endswith(request.path)
    return looks + 1 if looks < _MOST_LOOKS and (is_waiting or has_sent) else 0


def _is_from_welcome(referer: str, path: str) -> bool:
    page, _, query = referer.partition("?")
    return page.endswith(path) and query.startswith("invite=")


def _cards(c: Connection) -> list[Card]:
    cards = []
    for persona in personas.public_personas(c):
        profile = profiles.current_profile(c, public_viewer(persona.id))
        cards.append(
            Card(
                slug=persona.slug,
                name=persona.name,
                kind=persona.kind,
                biography=profile.biography if profile else "",
                languages=tuple(persona.languages),
            )
        )
    return cards


def _has_something(line: TalkLine) -> bool:
    """Return whether a line has words or media; the one that brought an invitation has neither."""
    return _SHOWS_SOMETHING.search(line.html) is not None


def _by_day(lines: Sequence[TalkLine], now: datetime, zone: tzinfo) -> list[tuple[str, list[TalkLine]]]:
    days = groupby(lines, key=lambda line: line.at.astimezone(zone).date())
    return [(day_label(first.at, now, zone), [first, *rest]) for _, (first, *rest) in days]


def _suggestions(settings: dict[str, Any], accepted: str) -> list[str]:
    """Return what to begin with: a list, or one per language of which the visitor's is taken."""
    found = settings.get("suggestions")
    if isinstance(found, dict):
        wanted = [part.split(";")[0].split("-")[0].strip().lower() for part in accepted.split(",")]
        found = next((found[code] for code in wanted if code in found), next(iter(found.values()), None))
    return [text for text in _each(found) if isinstance(text, str) and text.strip()][:_MOST_SUGGESTIONS]


def _each(found: object) -> Iterable[object]:
    return found if isinstance(found, list | tuple) else ()
