"""The talk in a terminal: over a real pipe and over a real pseudo-terminal."""

from __future__ import annotations

import asyncio
import io
import os
import pty
import termios
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from channels.contract import AccountConfig, Chat, Outbound, Received, Text
from channels.own_settings import TerminalSettings
from channels.terminal import SENDER, TerminalAdapter
from tests.channels.kit import MemoryInlet, MemoryTranscript, ports

ACCOUNT = AccountConfig(id="a1", settings=TerminalSettings(), display_name="Rosa")


class TtyText(io.StringIO):
    """A screen that says it is one."""

    def isatty(self) -> bool:
        return True


@dataclass
class Desk:
    """Somebody typing: what is typed goes to `keys`, what is shown is in `screen`."""

    adapter: TerminalAdapter
    keys: int
    screen: io.StringIO
    inlet: Answering
    transcript: MemoryTranscript

    def type(self, text: str) -> None:
        os.write(self.keys, text.encode())

    def finish(self) -> None:
        """End what is typed."""
        if self.keys >= 0:
            os.close(self.keys)
        self.keys = -1

    def heard(self) -> list[str]:
        return [
            part.text
            for one in self.inlet.received.values()
            if one.inbound
            for part in one.inbound.parts
            if isinstance(part, Text)
        ]

    async def until(self, count: int) -> None:
        """Wait until so many lines were accepted."""
        async with asyncio.timeout(10):
            while len(self.inlet.received) < count:
                await self.inlet.came.wait()
                self.inlet.came.clear()


class Answering(MemoryInlet):
    """An inlet that tells when something came."""

    def __init__(self) -> None:
        super().__init__()
        self.came = asyncio.Event()

    async def accept(self, received: Sequence[Received], *, cursor: tuple[str, str] | None = None) -> int:
        count = await super().accept(received, cursor=cursor)
        self.came.set()
        return count


@asynccontextmanager
async def a_pipe(**options: float) -> AsyncIterator[Desk]:
    readable, writable = os.pipe()
    inlet, transcript, screen = Answering(), MemoryTranscript(), io.StringIO()
    adapter = TerminalAdapter(ACCOUNT, ports(transcript=transcript), input_fd=readable, output=screen, **options)
    desk = Desk(adapter, writable, screen, inlet, transcript)
    try:
        yield desk
    finally:
        desk.finish()
        os.close(readable)


@asynccontextmanager
async def a_terminal(transcript: MemoryTranscript | None = None) -> AsyncIterator[Desk]:
    keys, screen_end = pty.openpty()
    looks = termios.tcgetattr(screen_end)
    looks[3] &= ~termios.ECHO
    termios.tcsetattr(screen_end, termios.TCSANOW, looks)
    inlet, said, screen = Answering(), transcript or MemoryTranscript(), TtyText()
    adapter = TerminalAdapter(ACCOUNT, ports(transcript=said), input_fd=screen_end, output=screen)
    try:
        yield Desk(adapter, keys, screen, inlet, said)
    finally:
        os.close(keys)
        os.close(screen_end)


def _outbound(key: str, text: str, label: str = "") -> Outbound:
    return Outbound(key=key, chat=Chat(id=SENDER.id), parts=(Text(text=text),), label=label)


async def _answer(desk: Desk, key: str, text: str, label: str = "") -> None:
    """Say something as the bot does: first into the transcript, then sent."""
    desk.transcript.add(SENDER.id, text, is_ours=True, key=key, label=label)
    await desk.adapter.send(_outbound(key, text, label))


async def _everyone_runs() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


async def test_a_pipe_is_read_to_its_end_and_the_talk_ends_when_all_is_answered() -> None:
    async with a_pipe() as desk, asyncio.timeout(10), asyncio.TaskGroup() as group:
        listening = group.create_task(desk.adapter.listen(desk.inlet))
        desk.type("Good morning\n\nHow was the bread?\nlast line without end")
        desk.finish()
        await desk.until(3)
        for text in desk.heard()[:2]:
            desk.transcript.add(SENDER.id, text, is_ours=False)
        await _answer(desk, "t1.0", "I am an AI.")
        await _everyone_runs()
        assert not listening.done()
        desk.transcript.add(SENDER.id, desk.heard()[2], is_ours=False)
        desk.transcript.add(SENDER.id, "It was **good**.", is_ours=True, key="t2.1")
        await _answer(desk, "t2.0", "Dear,", "offline answer")
        await _everyone_runs()
        assert not listening.done()
        await desk.adapter.send(_outbound("t2.1", "It was **good**."))
        await listening
    assert desk.heard() == ["Good morning", "How was the bread?", "last line without end"]
    assert desk.screen.getvalue() == "Rosa\nI am an AI.\n\nRosa · offline answer\nDear,\n\nRosa\nIt was good.\n\n"


async def test_an_empty_pipe_ends_at_once() -> None:
    async with a_pipe() as desk, asyncio.timeout(10):
        desk.finish()
        await desk.adapter.listen(desk.inlet)
    assert (desk.screen.getvalue(), desk.inlet.received) == ("", {})


async def test_a_pipe_does_not_wait_for_ever() -> None:
    async with a_pipe(last_wait_s=0.01) as desk, asyncio.timeout(10):
        desk.type("Anybody?\n")
        desk.finish()
        await desk.adapter.listen(desk.inlet)
    assert "No answer came." in desk.screen.getvalue()


async def test_lines_typed_before_the_start_do_not_count_as_answers() -> None:
    async with a_pipe() as desk, asyncio.timeout(10), asyncio.TaskGroup() as group:
        desk.transcript.add(SENDER.id, "yesterday", is_ours=False)
        desk.transcript.add(SENDER.id, "an old answer", is_ours=True)
        listening = group.create_task(desk.adapter.listen(desk.inlet))
        desk.type("today\n")
        desk.finish()
        await desk.until(1)
        await desk.adapter.show("typing", Chat(id=SENDER.id))
        await desk.adapter.send(_outbound("of yesterday", "sent late"))
        await _everyone_runs()
        assert not listening.done()
        desk.transcript.add(SENDER.id, "today", is_ours=False)
        await _answer(desk, "new", "a new answer")
        await listening
    assert desk.screen.getvalue() == "Rosa\nsent late\n\nRosa\na new answer\n\n"


async def test_in_a_terminal_the_last_words_are_shown_and_control_d_ends() -> None:
    said = MemoryTranscript()
    for number in range(9):
        said.add(SENDER.id, f"line **{number}**", is_ours=number % 2 == 0)
    async with a_terminal(said) as desk, asyncio.timeout(10), asyncio.TaskGroup() as group:
        listening = group.create_task(desk.adapter.listen(desk.inlet))
        desk.type("hello\nit is me\n")
        await desk.until(2)
        await desk.adapter.show("typing", Chat(id=SENDER.id))
        await _answer(desk, "t1.0", "Hi!")
        desk.type("\x04")
        await listening
    shown = desk.screen.getvalue()
    assert "line **2**" not in shown
    assert "You: line **3**" in shown
    assert "Rosa: line 8" in shown
    assert "Rosa is writing…" in shown
    assert "Rosa\x1b[0m\nHi!\n\n> " in shown
    assert desk.heard() == ["hello", "it is me"]


async def test_quit_ends_without_being_said() -> None:
    async with a_terminal() as desk, asyncio.timeout(10):
        desk.type("/quit\n")
        await desk.adapter.listen(desk.inlet)
    assert not desk.inlet.received


async def test_being_cancelled_ends_it_though_nothing_was_typed() -> None:
    async with a_terminal() as desk:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await desk.adapter.listen(desk.inlet)
        assert desk.screen.getvalue().endswith("\x1b[K\n")


async def test_the_same_message_is_printed_once() -> None:
    async with a_pipe() as desk:
        outbound = _outbound("t1.0", "Hi")
        assert await desk.adapter.reconcile(outbound) is None
        assert await desk.adapter.send(outbound) == await desk.adapter.send(outbound)
        assert await desk.adapter.reconcile(outbound) is not None
    assert desk.screen.getvalue().count("Hi") == 1


async def test_an_imported_text_cannot_steer_the_terminal() -> None:
    async with a_pipe() as desk:
        await desk.adapter.send(_outbound("t1.0", "a\x1b[2Jb\x9bc\x07d", label="x\x1b]0;y"))
    assert desk.screen.getvalue() == "Rosa · x]0;y\na[2Jbcd\n\n"


async def test_a_line_that_could_not_be_kept_is_said_so() -> None:
    async with a_pipe() as desk, asyncio.timeout(10):
        desk.inlet.is_broken = True
        desk.type("lost?\n")
        desk.finish()
        await desk.adapter.listen(desk.inlet)
    assert "Write it again" in desk.screen.getvalue()


async def test_two_runs_never_share_an_event() -> None:
    ids = []
    for _ in range(2):
        async with a_pipe(last_wait_s=0.0) as desk, asyncio.timeout(10):
            desk.type("hello\n")
            desk.finish()
            await desk.adapter.listen(desk.inlet)
            ids += list(desk.inlet.received)
    assert len(set(ids)) == 2
