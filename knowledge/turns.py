"""Turns: how each answer was made."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func, insert, select

from knowledge.database import Connection
from knowledge.errors import NotFound
from knowledge.tables import Turn

_turn = Turn.__table__  # type: ignore[attr-defined]


_KEEP = insert(_turn)


def keep_turn(c: Connection, turn: Turn) -> None:
    """Keep how an answer was made."""
    c.execute(_KEEP, turn.model_dump())


def turn(c: Connection, turn_id: str) -> Turn:
    """Return one turn.

    Raises:
        NotFound: when there is none with this id.
    """
    row = c.execute(select(_turn).where(_turn.c.id == turn_id)).first()
    if row is None:
        raise NotFound("There is no such turn; it may have been deleted.")
    return Turn(**row._mapping)


def turns_of(c: Connection, conversation_id: str, *, limit: int = 100) -> list[Turn]:
    """Return the last turns of one conversation, newest first."""
    rows = c.execute(
        select(_turn).where(_turn.c.conversation_id == conversation_id).order_by(_turn.c.id.desc()).limit(limit)
    )
    return [Turn(**row._mapping) for row in rows]


def spent(c: Connection, *, since: datetime) -> tuple[int, int, int, float]:
    """Return (turns, input tokens, output tokens, cost) since a time."""
    row = c.execute(
        select(
            func.count(),
            func.coalesce(func.sum(_turn.c.input_tokens), 0),
            func.coalesce(func.sum(_turn.c.output_tokens), 0),
            func.coalesce(func.sum(_turn.c.cost), 0.0),
        ).where(_turn.c.finished_at >= since)
    ).one()
    return row[0], row[1], row[2], row[3]
