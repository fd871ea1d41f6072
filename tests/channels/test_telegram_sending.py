"""What the adapter sends through the real aiogram client, as the local Telegram got it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from channels.contract import Button, Chat, Contact, Location, MediaFile, Outbound, Reaction, Sticker
from channels.errors import (
    ChannelError,
    NotConfigured,
    OutcomeUnknown,
    PlatformUnavailable,
    RateLimited,
    Undeliverable,
)
from channels.rendering import measure
from tests.channels.telegram_stage import JPEG, MP4, OGG, MemoryInlet, MemoryMedia, Stage, build, shown, words
from tests.platforms.telegram import Rates, Telegram


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with Telegram() as telegram:
        bot, media = telegram.bot(), MemoryMedia()
        adapter = build(telegram, bot, media=media)
        yield Stage(telegram, bot, adapter, MemoryInlet(), media)
        await adapter.close()


async def refused(stage: Stage, outbound: Outbound) -> ChannelError:
    with pytest.raises(ChannelError) as caught:
        await stage.adapter.send(outbound)
    return caught.value


# --------------------------------------------------------------------------------------------- words


async def test_commonmark_arrives_as_text_with_looks_beside_it(stage: Stage) -> None:
    ann = stage.telegram.person("Ann", has_met=True)
    [message_id] = await stage.say(ann.id, "👵🏼 I *always* used **plums**, see [the garden](https://example.org).")
    [sent] = ann.heard
    assert str(sent.message_id) == message_id
    assert sent.text == "👵🏼 I always used plums, see the garden."
    found = {entity["type"]: entity for entity in sent.payload["entities"]}
    assert (found["italic"]["offset"], found["italic"]["length"]) == (7, 6)
    assert (found["bold"]["offset"], found["text_link"]["url"]) == (19, "https://example.org")


async def test_plain_words_are_one_lean_call_with_no_preview_of_links(stage: Stage) -> None:
    ann = stage.telegram.person("Ann", has_met=True)
    await stage.say(ann.id, "See https://example.org")
    [call] = stage.telegram.called("sendMessage")
    assert set(call.params) == {"chat_id", "text", "link_preview_options"}
    assert json.loads(call.params["link_preview_options"]) == {"is_disabled": True}


async def test_previews_show_when_they_are_asked_for() -> None:
    async with Telegram() as telegram:
        adapter = build(telegram, telegram.bot(), shows_link_previews=True)
        await adapter.send(words(telegram.person("Ann", has_met=True).id, "https://example.org"))
        await adapter.close()
        assert "link_preview_options" not in telegram.called("sendMessage")[0].params


async def test_an_answer_stands_below_its_question_and_arrives_when_the_question_is_gone(stage: Stage) -> None:
    ann = stage.telegram.person("Ann")
    question = await ann.writes("which kind?")
    await stage.say(ann.id, "Plums.", quote_message_id=str(question))
    await stage.say(ann.id, "Plums!", quote_message_id="99999", key="k2")
    assert [one.reply_to for one in ann.heard] == [question, None]


async def test_a_topic_gets_its_own_answers(stage: Stage) -> None:
    ann = stage.telegram.person("Ann")
    family = stage.telegram.group("Family", ann, is_forum=True)
    recipes = family.opens_topic("Recipes")
    await stage.say(family.id, "Plums.", thread_id=str(recipes))
    await stage.say(family.id, "Hello all.", key="k2")
    assert [one.thread_id for one in stage.telegram.sent(family.id)] == [recipes, None]
    error = await refused(stage, words(family.id, "hm", thread_id="777", key="k3"))
    assert isinstance(error, Undeliverable)
    assert error.reason == "chat_gone"


async def test_the_label_of_an_offline_answer_stands_below_it(stage: Stage) -> None:
    ann = stage.telegram.person("Ann", has_met=True)
    await stage.say(ann.id, "I baked *every* Sunday.", label="answered offline")
    [sent] = ann.heard
    assert sent.text == "I baked every Sunday.\n\nanswered offline"
    assert [(one["type"], one["length"]) for one in sent.payload["entities"]] == [("italic", 5), ("italic", 16)]


@pytest.mark.parametrize(
    ("caption", "methods"), [("the garden", ["sendPhoto"]), ("ga " * 340, ["sendPhoto", "sendMessage"])]
)
async def test_the_label_of_a_picture_stands_below_it_too(stage: Stage, caption: str, methods: list[str]) -> None:
    ann = stage.telegram.person("Ann", has_met=True)
    outbound = shown(ann.id, "image", stage.media.add(JPEG), caption=caption)
    await stage.adapter.send(replace(outbound, label="made by a machine"))
    assert [one.method for one in ann.heard] == methods
    assert ann.heard[-1].text.endswith("made by a machine")


async def test_the_longest_text_the_limits_allow_arrives_whole_with_its_label(stage: Stage) -> None:
    ann = stage.telegram.person("Ann", has_met=True)
    text = "👵" * (stage.adapter.limits.text_length // 2)
    await stage.say(ann.id, text, label="answered offline")
    [sent] = ann.heard
    assert sent.text.startswith(text)
    assert measure(sent.text, "utf16") <= 4096


async def test_what_is_longer_than_the_limits_still_arrives(stage: Stage) -> None:
    ann = stage.telegram.person("Ann", has_met=True)
    ids = await stage.say(ann.id, "One more sentence of the story. " * 400)
    assert len(ids) == len(ann.heard) > 1
    assert "".join(one.text for one in ann.heard).replace(" ", "") == "Onemoresentenceofthestory." * 400


async def test_looks_that_telegram_refuses_are_left_out_and_the_words_arrive(stage: Stage) -> None:
    ann = stage.telegram.person("Ann", has_met=True)
    await stage.adapter.send(words(ann.id, "[mail](mailto:ann@example.org) and **bold**"))
    stage.telegram.refuses_entities = True
    await stage.adapter.send(words(ann.id, "I **always** did.", key="k2"))
    assert ann.heard[-1].text == "I always did."
    assert "entities" not in ann.heard[-1].payload


async def test_buttons_are_offered_and_their_payload_is_checked_before_it_is_sent(stage: Stage) -> None:
    ann = stage.telegram.person("Ann", has_met=True)
    offered = (Button(label="The sea", payload="story:1"), Button(label="The war", payload="story:2"))
    await stage.say(ann.id, "Which story?", more=offered)
    assert ann.heard[0].buttons == [("The sea", "story:1"), ("The war", "story:2")]
    error = await refused(stage, words(ann.id, "And?", more=(Button(label="x", payload="ä" * 33),), key="k2"))
    assert isinstance(error, Undeliverable)
    assert len(stage.telegram.called("sendMessage")) == 1


async def test_a_message_that_says_nothing_is_not_sent(stage: Stage) -> None:
    ann = stage.telegram.person("Ann", has_met=True)
    assert isinstance(await refused(stage, words(ann.id, "  ")), Undeliverable)
    assert stage.telegram.calls == []


async def test_a_reaction_is_set_and_taken_back(stage: Stage) -> None:
    ann = stage.telegram.person("Ann")
    said = await ann.writes("I passed the exam!")
    chat = Chat(id=str(ann.id))
    for key, emoji in (("a", ("🎉",)), ("b", ())):
        reaction = Reaction(message_id=str(said), emoji=emoji)
        receipt = await stage.adapter.send(Outbound(key=key, chat=chat, parts=(reaction,)))
        assert receipt.message_ids == ()
        assert stage.telegram.reactions[ann.id, said] == emoji


async def test_places_cards_and_stickers_arrive_as_such(stage: Stage) -> None:
    ann = stage.telegram.person("Ann", has_met=True)
    sha256 = stage.media.add(b"RIFF0000WEBP")
    parts: list[Any] = [
        Location(latitude=45.4642, longitude=9.19),
        Location(latitude=45.4642, longitude=9.19, name="Panificio Aurora", address="Via dei Tigli 3"),
        Contact(name="Luca Rossi", phones=("+390200000000",)),
        Sticker(emoji="❤️", file=MediaFile(sha256=sha256)),
    ]
    for index, part in enumerate(parts):
        await stage.adapter.send(Outbound(key=str(index), chat=Chat(id=str(ann.id)), parts=(part,)))
    place, venue, card, sticker = (one.payload for one in ann.heard)
    assert place["location"] == {"latitude": 45.4642, "longitude": 9.19}
    assert venue["venue"]["title"] == "Panificio Aurora"
    assert card["contact"]["phone_number"] == "+390200000000"
    assert "sticker" in sticker


# --------------------------------------------------------------------------------------------- media


@pytest.mark.parametrize(
    ("kind", "content", "method", "field"),
    [
        ("voice", OGG, "sendVoice", "voice"),
        ("audio", b"ID3" + bytes(60), "sendAudio", "audio"),
        ("image", JPEG, "sendPhoto", "photo"),
        ("video", MP4, "sendVideo", "video"),
        ("video_note", MP4, "sendVideoNote", "video_note"),
        ("animation", MP4, "sendAnimation", "animation"),
        ("file", b"%PDF-1.7", "sendDocument", "document"),
    ],
)
async def test_media_is_uploaded_once_and_named_by_its_id_ever_after(
    stage: Stage, kind: str, content: bytes, method: str, field: str
) -> None:
    ann = stage.telegram.person("Ann", has_met=True)
    sha256 = stage.media.add(content)
    receipt = await stage.adapter.send(shown(ann.id, kind, sha256, duration_s=4.2, width=384, height=384))
    assert ann.heard[0].method == method
    assert ann.heard[0].content == content
    stage.media.ids |= receipt.media_ids
    await stage.adapter.send(shown(ann.id, kind, sha256, key="k2"))
    assert ann.heard[1].content == content
    second = stage.telegram.called(method)[1]
    assert second.params[field] == receipt.media_ids[sha256]
    assert stage.media.reads == 1


async def test_a_voice_note_carries_its_length_and_its_caption_with_looks(stage: Stage) -> None:
    ann = stage.telegram.person("Ann", has_met=True)
    sha256 = stage.media.add(OGG)
    await stage.adapter.send(shown(ann.id, "voice", sha256, caption="the **lullaby**", duration_s=4.2))
    sent = ann.heard[0].payload
    assert (sent["voice"]["duration"], sent["caption"]) == (4, "the lullaby")
    assert sent["caption_entities"][0]["type"] == "bold"


async def test_a_caption_that_is_too_long_or_has_no_place_follows_as_text(stage: Stage) -> None:
    ann = stage.telegram.person("Ann", has_met=True)
    await stage.adapter.send(shown(ann.id, "voice", stage.media.add(OGG), caption="la " * 500))
    await stage.adapter.send(shown(ann.id, "video_note", stage.media.add(MP4), caption="look", key="k2"))
    assert [one.method for one in ann.heard] == ["sendVoice", "sendMessage", "sendVideoNote", "sendMessage"]
    assert ann.heard[3].text == "look"


async def test_an_id_that_telegram_forgot_or_that_belongs_to_another_kind_is_uploaded_again(stage: Stage) -> None:
    ann = stage.telegram.person("Ann", has_met=True)
    sha256 = stage.media.add(OGG)
    stage.media.ids[sha256] = "AwAC-of-another-bot"
    receipt = await stage.adapter.send(shown(ann.id, "voice", sha256))
    assert ann.heard[0].content == OGG
    mp3 = stage.media.add(b"ID3" + bytes(60))
    stage.media.ids[mp3] = receipt.media_ids[sha256]
    await stage.adapter.send(shown(ann.id, "audio", mp3, key="k2"))
    assert ann.heard[1].content == b"ID3" + bytes(60)


async def test_a_picture_telegram_cannot_scale_goes_as_a_file(stage: Stage) -> None:
    ann = stage.telegram.person("Ann", has_met=True)
    await stage.adapter.send(shown(ann.id, "image", stage.media.add(b"<svg/>"), mime="image/svg+xml"))
    assert ann.heard[0].method == "sendDocument"


async def test_who_takes_no_voice_is_told_apart_from_who_blocked_us(stage: Stage) -> None:
    ann = stage.telegram.person("Ann", has_met=True)
    await ann.refuses_voice()
    error = await refused(stage, shown(ann.id, "voice", stage.media.add(OGG)))
    assert isinstance(error, Undeliverable)
    assert error.reason == "voice_forbidden"


async def test_media_beyond_the_limit_is_not_even_uploaded(stage: Stage) -> None:
    ann = stage.telegram.person("Ann", has_met=True)
    error = await refused(stage, shown(ann.id, "file", stage.media.add(bytes(50_000_001))))
    assert isinstance(error, Undeliverable)
    assert error.reason == "too_large"
    assert stage.telegram.calls == []


# -------------------------------------------------------------------------------------------- refusals


async def test_a_blocked_bot_a_stranger_and_a_lost_chat_are_told_apart(stage: Stage) -> None:
    ann, stranger = stage.telegram.person("Ann"), stage.telegram.person("Zoe")
    await ann.writes("hello")
    await ann.blocks()
    reasons = []
    for chat_id in (ann.id, stranger.id, 424242):
        error = await refused(stage, words(chat_id, "hi"))
        assert isinstance(error, Undeliverable)
        reasons.append(error.reason)
    assert reasons == ["blocked", "blocked", "chat_gone"]
    await ann.unblocks()
    assert await stage.say(ann.id, "hi")


async def test_a_group_that_moved_says_where_to(stage: Stage) -> None:
    ann = stage.telegram.person("Ann")
    family = stage.telegram.group("Family", ann)
    old_id, new_id = family.id, family.migrates()
    error = await refused(stage, words(old_id, "hi"))
    assert isinstance(error, Undeliverable)
    assert (error.reason, error.new_chat_id) == ("migrated", str(new_id))
    assert await stage.say(new_id, "hi")


async def test_too_many_messages_are_slowed_and_none_is_sent_twice(stage: Stage) -> None:
    ann = stage.telegram.person("Ann", has_met=True)
    stage.telegram.rates = Rates(burst=3)
    for number in range(3):
        await stage.say(ann.id, str(number), key=str(number))
    error = await refused(stage, words(ann.id, "3", key="3"))
    assert isinstance(error, RateLimited)
    assert error.retry_after_s == 1.0
    assert [one.text for one in ann.heard] == ["0", "1", "2"]


async def test_a_group_must_wait_longer(stage: Stage) -> None:
    family = stage.telegram.group("Family", stage.telegram.person("Ann"))
    stage.telegram.rates = Rates(burst=1)
    await stage.say(family.id, "one")
    error = await refused(stage, words(family.id, "two", key="k2"))
    assert error.retry_after_s == 3.0


@pytest.mark.parametrize("fault", ["lost", "did_500", "did_502", "did_garbled"])
async def test_a_lost_answer_means_that_nobody_knows(stage: Stage, fault: Any) -> None:
    ann = stage.telegram.person("Ann", has_met=True)
    stage.telegram.fail(fault)
    assert isinstance(await refused(stage, words(ann.id, "hi")), OutcomeUnknown)
    assert len(ann.heard) == 1
    assert await stage.adapter.reconcile(words(ann.id, "hi")) is None


async def test_a_second_try_is_not_made_into_an_outage(stage: Stage) -> None:
    ann = stage.telegram.person("Ann", has_met=True)
    stage.telegram.fail("502", "", times=3)
    assert isinstance(await refused(stage, words(ann.id, "hi")), OutcomeUnknown)
    for _ in range(2):
        assert isinstance(await refused(stage, words(ann.id, "hi")), PlatformUnavailable)
    assert len(stage.telegram.called("sendMessage")) == 1
    await stage.say(ann.id, "hi")
    assert [one.text for one in ann.heard] == ["hi"]


async def test_a_send_that_a_dead_process_had_begun_is_tried_with_the_same_care(stage: Stage) -> None:
    ann = stage.telegram.person("Ann", has_met=True)
    await stage.adapter.reconcile(words(ann.id, "hi"))
    await stage.telegram.refuse()
    assert isinstance(await refused(stage, words(ann.id, "hi")), PlatformUnavailable)
    await stage.telegram.resume()
    assert await stage.say(ann.id, "hi")


async def test_nobody_listening_means_that_nothing_was_sent(stage: Stage) -> None:
    ann = stage.telegram.person("Ann", has_met=True)
    await stage.telegram.refuse()
    assert isinstance(await refused(stage, words(ann.id, "hi")), PlatformUnavailable)
    await stage.telegram.resume()


async def test_of_two_messages_the_first_is_not_repeated_when_the_second_has_to_wait(stage: Stage) -> None:
    ann = stage.telegram.person("Ann", has_met=True)
    outbound = shown(ann.id, "video_note", stage.media.add(MP4), caption="look at this")
    stage.telegram.fail("429", "sendMessage", seconds=1)
    assert isinstance(await refused(stage, outbound), RateLimited)
    receipt = await stage.adapter.send(outbound)
    assert [one.method for one in ann.heard] == ["sendVideoNote", "sendMessage"]
    assert receipt.message_ids == tuple(str(one.message_id) for one in ann.heard)
    assert len(receipt.media_ids) == 1


# --------------------------------------------------------------------------------- while it is written


async def test_actions_are_shown_and_never_raise(stage: Stage) -> None:
    ann = stage.telegram.person("Ann", has_met=True)
    for action in ("typing", "record_voice", "upload_video", "read"):
        await stage.adapter.show(action, Chat(id=str(ann.id)))
    assert stage.telegram.actions[ann.id] == ["typing", "record_voice", "upload_video"]
    await stage.adapter.show("typing", Chat(id="not-a-number"))
    await stage.telegram.refuse()
    await stage.adapter.show("typing", Chat(id=str(ann.id)))
    await stage.telegram.resume()


async def test_an_answer_in_the_making_is_shown_in_private_chats_alone(stage: Stage) -> None:
    ann = stage.telegram.person("Ann", has_met=True)
    chat = Chat(id=str(ann.id))
    for text in ("I **alw", "I **always** used plums"):
        await stage.adapter.draft(chat, 2**32 - 1, text)
    await stage.adapter.draft(Chat(id="-5", kind="group"), 7, "no")
    drafts = stage.telegram.drafts[ann.id]
    assert [text for _, text in drafts] == ["I **alw", "I always used plums"]
    assert drafts[0][0] == drafts[1][0] != 0
    assert ann.heard == []


async def test_a_server_without_drafts_is_asked_once(stage: Stage) -> None:
    stage.telegram.has_drafts = False
    chat = Chat(id=str(stage.telegram.person("Ann", has_met=True).id))
    for _ in range(3):
        await stage.adapter.draft(chat, 7, "I always")
    assert len(stage.telegram.called("sendMessageDraft")) == 1


async def test_drafts_rest_when_telegram_asks_for_it(stage: Stage) -> None:
    chat = Chat(id=str(stage.telegram.person("Ann", has_met=True).id))
    stage.telegram.fail("429", "sendMessageDraft", seconds=30)
    for _ in range(3):
        await stage.adapter.draft(chat, 7, "I always")
    assert len(stage.telegram.called("sendMessageDraft")) == 1


# --------------------------------------------------------------------------------------------- secrets


async def test_no_error_no_log_and_no_description_holds_the_token(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(0)
    ann = stage.telegram.person("Ann", has_met=True)
    secret = stage.bot.token.partition(":")[2]
    found: list[str] = [repr(stage.adapter), repr(stage.adapter.account), repr(stage.adapter._settings)]
    for fault in ("lost", "dropped", "did_garbled", "500", "502", "503", "429"):
        stage.telegram.fail(fault)  # type: ignore[arg-type]
        found.append(_whole(await refused(stage, words(ann.id, "my secret words", key=fault))))
    found.append(_whole(await refused(stage, words(424242, "my secret words"))))
    await stage.telegram.refuse()
    found.append(_whole(await refused(stage, words(ann.id, "my secret words"))))
    found.append((await stage.adapter.check()).summary)
    await stage.telegram.resume()
    stage.telegram.revoke(stage.bot)
    error = await refused(stage, words(ann.id, "my secret words", key="z"))
    assert isinstance(error, NotConfigured)
    found += [_whole(error), caplog.text]
    assert not [one for one in found if secret in one or "my secret words" in one]


def _whole(error: BaseException) -> str:
    """Return an error as a log would show it, with what it is chained to."""
    import traceback

    return "".join(traceback.format_exception(error)) + repr(error) + str(vars(error))


async def test_a_hundred_sends_at_once_all_arrive_once(stage: Stage) -> None:
    people = [stage.telegram.person(f"P{number}", has_met=True) for number in range(100)]
    async with asyncio.TaskGroup() as group:
        for number, person in enumerate(people):
            group.create_task(stage.adapter.send(words(person.id, f"for {number}", key=str(number))))
    assert [[one.text for one in person.heard] for person in people] == [[f"for {number}"] for number in range(100)]
