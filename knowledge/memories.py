"""Memories: kept once, shown to whom they are for, corrected and taken back.

Every change writes to the feed that the search indexes follow, in the same transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from types import EllipsisType
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, func, or_, select, update

from knowledge.errors import Forbidden, NotFound
from knowledge.people import circles, person
from knowledge.rows import all_of, first_of, in_parts, insert, insert_many, insert_new, table
from knowledge.tables import (
    FootprintRecord,
    Memory,
    MemoryFeed,
    MemoryRevision,
    MemoryVector,
    Profile,
    Source,
)
from knowledge.viewer import OWNER, PUBLIC, Viewer, circle_audience, visible

_LONG_ENOUGH_TO_FIND = 12

_memory = table(Memory)
_revision = table(MemoryRevision)
_source = table(Source)


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryDraft:
    """One memory as whoever learnt it gives it. `natural_key` is the same for the same thing, whenever it is learnt."""

    persona_id: str
    natural_key: str
    kind: str
    text: str
    context: str = ""
    language: str = ""
    audience: str = OWNER
    speaker: str = ""
    speaker_id: str | None = None
    is_own: bool = False
    session: str = ""
    place: int = 0
    happened_at: datetime | None = None
    importance: float = 0.3
    source_id: str | None = None
    record_id: int | None = None
    conversation_id: str | None = None
    message_id: int | None = None
    evidence: tuple[int, ...] = ()
    mentions: tuple[str, ...] = ()


def add_memories(c: Connection, drafts: Sequence[MemoryDraft], *, at: datetime) -> list[int]:
    """Keep what is not kept yet and return the new ids; what was taken back on purpose stays away."""
    rows = [
        asdict(draft) | {"recorded_at": at, "evidence": list(draft.evidence), "mentions": list(draft.mentions)}
        for draft in drafts
    ]
    new: list[int] = insert_new(c, Memory, rows, "persona_id", "natural_key")
    _feed(c, new)
    return new


def memories(
    c: Connection,
    viewer: Viewer,
    *,
    words: str = "",
    kind: str | None = None,
    audience: str | None = None,
    source_id: str | None = None,
    before_id: int | None = None,
    limit: int = 50,
) -> list[Memory]:
    """Return what the viewer may see, newest first, to be read page by page: go on with `before_id`.

    Every word of `words` must stand in the text or the speaker's name.
    """
    query = select(_memory).where(_seen_by(viewer))
    for word in words.split():
        query = query.where(or_(*_written(word)))
    for column, wanted in (("kind", kind), ("audience", audience), ("source_id", source_id)):
        if wanted is not None:
            query = query.where(_memory.c[column] == wanted)
    if before_id is not None:
        query = query.where(_memory.c.id < before_id)
    return _shown(viewer, all_of(c, Memory, query.order_by(_memory.c.id.desc()).limit(limit)))


def memory(c: Connection, viewer: Viewer, memory_id: int) -> Memory:
    """Return one memory.

    Raises:
        NotFound: when there is none, or none that the viewer may see.
    """
    found = first_of(c, Memory, select(_memory).where(_seen_by(viewer), _memory.c.id == memory_id))
    if found is None:
        raise NotFound("There is no such memory, or it is not for you.")
    return _shown(viewer, [found])[0]


def memories_by_id(c: Connection, viewer: Viewer, ids: Iterable[int]) -> list[Memory]:
    """Return those of the memories that the viewer may see, in the order asked for."""
    wanted = list(dict.fromkeys(ids))
    found: dict[int, Memory] = {}
    for part in in_parts(wanted):
        rows = all_of(c, Memory, select(_memory).where(_seen_by(viewer), _memory.c.id.in_(part)))
        found |= {row.id: row for row in rows if row.id is not None}
    return _shown(viewer, [found[memory_id] for memory_id in wanted if memory_id in found])


def count_memories(c: Connection, viewer: Viewer) -> int:
    """Return how many memories the viewer may see."""
    return int(c.execute(select(func.count()).select_from(_memory).where(_seen_by(viewer))).scalar_one())


def edit_memory(
    c: Connection,
    viewer: Viewer,
    memory_id: int,
    *,
    text: str | None = None,
    audience: str | None = None,
    happened_at: datetime | EllipsisType | None = ...,
    by: str,
    at: datetime,
) -> Memory:
    """Correct a memory and return it; what it was goes into its history. Only the persona's owner may.

    Raises:
        NotFound: when the viewer may not see it, or the audience does not exist.
        Forbidden: when the viewer may see it and not change it.
    """
    before = _mine(c, viewer, memory_id)
    values: dict[str, Any] = {}
    if text is not None and text != before.text:
        values["text"] = text
    if audience is not None and audience != before.audience:
        check_audience(c, before.persona_id, audience)
        values["audience"] = audience
    if not isinstance(happened_at, EllipsisType) and happened_at != before.happened_at:
        values["happened_at"] = happened_at
    if not values:
        return before
    insert(
        c,
        MemoryRevision(
            memory_id=memory_id,
            persona_id=before.persona_id,
            text=before.text,
            audience=before.audience,
            happened_at=before.happened_at,
            replaced_by=by,
            replaced_at=at,
        ),
    )
    c.execute(update(_memory).where(_memory.c.id == memory_id).values(**values, edited_by=by))
    if "text" in values:
        _forget_copies(c, before)
    if "text" in values or "audience" in values:
        _blank_profiles(c, before.persona_id, {memory_id})
    _feed(c, [memory_id])
    return memory(c, viewer, memory_id)


def revisions(c: Connection, viewer: Viewer, memory_id: int) -> list[MemoryRevision]:
    """Return what a memory was before, newest first. Only the persona's owner may read it.

    Raises:
        NotFound: when the viewer may not see the memory.
        Forbidden: when the viewer is not the owner.
    """
    _mine(c, viewer, memory_id)
    mine = select(_revision).where(_revision.c.memory_id == memory_id).order_by(_revision.c.id.desc())
    return all_of(c, MemoryRevision, mine)


def remove_memory(c: Connection, viewer: Viewer, memory_id: int, *, by: str, at: datetime) -> None:
    """Take a memory back for good: its words go from everywhere, and importing it again does not bring it back.

    Raises:
        NotFound: when the viewer may not see it.
        Forbidden: when the viewer may see it and not change it.
    """
    _erase(c, [_mine(c, viewer, memory_id)], by=by, at=at)


def forget_message(c: Connection, message_id: int, at: datetime) -> int:
    """Take back what was learnt from a message that its author took back; return how many memories went."""
    # no viewer: the author's own message decides; nothing that is read here is shown to anybody
    learnt = select(_memory).where(_memory.c.message_id == message_id, _memory.c.deleted_at.is_(None))
    found = all_of(c, Memory, learnt)
    _erase(c, found, by="", at=at)
    return len(found)


def retell_message(c: Connection, message_id: int, text: str) -> int:
    """Let what was learnt from a message say what its author now made of it; return how many memories changed."""
    # no viewer: the author's own message decides; nothing that is read here is shown to anybody
    learnt = (_memory.c.message_id == message_id, _memory.c.deleted_at.is_(None), _memory.c.text != text)
    found = all_of(c, Memory, select(_memory).where(*learnt))
    for before in found:
        c.execute(update(_memory).where(_memory.c.id == before.id).values(text=text))
        _forget_copies(c, before)
    _feed(c, [before.id for before in found if before.id is not None])
    return len(found)


def remove_by_source(c: Connection, source_id: str, at: datetime) -> int:
    """Take back everything that one source brought, rows and all, so that it can be imported anew.

    Return how many memories went. What had been removed one by one stays removed.
    """
    ids = list(
        c.execute(
            select(_memory.c.id).where(_memory.c.source_id == source_id, _memory.c.deleted_at.is_(None))
        ).scalars()
    )
    persona_id = c.execute(select(_source.c.persona_id).where(_source.c.id == source_id)).scalar()
    _feed(c, ids, is_removal=True)
    for part in in_parts(ids):
        for model in (MemoryVector, MemoryRevision):
            c.execute(delete(table(model)).where(table(model).c.memory_id.in_(part)))
        c.execute(delete(_memory).where(_memory.c.id.in_(part)))
    c.execute(delete(table(FootprintRecord)).where(table(FootprintRecord).c.source_id == source_id))
    c.execute(update(_source).where(_source.c.id == source_id).values(undone_at=at))
    if persona_id is not None:
        _blank_profiles(c, persona_id, set(ids))
    return len(ids)


def sources(c: Connection, persona_id: str) -> list[Source]:
    """Return where a persona's knowledge came from, newest first, also what was undone."""
    mine = select(_source).where(_source.c.persona_id == persona_id)
    return all_of(c, Source, mine.order_by(_source.c.created_at.desc(), _source.c.id.desc()))


def source(c: Connection, source_id: str) -> Source:
    """Return one source.

    Raises:
        NotFound: when there is none with this id.
    """
    found = first_of(c, Source, select(_source).where(_source.c.id == source_id))
    if found is None:
        raise NotFound("There is no such source.")
    return found


def create_source(
    c: Connection,
    *,
    persona_id: str,
    kind: str,
    name: str,
    importer: str = "",
    audience: str = OWNER,
    at: datetime,
) -> Source:
    """Note where knowledge is about to come from.

    Raises:
        NotFound: when the audience does not exist.
    """
    check_audience(c, persona_id, audience)
    made = Source(persona_id=persona_id, kind=kind, name=name, importer=importer, audience=audience, created_at=at)
    return insert(c, made)


def check_audience(c: Connection, persona_id: str, audience: str) -> None:
    """Make sure that an audience is one of this persona's.

    Raises:
        NotFound: when there is no such circle or person.
    """
    if audience in (PUBLIC, OWNER):
        return
    if audience.startswith("person:"):
        if person(c, audience.removeprefix("person:")).persona_id == persona_id:
            return
    elif audience in {circle_audience(circle.name) for circle in circles(c, persona_id)}:
        return
    raise NotFound("There is no such audience: choose public, owner, a circle or a person.")


def _seen_by(viewer: Viewer) -> ColumnElement[bool]:
    return visible(viewer, _memory.c.persona_id, _memory.c.audience) & _memory.c.deleted_at.is_(None)


def _shown(viewer: Viewer, found: list[Memory]) -> list[Memory]:
    """Return memories as a viewer may read them: the turn before is another's words, with an audience of its own."""
    if viewer.sees_all:
        return found
    return [Memory(**{**row.model_dump(), "context": ""}) for row in found]


def _written(word: str) -> list[ColumnElement[bool]]:
    # SQLite folds the case of ASCII alone, so the usual spellings are asked for one by one.
    spellings = dict.fromkeys((word, word.lower(), word.upper(), word.capitalize()))
    columns = (_memory.c.text, _memory.c.speaker)
    return [column.icontains(spelling, autoescape=True) for spelling in spellings for column in columns]


def _mine(c: Connection, viewer: Viewer, memory_id: int) -> Memory:
    found = memory(c, viewer, memory_id)
    if not viewer.sees_all:
        raise Forbidden("Only the owner may change memories.")
    return found


def _feed(c: Connection, ids: Sequence[int], *, is_removal: bool = False) -> None:
    for part in in_parts(ids):
        known = c.execute(select(_memory.c.id, _memory.c.persona_id).where(_memory.c.id.in_(part)))
        rows = [{"memory_id": row.id, "persona_id": row.persona_id, "is_removal": is_removal} for row in known]
        insert_many(c, MemoryFeed, rows)


def _erase(c: Connection, found: Sequence[Memory], *, by: str, at: datetime) -> None:
    ids = [row.id for row in found if row.id is not None]
    records = [row.record_id for row in found if row.record_id is not None]
    empty = {"text": "", "context": "", "speaker": "", "subject": "", "evidence": [], "mentions": []}
    for row in found:
        _forget_copies(c, row)
    for part in in_parts(ids):
        for model in (MemoryVector, MemoryRevision):
            c.execute(delete(table(model)).where(table(model).c.memory_id.in_(part)))
        gone = update(_memory).where(_memory.c.id.in_(part))
        c.execute(gone.values(**empty, deleted_at=at, edited_by=by or None))
    for part in in_parts(records):
        record = table(FootprintRecord)
        c.execute(update(record).where(record.c.id.in_(part)).values(text="", raw={}, media=[]))
    for persona_id in {row.persona_id for row in found}:
        _blank_profiles(c, persona_id, set(ids))
    _feed(c, ids, is_removal=True)


def _forget_copies(c: Connection, before: Memory) -> None:
    """Take the old words from the memory after it, which keeps them as its context."""
    if not before.session or not before.text:
        return
    same = (_memory.c.persona_id == before.persona_id, _memory.c.session == before.session)
    # A word or two would be found in half of the session; such a context is its own whole.
    is_copy = _memory.c.context == before.text
    if len(before.text) >= _LONG_ENOUGH_TO_FIND:
        is_copy = _memory.c.context.contains(before.text, autoescape=True)
    copies = select(_memory.c.id).where(*same, is_copy)
    ids = list(c.execute(copies).scalars())
    c.execute(update(_memory).where(_memory.c.id.in_(ids)).values(context=""))
    _feed(c, ids)


def _blank_profiles(c: Connection, persona_id: str, ids: set[int]) -> None:
    """Take the words out of every profile that quotes one of these memories; computing it again fills it."""
    profile = table(Profile)
    for row in all_of(c, Profile, select(profile).where(profile.c.persona_id == persona_id)):
        if ids.intersection(row.cited):
            kept = [memory_id for memory_id in row.cited if memory_id not in ids]
            changed = update(profile).where(profile.c.id == row.id)
            c.execute(changed.values(biography="", description="", cited=kept))
