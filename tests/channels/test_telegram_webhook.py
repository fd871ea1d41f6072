"""Telegram delivers to the webhook: only Telegram is believed, everything it says is kept, and 200 means stored."""

from __future__ import annotations

import asyncio
import http.client
import io
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from aiohttp import ClientSession
from hypothesis import given, settings
from hypothesis import strategies as st

from channels.telegram_receiving import SECRET_HEADER
from tests.channels.telegram_stage import SECRET, MemoryInlet, Stage, build, webhook_of
from tests.platforms.telegram import Telegram

TEXT: dict[str, Any] = {
    "update_id": 5,
    "message": {
        "message_id": 1,
        "date": 1772366400,
        "chat": {"id": 9, "type": "private"},
        "from": {"id": 9, "is_bot": False, "first_name": "Ann"},
        "text": "hello",
    },
}


@pytest.fixture
async def telegram() -> AsyncIterator[Telegram]:
    async with Telegram() as found:
        yield found


@asynccontextmanager
async def delivered(telegram: Telegram, **options: Any) -> AsyncIterator[Stage]:
    """A bot whose updates Telegram delivers."""
    bot = telegram.bot(reads_all=options.pop("reads_all", False))
    inlet = MemoryInlet()
    adapters: list[Any] = []
    async with webhook_of(lambda: adapters[0].routes(), inlet) as url:
        adapter = build(telegram, bot, webhook_url=url, **options)
        adapters.append(adapter)
        await adapter.listen(inlet)
        try:
            yield Stage(telegram, bot, adapter, inlet, adapter._ports.media, url)  # type: ignore[arg-type]
        finally:
            await adapter.close()


async def post(url: str, body: bytes, *secrets: str) -> int:
    headers = [(SECRET_HEADER, secret) for secret in secrets]
    async with ClientSession() as client, client.post(url, data=io.BytesIO(body), headers=headers) as response:
        return response.status


async def test_with_a_public_address_the_webhook_is_set_with_its_secret_and_the_kinds_we_read(
    telegram: Telegram,
) -> None:
    async with delivered(telegram) as stage:
        webhook = stage.bot.updates.webhook
        assert webhook is not None
        assert (webhook.url, webhook.secret) == (stage.webhook_url, SECRET)
        assert {"message_reaction", "my_chat_member", "callback_query"} <= set(stage.bot.updates.allowed)
        assert "drop_pending_updates" not in telegram.called("setWebhook")[0].params


async def test_what_a_person_writes_is_stored_once_and_confirmed(telegram: Telegram) -> None:
    async with delivered(telegram) as stage:
        ann = telegram.person("Ann")
        await ann.writes("hello")
        await telegram.settled()
        assert stage.inlet.words == ["hello"]
        assert [one.status for one in stage.bot.deliveries] == [200]


async def test_a_full_disk_is_answered_503_and_the_update_comes_again(telegram: Telegram) -> None:
    async with delivered(telegram) as stage:
        stage.inlet.refusals = 2
        await telegram.person("Ann").writes("hello")
        await telegram.settled()
        assert [one.status for one in stage.bot.deliveries] == [503, 503, 200]
        assert stage.inlet.words == ["hello"]


async def test_an_update_delivered_twice_is_one_event(telegram: Telegram) -> None:
    async with delivered(telegram) as stage:
        telegram.faults.duplicate = 1.0
        ann = telegram.person("Ann")
        for number in range(20):
            await ann.writes(f"line {number}")
        await telegram.settled()
        assert stage.inlet.words == [f"line {number}" for number in range(20)]
        assert stage.inlet.repeats == 20


async def test_many_chats_at_once_are_all_stored_each_in_its_order(telegram: Telegram) -> None:
    async with delivered(telegram) as stage:
        people = [telegram.person(f"P{number}") for number in range(30)]
        for number in range(5):
            for person in people:
                await person.writes(str(number))
        await telegram.settled()
        for person in people:
            said = [one.parts[0] for one in stage.inlet.inbound if one.sender.id == str(person.id)]
            assert [part.text for part in said] == ["0", "1", "2", "3", "4"]  # type: ignore[union-attr]


async def test_nobody_but_telegram_is_believed(telegram: Telegram) -> None:
    async with delivered(telegram) as stage:
        body = json.dumps(TEXT).encode()
        assert await post(stage.webhook_url, body) == 401
        assert await post(stage.webhook_url, body, "wrong") == 401
        assert await post(stage.webhook_url, body, SECRET, SECRET) == 401
        assert await post(stage.webhook_url, body, SECRET, "wrong") == 401
        assert stage.inlet.events == {}
        assert await post(stage.webhook_url, body, SECRET) == 200
        assert stage.inlet.words == ["hello"]


async def test_an_update_of_a_later_version_is_kept_raw_and_answered_200(telegram: Telegram) -> None:
    async with delivered(telegram) as stage:
        body = b'{"update_id": 6, "telepathy": {"thought": "cake"}}'
        assert await post(stage.webhook_url, body, SECRET) == 200
        [kept] = stage.inlet.events.values()
        assert (kept.event_id, kept.inbound) == (f"{stage.bot.id}:6", None)
        assert json.loads(kept.raw)["telepathy"] == {"thought": "cake"}


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"\xff\xfe", b"[]", b"null", b"7", b'"text"', b'{"update_id": null}', b"[" * 100_000, b"1" * 5000],
    ids=repr,
)
async def test_a_body_that_says_nothing_is_kept_and_answered_200(telegram: Telegram, body: bytes) -> None:
    async with delivered(telegram) as stage:
        assert await post(stage.webhook_url, body, SECRET) == 200
        [kept] = stage.inlet.events.values()
        assert kept.inbound is None
        assert kept.event_id.startswith(f"{stage.bot.id}:raw:")


async def test_a_body_larger_than_any_update_is_refused_whether_its_length_is_told_or_not(telegram: Telegram) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b" " * 100_000

    async with delivered(telegram) as stage, ClientSession() as client:
        headers = {SECRET_HEADER: SECRET}
        assert await post(stage.webhook_url, b" " * 1_100_000, SECRET) == 413
        async with client.post(stage.webhook_url, data=pieces(), headers=headers) as response:
            assert response.status == 413
        assert stage.inlet.events == {}


async def test_half_a_surrogate_pair_becomes_text_a_database_takes(telegram: Telegram) -> None:
    async with delivered(telegram) as stage:
        body = json.dumps(TEXT).replace("hello", "half \\ud83d of it\\u0000").encode()
        assert await post(stage.webhook_url, body, SECRET) == 200
        assert stage.inlet.words == ["half \ufffd of it"]
        stage.inlet.words[0].encode()


async def test_a_mention_waits_for_the_bots_own_name_rather_than_being_overheard(telegram: Telegram) -> None:
    bot, inlet = telegram.bot(), MemoryInlet()
    adapter = build(telegram, bot)
    async with webhook_of(adapter.routes, inlet) as url:
        message = {
            **TEXT["message"],
            "chat": {"id": -5, "type": "group"},
            "text": f"@{bot.username} hello",
            "entities": [{"type": "mention", "offset": 0, "length": len(bot.username) + 1}],
        }
        body = json.dumps({"update_id": 9, "message": message}).encode()
        telegram.fail("502", "getMe")
        assert await post(url, body, SECRET) == 503
        assert inlet.events == {}
        assert await post(url, body, SECRET) == 200
        assert [one.is_addressed for one in inlet.inbound] == [True]
    await adapter.close()


async def test_a_refused_webhook_gives_way_to_polling_unless_a_webhook_was_asked_for(telegram: Telegram) -> None:
    telegram.takes_http = False
    bot, inlet = telegram.bot(), MemoryInlet()
    adapter = build(telegram, bot, webhook_url="http://127.0.0.1:1/hook")
    listening = asyncio.ensure_future(adapter.listen(inlet))
    await telegram.person("Ann").writes("hello")
    await inlet.has(1)
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
    await adapter.close()
    assert inlet.words == ["hello"]


async def test_a_pressed_button_stops_spinning_once_it_is_stored(telegram: Telegram) -> None:
    async with delivered(telegram) as stage:
        ann = telegram.person("Ann", has_met=True)
        await stage.adapter.send(_with_button(ann.id))
        [question] = await ann.hears()
        await ann.presses(question, "story:2")
        await telegram.until(lambda: not stage.bot.open_buttons)
        [button] = [part for one in stage.inlet.inbound for part in one.parts]
        assert (button.label, button.payload) == ("The war", "story:2")  # type: ignore[union-attr]


def _with_button(chat_id: int) -> Any:
    from channels.contract import Button, Chat, Outbound, Text

    parts = (
        Text(text="Which story?"),
        Button(label="The sea", payload="story:1"),
        Button(label="The war", payload="story:2"),
    )
    return Outbound(key="k", chat=Chat(id=str(chat_id)), parts=parts)


# ------------------------------------------------------------------------------------ by the thousand


@dataclass
class Threaded:
    """A webhook that lives in a thread of its own, so that a test can ask it thousands of things one by one."""

    inlet: MemoryInlet
    connection: http.client.HTTPConnection
    path: str

    def status(self, body: bytes, headers: list[tuple[bytes, bytes]]) -> int:
        """Return what is answered, with a new connection whenever the last one was closed."""
        try:
            return self._ask(body, headers)
        except (http.client.HTTPException, OSError):
            self.connection.close()
            return self._ask(body, headers)

    def _ask(self, body: bytes, headers: list[tuple[bytes, bytes]]) -> int:
        self.connection.putrequest("POST", self.path, skip_accept_encoding=True)
        self.connection.putheader("Content-Length", str(len(body)))
        lines = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
        self.connection._buffer.append(lines.removesuffix(b"\r\n")) if lines else None  # type: ignore[attr-defined]
        self.connection.endheaders(body)
        response = self.connection.getresponse()
        response.read()
        return response.status


@pytest.fixture
def threaded() -> Iterator[Threaded]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def run(work: Callable[[], Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work(), loop).result(10)

    async def open_() -> tuple[Any, Any, MemoryInlet, str]:
        telegram = Telegram()
        inlet = MemoryInlet()
        adapter = build(telegram, telegram.bot(), username="nonna_rosa_bot")
        serving = webhook_of(adapter.routes, inlet)
        return serving, adapter, inlet, await serving.__aenter__()

    serving, adapter, inlet, url = run(open_)
    address, _, path = url.removeprefix("http://").partition("/")
    host, _, port = address.partition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=10)
    yield Threaded(inlet, connection, "/" + path)
    connection.close()
    run(lambda: serving.__aexit__(None, None, None))
    run(adapter.close)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


_NAME = SECRET_HEADER.encode()
_TRUE = SECRET.encode()
_printable = st.integers(0x21, 0x7E)


@st.composite
def _forged(draw: st.DrawFn) -> list[tuple[bytes, bytes]]:
    """Headers that are nearly right: a byte changed, taken, added or moved, none at all, two of them, another name."""
    secret = bytearray(_TRUE)
    place = draw(st.integers(0, len(secret) - 1))
    kind = draw(
        st.sampled_from(["change", "high", "take", "add", "swap", "none", "twice", "both", "name", "cut", "case"])
    )
    if kind == "change":
        secret[place] = draw(_printable.filter(lambda byte: byte != _TRUE[place]))
    elif kind == "high":
        secret[place] = draw(st.integers(0x80, 0xFF))
    elif kind == "take":
        del secret[place]
    elif kind == "add":
        secret.insert(place, draw(_printable))
    elif kind == "swap":
        other = draw(st.integers(0, len(secret) - 1).filter(lambda one: _TRUE[one] != _TRUE[place]))
        secret[place], secret[other] = secret[other], secret[place]
    elif kind == "none":
        return []
    elif kind == "twice":
        return [(_NAME, _TRUE), (_NAME, _TRUE)]
    elif kind == "both":
        wrong = bytes(draw(st.lists(_printable, max_size=40)))
        return draw(st.permutations([(_NAME, _TRUE), (_NAME, wrong)]))
    elif kind == "name":
        return [(_NAME[:place] if 0 < place < len(_NAME) else b"Authorization", _TRUE)]
    elif kind == "cut":
        secret = secret[:place]
    else:
        secret = bytearray(_TRUE.swapcase())
    return [(_NAME, bytes(secret))]


def test_no_secret_but_the_right_one_is_let_in_and_nothing_is_written(threaded: Threaded) -> None:
    body = json.dumps(TEXT).encode()

    @given(headers=_forged())
    @settings(max_examples=2000, deadline=None)
    def holds(headers: list[tuple[bytes, bytes]]) -> None:
        assert threaded.status(body, headers) in (400, 401)
        assert threaded.inlet.events == {}

    holds()
    assert threaded.status(body, [(_NAME, _TRUE)]) == 200
    assert len(threaded.inlet.events) == 1


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)
_KINDS = (
    "message",
    "edited_message",
    "callback_query",
    "message_reaction",
    "my_chat_member",
    "stopped_message_generation",
)
_FIELDS = (
    "text", "entities", "from", "chat", "date", "message_id", "voice", "photo", "quote", "reply_to_message", "contact",
    "location", "venue", "sticker", "external_reply", "migrate_to_chat_id", "message_thread_id", "rich_message",
    "is_topic_message", "new_reaction", "data", "message", "user", "old_chat_member", "new_chat_member", "draft_id",
)  # fmt: skip


@st.composite
def _strange(draw: st.DrawFn) -> bytes:
    """Bytes, JSON, or an update in which some fields hold what they never should."""
    kind = draw(st.sampled_from(["bytes", "json", "update", "update", "cut"]))
    if kind == "bytes":
        return draw(st.binary(max_size=300))
    if kind == "json":
        return json.dumps(draw(_json)).encode()
    inner = {**TEXT["message"], **draw(st.dictionaries(st.sampled_from(_FIELDS), _json, max_size=4))}
    whole = json.dumps({"update_id": draw(st.integers(1, 9) | _json), draw(st.sampled_from(_KINDS)): inner}).encode()
    return whole[: draw(st.integers(0, len(whole)))] if kind == "cut" else whole


def test_whatever_the_body_is_the_answer_is_200_and_it_is_kept(threaded: Threaded) -> None:
    @given(body=_strange())
    @settings(max_examples=1000, deadline=None)
    def holds(body: bytes) -> None:
        threaded.inlet.events.clear()
        assert threaded.status(body, [(_NAME, _TRUE), (b"Content-Type", b"application/json")]) == 200
        assert len(threaded.inlet.events) == 1

    holds()


def test_a_body_in_a_broken_encoding_is_refused_and_never_a_500(threaded: Threaded) -> None:
    @given(body=st.binary(max_size=200), encoding=st.sampled_from([b"gzip", b"identity", b"\xe9", b"x"]))
    @settings(max_examples=300, deadline=None)
    def holds(body: bytes, encoding: bytes) -> None:
        assert threaded.status(body, [(_NAME, _TRUE), (b"Content-Encoding", encoding)]) in (200, 400)

    holds()
