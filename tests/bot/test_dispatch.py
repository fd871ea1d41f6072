from __future__ import annotations

import asyncio
from dataclasses import replace

from bot.dispatch import Pace
from channels.contract import Chat, Sender, Text
from knowledge import conversations, inbox, incidents, invitations, personas, turns
from knowledge.memories import memories
from knowledge.viewer import owner_viewer
from tests.bot.conftest import Spine


async def test_a_message_is_answered_and_its_turn_kept(spine: Spine) -> None:
    async with spine.works():
        await spine.says("Hello")
        await spine.until(lambda: len(spine.channel.sent) == 1)
    assert spine.channel.texts() == ["_I am an AI._\n\nYou said: Hello"]
    listed = await spine.database.read(conversations.list_conversations)
    kept = await spine.database.read(lambda c: turns.turns_of(c, listed[0].conversation.id))
    assert [turn.reason for turn in kept] == ["answered"]


async def test_five_quick_lines_get_one_answer(spine: Spine) -> None:
    async with spine.works():
        for word in ("one", "two", "three", "four", "five"):
            await spine.says(word)
            await spine.clock.advance(0.5)
        await spine.until(lambda: len(spine.channel.sent) == 1)
        await spine.settle()
    assert len(spine.answerer.turns) == 1
    assert [said.text for said in spine.answerer.turns[0].messages] == ["one", "two", "three", "four", "five"]


async def test_a_burst_that_never_ends_is_answered_after_eight_seconds(spine: Spine) -> None:
    async with spine.works():
        for number in range(12):
            await spine.says(f"line {number}")
            await asyncio.sleep(0.01)
            await spine.clock.advance(1.0)
        await spine.until(lambda: len(spine.answerer.turns) >= 1)
    assert 7 <= len(spine.answerer.turns[0].messages) <= 10


async def test_a_burst_survives_the_process(spine: Spine) -> None:
    async with spine.works():
        await spine.says("first half")
        await spine.clock.advance(0.3)
    assert spine.channel.sent == []
    async with spine.works():
        await spine.says("second half")
        await spine.until(lambda: len(spine.channel.sent) == 1)
    assert spine.channel.texts()[0].endswith("You said: first half second half")


async def test_the_same_event_twice_is_answered_once(spine: Spine) -> None:
    async with spine.works():
        inbound = await spine.says("Hello")
        assert await spine.receive(inbound, inbound) == 0
        await spine.until(lambda: len(spine.channel.sent) == 1)
        await spine.receive(inbound)
        await spine.settle()
    assert len(spine.answerer.turns) == 1


async def test_answers_keep_the_order_of_the_questions(spine: Spine) -> None:
    spine.pace = Pace(quiet_s=0.0)
    async with spine.works():
        for number in range(6):
            await spine.says(f"q{number}")
            await asyncio.sleep(0.01)
        await spine.until(lambda: "q5" in " ".join(spine.channel.texts()))
    words = " ".join(spine.channel.texts())
    assert [words.index(f"q{number}") for number in range(6)] == sorted(words.index(f"q{n}") for n in range(6))


async def test_conversations_do_not_wait_for_each_other(spine: Spine) -> None:
    spine.answerer.waits = asyncio.Event()
    async with spine.works():
        await spine.says("slow")
        await spine.until(lambda: len(spine.answerer.turns) == 1)
        await spine.says("quick", chat=Chat(id="c2"), sender=Sender(id="luis"))
        await spine.until(lambda: len(spine.answerer.turns) == 2)
        spine.answerer.waits.set()
        await spine.until(lambda: len(spine.channel.sent) == 2)


async def test_a_slow_answer_shows_that_the_persona_is_writing(spine: Spine) -> None:
    spine.answerer.waits = asyncio.Event()
    async with spine.works():
        await spine.says("Hello")
        await spine.until(lambda: len(spine.channel.shown) >= 3)
        spine.answerer.waits.set()
        await spine.until(lambda: len(spine.channel.sent) == 1)
    assert set(spine.channel.shown) == {"typing"}
    assert spine.channel.drafts == ["so far"]


async def test_a_failing_answer_is_tried_again(spine: Spine) -> None:
    spine.answerer.failures = [RuntimeError("once"), RuntimeError("twice")]
    async with spine.works():
        await spine.says("Hello")
        await spine.until(lambda: len(spine.channel.sent) == 1)
    assert len(spine.answerer.turns) == 3


async def test_a_poisoned_message_gets_an_apology_and_its_conversation_goes_on(spine: Spine) -> None:
    spine.answerer.poison = "poison"
    async with spine.works():
        await spine.says("this is poison")
        await spine.says("and this is fine")
        await spine.until(lambda: len(spine.channel.sent) >= 2, most=2000)
        await spine.says("still there?")
        await spine.until(lambda: len(spine.channel.sent) >= 3)
    texts = spine.channel.texts()
    assert texts[0] == "I am sorry."
    assert "and this is fine" in texts[1]
    assert "still there?" in texts[2]
    found = await spine.database.read(incidents.open_incidents)
    assert [incident.kind for incident in found] == ["poisoned"]


async def test_an_edit_in_a_burst_replaces_what_was_said(spine: Spine) -> None:
    async with spine.works():
        first = await spine.says("I mean Tuesday")
        edit = replace(first, event_id="edit1", kind="edit", parts=(Text(text="I mean Wednesday"),))
        await spine.receive(edit)
        await spine.until(lambda: len(spine.channel.sent) == 1)
    assert [said.text for said in spine.answerer.turns[0].messages] == ["I mean Wednesday"]


async def test_a_message_taken_back_is_forgotten(spine: Spine) -> None:
    async with spine.works():
        said = await spine.says("My sister lives in Vigo now")
        await spine.until(lambda: len(spine.channel.sent) == 1)
        viewer = owner_viewer(spine.persona_id)
        kept = await spine.database.read(lambda c: memories(c, viewer))
        assert [memory.text for memory in kept] == ["My sister lives in Vigo now"]
        await spine.receive(replace(said, event_id="gone", kind="deletion", parts=()))
        await spine.settle()
        assert await spine.database.read(lambda c: memories(c, viewer)) == []
    listed = await spine.database.read(conversations.list_conversations)
    messages = await spine.database.read(lambda c: conversations.messages_of(c, listed[0].conversation.id))
    assert "Vigo" not in messages[0].text
    assert messages[0].state == "deleted"


async def test_what_a_person_tells_is_for_that_person_alone(spine: Spine) -> None:
    async with spine.works():
        await spine.says("I have found work in Porto")
        await spine.until(lambda: len(spine.channel.sent) == 1)
    kept = await spine.database.read(lambda c: memories(c, owner_viewer(spine.persona_id)))
    assert [(memory.kind, memory.audience) for memory in kept] == [("told", f"person:{kept[0].speaker_id}")]
    assert spine.remembered == 1


async def test_a_question_teaches_nothing(spine: Spine) -> None:
    async with spine.works():
        await spine.says("Where were you born, grandmother?")
        await spine.until(lambda: len(spine.channel.sent) == 1)
    assert await spine.database.read(lambda c: memories(c, owner_viewer(spine.persona_id))) == []


async def test_the_disclosure_comes_first_and_again_after_a_day(spine: Spine) -> None:
    async with spine.works():
        await spine.says("Hello")
        await spine.until(lambda: len(spine.channel.sent) == 1)
        await spine.says("And you?")
        await spine.until(lambda: len(spine.channel.sent) == 2)
        await spine.clock.advance(25 * 3600)
        await spine.says("Good morning")
        await spine.until(lambda: len(spine.channel.sent) == 3)
    assert [text.startswith("_I am an AI._") for text in spine.channel.texts()] == [True, False, True]


async def test_a_private_persona_answers_only_those_it_knows(spine: Spine) -> None:
    at = spine.clock.now()
    await spine.database.write(lambda c: personas.update_persona(c, spine.persona_id, visibility="private", at=at))
    _, token = await spine.database.write(
        lambda c: invitations.invite(c, persona_id=spine.persona_id, circle="family", at=at)
    )
    async with spine.works():
        await spine.says("Hello")
        await spine.until(lambda: len(spine.channel.sent) == 1)
        assert spine.channel.texts()[0] == "This persona is private."
        await spine.says("", invitation=token)
        await spine.until(lambda: len(spine.channel.sent) == 2)
        await spine.says("Hello again")
        await spine.until(lambda: len(spine.channel.sent) == 3)
        stranger = Sender(id="stranger")
        await spine.says("", invitation=token, sender=stranger, chat=Chat(id="c9"))
        await spine.until(lambda: len(spine.channel.sent) == 4)
    assert "Hello again" in spine.channel.texts()[2]
    assert spine.channel.texts()[3] == "This persona is private."
    assert "circle:family" in spine.answerer.turns[-1].viewer.audiences


async def test_a_group_hears_public_things_only(spine: Spine) -> None:
    group = Chat(id="g1", kind="group")
    at = spine.clock.now()
    _, token = await spine.database.write(
        lambda c: invitations.invite(c, persona_id=spine.persona_id, circle="family", at=at)
    )
    async with spine.works():
        await spine.says("", invitation=token)
        await spine.until(lambda: len(spine.channel.sent) == 1)
        await spine.says("Tell us something", chat=group)
        await spine.until(lambda: len(spine.channel.sent) == 2)
    assert spine.answerer.turns[-1].viewer.audiences == frozenset({"public"})
    assert spine.channel.sent[-1].quote_message_id is not None


async def test_what_is_not_said_to_the_persona_is_kept_and_not_answered(spine: Spine) -> None:
    async with spine.works():
        await spine.says("not for you", chat=Chat(id="g1", kind="group"), is_addressed=False)
        await spine.says("I am a machine", sender=Sender(id="bot", is_machine=True))
        await spine.settle()
    assert spine.answerer.turns == []
    assert await spine.database.read(inbox.count_waiting) == 0


async def test_a_chat_that_moved_keeps_its_conversation(spine: Spine) -> None:
    group = Chat(id="g1", kind="group")
    async with spine.works():
        await spine.says("before", chat=group)
        await spine.until(lambda: len(spine.channel.sent) == 1)
        moved = replace(spine.said("", chat=group), kind="migration", state="g2", parts=())
        await spine.receive(moved)
        await spine.settle()
        await spine.says("after", chat=Chat(id="g2", kind="group"))
        await spine.until(lambda: len(spine.channel.sent) == 2)
    assert [said.text for said in spine.answerer.turns[-1].history if not said.is_ours] == ["before"]


async def test_half_a_surrogate_and_a_nul_are_stored_without_them(spine: Spine) -> None:
    async with spine.works():
        await spine.says("odd \ud800 text \x00 here")
        await spine.until(lambda: len(spine.channel.sent) == 1)
    assert "odd ? text  here" in spine.channel.texts()[0]
