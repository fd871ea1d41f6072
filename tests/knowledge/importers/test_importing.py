"""Imports from the queue to the memories: the same rows whatever happens, and all of them taken back again."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, select

from knowledge import importing, memories, people, personas
from knowledge.clock import SystemClock
from knowledge.database import Database
from knowledge.errors import ArchiveInvalid, Conflict, NotFound
from knowledge.importing import ImportRunner
from knowledge.live import Event, InProcessLive
from knowledge.rows import table
from knowledge.tables import FootprintRecord, ImportJob, Memory, metadata
from knowledge.viewer import OWNER, PUBLIC, owner_viewer, public_viewer
from tests.fakes import FakeClock
from tests.knowledge.importers.exports import write_files, zip_of

CHAT = "WhatsApp Chat with Sam.txt"
LINES = [
    "25/01/2024, 10:00 - Messages and calls are end-to-end encrypted.\n",
    "25/01/2024, 10:01 - Sam: Where were you born, grandma?\n",
    "25/01/2024, 10:02 - Ivy: I was born by the river in the winter of 1941.\n",
    "25/01/2024, 10:03 - Sam: My bank card number is a secret.\n",
    "25/01/2024, 10:04 - Ivy: ok\n",
    "25/01/2024, 10:05 - Ivy: <Media omitted>\n",
]


@pytest.fixture
async def persona_id(database: Database, clock: FakeClock) -> str:
    return (await database.write(lambda c: personas.create_persona(c, name="Ivy", at=clock.now()))).id


@pytest.fixture
def runner(database: Database, clock: FakeClock, tmp_path: Path) -> ImportRunner:
    return ImportRunner(database, tmp_path / "data", clock=clock, live=InProcessLive())


def chat(folder: Path, lines: list[str] | None = None, name: str = CHAT) -> Path:
    return write_files(folder, {name: "".join(LINES if lines is None else lines)})


async def imported(runner: ImportRunner, persona_id: str, path: Path, **options: Any) -> ImportJob:
    job_id = await runner.start(persona_id, str(path), **{"audience": PUBLIC, **options})
    return await runner.import_now(job_id)


async def rows(database: Database) -> set[tuple[Any, ...]]:
    """Return everything that imports brought, but for ids and times of keeping."""

    def _all(c: Connection) -> set[tuple[Any, ...]]:
        record, memory = table(FootprintRecord), table(Memory)
        kept = select(
            record.c.natural_key, record.c.activity, record.c.text, record.c.author, record.c.is_owner,
            record.c.occurred_at, record.c.audience, record.c.member, record.c.position,
        )  # fmt: skip
        said = select(
            memory.c.natural_key, memory.c.kind, memory.c.text, memory.c.context, memory.c.session, memory.c.place,
            memory.c.audience, memory.c.language, memory.c.importance, memory.c.speaker,
        )  # fmt: skip
        return {tuple(row) for row in c.execute(kept)} | {tuple(row) for row in c.execute(said)}

    return await database.read(_all)


async def test_a_chat_becomes_rows_and_memories(
    runner: ImportRunner, persona_id: str, database: Database, tmp_path: Path
) -> None:
    done = await imported(runner, persona_id, chat(tmp_path / "in"))
    assert (done.state, done.error) == ("done", "")
    assert done.report["counts"]["records"] == 6
    assert done.report["kept"] == {"rows": 6, "memories": 4, "by_kind": {"said": 2, "heard": 2}, "known_before": 0}
    assert (done.report["since"][:10], done.report["files"][0]["state"]) == ("2024-01-25", "read")
    found = await database.read(lambda c: memories.memories(c, owner_viewer(persona_id)))
    born = next(one for one in found if "born by" in one.text)
    assert (born.kind, born.is_own, born.speaker, born.language, born.audience) == ("said", True, "Ivy", "en", PUBLIC)
    assert born.importance > 0.3
    assert next(one for one in found if one.text == "ok").importance < 0.05


async def test_what_others_wrote_is_for_the_owner_alone(
    runner: ImportRunner, persona_id: str, database: Database, tmp_path: Path
) -> None:
    done = await imported(runner, persona_id, chat(tmp_path / "in"))
    stranger = public_viewer(persona_id)
    heard = await database.read(lambda c: memories.memories(c, stranger, words="bank"))
    assert heard == []
    seen = await database.read(lambda c: importing.records(c, stranger, source_id=done.source_id))
    assert {one.author for one in seen} == {"Ivy"}
    assert {json.dumps(one.raw) for one in seen} == {"{}"}
    whole = await database.read(lambda c: importing.records(c, owner_viewer(persona_id), platform="whatsapp"))
    assert len(whole) == 6
    assert whole[3].raw["body"] == "Sam: My bank card number is a secret."


async def test_the_people_in_a_chat_become_persons(
    runner: ImportRunner, persona_id: str, database: Database, tmp_path: Path
) -> None:
    await imported(runner, persona_id, chat(tmp_path / "in"))
    known = await database.read(lambda c: people.persons(c, persona_id))
    assert [(one.name, one.is_owner) for one in known] == [("Ivy", True), ("Sam", False)]
    found = await database.read(lambda c: memories.memories(c, owner_viewer(persona_id)))
    assert {one.speaker_id for one in found} == {one.id for one in known}


async def test_importing_twice_changes_nothing(
    runner: ImportRunner, persona_id: str, database: Database, tmp_path: Path
) -> None:
    path = chat(tmp_path / "in")
    await imported(runner, persona_id, path)
    before = await rows(database)
    again = await imported(runner, persona_id, path)
    assert await rows(database) == before
    assert again.report["kept"] == {"rows": 0, "memories": 0, "by_kind": {}, "known_before": 6}


async def test_a_longer_export_adds_only_what_is_new(
    runner: ImportRunner, persona_id: str, database: Database, tmp_path: Path
) -> None:
    await imported(runner, persona_id, chat(tmp_path / "short", LINES[:3]))
    longer = await imported(runner, persona_id, chat(tmp_path / "long"))
    assert (longer.report["kept"]["rows"], longer.report["kept"]["known_before"]) == (3, 3)
    merged = await rows(database)
    other = await database.write(lambda c: personas.create_persona(c, name="Ivy", at=FakeClock().now()))
    await imported(runner, other.id, tmp_path / "long")
    assert await rows(database) == merged


async def test_parts_in_any_order_give_the_same_rows(
    runner: ImportRunner, persona_id: str, database: Database, tmp_path: Path
) -> None:
    def talk(*said: tuple[str, int]) -> str:
        messages = [{"sender_name": "Sam", "content": text, "timestamp_ms": at * 1000} for text, at in said]
        people = [{"name": "Sam"}, {"name": "Ivy"}]
        return json.dumps({"participants": people, "messages": messages, "title": "Sam"})

    inbox = "your_instagram_activity/messages/inbox/sam_123456/"
    first, second = talk(("c", 1_700_000_300), ("b", 1_700_000_200)), talk(("a", 1_700_000_100))
    for letters in ("AZ", "ZA"):
        folder = tmp_path / letters
        folder.mkdir()
        name = "instagram-ivy-2025-11-01-"
        zip_of(folder / f"{name}{letters[0] * 8}.zip", {inbox + "message_1.json": first})
        zip_of(folder / f"{name}{letters[1] * 8}.zip", {inbox + "message_2.json": second})
    await imported(runner, persona_id, tmp_path / "AZ", owner_names=("Ivy", "Sam"))
    before = await rows(database)
    assert len(before) == 7
    await imported(runner, persona_id, tmp_path / "ZA", owner_names=("Ivy", "Sam"))
    assert await rows(database) == before


async def test_undo_takes_everything_back(
    runner: ImportRunner, persona_id: str, database: Database, tmp_path: Path
) -> None:
    done = await imported(runner, persona_id, chat(tmp_path / "in"))
    assert done.source_id is not None
    assert await runner.undo(done.source_id) == 4
    assert await rows(database) == set()
    known = await database.read(lambda c: people.persons(c, persona_id))
    assert [one.name for one in known] == ["Ivy"]
    again = await imported(runner, persona_id, tmp_path / "in")
    assert again.report["kept"]["rows"] == 6


async def test_undoing_one_of_two_that_overlap_keeps_what_the_other_holds(
    runner: ImportRunner, persona_id: str, database: Database, tmp_path: Path
) -> None:
    short = await imported(runner, persona_id, chat(tmp_path / "short", LINES[:4]))
    whole = await imported(runner, persona_id, chat(tmp_path / "whole"))
    before = await rows(database)
    assert short.source_id is not None
    await runner.undo(short.source_id)
    assert len(await rows(database)) < len(before)
    await runner.import_now(whole.id)
    assert await rows(database) == before


async def test_what_was_forgotten_by_hand_does_not_come_back(
    runner: ImportRunner, persona_id: str, database: Database, clock: FakeClock, tmp_path: Path
) -> None:
    await imported(runner, persona_id, chat(tmp_path / "in"))
    viewer = owner_viewer(persona_id)
    (born,) = await database.read(lambda c: memories.memories(c, viewer, words="river"))
    assert born.id is not None
    await database.write(lambda c: memories.remove_memory(c, viewer, born.id or 0, by="ivy", at=clock.now()))
    await imported(runner, persona_id, tmp_path / "in")
    assert await database.read(lambda c: memories.memories(c, viewer, words="river")) == []


async def test_an_unknown_owner_is_asked_for_and_nothing_is_kept(
    runner: ImportRunner, persona_id: str, database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lines = [line.replace("Ivy", "Zoe") for line in LINES]
    failed = await imported(runner, persona_id, chat(tmp_path / "in", lines))
    assert failed.state == "failed"
    assert "Whose words" in failed.error
    assert failed.report["questions"][0]["choices"] == [["Zoe", 3], ["Sam", 2]]
    assert "  Found: Zoe (3), Sam (2)" in importing.describe_report(failed.report)
    assert await rows(database) == set()
    assert "Zoe" not in failed.error
    assert "Zoe" not in caplog.text
    answered = await imported(runner, persona_id, tmp_path / "in", owner_names=("Zoe",))
    assert answered.report["kept"]["by_kind"] == {"said": 2, "heard": 2}


async def test_a_mixed_folder_is_shared_out(
    runner: ImportRunner, persona_id: str, database: Database, tmp_path: Path
) -> None:
    posts = json.dumps(
        [{"media": [{"uri": "media/1.jpg", "creation_timestamp": 1_700_000_000, "title": "Corn bread"}]}]
    )
    folder = write_files(
        chat(tmp_path / "in"),
        {
            "notes/life.md": "# Life\n\nI had a goat called Marquesa.\n",
            "instagram-ivy-2025-11-01-AbCdEfGh/your_instagram_activity/media/posts_1.json": posts,
            "instagram-ivy-2025-11-01-AbCdEfGh/your_instagram_activity/likes/liked_posts.json": "{}",
            "strange.bin": b"\0\1\2",
            "broken.zip": b"PK\3\4nothing",
        },
    )
    done = await imported(runner, persona_id, folder)
    assert done.state == "done"
    assert done.report["counts"] | {"records": 0, "with_words": 0} == {
        "seen": 6, "parsed": 3, "not_read_yet": 1, "unknown": 1, "failed": 1, "media_files": 0,
        "records": 0, "with_words": 0,
    }  # fmt: skip
    assert {file["path"]: file["state"] for file in done.report["files"]}["broken.zip"] == "failed"
    assert done.report["activities"] == {
        "documents passage": 1,
        "instagram post": 1,
        "whatsapp message": 5,
        "whatsapp notice": 1,
    }
    assert done.report["media"] == {"linked": 0, "missing": 1}
    assert len(importing.describe_report(done.report)) >= 4


async def test_nothing_readable_says_what_is_read(runner: ImportRunner, persona_id: str, tmp_path: Path) -> None:
    failed = await imported(runner, persona_id, write_files(tmp_path / "in", {"a.bin": b"\0\1"}))
    assert failed.state == "failed"
    assert "WhatsApp chats" in failed.error


async def test_wrong_wishes_are_refused_before_anything_is_queued(
    runner: ImportRunner, persona_id: str, database: Database, tmp_path: Path
) -> None:
    path = str(chat(tmp_path / "in"))
    with pytest.raises(ArchiveInvalid):
        await runner.start(persona_id, str(tmp_path / "nowhere"))
    with pytest.raises(ArchiveInvalid):
        await runner.start(persona_id, path, timezone="Mars/Olympus")
    with pytest.raises(NotFound):
        await runner.start(persona_id, path, audience="circle:nobody")
    with pytest.raises(NotFound):
        await runner.start("nobody", path)
    with pytest.raises(NotFound):
        await runner.undo("nothing")
    assert await database.read(lambda c: importing.jobs(c, persona_id)) == []


async def test_queued_imports_are_done_one_after_the_other(
    runner: ImportRunner, persona_id: str, database: Database, tmp_path: Path
) -> None:
    first = await runner.start(persona_id, str(write_files(tmp_path / "bad", {"a.bin": b"\0"})))
    async with running(runner):
        second = await runner.start(persona_id, str(chat(tmp_path / "in")))
        await ended(database, second)
    listed = await database.read(lambda c: importing.jobs(c, persona_id))
    assert {job.id: job.state for job in listed} == {first: "failed", second: "done"}


async def test_an_import_cannot_be_undone_while_it_is_read(
    runner: ImportRunner, persona_id: str, database: Database, tmp_path: Path
) -> None:
    done = await imported(runner, persona_id, chat(tmp_path / "in"))
    await database.write(lambda c: c.execute(table(ImportJob).update().values(state="running")) and None)
    assert done.source_id is not None
    with pytest.raises(Conflict):
        await runner.undo(done.source_id)


async def test_progress_is_kept_and_published_without_names(
    database: Database, persona_id: str, tmp_path: Path
) -> None:
    live = InProcessLive()
    runner = ImportRunner(database, tmp_path / "data", clock=SystemClock(), live=live, progress_s=0.0)
    seen: list[Event] = []

    async def _watch() -> None:
        async for event in live.watch("import/"):
            seen.append(event)

    async with asyncio.TaskGroup() as group:
        watching = group.create_task(_watch())
        many = [f"25/01/2024, 10:{n % 60:02d} - Ivy: line {n}\n" for n in range(600)]
        done = await imported(runner, persona_id, chat(tmp_path / "in", many))
        async with asyncio.timeout(5):
            while not seen or seen[-1].name != "done":
                await asyncio.sleep(0.01)
        watching.cancel()
    assert {event.topic for event in seen} == {f"import/{done.id}"}
    assert seen[-1].name == "done"
    told = [event.facts for event in seen if event.name == "progress"]
    assert told[-1]["records"] == 600
    assert told[-1]["bytes_done"] == told[-1]["bytes_total"] == len("".join(many))
    assert "Sam" not in json.dumps(told)


async def test_those_who_wait_for_imports_hear_of_them(database: Database, persona_id: str, tmp_path: Path) -> None:
    finished: list[str] = []
    notified: list[int] = []

    async def _finished(job: ImportJob) -> None:
        finished.append(job.id)

    runner = ImportRunner(
        database,
        tmp_path / "data",
        clock=FakeClock(),
        live=InProcessLive(),
        recall_notify=lambda: notified.append(1),
        on_finished=_finished,
    )
    done = await imported(runner, persona_id, chat(tmp_path / "in"))
    failed = await imported(runner, persona_id, write_files(tmp_path / "bad", {"a.bin": b"\0"}))
    assert failed.state == "failed"
    assert finished == [done.id]
    assert notified


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def test_an_upload_is_kept_under_a_tame_name_and_goes_with_its_import(
    runner: ImportRunner, persona_id: str, tmp_path: Path
) -> None:
    path = Path(await runner.upload("../../x/WhatsApp Chat with Sam.txt", chunks(*(line.encode() for line in LINES))))
    assert path.name == CHAT
    assert path.is_relative_to(tmp_path / "data" / "uploads")
    done = await imported(runner, persona_id, path)
    assert done.source_id is not None
    await runner.undo(done.source_id)
    assert not path.exists()


async def test_an_upload_that_is_too_large_or_empty_leaves_nothing(
    database: Database, clock: FakeClock, tmp_path: Path
) -> None:
    runner = ImportRunner(database, tmp_path / "data", clock=clock, live=InProcessLive(), most_upload_bytes=100)
    with pytest.raises(ArchiveInvalid, match="larger"):
        await runner.upload("a.txt", chunks(b"x" * 60, b"x" * 60))
    with pytest.raises(ArchiveInvalid, match="empty"):
        await runner.upload("a.txt", chunks())
    assert list((tmp_path / "data" / "uploads").iterdir()) == []


async def test_uploads_that_no_import_needs_are_deleted_at_the_start(
    runner: ImportRunner, persona_id: str, database: Database, tmp_path: Path
) -> None:
    kept = Path(await runner.upload(CHAT, chunks(*(line.encode() for line in LINES))))
    forgotten = Path(await runner.upload("old.txt", chunks(b"x")))
    fresh = Path(await runner.upload("new.txt", chunks(b"x")))
    long_ago = FakeClock().now().timestamp() - 86_400
    for path in (kept, forgotten):
        os.utime(path.parent, (long_ago, long_ago))
    job_id = await runner.start(persona_id, str(kept))
    async with running(runner):
        await ended(database, job_id)
    assert (kept.exists(), forgotten.exists(), fresh.exists()) == (True, False, True)


async def test_what_follows_an_import_may_fail_without_harm(
    database: Database, persona_id: str, clock: FakeClock, tmp_path: Path
) -> None:
    async def _fail(job: ImportJob) -> None:
        raise RuntimeError("no model today")

    runner = ImportRunner(database, tmp_path / "data", clock=clock, live=InProcessLive(), on_finished=_fail)
    job_id = await runner.start(persona_id, str(chat(tmp_path / "in")))
    async with running(runner):
        await ended(database, job_id)
        await runner.import_now(job_id)
    assert (await database.read(lambda c: importing.job(c, job_id))).state == "done"


async def test_an_import_that_is_stopped_goes_on_at_the_next_start(
    runner: ImportRunner, persona_id: str, database: Database, tmp_path: Path
) -> None:
    lines = [f"25/01/2024, 10:{n % 60:02d} - Ivy: line {n}\n" for n in range(3000)]
    job_id = await runner.start(persona_id, str(chat(tmp_path / "in", lines)))
    async with running(runner):
        await has_kept(database, 10)
    assert await database.read(lambda c: _state(c, job_id)) == "running"
    async with running(runner):
        await ended(database, job_id)
    assert (await database.read(lambda c: importing.job(c, job_id))).report["kept"]["rows"] == 3000


STRANGE_IMPORTER = """
import os, time
from knowledge.importers.contract import Record, Trouble

class Strange:
    name = "strange"
    title = "Strange files"
    def recognises(self, tree): return 0.9 if self.claims(tree) else 0.0
    def claims(self, tree): return [m.path for m in tree.members() if m.path.endswith(".strange")]
    def owner(self, tree, options): return "Ivy"
    def questions(self, tree, options): return []
    def read(self, tree, options):
        for member in tree.members():
            with tree.open(member.path) as stream:
                said = stream.read().decode()
            if said == "crash": os.abort()
            if said == "hang": time.sleep(600)
            if said == "raise": raise ZeroDivisionError("oh")
            if said == "eat": bytearray(8 << 30)
            yield Record(platform="strange", activity="line", natural_key="strange:" + said, text=said, author="Ivy",
                         is_owner=True, member=member.path)
"""


@pytest.fixture
def strange(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed package that adds an importer by an entry point, and one that fails in every way."""
    site = tmp_path / "site"
    entry = "[memoras.importers]\nstrange = strange_importer:Strange\n"
    write_files(
        site,
        {
            "strange_importer.py": STRANGE_IMPORTER,
            "strange-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: strange\nVersion: 1.0\n",
            "strange-1.0.dist-info/entry_points.txt": entry,
        },
    )
    monkeypatch.setenv("PYTHONPATH", str(site))


@pytest.mark.usefixtures("strange")
@pytest.mark.parametrize("fault", ["crash", "hang", "raise", "eat"])
async def test_a_reader_that_fails_takes_only_its_file_with_it(
    fault: str, database: Database, persona_id: str, clock: FakeClock, tmp_path: Path
) -> None:
    runner = ImportRunner(database, tmp_path / "data", clock=clock, live=InProcessLive(), patience_s=3.0)
    files = {"a.strange": "good one", "b.strange": fault, "c.strange": "good two", "d.md": "My own words."}
    done = await imported(runner, persona_id, write_files(tmp_path / "in", files))
    assert done.state == "done"
    assert {file["path"]: file["state"] for file in done.report["files"]}["b.strange"] == "failed"
    found = await database.read(lambda c: memories.memories(c, owner_viewer(persona_id)))
    assert {one.text for one in found} == {"good one", "good two", "My own words."}


@pytest.mark.usefixtures("strange")
async def test_a_reader_that_always_fails_names_the_file(
    database: Database, persona_id: str, clock: FakeClock, tmp_path: Path
) -> None:
    runner = ImportRunner(database, tmp_path / "data", clock=clock, live=InProcessLive())
    files = {f"{n}.strange": "crash" for n in range(12)}
    failed = await imported(runner, persona_id, write_files(tmp_path / "in", files))
    assert failed.state == "failed"
    assert ".strange" in failed.error


IMPORT_IN_A_PROCESS = """
import asyncio, sys
from pathlib import Path
from knowledge.clock import SystemClock
from knowledge.database import Database
from knowledge.importing import ImportRunner
from knowledge.live import InProcessLive
async def main():
    folder = Path(sys.argv[1])
    database = Database(folder / "memoras.sqlite3")
    await ImportRunner(database, folder, clock=SystemClock(), live=InProcessLive()).run()
asyncio.run(main())
"""


async def test_rows_of_any_size_come_through(
    runner: ImportRunner, persona_id: str, database: Database, tmp_path: Path
) -> None:
    posts = [
        {"media": [{"uri": f"{n}.jpg", "creation_timestamp": 1_700_000_000 + n, "title": "é" * 60_000}]}
        for n in range(40)
    ]
    posts[3]["media"][0]["exif"] = "x" * 400_000
    name = "instagram-ivy-2025-11-01-AbCdEfGh/your_instagram_activity/media/posts_1.json"
    done = await imported(runner, persona_id, write_files(tmp_path / "in", {name: json.dumps(posts)}))
    assert done.report["kept"]["rows"] == 40
    kept = await database.read(lambda c: importing.records(c, owner_viewer(persona_id)))
    assert {len(one.text) for one in kept} == {60_000}
    assert kept[3].raw == {"left_out": "longer than a row may be"}


async def test_a_killed_import_is_finished_with_the_same_rows(tmp_path: Path) -> None:
    lines = [f"25/01/2024, 10:{n % 60:02d} - {'Ivy' if n % 3 else 'Sam'}: line {n}\n" for n in range(2500)]
    path = chat(tmp_path / "in", lines)
    whole, interrupted = tmp_path / "whole", tmp_path / "interrupted"
    async with opened(whole) as database:
        await queue(database, whole, path)
        runner = ImportRunner(database, whole, clock=FakeClock(), live=InProcessLive())
        async with running(runner):
            await ended(database)
        expected = await rows(database)
    async with opened(interrupted) as database:
        await queue(database, interrupted, path)
    for kept_at_least in (1, 800):
        killed = subprocess.Popen([sys.executable, "-c", IMPORT_IN_A_PROCESS, str(interrupted)])
        async with opened(interrupted) as database:
            await has_kept(database, kept_at_least)
            killed.send_signal(signal.SIGKILL)
            killed.wait()
            assert await database.read(lambda c: _state(c)) == "running"
    async with opened(interrupted) as database:
        assert 0 < len(await rows(database)) < len(expected)
        runner = ImportRunner(database, interrupted, clock=FakeClock(), live=InProcessLive())
        async with running(runner):
            await ended(database)
        assert await rows(database) == expected
        (finished,) = await database.read(lambda c: importing.jobs(c, _persona(c)))
        assert finished.report["kept"] == {
            "rows": 2500,
            "memories": 2500,
            "by_kind": {"said": 1666, "heard": 834},
            "known_before": 0,
        }


@pytest.mark.usefixtures("strange")
async def test_the_reading_process_does_not_outlive_the_server(tmp_path: Path) -> None:
    folder = tmp_path / "server"
    async with opened(folder) as database:
        await queue(database, folder, write_files(tmp_path / "in", {"a.strange": "hang"}))
    server = subprocess.Popen([sys.executable, "-c", IMPORT_IN_A_PROCESS, str(folder)])
    async with asyncio.timeout(20):
        while not (reading := children_of(server.pid)):
            await asyncio.sleep(0.01)
        server.send_signal(signal.SIGKILL)
        server.wait()
        while any(is_alive(pid) for pid in reading):
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Database]:
    database = Database(folder / "memoras.sqlite3")
    await database.write(metadata.create_all)
    try:
        yield database
    finally:
        database.close()


@contextlib.asynccontextmanager
async def running(runner: ImportRunner) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(runner.run())
        yield
        task.cancel()


async def queue(database: Database, folder: Path, path: Path) -> str:
    at = FakeClock().now()
    made = await database.write(lambda c: personas.create_persona(c, name="Ivy", at=at))
    runner = ImportRunner(database, folder, clock=FakeClock(), live=InProcessLive())
    return await runner.start(made.id, str(path), audience=OWNER)


async def ended(database: Database, job_id: str | None = None) -> None:
    await until(lambda c: _state(c, job_id) in ("done", "failed"), database)


async def has_kept(database: Database, count: int) -> None:
    await until(lambda c: c.execute(select(table(FootprintRecord).c.id).offset(count)).first(), database)


async def until(is_so: Any, database: Database) -> None:
    async with asyncio.timeout(30):
        while not await database.read(is_so):
            await asyncio.sleep(0.005)


def _state(c: Connection, job_id: str | None = None) -> str:
    found = select(table(ImportJob).c.state)
    if job_id is not None:
        found = found.where(table(ImportJob).c.id == job_id)
    return str(c.execute(found).scalar())


def _persona(c: Connection) -> str:
    return personas.personas(c)[0].id


def children_of(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for path in found for child in path.read_text().split()]


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
