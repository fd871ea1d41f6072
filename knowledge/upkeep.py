"""The work behind recall: the index of words follows the feed, vectors follow the words, uses are counted."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from knowledge import index
from knowledge.analysis import documents
from knowledge.clock import Clock
from knowledge.database import Database
from knowledge.embedder import Embedder
from knowledge.errors import KnowledgeError
from knowledge.index import IndexedMemory, StoredVector
from knowledge.meaning import quantise
from knowledge.shelf import Shelf
from knowledge.shelves import Shelves
from knowledge.words import WordsIndex, WordsUnavailable

log = logging.getLogger(__name__)
T = TypeVar("T")

_CHANGES_AT_ONCE = 2000
_MEMORIES_AT_ONCE = 1000
_COMMIT_EVERY_S = 1.5
_LOOK_AGAIN_S = 2.0
_TRY_AGAIN_S = 5.0
_USES_EVERY_S = 30.0
_VECTORS_AT_ONCE = 64
_VECTORS_PER_BREATH = 8
_BUSY_FOR_S = 0.25
_NICE = 10


class Upkeep:
    """Keeps the indexes up. All heavy work runs in one thread of its own, behind everything else."""

    def __init__(
        self,
        database: Database,
        shelves: Shelves,
        words: WordsIndex,
        *,
        clock: Clock,
        make_embedder: Callable[[], Embedder | None],
    ) -> None:
        self.note = "The embedder is not loaded yet: recall goes by words alone."
        self._database = database
        self._shelves = shelves
        self._words = words
        self._clock = clock
        self._make_embedder = make_embedder
        self._changed = asyncio.Event()
        self._wants_vectors = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()
        self._is_broken = False
        self._recalled_at = 0.0
        self._uses: Counter[int] = Counter()
        self._uses_lock = threading.Lock()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="recall", initializer=_step_back)

    def notify(self) -> None:
        """Wake the work: something changed."""
        self._changed.set()

    def recalled(self, memory_ids: Iterable[int]) -> None:
        """Count memories as used, and hold back while questions come in."""
        self._recalled_at = time.monotonic()
        with self._uses_lock:
            self._uses.update(memory_ids)

    def report_broken_words(self) -> None:
        """Have the index of words made again: it could not be read. Safe in any thread."""
        if not self._is_broken:
            log.warning("the index of words cannot be read and is made again")
            self._is_broken = True
            self._shelves.words_are_gone()

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow_changes())
            tasks.create_task(self._warm_up())
            tasks.create_task(self._count_uses())

    async def rebuild(self) -> None:
        """Make the index of words again from the database."""
        async with self._one_at_a_time:
            identity = await self._database.write(index.identity)
            await self._apart(lambda: self._make_words(identity))

    def close(self) -> None:
        """Stop the thread and let go of the index of words."""
        self._thread.shutdown(wait=True, cancel_futures=True)
        self._shelves.words_are_gone()
        self._words.close()

    async def keep_uses(self) -> None:
        """Write the counted uses down."""
        with self._uses_lock:
            uses, self._uses = self._uses, Counter()
        if uses:
            at = self._clock.now()
            await self._database.write(lambda c: index.note_uses(c, uses, at=at))

    async def _apart(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    # ------------------------------------------------------------------------------------- words

    async def _follow_changes(self) -> None:
        is_open = False
        while True:
            self._changed.clear()
            started = time.monotonic()
            try:
                if not is_open:
                    await self._open_words()
                    is_open = True
                elif self._is_broken:
                    await self.rebuild()
                async with self._one_at_a_time:
                    is_behind = await self._learn_words()
            except (KnowledgeError, WordsUnavailable, OSError, ValueError) as error:
                log.warning("the index of words fell behind", extra={"error": type(error).__name__})
                self._is_broken = self._is_broken or is_open
                await asyncio.sleep(_TRY_AGAIN_S)
                continue
            if is_behind:
                continue
            try:
                await asyncio.wait_for(self._changed.wait(), _LOOK_AGAIN_S)
            except TimeoutError:
                await self._apart(self._words.rest)
            await asyncio.sleep(max(0.0, _COMMIT_EVERY_S - (time.monotonic() - started)))

    async def _open_words(self) -> None:
        identity = await self._database.write(index.identity)
        place = await self._apart(lambda: self._words.open(identity))
        newest = await self._database.read(index.newest_change)
        trimmed = int(await self._database.read(lambda c: index.cursor(c, "trimmed")) or 0)
        # An index ahead of the feed, or behind what the feed still holds, belongs to another past.
        if place is None or not trimmed <= place <= newest:
            await self._apart(lambda: self._make_words(identity))
        else:
            self._shelves.words_reach(place)

    def _make_words(self, identity: str) -> None:
        self._shelves.words_are_gone()
        self._words.reset(identity)
        place, last = self._database.read_now(index.newest_change), 0
        while memories := self._next_memories(last):
            self._words.learn(documents(memories), ())
            last = memories[-1].id
        self._words.commit(place)
        self._is_broken = False
        self._shelves.words_reach(place)

    def _next_memories(self, last: int) -> list[IndexedMemory]:
        return self._database.read_now(lambda c: index.living_after(c, last, limit=_MEMORIES_AT_ONCE))

    async def _learn_words(self) -> bool:
        """Take the feed's next lines into the index of words; return whether more of them wait."""
        reached = self._shelves.place
        if reached is None:
            return False
        changes = await self._database.read(lambda c: index.changes_after(c, reached, limit=_CHANGES_AT_ONCE))
        if not changes:
            return False
        place = changes[-1].number
        ids = {change.memory_id for change in changes}
        living = await self._database.read(lambda c: index.living_by_id(c, ids))
        await self._apart(lambda: self._keep_words(living, ids, place))
        learnt = await self._database.read(lambda c: self._shelves.all_reach(c, place))
        await self._database.write(lambda c: index.trim_changes(c, learnt))
        self._wants_vectors.set()
        return len(changes) == _CHANGES_AT_ONCE

    def _keep_words(self, living: Sequence[IndexedMemory], ids: set[int], place: int) -> None:
        self._words.learn(documents(living), ids.difference(memory.id for memory in living))
        self._words.commit(place)
        self._shelves.words_reach(place)

    # ----------------------------------------------------------------------------------- vectors

    async def _warm_up(self) -> None:
        """Load the embedder and every persona's memories, then give vectors to those that have none."""
        embedder = await self._load_embedder()
        if embedder is not None:
            for shelf in self._shelves.embed_with(embedder):
                await self._database.read(partial(self._shelves.take_vectors, shelf=shelf))
        for persona_id in await self._database.read(index.personas_with_memories):
            await self._database.read(partial(self._shelves.current, persona_id=persona_id))
        while embedder is not None:
            self._wants_vectors.clear()
            try:
                for shelf in self._shelves.all():
                    while await self._embed_some(shelf, embedder):
                        pass
            except KnowledgeError as error:
                log.warning("vectors could not be kept", extra={"error": type(error).__name__})
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wants_vectors.wait(), 10 * _LOOK_AGAIN_S)

    async def _load_embedder(self) -> Embedder | None:
        try:
            embedder = await self._apart(self._make_embedder)
        except Exception as error:  # whatever a broken installation raises: recall goes on by words
            log.warning("the embedder cannot be loaded", extra={"error": type(error).__name__})
            self.note = f"The embedder cannot be loaded ({type(error).__name__}): recall goes by words alone."
            return None
        self.note = "" if embedder else "The embedder is not installed: recall goes by words alone."
        return embedder

    async def _embed_some(self, shelf: Shelf, embedder: Embedder) -> bool:
        """Give some of a shelf's memories their vectors; return whether there were any without."""
        with shelf.lock:
            ids = shelf.without_vector(_VECTORS_AT_ONCE)
        if not ids:
            return False
        living = await self._database.read(lambda c: index.living_by_id(c, ids))
        made: list[StoredVector] = []
        for at in range(0, len(living), _VECTORS_PER_BREATH):
            some = living[at : at + _VECTORS_PER_BREATH]
            started = time.monotonic()
            made += await self._apart(partial(_vectors, some, embedder))
            took = time.monotonic() - started
            is_busy = time.monotonic() - self._recalled_at < _BUSY_FOR_S
            await asyncio.sleep(took * 4 if is_busy else took * 0.1)
        model, dimensions = embedder.model, embedder.dimensions
        await self._database.write(lambda c: index.store_vectors(c, made, model=model, dimensions=dimensions))
        with shelf.lock:
            for vector in made:
                shelf.put_vector(vector.memory_id, vector.digest, vector.values, vector.scale)
            for memory_id in set(ids).difference(memory.id for memory in living):
                shelf.remove(memory_id)
        return True

    # -------------------------------------------------------------------------------------- uses

    async def _count_uses(self) -> None:
        while True:
            await asyncio.sleep(_USES_EVERY_S)
            try:
                await self.keep_uses()
            except KnowledgeError as error:
                log.warning("uses could not be noted", extra={"error": type(error).__name__})


def _vectors(memories: Sequence[IndexedMemory], embedder: Embedder) -> list[StoredVector]:
    found = embedder.embed([memory.embedded_text for memory in memories])
    made = []
    for memory, vector in zip(memories, found, strict=True):
        values, scale = quantise(vector)
        made.append(StoredVector(memory.id, memory.persona_id, memory.digest, scale, values))
    return made


def _step_back() -> None:
    """Let this thread run when nobody else wants to."""
    with contextlib.suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
