"""The image and the composition say what they should, and name only files that exist."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import yaml

from bot.settings import Settings

ROOT = Path(__file__).parent.parent
STORES = {"postgres": "postgres:18-alpine", "redis": "redis:8-alpine", "weaviate": "semitechnologies/weaviate:1.40"}


@pytest.fixture(scope="module")
def composition() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return found


@pytest.fixture(scope="module")
def image() -> list[tuple[str, str]]:
    """The Dockerfile's instructions, (word, rest), with continued lines joined."""
    lines = (line for line in (ROOT / "Dockerfile").read_text().splitlines() if not line.startswith("#"))
    joined = "\n".join(lines).replace("\\\n", " ")
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in joined.splitlines() if line)]


def test_the_server_alone_starts_by_default(composition: dict[str, Any]) -> None:
    by_default = {name for name, service in composition["services"].items() if not service.get("profiles")}
    assert by_default == {"server"}
    assert set(composition["services"]) == {"server", *STORES}


@pytest.mark.parametrize(("name", "image_name"), STORES.items())
def test_each_store_is_the_version_that_is_promised(composition: dict[str, Any], name: str, image_name: str) -> None:
    assert composition["services"][name]["image"].startswith(image_name)


def test_every_port_is_for_this_machine_only(composition: dict[str, Any]) -> None:
    for name, service in composition["services"].items():
        assert service["ports"], name
        for port in service["ports"]:
            assert re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port), f"{name} offers {port}"


def test_no_two_services_want_the_same_port(composition: dict[str, Any]) -> None:
    ports = [port.rsplit(":", 1)[0] for service in composition["services"].values() for port in service["ports"]]
    assert len(ports) == len(set(ports))


def test_every_service_says_whether_it_is_well(composition: dict[str, Any]) -> None:
    for name, service in composition["services"].items():
        check = service["healthcheck"]
        assert check["test"][0] in ("CMD", "CMD-SHELL"), name
        assert check["retries"] >= 3, name


def test_what_must_not_be_lost_is_in_a_named_volume(composition: dict[str, Any]) -> None:
    for name in ("server", "postgres", "weaviate"):
        volumes = [volume.split(":")[0] for volume in composition["services"][name]["volumes"]]
        assert volumes
        assert set(volumes) <= set(composition["volumes"]), name


def test_no_password_stands_in_the_composition(composition: dict[str, Any]) -> None:
    for name, service in composition["services"].items():
        assert service["env_file"], name
        for variable, value in service.get("environment", {}).items():
            assert not re.search(r"PASSWORD|SECRET|TOKEN|ALLOWED_KEYS|_KEY$", variable), f"{name}: {variable}={value}"


def test_the_env_files_are_optional_kept_out_of_git_and_have_an_example(composition: dict[str, Any]) -> None:
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    for service in composition["services"].values():
        for file in service["env_file"]:
            assert file["required"] is False
            assert file["path"] in ignored
            assert (ROOT / f"{file['path']}.example").is_file()


def test_every_password_a_store_needs_is_in_the_example() -> None:
    text = (ROOT / "docker/stores.env.example").read_text()
    named = set(re.findall(r"^([A-Z_]+)=(.*)$", text, flags=re.M))
    assert named == {
        (name, "") for name in ("POSTGRES_PASSWORD", "REDIS_PASSWORD", "AUTHENTICATION_APIKEY_ALLOWED_KEYS")
    }


def test_the_server_may_finish_what_it_has_begun(composition: dict[str, Any]) -> None:
    grace = composition["services"]["server"]["stop_grace_period"]
    assert float(grace.removesuffix("s")) > Settings.model_fields["drain_s"].default + 5


def test_everything_the_image_copies_exists_and_is_let_through(image: list[tuple[str, str]]) -> None:
    let_through = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = [rest.split()[:-1] for word, rest in image if word == "COPY" and "--from=" not in rest]
    assert copied
    for source in (source for sources in copied for source in sources):
        assert (ROOT / source).exists(), f"the Dockerfile copies {source}, which does not exist"
        assert source in let_through, f".dockerignore keeps {source} out"


def test_every_package_of_ours_is_in_the_image(image: list[tuple[str, str]]) -> None:
    copied = {source for word, rest in image if word == "COPY" for source in rest.split()[:-1]}
    assert {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests", "benchmarks"} <= copied


def test_the_image_runs_as_a_user_without_rights(image: list[tuple[str, str]]) -> None:
    last_stage = image[max(place for place, (word, _) in enumerate(image) if word == "FROM") :]
    users = [rest for word, rest in last_stage if word == "USER"]
    assert users
    assert users[-1] not in ("root", "0")
    assert [word for word, _ in last_stage].index("USER") < [word for word, _ in last_stage].index("ENTRYPOINT")


def test_the_image_keeps_its_data_in_a_volume_and_ends_on_a_signal(image: list[tuple[str, str]]) -> None:
    said = dict(image)
    environment = dict(pair.split("=", 1) for pair in shlex.split(said["ENV"]))
    assert said["VOLUME"] == environment["MEMORAS_DATA"]
    assert said["EXPOSE"] == environment["MEMORAS_PORT"]
    assert said["STOPSIGNAL"] == "SIGTERM"
    assert said["ENTRYPOINT"].startswith("["), "a shell in between would swallow the signal"


def test_the_image_installs_by_hash(image: list[tuple[str, str]]) -> None:
    (installing,) = [rest for word, rest in image if word == "RUN" and "pip install" in rest]
    assert "--require-hashes" in installing
    assert "--no-deps" in installing
    assert "-r requirements.lock" in installing


def test_every_setting_given_to_the_containers_exists(
    composition: dict[str, Any], image: list[tuple[str, str]]
) -> None:
    known = {f"MEMORAS_{name.upper()}" for name in Settings.model_fields}
    given = set(composition["services"]["server"]["environment"])
    given |= set(re.findall(r"MEMORAS_[A-Z_]+", dict(image)["ENV"]))
    assert given <= known


@pytest.mark.parametrize(("status", "ends_with"), [(200, 0), (503, 1)])
def test_the_health_check_passes_on_what_the_server_says(status: int, ends_with: int) -> None:
    asked: list[str] = []

    class Server(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Server) as server:
        Thread(target=server.handle_request, daemon=True).start()
        assert _check_health(server.server_port) == ends_with
    assert asked == ["/health"]


def test_the_health_check_fails_when_nobody_listens() -> None:
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        port = server.server_port
    assert _check_health(port) == 1


def _check_health(port: int) -> int:
    return subprocess.run(
        [sys.executable, ROOT / "docker/healthy.py"], env={**os.environ, "MEMORAS_PORT": str(port)}, timeout=30
    ).returncode
