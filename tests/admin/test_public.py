"""The public pages, the headers, the static files, and what is shown when something goes wrong."""

from __future__ import annotations

import re

import pytest

from admin.headers import CONTENT_SECURITY_POLICY
from admin.public import invitation_code
from knowledge import personas
from knowledge.errors import StoreUnavailable
from tests.admin.conftest import Visitor
from tests.admin.stage import Known, Stage
from tests.fakes import FakeClock

PAGES = ("/", "/about", "/privacy", "/p/rosa", "/p/aunt", "/p/aunt?invite=abc", "/nothing")


async def test_the_first_page_shows_the_public_personas_and_nobody_else(visitor: Visitor, known: Known) -> None:
    page = await visitor.get("/")
    assert "Rosa Almeida" in page.text
    assert "The Mill Bakery" in page.text
    assert "Quiet Aunt" not in page.text
    assert "grew up by the sea" in page.text
    assert page.text.count("AI persona") == 2


async def test_an_empty_server_says_that_nobody_is_on_show(visitor: Visitor) -> None:
    assert "Nobody is on show yet" in (await visitor.get("/")).text


async def test_the_talk_page_says_who_this_is_and_that_it_is_an_ai(visitor: Visitor, known: Known) -> None:
    page = await visitor.get("/p/rosa")
    assert "This is an AI, not a person" in page.text
    assert "in English and Portuguese" in page.text
    assert "Where did you grow up?" in page.text


async def test_talking_works_with_plain_forms(visitor: Visitor, known: Known) -> None:
    page = await visitor.get("/p/rosa")
    client_id = re.search(r'name="client_id" value="([\w-]+)"', page.text)
    assert client_id is not None
    fields = {"text": "Olá <b>avó</b>", "client_id": client_id.group(1)}
    for _ in range(2):
        page = await visitor.post("/p/rosa/messages", fields)
    assert page.path == "/p/rosa"
    assert page.text.count("Olá &lt;b&gt;avó&lt;/b&gt;") == 2  # what was said, and the answer that repeats it
    assert "<em>" in page.text
    assert "offline answer" in page.text
    assert ">Today<" in page.text


async def test_yesterday_is_called_yesterday(visitor: Visitor, known: Known, clock: FakeClock) -> None:
    await visitor.get("/p/rosa")
    await visitor.post("/p/rosa/messages", {"text": "hello"})
    for days, label in ((1, "Yesterday"), (2, "Sunday, 1 March"), (400, "Sunday, 1 March 2026")):
        await clock.advance(days * 86_400 - (clock.monotonic() % 86_400))
        assert f">{label}<" in (await visitor.get("/p/rosa")).text


async def test_an_unanswered_message_lets_a_page_without_script_look_again(
    visitor: Visitor, stage: Stage, known: Known
) -> None:
    await visitor.get("/p/rosa")
    stage.is_silent = True
    page = await visitor.post("/p/rosa/messages", {"text": "hello"})
    looks = 0
    while found := re.search(r'<noscript><meta http-equiv="refresh" content="3;url=([^"]+)">', page.text):
        page = await visitor.get(found.group(1))
        looks += 1
    assert looks == 4
    assert "Look again" in page.text
    stage.is_silent = False
    page = await visitor.post("/p/rosa/messages", {"text": "hello again"})
    assert "refresh" not in page.text


async def test_what_is_not_among_the_lines_yet_is_looked_for_again(visitor: Visitor, known: Known) -> None:
    just_sent = {"Referer": f"{visitor.address}/p/rosa"}
    assert 'url=/p/rosa?again=1">' in (await visitor.get("/p/rosa", just_sent)).text
    assert "refresh" not in (await visitor.get("/p/rosa?again=1", just_sent)).text
    assert "refresh" not in (await visitor.get("/p/rosa")).text


async def test_a_private_persona_and_none_at_all_look_the_same(visitor: Visitor, known: Known) -> None:
    private, nobody = await visitor.get("/p/aunt"), await visitor.get("/p/nobody")
    assert private.status == nobody.status == 200
    assert private.text.replace("/p/aunt", "/p/nobody") == nobody.text
    assert "Quiet Aunt" not in private.text


async def test_opening_an_invitation_uses_nothing_up(visitor: Visitor, stage: Stage, known: Known) -> None:
    for _ in range(2):
        page = await visitor.get("/p/aunt?invite=abcdef")
        assert 'action="/p/aunt/invitation"' in page.text
        assert 'value="abcdef"' in page.text
    assert not stage.welcome


async def test_an_accepted_invitation_opens_the_door(visitor: Visitor, known: Known) -> None:
    await visitor.get("/p/aunt?invite=abcdef")
    page = await visitor.post("/p/aunt/invitation", {"token": "abcdef"})
    assert page.path == "/p/aunt"
    assert "Say hello to Quiet Aunt" in page.text


async def test_while_an_invitation_is_looked_at_the_page_waits_and_then_says_no(visitor: Visitor, known: Known) -> None:
    sent_from = {"Referer": f"{visitor.address}/p/aunt?invite=abcdef"}
    page = await visitor.get("/p/aunt", sent_from)
    for _ in range(4):
        assert "One moment" in page.text
        onward = page.headers["Refresh"].removeprefix("2; url=")
        page = await visitor.get(onward)
    assert page.status == 422
    assert "cannot be used" in page.text


@pytest.mark.parametrize(
    ("pasted", "code"),
    [
        ("abc_d-9", "abc_d-9"),
        ("https://memoras.example/p/aunt?invite=abc_d-9", "abc_d-9"),
        ("https://t.me/aunt_bot?start=abc_d-9&x=1", "abc_d-9"),
        ("  abc_d-9 ", "abc_d-9"),
    ],
)
def test_a_pasted_link_is_as_good_as_its_code(pasted: str, code: str) -> None:
    assert invitation_code(pasted) == code


async def test_a_draft_is_not_there_for_visitors(visitor: Visitor, stage: Stage, known: Known) -> None:
    at = stage.clock.now()
    await stage.database.write(lambda c: personas.update_persona(c, known.rosa, at=at, state="draft"))
    assert (await visitor.get("/p/rosa")).status == 404
    assert "Rosa Almeida" not in (await visitor.get("/")).text


async def test_an_operator_finds_the_way_from_the_talk_to_the_panel(
    owner: Visitor, reader: Visitor, known: Known
) -> None:
    assert "Open in the panel" in (await owner.get("/p/rosa")).text
    assert "Open in the panel" not in (await reader.get("/p/rosa")).text


@pytest.mark.parametrize("path", PAGES)
async def test_every_response_carries_the_headers(path: str, visitor: Visitor, known: Known) -> None:
    headers = (await visitor.get(path)).headers
    assert headers["Content-Security-Policy"] == CONTENT_SECURITY_POLICY
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert "camera=()" in headers["Permissions-Policy"]


@pytest.mark.parametrize("path", PAGES)
async def test_no_page_has_a_script_or_a_style_of_its_own(path: str, visitor: Visitor, known: Known) -> None:
    text = (await visitor.get(path)).text
    assert not re.search(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son\w+=", text)


async def test_static_files_are_kept_for_good_under_their_hash(visitor: Visitor, known: Known) -> None:
    found = re.findall(r'(?:href|src)="(/static/[^"]+)"', (await visitor.get("/p/rosa")).text)
    assert len(found) == 4
    for path in found:
        page = await visitor.get(path)
        assert page.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        again = await visitor.get(path, {"If-None-Match": page.headers["ETag"]})
        assert (again.status, again.text) == (304, "")
    undated = await visitor.get(found[0].split("?")[0])
    assert undated.headers["Cache-Control"] == "no-cache"
    assert (await visitor.get("/static/../site.py")).status == 404
    assert (await visitor.get("/static/nothing.css")).status == 404


async def test_a_missing_page_is_shown_to_people_and_told_to_programs(visitor: Visitor) -> None:
    page = await visitor.get("/nothing")
    assert (page.status, page.headers["Content-Type"]) == (404, "text/html; charset=utf-8")
    assert "There is nothing here" in page.text
    told = await visitor.get("/nothing", {"Accept": "application/json"})
    assert told.status == 404
    assert '"error": "There is nothing here"' in told.text


async def test_an_error_that_nobody_expected_is_a_500_without_a_word_of_it(
    visitor: Visitor, stage: Stage, known: Known, caplog: pytest.LogCaptureFixture
) -> None:
    async def view(request: object, slug: str) -> None:
        raise RuntimeError("a secret of the visitor")

    object.__setattr__(stage.services, "talk", type("Broken", (), {"view": staticmethod(view)})())
    page = await visitor.get("/p/rosa")
    assert page.status == 500
    assert "Something broke on our side" in page.text
    assert "secret" not in page.text + caplog.text
    assert "RuntimeError at view:" in caplog.text


async def test_a_known_failure_keeps_its_own_status(visitor: Visitor, stage: Stage, known: Known) -> None:
    async def view(request: object, slug: str) -> None:
        raise StoreUnavailable("The database could not be read.")

    object.__setattr__(stage.services, "talk", type("Busy", (), {"view": staticmethod(view)})())
    page = await visitor.get("/p/rosa")
    assert page.status == 503
    assert "Nothing was changed" in page.text
