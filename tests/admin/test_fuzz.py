"""Whatever a browser or a program sends, the answer is a page or a refusal, never a 500."""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from knowledge.database import Database
from knowledge.tables import metadata
from tests.admin.conftest import Visitor, open_signed_in
from tests.admin.stage import Known, Stage, furnish
from tests.admin.test_roles import filled, routes
from tests.fakes import FakeClock

ODD = st.sampled_from(
    [
        *("", " ", "0", "-1", "9" * 30, "1e9", "NaN", "\x00", "\r\n", "a\u0301", "🦊" * 50, "../..", "%00", "[", "UTC"),
        *("public", "owner", "circle:family", "person:nobody", "Europe", "1951-06-02", "0000-00-00", "<script>"),
    ]
)
VALUES = ODD | st.text(max_size=60)
NAMES = st.sampled_from(
    [
        *("name", "text", "kind", "visibility", "state", "slug"),
        *("languages", "timezone", "suggestions", "audience", "whose", "biography"),
        *("description", "happened_at", "relation", "circles", "circle_name", "circle"),
        *("person", "lasts", "person_name", "path", "owner_names", "date_order"),
        *("token", "receiving", "to", "role", "password", "next"),
    ]
)
QUERIES = st.sampled_from(["q", "how", "kind", "audience", "source", "before", "after", "turn", "page", "all", "for"])
FORMS = st.lists(st.tuples(NAMES, VALUES), max_size=8)
PUBLIC = ("/", "/p/rosa", "/p/aunt", "/p/", "/static/", "/admin/sign-in", "/admin/setup")

Ask = Callable[[Callable[[Visitor, Known], Awaitable[None]]], None]


@pytest.fixture(scope="module")
def ask() -> Iterator[Ask]:
    """Run questions against one furnished site in a loop of its own, because the examples are many."""
    with asyncio.Runner() as runner, tempfile.TemporaryDirectory() as folder:
        database = Database(Path(folder) / "memoras.sqlite3")
        database.write_now(metadata.create_all)
        stage = Stage(database, FakeClock())
        known = database.write_now(lambda c: furnish(c, stage.clock.now()))
        stack = AsyncExitStack()

        async def begin() -> Visitor:
            address = await stack.enter_async_context(stage.serving())
            return await open_signed_in(stack, stage, address, "owner")

        owner = runner.run(begin())

        def run(question: Callable[[Visitor, Known], Awaitable[None]]) -> None:
            runner.run(_awaited(question(owner, known)))

        yield run
        runner.run(stack.aclose())
        database.close()


async def _awaited(question: Awaitable[None]) -> None:
    await question


def _calm(examples: int) -> settings:
    return settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))


@_calm(250)
@given(path=st.sampled_from([path for path in routes("POST") if path != "/admin/sign-out"]), fields=FORMS)
def test_no_form_breaks_the_server(ask: Ask, path: str, fields: list[tuple[str, str]]) -> None:
    if path == "/admin/operators" or path == "/admin/password":
        fields = [(name, value) for name, value in fields if name != "password"]  # hashing takes its time

    async def question(owner: Visitor, known: Known) -> None:
        data = [("csrf", owner.csrf), *((name, _sendable(value)) for name, value in fields)]
        page = await owner.post(filled(path, known), data, follow=False)
        assert page.status < 500, (path, fields, page.status)

    ask(question)


@_calm(200)
@given(
    path=st.sampled_from([path for path in routes("GET") if path != "/admin/live"]) | st.sampled_from(PUBLIC),
    query=st.lists(st.tuples(QUERIES | st.sampled_from(["invite", "knock", "refused", "v"]), VALUES), max_size=5),
)
def test_no_address_breaks_the_server(ask: Ask, path: str, query: list[tuple[str, str]]) -> None:
    async def question(owner: Visitor, known: Known) -> None:
        address = f"{filled(path, known)}?" + "&".join(f"{name}={_quoted(value)}" for name, value in query)
        page = await owner.get(address, follow=False)
        assert page.status < 500, (address, page.status)
        assert "<script>" not in page.text.replace("<script src", "")

    ask(question)


@_calm(150)
@given(path=st.sampled_from([path for path in routes("GET") if "{" in path and "live" not in path]), place=VALUES)
def test_no_name_in_an_address_breaks_the_server(ask: Ask, path: str, place: str) -> None:
    async def question(owner: Visitor, known: Known) -> None:
        address = re.sub(r"{\w+}", lambda _: _quoted(place) or "x", path)
        assert (await owner.get(address, follow=False)).status < 500, address

    ask(question)


@_calm(150)
@given(
    path=st.sampled_from([*(path for path in routes("POST") if path != "/admin/sign-out"), "/admin/sign-in"]),
    body=st.binary(max_size=300),
    kind=st.sampled_from(
        [
            "application/x-www-form-urlencoded",
            "application/x-www-form-urlencoded; charset=klingon",
            "multipart/form-data",
            "multipart/form-data; boundary=x",
            "application/json",
            "",
        ]
    ),
)
def test_no_body_breaks_the_server(ask: Ask, path: str, body: bytes, kind: str) -> None:
    async def question(owner: Visitor, known: Known) -> None:
        page = await owner.post(filled(path, known), body, {"Content-Type": kind}, follow=False)
        assert 400 <= page.status < 500, (path, kind, page.status)

    ask(question)


@_calm(80)
@given(
    cookie=st.text(st.characters(min_codepoint=33, max_codepoint=255, exclude_characters=';,"\\\x7f'), max_size=80),
    origin=ODD | st.sampled_from(["http://[", "null", "http://x"]),
)
def test_no_cookie_or_origin_breaks_the_server(ask: Ask, cookie: str, origin: str) -> None:
    async def question(owner: Visitor, known: Known) -> None:
        headers = {"Cookie": f"memoras_session={cookie}; memoras_form={cookie}; memoras_visitor={cookie}"}
        if origin.isascii() and origin.isprintable():
            headers["Origin"] = origin
        for path in ("/admin", "/p/rosa", "/admin/sign-in"):
            assert (await owner.get(path, headers, follow=False)).status < 500
        assert (await owner.post("/admin/sign-in", {}, headers, follow=False)).status < 500

    ask(question)


def _sendable(value: str) -> str:
    return value.encode("utf-8", "replace").decode()


def _quoted(value: str) -> str:
    return quote(value.encode("utf-8", "surrogatepass"), safe="")
