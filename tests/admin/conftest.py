"""What the pages' tests share: a furnished stage, its address, and browsers that are signed in."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import cache
from typing import Any

import aiohttp
import pytest
from yarl import URL

from knowledge import operators
from knowledge.database import Database
from tests.admin.stage import PASSWORD, Known, Stage, furnish
from tests.fakes import FakeClock

BROWSER = {"Accept": "text/html,application/xhtml+xml"}
Headers = Mapping[str, str] | None


@dataclass(frozen=True, slots=True)
class Page:
    """What came back: the status, the final address, the headers and the text."""

    status: int
    path: str
    headers: Any
    text: str


@dataclass(slots=True)
class Visitor:
    """One browser without a script."""

    session: aiohttp.ClientSession
    address: str
    csrf: str = ""

    async def get(self, path: str, headers: Headers = None, *, follow: bool = True) -> Page:
        """Open a page."""
        async with self.session.get(
            self.address + path, headers={**BROWSER, **(headers or {})}, allow_redirects=follow
        ) as response:
            return Page(response.status, response.url.path_qs, response.headers, await response.text())

    async def post(
        self, path: str, fields: Any = None, headers: Headers = None, *, follow: bool = True, csrf: str | None = None
    ) -> Page:
        """Send a form with this session's token, or with the one given."""
        data = fields
        if fields is None or isinstance(fields, dict):
            data = [("csrf", self.csrf if csrf is None else csrf), *_pairs(fields or {})]
        async with self.session.post(
            self.address + path, data=data, headers={**BROWSER, **(headers or {})}, allow_redirects=follow
        ) as response:
            return Page(response.status, response.url.path_qs, response.headers, await response.text())

    async def remember_token(self, path: str = "/admin") -> None:
        """Take the forms' token from a page."""
        found = re.search(r'name="csrf" value="([^"]+)"', (await self.get(path)).text)
        assert found is not None
        self.csrf = found.group(1)


@pytest.fixture
def stage(database: Database, clock: FakeClock) -> Stage:
    return Stage(database, clock)


@pytest.fixture
async def known(stage: Stage) -> Known:
    """The ids of the furnished personas."""
    at = stage.clock.now()
    return await stage.database.write(lambda c: furnish(c, at))


@pytest.fixture
async def address(stage: Stage) -> AsyncIterator[str]:
    async with stage.serving() as found:
        yield found


@pytest.fixture
async def browsers() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


async def open_browser(browsers: AsyncExitStack, address: str) -> Visitor:
    """Return a new browser with no cookies."""
    jar = aiohttp.CookieJar(unsafe=True)
    return Visitor(await browsers.enter_async_context(aiohttp.ClientSession(cookie_jar=jar)), address)


async def open_signed_in(browsers: AsyncExitStack, stage: Stage, address: str, role: str) -> Visitor:
    """Return a browser in which an operator of a role is signed in."""
    visitor = await open_browser(browsers, address)
    token = await sign_in(stage, role)
    visitor.session.cookie_jar.update_cookies({"memoras_session": token}, URL(address))
    await visitor.remember_token()
    return visitor


async def sign_in(stage: Stage, role: str) -> str:
    """Make an operator of a role and return the token of an open session."""
    at = stage.clock.now()
    password_hash = hashed()

    def create(c: Any) -> str:
        made = operators.create_operator(c, name=f"the {role}", password_hash=password_hash, role=role, at=at)
        return operators.open_session(c, made.id, at=at)[1]

    return await stage.database.write(create)


@cache
def hashed() -> str:
    """Return the hash of the tests' password, made once because it takes its time."""
    return operators.hash_password(PASSWORD)


@pytest.fixture
async def visitor(browsers: AsyncExitStack, address: str) -> Visitor:
    return await open_browser(browsers, address)


@pytest.fixture
async def owner(browsers: AsyncExitStack, stage: Stage, address: str) -> Visitor:
    return await open_signed_in(browsers, stage, address, "owner")


@pytest.fixture
async def curator(browsers: AsyncExitStack, stage: Stage, address: str) -> Visitor:
    return await open_signed_in(browsers, stage, address, "curator")


@pytest.fixture
async def reader(browsers: AsyncExitStack, stage: Stage, address: str) -> Visitor:
    return await open_signed_in(browsers, stage, address, "reader")


def _pairs(fields: dict[str, Any]) -> list[tuple[str, str]]:
    return [(name, one) for name, value in fields.items() for one in (value if isinstance(value, list) else [value])]
