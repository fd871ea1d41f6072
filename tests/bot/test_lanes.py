"""Lanes: one task per key, in order, and never in each other's way."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bot.lanes import Lanes, Step
from tests.fakes import FakeClock


@asynccontextmanager
async def running(step: Step, clock: FakeClock) -> AsyncIterator[Lanes]:
    lanes = Lanes("test", step, clock)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(lanes.run())
        await asyncio.sleep(0)
        try:
            yield lanes
        finally:
            lanes.stop()
            await task


async def come_to_rest() -> None:
    """Let every task that can go on do so."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_one_key_is_never_worked_on_twice_at_a_time_while_others_go_on_beside_it(clock: FakeClock) -> None:
    at_work: Counter[str] = Counter()
    most: Counter[str] = Counter()
    done: list[str] = []
    all_at_once = 0

    async def step(key: str) -> bool:
        nonlocal all_at_once
        at_work[key] += 1
        most[key] = max(most[key], at_work[key])
        all_at_once = max(all_at_once, at_work.total())
        await asyncio.sleep(0)
        at_work[key] -= 1
        done.append(key)
        return False

    async with running(step, clock) as lanes:
        for _ in range(5):
            lanes.wake(["a", "b", "c"])
            await asyncio.sleep(0)
        await lanes.wait_idle()
    assert set(most.values()) == {1}
    assert all_at_once == 3
    assert set(done) == {"a", "b", "c"}


async def test_whoever_wakes_a_lane_at_work_is_not_forgotten(clock: FakeClock) -> None:
    begun, may_end = asyncio.Event(), asyncio.Event()
    count = 0

    async def step(key: str) -> bool:
        nonlocal count
        count += 1
        begun.set()
        await may_end.wait()
        return False

    async with running(step, clock) as lanes:
        lanes.wake(["a"])
        await begun.wait()
        lanes.wake(["a"])
        may_end.set()
        await lanes.wait_idle()
    assert count == 2


async def test_a_lane_that_fails_is_tried_again_later_and_holds_up_no_other(clock: FakeClock) -> None:
    tries: Counter[str] = Counter()

    async def step(key: str) -> bool:
        tries[key] += 1
        if key == "bad" and tries[key] < 4:
            raise RuntimeError("not yet")
        return False

    async with running(step, clock) as lanes:
        lanes.wake(["bad", "good"])
        while tries["bad"] < 4:
            assert clock.monotonic() < 60
            await clock.advance(1)
        await lanes.wait_idle()
    assert tries["good"] == 1
    assert clock.monotonic() >= 2 + 4 + 8


async def test_what_is_woken_before_the_start_is_looked_at_after_it(clock: FakeClock) -> None:
    seen: list[str] = []

    async def step(key: str) -> bool:
        seen.append(key)
        return False

    lanes = Lanes("test", step, clock)
    lanes.wake(["early"])
    async with asyncio.TaskGroup() as group:
        group.create_task(lanes.run())
        await asyncio.sleep(0)
        await lanes.wait_idle()
        lanes.stop()
    assert seen == ["early"]


async def test_a_pause_ends_with_its_time_with_a_waking_and_with_the_stop(clock: FakeClock) -> None:
    woke_at: list[float] = []
    lanes: Lanes

    async def step(key: str) -> bool:
        await lanes.pause(key, 4)
        woke_at.append(clock.monotonic())
        return len(woke_at) < 3

    async with running(step, clock) as lanes:
        lanes.wake(["a"])
        await come_to_rest()
        await clock.advance(4)
        await come_to_rest()
        assert woke_at == [4]
        await clock.advance(1)
        lanes.wake(["a"])
        await come_to_rest()
        assert woke_at == [4, 5]
    assert woke_at == [4, 5, 5]
    assert lanes.count == 0


async def test_a_lane_that_rests_for_long_counts_as_idle_and_one_that_rests_for_a_moment_does_not(
    clock: FakeClock,
) -> None:
    rests = {"moment": 2.0, "long": 300.0}
    lanes: Lanes

    async def step(key: str) -> bool:
        await lanes.pause(key, rests[key])
        return False

    async with running(step, clock) as lanes:
        lanes.wake(["moment", "long"])
        await come_to_rest()
        waiting = asyncio.ensure_future(lanes.wait_idle())
        await clock.advance(1)
        assert not waiting.done()
        await clock.advance(1.5)
        await asyncio.wait_for(waiting, 5)
        assert lanes.count == 1
