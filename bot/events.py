"""What happens on an event that is not said to the persona: an edit, a deletion, a reaction, a block, a move."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from bot import words
from channels.contract import Inbound
from knowledge import conversations, inbox, outbox, people
from knowledge.database import Connection
from knowledge.memories import forget_message, retell_message
from knowledge.tables import Message

_MESSAGE_STATES = ("sent", "delivered", "read", "played", "failed")
_ORDER = {state: place for place, state in enumerate(("pending", "sent", "delivered", "read", "played"))}


@dataclass(frozen=True, slots=True)
class Settled:
    """What settling changed: the conversation, if one was found, and the conversation keys to look at again."""

    conversation_id: str | None = None
    wake: list[str] = field(default_factory=list)


def settle(
    c: Connection, account_id: str, row: inbox.Waiting, inbound: Inbound, *, at: datetime, may_fail: bool
) -> Settled:
    """Apply one event and mark it done. One that cannot be applied any more is only marked.

    `may_fail` is False once it has been tried often enough: it is then put aside.
    """
    if not may_fail:
        inbox.finish(c, [row.id], at=at, state="dead")
        return Settled()
    settled = _apply(c, account_id, inbound, at=at)
    inbox.finish(c, [row.id], at=at)
    return settled


def _apply(c: Connection, account_id: str, inbound: Inbound, *, at: datetime) -> Settled:
    match inbound.kind:
        case "edit" | "deletion" | "status":
            return _change_message(c, account_id, inbound, at=at)
        case "membership":
            return _change_membership(c, account_id, inbound, at=at)
        case "migration":
            return _move(c, account_id, inbound)
        case _:  # a reaction or a stop: kept in the inbox, nothing to answer
            return Settled()


def _change_message(c: Connection, account_id: str, inbound: Inbound, *, at: datetime) -> Settled:
    message = _message_of(c, account_id, inbound)
    if message is None or message.id is None:
        return Settled()
    if inbound.kind == "edit" and message.direction == "in":
        text = words.plain(inbound.parts)
        conversations.edit_message(c, message.id, text=text, parts=words.as_json(inbound.parts), at=at)
        retell_message(c, message.id, text)
    elif inbound.kind == "deletion" and message.direction == "in":
        conversations.delete_message(c, message.id, at=at)
        forget_message(c, message.id, at=at)
    elif inbound.kind == "status" and inbound.state in _MESSAGE_STATES and _is_news(message.state, inbound.state):
        conversations.set_message_state(c, message.id, inbound.state)
    return Settled(message.conversation_id)


def _is_news(state: str, new_state: str) -> bool:
    # Statuses come in any order; a message that was read does not become merely delivered.
    return new_state == "failed" or _ORDER.get(new_state, 0) > _ORDER.get(state, 0)


def _message_of(c: Connection, account_id: str, inbound: Inbound) -> Message | None:
    if inbound.message_id is None:
        return None
    return conversations.message_by_platform_id(c, account_id, inbound.chat.id, inbound.message_id)


def _change_membership(c: Connection, account_id: str, inbound: Inbound, *, at: datetime) -> Settled:
    if inbound.chat.kind != "private" or inbound.state not in ("blocked", "unblocked"):
        return Settled()
    identified = people.identify(
        c, account_id=account_id, platform_user_id=inbound.sender.id, name=inbound.sender.name, at=at
    )
    people.set_reachable(c, identified.identity.id, inbound.state == "unblocked")
    key = conversations.conversation_key(account_id, inbound.chat.id, inbound.chat.thread_id, inbound.sender.id)
    conversation = conversations.conversation_by_key(c, key)
    if conversation is None:
        return Settled()
    if inbound.state == "blocked":
        outbox.cancel_conversation(c, conversation.id, error="blocked by the person")
    return Settled(conversation.id)


def _move(c: Connection, account_id: str, inbound: Inbound) -> Settled:
    if not inbound.state:
        return Settled()
    moved = conversations.move_chat(c, account_id, old_chat_id=inbound.chat.id, new_chat_id=inbound.state)
    inbox.move(c, account_id, moved)
    return Settled(wake=list(moved.values()))
