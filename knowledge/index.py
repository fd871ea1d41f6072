"""What the search indexes read and write in the database: living memories, the feed of changes, vectors and uses."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Select, bindparam, delete, func, insert, select, update

from knowledge.rows import in_parts, table
from knowledge.tables import Conversation, Cursor, Memory, MemoryFeed, MemoryVector, Source, new_id
from knowledge.viewer import Viewer, visible

_OWNER = "recall"
_FEW_WORDS = 8
_PART = 1000

_memory = table(Memory)
_feed = table(MemoryFeed)
_vector = table(MemoryVector)
_cursor = table(Cursor)
_source = table(Source)
_conversation = table(Conversation)

_LIVING = (_memory.c.deleted_at.is_(None), _memory.c.superseded_by.is_(None))
_INDEXED = (
    *(_memory.c[name] for name in ("id", "persona_id", "kind", "text", "context", "language", "audience", "speaker")),
    *(_memory.c[name] for name in ("speaker_id", "subject", "is_own", "session", "place", "happened_at", "importance")),
    _memory.c.mentions,
    _conversation.c.person_id.label("with_person"),
)
_NEWEST_CHANGE = select(func.max(_feed.c.id))
_SHOWN = (
    *(_memory.c[name] for name in ("id", "text", "kind", "speaker", "is_own", "context", "language", "happened_at")),
    *(_memory.c[name] for name in ("session", "source_id")),
    _source.c.name.label("source_name"),
)


@dataclass(frozen=True, slots=True)
class IndexedMemory:
    """What the indexes know of one memory."""

    id: int
    persona_id: str
    kind: str
    text: str
    context: str
    language: str
    audience: str
    speaker: str
    speaker_id: str | None
    subject: str
    is_own: bool
    session: str
    place: int
    happened_at: datetime | None
    importance: float
    mentions: list[str]
    with_person: str | None

    @property
    def person(self) -> str:
        """With whom it was said, or who said it; empty when neither is known."""
        return self.with_person or self.speaker_id or ""

    @property
    def embedded_text(self) -> str:
        """The words that stand for it in the vector: a very short one needs what it answers."""
        if self.context and len(self.text.split()) < _FEW_WORDS:
            return f"{self.context[-300:]}\n{self.text}"
        return self.text

    @property
    def digest(self) -> int:
        """The checksum of the embedded words."""
        return zlib.crc32(self.embedded_text.encode("utf-8", "surrogatepass"))


@dataclass(frozen=True, slots=True)
class StoredVector:
    """The vector of one memory as it is kept."""

    memory_id: int
    persona_id: str
    digest: int
    scale: float
    values: bytes


@dataclass(frozen=True, slots=True)
class ShownMemory:
    """What a hit shows, read when it is shown."""

    id: int
    text: str
    kind: str
    speaker: str
    is_own: bool
    context: str
    language: str
    happened_at: datetime | None
    session: str
    source_id: str | None
    source_name: str | None


@dataclass(frozen=True, slots=True)
class Change:
    """One line of the feed: this memory is new, different or gone."""

    number: int
    memory_id: int
    persona_id: str


def living_of_persona(c: Connection, persona_id: str) -> Iterator[list[IndexedMemory]]:
    """Yield every memory of a persona that can be found, oldest first, in parts that are small in memory."""
    mine = _living().where(_memory.c.persona_id == persona_id).order_by(_memory.c.id)
    for rows in c.execute(mine, execution_options={"yield_per": _PART}).partitions():
        yield [IndexedMemory(*row) for row in rows]


def living_by_id(c: Connection, ids: Iterable[int]) -> list[IndexedMemory]:
    """Return those of the memories that can be found, oldest first."""
    parts = in_parts(sorted(set(ids)))
    return [row for part in parts for row in _read(c, _living().where(_memory.c.id.in_(part)).order_by(_memory.c.id))]


def living_after(c: Connection, memory_id: int, *, limit: int) -> list[IndexedMemory]:
    """Return the next memories of all personas after this id, to read everything in parts."""
    return _read(c, _living().where(_memory.c.id > memory_id).order_by(_memory.c.id).limit(limit))


def personas_with_memories(c: Connection) -> list[str]:
    """Return the personas that have memories, the one with the newest memory first."""
    newest = func.max(_memory.c.id)
    query = select(_memory.c.persona_id).group_by(_memory.c.persona_id).order_by(newest.desc())
    return list(c.execute(query).scalars())


def newest_change(c: Connection) -> int:
    """Return the number of the feed's last line, 0 when there was none."""
    return int(c.execute(_NEWEST_CHANGE).scalar() or 0)


def changes_after(
    c: Connection, number: int, *, persona_id: str | None = None, limit: int | None = None
) -> list[Change]:
    """Return the feed's lines after `number`, in order."""
    query = select(_feed.c.id, _feed.c.memory_id, _feed.c.persona_id).where(_feed.c.id > number).order_by(_feed.c.id)
    if persona_id is not None:
        query = query.where(_feed.c.persona_id == persona_id)
    return [Change(*row) for row in c.execute(query if limit is None else query.limit(limit))]


def trim_changes(c: Connection, number: int) -> None:
    """Forget the feed's lines before `number`. That line itself stays, so that its number is never given again."""
    c.execute(delete(_feed).where(_feed.c.id < number))
    set_cursor(c, "trimmed", str(number - 1))


def shown(c: Connection, viewer: Viewer, ids: Sequence[int]) -> dict[int, ShownMemory]:
    """Return those of the memories that this viewer may see now, as they are now."""
    if not ids:
        return {}
    return {row[0]: ShownMemory(*row) for row in c.execute(_shown_to(viewer), {"ids": list(ids)})}


@lru_cache(maxsize=512)
def _shown_to(viewer: Viewer) -> Select[Any]:
    # Building this costs more than running it, and every answer runs it.
    joined = _memory.outerjoin(_source, _source.c.id == _memory.c.source_id)
    # The rows are found by their ids: as a bare column the persona would tempt SQLite to walk through all of its rows.
    seen = visible(viewer, func.coalesce(_memory.c.persona_id, ""), _memory.c.audience)
    wanted = _memory.c.id.in_(bindparam("ids", expanding=True))
    return select(*_SHOWN).select_from(joined).where(wanted, seen, *_LIVING)


def vectors_of_persona(c: Connection, persona_id: str, model: str) -> Iterator[StoredVector]:
    """Yield the vectors that `model` made of a persona's memories."""
    query = select(
        _vector.c.memory_id, _vector.c.persona_id, _vector.c.digest, _vector.c.scale, _vector.c.vector
    ).where(_vector.c.persona_id == persona_id, _vector.c.model == model)
    found = c.execute(query, execution_options={"yield_per": _PART})
    return (StoredVector(*row) for row in found)


def store_vectors(c: Connection, vectors: Sequence[StoredVector], *, model: str, dimensions: int) -> None:
    """Keep vectors, each in place of the one before; those of memories that are gone are left out."""
    for part in in_parts(vectors):
        ids = [vector.memory_id for vector in part]
        alive = set(c.execute(select(_memory.c.id).where(_memory.c.id.in_(ids), *_LIVING)).scalars())
        c.execute(delete(_vector).where(_vector.c.memory_id.in_(ids)))
        rows = [
            {
                "memory_id": vector.memory_id,
                "persona_id": vector.persona_id,
                "model": model,
                "dimensions": dimensions,
                "scale": vector.scale,
                "digest": vector.digest,
                "vector": vector.values,
            }
            for vector in part
            if vector.memory_id in alive
        ]
        if rows:
            c.execute(insert(_vector), rows)


def note_uses(c: Connection, uses: Mapping[int, int], *, at: datetime) -> None:
    """Add to how often memories were recalled."""
    for memory_id, count in uses.items():
        change = update(_memory).where(_memory.c.id == memory_id)
        c.execute(change.values(uses=_memory.c.uses + count, last_used_at=at))


def identity(c: Connection) -> str:
    """Return the name of this database, given on the first call: an index of another database is not used."""
    found = cursor(c, "identity")
    if not found:
        found = new_id()
        set_cursor(c, "identity", found)
    return found


def cursor(c: Connection, name: str) -> str:
    """Return a place that recall noted, empty when it did not."""
    query = select(_cursor.c.value).where(_cursor.c.account_id == _OWNER, _cursor.c.name == name)
    return c.execute(query).scalar() or ""


def set_cursor(c: Connection, name: str, value: str) -> None:
    """Note a place."""
    mine = (_cursor.c.account_id == _OWNER, _cursor.c.name == name)
    if not c.execute(update(_cursor).where(*mine).values(value=value)).rowcount:
        c.execute(insert(_cursor).values(account_id=_OWNER, name=name, value=value))


def _living() -> Select[Any]:
    joined = _memory.outerjoin(_conversation, _conversation.c.id == _memory.c.conversation_id)
    return select(*_INDEXED).select_from(joined).where(*_LIVING)


def _read(c: Connection, query: Select[Any]) -> list[IndexedMemory]:
    return [IndexedMemory(*row) for row in c.execute(query)]
