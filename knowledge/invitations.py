"""Invitations: one-time links by which a persona's owner lets somebody in."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select, update

from knowledge.errors import Conflict, NotFound
from knowledge.people import (
    attach_identity,
    circle_of_room,
    circles,
    circles_of,
    identity,
    owner_person,
    person,
    rename,
    set_circles,
    set_room,
)
from knowledge.rows import affected, all_of, first_of, insert, table
from knowledge.tables import Identity, Invitation
from knowledge.viewer import OWNER

_invitation = table(Invitation)


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """Who somebody is once their invitation was honoured."""

    person_id: str
    circle: str
    is_owner: bool


def invite(
    c: Connection,
    *,
    persona_id: str,
    circle: str = "friends",
    person_id: str | None = None,
    person_name: str = "",
    created_by: str | None = None,
    expires_at: datetime | None = None,
    at: datetime,
) -> tuple[Invitation, str]:
    """Make a one-time invitation and return it with its token, which is shown now and never again.

    `person_id` invites somebody already known on another channel; `person_name` is what the owner calls them.

    Raises:
        NotFound: when the persona has no such circle or does not know that person.
    """
    if circle not in {found.name for found in circles(c, persona_id)}:
        raise NotFound(f"There is no circle {circle}: add it first.")
    if person_id is not None:
        known = person(c, person_id)
        if known.persona_id != persona_id:
            raise NotFound("This persona does not know that person.")
        circle = OWNER if known.is_owner else circle
    token = secrets.token_urlsafe(16)
    made = Invitation(
        persona_id=persona_id,
        token_hash=_hash(token),
        person_id=person_id,
        person_name=person_name.strip(),
        circle=circle,
        created_by=created_by,
        created_at=at,
        expires_at=expires_at,
    )
    return insert(c, made), token


def look_up(c: Connection, token: str, *, at: datetime) -> Invitation:
    """Return an invitation that can still be used.

    Raises:
        NotFound: when it is unknown, used, expired or taken back; the message says which and what to do.
    """
    found = _by_token(c, token)
    if found.used_at is not None:
        raise NotFound("This invitation has been used already. Ask for a new one.")
    if found.revoked_at is not None:
        raise NotFound("This invitation was taken back. Ask for a new one.")
    if found.expires_at is not None and found.expires_at <= at:
        raise NotFound("This invitation has expired. Ask for a new one.")
    return found


def accept(c: Connection, token: str, *, identity_id: str, at: datetime) -> Accepted:
    """Use an invitation for an identity: the person joins its circle, or the identity joins the person it names.

    The same identity may accept it again, so a repeated delivery changes nothing. An owner who tries a link made
    for somebody else stays the owner and the link stays unused.

    Raises:
        NotFound: when it cannot be used, as `look_up` says.
    """
    guest = identity(c, identity_id)
    found = _by_token(c, token)
    _check_persona(guest, found)
    if found.used_at is not None and found.used_by == identity_id:
        return _standing(c, guest, found)
    look_up(c, token, at=at)
    if person(c, guest.person_id).is_owner:
        return Accepted(person_id=guest.person_id, circle=OWNER, is_owner=True)
    _use(c, found, guest, at=at)
    _let_in(c, guest, found)
    return _standing(c, identity(c, identity_id), found)


def accept_for_room(c: Connection, token: str, *, identity_id: str, chat_id: str, at: datetime) -> str:
    """Use an invitation for the group chat in which an identity shows it; return the circle the group may now hear.

    Everybody in the group has seen the token, so it is used up whoever shows it, and nobody's own circles change.
    Shown again where it was used, it changes nothing; it opens no second room.

    Raises:
        NotFound: when it cannot be used, as `look_up` says.
        Forbidden: for the owner's circle.
    """
    guest = identity(c, identity_id)
    found = _by_token(c, token)
    _check_persona(guest, found)
    heard = circle_of_room(c, guest.account_id, chat_id)
    if found.used_at is not None and found.used_by == identity_id and heard == found.circle:
        return found.circle
    _use(c, look_up(c, token, at=at), guest, at=at)
    set_room(c, account_id=guest.account_id, chat_id=chat_id, circle=found.circle, at=at)
    return found.circle


def revoke(c: Connection, invitation_id: str, *, at: datetime) -> Invitation:
    """Take an unused invitation back and return it.

    Raises:
        NotFound: when there is none with this id.
        Conflict: when it has been used.
    """
    found = _by_id(c, invitation_id)
    if found.used_at is not None:
        raise Conflict("This invitation has been used: take the person out of the circle instead.")
    c.execute(update(_invitation).where(_invitation.c.id == invitation_id).values(revoked_at=found.revoked_at or at))
    return _by_id(c, invitation_id)


def invitations(c: Connection, persona_id: str) -> list[Invitation]:
    """Return the invitations of a persona, newest first."""
    mine = select(_invitation).where(_invitation.c.persona_id == persona_id)
    return all_of(c, Invitation, mine.order_by(_invitation.c.created_at.desc(), _invitation.c.id.desc()))


def _check_persona(guest: Identity, found: Invitation) -> None:
    if found.persona_id != guest.persona_id:
        raise NotFound("This invitation is for somebody else's Memora. Open it where it was made for.")


def _use(c: Connection, found: Invitation, guest: Identity, *, at: datetime) -> None:
    free = (_invitation.c.id == found.id, _invitation.c.used_at.is_(None), _invitation.c.revoked_at.is_(None))
    if not affected(c.execute(update(_invitation).where(*free).values(used_at=at, used_by=guest.id))):
        raise NotFound("This invitation has been used already. Ask for a new one.")


def _let_in(c: Connection, guest: Identity, found: Invitation) -> None:
    if found.circle == OWNER:
        attach_identity(c, guest.id, owner_person(c, found.persona_id).id)
        return
    human = person(c, guest.person_id)
    if found.person_id is not None:
        human = attach_identity(c, guest.id, found.person_id)
    elif found.person_name:
        human = rename(c, human.id, found.person_name)
    if not human.is_owner:
        set_circles(c, human.id, {*circles_of(c, human.id), found.circle})


def _standing(c: Connection, guest: Identity, found: Invitation) -> Accepted:
    human = person(c, guest.person_id)
    return Accepted(person_id=human.id, circle=OWNER if human.is_owner else found.circle, is_owner=human.is_owner)


def _by_token(c: Connection, token: str) -> Invitation:
    found = first_of(c, Invitation, select(_invitation).where(_invitation.c.token_hash == _hash(token)))
    if found is None:
        raise NotFound("This invitation is not known. Check that the link is whole, or ask for a new one.")
    return found


def _by_id(c: Connection, invitation_id: str) -> Invitation:
    found = first_of(c, Invitation, select(_invitation).where(_invitation.c.id == invitation_id))
    if found is None:
        raise NotFound("There is no such invitation.")
    return found


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
