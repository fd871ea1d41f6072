"""Recall on one machine: every persona's memories in memory, a folder of words, vectors in the background.

The database holds the truth. Each recall reads what changed since the last one, searches, and reads the hits again
with the viewer's condition, all in one transaction: nothing is served that was edited, taken back or never meant
for this viewer. The index of words and the vectors follow behind.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from sqlalchemy import Connection

from knowledge import index
from knowledge.analysis import audience_tag, kind_tag, own_tag, person_tag
from knowledge.clock import Clock
from knowledge.database import Database
from knowledge.embedder import Embedder, load_local_embedder
from knowledge.index import ShownMemory
from knowledge.meaning import Mask, Vectors
from knowledge.question import Question, understand
from knowledge.ranking import FEATURES, Ranked, rank
from knowledge.recall import Period, Recalled
from knowledge.shelf import NO_TIME, Shelf
from knowledge.shelves import Shelves
from knowledge.upkeep import Upkeep
from knowledge.viewer import Viewer
from knowledge.words import TantivyWords, WordsIndex, WordsUnavailable

_LOOKED_THROUGH = 4000
_WORDS_FOUND = 200
_SPARE_HITS = 8
_QUESTIONS_KEPT = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class RecallStatus:
    """How far the indexes are with the personas in use.

    `is_indexed`: the index of words is there and can be asked. `note` says in words what is missing, if anything is.
    """

    memories: int
    is_indexed: bool
    words_waiting: int
    vectors: int
    vectors_waiting: int
    embedder: str
    note: str
    size_bytes: int


class EmbeddedRecall:
    """Finds memories. `run` keeps the indexes up in the background; recall is right without it, and slower."""

    def __init__(
        self,
        database: Database,
        folder: Path,
        *,
        clock: Clock,
        embedder_factory: Callable[[], Embedder | None] | None = None,
        words: WordsIndex | None = None,
        looked_through: int = _LOOKED_THROUGH,
    ) -> None:
        """`folder` is recall's own and may be deleted at any time. `looked_through`: personas with fewer memories
        are read row by row, which is faster than asking the index of words."""
        self._database = database
        self._clock = clock
        self._words: WordsIndex = words or TantivyWords(folder / "words")
        self._looked_through = looked_through
        self._shelves = Shelves()
        self._questions = _Questions()
        self._upkeep = Upkeep(
            database,
            self._shelves,
            self._words,
            clock=clock,
            make_embedder=embedder_factory or (lambda: load_local_embedder(folder / "model")),
        )

    async def recall(
        self,
        viewer: Viewer,
        question: str,
        *,
        limit: int = 8,
        during: Period | None = None,
        own_only: bool = False,
        kinds: frozenset[str] | None = None,
        with_person: str | None = None,
        names: tuple[str, ...] = (),
        now: datetime | None = None,
    ) -> list[Recalled]:
        """Return the memories that best answer `question`, best first; with no question, what a period holds."""
        wanted = _Wanted(viewer, limit, during, own_only, kinds, with_person)
        at = now or self._clock.now()
        found = await self._database.read(lambda c: self._recall(c, wanted, question, names, at))
        self._upkeep.recalled(hit.memory_id for hit in found)
        return found

    def notify(self) -> None:
        """Wake the background work: memories were added or changed. Call it in the event loop, after the commit."""
        self._upkeep.notify()

    async def run(self) -> None:
        """Keep the indexes up until cancelled."""
        await self._upkeep.run()

    async def rebuild(self) -> None:
        """Make the index of words again from the database. Recall goes on meanwhile."""
        await self._upkeep.rebuild()

    async def keep_uses(self) -> None:
        """Write down how often memories were recalled; `run` does it now and then."""
        await self._upkeep.keep_uses()

    def status(self) -> RecallStatus:
        """Return how far the indexes are."""
        shelves, embedder = self._shelves.all(), self._shelves.embedder
        memories = sum(shelf.count for shelf in shelves)
        vectors = sum(int(np.count_nonzero(shelf.meaning.known)) for shelf in shelves)
        return RecallStatus(
            memories=memories,
            is_indexed=self._shelves.place is not None,
            words_waiting=sum(int(np.count_nonzero(shelf["is_here"][shelf.settled :])) for shelf in shelves),
            vectors=vectors,
            vectors_waiting=memories - vectors if embedder else 0,
            embedder=embedder.model if embedder else "",
            note=self._upkeep.note,
            size_bytes=sum(shelf.size_bytes for shelf in shelves),
        )

    def close(self) -> None:
        """Let go of the folder. What the indexes had not kept yet they learn again after the next start."""
        self._upkeep.close()

    def _recall(
        self, c: Connection, wanted: _Wanted, text: str, names: tuple[str, ...], now: datetime
    ) -> list[Recalled]:
        shelf = self._shelves.current(c, wanted.viewer.persona_id)
        question = understand(text, names=names, spoken=shelf.languages, now=now)
        vector = self._vector_of(question, shelf)
        with shelf.lock:
            seen = shelf.seen_by(wanted.viewer)
            ranked, is_readable = self._rank(shelf, question, vector, seen, wanted)
            ids = shelf["memory"][ranked.rows].tolist()
            before = shelf["before"][ranked.rows]
            hides_context = ((before >= 0) & ~seen[before]).tolist()
        if not is_readable:
            self._upkeep.report_broken_words()
        # More than are wanted, for those that the database no longer shows and for repeated words.
        ids = ids[: wanted.limit + _SPARE_HITS]
        memories = index.shown(c, wanted.viewer, ids)
        hits: list[Recalled] = []
        texts: set[str] = set()
        for at, memory_id in enumerate(ids):
            memory = memories.get(memory_id)
            if memory is None or memory.text in texts or not wanted.includes(memory):
                continue
            texts.add(memory.text)
            hits.append(_hit(memory, ranked, at, hides_context=hides_context[at]))
            if len(hits) == wanted.limit:
                break
        return hits

    def _rank(
        self, shelf: Shelf, question: Question, vector: Vectors | None, seen: Mask, wanted: _Wanted
    ) -> tuple[Ranked, bool]:
        """Return the hits, and whether the index of words could be read, if it was asked."""
        is_readable = True

        def search(terms: Sequence[tuple[str, float]]) -> list[int] | None:
            nonlocal is_readable
            if self._shelves.place is None:
                return None
            try:
                return self._words.search(terms, wanted.tags(), limit=_WORDS_FOUND)
            except WordsUnavailable:
                is_readable = False
                return None

        ranked = rank(
            shelf,
            question,
            vector,
            seen=seen,
            eligible=wanted.eligible(shelf, seen),
            person=shelf.persons.find(wanted.viewer.person_id or ""),
            search=search,
            looked_through=self._looked_through,
        )
        return ranked, is_readable

    def _vector_of(self, question: Question, shelf: Shelf) -> Vectors | None:
        embedder = self._shelves.embedder
        if embedder is None or not question.text.strip() or not shelf.meaning.known.any():
            return None
        return self._questions.vector(question.text, embedder)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Whose memories and which of them may be returned."""

    viewer: Viewer
    limit: int
    during: Period | None
    own_only: bool
    kinds: frozenset[str] | None
    with_person: str | None

    def eligible(self, shelf: Shelf, seen: Mask) -> Mask:
        """Return which of the rows that are seen may be returned."""
        found = seen.copy()
        if self.own_only:
            found &= shelf["is_own"]
        if self.kinds is not None:
            found &= np.isin(shelf["kind"], [shelf.kinds.find(kind) for kind in self.kinds])
        if self.with_person is not None:
            found &= shelf["person"] == shelf.persons.find(self.with_person)
        if self.during is not None:
            seconds = shelf["second"]
            found &= seconds != NO_TIME
            if self.during.since is not None:
                found &= seconds >= int(self.during.since.timestamp())
            if self.during.until is not None:
                found &= seconds <= int(self.during.until.timestamp())
        return found

    def includes(self, memory: ShownMemory) -> bool:
        """Return whether a memory, as it is now, is still what was asked for."""
        return (not self.own_only or memory.is_own) and (self.kinds is None or memory.kind in self.kinds)

    def tags(self) -> list[list[str]]:
        """Return what the index of words filters by before it ranks."""
        persona = self.viewer.persona_id
        held = [audience_tag(persona, audience) for audience in sorted(self.viewer.audiences)]
        found = [[persona] if self.viewer.sees_all else held]
        if self.own_only:
            found.append([own_tag(persona)])
        if self.kinds is not None:
            found.append([kind_tag(persona, kind) for kind in sorted(self.kinds)])
        if self.with_person is not None:
            found.append([person_tag(persona, self.with_person)])
        return found


class _Questions:
    """The vectors of the last questions: a turn asks the same thing more than once."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, str], Vectors] = OrderedDict()
        self._lock = threading.Lock()

    def vector(self, text: str, embedder: Embedder) -> Vectors:
        key = (embedder.model, text)
        with self._lock:
            found = self._known.get(key)
        if found is None:
            found = embedder.embed([text])[0]
            with self._lock:
                self._known[key] = found
                while len(self._known) > _QUESTIONS_KEPT:
                    self._known.popitem(last=False)
        return found


def _hit(memory: ShownMemory, ranked: Ranked, at: int, *, hides_context: bool) -> Recalled:
    features = {name: value for name, value in zip(FEATURES, ranked.features[at].tolist(), strict=True) if value}
    return Recalled(
        memory_id=memory.id,
        text=memory.text,
        kind=memory.kind,
        speaker=memory.speaker,
        is_own=memory.is_own,
        context="" if hides_context else memory.context,
        language=memory.language,
        happened_at=memory.happened_at,
        session=memory.session,
        source_id=memory.source_id,
        source_name=memory.source_name or "",
        score=float(ranked.scores[at]),
        features=features,
    )
