"""Talk in the terminal: over a server that runs already, or by a Memoras of its own for the time being."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import ClientError, ClientSession, ClientTimeout

from bot.app import opened
from bot.by_hand import choose
from bot.settings import Settings
from channels.terminal import SENDER

Say = Callable[[str], None]

_ENDS = ("/quit", "/exit", "/q")
_LAST_ANSWER_S = 90.0


async def alone(settings: Settings, name: str) -> int:
    """Talk to a persona without a server. Returns the exit status."""
    async with opened(settings) as app:
        if settings.samples:
            await app.make_samples()
        persona = await app.database.read(lambda c: choose(c, name))
        await app.owners.make_owner(persona.slug, "terminal", SENDER)
        async with app.working(lambda one: one.channel == "terminal" and one.persona_id == persona.id):
            await app.accounts.wait_listened()
    return 0


@dataclass(frozen=True, slots=True)
class _Talk:
    session: ClientSession
    slug: str
    say: Say


async def with_server(address: str, token: str, name: str, say: Say) -> int:
    """Talk to a persona of a server that runs on this machine, printing with `say`. Returns the exit status."""
    headers = {"Authorization": f"Bearer {token}"}
    timeout = ClientTimeout(total=None, connect=5)
    async with ClientSession(address, headers=headers, timeout=timeout) as session:
        async with session.get("/local/personas", params={"name": name}) as response:
            found = await response.json()
            if response.status != 200:
                say(found.get("error", "The server did not answer."))
                return 1
        say(f"You are talking to {found['name']}, an AI persona. /quit ends the talk.")
        talk = _Talk(session, found["slug"], say)
        try:
            await _talk(talk)
        except ClientError:
            say("The server went away.")
            return 1
    return 0


async def _talk(talk: _Talk) -> None:
    waiting = asyncio.Event()
    waiting.set()
    async with asyncio.TaskGroup() as group:
        listening = group.create_task(_print_answers(talk, waiting))
        async for line in _lines():
            if line.strip() in _ENDS:
                break
            if line.strip():
                waiting.clear()
                body = {"text": line, "client_id": uuid.uuid4().hex}
                async with talk.session.post(f"/p/{talk.slug}/messages", json=body) as response:
                    if response.status >= 400:
                        talk.say((await response.json())["error"]["message"])
                        waiting.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_ANSWER_S):
                await waiting.wait()
        listening.cancel()


async def _print_answers(talk: _Talk, waiting: asyncio.Event) -> None:
    async with talk.session.get(f"/p/{talk.slug}/messages") as response:
        seen = max((line["id"] for line in (await response.json())["messages"]), default=0)
    url = f"/p/{talk.slug}/events"
    async with talk.session.get(url, headers={"Last-Event-ID": str(seen)}) as response:
        async for name, facts in _events(response.content):
            if name == "message" and facts["is_ours"]:
                label = f"  [{facts['label']}]" if facts.get("label") else ""
                talk.say(f"\n{facts['text']}{label}\n")
                waiting.set()


async def _events(content: Any) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    name, data = "message", []
    async for raw in content:
        line = raw.decode().rstrip("\r\n")
        if line.startswith("event:"):
            name = line[6:].strip()
        elif line.startswith("data:"):
            data.append(line[5:].strip())
        elif not line and data:
            yield name, json.loads("\n".join(data))
            name, data = "message", []


async def _lines() -> AsyncIterator[str]:
    while True:
        line = await asyncio.to_thread(sys.stdin.readline)
        if not line:
            return
        yield line.rstrip("\n")
