"""What runs behind recall: the index of words, the vectors, and what a kill or a damaged folder does to them."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import select

from knowledge.database import Database
from knowledge.engine import RecallStatus
from knowledge.memories import edit_memory, remove_memory
from knowledge.rows import table
from knowledge.tables import Memory, MemoryFeed, MemoryVector
from knowledge.viewer import owner_viewer
from tests.fakes import FakeClock
from tests.knowledge.recall_world import AT, LetterEmbedder, World, make_persona, running, until

_ROOT = Path(__file__).parents[2]


@pytest.fixture
async def world(database: Database, clock: FakeClock, tmp_path: Path) -> World:
    return World(database, tmp_path / "recall", await make_persona(database, "rosalind"), clock)


async def test_the_index_of_words_follows_and_the_feed_is_trimmed(world: World) -> None:
    viewer = owner_viewer(world.persona_id)
    for at in range(30):
        await world.tell(f"The bridge number {at} was built of oak.")
    recall = world.recall(looked_through=0)
    async with running(recall):
        await recall.recall(viewer, "bridge")
        await until(lambda: _is_settled(recall.status()))
        late = await world.tell("The chapel was built of chalk.")
        recall.notify()
        assert (await recall.recall(viewer, "chalk chapel"))[0].memory_id == late
        await until(lambda: _is_settled(recall.status()))

        assert [hit.memory_id for hit in await recall.recall(viewer, "chalk")] == [late]
        await _until_trimmed(world)


async def test_after_a_restart_everything_is_found_through_the_index(world: World) -> None:
    viewer = owner_viewer(world.persona_id)
    kept = await world.tell("The mill burnt down in the spring.")
    edited = await world.tell("The mill was sold to a stranger.")
    gone = await world.tell("The mill had two wheels.")
    async with running(world.recall(looked_through=0)) as recall:
        await recall.recall(viewer, "mill")
        await until(lambda: _is_settled(recall.status()))
    await world.database.write(lambda c: edit_memory(c, viewer, edited, text="The barn was sold.", by="x", at=AT))
    await world.database.write(lambda c: remove_memory(c, viewer, gone, by="x", at=AT))

    async with running(world.recall(looked_through=0)) as recall:
        assert [hit.memory_id for hit in await recall.recall(viewer, "mill")] == [kept]
        await until(lambda: _is_settled(recall.status()))
        assert [hit.memory_id for hit in await recall.recall(viewer, "mill")] == [kept]
        assert [hit.memory_id for hit in await recall.recall(viewer, "barn")] == [edited]


@pytest.mark.parametrize(
    "damage", ["no folder", "no about", "other database", "empty meta", "cut short", "old version"]
)
async def test_a_damaged_folder_is_made_again_from_the_database(world: World, damage: str) -> None:
    viewer = owner_viewer(world.persona_id)
    wanted = await world.tell("The ferry sank beside the pier.")
    for at in range(20):
        await world.tell(f"Nothing happened on day {at}.")
    async with running(world.recall()) as recall:
        await recall.recall(viewer, "ferry")
        await until(lambda: _is_settled(recall.status()))
    _damage(world.folder / "words", damage)

    async with running(world.recall(looked_through=0)) as recall:
        assert [hit.memory_id for hit in await recall.recall(viewer, "ferry")] == [wanted]
        await until(lambda: _is_settled(recall.status()))
        assert [hit.memory_id for hit in await recall.recall(viewer, "ferry")] == [wanted]


async def test_an_index_from_before_the_feed_was_trimmed_is_made_again(world: World, tmp_path: Path) -> None:
    viewer = owner_viewer(world.persona_id)
    await world.tell("The first winter was mild.")
    async with running(world.recall()) as recall:
        await recall.recall(viewer, "winter")
        await until(lambda: _is_settled(recall.status()))
    shutil.copytree(world.folder, tmp_path / "backup")
    missed = await world.tell("The second winter froze the well.")
    await world.tell("The third winter was long.")
    async with running(world.recall()) as recall:
        await recall.recall(viewer, "winter")
        await until(lambda: _is_settled(recall.status()))
        await _until_trimmed(world)
    shutil.rmtree(world.folder)
    shutil.copytree(tmp_path / "backup", world.folder)

    async with running(world.recall(looked_through=0)) as recall:
        await recall.recall(viewer, "well")
        await until(lambda: _is_settled(recall.status()))
        assert (await recall.recall(viewer, "froze well"))[0].memory_id == missed


async def test_vectors_are_made_once_and_survive_a_restart(world: World) -> None:
    viewer = owner_viewer(world.persona_id)
    for text in ("The heron stood in the reeds.", "The heron flew over the barn.", "Bread was dear that year."):
        await world.tell(text)
    first, second = LetterEmbedder(), LetterEmbedder()
    async with running(world.recall(embedder_factory=lambda: first)) as recall:
        await until(lambda: recall.status().vectors == 3)
    assert len(first.texts) == 3

    async with running(world.recall(embedder_factory=lambda: second)) as recall:
        await until(lambda: recall.status().vectors == 3)
        found = await recall.recall(viewer, "the heron in the reeds")
        assert found[0].text == "The heron stood in the reeds."
        assert found[0].features["meaning"] > 0.5
        await recall.recall(viewer, "the heron in the reeds")
    assert second.texts == ["the heron in the reeds"], "memories or a known question were embedded again"


async def test_an_edited_memory_gets_a_new_vector_also_after_a_restart(world: World) -> None:
    viewer = owner_viewer(world.persona_id)
    memory_id = await world.tell("The heron stood in the reeds.")
    async with running(world.recall(embedder_factory=LetterEmbedder)) as recall:
        await until(lambda: recall.status().vectors == 1)
    await world.database.write(lambda c: edit_memory(c, viewer, memory_id, text="A piano fell.", by="x", at=AT))
    again = LetterEmbedder()

    async with running(world.recall(embedder_factory=lambda: again)) as recall:
        await until(lambda: recall.status().vectors == 1)

    assert again.texts == ["A piano fell."]
    vectors = table(MemoryVector)
    rows = await world.database.read(lambda c: c.execute(select(vectors.c.memory_id, vectors.c.model)).all())
    assert rows == [(memory_id, "letters")]


async def test_a_vector_of_another_model_is_not_used(world: World) -> None:
    class OtherEmbedder(LetterEmbedder):
        model = "other letters"
        dimensions = 128

    await world.tell("The heron stood in the reeds.")
    async with running(world.recall(embedder_factory=LetterEmbedder)) as recall:
        await until(lambda: recall.status().vectors == 1)
    other = OtherEmbedder()

    async with running(world.recall(embedder_factory=lambda: other)) as recall:
        await recall.recall(owner_viewer(world.persona_id), "reeds")
        await until(lambda: recall.status().vectors == 1)

    assert "The heron stood in the reeds." in other.texts


async def test_without_an_embedder_recall_goes_by_words_and_says_so(world: World) -> None:
    await world.tell("The heron stood in the reeds.")
    async with running(world.recall()) as recall:
        await until(lambda: recall.status().note == "The embedder is not installed: recall goes by words alone.")
        assert recall.status().embedder == ""
        assert await recall.recall(owner_viewer(world.persona_id), "heron")


async def test_an_embedder_that_cannot_be_loaded_is_named_and_costs_nothing_else(world: World) -> None:
    def broken() -> LetterEmbedder:
        raise OSError("no such file")

    await world.tell("The heron stood in the reeds.")
    async with running(world.recall(embedder_factory=broken)) as recall:
        await until(lambda: "cannot be loaded (OSError)" in recall.status().note)
        assert await recall.recall(owner_viewer(world.persona_id), "heron")


async def test_uses_are_counted_without_holding_up_the_answer(world: World) -> None:
    memory_id = await world.tell("The heron stood in the reeds.")
    recall = world.recall()
    for _ in range(3):
        await recall.recall(owner_viewer(world.persona_id), "heron")

    await recall.keep_uses()
    recall.close()

    memory = table(Memory)
    read = select(memory.c.uses, memory.c.last_used_at).where(memory.c.id == memory_id)
    assert (await world.database.read(lambda c: c.execute(read).one())) == (3, world.clock.now())


_WRITER = """
import asyncio, sys
from pathlib import Path
from knowledge.clock import SystemClock
from knowledge.database import Database
from knowledge.engine import RecallStatus
from knowledge.engine import EmbeddedRecall
from knowledge.memories import edit_memory, remove_memory
from knowledge.viewer import owner_viewer
from tests.knowledge.recall_world import AT, LetterEmbedder, World

async def main(folder, persona_id, start):
    database = Database(folder / "memoras.sqlite3")
    world = World(database, folder / "recall", persona_id, SystemClock(), told=start)
    recall = world.recall(embedder_factory=LetterEmbedder, looked_through=0)
    work = asyncio.create_task(recall.run())
    viewer = owner_viewer(persona_id)
    for at in range(start, start + 100000):
        memory_id = await world.tell(f"Stone number{at} lies in the common field.")
        recall.notify()
        if at % 7 == 3:
            await database.write(lambda c: remove_memory(c, viewer, memory_id, by="x", at=AT))
            print("gone", at, flush=True)
        else:
            print("told", at, flush=True)
        if at % 20 == 0:
            await recall.recall(viewer, f"number{at}")
            await asyncio.sleep(0.05)

asyncio.run(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
"""


async def test_killed_at_any_moment_it_finds_every_committed_memory_and_no_removed_one(
    tmp_path: Path, world: World
) -> None:
    told: set[int] = set()
    gone: set[int] = set()
    for round_number, lines in enumerate((40, 95, 210)):
        start = 10_000 * (round_number + 1)
        command = [sys.executable, "-c", _WRITER, str(tmp_path), world.persona_id, str(start)]
        with subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE, text=True, env={**os.environ}) as writer:
            assert writer.stdout is not None
            for _ in range(lines):
                what, at = writer.stdout.readline().split()
                (told if what == "told" else gone).add(int(at))
            writer.send_signal(signal.SIGKILL)
            writer.wait(timeout=30)

        recall = world.recall(embedder_factory=LetterEmbedder, looked_through=0)
        async with running(recall):
            viewer = owner_viewer(world.persona_id)
            await recall.recall(viewer, "stone")
            await until(lambda recall=recall: _is_settled(recall.status()))  # type: ignore[misc]
            for at in sorted(told)[-25:] + sorted(told)[:5]:
                texts = [hit.text for hit in await recall.recall(viewer, f"number{at}", limit=1)]
                assert texts == [f"Stone number{at} lies in the common field."]
            for at in sorted(gone)[-10:]:
                texts = [hit.text for hit in await recall.recall(viewer, f"number{at}", limit=3)]
                assert f"Stone number{at} lies in the common field." not in texts


def _is_settled(status: RecallStatus) -> bool:
    return status.is_indexed and status.words_waiting == 0


def _damage(folder: Path, how: str) -> None:
    about = folder / "about.json"
    if how == "no folder":
        shutil.rmtree(folder)
    elif how == "no about":
        about.unlink()
    elif how == "other database":
        about.write_text('{"version": 1, "identity": "another"}')
    elif how == "old version":
        about.write_text(about.read_text().replace('"version": ', '"version": -'))
    elif how == "empty meta":
        (folder / "meta.json").write_text("")
    else:
        for path in folder.glob("*.term"):
            path.write_bytes(path.read_bytes()[:20])


async def _until_trimmed(world: World) -> None:
    """Wait until the feed holds its last line alone."""
    lines = select(table(MemoryFeed).c.id)
    async with asyncio.timeout(20):
        while len(await world.database.read(lambda c: c.execute(lines).all())) > 1:
            await asyncio.sleep(0.02)
