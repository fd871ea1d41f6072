"""Telegram: one bot, by webhook or long polling; with its siblings the only place that imports aiogram."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import OrderedDict
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, ClassVar, cast
from urllib.parse import urlsplit

from aiogram.methods import GetFile, GetWebhookInfo, SendChatAction, SetWebhook

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
    Route,
)
from channels.errors import ChannelError, NotConfigured, OutcomeUnknown, PlatformUnavailable, Undeliverable
from channels.telegram_client import TelegramClient
from channels.telegram_errors import Refused
from channels.telegram_health import Arrival, health
from channels.telegram_receiving import TelegramReceiver
from channels.telegram_sending import CLOUD_UPLOAD_BYTES, TelegramSender
from channels.telegram_settings import TelegramSettings
from channels.telegram_updates import ALLOWED_UPDATES, Me, read_update

log = logging.getLogger(__name__)

_WEBHOOK_PORTS = frozenset({None, 443, 80, 88, 8443})
_WEBHOOK_CONNECTIONS = 100
_SHOW_S = 5
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 60.0
_CHUNK_BYTES = 64 * 1024
_MOST_UNSURE = 1000


class TelegramAdapter:
    """One bot on Telegram."""

    name: ClassVar[str] = "telegram"
    limits: ClassVar[Limits] = Limits(
        text_length=4000,  # of 4096: an answer's label must find room below it
        text_unit="utf16",
        caption_length=960,
        media_kinds=frozenset(
            {
                "voice",
                "audio",
                "image",
                "video",
                "video_note",
                "animation",
                "file",
                "location",
                "contact",
                "sticker",
            }
        ),
        media_bytes=CLOUD_UPLOAD_BYTES,
        has_buttons=True,
        has_quotes=True,
        has_reactions=True,
        has_typing=True,
        typing_lasts_s=5.0,
        has_drafts=True,
        sends_per_chat_s=1.0,
        sends_per_group_minute=20.0,
        sends_per_account_s=30.0,
    )

    def __init__(self, account: AccountConfig, ports: Ports) -> None:
        self.account = account
        self._settings = cast(TelegramSettings, account.settings)
        self._ports = ports
        self._client = TelegramClient(self._settings)
        self._sender = TelegramSender(self._client, ports.media, self._settings)
        self._receiver = TelegramReceiver(
            self._client, self._settings, parse=self.parse, know=self._know, now=ports.now
        )
        self._me = Me(
            bot_id=self._settings.bot_id,
            username=self._settings.username,
            group_replies=self._settings.group_replies,
        )
        self._unsure: OrderedDict[str, None] = OrderedDict()
        self._drafts_rest_until = 0.0
        self._is_delivered = False

    # -------------------------------------------------------------------------------------- receiving

    def parse(self, payload: Any) -> list[Inbound]:
        return read_update(payload, self._me, now=self._ports.now)

    def routes(self) -> list[Route]:
        return [Route("POST", "", self._receiver.deliver)]

    async def listen(self, inlet: Inlet) -> None:
        """Have updates delivered where there is a public address, and return; else ask for them until cancelled.

        Raises:
            NotConfigured: when the token or the webhook is refused.
        """
        await self._patiently_know()
        self._is_delivered = self._wants_webhook() and await self._set_webhook()
        if self._is_delivered:
            return
        await self._receiver.poll(inlet)

    def _wants_webhook(self) -> bool:
        if self._settings.mode == "polling":
            return False
        url = urlsplit(self.account.webhook_url or "")
        is_reachable = bool(url.hostname) and (
            not self._settings.is_cloud or (url.scheme == "https" and url.port in _WEBHOOK_PORTS)
        )
        if self._settings.mode == "webhook" and not is_reachable:
            raise NotConfigured(
                "Telegram delivers to public HTTPS addresses alone, on port 443, 80, 88 or 8443: "
                "set MEMORAS_PUBLIC_URL, or let this account receive by polling. See docs/channels/telegram.md."
            )
        return is_reachable

    async def _set_webhook(self) -> bool:
        """Return whether Telegram will deliver; False when it refused the address and polling may take over."""
        method = SetWebhook(
            url=self.account.webhook_url or "",
            max_connections=_WEBHOOK_CONNECTIONS,
            allowed_updates=list(ALLOWED_UPDATES),
            secret_token=self._settings.secret_token.get_secret_value(),
        )
        for failures in range(1_000_000):
            try:
                await self._client.ask(method)
                return True
            except Undeliverable as error:
                if self._settings.mode == "webhook":
                    raise NotConfigured(
                        f"Telegram refused this server's address as a webhook. {error} "
                        "Check MEMORAS_PUBLIC_URL and its certificate, or choose polling."
                    ) from error
                log.warning("the webhook was refused; polling instead", extra={"ids": {"account": self.account.id}})
                return False
            except NotConfigured:
                raise
            except ChannelError as error:
                await _pause(failures, error)
        return False

    async def _patiently_know(self) -> None:
        """Learn the bot's name, however long Telegram takes to answer."""
        for failures in range(1_000_000):
            try:
                await self._introduce()
                return
            except NotConfigured:
                raise
            except ChannelError as error:
                log.warning("Telegram does not answer", extra={"ids": {"account": self.account.id}})
                await _pause(failures, error)

    async def _know(self) -> None:
        if not self._me.username:
            await self._introduce()

    async def _introduce(self) -> dict[str, Any]:
        found = await self._client.introduce()
        username = found.get("username")
        if isinstance(username, str) and username:
            self._me = Me(bot_id=self._me.bot_id, username=username, group_replies=self._me.group_replies)
        return found

    # ---------------------------------------------------------------------------------------- sending

    async def send(self, outbound: Outbound) -> Receipt:
        if outbound.key in self._unsure:
            # It may be sent once more and no more, so not into an outage: nothing is sent while this fails.
            await self._client.introduce()
        try:
            receipt = await self._sender.send(outbound)
        except OutcomeUnknown:
            self._note_unsure(outbound.key)
            raise
        self._unsure.pop(outbound.key, None)
        return receipt

    async def reconcile(self, outbound: Outbound) -> Receipt | None:
        """Nobody can tell: a bot cannot read what it has written. The next attempt will be careful."""
        self._note_unsure(outbound.key)
        return None

    def _note_unsure(self, key: str) -> None:
        self._unsure[key] = None
        if len(self._unsure) > _MOST_UNSURE:
            self._unsure.popitem(last=False)

    async def show(self, action: Action, chat: Chat) -> None:
        if action == "read" or not chat.id.removeprefix("-").isdecimal():
            return
        thread_id = int(chat.thread_id) if chat.thread_id and chat.thread_id.isdecimal() else None
        try:
            method = SendChatAction(chat_id=int(chat.id), action=action, message_thread_id=thread_id)
            await self._client.send(method, timeout_s=_SHOW_S)
        except (ChannelError, Refused) as error:
            log.debug(
                "an action was not shown", extra={"ids": {"account": self.account.id, "error": type(error).__name__}}
            )

    async def draft(self, chat: Chat, draft_id: int, text: str) -> None:
        if chat.kind != "private" or not chat.id.isdecimal() or time.monotonic() < self._drafts_rest_until:
            return
        try:
            await self._sender.draft(chat, draft_id, text)
        except Refused as refused:
            if refused.refusal.is_unknown_method:
                self._drafts_rest_until = float("inf")
            elif refused.refusal.retry_after_s is not None:
                self._drafts_rest_until = time.monotonic() + refused.refusal.retry_after_s
        except ChannelError as error:
            log.debug(
                "a draft was not shown", extra={"ids": {"account": self.account.id, "error": type(error).__name__}}
            )

    # ------------------------------------------------------------------------------------------ files

    async def fetch(self, file: MediaFile) -> AsyncIterator[bytes]:
        if file.platform_id is None:
            raise Undeliverable("This media has no id on Telegram.", reason="chat_gone")
        path = await self._path(file.platform_id)
        if self._settings.is_local:
            async for chunk in _read_file(Path(path)):
                yield chunk
            return
        try:
            async for chunk in self._client.download(path):
                yield chunk
            return
        except Refused:
            # A path lives an hour. Nothing was yielded yet: a refusal comes before the first byte.
            path = await self._path(file.platform_id)
        try:
            async for chunk in self._client.download(path):
                yield chunk
        except Refused:
            raise PlatformUnavailable("Telegram does not hand the file out at the moment.") from None

    async def _path(self, file_id: str) -> str:
        try:
            found = await self._client.send(GetFile(file_id=file_id))
        except OutcomeUnknown as lost:
            raise PlatformUnavailable(str(lost)) from None
        except Refused as refused:
            error = refused.refusal.error()
            if isinstance(error, OutcomeUnknown):
                raise PlatformUnavailable("Telegram does not hand the file out at the moment.") from None
            if isinstance(error, Undeliverable) and error.reason != "too_large":
                raise Undeliverable("Telegram does not have this file any more.", reason="chat_gone") from None
            raise error from None
        path = found.get("file_path") if isinstance(found, dict) else None
        if not isinstance(path, str):
            raise Undeliverable("The file is larger than Telegram hands to bots (20 MB).", reason="too_large")
        return path

    # ------------------------------------------------------------------------------------------ health

    async def check(self) -> Health:
        try:
            me = await self._introduce()
            webhook = await self._client.ask(GetWebhookInfo(), timeout_s=_SHOW_S * 2)
        except ChannelError as error:
            return Health(is_ok=False, summary=str(error), next_step=_next_step(error))
        arrival = Arrival(webhook_url=self._webhook_url(), is_set=self._is_delivered, trouble=self._receiver.trouble)
        return health(me, webhook, settings=self._settings, arrival=arrival)

    def _webhook_url(self) -> str | None:
        """Return where Telegram is to deliver, None when it is asked instead."""
        try:
            return self.account.webhook_url if self._wants_webhook() else None
        except NotConfigured:
            return self.account.webhook_url

    def invitation_link(self, token: str) -> str | None:
        """Return the link that opens the bot with an invitation; None while the bot's name is not known."""
        return f"https://t.me/{self._me.username}?start={token}" if self._me.username else None

    def group_invitation_link(self, token: str) -> str | None:
        """Return the link that adds the bot to a group with an invitation for it."""
        return f"https://t.me/{self._me.username}?startgroup={token}" if self._me.username else None

    async def close(self) -> None:
        await self._receiver.close()
        await self._client.close()


async def _pause(failures: int, error: ChannelError) -> None:
    pause_s = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2 ** min(failures, 16)) * random.uniform(0.5, 1.0)  # noqa: S311
    await asyncio.sleep(max(pause_s, error.retry_after_s or 0.0))


async def _read_file(path: Path) -> AsyncIterator[bytes]:
    try:
        file = await asyncio.to_thread(path.open, "rb")
        try:
            while chunk := await asyncio.to_thread(file.read, _CHUNK_BYTES):
                yield chunk
        finally:
            await asyncio.to_thread(file.close)
    except OSError:
        raise PlatformUnavailable("The Bot API server's files cannot be read: both must be on one machine.") from None


def _next_step(error: ChannelError) -> str:
    if isinstance(error, NotConfigured):
        return "Open @BotFather, send /token, and copy the line again."
    return "Check this machine's connection to the internet, then try again."
