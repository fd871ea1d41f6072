"""The outbox: every message that is to be sent, in the order of its conversation, until its end is known."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, func, insert, select, update

from knowledge.database import Connection
from knowledge.media import note_platform_id
from knowledge.tables import Message, Outbox

_outbox = Outbox.__table__  # type: ignore[attr-defined]
_message = Message.__table__  # type: ignore[attr-defined]

OPEN = ("pending", "sending")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """One message to send. `payload` is the outbound as the bot wrote it; `key` stays the same on every attempt."""

    id: int
    key: str
    account_id: str
    conversation_id: str
    message_id: int | None
    turn_id: str | None
    payload: str
    state: str
    attempts: int
    unknown_attempts: int
    due_at: datetime


_OPEN_PARCELS = (
    select(*[_outbox.c[name] for name in Parcel.__dataclass_fields__])
    .where(_outbox.c.conversation_id == bindparam("conversation"), _outbox.c.state.in_(OPEN))
    .order_by(_outbox.c.id)
    .limit(bindparam("most"))
)
_QUEUE = insert(_outbox)
_MARK_SENDING = (
    update(_outbox)
    .where(_outbox.c.id == bindparam("row"))
    .values(state="sending", attempts=_outbox.c.attempts + 1, attempted_at=bindparam("at"))
)
_MARK_SENT = (
    update(_outbox)
    .where(_outbox.c.id == bindparam("row"))
    .values(state="sent", sent_at=bindparam("at"), receipt=bindparam("given"), last_error="", payload="")
)
_MARK_MESSAGE = (
    update(_message)
    .where(_message.c.id == bindparam("row"))
    .values(state="sent", platform_message_id=bindparam("platform_id"))
)


def queue(
    c: Connection,
    *,
    key: str,
    account_id: str,
    conversation_id: str,
    message_id: int | None,
    turn_id: str | None,
    payload: str,
    at: datetime,
) -> Parcel:
    """Put a message into the outbox, due at once."""
    values: dict[str, Any] = {
        "key": key,
        "account_id": account_id,
        "conversation_id": conversation_id,
        "message_id": message_id,
        "turn_id": turn_id,
        "payload": payload,
        "state": "pending",
        "attempts": 0,
        "unknown_attempts": 0,
        "due_at": at,
    }
    added = c.execute(_QUEUE, {**values, "created_at": at, "receipt": "", "last_error": ""})
    assert added.inserted_primary_key is not None
    return Parcel(id=added.inserted_primary_key[0], **values)


def open_conversations(c: Connection) -> list[tuple[str, str]]:
    """Return (account id, conversation id) of every conversation with something left to send."""
    rows = c.execute(
        select(_outbox.c.account_id, _outbox.c.conversation_id)
        .where(_outbox.c.state.in_(OPEN))
        .group_by(_outbox.c.account_id, _outbox.c.conversation_id)
        .order_by(func.min(_outbox.c.id))
    )
    return [(row[0], row[1]) for row in rows]


def open_parcels(c: Connection, conversation_id: str, *, limit: int = 50) -> list[Parcel]:
    """Return what is left to send in one conversation, oldest first."""
    rows = c.execute(_OPEN_PARCELS, {"conversation": conversation_id, "most": limit})
    return [Parcel(**row._mapping) for row in rows]


def mark_sending(c: Connection, parcel_id: int, *, at: datetime) -> None:
    """Say that an attempt begins. A process that dies from here on leaves a send of unknown outcome."""
    c.execute(_MARK_SENDING, {"row": parcel_id, "at": at})


def mark_sent(
    c: Connection,
    parcel: Parcel,
    *,
    receipt: str,
    platform_message_id: str | None,
    media_ids: dict[str, str],
    at: datetime,
) -> None:
    """Keep the platform's receipt with the outbox row and the message."""
    c.execute(_MARK_SENT, {"row": parcel.id, "at": at, "given": receipt})
    if parcel.message_id is not None:
        c.execute(_MARK_MESSAGE, {"row": parcel.message_id, "platform_id": platform_message_id})
    for sha256, platform_id in media_ids.items():
        note_platform_id(c, parcel.account_id, sha256, platform_id)


def postpone(
    c: Connection, parcel_id: int, *, due_at: datetime, error: str, is_unknown: bool = False, is_attempt: bool = True
) -> None:
    """Try again at `due_at`. `is_unknown` counts a send whose outcome nobody knows; a limited one is no attempt."""
    values: dict[str, object] = {"state": "pending", "due_at": due_at, "last_error": error[:200]}
    if is_unknown:
        values["unknown_attempts"] = _outbox.c.unknown_attempts + 1
    if not is_attempt:
        values["attempts"] = _outbox.c.attempts - 1
    c.execute(update(_outbox).where(_outbox.c.id == parcel_id).values(**values))


def hurry(c: Connection, account_id: str, *, error: str, at: datetime) -> None:
    """Make due at once what an account postponed because of this error."""
    mine = (_outbox.c.account_id == account_id, _outbox.c.state == "pending", _outbox.c.last_error == error)
    c.execute(update(_outbox).where(*mine).values(due_at=at))


def end(c: Connection, parcel: Parcel, *, state: str, error: str) -> None:
    """Close a message that will not be tried again: dead, unknown or cancelled."""
    c.execute(update(_outbox).where(_outbox.c.id == parcel.id).values(state=state, last_error=error[:200]))
    if parcel.message_id is not None:
        message_state = {"dead": "failed", "cancelled": "failed"}.get(state, state)
        c.execute(update(_message).where(_message.c.id == parcel.message_id).values(state=message_state))


def cancel_conversation(c: Connection, conversation_id: str, *, error: str) -> int:
    """Cancel everything left in a conversation whose other side cannot be reached any more."""
    ids = list(
        c.execute(
            select(_outbox.c.message_id).where(_outbox.c.conversation_id == conversation_id, _outbox.c.state.in_(OPEN))
        ).scalars()
    )
    c.execute(
        update(_outbox)
        .where(_outbox.c.conversation_id == conversation_id, _outbox.c.state.in_(OPEN))
        .values(state="cancelled", last_error=error[:200])
    )
    c.execute(update(_message).where(_message.c.id.in_([i for i in ids if i is not None])).values(state="failed"))
    return len(ids)


def set_payload(c: Connection, parcel_id: int, payload: str) -> None:
    """Replace what is to be sent, e.g. after the chat got a new id."""
    c.execute(update(_outbox).where(_outbox.c.id == parcel_id).values(payload=payload))


def counts(c: Connection) -> dict[str, int]:
    """Return how many messages are in each state."""
    rows = c.execute(select(_outbox.c.state, func.count()).group_by(_outbox.c.state))
    return {row[0]: row[1] for row in rows}
