"""The sample personas: made once by the real importers, public, in three languages, and never brought back."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from bot.samples import create_samples, samples
from knowledge import importing, memories, personas
from knowledge.database import Database
from knowledge.errors import StoreUnavailable
from knowledge.importing import ImportRunner
from knowledge.live import InProcessLive
from knowledge.tables import ImportJob
from knowledge.viewer import OWNER, owner_viewer, public_viewer
from tests.fakes import FakeClock


@pytest.fixture
def imports(database: Database, clock: FakeClock, tmp_path: Path) -> ImportRunner:
    return ImportRunner(database, tmp_path, clock=clock, live=InProcessLive())


async def test_both_samples_are_made_and_speak_three_languages(
    database: Database, imports: ImportRunner, clock: FakeClock, tmp_path: Path
) -> None:
    assert await create_samples(database, imports, folder=tmp_path, clock=clock) == ["avelina-souto", "tres-lunas"]
    made = await database.read(personas.personas)
    assert [(one.slug, one.kind, one.visibility, one.is_sample) for one in made] == [
        ("avelina-souto", "fictional", "public", True),
        ("tres-lunas", "brand", "public", True),
    ]
    for persona in made:
        listed = await database.read(lambda c, persona=persona: importing.jobs(c, persona.id))
        assert [(job.state, job.report["counts"]["failed"]) for job in listed] == [("done", 0)] * 2
        stranger = public_viewer(persona.id)
        found = await database.read(lambda c, stranger=stranger: memories.memories(c, stranger, limit=1000))
        languages = Counter(memory.language for memory in found)
        assert min(languages[language] for language in ("en", "es", "pt")) >= 15
        assert languages[""] <= len(found) // 50
        assert all(memory.is_own for memory in found)


async def test_what_others_wrote_to_a_sample_is_the_owners(
    database: Database, imports: ImportRunner, clock: FakeClock, tmp_path: Path
) -> None:
    await create_samples(database, imports, folder=tmp_path, clock=clock, only=frozenset({"tres-lunas"}))
    (bakery,) = await database.read(personas.personas)
    found = await database.read(lambda c: memories.memories(c, owner_viewer(bakery.id), limit=1000))
    heard = [memory for memory in found if not memory.is_own]
    assert heard
    assert {memory.audience for memory in heard} == {OWNER}
    assert {memory.speaker for memory in found if memory.is_own} == {"Tres Lunas Bakery"}


async def test_a_sample_that_was_deleted_stays_away(
    database: Database, imports: ImportRunner, clock: FakeClock, tmp_path: Path
) -> None:
    only = frozenset({"tres-lunas"})
    await create_samples(database, imports, folder=tmp_path, clock=clock, only=only)
    (bakery,) = await database.read(personas.personas)
    await database.write(lambda c: personas.remove_persona(c, bakery.id) and None)
    assert await create_samples(database, imports, folder=tmp_path, clock=clock, only=only) == []
    assert await database.read(personas.personas) == []


async def test_making_samples_goes_on_where_it_was_interrupted(
    database: Database, imports: ImportRunner, clock: FakeClock, tmp_path: Path
) -> None:
    only = frozenset({"tres-lunas"})

    class Interrupted(ImportRunner):
        async def import_now(self, job_id: str) -> ImportJob:
            raise StoreUnavailable("the lights went out")

    broken = Interrupted(database, tmp_path, clock=clock, live=InProcessLive())
    with pytest.raises(StoreUnavailable):
        await create_samples(database, broken, folder=tmp_path, clock=clock, only=only)
    assert await create_samples(database, imports, folder=tmp_path, clock=clock, only=only) == ["tres-lunas"]
    (bakery,) = await database.read(personas.personas)
    listed = await database.read(lambda c: importing.jobs(c, bakery.id))
    assert [job.state for job in listed] == ["done", "done"]


def test_every_sample_says_what_it_is_made_of() -> None:
    found = samples()
    assert set(found) == {"avelina-souto", "tres-lunas"}
    for slug, sample in found.items():
        assert sample.audience == "public"
        for wanted in sample.imports:
            assert (Path(__file__).parents[2] / "bot" / "samples" / slug / wanted.path).is_dir()
