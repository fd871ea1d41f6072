"""Renew the pictures of the documentation: `.venv/bin/python -m docs.images.make`.

A real server is started with its samples in a folder of its own, and a real Chromium talks with the grandmother.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

from playwright.async_api import Page, async_playwright, expect

from tests.journeys.browsing import launch
from tests.journeys.house import PATIENCE_S, until
from tests.platforms.server import Server

HERE = Path(__file__).parent
QUESTIONS = ("Hello! How did you meet Joaquim?", "What was your wedding like?", "What makes you happy?")


async def main() -> None:
    """Write every picture beside this file."""
    expect.set_options(timeout=PATIENCE_S * 1000)
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder) / "data", samples="true", log_level="CRITICAL", quiet_s=0.1)
        async with async_playwright() as playwright:
            browser = await launch(playwright)
            await server.start()
            try:
                await until(lambda found: bool(found) and found["recall"]["vectors"] > 300, server)
                page = await browser.new_page(
                    base_url=server.url, viewport={"width": 1440, "height": 1020}, reduced_motion="reduce"
                )
                await _talk(page)
            finally:
                await server.stop()
                await browser.close()


async def _talk(page: Page) -> None:
    while not await page.locator(".persona-card > p:not(.soft)").count():
        await page.goto("/")
    await page.goto("/p/avelina-souto")
    for count, question in enumerate(QUESTIONS, start=1):
        await page.get_by_label("Write to").fill(question)
        await page.keyboard.press("Enter")
        await expect(page.locator(".said:not(.mine)")).to_have_count(count)
    await page.locator(".composer").evaluate(
        "box => box.contains(document.activeElement) && document.activeElement.blur()"
    )
    await page.screenshot(path=HERE / "talk.png")
    sys.stdout.write(f"{HERE / 'talk.png'}: {(HERE / 'talk.png').stat().st_size // 1024} KB\n")


if __name__ == "__main__":
    asyncio.run(main())
