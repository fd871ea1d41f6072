"""The channel of the terminal it was started in: lines in, answers out."""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any, ClassVar, TextIO

from pydantic import AwareDatetime, BaseModel, ValidationError

from channels.contract import (
    AccountConfig,
    Action,
    Chat,
    Health,
    Inbound,
    Inlet,
    Limits,
    Line,
    MediaFile,
    Outbound,
    Ports,
    Receipt,
    Received,
    Route,
    Sender,
    Text,
)
from channels.errors import NotAccepted, NotConfigured, PayloadNotUnderstood, Undeliverable
from channels.rendering import render

SENDER = Sender(id="terminal")
"""Whoever sits at the machine. There is one."""

_HISTORY = 6
_LAST_WAIT_S = 120.0
_MOST_CHARACTERS = 4000
_MOST_LINE_BYTES = 65536


class TerminalAdapter:
    """The talk in a terminal, or over a pipe: then it ends when every line has been answered.

    `listen` returns on /quit, at the end of a terminal's input (Ctrl-D), and at the end of a pipe once all is answered.
    """

    name: ClassVar[str] = "terminal"
    limits: ClassVar[Limits] = Limits(text_length=100_000, has_typing=True, has_idempotency_key=True)

    def __init__(
        self,
        account: AccountConfig,
        ports: Ports,
        *,
        input_fd: int | None = None,
        output: TextIO | None = None,
        last_wait_s: float = _LAST_WAIT_S,
    ) -> None:
        if ports.transcript is None:
            raise NotConfigured("The terminal needs to know what was said.")
        self.account = account
        self._now = ports.now
        self._transcript = ports.transcript
        self._input_fd = input_fd
        self._screen = _Screen(output or sys.stdout, account.display_name)
        self._last_wait_s = last_wait_s
        self._session = secrets.token_hex(6)
        self._printed: set[str] = set()
        self._sent = asyncio.Event()

    def routes(self) -> list[Route]:
        return []

    def parse(self, payload: Any) -> list[Inbound]:
        try:
            typed = _Typed.model_validate(payload)
        except ValidationError as error:
            raise PayloadNotUnderstood("This is not what the terminal sends.") from error
        return [
            Inbound(
                event_id=typed.id,
                kind="message",
                chat=Chat(id=SENDER.id),
                sender=SENDER,
                sent_at=typed.sent_at,
                message_id=typed.id,
                parts=(Text(text=typed.text),),
            )
        ]

    async def listen(self, inlet: Inlet) -> None:
        fd = sys.stdin.fileno() if self._input_fd is None else self._input_fd
        is_live = os.isatty(fd)
        before = await self._transcript.lines(SENDER, limit=_HISTORY)
        self._printed.update(line.key for line in before if line.is_ours)
        self._screen.begin(before if is_live else [], has_prompt=is_live)
        try:
            count, has_ended = await self._read(inlet, fd)
            if has_ended and not is_live:
                await self._until_answered(count, after=before[-1].id if before else 0)
        finally:
            self._screen.end()

    async def send(self, outbound: Outbound) -> Receipt:
        """Print one message. The same message again is not printed twice."""
        if outbound.key not in self._printed:
            self._printed.add(outbound.key)
            words = [render(part.text, self.name) for part in outbound.parts if isinstance(part, Text)]
            self._screen.say("\n\n".join(words) or "…", label=outbound.label)
        self._sent.set()
        return Receipt(message_ids=(outbound.key,))

    async def reconcile(self, outbound: Outbound) -> Receipt | None:
        return Receipt(message_ids=(outbound.key,)) if outbound.key in self._printed else None

    async def show(self, action: Action, chat: Chat) -> None:
        if action != "read":
            self._screen.note("is writing…")

    async def draft(self, chat: Chat, draft_id: int, text: str) -> None:
        """Show nothing: a terminal cannot take back what it has printed."""

    async def fetch(self, file: MediaFile) -> AsyncIterator[bytes]:
        raise Undeliverable("The terminal has no files.", reason="chat_gone")
        yield b""

    async def check(self) -> Health:
        return Health(is_ok=True, summary="The terminal is ready.")

    async def close(self) -> None:
        """Nothing is held: the input belongs to the process."""

    async def _read(self, inlet: Inlet, fd: int) -> tuple[int, bool]:
        """Take in every line; return how many were accepted, and whether the input has ended by itself."""
        count = 0
        async for line in _lines(fd):
            text = line.strip()[:_MOST_CHARACTERS]
            if text in ("/quit", "/exit"):
                return count, False
            if text and await self._accept(inlet, text, count + 1):
                count += 1
            self._screen.prompt()
        return count, True

    async def _accept(self, inlet: Inlet, text: str, number: int) -> bool:
        typed = _Typed(id=f"{self._session}-{number}", text=text, sent_at=self._now())
        (inbound,) = self.parse(typed)
        try:
            await inlet.accept([Received(event_id=inbound.event_id, raw=typed.model_dump_json(), inbound=inbound)])
        except NotAccepted:
            self._screen.say("That could not be kept just now. Write it again.", label="Memoras")
            return False
        return True

    async def _until_answered(self, count: int, *, after: int) -> None:
        """Wait until the persona has the last word, after every line, and all of its words are printed."""
        while count:
            self._sent.clear()
            lines = await self._transcript.lines(SENDER, after=after)
            heard = sum(not line.is_ours for line in lines)
            unseen = [line for line in lines if line.is_ours and line.key not in self._printed]
            if heard >= count and lines[-1].is_ours and not unseen:
                return
            try:
                await asyncio.wait_for(self._sent.wait(), self._last_wait_s)
            except TimeoutError:
                self._screen.say("No answer came.", label="Memoras")
                return


class _Typed(BaseModel):
    """One line as it was typed."""

    id: str
    text: str
    sent_at: AwareDatetime


class _Screen:
    """What stands in the terminal: answers, a prompt below them, and a passing note while something is written."""

    def __init__(self, output: TextIO, name: str) -> None:
        self._output = output
        self._name = name or "Memora"
        self._is_tty = output.isatty()
        self._has_prompt = False
        self._is_dirty = False

    def begin(self, lines: list[Line], *, has_prompt: bool) -> None:
        self._has_prompt = has_prompt and self._is_tty
        for line in lines:
            who = self._name if line.is_ours else "You"
            self._write(
                self._dim(f"{who}: {_harmless(render(line.text, 'terminal') if line.is_ours else line.text)}\n")
            )
        if self._has_prompt:
            self._write(self._dim(f"You are talking with {_harmless(self._name)}. /quit ends it.\n"))
        self.prompt()

    def prompt(self) -> None:
        if self._has_prompt:
            self._write("> ")
            self._is_dirty = True

    def say(self, text: str, *, label: str) -> None:
        self._clear()
        head = f"{self._name} · {label}" if label else self._name
        self._write(f"{self._bold(_harmless(head))}\n{_harmless(text)}\n\n")
        self.prompt()

    def note(self, text: str) -> None:
        if self._has_prompt:
            self._clear()
            self._write(self._dim(f"{_harmless(self._name)} {text}"))
            self._is_dirty = True

    def end(self) -> None:
        if self._has_prompt:
            self._clear()
            self._write("\n")

    def _clear(self) -> None:
        if self._is_dirty:
            self._write("\r\x1b[K")
            self._is_dirty = False

    def _dim(self, text: str) -> str:
        return f"\x1b[2m{text}\x1b[0m" if self._is_tty else text

    def _bold(self, text: str) -> str:
        return f"\x1b[1m{text}\x1b[0m" if self._is_tty else text

    def _write(self, text: str) -> None:
        self._output.write(text)
        self._output.flush()


# An imported text must not be able to move the cursor or rename the window.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def _harmless(text: str) -> str:
    return _CONTROL.sub("", text).encode("utf-8", "replace").decode()


async def _lines(fd: int) -> AsyncIterator[str]:
    """Yield the lines of a file descriptor as they come.

    A thread reads, which may stay behind in a read that never ends: it holds no lock, so the process can still stop.
    """
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[bytes] = asyncio.Queue()

    def tell(chunk: bytes) -> None:
        with suppress(RuntimeError):  # the loop has closed: nobody listens any more
            loop.call_soon_threadsafe(queue.put_nowait, chunk)

    threading.Thread(target=_read, args=(fd, tell), daemon=True, name="terminal input").start()
    rest = b""
    while chunk := await queue.get():
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line.decode("utf-8", "replace")
        rest = rest[:_MOST_LINE_BYTES]
    if rest:
        yield rest.decode("utf-8", "replace")


def _read(fd: int, tell: Callable[[bytes], None]) -> None:
    while True:
        try:
            chunk = os.read(fd, 65536)
        except OSError:  # a terminal that was closed
            chunk = b""
        tell(chunk)
        if not chunk:
            return
