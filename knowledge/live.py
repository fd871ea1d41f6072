"""Wake-ups and the live view inside one process: nothing here is kept, and losing it costs latency only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from pydantic import JsonValue


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened. `topic` is a path such as `persona/<id>/conversation/<id>`; facts are ids and counts."""

    topic: str
    name: str
    facts: dict[str, JsonValue] = field(default_factory=dict)


class Live(Protocol):
    """Tells whoever watches a topic what happens there, as it happens."""

    def publish(self, event: Event) -> None:
        """Tell the watchers. Never waits, never fails."""

    def watch(self, prefix: str) -> AsyncIterator[Event]:
        """Yield the events whose topic starts with `prefix`, from now on, until the iterator is closed."""


_MOST_WAITING = 256


class InProcessLive:
    """The live view of one process. A watcher that does not keep up loses the oldest events."""

    def __init__(self) -> None:
        self._watchers: list[tuple[str, asyncio.Queue[Event]]] = []

    def publish(self, event: Event) -> None:
        for prefix, waiting in self._watchers:
            if event.topic.startswith(prefix):
                if waiting.full():
                    waiting.get_nowait()
                waiting.put_nowait(event)

    async def watch(self, prefix: str) -> AsyncIterator[Event]:
        with self._watching(prefix) as waiting:
            while True:
                yield await waiting.get()

    @contextmanager
    def _watching(self, prefix: str) -> Iterator[asyncio.Queue[Event]]:
        watcher = (prefix, asyncio.Queue[Event](_MOST_WAITING))
        self._watchers.append(watcher)
        try:
            yield watcher[1]
        finally:
            self._watchers.remove(watcher)
