"""The accounts that run: their adapters, built when needed, their listeners, and their routes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, SecretStr, ValidationError

from admin.errors import FormInvalid
from admin.ports import AccountCheck, ChannelForm, FormField
from bot.dispatch import Running
from bot.failures import log_failure
from bot.inlet import AccountInlet, OnStep, Wake
from bot.media import AccountMedia
from channels import registry
from channels.contract import AccountConfig, Adapter, Inlet, Ports, Route, Transcript, Visitors
from channels.errors import ChannelError, NotConfigured
from knowledge import accounts as rows
from knowledge import incidents, personas
from knowledge.clock import Clock
from knowledge.database import Connection, Database
from knowledge.errors import KnowledgeError
from knowledge.media import MediaFolder
from knowledge.secrets import SecretBox
from knowledge.tables import Account, new_id

log = logging.getLogger(__name__)

_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 120.0
_CLOSE_S = 5.0
_DEEPEST = 12
_STARTED = ("on", "broken")


@dataclass(frozen=True, slots=True)
class _Live:
    running: Running
    inlet: Inlet
    routes: dict[tuple[str, str], Route]
    webhook_path: str
    listening: asyncio.Task[None] | None


class Accounts:
    """Starts and stops accounts, and offers the pages what they need to connect one."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        box: SecretBox,
        media: MediaFolder,
        public_url: str,
        wake: Wake,
        on_started: Callable[[str], None],
        transcript_of: Callable[[str], Transcript],
        visitors: Visitors | None,
        defaults: dict[str, dict[str, str]],
        region: str | None,
        on_step: OnStep,
    ) -> None:
        """`on_started(account id)` is told when an account can send again; `defaults` are settings per channel."""
        self._database = database
        self._clock = clock
        self._box = box
        self._media = media
        self._public_url = public_url
        self.address = public_url
        """Where browsers reach the pages: the public address, else the server's own, once it listens."""
        self._wake = wake
        self._on_started = on_started
        self._transcript_of = transcript_of
        self._visitors = visitors
        self._defaults = defaults
        self._region = region
        self._on_step = on_step
        self._live: dict[str, _Live] = {}
        self._by_path: dict[str, str] = {}
        self._group: asyncio.TaskGroup | None = None
        self._stop = asyncio.Event()
        self._is_loaded = asyncio.Event()
        self._starting = asyncio.Lock()

    # ------------------------------------------------------------------------------------ running

    async def run(self, choose: Callable[[Account], bool] = lambda account: account.channel != "terminal") -> None:
        """Start the chosen accounts that are not off and keep them until `stop`.

        A broken one is tried again: it may be well by now, and what it receives is not to be lost.
        """
        async with asyncio.TaskGroup() as group:
            self._group = group
            found = await self._database.read(rows.accounts)
            # Those without an SDK first: the web page answers while aiogram is still being imported.
            for account in sorted(found, key=lambda one: one.channel not in ("web", "terminal")):
                if account.state in _STARTED and choose(account):
                    await self.start(account)
            self._is_loaded.set()
            await self._stop.wait()
            for account_id in list(self._live):
                await self._halt(account_id)

    def stop(self) -> None:
        """Stop listening everywhere and release the connections."""
        self._stop.set()

    async def stop_listening(self) -> None:
        """Accept nothing more, while what was accepted is still answered and sent."""
        for one in self._live.values():
            if one.listening is not None:
                one.listening.cancel()

    @property
    def is_loaded(self) -> bool:
        """Whether every account that is on has been started or has failed to."""
        return self._is_loaded.is_set()

    async def wait_loaded(self) -> None:
        """Return once every account that is on has been started or has failed to."""
        await self._is_loaded.wait()

    async def wait_listened(self) -> None:
        """Return once every listener has ended by itself, e.g. the terminal's at its end of input."""
        await self.wait_loaded()
        listening = [live.listening for live in self._live.values() if live.listening is not None]
        if listening:
            await asyncio.wait(listening)

    def running(self, account_id: str) -> Running | None:
        """Return the account if it runs now, else None."""
        live = self._live.get(account_id)
        return live.running if live else None

    def route(self, method: str, path: str) -> tuple[Route, Inlet] | None:
        """Return what answers a request at a path, and the inlet of its account."""
        for prefix in _prefixes(path):
            account_id = self._by_path.get(prefix)
            if account_id is None:
                continue
            live = self._live[account_id]
            route = live.routes.get((method, path[len(prefix) :].rstrip("/")))
            return (route, live.inlet) if route else None
        return None

    async def find(self, path: str) -> bool:
        """Start the account that a path belongs to, e.g. the page of a persona made a moment ago."""
        account = await self._database.read(lambda c: rows.account_at(c, _prefixes(path)))
        if account is None or account.state not in _STARTED or not self._is_loaded.is_set():
            return False
        async with self._starting:  # two requests for the same new page start it once
            live = self._live.get(account.id)
            if live is not None and live.webhook_path != account.webhook_path:  # the persona's address was changed
                await self._halt(account.id)
            if account.id not in self._live:
                await self.start(account)
        return account.id in self._live

    def methods(self, path: str) -> set[str]:
        """Return the methods a path knows, for a 405."""
        for prefix in _prefixes(path):
            account_id = self._by_path.get(prefix)
            if account_id is not None:
                rest = path[len(prefix) :].rstrip("/")
                return {method for method, known in self._live[account_id].routes if known == rest}
        return set()

    async def started_persona(self, persona_id: str) -> None:
        """Start the accounts of a persona that was just made."""
        for account in await self._database.read(lambda c: rows.accounts(c, persona_id)):
            if account.state == "on" and account.channel != "terminal" and account.id not in self._live:
                await self.start(account)

    async def start(self, account: Account) -> None:
        """Build the adapter and begin to listen; a broken account is noted and shown, never raised."""
        try:
            adapter = await self._adapter(account)
        except (ChannelError, KnowledgeError, ValidationError) as error:
            await self._note_broken(account.id, account.persona_id, _words(error))
            return
        inlet = AccountInlet(
            account.id, database=self._database, clock=self._clock, wake=self._wake, on_step=self._on_step
        )
        running = Running(
            account_id=account.id,
            persona_id=account.persona_id,
            channel=account.channel,
            adapter=adapter,
            quiet_s=account.quiet_s,
            burst_s=account.burst_s,
            region=self._region,
        )
        assert self._group is not None
        listening = self._group.create_task(
            self._listen(running, inlet, was_broken=account.state == "broken"), name=f"listen {account.id}"
        )
        routes = {(route.method, route.path.rstrip("/")): route for route in adapter.routes()}
        self._live[account.id] = _Live(running, inlet, routes, account.webhook_path, listening)
        self._by_path[account.webhook_path] = account.id
        self._on_started(account.id)

    async def _halt(self, account_id: str) -> None:
        live = self._live.pop(account_id, None)
        if live is None:
            return
        self._by_path.pop(live.webhook_path, None)
        if live.listening is not None:
            live.listening.cancel()
        try:
            async with asyncio.timeout(_CLOSE_S):
                await live.running.adapter.close()
        except Exception as error:  # closing must not keep the server from stopping
            log_failure(log, "an account did not close", error, account=account_id)

    async def _listen(self, running: Running, inlet: Inlet, *, was_broken: bool) -> None:
        pause_s = _FIRST_PAUSE_S
        while True:
            started = self._clock.monotonic()
            try:
                if was_broken and (await running.adapter.check()).is_ok:
                    await self._note_well(running.account_id)
                await running.adapter.listen(inlet)
                return
            except NotConfigured as error:
                await self._note_broken(running.account_id, running.persona_id, str(error))
                return
            except Exception as error:
                log_failure(log, "an account lost its connection", error, account=running.account_id)
            if self._clock.monotonic() - started > _LONGEST_PAUSE_S:
                pause_s = _FIRST_PAUSE_S
            await self._clock.sleep(pause_s)
            pause_s = min(_LONGEST_PAUSE_S, pause_s * 2)

    async def _note_broken(self, account_id: str, persona_id: str, summary: str) -> None:
        at = self._clock.now()

        def change(c: Connection) -> None:
            rows.set_state(c, account_id, "broken")
            rows.note_error(c, account_id, summary, at)
            incidents.report(
                c, kind="account_broken", summary=summary, at=at, persona_id=persona_id, account_id=account_id
            )

        await self._database.write(change)

    async def _note_well(self, account_id: str) -> None:
        at = self._clock.now()

        def change(c: Connection) -> None:
            rows.set_state(c, account_id, "on")
            incidents.settle(c, kind="account_broken", account_id=account_id, at=at)

        await self._database.write(change)

    async def _adapter(self, account: Account) -> Adapter:
        settings = rows.settings_of(self._box, account)
        return await self._build(account.id, account.channel, settings, account.webhook_path, account.name)

    async def _build(
        self, account_id: str, channel: str, settings: dict[str, Any], webhook_path: str, name: str
    ) -> Adapter:
        config = AccountConfig(
            id=account_id,
            settings=registry.settings_model(channel).model_validate(settings),
            webhook_url=f"{self._public_url}{webhook_path}" if self._public_url else None,
            display_name=name,
        )
        ports = Ports(
            now=self._clock.now,
            media=AccountMedia(account_id, database=self._database, folder=self._media),
            visitors=self._visitors,
            transcript=self._transcript_of(account_id),
        )
        # Importing a platform's SDK takes seconds of CPU; the server goes on meanwhile.
        return await asyncio.to_thread(registry.build, channel, config, ports)

    # ------------------------------------------------------------------------------------ for the pages

    def forms(self) -> list[ChannelForm]:
        """Return the channels that can be connected on a page."""
        return [_form(info, self._defaults.get(info.name, {})) for info in registry.channels() if info.fields]

    async def connect(self, persona_id: str, channel: str, values: dict[str, str]) -> tuple[str, AccountCheck]:
        """Check the credentials against the platform, store the account, start it; return its id and the check.

        Whom the persona has as an account already gets the new credentials, and what waited goes out.

        Raises:
            FormInvalid: when a field is wrong, the platform refused the credentials, or another persona has them;
                nothing was stored.
        """
        given = {**self._defaults.get(channel, {}), **{name: value for name, value in values.items() if value}}
        try:
            model = registry.settings_model(channel).model_validate(given)
        except ValidationError as error:
            problems = {str(one["loc"][0]): one["msg"].removeprefix("Value error, ") for one in error.errors()}
            raise FormInvalid("Some fields need another look.", fields=problems) from None
        except KeyError:
            raise FormInvalid(f"There is no channel called {channel}.") from None
        probe = await self._build(new_id(), channel, _exposed(model), "", "")
        try:
            health = await probe.check()
        except ChannelError as error:
            raise FormInvalid(str(error)) from error
        finally:
            await probe.close()
        if not health.is_ok:
            raise FormInvalid(" ".join(filter(None, (health.summary, health.next_step))))
        name = str(health.detail.get("name") or health.detail.get("username") or channel)
        kept = await self._kept(persona_id, channel, name, model)
        await self.switch(kept.id, is_on=True)
        return kept.id, AccountCheck(is_ok=True, summary=health.summary, next_step=health.next_step)

    async def _kept(self, persona_id: str, channel: str, name: str, model: BaseModel) -> Account:
        """Store what was checked: in the account that stands for the same one on the platform, else in a new one."""
        at, stored = self._clock.now(), _exposed(model)

        def keep(c: Connection) -> Account:
            known = self._same(c, channel, model)
            if known is None:
                return rows.create_account(
                    c, self._box, persona_id=persona_id, channel=channel, name=name, settings=stored, at=at
                )
            if known.persona_id != persona_id:
                other = personas.persona(c, known.persona_id).name
                raise FormInvalid(f"It belongs to {other} already. Disconnect it there first, or make another one.")
            return rows.update_settings(c, self._box, known.id, stored)

        return await self._database.write(keep)

    def _same(self, c: Connection, channel: str, model: BaseModel) -> Account | None:
        own_id = getattr(model, "own_id", "")
        for account in rows.accounts(c):
            if own_id and account.channel == channel:
                try:
                    stored = type(model).model_validate(rows.settings_of(self._box, account))
                except (KnowledgeError, ValidationError):
                    continue
                if getattr(stored, "own_id", "") == own_id:
                    return account
        return None

    async def check(self, account_id: str) -> AccountCheck:
        """Try the account's stored credentials. One that was broken and is well again goes on at once."""
        live = self._live.get(account_id)
        try:
            account = await self._database.read(lambda c: rows.account(c, account_id))
            if live is not None:
                health = await live.running.adapter.check()
            else:
                probe = await self._adapter(account)
                try:
                    health = await probe.check()
                finally:
                    await probe.close()
        except (ChannelError, ValidationError, KnowledgeError) as error:
            return AccountCheck(is_ok=False, summary=_words(error))
        if health.is_ok and account.state == "broken":
            await self.switch(account_id, is_on=True)
        return AccountCheck(is_ok=health.is_ok, summary=health.summary, next_step=health.next_step)

    async def switch(self, account_id: str, *, is_on: bool) -> None:
        """Start or stop an account."""
        account = await self._database.write(lambda c: rows.set_state(c, account_id, "on" if is_on else "off"))
        await self._halt(account_id)
        if is_on:
            await self._note_well(account_id)
            await self.start(account)

    async def remove(self, account_id: str) -> None:
        """Stop the account and delete its credentials."""
        await self._halt(account_id)
        await self._database.write(lambda c: rows.remove_account(c, account_id))

    def invitation_links(self, persona_id: str, token: str) -> list[tuple[str, str]]:
        """Return (channel title, link) for every account on which an invitation with this token can be used."""
        titles = {info.name: info.title for info in registry.channels()}
        found = []
        for live in self._live.values():
            if live.running.persona_id != persona_id:
                continue
            title = titles.get(live.running.channel, live.running.channel)
            found += [(title + suffix, link) for suffix, link in _links(live, token, self.address)]
        return found


def _links(live: _Live, token: str, address: str) -> list[tuple[str, str]]:
    """Return (what to add to the channel's title, link) for each way an account takes an invitation."""
    if live.running.channel == "web":
        return [("", f"{address}{live.webhook_path}?invite={token}")]
    found = []
    for suffix, name in (("", "invitation_link"), (", for a group", "group_invitation_link")):
        make = getattr(live.running.adapter, name, None)
        link = make(token) if callable(make) else None
        if link:
            found.append((suffix, link))
    return found


def _prefixes(path: str) -> list[str]:
    """Return the beginnings of a path that can be a webhook path, longest first."""
    pieces = path.rstrip("/").split("/", _DEEPEST)[:_DEEPEST]
    return ["/".join(pieces[:count]) for count in range(len(pieces), 1, -1)]


def _exposed(model: BaseModel) -> dict[str, Any]:
    """Return settings with their secrets in the clear, for sealing."""
    values = model.model_dump()
    return {name: value.get_secret_value() if isinstance(value, SecretStr) else value for name, value in values.items()}


def _form(info: registry.ChannelInfo, defaults: dict[str, str]) -> ChannelForm:
    fields = tuple(
        FormField(
            name=field.name,
            label=field.label,
            help=field.help,
            is_secret=field.is_secret,
            is_required=field.is_required,
            choices=field.choices,
            default=defaults.get(field.name, field.default),
        )
        for field in info.fields
    )
    return ChannelForm(channel=info.name, title=info.title, steps=info.steps, fields=fields, docs=info.docs)


def _words(error: Exception) -> str:
    if isinstance(error, ValidationError):
        names = ", ".join(sorted({str(one["loc"][0]) for one in error.errors()}))
        return f"The stored settings are not complete ({names}): set them again under Accounts."
    return str(error)
