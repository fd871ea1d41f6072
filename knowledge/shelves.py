"""The memories of every persona in use, kept in step with the database's feed of changes."""

from __future__ import annotations

import threading

from sqlalchemy import Connection

from knowledge import index
from knowledge.embedder import Embedder
from knowledge.shelf import Shelf

_DIMENSIONS = 384
_MOST_CLOSED, _FEW_ROWS = 2, 1000


class Shelves:
    """One shelf for each persona that was asked. `place` is the line of the feed that the index of words reaches.

    `place` is None while that index cannot be asked. Whatever changes the set of shelves, or what a new shelf
    begins with, holds the lock, so that a shelf being loaded misses nothing.
    """

    def __init__(self) -> None:
        self.place: int | None = None
        self.embedder: Embedder | None = None
        self._shelves: dict[str, Shelf] = {}
        self._lock = threading.RLock()

    def all(self) -> list[Shelf]:
        """Return the shelves there are."""
        return list(self._shelves.values())

    def current(self, c: Connection, persona_id: str) -> Shelf:
        """Return a persona's memories as they stand in this transaction, at the least."""
        shelf = self._shelves.get(persona_id)
        if shelf is None:
            with self._lock:
                shelf = self._shelves.get(persona_id)
                if shelf is None:
                    shelf = self._shelves[persona_id] = self._load(c, persona_id)
        self.catch_up(c, shelf)
        return shelf

    def catch_up(self, c: Connection, shelf: Shelf) -> None:
        """Let a shelf learn what changed."""
        newest = index.newest_change(c)
        if newest <= shelf.learnt:
            return
        with shelf.lock:
            if newest <= shelf.learnt:
                return
            changes = index.changes_after(c, shelf.learnt, persona_id=shelf.persona_id)
            ids = {change.memory_id for change in changes}
            living = index.living_by_id(c, ids)
            for memory_id in ids.difference(memory.id for memory in living):
                shelf.remove(memory_id)
            if living:
                shelf.add(living, line=newest)
            shelf.learnt = newest

    def all_reach(self, c: Connection, line: int) -> int:
        """Let every shelf learn the feed up to `line` and return the line that all of them have reached."""
        with self._lock:
            for shelf in self.all():
                if shelf.learnt < line:
                    self.catch_up(c, shelf)
                if len(shelf) > _MOST_CLOSED * shelf.count + _FEW_ROWS:
                    # Mostly rows that were closed: the next question loads it anew.
                    del self._shelves[shelf.persona_id]
            return min([line, *(shelf.learnt for shelf in self.all())])

    def words_reach(self, place: int) -> None:
        """Note that the index of words knows everything up to this line of the feed."""
        with self._lock:
            self.place = place
            for shelf in self.all():
                with shelf.lock:
                    shelf.settle(place)

    def words_are_gone(self) -> None:
        """Note that the index of words cannot be asked: the shelves are looked through row by row meanwhile."""
        with self._lock:
            self.place = None
            for shelf in self.all():
                with shelf.lock:
                    shelf.unsettle()

    def embed_with(self, embedder: Embedder) -> list[Shelf]:
        """Let vectors be those of this embedder from now on; return the shelves that have none of them yet."""
        with self._lock:
            self.embedder = embedder
            for shelf in self.all():
                with shelf.lock:
                    shelf.measure(embedder.dimensions)
            return self.all()

    def take_vectors(self, c: Connection, shelf: Shelf) -> None:
        """Give a shelf the vectors that are kept in the database."""
        if self.embedder is None:
            return
        stored = index.vectors_of_persona(c, shelf.persona_id, self.embedder.model)
        with shelf.lock:
            for vector in stored:
                shelf.put_vector(vector.memory_id, vector.digest, vector.values, vector.scale)

    def _load(self, c: Connection, persona_id: str) -> Shelf:
        shelf = Shelf(persona_id, self.embedder.dimensions if self.embedder else _DIMENSIONS)
        newest = index.newest_change(c)
        place = newest if self.place is None else self.place
        changed = {change.memory_id for change in index.changes_after(c, place, persona_id=persona_id)}
        for memories in index.living_of_persona(c, persona_id):
            shelf.add([memory for memory in memories if memory.id not in changed], line=place)
        if self.place is not None:
            shelf.settle(place)
        # What the index of words may still know otherwise goes last, where it is looked through row by row.
        shelf.add(index.living_by_id(c, changed), line=newest)
        shelf.learnt = newest
        self.take_vectors(c, shelf)
        return shelf
