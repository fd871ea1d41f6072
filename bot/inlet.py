"""The inlet: from what an adapter has verified to rows in the inbox, and only then back to the platform."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from pydantic_core import PydanticSerializationError

from channels.contract import INBOUND, Inbound, Received
from channels.errors import NotAccepted
from knowledge import inbox
from knowledge.accounts import note_event
from knowledge.clock import Clock
from knowledge.conversations import conversation_key
from knowledge.database import Connection, Database
from knowledge.errors import StoreUnavailable

OnStep = Callable[[str], None]
"""Called at each named point of a message's path; the chaos tests kill the process there."""

Wake = Callable[[Iterable[str]], None]

_NOTED_FOR = timedelta(seconds=30)


class AccountInlet:
    """Stores what arrives for one account and wakes the conversations it belongs to."""

    def __init__(self, account_id: str, *, database: Database, clock: Clock, wake: Wake, on_step: OnStep) -> None:
        self._account_id = account_id
        self._database = database
        self._clock = clock
        self._wake = wake
        self._on_step = on_step
        self._noted_at: datetime | None = None

    async def accept(self, received: Sequence[Received], *, cursor: tuple[str, str] | None = None) -> int:
        self._on_step("received")
        events = [_arrived(self._account_id, one) for one in received]
        at = self._clock.now()

        # When an account last heard anything is for people to read: every half minute is often enough.
        is_news = self._noted_at is None or at - self._noted_at >= _NOTED_FOR

        def store(c: Connection) -> list[inbox.Arrived]:
            fresh = inbox.store(c, self._account_id, events, at=at, cursor=cursor)
            if fresh and is_news:
                note_event(c, self._account_id, at)
            return fresh

        try:
            fresh = await self._database.write(store)
        except StoreUnavailable as error:
            raise NotAccepted("The event could not be stored; it must be delivered again.") from error
        if fresh and is_news:
            self._noted_at = at
        self._on_step("stored")
        self._wake({event.conversation_key for event in fresh if event.state == "pending"})
        return len(fresh)

    async def cursor(self, name: str) -> str | None:
        return await self._database.read(lambda c: inbox.read_cursor(c, self._account_id, name))


def _arrived(account_id: str, received: Received) -> inbox.Arrived:
    inbound = received.inbound
    raw = _clean(received.raw)
    event_id = _clean(received.event_id)
    if inbound is None:
        return inbox.Arrived(event_id=event_id, conversation_key="", kind="unknown", payload="", raw=raw, state="kept")
    payload = _payload(inbound)
    return inbox.Arrived(
        event_id=event_id,
        conversation_key=_clean(key_of(account_id, inbound)),
        kind=inbound.kind,
        payload=payload,
        raw=raw,
        state="pending" if _is_for_us(inbound) else "skipped",
    )


def key_of(account_id: str, inbound: Inbound) -> str:
    """Return the key of the conversation an event belongs to."""
    return conversation_key(account_id, inbound.chat.id, inbound.chat.thread_id, inbound.sender.id)


def _is_for_us(inbound: Inbound) -> bool:
    if inbound.kind == "message":
        return inbound.is_addressed and not inbound.sender.is_machine and inbound.chat.kind != "channel"
    return True


def _payload(inbound: Inbound) -> str:
    try:
        text = INBOUND.dump_json(inbound).decode()
    except (PydanticSerializationError, UnicodeError):
        # Half a surrogate pair is legal in JSON and in no database.
        text = INBOUND.dump_json(INBOUND.validate_python(_cleaned(INBOUND.dump_python(inbound)))).decode()
    return text.replace("\\u0000", "")


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return _clean(value)
    if isinstance(value, dict):
        return {key: _cleaned(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_cleaned(inner) for inner in value]
    return value


def _clean(text: str) -> str:
    """Return text that every database takes: no half surrogate pairs, no NUL."""
    return text.encode("utf-8", "replace").decode("utf-8").replace("\x00", "")
