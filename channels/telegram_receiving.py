"""How updates come in: delivered to the webhook, or asked for by long polling. Stored first, confirmed after."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import logging
import random
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any

from aiogram.methods import AnswerCallbackQuery, DeleteWebhook, GetUpdates
from aiohttp import ClientError, web

from channels.contract import Inbound, Inlet, Received
from channels.errors import (
    ChannelError,
    NotAccepted,
    NotConfigured,
    OutcomeUnknown,
    PayloadNotUnderstood,
    PlatformUnavailable,
    RateLimited,
)
from channels.telegram_client import TelegramClient
from channels.telegram_errors import Refused
from channels.telegram_settings import TelegramSettings
from channels.telegram_updates import ALLOWED_UPDATES, names_someone, update_id_of

log = logging.getLogger(__name__)

SECRET_HEADER = "X-Telegram-Bot-Api-Secret-Token"  # noqa: S105 (a header's name)
_MOST_BYTES = 1024 * 1024
_READ_S = 30
_POLL_S = 25
_POLL_GRACE_S = 15
_BATCH = 100
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 60.0
_OFFSET_LASTS_S = 5 * 24 * 3600

Parse = Callable[[Any], list[Inbound]]
Know = Callable[[], Coroutine[Any, Any, None]]


class TelegramReceiver:
    """Receives for one bot. `know` asks Telegram for the bot's name, where an update cannot be read without it."""

    def __init__(
        self,
        client: TelegramClient,
        settings: TelegramSettings,
        *,
        parse: Parse,
        know: Know,
        now: Callable[[], datetime],
    ) -> None:
        self._client = client
        self._secret = settings.secret_token.get_secret_value().encode()
        self._bot_id = settings.bot_id
        self._parse = parse
        self._know = know
        self._now = now
        self._errands: set[asyncio.Task[None]] = set()
        self.trouble = ""
        """Why updates cannot be asked for at the moment, in words for a person; empty when they can."""

    # ----------------------------------------------------------------------------------- by webhook

    async def deliver(self, request: web.Request, inlet: Inlet) -> web.StreamResponse:
        """Store what Telegram delivers and answer 200; 401 to others, 413 to too much, 503 to have it again."""
        if not self._is_from_telegram(request):
            return web.Response(status=401)
        try:
            async with asyncio.timeout(_READ_S):
                body = await _read(request)
        except (web.RequestPayloadError, ClientError, ValueError, OSError):
            return web.Response(status=400)
        if body is None:
            return web.Response(status=413)
        try:
            update = _json(body)
            await self._know_if_needed(update)
            received = self._received(update, body.decode("utf-8", "replace"))
            await inlet.accept([received])
        except NotAccepted:
            return web.Response(status=503)
        self._answer_buttons([received])
        return web.Response(body=b"{}", content_type="application/json")

    def _is_from_telegram(self, request: web.Request) -> bool:
        given = request.headers.getall(SECRET_HEADER, [])
        return len(given) == 1 and hmac.compare_digest(given[0].encode("utf-8", "surrogateescape"), self._secret)

    async def _know_if_needed(self, update: Any) -> None:
        if names_someone(update):
            try:
                await self._know()
            except ChannelError as error:
                raise NotAccepted("The bot's own name is not known yet; the update must be delivered again.") from error

    # ----------------------------------------------------------------------------------- by polling

    async def poll(self, inlet: Inlet) -> None:
        """Ask for updates until cancelled. A batch is confirmed by the next request, so only after it was stored.

        Raises:
            NotConfigured: when Telegram does not know the token any more.
        """
        offset = await self._stored_offset(inlet)
        failures = 0
        while True:
            try:
                updates = await self._updates(offset)
                # Confirmed by now, so it need not be sent again: after a quiet week the numbers begin elsewhere.
                offset = await self._keep(updates, inlet) if updates else None
                failures, self.trouble = 0, ""
            except (ChannelError, Refused) as error:
                failures += 1
                await self._recover(error, failures)

    async def _updates(self, offset: int | None) -> list[Any]:
        method = GetUpdates(offset=offset, limit=_BATCH, timeout=_POLL_S, allowed_updates=list(ALLOWED_UPDATES))
        updates = await self._client.send(method, timeout_s=_POLL_S + _POLL_GRACE_S)
        if not isinstance(updates, list):
            raise PlatformUnavailable("The Bot API server gave an answer that makes no sense.")
        return updates

    async def _keep(self, updates: list[Any], inlet: Inlet) -> int:
        """Store a batch together with the offset behind it, and return that offset."""
        received = [self._received(update, json.dumps(update, separators=(",", ":"))) for update in updates]
        last = update_id_of(updates[-1])
        if last is None:
            raise PlatformUnavailable("The Bot API server sent updates without a number.")
        cursor = (self._cursor_name(), f"{last + 1} {int(self._now().timestamp())}")
        await inlet.accept(received, cursor=cursor)
        self._answer_buttons(received)
        return last + 1

    async def _stored_offset(self, inlet: Inlet) -> int | None:
        stored = await inlet.cursor(self._cursor_name())
        if stored is None:
            return None
        offset, _, stored_at = stored.partition(" ")
        age_s = self._now().timestamp() - int(stored_at or 0)
        # Telegram numbers anew after a week without updates; an old offset would then confirm what was never seen.
        return int(offset) if age_s < _OFFSET_LASTS_S else None

    def _cursor_name(self) -> str:
        # Another token is another bot, whose numbers have nothing to do with these.
        return f"offset:{self._bot_id}"

    async def _recover(self, error: Exception, failures: int) -> None:
        """Do what an error of the long poll asks for, and wait as long as it takes."""
        pause_s = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2 ** min(failures - 1, 16)) * random.uniform(0.5, 1.0)  # noqa: S311
        if isinstance(error, Refused):
            if error.refusal.is_webhook_conflict:
                log.warning("a webhook was in the way of polling; it is removed", extra={"ids": {"bot": self._bot_id}})
                await self._forget_webhook()
                return
            error = error.refusal.error()
        if isinstance(error, NotConfigured):
            raise error
        if isinstance(error, RateLimited):
            pause_s = error.retry_after_s or pause_s
        if not isinstance(error, OutcomeUnknown):
            self.trouble = str(error)
        elif failures > 1:  # one long poll that broke off is an ordinary thing
            self.trouble = "Telegram does not answer at the moment."
        log.warning(
            "updates could not be asked for", extra={"ids": {"bot": self._bot_id, "error": type(error).__name__}}
        )
        await asyncio.sleep(pause_s)

    async def _forget_webhook(self) -> None:
        try:
            await self._client.ask(DeleteWebhook(drop_pending_updates=False))
        except NotConfigured:
            raise
        except ChannelError:
            await asyncio.sleep(_FIRST_PAUSE_S)

    # ---------------------------------------------------------------------------------------- both

    def _received(self, update: Any, raw: str) -> Received:
        try:
            found = self._parse(update)
        except PayloadNotUnderstood:
            found = []
        number = update_id_of(update)
        event_id = str(number) if number is not None else f"raw:{hashlib.sha256(raw.encode()).hexdigest()[:32]}"
        return Received(event_id=f"{self._bot_id}:{event_id}", raw=raw, inbound=found[0] if found else None)

    def _answer_buttons(self, received: list[Received]) -> None:
        """Let a pressed button stop spinning; nothing depends on it, so nobody waits for it."""
        for one in received:
            query_id = one.inbound.detail.get("callback_query_id") if one.inbound else None
            if isinstance(query_id, str):
                # alone: held in a set until done, and cancelled and awaited by `close`
                task = asyncio.get_running_loop().create_task(self._answer_button(query_id))
                self._errands.add(task)
                task.add_done_callback(self._errands.discard)

    async def _answer_button(self, query_id: str) -> None:
        try:
            await self._client.send(AnswerCallbackQuery(callback_query_id=query_id), timeout_s=10)
        except (ChannelError, Refused) as error:
            log.info("a button was not answered", extra={"ids": {"bot": self._bot_id, "error": type(error).__name__}})

    async def close(self) -> None:
        """Give up what is still under way and matters to nobody."""
        for task in self._errands:
            task.cancel()
        await asyncio.gather(*self._errands, return_exceptions=True)


async def _read(request: web.Request) -> bytes | None:
    """Return the body, None when it is longer than any update."""
    if (request.content_length or 0) > _MOST_BYTES:
        return None
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > _MOST_BYTES:
            return None
    return bytes(body)


def _json(body: bytes) -> Any:
    """Return what the body says, None when it is no JSON: it is kept as it came all the same."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None
