"""The inbox: every accepted event once, kept until the transaction that answers it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache

from sqlalchemy import Insert, bindparam, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from knowledge.database import Connection
from knowledge.tables import Cursor, Inbox

_inbox = Inbox.__table__  # type: ignore[attr-defined]
_cursor = Cursor.__table__  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    """One event to store. `state` is pending, skipped (not addressed to the persona) or kept (not understood)."""

    event_id: str
    conversation_key: str
    kind: str
    payload: str
    raw: str
    state: str = "pending"


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """One stored event that nobody has dealt with yet. `payload` is the event as the bot wrote it."""

    id: int
    account_id: str
    event_id: str
    conversation_key: str
    kind: str
    payload: str
    attempts: int
    received_at: datetime


_WAITING = (
    select(*[_inbox.c[name] for name in Waiting.__dataclass_fields__])
    .where(_inbox.c.state == "pending", _inbox.c.conversation_key == bindparam("key"))
    .order_by(_inbox.c.id)
    .limit(bindparam("most"))
)
_CLAIM = update(_inbox).where(_inbox.c.id == bindparam("row")).values(attempts=_inbox.c.attempts + 1)
_FINISH = (
    update(_inbox)
    .where(_inbox.c.id == bindparam("row"), _inbox.c.state == "pending")
    .values(state=bindparam("new_state"), turn_id=bindparam("turn"), done_at=bindparam("at"))
)


@cache
def _store(dialect: str) -> Insert:
    upsert = postgresql.insert if dialect == "postgresql" else sqlite.insert
    return upsert(_inbox).on_conflict_do_nothing()


def _upsert(c: Connection) -> type[sqlite.Insert] | type[postgresql.Insert]:
    return postgresql.Insert if c.dialect.name == "postgresql" else sqlite.Insert


def store(
    c: Connection, account_id: str, events: Sequence[Arrived], *, at: datetime, cursor: tuple[str, str] | None = None
) -> list[Arrived]:
    """Store events and the place to go on from; return those that had not been stored before."""
    fresh: list[Arrived] = []
    for event in events:
        row = {
            "account_id": account_id,
            "event_id": event.event_id,
            "conversation_key": event.conversation_key,
            "kind": event.kind,
            "payload": event.payload,
            "raw": event.raw,
            "state": event.state,
            "attempts": 0,
            "last_error": "",
            "received_at": at,
            "done_at": None if event.state == "pending" else at,
        }
        if c.execute(_store(c.dialect.name), row).rowcount:
            fresh.append(event)
    if cursor is not None:
        write_cursor(c, account_id, *cursor)
    return fresh


def write_cursor(c: Connection, account_id: str, name: str, value: str) -> None:
    """Remember where to go on from."""
    values = {"account_id": account_id, "name": name, "value": value}
    statement = _upsert(c)(_cursor).values(**values)
    c.execute(statement.on_conflict_do_update(index_elements=["account_id", "name"], set_={"value": value}))


def read_cursor(c: Connection, account_id: str, name: str) -> str | None:
    """Return where to go on from, None at the beginning."""
    found = c.execute(select(_cursor.c.value).where(_cursor.c.account_id == account_id, _cursor.c.name == name))
    value: str | None = found.scalar()
    return value


def waiting_keys(c: Connection) -> list[str]:
    """Return the conversations in which something waits, the one that waits longest first."""
    rows = c.execute(select(_inbox.c.conversation_key).where(_inbox.c.state == "pending").order_by(_inbox.c.id))
    return list(dict.fromkeys(rows.scalars()))


def count_waiting(c: Connection) -> int:
    """Return how many events nobody has dealt with yet."""
    return c.execute(select(func.count()).select_from(_inbox).where(_inbox.c.state == "pending")).scalar_one()


def waiting(c: Connection, conversation_key: str, *, limit: int = 200) -> list[Waiting]:
    """Return what waits in one conversation, oldest first."""
    rows = c.execute(_WAITING, {"key": conversation_key, "most": limit})
    return [Waiting(**row._mapping) for row in rows]


def claim(c: Connection, ids: Sequence[int]) -> None:
    """Count one more try at these events, before it is made, so that one which kills the process is noticed."""
    c.execute(_CLAIM, [{"row": id_} for id_ in ids])


def note_failure(c: Connection, ids: Sequence[int], error: str) -> None:
    """Keep the kind of the last failure, never its content."""
    c.execute(update(_inbox).where(_inbox.c.id.in_(ids)).values(last_error=error[:200]))


def finish(c: Connection, ids: Sequence[int], *, at: datetime, turn_id: str | None = None, state: str = "done") -> int:
    """Mark events as dealt with; return how many were still waiting, so that a caller can tell a lost race."""
    rows = [{"row": id_, "new_state": state, "turn": turn_id, "at": at} for id_ in ids]
    return sum(c.execute(_FINISH, row).rowcount for row in rows)


def move(c: Connection, account_id: str, keys: dict[str, str]) -> None:
    """Rename conversation keys of waiting events, after a chat got a new id."""
    if not keys:
        return
    statement = (
        update(_inbox)
        .where(_inbox.c.account_id == account_id, _inbox.c.conversation_key == bindparam("old"))
        .values(conversation_key=bindparam("new"))
    )
    c.execute(statement, [{"old": old, "new": new} for old, new in keys.items()])


__all__ = [
    "Arrived",
    "Waiting",
    "claim",
    "count_waiting",
    "finish",
    "move",
    "note_failure",
    "read_cursor",
    "store",
    "waiting",
    "waiting_keys",
    "write_cursor",
]
