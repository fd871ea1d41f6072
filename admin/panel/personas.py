"""Personas in the panel: making one, seeing how it is, and changing what it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aiohttp import web

from admin.desk import Desk
from admin.errors import FormInvalid
from admin.form import Form
from admin.panel.home import INCIDENTS
from knowledge import accounts, conversations, importing, incidents, memories, people, personas, profiles
from knowledge.database import Connection
from knowledge.errors import Conflict
from knowledge.tables import Account, Incident, Persona, Profile
from knowledge.viewer import owner_viewer

KIND_CHOICES = (
    ("self", "A living person", "Yourself, or somebody who asked for it."),
    ("memorial", "In memory of somebody", "Somebody who died, kept by their family."),
    ("brand", "A brand", "A shop, a company, a club."),
    ("fictional", "A fictional character", "Nobody real."),
)
VISIBILITY_CHOICES = (
    ("private", "Private", "Answers only those who came with an invitation. Everybody else finds a closed door."),
    ("unlisted", "Unlisted", "Answers whoever knows its address. It is not shown on the first page."),
    ("public", "Public", "Shown on the first page, and answers everybody."),
)
STATE_CHOICES = (
    ("live", "Answering", "It answers as messages come in."),
    ("paused", "Paused", "Messages are kept, and nothing is answered."),
    ("draft", "Draft", "Not open yet. Only its owner can talk with it."),
    ("retired", "Retired", "Closed for good. What was said can still be read here."),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """What the first page of a persona shows."""

    memory_count: int
    person_count: int
    conversations: list[conversations.Listed]
    accounts: list[Account]
    incidents: list[Incident]
    profile: Profile | None
    has_imports: bool


class PersonaPages:
    """The pages of one persona and the form for a new one."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> list[web.AbstractRouteDef]:
        """Return the routes of these pages."""
        return [
            web.get("/admin/personas/new", self.show_new),
            web.post("/admin/personas/new", self.create),
            web.get("/admin/personas/{slug}", self.overview),
            web.get("/admin/personas/{slug}/edit", self.show_edit),
            web.post("/admin/personas/{slug}/edit", self.edit),
        ]

    async def show_new(self, request: web.Request) -> web.Response:
        """Show the form for a new persona."""
        await self._desk.gate.need(request, "curator")
        return await self._new(request, {"kind": "self", "visibility": "private", "timezone": "UTC"})

    async def create(self, request: web.Request) -> web.Response:
        """Create a persona and go on to its first import."""
        form = await self._desk.gate.form(request)
        at = self._desk.now()
        try:
            fields = _fields(form)
            form.check()
            made = await self._desk.write(lambda c: personas.create_persona(c, **fields, at=at))
        except FormInvalid as error:
            return await self._new(request, form.values, error)
        await self._desk.services.channels.started_persona(made.id)
        return await self._desk.done(
            request,
            f"/admin/personas/{made.slug}/import",
            f"{made.name} is here. Now give it something to remember: a chat, letters, posts.",
        )

    async def overview(self, request: web.Request) -> web.Response:
        """Show how a persona is doing."""
        await self._desk.gate.need(request)
        persona = await self._desk.persona(request)
        return await self._desk.panel_page(
            request,
            "panel/persona.html",
            here="overview",
            persona=persona,
            overview=await self._desk.read(lambda c: _overview(c, persona)),
            kinds=INCIDENTS,
        )

    async def show_edit(self, request: web.Request) -> web.Response:
        """Show what a persona is, to be changed."""
        await self._desk.gate.need(request)
        persona = await self._desk.persona(request)
        values = {
            "name": persona.name,
            "slug": persona.slug,
            "kind": persona.kind,
            "visibility": persona.visibility,
            "state": persona.state,
            "languages": ", ".join(persona.languages),
            "timezone": persona.timezone,
            "suggestions": _suggestions_text(persona.settings),
        }
        return await self._edit(request, persona, values)

    async def edit(self, request: web.Request) -> web.Response:
        """Change a persona."""
        form = await self._desk.gate.form(request)
        persona = await self._desk.persona(request)
        at = self._desk.now()
        try:
            fields = _fields(form)
            fields["slug"] = _slug(form)
            fields["state"] = form.choice("state", personas.STATES)
            written = form.text("suggestions", most=1000, is_required=False, is_long=True)
            form.check()
            if written != _suggestions_text(persona.settings):
                fields["settings"] = {**persona.settings, "suggestions": _lines(written)}
            changed = await self._desk.write(lambda c: personas.update_persona(c, persona.id, at=at, **fields))
        except FormInvalid as error:
            return await self._edit(request, persona, form.values, error)
        except Conflict as error:
            return await self._edit(request, persona, form.values, FormInvalid(str(error), fields={"slug": str(error)}))
        if changed.slug != persona.slug:
            await self._move(changed)
        return await self._desk.done(request, f"/admin/personas/{changed.slug}/edit", "Saved.")

    async def _move(self, persona: Persona) -> None:
        """Let the web page answer at its new address."""
        for account in await self._desk.read(lambda c: accounts.accounts(c, persona.id)):
            if account.channel == "web" and account.state == "on":
                await self._desk.services.channels.switch(account.id, is_on=False)
                await self._desk.services.channels.switch(account.id, is_on=True)

    async def _new(
        self, request: web.Request, values: dict[str, str], error: FormInvalid | None = None
    ) -> web.Response:
        return await self._desk.panel_page(
            request,
            "panel/persona_new.html",
            here="new",
            error=error,
            values=values,
            kinds=KIND_CHOICES,
            visibilities=VISIBILITY_CHOICES,
        )

    async def _edit(
        self, request: web.Request, persona: Persona, values: dict[str, str], error: FormInvalid | None = None
    ) -> web.Response:
        return await self._desk.panel_page(
            request,
            "panel/persona_edit.html",
            here="edit",
            persona=persona,
            error=error,
            values=values,
            kinds=KIND_CHOICES,
            visibilities=VISIBILITY_CHOICES,
            states=STATE_CHOICES,
        )


def _fields(form: Form) -> dict[str, Any]:
    return {
        "name": form.text("name", most=80),
        "kind": form.choice("kind", personas.KINDS),
        "visibility": form.choice("visibility", personas.VISIBILITIES),
        "languages": form.languages("languages"),
        "timezone": form.timezone("timezone"),
    }


def _slug(form: Form) -> str:
    slug = form.text("slug", most=48).lower()
    if slug and (not slug.isascii() or not slug.replace("-", "").isalnum()):
        form.errors["slug"] = "Please use the letters a to z, digits and hyphens."
    return slug


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.split("\n") if line.strip()][:8]


def _suggestions_text(settings: dict[str, Any]) -> str:
    found = settings.get("suggestions")
    return "\n".join(map(str, found)) if isinstance(found, list) else ""


def _overview(c: Connection, persona: Persona) -> Overview:
    viewer = owner_viewer(persona.id)
    return Overview(
        memory_count=memories.count_memories(c, viewer),
        person_count=len(people.persons(c, persona.id)),
        conversations=conversations.list_conversations(c, persona.id, limit=5),
        accounts=accounts.accounts(c, persona.id),
        incidents=incidents.open_incidents(c, persona.id),
        profile=profiles.current_profile(c, viewer),
        has_imports=bool(importing.jobs(c, persona.id)),
    )
