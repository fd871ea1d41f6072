"""One-time links let exactly one in."""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta

import pytest
from sqlalchemy import select

from knowledge import invitations, people
from knowledge.database import Connection, Database
from knowledge.errors import Conflict, Forbidden, NotFound
from knowledge.rows import table
from knowledge.tables import Identity, Invitation
from tests.knowledge.family import NOW, Family, a_family


def _stranger(c: Connection, family: Family, user: str = "new", name: str = "Nico") -> Identity:
    return people.identify(c, account_id=family.terminal.id, platform_user_id=user, name=name, at=NOW).identity


def test_a_token_is_long_and_only_its_hash_is_kept(c: Connection, family: Family) -> None:
    made, token = invitations.invite(c, persona_id=family.persona.id, at=NOW)
    assert re.fullmatch(r"[A-Za-z0-9_-]{22}", token)
    stored = c.execute(select(table(Invitation))).one()
    assert token not in str(tuple(stored))
    assert made.token_hash == stored.token_hash


def test_an_invitation_puts_its_guest_into_the_circle(c: Connection, family: Family) -> None:
    guest = _stranger(c, family)
    _, token = invitations.invite(
        c, persona_id=family.persona.id, circle="family", person_name="Nicolás, el de Pilar", at=NOW
    )
    accepted = invitations.accept(c, token, identity_id=guest.id, at=NOW)
    assert accepted == invitations.Accepted(person_id=guest.person_id, circle="family", is_owner=False)
    assert people.circles_of(c, guest.person_id) == ["family"]
    human = people.person(c, guest.person_id)
    assert (human.name, human.aliases) == ("Nicolás, el de Pilar", ["Nico"])


def test_a_circle_somebody_has_already_is_not_lost(c: Connection, family: Family) -> None:
    _, token = invitations.invite(c, persona_id=family.persona.id, circle="family", at=NOW)
    invitations.accept(c, token, identity_id=family.cousin.id, at=NOW)
    assert people.circles_of(c, family.cousin.person_id) == ["family", "friends"]


def test_a_second_guest_is_refused_and_the_first_may_come_again(c: Connection, family: Family) -> None:
    guest, late = _stranger(c, family), _stranger(c, family, "late")
    _, token = invitations.invite(c, persona_id=family.persona.id, circle="family", at=NOW)
    first = invitations.accept(c, token, identity_id=guest.id, at=NOW)
    assert invitations.accept(c, token, identity_id=guest.id, at=NOW + timedelta(days=400)) == first
    with pytest.raises(NotFound, match="used already"):
        invitations.accept(c, token, identity_id=late.id, at=NOW)
    assert people.circles_of(c, late.person_id) == []


def test_accepting_again_does_not_bring_back_a_circle_that_was_taken_away(c: Connection, family: Family) -> None:
    guest = _stranger(c, family)
    _, token = invitations.invite(c, persona_id=family.persona.id, circle="family", at=NOW)
    invitations.accept(c, token, identity_id=guest.id, at=NOW)
    people.set_circles(c, guest.person_id, [])
    invitations.accept(c, token, identity_id=guest.id, at=NOW)
    assert people.circles_of(c, guest.person_id) == []


async def test_of_many_at_once_one_gets_in(database: Database) -> None:
    family = await database.write(a_family)
    guests = [await database.write(lambda c, n=n: _stranger(c, family, str(n))) for n in range(8)]  # type: ignore[misc]
    _, token = await database.write(lambda c: invitations.invite(c, persona_id=family.persona.id, at=NOW))

    async def accept(guest: Identity) -> bool:
        try:
            await database.write(lambda c: invitations.accept(c, token, identity_id=guest.id, at=NOW))
        except NotFound:
            return False
        return True

    assert sum(await asyncio.gather(*map(accept, guests))) == 1


def test_a_known_person_is_joined_by_their_second_channel(c: Connection, family: Family) -> None:
    guest = _stranger(c, family)
    _, token = invitations.invite(
        c, persona_id=family.persona.id, circle="family", person_id=family.daughter.person_id, at=NOW
    )
    accepted = invitations.accept(c, token, identity_id=guest.id, at=NOW)
    assert accepted.person_id == family.daughter.person_id
    assert people.identity(c, guest.id).person_id == family.daughter.person_id
    assert invitations.accept(c, token, identity_id=guest.id, at=NOW) == accepted


def test_the_owners_circle_makes_the_owner(c: Connection, family: Family) -> None:
    guest = _stranger(c, family)
    _, token = invitations.invite(c, persona_id=family.persona.id, circle="owner", at=NOW)
    accepted = invitations.accept(c, token, identity_id=guest.id, at=NOW)
    owner = people.owner_person(c, family.persona.id)
    assert accepted == invitations.Accepted(person_id=owner.id, circle="owner", is_owner=True)
    assert people.viewer_of(c, family.persona.id, accepted.person_id).sees_all


def test_inviting_the_owner_by_person_says_so(c: Connection, family: Family) -> None:
    owner = people.owner_person(c, family.persona.id)
    made, _ = invitations.invite(c, persona_id=family.persona.id, circle="friends", person_id=owner.id, at=NOW)
    assert made.circle == "owner"


def test_an_owner_who_tries_a_link_stays_the_owner_and_leaves_it_unused(c: Connection, family: Family) -> None:
    owner = people.owner_person(c, family.persona.id)
    mine = _stranger(c, family, "mine")
    people.attach_identity(c, mine.id, owner.id)
    _, token = invitations.invite(
        c, persona_id=family.persona.id, circle="friends", person_id=family.cousin.person_id, at=NOW
    )
    assert invitations.accept(c, token, identity_id=mine.id, at=NOW).is_owner
    assert people.identity(c, mine.id).person_id == owner.id
    assert invitations.look_up(c, token, at=NOW).used_at is None


def test_expired_revoked_and_unknown_links_say_what_to_do(c: Connection, family: Family) -> None:
    soon = NOW + timedelta(hours=1)
    _, expiring = invitations.invite(c, persona_id=family.persona.id, expires_at=soon, at=NOW)
    made, revoked = invitations.invite(c, persona_id=family.persona.id, at=NOW)
    invitations.revoke(c, made.id, at=NOW)
    assert invitations.look_up(c, expiring, at=NOW).circle == "friends"
    for token, reason in ((expiring, "expired"), (revoked, "taken back"), ("x" * 22, "not known"), ("", "not known")):
        with pytest.raises(NotFound, match=reason) as refused:
            invitations.accept(c, token, identity_id=family.cousin.id, at=soon)
        assert "sk for a new one" in str(refused.value)


def test_a_used_link_cannot_be_taken_back(c: Connection, family: Family) -> None:
    made, token = invitations.invite(c, persona_id=family.persona.id, at=NOW)
    invitations.accept(c, token, identity_id=family.cousin.id, at=NOW)
    with pytest.raises(Conflict):
        invitations.revoke(c, made.id, at=NOW)


def test_a_link_opens_only_the_persona_it_was_made_for(c: Connection, family: Family) -> None:
    other = a_family(c, "Abuelo Tomás")
    _, token = invitations.invite(c, persona_id=family.persona.id, circle="owner", at=NOW)
    with pytest.raises(NotFound):
        invitations.accept(c, token, identity_id=other.cousin.id, at=NOW)
    assert invitations.look_up(c, token, at=NOW).used_at is None


def test_an_invitation_needs_a_circle_and_a_person_that_exist(c: Connection, family: Family) -> None:
    other = a_family(c, "Abuelo Tomás")
    with pytest.raises(NotFound):
        invitations.invite(c, persona_id=family.persona.id, circle="neighbours", at=NOW)
    with pytest.raises(NotFound):
        invitations.invite(c, persona_id=family.persona.id, person_id=other.cousin.person_id, at=NOW)


def test_a_link_shown_in_a_group_opens_the_group_and_is_used_up(c: Connection, family: Family) -> None:
    owner = people.owner_person(c, family.persona.id)
    mine = _stranger(c, family, "mine")
    people.attach_identity(c, mine.id, owner.id)
    _, token = invitations.invite(c, persona_id=family.persona.id, circle="family", at=NOW)
    for _ in range(2):
        circle = invitations.accept_for_room(c, token, identity_id=mine.id, chat_id="g", at=NOW)
        assert circle == "family"
    heard = people.viewer_in_room(c, family.terminal.id, "g", family.persona.id)
    assert heard.audiences == {"public", "circle:family"}
    with pytest.raises(NotFound):
        invitations.accept(c, token, identity_id=family.cousin.id, at=NOW)
    with pytest.raises(NotFound):
        invitations.accept_for_room(c, token, identity_id=mine.id, chat_id="another", at=NOW)
    assert people.viewer_in_room(c, family.terminal.id, "another", family.persona.id).audiences == {"public"}


def test_the_owners_link_opens_no_group(c: Connection, family: Family) -> None:
    _, token = invitations.invite(c, persona_id=family.persona.id, circle="owner", at=NOW)
    with pytest.raises(Forbidden):
        invitations.accept_for_room(c, token, identity_id=family.cousin.id, chat_id="g", at=NOW)


def test_invitations_are_listed_newest_first(c: Connection, family: Family) -> None:
    ids = [
        invitations.invite(c, persona_id=family.persona.id, at=NOW + timedelta(minutes=minute))[0].id
        for minute in range(3)
    ]
    assert [found.id for found in invitations.invitations(c, family.persona.id)] == ids[::-1]
