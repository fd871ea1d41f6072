"""A gate: so many at once, and whoever takes too long no longer holds up the others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from knowledge.clock import Clock


class Gate:
    """Lets `at_once` through at a time, in the order they came. A place is given on after `longest_s` seconds."""

    def __init__(self, at_once: int, *, longest_s: float, clock: Clock) -> None:
        self._at_once = at_once
        self._longest_s = longest_s
        self._clock = clock
        self._inside: dict[object, float] = {}
        self._queue = asyncio.Lock()
        self._freed = asyncio.Event()

    @asynccontextmanager
    async def passage(self) -> AsyncIterator[None]:
        """Wait for a place and hold it for the length of the block, or for `longest_s` seconds."""
        me = object()
        async with self._queue:
            while len(self._inside) >= self._at_once:
                await self._wait_for_place()
            self._inside[me] = self._clock.monotonic()
        try:
            yield
        finally:
            self._inside.pop(me, None)
            self._freed.set()

    async def _wait_for_place(self) -> None:
        oldest, since = next(iter(self._inside.items()))
        left_s = since + self._longest_s - self._clock.monotonic()
        if left_s <= 0:
            del self._inside[oldest]
            return
        self._freed.clear()
        async with asyncio.TaskGroup() as group:
            waits = [group.create_task(self._until_freed()), group.create_task(self._over(left_s))]
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for wait in waits:
                wait.cancel()

    async def _until_freed(self) -> None:
        await self._freed.wait()

    async def _over(self, seconds: float) -> None:
        await self._clock.sleep(seconds)
