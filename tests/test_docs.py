"""The documentation says what there is: every setting, command, channel and measurement, and no link leads nowhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from benchmarks.__main__ import measurements
from bot.cli import main
from bot.settings import Settings, read_settings
from channels import registry

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
SETTINGS = {f"MEMORAS_{name.upper()}": field for name, field in Settings.model_fields.items()}


def pages() -> list[Path]:
    return [*sorted(ROOT.glob("*.md")), *sorted(DOCS.rglob("*.md"))]


def named(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


# ------------------------------------------------------------------------------------------- settings


def _table_rows(page: Path) -> dict[str, str]:
    """Return the first column of a page's tables, less the backquotes, with the second."""
    rows = re.findall(r"^\| `([^`]+)` \|([^|]*)\|", page.read_text(), flags=re.M)
    return {name: value.strip().strip("`") for name, value in rows}


def test_every_setting_is_explained_and_nothing_else_is() -> None:
    assert set(_table_rows(DOCS / "settings.md")) == set(SETTINGS)


def test_the_page_of_settings_tells_the_true_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    told = _table_rows(DOCS / "settings.md")
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)
    defaults = Settings(_env_file=None)
    for name, text in told.items():
        default = getattr(defaults, name.removeprefix("MEMORAS_").lower())
        if isinstance(default, SecretStr):
            default = default.get_secret_value()
        assert text == _as_written(default), f"docs/settings.md says {text!r} of {name}"


def _as_written(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    return "" if value is None else str(value)


def _example() -> dict[str, str]:
    text = (ROOT / ".env.example").read_text()
    return dict(re.findall(r"^#?(MEMORAS_[A-Z_]+)=(.*)$", text, flags=re.M))


def test_the_example_of_an_env_file_has_every_setting_switched_off() -> None:
    assert set(_example()) == set(SETTINGS)
    active = [line for line in (ROOT / ".env.example").read_text().splitlines() if line and not line.startswith("#")]
    assert not active


def test_the_example_of_an_env_file_shows_the_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    defaults = read_settings()
    given = "".join(f"{name}={value}\n" for name, value in _example().items() if value)
    (tmp_path / ".env").write_text(given)
    assert read_settings() == defaults


@pytest.mark.parametrize("page", [*pages(), ROOT / ".env.example", ROOT / "docker-compose.yml"], ids=named)
def test_no_page_speaks_of_a_setting_that_is_not_there(page: Path) -> None:
    told = set(re.findall(r"\bMEMORAS_[A-Z_]*[A-Z]\b", page.read_text()))
    assert told <= set(SETTINGS)


# ------------------------------------------------------------------------------------------- commands


def _help(*arguments: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--help"])
    assert ended.value.code == 0
    return capsys.readouterr().out


def test_every_command_and_each_of_its_options_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    explained = (DOCS / "commands.md").read_text()
    commands = re.findall(r"^    ([a-z]+) {2,}\S", _help(capsys=capsys), flags=re.M)
    assert {"serve", "chat", "import", "doctor"} <= set(commands)
    for command in commands:
        assert f"`./run {command}" in explained
        options = set(re.findall(r"--[a-z][a-z-]+", _help(command, capsys=capsys))) - {"--help"}
        missing = [option for option in options if option not in explained]
        assert not missing, f"docs/commands.md says nothing about {missing} of ./run {command}"


def test_the_help_of_run_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    told = subprocess.run(
        [sys.executable, "run", "--help"], cwd=ROOT, capture_output=True, text=True, timeout=60
    ).stdout
    commands = re.findall(r"^    ([a-z]+) {2,}\S", _help(capsys=capsys), flags=re.M)
    for command in [*commands, "test", "benchmark", "lock"]:
        assert f"./run {command}" in told


@pytest.mark.parametrize("page", pages(), ids=named)
def test_no_page_speaks_of_a_command_that_is_not_there(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    known = {*re.findall(r"^    ([a-z]+) {2,}\S", _help(capsys=capsys), flags=re.M), "test", "benchmark", "lock"}
    spoken = re.findall(r"(?:\./run|python -m bot) ([a-z]+)\b", "\n".join(_code(page.read_text())))
    assert set(spoken) <= known


def _code(text: str) -> Iterator[str]:
    yield from re.findall(r"^```sh\n(.*?)^```", text, flags=re.M | re.S)
    yield from re.findall(r"`([^`\n]+)`", text)


# ------------------------------------------------------------------------------------------- the rest


@pytest.mark.parametrize("channel", [channel.name for channel in registry.channels()])
def test_every_channel_has_a_page_that_the_first_page_leads_to(channel: str) -> None:
    assert (DOCS / f"channels/{channel}.md").is_file()
    assert f"docs/channels/{channel}.md" in (ROOT / "README.md").read_text()


def test_every_measurement_is_explained_and_nothing_else_is() -> None:
    assert set(_table_rows(DOCS / "benchmarks.md")) == set(measurements())


def test_every_decision_has_the_five_headings_and_is_listed() -> None:
    headings = re.findall(r"^## (.+)$", (DOCS / "decisions/template.md").read_text(), flags=re.M)
    assert len(headings) == 5
    records = sorted((DOCS / "decisions").glob("[0-9]*.md"))
    assert records
    for number, record in enumerate(records, 1):
        text = record.read_text()
        assert record.name.startswith(f"{number:04}-")
        assert text.startswith(f"# {number:04}: ")
        assert re.findall(r"^## (.+)$", text, flags=re.M) == headings
        assert f"({record.name})" in (DOCS / "decisions/README.md").read_text()


def _links(page: Path) -> list[str]:
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S)
    text = re.sub(r"`[^`\n]+`", "", text)
    return re.findall(r"\]\(([^)\s]+)\)", text)


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", pages(), ids=named)
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in _links(page):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = Path(os.path.normpath(page.parent / path)) if path else page
        assert target.exists(), f"{named(page)} links to {link}"
        if anchor:
            assert anchor in _anchors(target), f"{named(page)} links to {link}, and there is no such heading"


def test_every_page_can_be_reached_from_the_first_one() -> None:
    reached: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        reached.add(page)
        for link in _links(page):
            target = Path(os.path.normpath(page.parent / link.partition("#")[0]))
            if target.suffix == ".md" and target.is_file() and target not in reached:
                waiting.append(target)
    assert {named(page) for page in pages()} - {named(page) for page in reached} == set()


@pytest.mark.parametrize(
    "path", ["channels/contract.py", "knowledge/importers/contract.py", "agents/guards/verdict.py"]
)
def test_the_page_on_extending_leads_to_the_contracts(path: str) -> None:
    assert (ROOT / path).is_file()
    assert path in (DOCS / "extending.md").read_text()


@pytest.mark.parametrize("page", pages(), ids=named)
def test_every_file_of_ours_that_a_page_names_is_there(page: Path) -> None:
    ours = r"`((?:bot|admin|agents|channels|knowledge|tests|benchmarks|docker|docs)/[\w./-]+\.[a-z]+)`"
    for path in re.findall(ours, page.read_text()):
        assert (ROOT / path).exists() or path.endswith("stores.env"), f"{named(page)} names {path}"


def test_the_licence_is_the_one_that_is_declared() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in text
    assert "Version 2.0" in text
    assert "END OF TERMS AND CONDITIONS" in text
    assert 'license = "Apache-2.0"' in (ROOT / "pyproject.toml").read_text()
