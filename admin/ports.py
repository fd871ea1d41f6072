"""What the pages need of the rest and cannot import: the channels, the imports and the talk, as the bot offers them."""

from __future__ import annotations

import html
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from aiohttp import web

from knowledge.clock import Clock
from knowledge.database import Database
from knowledge.live import Live
from knowledge.recall import Recall


@dataclass(frozen=True, slots=True, kw_only=True)
class FormField:
    """One field of a form: `name` is the settings' field, `help` one sentence."""

    name: str
    label: str
    help: str = ""
    is_secret: bool = False
    is_required: bool = True
    choices: tuple[tuple[str, str], ...] = ()
    default: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelForm:
    """How an account of one channel is connected: the steps to do on the platform, then the fields to fill in."""

    channel: str
    title: str
    steps: tuple[str, ...]
    fields: tuple[FormField, ...]
    docs: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountCheck:
    """What trying an account's credentials gave, in words for a person."""

    is_ok: bool
    summary: str
    next_step: str = ""


class Channels(Protocol):
    """The accounts, as far as the pages deal with them."""

    def forms(self) -> list[ChannelForm]:
        """Return the channels that can be connected on a page."""

    async def connect(self, persona_id: str, channel: str, values: dict[str, str]) -> tuple[str, AccountCheck]:
        """Check the values against the platform, store the account and start it; return its id and the check.

        Raises:
            FormInvalid: when a field is wrong or the platform refused the credentials; nothing was stored.
        """

    async def started_persona(self, persona_id: str) -> None:
        """Start the accounts of a persona that was just made."""

    async def check(self, account_id: str) -> AccountCheck:
        """Try the account's stored credentials."""

    async def switch(self, account_id: str, *, is_on: bool) -> None:
        """Start or stop an account."""

    async def remove(self, account_id: str) -> None:
        """Stop the account and delete its credentials."""

    def invitation_links(self, persona_id: str, token: str) -> list[tuple[str, str]]:
        """Return (channel title, link) for every account on which an invitation with this token can be used."""


class Imports(Protocol):
    """The imports, as far as the pages deal with them. Their rows are read with `knowledge.importing`."""

    async def upload(self, name: str, chunks: AsyncIterator[bytes]) -> str:
        """Store an uploaded file in the data folder and return its path.

        Raises:
            ArchiveInvalid: when it is larger than an import may be.
        """

    async def start(
        self,
        persona_id: str,
        path: str,
        *,
        name: str = "",
        audience: str = "owner",
        owner_names: tuple[str, ...] = (),
        timezone: str = "UTC",
        day_first: bool | None = None,
    ) -> str:
        """Queue an import and return its job's id; its progress is published under `import/<job id>`."""

    async def undo(self, source_id: str) -> int:
        """Take back everything one import brought; return how many memories went."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TalkLine:
    """One line of the talk page. `html` is safe markup made of the message's text."""

    id: int
    html: str
    is_ours: bool
    at: datetime
    label: str = ""
    state: str = ""
    key: str = ""
    """What the same line is called in the live stream, so that it is shown once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TalkView:
    """What the talk page shows this visitor. `is_welcome` is False for a private persona and a stranger."""

    is_welcome: bool
    is_owner: bool
    lines: tuple[TalkLine, ...] = ()
    set_cookie: tuple[str, str] | None = None


class Talk(Protocol):
    """The talk of one visitor with one persona."""

    async def view(self, request: web.Request, slug: str) -> TalkView:
        """Return what was said so far and whether this visitor may talk here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Everything the pages are built from."""

    database: Database
    clock: Clock
    live: Live
    recall: Recall
    channels: Channels
    imports: Imports
    talk: Talk
    public_url: str
    setup_code: str
    """Shown once in the terminal; needed to create the first operator while there is none."""
    answering: str
    """How answers are made, in words: the model's name, or the offline answerer."""
    is_secure: bool = False
    """Whether the pages are reached over HTTPS, so cookies carry `Secure`."""
    said_html: Callable[[str], str] = lambda text: f"<p>{html.escape(text)}</p>"
    """Safe markup of what a persona said, whose words are CommonMark."""
    facts: dict[str, str] = field(default_factory=dict)
    on_knowledge_changed: Callable[[str], None] = lambda persona_id: None
    """Told the persona's id after a page changed what it remembers."""
