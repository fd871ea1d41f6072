"""The talk of the web and the terminal: who sits there, and what was said so far."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from admin.ports import TalkLine, TalkView
from bot import words
from channels.contract import Line, Media, Sender, Visitors
from channels.web import line_html
from knowledge import accounts, conversations, people, personas
from knowledge.clock import Clock
from knowledge.database import Connection, Database
from knowledge.joining import attach_identity
from knowledge.tables import Account, Message, Persona

SignedIn = Callable[[web.Request], Awaitable[tuple[str, str] | None]]
"""Returns (id, name) of whoever may speak as the owner, None for everybody else."""

_OWNER = "owner:"


class AccountTranscript:
    """What was said in the chats of one account."""

    def __init__(self, account_id: str, *, database: Database) -> None:
        self._account_id = account_id
        self._database = database

    async def lines(self, sender: Sender, *, after: int = 0, limit: int = 100) -> list[Line]:
        return await self._database.read(lambda c: _lines(c, self._account_id, sender, after=after, limit=limit))


class Owners:
    """Lets those who run the server talk as a persona's owner."""

    def __init__(self, *, database: Database, clock: Clock, signed_in: SignedIn) -> None:
        self._database = database
        self._clock = clock
        self._signed_in = signed_in
        self._known: set[tuple[str, str]] = set()

    async def sender(self, request: web.Request) -> Sender | None:
        """Return the owner behind a request to a persona's page, None for a visitor."""
        found = await self._signed_in(request)
        if found is None:
            return None
        sender = Sender(id=f"{_OWNER}{found[0]}", name=found[1])
        slug = request.match_info.get("slug") or request.path.strip("/").split("/")[1:2]
        await self.make_owner(slug if isinstance(slug, str) else "".join(slug), "web", sender)
        return sender

    async def make_owner(self, slug: str, channel: str, sender: Sender) -> None:
        """Make sure that a sender on a channel is the owner of a persona. Once per process and pair."""
        if (slug, sender.id) in self._known:
            return
        at = self._clock.now()

        def change(c: Connection) -> bool:
            persona = personas.persona_by_slug(c, slug)
            account = _account(c, persona, channel) if persona else None
            if persona is None or account is None:
                return False
            identified = people.identify(c, account_id=account.id, platform_user_id=sender.id, name=sender.name, at=at)
            owner = people.owner_person(c, persona.id)
            if identified.person.id != owner.id:
                attach_identity(c, identified.identity.id, owner.id)
            return True

        if await self._database.write(change):
            self._known.add((slug, sender.id))


class WebTalk:
    """What the talk page shows one visitor."""

    def __init__(self, *, database: Database, visitors: Visitors) -> None:
        self._database = database
        self._visitors = visitors

    async def view(self, request: web.Request, slug: str) -> TalkView:
        visitor = await self._visitors.identify(request)

        def query(c: Connection) -> TalkView:
            persona = personas.persona_by_slug(c, slug)
            account = _account(c, persona, "web") if persona else None
            if persona is None or account is None:
                return TalkView(is_welcome=False, is_owner=False)
            person_id = people.person_id_of(c, account.id, visitor.sender.id)
            is_known = person_id is not None and bool(people.circles_of(c, person_id))
            is_owner = visitor.sender.id.startswith(_OWNER)
            is_welcome = is_owner or is_known or persona.visibility != "private"
            lines = _lines(c, account.id, visitor.sender, after=0, limit=100) if is_welcome else []
            return TalkView(
                is_welcome=is_welcome,
                is_owner=is_owner,
                lines=tuple(_talk_line(line) for line in lines),
                set_cookie=visitor.set_cookie,
            )

        return await self._database.read(query)


def _account(c: Connection, persona: Persona, channel: str) -> Account | None:
    return next((one for one in accounts.accounts(c, persona.id) if one.channel == channel), None)


def _lines(c: Connection, account_id: str, sender: Sender, *, after: int, limit: int) -> list[Line]:
    key = conversations.conversation_key(account_id, sender.id, None, sender.id)
    conversation = conversations.conversation_by_key(c, key)
    if conversation is None:
        return []
    return [_line(one) for one in conversations.messages_of(c, conversation.id, after_id=after, limit=limit)]


def _line(message: Message) -> Line:
    assert message.id is not None
    parts = words.from_json(message.parts)
    return Line(
        id=message.id,
        key=message.key,
        text=message.text,
        is_ours=message.direction == "out",
        at=message.sent_at,
        label=message.label,
        state=message.state,
        media=tuple(part.file for part in parts if isinstance(part, Media)),
    )


def _talk_line(line: Line) -> TalkLine:
    return TalkLine(
        id=line.id,
        key=line.key,
        html=line_html(line),
        is_ours=line.is_ours,
        at=line.at,
        label=line.label,
        state=line.state,
    )
