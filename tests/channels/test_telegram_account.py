"""One Telegram account as an operator sees it: the check, the links, the files, the way messages come in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from channels.contract import MediaFile
from channels.errors import NotConfigured, PlatformUnavailable, Undeliverable
from channels.telegram import TelegramAdapter
from tests.channels.telegram_stage import OGG, MemoryInlet, build
from tests.platforms.telegram import LocalBot, Telegram, Webhook
from tests.platforms.telegram_methods import StoredFile


@pytest.fixture
async def telegram() -> AsyncIterator[Telegram]:
    async with Telegram() as found:
        yield found


async def content(adapter: TelegramAdapter, file_id: str) -> bytes:
    return b"".join([chunk async for chunk in adapter.fetch(MediaFile(platform_id=file_id))])


def kept(bot: LocalBot, body: bytes) -> str:
    return bot.keep_file(StoredFile("voice", body, ""))[0]


# --------------------------------------------------------------------------------------------- check


async def test_a_good_token_is_told_with_its_name_and_what_it_hears_in_groups(telegram: Telegram) -> None:
    adapter = build(telegram, telegram.bot())
    health = await adapter.check()
    await adapter.close()
    assert health.is_ok
    assert "Connected as Nonna Rosa (@nonna_rosa_bot)." in health.summary
    assert "Privacy mode is on" in health.summary
    assert (health.detail["username"], health.detail["receives_by"]) == ("nonna_rosa_bot", "polling")
    assert health.next_step


async def test_with_privacy_mode_off_it_says_so(telegram: Telegram) -> None:
    adapter = build(telegram, telegram.bot(reads_all=True))
    health = await adapter.check()
    await adapter.close()
    assert "Privacy mode is off" in health.summary


async def test_a_token_nobody_knows_is_told_with_what_to_do(telegram: Telegram) -> None:
    bot = telegram.bot()
    telegram.revoke(bot)
    adapter = build(telegram, bot)
    health = await adapter.check()
    await adapter.close()
    assert not health.is_ok
    assert "does not know this bot token" in health.summary
    assert "@BotFather" in health.next_step


async def test_no_connection_is_told_apart_from_a_wrong_token(telegram: Telegram) -> None:
    adapter = build(telegram, telegram.bot())
    await telegram.refuse()
    health = await adapter.check()
    await telegram.resume()
    await adapter.close()
    assert not health.is_ok
    assert "cannot be reached" in health.summary
    assert "internet" in health.next_step


async def test_deliveries_that_fail_are_told_without_the_secret_path(telegram: Telegram) -> None:
    bot, inlet = telegram.bot(), MemoryInlet()
    adapter = build(telegram, bot, webhook_url="http://127.0.0.1:9/hooks/hidden-path")
    await adapter.listen(inlet)
    await telegram.person("Ann").writes("hello")
    await telegram.until(lambda: bool(bot.deliveries))
    health = await adapter.check()
    await adapter.close()
    assert not health.is_ok
    assert "1 update waits" in health.summary
    assert "The last delivery failed: Cannot connect to /…." in health.summary
    assert "MEMORAS_PUBLIC_URL" in health.next_step


async def test_a_webhook_that_somebody_moved_is_told(telegram: Telegram) -> None:
    bot = telegram.bot()
    adapter = build(telegram, bot, webhook_url="http://127.0.0.1:9/hooks/ours")
    await adapter.listen(MemoryInlet())
    assert (await adapter.check()).is_ok
    bot.updates.deliver_to(Webhook("http://127.0.0.1:9/hooks/theirs"))
    health = await adapter.check()
    await adapter.close()
    assert not health.is_ok
    assert "another address" in health.summary


async def test_what_another_server_failed_to_take_does_not_keep_a_bot_from_being_connected(telegram: Telegram) -> None:
    bot = telegram.bot()
    bot.updates.deliver_to(Webhook("http://127.0.0.1:9/gone", last_error="Connection timed out"))
    await telegram.person("Ann").writes("hello")
    adapter = build(telegram, bot, webhook_url="http://127.0.0.1:9/hooks/ours")
    health = await adapter.check()
    await adapter.close()
    assert health.is_ok
    assert "1 update waits" in health.summary


# ---------------------------------------------------------------------------------------------- ways in


@pytest.mark.parametrize(
    ("base", "mode", "url", "is_delivered"),
    [
        ("https://api.telegram.org", "auto", "https://memoras.example/hooks/x", True),
        ("https://api.telegram.org", "auto", "https://memoras.example:8443/hooks/x", True),
        ("https://api.telegram.org", "auto", "https://memoras.example:9000/hooks/x", False),
        ("https://api.telegram.org", "auto", "http://memoras.example/hooks/x", False),
        ("https://api.telegram.org", "auto", None, False),
        ("https://api.telegram.org", "polling", "https://memoras.example/hooks/x", False),
        ("http://127.0.0.1:8081", "auto", "http://127.0.0.1:8080/hooks/x", True),
        ("http://127.0.0.1:8081", "polling", "http://127.0.0.1:8080/hooks/x", False),
        ("http://127.0.0.1:8081", "auto", None, False),
    ],
)
async def test_messages_are_delivered_where_telegram_can_reach_us_and_asked_for_elsewhere(
    telegram: Telegram, base: str, mode: str, url: str | None, is_delivered: bool
) -> None:
    adapter = build(telegram, telegram.bot(), webhook_url=url, api_base=base, mode=mode)
    assert adapter._wants_webhook() is is_delivered


async def test_a_webhook_that_was_asked_for_and_cannot_be_is_told(telegram: Telegram) -> None:
    bot = telegram.bot()
    adapter = build(telegram, bot, mode="webhook")
    with pytest.raises(NotConfigured, match="MEMORAS_PUBLIC_URL"):
        await adapter.listen(MemoryInlet())
    await adapter.close()
    telegram.takes_http = False
    adapter = build(telegram, bot, mode="webhook", webhook_url="http://127.0.0.1:9/hook")
    with pytest.raises(NotConfigured, match="certificate"):
        await adapter.listen(MemoryInlet())
    await adapter.close()


# ---------------------------------------------------------------------------------------------- links


async def test_links_are_known_once_the_bots_name_is_known(telegram: Telegram) -> None:
    adapter = build(telegram, telegram.bot())
    assert adapter.invitation_link("abc") is None
    await adapter.check()
    assert adapter.invitation_link("abc") == "https://t.me/nonna_rosa_bot?start=abc"
    assert adapter.group_invitation_link("abc") == "https://t.me/nonna_rosa_bot?startgroup=abc"
    await adapter.close()


# ---------------------------------------------------------------------------------------------- files


async def test_a_file_is_streamed_from_telegram(telegram: Telegram) -> None:
    bot = telegram.bot()
    adapter = build(telegram, bot)
    body = OGG * 5000
    file = MediaFile(platform_id=kept(bot, body))
    chunks = [chunk async for chunk in adapter.fetch(file)]
    await adapter.close()
    assert b"".join(chunks) == body
    assert len(chunks) > 1


async def test_a_path_that_ended_is_asked_for_again(telegram: Telegram) -> None:
    bot = telegram.bot()
    adapter = build(telegram, bot)
    file_id = kept(bot, OGG)
    fetching = adapter.fetch(MediaFile(platform_id=file_id))
    known = adapter._path

    async def path_of_an_hour_ago(asked: str) -> str:
        path = await known(asked)
        if len(telegram.called("getFile")) == 1:
            telegram.expire_paths()
        return path

    adapter._path = path_of_an_hour_ago  # type: ignore[method-assign]
    assert b"".join([chunk async for chunk in fetching]) == OGG
    assert len(telegram.called("getFile")) == 2
    await adapter.close()


async def test_a_file_too_large_for_bots_and_one_that_is_gone_are_told_apart(telegram: Telegram) -> None:
    bot = telegram.bot()
    adapter = build(telegram, bot)
    for file_id, reason in ((kept(bot, bytes(20_000_001)), "too_large"), ("AwAC-unknown", "chat_gone")):
        with pytest.raises(Undeliverable) as caught:
            await content(adapter, file_id)
        assert caught.value.reason == reason
    await adapter.close()


async def test_a_file_that_cannot_be_had_now_may_be_had_later(telegram: Telegram) -> None:
    bot = telegram.bot()
    adapter = build(telegram, bot)
    file_id = kept(bot, OGG)
    await telegram.refuse()
    with pytest.raises(PlatformUnavailable):
        await content(adapter, file_id)
    await telegram.resume()
    assert await content(adapter, file_id) == OGG
    await adapter.close()


async def test_a_server_of_our_own_hands_files_out_by_their_place_on_disk(telegram: Telegram, tmp_path: Path) -> None:
    telegram.folder = tmp_path
    bot = telegram.bot()
    adapter = build(telegram, bot, is_local=True)
    body = bytes(25_000_000)
    file_id = kept(bot, body)
    assert await content(adapter, file_id) == body
    for path in tmp_path.iterdir():
        assert path.stat().st_size == len(body)
    telegram.folder = tmp_path / "gone"
    telegram.folder.mkdir()
    path = await adapter._path(file_id)
    Path(path).unlink()
    adapter._path = _always(path)  # type: ignore[method-assign, assignment]
    with pytest.raises(PlatformUnavailable, match="one machine"):
        await content(adapter, file_id)
    await adapter.close()


def _always(path: str) -> object:
    async def answer(file_id: str) -> str:
        return path

    return answer
