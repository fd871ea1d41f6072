"""People in the panel: who a persona knows, in which circles, and the one-time links that let somebody in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from aiohttp import web

from admin.desk import Desk
from admin.errors import FormInvalid, PageNotFound
from admin.form import Form, number, query_text
from knowledge import conversations, invitations, people
from knowledge.database import Connection
from knowledge.errors import Conflict
from knowledge.forgetting import forget_person
from knowledge.names import fold
from knowledge.tables import Identity, Invitation, Person, Persona
from knowledge.viewer import OWNER, PUBLIC

_PER_PAGE = 50
_LASTING = (("7", "for a week"), ("30", "for a month"), ("365", "for a year"), ("0", "until it is used"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One person in the list."""

    person: Person
    circles: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """One person with everything their page shows."""

    person: Person
    circles: list[str]
    identities: list[Identity]
    conversations: list[conversations.Listed]


@dataclass(frozen=True, slots=True, kw_only=True)
class Everybody:
    """What the list of people shows."""

    listed: list[Listed]
    has_more: bool
    nameless: int
    circles: list[str]
    invitations: list[Invitation]
    names: dict[str, str]


class PeoplePages:
    """The people of a persona, its circles and its invitations."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> list[web.AbstractRouteDef]:
        """Return the routes of these pages."""
        base = "/admin/personas/{slug}/people"
        return [
            web.get(base, self.listing),
            web.post(base, self.add),
            web.post(base + "/circles", self.add_circle),
            web.post(base + "/invitations", self.invite),
            web.post(base + "/invitations/{invitation_id}/revoke", self.revoke),
            web.get(base + "/{person_id}", self.show),
            web.post(base + "/{person_id}", self.edit),
            web.post(base + "/{person_id}/forget", self.forget),
        ]

    async def listing(self, request: web.Request) -> web.Response:
        """Show who the persona knows."""
        await self._desk.gate.need(request)
        return await self._listing(request, await self._desk.persona(request))

    async def add(self, request: web.Request) -> web.Response:
        """Add somebody before they ever write."""
        form = await self._desk.gate.form(request)
        persona = await self._desk.persona(request)
        known = await self._desk.read(lambda c: _open_circles(c, persona))
        try:
            name, relation = form.text("name", most=80), form.text("relation", most=80, is_required=False)
            chosen = form.many("circles", known)
            form.check()
        except FormInvalid as error:
            return await self._listing(request, persona, "add", form, error)
        at = self._desk.now()
        await self._desk.write(
            lambda c: people.add_person(c, persona_id=persona.id, name=name, relation=relation, circles=chosen, at=at)
        )
        return await self._desk.done(request, _address(persona), f"{name} is known now.")

    async def add_circle(self, request: web.Request) -> web.Response:
        """Add a circle."""
        form = await self._desk.gate.form(request)
        persona = await self._desk.persona(request)
        try:
            name = form.text("circle_name", most=40)
            form.check()
            kept = await self._desk.write(lambda c: _add_circle(c, persona, name))
        except FormInvalid as error:
            return await self._listing(request, persona, "circle", form, error)
        return await self._desk.done(request, _address(persona), f"The circle “{kept}” is here.")

    async def invite(self, request: web.Request) -> web.Response:
        """Make a one-time invitation and show its links, once."""
        form = await self._desk.gate.form(request)
        signed_in = await self._desk.gate.need(request)
        persona = await self._desk.persona(request)
        circles, known = await self._desk.read(lambda c: _invitable(c, persona))
        at, by = self._desk.now(), signed_in.operator.id
        try:
            circle = form.choice("circle", circles)
            person_id = form.choice("person", known, default="") or None
            name = form.text("person_name", most=80, is_required=False)
            days = number(form.choice("lasts", [value for value, _ in _LASTING], default="30"))
            if circle == OWNER and not signed_in.may("owner"):
                form.errors["circle"] = "Only an owner of this server may invite into the owner's circle."
            form.check()
        except FormInvalid as error:
            return await self._listing(request, persona, "invite", form, error)
        expires_at = at + timedelta(days=days) if days else None

        def make(c: Connection) -> str:
            return invitations.invite(
                c,
                persona_id=persona.id,
                circle=circle,
                person_id=person_id,
                person_name=name,
                created_by=by,
                expires_at=expires_at,
                at=at,
            )[1]

        token = await self._desk.write(make)
        links = self._desk.services.channels.invitation_links(persona.id, token)
        return await self._desk.done(
            request,
            f"{_address(persona)}#invitations",
            "The invitation is ready. It works once, and its link is shown only now: copy it and send it.",
            links=tuple(links),
        )

    async def revoke(self, request: web.Request) -> web.Response:
        """Take an unused invitation back."""
        await self._desk.gate.form(request)
        persona = await self._desk.persona(request)
        invitation_id, at = request.match_info["invitation_id"], self._desk.now()

        def take_back(c: Connection) -> None:
            if invitation_id not in {found.id for found in invitations.invitations(c, persona.id)}:
                raise PageNotFound("This persona has no such invitation.")
            invitations.revoke(c, invitation_id, at=at)

        try:
            await self._desk.write(take_back)
        except Conflict as error:
            return await self._desk.done(request, f"{_address(persona)}#invitations", str(error), kind="bad")
        return await self._desk.done(request, f"{_address(persona)}#invitations", "Taken back: the link opens nothing.")

    async def show(self, request: web.Request) -> web.Response:
        """Show one person."""
        await self._desk.gate.need(request)
        persona = await self._desk.persona(request)
        return await self._one(request, persona, await self._known(request, persona))

    async def edit(self, request: web.Request) -> web.Response:
        """Change a person's name and circles."""
        form = await self._desk.gate.form(request)
        persona = await self._desk.persona(request)
        known = await self._known(request, persona)
        open_circles = await self._desk.read(lambda c: _open_circles(c, persona))
        try:
            name = form.text("name", most=80)
            chosen = form.many("circles", open_circles)
            form.check()
        except FormInvalid as error:
            return await self._one(request, persona, known, form, error)

        def change(c: Connection) -> None:
            if name != known.person.name:
                people.rename(c, known.person.id, name)
            people.set_circles(c, known.person.id, chosen)

        await self._desk.write(change)
        return await self._desk.done(request, f"{_address(persona)}/{known.person.id}", "Saved.")

    async def forget(self, request: web.Request) -> web.Response:
        """Delete a person with everything they said."""
        await self._desk.gate.form(request)
        signed_in = await self._desk.gate.need(request)
        persona = await self._desk.persona(request)
        known = await self._known(request, persona)
        at, name = self._desk.now(), signed_in.operator.name
        count = await self._desk.write(lambda c: forget_person(c, known.person.id, by=name, at=at))
        self._desk.services.on_knowledge_changed(persona.id)
        words = f"Forgotten, with everything they said and {count:,} memor{'y' if count == 1 else 'ies'} of it."
        return await self._desk.done(request, _address(persona), words)

    async def _known(self, request: web.Request, persona: Persona) -> Known:
        person_id = request.match_info["person_id"]
        return await self._desk.read(lambda c: _known(c, persona, person_id))

    async def _one(
        self,
        request: web.Request,
        persona: Persona,
        known: Known,
        form: Form | None = None,
        error: FormInvalid | None = None,
    ) -> web.Response:
        return await self._desk.panel_page(
            request,
            "panel/person.html",
            here="people",
            persona=persona,
            error=error,
            known=known,
            circles=await self._desk.read(lambda c: _open_circles(c, persona)),
            values=form.values if form else {"name": known.person.name},
        )

    async def _listing(
        self,
        request: web.Request,
        persona: Persona,
        part: str = "",
        form: Form | None = None,
        error: FormInvalid | None = None,
    ) -> web.Response:
        words = query_text(request, "q", most=80)
        page = number(request.query.get("page"), default=1, least=1, most=10_000)
        is_all = "all" in request.query
        everybody = await self._desk.read(lambda c: _everybody(c, persona, words, page, is_all=is_all))
        return await self._desk.panel_page(
            request,
            "panel/people.html",
            here="people",
            persona=persona,
            error=error,
            part=part,
            everybody=everybody,
            words=words,
            page=page,
            is_all=is_all,
            lasting=_LASTING,
            values=form.values if form else {},
            states=_invitation_states(everybody.invitations, self._desk.now()),
        )


def _address(persona: Persona) -> str:
    return f"/admin/personas/{persona.slug}/people"


def _open_circles(c: Connection, persona: Persona) -> list[str]:
    """Return the circles people can be put into by hand; the owner's is entered with an invitation."""
    return [circle.name for circle in people.circles(c, persona.id) if circle.name not in (OWNER, PUBLIC)]


def _add_circle(c: Connection, persona: Persona, name: str) -> str:
    try:
        return people.add_circle(c, persona.id, name)
    except ValueError as error:
        words = "A circle needs a name of its own, without a colon, and not “public”."
        raise FormInvalid(words, fields={"circle_name": words}) from error


def _invitable(c: Connection, persona: Persona) -> tuple[list[str], set[str]]:
    circles = [circle.name for circle in people.circles(c, persona.id)]
    return circles, {person.id for person in people.persons(c, persona.id)}


def _everybody(c: Connection, persona: Persona, words: str, page: int, *, is_all: bool) -> Everybody:
    everyone = people.persons(c, persona.id)
    named = [person for person in everyone if person.name]
    found = [person for person in (everyone if is_all else named) if fold(words) in fold(person.name)]
    first = (page - 1) * _PER_PAGE
    shown = found[first : first + _PER_PAGE]
    return Everybody(
        listed=[Listed(person=person, circles=people.circles_of(c, person.id)) for person in shown],
        has_more=len(found) > first + _PER_PAGE,
        nameless=len(everyone) - len(named),
        circles=[circle.name for circle in people.circles(c, persona.id)],
        invitations=invitations.invitations(c, persona.id)[:_PER_PAGE],
        names={person.id: person.name for person in named},
    )


def _known(c: Connection, persona: Persona, person_id: str) -> Known:
    person = people.person(c, person_id)
    if person.persona_id != persona.id:
        raise PageNotFound("This persona does not know that person.")
    talks = conversations.list_conversations(c, persona.id, limit=500)
    return Known(
        person=person,
        circles=people.circles_of(c, person_id),
        identities=people.identities_of(c, person_id),
        conversations=[talk for talk in talks if talk.conversation.person_id == person_id],
    )


def _invitation_states(found: list[Invitation], now: datetime) -> dict[str, str]:
    def state(invitation: Invitation) -> str:
        if invitation.used_at is not None:
            return "used"
        if invitation.revoked_at is not None:
            return "taken back"
        if invitation.expires_at is not None and invitation.expires_at <= now:
            return "expired"
        return "open"

    return {invitation.id: state(invitation) for invitation in found}
