"""The panel's home, what needs attention, and how this server is set up."""

from __future__ import annotations

from datetime import timedelta

from aiohttp import web

from admin.desk import Desk
from knowledge import conversations, incidents, memories, personas, turns
from knowledge.database import Connection
from knowledge.tables import Persona
from knowledge.viewer import owner_viewer

INCIDENTS = {
    "crisis": "Somebody may be in danger",
    "dead_letter": "An answer could not be delivered",
    "poisoned": "A message could not be answered",
    "account_broken": "An account needs attention",
    "model_unavailable": "The model did not answer",
    "guard": "A guard stepped in",
    "forget": "Somebody asks to be forgotten",
}


class HomePages:
    """Home, incidents and settings."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> list[web.AbstractRouteDef]:
        """Return the routes of these pages."""
        return [
            web.get("/admin", self.home),
            web.get("/admin/incidents", self.incidents),
            web.post("/admin/incidents/{incident_id}/resolve", self.resolve),
            web.get("/admin/settings", self.settings),
        ]

    async def home(self, request: web.Request) -> web.Response:
        """Show the personas, the latest conversations and what needs attention."""
        await self._desk.gate.need(request)
        counted = await self._desk.read(_with_counts)
        since = self._desk.now() - timedelta(days=7)
        return await self._desk.panel_page(
            request,
            "panel/home.html",
            here="home",
            personas=counted,
            by_id={persona.id: persona for persona, _ in counted},
            incidents=(await self._desk.read(incidents.open_incidents))[:5],
            latest=await self._desk.read(lambda c: conversations.list_conversations(c, limit=6)),
            week=await self._desk.read(lambda c: turns.spent(c, since=since)),
            kinds=INCIDENTS,
            answering=self._desk.services.answering,
        )

    async def incidents(self, request: web.Request) -> web.Response:
        """Show what nobody has dealt with yet."""
        await self._desk.gate.need(request)
        found = await self._desk.read(incidents.open_incidents)
        known = await self._desk.read(personas.personas)
        return await self._desk.panel_page(
            request,
            "panel/incidents.html",
            here="incidents",
            incidents=found,
            kinds=INCIDENTS,
            by_id={persona.id: persona for persona in known},
        )

    async def resolve(self, request: web.Request) -> web.Response:
        """Note that an incident was dealt with."""
        await self._desk.gate.form(request)
        signed_in = await self._desk.gate.need(request)
        incident_id, name, at = request.match_info["incident_id"], signed_in.operator.name, self._desk.now()
        await self._desk.write(lambda c: incidents.resolve(c, incident_id, name, at))
        return await self._desk.done(request, "/admin/incidents", "Noted as dealt with.")

    async def settings(self, request: web.Request) -> web.Response:
        """Show how this server is set up."""
        await self._desk.gate.need(request)
        services = self._desk.services
        facts = {"Answers are made by": services.answering, "Address": services.public_url, **services.facts}
        return await self._desk.panel_page(request, "panel/settings.html", here="settings", facts=facts)


def _with_counts(c: Connection) -> list[tuple[Persona, int]]:
    found = personas.personas(c)
    return [(persona, memories.count_memories(c, owner_viewer(persona.id))) for persona in found]
