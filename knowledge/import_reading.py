"""Reads an export in a process of its own and gives what that process tells; a hang or a crash is an answer too."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from knowledge.errors import ArchiveInvalid

# Twice this may wait here unread; a line is told to be a good deal shorter.
_MOST_LINE_BYTES = 4 << 20
_KEPT_ENVIRONMENT = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "SYSTEMROOT", "VIRTUAL_ENV")
_ROOT = Path(__file__).resolve().parent.parent


class ReaderFailed(Exception):
    """The process that reads an export crashed or hung; `member` is what it was reading."""

    def __init__(self, member: str, reason: str) -> None:
        super().__init__(reason)
        self.member = member
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What to read, and how."""

    path: str
    options: dict[str, Any]
    left_out: dict[str, str] = field(default_factory=dict)
    patience_s: float = 60.0
    scratch: Path | None = None


async def told(reading: Reading) -> AsyncGenerator[dict[str, Any], None]:
    """Yield the lines of the reading process as values, as they come.

    Raises:
        ArchiveInvalid: when the import cannot be read at all.
        ReaderFailed: when the process died or said nothing for `patience_s`.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",
        "-m",
        "knowledge.importers.child",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        limit=_MOST_LINE_BYTES,
        env=_environment(reading.scratch),
        start_new_session=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    member = ""
    is_whole = False
    try:
        request = {"path": reading.path, "options": reading.options, "left_out": reading.left_out}
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            process.stdin.write(json.dumps(request).encode("ascii") + b"\n")
            await process.stdin.drain()
        while True:
            try:
                async with asyncio.timeout(reading.patience_s):
                    line = await process.stdout.readline()
            except TimeoutError:
                raise ReaderFailed(member, "reading it took too long and was given up") from None
            except ValueError:
                raise ReaderFailed(member, "one of its entries is too large") from None
            if not line:
                break
            try:
                said = await asyncio.to_thread(json.loads, line) if len(line) > 20_000 else json.loads(line)
            except ValueError:
                break  # the process died in the middle of a line
            kind = said["kind"]
            if kind == "opened":
                member = said["member"]
            elif kind == "refused":
                is_whole = True
                raise ArchiveInvalid(said["error"], next_step=said["next_step"])
            else:
                is_whole = kind in ("end", "questions")
                yield said
        if not is_whole:
            raise ReaderFailed(member, "reading it failed")
    finally:
        process.stdin.close()
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        await process.wait()


def _environment(scratch: Path | None) -> dict[str, str]:
    """Return an environment without any key or token: nothing that reads a stranger's file needs one."""
    kept = {name: os.environ[name] for name in _KEPT_ENVIRONMENT if name in os.environ}
    # What the server can import, the reader can: an importer may come from an installed package.
    kept["PYTHONPATH"] = os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH", ""))))
    kept["PYTHONUTF8"] = "1"
    if scratch is not None:
        kept["TMPDIR"] = str(scratch)
    return kept
