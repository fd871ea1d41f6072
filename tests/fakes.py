"""The fakes: a clock that tests turn themselves, a channel in memory, and an answerer that repeats."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from pydantic import BaseModel

from agents.turn import Answer, OnText, Turn
from channels.contract import (
    INBOUND,
    AccountConfig,
    Action,
    Chat,
    Health,
    Inbound,
    Inlet,
    Limits,
    MediaFile,
    Outbound,
    Receipt,
    Route,
    Text,
)
from channels.errors import ChannelError


class FakeClock:
    """A clock that stands still until `advance` turns it; sleepers wake in order."""

    def __init__(self, start: datetime = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)) -> None:
        self._now = start
        self._start = start
        self._sleepers: list[tuple[datetime, int, asyncio.Future[None]]] = []
        self._count = 0

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return (self._now - self._start).total_seconds()

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._count += 1
        heapq.heappush(self._sleepers, (self._now + timedelta(seconds=seconds), self._count, future))
        await future

    async def advance(self, seconds: float) -> None:
        """Turn the clock on and let everyone whose time has come run."""
        target = self._now + timedelta(seconds=seconds)
        while self._sleepers and self._sleepers[0][0] <= target:
            at, _, future = heapq.heappop(self._sleepers)
            self._now = max(self._now, at)
            if not future.done():
                future.set_result(None)
            for _ in range(20):
                await asyncio.sleep(0)
        self._now = target
        await asyncio.sleep(0)


class FakeChannel:
    """A platform in memory: it takes what is sent, or fails as it was told to."""

    name: ClassVar[str] = "fake"
    limits: ClassVar[Limits] = Limits(text_length=200, has_typing=True, has_drafts=True, has_quotes=True)

    def __init__(self, *, limits: Limits | None = None) -> None:
        self.account = AccountConfig(id="account", settings=_NoSettings())
        self.sent: list[Outbound] = []
        self.shown: list[str] = []
        self.drafts: list[str] = []
        self.failures: list[ChannelError] = []
        self.arrives_despite_failure = False
        self.known: dict[str, Receipt] = {}
        self.holds: asyncio.Event | None = None
        self.under_way = 0
        if limits is not None:
            self.limits = limits  # type: ignore[misc]

    def parse(self, payload: Any) -> list[Inbound]:
        return [INBOUND.validate_python(payload)]

    def routes(self) -> list[Route]:
        return []

    async def listen(self, inlet: Inlet) -> None:
        return

    async def send(self, outbound: Outbound) -> Receipt:
        self.under_way += 1
        if self.holds is not None:
            await self.holds.wait()
        self.under_way -= 1
        if self.failures:
            failure = self.failures.pop(0)
            if self.arrives_despite_failure:
                self.sent.append(outbound)
            raise failure
        self.sent.append(outbound)
        return Receipt(message_ids=(f"p{len(self.sent)}",))

    async def reconcile(self, outbound: Outbound) -> Receipt | None:
        return self.known.get(outbound.key)

    async def show(self, action: Action, chat: Chat) -> None:
        self.shown.append(action)

    async def draft(self, chat: Chat, draft_id: int, text: str) -> None:
        self.drafts.append(text)

    async def fetch(self, file: MediaFile) -> AsyncIterator[bytes]:
        yield b""

    async def check(self) -> Health:
        return Health(is_ok=True, summary="fine")

    async def close(self) -> None:
        return

    def texts(self) -> list[str]:
        """Return the words of everything sent, in order."""
        return [part.text for one in self.sent for part in one.parts if isinstance(part, Text)]


class FakeAnswerer:
    """Answers with what was said, or fails as it was told to."""

    def __init__(self) -> None:
        self.turns: list[Turn] = []
        self.failures: list[Exception] = []
        self.poison: str | None = None
        self.waits: asyncio.Event | None = None
        self.says: str | None = None

    async def answer(self, turn: Turn, *, on_text: OnText | None = None) -> Answer:
        self.turns.append(turn)
        if on_text is not None:
            await on_text("so far")
        if self.waits is not None:
            await self.waits.wait()
        if self.failures:
            raise self.failures.pop(0)
        words = " ".join(said.text for said in turn.messages)
        if self.poison and self.poison in words:
            raise RuntimeError("poisoned")
        disclosure = "I am an AI." if turn.is_disclosure_due else ""
        text = self.says if self.says is not None else f"You said: {words}"
        return Answer(text=text, language="en", reason="answered", engine="offline", disclosure=disclosure)

    def apology(self, turn: Turn) -> Answer:
        return Answer(text="I am sorry.", language="en", reason="apology", engine="offline")

    def closed_door(self, turn: Turn) -> Answer:
        return Answer(text="This persona is private.", language="en", reason="closed", engine="offline")


class _NoSettings(BaseModel):
    pass
