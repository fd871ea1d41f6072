"""The methods of the local Telegram: what each checks, as Telegram checks it, and what it gives back."""

from __future__ import annotations

import html.parser
import json
import re
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.platforms.telegram_delivery import Webhook

if TYPE_CHECKING:
    from tests.platforms.telegram import LocalBot, Telegram

Params = dict[str, Any]

_SECRET = re.compile(r"[A-Za-z0-9_-]{1,256}")
_ENTITIES = """
    mention hashtag cashtag bot_command url email phone_number bold italic underline strikethrough spoiler
    blockquote expandable_blockquote code pre text_link text_mention custom_emoji date_time
"""
_ACTIONS = """
    typing upload_photo record_video upload_video record_voice upload_voice upload_document choose_sticker
    find_location record_video_note upload_video_note
"""
_HTML_TAGS = "b strong i em u ins s strike del span tg-spoiler a code pre blockquote tg-emoji"
_UPLOAD_BYTES = 50_000_000
_DOWNLOAD_BYTES = 20_000_000
_MEDIA = {
    "sendVoice": "voice",
    "sendAudio": "audio",
    "sendVideo": "video",
    "sendVideoNote": "video_note",
    "sendAnimation": "animation",
    "sendPhoto": "photo",
    "sendDocument": "document",
    "sendSticker": "sticker",
}


@dataclass(slots=True)
class Upload:
    """A file in a multipart body."""

    content: bytes
    filename: str


@dataclass(slots=True)
class StoredFile:
    """A file Telegram keeps, under the id of one bot."""

    kind: str
    content: bytes
    unique_id: str
    mime: str = ""
    filename: str = ""
    path: str = ""
    is_fresh: bool = True


@dataclass(slots=True)
class Sent:
    """One message a bot has sent. `payload` is the message as Telegram keeps it."""

    at: float
    bot_id: int
    chat_id: int
    message_id: int
    method: str
    payload: dict[str, Any]
    content: bytes | None = None
    edits: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return str(self.payload.get("text", self.payload.get("caption", "")))

    @property
    def thread_id(self) -> int | None:
        return self.payload.get("message_thread_id")

    @property
    def reply_to(self) -> int | None:
        found = self.payload.get("reply_to_message")
        return found["message_id"] if found else None

    @property
    def buttons(self) -> list[tuple[str, str]]:
        rows = self.payload.get("reply_markup", {}).get("inline_keyboard", [])
        return [(button["text"], button.get("callback_data", "")) for row in rows for button in row]


class Refusal(Exception):
    """Telegram says no."""

    def __init__(self, code: int, description: str, **parameters: int) -> None:
        super().__init__(description)
        self.code = code
        self.description = description
        self.parameters = parameters


def bad(description: str) -> Refusal:
    return Refusal(400, f"Bad Request: {description}")


# ------------------------------------------------------------------------------------------ sending


async def send_message(telegram: Telegram, bot: LocalBot, params: Params) -> Any:
    chat_id = _chat(telegram, bot, params)
    text = _text(params, "text", 4096, "message")
    if not text.strip():
        raise bad("message text is empty")
    fields: dict[str, Any] = {"text": text}
    if entities := _entities(params, "entities", text, telegram.refuses_entities):
        fields["entities"] = entities
    return _keep(telegram, bot, "sendMessage", chat_id, params, fields)


async def send_media(telegram: Telegram, bot: LocalBot, params: Params, *, method: str) -> Any:
    chat_id = _chat(telegram, bot, params)
    kind = _MEDIA[method]
    if kind in ("voice", "video_note") and chat_id in telegram.voice_refusers:
        raise bad("VOICE_MESSAGES_FORBIDDEN")
    if kind == "video_note" and params.get("caption"):
        raise bad("video notes have no caption")
    caption = _text(params, "caption", 1024, "message caption")
    file_id, stored = _file(bot, params.get(kind), kind, params)
    shown = _described(file_id, stored, params)
    sent_as = stored.kind if kind != "document" else "document"
    fields: dict[str, Any] = {sent_as: [shown] if sent_as == "photo" else shown}
    if caption:
        fields["caption"] = caption
    if entities := _entities(params, "caption_entities", caption):
        fields["caption_entities"] = entities
    return _keep(telegram, bot, method, chat_id, params, fields, stored.content)


async def send_location(telegram: Telegram, bot: LocalBot, params: Params) -> Any:
    chat_id = _chat(telegram, bot, params)
    point = {"latitude": _number(params, "latitude"), "longitude": _number(params, "longitude")}
    fields: dict[str, Any] = {"location": point}
    if "title" in params:
        fields["venue"] = {"location": point, "title": params["title"], "address": params.get("address", "")}
    return _keep(telegram, bot, "sendVenue" if "title" in params else "sendLocation", chat_id, params, fields)


async def send_contact(telegram: Telegram, bot: LocalBot, params: Params) -> Any:
    chat_id = _chat(telegram, bot, params)
    if not params.get("phone_number") or not params.get("first_name"):
        raise bad("contact phone number is empty")
    card = {name: params[name] for name in ("phone_number", "first_name", "last_name", "vcard") if name in params}
    return _keep(telegram, bot, "sendContact", chat_id, params, {"contact": card})


async def edit_text(telegram: Telegram, bot: LocalBot, params: Params) -> Any:
    chat_id = _chat(telegram, bot, params)
    text = _text(params, "text", 4096, "message")
    for sent in telegram.sent(chat_id):
        if sent.message_id == int(params.get("message_id", 0)) and sent.bot_id == bot.id:
            if sent.text == text:
                raise bad("message is not modified")
            sent.edits.append(sent.text)
            sent.payload["text"] = text
            return sent.payload
    raise bad("message to edit not found")


async def send_draft(telegram: Telegram, bot: LocalBot, params: Params) -> Any:
    if not telegram.has_drafts:
        raise Refusal(404, "Not Found: method not found")
    chat_id = _chat(telegram, bot, params)
    if chat_id < 0:
        raise bad("TEXTDRAFT_PEER_INVALID")
    draft_id = int(params.get("draft_id", 0))
    if not draft_id:
        raise bad("RANDOM_ID_INVALID")
    text = _text(params, "text", 4096, "message")
    _entities(params, "entities", text)
    telegram.drafts.setdefault(chat_id, []).append((draft_id, text))
    return True


async def send_action(telegram: Telegram, bot: LocalBot, params: Params) -> Any:
    chat_id = _chat(telegram, bot, params)
    if params.get("action") not in _ACTIONS.split():
        raise bad("wrong parameter action in request")
    telegram.actions.setdefault(chat_id, []).append(params["action"])
    return True


async def react(telegram: Telegram, bot: LocalBot, params: Params) -> Any:
    chat_id = _chat(telegram, bot, params)
    reaction = _json(params, "reaction", [])
    if any(one.get("type") == "emoji" and not one.get("emoji") for one in reaction):
        raise bad("REACTION_INVALID")
    shown = tuple(one.get("emoji", one.get("custom_emoji_id", "")) for one in reaction)
    telegram.reactions[chat_id, int(params.get("message_id", 0))] = shown
    return True


async def answer_button(telegram: Telegram, bot: LocalBot, params: Params) -> Any:
    if params.get("callback_query_id") not in bot.open_buttons:
        raise bad("query is too old and response timeout expired or query ID is invalid")
    bot.open_buttons.discard(params["callback_query_id"])
    return True


# ---------------------------------------------------------------------------------------- receiving


async def get_me(telegram: Telegram, bot: LocalBot, params: Params) -> Any:
    return {
        **bot.user,
        "can_join_groups": True,
        "can_read_all_group_messages": bot.reads_all,
        "supports_inline_queries": False,
    }


async def get_updates(telegram: Telegram, bot: LocalBot, params: Params) -> Any:
    if bot.updates.webhook:
        raise Refusal(
            409, "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete it first"
        )
    if "allowed_updates" in params:
        bot.updates.allowed = _json(params, "allowed_updates", [])
    found = await bot.updates.poll(
        offset=int(params.get("offset", 0)),
        limit=int(params.get("limit", 100)),
        timeout_s=min(float(params.get("timeout", 0)), telegram.longest_poll_s),
    )
    if found is None:
        raise Refusal(
            409, "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running"
        )
    return found


async def set_webhook(telegram: Telegram, bot: LocalBot, params: Params) -> Any:
    url = params.get("url", "")
    if not url:
        return await delete_webhook(telegram, bot, params)
    if not url.startswith("https://") and not telegram.takes_http:
        raise bad("bad webhook: An HTTPS URL must be provided for webhook")
    secret = params.get("secret_token", "")
    if secret and not _SECRET.fullmatch(secret):
        raise bad("secret token contains unallowed characters")
    most = int(params.get("max_connections", 40))
    if "allowed_updates" in params:
        bot.updates.allowed = _json(params, "allowed_updates", [])
    if params.get("drop_pending_updates", "").lower() == "true":
        bot.updates.pending.clear()
    bot.updates.deliver_to(Webhook(url, secret, max(1, min(most, 100))))
    return True


async def delete_webhook(telegram: Telegram, bot: LocalBot, params: Params) -> Any:
    if params.get("drop_pending_updates", "").lower() == "true":
        bot.updates.pending.clear()
    bot.updates.deliver_to(None)
    return True


async def webhook_info(telegram: Telegram, bot: LocalBot, params: Params) -> Any:
    webhook = bot.updates.webhook
    info: dict[str, Any] = {
        "url": webhook.url if webhook else "",
        "has_custom_certificate": False,
        "pending_update_count": len(bot.updates.pending),
    }
    if webhook:
        info["max_connections"] = webhook.max_connections
        if webhook.last_error:
            info |= {"last_error_date": webhook.last_error_at, "last_error_message": webhook.last_error}
    if bot.updates.allowed:
        info["allowed_updates"] = bot.updates.allowed
    return info


async def get_file(telegram: Telegram, bot: LocalBot, params: Params) -> Any:
    stored = bot.files.get(params.get("file_id", ""))
    if stored is None:
        raise bad("wrong file_id or the file is temporarily unavailable")
    if len(stored.content) > _DOWNLOAD_BYTES and telegram.folder is None:
        raise bad("file is too big")
    if telegram.folder is not None:
        path = telegram.folder / f"file_{secrets.token_hex(4)}"
        path.write_bytes(stored.content)
        stored.path = str(path)
    elif not stored.path or not stored.is_fresh:
        stored.path, stored.is_fresh = f"{stored.kind}/file_{secrets.token_hex(4)}", True
    return {
        "file_id": params["file_id"],
        "file_unique_id": stored.unique_id,
        "file_size": len(stored.content),
        "file_path": stored.path,
    }


async def yes(telegram: Telegram, bot: LocalBot, params: Params) -> Any:
    return True


Method = Callable[["Telegram", "LocalBot", Params], Awaitable[Any]]


def _media_method(method: str) -> Method:
    async def call(telegram: Telegram, bot: LocalBot, params: Params) -> Any:
        return await send_media(telegram, bot, params, method=method)

    return call


METHODS: dict[str, Method] = {
    "getme": get_me,
    "getupdates": get_updates,
    "setwebhook": set_webhook,
    "deletewebhook": delete_webhook,
    "getwebhookinfo": webhook_info,
    "getfile": get_file,
    "sendmessage": send_message,
    "sendlocation": send_location,
    "sendvenue": send_location,
    "sendcontact": send_contact,
    "sendchataction": send_action,
    "sendmessagedraft": send_draft,
    "editmessagetext": edit_text,
    "setmessagereaction": react,
    "answercallbackquery": answer_button,
    "setmycommands": yes,
    "logout": yes,
    **{method.lower(): _media_method(method) for method in _MEDIA},
}
"""Telegram takes its methods' names in any case."""

# ------------------------------------------------------------------------------------------- checks


def _chat(telegram: Telegram, bot: LocalBot, params: Params) -> int:
    """Return the chat, if this bot may write to it."""
    try:
        chat_id = int(params.get("chat_id", ""))
    except ValueError:
        raise bad("chat not found") from None
    chat = telegram.chats.get(chat_id)
    if chat_id in telegram.migrated:
        raise Refusal(
            400,
            "Bad Request: group chat was upgraded to a supergroup chat",
            migrate_to_chat_id=telegram.migrated[chat_id],
        )
    if chat is None:
        raise bad("chat not found")
    if (bot.id, chat_id) in telegram.blocked:
        who = (
            "Forbidden: bot was blocked by the user" if chat_id > 0 else "Forbidden: bot was kicked from the group chat"
        )
        raise Refusal(403, who)
    if chat_id > 0 and (bot.id, chat_id) not in telegram.met:
        raise Refusal(403, "Forbidden: bot can't initiate conversation with a user")
    return chat_id


def _text(params: Params, name: str, most: int, about: str) -> str:
    text = params.get(name, "")
    if not isinstance(text, str):
        raise bad(f"{about} must be text")
    if (len(text) if text.isascii() else len(text.encode("utf-16-le")) // 2) > most:
        raise bad(f"{about} is too long")
    mode = params.get("parse_mode", "")
    if mode.upper() == "HTML":
        _Html().check(text)
    return text


class _Html(html.parser.HTMLParser):
    """Finds the tags Telegram would refuse."""

    def check(self, text: str) -> None:
        self._open: list[str] = []
        self.feed(text)
        if self._open:
            raise bad(f"can't parse entities: Can't find end tag corresponding to start tag \"{self._open[-1]}\"")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _HTML_TAGS.split():
            raise bad(f'can\'t parse entities: Unsupported start tag "{tag}" at byte offset 0')
        self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            raise bad(f'can\'t parse entities: Unexpected end tag "{tag}" at byte offset 0')


def _entities(params: Params, name: str, text: str, is_refusing: bool = False) -> list[dict[str, Any]]:
    entities = _json(params, name, [])
    if not entities:
        return []
    if is_refusing:
        raise bad("can't parse entities: Unsupported type specified")
    length = len(text.encode("utf-16-le")) // 2
    for one in entities:
        if not isinstance(one, dict) or one.get("type") not in _ENTITIES.split():
            raise bad("can't parse entities: Unsupported type specified")
        if not 0 <= one.get("offset", -1) <= one["offset"] + one.get("length", -1) <= length or one["length"] < 1:
            raise bad("can't parse entities: Entity is out of the text")
        if one["type"] == "text_link" and not one.get("url"):
            raise bad('can\'t parse entities: Field "url" must be of type String')
    return list(entities)


def _json(params: Params, name: str, default: Any) -> Any:
    value = params.get(name)
    if value is None or value == "":
        return default
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        raise bad(f"can't parse {name} JSON object") from None


def _number(params: Params, name: str) -> float:
    try:
        return float(params[name])
    except (KeyError, ValueError):
        raise bad(f"{name} is empty") from None


def _file(bot: LocalBot, value: Any, kind: str, params: Params) -> tuple[str, StoredFile]:
    """Return the file a parameter names: one that was sent before, or one in the body."""
    if not value:
        raise bad(f"there is no {kind} in the request")
    if isinstance(value, str) and value.startswith("attach://"):
        value = params.get(value.removeprefix("attach://"))
    if isinstance(value, Upload):
        if not value.content:
            raise bad("file must be non-empty")
        if len(value.content) > _UPLOAD_BYTES:
            raise Refusal(413, "Request Entity Too Large")
        return bot.keep_file(StoredFile(_sniffed(kind, value.content), value.content, "", filename=value.filename))
    if isinstance(value, str) and value.startswith(("http://", "https://")):
        raise bad("failed to get HTTP URL content")
    stored = bot.files.get(value) if isinstance(value, str) else None
    if stored is None:
        raise bad("wrong file identifier/HTTP URL specified")
    if kind not in (stored.kind, "document"):
        raise bad(f"can't use file of type {stored.kind.title()} as {kind.title()}")
    return value, stored


def _sniffed(kind: str, content: bytes) -> str:
    """Return what Telegram makes of the bytes: something that is no voice is sent as a document."""
    is_mp4, is_mp3 = content[4:8] == b"ftyp", content[:3] == b"ID3" or content[:2] in (b"\xff\xfb", b"\xff\xf3")
    is_right = {
        "voice": content[:4] == b"OggS" or is_mp3 or is_mp4,
        "audio": is_mp3 or is_mp4,
        "video": is_mp4,
        "video_note": is_mp4,
        "animation": is_mp4 or content[:4] == b"GIF8",
        "photo": content[:3] == b"\xff\xd8\xff" or content[:4] == b"\x89PNG",
    }.get(kind, True)
    if kind == "photo" and not is_right:
        raise bad("IMAGE_PROCESS_FAILED")
    return kind if is_right else "document"


def _described(file_id: str, stored: StoredFile, params: Params) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "file_id": file_id,
        "file_unique_id": stored.unique_id,
        "file_size": len(stored.content),
    }
    for name in ("duration", "width", "height", "length"):
        if name in params:
            shown[name] = int(params[name])
    if stored.filename and stored.kind in ("document", "audio", "video", "animation"):
        shown["file_name"] = stored.filename
    if stored.kind == "photo":
        shown |= {"width": 640, "height": 480}
    return shown


def _keep(
    telegram: Telegram,
    bot: LocalBot,
    method: str,
    chat_id: int,
    params: Params,
    fields: dict[str, Any],
    content: bytes | None = None,
) -> dict[str, Any]:
    """Write a message into the chat and return it."""
    payload: dict[str, Any] = {
        "message_id": 0,
        "from": bot.user,
        "chat": telegram.chats[chat_id],
        "date": int(time.time()),
        **fields,
    }
    if "message_thread_id" in params:
        thread_id = int(params["message_thread_id"])
        topics = telegram.topics.get(chat_id)
        if topics is not None and thread_id not in topics:
            raise bad("message thread not found")
        payload |= {"message_thread_id": thread_id, "is_topic_message": True}
    if reply := _json(params, "reply_parameters", None):
        if (answered := telegram.said.get((chat_id, reply.get("message_id")))) is not None:
            payload["reply_to_message"] = {**answered, "reply_to_message": None}
        elif reply.get("allow_sending_without_reply") is not True:
            raise bad("message to be replied not found")
    if markup := _json(params, "reply_markup", None):
        for row in markup.get("inline_keyboard", []):
            for button in row:
                if not 1 <= len(button.get("callback_data", "").encode()) <= 64:
                    raise bad("BUTTON_DATA_INVALID")
        payload["reply_markup"] = markup
    payload["message_id"] = telegram.next_message_id(chat_id)
    telegram.keep(Sent(time.monotonic(), bot.id, chat_id, payload["message_id"], method, payload, content))
    return payload
