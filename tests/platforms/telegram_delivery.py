"""How the local Telegram hands a bot its updates: to a webhook, in order per chat and until taken, or by polling."""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector

from tests.platforms.telegram_faults import Faults

_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 1.0
_ANSWER_S = 30.0
_UNASKED = frozenset({"chat_member", "message_reaction", "message_reaction_count"})
_FUTURE = 10


@dataclass(slots=True)
class Pending:
    """One update that was not confirmed yet. `chat_id` is the chat whose order it keeps."""

    update_id: int
    chat_id: int
    body: dict[str, Any]
    pushed_at: float


@dataclass(slots=True)
class Delivery:
    """One attempt to deliver to a webhook. `status` 0: no answer came."""

    update_id: int
    chat_id: int
    pushed_at: float
    sent_at: float
    answered_at: float
    status: int


@dataclass(slots=True)
class Webhook:
    """Where a bot wants its updates."""

    url: str
    secret: str = ""
    max_connections: int = 40
    last_error: str = ""
    last_error_at: int = 0


@dataclass(slots=True)
class Updates:
    """The updates of one bot, from the event to the confirmation."""

    faults: Faults
    changed: Callable[[], None]
    next_id: int = 1000
    pending: dict[int, Pending] = field(default_factory=dict)
    webhook: Webhook | None = None
    allowed: list[str] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)
    redelivery_s: float = _FIRST_PAUSE_S
    _arrived: asyncio.Event = field(default_factory=asyncio.Event)
    _queues: dict[int, deque[Pending]] = field(default_factory=dict)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _slots: asyncio.Semaphore | None = None
    _session: ClientSession | None = None
    _poller: object | None = None

    def push(self, kind: str, payload: dict[str, Any], chat_id: int) -> int:
        """Add an update and have it delivered; return its number, 0 when the bot does not want this kind."""
        if (kind not in self.allowed) if self.allowed else (kind in _UNASKED):
            return 0
        update_id = self.next_id
        self.next_id += 1
        one = Pending(update_id, chat_id, {"update_id": update_id, kind: payload}, time.monotonic())
        self.pending[update_id] = one
        self._arrived.set()
        if self.webhook:
            self._queue(one)
        return update_id

    # ------------------------------------------------------------------------------------- polling

    async def poll(self, *, offset: int, limit: int, timeout_s: float) -> list[dict[str, Any]] | None:
        """Return what `getUpdates` gives; None when another request took its place."""
        me = self._poller = object()
        self._arrived.set()
        if self.pending and 0 < offset <= max(self.pending) + _FUTURE:
            for update_id in [one for one in self.pending if one < offset]:
                del self.pending[update_id]
            self.changed()
        if offset < 0:
            for update_id in sorted(self.pending)[:offset]:
                del self.pending[update_id]
        until = time.monotonic() + timeout_s
        while True:
            if self._poller is not me:
                return None
            if self.pending or time.monotonic() >= until:
                found = [self.pending[one].body for one in sorted(self.pending)[: max(1, min(limit, 100))]]
                if self.faults.duplicate and found and self.faults.random.random() < self.faults.duplicate:
                    found.append(found[-1])
                return found
            self._arrived.clear()
            try:
                async with asyncio.timeout(until - time.monotonic()):
                    await self._arrived.wait()
            except TimeoutError:
                continue

    # ------------------------------------------------------------------------------------- webhook

    def deliver_to(self, webhook: Webhook | None) -> None:
        """Deliver from now on to this address, or to none."""
        self.webhook = webhook
        self._queues.clear()
        if webhook:
            self._slots = asyncio.Semaphore(webhook.max_connections)
            for one in sorted(self.pending.values(), key=lambda pending: pending.update_id):
                self._queue(one)

    def again(self, update_id: int, body: dict[str, Any], chat_id: int) -> None:
        """Deliver an update once more, as Telegram does when an answer was lost on the way."""
        one = Pending(update_id, chat_id, body, time.monotonic())
        self.pending[update_id] = one
        self._arrived.set()
        if self.webhook:
            self._queue(one)

    async def close(self) -> None:
        self.webhook = None
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    def _queue(self, one: Pending) -> None:
        queue = self._queues.get(one.chat_id)
        if queue is not None:
            queue.append(one)
            return
        self._queues[one.chat_id] = queue = deque([one])
        task = asyncio.get_running_loop().create_task(self._drain(one.chat_id, queue))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _drain(self, chat_id: int, queue: deque[Pending]) -> None:
        """Deliver what one chat has, one after the other, each until it is taken."""
        webhook, slots = self.webhook, self._slots
        assert webhook is not None
        assert slots is not None
        pause_s = self.redelivery_s
        while queue and self.webhook is webhook:
            if len(queue) > 1 and self.faults.reorder and self.faults.random.random() < self.faults.reorder:
                queue.rotate(-1)
            one = queue[0]
            async with slots:
                is_taken = await self._post(webhook, one)
                if is_taken and self.faults.duplicate and self.faults.random.random() < self.faults.duplicate:
                    await self._post(webhook, one)
            if is_taken:
                queue.remove(one)
                self.pending.pop(one.update_id, None)
                pause_s = self.redelivery_s
                self.changed()
            else:
                await asyncio.sleep(pause_s)
                pause_s = min(_LONGEST_PAUSE_S, pause_s * 2)
        if self._queues.get(chat_id) is queue:
            del self._queues[chat_id]

    async def _post(self, webhook: Webhook, one: Pending) -> bool:
        if self._session is None:
            self._session = ClientSession(
                connector=TCPConnector(limit=0), timeout=ClientTimeout(total=_ANSWER_S), auto_decompress=False
            )
        headers = {"Content-Type": "application/json"}
        if webhook.secret:
            headers["X-Telegram-Bot-Api-Secret-Token"] = webhook.secret
        sent_at = time.monotonic()
        status = 0
        try:
            async with self._session.post(webhook.url, data=json.dumps(one.body), headers=headers) as response:
                await response.read()
                status = response.status
        except (ClientError, TimeoutError, OSError):
            webhook.last_error = f"Cannot connect to {urlsplit(webhook.url).path}"
        delivery = Delivery(one.update_id, one.chat_id, one.pushed_at, sent_at, time.monotonic(), status)
        self.deliveries.append(delivery)
        self.changed()
        if 200 <= status < 300:
            return True
        if status:
            webhook.last_error = f"Wrong response from the webhook: {status}"
        webhook.last_error_at = int(time.time())
        return False
