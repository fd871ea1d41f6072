"""Personas are made whole, found as people write them, and leave nothing behind."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select

from knowledge import accounts, incidents, invitations, media, memories, operators, people, personas, profiles
from knowledge.database import Connection
from knowledge.errors import Conflict, NotFound
from knowledge.names import fold, slug_of
from knowledge.rows import insert, table
from knowledge.secrets import SecretBox
from knowledge.tables import (
    Conversation,
    Cursor,
    FootprintRecord,
    ImportJob,
    Inbox,
    MemoryVector,
    Message,
    Outbox,
    Turn,
    metadata,
)
from tests.knowledge.family import NOW, Family, a_family, remember


def test_a_new_persona_has_an_owner_four_circles_and_two_channels(c: Connection) -> None:
    made = personas.create_persona(c, name="Abuela Rosa", languages=["es"], at=NOW)
    owner = people.owner_person(c, made.id)
    assert (owner.name, owner.is_owner, people.circles_of(c, owner.id)) == ("Abuela Rosa", True, ["owner"])
    assert [circle.name for circle in people.circles(c, made.id)] == ["customers", "family", "friends", "owner"]
    paths = {account.channel: account.webhook_path for account in accounts.accounts(c, made.id)}
    assert paths == {"web": "/p/abuela-rosa", "terminal": "/terminal/abuela-rosa"}
    assert personas.persona(c, made.id) == made


def test_a_name_taken_twice_gets_another_address(c: Connection) -> None:
    slugs = [personas.create_persona(c, name=name, at=NOW).slug for name in ("José", "jose", "JOSÉ ", "Jose 2")]
    assert slugs == ["jose", "jose-2", "jose-3", "jose-2-2"]


def test_an_address_that_is_asked_for_and_taken_is_refused(c: Connection) -> None:
    personas.create_persona(c, name="Rosa", at=NOW)
    with pytest.raises(Conflict):
        personas.create_persona(c, name="Another", slug="rosa", at=NOW)


@pytest.mark.parametrize("name", ["Бабушка", "おばあちゃん", "جدتي", "🍞", "Ømer Łukasz", "a" * 300])
def test_every_name_gives_an_address_of_plain_letters(c: Connection, name: str) -> None:
    made = personas.create_persona(c, name=name, at=NOW)
    assert made.slug.replace("-", "").isalnum()
    assert made.slug.isascii()
    assert len(made.slug) <= 50
    assert personas.persona_by_name(c, name) == made


@given(st.text(max_size=40))
def test_folding_and_slugs_are_stable(name: str) -> None:
    assert slug_of(slug_of(name)) == slug_of(name)
    assert fold(fold(name)) == fold(name)


@pytest.mark.parametrize("name", ["abuela rosa", "ABUELA  ROSA", "Abuéla Rósa", "abuela-rosa"])
def test_a_persona_is_found_however_its_name_is_written(c: Connection, family: Family, name: str) -> None:
    found = personas.persona_by_name(c, name)
    assert found is not None
    assert found.id == family.persona.id


def test_nobody_is_found_by_an_empty_or_unknown_name(c: Connection, family: Family) -> None:
    assert personas.persona_by_name(c, " ") is None
    assert personas.persona_by_name(c, "Tía Luz") is None
    assert personas.persona_by_slug(c, "tia-luz") is None


def test_only_live_public_personas_are_shown_to_everybody(c: Connection, family: Family) -> None:
    shown = personas.create_persona(c, name="Bakery", kind="brand", visibility="public", at=NOW)
    paused = personas.create_persona(c, name="Closed", kind="brand", visibility="public", at=NOW)
    personas.update_persona(c, paused.id, state="paused", at=NOW)
    assert [found.id for found in personas.public_personas(c)] == [shown.id]


def test_a_new_address_moves_the_web_page_and_keeps_the_rest(c: Connection, family: Family) -> None:
    changed = personas.update_persona(c, family.persona.id, slug="Yaya Rosa", name="Yaya", at=NOW)
    assert (changed.slug, changed.name, changed.kind) == ("yaya-rosa", "Yaya", "memorial")
    assert accounts.account(c, family.web.id).webhook_path == "/p/yaya-rosa"


@pytest.mark.parametrize(
    "fields", [{"kind": "robot"}, {"state": "dead"}, {"visibility": "secret"}, {"timezone": "Mars/Base"}, {"id": "x"}]
)
def test_what_does_not_exist_is_refused(c: Connection, family: Family, fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        personas.update_persona(c, family.persona.id, at=NOW, **fields)
    assert personas.persona(c, family.persona.id) == family.persona


# Rows that belong to nobody's persona: who runs the server, and the form of the database.
_OF_THE_SERVER = {"operator", "operator_session", "sign_in_failure", "media"}


def test_every_table_belongs_to_a_persona_or_to_the_server(c: Connection) -> None:
    homeless = {
        found.name
        for found in metadata.sorted_tables
        if personas._of_persona(found, "p") is None and found.name not in _OF_THE_SERVER
    }
    assert homeless == set()


def test_removing_a_persona_leaves_no_row_of_it_anywhere(c: Connection) -> None:
    other = a_family(c, "Abuelo Tomás")
    _fill(c, other)
    kept = _counts(c)
    family = a_family(c)
    _fill(c, family)
    assert all(count > kept[name] for name, count in _counts(c).items() if name not in _OF_THE_SERVER)

    gone = personas.remove_persona(c, family.persona.id)

    left = _counts(c)
    feed = left.pop("memory_feed") - kept.pop("memory_feed")
    assert {name: count for name, count in left.items() if name not in _OF_THE_SERVER} == {
        name: count for name, count in kept.items() if name not in _OF_THE_SERVER
    }
    assert feed == gone["memory"]
    assert gone["persona"] == 1
    with pytest.raises(NotFound):
        personas.persona(c, family.persona.id)
    assert personas.persona(c, other.persona.id) == other.persona
    assert media.forget_unused(c) == [family.persona.id.ljust(64, "0")]


def test_the_indexes_hear_of_every_removed_memory_after_all_else(c: Connection) -> None:
    family = a_family(c)
    ids = [remember(c, family, f"Memory number {number}") for number in range(3)]
    feed = metadata.tables["memory_feed"]
    last = c.execute(select(func.max(feed.c.id))).scalar_one()
    personas.remove_persona(c, family.persona.id)
    lines = c.execute(select(feed).order_by(feed.c.id)).all()
    assert [(line.memory_id, line.is_removal) for line in lines] == [(memory_id, True) for memory_id in ids]
    assert all(line.id > last for line in lines)


def _counts(c: Connection) -> dict[str, int]:
    return {
        found.name: c.execute(select(func.count()).select_from(found)).scalar_one() for found in metadata.sorted_tables
    }


def _fill(c: Connection, family: Family) -> None:
    """Put at least one row of this persona into every table that can hold one."""
    persona_id = family.persona.id
    digest = persona_id.ljust(64, "0")
    source = memories.create_source(c, persona_id=persona_id, kind="import", name="chat", at=NOW)
    one = remember(c, family, f"Nací en un pueblo con mar, cerca de {persona_id}.", source_id=source.id)
    memories.edit_memory(c, family.owner, one, text="Nací en un pueblo de montaña, lejos del mar.", by="test", at=NOW)
    profiles.compute_profile(c, persona_id, at=NOW)
    people.set_room(c, account_id=family.web.id, chat_id="group", circle="family", at=NOW)
    invitations.invite(c, persona_id=persona_id, person_id=family.cousin.person_id, at=NOW)
    incidents.report(c, kind="crisis", summary="look", persona_id=persona_id, at=NOW)
    media.note_media(c, sha256=digest, persona_id=persona_id, at=NOW)
    media.note_platform_id(c, family.web.id, digest, "file-1")
    talk = Conversation(
        key=f"{family.web.id}|daughter||daughter",
        persona_id=persona_id,
        person_id=family.daughter.person_id,
        account_id=family.web.id,
        chat_id="daughter",
        opened_at=NOW,
    )
    insert(c, talk)
    said = {"conversation_id": talk.id, "persona_id": persona_id, "person_id": family.daughter.person_id}
    insert(c, Message(**said, direction="in", text="hola", sent_at=NOW))
    insert(c, Turn(**said, started_at=NOW, finished_at=NOW))
    insert(c, Inbox(account_id=family.web.id, event_id="1", received_at=NOW))
    outgoing = {"account_id": family.web.id, "conversation_id": talk.id, "due_at": NOW, "created_at": NOW}
    insert(c, Outbox(key=persona_id, **outgoing))
    insert(c, Cursor(account_id=family.web.id, name="offset", value="7"))
    insert(c, ImportJob(persona_id=persona_id, path="chat.zip", created_at=NOW))
    record = {"persona_id": persona_id, "source_id": source.id, "platform": "whatsapp", "activity": "message"}
    insert(c, FootprintRecord(**record, natural_key="1"))
    vector = {"model": "m", "dimensions": 1, "scale": 1.0, "digest": 0, "vector": b"1"}
    insert(c, MemoryVector(memory_id=one, persona_id=persona_id, **vector))


def test_removing_a_persona_twice_says_that_there_is_none(c: Connection, family: Family) -> None:
    personas.remove_persona(c, family.persona.id)
    with pytest.raises(NotFound):
        personas.remove_persona(c, family.persona.id)


def test_operators_and_their_sessions_outlive_every_persona(c: Connection, family: Family) -> None:
    operator = operators.create_operator(c, name="Ana", password_hash="x", at=NOW)
    _, token = operators.open_session(c, operator.id, at=NOW)
    personas.remove_persona(c, family.persona.id)
    assert operators.session(c, token, at=NOW + timedelta(days=1)) is not None


def test_an_account_with_secrets_goes_with_its_persona(c: Connection, family: Family, tmp_path: Any) -> None:
    box = SecretBox(tmp_path / "key")
    settings = {"token": "12:abc"}
    accounts.create_account(
        c, box, persona_id=family.persona.id, channel="telegram", name="bot", settings=settings, at=NOW
    )
    personas.remove_persona(c, family.persona.id)
    assert c.execute(select(func.count()).select_from(table(type(family.web)))).scalar_one() == 0
