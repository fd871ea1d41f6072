"""Recall of the right memory on questions in three languages, and what a question costs, at growing sizes.

Sizes: 1,000, 10,000 and 100,000 memories of one persona, with others beside it, by words alone and with vectors.
Of the 100,000 only 10,000 are really embedded, the rest take theirs with noise: embedding all takes minutes.
`python -m benchmarks.recall --dialogues FILE` reports the recall of evidence turns on a file in LoCoMo's format.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.dialogues import NOW, Asked, Dialogue, make_dialogue
from knowledge import index
from knowledge.clock import SystemClock
from knowledge.database import Database
from knowledge.embedder import Embedder, load_local_embedder
from knowledge.engine import EmbeddedRecall
from knowledge.index import StoredVector
from knowledge.meaning import quantise
from knowledge.memories import MemoryDraft, add_memories
from knowledge.rows import insert
from knowledge.tables import Persona, metadata
from knowledge.viewer import owner_viewer

_SIZES = (1_000, 10_000, 100_000)
_LANGUAGES = ("en", "es", "pt")
_MOST_EMBEDDED = 10_000
_AT_ONCE = 2_000
_FIRST = (1, 5, 10, 20)


@dataclass
class Material:
    """Memories of one persona and the questions about them, with the natural keys of the evidence."""

    drafts: list[MemoryDraft] = field(default_factory=list)
    questions: list[tuple[str, str, tuple[str, ...], frozenset[str], datetime]] = field(default_factory=list)


def main(arguments: Sequence[str] = ()) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="benchmarks.recall")
    parser.add_argument("--dialogues", type=Path, help="a file in LoCoMo's format")
    parser.add_argument("--sizes", type=int, nargs="+", default=_SIZES)
    given = parser.parse_args(arguments)
    if given.dialogues:
        asyncio.run(_measure_dialogues(given.dialogues))
        return
    print("memories  by             R@5    R@10   CPU ms  p50 ms  p99 ms  MB of recall  made in s")
    for size in given.sizes:
        for with_vectors in (False, True):
            asyncio.run(_measure_size(size, with_vectors=with_vectors))


def material_of(persona_id: str, dialogues: Sequence[Dialogue]) -> Material:
    """Return conversations as memories and questions of one persona."""
    made = Material()
    for number, dialogue in enumerate(dialogues):
        name = f"{dialogue.language}{number}"
        made.drafts += [
            MemoryDraft(
                persona_id=persona_id,
                natural_key=f"{name}-{turn.number}",
                kind="said" if turn.is_own else "heard",
                text=turn.text,
                context=turn.context,
                language=dialogue.language,
                speaker=turn.speaker,
                is_own=turn.is_own,
                session=f"{name}-{turn.session}",
                place=turn.place,
                happened_at=turn.at,
            )
            for turn in dialogue.turns
        ]
        made.questions += [_question(dialogue, name, asked) for asked in dialogue.questions]
    return made


def _question(
    dialogue: Dialogue, name: str, asked: Asked
) -> tuple[str, str, tuple[str, ...], frozenset[str], datetime]:
    evidence = frozenset(f"{name}-{number}" for number in asked.evidence)
    return f"{dialogue.language} {asked.kind}", asked.text, (dialogue.persona, dialogue.other), evidence, NOW


async def _measure_size(size: int, *, with_vectors: bool) -> None:
    embedder = load_local_embedder(Path(tempfile.gettempdir()) / "memoras-benchmark") if with_vectors else None
    async with _database() as (database, folder):
        persona_id, other_id = await _persona(database, "one"), await _persona(database, "other")
        made = material_of(persona_id, [make_dialogue(code, 900, turns=size // 3) for code in _LANGUAGES])
        beside = material_of(other_id, [make_dialogue("en", 901, turns=max(500, size // 10))])
        began = time.monotonic()
        keys = await _store(database, made)
        await _store(database, beside)
        if embedder is not None:
            await _store_vectors(database, embedder, made.drafts, keys)
        recall = EmbeddedRecall(database, folder, clock=SystemClock(), embedder_factory=lambda: embedder)
        async with _running(recall):
            await recall.recall(owner_viewer(persona_id), "warm")
            await _settled(recall, lambda: embedder is None or recall.status().vectors >= len(made.drafts))
            took = time.monotonic() - began
            found, waits, cpu_s = await _ask_all(recall, persona_id, made, keys)
            status = recall.status()
    shares = [value for values in found.values() for value in values]
    waits.sort()
    print(
        f"{len(made.drafts):>8}  {'words, vectors' if with_vectors else 'words alone':<14}"
        f" {_mean(shares, 5):.3f}  {_mean(shares, 10):.3f}  {1000 * cpu_s / len(waits):>6.2f}"
        f"  {1000 * waits[len(waits) // 2]:>6.2f}  {1000 * waits[int(len(waits) * 0.99)]:>6.2f}"
        f"  {status.size_bytes / 1e6:>12.1f}  {took:>9.0f}",
        flush=True,
    )
    for group in (*_LANGUAGES, *sorted({name.split()[1] for name in found})):
        values = [value for name, each in found.items() if group in name.split() for value in each]
        print(f"            {group:<12} R@5 {_mean(values, 5):.3f}  R@10 {_mean(values, 10):.3f}", flush=True)


async def _measure_dialogues(path: Path) -> None:
    embedder = load_local_embedder(Path(tempfile.gettempdir()) / "memoras-benchmark")
    for name, used in (("words alone", None), ("words, vectors", embedder)):
        shares: list[dict[int, float]] = []
        for sample in json.loads(path.read_text(encoding="utf-8")):
            shares += await _measure_sample(sample, used)
        figures = "  ".join(f"R@{first} {_mean(shares, first):.3f}" for first in _FIRST)
        print(f"{name:<15} {figures}  ({len(shares)} questions)", flush=True)


async def _measure_sample(sample: dict[str, Any], embedder: Embedder | None) -> list[dict[int, float]]:
    async with _database() as (database, folder):
        persona_id = await _persona(database, "one")
        made = _sample_material(persona_id, sample)
        keys = await _store(database, made)
        if embedder is not None:
            await _store_vectors(database, embedder, made.drafts, keys)
        recall = EmbeddedRecall(database, folder, clock=SystemClock(), embedder_factory=lambda: embedder)
        async with _running(recall):
            await _settled(recall, lambda: embedder is None or recall.status().vectors >= len(made.drafts))
            found, _, _ = await _ask_all(recall, persona_id, made, keys)
        return [value for values in found.values() for value in values]


def _sample_material(persona_id: str, sample: dict[str, Any]) -> Material:
    made, talk = Material(), sample["conversation"]
    names = (talk["speaker_a"], talk["speaker_b"])
    at = NOW
    for number in sorted(int(match[1]) for match in map(re.compile(r"session_(\d+)$").match, talk) if match):
        at = _sample_time(talk.get(f"session_{number}_date_time", "")) or at
        context = ""
        for place, turn in enumerate(talk[f"session_{number}"]):
            text = turn["text"] + (f" [{turn['blip_caption']}]" if turn.get("blip_caption") else "")
            is_own = turn["speaker"] == names[0]
            made.drafts.append(
                MemoryDraft(
                    persona_id=persona_id,
                    natural_key=turn["dia_id"],
                    kind="said" if is_own else "heard",
                    text=text,
                    context=context,
                    language="en",
                    speaker=turn["speaker"],
                    is_own=is_own,
                    session=str(number),
                    place=place,
                    happened_at=at,
                )
            )
            context = text
    known = {draft.natural_key for draft in made.drafts}
    for asked in sample["qa"]:
        evidence = frozenset(key for given in asked.get("evidence", []) for key in re.findall(r"D\d+:\d+", given))
        if evidence & known:
            made.questions.append(("en all", asked["question"], names, evidence & known, at))
    return made


def _sample_time(text: str) -> datetime | None:
    for form in ("%I:%M %p on %d %B, %Y", "%I:%M %p on %d %b, %Y"):
        with suppress(ValueError):
            return datetime.strptime(text, form).replace(tzinfo=UTC)
    return None


async def _ask_all(
    recall: EmbeddedRecall, persona_id: str, made: Material, keys: dict[int, str]
) -> tuple[dict[str, list[dict[int, float]]], list[float], float]:
    found: dict[str, list[dict[int, float]]] = defaultdict(list)
    waits: list[float] = []
    viewer = owner_viewer(persona_id)
    began = time.process_time()
    for kind, text, names, evidence, now in made.questions:
        started = time.perf_counter()
        hits = await recall.recall(viewer, text, limit=max(_FIRST), names=names, now=now)
        waits.append(time.perf_counter() - started)
        order = [keys[hit.memory_id] for hit in hits]
        found[kind].append({first: len(evidence.intersection(order[:first])) / len(evidence) for first in _FIRST})
    return found, waits, time.process_time() - began


def _mean(shares: Sequence[dict[int, float]], first: int) -> float:
    return sum(share[first] for share in shares) / max(1, len(shares))


async def _store(database: Database, made: Material) -> dict[int, str]:
    keys: dict[int, str] = {}
    for start in range(0, len(made.drafts), _AT_ONCE):
        part = made.drafts[start : start + _AT_ONCE]
        ids = await database.write(lambda c, part=part: add_memories(c, part, at=NOW))  # type: ignore[misc]
        keys.update(zip(ids, (draft.natural_key for draft in part), strict=True))
    return keys


async def _store_vectors(
    database: Database, embedder: Embedder, drafts: Sequence[MemoryDraft], keys: dict[int, str]
) -> None:
    """Put the vectors in as the background work would, a part of them real and the rest near them."""
    chance = np.random.default_rng(1)
    ids, made = list(keys), []
    for start in range(0, len(ids), _AT_ONCE):
        wanted = ids[start : start + _AT_ONCE]
        living = await database.read(lambda c, wanted=wanted: index.living_by_id(c, wanted))  # type: ignore[misc]
        if start < _MOST_EMBEDDED:
            vectors = await asyncio.to_thread(embedder.embed, [memory.embedded_text for memory in living])
            made.append(vectors)
        else:
            near = made[start // _AT_ONCE % len(made)][: len(living)]
            vectors = near + chance.normal(0, 0.02, near.shape).astype(np.float32)
        stored = [
            StoredVector(memory.id, memory.persona_id, memory.digest, *reversed(quantise(vector)))
            for memory, vector in zip(living, vectors, strict=True)
        ]
        store: Callable[[Any], None] = lambda c, stored=stored: index.store_vectors(  # noqa: E731
            c, stored, model=embedder.model, dimensions=embedder.dimensions
        )
        await database.write(store)


async def _persona(database: Database, slug: str) -> str:
    made = await database.write(lambda c: insert(c, Persona(slug=slug, name=slug, created_at=NOW)))
    return made.id


async def _settled(recall: EmbeddedRecall, is_so: Callable[[], bool]) -> None:
    while not (recall.status().is_indexed and recall.status().words_waiting == 0 and is_so()):
        await asyncio.sleep(0.05)


@asynccontextmanager
async def _database() -> AsyncIterator[tuple[Database, Path]]:
    with tempfile.TemporaryDirectory() as folder:
        database = Database(Path(folder) / "memoras.sqlite3")
        await database.write(metadata.create_all)
        try:
            yield database, Path(folder) / "recall"
        finally:
            database.close()


@asynccontextmanager
async def _running(recall: EmbeddedRecall) -> AsyncIterator[None]:
    work = asyncio.create_task(recall.run())
    try:
        yield
    finally:
        work.cancel()
        with suppress(asyncio.CancelledError):
            await work
        recall.close()


if __name__ == "__main__":
    main(sys.argv[1:])
