"""What the tests of recall share: a persona, memories in a line, and recall with or without what runs behind it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from knowledge.database import Database
from knowledge.engine import EmbeddedRecall
from knowledge.memories import MemoryDraft, add_memories
from knowledge.rows import insert
from knowledge.tables import Persona
from knowledge.viewer import PUBLIC
from tests.fakes import FakeClock

AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class LetterEmbedder:
    """A stand-in for a model: texts with like letters in like order are near. It counts what it was asked."""

    model = "letters"
    dimensions = 64

    def __init__(self) -> None:
        self.texts: list[str] = []

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.texts.extend(texts)
        found = np.full((len(texts), self.dimensions), 1e-3, np.float32)
        for row, text in zip(found, texts, strict=True):
            low = text.lower()
            for first, second in pairwise(low):
                row[(ord(first) * 7 + ord(second)) % self.dimensions] += 1
        return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True), dtype=np.float32)


@dataclass
class World:
    """A database with one persona, to which memories are told."""

    database: Database
    folder: Path
    persona_id: str
    clock: FakeClock
    told: int = 0

    async def tell(self, text: str, *, audience: str = PUBLIC, persona_id: str | None = None, **facts: object) -> int:
        """Add a memory and return its id."""
        self.told += 1
        given = {
            "persona_id": persona_id or self.persona_id,
            "natural_key": f"told-{self.told}",
            "kind": "said",
            "text": text,
            "language": "en",
            "audience": audience,
            "speaker": "Rosalind",
            "is_own": True,
        } | facts
        draft = MemoryDraft(**given)  # type: ignore[arg-type]
        (memory_id,) = await self.database.write(lambda c: add_memories(c, [draft], at=AT))
        return memory_id

    def recall(self, **options: object) -> EmbeddedRecall:
        """Return a recall over this database, without an embedder unless one is given."""
        given: dict[str, object] = {"embedder_factory": lambda: None} | options
        return EmbeddedRecall(self.database, self.folder, clock=self.clock, **given)  # type: ignore[arg-type]


async def make_persona(database: Database, slug: str) -> str:
    """Add a persona and return its id."""
    made = await database.write(lambda c: insert(c, Persona(slug=slug, name=slug.title(), created_at=AT)))
    return made.id


@asynccontextmanager
async def running(recall: EmbeddedRecall) -> AsyncIterator[EmbeddedRecall]:
    """Run what works behind recall."""
    work = asyncio.create_task(recall.run())
    try:
        yield recall
    finally:
        work.cancel()
        with suppress(asyncio.CancelledError):
            await work
        recall.close()


async def until(is_so: Callable[[], bool], *, timeout_s: float = 20.0) -> None:
    """Wait until something is so.

    Raises:
        TimeoutError: when it does not become so in time.
    """
    async with asyncio.timeout(timeout_s):
        while not is_so():
            await asyncio.sleep(0.01)
