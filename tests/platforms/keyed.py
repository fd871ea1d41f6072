"""A platform on this machine that has what Telegram lacks: a key on every send, by which a repeat is recognised.

It delivers what people write to a webhook until it is taken, twice or late when told to, and loses responses.
`KeyedAdapter` is a channel for it, as an installed package would bring one.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar

from aiohttp import ClientError, ClientSession, ClientTimeout, web
from pydantic import BaseModel

from channels.contract import (
    AccountConfig,
    Action,
    Chat,
    Health,
    Inbound,
    Inlet,
    Limits,
    MediaFile,
    Outbound,
    Ports,
    Receipt,
    Received,
    Route,
    Sender,
    Text,
)
from channels.errors import OutcomeUnknown, PayloadNotUnderstood, PlatformUnavailable

_REDELIVERY_S = 0.1


class KeyedSettings(BaseModel):
    """Where the platform is."""

    api: str = ""


class KeyedAdapter:
    """The channel of the keyed platform."""

    name: ClassVar[str] = "keyed"
    limits: ClassVar[Limits] = Limits(text_length=4000, has_idempotency_key=True)

    def __init__(self, account: AccountConfig, ports: Ports) -> None:
        assert isinstance(account.settings, KeyedSettings)
        self.account = account
        self._api = account.settings.api
        self._session: ClientSession | None = None

    def parse(self, payload: Any) -> list[Inbound]:
        try:
            return [
                Inbound(
                    event_id=payload["id"],
                    kind="message",
                    chat=Chat(id=payload["chat"]),
                    sender=Sender(id=payload["chat"]),
                    sent_at=datetime.now(UTC),
                    message_id=payload["id"],
                    parts=(Text(text=payload["text"]),),
                )
            ]
        except (KeyError, TypeError) as error:
            raise PayloadNotUnderstood("This is not what the keyed platform sends.") from error

    def routes(self) -> list[Route]:
        return [Route("POST", "", self._take)]

    async def _take(self, request: web.Request, inlet: Inlet) -> web.StreamResponse:
        raw = await request.text()
        (inbound,) = self.parse(await request.json())
        await inlet.accept([Received(event_id=inbound.event_id, raw=raw, inbound=inbound)])
        return web.json_response({})

    async def listen(self, inlet: Inlet) -> None:
        return

    async def send(self, outbound: Outbound) -> Receipt:
        text = "\n".join(part.text for part in outbound.parts if isinstance(part, Text))
        body = {"key": outbound.key, "chat": outbound.chat.id, "text": text}
        if self._session is None:
            self._session = ClientSession(timeout=ClientTimeout(total=5))
        try:
            async with self._session.post(f"{self._api}/send", json=body) as response:
                if response.status >= 500:
                    raise PlatformUnavailable("The keyed platform is down.")
                return Receipt(message_ids=((await response.json())["id"],))
        except (ClientError, TimeoutError) as error:
            raise OutcomeUnknown("The keyed platform did not answer.") from error

    async def reconcile(self, outbound: Outbound) -> Receipt | None:
        return None

    async def show(self, action: Action, chat: Chat) -> None:
        return

    async def draft(self, chat: Chat, draft_id: int, text: str) -> None:
        return

    async def fetch(self, file: MediaFile) -> AsyncIterator[bytes]:
        yield b""

    async def check(self) -> Health:
        return Health(is_ok=True, summary="fine")

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()


@dataclass
class KeyedPlatform:
    """The platform: what it got, by key, and what it still has to deliver."""

    webhook_url: str = ""
    lost: float = 0.0
    down: float = 0.0
    duplicate: float = 0.0
    late: float = 0.0
    random: random.Random = field(default_factory=lambda: random.Random(11))
    got: dict[str, dict[str, str]] = field(default_factory=dict)
    chats: dict[str, list[str]] = field(default_factory=dict)
    repeats: int = 0
    undelivered: int = 0
    url: str = ""

    async def start(self, group: asyncio.TaskGroup) -> None:
        """Listen on 127.0.0.1; deliveries run in the group."""
        self._group = group
        application = web.Application()
        application.router.add_post("/send", self._send)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0, backlog=1024).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        self._session = ClientSession(timeout=ClientTimeout(total=5))

    async def stop(self) -> None:
        await self._session.close()
        await self._runner.cleanup()

    def write(self, chat: str, number: int, text: str) -> None:
        """Let a person write; it is delivered until it is taken."""
        body = {"id": f"{chat}-{number}", "chat": chat, "text": text}
        for _ in range(2 if self.random.random() < self.duplicate else 1):
            self.undelivered += 1
            self._group.create_task(self._deliver(body, self.random.random() < self.late))

    async def _deliver(self, body: dict[str, str], is_late: bool) -> None:
        if is_late:
            await asyncio.sleep(self.random.random())
        while True:
            try:
                async with self._session.post(self.webhook_url, json=body) as response:
                    if response.status == 200:
                        self.undelivered -= 1
                        return
            except (ClientError, TimeoutError):
                pass
            await asyncio.sleep(_REDELIVERY_S)

    async def _send(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        if self.random.random() < self.down:
            return web.Response(status=503)
        if body["key"] in self.got:
            self.repeats += 1
        else:
            self.got[body["key"]] = body
            self.chats.setdefault(body["chat"], []).append(body["key"])
        if self.random.random() < self.lost and request.transport is not None:
            request.transport.abort()
        return web.json_response({"id": f"id-{body['key']}"})
