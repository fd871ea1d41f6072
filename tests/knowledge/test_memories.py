"""Memories are kept once, shown to whom they are for, corrected and taken back everywhere."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update

from knowledge import memories, people, profiles
from knowledge.database import Connection
from knowledge.errors import Forbidden, NotFound
from knowledge.memories import MemoryDraft
from knowledge.rows import insert, table
from knowledge.tables import FootprintRecord, Memory, MemoryFeed, MemoryRevision, MemoryVector
from knowledge.viewer import person_audience, public_viewer
from tests.knowledge.family import NOW, Family, a_family, key_of, remember

SECRET = "My savings book is under the third tile in the kitchen."


def _feed(c: Connection) -> list[tuple[int, bool]]:
    feed = table(MemoryFeed)
    rows = c.execute(select(feed.c.memory_id, feed.c.is_removal).order_by(feed.c.id)).all()
    c.execute(feed.delete())
    return [(row.memory_id, row.is_removal) for row in rows]


def test_what_is_learnt_twice_is_kept_once(c: Connection, family: Family) -> None:
    draft = MemoryDraft(persona_id=family.persona.id, natural_key="1", kind="said", text="Bread needs time.")
    other = MemoryDraft(persona_id=family.persona.id, natural_key="2", kind="said", text="So do people.")
    first = memories.add_memories(c, [draft, draft], at=NOW)
    second = memories.add_memories(c, [draft, other], at=NOW)
    assert (len(first), len(second)) == (1, 1)
    assert _feed(c) == [(first[0], False), (second[0], False)]
    assert memories.add_memories(c, [], at=NOW) == []


def test_the_same_thing_may_be_learnt_by_two_personas(c: Connection, family: Family) -> None:
    other = a_family(c, "Abuelo Tomás")
    assert remember(c, family, "Bread needs time.") != remember(c, other, "Bread needs time.")


def test_a_memory_comes_back_as_it_was_given(c: Connection, family: Family) -> None:
    source = memories.create_source(c, persona_id=family.persona.id, kind="import", name="chat", at=NOW)
    given: dict[str, Any] = {
        "context": "What did you do?",
        "language": "en",
        "speaker": "Rosa",
        "session": "s",
        "place": 3,
        "happened_at": datetime(1999, 5, 1, tzinfo=UTC),
        "importance": 0.8,
        "source_id": source.id,
        "evidence": (1, 2),
        "mentions": ("Marta",),
    }
    kept = memories.memory(c, family.owner, remember(c, family, "I baked.", **given))
    shown = kept.model_dump()
    assert {name: shown[name] for name in given} == {**given, "evidence": [1, 2], "mentions": ["Marta"]}
    assert kept.recorded_at == NOW


def test_thousands_are_kept_in_one_go(c: Connection, family: Family) -> None:
    drafts = [
        MemoryDraft(persona_id=family.persona.id, natural_key=str(n), kind="said", text=f"Memory {n}")
        for n in range(2345)
    ]
    assert len(set(memories.add_memories(c, drafts, at=NOW))) == 2345
    assert memories.count_memories(c, family.owner) == len(_feed(c)) == 2345


# ------------------------------------------------------------------------------------------ viewers

_READS: dict[str, Callable[[Connection, Any, int], object]] = {
    "memories": lambda c, viewer, _: memories.memories(c, viewer),
    "memories by words": lambda c, viewer, _: memories.memories(c, viewer, words="savings"),
    "memories by audience": lambda c, viewer, _: memories.memories(c, viewer, audience="owner"),
    "memories by kind": lambda c, viewer, _: memories.memories(c, viewer, kind="said"),
    "memories_by_id": lambda c, viewer, id_: memories.memories_by_id(c, viewer, [id_]),
    "count_memories": lambda c, viewer, _: memories.count_memories(c, viewer),
    "current_profile": lambda c, viewer, _: profiles.current_profile(c, viewer),
    "profile_versions": lambda c, viewer, _: profiles.profile_versions(c, viewer),
}
_REFUSED: dict[str, Callable[[Connection, Any, int], object]] = {
    "memory": lambda c, viewer, id_: memories.memory(c, viewer, id_),
    "edit_memory": lambda c, viewer, id_: memories.edit_memory(c, viewer, id_, audience="public", by="x", at=NOW),
    "remove_memory": lambda c, viewer, id_: memories.remove_memory(c, viewer, id_, by="x", at=NOW),
    "revisions": lambda c, viewer, id_: memories.revisions(c, viewer, id_),
}


@pytest.mark.parametrize("read", _READS)
def test_a_cousin_cannot_learn_what_is_for_the_owner(c: Connection, family: Family, read: str) -> None:
    secret = remember(c, family, SECRET)
    profiles.compute_profile(c, family.persona.id, at=NOW)
    assert _READS[read](c, family.owner, secret)
    assert not _READS[read](c, family.viewer(c, family.cousin), secret)


@pytest.mark.parametrize("change", _REFUSED)
def test_a_cousin_cannot_touch_what_is_for_the_owner(c: Connection, family: Family, change: str) -> None:
    secret = remember(c, family, SECRET)
    with pytest.raises(NotFound):
        _REFUSED[change](c, family.viewer(c, family.cousin), secret)
    assert memories.memory(c, family.owner, secret).audience == "owner"


@pytest.mark.parametrize("change", [name for name in _REFUSED if name != "memory"])
def test_a_daughter_may_read_what_is_for_the_family_and_not_change_it(
    c: Connection, family: Family, change: str
) -> None:
    recipe = remember(c, family, "The secret is lard.", audience="circle:family")
    daughter = family.viewer(c, family.daughter)
    assert memories.memory(c, daughter, recipe).text == "The secret is lard."
    with pytest.raises(Forbidden):
        _REFUSED[change](c, daughter, recipe)


def test_everyone_sees_their_own_circles_and_themselves(c: Connection, family: Family) -> None:
    ids = {
        audience: remember(c, family, f"This is for {audience}.", audience=audience)
        for audience in (
            "public",
            "owner",
            "circle:family",
            "circle:friends",
            person_audience(family.daughter.person_id),
            person_audience(family.cousin.person_id),
        )
    }

    def seen(viewer: Any) -> set[int | None]:
        assert memories.count_memories(c, viewer) == len(memories.memories(c, viewer))
        return {found.id for found in memories.memories(c, viewer)}

    hers = {"public", "circle:family", person_audience(family.daughter.person_id)}
    his = {"public", "circle:friends", person_audience(family.cousin.person_id)}
    assert seen(family.viewer(c, family.daughter)) == {ids[audience] for audience in hers}
    assert seen(family.viewer(c, family.cousin)) == {ids[audience] for audience in his}
    assert seen(public_viewer(family.persona.id)) == {ids["public"]}
    assert seen(family.owner) == set(ids.values())


def test_what_others_had_said_before_it_is_not_shown_with_a_public_memory(c: Connection, family: Family) -> None:
    found = remember(c, family, "Yes, of course.", audience="public", context="Marta: shall I sell the flat?")
    stranger = public_viewer(family.persona.id)
    assert memories.memory(c, family.owner, found).context
    assert memories.memory(c, stranger, found).context == ""
    assert [each.context for each in memories.memories(c, stranger)] == [""]
    assert [each.context for each in memories.memories_by_id(c, stranger, [found])] == [""]


def test_the_owner_of_one_persona_sees_nothing_of_another(c: Connection, family: Family) -> None:
    other = a_family(c, "Abuelo Tomás")
    found = remember(c, family, "Bread needs time.", audience="public")
    assert memories.memories(c, other.owner) == []
    assert memories.memories_by_id(c, other.owner, [found]) == []
    with pytest.raises(NotFound):
        memories.remove_memory(c, other.owner, found, by="x", at=NOW)


# ------------------------------------------------------------------------------------------ listing


def test_the_list_is_read_page_by_page_newest_first(c: Connection, family: Family) -> None:
    ids = [remember(c, family, f"Memory {number}") for number in range(7)]
    first = memories.memories(c, family.owner, limit=3)
    rest = memories.memories(c, family.owner, before_id=first[-1].id, limit=10)
    assert [found.id for found in [*first, *rest]] == ids[::-1]


def test_the_list_is_narrowed_by_words_kind_audience_and_source(c: Connection, family: Family) -> None:
    source = memories.create_source(c, persona_id=family.persona.id, kind="upload", name="letters", at=NOW)
    one = remember(c, family, "Época de lluvias: 100 % agua", kind="document", audience="public", source_id=source.id)
    two = remember(c, family, "Bread and rain", speaker="Rosa")

    def found(**asked: Any) -> list[int | None]:
        return [each.id for each in memories.memories(c, family.owner, **asked)]

    assert found(words="época") == found(words="ÉPOCA lluvias") == found(words="%") == [one]
    assert found(words="rosa rain") == [two]
    assert found(words="época rain") == found(words="_") == []
    assert found(kind="document") == found(audience="public") == found(source_id=source.id) == [one]


def test_memories_by_id_keep_the_order_asked_for(c: Connection, family: Family) -> None:
    one, two = remember(c, family, "one"), remember(c, family, "two")
    assert [found.id for found in memories.memories_by_id(c, family.owner, [two, 999, one, two])] == [two, one]


# ------------------------------------------------------------------------------------------ changes


def test_a_correction_keeps_what_it_was(c: Connection, family: Family) -> None:
    found = remember(c, family, "I was born in 1938.", happened_at=NOW)
    _feed(c)
    edited = memories.edit_memory(
        c, family.owner, found, text="I was born in 1936.", audience="circle:family", by="ana", at=NOW
    )
    assert (edited.text, edited.audience, edited.happened_at) == ("I was born in 1936.", "circle:family", NOW)
    assert edited.edited_by == "ana"
    memories.edit_memory(c, family.owner, found, happened_at=None, by="eva", at=NOW + timedelta(days=1))
    history = memories.revisions(c, family.owner, found)
    assert [(was.text, was.audience, was.happened_at, was.replaced_by) for was in history] == [
        ("I was born in 1936.", "circle:family", NOW, "eva"),
        ("I was born in 1938.", "owner", NOW, "ana"),
    ]
    assert _feed(c) == [(found, False), (found, False)]


def test_an_edit_that_changes_nothing_leaves_no_trace(c: Connection, family: Family) -> None:
    found = remember(c, family, "Bread needs time.")
    _feed(c)
    same = memories.edit_memory(
        c, family.owner, found, text="Bread needs time.", audience="owner", happened_at=None, by="ana", at=NOW
    )
    assert same.edited_by is None
    assert memories.revisions(c, family.owner, found) == []
    assert _feed(c) == []


@pytest.mark.parametrize("audience", ["circle:neighbours", "person:none", "everybody", "", "circle:"])
def test_an_audience_that_does_not_exist_is_refused(c: Connection, family: Family, audience: str) -> None:
    found = remember(c, family, "Bread needs time.")
    with pytest.raises(NotFound):
        memories.edit_memory(c, family.owner, found, audience=audience, by="ana", at=NOW)
    with pytest.raises(NotFound):
        memories.create_source(c, persona_id=family.persona.id, kind="import", name="x", audience=audience, at=NOW)


def test_a_person_of_another_persona_is_no_audience(c: Connection, family: Family) -> None:
    other = a_family(c, "Abuelo Tomás")
    with pytest.raises(NotFound):
        memories.check_audience(c, family.persona.id, person_audience(other.cousin.person_id))
    memories.check_audience(c, family.persona.id, person_audience(family.cousin.person_id))


def test_removed_words_are_nowhere_any_more(c: Connection, family: Family) -> None:
    source = memories.create_source(c, persona_id=family.persona.id, kind="import", name="chat", at=NOW)
    row = {"persona_id": family.persona.id, "source_id": source.id, "platform": "whatsapp", "activity": "message"}
    record = insert(c, FootprintRecord(**row, natural_key="r", text=SECRET, raw={"body": SECRET}))
    private = "I was born in the house with the blue door, and my savings are under its floor."
    found = remember(c, family, private, session="s", place=1, speaker="Rosa", record_id=record.id, source_id=source.id)
    remember(c, family, "Do not tell anybody.", session="s", place=2, context=f"Marta: hm\nRosa: {private}")
    vector = {"model": "m", "dimensions": 1, "scale": 1.0, "digest": 0, "vector": b"1"}
    insert(c, MemoryVector(memory_id=found, persona_id=family.persona.id, **vector))
    profiles.compute_profile(c, family.persona.id, at=NOW)
    memories.edit_memory(c, family.owner, found, text=private + " Really.", by="ana", at=NOW)
    profiles.compute_profile(c, family.persona.id, at=NOW + timedelta(minutes=1))
    assert "blue door" in _everything(c)
    _feed(c)

    memories.remove_memory(c, family.owner, found, by="ana", at=NOW)

    assert "blue door" not in _everything(c)
    assert "third tile" not in _everything(c)
    with pytest.raises(NotFound):
        memories.memory(c, family.owner, found)
    assert (found, True) in _feed(c)
    with pytest.raises(NotFound):
        memories.remove_memory(c, family.owner, found, by="ana", at=NOW)


def _everything(c: Connection) -> str:
    return "\n".join(str(tuple(row)) for each in Memory.metadata.sorted_tables for row in c.execute(select(each)))


def test_what_was_removed_is_not_learnt_again(c: Connection, family: Family) -> None:
    found = remember(c, family, "Bread needs time.")
    memories.remove_memory(c, family.owner, found, by="ana", at=NOW)
    draft = MemoryDraft(
        persona_id=family.persona.id, natural_key=key_of("Bread needs time."), kind="said", text="Bread needs time."
    )
    assert memories.add_memories(c, [draft], at=NOW) == []
    assert memories.count_memories(c, family.owner) == 0


def test_an_undone_import_can_be_imported_again(c: Connection, family: Family) -> None:
    source = memories.create_source(c, persona_id=family.persona.id, kind="import", name="chat", at=NOW)
    kept = remember(c, family, "From somewhere else.")
    ids = [remember(c, family, f"Memory {number}", source_id=source.id) for number in range(3)]
    memories.edit_memory(c, family.owner, ids[0], text="Changed", by="ana", at=NOW)
    memories.remove_memory(c, family.owner, ids[2], by="ana", at=NOW)
    row = {"persona_id": family.persona.id, "source_id": source.id, "platform": "whatsapp", "activity": "message"}
    insert(c, FootprintRecord(**row, natural_key="r"))
    _feed(c)

    assert memories.remove_by_source(c, source.id, NOW) == 2

    assert [found.id for found in memories.memories(c, family.owner)] == [kept]
    assert sorted(_feed(c)) == [(ids[0], True), (ids[1], True)]
    assert memories.source(c, source.id).undone_at == NOW
    for model in (FootprintRecord, MemoryRevision):
        assert c.execute(select(func.count()).select_from(table(model))).scalar_one() == 0
    again = [
        MemoryDraft(persona_id=family.persona.id, natural_key=key_of(f"Memory {number}"), kind="said", text="again")
        for number in range(3)
    ]
    new = memories.add_memories(c, again, at=NOW)
    assert len(new) == 2, "what was removed by hand stays away"
    assert not set(new).intersection(ids), "a number is never given twice"
    assert memories.remove_by_source(c, "none", NOW) == 0


def test_a_message_taken_back_takes_its_memory_along(c: Connection, family: Family) -> None:
    mine = person_audience(family.cousin.person_id)
    told = remember(c, family, "I lost my job last week.", kind="told", is_own=False, audience=mine, message_id=41)
    other = remember(c, family, "I found another one.", kind="told", is_own=False, audience=mine, message_id=42)
    assert memories.forget_message(c, 41, NOW) == 1
    assert memories.forget_message(c, 41, NOW) == 0
    assert [found.id for found in memories.memories(c, family.viewer(c, family.cousin))] == [other]
    gone = c.execute(select(table(Memory)).where(table(Memory).c.id == told)).one()
    assert (gone.text, gone.deleted_at) == ("", NOW)


def test_an_edited_message_is_remembered_as_it_now_stands(c: Connection, family: Family) -> None:
    told = remember(c, family, "I live in Vigo.", kind="told", is_own=False, message_id=41)
    _feed(c)
    assert memories.retell_message(c, 41, "I live in Lugo.") == 1
    assert memories.retell_message(c, 41, "I live in Lugo.") == 0
    assert memories.memory(c, family.owner, told).text == "I live in Lugo."
    assert _feed(c) == [(told, False)]


def test_sources_are_listed_newest_first(c: Connection, family: Family) -> None:
    ids = [
        memories.create_source(
            c, persona_id=family.persona.id, kind="import", name=str(n), at=NOW + timedelta(minutes=n)
        ).id
        for n in range(3)
    ]
    assert [found.id for found in memories.sources(c, family.persona.id)] == ids[::-1]
    with pytest.raises(NotFound):
        memories.source(c, "none")


def test_leaving_a_circle_closes_its_memories(c: Connection, family: Family) -> None:
    remember(c, family, "The secret is lard.", audience="circle:family")
    people.set_circles(c, family.daughter.person_id, [])
    assert memories.memories(c, family.viewer(c, family.daughter)) == []
    c.execute(update(table(Memory)).values(audience="public"))
    assert len(memories.memories(c, family.viewer(c, family.daughter))) == 1
