"""The HTTP server: webhooks get the statuses platforms understand, strangers get nothing, nobody gets a 500."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError
from yarl import URL

import channels
from bot.accounts import Accounts
from bot.app import App, opened
from bot.server import LocalDoor, add_routes
from bot.settings import read_settings
from channels.contract import AccountConfig, Chat, Inbound, Inlet, Limits, Ports, Received, Route, Sender, Text
from channels.errors import BadSignature, NotAccepted, PayloadNotUnderstood
from knowledge import inbox, personas
from knowledge.accounts import create_account
from knowledge.clock import SystemClock
from knowledge.database import Connection, Database
from knowledge.errors import NotFound
from knowledge.media import MediaFolder
from knowledge.secrets import SecretBox
from tests.fakes import FakeChannel, FakeClock

HOOK = "/webhooks/knock/a-path-nobody-guesses"


class KnockSettings(BaseModel):
    """Nothing is needed to knock."""


class KnockAdapter(FakeChannel):
    """A channel whose platform delivers by webhook, and whose parser has a bug of every kind."""

    name: ClassVar[str] = "knock"
    limits: ClassVar[Limits] = Limits(text_length=200)

    def __init__(self, account: AccountConfig, ports: Ports) -> None:
        super().__init__()
        self.account = account
        self._now = ports.now

    def routes(self) -> list[Route]:
        return [Route("POST", "", self._take), Route("GET", "/hello", self._greet)]

    async def _greet(self, request: web.Request, inlet: Inlet) -> web.StreamResponse:
        return web.Response(text="hello")

    async def _take(self, request: web.Request, inlet: Inlet) -> web.StreamResponse:
        body = await request.text()
        match body:
            case "forged":
                raise BadSignature("no")
            case "odd":
                raise PayloadNotUnderstood("what?")
            case "full":
                raise NotAccepted("the disk is full")
            case "bug":
                raise ZeroDivisionError("what a person wrote")
            case "gone":
                raise web.HTTPGone
        said = Inbound(
            event_id=body,
            message_id=body,
            kind="message",
            chat=Chat(id="c"),
            sender=Sender(id="ana"),
            sent_at=self._now(),
            parts=(Text(text=body),),
        )
        await inlet.accept([Received(event_id=body, raw=body, inbound=said)])
        return web.Response(text="ok")


@pytest.fixture
def accounts(database: Database, clock: FakeClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Accounts:
    """The accounts of a persona that can be knocked at."""
    where = f"{__name__}:KnockAdapter", f"{__name__}:KnockSettings"
    monkeypatch.setitem(channels.CHANNELS, "knock", where)
    box = SecretBox(tmp_path / "key")

    def furnish(c: Connection) -> None:
        persona = personas.create_persona(c, name="Rosa", kind="fictional", visibility="public", at=clock.now())
        fields: dict[str, Any] = {"persona_id": persona.id, "channel": "knock", "settings": {}, "at": clock.now()}
        create_account(c, box, name="knock", webhook_path=HOOK, **fields)

    database.write_now(furnish)
    return Accounts(
        database=database,
        clock=clock,
        box=box,
        media=MediaFolder(tmp_path / "media"),
        public_url="",
        wake=lambda keys: None,
        on_started=lambda account_id: None,
        transcript_of=lambda account_id: None,  # type: ignore[arg-type, return-value]
        visitors=None,
        defaults={},
        region=None,
        on_step=lambda name: None,
    )


@asynccontextmanager
async def served(accounts: Accounts) -> AsyncIterator[ClientSession]:
    """Yield a client of the server that these accounts answer at; they are not started yet."""

    async def status() -> dict[str, Any]:
        return {"is_ok": accounts.is_loaded}

    application = web.Application()
    add_routes(application, accounts=accounts, status=status)
    async with TestServer(application) as server, ClientSession(server.make_url("/")) as client:
        yield client


@asynccontextmanager
async def started(accounts: Accounts) -> AsyncIterator[ClientSession]:
    """Yield a client of the server with all accounts started."""
    async with served(accounts) as client, asyncio.TaskGroup() as group:
        running = group.create_task(accounts.run(lambda account: account.channel == "knock"))
        await accounts.wait_loaded()
        try:
            yield client
        finally:
            accounts.stop()
            await running


async def status_of(client: ClientSession, method: str, path: str, body: str = "") -> int:
    async with client.request(method, path, data=body.encode()) as response:
        await response.read()
        return response.status


async def test_what_a_platform_delivers_is_stored_before_it_is_told_so(accounts: Accounts, database: Database) -> None:
    async with started(accounts) as client:
        assert await status_of(client, "POST", HOOK, "Hello") == 200
        assert await status_of(client, "POST", HOOK, "Hello") == 200
        assert await status_of(client, "POST", HOOK + "/", "Are you there?") == 200
    assert await database.read(inbox.count_waiting) == 2


async def test_a_path_that_belongs_to_nobody_is_not_found(accounts: Accounts) -> None:
    async with started(accounts) as client:
        for path in ("/nothing", "/webhooks", "/webhooks/knock", HOOK + "x", HOOK + "/nothing", "/" + "a/" * 2000):
            assert await status_of(client, "GET", path) == 404, path
            assert await status_of(client, "POST", path) == 404, path


async def test_a_method_that_a_path_does_not_know_is_named_as_that(accounts: Accounts) -> None:
    async with started(accounts) as client:
        assert await status_of(client, "GET", HOOK + "/hello") == 200
        async with client.get(HOOK) as response:
            assert (response.status, response.headers["Allow"]) == (405, "POST")
        async with client.delete(HOOK + "/hello") as response:
            assert (response.status, response.headers["Allow"]) == (405, "GET")


async def test_before_the_accounts_are_started_a_platform_is_asked_to_come_again(accounts: Accounts) -> None:
    async with served(accounts) as client:
        async with client.post(HOOK, data=b"Hello") as response:
            assert (response.status, response.headers["Retry-After"]) == (503, "2")
        assert await status_of(client, "GET", "/nothing") == 404


@pytest.mark.parametrize(
    ("body", "status"), [("forged", 403), ("odd", 400), ("full", 503), ("bug", 503), ("gone", 410)]
)
async def test_what_goes_wrong_becomes_a_status_that_platforms_understand(
    accounts: Accounts, database: Database, body: str, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with started(accounts) as client, client.post(HOOK, data=body) as response:
        assert response.status == status
        assert "what a person wrote" not in await response.text()
    assert await database.read(inbox.count_waiting) == 0
    assert "what a person wrote" not in caplog.text
    assert ("ZeroDivisionError" in caplog.text) is (body == "bug")


async def test_a_store_that_fails_is_never_answered_with_200(accounts: Accounts, database: Database) -> None:
    async with started(accounts) as client:
        database.close()
        assert await status_of(client, "POST", HOOK, "Hello") == 503
        database.glance = None  # type: ignore[assignment, method-assign]  # nothing below may be read either
        assert await status_of(client, "POST", HOOK, "Hello again") == 503


async def test_health_says_whether_it_is_well_in_its_status_too(accounts: Accounts) -> None:
    async with served(accounts) as client, client.get("/health") as response:
        assert (response.status, await response.json()) == (503, {"is_ok": False})
    async with started(accounts) as client, client.get("/health") as response:
        assert (response.status, await response.json()) == (200, {"is_ok": True})


# ------------------------------------------------------------------------------------------------ the local door


async def test_the_local_door_opens_to_its_token_alone() -> None:
    door = LocalDoor("the-token")
    asked: list[str] = []

    async def answer(request: web.Request) -> dict[str, str]:
        asked.append(request.path)
        return {"said": "come in"}

    application = web.Application()
    application.router.add_get("/local", door.guarded(answer))
    async with TestServer(application) as server, ClientSession(server.make_url("/")) as client:
        for given_header in (
            "",
            "Bearer",
            "Bearer ",
            "Bearer the-tokem",
            "Basic the-token",
            "Bearer the-token2",
            "Bearer ñ",
        ):
            headers = {"Authorization": given_header} if given_header else {}
            async with client.get("/local", headers=headers) as response:
                assert response.status == 403, given_header
        assert asked == []
        async with client.get("/local", headers={"Authorization": "Bearer the-token"}) as response:
            assert (response.status, await response.json()) == (200, {"said": "come in"})


@pytest.mark.parametrize(
    ("error", "status"),
    [(NotFound("There is no such persona."), 404), (ValueError("a circle has a name"), 422)],
)
async def test_what_the_local_door_cannot_do_is_said_in_words(error: Exception, status: int) -> None:
    door = LocalDoor("t")

    async def answer(request: web.Request) -> None:
        raise error

    application = web.Application()
    application.router.add_get("/local", door.guarded(answer))
    headers = {"Authorization": "Bearer t"}
    async with TestServer(application) as server, ClientSession(server.make_url("/"), headers=headers) as client:
        response = await client.get("/local")
        assert response.status == status
        assert (await response.json())["error"].startswith(str(error))


# ------------------------------------------------------------------------------------------------ everything at once

Ask = Callable[[Callable[[App, ClientSession], Coroutine[Any, Any, None]]], None]

METHODS = st.sampled_from(["GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "BREW"])
PIECES = st.sampled_from(
    [
        *("p", "rosa", "messages", "events", "invitation", "webhooks", "telegram", "local", "imports", "personas"),
        *("link", "health", "admin", "static", "..", "%00", "%ff", "%2e%2e", "", "nobody", "%F0%9F%A6%8A", "a" * 300),
    ]
)
PATHS = st.lists(PIECES, max_size=5).map(lambda pieces: "/" + "/".join(pieces))
HEADERS = st.dictionaries(
    st.sampled_from(["Content-Type", "Origin", "Cookie", "Authorization", "Last-Event-ID", "Accept", "Sec-Fetch-Site"]),
    st.sampled_from(
        [
            *("application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain"),
            *(
                "http://evil.example",
                "memoras_visitor=x",
                "Bearer x",
                "-1",
                "9" * 40,
                "text/html",
                "cross-site",
                "[::1",
            ),
        ]
    ),
    max_size=4,
)
BODIES = st.binary(max_size=200) | st.sampled_from(
    [
        b'{"text": "hello", "client_id": "abc"}',
        b'{"text": "\\ud83d", "client_id": "abc"}',
        b'{"text": 1}',
        b'{"token": "abc"}',
        b"text=hello&client_id=abc",
        b"[" * 5000,
        b'{"path": "/nothing", "persona": "Rosa"}',
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nx',
    ]
)


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    """Ask one whole Memoras, in a loop of its own because the examples are many."""
    folder = tmp_path_factory.mktemp("whole")
    ready = asyncio.Event()
    is_over = asyncio.Event()
    opened_now: list[tuple[App, ClientSession]] = []

    async def serve() -> None:
        chosen = read_settings(data=folder, port=0, samples=False, embedder=False, quiet_s=0, _env_file=None)
        async with opened(chosen) as app:
            at = SystemClock().now()
            await app.database.write(
                lambda c: personas.create_persona(c, name="Rosa", kind="fictional", visibility="public", at=at)
            )
            address: asyncio.Future[str] = asyncio.get_running_loop().create_future()
            async with asyncio.TaskGroup() as group:
                group.create_task(app.serve(address.set_result))
                async with ClientSession(await address) as client:
                    opened_now.append((app, client))
                    ready.set()
                    await is_over.wait()
                    app.stop()

    with asyncio.Runner() as runner:

        async def begin() -> asyncio.Task[None]:
            # alone: awaited by `end` below
            task = asyncio.get_running_loop().create_task(serve())
            waiting = asyncio.get_running_loop().create_task(ready.wait())
            await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            return task

        serving = runner.run(begin())

        def run(question: Callable[[App, ClientSession], Coroutine[Any, Any, None]]) -> None:
            runner.run(question(*opened_now[0]))

        async def end() -> None:
            is_over.set()
            await serving

        yield run
        runner.run(end())


@settings(max_examples=300, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(method=METHODS, path=PATHS, headers=HEADERS, body=BODIES, has_token=st.booleans())
def test_whatever_is_asked_the_answer_is_never_a_500(
    ask: Ask, method: str, path: str, headers: dict[str, str], body: bytes, has_token: bool
) -> None:
    async def question(app: App, client: ClientSession) -> None:
        given_headers = {**headers, **({"Authorization": f"Bearer {app.local_token}"} if has_token else {})}
        url = URL(f"{app.accounts.address}{path}", encoded=True)
        async with client.request(method, url, headers=given_headers, data=body, allow_redirects=False) as response:
            assert response.status != 500
            if response.content_type != "text/event-stream":
                await response.read()

    ask(question)


@settings(max_examples=150, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(
    sent=st.binary(max_size=400),
    begins=st.sampled_from([b"", b"GET / HTTP/1.1\r\n", b"POST /p/rosa/messages HTTP/1.1\r\nHost: x\r\n"]),
)
def test_whatever_bytes_come_the_server_answers_the_next_one(ask: Ask, begins: bytes, sent: bytes) -> None:
    async def question(app: App, client: ClientSession) -> None:
        url = URL(app.accounts.address)
        reader, writer = await asyncio.open_connection(url.host, url.port)
        writer.write(begins + sent)
        writer.write_eof()
        status_line = (await reader.read(64)).split(b"\r\n")[0]
        assert not status_line.startswith(b"HTTP/1.1 500")
        writer.close()
        async with client.get("/health") as response:
            assert response.status == 200

    ask(question)


def test_a_message_of_many_shapes_is_stored_or_refused(ask: Ask) -> None:
    shapes: list[tuple[Any, int]] = [
        ({"text": "hello", "client_id": "one"}, 202),
        ({"text": "hello", "client_id": "one"}, 202),
        ({"text": "\ud83d", "client_id": "two"}, 422),
        ({"text": "x" * 4001}, 422),
        ({"text": " \n "}, 422),
        ({"text": None}, 422),
        ([], 422),
        ("hello", 422),
    ]

    async def question(app: App, client: ClientSession) -> None:
        for shape, status in shapes:
            headers = {"Content-Type": "application/json"}
            async with client.post("/p/rosa/messages", data=json.dumps(shape), headers=headers) as response:
                assert response.status == status, shape
        async with client.post("/p/rosa/messages", data=io.BytesIO(b"x" * 5_000_000)) as response:
            assert response.status == 413

    ask(question)


def test_the_local_door_of_a_server_is_shut_without_its_token(ask: Ask) -> None:
    async def question(app: App, client: ClientSession) -> None:
        wanted = json.dumps({"path": "/", "persona": "Rosa"})
        for method, path in (
            ("POST", "/local/imports"),
            ("GET", "/local/imports/x"),
            ("POST", "/local/personas/rosa/link"),
            ("GET", "/local/personas"),
        ):
            async with client.request(method, path, data=wanted) as response:
                assert response.status == 403
            headers = {"Authorization": f"Bearer {app.local_token}"}
            async with client.request(method, path, data="{}", headers=headers) as response:
                assert response.status != 403

    ask(question)


def test_wishes_of_the_command_line_name_what_is_wrong_without_repeating_it() -> None:
    from bot.by_hand import WantedImport

    with pytest.raises(ValidationError) as found:
        WantedImport.model_validate_json('{"path": "/home/secret", "persona": ""}')
    assert "secret" not in str(found.value)
