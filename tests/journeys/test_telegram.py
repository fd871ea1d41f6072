"""Telegram as people use it: the real server and the real client before a Telegram on this machine."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from bot import doctor
from bot.settings import read_settings
from knowledge import accounts, conversations, incidents, people
from knowledge.database import Connection
from knowledge.tables import Account, Inbox, Message, Persona, Turn
from tests.journeys.house import PATIENCE_S, House, at_rest
from tests.platforms.openai import OpenAI
from tests.platforms.server import Server
from tests.platforms.telegram import LocalBot, Person, Sent, Telegram

pytestmark = pytest.mark.asyncio(loop_scope="module")

OGG = b"OggS" + b"\x00" * 24 + b"OpusHead" + bytes(range(64))
JPEG = b"\xff\xd8\xff\xe0" + bytes(range(120))

BORN = "I was born in Muros, in the house by the water."
CAT = "My cat was called Pistón because he slept on the engine of the boat."
LUNCH = "For Sunday lunch I always made rice with chicken."
LONG = (
    "I was born in Muros, in the house by the water. At night one heard the boats come in, and my mother knew each by "
    "its engine. When my father's was late she lit a lamp in the kitchen window, and we children were not to speak."
)
LETTER = "My brother sent me a letter from Buenos Aires every Christmas."
CAMELLIAS = "I planted the camellias the year my mother died."

WHERE, WHICH_CAT, WHICH_LUNCH, WHO_PLANTED = (
    "Where were you born?",
    "What was your cat called?",
    "What did you make for Sunday lunch?",
    "Who planted the camellias?",
)


@dataclass
class Street:
    """A server with personas, each with a bot on the local Telegram.

    `rosa` answers at once and hears whole groups; `patient` is the same persona, but waits for a burst to end;
    `quiet` is a private persona's; `doomed` is there to lose its token.
    """

    telegram: Telegram
    house: House
    server: Server
    rosa: LocalBot
    patient: LocalBot
    quiet: LocalBot
    doomed: LocalBot
    persona: Persona
    private: Persona
    accounts: dict[int, Account]
    tokens: list[str]

    def person(self, name: str, bot: LocalBot | None = None, **fields: Any) -> Person:
        return self.telegram.person(name, bot=bot or self.rosa, **fields)

    async def taken(self) -> None:
        """Wait until the server has everything that was written."""
        await self.telegram.settled(timeout_s=PATIENCE_S)

    async def rests(self) -> None:
        """Wait until everything that was written is answered and the answers are sent."""
        await self.taken()
        await at_rest(self.server)

    def talks(self, bot: LocalBot, chat_id: int) -> list[str]:
        """Return the ids of the conversations one bot has in one chat."""
        listed = self.house.look(lambda c: conversations.list_conversations(c, limit=500))
        mine = [one.conversation for one in listed if one.conversation.account_id == self.accounts[bot.id].id]
        return [one.id for one in mine if one.chat_id == str(chat_id)]

    def said_in(self, bot: LocalBot, chat_id: int) -> list[Message]:
        """Return what was said in the one conversation of a chat, oldest first."""
        (talk,) = self.talks(bot, chat_id)
        return self.house.look(lambda c: conversations.messages_of(c, talk))


async def hears(person: Person, count: int = 1) -> list[str]:
    """Wait until a person was told `count` messages in all, and return their words."""
    return [sent.text for sent in await person.hears(count, timeout_s=PATIENCE_S)]


async def said_to(street: Street, chat_id: int, count: int = 1) -> list[Sent]:
    """Wait until `count` messages in all were sent to a chat, and return them."""
    return await street.telegram.sends(count, chat_id, timeout_s=PATIENCE_S)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def street(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Street]:
    """The one server of the tests by webhook."""
    async with Telegram() as telegram:
        rosa, patient = telegram.bot("Rosa", "rosa_bot", reads_all=True), telegram.bot("Rosa", "patient_bot")
        quiet, doomed = telegram.bot("Carmiña", "quiet_bot"), telegram.bot("Rosa", "doomed_bot")
        house = House(tmp_path_factory.mktemp("street") / "data")
        persona = house.persona("Rosa", BORN, CAT, LUNCH, languages=("en", "es"))
        private = house.persona("Carmiña", CAMELLIAS, visibility="private", audience="circle:family")
        house.tell(private, LETTER, audience="owner")

        def connect(bot: LocalBot, whose: Persona, **fields: Any) -> Account:
            settings = {"token": bot.token, "api_base": telegram.url}
            return house.account(whose, "telegram", settings, name=bot.username, **fields)

        known = {
            rosa.id: connect(rosa, persona),
            patient.id: connect(patient, persona, quiet_s=1.2),
            quiet.id: connect(quiet, private),
            doomed.id: connect(doomed, persona),
        }
        tokens = [house.invitation(private, "family") for _ in range(4)]
        server = Server(house.folder, quiet_s=0.05, embedder="false", log_level="CRITICAL")
        await server.start()
        try:
            await telegram.until(lambda: all(b.updates.webhook for b in telegram.bots.values()), timeout_s=PATIENCE_S)
            yield Street(telegram, house, server, rosa, patient, quiet, doomed, persona, private, known, tokens)
        finally:
            await server.stop()


# ------------------------------------------------------------------------------------------------ said and answered


async def test_a_question_is_answered_from_the_personas_memories_by_an_ai_that_says_so(street: Street) -> None:
    ann = street.person("Ann")
    await ann.writes(WHERE)
    (first,) = await hears(ann)
    assert BORN in first
    assert first.startswith("I am an AI.")
    await ann.writes(WHICH_CAT)
    _, second = await hears(ann, 2)
    assert CAT in second
    assert "I am an AI" not in second


async def test_pressing_start_is_greeted_in_the_persons_language(street: Street) -> None:
    iria = street.person("Iria", language="es-ES")
    await iria.starts()
    (greeting,) = await hears(iria)
    assert "Hola" in greeting
    assert "Iria" in greeting
    assert street.said_in(street.rosa, iria.id)[0].text == "/start"


async def test_three_quick_lines_get_one_answer(street: Street) -> None:
    ben = street.person("Ben", street.patient)
    for line in ("Hello Rosa", "I wanted to ask you something", WHICH_LUNCH):
        await ben.writes(line)
    (answer,) = await hears(ben)
    assert LUNCH in answer
    await street.rests()
    assert len(ben.heard) == 1
    said = street.said_in(street.patient, ben.id)
    assert [one.direction for one in said] == ["in", "in", "in", "out"]
    assert len({one.turn_id for one in said}) == 1


async def test_a_message_edited_while_the_burst_waits_is_answered_as_it_is_now(street: Street) -> None:
    cleo = street.person("Cleo", street.patient)
    message = await cleo.writes(WHERE)
    await street.taken()
    await cleo.edits(message, WHICH_CAT)
    (answer,) = await hears(cleo)
    assert CAT in answer
    await street.rests()
    assert len(cleo.heard) == 1


async def test_a_message_edited_after_its_answer_is_kept_as_it_is_now(street: Street) -> None:
    dora = street.person("Dora")
    message = await dora.writes("My sister has a blue bicycle and a red one.")
    await hears(dora)
    await dora.edits(message, "My sister has a green bicycle and a red one.")
    await street.rests()
    asked, *_ = street.said_in(street.rosa, dora.id)
    assert "green bicycle" in asked.text
    assert len(dora.heard) == 1


async def test_what_a_person_told_is_remembered_for_that_person_alone(street: Street) -> None:
    edda, finn = street.person("Edda"), street.person("Finn")
    await edda.writes("My daughter Lua plays the violin in the town band.")
    await hears(edda)
    await edda.writes("What do you know about me?")
    assert "violin" in (await hears(edda, 2))[-1]
    await finn.writes("Who plays the violin?")
    assert "violin in the town band" not in (await hears(finn))[0]


async def test_turns_keep_how_their_answer_was_made(street: Street) -> None:
    ann = street.person("Ada")
    await ann.writes(WHERE)
    await hears(ann)
    turn_id = street.said_in(street.rosa, ann.id)[0].turn_id
    turns = Turn.__table__  # type: ignore[attr-defined]
    row = street.house.look(lambda c: c.execute(turns.select().where(turns.c.id == turn_id)).one())
    assert (row.engine, row.reason) == ("offline", "answered")
    assert len(row.memory_ids) == 1
    assert [step["name"] for step in row.trace][:3] == ["listen", "guard_request", "recall"]


# ------------------------------------------------------------------------------------------------ more than words


async def test_a_voice_note_gets_an_honest_reply_and_keeps_a_place_for_its_transcript(street: Street) -> None:
    gil = street.person("Gil")
    await gil.sends_voice(OGG)
    (answer,) = await hears(gil)
    assert "cannot hear" in answer
    said, _ = street.said_in(street.rosa, gil.id)
    assert said.text == ""
    assert said.parts[0]["kind"] == "voice"
    assert said.parts[0]["file"]["platform_id"]


async def test_a_photo_is_answered_by_its_caption(street: Street) -> None:
    hana = street.person("Hana")
    await hana.sends_photo(JPEG, caption=WHICH_LUNCH)
    (answer,) = await hears(hana)
    assert LUNCH in answer
    said, _ = street.said_in(street.rosa, hana.id)
    assert said.parts[0]["kind"] == "image"


async def test_a_reaction_is_kept_and_not_answered(street: Street) -> None:
    ivo = street.person("Ivo")
    await ivo.writes(WHERE)
    (answer,) = await ivo.hears(timeout_s=PATIENCE_S)
    await ivo.reacts(answer.message_id, "❤")
    await street.rests()
    assert len(ivo.heard) == 1
    (kept,) = [row for row in street.house.look(_events) if row.kind == "reaction"]
    assert kept.state == "done"
    assert "❤" in kept.payload


def _events(c: Connection) -> list[Any]:
    inbox = Inbox.__table__  # type: ignore[attr-defined]
    return list(c.execute(inbox.select().order_by(inbox.c.id)).all())


# ------------------------------------------------------------------------------------------------ groups


async def test_in_a_group_only_what_is_meant_for_the_persona_is_answered_quoting_it(street: Street) -> None:
    jon, kim = street.person("Jon"), street.person("Kim")
    group = street.telegram.group("Sunday table", jon, kim)
    await jon.writes("Shall we meet on Sunday?", in_=group)
    mention = await kim.writes(f"@rosa_bot {WHICH_LUNCH}", in_=group)
    (first,) = await said_to(street, group.id)
    assert LUNCH in first.text
    assert first.reply_to == mention
    reply = await jon.writes(WHICH_CAT, in_=group, to=first.message_id)
    _, second = await said_to(street, group.id, 2)
    assert CAT in second.text
    assert second.reply_to == reply
    command = await kim.writes(f"/ask {WHERE}", in_=group)
    *_, third = await said_to(street, group.id, 3)
    assert BORN in third.text
    assert third.reply_to == command
    await jon.writes("See you on Sunday then", in_=group)
    await street.rests()
    assert len(street.telegram.sent(group.id)) == 3


async def test_each_topic_of_a_forum_is_a_talk_of_its_own(street: Street) -> None:
    lia = street.person("Lia")
    forum = street.telegram.group("Village", lia, is_forum=True)
    food, animals = forum.opens_topic("Food"), forum.opens_topic("Animals")
    await lia.writes(f"@rosa_bot {WHICH_LUNCH}", in_=forum, thread=food)
    await lia.writes(f"@rosa_bot {WHICH_CAT}", in_=forum, thread=animals)
    sent = {one.thread_id: one.text for one in await said_to(street, forum.id, 2)}
    assert LUNCH in sent[food]
    assert CAT in sent[animals]
    assert len(street.talks(street.rosa, forum.id)) == 2


async def test_a_group_that_becomes_a_supergroup_goes_on_where_it_was(street: Street) -> None:
    max_, nia = street.person("Max", street.patient), street.person("Nia", street.patient)
    group = street.telegram.group("Old friends", max_, nia)
    await max_.writes(f"@patient_bot {WHERE}", in_=group)
    await street.taken()
    old_id, new_id = group.id, group.migrates()
    (answer,) = await said_to(street, new_id)
    assert BORN in answer.text
    assert street.telegram.sent(old_id) == []
    await nia.writes(f"@patient_bot {WHICH_CAT}", in_=group)
    _, second = await said_to(street, new_id, 2)
    assert CAT in second.text
    assert street.talks(street.patient, old_id) == []
    assert len(street.talks(street.patient, new_id)) == 2  # one for each of them


# ------------------------------------------------------------------------------------------------ who may come in


async def test_a_private_persona_opens_its_door_to_an_invitation_once(street: Street) -> None:
    stranger, cousin, thief = (street.person(name, street.quiet) for name in ("Sam", "Olaia", "Ted"))
    await stranger.writes(WHO_PLANTED)
    (door,) = await hears(stranger)
    assert "invit" in door
    assert "camellias" not in door

    await cousin.starts(street.tokens[0])
    (welcome,) = await hears(cousin)
    assert "invit" not in welcome
    assert "Olaia" in welcome
    await cousin.writes(WHO_PLANTED)
    assert CAMELLIAS in (await hears(cousin, 2))[-1]
    await cousin.writes("Who sent you a letter from Buenos Aires?")
    assert "Buenos Aires" not in (await hears(cousin, 3))[-1]

    await thief.starts(street.tokens[0])
    assert "invit" in (await hears(thief))[0]
    await thief.writes(WHO_PLANTED)
    assert "invit" in (await hears(thief, 2))[-1]
    kept = [one.text for one in street.said_in(street.quiet, cousin.id)]
    assert not any(street.tokens[0] in text for text in kept)


async def test_an_owner_who_was_invited_hears_what_is_for_the_owner(street: Street) -> None:
    owner = street.person("Iago", street.quiet)
    token = street.house.invitation(street.private, "owner")
    await owner.starts(token)
    await owner.writes("Who sent you a letter from Buenos Aires?")
    answers = await hears(owner, 2)
    assert LETTER in answers[-1]


async def test_an_invitation_shown_in_a_group_lets_the_whole_room_in_and_no_other(street: Street) -> None:
    pia, rui = street.person("Pia", street.quiet), street.person("Rui", street.quiet)
    room, other = street.telegram.group("Cousins", pia, rui), street.telegram.group("Work", pia)
    await pia.writes(f"@quiet_bot {WHO_PLANTED}", in_=room)
    (door,) = await said_to(street, room.id)
    assert "invit" in door.text
    await pia.starts(street.tokens[1], in_=room)
    await said_to(street, room.id, 2)
    await rui.writes(f"@quiet_bot {WHO_PLANTED}", in_=room)
    *_, answer = await said_to(street, room.id, 3)
    assert CAMELLIAS in answer.text
    await pia.starts(street.tokens[1], in_=other)
    await pia.writes(f"@quiet_bot {WHO_PLANTED}", in_=other)
    assert all("camellias" not in sent.text for sent in await said_to(street, other.id, 2))
    await rui.writes(WHO_PLANTED)  # the room was let in, and nobody by themselves
    assert "invit" in (await hears(rui))[0]
    new_id = room.migrates()
    await rui.writes(f"@quiet_bot {WHO_PLANTED}", in_=room)
    assert CAMELLIAS in (await said_to(street, new_id))[-1].text


async def test_whoever_blocks_the_persona_is_left_alone_until_they_come_back(street: Street) -> None:
    tom = street.person("Tom", street.patient)
    await tom.writes(WHERE)
    await street.taken()
    await tom.blocks()
    await street.rests()
    assert tom.heard == []
    assert _is_reachable(street, street.patient, tom) is False
    assert street.house.look(lambda c: [one for one in incidents.open_incidents(c) if one.kind == "dead_letter"]) == []
    await tom.unblocks()
    await tom.writes(WHICH_CAT)
    (answer,) = await hears(tom)
    assert CAT in answer
    assert _is_reachable(street, street.patient, tom) is True


def _is_reachable(street: Street, bot: LocalBot, person: Person) -> bool:
    account_id = street.accounts[bot.id].id

    def query(c: Connection) -> bool:
        person_id = people.person_id_of(c, account_id, str(person.id))
        assert person_id is not None
        (known,) = [one for one in people.identities_of(c, person_id) if one.account_id == account_id]
        return known.is_reachable

    return street.house.look(query)


# ------------------------------------------------------------------------------------------------ what goes wrong


async def test_an_update_delivered_again_and_again_is_answered_once(street: Street) -> None:
    uma = street.person("Uma")
    await uma.writes(WHERE)
    ((number, one),) = street.rosa.updates.pending.items()
    await hears(uma)
    for _ in range(3):
        street.rosa.updates.again(number, one.body, one.chat_id)
    street.telegram.faults.duplicate = 1.0
    await uma.writes(WHICH_CAT)
    await street.rests()
    street.telegram.faults.duplicate = 0.0
    assert len(uma.heard) == 2


async def test_when_telegram_asks_for_a_pause_the_answer_comes_once_after_it(street: Street) -> None:
    vera = street.person("Vera")
    street.telegram.fail("429", "sendMessage", seconds=1, chat_id=vera.id)
    await vera.writes(WHERE)
    await hears(vera)
    await street.rests()
    first, second = [call for call in street.telegram.called("sendMessage") if call.params["chat_id"] == str(vera.id)]
    assert second.at - first.at >= 1.0
    assert len(vera.heard) == 1


@pytest.mark.parametrize(("fault", "most"), [("lost", 2), ("dropped", 1), ("502", 1), ("503", 1)])
async def test_when_the_answer_of_telegram_is_lost_there_is_one_repeat_at_most(
    street: Street, fault: Any, most: int
) -> None:
    wim = street.person("Wim")
    street.telegram.fail(fault, "sendMessage", chat_id=wim.id)
    await wim.writes(WHERE)
    await hears(wim)
    await street.rests()
    assert 1 <= len(wim.heard) <= most
    assert len({sent.text for sent in wim.heard}) == 1
    assert street.said_in(street.rosa, wim.id)[-1].state == "sent"


async def test_a_server_that_is_killed_and_started_again_has_lost_nothing(street: Street) -> None:
    yara = street.person("Yara", street.patient)
    await yara.writes(WHERE)
    await street.taken()  # accepted, and still waiting for the burst to end
    await street.server.stop(signal.SIGKILL)
    assert yara.heard == []
    zoe = street.person("Zoe")
    await zoe.writes(WHICH_CAT)  # Telegram keeps it until somebody takes it
    await street.server.start()
    assert BORN in (await hears(yara))[0]
    assert CAT in (await hears(zoe))[0]
    await street.rests()
    assert (len(yara.heard), len(zoe.heard)) == (1, 1)


async def test_a_revoked_token_is_told_with_the_next_step_and_no_message_is_lost(street: Street) -> None:
    xan = street.person("Xan", street.doomed)
    await xan.writes(WHERE)
    await hears(xan)
    street.telegram.revoke(street.doomed)
    await xan.writes(WHICH_CAT)
    await street.taken()
    account_id = street.accounts[street.doomed.id].id

    def told(c: Connection) -> list[str]:
        return [one.summary for one in incidents.open_incidents(c) if one.account_id == account_id]

    async with asyncio.timeout(PATIENCE_S):
        while not street.house.look(told):
            await asyncio.sleep(0.05)
    (summary,) = street.house.look(told)
    assert "BotFather" in summary
    assert street.doomed.token not in summary
    account = street.house.look(lambda c: accounts.account(c, account_id))
    assert account.state == "broken"
    assert account.last_error == summary
    said = street.said_in(street.doomed, xan.id)
    assert (said[-1].direction, said[-1].state) == ("out", "pending")

    found = await doctor.examine(read_settings(data=street.house.folder, _env_file=None))
    (broken,) = [one for one in found if one.is_broken and "doomed_bot" in one.summary]
    assert "BotFather" in broken.summary
    assert broken.next_step


# ------------------------------------------------------------------------------------------------ asking for updates


async def test_a_server_without_an_address_asks_for_its_messages_and_ends_only_after_its_answer(
    tmp_path: Path,
) -> None:
    async with Telegram() as telegram, OpenAI() as model:
        telegram.longest_poll_s = 5
        bot, successor = telegram.bot(), telegram.bot("Rosa", "new_bot")
        bot.updates.next_id, successor.updates.next_id = 900_000, 1_000
        house = House(tmp_path / "data")
        persona = house.persona("Rosa", BORN, CAT)
        settings = {"token": bot.token, "api_base": telegram.url, "mode": "polling"}
        account = house.account(persona, "telegram", settings)
        server = Server(
            house.folder,
            quiet_s=0.05,
            embedder="false",
            log_level="CRITICAL",
            model_url=model.url,
            model_name="local",
            model_key="sk-local",
        )
        await server.start()
        try:
            ann = telegram.person("Ann", bot=bot)
            await _is_written_before_her_eyes(telegram, model, ann)
            await _answers_before_it_ends(model, server, ann)
            ann.bot = successor
            await ann.writes(WHICH_CAT)
            house.set_up_again(account, {**settings, "token": successor.token})
            model.says("He was called Pistón, the rascal.")
            await server.start()
            *_, answer = await hears(ann, len(ann.heard) + 1)
            assert "Pistón" in answer
            await at_rest(server)
            assert len(ann.heard) == 3
        finally:
            await server.stop()


async def _is_written_before_her_eyes(telegram: Telegram, model: OpenAI, ann: Person) -> None:
    model.chunk_s = 0.06
    model.fail("slow_chunks")
    model.says(LONG)
    await ann.writes(WHERE)
    (answer,) = await hears(ann)
    assert LONG in answer
    assert "typing" in telegram.actions[ann.id]
    drafts = [text for _, text in telegram.drafts[ann.id]]
    assert drafts
    assert all(text.strip() in answer for text in drafts)


async def _answers_before_it_ends(model: OpenAI, server: Server, ann: Person) -> None:
    model.delay_s = 1.0
    model.says("The kitchen, always the kitchen.")
    count = len(model.requests)
    await ann.writes("Which room of the house did you love most?")
    async with asyncio.timeout(PATIENCE_S):
        while len(model.requests) == count:
            await asyncio.sleep(0.02)
    assert await server.stop() == 0
    model.delay_s = 0.0
    assert "The kitchen" in ann.heard[-1].text
    assert len(ann.heard) == 2
