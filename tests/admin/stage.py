"""What the pages' tests stand on: a real server and database, with the channels, imports and talk in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from aiohttp import web

from admin.auth import GATE
from admin.errors import FormInvalid
from admin.ports import AccountCheck, ChannelForm, FormField, Services, TalkLine, TalkView
from admin.site import make_site
from channels.contract import AccountConfig, Outbound, Sender, Text
from channels.own_settings import WebSettings
from channels.web import CookieVisitors, WebAdapter, line_html
from knowledge import accounts, conversations, incidents, invitations, memories, people, personas, profiles, turns
from knowledge.clock import Clock
from knowledge.database import Connection, Database
from knowledge.errors import ArchiveInvalid
from knowledge.live import InProcessLive
from knowledge.memories import MemoryDraft
from knowledge.recall import Period, Recalled
from knowledge.rows import insert
from knowledge.secrets import SecretBox
from knowledge.tables import ImportJob, Persona, Turn
from knowledge.viewer import Viewer, owner_viewer
from tests.channels.kit import MemoryInlet, MemoryTranscript, ports, serving

SETUP_CODE = "orchard-lantern"
PASSWORD = "a quiet long password"
MOST_UPLOAD_BYTES = 1_000_000


@dataclass
class MemoryChannels:
    """The accounts, as a bot with one more channel would offer them."""

    database: Database
    clock: Clock
    is_healthy: bool = True
    started: list[str] = field(default_factory=list)
    switched: list[tuple[str, bool]] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)

    def forms(self) -> list[ChannelForm]:
        return [
            ChannelForm(
                channel="telegram",
                title="Telegram",
                steps=("Open Telegram and write to @BotFather.", "Send /newbot and choose a name."),
                fields=(
                    FormField(name="token", label="Bot token", help="BotFather gives it to you.", is_secret=True),
                    FormField(
                        name="receiving",
                        label="How messages come",
                        choices=(("polling", "We ask Telegram"), ("webhook", "Telegram tells us")),
                        default="polling",
                    ),
                    FormField(name="greeting", label="Greeting", is_required=False),
                ),
            )
        ]

    async def connect(self, persona_id: str, channel: str, values: dict[str, str]) -> tuple[str, AccountCheck]:
        if ":" not in values["token"]:
            raise FormInvalid("Telegram refused the token.", fields={"token": "This is no bot token."})
        at = self.clock.now()

        def create(c: Connection) -> str:
            made = accounts.create_account(
                c, _box(self.database), persona_id=persona_id, channel=channel, name="rosa_bot", settings={}, at=at
            )
            return made.id

        return await self.database.write(create), AccountCheck(is_ok=True, summary="It answers as @rosa_bot.")

    async def started_persona(self, persona_id: str) -> None:
        self.started.append(persona_id)

    async def check(self, account_id: str) -> AccountCheck:
        if self.is_healthy:
            return AccountCheck(is_ok=True, summary="It works.")
        return AccountCheck(is_ok=False, summary="Telegram refused the token.", next_step="Connect it again.")

    async def switch(self, account_id: str, *, is_on: bool) -> None:
        self.switched.append((account_id, is_on))
        await self.database.write(lambda c: accounts.set_state(c, account_id, "on" if is_on else "off"))

    async def remove(self, account_id: str) -> None:
        self.removed.append(account_id)
        await self.database.write(lambda c: accounts.remove_account(c, account_id))

    def invitation_links(self, persona_id: str, token: str) -> list[tuple[str, str]]:
        return [("Web page", f"http://127.0.0.1/p/rosa?invite={token}")]


def _box(database: Database) -> SecretBox:
    return SecretBox(database.path.with_name("secret.key"))


@dataclass
class MemoryImports:
    """The imports, as far as the pages see them: what was uploaded, started and undone."""

    database: Database
    clock: Clock
    uploads: dict[str, int] = field(default_factory=dict)
    started: list[dict[str, Any]] = field(default_factory=list)
    undone: list[str] = field(default_factory=list)

    async def upload(self, name: str, chunks: AsyncIterator[bytes]) -> str:
        size_bytes = 0
        async for chunk in chunks:
            size_bytes += len(chunk)
            if size_bytes > MOST_UPLOAD_BYTES:
                raise ArchiveInvalid("This file is too large.", next_step="Send it in parts.")
        self.uploads[name] = size_bytes
        return f"/uploads/{name}"

    async def start(self, persona_id: str, path: str, **options: Any) -> str:
        if "missing" in path:
            raise ArchiveInvalid("There is no such file.", next_step="Check the path.")
        self.started.append({"persona_id": persona_id, "path": path, **options})
        job = ImportJob(
            persona_id=persona_id,
            path=path,
            name=options["name"],
            options={"audience": options["audience"]},
            created_at=self.clock.now(),
        )
        return (await self.database.write(lambda c: insert(c, job))).id

    async def undo(self, source_id: str) -> int:
        self.undone.append(source_id)
        at = self.clock.now()
        return await self.database.write(lambda c: memories.remove_by_source(c, source_id, at))


@dataclass
class WordRecall:
    """Recall by common words, enough to search on a page."""

    database: Database

    async def recall(
        self,
        viewer: Viewer,
        question: str,
        *,
        limit: int = 8,
        during: Period | None = None,
        own_only: bool = False,
        kinds: frozenset[str] | None = None,
        with_person: str | None = None,
        names: tuple[str, ...] = (),
        now: datetime | None = None,
    ) -> list[Recalled]:
        wanted = set(question.casefold().split())
        found = await self.database.read(lambda c: memories.memories(c, viewer, limit=500))
        scored = [(len(wanted & set(memory.text.casefold().split())) / len(wanted), memory) for memory in found]
        best = sorted((pair for pair in scored if pair[0] > 0), key=lambda pair: -pair[0])[:limit]
        return [
            Recalled(
                memory_id=memory.id or 0,
                text=memory.text,
                kind=memory.kind,
                speaker=memory.speaker,
                is_own=memory.is_own,
                context=memory.context,
                language=memory.language,
                happened_at=memory.happened_at,
                session=memory.session,
                source_id=memory.source_id,
                source_name="",
                score=score,
            )
            for score, memory in best
        ]


class EchoInlet(MemoryInlet):
    """Takes what the talk page sends and lets the persona answer at once, with a draft before."""

    def __init__(self, stage: Stage, adapter: WebAdapter) -> None:
        super().__init__()
        self._stage = stage
        self._adapter = adapter

    async def accept(self, received: Any, *, cursor: tuple[str, str] | None = None) -> int:
        count = await super().accept(received, cursor=cursor)
        for one in received[:count]:
            if one.inbound.invitation is not None:
                self._stage.welcome.add(one.inbound.sender.id)
                continue
            said = "".join(part.text for part in one.inbound.parts if isinstance(part, Text))
            await self._answer(one.inbound.sender.id, one.event_id, said)
        return count

    async def _answer(self, sender_id: str, key: str, said: str) -> None:
        chat = self._adapter.parse(
            {
                "kind": "message",
                "visitor": {"id": sender_id},
                "client_id": "x",
                "text": "x",
                "sent_at": "2026-03-01T12:00:00Z",
            }
        )[0].chat
        self._stage.transcript.add(sender_id, said, is_ours=False, key=key)
        await self._adapter.show("typing", chat)
        await self._adapter.draft(chat, 1, "You said")
        if self._stage.is_silent:
            return
        self._stage.transcript.add(sender_id, f"You said: *{said}*", is_ours=True, label="offline answer")
        await self._adapter.send(Outbound(key="k", chat=chat, parts=(Text(text="x"),)))


@dataclass
class MemoryTalk:
    """The talk of one visitor, from the transcript in memory."""

    stage: Stage

    async def view(self, request: web.Request, slug: str) -> TalkView:
        visitor = await self.stage.visitors.identify(request)
        persona = await self.stage.database.read(lambda c: personas.persona_by_slug(c, slug))
        is_owner = visitor.sender.id.startswith("owner:")
        is_known = is_owner or visitor.sender.id in self.stage.welcome
        if persona is None or (persona.visibility == "private" and not is_known):
            return TalkView(is_welcome=False, is_owner=False, set_cookie=visitor.set_cookie)
        lines = await self.stage.transcript.lines(visitor.sender)
        return TalkView(
            is_welcome=True,
            is_owner=is_owner,
            lines=tuple(
                TalkLine(
                    id=line.id,
                    key=line.key,
                    html=line_html(line),
                    is_ours=line.is_ours,
                    at=line.at,
                    label=line.label,
                    state=line.state,
                )
                for line in lines
            ),
            set_cookie=visitor.set_cookie,
        )


class Stage:
    """Everything behind the pages of one test."""

    def __init__(self, database: Database, clock: Clock, *, is_secure: bool = False) -> None:
        self.database = database
        self.clock = clock
        self.live = InProcessLive()
        self.channels = MemoryChannels(database, clock)
        self.imports = MemoryImports(database, clock)
        self.transcript = MemoryTranscript()
        self.visitors = CookieVisitors(b"secret of the tests", is_secure=is_secure, signed_in=_owner)
        self.welcome: set[str] = set()
        self.is_silent = False
        self.changed: list[str] = []
        self.services = Services(
            database=database,
            clock=clock,
            live=self.live,
            recall=WordRecall(database),
            channels=self.channels,
            imports=self.imports,
            talk=MemoryTalk(self),
            public_url="http://127.0.0.1:8080",
            setup_code=SETUP_CODE,
            answering="The offline answerer: it quotes the persona's own sentences.",
            is_secure=is_secure,
            facts={"Data folder": "data", "Telegram": "not set"},
            on_knowledge_changed=self.changed.append,
        )

    def application(self) -> web.Application:
        """Return the site with the talk page's channel below it, as the bot puts them together."""
        app = web.Application()
        make_site(self.services).add_to(app)
        adapters: dict[str, tuple[WebAdapter, EchoInlet]] = {}

        async def hook(request: web.Request) -> web.StreamResponse:
            head, _, rest = request.path.removeprefix("/p/").partition("/")
            if head not in adapters:
                config = AccountConfig(id=head, settings=WebSettings())
                adapter = WebAdapter(config, ports(transcript=self.transcript, visitors=self.visitors))
                adapters[head] = (adapter, EchoInlet(self, adapter))
            adapter, inlet = adapters[head]
            routes = {(route.method, route.path): route for route in adapter.routes()}
            route = routes.get((request.method, f"/{rest}"))
            if route is None:
                raise web.HTTPNotFound
            return await route.handler(request, inlet)

        app.router.add_route("*", "/p/{path:.+/.+}", hook)
        return app

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """Yield the address of the site."""
        async with serving(self.application()) as address:
            yield address


async def _owner(request: web.Request) -> Sender | None:
    gate = request.get(GATE)
    found = await gate.signed_in(request) if gate is not None else None
    if found is None or not found.may("curator"):
        return None
    return Sender(id=f"owner:{found.operator.id}", name=found.operator.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """The ids of what `furnish` made, for addresses."""

    rosa: str
    conversation: str
    turn: str
    memory: int
    person: str
    invitation: str
    account: str
    incident: str
    job: str
    source: str


def furnish(c: Connection, at: datetime) -> Known:
    """Make two personas: Rosa, with memories, people and a conversation, and a bakery with nothing but a name."""
    rosa = personas.create_persona(
        c, name="Rosa Almeida", slug="rosa", kind="memorial", visibility="public", languages=("en", "pt"), at=at
    )
    personas.update_persona(
        c, rosa.id, at=at, settings={"suggestions": ["Where did you grow up?", "How do you make the orange cake?"]}
    )
    personas.create_persona(c, name="The Mill Bakery", slug="bakery", kind="brand", visibility="public", at=at)
    personas.create_persona(c, name="Quiet Aunt", slug="aunt", kind="self", visibility="private", at=at)
    lucia = people.add_person(
        c, persona_id=rosa.id, name="Lucia", circles=["family"], relation="granddaughter", aliases=("Lu",), at=at
    )
    source = memories.create_source(
        c, persona_id=rosa.id, kind="import", name="Family chat", importer="whatsapp", audience="circle:family", at=at
    )
    ids = memories.add_memories(c, _drafts(rosa, source.id), at=at)
    for audience in ("public", "owner"):
        profiles.save_profile(
            c,
            persona_id=rosa.id,
            biography="Rosa grew up by the sea in Nazaré, baked for three generations, and sang while she did.",
            description="She worked in the sardine cannery until she married, and kept the orange trees after.",
            style={
                "messages": 320,
                "confidence": "fair",
                "languages": {"pt": 0.7, "en": 0.3},
                "length": {"median": 48, "words": 9, "p90": 120},
                "markers": {"emoji": {"rate": 0.21}, "kisses": {"rate": 0.4}, "capitals": {"rate": 0.001}},
                "greetings": {"en": [["my dear", 0.3]]},
                "hours": [0.0] * 9 + [0.5, 0.3, 0.2] + [0.0] * 12,
            },
            cited=ids[:1],
            audience=audience,
            made_by="the first import",
            at=at,
        )
    invitation, _ = invitations.invite(c, persona_id=rosa.id, circle="family", person_name="Tomás", at=at)
    account = accounts.create_account(
        c, SecretBox(Path("none.key")), persona_id=rosa.id, channel="telegram", name="rosa_bot", settings={}, at=at
    )
    accounts.set_state(c, account.id, "broken")
    accounts.note_error(c, account.id, "Telegram refused the token.", at)
    conversation, turn = _talk(c, rosa, account.id, lucia.name, ids, at)
    incident = incidents.report(
        c,
        kind="account_broken",
        summary="Telegram refused the token of @rosa_bot.",
        persona_id=rosa.id,
        account_id=account.id,
        at=at,
    )
    job = insert(
        c,
        ImportJob(
            persona_id=rosa.id,
            path="/uploads/family-chat.zip",
            name="family-chat.zip",
            options={"audience": "circle:family"},
            state="done",
            source_id=source.id,
            created_at=at,
            started_at=at,
            finished_at=at + timedelta(seconds=12),
        ),
    )
    return Known(
        rosa=rosa.id,
        conversation=conversation,
        turn=turn,
        memory=ids[0],
        person=lucia.id,
        invitation=invitation.id,
        account=account.id,
        incident=incident.id,
        job=job.id,
        source=source.id,
    )


def _drafts(rosa: Persona, source_id: str) -> list[MemoryDraft]:
    own = [
        ("I grew up in Nazaré, in the blue house behind the lighthouse.", "circle:family", datetime(1951, 6, 1)),
        ("The orange cake wants three oranges, peel and all, and patience.", "public", datetime(1988, 4, 3)),
        ("I never told your grandfather how much the piano cost.", "owner", datetime(1993, 12, 24)),
    ]
    drafts = [
        MemoryDraft(
            persona_id=rosa.id,
            natural_key=f"own:{place}",
            kind="said",
            text=text,
            audience=audience,
            speaker=rosa.name,
            is_own=True,
            happened_at=when.replace(tzinfo=UTC),
            source_id=source_id,
        )
        for place, (text, audience, when) in enumerate(own)
    ]
    heard = MemoryDraft(
        persona_id=rosa.id,
        natural_key="heard:1",
        kind="heard",
        text="Grandma, did you really swim out to the rocks?",
        audience="circle:family",
        speaker="Lucia",
        source_id=source_id,
    )
    return [*drafts, heard]


def _talk(c: Connection, rosa: Persona, account_id: str, name: str, ids: list[int], at: datetime) -> tuple[str, str]:
    web_account = next(one for one in accounts.accounts(c, rosa.id) if one.channel == "web")
    identified = people.identify(c, account_id=web_account.id, platform_user_id="v1", name=name, at=at)
    conversation = conversations.open_conversation(
        c,
        key="k1",
        persona_id=rosa.id,
        person_id=identified.person.id,
        account_id=web_account.id,
        chat_id="v1",
        thread_id=None,
        chat_kind="private",
        title="",
        at=at,
    )
    said = {"inbox_id": 1, "key": "e1", "text": "Where did you grow up, grandma?", "parts": [], "sent_at": at}
    conversations.add_inbound(c, conversation, [{**said, "turn_id": None, "platform_message_id": "1", "quote": None}])
    turn = Turn(
        persona_id=rosa.id,
        person_id=identified.person.id,
        conversation_id=conversation.id,
        engine="offline",
        reason="answered",
        language="en",
        trace=_trace(ids),
        memory_ids=ids[:1],
        duration_ms=42.5,
        started_at=at,
        finished_at=at,
    )
    turns.keep_turn(c, turn)
    conversations.add_outbound(
        c,
        conversation,
        turn_id=turn.id,
        key="o1",
        text="I grew up in Nazaré, in the blue house behind the lighthouse.",
        parts=[],
        label="offline answer",
        at=at + timedelta(seconds=2),
    )
    return conversation.id, turn.id


def _trace(ids: list[int]) -> list[dict[str, Any]]:
    return [
        {"name": "listen", "summary": "One message, in English.", "duration_ms": 0.4, "detail": {"language": "en"}},
        {
            "name": "guard_request",
            "summary": "Nothing to hold back.",
            "duration_ms": 0.9,
            "detail": {"verdicts": [{"guard": "crisis", "score": 0.0}, {"guard": "injection", "score": 0.02}]},
        },
        {
            "name": "recall",
            "summary": "Searched once and found 2.",
            "duration_ms": 18.2,
            "detail": {
                "question": "Where did you grow up",
                "found": [
                    {"memory_id": ids[0], "text": "I grew up in Nazaré.", "score": 0.91},
                    {"memory_id": ids[1], "text": "The orange cake.", "score": 0.2},
                ],
            },
        },
        {"name": "answer", "summary": "Quoted one sentence.", "duration_ms": 3.0, "detail": {}},
    ]


def count_memories(c: Connection, persona_id: str) -> int:
    """Return how many memories a persona has."""
    return memories.count_memories(c, owner_viewer(persona_id))
