"""Keeps what an import brought, every row as it came and a memory for what somebody said in it, and takes it back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, func, select, update

from knowledge.memories import MemoryDraft, add_memories, remove_by_source
from knowledge.names import fold
from knowledge.people import add_person, owner_person, persons
from knowledge.rows import in_parts, insert_new, table
from knowledge.tables import CircleMember, FootprintRecord, Identity, ImportJob, Invitation, Memory, Person, Source
from knowledge.viewer import OWNER

_record = table(FootprintRecord)
_memory = table(Memory)
_source = table(Source)
_person = table(Person)
_job = table(ImportJob)


class ReadRow(NamedTuple):
    """One record as the reading process tells it."""

    platform: str
    activity: str
    natural_key: str
    text: str
    author: str
    is_owner: bool
    occurred_at: float | None
    conversation: str
    context: str
    session: str
    place: int
    reply_to: str
    media: list[str]
    raw: dict[str, Any]
    member: str
    position: int
    is_said: bool
    language: str
    importance: float


@dataclass(slots=True)
class Keeper:
    """Keeps the rows of one import. `audience` is for the persona's own words; what others wrote is the owner's."""

    persona_id: str
    source_id: str
    audience: str
    speakers: dict[str, str | None] = field(default_factory=dict)

    def keep(self, c: Connection, rows: Sequence[ReadRow], at: datetime) -> int:
        """Keep the rows that are not kept yet and return how many that were."""
        self._meet(c, rows, at)
        new = insert_new(c, FootprintRecord, [self._record(row) for row in rows], "persona_id", "natural_key")
        ids: dict[str, int] = {}
        for part in in_parts([row.natural_key for row in rows]):
            known = select(_record.c.natural_key, _record.c.id).where(
                _record.c.persona_id == self.persona_id,
                _record.c.source_id == self.source_id,
                _record.c.natural_key.in_(part),
            )
            ids |= {found.natural_key: found.id for found in c.execute(known)}
        # What another import had brought has its memory from there.
        said = [row for row in rows if row.is_said and row.natural_key in ids]
        add_memories(c, [self._draft(row, ids[row.natural_key]) for row in said], at=at)
        return len(new)

    def _record(self, row: ReadRow) -> dict[str, Any]:
        return {
            "persona_id": self.persona_id,
            "source_id": self.source_id,
            "platform": row.platform,
            "activity": row.activity,
            "natural_key": row.natural_key,
            "audience": self.audience if row.is_owner and row.is_said else OWNER,
            "occurred_at": _time(row.occurred_at),
            "author": row.author,
            "is_owner": row.is_owner,
            "conversation": row.conversation,
            "text": row.text,
            "reply_to": row.reply_to,
            "media": row.media,
            "raw": row.raw,
            "member": row.member,
            "position": row.position,
        }

    def _draft(self, row: ReadRow, record_id: int) -> MemoryDraft:
        kind = "said" if row.is_owner else "heard"
        if row.platform == "documents" and row.is_owner:
            kind = "document"
        return MemoryDraft(
            persona_id=self.persona_id,
            natural_key=row.natural_key,
            kind=kind,
            text=row.text,
            context=row.context,
            language=row.language,
            audience=self.audience if row.is_owner else OWNER,
            speaker=row.author,
            speaker_id=self.speakers.get(_name_of(row)),
            is_own=row.is_owner,
            session=row.session,
            place=row.place,
            happened_at=_time(row.occurred_at),
            importance=row.importance,
            source_id=self.source_id,
            record_id=record_id,
        )

    def _meet(self, c: Connection, rows: Sequence[ReadRow], at: datetime) -> None:
        """Find or add the person behind every author that was not met yet."""
        wanted = {_name_of(row): row for row in rows if row.author and _name_of(row) not in self.speakers}
        if not wanted:
            return
        known: dict[str, set[str]] = {}
        for human in persons(c, self.persona_id):
            for name in (human.name, *human.aliases):
                known.setdefault(fold(name), set()).add(human.id)
        added: list[str] = []
        for name, row in wanted.items():
            found = known.get(fold(row.author), set())
            if row.is_owner:
                owner = owner_person(c, self.persona_id)
                self.speakers[name] = owner.id
                _add_alias(c, owner, row.author)
            elif found:
                # Two people of one name: no guess, which would show the words of one to the other.
                self.speakers[name] = next(iter(found)) if len(found) == 1 else None
            else:
                human = add_person(c, persona_id=self.persona_id, name=row.author, at=at)
                known.setdefault(fold(row.author), set()).add(human.id)
                self.speakers[name] = human.id
                added.append(human.id)
        if added:
            report = c.execute(select(_source.c.report).where(_source.c.id == self.source_id)).scalar_one()
            report = dict(report) | {"people": [*report.get("people", []), *added]}
            c.execute(update(_source).where(_source.c.id == self.source_id).values(report=report))


def count_kept(c: Connection, source_id: str) -> dict[str, Any]:
    """Return how many rows and memories one import brought, by kind."""
    rows = c.execute(
        select(_record.c.platform, _record.c.activity, func.count())
        .where(_record.c.source_id == source_id)
        .group_by(_record.c.platform, _record.c.activity)
    )
    by_activity = {f"{platform} {activity}": count for platform, activity, count in rows}
    kinds = c.execute(
        select(_memory.c.kind, func.count())
        .where(_memory.c.source_id == source_id, _memory.c.deleted_at.is_(None))
        .group_by(_memory.c.kind)
    )
    memories: dict[str, int] = {str(kind): int(count) for kind, count in kinds}
    return {"rows": sum(by_activity.values()), "memories": sum(memories.values()), "by_kind": memories}


def take_back(c: Connection, source_id: str, at: datetime) -> int:
    """Take back what one import brought, people included, and return how many memories went.

    Other imports that had brought some of the same rows are queued again, so that what they hold stays known.
    """
    found = c.execute(select(_source.c.persona_id, _source.c.report).where(_source.c.id == source_id)).one()
    count = remove_by_source(c, source_id, at)
    for person_id in dict(found.report).get("people", []):
        _forget_person(c, person_id)
    others = select(_job.c.id, _job.c.report, _job.c.source_id).where(
        _job.c.persona_id == found.persona_id, _job.c.state == "done", _job.c.source_id != source_id
    )
    for job in c.execute(others).all():
        undone = c.execute(select(_source.c.undone_at).where(_source.c.id == job.source_id)).scalar()
        if undone is None and dict(job.report).get("kept", {}).get("known_before"):
            c.execute(update(_job).where(_job.c.id == job.id).values(state="queued"))
    return count


def _forget_person(c: Connection, person_id: str) -> None:
    """Remove somebody only an import knew of; whoever talks, is in a circle or is spoken of elsewhere stays."""
    for model in (Identity, CircleMember, Invitation):
        if c.execute(select(func.count()).where(table(model).c.person_id == person_id)).scalar_one():
            return
    if c.execute(select(func.count()).where(_memory.c.speaker_id == person_id)).scalar_one():
        return
    if c.execute(select(func.count()).where(_memory.c.audience == f"person:{person_id}")).scalar_one():
        return
    c.execute(delete(_person).where(_person.c.id == person_id))


def _add_alias(c: Connection, human: Person, name: str) -> None:
    if fold(name) not in map(fold, (human.name, *human.aliases)):
        c.execute(update(_person).where(_person.c.id == human.id).values(aliases=[*human.aliases, name]))


def _name_of(row: ReadRow) -> str:
    return "\0owner\0" + row.author if row.is_owner else row.author


def _time(seconds: float | None) -> datetime | None:
    return datetime.fromtimestamp(seconds, UTC) if seconds is not None else None
