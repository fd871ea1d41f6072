"""The command line: serve, chat, import and doctor. The only place that prints."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bot.settings import Settings, SettingsInvalid, read_settings
from knowledge.database import read_holder
from knowledge.errors import ArchiveInvalid, KnowledgeError, StoreLocked

_POLL_S = 0.2


class _Facts(logging.Formatter):
    """One line per event: when, how bad, what, and the ids that belong to it."""

    def format(self, record: logging.LogRecord) -> str:
        ids = getattr(record, "ids", None)
        facts = f" {json.dumps(ids, default=str)}" if ids else ""
        return f"{self.formatTime(record)} {record.levelname} {record.name} {record.getMessage()}{facts}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    parser = _parser()
    given = parser.parse_args(arguments)
    overrides = {
        name: getattr(given, name) for name in ("data", "host", "port") if getattr(given, name, None) is not None
    }
    try:
        settings = read_settings(**overrides)
        _log_to_stderr(settings.log_level)
        command: Callable[[Settings, argparse.Namespace], int] = given.command
        return command(settings, given)
    except (SettingsInvalid, StoreLocked) as error:
        return _fail(str(error))
    except ArchiveInvalid as error:
        return _fail(f"{error} {error.next_step}".strip())
    except KnowledgeError as error:
        return _fail(str(error))
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--data", type=Path, help="the data folder (default: ./data, or MEMORAS_DATA)")
    parser = argparse.ArgumentParser(prog="run", description="Memoras: a persona answers out of its own memories.")
    parser.set_defaults(command=_serve)
    parser.add_argument("--data", type=Path, help=argparse.SUPPRESS)
    commands = parser.add_subparsers(title="commands", metavar="")
    serve = commands.add_parser("serve", parents=[shared], help="start the server (this is what ./run does)")
    serve.add_argument("--host", help="the address to listen on (default: 127.0.0.1)")
    serve.add_argument("--port", type=int, help="the port to listen on (default: 8080; 0 takes a free one)")
    serve.set_defaults(command=_serve)
    chat = commands.add_parser("chat", parents=[shared], help="talk to a persona in this terminal")
    chat.add_argument("--persona", default="", help="whom to talk to (default: the first persona)")
    chat.set_defaults(command=_chat)
    _add_import(commands.add_parser("import", parents=[shared], help="give a persona what it should remember"))
    doctor = commands.add_parser("doctor", parents=[shared], help="what is configured, missing or broken")
    doctor.set_defaults(command=_doctor)
    return parser


def _add_import(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", metavar="PATH", help="a file, a folder or a ZIP: a chat export, documents, ...")
    parser.add_argument("--persona", required=True, help="whose memories they are; made now if there is none")
    parser.add_argument("--kind", default="self", choices=("self", "brand", "memorial", "fictional"))
    parser.add_argument(
        "--audience",
        default="owner",
        help="who may learn it: owner (default), public, circle:family, circle:friends, ...",
    )
    parser.add_argument("--owner", action="append", default=[], help="how the export names the persona; repeatable")
    parser.add_argument("--timezone", default="UTC", help="the time zone of the export, e.g. Europe/Madrid")
    order = parser.add_mutually_exclusive_group()
    order.add_argument("--day-first", dest="day_first", action="store_true", default=None, help="3/4 is 3 April")
    order.add_argument("--month-first", dest="day_first", action="store_false", help="3/4 is March 4")
    parser.set_defaults(command=_import)


def _log_to_stderr(level: str) -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(_Facts())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # These write the addresses they call, and so tokens and what people wrote.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    for name in ("aiohttp.access", "aiogram", "httpx", "httpx2", "openai", "langchain", "langgraph", "asyncio"):
        logging.getLogger(name).setLevel(logging.ERROR)


def _say(text: str) -> None:
    print(text, flush=True)


def _fail(message: str) -> int:
    print(message, file=sys.stderr)
    return 1


# ---------------------------------------------------------------------------------------- serve


def _serve(settings: Settings, given: argparse.Namespace) -> int:
    from bot.app import opened

    async def run() -> int:
        async with opened(settings) as app:
            loop = asyncio.get_running_loop()
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, app.stop)
            has_operators = await app.has_operators()

            def on_ready(address: str) -> None:
                print(f"Memoras is ready: {address}", flush=True)
                print(f"  answers: {app.services.answering}")
                if not has_operators:
                    print(f"  to curate personas, set up the first operator: {address}/admin/setup")
                    print(f"  set-up code: {app.setup_code}")
                print("  stop with Ctrl-C", flush=True)

            try:
                await app.serve(on_ready)
            except OSError as error:
                return _fail(
                    f"The address {settings.host}:{settings.port} cannot be used ({error.strerror or error}). "
                    "Choose another port: ./run serve --port 8081"
                )
        return 0

    return asyncio.run(run())


# ---------------------------------------------------------------------------------------- chat


def _chat(settings: Settings, given: argparse.Namespace) -> int:
    from bot import chatting

    holder = _running_server(settings)
    if holder:
        return asyncio.run(chatting.with_server(holder["address"], holder["token"], given.persona, _say))
    return asyncio.run(chatting.alone(settings, given.persona))


def _running_server(settings: Settings) -> dict[str, Any] | None:
    """Return where the server of this data folder is, None when none runs."""
    holder = read_holder(settings.data)
    if not holder.get("address"):
        return None
    try:
        os.kill(int(holder["pid"]), 0)
    except (OSError, ValueError):
        return None
    return holder


# ---------------------------------------------------------------------------------------- import


def _import(settings: Settings, given: argparse.Namespace) -> int:
    from bot.by_hand import WantedImport

    path = Path(given.path).expanduser()
    if not path.exists():
        return _fail(f"There is nothing at {path}. Give the path of a file, a folder or a ZIP.")
    wanted = WantedImport(
        path=str(path.resolve()),
        persona=given.persona,
        kind=given.kind,
        audience=given.audience,
        owner_names=tuple(given.owner),
        timezone=given.timezone,
        day_first=given.day_first,
    )
    holder = _running_server(settings)
    return asyncio.run(_import_by_server(holder, wanted) if holder else _import_alone(settings, wanted))


async def _import_alone(settings: Settings, wanted: Any) -> int:
    from bot import by_hand
    from bot.app import opened

    async with opened(settings) as app, app.working(lambda account: False):
        begun = await by_hand.start(app, wanted)
        found = await _follow(lambda: by_hand.look(app, begun["job"]))
        link = await by_hand.owner_link(app, begun["slug"], f"http://{settings.host}:{settings.port}")
    return _say_how_it_went(found, begun, link, is_running=False)


async def _import_by_server(holder: dict[str, Any], wanted: Any) -> int:
    from aiohttp import ClientSession

    headers = {"Authorization": f"Bearer {holder['token']}"}
    async with ClientSession(holder["address"], headers=headers) as session:
        async with session.post("/local/imports", data=wanted.model_dump_json()) as response:
            begun = await response.json()
            if response.status != 202:
                return _fail(begun.get("error", "The server refused the import."))

        async def look() -> dict[str, Any]:
            async with session.get(f"/local/imports/{begun['job']}") as response:
                found: dict[str, Any] = await response.json()
                return found

        found = await _follow(look)
        async with session.post(f"/local/personas/{begun['slug']}/link") as response:
            link = (await response.json()).get("link", "")
    return _say_how_it_went(found, begun, link, is_running=True)


async def _follow(look: Callable[[], Any]) -> dict[str, Any]:
    shows = sys.stderr.isatty()
    while True:
        found: dict[str, Any] = await look()
        if shows:
            print(f"\r\x1b[K{_progress(found['progress'])}", end="", file=sys.stderr, flush=True)
        if found["state"] in ("done", "failed"):
            if shows:
                print("\r\x1b[K", end="", file=sys.stderr, flush=True)
            return found
        await asyncio.sleep(_POLL_S)


def _progress(progress: dict[str, Any]) -> str:
    done, whole = progress.get("bytes_done", 0), progress.get("bytes_total", 0)
    share = f"{min(100, 100 * done // whole)} %" if whole else "..."
    left = f", about {progress['seconds_left']:.0f} s left" if progress.get("seconds_left") else ""
    return f"importing: {share}, {progress.get('records', 0)} rows{left}"


def _say_how_it_went(found: dict[str, Any], begun: dict[str, Any], link: str, *, is_running: bool) -> int:
    from knowledge.importing import describe_report

    for line in describe_report(found["report"]):
        print(line)
    if found["state"] == "failed":
        return _fail(f"The import did not work: {found['error']}")
    if begun["is_new"]:
        print(f"{begun['persona']} is a new persona: private, so only its owner and those it invites can talk to it.")
    if not is_running:
        print("Start the server with ./run, then:")
    print(f"Talk to {begun['persona']} as its owner (this link works once): {link}")
    return 0


# ---------------------------------------------------------------------------------------- doctor


def _doctor(settings: Settings, given: argparse.Namespace) -> int:
    from bot import doctor

    findings = asyncio.run(doctor.examine(settings))
    for finding in findings:
        print(f"[{finding.mark}] {finding.summary}")
        if finding.next_step:
            print(f"     {finding.next_step}")
    return 1 if any(finding.is_broken for finding in findings) else 0
