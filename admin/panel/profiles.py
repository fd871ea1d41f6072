"""The profile: what the persona is said to be, to whom, in versions that can be brought back."""

from __future__ import annotations

from urllib.parse import quote

from aiohttp import web

from admin.audiences import Audiences, audiences_of
from admin.desk import Desk
from admin.errors import FormInvalid
from admin.form import query_text
from admin.style_words import style_words
from knowledge import profiles
from knowledge.database import Connection
from knowledge.tables import Persona, Profile
from knowledge.viewer import OWNER, PUBLIC, owner_viewer


class ProfilePages:
    """The profile of one persona."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> list[web.AbstractRouteDef]:
        """Return the routes of these pages."""
        return [
            web.get("/admin/personas/{slug}/profile", self.show),
            web.post("/admin/personas/{slug}/profile", self.save),
            web.post("/admin/personas/{slug}/profile/{profile_id}/restore", self.restore),
        ]

    async def show(self, request: web.Request) -> web.Response:
        """Show the profile for one audience, with its versions."""
        await self._desk.gate.need(request)
        persona = await self._desk.persona(request)
        audiences = await self._desk.read(lambda c: audiences_of(c, persona))
        audience = query_text(request, "for")
        return await self._page(request, persona, audiences, audience if audience in audiences.values else PUBLIC)

    async def save(self, request: web.Request) -> web.Response:
        """Keep a new version."""
        form = await self._desk.gate.form(request)
        signed_in = await self._desk.gate.need(request)
        persona = await self._desk.persona(request)
        audiences = await self._desk.read(lambda c: audiences_of(c, persona))
        audience = form.choice("audience", audiences.values)
        try:
            biography = form.text("biography", most=700, is_required=False, is_long=True)
            description = form.text("description", most=5000, is_required=False, is_long=True)
            form.check()
        except FormInvalid as error:
            shown = audience if audience in audiences.values else PUBLIC
            return await self._page(request, persona, audiences, shown, form.values, error)
        at = self._desk.now()

        def save(c: Connection) -> Profile:
            before = _current(c, persona, audience)
            return profiles.save_profile(
                c,
                persona_id=persona.id,
                biography=biography,
                description=description,
                style=before.style if before else {},
                cited=before.cited if before else (),
                audience=audience,
                made_by=signed_in.operator.name,
                at=at,
            )

        await self._desk.write(save)
        return await self._desk.done(
            request, f"/admin/personas/{persona.slug}/profile?for={quote(audience)}", "Saved as a new version."
        )

    async def restore(self, request: web.Request) -> web.Response:
        """Bring an old version back."""
        await self._desk.gate.form(request)
        signed_in = await self._desk.gate.need(request)
        persona = await self._desk.persona(request)
        profile_id, at = request.match_info["profile_id"], self._desk.now()
        made = await self._desk.write(
            lambda c: profiles.restore_profile(
                c, owner_viewer(persona.id), profile_id, by=signed_in.operator.name, at=at
            )
        )
        return await self._desk.done(
            request,
            f"/admin/personas/{persona.slug}/profile?for={quote(made.audience)}",
            "The old version is the current one again.",
        )

    async def _page(
        self,
        request: web.Request,
        persona: Persona,
        audiences: Audiences,
        audience: str,
        values: dict[str, str] | None = None,
        error: FormInvalid | None = None,
    ) -> web.Response:
        viewer = owner_viewer(persona.id)
        versions = await self._desk.read(lambda c: profiles.profile_versions(c, viewer, audience=audience))
        current = next((version for version in versions if version.is_current), None)
        if values is None:
            values = {
                "biography": current.biography if current else "",
                "description": current.description if current else "",
            }
        made = await self._desk.read(lambda c: {found.audience for found in profiles.profile_versions(c, viewer)})
        return await self._desk.panel_page(
            request,
            "panel/profile.html",
            here="profile",
            persona=persona,
            error=error,
            values=values,
            audience=audience,
            audiences=audiences,
            shown=[value for value in audiences.values if value in made | {PUBLIC, OWNER}],
            style=style_words(current.style) if current else [],
            versions=versions[:20],
        )


def _current(c: Connection, persona: Persona, audience: str) -> Profile | None:
    versions = profiles.profile_versions(c, owner_viewer(persona.id), audience=audience)
    return next((version for version in versions if version.is_current), None)
