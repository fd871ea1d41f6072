"""Who may do what: every page and form of the panel, asked for by everybody who must not have it."""

from __future__ import annotations

import re
from typing import cast

import pytest
from aiohttp import FormData, web

from admin.desk import Desk
from admin.panel import panel_routes
from admin.ports import Services
from knowledge.live import Event
from tests.admin.conftest import Visitor
from tests.admin.stage import Known, Stage

OPEN = {"/admin/setup", "/admin/sign-in"}
FOR_OWNERS = (
    "/admin/operators",
    "/admin/personas/{slug}/accounts/connect/{channel}",
    "/admin/personas/{slug}/accounts/{account_id}/pace",
    "/admin/personas/{slug}/accounts/{account_id}/switch",
    "/admin/personas/{slug}/accounts/{account_id}/remove",
    "/admin/personas/{slug}/import/path",
)
FOR_EVERYBODY = ("/admin/password", "/admin/sign-out")
FOR_CURATORS_TO_OPEN = ("/admin/personas/new", "/admin/personas/{slug}/memories/new")


def routes(method: str) -> list[str]:
    """Return the paths of the panel's routes, with their places still to be filled in."""
    desk = Desk.__new__(Desk)
    desk.services = cast(Services, _Unserved())
    found = [route for route in panel_routes(desk) if isinstance(route, web.RouteDef) and route.method == method]
    return sorted(route.path for route in found if route.path not in OPEN)


class _Unserved:
    """Stands in for the services while the routes are listed."""

    channels = None


def filled(path: str, known: Known) -> str:
    """Return a route's path with what the stage was furnished with."""
    places = {
        "slug": "rosa",
        "conversation_id": known.conversation,
        "memory_id": str(known.memory),
        "person_id": known.person,
        "invitation_id": known.invitation,
        "account_id": known.account,
        "incident_id": known.incident,
        "job_id": known.job,
        "profile_id": "none",
        "channel": "telegram",
    }
    return re.sub(r"{(\w+)}", lambda place: places[place.group(1)], path)


@pytest.mark.parametrize("path", routes("GET"))
async def test_no_page_of_the_panel_opens_to_a_stranger(path: str, visitor: Visitor, known: Known) -> None:
    page = await visitor.get(filled(path, known), follow=False)
    assert page.status == 303
    assert page.headers["Location"] == "/admin/setup"


@pytest.mark.parametrize("path", routes("POST"))
async def test_no_form_of_the_panel_is_taken_from_a_stranger(path: str, visitor: Visitor, known: Known) -> None:
    page = await visitor.post(filled(path, known), follow=False)
    assert page.status == 303
    assert page.headers["Location"] in ("/admin/setup", "/admin/sign-in")


@pytest.mark.parametrize("path", routes("POST"))
async def test_no_form_of_the_panel_is_taken_without_its_token(path: str, owner: Visitor, known: Known) -> None:
    fields = _multipart() if path.endswith("/upload") else {"name": "x"}
    page = await owner.post(filled(path, known), fields, csrf="made-up", follow=False)
    assert page.status == 403
    assert "came from elsewhere" in page.text


@pytest.mark.parametrize("path", [path for path in routes("POST") if path not in FOR_EVERYBODY])
async def test_a_reader_changes_nothing(path: str, reader: Visitor, known: Known) -> None:
    page = await reader.post(filled(path, known), follow=False)
    assert page.status == 403
    assert "This needs the role" in page.text


@pytest.mark.parametrize("path", FOR_OWNERS)
async def test_a_curator_does_nothing_that_is_for_owners(path: str, curator: Visitor, known: Known) -> None:
    assert (await curator.post(filled(path, known), follow=False)).status == 403


@pytest.mark.parametrize("path", [path for path in routes("GET") if path != "/admin/live"])
async def test_a_reader_sees_every_page_and_no_button_that_changes_anything(
    path: str, reader: Visitor, known: Known
) -> None:
    page = await reader.get(filled(path, known))
    if path in FOR_CURATORS_TO_OPEN or "connect" in path or path.endswith("/pace"):
        assert page.status == 403
        return
    assert page.status == 200
    main = page.text[page.text.index("<main") :]
    for form in re.findall(r'<form[^>]*method="post".*?</form>', main, re.DOTALL):
        assert "<button" not in form or 'action="/admin/password"' in form


async def test_only_an_owner_invites_into_the_owners_circle(curator: Visitor, owner: Visitor, known: Known) -> None:
    path = "/admin/personas/rosa/people/invitations"
    page = await curator.post(path, {"circle": "owner"})
    assert page.status == 422
    assert "Only an owner of this server" in page.text
    assert (await owner.post(path, {"circle": "owner"})).status == 200


async def test_what_belongs_to_another_persona_is_not_found_under_this_one(owner: Visitor, known: Known) -> None:
    for path in routes("GET"):
        if re.search(r"{(conversation|memory|person|job)_id}", path):
            wrong = filled(path, known).replace("/rosa/", "/bakery/")
            assert (await owner.get(wrong)).status == 404, path
    for path in routes("POST"):
        if re.search(r"{(memory|person|job|account|invitation|profile)_id}", path):
            wrong = filled(path, known).replace("/rosa/", "/bakery/")
            assert (await owner.post(wrong)).status == 404, path


async def test_an_open_page_learns_what_changes_and_nobody_elses(stage: Stage, reader: Visitor, known: Known) -> None:
    topic = f"persona/{known.rosa}"
    async with reader.session.get(f"{reader.address}/admin/live?topic={topic}") as response:
        assert response.content_type == "text/event-stream"
        assert await response.content.readuntil(b"\n\n") == b"retry: 2000\n\n"
        stage.live.publish(Event("persona/other/conversation/2", "message"))
        stage.live.publish(Event(f"{topic}/conversation/1", "message"))
        told = await response.content.readuntil(b"\n\n")
    assert b"event: change" in told
    assert f"{topic}/conversation/1".encode() in told


async def test_only_topics_of_the_panel_can_be_watched(reader: Visitor, known: Known) -> None:
    assert (await reader.get("/admin/live?topic=operator/")).status == 404
    assert (await reader.get("/admin/live")).status == 404


def _multipart() -> FormData:
    form = FormData()
    form.add_field("csrf", "made-up")
    form.add_field("file", b"words", filename="a.txt")
    return form
