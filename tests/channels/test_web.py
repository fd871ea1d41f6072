"""The talk page's channel, over a real server: what a browser sends, what it gets, and what it may not do."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from channels import web_streams
from channels.contract import AccountConfig, Chat, Inbound, Outbound, Sender, Text
from channels.errors import NotConfigured
from channels.own_settings import WebSettings
from channels.web import CookieVisitors, WebAdapter, line_html
from tests.channels.kit import MemoryInlet, MemoryTranscript, mounted, nobody, ports
from tests.fakes import FakeClock

PAGE = "/p/rosa"
ACCOUNT = AccountConfig(id="a1", settings=WebSettings(), display_name="Rosa")


@dataclass
class Site:
    """A talk page on a real server, and one browser in front of it."""

    address: str
    adapter: WebAdapter
    inlet: MemoryInlet
    transcript: MemoryTranscript
    clock: FakeClock
    browser: aiohttp.ClientSession

    @property
    def url(self) -> str:
        return self.address + PAGE

    async def say(self, text: str, client_id: str = "c1") -> dict[str, Any]:
        async with self.browser.post(f"{self.url}/messages", json={"text": text, "client_id": client_id}) as answer:
            assert answer.status == 202
            found: dict[str, Any] = await answer.json()
            return found

    async def visitor_id(self) -> str:
        """Return whom the server takes the browser for."""
        before = set(self.inlet.received)
        event_id: str = (await self.say("who am I", f"who{len(before)}"))["event_id"]
        return event_id.partition(":")[0]

    def heard(self) -> list[Inbound]:
        return [one.inbound for one in self.inlet.received.values() if one.inbound]


@asynccontextmanager
async def a_site(**options: Any) -> AsyncIterator[Site]:
    clock, inlet, transcript = FakeClock(), MemoryInlet(), MemoryTranscript()
    adapter = WebAdapter(ACCOUNT, ports(clock, transcript=transcript), **options)
    async with mounted(adapter, inlet, path=PAGE) as address, a_browser() as browser:
        try:
            yield Site(address, adapter, inlet, transcript, clock, browser)
        finally:
            await adapter.close()


@asynccontextmanager
async def a_browser() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        yield session


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with a_site() as found:
        yield found


# ------------------------------------------------------------------------------------------- messages


async def test_a_message_is_accepted_with_the_visitor_as_its_sender(site: Site) -> None:
    headers = {"Accept-Language": "pt-BR,pt;q=0.9"}
    body = {"text": "  Olá\r\navó\x07 ", "client_id": "c-1"}
    async with site.browser.post(f"{site.url}/messages", json=body, headers=headers) as answer:
        assert answer.status == 202
        facts = await answer.json()
        cookie = answer.headers["Set-Cookie"]
    (inbound,) = site.heard()
    assert facts == {"accepted": True, "event_id": inbound.event_id, "is_repeat": False}
    assert inbound.event_id == f"{inbound.sender.id}:c-1"
    assert inbound.parts == (Text(text="Olá\navó"),)
    assert (inbound.sender.language, inbound.chat, inbound.sent_at) == (
        "pt",
        Chat(id=inbound.sender.id),
        site.clock.now(),
    )
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "Max-Age=31536000" in cookie
    assert "Secure" not in cookie


async def test_what_is_kept_reads_as_the_same_message(site: Site) -> None:
    await site.say("Hello")
    ((received),) = site.inlet.received.values()
    assert site.adapter.parse(json.loads(received.raw)) == [received.inbound]


async def test_a_form_without_script_goes_back_to_the_page(site: Site) -> None:
    form = {"text": "Hello\r\nthere", "client_id": "f1", "csrf": "ignored"}
    async with site.browser.post(f"{site.url}/messages", data=form, allow_redirects=False) as answer:
        assert answer.status == 303
        there = answer.url.join(type(answer.url)(answer.headers["Location"]))
    assert there.path == PAGE
    assert site.heard()[0].parts == (Text(text="Hello\nthere"),)


async def test_the_same_message_sent_again_is_the_same_event(site: Site) -> None:
    first, again = await site.say("Hello", "c7"), await site.say("Hello", "c7")
    assert again == {**first, "is_repeat": True}
    assert len(site.inlet.received) == 1


async def test_two_browsers_are_two_visitors_and_each_stays_the_same(site: Site) -> None:
    mine = [await site.visitor_id(), await site.visitor_id()]
    async with a_browser() as other:
        theirs = await replace(site, browser=other).visitor_id()
    assert mine[0] == mine[1] != theirs


async def test_a_cookie_that_was_not_made_here_makes_a_new_visitor(site: Site) -> None:
    mine = await site.visitor_id()
    (cookie,) = list(site.browser.cookie_jar)
    for forged in (f"{mine}.{'0' * 64}", mine, f"{mine}.", "owner:7.x", "é", f"x{cookie.value}"):
        async with aiohttp.ClientSession(cookies={cookie.key: forged}) as thief:
            assert await replace(site, browser=thief).visitor_id() not in (mine, "owner:7")


async def test_an_operator_who_is_signed_in_is_known_by_that() -> None:
    async def marta(request: web.Request) -> Sender | None:
        return Sender(id="owner:7", name="Marta")

    inlet = MemoryInlet()
    visitors = CookieVisitors(b"s", is_secure=True, signed_in=marta)
    adapter = WebAdapter(ACCOUNT, ports(visitors=visitors))
    async with (
        mounted(adapter, inlet, path=PAGE) as address,
        a_browser() as browser,
        browser.post(f"{address}{PAGE}/messages", json={"text": "Hi", "client_id": "1"}) as answer,
    ):
        assert "Set-Cookie" not in answer.headers
    assert list(inlet.received) == ["owner:7:1"]


async def test_over_https_the_cookie_is_bound_to_host_and_encryption() -> None:
    visitors = CookieVisitors(b"s", is_secure=True, signed_in=nobody)
    adapter = WebAdapter(ACCOUNT, ports(visitors=visitors))
    async with (
        mounted(adapter, MemoryInlet(), path=PAGE) as address,
        a_browser() as browser,
        browser.get(f"{address}{PAGE}/messages") as answer,
    ):
        cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith("__Host-")
    assert "Secure" in cookie
    assert "Path=/" in cookie


async def test_an_invitation_goes_in_and_the_visitor_back_to_the_page(site: Site) -> None:
    async with site.browser.post(
        f"{site.url}/invitation", data={"token": "abc-DEF_9"}, allow_redirects=False
    ) as answer:
        assert answer.status == 303
    (inbound,) = site.heard()
    assert (inbound.invitation, inbound.parts) == ("abc-DEF_9", ())
    assert "abc-DEF_9" not in inbound.event_id
    for token in ("", "a b", "x" * 65, "<script>"):
        async with site.browser.post(f"{site.url}/invitation", data={"token": token}) as answer:
            assert answer.status == 422


# ------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("body", "kind", "status", "code"),
    [
        (b'{"text": "x", "client_id": "1"}', "text/plain", 415, "media_type"),
        (b"", "application/octet-stream", 415, "media_type"),
        (b"not json", "application/json", 422, "not_understood"),
        (b"[" * 60_000, "application/json", 422, "not_understood"),
        (b'{"text": 5, "client_id": "1"}', "application/json", 422, "not_understood"),
        (b'{"client_id": "1"}', "application/json", 422, "not_understood"),
        (b'{"text": "x", "client_id": "a b"}', "application/json", 422, "not_understood"),
        (b'{"text": "x", "client_id": "a\\n"}', "application/json", 422, "not_understood"),
        (b'{"text": " \\n \\u0000", "client_id": "1"}', "application/json", 422, "empty"),
        (json.dumps({"text": "ñ" * 4001, "client_id": "1"}).encode(), "application/json", 422, "too_long"),
        (json.dumps({"text": "x" * 70_000, "client_id": "1"}).encode(), "application/json", 413, "too_large"),
    ],
)
async def test_what_cannot_be_taken_is_refused_in_clear_words(
    site: Site, body: bytes, kind: str, status: int, code: str
) -> None:
    headers = {"Content-Type": kind}
    async with site.browser.post(f"{site.url}/messages", data=body, headers=headers) as answer:
        assert answer.status == status
        error = (await answer.json())["error"]
    assert error["code"] == code
    assert error["message"].endswith((".", "!"))
    assert not site.inlet.calls


async def test_a_form_gets_its_refusal_as_a_sentence(site: Site) -> None:
    async with site.browser.post(f"{site.url}/messages", data={"text": " "}) as answer:
        assert answer.status == 422
        assert answer.content_type == "text/plain"
        assert "nothing written" in await answer.text()


async def test_a_body_that_never_ends_is_cut_off(site: Site) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"x" * 4096

    headers = {"Content-Type": "application/json"}
    try:
        async with site.browser.post(f"{site.url}/messages", data=endless(), headers=headers) as answer:
            assert answer.status == 413
    except aiohttp.ClientConnectionError:
        pass  # the server may have hung up while the rest was still being written
    assert not site.inlet.calls


async def test_a_browser_that_leaves_in_the_middle_of_a_body_leaves_nothing_behind(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    for framing, body in (("Content-Length: 50", b'{"text"'), ("Transfer-Encoding: chunked", b"5\r\nabcdeXX\r\n")):
        reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(site.address).port)
        head = f"POST {PAGE}/messages HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{framing}\r\n\r\n"
        writer.write(head.encode())
        await writer.drain()
        await site.visitor_id()  # by now the server has begun to read the body
        writer.write(body)
        writer.write_eof()
        async with asyncio.timeout(10):
            assert b"202" not in await reader.read()
        writer.close()
    assert [call for call in site.inlet.calls if "who" not in call[0]] == []
    assert caplog.records == []


async def test_a_compressed_body_is_refused(site: Site) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    async with site.browser.post(f"{site.url}/messages", data=gzip.compress(b"{}"), headers=headers) as answer:
        assert answer.status == 415


async def test_a_message_that_could_not_be_kept_is_never_called_accepted(site: Site) -> None:
    site.inlet.is_broken = True
    async with site.browser.post(f"{site.url}/messages", json={"text": "x", "client_id": "1"}) as answer:
        assert answer.status == 503
        assert answer.headers["Retry-After"] == "2"
        assert (await answer.json())["error"]["code"] == "try_again"


async def test_thirty_messages_a_minute_and_then_a_pause(site: Site) -> None:
    for number in range(30):
        await site.say("quick", f"c{number}")
    await site.clock.advance(20)
    async with site.browser.post(f"{site.url}/messages", json={"text": "x", "client_id": "z"}) as answer:
        assert answer.status == 429
        assert answer.headers["Retry-After"] == "40"
    async with a_browser() as other:
        await replace(site, browser=other).say("unhurried")
    await site.clock.advance(41)
    await site.say("again", "later")


async def test_dropping_the_cookie_does_not_buy_more_messages(site: Site) -> None:
    statuses = []
    for number in range(121):
        site.browser.cookie_jar.clear()
        async with site.browser.post(f"{site.url}/messages", json={"text": "x", "client_id": str(number)}) as answer:
            statuses.append(answer.status)
    assert statuses == [202] * 120 + [429]


async def test_the_page_itself_is_no_other_site(site: Site) -> None:
    for headers in ({"Origin": site.address}, {"Sec-Fetch-Site": "same-origin", "Origin": site.address.upper()}):
        body = {"text": "x", "client_id": "1"}
        async with site.browser.post(f"{site.url}/messages", json=body, headers=headers) as answer:
            assert answer.status == 202


async def test_behind_a_proxy_the_public_address_is_ours() -> None:
    account = replace(ACCOUNT, webhook_url="https://talk.example/p/rosa")
    async with mounted(WebAdapter(account, ports()), MemoryInlet(), path=PAGE) as address, a_browser() as browser:
        for origin, status in (("https://talk.example", 202), ("https://talk.example.evil.example", 403)):
            body = {"text": "x", "client_id": "1"}
            async with browser.post(f"{address}{PAGE}/messages", json=body, headers={"Origin": origin}) as answer:
                assert answer.status == status


def test_without_a_transcript_there_is_no_talk_page() -> None:
    with pytest.raises(NotConfigured):
        WebAdapter(ACCOUNT, replace(ports(), transcript=None))


_KINDS = [
    "application/json",
    "application/x-www-form-urlencoded",
    "text/plain",
    "multipart/form-data; boundary=x",
    "",
    "é/;",
]
_bodies = st.one_of(
    st.binary(max_size=200),
    st.text(max_size=60).map(lambda text: f"text={text}&client_id=1".encode("utf-8", "replace")),
    st.fixed_dictionaries(
        {},
        optional={
            "text": st.text(max_size=30) | st.integers(),
            "client_id": st.text(max_size=70),
            "token": st.text(max_size=9),
        },
    ).map(lambda given: json.dumps(given).encode()),
)


async def test_no_request_makes_the_page_fail() -> None:
    async with a_site() as site:
        loop = asyncio.get_running_loop()
        port = urlsplit(site.address).port

        async def ask(method: str, path: str, kind: str, body: bytes, extra: str) -> int:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            head = (
                f"{method} {PAGE}{path} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\n{extra}Connection: close\r\n\r\n"
            )
            writer.write(head.encode("utf-8", "replace") + body)
            try:
                async with asyncio.timeout(10):
                    line = await reader.readline()
            finally:
                writer.close()
            return int(line.split()[1])

        @given(
            method=st.sampled_from(["POST", "GET"]),
            path=st.sampled_from(
                ["/messages", "/invitation", "/messages?after=%ff", "/events?after=1e9", "/events?after=-1"]
            ),
            kind=st.sampled_from(_KINDS),
            body=_bodies,
            framing=st.sampled_from(["length", "chunked", "broken"]),
        )
        @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
        def holds(method: str, path: str, kind: str, body: bytes, framing: str) -> None:
            extra = f"Content-Length: {len(body)}\r\n"
            if framing != "length":
                extra = "Transfer-Encoding: chunked\r\n"
                body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if framing == "chunked" and body else b"zz\r\nno"
            asked = asyncio.run_coroutine_threadsafe(ask(method, path, kind, body, extra), loop)
            assert asked.result(15) < 500

        await asyncio.to_thread(holds)


# ------------------------------------------------------------------------------------------- the transcript


async def test_the_transcript_is_read_on_from_where_the_page_stands(site: Site) -> None:
    me = await site.visitor_id()
    site.transcript.add(me, "Hello <b>", is_ours=False)
    ours = site.transcript.add(me, "**Hi** you", is_ours=True, key="t1.0", label="offline answer")
    site.transcript.add("somebody else", "secret", is_ours=True)
    async with site.browser.get(f"{site.url}/messages") as answer:
        found = await answer.json()
        assert answer.headers["Cache-Control"] == "no-store"
    assert [each["text"] for each in found["messages"]] == ["Hello <b>", "**Hi** you"]
    assert found["messages"][1] == {
        "id": ours.id,
        "key": "t1.0",
        "text": "**Hi** you",
        "html": "<p><strong>Hi</strong> you</p>\n",
        "is_ours": True,
        "at": "2026-03-01T12:00:00+00:00",
        "label": "offline answer",
        "state": "",
    }
    async with site.browser.get(f"{site.url}/messages", params={"after": found["last_id"]}) as answer:
        assert await answer.json() == {"messages": [], "last_id": ours.id}


def test_what_a_visitor_typed_is_shown_as_typed() -> None:
    line = MemoryTranscript().add("v", "**no** <script>\nsecond\n\nthird & last", is_ours=False)
    assert line_html(line) == "<p>**no** &lt;script&gt;<br />\nsecond</p>\n<p>third &amp; last</p>\n"


# ------------------------------------------------------------------------------------------- the stream


class Events:
    """Reads server-sent events as a browser does."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self.answer = answer
        self.last_id = ""
        self.beats = 0

    async def next(self) -> tuple[str, dict[str, Any]]:
        name, facts = "", ""
        async with asyncio.timeout(10):
            async for raw in self.answer.content:
                line = raw.decode().rstrip("\n")
                if line.startswith("event: "):
                    name = line[7:]
                elif line.startswith("data: "):
                    facts = line[6:]
                elif line.startswith("id: "):
                    self.last_id = line[4:]
                elif line.startswith(":"):
                    self.beats += 1
                    return "beat", {}
                elif not line and name:
                    return name, json.loads(facts)
        return "end", {}


@asynccontextmanager
async def watching(site: Site, *, last_id: str = "", after: int | None = None) -> AsyncIterator[Events]:
    headers = {"Last-Event-ID": last_id} if last_id else {}
    query = f"?after={after}" if after is not None else ""
    async with site.browser.get(f"{site.url}/events{query}", headers=headers) as answer:
        assert answer.status == 200
        assert answer.content_type == "text/event-stream"
        yield Events(answer)


def _answer_to(visitor_id: str, key: str) -> Outbound:
    return Outbound(key=key, chat=Chat(id=visitor_id), parts=(Text(text="Hi"),))


async def test_an_answer_reaches_the_open_page_at_once(site: Site) -> None:
    me = await site.visitor_id()
    async with watching(site) as events:
        assert await events.next() == ("state", {"state": "open", "last_id": 0})
        site.transcript.add(me, "Hi", is_ours=True, key="t1.0")
        receipt = await site.adapter.send(_answer_to(me, "t1.0"))
        name, facts = await events.next()
    assert receipt.message_ids == ("t1.0",)
    assert (name, facts["key"], facts["html"]) == ("message", "t1.0", "<p>Hi</p>\n")
    assert events.last_id == str(facts["id"])


async def test_sending_twice_shows_once(site: Site) -> None:
    me = await site.visitor_id()
    async with watching(site) as events:
        await events.next()
        site.transcript.add(me, "Hi", is_ours=True, key="t1.0")
        assert await site.adapter.send(_answer_to(me, "t1.0")) == await site.adapter.send(_answer_to(me, "t1.0"))
        assert (await events.next())[1]["key"] == "t1.0"
        await site.adapter.show("typing", Chat(id=me))
        assert await events.next() == ("action", {"action": "typing"})


async def test_nothing_said_while_the_page_was_away_is_lost(site: Site) -> None:
    me = await site.visitor_id()
    first = site.transcript.add(me, "one", is_ours=True)
    async with watching(site) as events:
        assert (await events.next())[1]["text"] == "one"
    for number in range(250):
        site.transcript.add(me, f"more {number}", is_ours=True)
    async with watching(site, last_id=str(first.id)) as events:
        found = [(await events.next())[1]["text"] for _ in range(250)]
        assert (await events.next())[0] == "state"
    assert found == [f"more {number}" for number in range(250)]
    async with watching(site, after=first.id + 249) as events:
        assert (await events.next())[1]["text"] == "more 249"


async def test_drafts_and_actions_are_shown_and_only_the_newest_draft_counts(site: Site) -> None:
    me = await site.visitor_id()
    async with watching(site) as events:
        await events.next()
        await site.adapter.show("typing", Chat(id=me))
        await site.adapter.draft(Chat(id=me), 4, "Hel")
        await site.adapter.draft(Chat(id=me), 4, "Hello\nyou")
        assert await events.next() == ("action", {"action": "typing"})
        assert await events.next() == ("draft", {"draft_id": 4, "text": "Hello\nyou"})


async def test_nobody_sees_what_another_visitor_is_told(site: Site) -> None:
    me = await site.visitor_id()
    async with watching(site) as events:
        await events.next()
        await site.adapter.draft(Chat(id="another"), 1, "secret")
        site.transcript.add("another", "secret", is_ours=True)
        await site.adapter.send(_answer_to("another", "x"))
        await site.adapter.show("typing", Chat(id=me))
        assert (await events.next())[0] == "action"


async def test_own_words_reach_the_other_pages_of_the_same_visitor(site: Site) -> None:
    me = await site.visitor_id()
    async with watching(site) as events:
        await events.next()
        site.transcript.add(me, "typed elsewhere", is_ours=False)
        await site.say("typed elsewhere", "c2")
        assert (await events.next())[1]["text"] == "typed elsewhere"


async def test_a_silent_stream_is_kept_alive() -> None:
    async with a_site(heartbeat_s=0.01) as site, watching(site) as events:
        await events.next()
        assert [(await events.next())[0] for _ in range(3)] == ["beat"] * 3


async def test_a_visitor_has_few_streams_and_a_closed_page_gives_its_place_back(site: Site) -> None:
    await site.visitor_id()
    open_pages = [watching(site) for _ in range(web_streams.MOST_PER_VISITOR)]
    for page in open_pages:
        await (await page.__aenter__()).next()
    async with site.browser.get(f"{site.url}/events") as answer:
        assert answer.status == 429
        assert answer.headers["Retry-After"] == "30"
    for page in open_pages:
        await page.__aexit__(None, None, None)
    async with asyncio.timeout(10):
        while True:
            async with site.browser.get(f"{site.url}/events") as answer:
                if answer.status == 200:
                    break


async def test_closing_ends_every_stream(site: Site) -> None:
    await site.visitor_id()
    async with watching(site) as events:
        await events.next()
        await site.adapter.close()
        assert await events.next() == ("state", {"state": "closing", "last_id": 0})
        assert await events.next() == ("end", {})
