"""The database of one machine: SQLite with one writer thread that commits in groups, and readers beside it.

Every change is a small function of a connection. Those that arrive while a commit is under way share the next one:
each in its own SAVEPOINT, so that one failing change takes nothing with it, and all of them durable (synchronous=FULL)
before any caller hears of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import QueuePool

from knowledge.errors import StoreLocked, StoreUnavailable

__all__ = ["Connection", "Database", "FolderLock", "SqliteDatabase"]

T = TypeVar("T")
Change = Callable[[Connection], T]

_MOST_PER_COMMIT = 512
_READERS = 4


class FolderLock:
    """The right to use a data folder. Held by one process; released by the system when it dies."""

    def __init__(self, folder: Path) -> None:
        """Take the lock.

        Raises:
            StoreLocked: when another process holds it; the message says which and what to do.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / "memoras.lock"
        self._file: IO[str] = self._path.open("a+", encoding="utf-8")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = describe_holder(folder)
            self._file.close()
            raise StoreLocked(
                f"The data folder {folder} is in use by another Memoras process{holder}. "
                "Stop that one, or choose another folder with MEMORAS_DATA."
            ) from error
        self.describe()

    def describe(self, **facts: str | int) -> None:
        """Write who holds the folder (process id, and what else is given, e.g. the address) into the lock file."""
        self._file.seek(0)
        self._file.truncate()
        json.dump({"pid": os.getpid(), **facts}, self._file)
        self._file.flush()

    def release(self) -> None:
        """Give the folder back."""
        with contextlib.suppress(OSError):
            fcntl.flock(self._file, fcntl.LOCK_UN)
        self._file.close()


def read_holder(folder: Path) -> dict[str, Any]:
    """Return what the lock file of a folder says of its holder; empty when it says nothing."""
    try:
        found = json.loads((folder / "memoras.lock").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def describe_holder(folder: Path) -> str:
    """Return ` (process 123 at http://...)` for messages, or an empty string."""
    holder = read_holder(folder)
    if not holder.get("pid"):
        return ""
    at = f" at {holder['address']}" if holder.get("address") else ""
    return f" (process {holder['pid']}{at})"


@dataclass(slots=True)
class _Wanted:
    change: Callable[[Connection], Any]
    future: Future[Any]


class SqliteDatabase:
    """One SQLite file: `write` runs changes in the writer thread, `read` runs queries on readers of their own."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._wanted: queue.SimpleQueue[_Wanted | None] = queue.SimpleQueue()
        self._writing = _sqlite_engine(path, begin="BEGIN IMMEDIATE", readers=1, query_only=False)
        self._reading = _sqlite_engine(path, begin="BEGIN", readers=_READERS, query_only=True)
        self._glancing: Connection | None = None
        self._glance_lock = threading.Lock()
        self._pool = ThreadPoolExecutor(_READERS, thread_name_prefix="reader")
        self._thread = threading.Thread(target=self._write_in_groups, name="writer", daemon=True)
        self._is_closed = False
        self._thread.start()

    async def write(self, change: Change[T]) -> T:
        """Run `change` in a transaction and return what it returned, once it is on the disk.

        An exception of `change` undoes that change alone and is raised here.

        Raises:
            StoreUnavailable: when the commit failed; nothing of its group was kept.
        """
        return await asyncio.wrap_future(self._submit(change))

    def write_now(self, change: Change[T]) -> T:
        """Do what `write` does for a caller that has no event loop, and block until it is done."""
        return self._submit(change).result()

    async def read(self, query: Change[T]) -> T:
        """Run `query` on a read-only connection in a thread and return what it returned."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, self.read_now, query)

    def glance(self, query: Change[T]) -> T:
        """Run a query of a few rows found by their keys, in the calling thread and at once.

        For the path of a message alone: handing such a query to a thread costs more than the query.
        """
        try:
            with self._glance_lock:
                if self._glancing is None:
                    self._glancing = self._reading.connect()
                with self._glancing.begin():
                    return query(self._glancing)
        except SQLAlchemyError as error:
            raise StoreUnavailable(f"The database {self.path.name} could not be read.") from error

    def read_now(self, query: Change[T]) -> T:
        """Do what `read` does in the calling thread."""
        try:
            with self._reading.connect() as connection, connection.begin():
                return query(connection)
        except SQLAlchemyError as error:
            raise StoreUnavailable(f"The database {self.path.name} could not be read.") from error

    def close(self) -> None:
        """Finish the changes already asked for, then close every connection."""
        if self._is_closed:
            return
        self._is_closed = True
        self._wanted.put(None)
        self._thread.join()
        self._refuse_latecomers()
        self._pool.shutdown(wait=True)
        if self._glancing is not None:
            self._glancing.close()
        self._writing.dispose()
        self._reading.dispose()

    def _submit(self, change: Change[T]) -> Future[T]:
        if self._is_closed:
            raise StoreUnavailable("The database is closed.")
        future: Future[T] = Future()
        self._wanted.put(_Wanted(change, future))
        return future

    def _refuse_latecomers(self) -> None:
        """Answer those who asked while the writer was ending, so that nobody waits for ever."""
        while True:
            try:
                late = self._wanted.get_nowait()
            except queue.Empty:
                return
            if late is not None:
                late.future.set_exception(StoreUnavailable("The database is closed."))

    def _write_in_groups(self) -> None:
        connection: Connection | None = None
        while True:
            first = self._wanted.get()
            if first is None:
                break
            group, is_last = self._gather(first)
            try:
                connection = connection or self._writing.connect()
                self._commit(connection, group)
            except Exception as error:  # the writer outlives whatever the disk does to one group
                for wanted in group:
                    if not wanted.future.done():
                        unavailable = StoreUnavailable(
                            "The database could not write; nothing was changed. Is the disk full?"
                        )
                        unavailable.__cause__ = error
                        wanted.future.set_exception(unavailable)
                if connection is not None:
                    with contextlib.suppress(SQLAlchemyError):
                        connection.close()
                    connection = None
            if is_last:
                break
        if connection is not None:
            connection.close()

    def _gather(self, first: _Wanted) -> tuple[list[_Wanted], bool]:
        group = [first]
        while len(group) < _MOST_PER_COMMIT:
            try:
                following = self._wanted.get_nowait()
            except queue.Empty:
                break
            if following is None:
                return group, True
            group.append(following)
        return group, False

    def _commit(self, connection: Connection, group: list[_Wanted]) -> None:
        outcomes: list[tuple[_Wanted, Any, BaseException | None]] = []
        with connection.begin():
            for wanted in group:
                if not wanted.future.set_running_or_notify_cancel():
                    continue
                savepoint = connection.begin_nested()
                try:
                    result = wanted.change(connection)
                except BaseException as error:  # handed to the one who asked; the writer goes on
                    savepoint.rollback()
                    outcomes.append((wanted, None, error))
                else:
                    savepoint.commit()
                    outcomes.append((wanted, result, None))
        for wanted, result, failure in outcomes:
            if failure is None:
                wanted.future.set_result(result)
            elif isinstance(failure, SQLAlchemyError):
                unavailable = StoreUnavailable("The database refused a change; it was undone.")
                unavailable.__cause__ = failure
                wanted.future.set_exception(unavailable)
            else:
                wanted.future.set_exception(failure)


Database = SqliteDatabase


def _sqlite_engine(path: Path, *, begin: str, readers: int, query_only: bool) -> Engine:
    engine = create_engine(
        f"sqlite:///{path}",
        poolclass=QueuePool,
        pool_size=readers,
        max_overflow=4,
        connect_args={"check_same_thread": False, "timeout": 30.0},
        hide_parameters=True,  # an error must not carry what people wrote
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, record: Any) -> None:
        # The driver's own transaction handling breaks SAVEPOINT; we say BEGIN ourselves.
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("PRAGMA busy_timeout=30000")
        if query_only:
            connection.execute("PRAGMA query_only=ON")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine
