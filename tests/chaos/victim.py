"""The server that chaos kills: the real one, which ends its own life at a named point when it was told to.

python -m tests.chaos.victim [STEP:COUNT]
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys

import channels
from bot.app import opened
from bot.settings import read_settings


def main(kill_at: str) -> None:
    channels.CHANNELS["keyed"] = ("tests.platforms.keyed:KeyedAdapter", "tests.platforms.keyed:KeyedSettings")
    asyncio.run(_serve(kill_at))


async def _serve(kill_at: str) -> None:
    step, _, count = kill_at.partition(":")
    left = int(count or 0)

    def on_step(name: str) -> None:
        nonlocal left
        if name == step:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    async with opened(read_settings(), on_step=on_step) as app:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, app.stop)
        await app.serve(lambda address: sys.stdout.write(f"{address}\n") and sys.stdout.flush())


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "")
