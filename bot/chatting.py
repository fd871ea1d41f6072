"""Talk in the terminal: over a server that runs already, or by a Memoras of its own for the time being."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from aiohttp import ClientError, ClientSession, ClientTimeout

from bot.app import App, opened
from bot.settings import Settings
from channels.contract import Sender
from channels.terminal import OWNER_ID
from knowledge import personas
from knowledge.database import Connection
from knowledge.errors import NotFound
from knowledge.tables import Persona

_ENDS = ("/quit", "/exit", "/q")
_LAST_ANSWER_S = 90.0


async def alone(settings: Settings, name: str) -> int:
    """Talk to a persona without a server. Returns the exit status."""
    async with opened(settings) as app:
        if settings.samples:
            await app.make_samples()
        persona = await app.database.read(lambda c: choose(c, name))
        sender = Sender(id=OWNER_ID)
        await app.owners.make_owner(persona.slug, "terminal", sender)
        async with app.working(lambda one: one.channel == "terminal" and one.persona_id == persona.id):
            await app.accounts.wait_listened()
    return 0


def choose(c: Connection, name: str) -> Persona:
    """Return the persona of that name, the first one when no name is given.

    Raises:
        NotFound: listing those there are.
    """
    found = personas.personas(c)
    if not found:
        raise NotFound("There is no persona yet: import something with ./run import PATH --persona NAME.")
    if not name:
        return found[0]
    persona = personas.persona_by_name(c, name)
    if persona is None:
        known = ", ".join(one.name for one in found)
        raise NotFound(f"There is no persona called {name}. There are: {known}.")
    return persona


@dataclass(frozen=True, slots=True)
class _Talk:
    session: ClientSession
    slug: str


async def with_server(address: str, token: str, name: str) -> int:
    """Talk to a persona of a server that runs on this machine. Returns the exit status."""
    headers = {"Authorization": f"Bearer {token}"}
    timeout = ClientTimeout(total=None, connect=5)
    async with ClientSession(address, headers=headers, timeout=timeout) as session:
        async with session.get("/local/personas", params={"name": name}) as response:
            found = await response.json()
            if response.status != 200:
                print(found.get("error", "The server did not answer."), file=sys.stderr)
                return 1
        print(f"You are talking to {found['name']}, an AI persona. /quit ends the talk.")
        talk = _Talk(session, found["slug"])
        try:
            await _talk(talk)
        except ClientError:
            print("The server went away.", file=sys.stderr)
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
                        print((await response.json()).get("message", "That was not accepted."), file=sys.stderr)
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
                print(f"\n{facts['text']}{label}\n", flush=True)
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


__all__ = ["App", "alone", "choose", "with_server"]
