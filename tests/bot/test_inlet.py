"""The inlet: what is accepted is on the disk, once, and wakes only the conversations it belongs to."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from bot.inlet import AccountInlet
from channels.contract import INBOUND, Chat, Inbound, Reaction, Received, Sender, Text
from channels.errors import NotAccepted
from knowledge import inbox
from knowledge.accounts import account, create_account
from knowledge.database import Connection
from knowledge.secrets import SecretBox
from knowledge.tables import Inbox
from tests.bot.conftest import Spine


class Woken:
    """Notes which conversations were woken."""

    def __init__(self) -> None:
        self.keys: list[str] = []

    def __call__(self, keys: Iterable[str]) -> None:
        self.keys += keys


@pytest.fixture
def woken() -> Woken:
    return Woken()


@pytest.fixture
def inlet(spine: Spine, woken: Woken) -> AccountInlet:
    return AccountInlet(
        spine.account_id, database=spine.database, clock=spine.clock, wake=woken, on_step=spine.steps.append
    )


def received(inbound: Inbound, raw: str = "{}") -> Received:
    return Received(event_id=inbound.event_id, raw=raw, inbound=inbound)


def rows(c: Connection) -> list[Any]:
    table = Inbox.__table__  # type: ignore[attr-defined]
    return list(c.execute(table.select().order_by(table.c.id)).all())


async def test_what_is_accepted_is_stored_before_anybody_is_woken(
    spine: Spine, inlet: AccountInlet, woken: Woken
) -> None:
    assert await inlet.accept([received(spine.said("Hello")), received(spine.said("Are you there?"))]) == 2
    assert spine.steps == ["received", "stored"]
    stored = await spine.database.read(rows)
    assert [row.state for row in stored] == ["pending", "pending"]
    assert woken.keys == [stored[0].conversation_key]


async def test_an_account_knows_when_it_last_heard_anything(spine: Spine, inlet: AccountInlet) -> None:
    async def heard_at() -> datetime | None:
        return (await spine.database.read(lambda c: account(c, spine.account_id))).last_event_at

    assert await heard_at() is None
    first, said = spine.clock.now(), spine.said("Hello")
    await inlet.accept([received(said)])
    assert await heard_at() == first
    await spine.clock.advance(40)
    await inlet.accept([received(said)])  # no news
    assert await heard_at() == first
    await inlet.accept([received(spine.said("Are you there?"))])
    assert await heard_at() == spine.clock.now()


async def test_the_same_event_again_is_no_news(spine: Spine, inlet: AccountInlet, woken: Woken) -> None:
    said = spine.said("Hello")
    assert await inlet.accept([received(said), received(said)]) == 1
    woken.keys.clear()
    assert await inlet.accept([received(said)]) == 0
    assert woken.keys == []


@pytest.mark.parametrize(
    "more",
    [
        {"is_addressed": False},
        {"sender": Sender(id="bot", is_machine=True)},
        {"chat": Chat(id="news", kind="channel")},
    ],
    ids=["not meant for the persona", "from a machine", "in a channel"],
)
async def test_what_needs_no_answer_is_kept_and_wakes_nobody(
    spine: Spine, inlet: AccountInlet, woken: Woken, more: dict[str, Any]
) -> None:
    await inlet.accept([received(spine.said("Hello", **more))])
    assert [row.state for row in await spine.database.read(rows)] == ["skipped"]
    assert woken.keys == []


async def test_a_reaction_in_a_group_is_taken_note_of(spine: Spine, inlet: AccountInlet, woken: Woken) -> None:
    parts = (Reaction(message_id="m1", emoji=("❤",)),)
    room = Chat(id="room", kind="group")
    await inlet.accept([received(spine.said("", kind="reaction", parts=parts, chat=room, is_addressed=False))])
    assert [row.state for row in await spine.database.read(rows)] == ["pending"]
    assert len(woken.keys) == 1


async def test_a_shape_nobody_understands_is_kept_as_it_came(spine: Spine, inlet: AccountInlet, woken: Woken) -> None:
    assert await inlet.accept([Received(event_id="x1", raw='{"new": "thing"}', inbound=None)]) == 1
    (row,) = await spine.database.read(rows)
    assert (row.state, row.kind, row.raw, row.payload) == ("kept", "unknown", '{"new": "thing"}', "")
    assert woken.keys == []


async def test_the_place_to_go_on_from_is_stored_with_the_events_or_not_at_all(
    spine: Spine, inlet: AccountInlet
) -> None:
    assert await inlet.cursor("offset") is None
    await inlet.accept([received(spine.said("Hello"))], cursor=("offset", "17"))
    assert await inlet.cursor("offset") == "17"
    spine.database.close()
    with pytest.raises(NotAccepted):
        await inlet.accept([received(spine.said("Again"))], cursor=("offset", "18"))
    assert spine.steps == ["received", "stored", "received"]


async def test_half_a_surrogate_pair_and_a_nul_are_stored_as_what_every_database_takes(
    spine: Spine, inlet: AccountInlet
) -> None:
    said = spine.said(
        "x", parts=(Text(text="half \ud83d and \x00 nothing"),), sender=Sender(id="a\x00na", name="\udc00")
    )
    await inlet.accept([received(said, raw="raw \ud83d \x00")])
    (row,) = await spine.database.read(rows)
    (part,) = INBOUND.validate_json(row.payload).parts
    assert isinstance(part, Text)
    assert part.text == "half ? and  nothing"
    assert row.raw == "raw ? "
    assert "\x00" not in row.conversation_key


async def test_events_of_two_accounts_with_the_same_number_are_two(
    tmp_path: Path, spine: Spine, inlet: AccountInlet, woken: Woken
) -> None:
    def connect(c: Connection) -> str:
        box, at = SecretBox(tmp_path / "key"), spine.clock.now()
        made = create_account(c, box, persona_id=spine.persona_id, channel="fake", name="two", settings={}, at=at)
        return made.id

    other_id = await spine.database.write(connect)
    other = AccountInlet(other_id, database=spine.database, clock=spine.clock, wake=woken, on_step=spine.steps.append)
    said = spine.said("Hello")
    assert await inlet.accept([received(said)]) == 1
    assert await other.accept([received(said)]) == 1
    assert await spine.database.read(inbox.count_waiting) == 2
    assert len(set(woken.keys)) == 2
