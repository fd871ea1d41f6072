"""The settings: read from the environment and `.env`, wrong ones named, secrets never shown."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bot.settings import Settings, SettingsInvalid, read_settings


@pytest.fixture(autouse=True)
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, and none of this machine's own settings."""
    for name in [name for name in os.environ if name.upper().startswith("MEMORAS_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_without_any_setting_it_runs_on_this_machine_alone(desk: Path) -> None:
    found = read_settings()
    assert (found.host, found.port, found.data) == ("127.0.0.1", 8080, Path("data"))
    assert not found.has_model
    assert not found.tracing
    assert not found.is_secure


def test_the_environment_wins_over_the_file_and_an_argument_over_both(
    desk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (desk / ".env").write_text("MEMORAS_PORT=9001\nMEMORAS_HOST=0.0.0.0\nMEMORAS_QUIET_S=3\nOTHER=ignored\n")
    monkeypatch.setenv("MEMORAS_HOST", "127.0.0.2")
    monkeypatch.setenv("MEMORAS_QUIET_S", "4")
    found = read_settings(quiet_s=5)
    assert (found.port, found.host, found.quiet_s) == (9001, "127.0.0.2", 5)


def test_secrets_are_shown_as_set_or_not_and_never_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_settings().shown()["MEMORAS_MODEL_KEY"] == "(not set)"
    monkeypatch.setenv("MEMORAS_MODEL_KEY", "sk-do-not-show-me")
    found = read_settings()
    assert found.model_key.get_secret_value() == "sk-do-not-show-me"
    assert found.shown()["MEMORAS_MODEL_KEY"] == "(set)"
    assert "do-not-show" not in f"{found.shown()} {found!r} {found}"


def test_every_setting_is_shown_by_its_name() -> None:
    assert set(read_settings().shown()) == {f"MEMORAS_{name.upper()}" for name in Settings.model_fields}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MEMORAS_PORT", "http"),
        ("MEMORAS_PORT", "70000"),
        ("MEMORAS_PUBLIC_URL", "memoras.example"),
        ("MEMORAS_MODEL_URL", "ftp://models.example"),
        ("MEMORAS_QUIET_S", "-1"),
        ("MEMORAS_SENDS_AT_ONCE", "0"),
        ("MEMORAS_EMBEDDER", "perhaps"),
    ],
)
def test_a_wrong_setting_is_named_without_its_value(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsInvalid, match=name) as found:
        read_settings()
    assert value not in str(found.value).replace("http:// or https://", "")
    assert "docs/settings.md" in str(found.value)
    assert found.value.__cause__ is None
    assert found.value.__suppress_context__


def test_two_wrong_settings_are_named_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMORAS_PORT", "here")
    monkeypatch.setenv("MEMORAS_ATTEMPTS", "often")
    with pytest.raises(SettingsInvalid, match=r"MEMORAS_PORT.*MEMORAS_ATTEMPTS"):
        read_settings()


def test_addresses_lose_their_last_slash_and_say_whether_browsers_are_safe() -> None:
    found = read_settings(
        public_url=" https://memoras.example/ ", model_url="http://127.0.0.1:11434/v1/", model_name="m"
    )
    assert (found.public_url, found.model_url) == ("https://memoras.example", "http://127.0.0.1:11434/v1")
    assert found.is_secure
    assert found.has_model


def test_an_empty_setting_is_no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMORAS_PORT", "")
    monkeypatch.setenv("MEMORAS_MODEL_TEMPERATURE", "")
    found = read_settings()
    assert found.port == 8080
    assert found.model_temperature is None
