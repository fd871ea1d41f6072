"""Profiles are made for an audience out of what it may see, and keep their versions."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from knowledge import memories, profiles
from knowledge.database import Connection
from knowledge.errors import Forbidden, NotFound
from knowledge.memories import MemoryDraft
from knowledge.rows import table
from knowledge.tables import Profile
from knowledge.viewer import person_audience, public_viewer
from tests.knowledge.family import NOW, Family, remember

BORN = "I was born in Leeds, above my father's bakery on the hill."
FAMILY = "My sister and I have not spoken since the summer of 1984."
OWNERS = "I worked for the other bakery under another name for years."


def _life(c: Connection, family: Family) -> dict[str, int]:
    return {
        "public": remember(c, family, BORN, audience="public"),
        "circle:family": remember(c, family, FAMILY, audience="circle:family"),
        "owner": remember(c, family, OWNERS),
    }


def test_everyone_gets_the_profile_of_what_they_may_see(c: Connection, family: Family) -> None:
    ids = _life(c, family)
    made = profiles.compute_profile(c, family.persona.id, at=NOW)
    assert {profile.audience: set(profile.cited) for profile in made} == {
        "public": {ids["public"]},
        "circle:family": {ids["public"], ids["circle:family"]},
        "owner": set(ids.values()),
    }

    def description(viewer: Any) -> str:
        found = profiles.current_profile(c, viewer)
        assert found is not None
        return found.description

    assert description(public_viewer(family.persona.id)) == BORN
    assert description(family.viewer(c, family.cousin)) == BORN
    hers = description(family.viewer(c, family.daughter))
    assert BORN in hers
    assert FAMILY in hers
    assert OWNERS not in hers
    assert OWNERS in description(family.owner)


def test_every_profile_may_be_seen_by_whoever_may_see_all_it_cites(c: Connection, family: Family) -> None:
    _life(c, family)
    for profile in profiles.compute_profile(c, family.persona.id, at=NOW):
        for viewer in (public_viewer(family.persona.id), family.viewer(c, family.daughter), family.owner):
            if viewer.may_see(profile.audience):
                cited = memories.memories_by_id(c, viewer, profile.cited)
                assert len(cited) == len(profile.cited)
                assert all(viewer.may_see(found.audience) for found in cited)


def test_what_was_said_to_one_person_makes_no_profile_of_its_own(c: Connection, family: Family) -> None:
    mine = person_audience(family.daughter.person_id)
    remember(c, family, "I was born in Leeds and I never told your father.", audience=mine)
    made = profiles.compute_profile(c, family.persona.id, at=NOW)
    assert [profile.audience for profile in made] == ["owner"]
    assert profiles.current_profile(c, family.viewer(c, family.daughter)) is None


def test_what_the_machine_answered_is_not_who_the_persona_is(c: Connection, family: Family) -> None:
    remember(c, family, BORN, kind="replied", audience="public")
    remember(c, family, "I was born in York, my mother says it was snowing.", is_own=False, audience="public")
    assert profiles.compute_profile(c, family.persona.id, at=NOW) == []


def test_computing_again_makes_a_version_only_when_something_changed(c: Connection, family: Family) -> None:
    _life(c, family)
    profiles.compute_profile(c, family.persona.id, at=NOW)
    assert profiles.compute_profile(c, family.persona.id, at=NOW + timedelta(days=1)) == []
    remember(c, family, "I love the smell of bread before the sun is up.", audience="public")
    made = profiles.compute_profile(c, family.persona.id, at=NOW + timedelta(days=2))
    assert {(profile.audience, profile.version) for profile in made} == {
        ("public", 2),
        ("circle:family", 2),
        ("owner", 2),
    }
    current = profiles.current_profile(c, public_viewer(family.persona.id))
    assert current is not None
    assert current.version == 2
    assert "smell of bread" in current.biography


def test_what_a_human_wrote_stays_and_only_the_style_moves_on(c: Connection, family: Family) -> None:
    _life(c, family)
    profiles.compute_profile(c, family.persona.id, at=NOW)
    profiles.save_profile(
        c, persona_id=family.persona.id, biography="I am Rosa.", audience="public", made_by="ana", at=NOW
    )
    remember(c, family, "I love the smell of bread before the sun is up.", audience="public")
    profiles.compute_profile(c, family.persona.id, at=NOW)
    current = profiles.current_profile(c, public_viewer(family.persona.id))
    assert current is not None
    assert (current.biography, current.made_by, current.style["messages"]) == ("I am Rosa.", "ana", 2)


def test_what_is_taken_back_is_in_no_version_any_more(c: Connection, family: Family) -> None:
    ids = _life(c, family)
    profiles.compute_profile(c, family.persona.id, at=NOW)
    remember(c, family, "I love the smell of bread before the sun is up.", audience="public")
    profiles.compute_profile(c, family.persona.id, at=NOW)
    memories.remove_memory(c, family.owner, ids["public"], by="ana", at=NOW)
    stored = c.execute(select(table(Profile))).all()
    assert not any("Leeds" in row.biography + row.description or ids["public"] in row.cited for row in stored)
    profiles.compute_profile(c, family.persona.id, at=NOW)
    current = profiles.current_profile(c, public_viewer(family.persona.id))
    assert current is not None
    assert current.biography == "I love the smell of bread before the sun is up."


def test_a_memory_made_private_leaves_the_public_profile(c: Connection, family: Family) -> None:
    ids = _life(c, family)
    profiles.compute_profile(c, family.persona.id, at=NOW)
    memories.edit_memory(c, family.owner, ids["public"], audience="owner", by="ana", at=NOW)
    seen = profiles.profile_versions(c, public_viewer(family.persona.id))
    assert not any("Leeds" in profile.biography + profile.description for profile in seen)
    profiles.compute_profile(c, family.persona.id, at=NOW)
    current = profiles.current_profile(c, public_viewer(family.persona.id))
    assert current is not None
    assert (current.biography, current.style["messages"]) == ("", 0)


def test_a_draft_that_quotes_what_was_taken_back_meanwhile_is_made_anew(c: Connection, family: Family) -> None:
    ids = _life(c, family)
    drafts = profiles.draft_profiles(c, family.persona.id)
    memories.edit_memory(c, family.owner, ids["circle:family"], audience="owner", by="ana", at=NOW)
    memories.remove_memory(c, family.owner, ids["public"], by="ana", at=NOW)
    profiles.keep_drafts(c, drafts, at=NOW)
    stored = c.execute(select(table(Profile))).all()
    assert not any("Leeds" in row.description for row in stored)
    assert [row.audience for row in stored if "1984" in row.description] == ["owner"]


def test_an_old_version_can_be_restored_by_the_owner_alone(c: Connection, family: Family) -> None:
    for number in range(3):
        profiles.save_profile(
            c,
            persona_id=family.persona.id,
            biography=f"Version {number}",
            audience="public",
            made_by="ana",
            at=NOW + timedelta(minutes=number),
        )
    versions = profiles.profile_versions(c, family.owner, audience="public")
    assert [(profile.version, profile.is_current) for profile in versions] == [(3, True), (2, False), (1, False)]
    with pytest.raises(Forbidden):
        profiles.restore_profile(c, family.viewer(c, family.cousin), versions[2].id, by="bruno", at=NOW)
    restored = profiles.restore_profile(c, family.owner, versions[2].id, by="eva", at=NOW)
    assert (restored.version, restored.biography, restored.made_by, restored.is_current) == (
        4,
        "Version 0",
        "eva",
        True,
    )
    assert len([row for row in profiles.profile_versions(c, family.owner) if row.is_current]) == 1
    with pytest.raises(NotFound):
        profiles.restore_profile(c, family.owner, "none", by="eva", at=NOW)


def test_ten_thousand_messages_take_about_a_second(c: Connection, family: Family) -> None:
    words = ("bread", "flour", "oven", "morning", "rain", "street", "letter", "garden", "river", "summer", "sun", "cat")
    drafts = [
        MemoryDraft(
            persona_id=family.persona.id,
            natural_key=str(number),
            kind="said",
            text=" ".join(words[(number * step) % 12] for step in range(1, 13)) + f" {number}",
            language="en",
            is_own=True,
            session=str(number // 50),
            happened_at=NOW + timedelta(minutes=number),
        )
        for number in range(10_000)
    ]
    memories.add_memories(c, drafts, at=NOW)
    before = time.process_time()
    profiles.compute_profile(c, family.persona.id, at=NOW)
    # Twice the budget, for a busy machine.
    assert time.process_time() - before < 3
