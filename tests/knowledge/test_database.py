"""The writer: what it says is kept is kept, and what fails takes nothing with it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Column, Integer, LargeBinary, MetaData, Table, Text, event, func, select

from knowledge.database import Connection, Database, FolderLock, read_holder
from knowledge.errors import NotFound, StoreLocked, StoreUnavailable

_NOTE = Table("note", MetaData(), Column("id", Integer, primary_key=True), Column("text", Text, unique=True))
_BLOB = Table("blob", _NOTE.metadata, Column("id", Integer, primary_key=True), Column("content", LargeBinary))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Database]:
    found = Database(tmp_path / "notes.sqlite3")
    found.write_now(_NOTE.metadata.create_all)
    yield found
    found.close()


def _note(text: str) -> Callable[[Connection], str]:
    def change(c: Connection) -> str:
        c.execute(_NOTE.insert().values(text=text))
        return text

    return change


def _notes(store: Database) -> list[str]:
    return store.read_now(lambda c: list(c.execute(select(_NOTE.c.text).order_by(_NOTE.c.id)).scalars()))


class _Together:
    """Holds the writer until every change given inside has been asked for, so that they share one commit."""

    def __init__(self, store: Database) -> None:
        self._store = store
        self._pool = ThreadPoolExecutor(16)
        self._go = threading.Event()
        self._is_held = threading.Event()
        self.commits = 0

    def __enter__(self) -> _Together:
        self._held = self._pool.submit(self._store.write_now, self._hold)
        assert self._is_held.wait(10)
        event.listen(self._store._writing, "commit", self._count)
        return self

    def _hold(self, c: Connection) -> None:
        self._is_held.set()
        assert self._go.wait(10)

    def _count(self, connection: Any) -> None:
        self.commits += 1

    def run(self, *changes: Callable[[Connection], Any]) -> list[Any]:
        """Let the changes go in one group, in this order, and return their results or what they raised."""
        futures = [self._store._submit(change) for change in changes]
        self._go.set()
        self._held.result(10)
        done = [future.exception(10) or future.result(10) for future in futures]
        self.commits -= 1  # the one that held the writer
        return done

    def __exit__(self, *failure: object) -> None:
        self._go.set()
        self._pool.shutdown()
        event.remove(self._store._writing, "commit", self._count)


def test_changes_that_wait_share_one_commit_in_their_order(store: Database) -> None:
    with _Together(store) as together:
        assert together.run(*map(_note, "abcde")) == list("abcde")
        assert together.commits == 1
    assert _notes(store) == list("abcde")


def test_a_change_that_fails_takes_nothing_with_it(store: Database) -> None:
    def fails(c: Connection) -> None:
        c.execute(_NOTE.insert().values(text="half"))
        raise NotFound("no such thing")

    with _Together(store) as together:
        one, failed, repeated, two = together.run(_note("one"), fails, _note("one"), _note("two"))
        assert together.commits == 1
    assert (one, two) == ("one", "two")
    assert isinstance(failed, NotFound)
    assert isinstance(repeated, StoreUnavailable)
    assert _notes(store) == ["one", "two"]


@pytest.mark.parametrize("raised", [KeyboardInterrupt, SystemExit, asyncio.CancelledError, GeneratorExit])
def test_no_exception_of_a_change_ends_the_writer(store: Database, raised: type[BaseException]) -> None:
    def fails(c: Connection) -> None:
        raise raised

    with _Together(store) as together:
        failed, after = together.run(fails, _note("after"))
    assert isinstance(failed, raised)
    assert after == "after"
    assert store.write_now(_note("later")) == "later"


def test_a_commit_that_fails_fails_its_whole_group_and_the_writer_lives_on(store: Database) -> None:
    def breaks_the_commit(c: Connection) -> None:
        # Foreign keys that are checked at the commit: the only failure that waits for it every time.
        c.exec_driver_sql("CREATE TABLE parent (id INTEGER PRIMARY KEY)")
        c.exec_driver_sql("CREATE TABLE child (id INTEGER REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED)")
        c.exec_driver_sql("INSERT INTO child VALUES (1)")

    with _Together(store) as together:
        done = together.run(_note("before"), breaks_the_commit, _note("after"))
    assert [type(each) for each in done] == [StoreUnavailable] * 3
    assert all(each.is_retryable for each in done)
    assert _notes(store) == []
    assert store.write_now(_note("later")) == "later"
    assert _notes(store) == ["later"]


def test_a_full_disk_loses_nothing_that_was_acknowledged_and_the_writer_lives_on(store: Database) -> None:
    store.write_now(_note("first"))

    def fills_the_disk(c: Connection) -> None:
        pages = c.exec_driver_sql("PRAGMA page_count").scalar_one()
        c.exec_driver_sql(f"PRAGMA max_page_count = {pages + 3}")
        c.execute(_BLOB.insert().values(content=b"x" * 1_000_000))

    with _Together(store) as together:
        before, full, after = together.run(_note("before"), fills_the_disk, _note("after"))
    assert isinstance(full, StoreUnavailable)
    acknowledged = [each for each in (before, after) if isinstance(each, str)]
    refused = [each for each in (before, after) if not isinstance(each, str)]
    assert all(isinstance(each, StoreUnavailable) for each in refused)
    assert _notes(store) == ["first", *acknowledged]
    store.write_now(lambda c: c.exec_driver_sql("PRAGMA max_page_count = 1000000").close())
    assert store.write_now(_note("later")) == "later"


def test_a_refused_change_tells_nothing_of_its_content(store: Database) -> None:
    store.write_now(_note("the savings book"))
    with pytest.raises(StoreUnavailable) as refused:
        store.write_now(_note("the savings book"))
    assert "savings" not in str(refused.value) + str(refused.value.__cause__)


def test_a_reader_cannot_write(store: Database) -> None:
    for read in (store.read_now, store.glance):
        with pytest.raises(StoreUnavailable):
            read(_note("not by this door"))
    assert _notes(store) == []


def test_a_reader_does_not_see_what_is_not_committed(store: Database) -> None:
    seen: list[list[str]] = []

    def change(c: Connection) -> None:
        c.execute(_NOTE.insert().values(text="one"))
        seen.append(_notes(store))

    store.write_now(change)
    assert seen == [[]]
    assert _notes(store) == ["one"]


async def test_many_writers_and_readers_at_once_get_along(store: Database) -> None:
    async def write(number: int) -> int:
        await store.write(_note(str(number)))
        return await store.read(lambda c: int(c.execute(select(func.count()).select_from(_NOTE)).scalar_one()))

    counts = await asyncio.gather(*map(write, range(300)))
    assert max(counts) == 300
    assert all(count > 0 for count in counts)


async def test_who_stops_waiting_before_their_turn_changes_nothing(store: Database) -> None:
    with _Together(store) as together:
        task = asyncio.ensure_future(store.write(_note("never mind")))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert together.run(_note("one")) == ["one"]
    assert _notes(store) == ["one"]


def test_closing_finishes_what_was_asked_for_and_refuses_the_rest(store: Database) -> None:
    with _Together(store) as together:
        futures = [store._submit(_note(str(number))) for number in range(1500)]
        together.run()
    store.close()
    store.close()
    assert [future.result(0) for future in futures] == [str(number) for number in range(1500)]
    with pytest.raises(StoreUnavailable, match="closed"):
        store.write_now(_note("late"))
    again = Database(store.path)
    assert len(_notes(again)) == 1500
    again.close()


_WRITES = """
import asyncio, os, sys, pathlib
from knowledge.database import Database
from tests.knowledge.test_database import _note

async def write(store, number):
    await store.write(_note(str(number)))
    os.write(1, f"{number}\\n".encode())

async def main():
    store = Database(pathlib.Path(sys.argv[1]))
    for start in range(0, 1_000_000, 20):
        await asyncio.gather(*(write(store, number) for number in range(start, start + 20)))

asyncio.run(main())
"""


@pytest.mark.parametrize("acknowledged", [1, 37, 200])
def test_a_kill_loses_nothing_that_was_acknowledged(store: Database, acknowledged: int) -> None:
    with _python(_WRITES, str(store.path)) as process:
        assert process.stdout is not None
        told = [process.stdout.readline() for _ in range(acknowledged)]
        process.kill()
        told += process.stdout.readlines()
        assert process.wait(30) == -signal.SIGKILL
    numbers = {line.decode().strip() for line in told if line.endswith(b"\n")}
    assert len(numbers) >= acknowledged
    assert numbers <= set(_notes(store))
    assert store.write_now(_note("the next process goes on")) == "the next process goes on"


_HOLDS = """
import pathlib, sys
from knowledge.database import FolderLock
lock = FolderLock(pathlib.Path(sys.argv[1]))
lock.describe(address="http://127.0.0.1:8000")
print("held", flush=True)
sys.stdin.read()
"""


def test_a_second_process_on_the_folder_is_refused_by_name(tmp_path: Path) -> None:
    with _python(_HOLDS, str(tmp_path)) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(StoreLocked) as refused:
            FolderLock(tmp_path)
        message = str(refused.value)
        assert f"process {process.pid} at http://127.0.0.1:8000" in message
        assert str(tmp_path) in message
        assert "MEMORAS_DATA" in message
        assert read_holder(tmp_path)["pid"] == process.pid
        process.kill()
        process.wait(30)
    lock = FolderLock(tmp_path)
    assert read_holder(tmp_path) == {"pid": os.getpid()}
    lock.release()


def test_the_same_process_is_refused_too_and_a_released_folder_is_free(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path / "new" / "folder")
    with pytest.raises(StoreLocked):
        FolderLock(tmp_path / "new" / "folder")
    lock.release()
    FolderLock(tmp_path / "new" / "folder").release()


@pytest.mark.parametrize("content", ["", "not json", "[1]", json.dumps({"pid": None})])
def test_a_lock_file_that_says_nothing_is_no_trouble(tmp_path: Path, content: str) -> None:
    (tmp_path / "memoras.lock").write_text(content, encoding="utf-8")
    FolderLock(tmp_path).release()


def _python(code: str, *arguments: str) -> subprocess.Popen[bytes]:
    root = Path(__file__).parents[2]
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        cwd=root,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
