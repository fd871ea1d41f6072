"""The path of a message: from the inbox to a turn, and from the answer to the outbox.

One lane per conversation, so that answers keep the order of the questions. What comes in a burst is answered together;
the burst is read from the inbox each time, so that nothing about it lives in memory alone.
"""

from __future__ import annotations

import asyncio
import logging
import re
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from agents.turn import Answer, Answerer, PersonaCard, Turn
from bot import events, words
from bot.failures import log_failure
from bot.gate import Gate
from bot.inlet import OnStep
from bot.lanes import Lanes
from channels.composing import compose
from channels.contract import INBOUND, OUTBOUND, Adapter, Chat, Inbound, Outbound
from knowledge import conversations, inbox, incidents, invitations, outbox, people, personas, profiles, turns
from knowledge.clock import Clock
from knowledge.database import Connection, Database
from knowledge.errors import KnowledgeError
from knowledge.live import Event, Live
from knowledge.memories import add_memories
from knowledge.tables import Conversation, Person, Persona, new_id
from knowledge.tables import Turn as TurnRow
from knowledge.viewer import Viewer

log = logging.getLogger(__name__)

_MOST_IN_A_BURST = 30
_HISTORY = 20
_ALONE_AFTER = 2
_STARTS_AT_ONCE = 4
_LONGEST_START_S = 0.15
_NEW_TALK_AFTER = timedelta(hours=24)
_SHOW_TYPING_AFTER_S = 0.25
_DRAFT_EVERY_S = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How long a burst is waited for, how often a message is tried, how long one answer may take; in seconds."""

    quiet_s: float = 1.2
    burst_s: float = 8.0
    attempts: int = 5
    answer_s: float = 180.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """An account that runs: its adapter, whose persona it is, and its own pace where it has one."""

    account_id: str
    persona_id: str
    channel: str
    adapter: Adapter
    quiet_s: float | None = None
    burst_s: float | None = None
    region: str | None = None


class RunningAccounts(Protocol):
    """Finds the adapter of an account."""

    def running(self, account_id: str) -> Running | None:
        """Return the account if it runs now, else None."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Burst:
    """The messages that are answered together, and the other rows that are dealt with by the same commit."""

    key: str
    ids: tuple[int, ...]
    said: tuple[tuple[int, Inbound], ...]
    attempts: int

    def chat(self, conversation: Conversation) -> Chat:
        """Return where to answer: the chat of the last message, under the id it has by now."""
        return replace(self.said[-1][1].chat, id=conversation.chat_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Begun:
    """What is known once a burst has been claimed."""

    conversation: Conversation
    person: Person
    idle: timedelta | None


class _AlreadyAnswered(Exception):
    """Somebody else finished these events first; the answer made here is dropped."""


class Dispatcher:
    """Turns what waits in the inbox into answers in the outbox."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        live: Live,
        accounts: RunningAccounts,
        answerer: Answerer,
        on_answered: Callable[[str, str], None],
        on_remembered: Callable[[], None],
        pace: Pace,
        on_step: OnStep,
    ) -> None:
        """`on_answered(account id, conversation id)` is told when the outbox has something new to send."""
        self._database = database
        self._clock = clock
        self._live = live
        self._accounts = accounts
        self._answerer = answerer
        self._on_answered = on_answered
        self._on_remembered = on_remembered
        self._pace = pace
        self._on_step = on_step
        self._lanes = Lanes("conversation", self._advance, clock)
        # Under load it is better to begin few answers, each to all that was said by then. One that waits for its model
        # holds up nobody.
        self._starts = Gate(_STARTS_AT_ONCE, longest_s=_LONGEST_START_S, clock=clock)

    def wake(self, keys: Iterable[str]) -> None:
        """Look at these conversations now."""
        self._lanes.wake(keys)

    async def wake_waiting(self) -> None:
        """Look at every conversation in which something waits, e.g. after a start."""
        self._lanes.wake(await self._database.read(inbox.waiting_keys))

    async def run(self) -> None:
        """Answer until `stop`, then finish the answers in progress."""
        await self.wake_waiting()
        await self._lanes.run()

    def stop(self) -> None:
        """Begin no further answer; what still waits stays in the inbox."""
        self._lanes.stop()

    async def wait_idle(self) -> None:
        """Return once nothing is being answered."""
        await self._lanes.wait_idle()

    # ---------------------------------------------------------------------------------- one step of a lane

    async def _advance(self, key: str) -> bool:
        found = self._waiting(key)
        if found is None:
            return False
        account, arrived = found
        if arrived[0][1].kind != "message":
            await self._settle_event(account, *arrived[0])
            return True
        # Whoever comes in with an invitation looks at the page at once: it must not show a closed door.
        is_guest = any(inbound.invitation for _, inbound in arrived)
        wait_s = 0.0 if is_guest else self._wait_s(account, [row for row, _ in arrived])
        if wait_s > 0:
            await self._note(account, _gather(arrived))
            await self._lanes.pause(key, wait_s)
            return True
        async with self._starts.passage():
            # More may have been said while this conversation waited for its turn: it is answered along.
            found = self._waiting(key) or found
            account, arrived = found
            burst = _gather(arrived)
            if burst.attempts >= _ALONE_AFTER:
                # Something in this burst keeps failing: one at a time, so that a poisoned message stands alone.
                burst = _first_of(arrived)
            await self._answer(account, burst)
        # Whatever came meanwhile has woken the lane; only what was read and left needs another look.
        return len(burst.ids) < len(arrived)

    def _waiting(self, key: str) -> tuple[Running, list[tuple[inbox.Waiting, Inbound]]] | None:
        """Return what waits in a conversation and its account; None when nothing does or the account is off."""
        rows = self._database.glance(lambda c: inbox.waiting(c, key))
        account = self._accounts.running(rows[0].account_id) if rows else None
        if account is None:  # nothing waits, or it waits until the account is on again
            return None
        return account, [(row, INBOUND.validate_json(row.payload)) for row in rows]

    def _wait_s(self, account: Running, rows: Sequence[inbox.Waiting]) -> float:
        if any(row.attempts for row in rows) or len(rows) >= _MOST_IN_A_BURST:
            return 0.0
        quiet_s = self._pace.quiet_s if account.quiet_s is None else account.quiet_s
        burst_s = self._pace.burst_s if account.burst_s is None else account.burst_s
        due = min(rows[-1].received_at + timedelta(seconds=quiet_s), rows[0].received_at + timedelta(seconds=burst_s))
        return (due - self._clock.now()).total_seconds()

    async def _settle_event(self, account: Running, row: inbox.Waiting, inbound: Inbound) -> None:
        at = self._clock.now()
        settled = await self._database.write(
            lambda c: events.settle(
                c, account.account_id, row, inbound, at=at, may_fail=row.attempts < self._pace.attempts
            )
        )
        self._on_step("settled")
        self._lanes.wake(settled.wake)
        if settled.conversation_id:
            self._tell(account.persona_id, settled.conversation_id, inbound.kind)

    # ---------------------------------------------------------------------------------- one answer

    async def _answer(self, account: Running, burst: _Burst) -> None:
        at = self._clock.now()

        def begin(c: Connection) -> tuple[_Begun, Turn, Persona]:
            begun = _begin(c, account, burst, at=at, is_claim=True)
            return begun, *_turn(c, account, burst, begun, at=at)

        begun, turn, persona = await self._database.write(begin)
        self._on_step("claimed")
        self._tell(account.persona_id, begun.conversation.id, "message")
        if begun.conversation.held_by:  # a human has taken over; the persona is silent
            await self._database.write(lambda c: inbox.finish(c, burst.ids, at=at))
            return
        if burst.attempts >= self._pace.attempts:
            apology = await asyncio.to_thread(self._answerer.apology, turn)
            await self._commit(account, burst, begun, turn, apology, is_poisoned=True)
            return
        started = self._clock.monotonic()
        chat = burst.chat(begun.conversation)
        try:
            async with asyncio.timeout(self._pace.answer_s), self._typing(account.adapter, chat):
                answer = await self._made(account, persona, turn, chat)
        except Exception as error:
            log_failure(log, "no answer could be made", error, turn=turn.id, conversation=turn.conversation_id)
            kind = type(error).__name__
            await self._database.write(lambda c: inbox.note_failure(c, burst.ids, kind))
            raise
        self._on_step("answered")
        await self._commit(account, burst, begun, turn, answer, took_s=self._clock.monotonic() - started)

    async def _made(self, account: Running, persona: Persona, turn: Turn, chat: Chat) -> Answer:
        if persona.state != "live" or (persona.visibility == "private" and not _is_known(turn.viewer)):
            return await asyncio.to_thread(self._answerer.closed_door, turn)
        on_text = _Drafts(account.adapter, chat, turn.id, self._clock).show if _can_draft(account, chat) else None
        return await self._answerer.answer(turn, on_text=on_text)

    async def _note(self, account: Running, burst: _Burst) -> None:
        """Keep what was said as messages while the burst is still being waited for, so that pages can show it."""
        at = self._clock.now()
        begun = await self._database.write(lambda c: _begin(c, account, burst, at=at, is_claim=False))
        self._tell(account.persona_id, begun.conversation.id, "message")

    async def _commit(
        self,
        account: Running,
        burst: _Burst,
        begun: _Begun,
        turn: Turn,
        answer: Answer,
        *,
        took_s: float = 0.0,
        is_poisoned: bool = False,
    ) -> None:
        """Keep the answer, its trace, what was learnt and what is to be sent in one transaction."""
        at = self._clock.now()
        conversation = begun.conversation
        chat = burst.chat(conversation)
        quote = burst.said[-1][1].message_id if turn.is_group and account.adapter.limits.has_quotes else None
        pieces = compose(words.parts(answer), account.adapter.limits, platform=account.channel)
        drafts = words.learnt(conversation, turn, answer, burst.said, channel=account.channel)

        def change(c: Connection) -> None:
            if inbox.finish(c, burst.ids, at=at, turn_id=turn.id) != len(burst.ids):
                raise _AlreadyAnswered
            turns.keep_turn(c, _turn_row(turn, answer, at=at, took_s=took_s))
            conversations.set_turn(c, [id_ for id_, _ in burst.said], turn.id)
            for index, piece in enumerate(pieces):
                key = f"{turn.id}.{index}"
                outbound = Outbound(
                    key=key,
                    chat=chat,
                    parts=piece,
                    quote_message_id=quote if index == 0 else None,
                    label=answer.label if index == len(pieces) - 1 else "",
                )
                message_id = conversations.add_outbound(
                    c,
                    conversation,
                    turn_id=turn.id,
                    key=key,
                    text=words.plain(piece),
                    parts=words.as_json(piece),
                    label=outbound.label,
                    at=at,
                )
                outbox.queue(
                    c,
                    key=key,
                    account_id=account.account_id,
                    conversation_id=conversation.id,
                    message_id=message_id,
                    turn_id=turn.id,
                    payload=OUTBOUND.dump_json(outbound).decode(),
                    at=at,
                )
            conversations.note_answer(
                c, conversation.id, at=at, language=answer.language or None, is_disclosed=bool(answer.disclosure)
            )
            if drafts:
                add_memories(c, words.with_message_ids(c, drafts), at=at)
            for alert in answer.alerts:
                _report(c, account, turn, kind=alert.kind, summary=alert.summary, at=at)
            if is_poisoned:
                summary = f"A message could not be answered after {burst.attempts} tries; an apology was sent."
                _report(c, account, turn, kind="poisoned", summary=summary, at=at)

        try:
            await self._database.write(change)
        except _AlreadyAnswered:
            return
        self._on_step("committed")
        if drafts:
            self._on_remembered()
        self._on_answered(account.account_id, conversation.id)
        self._tell(account.persona_id, conversation.id, "answer")
        log.info(
            "answered",
            extra={"ids": {"turn": turn.id, "channel": account.channel, "engine": answer.engine, "ms": took_s * 1000}},
        )

    def _tell(self, persona_id: str, conversation_id: str, name: str) -> None:
        self._live.publish(Event(f"persona/{persona_id}/conversation/{conversation_id}", name))

    @asynccontextmanager
    async def _typing(self, adapter: Adapter, chat: Chat) -> AsyncIterator[None]:
        """Show that the persona is writing, once it takes long enough to be noticed."""
        if not adapter.limits.has_typing:
            yield
            return

        async def show() -> None:
            await self._clock.sleep(_SHOW_TYPING_AFTER_S)
            while True:
                await adapter.show("typing", chat)
                await self._clock.sleep(max(1.0, adapter.limits.typing_lasts_s - 1.0))

        async with asyncio.TaskGroup() as group:
            task = group.create_task(_quietly(show))
            try:
                yield
            finally:
                task.cancel()


async def _quietly(show: Callable[[], Awaitable[None]]) -> None:
    try:
        await show()
    except Exception as error:  # a missing typing sign must not cost an answer
        log_failure(log, "typing could not be shown", error)


class _Drafts:
    """Shows the answer so far, at most every `_DRAFT_EVERY_S` seconds; a draft that fails is only not shown."""

    def __init__(self, adapter: Adapter, chat: Chat, turn_id: str, clock: Clock) -> None:
        self._adapter = adapter
        self._chat = chat
        self._clock = clock
        self._draft_id = zlib.crc32(turn_id.encode()) or 1
        self._shown_at = -_DRAFT_EVERY_S

    async def show(self, text: str) -> None:
        now = self._clock.monotonic()
        if not text.strip() or now - self._shown_at < _DRAFT_EVERY_S:
            return
        self._shown_at = now
        try:
            await self._adapter.draft(self._chat, self._draft_id, text)
        except Exception as error:
            log_failure(log, "a draft could not be shown", error)


def _can_draft(account: Running, chat: Chat) -> bool:
    return account.adapter.limits.has_drafts and chat.kind == "private"


def _gather(arrived: Sequence[tuple[inbox.Waiting, Inbound]]) -> _Burst:
    """Return the messages to answer together, with edits and deletions of them already applied."""
    ids: list[int] = []
    said: dict[int, Inbound] = {}
    attempts = 0
    for row, inbound in arrived:
        if inbound.kind == "message":
            if len(said) >= _MOST_IN_A_BURST:
                break
            said[row.id] = inbound
        elif inbound.kind == "edit" and (edited := _row_of(said, inbound.message_id)) is not None:
            said[edited] = words.edited(said[edited], inbound)
        else:
            continue
        ids.append(row.id)
        attempts = max(attempts, row.attempts)
    return _Burst(key=arrived[0][0].conversation_key, ids=tuple(ids), said=tuple(said.items()), attempts=attempts)


def _first_of(arrived: Sequence[tuple[inbox.Waiting, Inbound]]) -> _Burst:
    row, inbound = arrived[0]
    return _Burst(key=row.conversation_key, ids=(row.id,), said=((row.id, inbound),), attempts=row.attempts)


def _row_of(said: dict[int, Inbound], message_id: str | None) -> int | None:
    return next((row for row, one in said.items() if message_id and one.message_id == message_id), None)


def _begin(c: Connection, account: Running, burst: _Burst, *, at: datetime, is_claim: bool) -> _Begun:
    """Find out who speaks and where, keep what they said, and count the try."""
    if is_claim:
        inbox.claim(c, burst.ids)
    last = burst.said[-1][1]
    sender = last.sender
    identified = people.identify(
        c,
        account_id=account.account_id,
        platform_user_id=sender.id,
        name=sender.name,
        username=sender.username,
        language=sender.language,
        at=at,
    )
    person = identified.person
    token = next((one.invitation for _, one in burst.said if one.invitation), None)
    if token and is_claim:
        person = _accept_invitation(c, account, token, identified, last.chat, at=at)
    conversation = conversations.open_conversation(
        c,
        key=burst.key,
        persona_id=account.persona_id,
        person_id=person.id,
        account_id=account.account_id,
        chat_id=last.chat.id,
        thread_id=last.chat.thread_id,
        chat_kind=last.chat.kind,
        title=last.chat.title,
        at=at,
    )
    conversations.add_inbound(c, conversation, [words.row(id_, inbound) for id_, inbound in burst.said])
    previous = conversation.last_out_at
    return _Begun(
        conversation=conversation,
        person=person,
        idle=None if previous is None else at - previous,
    )


def _turn(c: Connection, account: Running, burst: _Burst, begun: _Begun, *, at: datetime) -> tuple[Turn, Persona]:
    """Read what an answer is made of: the persona, what this person may see, and what was said before."""
    persona = personas.persona(c, account.persona_id)
    conversation = begun.conversation
    chat = burst.chat(conversation)
    is_group = chat.kind == "group"
    if is_group:
        viewer = people.viewer_in_room(c, account.account_id, chat.id, persona.id)
    else:
        viewer = people.viewer_for(c, persona.id, begun.person)
    before = conversations.history(c, conversation.id, before_inbox=burst.said[0][0], limit=_HISTORY)
    is_due = conversation.disclosed_at is None or begun.idle is None or begun.idle >= _NEW_TALK_AFTER
    turn = Turn(
        id=new_id(),
        persona=_card(persona, profiles.current_profile(c, viewer)),
        viewer=viewer,
        conversation_id=conversation.id,
        messages=tuple(words.said(inbound) for _, inbound in burst.said),
        history=tuple(words.remembered(message) for message in before),
        person_name=begun.person.name,
        language=conversation.language or _language(begun.person.language),
        is_disclosure_due=is_due,
        is_group=is_group,
        now=at,
        region=account.region,
        max_characters=account.adapter.limits.text_length,
    )
    return turn, persona


def _language(tag: str | None) -> str | None:
    """Return the language of a tag such as pt-BR, without the region."""
    return re.split("[-_]", tag)[0].lower() or None if tag else None


def _is_known(viewer: Viewer) -> bool:
    """Return whether somebody, or the group they sit in, was let in by the owner."""
    return viewer.sees_all or any(audience.startswith("circle:") for audience in viewer.audiences)


def _accept_invitation(
    c: Connection, account: Running, token: str, identified: people.Identified, chat: Chat, *, at: datetime
) -> Person:
    try:
        if chat.kind == "group":
            invitations.accept_for_room(c, token, identity_id=identified.identity.id, chat_id=chat.id, at=at)
        else:
            invitations.accept(c, token, identity_id=identified.identity.id, at=at)
    except KnowledgeError:
        return identified.person  # used or unknown: the person is who they were before
    return people.identify(
        c, account_id=account.account_id, platform_user_id=identified.identity.platform_user_id, at=at
    ).person


def _card(persona: Persona, profile: Any) -> PersonaCard:
    return PersonaCard(
        id=persona.id,
        name=persona.name,
        kind=persona.kind,
        languages=tuple(persona.languages),
        timezone=persona.timezone,
        biography=profile.biography if profile else "",
        description=profile.description if profile else "",
        style=profile.style if profile else {},
    )


def _turn_row(turn: Turn, answer: Answer, *, at: datetime, took_s: float) -> TurnRow:
    return TurnRow(
        id=turn.id,
        persona_id=turn.persona.id,
        person_id=turn.viewer.person_id or "",
        conversation_id=turn.conversation_id,
        engine=answer.engine,
        reason=answer.reason,
        language=answer.language,
        trace=words.trace(answer),
        memory_ids=list(answer.memory_ids),
        input_tokens=answer.input_tokens,
        output_tokens=answer.output_tokens,
        cost=answer.cost,
        duration_ms=took_s * 1000,
        started_at=turn.now,
        finished_at=at,
    )


def _report(c: Connection, account: Running, turn: Turn, *, kind: str, summary: str, at: datetime) -> None:
    incidents.report(
        c,
        kind=kind,
        summary=summary,
        at=at,
        persona_id=account.persona_id,
        account_id=account.account_id,
        conversation_id=turn.conversation_id,
        turn_id=turn.id,
    )
