"""One Telegram bot before the local Telegram: the real adapter, an inlet and a media store in memory, and a webhook."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from channels.contract import AccountConfig, Chat, Inbound, Media, MediaFile, Outbound, Part, Ports, Received, Text
from channels.errors import NotAccepted
from channels.telegram import TelegramAdapter
from channels.telegram_settings import TelegramSettings
from tests.fakes import FakeClock
from tests.platforms.telegram import LocalBot, Telegram

SECRET = "a-secret-only-telegram-knows_0123456789"
OGG = b"OggS" + b"\x00" * 24 + b"OpusHead" + bytes(range(64))
MP4 = b"\x00\x00\x00\x18ftypmp42" + bytes(range(200))
JPEG = b"\xff\xd8\xff\xe0" + bytes(range(120))


@dataclass
class MemoryInlet:
    """Stores like the real inlet: by event id, all of a batch or nothing, together with the cursor."""

    events: dict[str, Received] = field(default_factory=dict)
    cursors: dict[str, str] = field(default_factory=dict)
    refusals: int = 0
    repeats: int = 0
    dies_after_storing: bool = False
    _arrived: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def accept(self, received: Sequence[Received], *, cursor: tuple[str, str] | None = None) -> int:
        if self.refusals:
            self.refusals -= 1
            raise NotAccepted("the disk is full")
        fresh = [one for one in received if one.event_id not in self.events]
        self.repeats += len(received) - len(fresh)
        self.events |= {one.event_id: one for one in fresh}
        if cursor:
            self.cursors[cursor[0]] = cursor[1]
        async with self._arrived:
            self._arrived.notify_all()
        if self.dies_after_storing:
            raise KilledError
        return len(fresh)

    async def cursor(self, name: str) -> str | None:
        return self.cursors.get(name)

    @property
    def inbound(self) -> list[Inbound]:
        return [one.inbound for one in self.events.values() if one.inbound]

    @property
    def words(self) -> list[str]:
        return [part.text for one in self.inbound for part in one.parts if isinstance(part, Text)]

    async def has(self, count: int) -> list[Inbound]:
        """Wait until `count` events are stored and return what they say."""
        async with asyncio.timeout(15), self._arrived:
            await self._arrived.wait_for(lambda: len(self.events) >= count)
        return self.inbound


class KilledError(BaseException):
    """The process died here."""


@dataclass
class MemoryMedia:
    """Media by its hash, and the ids under which the account has sent it."""

    contents: dict[str, bytes] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)
    reads: int = 0

    def add(self, content: bytes) -> str:
        sha256 = hashlib.sha256(content).hexdigest()
        self.contents[sha256] = content
        return sha256

    async def read(self, sha256: str) -> bytes:
        self.reads += 1
        return self.contents[sha256]

    async def platform_id(self, sha256: str) -> str | None:
        return self.ids.get(sha256)


@dataclass
class Stage:
    """A bot, its adapter, and what the adapter hands in."""

    telegram: Telegram
    bot: LocalBot
    adapter: TelegramAdapter
    inlet: MemoryInlet
    media: MemoryMedia
    webhook_url: str = ""

    async def say(self, chat_id: int, text: str, **fields: Any) -> tuple[str, ...]:
        """Send text to a chat and return the ids of its messages."""
        return (await self.adapter.send(words(chat_id, text, **fields))).message_ids


def words(chat_id: int, text: str, *, key: str = "k1", **fields: Any) -> Outbound:
    kind = "private" if chat_id > 0 else "group"
    chat = Chat(id=str(chat_id), kind=kind, thread_id=fields.pop("thread_id", None))
    parts: tuple[Part, ...] = (Text(text=text), *fields.pop("more", ()))
    return Outbound(key=key, chat=chat, parts=parts, **fields)


def shown(
    chat_id: int, kind: Any, sha256: str | None = None, *, key: str = "k1", caption: str = "", **file: Any
) -> Outbound:
    media = Media(kind=kind, file=MediaFile(sha256=sha256, **file), caption=caption)
    return Outbound(key=key, chat=Chat(id=str(chat_id)), parts=(media,))


def build(
    telegram: Telegram,
    bot: LocalBot,
    *,
    media: MemoryMedia | None = None,
    webhook_url: str | None = None,
    clock: FakeClock | None = None,
    **settings: Any,
) -> TelegramAdapter:
    values = {"token": bot.token, "api_base": telegram.url, "secret_token": SECRET, **settings}
    config = AccountConfig(id="account-1", settings=TelegramSettings.model_validate(values), webhook_url=webhook_url)
    return TelegramAdapter(config, Ports(now=(clock or FakeClock()).now, media=media or MemoryMedia()))


@asynccontextmanager
async def webhook_of(adapter_routes: Any, inlet: MemoryInlet, path: str = "/hooks/oma") -> AsyncIterator[str]:
    """Serve what `adapter_routes` gives at each request, and yield the address of the webhook path."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        for route in adapter_routes():
            if request.method == route.method and request.path == path + route.path:
                response: web.StreamResponse = await route.handler(request, inlet)
                return response
        return web.Response(status=404)

    runner = web.ServerRunner(web.Server(answer, access_log=None), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}{path}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def polling(adapter: TelegramAdapter, inlet: MemoryInlet) -> AsyncIterator[asyncio.Task[None]]:
    """Let an adapter listen, and stop it in the end."""
    task = asyncio.ensure_future(adapter.listen(inlet))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await adapter.close()
