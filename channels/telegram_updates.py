"""What a Telegram update says: from the JSON of the Bot API to `Inbound`, without aiogram's slower models."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import JsonValue

from channels.contract import Button, Chat, Inbound, Quote, Reaction, Sender, Text
from channels.errors import PayloadNotUnderstood
from channels.telegram_fields import MALFORMED, inner, integer, listed, moment, string
from channels.telegram_parts import parts_of, words_of

ALLOWED_UPDATES = (
    "message",
    "edited_message",
    "message_reaction",
    "callback_query",
    "my_chat_member",
    "stopped_message_generation",
)
"""What Telegram is asked to deliver. Reactions come only when named; counted, nameless ones are of no use here."""

_FOR_NOBODY = frozenset({"channel_post", "edited_channel_post", "message_reaction_count", "chat_member"})

_SERVICE_KEYS = """
    new_chat_members left_chat_member chat_owner_left chat_owner_changed new_chat_title new_chat_photo
    delete_chat_photo group_chat_created supergroup_chat_created channel_chat_created
    message_auto_delete_timer_changed pinned_message connected_website write_access_allowed
    proximity_alert_triggered boost_added chat_background_set checklist_tasks_done checklist_tasks_added
    direct_message_price_changed forum_topic_created forum_topic_edited forum_topic_closed
    forum_topic_reopened general_forum_topic_hidden general_forum_topic_unhidden giveaway_created
    giveaway_completed paid_message_price_changed poll_option_added poll_option_deleted video_chat_scheduled
    video_chat_started video_chat_ended video_chat_participants_invited community_chat_added
    community_chat_removed community_chat_joined
"""
_SERVICE = frozenset(_SERVICE_KEYS.split())
"""Messages Telegram itself writes into a chat: nobody said them."""

_INVITATION = re.compile(r"/start(?:@\w+)?\s+([A-Za-z0-9_-]{1,64})\s*")
_IS_THERE = frozenset({"member", "administrator", "creator"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Me:
    """The bot as its updates see it. `username` is empty while Telegram has not been asked."""

    bot_id: int
    username: str = ""
    group_replies: str = "addressed"


def read_update(update: Any, me: Me, *, now: Callable[[], datetime]) -> list[Inbound]:
    """Return what an update says; nothing for one that is understood and concerns nobody.

    `now` dates the two kinds to which Telegram gives no time: a pressed button and a stopped answer.

    Raises:
        PayloadNotUnderstood: for a kind or shape that is not known.
    """
    try:
        event_id = f"{me.bot_id}:{integer(update, 'update_id')}"
        if "message" in update:
            found = _message(inner(update, "message"), me, event_id)
        elif "edited_message" in update:
            found = _message(inner(update, "edited_message"), me, event_id, is_edit=True)
        elif "callback_query" in update:
            found = _pressed(inner(update, "callback_query"), me, event_id, now)
        elif "message_reaction" in update:
            found = _reaction(inner(update, "message_reaction"), event_id)
        elif "my_chat_member" in update:
            found = _membership(inner(update, "my_chat_member"), event_id)
        elif "stopped_message_generation" in update:
            found = _stop(inner(update, "stopped_message_generation"), event_id, now)
        elif _FOR_NOBODY.isdisjoint(update):
            raise PayloadNotUnderstood("Telegram sent a kind of update this adapter does not know.")
        else:
            found = None
    except MALFORMED:
        raise PayloadNotUnderstood("Telegram sent an update of an unknown shape.") from None
    return [found] if found else []


def update_id_of(update: Any) -> int | None:
    """Return the update's number, None when it carries none."""
    try:
        return integer(update, "update_id")
    except MALFORMED:
        return None


def names_someone(update: Any) -> bool:
    """Whether the update calls somebody by @name, so that the bot's own name is needed to read it. Never raises."""
    for kind in ("message", "edited_message"):
        message = update.get(kind) if isinstance(update, dict) else None
        if not isinstance(message, dict):
            continue
        chat = message.get("chat")
        if isinstance(chat, dict) and chat.get("type") != "private":
            text = message.get("text") or message.get("caption")
            return isinstance(text, str) and "@" in text
    return False


# ------------------------------------------------------------------------------------------- the kinds


def _message(message: dict[str, Any], me: Me, event_id: str, *, is_edit: bool = False) -> Inbound | None:
    chat = _chat(inner(message, "chat"), message)
    sender = _sender(message, chat)
    sent_at = moment(message, "edit_date" if is_edit and "edit_date" in message else "date")
    message_id = str(integer(message, "message_id"))
    if moved := _migration(message, chat):
        old, new = moved
        return Inbound(
            event_id=event_id, kind="migration", chat=old, sender=sender, sent_at=sent_at, state=new, is_addressed=False
        )
    parts = parts_of(message)
    if not parts:
        if _SERVICE.isdisjoint(message):
            raise PayloadNotUnderstood("Telegram sent a kind of message this adapter does not know.")
        return None
    quote = _quote(message, me)
    invitation = None if is_edit else _invitation(message)
    return Inbound(
        event_id=event_id,
        kind="edit" if is_edit else "message",
        chat=chat,
        sender=sender,
        sent_at=sent_at,
        message_id=message_id,
        # The token would otherwise be kept, and read, with the conversation.
        parts=(Text(text="/start"),) if invitation else parts,
        quote=quote,
        is_addressed=chat.kind == "private" or _is_addressed(message, me, quote),
        invitation=invitation,
        detail=_detail(message),
    )


def _pressed(query: dict[str, Any], me: Me, event_id: str, now: Callable[[], datetime]) -> Inbound:
    # A button under an inline message has no chat to answer in.
    message = inner(query, "message")
    payload = string(query, "data", required=True)
    chat = _chat(inner(message, "chat"), message)
    return Inbound(
        event_id=event_id,
        kind="message",
        chat=chat,
        sender=_user(inner(query, "from")),
        sent_at=now(),
        parts=(Button(label=_label(message, payload), payload=payload),),
        quote=Quote(message_id=str(integer(message, "message_id")), text=words_of(message), is_ours=True),
        detail={"callback_query_id": string(query, "id", required=True)},
    )


def _reaction(reaction: dict[str, Any], event_id: str) -> Inbound:
    chat = _chat(inner(reaction, "chat"), {})
    nameless = "user" not in reaction
    sender = _chat_as_sender(inner(reaction, "actor_chat")) if nameless else _user(inner(reaction, "user"))
    message_id = str(integer(reaction, "message_id"))
    emoji = tuple(_emoji(one) for one in listed(reaction, "new_reaction"))
    return Inbound(
        event_id=event_id,
        kind="reaction",
        chat=chat,
        sender=sender,
        sent_at=moment(reaction, "date"),
        parts=(Reaction(message_id=message_id, emoji=emoji),),
        is_addressed=chat.kind == "private",
    )


def _membership(change: dict[str, Any], event_id: str) -> Inbound | None:
    chat = _chat(inner(change, "chat"), {})
    was = _is_member(inner(change, "old_chat_member"))
    is_now = _is_member(inner(change, "new_chat_member"))
    if was == is_now and chat.kind != "private":
        return None
    yes, no = ("unblocked", "blocked") if chat.kind == "private" else ("joined", "left")
    return Inbound(
        event_id=event_id,
        kind="membership",
        chat=chat,
        sender=_user(inner(change, "from")),
        sent_at=moment(change, "date"),
        is_addressed=chat.kind == "private",
        state=yes if is_now else no,
    )


def _stop(stopped: dict[str, Any], event_id: str, now: Callable[[], datetime]) -> Inbound:
    chat = inner(stopped, "chat")
    thread = {**stopped, "is_topic_message": True} if "message_thread_id" in stopped else {}
    return Inbound(
        event_id=event_id,
        kind="stop",
        chat=_chat(chat, thread),
        # Drafts exist in private chats alone, and a private chat's id is the person's.
        sender=_chat_as_sender(chat),
        sent_at=now(),
        detail={"draft_id": integer(stopped, "draft_id")},
    )


# ------------------------------------------------------------------------------------- who and where


def _chat(chat: dict[str, Any], message: dict[str, Any]) -> Chat:
    kind = string(chat, "type", required=True)
    # A reply outside a forum also carries a thread id, which is no topic and cannot be written to.
    thread = str(integer(message, "message_thread_id")) if message.get("is_topic_message") is True else None
    return Chat(
        id=str(integer(chat, "id")),
        kind="private" if kind == "private" else "channel" if kind == "channel" else "group",
        thread_id=thread,
        title=string(chat, "title"),
    )


def _sender(message: dict[str, Any], chat: Chat) -> Sender:
    # Anonymous administrators and channels speak through a bot of Telegram's own; the chat is who they are.
    if "sender_chat" in message:
        return _chat_as_sender(inner(message, "sender_chat"))
    if "from" in message:
        return _user(inner(message, "from"))
    return Sender(id=chat.id, name=chat.title)


def _user(user: dict[str, Any]) -> Sender:
    name = f"{string(user, 'first_name')} {string(user, 'last_name')}"
    return Sender(
        id=str(integer(user, "id")),
        name=name.strip(),
        username=string(user, "username"),
        language=string(user, "language_code") or None,
        is_machine=user.get("is_bot") is True,
    )


def _chat_as_sender(chat: dict[str, Any]) -> Sender:
    name = string(chat, "title") or f"{string(chat, 'first_name')} {string(chat, 'last_name')}".strip()
    return Sender(id=str(integer(chat, "id")), name=name, username=string(chat, "username"))


def _is_member(member: dict[str, Any]) -> bool:
    status = string(member, "status", required=True)
    return status in _IS_THERE or (status == "restricted" and member.get("is_member") is True)


def _migration(message: dict[str, Any], chat: Chat) -> tuple[Chat, str] | None:
    """Telegram tells of it twice: in the old group where to, in the new one where from."""
    if "migrate_to_chat_id" in message:
        return chat, str(integer(message, "migrate_to_chat_id"))
    if "migrate_from_chat_id" in message:
        old = Chat(id=str(integer(message, "migrate_from_chat_id")), kind="group", title=chat.title)
        return old, chat.id
    return None


# ------------------------------------------------------------------------------- whether we are meant


def _is_addressed(message: dict[str, Any], me: Me, quote: Quote | None) -> bool:
    if me.group_replies == "never" or message.get("is_automatic_forward") is True:
        return False
    if quote and quote.is_ours and me.group_replies == "addressed":
        return True
    words, entities = _text_and_entities(message)
    return any(_means_us(entity, words, me) for entity in entities)


def _means_us(entity: Any, words: str, me: Me) -> bool:
    kind = string(entity, "type", required=True)
    if kind == "text_mention":
        return integer(inner(entity, "user"), "id") == me.bot_id
    if kind == "mention":
        return bool(me.username) and _slice(words, entity).casefold() == f"@{me.username}".casefold()
    if kind == "bot_command" and entity.get("offset") == 0:
        _, at, name = _slice(words, entity).partition("@")
        return not at or (bool(me.username) and name.casefold() == me.username.casefold())
    return False


def _text_and_entities(message: dict[str, Any]) -> tuple[str, list[Any]]:
    if "text" in message:
        return string(message, "text"), listed(message, "entities")
    return string(message, "caption"), listed(message, "caption_entities")


def _slice(words: str, entity: dict[str, Any]) -> str:
    """Return the words of an entity, whose place is counted in UTF-16 units."""
    offset, length = integer(entity, "offset"), integer(entity, "length")
    if words.isascii():
        return words[offset : offset + length]
    units = words.encode("utf-16-le", "surrogatepass")
    return units[2 * offset : 2 * (offset + length)].decode("utf-16-le", "replace")


def _invitation(message: dict[str, Any]) -> str | None:
    found = _INVITATION.fullmatch(string(message, "text"))
    return found[1] if found else None


def _quote(message: dict[str, Any], me: Me) -> Quote | None:
    chosen = string(inner(message, "quote"), "text") if "quote" in message else ""
    if "reply_to_message" in message:
        answered = inner(message, "reply_to_message")
        # In a topic every message answers the topic's own beginning, which nobody said.
        if "forum_topic_created" in answered:
            return None
        is_ours = "from" in answered and integer(inner(answered, "from"), "id") == me.bot_id
        return Quote(
            message_id=str(integer(answered, "message_id")), text=chosen or words_of(answered), is_ours=is_ours
        )
    if "external_reply" in message:
        outside = inner(message, "external_reply")
        message_id = str(integer(outside, "message_id")) if "message_id" in outside else ""
        return Quote(message_id=message_id, text=chosen)
    return None


def _label(message: dict[str, Any], payload: str) -> str:
    rows = listed(inner(message, "reply_markup"), "inline_keyboard") if "reply_markup" in message else []
    for row in rows:
        for button in row:
            if button.get("callback_data") == payload:
                return string(button, "text")
    return payload


def _detail(message: dict[str, Any]) -> dict[str, JsonValue]:
    found: dict[str, JsonValue] = {}
    if "media_group_id" in message:
        found["media_group_id"] = string(message, "media_group_id")
    if "forward_origin" in message:
        found["forwarded_from"] = string(inner(message, "forward_origin"), "type")
    if "location" in message and "live_period" in inner(message, "location"):
        found["is_live"] = True
    return found


def _emoji(reaction: dict[str, Any]) -> str:
    kind = string(reaction, "type", required=True)
    if kind == "emoji":
        return string(reaction, "emoji", required=True)
    return f"custom:{string(reaction, 'custom_emoji_id')}" if kind == "custom_emoji" else "⭐"
