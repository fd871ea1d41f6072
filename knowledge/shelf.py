"""One persona's memories as columns in memory: what ranking needs of each, without asking the database."""

from __future__ import annotations

import re
import threading
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from knowledge.analysis import Analysed, analyse
from knowledge.arrays import Growing
from knowledge.index import IndexedMemory
from knowledge.languages import plain
from knowledge.meaning import Mask, Meaning, Rows
from knowledge.viewer import Viewer
from knowledge.vocabulary import Vocabulary

_ASKS = re.compile(r"[?¿؟？]")
_DIGIT = re.compile(r"\d")
_LEAST_SHARE = 0.02
_MOST_LANGUAGES = 4

COLUMNS = np.dtype(
    [
        ("memory", np.int64),
        ("digest", np.uint32),
        ("start", np.int64),
        ("words", np.uint16),
        ("context", np.uint16),
        ("audience", np.int32),
        ("session", np.int32),
        ("place", np.int32),
        ("before", np.int32),
        ("after", np.int32),
        ("speaker", np.int32),
        ("person", np.int32),
        ("kind", np.int16),
        ("day", np.int32),
        ("second", np.int64),
        ("month", np.int8),
        ("day_of_month", np.int8),
        ("is_own", np.bool_),
        ("is_question", np.bool_),
        ("context_asks", np.bool_),
        ("has_number", np.bool_),
        ("is_here", np.bool_),
        ("importance", np.float32),
    ]
)
_MOST_WORDS = np.iinfo(np.uint16).max
NO_TIME = np.iinfo(np.int64).min


class Codes:
    """Small numbers for strings. 0 stands for the empty one."""

    def __init__(self) -> None:
        self._codes: dict[str, int] = {"": 0}

    def code(self, value: str) -> int:
        return self._codes.setdefault(value, len(self._codes))

    def find(self, value: str) -> int:
        """Return the number of a string, -1 when it never came."""
        return self._codes.get(value, -1)

    def items(self) -> Iterable[tuple[str, int]]:
        return self._codes.items()


class Shelf:
    """The memories of one persona. Rows are only added; one that changed is added anew and the old one closed.

    `lock` is held by whoever reads or changes it. `learnt` is the line of the feed up to which it knows everything;
    rows from `settled` on may be missing in the index of words.
    """

    def __init__(self, persona_id: str, dimensions: int) -> None:
        self.persona_id = persona_id
        self.lock = threading.RLock()
        self.learnt = 0
        self.settled = 0
        self.vocabulary = Vocabulary()
        self.meaning = Meaning(dimensions)
        self.audiences, self.kinds, self.persons = Codes(), Codes(), Codes()
        self._speakers, self._sessions = Codes(), Codes()
        self._names: dict[str, set[int]] = {}
        self._rows: dict[int, int] = {}
        self._columns: dict[str, Growing] = {name: Growing(COLUMNS[name]) for name in COLUMNS.names or ()}
        self._tokens = Growing(np.uint32, room=1024)
        self._last: dict[int, int] = {}
        self._languages: Counter[str] = Counter()
        self._added: deque[tuple[int, int]] = deque()
        self._word_total = 0

    def __len__(self) -> int:
        return len(self._columns["memory"])

    def __getitem__(self, name: str) -> NDArray[Any]:
        """Return one column of every row ever added."""
        return self._columns[name].values

    @property
    def count(self) -> int:
        """How many memories can be found."""
        return len(self._rows)

    @property
    def size_bytes(self) -> int:
        """About how much memory this takes."""
        columns = sum(each.size_bytes for each in self._columns.values())
        return (
            columns + self._tokens.size_bytes + self.meaning.size_bytes + self.vocabulary.size_bytes + 100 * self.count
        )

    @property
    def average_words(self) -> float:
        """How many words a memory has."""
        return self._word_total / max(1, self.count)

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages of these memories, the commonest first."""
        total = sum(self._languages.values())
        common = [code for code, count in self._languages.most_common(_MOST_LANGUAGES) if count >= _LEAST_SHARE * total]
        return tuple(common)

    def row_of(self, memory_id: int) -> int:
        """Return where a memory is, -1 when it is not here."""
        return self._rows.get(memory_id, -1)

    def speakers_called(self, name: str) -> set[int]:
        """Return the speakers one of whose names is this folded word."""
        return self._names.get(name, set())

    def add(self, memories: Sequence[IndexedMemory], *, line: int) -> None:
        """Add memories, each in place of what was known of it. `line` is the line of the feed that told of them."""
        for memory in memories:
            self.remove(memory.id)
        first = len(self)
        for name in self._columns:
            self._columns[name].extend(len(memories))
        self.meaning.extend(len(memories))
        for row, each in enumerate(analyse(memories), first):
            self._fill(row, each)
        self._added.append((line, len(self)))

    def remove(self, memory_id: int) -> None:
        """Close the row of a memory that is gone or about to be added anew."""
        row = self._rows.pop(memory_id, -1)
        if row < 0:
            return
        self["is_here"][row] = False
        self.meaning.known[row] = False
        self._word_total -= int(self["words"][row])
        counts = self.vocabulary.counts.values
        counts[np.unique(self.words_of_row(row))] -= 1
        before, after, session = int(self["before"][row]), int(self["after"][row]), int(self["session"][row])
        if before >= 0:
            self["after"][before] = after
        if after >= 0:
            self["before"][after] = before
        elif self._last.get(session) == row:
            if before >= 0:
                self._last[session] = before
            else:
                del self._last[session]

    def settle(self, line: int) -> None:
        """Note that the index of words knows everything up to this line of the feed."""
        while self._added and self._added[0][0] <= line:
            self.settled = self._added.popleft()[1]

    def unsettle(self) -> None:
        """Note that the index of words is being made again: every row is looked through meanwhile."""
        self.settled = 0
        self._added.clear()
        self._added.append((self.learnt, len(self)))

    def seen_by(self, viewer: Viewer) -> Mask:
        """Return which rows this viewer may see."""
        here: Mask = self["is_here"]
        if viewer.persona_id != self.persona_id:
            return np.zeros(len(self), np.bool_)
        if viewer.sees_all:
            return here.copy()
        held = np.zeros(len(list(self.audiences.items())), np.bool_)
        for audience in viewer.audiences:
            code = self.audiences.find(audience)
            if code >= 0:
                held[code] = True
        seen: Mask = here & held[self["audience"]]
        return seen

    def words_of_row(self, row: int) -> NDArray[np.uint32]:
        """Return the numbers of the stems of one memory's text."""
        start = int(self["start"][row])
        found: NDArray[np.uint32] = self._tokens.values[start : start + int(self["words"][row])]
        return found

    def words_of(self, rows: Rows, *, of_context: bool = False) -> tuple[NDArray[np.uint32], Rows]:
        """Return the numbers of the stems of many rows, one after the other, and to which of `rows` each belongs."""
        starts = self["start"][rows]
        lengths = self["words"][rows].astype(np.int64)
        if of_context:
            starts = starts + lengths
            lengths = self["context"][rows].astype(np.int64)
        ends = np.cumsum(lengths)
        owners = np.repeat(np.arange(len(rows)), lengths)
        places = np.arange(len(owners)) + np.repeat(starts - ends + lengths, lengths)
        return self._tokens.values[places], owners

    def look_through(self, weights: NDArray[np.float32], first: int) -> NDArray[np.float32]:
        """Return for every row from `first` on the sum of its words' weights; context counts a little."""
        found = np.zeros(len(self) - first, np.float32)
        if not len(found):
            return found
        starts = self["start"][first:]
        worth = weights[self._tokens.values[starts[0] :]]
        places = np.flatnonzero(worth)
        rows = np.searchsorted(starts, places + starts[0], side="right") - 1
        in_context = places + starts[0] >= starts[rows] + self["words"][first:][rows]
        share = np.where(in_context, np.float32(0.4), np.float32(1.0))
        found += np.bincount(rows, worth[places] * share, minlength=len(found)).astype(np.float32)
        return found

    def measure(self, dimensions: int) -> None:
        """Make room for vectors of this many dimensions; those of another model are forgotten."""
        if self.meaning.dimensions != dimensions:
            self.meaning = Meaning(dimensions)
            self.meaning.extend(len(self))

    def put_vector(self, memory_id: int, digest: int, values: bytes, scale: float) -> None:
        """Give a memory its vector, unless its words have changed since."""
        row = self.row_of(memory_id)
        if row >= 0 and int(self["digest"][row]) == digest:
            self.meaning.put(row, values, scale)

    def without_vector(self, limit: int) -> list[int]:
        """Return memories that still want a vector, the most important and newest first."""
        rows = np.flatnonzero(self["is_here"] & ~self.meaning.known)
        order = np.lexsort((-self["memory"][rows], -self["importance"][rows]))[:limit]
        return [int(memory_id) for memory_id in self["memory"][rows[order]]]

    def _fill(self, row: int, analysed: Analysed) -> None:
        memory = analysed.memory
        self._languages[analysed.language] += 1
        words, context = analysed.words[:_MOST_WORDS], analysed.context[:_MOST_WORDS]
        numbers = [self.vocabulary.number(stem) for stem in words]
        behind = [self.vocabulary.number(stem) for stem in context]
        start = len(self._tokens)
        self._tokens.extend(len(numbers) + len(behind))[:] = [*numbers, *behind]
        self.vocabulary.counts.values[list(set(numbers))] += 1
        self._word_total += len(words)
        at = memory.happened_at
        values = {
            "memory": memory.id,
            "digest": memory.digest,
            "start": start,
            "words": len(words),
            "context": len(context),
            "audience": self.audiences.code(memory.audience),
            "session": self._sessions.code(memory.session),
            "place": min(memory.place, np.iinfo(np.int32).max),
            "before": -1,
            "after": -1,
            "speaker": self._speaker(memory.speaker),
            "person": self.persons.code(memory.person),
            "kind": self.kinds.code(memory.kind),
            "day": at.toordinal() if at else 0,
            "second": int(at.timestamp()) if at else NO_TIME,
            "month": at.month if at else 0,
            "day_of_month": at.day if at else 0,
            "is_own": memory.is_own,
            "is_question": _is_question(memory.text),
            "context_asks": bool(_ASKS.search(memory.context[-200:])),
            "has_number": bool(_DIGIT.search(memory.text)),
            "is_here": True,
            "importance": memory.importance,
        }
        for name, value in values.items():
            self._columns[name].values[row] = value
        self._rows[memory.id] = row
        if memory.session:
            self._link(row)

    def _link(self, row: int) -> None:
        session, places, memory = int(self["session"][row]), self["place"], self["memory"]
        mine = (int(places[row]), int(memory[row]))
        after, before = -1, self._last.get(session, -1)
        while before >= 0 and (int(places[before]), int(memory[before])) > mine:
            after, before = before, int(self["before"][before])
        self["before"][row], self["after"][row] = before, after
        if before >= 0:
            self["after"][before] = row
        if after >= 0:
            self["before"][after] = row
        else:
            self._last[session] = row

    def _speaker(self, name: str) -> int:
        folded = plain(name)
        known = self._speakers.find(folded)
        if known >= 0:
            return known
        code = self._speakers.code(folded)
        for part in folded.split():
            self._names.setdefault(part, set()).add(code)
        return code


def _is_question(text: str) -> bool:
    """A turn that asks and says nothing beside: it ends in a question mark, or has one early and is short."""
    stripped = text.rstrip(" \t\n)\"'»”*_~!.")
    if stripped.endswith(("?", "؟", "？")):
        rest = re.split(r"[.!?…]\s", stripped)
        return len(rest) == 1 or len(stripped) - len(rest[-1]) < 40
    return False
