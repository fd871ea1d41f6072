"""The pages in a real Chromium: nothing for axe to find, no rule of the browser broken, by keyboard, without script."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, BrowserContext, Page, async_playwright, expect

from knowledge import conversations
from knowledge.live import Event
from tests.admin.conftest import sign_in
from tests.admin.stage import PASSWORD, SETUP_CODE, Known, Stage
from tests.parts import CHROMIUM_ARGUMENTS, need_chromium

pytestmark = pytest.mark.browser

SIZES = ((1440, 900), (390, 844))
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
ROSA = "/admin/personas/rosa"
PUBLIC = ("/", "/p/rosa", "/p/aunt", "/p/aunt?refused=1", "/p/aunt?invite=abc", "/privacy", "/about", "/admin/sign-in")
PANEL = (
    "/admin",
    "/admin/incidents",
    "/admin/operators",
    "/admin/password",
    "/admin/settings",
    "/admin/personas/new",
    "/admin/personas/bakery",
    "/admin/personas/nobody",
    ROSA,
    ROSA + "/edit",
    ROSA + "/profile",
    ROSA + "/conversations",
    ROSA + "/conversations/{conversation}",
    ROSA + "/memories",
    ROSA + "/memories?q=orange+cake",
    ROSA + "/memories?q=zebra",
    ROSA + "/memories/new",
    ROSA + "/memories/{memory}",
    ROSA + "/people",
    ROSA + "/people/{person}",
    ROSA + "/import",
    ROSA + "/import/{job}",
    ROSA + "/accounts",
    ROSA + "/accounts/connect/telegram",
    ROSA + "/accounts/{account}/pace",
)

_TWO_FRAMES = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"


@pytest.fixture
async def chromium() -> AsyncIterator[Browser]:
    path = need_chromium()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=list(CHROMIUM_ARGUMENTS))
        yield browser
        await browser.close()


@asynccontextmanager
async def opened(chromium: Browser, address: str, **options: Any) -> AsyncIterator[tuple[BrowserContext, Page]]:
    """Yield a page; in the end nothing may have been said on its console, where broken rules are reported."""
    width, height = SIZES[0]
    options = {"viewport": {"width": width, "height": height}, "reduced_motion": "reduce", **options}
    context = await chromium.new_context(base_url=address, **options)
    context.set_default_timeout(15_000)
    page = await context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    yield context, page
    await context.close()
    assert [words for words in said if "Failed to load resource" not in words] == []


async def enter(context: BrowserContext, stage: Stage, address: str) -> None:
    """Sign an owner in."""
    token = await sign_in(stage, "owner")
    await context.add_cookies([{"name": "memoras_session", "value": token, "url": address}])


async def check(page: Page) -> list[str]:
    """Return what is wrong with an open page, wide and narrow, in light and in dark."""
    found = []
    await page.evaluate(Axe().axe_script)
    for width, height in SIZES:
        await page.set_viewport_size({"width": width, "height": height})
        for scheme in SCHEMES:
            await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            await page.evaluate(_TWO_FRAMES)  # axe would otherwise see new ink on the old paper
            where = f"{page.url} {width} {scheme}"
            result = await page.evaluate("axe.run(document, {resultTypes: ['violations']})")
            for one in result["violations"]:
                targets = [(node["target"], node["failureSummary"]) for node in one["nodes"][:3]]
                found.append(f"{where}: {one['id']} {targets}")
        overflow = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
        if overflow > 0:
            found.append(f"{page.url} {width}: {overflow} px too wide")
    return found


async def test_axe_finds_nothing_on_the_public_pages(
    chromium: Browser, address: str, stage: Stage, known: Known
) -> None:
    found = []
    async with opened(chromium, address) as (_, page):
        await page.goto("/admin/setup")
        found += await check(page)
        await sign_in(stage, "reader")
        for path in PUBLIC:
            await page.goto(path)
            found += await check(page)
        await say(page, "hello", at="/p/rosa")
        found += await check(page)
    assert found == []


@pytest.mark.parametrize("part", [0, 1])
async def test_axe_finds_nothing_in_the_panel(
    part: int, chromium: Browser, address: str, stage: Stage, known: Known
) -> None:
    found = []
    async with opened(chromium, address) as (context, page):
        await enter(context, stage, address)
        for path in PANEL[part::2]:
            places = {"conversation": known.conversation, "memory": known.memory, "person": known.person}
            places["account"] = known.account
            await page.goto(path.format(**places, job=known.job))
            found += await check(page)
    assert found == []


async def test_axe_finds_nothing_beside_a_wrong_field(
    chromium: Browser, address: str, stage: Stage, known: Known
) -> None:
    found = []
    async with opened(chromium, address) as (context, page):
        await enter(context, stage, address)
        for path in (
            "/admin/personas/new",
            ROSA + "/memories/new",
            ROSA + "/people",
            ROSA + "/accounts/connect/telegram",
        ):
            await page.goto(path)
            await page.evaluate("document.querySelectorAll('form').forEach((form) => { form.noValidate = true; })")
            await page.locator("main form[method=post] button:not(.quiet)").last.click()
            await expect(page.locator("[aria-invalid=true], fieldset[aria-describedby]").first).to_be_visible()
            found += await check(page)
    assert found == []


# ------------------------------------------------------------------------------------------------ talking


async def say(page: Page, words: str, *, at: str = "") -> None:
    """Write something and wait for the answer."""
    if at:
        await page.goto(at)
    before = await page.locator(".said:not(.mine)").count()
    await page.get_by_label("Write to").fill(words)
    await page.keyboard.press("Enter")
    await expect(page.locator(".said:not(.mine)")).to_have_count(before + 1)


async def test_a_talk_by_keyboard_alone(chromium: Browser, address: str, known: Known) -> None:
    async with opened(chromium, address) as (_, page):
        await page.goto("/p/rosa")
        await expect(page.get_by_label("Write to")).to_be_focused()
        await page.keyboard.type("Where did")
        await page.keyboard.press("Shift+Enter")
        await page.keyboard.type("you grow up?")
        await page.keyboard.press("Enter")
        await expect(page.locator(".said.mine")).to_have_count(1)
        await expect(page.locator(".said.mine")).to_contain_text("Where did")
        await expect(page.locator(".said:not(.mine) em")).to_contain_text("you grow up?")
        await expect(page.locator(".said:not(.mine) .meta")).to_contain_text("offline answer")
        await expect(page.get_by_label("Write to")).to_have_value("")
        await expect(page.locator("#chips")).to_be_hidden()
        await page.reload()
        await expect(page.locator(".said")).to_have_count(2)


async def test_the_first_stop_of_the_keyboard_leads_past_the_menu(
    chromium: Browser, address: str, known: Known
) -> None:
    async with opened(chromium, address) as (_, page):
        await page.goto("/")
        await page.keyboard.press("Tab")
        await expect(page.get_by_text("Go to the content")).to_be_focused()
        await page.keyboard.press("Enter")
        await expect(page.locator("main")).to_be_focused()
        await page.keyboard.press("Tab")
        await expect(page.get_by_role("link", name="Rosa Almeida")).to_be_focused()


async def test_an_idea_is_sent_with_one_press(chromium: Browser, address: str, known: Known) -> None:
    async with opened(chromium, address) as (_, page):
        await page.goto("/p/rosa")
        await page.get_by_role("button", name="Where did you grow up?").click()
        await expect(page.locator(".said.mine")).to_contain_text("Where did you grow up?")
        await expect(page.locator(".said:not(.mine)")).to_have_count(1)


async def test_an_answer_is_shown_while_it_is_written(
    chromium: Browser, address: str, stage: Stage, known: Known
) -> None:
    stage.is_silent = True
    async with opened(chromium, address) as (_, page):
        await page.goto("/p/rosa")
        await page.get_by_label("Write to").fill("hello")
        await page.keyboard.press("Enter")
        await expect(page.locator(".draft .bubble")).to_have_text("You said")


async def test_two_windows_of_one_visitor_show_the_same_once(chromium: Browser, address: str, known: Known) -> None:
    async with opened(chromium, address) as (context, page):
        await page.goto("/p/rosa")
        other = await context.new_page()
        await other.goto("/p/rosa")
        await say(page, "hello")
        for each in (page, other):
            await expect(each.locator(".said")).to_have_count(2)
            await expect(each.locator(".waiting")).to_have_count(0)


async def test_what_could_not_be_sent_is_sent_once_on_the_next_try(
    chromium: Browser, address: str, stage: Stage, known: Known
) -> None:
    async with opened(chromium, address) as (_, page):
        await page.goto("/p/rosa")
        await page.route("**/messages", lambda route: route.abort())
        await page.get_by_label("Write to").fill("hello")
        await page.keyboard.press("Enter")
        await expect(page.locator(".failed")).to_contain_text("Not sent")
        await page.unroute("**/messages")
        await page.get_by_role("button", name="Try again").click()
        await expect(page.locator(".said:not(.mine)")).to_have_count(1)
        await expect(page.locator(".said.mine")).to_have_count(1)
        await expect(page.locator(".failed")).to_have_count(0)
    (said,) = stage.transcript.said.values()
    assert len(said) == 2


async def test_words_not_sent_yet_survive_a_reload(chromium: Browser, address: str, known: Known) -> None:
    async with opened(chromium, address) as (_, page):
        await page.goto("/p/rosa")
        await page.get_by_label("Write to").press_sequentially("half a thou")
        await page.reload()
        await expect(page.get_by_label("Write to")).to_have_value("half a thou")


async def test_what_a_visitor_writes_is_never_markup(chromium: Browser, address: str, known: Known) -> None:
    async with opened(chromium, address) as (_, page):
        await say(page, "<img src=x onerror=alert(1)> **bold**", at="/p/rosa")
        await expect(page.locator(".said.mine .bubble")).to_have_text("<img src=x onerror=alert(1)> **bold**")
        await page.reload()
        assert await page.locator(".said img").count() == 0


async def test_an_invitation_opens_the_door_by_itself(chromium: Browser, address: str, known: Known) -> None:
    async with opened(chromium, address) as (_, page):
        await page.goto("/p/aunt")
        await page.get_by_label("Invitation link or code").fill(f"{address}/p/aunt?invite=abcdef")
        await page.get_by_role("button", name="Come in").click()
        await expect(page.get_by_role("heading", name="You are invited")).to_be_visible()
        await page.get_by_role("button", name="Come in").click()
        await expect(page.get_by_role("heading", name="Quiet Aunt", exact=True)).to_be_visible()
        assert page.url == f"{address}/p/aunt"


async def test_light_or_dark_is_chosen_once_for_every_page(chromium: Browser, address: str, known: Known) -> None:
    async with opened(chromium, address, color_scheme="light") as (_, page):
        await page.goto("/")
        bright = await page.evaluate("getComputedStyle(document.body).backgroundColor")
        await page.get_by_role("button", name="Change between light and dark").click()
        assert await page.evaluate("getComputedStyle(document.body).backgroundColor") != bright
        await page.goto("/about")
        assert await page.evaluate("document.documentElement.dataset.theme") == "dark"


# ------------------------------------------------------------------------------------------------ the panel


async def test_everything_works_without_script(
    chromium: Browser, address: str, stage: Stage, known: Known, tmp_path: Path
) -> None:
    export = tmp_path / "chat.txt"
    export.write_text("words", encoding="utf-8")
    async with opened(chromium, address, java_script_enabled=False) as (_, page):
        await page.goto("/p/rosa")
        await page.get_by_label("Write to").fill("hello")
        await page.get_by_role("button", name="Send").click()
        await expect(page.locator(".said")).to_have_count(2)
        await expect(page.get_by_role("button", name="Change between")).to_have_count(0)
        await page.goto("/admin")
        await page.get_by_label("Code from the terminal").fill(SETUP_CODE)
        await page.get_by_label("Your name").fill("Ana")
        await page.get_by_label("Password", exact=True).fill(PASSWORD)
        await page.get_by_label("The same password again").fill(PASSWORD)
        await page.get_by_role("button", name="Start").click()
        await expect(page.get_by_role("heading", name="Welcome, Ana")).to_be_visible()
        await page.goto(f"{ROSA}/memories/{known.memory}")
        await page.get_by_label("The words").fill("I grew up by the sea.")
        await page.get_by_role("button", name="Save").click()
        await expect(page.get_by_text("Saved.")).to_be_visible()
        await page.goto(ROSA + "/import")
        await page.get_by_label("The file", exact=True).set_input_files(export)
        await page.get_by_role("button", name="Upload and read it").click()
        await expect(page.get_by_role("heading", name="Waiting for its turn")).to_be_visible()
    assert stage.imports.uploads == {"chat.txt": 5}


async def test_an_upload_leads_to_its_import_and_a_wrong_one_stays(
    chromium: Browser, address: str, stage: Stage, known: Known, tmp_path: Path
) -> None:
    export = tmp_path / "chat.txt"
    export.write_bytes(b"x" * 300_000)
    async with opened(chromium, address) as (context, page):
        await enter(context, stage, address)
        await page.goto(ROSA + "/import")
        upload = page.get_by_role("region", name="Upload a file")
        await upload.get_by_label("Time zone of the files").fill("Mars")
        await upload.get_by_label("The file", exact=True).set_input_files(export)
        await upload.get_by_role("button", name="Upload and read it").click()
        await expect(upload.locator("#up-timezone-wrong")).to_be_visible()
        await upload.get_by_label("Time zone of the files").fill("Europe/Lisbon")
        await upload.get_by_label("The file", exact=True).set_input_files(export)
        await upload.get_by_role("button", name="Upload and read it").click()
        await page.wait_for_url(re.compile(ROSA + r"/import/\w{32}"))
    assert stage.imports.uploads == {"chat.txt": 300_000}


async def test_a_conversation_in_the_panel_grows_as_people_write(
    chromium: Browser, address: str, stage: Stage, known: Known
) -> None:
    async with opened(chromium, address) as (context, page):
        await enter(context, stage, address)
        async with page.expect_response(lambda response: "/admin/live" in response.url):
            await page.goto(f"{ROSA}/conversations/{known.conversation}")
        at = stage.clock.now()

        def write(c: Any) -> None:
            conversation = conversations.conversation(c, known.conversation)
            said = {"inbox_id": 2, "key": "e2", "text": "And the sea?", "parts": [], "sent_at": at}
            conversations.add_inbound(
                c, conversation, [{**said, "turn_id": None, "platform_message_id": "2", "quote": None}]
            )

        await stage.database.write(write)
        stage.live.publish(Event(f"persona/{known.rosa}/conversation/{known.conversation}", "message"))
        await expect(page.get_by_text("And the sea?")).to_be_visible()


async def test_forgetting_asks_first(chromium: Browser, address: str, stage: Stage, known: Known) -> None:
    async with opened(chromium, address) as (context, page):
        await enter(context, stage, address)
        await page.goto(f"{ROSA}/memories/{known.memory}")
        page.once("dialog", lambda dialog: dialog.dismiss())
        await page.get_by_role("button", name="Forget this memory").click()
        await expect(page.get_by_role("heading", name="One memory")).to_be_visible()
        page.once("dialog", lambda dialog: dialog.accept())
        await page.get_by_role("button", name="Forget this memory").click()
        await expect(page.get_by_text("Forgotten, and importing it again")).to_be_visible()


async def test_on_a_telephone_the_menu_opens(chromium: Browser, address: str, stage: Stage, known: Known) -> None:
    width, height = SIZES[1]
    async with opened(chromium, address, viewport={"width": width, "height": height}) as (context, page):
        await enter(context, stage, address)
        await page.goto(ROSA)
        await page.locator("summary").first.click()
        await page.get_by_role("navigation").get_by_role("link", name="Memories").click()
        await expect(page.get_by_role("heading", name="Memories")).to_be_visible()
