"""The command line as people use it: importing, talking, asking the doctor, stopping, and what goes wrong."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import ClientSession, CookieJar

from knowledge import accounts, personas
from knowledge.clock import SystemClock
from tests.journeys.house import CHAT, CLARINET, DANCE, PATIENCE_S, House, at_rest, until
from tests.platforms.server import REPO, Server, change, free_port

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass(frozen=True, slots=True)
class Ended:
    """A command that has ended: its status and what it printed."""

    status: int
    out: str
    err: str


async def run(*arguments: str, data: Path, typed: str = "", **settings: str | int) -> Ended:
    """Run one command to its end, as `./run` would, with words typed into it."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MEMORAS_")}
    wanted = {"data": str(data), "samples": "false", "embedder": "false", "log_level": "ERROR", **settings}
    environment |= {f"MEMORAS_{name.upper()}": str(value) for name, value in wanted.items()}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bot", *arguments),
        env={**environment, "PYTHONPATH": str(REPO)},
        cwd=data.parent,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(PATIENCE_S):
            out, err = await process.communicate(typed.encode())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return Ended(process.returncode, out.decode(), err.decode())


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A WhatsApp chat as the telephone exports it."""
    file = tmp_path_factory.mktemp("exports") / "WhatsApp Chat with Anselmo.txt"
    file.write_text(CHAT, encoding="utf-8")
    return file


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """A server with nobody in it yet."""
    server = Server(tmp_path_factory.mktemp("running") / "data", quiet_s=0.1, embedder="false", log_level="CRITICAL")
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


# ------------------------------------------------------------------------------------------------ import and talk


async def test_a_chat_is_imported_without_a_server_and_its_owner_is_answered_out_of_it(
    tmp_path: Path, export: Path
) -> None:
    data = tmp_path / "data"
    imported = await run("import", str(export), "--persona", "Anselmo Rey", data=data)
    assert imported.status == 0, imported.err
    assert "Anselmo Rey is a new persona: private" in imported.out
    assert "Start the server with ./run" in imported.out
    assert re.search(r"http://127\.0\.0\.1:8080/p/anselmo-rey\?invite=[\w-]{22}", imported.out)

    talk = await run("chat", data=data, typed="Where did you buy the clarinet?\nWhere did you learn to dance?\n")
    assert talk.status == 0, talk.err
    assert CLARINET in talk.out
    assert DANCE in talk.out
    assert "AI" in talk.out

    again = await run("import", str(export), "--persona", "anselmo rey", data=data)
    assert again.status == 0, again.err
    assert "new persona" not in again.out


async def test_a_chat_is_imported_through_a_running_server_and_its_owner_is_answered_out_of_it(
    running: Server, export: Path
) -> None:
    imported = await run("import", str(export), "--persona", "Anselmo Rey", data=running.folder)
    assert imported.status == 0, imported.err
    assert "Start the server" not in imported.out
    link = re.search(rf"{running.url}/p/anselmo-rey\?invite=[\w-]{{22}}", imported.out)
    assert link

    asked = "Where did you buy the clarinet?\n"
    talk = await run("chat", "--persona", "Anselmo", data=running.folder, typed=asked)
    assert talk.status == 0, talk.err
    assert CLARINET in talk.out
    await at_rest(running)

    token = link[0].rpartition("=")[2]
    async with ClientSession(running.url, cookie_jar=CookieJar(unsafe=True)) as session:
        await _written(session, "/p/anselmo-rey/invitation", {"token": token})
        await _heard(session, "/p/anselmo-rey", 1)
        await _written(session, "/p/anselmo-rey/messages", {"text": "Where did you learn to dance?"})
        assert DANCE in (await _heard(session, "/p/anselmo-rey", 2))[-1]


async def _written(session: ClientSession, path: str, body: dict[str, str]) -> None:
    async with session.post(path, json=body) as response:
        assert response.status == 202, await response.text()


async def _heard(session: ClientSession, page: str, count: int) -> list[str]:
    """Wait until the persona has said so much, and return its words."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            async with session.get(f"{page}/messages") as response:
                said = [line["text"] for line in (await response.json())["messages"] if line["is_ours"]]
            if len(said) >= count:
                return said
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("has_server", [False, True], ids=["alone", "through a server"])
async def test_what_cannot_be_imported_is_said_with_the_next_step(
    tmp_path: Path, running: Server, has_server: bool
) -> None:
    data = running.folder if has_server else tmp_path / "data"
    missing = await run("import", str(tmp_path / "nothing.zip"), "--persona", "Rosa", data=data)
    assert missing.status == 1
    assert "There is nothing at" in missing.err
    assert "Traceback" not in missing.err
    odd = tmp_path / "song.mp3"
    odd.write_bytes(b"ID3\x03" + bytes(200))
    refused = await run("import", str(odd), "--persona", "Rosa", data=data)
    assert refused.status == 1
    assert "did not work" in refused.err
    assert "Traceback" not in refused.err


async def test_somebody_who_is_not_there_is_named_with_those_who_are(running: Server, tmp_path: Path) -> None:
    nobody = await run("chat", "--persona", "Nobody", data=tmp_path / "empty")
    assert nobody.status == 1
    assert "./run import" in nobody.err + nobody.out
    at = SystemClock().now()
    house = House(tmp_path / "house")
    change(house.folder, lambda c: personas.create_persona(c, name="Rosa", at=at))
    other = await run("chat", "--persona", "Nobody", data=house.folder)
    assert other.status == 1
    assert "There is no persona called Nobody. There are: Rosa." in other.err + other.out


# ------------------------------------------------------------------------------------------------ the doctor


async def test_the_doctor_of_a_fresh_folder_says_what_each_missing_piece_would_turn_on(tmp_path: Path) -> None:
    found = await run("doctor", data=tmp_path / "data")
    assert found.status == 0, found.out
    for words in ("is made at the first start", "MEMORAS_MODEL_URL", "MEMORAS_PUBLIC_URL", "MEMORAS_EMBEDDER"):
        assert words in found.out
    assert "[!!]" not in found.out
    assert not (tmp_path / "data").exists()


async def test_the_doctor_sees_a_running_server_and_leaves_it_alone(running: Server) -> None:
    found = await run("doctor", data=running.folder)
    assert f"A server runs on this data folder (process {_pid(running)} at {running.url})" in found.out
    assert "Nobody can sign in to the panel yet." in found.out
    assert found.status == 0, found.out
    await until(lambda said: bool(said.get("is_ok")), running)


def _pid(server: Server) -> int:
    assert server.process is not None
    return server.process.pid


async def test_the_doctor_names_what_is_broken_and_how_to_mend_it(tmp_path: Path) -> None:
    house = House(tmp_path / "data")
    rosa = house.persona("Rosa")
    account = house.account(rosa, "telegram", {"token": "123456:secret-token"}, name="rosa_bot")
    at = SystemClock().now()
    change(house.folder, lambda c: accounts.set_state(c, account.id, "broken"))
    change(house.folder, lambda c: accounts.note_error(c, account.id, "Telegram does not know this bot token.", at))
    model = f"http://127.0.0.1:{free_port()}/v1"
    found = await run("doctor", data=house.folder, model_url=model, model_name="m", model_key="sk-secret")
    assert found.status == 1
    assert "[!!] telegram account rosa_bot: Telegram does not know this bot token." in found.out
    assert f"[!!] The model endpoint {model} cannot be reached" in found.out
    assert "Is it running" in found.out
    assert "secret" not in found.out + found.err


# ------------------------------------------------------------------------------------------------ starting and stopping


async def test_a_second_server_on_the_same_folder_is_refused_and_told_of_the_first(running: Server) -> None:
    second = await run("serve", "--port", "0", data=running.folder)
    assert second.status == 1
    assert f"(process {_pid(running)} at {running.url})" in second.err
    assert "MEMORAS_DATA" in second.err
    assert "Traceback" not in second.err
    await until(lambda said: bool(said.get("is_ok")), running)


async def test_a_port_that_is_taken_is_said_with_what_to_do(running: Server, tmp_path: Path) -> None:
    second = await run("serve", "--port", str(running.port), data=tmp_path / "data")
    assert second.status == 1
    assert f"127.0.0.1:{running.port} cannot be used" in second.err
    assert "--port" in second.err
    assert "Traceback" not in second.err


async def test_wrong_settings_are_named_without_their_values(tmp_path: Path) -> None:
    found = await run("serve", data=tmp_path / "data", port="everywhere", quiet_s="soon")
    assert found.status == 1
    assert "MEMORAS_PORT" in found.err
    assert "MEMORAS_QUIET_S" in found.err
    assert "everywhere" not in found.err
    assert not (tmp_path / "data").exists()


async def test_what_waited_when_a_server_was_killed_is_answered_by_the_next_one(tmp_path: Path) -> None:
    house = House(tmp_path / "data")
    house.persona("Rosa", "I was born in Muros, in the house by the water.")
    patient = Server(house.folder, quiet_s=30, burst_s=60, embedder="false", log_level="CRITICAL")
    async with ClientSession(cookie_jar=CookieJar(unsafe=True)) as session:
        await patient.start()
        try:
            page = f"{patient.url}/p/rosa"
            await _written(session, f"{page}/messages", {"text": "Where were you born?"})
            assert await patient.stop(signal.SIGKILL) == -signal.SIGKILL
        finally:
            await patient.stop(signal.SIGKILL)
        quick = Server(house.folder, quiet_s=0.1, embedder="false", log_level="CRITICAL", port=patient.port)
        quick.port = patient.port
        await quick.start()
        try:
            (answer,) = await _heard(session, page, 1)
            assert "Muros" in answer
            await _written(session, f"{page}/messages", {"text": "And what was the house like?"})
        finally:
            assert await quick.stop(signal.SIGTERM) == 0


async def test_a_server_that_is_asked_to_stop_while_it_begins_ends_cleanly(tmp_path: Path) -> None:
    server = Server(tmp_path / "data", samples="true", log_level="CRITICAL")
    await server.start()  # the samples are being made now
    async with asyncio.timeout(PATIENCE_S):
        assert await server.stop(signal.SIGINT) == 0
