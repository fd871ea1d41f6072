"""Every form of the panel: what it does when it is right, and what it says when it is not."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import FormData

from knowledge import accounts, incidents, memories, operators, people, personas, profiles
from knowledge.importing import job, jobs
from knowledge.rows import insert
from knowledge.tables import ImportJob
from knowledge.viewer import owner_viewer, public_viewer
from tests.admin.conftest import Page, Visitor
from tests.admin.stage import MOST_UPLOAD_BYTES, PASSWORD, Known, Stage

ROSA = "/admin/personas/rosa"
PERSONA = {"name": "Tia", "kind": "self", "visibility": "private", "languages": "pt, en", "timezone": "Europe/Lisbon"}
EDITED = {**PERSONA, "slug": "rosa", "state": "live"}
MEMORY = {"text": "The sea was cold.", "audience": "public", "happened_at": "1951-06-02"}
NOTE = {**MEMORY, "whose": "own"}
OPERATOR = {"name": "Bea", "role": "reader", "password": PASSWORD, "password_again": PASSWORD}
INVITATION = {"circle": "family", "person": "", "person_name": "Tomás", "lasts": "7"}
TELEGRAM = {"token": "12:abc", "receiving": "polling", "greeting": ""}
FROM_PATH = {"path": "/exports/chat.zip", "audience": "owner", "owner_names": "Rosa", "timezone": "UTC"}


def wrong(page: Page) -> dict[str, str]:
    """Return the sentences beside the fields of a page, by field; each must be tied to its field."""
    found = dict(re.findall(r'<p class="wrong" id="([\w-]+)-wrong">(.*?)</p>', page.text, re.DOTALL))
    for name in found:
        assert re.search(rf'aria-describedby="[^"]*{name}-wrong', page.text), name
    return {name: re.sub(r"<[^>]*>", "", words).strip() for name, words in found.items()}


CASES: list[tuple[str, dict[str, str], dict[str, Any], str]] = [
    ("/admin/personas/new", PERSONA, {"name": ""}, "name"),
    ("/admin/personas/new", PERSONA, {"name": "x" * 81}, "name"),
    ("/admin/personas/new", PERSONA, {"kind": "ghost"}, "kind"),
    ("/admin/personas/new", PERSONA, {"visibility": ""}, "visibility"),
    ("/admin/personas/new", PERSONA, {"languages": "p"}, "languages"),
    ("/admin/personas/new", PERSONA, {"timezone": "Mars/Olympus"}, "timezone"),
    (ROSA + "/edit", EDITED, {"state": "asleep"}, "state"),
    (ROSA + "/edit", EDITED, {"slug": "not/a/slug"}, "slug"),
    (ROSA + "/edit", EDITED, {"slug": "bakery"}, "slug"),
    (ROSA + "/edit", EDITED, {"suggestions": "x" * 1001}, "suggestions"),
    (ROSA + "/profile", {"audience": "public"}, {"biography": "x" * 701}, "biography"),
    (ROSA + "/profile", {"audience": "public"}, {"description": "x" * 5001}, "description"),
    (ROSA + "/memories/new", NOTE, {"text": " \n "}, "text"),
    (ROSA + "/memories/new", NOTE, {"text": "x" * 8001}, "text"),
    (ROSA + "/memories/new", NOTE, {"audience": "circle:nobody"}, "audience"),
    (ROSA + "/memories/new", NOTE, {"happened_at": "yesterday"}, "happened_at"),
    (ROSA + "/memories/new", NOTE, {"whose": "theirs"}, "whose"),
    (ROSA + "/memories/{memory}", MEMORY, {"text": ""}, "text"),
    (ROSA + "/memories/{memory}", MEMORY, {"audience": "everybody"}, "audience"),
    (ROSA + "/memories/{memory}", MEMORY, {"happened_at": "1951-02-30"}, "happened_at"),
    (ROSA + "/people", {"name": "Zé"}, {"name": ""}, "name"),
    (ROSA + "/people", {"name": "Zé"}, {"relation": "x" * 81}, "relation"),
    (ROSA + "/people/circles", {}, {"circle_name": ""}, "circle_name"),
    (ROSA + "/people/circles", {}, {"circle_name": "public"}, "circle_name"),
    (ROSA + "/people/circles", {}, {"circle_name": "a:b"}, "circle_name"),
    (ROSA + "/people/invitations", INVITATION, {"circle": "strangers"}, "circle"),
    (ROSA + "/people/invitations", INVITATION, {"person": "nobody"}, "person"),
    (ROSA + "/people/invitations", INVITATION, {"person_name": "x" * 81}, "person_name"),
    (ROSA + "/people/invitations", INVITATION, {"lasts": "-1"}, "lasts"),
    (ROSA + "/people/{person}", {"name": "Lucia"}, {"name": ""}, "name"),
    (ROSA + "/import/path", FROM_PATH, {"path": ""}, "path"),
    (ROSA + "/import/path", FROM_PATH, {"path": "/missing"}, "path"),
    (ROSA + "/import/path", FROM_PATH, {"audience": "nobody"}, "on-audience"),
    (ROSA + "/import/path", FROM_PATH, {"timezone": "Mars"}, "on-timezone"),
    (ROSA + "/import/path", FROM_PATH, {"owner_names": "x" * 81}, "on-owner_names"),
    (ROSA + "/accounts/connect/telegram", TELEGRAM, {"token": ""}, "token"),
    (ROSA + "/accounts/connect/telegram", TELEGRAM, {"token": "no colon"}, "token"),
    (ROSA + "/accounts/connect/telegram", TELEGRAM, {"receiving": "pigeons"}, "receiving"),
    (ROSA + "/accounts/{account}/pace", {}, {"quiet_s": "soon"}, "quiet_s"),
    (ROSA + "/accounts/{account}/pace", {}, {"burst_s": "301"}, "burst_s"),
    ("/admin/operators", OPERATOR, {"name": ""}, "name"),
    ("/admin/operators", OPERATOR, {"name": "The Owner"}, "name"),
    ("/admin/operators", OPERATOR, {"role": "king"}, "role"),
    ("/admin/operators", OPERATOR, {"password": "short"}, "password"),
    ("/admin/operators", OPERATOR, {"password_again": "different"}, "password_again"),
    ("/admin/password", OPERATOR, {"password_now": ""}, "password_now"),
]


@pytest.mark.parametrize(("path", "right", "changed", "field"), CASES)
async def test_a_field_that_is_wrong_is_said_beside_it(
    path: str, right: dict[str, str], changed: dict[str, Any], field: str, owner: Visitor, known: Known
) -> None:
    fields = {**right, **changed}
    page = await owner.post(path.format(memory=known.memory, person=known.person, account=known.account), fields)
    assert page.status == 422
    assert list(wrong(page)) == [field]
    assert PASSWORD not in page.text


async def test_what_was_typed_stays_when_another_field_is_wrong(owner: Visitor, known: Known) -> None:
    typed = "Grandma’s <first> boat"
    page = await owner.post(ROSA + "/memories/new", {**NOTE, "text": typed, "happened_at": "long ago"})
    assert "Grandma’s &lt;first&gt; boat" in page.text
    assert 'value="long ago"' in page.text
    assert re.search(r'value="public" selected', page.text)


async def test_a_new_persona_goes_on_to_its_first_import(owner: Visitor, stage: Stage, known: Known) -> None:
    page = await owner.post("/admin/personas/new", PERSONA)
    assert page.path == "/admin/personas/tia/import"
    made = await stage.database.read(lambda c: personas.persona_by_slug(c, "tia"))
    assert made is not None
    assert (made.languages, made.timezone, made.visibility) == (["pt", "en"], "Europe/Lisbon", "private")
    assert stage.channels.started == [made.id]


async def test_a_persona_that_moves_answers_at_its_new_address(owner: Visitor, stage: Stage, known: Known) -> None:
    ideas = "Who are you?\n\nTell me a story"
    page = await owner.post(ROSA + "/edit", {**EDITED, "slug": "Avo-Rosa", "suggestions": ideas})
    assert page.path == "/admin/personas/avo-rosa/edit"
    changed = await stage.database.read(lambda c: personas.persona(c, known.rosa))
    assert changed.settings["suggestions"] == ["Who are you?", "Tell me a story"]
    assert [is_on for _, is_on in stage.channels.switched] == [False, True]


async def test_a_profile_is_kept_as_a_new_version_and_an_old_one_comes_back(
    owner: Visitor, stage: Stage, known: Known
) -> None:
    page = await owner.post(ROSA + "/profile", {"audience": "public", "biography": "A new life."})
    assert page.path == ROSA + "/profile?for=public"
    assert "Version 2" in page.text
    current = await stage.database.read(lambda c: profiles.current_profile(c, public_viewer(known.rosa)))
    assert current is not None
    assert (current.biography, current.style["messages"]) == ("A new life.", 320)
    restore = re.search(r'action="([^"]+/restore)"', page.text)
    assert restore is not None
    await owner.post(restore.group(1))
    current = await stage.database.read(lambda c: profiles.current_profile(c, public_viewer(known.rosa)))
    assert current is not None
    assert (current.version, current.biography[:8]) == (3, "Rosa gre")


async def test_a_memory_is_written_by_hand(owner: Visitor, stage: Stage, known: Known) -> None:
    await owner.post(ROSA + "/memories/new", NOTE)
    (made, *_) = await stage.database.read(lambda c: memories.memories(c, owner_viewer(known.rosa)))
    assert (made.text, made.kind, made.is_own, made.audience) == ("The sea was cold.", "note", True, "public")
    assert made.happened_at == datetime(1951, 6, 2, tzinfo=UTC)


async def test_a_memory_is_corrected_and_what_it_was_stays_readable(owner: Visitor, stage: Stage, known: Known) -> None:
    page = await owner.post(f"{ROSA}/memories/{known.memory}", {**MEMORY, "audience": "owner"})
    assert "What it was before" in page.text
    assert "in the blue house" in page.text
    changed = await stage.database.read(lambda c: memories.memory(c, owner_viewer(known.rosa), known.memory))
    assert (changed.text, changed.audience, changed.edited_by) == ("The sea was cold.", "owner", "the owner")


async def test_saving_the_same_day_keeps_the_hour(owner: Visitor, stage: Stage, known: Known) -> None:
    at, viewer = datetime(1951, 6, 2, 17, 30, tzinfo=UTC), owner_viewer(known.rosa)
    await stage.database.write(lambda c: memories.edit_memory(c, viewer, known.memory, happened_at=at, by="x", at=at))
    await owner.post(f"{ROSA}/memories/{known.memory}", MEMORY)
    changed = await stage.database.read(lambda c: memories.memory(c, viewer, known.memory))
    assert changed.happened_at == at
    await owner.post(f"{ROSA}/memories/{known.memory}", {**MEMORY, "happened_at": ""})
    changed = await stage.database.read(lambda c: memories.memory(c, viewer, known.memory))
    assert changed.happened_at is None


async def test_a_memory_is_forgotten(owner: Visitor, stage: Stage, known: Known) -> None:
    page = await owner.post(f"{ROSA}/memories/{known.memory}/delete")
    assert "Forgotten" in page.text
    assert (await owner.get(f"{ROSA}/memories/{known.memory}")).status == 404


async def test_memories_are_searched_by_meaning_by_words_and_with_filters(owner: Visitor, known: Known) -> None:
    async def found(query: str) -> set[str]:
        text = (await owner.get(f"{ROSA}/memories?{query}")).text
        marks = {"house": "blue house", "cake": "orange cake", "piano": "the piano", "rocks": "the rocks"}
        return {name for name, words in marks.items() if words in text}

    assert await found("") == {"house", "cake", "piano", "rocks"}
    assert await found("q=orange+cake") == {"cake"}
    assert await found("q=piano&how=words") == {"piano"}
    assert await found("audience=owner") == {"piano"}
    assert await found("kind=heard") == {"rocks"}
    assert await found("q=the&audience=public") == {"cake"}
    assert await found(f"source={known.source}&how=words&q=lucia") == {"rocks"}
    assert "Nothing like that" in (await owner.get(f"{ROSA}/memories?q=zebra")).text


async def test_many_memories_are_read_page_by_page(owner: Visitor, stage: Stage, known: Known) -> None:
    drafts = [
        memories.MemoryDraft(persona_id=known.rosa, natural_key=f"n{place}", kind="fact", text=f"Fact number {place}.")
        for place in range(90)
    ]
    at = stage.clock.now()
    await stage.database.write(lambda c: memories.add_memories(c, drafts, at=at))
    path, seen = f"{ROSA}/memories?kind=fact", []
    while path:
        text = (await owner.get(path)).text
        seen += re.findall(r"Fact number (\d+)\.", text)
        onward = re.search(r'href="([^"]+)">Older', text)
        path = onward.group(1).replace("&amp;", "&") if onward else ""
    assert seen == [str(place) for place in reversed(range(90))]


async def test_somebody_is_added_and_put_into_circles(owner: Visitor, stage: Stage, known: Known) -> None:
    await owner.post(ROSA + "/people/circles", {"circle_name": "Choir"})
    await owner.post(ROSA + "/people", {"name": "Zé", "relation": "neighbour", "circles": ["choir", "owner"]})
    found = await stage.database.read(lambda c: people.find_person_by_name(c, known.rosa, "ze"))
    assert found is not None
    assert await stage.database.read(lambda c: people.circles_of(c, found.id)) == ["choir"]
    page = await owner.post(f"{ROSA}/people/{found.id}", {"name": "José", "circles": ["family", "friends"]})
    assert "also" not in page.text
    assert await stage.database.read(lambda c: people.circles_of(c, found.id)) == ["family", "friends"]
    assert "José" in (await owner.get(ROSA + "/people?q=jose")).text


async def test_somebody_is_forgotten_with_their_conversations(owner: Visitor, stage: Stage, known: Known) -> None:
    page = await owner.get(f"{ROSA}/conversations/{known.conversation}")
    about = re.search(ROSA + r"/people/\w{32}", page.text)
    assert about is not None
    page = await owner.post(about.group() + "/forget")
    assert "Forgotten, with everything they said" in page.text
    assert (await owner.get(about.group())).status == 404
    assert (await owner.get(f"{ROSA}/conversations/{known.conversation}")).status == 404
    everybody = await stage.database.read(lambda c: people.persons(c, known.rosa))
    rosa = next(person for person in everybody if person.is_owner)
    assert (await owner.post(f"{ROSA}/people/{rosa.id}/forget")).status == 403


async def test_what_a_page_changes_is_told_to_the_search(owner: Visitor, stage: Stage, known: Known) -> None:
    await owner.post(ROSA + "/memories/new", NOTE)
    await owner.post(f"{ROSA}/memories/{known.memory}", MEMORY)
    await owner.post(f"{ROSA}/memories/{known.memory}/delete")
    assert stage.changed == [known.rosa] * 3


async def test_an_invitations_link_is_shown_once(owner: Visitor, known: Known) -> None:
    page = await owner.post(ROSA + "/people/invitations", INVITATION)
    assert page.status == 200
    links = re.findall(r'value="(http://127\.0\.0\.1/p/rosa\?invite=[\w-]+)"', page.text)
    assert len(links) == 1
    assert links[0] not in (await owner.get(ROSA + "/people")).text


async def test_an_invitation_is_taken_back(owner: Visitor, known: Known) -> None:
    page = await owner.post(f"{ROSA}/people/invitations/{known.invitation}/revoke")
    assert "Taken back" in page.text
    assert ">taken back<" in page.text


async def test_how_long_an_account_waits_is_set_and_set_back(owner: Visitor, stage: Stage, known: Known) -> None:
    async def pace() -> tuple[float | None, float | None]:
        found = await stage.database.read(lambda c: accounts.account(c, known.account))
        return found.quiet_s, found.burst_s

    path = f"{ROSA}/accounts/{known.account}/pace"
    page = await owner.post(path, {"quiet_s": "2,5", "burst_s": "20"})
    assert "It waits as you said." in page.text
    assert await pace() == (2.5, 20.0)
    assert 'value="2.5"' in (await owner.get(path)).text
    await owner.post(path, {"quiet_s": "", "burst_s": ""})
    assert await pace() == (None, None)


async def test_an_account_is_connected_checked_switched_and_removed(owner: Visitor, stage: Stage, known: Known) -> None:
    page = await owner.post(ROSA + "/accounts/connect/telegram", TELEGRAM)
    assert "Telegram is connected. It answers as @rosa_bot." in page.text
    assert "It works." in (await owner.post(f"{ROSA}/accounts/{known.account}/check")).text
    stage.channels.is_healthy = False
    assert "Connect it again." in (await owner.post(f"{ROSA}/accounts/{known.account}/check")).text
    await owner.post(f"{ROSA}/accounts/{known.account}/switch", {"to": "on"})
    await owner.post(f"{ROSA}/accounts/{known.account}/switch", {"to": "off"})
    assert stage.channels.switched == [(known.account, True), (known.account, False)]
    await owner.post(f"{ROSA}/accounts/{known.account}/remove")
    assert stage.channels.removed == [known.account]
    assert (await owner.post(f"{ROSA}/accounts/{known.account}/check")).status == 404


async def test_a_token_never_comes_back_to_the_page(owner: Visitor, known: Known) -> None:
    page = await owner.post(ROSA + "/accounts/connect/telegram", {**TELEGRAM, "token": "nocolonhere", "greeting": "Hi"})
    assert "nocolonhere" not in page.text
    assert 'value="Hi"' in page.text


async def test_the_web_page_of_a_persona_cannot_be_removed(owner: Visitor, stage: Stage, known: Known) -> None:
    found = await stage.database.read(lambda c: accounts.accounts(c, known.rosa))
    own = next(account for account in found if account.channel == "web")
    page = await owner.post(f"{ROSA}/accounts/{own.id}/remove")
    assert "belongs to the persona" in page.text
    assert not stage.channels.removed


async def test_an_incident_is_dealt_with(owner: Visitor, stage: Stage, known: Known) -> None:
    assert "refused the token" in (await owner.get("/admin/incidents")).text
    page = await owner.post(f"/admin/incidents/{known.incident}/resolve")
    assert "All is well" in page.text
    assert not await stage.database.read(incidents.open_incidents)
    assert (await owner.post("/admin/incidents/none/resolve")).status == 404


async def test_an_operator_is_added(owner: Visitor, stage: Stage, known: Known) -> None:
    page = await owner.post("/admin/operators", OPERATOR)
    assert "Bea can sign in now." in page.text
    made = await stage.database.read(lambda c: operators.operator_by_name(c, "bea"))
    assert made is not None
    assert made.role == "reader"


# ------------------------------------------------------------------------------------------------ imports


def _upload(owner: Visitor, *, body: bytes = b"words", filename: str = "chat.txt", **changed: str) -> FormData:
    form = FormData(quote_fields=False)
    fields = {"csrf": owner.csrf, "audience": "circle:family", "owner_names": "Rosa, Avó", "timezone": "Europe/Lisbon"}
    for name, value in {**fields, "date_order": "day", **changed}.items():
        form.add_field(name, value)
    form.add_field("file", body, filename=filename)
    return form


async def test_a_file_is_uploaded_and_its_import_is_queued(owner: Visitor, stage: Stage, known: Known) -> None:
    page = await owner.post(ROSA + "/import/upload", _upload(owner, body=b"x" * 700_000))
    assert re.fullmatch(ROSA + r"/import/\w+", page.path)
    assert "Waiting for its turn" in page.text
    assert stage.imports.uploads == {"chat.txt": 700_000}
    (started,) = stage.imports.started
    assert started == {
        "persona_id": known.rosa,
        "path": "/uploads/chat.txt",
        "name": "chat.txt",
        "audience": "circle:family",
        "owner_names": ("Rosa", "Avó"),
        "timezone": "Europe/Lisbon",
        "day_first": True,
    }


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"audience": "nobody"}, "up-audience"),
        ({"timezone": "Mars"}, "up-timezone"),
        ({"filename": ""}, "file"),
        ({"body": b"x" * (MOST_UPLOAD_BYTES + 1)}, "file"),
    ],
)
async def test_a_wrong_upload_says_what_to_mend(
    changed: dict[str, Any], field: str, owner: Visitor, stage: Stage, known: Known
) -> None:
    page = await owner.post(ROSA + "/import/upload", _upload(owner, **changed))
    assert page.status == 422
    assert list(wrong(page)) == [field]
    assert not stage.imports.started


async def test_an_upload_whose_file_comes_before_its_token_is_refused(owner: Visitor, known: Known) -> None:
    form = FormData()
    form.add_field("file", b"words", filename="chat.txt")
    form.add_field("csrf", owner.csrf)
    assert (await owner.post(ROSA + "/import/upload", form)).status == 403


async def _job(stage: Stage, known: Known, **fields: Any) -> ImportJob:
    fields = {"path": "/uploads/chat.txt", "name": "chat.txt", "options": {"audience": "owner"}, **fields}
    wanted = ImportJob(persona_id=known.rosa, created_at=stage.clock.now(), **fields)
    return await stage.database.write(lambda c: insert(c, wanted))


async def test_a_running_import_shows_how_far_it_is(owner: Visitor, stage: Stage, known: Known) -> None:
    told = {"bytes_done": 250, "bytes_total": 1000, "records": 1234, "seconds_left": 42.0, "member": "chat.txt"}
    running = await _job(stage, known, state="running", progress=told)
    text = (await owner.get(f"{ROSA}/import/{running.id}")).text
    assert "25 %, about 42 seconds left · 1,234 things read · chat.txt" in text
    assert 'value="0.250"' in text


async def test_an_import_that_asks_is_answered_and_starts_again(owner: Visitor, stage: Stage, known: Known) -> None:
    questions = [
        {"option": "owner_names", "text": "Whose words?", "choices": [["Rosa A.", 310], ["Lucia", 120]], "file": ""},
        {"option": "day_first", "text": "Which first?", "choices": [], "file": "chat.txt"},
    ]
    asked = await _job(stage, known, state="failed", report={"questions": questions}, error="Whose words?")
    path = f"{ROSA}/import/{asked.id}"
    assert "310 messages" in (await owner.get(path)).text
    page = await owner.post(path + "/again", {})
    assert page.status == 422
    assert set(wrong(page)) == {"owner_names", "date_order"}
    page = await owner.post(path + "/again", {"owner_names": ["Rosa A.", "Mallory"], "date_order": "month"})
    assert page.status == 200
    (started,) = stage.imports.started
    assert (started["owner_names"], started["day_first"], started["audience"]) == (("Rosa A.",), False, "owner")


async def test_a_finished_import_shows_its_report_and_can_be_undone(owner: Visitor, stage: Stage, known: Known) -> None:
    report = {
        "importers": ["WhatsApp chat"],
        "files": [{"path": "chat.txt", "state": "read", "records": 12}],
        "files_not_named": 0,
        "counts": {
            "seen": 3,
            "parsed": 1,
            "not_read_yet": 0,
            "unknown": 1,
            "failed": 1,
            "media_files": 0,
            "records": 12,
            "with_words": 10,
        },
        "kept": {"rows": 12, "memories": 9, "known_before": 0},
        "activities": {},
        "media": {"linked": 0, "missing": 2},
        "repairs": {},
        "since": "2019-01-02T10:00:00+00:00",
        "until": "2021-03-04T10:00:00+00:00",
        "troubles": [{"file": "broken.txt", "message": "It is not text.", "position": 0}],
    }
    done = await _job(stage, known, state="done", report=report, source_id=known.source)
    text = (await owner.get(f"{ROSA}/import/{done.id}")).text
    for words in ("2019-01-02 – 2021-03-04", "It is not text.", "1 files were not recognised", "chat.txt", ">9<"):
        assert words in text, words
    page = await owner.post(f"{ROSA}/import/{done.id}/undo")
    assert "Taken back: 4 memories are gone." in page.text
    assert stage.imports.undone == [known.source]
    assert not await stage.database.read(lambda c: memories.memories(c, owner_viewer(known.rosa)))


async def test_a_path_on_the_server_is_imported(owner: Visitor, stage: Stage, known: Known) -> None:
    page = await owner.post(ROSA + "/import/path", FROM_PATH)
    assert page.status == 200
    (newest, *_) = await stage.database.read(lambda c: jobs(c, known.rosa))
    assert newest.path == "/exports/chat.zip"
    assert (await stage.database.read(lambda c: job(c, newest.id))).state == "queued"


# ----------------------------------------------------------------------------------------- conversations


async def test_a_conversation_shows_how_its_answer_was_made(reader: Visitor, known: Known) -> None:
    text = (await reader.get(f"{ROSA}/conversations/{known.conversation}?turn={known.turn}")).text
    for words in ("The offline answerer", "answered, in English", "42 ms", "Searched once and found 2.", "score: 0.91"):
        assert words in text, words
    assert f"{ROSA}/memories/{known.memory}" in text


async def test_the_newest_conversation_stands_first_on_every_list(reader: Visitor, known: Known) -> None:
    for path in ("/admin", ROSA, ROSA + "/conversations"):
        text = (await reader.get(path)).text
        assert "Lucia" in text
        assert "in the blue house behind the lighthouse" in text
    assert (await reader.get(ROSA + "/conversations?before=nonsense")).status == 200
    early = await reader.get(ROSA + "/conversations?before=2000-01-01T00:00:00%2B00:00")
    assert "Nobody has written yet" in early.text
