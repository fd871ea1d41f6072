"""The live stream of the panel: tells an open page that what it shows has changed."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator

from aiohttp import web

from admin.desk import Desk
from admin.errors import PageNotFound
from admin.form import query_text
from knowledge.live import Event

_TOPICS = ("persona/", "import/")
_BEAT_S = 20.0
_MOST_BEATS = 180
"""After an hour the browser connects again, and shows that it is still signed in."""


class LiveStream:
    """Server-sent events under `/admin/live?topic=...`: ids and counts, never anybody's words."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> list[web.AbstractRouteDef]:
        """Return the route of the stream."""
        return [web.get("/admin/live", self.stream)]

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """Send what happens under a topic until the browser leaves."""
        await self._desk.gate.need(request)
        topic = query_text(request, "topic", most=200)
        if not topic.startswith(_TOPICS):
            raise PageNotFound("There is nothing to watch under this topic.")
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        )
        watched = self._desk.services.live.watch(topic)
        await response.prepare(request)
        await response.write(b"retry: 2000\n\n")
        with contextlib.suppress(ConnectionError):
            await self._send(response, watched)
        return response

    async def _send(self, response: web.StreamResponse, watched: AsyncIterator[Event]) -> None:
        """Send events and beats; whichever finds the browser gone ends both.

        Raises:
            ConnectionError: when the browser has left.
        """
        try:
            async with asyncio.TaskGroup() as group:
                events = group.create_task(_send_events(response, watched))
                for _ in range(_MOST_BEATS):
                    await self._desk.clock.sleep(_BEAT_S)
                    await response.write(b": alive\n\n")
                events.cancel()
        except* ConnectionError as errors:
            raise ConnectionResetError from errors


async def _send_events(response: web.StreamResponse, watched: AsyncIterator[Event]) -> None:
    async for event in watched:
        facts = json.dumps({"topic": event.topic, "name": event.name, "facts": event.facts})
        await response.write(f"event: change\ndata: {facts}\n\n".encode())
