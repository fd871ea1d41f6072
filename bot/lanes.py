"""Lanes: at most one task per key, woken by name, so that what belongs together happens in order."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable

from bot.failures import log_failure
from knowledge.clock import Clock

log = logging.getLogger(__name__)

Step = Callable[[str], Awaitable[bool]]
"""Does the next thing in one lane and returns whether it did any; raising is a bug and is tried again later."""

_RETRY_S = 1.0
_LONGEST_RETRY_S = 30.0
_LONG_REST_S = 5.0


class Lanes:
    """Runs `step` for every woken key until it finds nothing to do. Different keys run side by side."""

    def __init__(self, name: str, step: Step, clock: Clock) -> None:
        self._name = name
        self._step = step
        self._clock = clock
        self._woken: dict[str, asyncio.Event] = {}
        self._group: asyncio.TaskGroup | None = None
        self._before_start: set[str] = set()
        self._resting: set[str] = set()
        self._stop = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def is_stopping(self) -> bool:
        """Whether lanes should end after the step they are in."""
        return self._stop.is_set()

    def wake(self, keys: Iterable[str]) -> None:
        """Make sure that a lane runs for each key, and looks again if it already does."""
        for key in keys:
            event = self._woken.get(key)
            if event is not None:
                event.set()
            elif self._group is None:
                self._before_start.add(key)
            elif not self._stop.is_set():
                self._woken[key] = asyncio.Event()
                self._look_idle()
                self._group.create_task(self._run_lane(key), name=f"{self._name} {key}")

    async def pause(self, key: str, seconds: float) -> None:
        """Wait within a lane until the time is over, it is woken, or everything stops."""
        if seconds <= 0:
            return
        woken = self._woken[key]
        woken.clear()
        if seconds > _LONG_REST_S:
            self._resting.add(key)
            self._look_idle()
        try:
            async with asyncio.TaskGroup() as group:
                reasons = (_until(woken), _until(self._stop), _over(self._clock, seconds))
                waits = [group.create_task(reason) for reason in reasons]
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
                for wait in waits:
                    wait.cancel()
        finally:
            self._resting.discard(key)
            self._look_idle()

    async def run(self) -> None:
        """Run lanes until `stop`; then wait for the steps in progress."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            self.wake(self._before_start)
            self._before_start = set()
            await self._stop.wait()

    def stop(self) -> None:
        """Let every lane end after its step."""
        self._stop.set()

    async def wait_idle(self) -> None:
        """Return once no lane runs, but those that rest for more than five seconds."""
        await self._idle.wait()

    @property
    def count(self) -> int:
        """How many lanes run."""
        return len(self._woken)

    async def _run_lane(self, key: str) -> None:
        woken = self._woken[key]
        failures = 0
        try:
            while not self._stop.is_set():
                woken.clear()
                try:
                    did = await self._step(key)
                    failures = 0
                except Exception as error:
                    failures += 1
                    log_failure(log, f"{self._name} lane failed", error)
                    await self.pause(key, min(_LONGEST_RETRY_S, _RETRY_S * 2**failures))
                    continue
                if not did and not woken.is_set():
                    return
        finally:
            del self._woken[key]
            self._look_idle()

    def _look_idle(self) -> None:
        if len(self._woken) == len(self._resting):
            self._idle.set()
        else:
            self._idle.clear()


async def _until(event: asyncio.Event) -> None:
    await event.wait()


async def _over(clock: Clock, seconds: float) -> None:
    await clock.sleep(seconds)
