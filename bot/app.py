"""The whole of Memoras, built once: every object is made here and handed to those that need it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from admin.auth import Gate
from admin.ports import Services
from admin.site import make_site
from bot import answering, by_hand, keys
from bot.accounts import Accounts
from bot.answering import WarmingAnswerer
from bot.delivery import Delivery
from bot.dispatch import Dispatcher, Pace
from bot.failures import log_failure
from bot.inlet import OnStep
from bot.profiling import Profiling
from bot.samples import create_samples
from bot.server import MOST_BODY_BYTES, LocalDoor, add_routes
from bot.settings import Settings
from bot.talk import AccountTranscript, Owners, WebTalk
from channels.rendering import to_html
from channels.web import CookieVisitors
from knowledge import inbox, operators, outbox, schema
from knowledge.clock import Clock, SystemClock
from knowledge.database import Database, FolderLock
from knowledge.engine import EmbeddedRecall
from knowledge.errors import StoreUnavailable
from knowledge.importing import ImportRunner
from knowledge.live import InProcessLive
from knowledge.media import MediaFolder
from knowledge.secrets import SecretBox
from knowledge.tables import Account, ImportJob

log = logging.getLogger(__name__)

_LAST_SENDS_S = 5.0


def not_the_terminal(account: Account) -> bool:
    """Choose every account a server runs: the terminal is served by `./run chat` alone."""
    return account.channel != "terminal"


def _no_step(name: str) -> None:
    """Do nothing at a named point; the chaos tests pass something else."""


@dataclass(frozen=True, slots=True)
class Folder:
    """The data folder: where everything lies that a Memoras has to keep."""

    path: Path

    @property
    def database(self) -> Path:
        return self.path / "memoras.sqlite3"

    @property
    def indexes(self) -> Path:
        return self.path / "index"

    @property
    def media(self) -> Path:
        return self.path / "media"

    @property
    def cookie_key(self) -> Path:
        return self.path / "cookie.key"

    @property
    def key(self) -> Path:
        return self.path / "secret.key"


@contextlib.asynccontextmanager
async def opened(settings: Settings, *, clock: Clock | None = None, on_step: OnStep = _no_step) -> AsyncIterator[App]:
    """Yield Memoras over the data folder of these settings, and close it in the end.

    Raises:
        StoreLocked: when another process uses the folder.
        KnowledgeError: when the database cannot be read or is newer than this code.
    """
    lock = FolderLock(settings.data)
    try:
        await asyncio.to_thread(schema.upgrade, Folder(settings.data).database)
        app = App(settings, clock=clock or SystemClock(), lock=lock, on_step=on_step)
        try:
            yield app
        finally:
            await app.close()
    finally:
        lock.release()


class App:
    """One running Memoras over one data folder."""

    def __init__(self, settings: Settings, *, clock: Clock, lock: FolderLock, on_step: OnStep) -> None:
        self.settings = settings
        self.folder = Folder(settings.data)
        self.clock = clock
        self._lock = lock
        self._stopping = asyncio.Event()
        self._started: asyncio.Queue[str] = asyncio.Queue()
        self.local_token = secrets.token_urlsafe(24)
        self.setup_code = secrets.token_hex(4)
        self.database = Database(self.folder.database)
        self.live = InProcessLive()
        self.recall = EmbeddedRecall(
            self.database, self.folder.indexes, clock=clock, embedder_factory=answering.embedder_factory(settings)
        )
        self.answerer = WarmingAnswerer(lambda: answering.build(settings, self.recall, clock))
        self.profiling = Profiling(database=self.database, clock=clock, model=answering.model_of(settings))
        self.imports = ImportRunner(
            self.database,
            self.folder.path,
            clock=clock,
            live=self.live,
            recall_notify=self.recall.notify,
            on_finished=self._on_imported,
        )
        self.owners = Owners(database=self.database, clock=clock, signed_in=self._signed_in)
        self.visitors = CookieVisitors(
            keys.read_or_make(self.folder.cookie_key), is_secure=settings.is_secure, signed_in=self.owners.sender
        )
        self.accounts = Accounts(
            database=self.database,
            clock=clock,
            box=SecretBox(self.folder.key),
            media=MediaFolder(self.folder.media),
            public_url=settings.public_url,
            wake=lambda conversation_keys: self.dispatcher.wake(conversation_keys),
            on_started=self._started.put_nowait,
            transcript_of=lambda account_id: AccountTranscript(account_id, database=self.database),
            visitors=self.visitors,
            defaults={"telegram": {"api_base": settings.telegram_api}},
            region=settings.region.upper() or None,
            on_step=on_step,
        )
        self.delivery = Delivery(
            database=self.database,
            clock=clock,
            live=self.live,
            accounts=self.accounts,
            on_step=on_step,
            sends_per_second=settings.sends_per_second,
            sends_at_once=settings.sends_at_once,
        )
        self.dispatcher = Dispatcher(
            database=self.database,
            clock=clock,
            live=self.live,
            accounts=self.accounts,
            answerer=self.answerer,
            on_answered=self.delivery.wake,
            on_remembered=self.recall.notify,
            pace=Pace(quiet_s=settings.quiet_s, burst_s=settings.burst_s, attempts=settings.attempts),
            on_step=on_step,
        )
        self.services = Services(
            database=self.database,
            clock=clock,
            live=self.live,
            recall=self.recall,
            channels=self.accounts,
            imports=self.imports,
            talk=WebTalk(database=self.database, visitors=self.visitors),
            on_knowledge_changed=self._knowledge_changed,
            public_url=settings.public_url,
            setup_code=self.setup_code,
            answering=answering.describe(settings),
            is_secure=settings.is_secure,
            said_html=to_html,
            facts=settings.shown(),
        )
        self._gate = Gate(self.services)

    # ------------------------------------------------------------------------------------ running

    def stop(self) -> None:
        """Ask the server to stop: nothing new is accepted, what was begun is finished."""
        self._stopping.set()

    async def close(self) -> None:
        """Close the model's connections, the indexes and the database."""
        await self.answerer.close()
        self.recall.close()
        self.database.close()

    async def serve(self, on_ready: Callable[[str], None]) -> None:
        """Serve until `stop`; `on_ready` is given the address once a page answers.

        Raises:
            OSError: when the address is taken or cannot be used.
        """
        runner = web.AppRunner(self._application(), access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        try:
            site = web.TCPSite(runner, self.settings.host, self.settings.port, backlog=1024)
            await site.start()
            address = self._address(runner)
            self._lock.describe(address=address, token=self.local_token)
            self.accounts.address = self.settings.public_url or address
            async with self.working() as group:
                beginning = [
                    group.create_task(self.make_samples()),
                    group.create_task(self._announce(address, on_ready)),
                ]
                await self._stopping.wait()
                for task in beginning:  # a stop does not wait for the first imports; the next start goes on with them
                    task.cancel()
                await site.stop()
        finally:
            await runner.cleanup()

    @contextlib.asynccontextmanager
    async def working(self, choose: Callable[[Account], bool] = not_the_terminal) -> AsyncIterator[asyncio.TaskGroup]:
        """Run everything behind the pages for the chosen accounts; on leaving, finish what was begun."""
        async with asyncio.TaskGroup() as group:
            background = [
                group.create_task(self.recall.run(), name="recall"),
                group.create_task(self.imports.run(), name="imports"),
                group.create_task(self.profiling.run(), name="profiles"),
                group.create_task(self._wake_started(), name="started accounts"),
            ]
            accounts = group.create_task(self.accounts.run(choose), name="accounts")
            dispatching = group.create_task(self.dispatcher.run(), name="dispatch")
            delivering = group.create_task(self.delivery.run(), name="delivery")
            try:
                yield group
            finally:
                await self.accounts.stop_listening()
                await self._drained(dispatching, delivering)
                self.accounts.stop()
                await accounts
                for task in background:
                    task.cancel()

    async def _drained(self, dispatching: asyncio.Task[None], delivering: asyncio.Task[None]) -> None:
        """Finish the answers in progress and send what is due; whatever is left is done after the next start."""
        self.dispatcher.stop()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.settings.drain_s):
                await asyncio.shield(dispatching)
        dispatching.cancel()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(_LAST_SENDS_S, self.settings.drain_s)):
                await self.delivery.wait_idle()
        self.delivery.stop()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.settings.drain_s):
                await asyncio.shield(delivering)
        delivering.cancel()

    async def _announce(self, address: str, on_ready: Callable[[str], None]) -> None:
        await self.accounts.wait_loaded()
        on_ready(address)
        await self._settle_in()

    async def _settle_in(self) -> None:
        """Load what the first answer needs; then leave everything loaded out of the garbage collector's rounds."""
        await self.answerer.ready()
        gc.collect()
        gc.freeze()

    async def _wake_started(self) -> None:
        while True:
            account_id = await self._started.get()
            await self.dispatcher.wake_waiting()
            await self.delivery.resume(account_id)

    async def has_operators(self) -> bool:
        """Return whether somebody can sign in to the panel."""
        return await self.database.read(operators.has_operators)

    async def make_samples(self) -> None:
        """Make the sample personas on the first start; a server without them is still a server."""
        if not self.settings.samples:
            return
        try:
            await create_samples(self.database, self.imports, folder=self.folder.path, clock=self.clock)
        except Exception as error:
            log_failure(log, "the sample personas could not be made", error)

    async def _on_imported(self, job: ImportJob) -> None:
        await self.profiling.refresh(job.persona_id)

    def _knowledge_changed(self, persona_id: str) -> None:
        self.recall.notify()
        self.profiling.note_change(persona_id)

    # ------------------------------------------------------------------------------------ HTTP

    def _application(self) -> web.Application:
        application = web.Application(client_max_size=MOST_BODY_BYTES)
        make_site(self.services).add_to(application)
        application.add_routes(by_hand.routes(self, LocalDoor(self.local_token)))
        add_routes(application, accounts=self.accounts, status=self.status)
        return application

    def _address(self, runner: web.AppRunner) -> str:
        host, port = runner.addresses[0][:2]
        shown = "127.0.0.1" if host in ("0.0.0.0", "::") else host  # noqa: S104 (only what is printed)
        return f"http://{f'[{shown}]' if ':' in shown else shown}:{port}"

    async def _signed_in(self, request: web.Request) -> tuple[str, str] | None:
        """Return who may talk as the owner: a signed-in operator who may change things, or the command line."""
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if given and secrets.compare_digest(given.encode(), self.local_token.encode()):
            return "terminal", ""
        found = await self._gate.signed_in(request)
        if found is None or not found.may("curator"):
            return None
        return found.operator.id, found.operator.name

    async def status(self) -> dict[str, Any]:
        """Return what `/health` says: whether the database answers, and what waits. Counts only."""
        try:
            waiting = await self.database.read(lambda c: {"inbox": inbox.count_waiting(c), "outbox": outbox.counts(c)})
        except StoreUnavailable:
            return {"is_ok": False, "summary": "The database does not answer."}
        return {
            "is_ok": True,
            "has_loaded": self.accounts.is_loaded,
            "inbox_waiting": waiting["inbox"],
            "outbox": waiting["outbox"],
            "recall": asdict(self.recall.status()),
        }
