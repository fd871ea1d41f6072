"""A house for the journeys: personas with memories and accounts, furnished before a server opens their folder."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from aiohttp import ClientError, ClientSession

from bot.app import Folder
from knowledge import invitations, personas, schema
from knowledge.accounts import create_account, update_settings
from knowledge.clock import SystemClock
from knowledge.database import Connection
from knowledge.memories import MemoryDraft, add_memories
from knowledge.secrets import SecretBox
from knowledge.tables import Account, Persona
from tests.platforms.server import Server, change, look

T = TypeVar("T")

PATIENCE_S = 60.0
"""How long anything may take on a machine that does much else; nothing waits that long where all is well."""

_LOOK_S = 0.05

CHAT = """\
14/03/2021, 18:02 - Messages and calls are end-to-end encrypted. No one outside of this chat can read them.
14/03/2021, 18:02 - Iria: Grandpa, where did you learn to dance?
14/03/2021, 18:05 - Anselmo Rey: I learnt to dance in the hayloft of my aunt Casilda, with a broom for a partner.
14/03/2021, 18:06 - Iria: And the clarinet?
14/03/2021, 18:09 - Anselmo Rey: The clarinet I bought in Ourense with my first wages from the sawmill.
15/03/2021, 09:30 - Iria: What did the doctor say?
15/03/2021, 09:41 - Anselmo Rey: The doctor says my left knee will not see another winter on skis.
"""
CLARINET, DANCE, KNEE = "with my first wages from the sawmill", "with a broom for a partner", "my left knee"
"""Words of the chat that answer a question about it."""


class House:
    """The data folder of one server. What changes it is called while no server runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        schema.upgrade(Folder(folder).database)

    def persona(
        self,
        name: str,
        *told: str,
        visibility: str = "public",
        audience: str = "public",
        languages: tuple[str, ...] = ("en",),
    ) -> Persona:
        """Make a persona that remembers having told these things, to people of one audience."""
        at = SystemClock().now()

        def make(c: Connection) -> Persona:
            found = personas.create_persona(
                c, name=name, kind="fictional", visibility=visibility, languages=languages, at=at
            )
            self._tell(c, found.id, told, audience)
            return found

        return change(self.folder, make)

    def tell(self, persona: Persona, *told: str, audience: str) -> None:
        """Let a persona remember more."""
        change(self.folder, lambda c: self._tell(c, persona.id, told, audience))

    def account(self, persona: Persona, channel: str, settings: Mapping[str, Any], **fields: Any) -> Account:
        """Connect a persona to a channel."""
        at = SystemClock().now()
        box = SecretBox(Folder(self.folder).key)
        fields = {"name": channel, **fields}
        return change(
            self.folder,
            lambda c: create_account(
                c, box, persona_id=persona.id, channel=channel, settings=settings, at=at, **fields
            ),
        )

    def set_up_again(self, account: Account, settings: Mapping[str, Any]) -> None:
        """Give an account other settings."""
        box = SecretBox(Folder(self.folder).key)
        change(self.folder, lambda c: update_settings(c, box, account.id, settings))

    def invitation(self, persona: Persona, circle: str) -> str:
        """Return the token of a new invitation."""
        at = SystemClock().now()
        return change(self.folder, lambda c: invitations.invite(c, persona_id=persona.id, circle=circle, at=at)[1])

    def look(self, query: Callable[[Connection], T]) -> T:
        """Read, whether a server runs or not."""
        return look(self.folder, query)

    def _tell(self, c: Connection, persona_id: str, told: tuple[str, ...], audience: str) -> None:
        at = SystemClock().now()
        drafts = [
            MemoryDraft(
                persona_id=persona_id,
                natural_key=f"house:{audience}:{number}",
                kind="said",
                text=text,
                language="en",
                audience=audience,
                is_own=True,
                session="house",
                place=number,
                happened_at=at,
            )
            for number, text in enumerate(told)
        ]
        add_memories(c, drafts, at=at)


async def health(server: Server) -> dict[str, Any]:
    """Return what a server says about itself, nothing while it does not answer."""
    async with ClientSession() as session:
        try:
            async with session.get(f"{server.url}/health") as response:
                found: dict[str, Any] = await response.json()
        except (ClientError, OSError):
            return {}
        return found


async def until(is_so: Callable[[dict[str, Any]], bool], server: Server, *, patience_s: float = PATIENCE_S) -> None:
    """Wait until what a server says about itself is so."""
    async with asyncio.timeout(patience_s):
        while not is_so(await health(server)):
            await asyncio.sleep(_LOOK_S)


async def at_rest(server: Server) -> None:
    """Wait until a server has answered and sent everything: nothing more will come by itself."""

    def is_idle(found: dict[str, Any]) -> bool:
        unsent = found.get("outbox", {})
        return found.get("inbox_waiting") == 0 and not unsent.get("pending") and not unsent.get("sending")

    await until(is_idle, server)


async def has_learnt(server: Server) -> None:
    """Wait until everything that is remembered can be found."""
    await until(
        lambda found: bool(found) and not found["recall"]["words_waiting"] and found["recall"]["memories"] > 0, server
    )
