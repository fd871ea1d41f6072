"""A Telegram on this machine: the Bot API over real sockets, with people who write, faults to inject, and a record.

    async with Telegram() as telegram:
        bot = telegram.bot()
        ann = telegram.person("Ann")
        ...  # point the client at telegram.url with bot.token
        await ann.writes("hello")
        [answer] = await ann.hears()

It answers and refuses as the Bot API does. `python -m tests.platforms.telegram --port 8081` lets you try it by hand.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import secrets
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web

from tests.platforms.telegram_delivery import Delivery, Updates, Webhook
from tests.platforms.telegram_faults import CARRIED_OUT, Fault, FaultKind, Faults, Rates
from tests.platforms.telegram_methods import METHODS, Refusal, Sent, StoredFile, Upload
from tests.platforms.telegram_people import Group, Person

__all__ = ["Call", "Delivery", "Fault", "Group", "LocalBot", "Person", "Rates", "Sent", "Telegram", "Webhook"]

_MOST_BYTES = 64 * 1024 * 1024


@dataclass(slots=True)
class Call:
    """One call of the Bot API. `status` 0: the connection was closed without an answer."""

    at: float
    bot_id: int
    method: str
    params: dict[str, Any]
    status: int = 0
    took_s: float = 0.0
    fault: str = ""


@dataclass(slots=True)
class LocalBot:
    """One bot: what BotFather knows of it, its files and its updates."""

    id: int
    token: str
    name: str
    username: str
    updates: Updates
    reads_all: bool = False
    files: dict[str, StoredFile] = field(default_factory=dict)
    open_buttons: set[str] = field(default_factory=set)
    is_revoked: bool = False

    @property
    def user(self) -> dict[str, Any]:
        return {"id": self.id, "is_bot": True, "first_name": self.name, "username": self.username}

    @property
    def deliveries(self) -> list[Delivery]:
        """Every attempt to deliver to the webhook."""
        return self.updates.deliveries

    def keep_file(self, stored: StoredFile) -> tuple[str, StoredFile]:
        """Keep a file and return the id under which this bot alone knows it."""
        stored.unique_id = secrets.token_urlsafe(9)
        file_id = f"{stored.kind}-{self.id}-{secrets.token_urlsafe(12)}"
        self.files[file_id] = stored
        return file_id, stored


class Telegram:
    """The platform. Everything in it is public: tests look at it and change it as they like."""

    def __init__(self) -> None:
        self.bots: dict[str, LocalBot] = {}
        self.people: dict[int, Person] = {}
        self.groups: dict[int, Group] = {}
        self.chats: dict[int, dict[str, Any]] = {}
        self.calls: list[Call] = []
        self.faults = Faults()
        self.rates: Rates | None = None
        self.has_drafts = True
        self.refuses_entities = False
        self.takes_http = True
        """Telegram's own server takes https webhooks alone; a self-hosted one takes both."""
        self.folder: Path | None = None
        """Where a server in --local mode keeps its files."""
        self.longest_poll_s = 50.0
        self.said: dict[tuple[int, int | None], dict[str, Any]] = {}
        self.drafts: dict[int, list[tuple[int, str]]] = {}
        self.actions: dict[int, list[str]] = {}
        self.reactions: dict[tuple[int, int], tuple[str, ...]] = {}
        self.blocked: set[tuple[int, int]] = set()
        self.met: set[tuple[int, int]] = set()
        self.migrated: dict[int, int] = {}
        self.topics: dict[int, dict[int, str]] = {}
        self.voice_refusers: set[int] = set()
        self._sent: dict[int, list[Sent]] = {}
        self._all_sent: list[Sent] = []
        self._message_ids: dict[int, int] = {}
        self._waiting: set[asyncio.Future[None]] = set()
        self._runner: web.ServerRunner | None = None
        self._site: web.TCPSite | None = None
        self._port = 0

    # --------------------------------------------------------------------------------- life and cast

    async def start(self, port: int = 0) -> None:
        """Listen on 127.0.0.1."""
        self._runner = web.ServerRunner(web.Server(self._answer, access_log=None), shutdown_timeout=0.1)
        await self._runner.setup()
        self._port = port
        await self.resume()

    async def stop(self) -> None:
        for bot in self.bots.values():
            await bot.updates.close()
        if self._runner is not None:
            await self._runner.cleanup()

    async def refuse(self) -> None:
        """Take no new connection until `resume`, as a platform that is down."""
        if self._site is not None and self._runner is not None:
            await self._site.stop()
            self._site = None
            assert self._runner.server is not None
            for connection in list(self._runner.server.connections):
                if connection.transport is not None:
                    connection.transport.abort()

    async def resume(self) -> None:
        assert self._runner is not None
        self._site = web.TCPSite(self._runner, "127.0.0.1", self._port, backlog=1024)
        await self._site.start()
        self._port = self._runner.addresses[0][1]

    async def __aenter__(self) -> Telegram:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def bot(
        self,
        name: str = "Nonna Rosa",
        username: str = "nonna_rosa_bot",
        *,
        id: int | None = None,
        reads_all: bool = False,
    ) -> LocalBot:
        """Make a bot, as BotFather does. `reads_all`: privacy mode is off."""
        bot_id = id or 7_000_000_001 + len(self.bots)
        token = f"{bot_id}:{secrets.token_urlsafe(26)}"
        made = LocalBot(bot_id, token, name, username, Updates(self.faults, self._changed), reads_all)
        made.updates.next_id = secrets.randbelow(500_000_000) + 1
        self.bots[token] = made
        return made

    def person(
        self, name: str, *, bot: LocalBot | None = None, username: str = "", language: str = "en", has_met: bool = False
    ) -> Person:
        """Make somebody who writes to `bot`, by default the first. `has_met`: the bot may write before they have."""
        bot = bot or next(iter(self.bots.values()))
        person = Person(self, bot, 100_001 + len(self.people), name, username, language)
        self.people[person.id] = person
        self.chats[person.id] = person.chat
        if has_met:
            self.met.add((bot.id, person.id))
        return person

    def group(self, title: str, *members: Person, is_forum: bool = False) -> Group:
        """Make a group with every bot in it."""
        number = 4_000_001 + len(self.groups)
        group = Group(self, -(10**12) - number if is_forum else -number, title, is_forum, [one.id for one in members])
        self.groups[group.id] = group
        self.chats[group.id] = group.chat
        if is_forum:
            self.topics[group.id] = {}
        return group

    def revoke(self, bot: LocalBot) -> None:
        """Make the token worthless."""
        bot.is_revoked = True

    # ------------------------------------------------------------------------------------- the record

    def sent(self, chat_id: int | None = None) -> list[Sent]:
        """What bots have sent, to one chat or to all, in order."""
        return list(self._all_sent if chat_id is None else self._sent.get(chat_id, ()))

    def called(self, method: str) -> list[Call]:
        """Every call of one method."""
        return [call for call in self.calls if call.method.lower() == method.lower()]

    def fail(self, kind: FaultKind, method: str = "send", *, times: int = 1, **fields: Any) -> None:
        """Plan a fault for the next calls of methods whose name begins with `method`."""
        self.faults.planned.append(Fault(kind, method, times, **fields))

    async def sends(self, count: int = 1, chat_id: int | None = None, *, timeout_s: float = 15.0) -> list[Sent]:
        """Wait until bots have sent `count` messages in all, to one chat or to all, and return them."""
        counted = self._all_sent if chat_id is None else self._sent.setdefault(chat_id, [])
        await self.until(lambda: len(counted) >= count, timeout_s=timeout_s)
        return list(counted)

    async def settled(self, *, timeout_s: float = 15.0) -> None:
        """Wait until every update was taken."""
        await self.until(lambda: not any(bot.updates.pending for bot in self.bots.values()), timeout_s=timeout_s)

    async def until(self, is_so: Callable[[], bool], *, timeout_s: float = 15.0) -> None:
        """Wait until something is so; looked at whenever anything happens here.

        Raises:
            TimeoutError: when it is not so in time.
        """
        async with asyncio.timeout(timeout_s):
            while not is_so():
                future = asyncio.get_running_loop().create_future()
                self._waiting.add(future)
                try:
                    await future
                finally:
                    self._waiting.discard(future)

    def keep(self, sent: Sent) -> None:
        self._all_sent.append(sent)
        self._sent.setdefault(sent.chat_id, []).append(sent)
        self.said[sent.chat_id, sent.message_id] = sent.payload

    def next_message_id(self, chat_id: int) -> int:
        """Supergroups count their own messages; private chats and groups share the bot's count."""
        counter = chat_id if chat_id < -(10**12) else 0
        self._message_ids[counter] = self._message_ids.get(counter, 0) + 1
        return self._message_ids[counter]

    def expire_paths(self) -> None:
        """Let every path that getFile gave out end, as after an hour."""
        for bot in self.bots.values():
            for stored in bot.files.values():
                stored.is_fresh = False

    def _changed(self) -> None:
        for future in self._waiting:
            if not future.done():
                future.set_result(None)

    # ----------------------------------------------------------------------------------------- the API

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        area, _, rest = request.path[1:].partition("/")
        if area == "file":
            return self._download(rest)
        bot = self.bots.get(area.removeprefix("bot"))
        if not area.startswith("bot") or ":" not in area:
            return _refused(Refusal(404, "Not Found"))
        if bot is None or bot.is_revoked:
            return _refused(Refusal(401, "Unauthorized"))
        try:
            params = await _params(request)
        except ValueError:
            return _refused(Refusal(400, "Bad Request: can't parse the request"))
        call = Call(time.monotonic(), bot.id, rest, params)
        self.calls.append(call)
        self._changed()
        response = await self._carry_out(call, bot, request)
        call.took_s = time.monotonic() - call.at
        self._changed()
        return response

    async def _carry_out(self, call: Call, bot: LocalBot, request: web.BaseRequest) -> web.StreamResponse:
        chat_id = _chat_id(call.params)
        fault = self.faults.of(call.method, chat_id)
        if fault is None:
            return await self._result(call, bot, chat_id)
        call.fault = fault.kind
        if fault.kind == "429":
            return _refused(_too_many(int(fault.seconds)), call)
        if fault.kind == "slow":
            await asyncio.sleep(fault.seconds)
            return await self._result(call, bot, chat_id)
        response = await self._result(call, bot, chat_id) if fault.kind in CARRIED_OUT else None
        self._changed()
        if fault.kind in ("lost", "dropped"):
            return _broken_off(request, call)
        if fault.kind in ("hang", "did_hang"):
            await asyncio.sleep(fault.seconds)
            return _broken_off(request, call)
        if fault.kind == "did_garbled":
            call.status = 200
            return web.Response(body=b'{"ok":true,"result":{"mess', content_type="application/json")
        assert response is not None or fault.kind not in CARRIED_OUT
        return _refused(_server_error(int(fault.kind.removeprefix("did_"))), call)

    async def _result(self, call: Call, bot: LocalBot, chat_id: int | None) -> web.Response:
        method = METHODS.get(call.method.lower())
        try:
            if method is None:
                raise Refusal(404, "Not Found: method not found")
            if self.rates and chat_id is not None and call.method.startswith("send") and "Action" not in call.method:
                wait_s = self.rates.wait_s(bot.id, chat_id)
                if wait_s:
                    raise _too_many(wait_s)
            result = await method(self, bot, call.params)
        except Refusal as refusal:
            return _refused(refusal, call)
        call.status = 200
        return web.Response(body=_dumps({"ok": True, "result": result}), content_type="application/json")

    def _download(self, rest: str) -> web.Response:
        area, _, path = rest.partition("/")
        bot = self.bots.get(area.removeprefix("bot"))
        if bot is not None and not bot.is_revoked:
            for stored in bot.files.values():
                if stored.path == path and stored.is_fresh:
                    return web.Response(body=stored.content, content_type="application/octet-stream")
        return _refused(Refusal(404, "Not Found"))


_encoder = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"))


def _dumps(found: Any) -> bytes:
    return _encoder.encode(found).encode()


async def _params(request: web.BaseRequest) -> dict[str, Any]:
    """Return the parameters of a call: of its address, its form, its JSON or its parts."""
    params: dict[str, Any] = dict(request.query) if request.query_string else {}
    kind = request.content_type
    if kind == "multipart/form-data":
        async for part in await request.multipart():
            content = bytes(await part.read())  # type: ignore[union-attr]
            if len(content) > _MOST_BYTES:
                raise ValueError("too much")
            name, filename = part.name, part.filename  # type: ignore[union-attr]
            params[name or ""] = Upload(content, filename) if filename else content.decode()
        return params
    body = await request.content.read()
    if kind == "application/json" and body:
        found = json.loads(body)
        return {**params, **found} if isinstance(found, dict) else params
    return params | dict(parse_qsl(body.decode(), keep_blank_values=True))


def _chat_id(params: dict[str, Any]) -> int | None:
    try:
        return int(params["chat_id"])
    except (KeyError, ValueError):
        return None


def _refused(refusal: Refusal, call: Call | None = None) -> web.Response:
    if call is not None:
        call.status = refusal.code
    answer: dict[str, Any] = {"ok": False, "error_code": refusal.code, "description": refusal.description}
    if refusal.parameters:
        answer["parameters"] = refusal.parameters
    return web.Response(body=_dumps(answer), content_type="application/json", status=refusal.code)


def _too_many(seconds: int) -> Refusal:
    return Refusal(429, f"Too Many Requests: retry after {seconds}", retry_after=seconds)


def _server_error(code: int) -> Refusal:
    return Refusal(code, {500: "Internal Server Error", 502: "Bad Gateway"}.get(code, "Service Unavailable"))


def _broken_off(request: web.BaseRequest, call: Call) -> web.Response:
    call.status = 0
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


# ------------------------------------------------------------------------------------------ by hand


async def _try_out(port: int) -> None:
    telegram = Telegram()
    await telegram.start(port)
    bot = telegram.bot()
    you = telegram.person("You")
    sys.stdout.write(f"Telegram is at {telegram.url}\nThe token is {bot.token}\nWrite one message a line:\n")
    async with asyncio.TaskGroup() as group:
        showing = group.create_task(_show(you))
        while line := await asyncio.to_thread(sys.stdin.readline):
            await you.writes(line.rstrip("\n"))
        showing.cancel()
    await telegram.stop()


async def _show(you: Person) -> None:
    for count in itertools.count(1):
        heard = await you.hears(count, timeout_s=1e6)
        sys.stdout.write(f"{you.bot.name}: {heard[-1].text}\n")
        sys.stdout.flush()


def main() -> None:
    """Run a Telegram to try things by hand."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--port", type=int, default=8081)
    asyncio.run(_try_out(parser.parse_args().port))


if __name__ == "__main__":
    main()
