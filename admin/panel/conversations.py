"""Conversations in the panel: who talks with a persona, what was said, and how each answer was made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from aiohttp import web

from admin.desk import Desk
from admin.errors import PageNotFound
from admin.form import number, query_text
from admin.rendering import day_label, told, zone_of
from knowledge import accounts, conversations, memories, people, turns
from knowledge.database import Connection
from knowledge.tables import Account, Conversation, Memory, Message, Person, Persona, Turn
from knowledge.viewer import owner_viewer

_PER_PAGE = 40
_MOST_MESSAGES = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Talked:
    """One conversation with everything its page shows."""

    conversation: Conversation
    person: Person
    account: Account
    messages: list[Message]
    turns: dict[str, Turn]


class ConversationPages:
    """The list of conversations, and one of them."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> list[web.AbstractRouteDef]:
        """Return the routes of these pages."""
        return [
            web.get("/admin/personas/{slug}/conversations", self.listing),
            web.get("/admin/personas/{slug}/conversations/{conversation_id}", self.show),
        ]

    async def listing(self, request: web.Request) -> web.Response:
        """Show the conversations of a persona, the newest first."""
        await self._desk.gate.need(request)
        persona = await self._desk.persona(request)
        before = _time(query_text(request, "before", most=40))
        found = await self._desk.read(
            lambda c: conversations.list_conversations(c, persona.id, before=before, limit=_PER_PAGE + 1)
        )
        shown = found[:_PER_PAGE]
        return await self._desk.panel_page(
            request,
            "panel/conversations.html",
            here="conversations",
            persona=persona,
            conversations=shown,
            onward=_last_at(shown[-1]).isoformat() if len(found) > _PER_PAGE else "",
            is_first=before is None,
        )

    async def show(self, request: web.Request) -> web.Response:
        """Show one conversation, and how the chosen answer was made."""
        await self._desk.gate.need(request)
        persona = await self._desk.persona(request)
        conversation_id = request.match_info["conversation_id"]
        after = number(request.query.get("after"))
        talked = await self._desk.read(lambda c: _talked(c, persona, conversation_id, after))
        chosen = talked.turns.get(query_text(request, "turn", most=64)) or next(iter(talked.turns.values()), None)
        used = await self._desk.read(lambda c: _used(c, persona, chosen))
        return await self._desk.panel_page(
            request,
            "panel/conversation.html",
            here="conversations",
            persona=persona,
            talked=talked,
            days=_by_day(talked.messages, self._desk.now(), persona.timezone),
            zone=zone_of(persona.timezone),
            chosen=chosen,
            used=used,
            steps=[_step(step) for step in chosen.trace] if chosen else [],
            after=after,
            has_more=len(talked.messages) == _MOST_MESSAGES,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownStep:
    """One step of a trace as the page shows it: short facts, and lists of what was found."""

    name: str
    summary: str
    duration_ms: float
    facts: list[tuple[str, str]]
    lists: list[tuple[str, list[dict[str, str]]]]


def _step(step: object) -> ShownStep:
    raw: Mapping[str, Any] = step if isinstance(step, dict) else {}
    detail = raw.get("detail")
    facts, lists = [], []
    for name, value in detail.items() if isinstance(detail, dict) else ():
        words = str(name).replace("_", " ")
        if isinstance(value, list) and value and all(isinstance(each, dict) for each in value):
            lists.append((words, [{str(key): told(found) for key, found in each.items()} for each in value]))
        elif value not in (None, "", [], {}):
            facts.append((words, told(value)))
    duration = raw.get("duration_ms", 0.0)
    return ShownStep(
        name=str(raw.get("name", "")).replace("_", " "),
        summary=str(raw.get("summary", "")),
        duration_ms=float(duration) if isinstance(duration, int | float) else 0.0,
        facts=facts,
        lists=lists,
    )


def _talked(c: Connection, persona: Persona, conversation_id: str, after: int) -> Talked:
    conversation = conversations.conversation(c, conversation_id)
    if conversation.persona_id != persona.id:
        raise PageNotFound("This persona has no such conversation.")
    return Talked(
        conversation=conversation,
        person=people.person(c, conversation.person_id),
        account=accounts.account(c, conversation.account_id),
        messages=conversations.messages_of(c, conversation_id, after_id=after, limit=_MOST_MESSAGES),
        turns={turn.id: turn for turn in turns.turns_of(c, conversation_id, limit=_MOST_MESSAGES)},
    )


def _used(c: Connection, persona: Persona, turn: Turn | None) -> list[Memory]:
    if turn is None:
        return []
    return memories.memories_by_id(c, owner_viewer(persona.id), turn.memory_ids)


def _by_day(messages: Sequence[Message], now: datetime, timezone: str) -> list[tuple[str, list[Message]]]:
    zone = zone_of(timezone)
    days = groupby(messages, key=lambda message: message.sent_at.astimezone(zone).date())
    return [(day_label(first.sent_at, now, zone), [first, *rest]) for _, (first, *rest) in days]


def _last_at(listed: conversations.Listed) -> datetime:
    return listed.conversation.last_in_at or listed.conversation.opened_at


def _time(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text.replace(" ", "+"))
    except ValueError:
        return None
    return found if found.tzinfo is not None else None
