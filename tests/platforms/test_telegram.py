"""The local Telegram refuses, remembers and delivers as the Bot API does; else tests against it would prove nothing."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import ClientSession, FormData, ServerDisconnectedError

from tests.platforms.telegram import LocalBot, Rates, Telegram


class Caller:
    """Calls the Bot API by hand."""

    def __init__(self, telegram: Telegram, bot: LocalBot, client: ClientSession) -> None:
        self.telegram = telegram
        self.bot = bot
        self.client = client
        self.ann = telegram.person("Ann", has_met=True)

    async def __call__(self, method: str, *, token: str = "", **params: Any) -> dict[str, Any]:
        form = {name: value if isinstance(value, str) else json.dumps(value) for name, value in params.items()}
        url = f"{self.telegram.url}/bot{token or self.bot.token}/{method}"
        async with self.client.post(url, data=form or None) as response:
            found: dict[str, Any] = await response.json()
            assert found["ok"] is (response.status == 200)
            assert found.get("error_code", 200) == response.status
            return found

    async def refusal(self, method: str, **params: Any) -> str:
        return str((await self(method, **params))["description"])


@pytest.fixture
async def call() -> AsyncIterator[Caller]:
    async with Telegram() as telegram, ClientSession() as client:
        yield Caller(telegram, telegram.bot(), client)


async def test_a_wrong_token_and_a_wrong_method_are_refused(call: Caller) -> None:
    assert (await call("getMe", token="123:wrong"))["error_code"] == 401
    assert (await call("getMe", token="nonsense"))["error_code"] == 404
    assert (await call("sendThought"))["error_code"] == 404
    assert (await call("GETME"))["result"]["username"] == call.bot.username


async def test_text_is_counted_and_must_be_there(call: Caller) -> None:
    to = call.ann.id
    assert await call.refusal("sendMessage", chat_id=to) == "Bad Request: message text is empty"
    assert await call.refusal("sendMessage", chat_id=to, text=" \n") == "Bad Request: message text is empty"
    assert await call.refusal("sendMessage", chat_id=to, text="a" * 4097) == "Bad Request: message is too long"
    assert await call.refusal("sendMessage", chat_id=to, text="👵" * 2049) == "Bad Request: message is too long"
    assert (await call("sendMessage", chat_id=to, text="👵" * 2048))["ok"]


async def test_chats_must_be_there_and_willing(call: Caller) -> None:
    stranger = call.telegram.person("Zoe")
    assert await call.refusal("sendMessage", chat_id=424242, text="hi") == "Bad Request: chat not found"
    assert "can't initiate" in await call.refusal("sendMessage", chat_id=stranger.id, text="hi")
    await stranger.writes("hello")
    assert (await call("sendMessage", chat_id=stranger.id, text="hi"))["ok"]
    await stranger.blocks()
    assert "blocked by the user" in await call.refusal("sendMessage", chat_id=stranger.id, text="hi")


@pytest.mark.parametrize(
    "params",
    [
        {"entities": [{"type": "glitter", "offset": 0, "length": 2}]},
        {"entities": [{"type": "bold", "offset": 1, "length": 2}]},
        {"entities": [{"type": "bold", "offset": -1, "length": 2}]},
        {"entities": [{"type": "text_link", "offset": 0, "length": 2}]},
        {"entities": "{not json"},
        {"parse_mode": "HTML", "text": "<b>hi"},
        {"parse_mode": "HTML", "text": "<marquee>hi</marquee>"},
    ],
)
async def test_looks_that_cannot_be_are_refused(call: Caller, params: dict[str, Any]) -> None:
    assert "can't parse" in await call.refusal("sendMessage", **{"chat_id": call.ann.id, "text": "hi", **params})


async def test_an_answer_to_nothing_needs_leave(call: Caller) -> None:
    reply = {"message_id": 9999}
    refusal = await call.refusal("sendMessage", chat_id=call.ann.id, text="hi", reply_parameters=reply)
    assert refusal == "Bad Request: message to be replied not found"
    reply["allow_sending_without_reply"] = True
    assert (await call("sendMessage", chat_id=call.ann.id, text="hi", reply_parameters=reply))["ok"]


async def test_a_file_is_uploaded_named_and_handed_out(call: Caller) -> None:
    form = FormData({"chat_id": str(call.ann.id), "voice": "attach://f"})
    form.add_field("f", b"OggS" + bytes(60), filename="v.ogg", content_type="application/octet-stream")
    async with call.client.post(f"{call.telegram.url}/bot{call.bot.token}/sendVoice", data=form) as response:
        voice = (await response.json())["result"]["voice"]
    assert (await call("sendVoice", chat_id=call.ann.id, voice=voice["file_id"]))["ok"]
    assert "can't use file of type" in await call.refusal("sendPhoto", chat_id=call.ann.id, photo=voice["file_id"])
    assert "wrong file identifier" in await call.refusal("sendVoice", chat_id=call.ann.id, voice="nonsense")
    path = (await call("getFile", file_id=voice["file_id"]))["result"]["file_path"]
    url = f"{call.telegram.url}/file/bot{call.bot.token}/{path}"
    async with call.client.get(url) as response:
        assert await response.read() == b"OggS" + bytes(60)
    call.telegram.expire_paths()
    async with call.client.get(url) as response:
        assert response.status == 404


async def test_what_is_no_voice_is_sent_as_a_file(call: Caller) -> None:
    form = FormData({"chat_id": str(call.ann.id), "voice": "attach://f"})
    form.add_field("f", b"RIFF" + bytes(60), filename="v.wav")
    async with call.client.post(f"{call.telegram.url}/bot{call.bot.token}/sendVoice", data=form) as response:
        assert "document" in (await response.json())["result"]


async def test_updates_are_given_again_until_the_next_offset_confirms_them(call: Caller) -> None:
    for number in range(5):
        await call.ann.writes(str(number))
    first = (await call("getUpdates", limit=2))["result"]
    assert [one["message"]["text"] for one in first] == ["0", "1"]
    assert (await call("getUpdates", limit=2))["result"] == first
    rest = (await call("getUpdates", offset=first[-1]["update_id"] + 1))["result"]
    assert [one["message"]["text"] for one in rest] == ["2", "3", "4"]
    assert (await call("getUpdates", offset=rest[-1]["update_id"] + 1))["result"] == []
    assert call.bot.updates.pending == {}


async def test_a_long_poll_returns_with_the_first_update(call: Caller) -> None:
    async with asyncio.TaskGroup() as group:
        polled = group.create_task(call("getUpdates", timeout=30))
        await call.telegram.until(lambda: bool(call.telegram.called("getUpdates")))
        await call.ann.writes("hello")
    assert [one["message"]["text"] for one in polled.result()["result"]] == ["hello"]


async def test_polling_and_a_webhook_and_two_pollers_exclude_each_other(call: Caller) -> None:
    async with asyncio.TaskGroup() as group:
        first = group.create_task(call("getUpdates", timeout=30))
        await call.telegram.until(lambda: bool(call.telegram.called("getUpdates")))
        await call("getUpdates", timeout=0)
    assert first.result()["error_code"] == 409
    assert (await call("setWebhook", url="http://127.0.0.1:9/x", secret_token="s"))["ok"]
    assert "webhook is active" in await call.refusal("getUpdates")
    assert (await call("getWebhookInfo"))["result"]["url"] == "http://127.0.0.1:9/x"
    assert (await call("deleteWebhook"))["ok"]
    assert (await call("getUpdates"))["ok"]


async def test_reactions_come_only_when_they_are_asked_for(call: Caller) -> None:
    assert await call.ann.reacts(1, "👍") == 0
    await call("getUpdates", allowed_updates=["message", "message_reaction"])
    assert await call.ann.reacts(1, "👍") > 0
    assert await call.ann.blocks() == 0


async def test_rates_are_kept_per_chat_per_group_and_per_bot(call: Caller) -> None:
    call.telegram.rates = Rates(burst=1, per_bot_s=3)
    group = call.telegram.group("Family", call.ann)
    ben = call.telegram.person("Ben", has_met=True)
    assert (await call("sendMessage", chat_id=call.ann.id, text="1"))["ok"]
    assert (await call("sendMessage", chat_id=call.ann.id, text="2"))["parameters"] == {"retry_after": 1}
    assert (await call("sendMessage", chat_id=group.id, text="1"))["ok"]
    assert (await call("sendMessage", chat_id=group.id, text="2"))["parameters"] == {"retry_after": 3}
    assert (await call("sendMessage", chat_id=ben.id, text="1"))["ok"]
    zoe = call.telegram.person("Zoe", has_met=True)
    assert (await call("sendMessage", chat_id=zoe.id, text="1"))["error_code"] == 429
    assert len(call.telegram.sent()) == 3


async def test_faults_do_or_do_not_what_they_are_named_after(call: Caller) -> None:
    for count, fault in enumerate(("lost", "dropped")):
        call.telegram.fail(fault)  # type: ignore[arg-type]
        with pytest.raises(ServerDisconnectedError):
            await call("sendMessage", chat_id=call.ann.id, text=fault)
        assert len(call.ann.heard) == 1, count
    call.telegram.fail("did_502", times=2)
    for _ in range(2):
        assert (await call("sendMessage", chat_id=call.ann.id, text="hi"))["error_code"] == 502
    call.telegram.fail("500")
    await call("sendMessage", chat_id=call.ann.id, text="hi")
    assert len(call.ann.heard) == 3
    assert [one.fault for one in call.telegram.called("sendMessage")] == [
        "lost",
        "dropped",
        "did_502",
        "did_502",
        "500",
    ]
    assert (await call("sendMessage", chat_id=call.ann.id, text="hi"))["ok"]


async def test_it_can_be_tried_by_hand() -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.platforms.telegram", "--port", "0"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    url, token = [(await process.stdout.readline()).decode().split()[-1] for _ in range(2)]
    await process.stdout.readline()
    process.stdin.write(b"hello\n")
    async with ClientSession() as client:
        async with client.post(f"{url}/bot{token}/getUpdates", data={"timeout": "20"}) as response:
            [update] = (await response.json())["result"]
        answer = {"chat_id": str(update["message"]["chat"]["id"]), "text": "Hello, my dear."}
        async with client.post(f"{url}/bot{token}/sendMessage", data=answer) as response:
            assert response.status == 200
    assert (await process.stdout.readline()).decode() == "Nonna Rosa: Hello, my dear.\n"
    process.stdin.close()
    assert await process.wait() == 0
