"""Long polling: a batch is confirmed only after it is stored, and nothing that goes wrong loses an update."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from channels.errors import NotConfigured
from tests.channels.telegram_stage import KilledError, MemoryInlet, build, polling
from tests.fakes import FakeClock
from tests.platforms.telegram import LocalBot, Telegram, Webhook


@pytest.fixture
async def telegram() -> AsyncIterator[Telegram]:
    async with Telegram() as found:
        yield found


def offsets(telegram: Telegram) -> list[int | None]:
    """Return the offset of each getUpdates, None where none was sent."""
    return [int(call.params["offset"]) if "offset" in call.params else None for call in telegram.called("getUpdates")]


async def confirmed(telegram: Telegram, bot: LocalBot) -> None:
    await telegram.until(lambda: not bot.updates.pending)


async def test_what_people_write_arrives_in_order_and_is_confirmed(telegram: Telegram) -> None:
    bot, inlet = telegram.bot(), MemoryInlet()
    ann = telegram.person("Ann")
    for number in range(250):
        await ann.writes(str(number))
    async with polling(build(telegram, bot), inlet):
        await inlet.has(250)
        await confirmed(telegram, bot)
        await ann.writes("and one more")
        await inlet.has(251)
    assert inlet.words == [*map(str, range(250)), "and one more"]
    assert inlet.repeats == 0


async def test_nothing_is_confirmed_before_it_is_stored(telegram: Telegram) -> None:
    bot, inlet = telegram.bot(), MemoryInlet(refusals=2)
    await telegram.person("Ann").writes("hello")
    [update_id] = bot.updates.pending
    async with polling(build(telegram, bot), inlet):
        await inlet.has(1)
        await confirmed(telegram, bot)
    assert offsets(telegram)[:4] == [None, None, None, update_id + 1]
    assert inlet.words == ["hello"]


async def test_killed_between_storing_and_confirming_nothing_is_lost_and_nothing_doubled(telegram: Telegram) -> None:
    bot, inlet = telegram.bot(), MemoryInlet(dies_after_storing=True)
    ann = telegram.person("Ann")
    for number in range(7):
        await ann.writes(str(number))
        adapter = build(telegram, bot)
        with pytest.raises(KilledError):
            await adapter.listen(inlet)
        await adapter.close()
    inlet.dies_after_storing = False
    await ann.writes("7")
    async with polling(build(telegram, bot), inlet):
        await inlet.has(8)
        await confirmed(telegram, bot)
    assert inlet.words == list("01234567")
    assert inlet.repeats == 0


async def test_killed_before_storing_the_batch_comes_again(telegram: Telegram) -> None:
    bot, inlet = telegram.bot(), MemoryInlet(refusals=1)
    await telegram.person("Ann").writes("hello")
    adapter = build(telegram, bot)
    listening = asyncio.ensure_future(adapter.listen(inlet))
    await telegram.until(lambda: bool(telegram.called("getUpdates")))
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
    await adapter.close()
    async with polling(build(telegram, bot), inlet):
        await inlet.has(1)
    assert inlet.words == ["hello"]


async def test_another_token_drops_nothing_of_either_bot(telegram: Telegram) -> None:
    inlet = MemoryInlet()
    old, new = telegram.bot(), telegram.bot("Nonna", "nonna_bot")
    old.updates.next_id, new.updates.next_id = 900_000_000, 17
    ann, ben = telegram.person("Ann", bot=old), telegram.person("Ben", bot=new)
    await ann.writes("to the old one")
    async with polling(build(telegram, old), inlet):
        await inlet.has(1)
    await ben.writes("to the new one")
    async with polling(build(telegram, new), inlet):
        await inlet.has(2)
        await confirmed(telegram, new)
    await ann.writes("to the old one again")
    async with polling(build(telegram, old), inlet):
        await inlet.has(3)
    assert inlet.words == ["to the old one", "to the new one", "to the old one again"]
    assert set(inlet.cursors) == {f"offset:{old.id}", f"offset:{new.id}"}


async def test_the_same_number_from_another_bot_is_another_event(telegram: Telegram) -> None:
    inlet = MemoryInlet()
    first, second = telegram.bot(), telegram.bot("Nonna", "nonna_bot")
    first.updates.next_id = second.updates.next_id = 55
    await telegram.person("Ann", bot=first).writes("one")
    await telegram.person("Ben", bot=second).writes("two")
    async with polling(build(telegram, first), inlet):
        await inlet.has(1)
    async with polling(build(telegram, second), inlet):
        await inlet.has(2)
    assert inlet.words == ["one", "two"]


async def test_an_offset_of_weeks_ago_confirms_nothing_that_was_never_seen(telegram: Telegram) -> None:
    bot, inlet = telegram.bot(), MemoryInlet()
    clock = FakeClock(datetime(2026, 3, 1, tzinfo=UTC))
    inlet.cursors[f"offset:{bot.id}"] = f"1015 {int(clock.now().timestamp())}"
    bot.updates.next_id = 1010  # after a week without updates Telegram numbers anew, here just below
    await telegram.person("Ann").writes("long time no see")
    await clock.advance(8 * 24 * 3600)
    async with polling(build(telegram, bot, clock=clock), inlet):
        await inlet.has(1)
    assert inlet.words == ["long time no see"]
    assert offsets(telegram)[0] is None


async def test_an_offset_is_sent_once_to_confirm_and_then_no_more(telegram: Telegram) -> None:
    telegram.longest_poll_s = 0.05
    bot, inlet = telegram.bot(), MemoryInlet()
    await telegram.person("Ann").writes("hello")
    [update_id] = bot.updates.pending
    async with polling(build(telegram, bot), inlet):
        await telegram.until(lambda: len(telegram.called("getUpdates")) >= 4)
    assert offsets(telegram)[:4] == [None, update_id + 1, None, None]


async def test_a_webhook_in_the_way_is_removed_and_what_waited_behind_it_is_kept(telegram: Telegram) -> None:
    bot, inlet = telegram.bot(), MemoryInlet()
    bot.updates.webhook = Webhook("http://127.0.0.1:9/gone")
    bot.updates.deliver_to(None)
    await telegram.person("Ann").writes("hello")
    bot.updates.webhook = Webhook("http://127.0.0.1:9/gone")
    async with polling(build(telegram, bot), inlet):
        await inlet.has(1)
    [removal] = telegram.called("deleteWebhook")
    assert removal.params.get("drop_pending_updates", "false").lower() == "false"
    assert inlet.words == ["hello"]


@pytest.mark.parametrize("fault", ["502", "500", "lost", "dropped", "did_garbled", "429"])
async def test_polling_outlives_what_the_platform_does(telegram: Telegram, fault: Any) -> None:
    bot, inlet = telegram.bot(), MemoryInlet()
    telegram.fail(fault, "getUpdates", times=2, seconds=1)
    await telegram.person("Ann").writes("hello")
    async with polling(build(telegram, bot), inlet):
        await inlet.has(1)
        await confirmed(telegram, bot)
    assert inlet.words == ["hello"]


async def test_polling_outlives_an_outage(telegram: Telegram) -> None:
    bot, inlet = telegram.bot(), MemoryInlet()
    ann = telegram.person("Ann")
    await ann.writes("before")
    async with polling(build(telegram, bot), inlet):
        await inlet.has(1)
        await telegram.refuse()
        await ann.writes("meanwhile")
        await telegram.resume()
        await inlet.has(2)
    assert inlet.words == ["before", "meanwhile"]


async def test_a_start_without_a_connection_waits_for_one(telegram: Telegram) -> None:
    bot, inlet = telegram.bot(), MemoryInlet()
    telegram.fail("dropped", "getMe", times=2)
    await telegram.person("Ann").writes("hello")
    async with polling(build(telegram, bot), inlet):
        await inlet.has(1)
    assert inlet.words == ["hello"]


async def test_a_revoked_token_is_told_and_not_hammered(telegram: Telegram) -> None:
    bot, inlet = telegram.bot(), MemoryInlet()
    async with polling(build(telegram, bot), inlet) as listening:
        await telegram.until(lambda: bool(telegram.called("getUpdates")))
        telegram.revoke(bot)
        bot.updates._arrived.set()
        bot.updates._poller = None
        with pytest.raises(NotConfigured, match="BotFather"):
            await listening


async def test_another_program_with_the_same_token_shows_in_the_check(telegram: Telegram) -> None:
    bot, inlet = telegram.bot(), MemoryInlet()
    adapter = build(telegram, bot)
    async with polling(adapter, inlet):
        await telegram.until(lambda: bool(telegram.called("getUpdates")))
        await bot.updates.poll(offset=0, limit=1, timeout_s=0)
        async with asyncio.timeout(10):
            while not adapter._receiver.trouble:
                await asyncio.sleep(0)
        health = await adapter.check()
    assert not health.is_ok
    assert "Another program" in health.summary
    assert "/revoke" in health.next_step


async def test_an_update_that_is_not_understood_does_not_stop_those_behind_it(telegram: Telegram) -> None:
    bot, inlet = telegram.bot(), MemoryInlet()
    ann = telegram.person("Ann")
    ann.says({"story": {"chat": ann.chat, "id": 4}})
    await ann.writes("hello")
    async with polling(build(telegram, bot), inlet):
        await inlet.has(2)
        await confirmed(telegram, bot)
    assert inlet.words == ["hello"]
    assert [one.inbound is None for one in inlet.events.values()] == [True, False]


async def test_a_batch_with_the_same_update_twice_is_one_event(telegram: Telegram) -> None:
    bot, inlet = telegram.bot(), MemoryInlet()
    telegram.faults.duplicate = 1.0
    await telegram.person("Ann").writes("hello")
    async with polling(build(telegram, bot), inlet):
        await confirmed(telegram, bot)
    assert inlet.words == ["hello"]


async def test_two_bots_share_the_connections_of_the_process_and_the_last_closes_them(telegram: Telegram) -> None:
    first, second = build(telegram, telegram.bot()), build(telegram, telegram.bot("Nonna", "nonna_bot"))
    await first.check()
    await second.check()
    pool = first._client._pool
    assert pool is second._client._pool
    assert pool is not None
    await first.close()
    assert (await second.check()).is_ok
    await second.close()
    assert pool.session._session is not None
    assert pool.session._session.closed
