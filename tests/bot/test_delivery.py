from __future__ import annotations

import asyncio

from channels.contract import Chat, Limits, Receipt, Sender
from channels.errors import NotConfigured, OutcomeUnknown, PlatformUnavailable, RateLimited, Undeliverable
from knowledge import accounts, conversations, incidents, outbox
from knowledge.database import Connection
from knowledge.tables import Outbox
from tests.bot.conftest import Spine
from tests.fakes import FakeChannel


def _states(c: Connection) -> list[str]:
    return [row.state for row in c.execute(Outbox.__table__.select().order_by(Outbox.__table__.c.id))]  # type: ignore[attr-defined]


async def test_a_limited_message_is_sent_once_after_the_pause(spine: Spine) -> None:
    spine.channel.failures = [RateLimited("slow down", retry_after_s=30)]
    async with spine.works():
        await spine.says("Hello")
        await spine.until(lambda: "sending" in spine.steps)
        await spine.settle()
        assert spine.channel.sent == []
        await spine.clock.advance(30)
        await spine.until(lambda: len(spine.channel.sent) == 1)
        await spine.settle()
    assert len(spine.channel.sent) == 1


async def test_a_platform_that_is_down_is_tried_again_with_growing_pauses(spine: Spine) -> None:
    spine.channel.failures = [PlatformUnavailable("down") for _ in range(4)]
    async with spine.works():
        await spine.says("Hello")
        await spine.until(lambda: len(spine.channel.sent) == 1, turn_s=1.0)
    assert spine.steps.count("sending") == 5
    assert await spine.database.read(_states) == ["sent"]


async def test_a_lost_response_is_repeated_once_and_then_shown(spine: Spine) -> None:
    spine.channel.failures = [OutcomeUnknown("lost"), OutcomeUnknown("lost again")]
    spine.channel.arrives_despite_failure = True
    async with spine.works():
        await spine.says("Hello")
        await spine.until(lambda: len(spine.channel.sent) == 2)
        await spine.settle(turn_s=60)
    assert len(spine.channel.sent) == 2
    assert await spine.database.read(_states) == ["unknown"]
    assert [one.kind for one in await spine.database.read(incidents.open_incidents)] == ["unknown_send"]


async def test_a_lost_response_that_can_be_reconciled_is_not_repeated(spine: Spine) -> None:
    async with spine.works():
        spine.channel.failures = [OutcomeUnknown("lost")]
        spine.channel.arrives_despite_failure = True
        await spine.says("Hello")
        await spine.until(lambda: "answered" in spine.steps)
        turn = spine.answerer.turns[0]
        spine.channel.known[f"{turn.id}.0"] = Receipt(message_ids=("p1",))
        await spine.until(lambda: "marked" in spine.steps)
    assert len(spine.channel.sent) == 1


async def test_a_platform_with_an_idempotency_key_is_asked_until_it_answers(spine: Spine) -> None:
    spine.channel = FakeChannel(limits=Limits(text_length=200, has_idempotency_key=True))
    spine.channel.failures = [OutcomeUnknown("lost") for _ in range(5)]
    async with spine.works():
        await spine.says("Hello")
        await spine.until(lambda: "marked" in spine.steps)
    assert await spine.database.read(_states) == ["sent"]


async def test_a_person_who_blocked_is_not_written_to_again(spine: Spine) -> None:
    spine.answerer.says = "A long answer. " * 60  # several messages
    spine.channel.failures = [Undeliverable("blocked", reason="blocked")]
    async with spine.works():
        await spine.says("Hello")
        await spine.until(lambda: "sending" in spine.steps)
        await spine.settle()
    assert spine.channel.sent == []
    assert set(await spine.database.read(_states)) == {"cancelled"}
    assert await spine.database.read(incidents.open_incidents) == []


async def test_a_refused_message_is_shown_to_operators_and_the_next_one_goes_out(spine: Spine) -> None:
    spine.channel.failures = [Undeliverable("refused", reason="rejected")]
    async with spine.works():
        await spine.says("Hello")
        await spine.until(lambda: "sending" in spine.steps)
        await spine.settle()
        await spine.says("Again")
        await spine.until(lambda: len(spine.channel.sent) == 1)
    assert await spine.database.read(_states) == ["dead", "sent"]
    assert [one.kind for one in await spine.database.read(incidents.open_incidents)] == ["dead_letter"]


async def test_a_moved_chat_is_followed(spine: Spine) -> None:
    spine.channel.failures = [Undeliverable("moved", reason="migrated", new_chat_id="c2")]
    async with spine.works():
        await spine.says("Hello")
        await spine.until(lambda: len(spine.channel.sent) == 1)
    assert spine.channel.sent[0].chat.id == "c2"
    listed = await spine.database.read(conversations.list_conversations)
    assert [one.conversation.chat_id for one in listed] == ["c2"]


async def test_a_broken_account_keeps_what_it_has_to_send_until_it_works_again(spine: Spine) -> None:
    spine.channel.failures = [NotConfigured("Telegram rejected the token: set it again under Accounts.")]
    async with spine.works():
        await spine.says("Hello")
        await spine.until(lambda: "sending" in spine.steps)
        await spine.settle()
        assert await spine.database.read(_states) == ["pending"]
        assert (await spine.database.read(lambda c: accounts.account(c, spine.account_id))).state == "broken"
        assert [one.kind for one in await spine.database.read(incidents.open_incidents)] == ["account_broken"]
        await spine.until(lambda: len(spine.channel.sent) == 1, turn_s=30)
        await spine.until(lambda: "marked" in spine.steps)
    assert (await spine.database.read(lambda c: accounts.account(c, spine.account_id))).state == "on"
    assert await spine.database.read(incidents.open_incidents) == []


async def test_what_a_mended_account_had_kept_goes_out_at_once(spine: Spine) -> None:
    spine.channel.failures = [NotConfigured("Telegram rejected the token: set it again under Accounts.")]
    async with spine.works():
        await spine.says("Hello")
        await spine.until(lambda: "sending" in spine.steps)
        await spine.settle()
        began = spine.clock.monotonic()
        await spine.delivery.resume(spine.account_id)
        await spine.until(lambda: len(spine.channel.sent) == 1)
        assert spine.clock.monotonic() - began < 10


async def test_stopping_does_not_wait_for_what_is_due_much_later(spine: Spine) -> None:
    spine.channel.failures = [NotConfigured("Telegram rejected the token: set it again under Accounts.")]
    async with spine.works():
        await spine.says("Hello")
        await spine.until(lambda: "sending" in spine.steps)
        await spine.settle()
        async with asyncio.timeout(5):
            await spine.delivery.wait_idle()
        assert spine.channel.sent == []


async def test_a_process_that_died_while_sending_repeats_at_most_that_one(spine: Spine) -> None:
    spine.answerer.says = "A long answer. " * 60
    async with spine.works():
        await spine.says("Hello")
        await spine.until(lambda: len(spine.channel.sent) >= 4, turn_s=2)
        await spine.settle()
    before = len(spine.channel.sent)

    def forget_the_last_receipt(c: Connection) -> None:
        rows = Outbox.__table__  # type: ignore[attr-defined]
        last = c.execute(rows.select().order_by(rows.c.id.desc())).first()
        assert last is not None
        payload = '{"key": "k", "chat": {"id": "c1"}, "parts": [{"kind": "text", "text": "the last one"}]}'
        c.execute(rows.update().where(rows.c.id == last.id).values(state="sending", payload=payload))

    await spine.database.write(forget_the_last_receipt)
    async with spine.works():
        await spine.until(lambda: len(spine.channel.sent) == before + 1)
        await spine.settle()
    assert len(spine.channel.sent) == before + 1
    assert set(await spine.database.read(_states)) == {"sent"}


async def test_a_long_answer_arrives_in_order(spine: Spine) -> None:
    spine.answerer.says = " ".join(f"Sentence number {number} of the answer." for number in range(40))
    async with spine.works():
        await spine.says("Hello")
        await spine.until(lambda: "number 39" in " ".join(spine.channel.texts()), turn_s=2)
    words = " ".join(spine.channel.texts()).split()
    assert words[words.index("Sentence") :] == spine.answerer.says.split()
    assert all(len(text) <= 200 for text in spine.channel.texts())


async def test_a_switched_off_account_sends_when_it_is_on_again(spine: Spine) -> None:
    async with spine.works():
        await spine.says("Hello")
        spine.channel.failures = [PlatformUnavailable("down")]
        await spine.until(lambda: "sending" in spine.steps)
        spine.is_on = False
        await spine.settle(turn_s=5)
        assert spine.channel.sent == []
        spine.is_on = True
        await spine.delivery.wake_open(spine.account_id)
        await spine.until(lambda: len(spine.channel.sent) == 1)


async def test_counts_say_what_is_left(spine: Spine) -> None:
    async with spine.works():
        await spine.says("Hello")
        await spine.until(lambda: len(spine.channel.sent) == 1)
        await spine.settle()
    assert await spine.database.read(outbox.counts) == {"sent": 1}


async def test_one_send_at_a_time_is_of_unknown_outcome(spine: Spine) -> None:
    spine.channel.holds = asyncio.Event()
    async with spine.works():
        for number in range(5):
            await spine.says("Hello", chat=Chat(id=f"c{number}"), sender=Sender(id=f"s{number}"))
        await spine.until(lambda: spine.steps.count("sending") == 5)
        assert spine.channel.under_way == 1
        spine.channel.holds.set()
        await spine.until(lambda: len(spine.channel.sent) == 5)


async def test_a_send_that_hangs_holds_up_nobody_for_long(spine: Spine) -> None:
    spine.channel.holds = asyncio.Event()
    async with spine.works():
        await spine.says("Hello")
        await spine.until(lambda: spine.channel.under_way == 1)
        await spine.says("Hello", chat=Chat(id="c2"), sender=Sender(id="s2"))
        await spine.until(lambda: spine.channel.under_way == 2)
        spine.channel.holds.set()
        await spine.until(lambda: len(spine.channel.sent) == 2)
