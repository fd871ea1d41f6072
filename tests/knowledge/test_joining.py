"""Two channels that turn out to be one human share what was said on each."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select

from knowledge import memories, people
from knowledge.database import Connection
from knowledge.errors import NotFound
from knowledge.rows import insert, table
from knowledge.tables import Conversation, Identity, MemoryFeed, Message, Turn
from knowledge.viewer import person_audience
from tests.knowledge.family import NOW, Family, a_family, remember


def test_what_was_told_on_one_channel_is_remembered_on_the_other(c: Connection, family: Family) -> None:
    stranger = _on_terminal(c, family, "t-1")
    told = _tells(c, family, stranger, "I am getting married in June")
    assert memories.memories(c, family.viewer(c, family.daughter)) == []
    feed = c.execute(select(func.count()).select_from(table(MemoryFeed))).scalar_one()

    joined = people.attach_identity(c, stranger.id, family.daughter.person_id)

    assert joined.id == family.daughter.person_id
    seen = memories.memories(c, family.viewer(c, family.daughter))
    assert [(found.id, found.speaker_id, found.audience) for found in seen] == [
        (told, joined.id, person_audience(joined.id))
    ]
    assert [found.id for found in people.identities_of(c, joined.id)] == [family.daughter.id, stranger.id]
    assert c.execute(select(func.count()).select_from(table(MemoryFeed))).scalar_one() == feed + 1
    for model in (Conversation, Message, Turn):
        assert set(c.execute(select(table(model).c.person_id)).scalars()) == {joined.id}


def test_the_empty_person_disappears_with_name_and_circles_kept(c: Connection, family: Family) -> None:
    stranger = _on_terminal(c, family, "t-1", name="Martita")
    people.set_circles(c, stranger.person_id, ["customers"])
    people.attach_identity(c, stranger.id, family.daughter.person_id)
    with pytest.raises(NotFound):
        people.person(c, stranger.person_id)
    assert people.circles_of(c, family.daughter.person_id) == ["customers", "family"]
    assert people.person(c, family.daughter.person_id).aliases == ["Martita"]


def test_one_of_several_identities_takes_only_its_own_talks_along(c: Connection, family: Family) -> None:
    phone = _on_terminal(c, family, "phone")
    tablet = _on_terminal(c, family, "tablet")
    people.attach_identity(c, tablet.id, phone.person_id)
    shared = people.person(c, phone.person_id)
    on_phone = _tells(c, family, phone, "My knee hurts when it rains")
    on_tablet = _tells(c, family, people.identity(c, tablet.id), "The tablet was a gift from Marta")

    people.attach_identity(c, tablet.id, family.daughter.person_id)

    assert [found.id for found in memories.memories(c, family.viewer(c, family.daughter))] == [on_tablet]
    assert [found.id for found in memories.memories(c, people.viewer_of(c, family.persona.id, shared.id))] == [on_phone]


def test_the_owner_never_disappears(c: Connection, family: Family) -> None:
    owner = people.owner_person(c, family.persona.id)
    mine = _on_terminal(c, family, "t-1")
    people.attach_identity(c, mine.id, owner.id)
    people.attach_identity(c, mine.id, family.cousin.person_id)
    assert people.owner_person(c, family.persona.id).id == owner.id
    assert people.circles_of(c, family.cousin.person_id) == ["friends"]


def test_attaching_where_it_is_already_changes_nothing(c: Connection, family: Family) -> None:
    before = people.person(c, family.daughter.person_id)
    assert people.attach_identity(c, family.daughter.id, before.id) == before


def test_nobody_is_joined_across_personas(c: Connection, family: Family) -> None:
    other = a_family(c, "Abuelo Tomás")
    with pytest.raises(NotFound):
        people.attach_identity(c, family.cousin.id, other.daughter.person_id)


def _on_terminal(c: Connection, family: Family, user: str, name: str = "") -> Identity:
    return people.identify(c, account_id=family.terminal.id, platform_user_id=user, name=name, at=NOW).identity


def _tells(c: Connection, family: Family, identity: Identity, text: str) -> int:
    talk = Conversation(
        key=f"{identity.account_id}|room||{identity.platform_user_id}",
        persona_id=family.persona.id,
        person_id=identity.person_id,
        account_id=identity.account_id,
        chat_id="room",
        opened_at=NOW,
    )
    insert(c, talk)
    said = {"conversation_id": talk.id, "persona_id": family.persona.id, "person_id": identity.person_id}
    insert(c, Message(**said, direction="in", text=text, sent_at=NOW))
    insert(c, Turn(**said, started_at=NOW, finished_at=NOW))
    return remember(
        c,
        family,
        text,
        kind="told",
        is_own=False,
        audience=person_audience(identity.person_id),
        speaker_id=identity.person_id,
        conversation_id=talk.id,
    )
