"""Kill the real server again and again while platforms lose and repeat things: nothing accepted may be lost.

The long form, by command: python -m tests.chaos --messages 200 --conversations 40 --kills 100
"""

from __future__ import annotations

from pathlib import Path

from tests.chaos.world import STEPS, Plan, World


async def test_whatever_is_killed_every_message_is_answered_in_order(tmp_path: Path) -> None:
    plan = Plan(kills=len(STEPS) + 4)
    found = await World(plan, tmp_path / "data").run()
    assert found.problems == []
    assert found.kills == plan.kills
    assert found.written >= plan.conversations * plan.messages
    assert found.answers >= plan.conversations
