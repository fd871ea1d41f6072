"""What the channels' tests share: an inlet and a transcript in memory, and a real server around an adapter."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiohttp import web

from channels.contract import Adapter, Inlet, Line, Ports, Received, Sender, Visitors
from channels.errors import NotAccepted
from channels.web import CookieVisitors
from tests.fakes import FakeClock

FIXTURES = Path(__file__).parent / "fixtures"
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One request as a platform makes it."""

    path: str
    headers: dict[str, str]
    body: bytes


class MemoryInlet:
    """Keeps what was accepted, once per event id. `is_broken` makes it refuse, as a full disk would."""

    def __init__(self) -> None:
        self.received: dict[str, Received] = {}
        self.calls: list[list[str]] = []
        self.cursors: dict[str, str] = {}
        self.is_broken = False

    async def accept(self, received: Sequence[Received], *, cursor: tuple[str, str] | None = None) -> int:
        if self.is_broken:
            raise NotAccepted("the disk is full")
        self.calls.append([one.event_id for one in received])
        fresh = [one for one in received if one.event_id not in self.received]
        self.received.update({one.event_id: one for one in fresh})
        if cursor:
            self.cursors[cursor[0]] = cursor[1]
        return len(fresh)

    async def cursor(self, name: str) -> str | None:
        return self.cursors.get(name)


@dataclass
class MemoryTranscript:
    """What was said, by sender. Ids grow over all of them."""

    said: dict[str, list[Line]] = field(default_factory=dict)
    count: int = 0

    def add(self, sender_id: str, text: str, *, is_ours: bool, key: str = "", label: str = "") -> Line:
        self.count += 1
        line = Line(id=self.count, key=key or f"k{self.count}", text=text, is_ours=is_ours, at=NOW, label=label)
        self.said.setdefault(sender_id, []).append(line)
        return line

    async def lines(self, sender: Sender, *, after: int = 0, limit: int = 100) -> list[Line]:
        found = self.said.get(sender.id, [])
        return [line for line in found if line.id > after][:limit] if after else found[-limit:]


class NoMedia:
    """A media store with nothing in it."""

    async def read(self, sha256: str) -> bytes:
        raise KeyError(sha256)

    async def platform_id(self, sha256: str) -> str | None:
        return None


async def nobody(request: web.Request) -> Sender | None:
    """Say that no operator is signed in."""
    return None


def ports(
    clock: FakeClock | None = None, *, transcript: MemoryTranscript | None = None, visitors: Visitors | None = None
) -> Ports:
    """Return what the bot lends an adapter, in memory."""
    return Ports(
        now=(clock or FakeClock(NOW)).now,
        media=NoMedia(),
        visitors=visitors or CookieVisitors(b"secret of the tests", is_secure=False, signed_in=nobody),
        transcript=transcript or MemoryTranscript(),
    )


@asynccontextmanager
async def serving(app: web.Application) -> AsyncIterator[str]:
    """Yield the address of a real server on this machine."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    try:
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def mounted(adapter: Adapter, inlet: Inlet, *, path: str) -> AsyncIterator[str]:
    """Yield the address of a server that has the adapter's routes below `path`, as the bot mounts them."""
    routes = {(route.method, path + route.path): route for route in adapter.routes()}

    async def answer(request: web.Request) -> web.StreamResponse:
        route = routes.get((request.method, request.path))
        if route is None:
            raise web.HTTPNotFound
        return await route.handler(request, inlet)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with serving(app) as address:
        yield address


def free_address() -> str:
    """Return an address of this machine at which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}"


def fixture(*path: str) -> Any:
    """Return one fixture file, parsed."""
    return json.loads(FIXTURES.joinpath(*path).read_text(encoding="utf-8"))
