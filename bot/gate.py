"""The gate of an account: how many of its sends may be of unknown outcome when the process dies.

A platform without idempotency keys shows a message twice when we die between its arrival and our note of it. With one
send at a time that is one message at most, whatever else is going on.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from knowledge.clock import Clock

_LONGEST_S = 2.0


class Gate:
    """Lets so many through at once. Whoever takes longer than two seconds no longer holds up the others."""

    def __init__(self, at_once: int, clock: Clock) -> None:
        self._places = asyncio.Semaphore(at_once)
        self._clock = clock

    @asynccontextmanager
    async def passage(self) -> AsyncIterator[None]:
        """Wait for a place and hold it for the length of the block, or for two seconds."""
        await self._places.acquire()
        is_held = True

        def give_back() -> None:
            nonlocal is_held
            if is_held:
                is_held = False
                self._places.release()

        async with asyncio.TaskGroup() as group:
            late = group.create_task(self._later(give_back))
            try:
                yield
            finally:
                late.cancel()
                give_back()

    async def _later(self, give_back: Callable[[], None]) -> None:
        await self._clock.sleep(_LONGEST_S)
        give_back()
