"""What people do on Telegram, and what the persona is told of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiogram.types import Update

from channels.contract import Contact, Inbound, Location, Media, Sticker, Text
from channels.errors import PayloadNotUnderstood
from channels.telegram_settings import TelegramSettings
from channels.telegram_updates import Me, names_someone, read_update
from tests.channels.kit import FIXTURES, fixture
from tests.channels.telegram_stage import JPEG, MP4, OGG, MemoryInlet, Stage, build, polling
from tests.fakes import FakeClock
from tests.platforms.telegram import Telegram

_CASES = sorted(path.name.removesuffix(".expected.json") for path in (FIXTURES / "telegram").glob("*.expected.json"))
_REAL = [case for case in _CASES if fixture("telegram", f"{case}.expected.json") != "not understood"]


@pytest.mark.parametrize("case", _REAL)
def test_every_payload_of_ours_is_one_that_aiogram_too_takes_for_telegrams(case: str) -> None:
    payload = fixture("telegram", f"{case}.json")
    update = Update.model_validate(payload)
    assert update.update_id == payload["update_id"]
    [kind] = set(payload) - {"update_id"}
    assert update.event_type == kind


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with Telegram() as telegram:
        bot, inlet = telegram.bot(reads_all=True), MemoryInlet()
        adapter = build(telegram, bot)
        async with polling(adapter, inlet):
            await telegram.until(lambda: bool(telegram.called("getUpdates")))
            yield Stage(telegram, bot, adapter, inlet, adapter._ports.media)  # type: ignore[arg-type]


async def last(stage: Stage, count: int) -> Inbound:
    return (await stage.inlet.has(count))[-1]


async def test_a_voice_note_a_picture_and_a_card_keep_what_is_needed_to_have_them(stage: Stage) -> None:
    ann = stage.telegram.person("Ann", language="it")
    await ann.sends_voice(OGG, duration=4)
    await ann.sends_photo(JPEG, caption="the garden")
    await ann.sends_video_note(MP4)
    await ann.sends_document(b"%PDF-1.7", "recipe.pdf", caption="yours")
    await ann.sends_location(45.4642, 9.19)
    await ann.sends_contact("Luca", "+390200000000")
    await ann.sends_sticker(b"webp", "❤️")
    parts = [one.parts[0] for one in await stage.inlet.has(7)]
    media = [part for part in parts if isinstance(part, Media)]
    assert [part.kind for part in media] == ["voice", "image", "video_note", "file"]
    assert [part.caption for part in media] == ["", "the garden", "", "yours"]
    for part, content in zip(media, (OGG, JPEG, MP4, b"%PDF-1.7"), strict=True):
        assert b"".join([chunk async for chunk in stage.adapter.fetch(part.file)]) == content
    assert isinstance(parts[4], Location)
    assert isinstance(parts[5], Contact)
    assert isinstance(parts[6], Sticker)
    assert {one.sender.language for one in stage.inlet.inbound} == {"it"}


async def test_an_album_is_several_messages_that_know_of_each_other(stage: Stage) -> None:
    await stage.telegram.person("Ann").sends_album(JPEG, JPEG + b"2", caption="our trip")
    first, second = await stage.inlet.has(2)
    assert first.detail["media_group_id"] == second.detail["media_group_id"]
    assert [part.caption for one in (first, second) for part in one.parts if isinstance(part, Media)] == [
        "our trip",
        "",
    ]


async def test_an_edit_and_a_reaction_name_the_message_they_are_about(stage: Stage) -> None:
    ann = stage.telegram.person("Ann")
    said = await ann.writes("good mornin")
    await ann.edits(said, "good morning")
    await ann.reacts(said, "👍")
    await ann.reacts(said)
    _, edit, reaction, taken_back = await stage.inlet.has(4)
    assert (edit.kind, edit.message_id, edit.parts) == ("edit", str(said), (Text(text="good morning"),))
    assert [one.kind for one in (reaction, taken_back)] == ["reaction", "reaction"]
    assert [one.parts[0].emoji for one in (reaction, taken_back)] == [("👍",), ()]  # type: ignore[union-attr]


async def test_an_answer_to_the_persona_is_known_as_one(stage: Stage) -> None:
    ann = stage.telegram.person("Ann", has_met=True)
    [answer] = await stage.say(ann.id, "I always used plums.")
    await ann.writes("which kind?", to=int(answer))
    found = await last(stage, 1)
    assert found.quote is not None
    assert (found.quote.is_ours, found.quote.text, found.quote.message_id) == (True, "I always used plums.", answer)


async def test_an_invitation_is_read_from_a_private_and_from_a_group_link_and_not_kept_in_the_words(
    stage: Stage,
) -> None:
    ann = stage.telegram.person("Ann")
    link = stage.adapter.invitation_link("Zm9yLUFubg")
    assert link == "https://t.me/nonna_rosa_bot?start=Zm9yLUFubg"
    await ann.starts(link.partition("start=")[2])
    await ann.starts("Zm9yLWFsbA", in_=stage.telegram.group("Family", ann))
    private, group = await stage.inlet.has(2)
    assert [one.invitation for one in (private, group)] == ["Zm9yLUFubg", "Zm9yLWFsbA"]
    assert stage.inlet.words == ["/start", "/start"]
    assert group.is_addressed


async def test_blocking_and_coming_back_are_told(stage: Stage) -> None:
    ann = stage.telegram.person("Ann")
    await ann.writes("hello")
    await ann.blocks()
    await ann.unblocks()
    assert [one.state for one in await stage.inlet.has(3)] == [None, "blocked", "unblocked"]


async def test_a_group_that_moves_tells_so_from_both_sides(stage: Stage) -> None:
    family = stage.telegram.group("Family", stage.telegram.person("Ann"))
    old_id, new_id = family.id, family.migrates()
    found = await stage.inlet.has(2)
    assert [(one.kind, one.chat.id, one.state) for one in found] == [("migration", str(old_id), str(new_id))] * 2


async def test_being_added_to_a_group_and_removed_again_is_told(stage: Stage) -> None:
    ann = stage.telegram.person("Ann")
    family = stage.telegram.group("Family", ann)
    family.adds_bot(stage.bot, ann)
    family.removes_bot(stage.bot, ann)
    assert [(one.kind, one.state) for one in await stage.inlet.has(2)] == [
        ("membership", "joined"),
        ("membership", "left"),
    ]


async def test_in_a_group_the_persona_is_meant_when_it_is_called_answered_or_commanded(stage: Stage) -> None:
    ann = stage.telegram.person("Ann")
    family = stage.telegram.group("Family", ann)
    [answer] = await stage.say(family.id, "Hello all.")
    await ann.writes("who brings the wine?", in_=family)
    await ann.writes("👵🏼 dear @Nonna_Rosa_BOT, do you?", in_=family)
    await ann.calls("do you remember?", in_=family)
    await ann.writes("and you?", in_=family, to=int(answer))
    await ann.writes("/help", in_=family)
    await ann.writes("/help@nonna_rosa_bot", in_=family)
    await ann.writes("/help@another_bot", in_=family)
    await ann.writes("ask @another_bot", in_=family)
    found = await stage.inlet.has(8)
    assert [one.is_addressed for one in found] == [False, True, True, True, True, True, False, False]


async def test_with_privacy_mode_on_telegram_does_not_even_tell_what_was_not_meant_for_us() -> None:
    async with Telegram() as telegram:
        bot, inlet = telegram.bot(), MemoryInlet()
        ann = telegram.person("Ann")
        family = telegram.group("Family", ann)
        async with polling(build(telegram, bot), inlet):
            await ann.writes("who brings the wine?", in_=family)
            await ann.writes("@nonna_rosa_bot, do you?", in_=family)
            await ann.joins(family)
            await inlet.has(2)
        assert inlet.words == ["@nonna_rosa_bot, do you?"]


@pytest.mark.parametrize(
    ("rule", "meant"), [("addressed", [True, True]), ("mentioned", [True, False]), ("never", [False, False])]
)
async def test_an_account_can_be_quieter_in_groups(rule: str, meant: list[bool]) -> None:
    async with Telegram() as telegram:
        bot, inlet = telegram.bot(), MemoryInlet()
        ann = telegram.person("Ann")
        family = telegram.group("Family", ann)
        adapter = build(telegram, bot, group_replies=rule)
        async with polling(adapter, inlet):
            [answer] = await Stage(telegram, bot, adapter, inlet, adapter._ports.media).say(family.id, "hi")  # type: ignore[arg-type]
            await ann.writes("@nonna_rosa_bot hello", in_=family)
            await ann.writes("and you?", in_=family, to=int(answer))
            await ann.writes("still here?")
            found = await inlet.has(3)
        assert [one.is_addressed for one in found] == [*meant, True]


async def test_a_topic_is_a_place_of_its_own_and_its_beginning_is_nobodys_words(stage: Stage) -> None:
    ann = stage.telegram.person("Ann")
    family = stage.telegram.group("Family", ann, is_forum=True)
    recipes = family.opens_topic("Recipes")
    await ann.writes("@nonna_rosa_bot the plum cake?", in_=family, thread=recipes)
    await ann.writes("@nonna_rosa_bot hello", in_=family)
    topic, general = await stage.inlet.has(2)
    assert (topic.chat.thread_id, general.chat.thread_id) == (str(recipes), None)
    assert topic.quote is None
    await stage.adapter.send(_answer(topic))
    assert stage.telegram.sent(family.id)[0].thread_id == recipes


def _answer(inbound: Inbound) -> Any:
    from channels.contract import Outbound

    return Outbound(key="k", chat=inbound.chat, parts=(Text(text="Plums."),), quote_message_id=inbound.message_id)


async def test_stopping_an_answer_is_told(stage: Stage) -> None:
    await stage.telegram.person("Ann").stops(77)
    found = await last(stage, 1)
    assert (found.kind, found.detail) == ("stop", {"draft_id": 77})


async def test_a_button_has_the_time_of_our_clock_because_telegram_gives_it_none() -> None:
    clock = FakeClock()
    query = fixture("telegram", "button_of_a_message_long_gone.json")
    [found] = read_update(query, Me(bot_id=1), now=clock.now)
    assert found.sent_at == clock.now()


@pytest.mark.parametrize(
    "text", ["/start", "/start ", "/start a b", "/startle abc", "start abc", "/start " + "x" * 65, "/start ä"]
)
def test_what_is_no_invitation_is_read_as_words(text: str) -> None:
    payload = fixture("telegram", "text.json")
    payload["message"]["text"] = text
    [found] = read_update(payload, Me(bot_id=1), now=FakeClock().now)
    assert found.invitation is None
    assert found.parts == (Text(text=text),)


def test_an_edit_never_uses_an_invitation_again() -> None:
    payload = fixture("telegram", "start_with_invitation.json")
    payload["edited_message"] = payload.pop("message")
    [found] = read_update(payload, Me(bot_id=1), now=FakeClock().now)
    assert found.invitation is None


def test_only_a_group_message_with_a_name_in_it_waits_for_the_bots_own_name() -> None:
    assert names_someone(fixture("telegram", "group_mention.json"))
    assert names_someone(fixture("telegram", "group_mention_in_caption.json"))
    for case in ("text", "group_chatter", "voice", "reaction", "not_an_object"):
        assert not names_someone(fixture("telegram", f"{case}.json"))


@pytest.mark.parametrize("depth", [40, 900])
def test_a_message_nested_without_end_is_not_understood(depth: int) -> None:
    payload = fixture("telegram", "rich_message.json")
    block: Any = "plums"
    for _ in range(depth):
        block = {"type": "bold", "text": block}
    payload["message"]["rich_message"]["blocks"] = [block]
    with pytest.raises(PayloadNotUnderstood):
        read_update(payload, Me(bot_id=1), now=FakeClock().now)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("token", "not a token"),
        ("token", "123:abc def"),
        ("token", "abc:123"),
        ("secret_token", "with spaces"),
        ("secret_token", "x" * 257),
        ("api_base", "ftp://example.org"),
        ("api_base", "http://{token}"),
        ("username", "with spaces"),
        ("mode", "pigeon"),
    ],
)
def test_a_setting_that_cannot_be_right_is_refused_without_being_repeated(name: str, value: str) -> None:
    with pytest.raises(ValueError) as caught:
        TelegramSettings.model_validate({"token": "123:abc", name: value})
    assert value not in str(caught.value)


def test_settings_are_taken_as_people_paste_them_and_a_secret_is_made_where_there_is_none() -> None:
    pasted = {
        "token": " 123:AAE-x_y \n",
        "secret_token": "",
        "username": "@nonna_rosa_bot",
        "api_base": "https://t.example/",
    }
    settings = TelegramSettings.model_validate(pasted)
    assert settings.token.get_secret_value() == "123:AAE-x_y"
    assert (settings.bot_id, settings.username, settings.api_base) == (123, "nonna_rosa_bot", "https://t.example")
    assert len(settings.secret_token.get_secret_value()) >= 32
    other = TelegramSettings.model_validate(pasted)
    assert other.secret_token != settings.secret_token
    assert "AAE" not in repr(settings)
