"""The real server as a process of its own, over a data folder that was furnished for it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from bot.app import Folder
from knowledge import personas, schema
from knowledge.accounts import create_account
from knowledge.clock import SystemClock
from knowledge.database import Connection, Database
from knowledge.secrets import SecretBox

T = TypeVar("T")

REPO = Path(__file__).parents[2]
_READY_S = 60.0


def furnish(folder: Path, accounts: Mapping[str, Mapping[str, Any]]) -> tuple[str, dict[str, str]]:
    """Make a public persona with these accounts (channel -> settings); return its id and each webhook path."""
    schema.upgrade(Folder(folder).database)
    database = Database(Folder(folder).database)
    box = SecretBox(Folder(folder).key)
    at = SystemClock().now()

    def make(c: Connection) -> tuple[str, dict[str, str]]:
        persona = personas.create_persona(
            c, name="Rosa", kind="fictional", visibility="public", languages=("en",), at=at
        )
        paths = {}
        for channel, settings in accounts.items():
            account = create_account(
                c, box, persona_id=persona.id, channel=channel, name=channel, settings=settings, at=at
            )
            paths[channel] = account.webhook_path
        return persona.id, paths

    try:
        return database.write_now(make)
    finally:
        database.close()


def look(folder: Path, query: Callable[[Connection], T]) -> T:
    """Read from a data folder, whether a server uses it or not."""
    database = Database(Folder(folder).database)
    try:
        return database.read_now(query)
    finally:
        database.close()


def change(folder: Path, change: Callable[[Connection], T]) -> T:
    """Write into the data folder of a server that does not run."""
    database = Database(Folder(folder).database)
    try:
        return database.write_now(change)
    finally:
        database.close()


def free_port() -> int:
    """Return a port of this machine that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """One server process after the other, on one port and one data folder."""

    def __init__(self, folder: Path, *, module: str = "bot", **settings: str | int | float) -> None:
        """`settings` are `MEMORAS_` settings by their names in small letters."""
        self.folder = folder
        self.port = free_port()
        self._module = module
        self._settings = settings
        self.process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self, *arguments: str) -> asyncio.subprocess.Process:
        """Start it and return once it says that it is ready, or has ended."""
        own = {
            "data": str(self.folder),
            "port": self.port,
            "public_url": self.url,
            "samples": "false",
            "log_level": "ERROR",
            **self._settings,
        }
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("MEMORAS_")},
            **{f"MEMORAS_{name.upper()}": str(value) for name, value in own.items()},
            "PYTHONPATH": str(REPO),
        }
        self.process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            self._module,
            *arguments,
            env=environment,
            cwd=self.folder.parent,
            stdout=asyncio.subprocess.PIPE,
        )
        assert self.process.stdout is not None
        async with asyncio.timeout(_READY_S):
            await self.process.stdout.readline()  # empty when it died before it was ready
        return self.process

    async def stop(self, number: int = signal.SIGTERM) -> int:
        """End it and return its exit status."""
        process = self.process
        assert process is not None
        if process.returncode is None:
            process.send_signal(number)
        async with asyncio.timeout(_READY_S):
            return await process.wait()
