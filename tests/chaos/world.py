"""A world that goes wrong around a real server: people who write, platforms that lose things, and kills."""

from __future__ import annotations

import asyncio
import random
import re
import signal
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from knowledge.database import Connection
from knowledge.tables import Conversation, Inbox, Message, Outbox, Turn
from tests.platforms.keyed import KeyedPlatform
from tests.platforms.openai import OpenAI
from tests.platforms.server import Server, furnish, look
from tests.platforms.telegram import Person, Telegram

STEPS = ("received", "stored", "claimed", "answered", "committed", "sending", "sent", "marked")
"""The named points of a message's path, in their order."""


_REPLY = re.compile(r"reply-\w+")


@dataclass(frozen=True)
class Plan:
    """How much is written and how much goes wrong. Chances are per send, delivery or model call."""

    conversations: int = 12
    messages: int = 10
    kills: int = 10
    seed: int = 1
    seconds_between: float = 0.02
    lost: float = 0.05
    duplicate: float = 0.1
    late: float = 0.1
    model_failure: float = 0.1
    quiet_s: float = 0.05
    patience_s: float = 300.0


@dataclass
class Findings:
    """What was found in the end; `problems` must be empty."""

    written: int = 0
    kills: int = 0
    lost_responses: int = 0
    answers: int = 0
    repeats: int = 0
    engines: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)


class World:
    """One run: platforms, people, and the server that is killed and started again."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self.plan = plan
        self.folder = folder
        self.random = random.Random(plan.seed)
        self.telegram = Telegram()
        self.keyed = KeyedPlatform(
            lost=plan.lost, down=plan.lost, duplicate=plan.duplicate, late=plan.late, random=random.Random(plan.seed)
        )
        self.model = OpenAI()
        self.model.failure_chance, self.model.hang_s = plan.model_failure, 30.0
        self.model.random = random.Random(plan.seed)
        self.findings = Findings()
        self._people: list[Person] = []
        self._is_over = False

    async def run(self) -> Findings:
        """Live through the plan and return what was found."""
        async with asyncio.TaskGroup() as group, self._platforms(group):
            accounts = {
                "telegram": {"token": self.bot.token, "api_base": self.telegram.url, "secret_token": "chaos-secret"},
                "keyed": {"api": self.keyed.url},
            }
            _, paths = await asyncio.to_thread(furnish, self.folder, accounts)
            self._server = Server(
                self.folder,
                module="tests.chaos.victim",
                model_url=self.model.url,
                model_name="chaos",
                model_key="sk-local",
                model_timeout_s=2,
                quiet_s=self.plan.quiet_s,
                burst_s=0.5,
                sends_per_second=1000,
                embedder="false",
                attempts=50,
            )
            self.keyed.webhook_url = self._server.url + paths["keyed"]
            keeping = group.create_task(self._keep_alive())
            await self._write()
            await self._come_to_rest()
            self._is_over = True
            keeping.cancel()
        await asyncio.to_thread(self._examine)
        return self.findings

    @asynccontextmanager
    async def _platforms(self, group: asyncio.TaskGroup) -> AsyncIterator[None]:
        await self.telegram.start()
        await self.keyed.start(group)
        await self.model.start()
        faults = self.telegram.faults
        faults.random = random.Random(self.plan.seed)
        faults.chances = {"lost": self.plan.lost, "429": self.plan.lost, "503": self.plan.lost}
        faults.duplicate, faults.reorder = self.plan.duplicate, self.plan.late
        self.bot = self.telegram.bot()
        self._people = [
            self.telegram.person(f"Person {number}", has_met=True) for number in range(self.plan.conversations)
        ]
        try:
            yield
        finally:
            await self.telegram.stop()
            await self.keyed.stop()
            await self.model.stop()

    # ------------------------------------------------------------------------------------ the server

    async def _keep_alive(self) -> None:
        """Start the server again whenever it dies; kill it as often as planned, at named points and at random."""
        steps = [STEPS[number % len(STEPS)] for number in range(self.plan.kills)]
        self.random.shuffle(steps)
        while True:
            kill_at = ""
            is_random = False
            if self.findings.kills < self.plan.kills:
                is_random = self.findings.kills % 3 == 2
                kill_at = "" if is_random else f"{steps[self.findings.kills]}:{self.random.randint(1, 6)}"
            process = await self._server.start(kill_at)
            try:
                if is_random:
                    await asyncio.sleep(self.random.uniform(0.05, 1.0))
                    process.kill()
                await process.wait()
            finally:
                await self._server.stop()
            if process.returncode == -signal.SIGKILL:
                self.findings.kills += 1
            else:
                self.findings.problems.append(f"the server ended with {process.returncode}")
                return

    # ------------------------------------------------------------------------------------ the people

    async def _write(self) -> None:
        for number in range(self.plan.messages):
            for index, person in enumerate(self._people):
                token = f"t{index}x{number}"
                if index % 2:
                    await person.writes(f"Tell me about {token}")
                else:
                    self.keyed.write(f"chat{index}", number, f"Tell me about {token}")
                self.findings.written += 1
                await asyncio.sleep(self.random.uniform(0, 2 * self.plan.seconds_between))

    async def _come_to_rest(self) -> None:
        """Wait until the kills are done, everything was taken, and nothing is left to answer or to send."""
        async with asyncio.timeout(self.plan.patience_s):
            while True:
                await asyncio.sleep(0.25)
                if self.findings.kills < self.plan.kills:
                    # A named point is reached only while something is said.
                    await self._write_more()
                    await asyncio.sleep(0.5)
                    continue
                if self.keyed.undelivered or self.bot.updates.pending:
                    continue
                if not await asyncio.to_thread(self._is_anything_open):
                    return

    async def _write_more(self) -> None:
        index = self.random.randrange(len(self._people))
        number = self.plan.messages + self.findings.written
        if index % 2:
            await self._people[index].writes(f"And t{index}x{number}?")
        else:
            self.keyed.write(f"chat{index}", number, f"And t{index}x{number}?")
        self.findings.written += 1

    def _is_anything_open(self) -> bool:
        inbox, outbox = Inbox.__table__, Outbox.__table__  # type: ignore[attr-defined]

        def query(c: Connection) -> bool:
            waiting = c.execute(inbox.select().where(inbox.c.state == "pending").limit(1)).first()
            unsent = c.execute(outbox.select().where(outbox.c.state.in_(("pending", "sending"))).limit(1)).first()
            return waiting is not None or unsent is not None

        return look(self.folder, query)

    # ------------------------------------------------------------------------------------ the verdict

    def _examine(self) -> None:
        def query(c: Connection) -> Kept:
            tables = [model.__table__ for model in (Inbox, Message, Outbox, Conversation, Turn)]  # type: ignore[attr-defined]
            rows = [c.execute(one.select().order_by(one.c.id)).all() for one in tables]
            events, messages, parcels, talks, turns = rows
            return Kept(
                said=[row for row in events if row.kind == "message"],
                texts={row.id: row.text for row in messages},
                parcels=parcels,
                chats={row.id: row.chat_id for row in talks},
                engines=Counter(row.engine for row in turns),
            )

        kept = look(self.folder, query)
        found = self.findings
        found.answers, found.engines = len(kept.parcels), kept.engines
        if len(kept.said) != found.written:
            found.problems.append(f"{found.written} messages were written, {len(kept.said)} are in the inbox")
        answered = {row.turn_id for row in kept.parcels}
        for row in kept.said:
            if row.state != "done" or row.turn_id not in answered:
                found.problems.append(f"inbox row {row.id} is {row.state} and its turn has no answer")
        for row in kept.parcels:
            if row.state not in ("sent", "unknown"):
                found.problems.append(f"outbox row {row.id} ended as {row.state}")
        self._examine_order(kept)
        self._examine_telegram(kept)
        self._examine_keyed(kept)

    def _examine_order(self, kept: Kept) -> None:
        """In each conversation the answers stand in the order of what they answer."""
        place = {row.turn_id: row.id for row in reversed(kept.parcels)}
        last: Counter[str] = Counter()
        for row in kept.said:
            here = place.get(row.turn_id, 0)
            if here < last[row.conversation_key]:
                self.findings.problems.append(f"inbox row {row.id} was answered before an earlier one")
            last[row.conversation_key] = max(here, last[row.conversation_key])

    def _examine_telegram(self, kept: Kept) -> None:
        """Every answer arrived, in order; repeats only where a kill or a lost response explains them."""
        found = self.findings
        found.lost_responses = sum(1 for call in self.telegram.calls if call.fault == "lost")
        for person in self._people[1::2]:
            heard = [sent.text for sent in self.telegram.sent(person.id)]
            wanted = [kept.texts[row.message_id] for row in kept.parcels_to(str(person.id))]
            missing = Counter(_words(wanted)) - Counter(_words(heard))
            if missing or len(heard) < len(wanted):
                found.problems.append(f"{max(missing.total(), 1)} answers never reached {person.name}")
            found.repeats += len(heard) - len(wanted)
            if list(dict.fromkeys(_words(heard))) != list(dict.fromkeys(_words(wanted))):
                found.problems.append(f"answers reached {person.name} out of order")
        if found.repeats > found.kills + found.lost_responses:
            explained = f"{found.kills} kills and {found.lost_responses} lost responses"
            found.problems.append(f"{found.repeats} repeats for {explained}")

    def _examine_keyed(self, kept: Kept) -> None:
        """With an idempotency key everything arrived exactly once and in order."""
        for index in range(0, len(self._people), 2):
            chat = f"chat{index}"
            if self.keyed.chats.get(chat, []) != [row.key for row in kept.parcels_to(chat)]:
                self.findings.problems.append(f"answers reached {chat} out of order, twice or not at all")


@dataclass(frozen=True)
class Kept:
    """What the database holds in the end, in the order it came."""

    said: list[Any]
    texts: dict[int, str]
    parcels: Sequence[Any]
    chats: dict[str, str]
    engines: Counter[str]

    def parcels_to(self, chat: str) -> list[Any]:
        return [row for row in self.parcels if self.chats[row.conversation_id] == chat]


def _words(texts: Sequence[str]) -> list[str]:
    """Return the words that tell the model's answers apart; the offline answers among them may well be alike."""
    return [found[0] for text in texts if (found := _REPLY.search(text))]
