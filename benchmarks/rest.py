"""The server at rest: how long until it is ready, and how much memory it holds."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.path import say, wait_loaded
from tests.platforms.server import Server, furnish
from tests.platforms.telegram import Telegram

_STARTS = 5
_REST_S = 5.0


async def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as temporary:
        async with Telegram() as telegram:
            bot = telegram.bot()
            token = {"token": bot.token, "api_base": telegram.url, "secret_token": "benchmark"}
            plain, with_telegram = Path(temporary) / "plain" / "data", Path(temporary) / "telegram" / "data"
            for folder, accounts in ((plain, {}), (with_telegram, {"telegram": token})):
                folder.parent.mkdir()
                furnish(folder, accounts)
            await _measure("without Telegram", plain)
            await _measure("with Telegram", with_telegram)


async def _measure(label: str, folder: Path) -> None:
    took = []
    for _ in range(_STARTS):
        server = Server(folder)
        began = time.monotonic()
        await server.start()
        took.append(time.monotonic() - began)
        await server.stop()
    server = Server(folder)
    await server.start()
    await wait_loaded(server, memories=0)
    await asyncio.sleep(_REST_S)
    assert server.process is not None
    resident = _resident_mib(server.process.pid)
    await server.stop()
    say(
        f"{label}: ready in {statistics.median(took):.2f} s (median of {_STARTS}, worst {max(took):.2f} s), "
        f"{resident:.0f} MiB resident at rest with the embedder loaded"
    )


def _resident_mib(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("the system does not say how much memory a process holds")
