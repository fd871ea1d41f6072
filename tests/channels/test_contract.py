"""One contract for every channel: it runs over each registered adapter and each of its fixtures."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import ModuleType
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from channels import CHANNELS, errors, registry
from channels.contract import INBOUND, OUTBOUND, AccountConfig, Adapter, Chat, Inbound, Outbound, Text
from channels.rendering import compose, measure, render, telegram
from tests.channels.kit import FIXTURES, Delivery, MemoryInlet, fixture, free_address, mounted, ports, serving

NAMES = [name for name in sorted(CHANNELS) if (FIXTURES / name / "account.json").exists()]
CASES = sorted(
    (path.parent.name, path.name.removesuffix(".expected.json")) for path in FIXTURES.glob("*/*.expected.json")
)
READABLE = [(name, case) for name, case in CASES if isinstance(fixture(name, f"{case}.expected.json"), list)]
ERRORS = [
    pytest.param(path.parent.name, one, id=f"{path.parent.name}-{one['about']}")
    for path in sorted(FIXTURES.glob("*/errors.json"))
    for one in json.loads(path.read_text(encoding="utf-8"))
]


def _account(name: str) -> dict[str, Any]:
    found: dict[str, Any] = fixture(name, "account.json")
    return found


def _adapter(name: str, *, server: str = "http://127.0.0.1:9") -> Adapter:
    account = _account(name)
    given = {key: _placed(value, server) for key, value in account["settings"].items()}
    config = AccountConfig(
        id="account-1",
        settings=registry.settings_model(name).model_validate(given),
        webhook_url="https://memoras.example" + account.get("webhook_path", ""),
        display_name=account.get("display_name", ""),
    )
    return registry.build(name, config, ports())


def _placed(value: Any, server: str) -> Any:
    return value.replace("{server}", server) if isinstance(value, str) else value


@asynccontextmanager
async def _built(name: str, *, server: str = "http://127.0.0.1:9") -> AsyncIterator[Adapter]:
    adapter = _adapter(name, server=server)
    try:
        yield adapter
    finally:
        await adapter.close()


# ------------------------------------------------------------------------------------------- fixtures


@pytest.mark.parametrize("name", sorted(CHANNELS))
def test_every_channel_has_fixtures_and_says_how_it_is_connected(name: str) -> None:
    assert name in NAMES, f"write tests/channels/fixtures/{name}/account.json, see the README there"
    assert {case for channel, case in CASES if channel == name}
    payloads = {path.name for path in (FIXTURES / name).glob("*.json")} - {"account.json", "errors.json"}
    alone = {each for each in payloads if not each.endswith(".expected.json")}
    assert {f"{each.removesuffix('.json')}.expected.json" for each in alone} == payloads - alone
    info = next(each for each in registry.channels() if each.name == name)
    assert not info.fields or info.steps


def test_no_fixture_belongs_to_a_channel_that_is_not_registered() -> None:
    assert {path.name for path in FIXTURES.iterdir() if path.is_dir()} <= set(CHANNELS)


@pytest.mark.parametrize(("name", "case"), CASES)
async def test_every_fixture_is_read_as_expected(name: str, case: str) -> None:
    payload, expected = fixture(name, f"{case}.json"), fixture(name, f"{case}.expected.json")
    async with _built(name) as adapter:
        if expected == "not understood":
            with pytest.raises(errors.PayloadNotUnderstood):
                adapter.parse(payload)
            return
        found = adapter.parse(payload)
    assert found == [INBOUND.validate_python(each) for each in expected]


@pytest.mark.parametrize(("name", "case"), READABLE)
async def test_what_was_read_survives_json_and_reads_the_same_again(name: str, case: str) -> None:
    async with _built(name) as adapter:
        found = adapter.parse(fixture(name, f"{case}.json"))
        again = adapter.parse(fixture(name, f"{case}.json"))
    for inbound in found:
        assert INBOUND.validate_json(INBOUND.dump_json(inbound)) == inbound
        assert inbound.sent_at.tzinfo is not None
    assert [each.event_id for each in found] == [each.event_id for each in again]


@pytest.mark.parametrize("name", NAMES)
def test_no_two_fixtures_are_the_same_event(name: str) -> None:
    ids = [
        each["event_id"]
        for channel, case in READABLE
        if channel == name
        for each in fixture(name, f"{case}.expected.json")
    ]
    assert len(ids) == len(set(ids))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize("name", NAMES)
async def test_any_other_shape_is_not_understood_or_an_event_and_never_a_crash(name: str) -> None:
    samples = [fixture(channel, f"{case}.json") for channel, case in CASES if channel == name]
    async with _built(name) as adapter:

        @given(payload=json_values | st.builds(_bent, st.sampled_from(samples), st.integers(0, 200), json_values))
        @settings(max_examples=150, deadline=None)
        def holds(payload: Any) -> None:
            try:
                found = adapter.parse(payload)
            except errors.PayloadNotUnderstood:
                return
            assert all(isinstance(each, Inbound) and each.event_id for each in found)

        holds()


def _bent(sample: Any, place: int, value: Any) -> Any:
    """Return the sample with one of its values, counted from the top, replaced."""
    count = 0

    def bend(node: Any) -> Any:
        nonlocal count
        count += 1
        if count == place:
            return value
        if isinstance(node, dict):
            return {key: bend(inner) for key, inner in node.items()}
        return [bend(inner) for inner in node] if isinstance(node, list) else node

    return bend(sample)


# ------------------------------------------------------------------------------------------- deliveries


def _kit(name: str) -> ModuleType | None:
    path = FIXTURES / name / "kit.py"
    if not path.exists():
        return None
    spec = importlib.util.spec_from_file_location(f"kit_of_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _delivery(adapter: Adapter, payload: Any, headers: dict[str, str] | None = None) -> Delivery:
    kit, account = _kit(adapter.name), _account(adapter.name)
    if kit is not None and headers is None and hasattr(kit, "delivery"):
        found: Delivery = kit.delivery(adapter, payload)
        return found
    proof = account.get("headers", {}) if headers is None else headers
    path = account["webhook_path"] + account["deliver_to"]
    return Delivery(path, {"Content-Type": "application/json", **proof}, json.dumps(payload).encode())


def _forgeries(adapter: Adapter, payload: Any) -> list[Delivery]:
    kit = _kit(adapter.name)
    if kit is not None and hasattr(kit, "forgeries"):
        found: list[Delivery] = kit.forgeries(adapter, payload)
        return found
    return [_delivery(adapter, payload, headers) for headers in _account(adapter.name)["forged_headers"]]


DELIVERED = [name for name in NAMES if _account(name).get("deliver_to") is not None]
DELIVERED_CASES = [(name, case) for name, case in READABLE if name in DELIVERED]


@asynccontextmanager
async def _platform(name: str) -> AsyncIterator[tuple[Adapter, MemoryInlet, aiohttp.ClientSession, str]]:
    inlet = MemoryInlet()
    async with _built(name) as adapter, mounted(adapter, inlet, path=_account(name)["webhook_path"]) as address:
        jar = aiohttp.CookieJar(unsafe=True)  # cookies of a bare address
        async with aiohttp.ClientSession(cookie_jar=jar) as session:
            yield adapter, inlet, session, address


@pytest.mark.parametrize(("name", "case"), DELIVERED_CASES)
async def test_a_repeated_delivery_is_recognised(name: str, case: str) -> None:
    async with _platform(name) as (adapter, inlet, session, address):
        delivery = _delivery(adapter, fixture(name, f"{case}.json"))
        for _ in range(2):
            async with session.post(address + delivery.path, data=delivery.body, headers=delivery.headers) as answer:
                assert answer.status // 100 == 2
    assert len(inlet.calls) == 2 or not fixture(name, f"{case}.expected.json")
    assert all(call == inlet.calls[0] for call in inlet.calls)


@pytest.mark.parametrize("name", DELIVERED)
async def test_a_wrong_signature_is_refused_and_nothing_is_accepted(name: str) -> None:
    case = next(case for channel, case in READABLE if channel == name)
    async with _platform(name) as (adapter, inlet, session, address):
        forgeries = _forgeries(adapter, fixture(name, f"{case}.json"))
        assert forgeries
        for delivery in forgeries:
            async with session.post(address + delivery.path, data=delivery.body, headers=delivery.headers) as answer:
                assert answer.status in (401, 403)
    assert not inlet.received


@pytest.mark.parametrize("name", DELIVERED)
async def test_a_delivery_that_could_not_be_stored_is_asked_for_again(name: str) -> None:
    case = next(case for channel, case in READABLE if channel == name)
    async with _platform(name) as (adapter, inlet, session, address):
        delivery = _delivery(adapter, fixture(name, f"{case}.json"))
        inlet.is_broken = True
        async with session.post(address + delivery.path, data=delivery.body, headers=delivery.headers) as answer:
            assert answer.status == 503
        inlet.is_broken = False
        async with session.post(address + delivery.path, data=delivery.body, headers=delivery.headers) as answer:
            assert answer.status // 100 == 2
    assert inlet.received


# ------------------------------------------------------------------------------------------- sending


@pytest.mark.parametrize("name", NAMES)
@given(
    words=st.lists(
        st.sampled_from(
            [
                "**bold** ",
                "plain words. ",
                "👩‍👩‍👧‍👦",
                "今天天气很好。",
                "\n\n",
                "- one\n",
                "`x`",
                "<&> ",
                "```\ncode\n```\n",
            ]
        ),
        min_size=1,
        max_size=9,
    ),
    times=st.integers(1, 700),
)
@settings(max_examples=15, deadline=None)
def test_long_text_is_split_inside_the_limit(name: str, words: list[str], times: int) -> None:
    limits = _limits(name)
    for message in compose([Text(text="".join(words) * times)], limits, platform=name):
        (part,) = message
        assert isinstance(part, Text)
        shown = telegram(part.text).text if name == "telegram" else render(part.text, name)
        assert 0 < measure(shown, limits.text_unit) <= limits.text_length
        outbound = Outbound(key="k", chat=Chat(id="1"), parts=message)
        assert OUTBOUND.validate_json(OUTBOUND.dump_json(outbound)) == outbound


def _limits(name: str) -> Any:
    module, _, attribute = CHANNELS[name][0].partition(":")
    return getattr(importlib.import_module(module), attribute).limits


@pytest.mark.parametrize(("name", "one"), ERRORS)
async def test_every_error_of_the_platform_becomes_one_of_ours(name: str, one: dict[str, Any]) -> None:
    outbound = Outbound(key="k1", chat=Chat(id=one.get("chat_id", "1")), parts=(Text(text="Hello"),))
    async with _failing(one) as server, _built(name, server=server) as adapter:
        with pytest.raises(errors.ChannelError) as caught:
            await adapter.send(outbound)
    assert type(caught.value).__name__ == one["raises"]
    for attribute, value in one.get("with", {}).items():
        assert getattr(caught.value, attribute) == value
    assert "Hello" not in str(caught.value)


@asynccontextmanager
async def _failing(one: dict[str, Any]) -> AsyncIterator[str]:
    if one.get("fault") == "refused":
        yield free_address()
        return

    async def answer(request: web.Request) -> web.Response:
        await request.read()
        if one.get("fault") == "lost":
            assert request.transport is not None
            request.transport.close()
            raise asyncio.CancelledError
        body = one.get("body", "")
        text = body if isinstance(body, str) else json.dumps(body)
        kind = "text/plain" if isinstance(body, str) else "application/json"
        return web.Response(status=one["status"], headers=one.get("headers"), text=text, content_type=kind)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with serving(app) as address:
        yield address


# ------------------------------------------------------------------------------------------- weight


def test_no_platform_library_is_imported_before_an_account_of_it_is_built() -> None:
    code = (
        "import sys\n"
        "from channels import CHANNELS, registry\n"
        "import channels.rendering\n"
        "assert {info.name for info in registry.channels()} >= set(CHANNELS)\n"
        "[registry.settings_model(name) for name in CHANNELS]\n"
        "heavy = {'aiogram', 'slack_bolt', 'slack_sdk', 'discord', 'tweepy', 'twilio', 'markdown_it'}\n"
        "adapters = {path.partition(':')[0] for path, _ in CHANNELS.values()}\n"
        "found = (heavy | adapters) & (set(sys.modules) | {name.partition('.')[0] for name in sys.modules})\n"
        "assert not found, found\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert ran.returncode == 0, ran.stderr
