"""The answerer, built in the background: importing the graph's library must not delay the first page."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import Future
from threading import Lock, Thread

from agents.model import ModelConfig
from agents.turn import Answer, Answerer, OnText, Turn
from bot.settings import Settings
from knowledge.clock import Clock
from knowledge.embedder import Embedder
from knowledge.recall import Recall


class WarmingAnswerer:
    """An answerer that is built in a thread of its own once `warm` is called; the first answers wait for it."""

    def __init__(self, build: Callable[[], Answerer]) -> None:
        self._build = build
        self._built: Future[Answerer] = Future()
        self._begun = Lock()

    def warm(self) -> None:
        """Begin to build it, unless that has begun."""
        if self._begun.acquire(blocking=False):
            Thread(target=self._make, name="answerer", daemon=True).start()

    def _make(self) -> None:
        try:
            self._built.set_result(self._build())
        except BaseException as error:
            self._built.set_exception(error)

    async def ready(self) -> None:
        """Return once the answerer is built."""
        self.warm()
        await asyncio.shield(asyncio.wrap_future(self._built))

    async def answer(self, turn: Turn, *, on_text: OnText | None = None) -> Answer:
        if not self._built.done():
            await self.ready()
        return await self._built.result().answer(turn, on_text=on_text)

    async def close(self) -> None:
        """Release the chat model's connections, if there ever were any."""
        built = self._built.result() if self._built.done() and self._built.exception() is None else None
        close = getattr(built, "close", None)
        if close is not None:
            await close()

    def apology(self, turn: Turn) -> Answer:
        self.warm()
        return self._built.result().apology(turn)

    def closed_door(self, turn: Turn) -> Answer:
        self.warm()
        return self._built.result().closed_door(turn)


def describe(settings: Settings) -> str:
    """Return how answers are made, in words for the panel and the terminal."""
    if settings.has_model:
        return f"{settings.model_name} at {settings.model_url}; the offline answerer takes over when it fails"
    return "the offline answerer: it quotes and joins the persona's own sentences"


def model_of(settings: Settings) -> ModelConfig | None:
    """Return the chat model that is configured, None when there is none."""
    if not settings.has_model:
        return None
    return ModelConfig(
        base_url=settings.model_url,
        api_key=settings.model_key,
        name=settings.model_name,
        timeout_s=settings.model_timeout_s,
        max_steps=settings.model_max_steps,
        input_price=settings.model_input_price,
        output_price=settings.model_output_price,
        temperature=settings.model_temperature,
    )


def build(settings: Settings, recall: Recall, clock: Clock) -> Answerer:
    """Return the graph that makes the answers. Takes about a second of imports: call it in a thread."""
    from agents.graph import GraphAnswerer
    from agents.model import quiet_tracing

    if not settings.tracing:
        quiet_tracing(os.environ)
    return GraphAnswerer(recall=recall, clock=clock, model=model_of(settings))


def embedder_factory(settings: Settings) -> Callable[[], Embedder | None] | None:
    """Return what makes the embedder: None stands for the local one."""
    return None if settings.embedder else lambda: None
