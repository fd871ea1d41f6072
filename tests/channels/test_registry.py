"""The registry: what can be connected, what a form asks for, and channels that come with other packages."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from channels import CHANNELS, registry
from channels.contract import AccountConfig, Adapter, Limits
from tests.channels.kit import ports


def test_the_registered_channels_come_in_order_and_with_their_titles() -> None:
    found = registry.channels()
    assert [info.name for info in found][: len(CHANNELS)] == list(CHANNELS)
    assert {info.name: info.title for info in found}["telegram"] == "Telegram"
    assert all(info.docs == f"docs/channels/{info.name}.md" for info in found)


def test_a_form_is_made_of_the_settings() -> None:
    info = next(each for each in registry.channels() if each.name == "telegram")
    fields = {field.name: field for field in info.fields}
    assert fields["token"].is_secret
    assert fields["token"].is_required
    assert fields["token"].default == ""
    assert fields["token"].help
    assert ("polling", "Polling") in fields["mode"].choices
    assert not fields["mode"].is_required
    assert fields["mode"].default == "auto"
    assert info.steps


def test_yes_and_no_are_what_the_settings_read() -> None:
    info = next(each for each in registry.channels() if each.name == "telegram")
    switches = [field for field in info.fields if ("true", "Yes") in field.choices]
    assert switches
    given = {"token": "123456:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", **{field.name: "true" for field in switches}}
    settings = registry.settings_model("telegram").model_validate(given)
    assert all(getattr(settings, field.name) is True for field in switches)


def test_a_channel_without_settings_asks_for_nothing() -> None:
    assert next(each for each in registry.channels() if each.name == "web").fields == ()


def test_an_unknown_channel_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        registry.settings_model("pigeon")


@pytest.mark.parametrize("name", ["web", "terminal"])
def test_what_is_built_offers_what_the_contract_asks(name: str) -> None:
    config = AccountConfig(id="a1", settings=registry.settings_model(name)())
    adapter = registry.build(name, config, ports())
    assert isinstance(adapter, Adapter)
    assert isinstance(adapter.limits, Limits)
    assert (adapter.name, adapter.account) == (name, config)


def test_an_installed_package_can_add_a_channel_and_a_broken_one_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "pigeons.py").write_text(
        "from pydantic import BaseModel, ConfigDict, Field, SecretStr\n"
        "from channels.registry import Channel\n"
        "STEPS = ('Feed the pigeon.',)\n"
        "class PigeonSettings(BaseModel):\n"
        "    model_config = ConfigDict(title='Pigeon post')\n"
        "    loft: SecretStr = Field(title='Loft')\n"
        "    height_m: int | None = None\n"
        "class PigeonAdapter:\n"
        "    def __init__(self, account, ports): self.account = account\n"
        "CHANNEL = Channel('pigeons:PigeonAdapter', 'pigeons:PigeonSettings')\n"
    )
    dist = tmp_path / "pigeons-1.dist-info"
    dist.mkdir()
    (dist / "METADATA").write_text("Metadata-Version: 2.1\nName: pigeons\nVersion: 1\n")
    (dist / "entry_points.txt").write_text(
        "[memoras.channels]\npigeon = pigeons:CHANNEL\nweb = pigeons:CHANNEL\n"
        "broken = nowhere:CHANNEL\nodd = pigeons:STEPS\n"
    )
    code = (
        "from channels import registry\n"
        "infos = {info.name: info for info in registry.channels()}\n"
        "assert list(infos)[-1] == 'pigeon', list(infos)\n"
        "assert 'broken' not in infos and 'odd' not in infos\n"
        "assert infos['web'].title == 'Web page'\n"
        "pigeon = infos['pigeon']\n"
        "assert (pigeon.title, pigeon.steps) == ('Pigeon post', ('Feed the pigeon.',))\n"
        "fields = [(field.label, field.is_secret, field.is_required) for field in pigeon.fields]\n"
        "assert fields == [('Loft', True, True), ('Height m', False, False)]\n"
        "assert registry.build('pigeon', 'the account', None).account == 'the account'\n"
    )
    root = Path(registry.__file__).parent.parent
    ran = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=root,
        env={"PYTHONPATH": f"{tmp_path}:{root}"},
    )
    assert ran.returncode == 0, ran.stderr
