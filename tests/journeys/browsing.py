"""Browsers for the journeys: real Chromium windows that report every broken rule, and axe's view of a page."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, Playwright

from tests.journeys.house import PATIENCE_S
from tests.parts import CHROMIUM_ARGUMENTS, need_chromium

SIZES = ((1440, 900), (390, 844))
SCHEMES = ("light", "dark")

_TWO_FRAMES = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"


async def launch(playwright: Playwright) -> Browser:
    """Return a running Chromium."""
    return await playwright.chromium.launch(executable_path=need_chromium(), args=list(CHROMIUM_ARGUMENTS))


@asynccontextmanager
async def window(browser: Browser, address: str, **options: Any) -> AsyncIterator[Page]:
    """Yield a page of somebody with cookies of their own; in the end its console must have stayed silent.

    What breaks the content security policy is reported there.
    """
    width, height = SIZES[0]
    options = {"viewport": {"width": width, "height": height}, "reduced_motion": "reduce", **options}
    context = await browser.new_context(base_url=address, **options)
    context.set_default_timeout(PATIENCE_S * 1000)
    page = await context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    yield page
    await context.close()
    # A refused form answers 422, which the browser notes as a failed load.
    assert [words for words in said if "Failed to load resource" not in words] == []


async def wrong_with(page: Page) -> list[str]:
    """Return what axe finds on an open page and how far it is too wide, wide and narrow, in light and in dark."""
    before, found = page.viewport_size, []
    await page.evaluate(Axe().axe_script)
    for width, height in SIZES:
        await page.set_viewport_size({"width": width, "height": height})
        for scheme in SCHEMES:
            await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
            await page.evaluate(_TWO_FRAMES)  # axe would otherwise see new ink on the old paper
            result = await page.evaluate("axe.run(document, {resultTypes: ['violations']})")
            for one in result["violations"]:
                targets = [(node["target"], node["failureSummary"]) for node in one["nodes"][:3]]
                found.append(f"{page.url} {width} {scheme}: {one['id']} {targets}")
        overflow = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
        if overflow > 0:
            found.append(f"{page.url} {width}: {overflow} px too wide")
    if before:
        await page.set_viewport_size(before)
    await page.emulate_media(color_scheme="light")
    return found
