"""The open pages of one web account: who watches, and what each still has to be told."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from aiohttp import web
from pydantic import JsonValue

MOST_PER_VISITOR = 6
MOST_IN_ALL = 4000
_MOST_WAITING = 32


@dataclass(eq=False, slots=True)
class Stream:
    """One open page. Words come from the transcript; what is only shown for a moment waits here."""

    request: web.Request
    woken: asyncio.Event = field(default_factory=asyncio.Event)
    moments: deque[bytes] = field(default_factory=lambda: deque(maxlen=_MOST_WAITING))
    draft: bytes | None = None

    @property
    def is_gone(self) -> bool:
        """Whether the browser has left."""
        return self.request.transport is None or self.request.transport.is_closing()

    def taken(self) -> list[bytes]:
        """Return what waits, the newest draft last, and forget it."""
        found = [*self.moments, *([self.draft] if self.draft else [])]
        self.moments.clear()
        self.draft = None
        return found


class Streams:
    """Every open page, by visitor."""

    def __init__(self) -> None:
        self._by_visitor: dict[str, list[Stream]] = {}
        self.is_closed = False

    @contextmanager
    def opened(self, visitor_id: str, request: web.Request) -> Iterator[Stream | None]:
        """Keep a stream while the page is open; None when this visitor or this account has too many."""
        streams = self._living(visitor_id)
        if len(streams) >= MOST_PER_VISITOR or sum(map(len, self._by_visitor.values())) >= MOST_IN_ALL:
            yield None
            return
        stream = Stream(request)
        self._by_visitor.setdefault(visitor_id, []).append(stream)
        try:
            yield stream
        finally:
            self._drop(visitor_id, stream)

    def wake(self, visitor_id: str) -> None:
        """Tell the visitor's pages that the transcript has grown."""
        for stream in self._by_visitor.get(visitor_id, ()):
            stream.woken.set()

    def show(self, visitor_id: str, name: str, facts: dict[str, JsonValue]) -> None:
        """Tell the visitor's pages something that is not kept. Of drafts, only the newest matters."""
        for stream in self._by_visitor.get(visitor_id, ()):
            if name == "draft":
                stream.draft = event(name, facts)
            else:
                stream.moments.append(event(name, facts))
            stream.woken.set()

    def close(self) -> None:
        """End every stream."""
        self.is_closed = True
        for visitor_id in list(self._by_visitor):
            self.wake(visitor_id)

    def _living(self, visitor_id: str) -> list[Stream]:
        for stream in list(self._by_visitor.get(visitor_id, ())):
            if stream.is_gone:
                self._drop(visitor_id, stream)
                stream.woken.set()
        return self._by_visitor.get(visitor_id, [])

    def _drop(self, visitor_id: str, stream: Stream) -> None:
        streams = self._by_visitor.get(visitor_id, [])
        if stream in streams:
            streams.remove(stream)
        if not streams:
            self._by_visitor.pop(visitor_id, None)


def event(name: str, facts: dict[str, JsonValue], *, event_id: int | None = None) -> bytes:
    """Return one server-sent event."""
    head = f"id: {event_id}\n" if event_id is not None else ""
    return f"{head}event: {name}\ndata: {json.dumps(facts, ensure_ascii=False)}\n\n".encode("utf-8", "replace")
