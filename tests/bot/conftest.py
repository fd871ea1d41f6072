"""A dispatcher and a delivery over a real database, with a channel in memory and a clock that the test turns."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bot.delivery import Delivery
from bot.dispatch import Dispatcher, Pace, Running
from bot.inlet import AccountInlet
from channels.contract import Chat, Inbound, Received, Sender, Text
from knowledge import personas
from knowledge.accounts import create_account
from knowledge.database import Database
from knowledge.live import InProcessLive
from knowledge.secrets import SecretBox
from tests.fakes import FakeAnswerer, FakeChannel, FakeClock


@dataclass
class Spine:
    """The path of a message, from an inlet to a channel."""

    database: Database
    clock: FakeClock
    persona_id: str
    account_id: str
    channel: FakeChannel = field(default_factory=FakeChannel)
    answerer: FakeAnswerer = field(default_factory=FakeAnswerer)
    live: InProcessLive = field(default_factory=InProcessLive)
    pace: Pace = field(default_factory=Pace)
    steps: list[str] = field(default_factory=list)
    is_on: bool = True
    remembered: int = 0

    def __post_init__(self) -> None:
        self._events = itertools.count(1)
        self.inlet = AccountInlet(
            self.account_id,
            database=self.database,
            clock=self.clock,
            wake=lambda keys: self.dispatcher.wake(keys),
            on_step=self.steps.append,
        )

    def running(self, account_id: str) -> Running | None:
        if not self.is_on or account_id != self.account_id:
            return None
        return Running(account_id=account_id, persona_id=self.persona_id, channel="fake", adapter=self.channel)

    @asynccontextmanager
    async def works(self) -> AsyncIterator[None]:
        """Run the dispatcher and the delivery for as long as the block lasts, as one process would."""
        self.delivery = Delivery(
            database=self.database, clock=self.clock, live=self.live, accounts=self, on_step=self.steps.append
        )
        self.dispatcher = Dispatcher(
            database=self.database,
            clock=self.clock,
            live=self.live,
            accounts=self,
            answerer=self.answerer,
            on_answered=self.delivery.wake,
            on_remembered=self._remember,
            pace=self.pace,
            on_step=self.steps.append,
        )
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self.dispatcher.run()), group.create_task(self.delivery.run())]
            await asyncio.sleep(0)
            try:
                yield
            finally:
                self.dispatcher.stop()
                self.delivery.stop()
                await asyncio.wait(tasks)

    def _remember(self) -> None:
        self.remembered += 1

    def said(self, text: str, *, chat: Chat | None = None, sender: Sender | None = None, **more: object) -> Inbound:
        number = next(self._events)
        values: dict[str, object] = {
            "event_id": f"e{number}",
            "message_id": f"m{number}",
            "kind": "message",
            "chat": chat or Chat(id="c1"),
            "sender": sender or Sender(id="ana", name="Ana"),
            "sent_at": self.clock.now(),
            "parts": (Text(text=text),) if text else (),
        }
        return Inbound(**{**values, **more})  # type: ignore[arg-type]

    async def receive(self, *inbounds: Inbound) -> int:
        return await self.inlet.accept([Received(event_id=i.event_id, raw="{}", inbound=i) for i in inbounds])

    async def says(self, text: str, **more: object) -> Inbound:
        inbound = self.said(text, **more)  # type: ignore[arg-type]
        await self.receive(inbound)
        return inbound

    async def until(self, holds: Callable[[], bool], *, turn_s: float = 0.25, most: int = 400) -> None:
        """Turn the clock until something holds; the database answers in real time meanwhile."""
        for _ in range(most):
            if holds():
                return
            await asyncio.sleep(0.004)
            await self.clock.advance(turn_s)
        raise AssertionError(f"it never came to hold; steps: {self.steps[-12:]}")

    async def settle(self, *, turn_s: float = 0.5, rounds: int = 12) -> None:
        """Give everything the time to come to rest."""
        for _ in range(rounds):
            await asyncio.sleep(0.004)
            await self.clock.advance(turn_s)


@pytest.fixture
async def spine(database: Database, clock: FakeClock, tmp_path: Path) -> Spine:
    """A public persona with one account on a channel in memory."""

    def make(c):  # type: ignore[no-untyped-def]
        persona = personas.create_persona(c, name="Rosa", kind="fictional", visibility="public", at=clock.now())
        account = create_account(
            c,
            SecretBox(tmp_path / "key"),
            persona_id=persona.id,
            channel="fake",
            name="Rosa",
            settings={},
            at=clock.now(),
        )
        return persona.id, account.id

    persona_id, account_id = await database.write(make)
    return Spine(database=database, clock=clock, persona_id=persona_id, account_id=account_id)
