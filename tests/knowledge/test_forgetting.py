"""Forgetting somebody: nothing of them is left, and everybody else is untouched."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Connection

from knowledge import conversations, memories, people, personas, turns
from knowledge.database import Database
from knowledge.errors import Forbidden, NotFound
from knowledge.forgetting import forget_person
from knowledge.memories import MemoryDraft
from knowledge.rows import insert, table
from knowledge.tables import Conversation, Identity, Inbox, Invitation, Outbox, Person, Persona, Turn, metadata
from knowledge.viewer import owner_viewer, person_audience
from tests.fakes import FakeClock

AT = FakeClock().now()


def _everything(c: Connection) -> str:
    return repr([c.execute(found.select()).all() for found in metadata.sorted_tables])


def _talk(c: Connection, persona: Persona, name: str, place: int) -> tuple[Person, Conversation]:
    account = next(c.execute(metadata.tables["account"].select()).mappings().__iter__())
    met = people.identify(c, account_id=account["id"], platform_user_id=f"{name}-id", name=name, at=AT)
    key = f"key-of-{name}"
    talk = conversations.open_conversation(
        c,
        key=key,
        persona_id=persona.id,
        person_id=met.person.id,
        account_id=account["id"],
        chat_id=f"{name}-chat",
        thread_id=None,
        chat_kind="private",
        title="",
        at=AT,
    )
    said: dict[str, Any] = {"inbox_id": place, "key": f"{name}-event", "text": f"{name} was here", "parts": []}
    conversations.add_inbound(
        c, talk, [{**said, "sent_at": AT, "turn_id": None, "platform_message_id": None, "quote": None}]
    )
    event: dict[str, Any] = {
        "account_id": account["id"],
        "event_id": f"event{place}",
        "conversation_key": key,
        "received_at": AT,
    }
    insert(c, Inbox(**event, payload=f"{name} was here", raw=f"{name} was here"))
    insert(
        c,
        Outbox(
            key=f"out{place}",
            account_id=account["id"],
            conversation_id=talk.id,
            payload=f"dear {name}",
            due_at=AT,
            created_at=AT,
        ),
    )
    turn = Turn(persona_id=persona.id, person_id=met.person.id, conversation_id=talk.id, started_at=AT, finished_at=AT)
    turns.keep_turn(c, turn)
    draft = MemoryDraft(
        persona_id=persona.id,
        natural_key=f"told:{place}",
        kind="told",
        text=f"{name} was here",
        audience=person_audience(met.person.id),
        speaker=name,
        speaker_id=met.person.id,
        conversation_id=talk.id,
    )
    memories.add_memories(c, [draft], at=AT)
    invitation: dict[str, Any] = {"persona_id": persona.id, "token_hash": f"hash{place}", "created_at": AT}
    insert(c, Invitation(**invitation, person_id=met.person.id, person_name=name))
    return met.person, talk


@pytest.fixture
async def met(database: Database) -> tuple[Persona, Person, Person]:
    def meet(c: Connection) -> tuple[Persona, Person, Person]:
        persona = personas.create_persona(c, name="Rosa", at=AT)
        return persona, _talk(c, persona, "Ximena", 1)[0], _talk(c, persona, "Walter", 2)[0]

    return await database.write(meet)


async def test_nothing_of_somebody_forgotten_is_left_in_any_table(
    database: Database, met: tuple[Persona, Person, Person]
) -> None:
    _, ximena, _ = met
    assert await database.write(lambda c: forget_person(c, ximena.id, by="ana", at=AT)) == 1
    left = await database.read(_everything)
    assert "Ximena" not in left
    assert ximena.id not in left
    with pytest.raises(NotFound):
        await database.read(lambda c: people.person(c, ximena.id))


async def test_everybody_else_is_untouched(database: Database, met: tuple[Persona, Person, Person]) -> None:
    persona, ximena, walter = met

    def of_walter(c: Connection) -> tuple[object, ...]:
        return (
            people.person(c, walter.id),
            people.identities_of(c, walter.id),
            [(talk.conversation, talk.last_text) for talk in conversations.list_conversations(c, persona.id)][:1],
            [one for one in memories.memories(c, owner_viewer(persona.id)) if one.speaker == "Walter"],
        )

    before = await database.read(of_walter)
    await database.write(lambda c: forget_person(c, ximena.id, by="ana", at=AT))
    after = await database.read(of_walter)
    assert repr(after[0]) == repr(before[0])
    assert repr(after[3]) == repr(before[3])
    (listed,) = await database.read(lambda c: conversations.list_conversations(c, persona.id))
    assert listed.last_text == "Walter was here"


async def test_what_was_still_to_be_answered_is_not_answered_any_more(
    database: Database, met: tuple[Persona, Person, Person]
) -> None:
    await database.write(lambda c: forget_person(c, met[1].id, by="ana", at=AT))
    rows = await database.read(lambda c: c.execute(metadata.tables["inbox"].select()).mappings().all())
    assert [(row["state"], row["payload"]) for row in rows] == [("done", ""), ("pending", "Walter was here")]


async def test_the_owner_is_not_forgotten(database: Database, met: tuple[Persona, Person, Person]) -> None:
    owner = await database.read(lambda c: people.owner_person(c, met[0].id))
    with pytest.raises(Forbidden):
        await database.write(lambda c: forget_person(c, owner.id, by="ana", at=AT))


async def test_who_comes_back_is_a_stranger(database: Database, met: tuple[Persona, Person, Person]) -> None:
    persona, ximena, _ = met
    await database.write(lambda c: forget_person(c, ximena.id, by="ana", at=AT))
    again, _ = await database.write(lambda c: _talk(c, persona, "Ximena", 3))
    assert again.id != ximena.id
    known = await database.read(lambda c: c.execute(table(Identity).select()).all())
    assert len(known) == 2
