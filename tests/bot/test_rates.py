"""Rates: an account sends no faster than its platform allows, and no chat waits for another's pause."""

from __future__ import annotations

import asyncio

from bot.rates import Rates
from channels.contract import Chat, Limits
from tests.fakes import FakeClock

ANA, BEN = Chat(id="ana"), Chat(id="ben")
PLATFORM = Limits(text_length=100, sends_per_chat_s=1.0, sends_per_group_minute=20.0, sends_per_account_s=30.0)


async def sent_at(clock: FakeClock, rates: Rates, chats: list[Chat], *, over_s: float) -> list[float]:
    """Return when a message to each of these chats could go, asked for all at once."""
    times: list[float] = []

    async def send(chat: Chat) -> None:
        await rates.take(chat)
        times.append(clock.monotonic())

    async with asyncio.TaskGroup() as group:
        for chat in chats:
            group.create_task(send(chat))
        for _ in range(5):
            await asyncio.sleep(0)
        began = clock.monotonic()
        while clock.monotonic() - began < over_s:
            await clock.advance(0.05)
    return [time - began for time in times]


async def test_a_chat_may_be_told_a_few_things_at_once_and_then_one_a_second(clock: FakeClock) -> None:
    times = await sent_at(clock, Rates(PLATFORM, clock), [ANA] * 8, over_s=5)
    assert times[:5] == [0.0] * 5
    assert [round(time, 1) for time in times[5:]] == [1.0, 2.0, 3.0]


async def test_a_group_hears_twenty_a_minute(clock: FakeClock) -> None:
    room = Chat(id="room", kind="group")
    times = await sent_at(clock, Rates(PLATFORM, clock), [room] * 7, over_s=8)
    assert [round(time, 1) for time in times[5:]] == [3.0, 6.0]


async def test_all_chats_together_keep_to_the_accounts_limit(clock: FakeClock) -> None:
    chats = [Chat(id=str(number)) for number in range(90)]
    times = await sent_at(clock, Rates(PLATFORM, clock), chats, over_s=4)
    assert sum(time == 0.0 for time in times) == 30
    assert 1.9 <= max(times) <= 2.1


async def test_a_closed_chat_waits_and_the_others_do_not(clock: FakeClock) -> None:
    rates = Rates(PLATFORM, clock)
    rates.close_chat(ANA, 3)
    times = await sent_at(clock, rates, [BEN, ANA], over_s=4)
    assert times[0] == 0.0
    assert 2.95 <= times[1] <= 3.1


async def test_a_shorter_pause_does_not_open_a_chat_early(clock: FakeClock) -> None:
    rates = Rates(PLATFORM, clock)
    rates.close_chat(ANA, 3)
    rates.close_chat(ANA, 1)
    assert 2.95 <= (await sent_at(clock, rates, [ANA], over_s=4))[0] <= 3.1


async def test_a_server_of_ones_own_has_a_limit_of_its_own(clock: FakeClock) -> None:
    rates = Rates(PLATFORM, clock, sends_per_second=1000)
    assert max(await sent_at(clock, rates, [ANA] * 500, over_s=0.1)) == 0.0


async def test_a_platform_without_limits_lets_everything_through_and_still_closes(clock: FakeClock) -> None:
    rates = Rates(Limits(text_length=100), clock)
    assert await sent_at(clock, rates, [ANA] * 100, over_s=0.1) == [0.0] * 100
    rates.close_chat(ANA, 2)
    assert 1.95 <= (await sent_at(clock, rates, [ANA], over_s=3))[0] <= 2.1
