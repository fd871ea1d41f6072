"""What the command line does with personas: in its own process, or through a server that already runs."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from knowledge import importing, invitations, personas
from knowledge.database import Connection
from knowledge.errors import ArchiveInvalid, NotFound
from knowledge.names import fold
from knowledge.tables import Persona
from knowledge.viewer import OWNER

if TYPE_CHECKING:
    from bot.app import App
    from bot.server import LocalDoor


class WantedImport(BaseModel):
    """What `./run import` asks for."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    path: str
    persona: str = Field(min_length=1)
    kind: str = "self"
    audience: str = OWNER
    owner_names: tuple[str, ...] = ()
    timezone: str = "UTC"
    day_first: bool | None = None


async def start(app: App, wanted: WantedImport) -> dict[str, Any]:
    """Queue an import, for a persona that is made now when there is none of that name; return what to follow.

    Raises:
        ArchiveInvalid: when there is nothing at the path.
    """
    path = Path(wanted.path)
    if not await asyncio.to_thread(path.exists):
        raise ArchiveInvalid(f"There is nothing at {path}.", next_step="Give the path of a file, a folder or a ZIP.")
    at = app.clock.now()

    def persona_of(c: Connection) -> tuple[Persona, bool]:
        found = personas.persona_by_name(c, wanted.persona)
        if found is not None:
            return found, False
        return personas.create_persona(c, name=wanted.persona, kind=wanted.kind, timezone=wanted.timezone, at=at), True

    persona, is_new = await app.database.write(persona_of)
    job_id = await app.imports.start(
        persona.id,
        wanted.path,
        name=path.name,
        audience=wanted.audience,
        owner_names=wanted.owner_names,
        timezone=wanted.timezone,
        day_first=wanted.day_first,
    )
    return {"job": job_id, "slug": persona.slug, "persona": persona.name, "is_new": is_new}


async def look(app: App, job_id: str) -> dict[str, Any]:
    """Return how far an import is, and what came of it."""
    job = await app.database.read(lambda c: importing.job(c, job_id))
    return {"state": job.state, "progress": job.progress, "report": job.report, "error": job.error}


async def owner_link(app: App, slug: str, address: str) -> str:
    """Return a one-time link with which whoever ran the import talks to the persona as its owner."""
    at = app.clock.now()

    def invite(c: Connection) -> str:
        persona = personas.persona_by_slug(c, slug)
        assert persona is not None
        return invitations.invite(c, persona_id=persona.id, circle=OWNER, at=at)[1]

    return f"{address}/p/{slug}?invite={await app.database.write(invite)}"


def choose(c: Connection, name: str) -> Persona:
    """Return the persona of that name, the first one when no name is given.

    Raises:
        NotFound: listing those there are.
    """
    found = personas.personas(c)
    if not found:
        raise NotFound("There is no persona yet: import something with ./run import PATH --persona NAME.")
    if not name:
        return found[0]
    persona = personas.persona_by_name(c, name)
    begins = [one for one in found if fold(one.name).startswith(fold(name))]
    if persona is None and len(begins) == 1:
        return begins[0]
    if persona is None:
        known = ", ".join(one.name for one in found)
        raise NotFound(f"There is no persona called {name}. There are: {known}.")
    return persona


def routes(app: App, door: LocalDoor) -> list[web.RouteDef]:
    """Return the routes by which the command line reaches a running server."""

    async def begin(request: web.Request) -> dict[str, Any]:
        return await start(app, WantedImport.model_validate_json(await request.text()))

    async def follow(request: web.Request) -> dict[str, Any]:
        return await look(app, request.match_info["job"])

    async def link(request: web.Request) -> dict[str, Any]:
        address = app.settings.public_url or f"{request.scheme}://{request.host}"
        return {"link": await owner_link(app, request.match_info["slug"], address)}

    async def persona(request: web.Request) -> dict[str, Any]:
        found = await app.database.read(lambda c: choose(c, request.query.get("name", "")))
        return {"name": found.name, "slug": found.slug}

    return [
        web.post("/local/imports", door.guarded(begin, status=202)),
        web.get("/local/imports/{job}", door.guarded(follow)),
        web.post("/local/personas/{slug}/link", door.guarded(link)),
        web.get("/local/personas", door.guarded(persona)),
    ]
