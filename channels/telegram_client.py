"""The Bot API through aiogram: one shared connection pool, explicit timeouts, and no token in anything that is raised.

aiogram builds the requests. What comes back stays plain JSON: its models would be built only to be thrown away, and a
field they do not know would make a failure of a message that has been sent.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

from aiogram import Bot
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.telegram import TelegramAPIServer
from aiogram.methods import GetMe, TelegramMethod
from aiogram.types import InputFile
from aiohttp import (
    ClientConnectorError,
    ClientError,
    ClientProxyConnectionError,
    ClientTimeout,
    ConnectionTimeoutError,
    FormData,
    InvalidURL,
)

from channels.errors import ChannelError, OutcomeUnknown, PlatformUnavailable
from channels.telegram_errors import Refusal, Refused, refusal
from channels.telegram_settings import TelegramSettings

_CONNECT_S = 10
_CALL_S = 30
_CONNECTIONS = 100
_CHUNK_BYTES = 64 * 1024

# Raised before the first byte of a request left.
_NOT_SENT = (ClientConnectorError, ClientProxyConnectionError, ConnectionTimeoutError, InvalidURL)


class TelegramClient:
    """The Bot API as one bot sees it."""

    def __init__(self, settings: TelegramSettings) -> None:
        self._settings = settings
        self._bot: Bot | None = None
        self._pool: _Pool | None = None

    async def send(self, method: TelegramMethod[Any], *, timeout_s: float = _CALL_S) -> Any:
        """Return the result of a call that may not be repeated lightly.

        Raises:
            Refused: when Telegram said no.
            PlatformUnavailable: when the request never left.
            OutcomeUnknown: when it left and no answer came.
        """
        return await self._connected()(method, request_timeout=int(timeout_s))

    async def ask(self, method: TelegramMethod[Any], *, timeout_s: float = _CALL_S) -> Any:
        """Return the result of a call that changes nothing, or nothing more the second time.

        Raises:
            ChannelError: what the refusal means; PlatformUnavailable when no answer came.
        """
        try:
            return await self.send(method, timeout_s=timeout_s)
        except OutcomeUnknown as lost:
            raise PlatformUnavailable(str(lost)) from None
        except Refused as refused:
            error = refused.refusal.error()
            raise (PlatformUnavailable(str(error)) if isinstance(error, OutcomeUnknown) else error) from None

    async def introduce(self) -> dict[str, Any]:
        """Return what Telegram says about the bot itself.

        Raises:
            ChannelError: NotConfigured when the token is not known.
        """
        found = await self.ask(GetMe(), timeout_s=_CONNECT_S)
        if not isinstance(found, dict):
            raise PlatformUnavailable("The Bot API server gave an answer that makes no sense.")
        return found

    async def download(self, path: str) -> AsyncIterator[bytes]:
        """Yield the bytes of a file on the Bot API server.

        Raises:
            Refused: when the server does not have it any more.
            PlatformUnavailable: when it cannot be reached or breaks off.
        """
        url = self._connected().session.api.file_url(self._settings.token.get_secret_value(), path)
        assert self._pool is not None
        client = await self._pool.session.create_session()
        timeout = ClientTimeout(connect=_CONNECT_S, sock_read=_CALL_S)
        try:
            async with client.get(url, timeout=timeout) as response:
                if response.status != 200:
                    raise Refused(Refusal(response.status))
                async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
                    yield chunk
        except (ClientError, TimeoutError, OSError):
            raise PlatformUnavailable("The file could not be downloaded from Telegram.") from None

    async def close(self) -> None:
        """Release the connections, if no other bot uses them."""
        if self._pool is not None:
            pool, self._pool, self._bot = self._pool, None, None
            await pool.release()

    def _connected(self) -> Bot:
        if self._bot is None:
            self._pool = _Pool.take(self._settings)
            self._bot = Bot(self._settings.token.get_secret_value(), session=self._pool.session)
        return self._bot


class _Session(AiohttpSession):
    """aiogram's session, with our errors and without its models of what comes back."""

    async def make_request(self, bot: Bot, method: TelegramMethod[Any], timeout: int | None = None) -> Any:  # noqa: ASYNC109
        client = await self.create_session()
        url = self.api.api_url(token=bot.token, method=method.__api_method__)
        form = self.build_form_data(bot, method)
        limits = ClientTimeout(total=timeout or _CALL_S, connect=_CONNECT_S)
        # Nothing is chained below: what these errors hold is the address, and the address holds the token.
        try:
            async with client.post(url, data=form, timeout=limits) as response:
                body = await response.read()
        except _NOT_SENT:
            raise PlatformUnavailable("The Bot API server cannot be reached.") from None
        except (ClientError, TimeoutError, OSError):
            raise OutcomeUnknown("Telegram gave no answer to a request it may have carried out.") from None
        return _result(response.status, response.headers.get("Retry-After"), body)

    def build_form_data(self, bot: Bot, method: TelegramMethod[Any]) -> FormData:
        # As aiogram does it, without walking through the dozens of fields that were never set.
        form = FormData(quote_fields=False)
        files: dict[str, InputFile] = {}
        for key, value in method.model_dump(exclude_none=True, warnings=False).items():
            prepared = self.prepare_value(value, bot=bot, files=files)
            if prepared:
                form.add_field(key, prepared)
        for key, file in files.items():
            form.add_field(key, file.read(bot), filename=file.filename or key)
        return form

    async def close(self) -> None:
        # Without aiogram's pause of a quarter of a second, which aiohttp has not needed for years.
        if self._session is not None and not self._session.closed:
            await self._session.close()


def _result(status: int, retry_after: str | None, body: bytes) -> Any:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, dict) and "ok" in found:
        if found["ok"] is True and 200 <= status < 300:
            return found.get("result")
        raise Refused(refusal(status, found, retry_after))
    raise _not_telegram(status, retry_after)


def _not_telegram(status: int, retry_after: str | None) -> ChannelError | Refused:
    """Something between us and Telegram answered, or Telegram broke off in the middle of an answer."""
    if 200 <= status < 300:
        return OutcomeUnknown("Telegram gave half an answer to a request it may have carried out.")
    if status >= 500 or status in (413, 429):
        return Refused(refusal(status, None, retry_after))
    return PlatformUnavailable(f"The Bot API server answered {status} in a way Telegram does not: check its address.")


class _Pool:
    """The connections to one Bot API server, shared by the bots of a process; the last to leave closes them."""

    # A loop's connections cannot serve another loop, and nothing above this module knows that there are connections.
    _open: ClassVar[WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, _Pool]]] = WeakKeyDictionary()

    def __init__(self, base: str, siblings: dict[str, _Pool]) -> None:
        self.session = _Session(api=TelegramAPIServer.from_base(base), limit=_CONNECTIONS, timeout=_CALL_S)
        self._base = base
        self._siblings = siblings
        self._users = 0

    @classmethod
    def take(cls, settings: TelegramSettings) -> _Pool:
        """Return the pool of the server these settings name, one user more."""
        pools = cls._open.setdefault(asyncio.get_running_loop(), {})
        base = settings.api_base
        pool = pools.setdefault(base, cls(base, pools)) if base not in pools else pools[base]
        pool._users += 1
        return pool

    async def release(self) -> None:
        """Leave; close when nobody is left."""
        self._users -= 1
        if self._users == 0:
            self._siblings.pop(self._base, None)
            await self.session.close()
