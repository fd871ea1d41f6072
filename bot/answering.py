"""The answerer, built in the background: importing the graph's library must not delay the first page."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread

from agents.turn import Answer, Answerer, OnText, Turn


class WarmingAnswerer:
    """An answerer that begins to be built at once, in a thread of its own; the first answers wait for it."""

    def __init__(self, build: Callable[[], Answerer]) -> None:
        self._built: Future[Answerer] = Future()
        Thread(target=self._build, args=(build,), name="answerer", daemon=True).start()

    def _build(self, build: Callable[[], Answerer]) -> None:
        try:
            self._built.set_result(build())
        except BaseException as error:
            self._built.set_exception(error)

    async def ready(self) -> None:
        """Return once the answerer is built."""
        await asyncio.wrap_future(self._built)

    async def answer(self, turn: Turn, *, on_text: OnText | None = None) -> Answer:
        if not self._built.done():
            await asyncio.shield(asyncio.wrap_future(self._built))
        return await self._built.result().answer(turn, on_text=on_text)

    def apology(self, turn: Turn) -> Answer:
        return self._built.result().apology(turn)

    def closed_door(self, turn: Turn) -> Answer:
        return self._built.result().closed_door(turn)
