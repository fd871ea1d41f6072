"""The path of a message: the real server over the local Telegram, from the webhook to the send.

The server is a process of its own, with durable commits and 10,000 memories of the persona; Telegram and the model
are in this one. Bursts are not waited for (quiet time 0), but where a line says otherwise.
"""

from __future__ import annotations

import asyncio
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.dialogues import make_dialogue
from knowledge.clock import SystemClock
from knowledge.database import Connection
from knowledge.memories import MemoryDraft, add_memories, create_source
from tests.platforms.openai import OpenAI
from tests.platforms.server import Server, change, furnish, look
from tests.platforms.telegram import LocalBot, Telegram

_MEMORIES = 10_000
_INDEXED_S = 180.0


@dataclass
class Stage:
    """A running server with its platform and its model."""

    telegram: Telegram
    bot: LocalBot
    model: OpenAI
    server: Server

    async def wait_quiet(self) -> None:
        """Wait until everything written was taken and nothing more is sent."""
        await self.telegram.settled(timeout_s=60)
        count = -1
        while count != len(self.telegram.sent()):
            count = len(self.telegram.sent())
            await asyncio.sleep(0.5)


def say(text: str) -> None:
    """Print one line of figures."""
    sys.stdout.write(f"   {text}\n")
    sys.stdout.flush()


@asynccontextmanager
async def stage(
    *, memories: int = _MEMORIES, has_model: bool = False, **settings: str | int | float
) -> AsyncIterator[Stage]:
    """Yield a server that is ready and has indexed what the persona remembers."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as temporary:
        folder = Path(temporary) / "data"
        async with Telegram() as telegram:
            bot = telegram.bot()
            model = OpenAI()
            await model.start()
            token = {"token": bot.token, "api_base": telegram.url, "secret_token": "benchmark"}
            persona_id, _ = furnish(folder, {"telegram": token})
            if memories:
                change(folder, lambda c: _remember(c, persona_id, memories))
            wanted: dict[str, str | int | float] = {"quiet_s": 0, "sends_per_second": 100_000, **settings}
            if has_model:
                wanted |= {"model_url": model.url, "model_name": "instant", "model_key": "sk-local"}
            server = Server(folder, **wanted)
            await server.start()
            try:
                await wait_loaded(server, memories=memories)
                yield Stage(telegram, bot, model, server)
            finally:
                await server.stop()
                await model.stop()


def _remember(c: Connection, persona_id: str, count: int) -> None:
    at = SystemClock().now()
    source = create_source(c, persona_id=persona_id, kind="import", name="benchmark", audience="public", at=at)
    turns = [turn for seed in range(count // 500) for turn in make_dialogue("en", seed, turns=500).turns][:count]
    drafts = [
        MemoryDraft(
            persona_id=persona_id,
            natural_key=f"benchmark:{number}",
            kind="said" if turn.is_own else "heard",
            text=turn.text,
            context=turn.context,
            language="en",
            audience="public",
            speaker=turn.speaker,
            is_own=turn.is_own,
            session=f"{number // 500}:{turn.session}",
            place=turn.place,
            happened_at=turn.at,
            source_id=source.id,
        )
        for number, turn in enumerate(turns)
    ]
    add_memories(c, drafts, at=at)


async def wait_loaded(server: Server, *, memories: int) -> None:
    """Wait until recall has read everything, so that figures are those of a server at work."""
    from aiohttp import ClientSession

    until = time.monotonic() + _INDEXED_S
    async with ClientSession() as session:
        while time.monotonic() < until:
            async with session.get(f"{server.url}/health") as response:
                status = await response.json()
            recall = status["recall"]
            has_read = recall["memories"] and not (recall["words_waiting"] or recall["vectors_waiting"])
            if status["has_loaded"] and (has_read or not memories):
                return
            await asyncio.sleep(0.2)
    say(f"recall was still reading after {_INDEXED_S:.0f} s")


# ------------------------------------------------------------------------------------------ the cases


async def one_at_a_time(on: Stage, *, count: int = 200) -> None:
    """(a) One message, its answer, then the next."""
    person = on.telegram.person("Ann", has_met=True)
    took = []
    for number in range(count):
        before = len(on.telegram.sent(person.id))
        await person.writes(f"What did you do in the garden, number {number}?")
        await on.telegram.sends(before + 1, person.id)
        delivery = on.bot.deliveries[-1]
        took.append((on.telegram.sent(person.id)[-1].at - delivery.sent_at) * 1000)
    took = took[10:]  # the first ones warm up
    p99 = statistics.quantiles(took, n=100)[98]
    say(f"(a) one at a time: median {statistics.median(took):.1f} ms, p99 {p99:.1f} ms over {len(took)} messages")


async def all_at_once(on: Stage, *, messages: int = 500, chats: int = 50, label: str) -> None:
    """(b) Everything at once, over many chats."""
    people = [on.telegram.person(f"P{number}", has_met=True) for number in range(chats)]
    cpu_before = _cpu_s(on.server)
    sent_before = len(on.telegram.sent())
    began = time.monotonic()
    for number in range(messages):
        await people[number % chats].writes(f"Do you remember the market in {1950 + number % 40}, number {number}?")
    await on.telegram.settled(timeout_s=120)
    await asyncio.to_thread(_wait_answered, on.server.folder)
    await on.wait_quiet()
    last = max(sent.at for sent in on.telegram.sent()[sent_before:])
    spent = last - began
    answers = len(on.telegram.sent()) - sent_before
    cpu = (_cpu_s(on.server) - cpu_before) / messages * 1000
    say(
        f"(b) {messages} at once over {chats} chats, {label}: {messages / spent:.0f} messages/s in {answers} answers, "
        f"{cpu:.1f} CPU ms a message"
    )


def _wait_answered(folder: Path) -> None:
    until = time.monotonic() + 120
    while time.monotonic() < until:
        if not look(folder, _open_rows):
            return
        time.sleep(0.1)
    raise TimeoutError("messages were left unanswered")


def _open_rows(c: Connection) -> int:
    from knowledge import inbox, outbox

    counts = outbox.counts(c)
    return inbox.count_waiting(c) + counts.get("pending", 0) + counts.get("sending", 0)


async def five_quick_lines(on: Stage) -> None:
    """(c) Five quick lines in one chat, with the quiet time of the default."""
    person = on.telegram.person("Bea", has_met=True)
    for line in ("Hi", "it's me", "I wanted to ask", "about the bread", "how do you make it?"):
        await person.writes(line)
        await asyncio.sleep(0.3)
    await on.telegram.sends(1, person.id)
    await asyncio.sleep(2.5)
    say(f"(c) five quick lines: {len(on.telegram.sent(person.id))} answer(s)")


async def slow_answers(on: Stage, *, count: int = 20, model_s: float = 2.0) -> None:
    """(d) Twenty answers at once from a model that takes two seconds."""
    first = on.telegram.person("Warm", has_met=True)
    await first.writes("Hello")  # the first answer loads the model's library
    await on.telegram.sends(1, first.id, timeout_s=60)
    on.model.delay_s = model_s
    people = [on.telegram.person(f"S{number}", has_met=True) for number in range(count)]
    began = time.monotonic()
    for person in people:
        await person.writes("Tell me a long story")
    for person in people:
        await on.telegram.sends(1, person.id, timeout_s=60)
    on.model.delay_s = 0.0
    took = [on.telegram.sent(person.id)[0].at - began for person in people]
    calls = on.model.calls_s[-count:] if on.model.calls_s else [model_s]
    typing = sum(1 for person in people if "typing" in on.telegram.actions.get(person.id, []))
    say(
        f"(d) {count} slow answers at once: all {len(took)} came, the last {max(took):.2f} s after the first question "
        f"(a model call took {max(calls):.2f} s at most), {typing} with a typing action"
    )


async def same_update_twice(on: Stage) -> None:
    """(e) The same update, delivered twice."""
    person = on.telegram.person("Dup", has_met=True)
    on.telegram.faults.duplicate = 1.0
    await person.writes("Only once, please")
    await on.telegram.sends(1, person.id)
    await on.wait_quiet()
    on.telegram.faults.duplicate = 0.0
    update = on.bot.deliveries[-1].update_id
    deliveries = sum(1 for one in on.bot.deliveries if one.update_id == update)
    say(f"(e) the same update {deliveries} times: {len(on.telegram.sent(person.id))} answer(s)")


async def limited(on: Stage) -> None:
    """(f) A 429 that asks for two seconds."""
    person = on.telegram.person("Lim", has_met=True)
    on.telegram.fail("429", "sendMessage", seconds=2, chat_id=person.id)
    began = time.monotonic()
    await person.writes("Hello?")
    await on.telegram.sends(1, person.id, timeout_s=30)
    await asyncio.sleep(1.0)
    sent = on.telegram.sent(person.id)
    say(f"(f) a 429 with retry_after 2: sent {len(sent)} time(s), {sent[0].at - began:.2f} s after the question")


async def failing_model(on: Stage) -> None:
    """(g) A model that answers 500."""
    person = on.telegram.person("Five", has_met=True)
    on.model.fail("500", times=50)
    began = time.monotonic()
    await person.writes("Who are your children?")
    await on.telegram.sends(1, person.id, timeout_s=30)
    on.model.faults.clear()
    engines = look(on.server.folder, _last_engine)
    say(f"(g) a model that answers 500: the {engines} answer after {time.monotonic() - began:.2f} s")


def _last_engine(c: Connection) -> str:
    from knowledge.tables import Turn

    turns = Turn.__table__  # type: ignore[attr-defined]
    row = c.execute(turns.select().order_by(turns.c.id.desc()).limit(1)).one()
    return str(row.engine)


async def killed_in_flight(on: Stage, *, count: int = 20) -> None:
    """(h) kill -9 with twenty messages in flight."""
    people = [on.telegram.person(f"K{number}", has_met=True) for number in range(count)]
    for person in people:
        await person.writes("Are you still there?")
    await asyncio.sleep(0.15)
    await on.server.stop(9)
    before = sum(len(on.telegram.sent(person.id)) for person in people)
    began = time.monotonic()
    await on.server.start()
    for person in people:
        await on.telegram.sends(1, person.id, timeout_s=60)
    spent = time.monotonic() - began
    await on.wait_quiet()
    heard = [len(on.telegram.sent(person.id)) for person in people]
    say(
        f"(h) kill -9 with {count} in flight, {before} sends before it: {heard.count(0)} lost, "
        f"{sum(1 for n in heard if n > 1)} twice, the last answered {spent:.2f} s after the restart began"
    )


def _cpu_s(server: Server) -> float:
    assert server.process is not None
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def main() -> None:
    """Measure and print."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
    async with stage() as on:
        await one_at_a_time(on)
        await all_at_once(on, label="recall with query embedding")
        await same_update_twice(on)
        await limited(on)
        await killed_in_flight(on)
    async with stage(embedder="false") as on:
        await one_at_a_time(on, count=60)
        await all_at_once(on, label="recall by words alone")
    async with stage(quiet_s=1.2) as on:
        await five_quick_lines(on)
    async with stage(has_model=True) as on:
        await slow_answers(on)
        await failing_model(on)
        await all_at_once(on, messages=200, label="an instant model over HTTP")
