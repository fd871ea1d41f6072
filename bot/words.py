"""Translation between a channel's parts and an agent's words, the price for floors that do not know each other."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from pydantic import TypeAdapter

from agents.turn import Answer, Said, Step, Turn
from channels.contract import Button, Contact, Inbound, Location, Media, Part, Reaction, Sticker, Text
from channels.rendering import escape
from knowledge import conversations
from knowledge.database import Connection
from knowledge.memories import MemoryDraft
from knowledge.tables import Conversation
from knowledge.viewer import person_audience

_PARTS: TypeAdapter[tuple[Part, ...]] = TypeAdapter(tuple[Part, ...])
_STEPS: TypeAdapter[tuple[Step, ...]] = TypeAdapter(tuple[Step, ...])

_SHORTEST_MEMORY = 12
_WORDY = ("text", "button", "reaction")
_QUESTION_MARKS = ("?", "？", "؟", "¿")
_OPENING = re.compile(r"/start(?:@\w+)?")
_COMMAND = re.compile(r"^/[a-z0-9_]+(?:@\w+)?\s+", re.IGNORECASE)
_CALLED = re.compile(r"^(?:@\w+(?:[\s,:;]+|$))+|(?:\s+@\w+)+(?=[\s?!.]*$)")
_WAVE = "👋"


def plain(parts: Sequence[Part]) -> str:
    """Return what parts say in words, as a transcript shows them."""
    return "\n".join(filter(None, (_plain(part) for part in parts)))


def _plain(part: Part) -> str:
    match part:
        case Text():
            return part.text
        case Media():
            return part.caption
        case Location():
            return " ".join(filter(None, (part.name, part.address, f"({part.latitude:.5f}, {part.longitude:.5f})")))
        case Contact():
            return part.name
        case Sticker():
            return part.emoji
        case Reaction():
            return "".join(part.emoji)
        case Button():
            return part.label


def as_json(parts: Sequence[Part]) -> list[Any]:
    """Return parts as plain JSON, for a column."""
    found: list[Any] = _PARTS.dump_python(tuple(parts), mode="json", exclude_none=True)
    return found


def from_json(parts: list[Any]) -> tuple[Part, ...]:
    """Return the parts a column holds."""
    return _PARTS.validate_python(parts)


def said(inbound: Inbound) -> Said:
    """Return a message as an agent hears it."""
    return Said(
        text=_heard(inbound),
        is_ours=False,
        at=inbound.sent_at,
        media=_media(inbound.parts),
        quoted=inbound.quote.text if inbound.quote else "",
    )


def _heard(inbound: Inbound) -> str:
    """Return the words without the command or the mention that calls the persona; whoever says no more, waves."""
    text = plain(inbound.parts)
    if inbound.invitation or _OPENING.fullmatch(text):
        return _WAVE
    heard = _COMMAND.sub("", text)
    if inbound.chat.kind == "group":
        heard = _CALLED.sub("", heard)
    return heard if heard or not text else _WAVE


def remembered(message: conversations.Earlier) -> Said:
    """Return an earlier message as an agent hears it."""
    return Said(
        text=message.text,
        is_ours=message.is_ours,
        at=message.sent_at,
        message_id=message.id,
        media=tuple(part["kind"] for part in message.parts if part["kind"] not in _WORDY),
        quoted=(message.quote or {}).get("text", ""),
    )


def _media(parts: Sequence[Part]) -> tuple[str, ...]:
    return tuple(part.kind for part in parts if part.kind not in _WORDY)


def edited(inbound: Inbound, edit: Inbound) -> Inbound:
    """Return a message that still waits with the content it was edited to."""
    return replace(inbound, parts=edit.parts)


def row(inbox_id: int, inbound: Inbound) -> dict[str, Any]:
    """Return the columns of the message that an event is."""
    return {
        "inbox_id": inbox_id,
        "platform_message_id": inbound.message_id,
        "key": inbound.event_id,
        "text": plain(inbound.parts),
        "parts": as_json(inbound.parts),
        "quote": asdict(inbound.quote) if inbound.quote else None,
        "sent_at": inbound.sent_at,
    }


def parts(answer: Answer) -> tuple[Part, ...]:
    """Return an answer as parts; the disclosure stands before the words, put there by code."""
    # The offline answerer quotes plain sentences: a star in one of them is a star.
    text = escape(answer.text) if answer.engine == "offline" else answer.text
    return (Text(text=f"_{escape(answer.disclosure)}_\n\n{text}" if answer.disclosure else text),)


def trace(answer: Answer) -> list[Any]:
    """Return the steps of an answer as plain JSON."""
    found: list[Any] = _STEPS.dump_python(answer.trace, mode="json")
    return found


def learnt(
    conversation: Conversation, turn: Turn, answer: Answer, burst: Sequence[tuple[int, Inbound]], *, channel: str
) -> list[tuple[int | None, MemoryDraft]]:
    """Return what is worth remembering of a turn: what the person told, and what a model answered.

    Both belong to this person alone. A bare question teaches nothing: it would only be found again by itself.
    """
    if answer.reason in ("closed", "apology", "crisis"):
        return []
    audience = person_audience(conversation.person_id)
    session = f"{conversation.id}:{turn.now:%Y-%m-%d}"
    drafts: list[tuple[int | None, MemoryDraft]] = []
    for place, (inbox_id, inbound) in enumerate(burst):
        text = "" if inbound.invitation else plain(inbound.parts).strip()
        if len(text) < _SHORTEST_MEMORY or text.endswith(_QUESTION_MARKS) or text.startswith(_QUESTION_MARKS):
            continue
        draft = MemoryDraft(
            persona_id=conversation.persona_id,
            natural_key=f"told:{conversation.account_id}:{inbound.event_id}",
            kind="told",
            text=text,
            context=_last_of_ours(turn),
            language=answer.language,
            audience=audience,
            speaker=turn.person_name,
            speaker_id=conversation.person_id,
            session=session,
            place=place,
            happened_at=inbound.sent_at,
            conversation_id=conversation.id,
        )
        drafts.append((inbox_id, draft))
    if answer.reason == "answered" and answer.engine.startswith("model:"):
        reply = MemoryDraft(
            persona_id=conversation.persona_id,
            natural_key=f"replied:{turn.id}",
            kind="replied",
            text=answer.text,
            context=" ".join(one.text for one in turn.messages),
            language=answer.language,
            audience=audience,
            speaker=turn.persona.name,
            session=session,
            place=len(burst),
            happened_at=turn.now,
            conversation_id=conversation.id,
            evidence=tuple(answer.memory_ids),
        )
        drafts.append((None, reply))
    return drafts


def _last_of_ours(turn: Turn) -> str:
    return next((one.text for one in reversed(turn.history) if one.is_ours), "")


def with_message_ids(c: Connection, drafts: Sequence[tuple[int | None, MemoryDraft]]) -> list[MemoryDraft]:
    """Return the drafts, each leading back to the message it came from."""
    messages = conversations.messages_by_inbox(c, [inbox_id for inbox_id, _ in drafts if inbox_id is not None])
    return [
        replace(draft, message_id=messages[inbox_id].id) if inbox_id in messages else draft
        for inbox_id, draft in drafts
    ]
