"""The entrance: the first owner, signing in and out, and patience with wrong passwords."""

from __future__ import annotations

import re
from contextlib import AsyncExitStack

import pytest

from admin.panel.entrance import local_path
from knowledge import operators
from tests.admin.conftest import Page, Visitor, hashed, open_browser
from tests.admin.stage import PASSWORD, SETUP_CODE, Stage
from tests.fakes import FakeClock


async def _first_owner(visitor: Visitor, **changed: str) -> Page:
    await visitor.remember_token("/admin/setup")
    fields = {"code": SETUP_CODE, "name": "Ana", "password": PASSWORD, "password_again": PASSWORD}
    return await visitor.post("/admin/setup", {**fields, **changed})


async def _operator(stage: Stage, role: str = "owner") -> None:
    at = stage.clock.now()
    await stage.database.write(
        lambda c: operators.create_operator(c, name="Ana", password_hash=hashed(), role=role, at=at)
    )


async def _sign_in(visitor: Visitor, password: str = PASSWORD, *, onward: str = "") -> Page:
    await visitor.remember_token("/admin/sign-in")
    return await visitor.post("/admin/sign-in", {"name": "ana", "password": password, "next": onward})


async def test_a_new_server_leads_to_its_set_up(visitor: Visitor) -> None:
    page = await visitor.get("/admin")
    assert page.path == "/admin/setup"
    assert "Code from the terminal" in page.text


async def test_whoever_has_the_code_becomes_the_owner_and_is_signed_in(visitor: Visitor, stage: Stage) -> None:
    page = await _first_owner(visitor)
    assert page.path == "/admin"
    assert "Welcome, Ana" in page.text
    (made,) = await stage.database.read(operators.operators)
    assert made.role == "owner"


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"code": "guessed"}, "This is not the code"),
        ({"name": "  "}, "Please fill this in"),
        ({"password": "short", "password_again": "short"}, "at least 10 characters"),
        ({"password_again": "another long password"}, "not the same"),
    ],
)
async def test_a_wrong_set_up_says_what_to_mend_and_makes_nobody(
    visitor: Visitor, stage: Stage, changed: dict[str, str], words: str
) -> None:
    page = await _first_owner(visitor, **changed)
    assert page.status == 422
    assert words in page.text
    assert PASSWORD not in page.text
    assert not await stage.database.read(operators.has_operators)


async def test_nobody_becomes_an_owner_once_there_is_one(visitor: Visitor, stage: Stage) -> None:
    await visitor.remember_token("/admin/setup")
    await _operator(stage)
    fields = {"code": SETUP_CODE, "name": "Eve", "password": PASSWORD, "password_again": PASSWORD}
    page = await visitor.post("/admin/setup", fields)
    assert page.status == 403
    assert len(await stage.database.read(operators.operators)) == 1
    assert (await visitor.get("/admin/setup")).path == "/admin/sign-in"


async def test_a_form_without_its_token_is_refused(visitor: Visitor, stage: Stage) -> None:
    await _operator(stage)
    await visitor.remember_token("/admin/sign-in")
    page = await visitor.post("/admin/sign-in", {"name": "ana", "password": PASSWORD}, csrf="made-up")
    assert page.status == 403
    assert "came from elsewhere" in page.text


async def test_a_form_of_another_site_is_refused_even_with_its_token(visitor: Visitor, stage: Stage) -> None:
    await _operator(stage)
    await visitor.remember_token("/admin/sign-in")
    fields = {"name": "ana", "password": PASSWORD}
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://elsewhere.example"}):
        assert (await visitor.post("/admin/sign-in", fields, headers)).status == 403


async def test_signing_in_goes_on_to_where_one_wanted(visitor: Visitor, stage: Stage) -> None:
    await _operator(stage)
    page = await visitor.get("/admin/settings?x=1")
    assert page.path.startswith("/admin/sign-in?next=")
    page = await _sign_in(visitor, onward="/admin/settings?x=1")
    assert page.path == "/admin/settings?x=1"


async def test_the_session_is_a_cookie_no_script_can_read(visitor: Visitor, stage: Stage) -> None:
    await _operator(stage)
    await visitor.remember_token("/admin/sign-in")
    page = await visitor.post("/admin/sign-in", {"name": "ana", "password": PASSWORD}, follow=False)
    cookie = next(one for one in page.headers.getall("Set-Cookie") if one.startswith("memoras_session="))
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "Secure" not in cookie


async def test_over_https_the_cookie_is_for_https_and_this_host_alone(
    browsers: AsyncExitStack, stage: Stage, clock: FakeClock
) -> None:
    secure = Stage(stage.database, clock, is_secure=True)
    async with secure.serving() as address:
        page = await (await open_browser(browsers, address)).get("/admin/setup")
    cookie = page.headers["Set-Cookie"]
    assert cookie.startswith("__Host-memoras_form=")
    assert "Secure" in cookie
    assert page.headers["Strict-Transport-Security"] == "max-age=31536000"


async def test_a_wrong_password_and_an_unknown_name_get_the_same_answer(visitor: Visitor, stage: Stage) -> None:
    await _operator(stage)
    wrong = await _sign_in(visitor, "not the password")
    await visitor.remember_token("/admin/sign-in")
    unknown = await visitor.post("/admin/sign-in", {"name": "ana", "password": "not the password"})
    assert wrong.status == unknown.status == 422
    words = "The name or the password is not right."
    assert words in wrong.text
    assert words in unknown.text


async def test_after_five_wrong_passwords_even_the_right_one_waits(
    visitor: Visitor, stage: Stage, clock: FakeClock
) -> None:
    await _operator(stage)
    for _ in range(5):
        assert "not right" in (await _sign_in(visitor, "not the password")).text
    page = await _sign_in(visitor)
    assert page.status == 422
    assert "Please wait 15 minutes" in page.text
    await clock.advance(15 * 60 + 1)
    assert (await _sign_in(visitor)).path == "/admin"


async def test_signing_out_ends_the_session_on_the_server(visitor: Visitor, stage: Stage) -> None:
    await _operator(stage)
    await _sign_in(visitor)
    await visitor.remember_token()
    kept = {cookie.key: cookie.value for cookie in visitor.session.cookie_jar}
    page = await visitor.post("/admin/sign-out")
    assert page.path == "/admin/sign-in"
    stolen = f"memoras_session={kept['memoras_session']}"
    assert (await visitor.get("/admin", {"Cookie": stolen})).path.startswith("/admin/sign-in")


async def test_a_session_runs_out(visitor: Visitor, stage: Stage, clock: FakeClock) -> None:
    await _operator(stage)
    await _sign_in(visitor)
    await clock.advance(31 * 86_400)
    assert (await visitor.get("/admin")).path.startswith("/admin/sign-in")


async def test_a_new_password_signs_every_other_browser_out(
    visitor: Visitor, browsers: AsyncExitStack, stage: Stage, address: str
) -> None:
    await _operator(stage)
    other = await open_browser(browsers, address)
    for each in (visitor, other):
        await _sign_in(each)
        await each.remember_token()
    fields = {"password_now": PASSWORD, "password": "a newer quiet one", "password_again": "a newer quiet one"}
    wrong = await visitor.post("/admin/password", {**fields, "password_now": "something else"})
    assert wrong.status == 422
    assert "This password is not right." in wrong.text
    assert (await visitor.post("/admin/password", fields)).path == "/admin"
    assert (await other.get("/admin")).path.startswith("/admin/sign-in")
    assert "not right" in (await _sign_in(other)).text
    assert (await _sign_in(other, "a newer quiet one")).path == "/admin"


async def test_a_program_is_told_in_json_that_nobody_is_signed_in(visitor: Visitor, stage: Stage) -> None:
    await _operator(stage)
    page = await visitor.get("/admin", {"Accept": "application/json"})
    assert page.status == 401
    assert re.search(r'"error": "Please sign in"', page.text)


@pytest.mark.parametrize(
    "path",
    [
        "https://elsewhere.example/admin",
        "//elsewhere.example/admin",
        "/\\elsewhere.example/admin",
        "javascript:alert(1)",
        "/somewhere",
        "",
        "/admin\r\nSet-Cookie: x=1",
        "http://[/admin",
    ],
)
def test_signing_in_never_leads_out_of_the_panel(path: str) -> None:
    assert local_path(path) == "/admin"
