"""The web as people use it: the real server with its samples, a real Chromium, and a Telegram on this machine."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Locator, Page, async_playwright, expect

from tests.journeys.browsing import launch, window, wrong_with
from tests.journeys.house import CHAT, CLARINET, DANCE, KNEE, PATIENCE_S, at_rest, until
from tests.platforms.server import Server
from tests.platforms.telegram import Telegram

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

expect.set_options(timeout=PATIENCE_S * 1000)

GRANDMOTHER, BAKERY = "Avelina Souto", "Tres Lunas"
PASSWORD = "three plain words"
ANSELMO = "/admin/personas/anselmo-rey"


@dataclass
class Town:
    """The server, the browser, and what the first owner keeps: the signed-in state of their browser."""

    server: Server
    browser: Browser
    telegram: Telegram
    setup_code: str
    folder: Path
    signed_in: Any = None
    pictures: Path | None = field(default_factory=lambda: _pictures())

    def visitor(self, **options: Any) -> AbstractAsyncContextManager[Page]:
        """Open a window of somebody new."""
        return window(self.browser, self.server.url, **options)

    def owner(self) -> AbstractAsyncContextManager[Page]:
        """Open a window of the first owner, who is signed in."""
        return window(self.browser, self.server.url, storage_state=self.signed_in)

    async def picture(self, page: Page, name: str) -> None:
        """Keep how a page looks, where PICTURES names a folder for it."""
        if self.pictures is None:
            return
        for width, height in ((1440, 900), (390, 844)):
            for scheme in ("light", "dark"):
                await page.set_viewport_size({"width": width, "height": height})
                await page.emulate_media(color_scheme=scheme)
                await page.screenshot(path=self.pictures / f"{name}-{width}-{scheme}.png")
        await page.set_viewport_size({"width": 1440, "height": 900})
        await page.emulate_media(color_scheme="light")


def _pictures() -> Path | None:
    return Path(os.environ["PICTURES"]) if "PICTURES" in os.environ else None


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def town(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Town]:
    """The one server of these tests: its first start, with the samples, as it comes out of the box."""
    folder = tmp_path_factory.mktemp("town")
    async with async_playwright() as playwright, Telegram() as telegram:
        browser = await launch(playwright)
        server = Server(
            folder / "data", samples="true", log_level="CRITICAL", telegram_api=telegram.url, quiet_s=0.3, drain_s=3
        )
        process = await server.start()
        try:
            assert process.stdout is not None
            printed = ""
            while "set-up code: " not in printed:
                printed = (await asyncio.wait_for(process.stdout.readline(), PATIENCE_S)).decode()
            yield Town(server, browser, telegram, printed.split()[-1], folder)
        finally:
            await server.stop()
            await browser.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sampled(town: Town) -> Town:
    """The town once both samples are made and can be met."""
    await until(lambda found: bool(found) and found["recall"]["memories"] > 300, town.server)
    async with town.visitor() as page:
        async with asyncio.timeout(PATIENCE_S):
            while await page.locator(".persona-card > p:not(.soft)").count() < 2:
                await page.goto("/")
    return town


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def owned(town: Town) -> Town:
    """The town with its first owner, who was set up with the code of the terminal."""
    async with town.visitor() as page:
        await page.goto("/admin")
        await expect(page.get_by_role("heading", name="Make it yours")).to_be_visible()
        assert await wrong_with(page) == []
        await town.picture(page, "setup")
        await _set_up(page, code="wrong-code")
        await expect(page.locator("#code-wrong")).to_be_visible()
        await _set_up(page, code=town.setup_code)
        await expect(page.get_by_role("heading", name="Welcome, Ana")).to_be_visible()
        town.signed_in = await page.context.storage_state()
    return town


async def _set_up(page: Page, *, code: str) -> None:
    await page.get_by_label("Code from the terminal").fill(code)
    await page.get_by_label("Your name").fill("Ana")
    await page.get_by_label("Password", exact=True).fill(PASSWORD)
    await page.get_by_label("The same password again").fill(PASSWORD)
    await page.get_by_role("button", name="Start").click()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def grandfather(owned: Town) -> Town:
    """The town with a private persona who was given a chat by upload, and was watched while it was read."""
    export = owned.folder / "WhatsApp Chat with Anselmo.txt"
    chatter = "".join(f"16/03/2021, 10:{n % 60:02} - Iria: And another thing, number {n}!\n" for n in range(4000))
    export.write_text(CHAT + chatter, encoding="utf-8")
    async with owned.owner() as page:
        await page.goto("/admin")
        await page.get_by_role("link", name="New persona").click()
        await page.get_by_label("Name", exact=True).fill("Anselmo Rey")
        await page.get_by_label("Languages").fill("en, es")
        assert await wrong_with(page) == []
        await page.get_by_role("button", name="Make it").click()
        await expect(page.get_by_text("Now give it something to remember")).to_be_visible()
        assert await wrong_with(page) == []
        upload = page.get_by_role("region", name="Upload a file")
        await upload.get_by_label("Name of Anselmo Rey in the files").fill("Anselmo Rey")
        await upload.get_by_label("The file", exact=True).set_input_files(export)
        await upload.get_by_role("button", name="Upload and read it").click()
        await page.wait_for_url(re.compile(ANSELMO + r"/import/\w{32}"))
        await expect(page.get_by_role("heading", name="Read", exact=True)).to_be_visible()  # by itself
        await expect(page.get_by_role("link", name="Talk with Anselmo Rey")).to_be_visible()
        assert await wrong_with(page) == []
        await owned.picture(page, "import")
    return owned


async def say(page: Page, words: str) -> None:
    """Write a line on an open talk page and send it."""
    await page.get_by_label("Write to").fill(words)
    await page.keyboard.press("Enter")


async def ask(page: Page, words: str) -> str:
    """Write a line and return the answer that appears by itself."""
    count = await answers(page).count()
    await say(page, words)
    await expect(answers(page)).to_have_count(count + 1)
    return await answers(page).last.locator(".bubble").inner_text()


def answers(page: Page) -> Locator:
    return page.locator(".said:not(.mine):not(.draft *)")


def lines(page: Page) -> Locator:
    return page.locator(".said")


# ------------------------------------------------------------------------------------------------ visitors


async def test_a_visitor_meets_a_sample_and_is_answered_out_of_her_memories(sampled: Town) -> None:
    async with sampled.visitor() as page:
        await page.goto("/")
        assert await wrong_with(page) == []
        await sampled.picture(page, "explore")
        await page.get_by_role("link", name=GRANDMOTHER).click()
        await expect(page.get_by_role("heading", name=GRANDMOTHER, exact=True)).to_be_visible()
        await sampled.picture(page, "talk-empty")
        first = await ask(page, "Where were you born?")
        assert first.startswith("I am an AI")
        assert "San Paio do Río" in first
        await expect(answers(page).first.locator(".meta")).to_contain_text("Offline answer")
        second = await ask(page, "Did you have a dog?")
        assert "Farrusco" in second
        assert "I am an AI" not in second
        assert await wrong_with(page) == []
        await sampled.picture(page, "talk")
        await page.reload()
        await expect(lines(page)).to_have_count(4)
        assert "San Paio do Río" in await lines(page).nth(1).inner_text()


async def test_two_quick_lines_get_one_answer(sampled: Town) -> None:
    async with sampled.visitor() as page:
        await page.goto("/p/avelina-souto")
        await say(page, "Hello!")
        await say(page, "Where were you born?")
        await expect(answers(page)).to_have_count(1)
        await at_rest(sampled.server)
        await page.reload()
        assert [await one.evaluate("line => line.matches('.mine')") for one in await lines(page).all()] == [
            True,
            True,
            False,
        ]
        assert "San Paio do Río" in await answers(page).inner_text()


async def test_what_nobody_told_her_she_does_not_make_up(sampled: Town) -> None:
    async with sampled.visitor() as page:
        await page.goto("/p/avelina-souto")
        answer = await ask(page, "What do you think of quantum chromodynamics?")
        assert re.search(r"not remember|no memory|do not know", answer)


async def test_without_script_the_talk_is_a_form_and_the_page_looks_for_the_answer(sampled: Town) -> None:
    async with sampled.visitor(java_script_enabled=False) as page:
        await page.goto("/p/avelina-souto")
        await page.get_by_label("Write to").fill("Where were you born?")
        await page.get_by_role("button", name="Send").click()
        await expect(answers(page)).to_contain_text("San Paio do Río")  # the page looks again by itself
        await expect(lines(page)).to_have_count(2)


async def test_two_visitors_do_not_see_each_others_talk(sampled: Town) -> None:
    async with sampled.visitor() as one, sampled.visitor() as other:
        await one.goto("/p/avelina-souto")
        await ask(one, "My name is Nadia and I collect green marbles.")
        await other.goto("/p/avelina-souto")
        await expect(lines(other)).to_have_count(0)
        assert "marbles" not in await ask(other, "Who collects green marbles?")


# ------------------------------------------------------------------------------------------------ a family


async def test_the_owner_asks_about_what_was_imported_and_gets_it(grandfather: Town) -> None:
    async with grandfather.owner() as page:
        await page.goto("/p/anselmo-rey")
        assert CLARINET in await ask(page, "Where did you buy the clarinet?")
        assert KNEE in await ask(page, "What did the doctor say?")
        assert await wrong_with(page) == []


async def test_a_private_persona_is_behind_a_door_that_an_invitation_opens_once(grandfather: Town) -> None:
    link = await _invite(grandfather, "Iria")
    await _tell_the_family(grandfather, "hayloft")
    async with grandfather.visitor() as stranger, grandfather.visitor() as cousin, grandfather.visitor() as late:
        await stranger.goto("/p/anselmo-rey")
        await expect(stranger.get_by_role("heading", name="This door opens with an invitation")).to_be_visible()
        assert "Anselmo" not in await stranger.content()
        assert await wrong_with(stranger) == []
        await grandfather.picture(stranger, "door")

        await cousin.goto(link)
        await expect(cousin.get_by_role("heading", name="You are invited")).to_be_visible()
        assert await wrong_with(cousin) == []
        await cousin.get_by_role("button", name="Come in").click()
        await expect(cousin.get_by_role("heading", name="Anselmo Rey", exact=True)).to_be_visible()
        await expect(answers(cousin)).to_have_count(1)  # the welcome
        assert "Iria" in await answers(cousin).inner_text()
        assert DANCE in await ask(cousin, "Where did you learn to dance?")
        assert KNEE not in await ask(cousin, "What did the doctor say about your knee?")
        assert CLARINET not in await ask(cousin, "Where did you buy the clarinet?")
        await grandfather.picture(cousin, "cousin")

        await late.goto(link)
        await late.get_by_role("button", name="Come in").click()
        await expect(late.get_by_text("This invitation cannot be used")).to_be_visible()


async def _invite(town: Town, name: str) -> str:
    """Make an invitation into the family on the page for it, and return its link."""
    async with town.owner() as page:
        await page.goto(ANSELMO + "/people")
        form = page.get_by_role("region", name="Invite somebody")
        await form.get_by_label("Who is it for?").fill(name)
        await form.get_by_label("Circle", exact=True).select_option("family")
        await form.get_by_role("button", name="Make the link").click()
        link = await page.locator("input[readonly]").first.input_value()
        assert await wrong_with(page) == []
        await town.picture(page, "invited")
    assert link.startswith(town.server.url)
    return link


async def _tell_the_family(town: Town, words: str) -> None:
    """Let the family hear the memory with these words."""
    async with town.owner() as page:
        await page.goto(f"{ANSELMO}/memories?q={words}")
        assert await wrong_with(page) == []
        await page.locator("main").get_by_role("link").filter(has_text=words).first.click()
        await page.get_by_label("Who may be told").select_option("circle:family")
        await page.get_by_role("button", name="Save").click()
        await expect(page.get_by_text("Saved")).to_be_visible()


async def test_a_conversation_is_watched_live_with_how_each_answer_was_made(grandfather: Town, sampled: Town) -> None:
    async with grandfather.visitor() as visitor, grandfather.owner() as page:
        await visitor.goto("/p/avelina-souto")
        await ask(visitor, "Hello, I am your neighbour Gerda.")
        await page.goto("/admin/personas/avelina-souto/conversations")
        assert await wrong_with(page) == []
        await page.locator("main").get_by_role("link", name="visitor").first.click()
        await expect(page.get_by_text("your neighbour Gerda")).to_be_visible()
        await ask(visitor, "Where were you born?")
        await expect(page.locator(".transcript")).to_contain_text("San Paio do Río")  # by itself
        made = page.get_by_role("region", name="How this answer was made")
        await expect(made).to_contain_text("The offline answerer")
        await expect(made).to_contain_text("It came from these memories")
        await expect(made).to_contain_text("Recall")
        assert await wrong_with(page) == []
        await grandfather.picture(page, "conversation")


async def test_whoever_signs_out_has_to_sign_in_again(owned: Town) -> None:
    async with owned.visitor() as page:
        await page.goto("/admin")
        await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        assert await wrong_with(page) == []
        await _sign_in(page, "not the password")
        await expect(page.locator(".wrong, .notice.bad").first).to_be_visible()
        await _sign_in(page, PASSWORD)
        await expect(page.get_by_role("heading", name="Welcome, Ana")).to_be_visible()
        await page.get_by_role("button", name="Sign out").first.click()
        await page.goto("/admin/settings")
        await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


async def _sign_in(page: Page, password: str) -> None:
    await page.get_by_label("Name").fill("Ana")
    await page.get_by_label("Password").fill(password)
    await page.get_by_role("button", name="Sign in").click()


# ------------------------------------------------------------------------------------------------ Telegram


async def test_telegram_is_connected_on_a_page_breaks_and_is_mended_there(grandfather: Town) -> None:
    telegram = grandfather.telegram
    bot = telegram.bot("Anselmo", "anselmo_bot")
    ann = telegram.person("Ann", bot=bot)
    async with grandfather.owner() as page:
        await page.goto(ANSELMO + "/accounts/connect/telegram")
        assert await wrong_with(page) == []
        await grandfather.picture(page, "connect")
        await _connect(page, f"{bot.id}:not-the-token-of-this-bot")
        await expect(page.locator(".notice.bad")).to_contain_text("Telegram does not know this bot token")
        await _connect(page, "no token at all")
        await expect(page.locator("#token-wrong")).to_be_visible()
        await _connect(page, bot.token)
        await expect(page.locator(".notice.good")).to_contain_text("Connected as Anselmo (@anselmo_bot)")
        await ann.writes("Where did you buy the clarinet?")
        assert "invit" in (await ann.hears(timeout_s=PATIENCE_S))[0].text

        telegram.revoke(bot)
        await ann.writes("Hello?")
        async with asyncio.timeout(PATIENCE_S):
            while not await page.locator(".rows .wrong").count():
                await page.goto(ANSELMO + "/accounts")
        await expect(page.locator(".rows .wrong")).to_contain_text("BotFather")
        await expect(page.locator(".rows")).to_contain_text("Needs attention")
        assert await wrong_with(page) == []
        await grandfather.picture(page, "broken")

        again = telegram.bot("Anselmo", "anselmo_bot", id=bot.id)
        await page.goto(ANSELMO + "/accounts/connect/telegram")
        await _connect(page, again.token)
        await expect(page.locator(".notice.good")).to_be_visible()
        assert "invit" in (await ann.hears(2, timeout_s=PATIENCE_S))[1].text  # what had waited
        await expect(page.get_by_role("heading", name="Telegram Anselmo")).to_have_count(1)
        await expect(page.locator(".rows .wrong")).to_have_count(0)


async def _connect(page: Page, token: str) -> None:
    await page.get_by_label("Bot token").fill(token)
    await page.get_by_role("button", name="Check and connect").click()
