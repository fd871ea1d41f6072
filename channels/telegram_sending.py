"""One message to Telegram: which method carries it, what it may fall back to, and what comes back."""

from __future__ import annotations

import mimetypes
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aiogram.methods import (
    SendAnimation,
    SendAudio,
    SendContact,
    SendDocument,
    SendLocation,
    SendMessage,
    SendMessageDraft,
    SendPhoto,
    SendSticker,
    SendVenue,
    SendVideo,
    SendVideoNote,
    SendVoice,
    SetMessageReaction,
    TelegramMethod,
)
from aiogram.types import (
    BufferedInputFile,
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    LinkPreviewOptions,
    MessageEntity,
    ReactionTypeCustomEmoji,
    ReactionTypeEmoji,
    ReplyParameters,
)

from channels.contract import (
    Button,
    Chat,
    Contact,
    Location,
    Media,
    MediaFile,
    MediaStore,
    Outbound,
    Reaction,
    Receipt,
    Sticker,
    Text,
)
from channels.errors import Undeliverable
from channels.rendering import Formatted, measure, split, telegram
from channels.telegram_client import TelegramClient
from channels.telegram_errors import Refused
from channels.telegram_pieces import TEXT_LENGTH, Piece, pieces_of
from channels.telegram_settings import TelegramSettings

CLOUD_UPLOAD_BYTES = 50_000_000
LOCAL_UPLOAD_BYTES = 2_000_000_000
_PHOTO_BYTES = 10_000_000
_UPLOAD_BYTES_PER_S = 100_000
_CALL_S = 30
_MOST_UNFINISHED = 1000
_LARGEST_DRAFT_ID = 0x7FFF_FFFF

_METHODS: Mapping[str, tuple[type[TelegramMethod[Any]], str]] = {
    "voice": (SendVoice, "voice"),
    "audio": (SendAudio, "audio"),
    "image": (SendPhoto, "photo"),
    "video": (SendVideo, "video"),
    "video_note": (SendVideoNote, "video_note"),
    "animation": (SendAnimation, "animation"),
    "file": (SendDocument, "document"),
    "sticker": (SendSticker, "sticker"),
}
_EXTENSIONS = {
    "audio/ogg": ".ogg",
    "audio/mpeg": ".mp3",
    "audio/mp4": ".m4a",
    "video/mp4": ".mp4",
    "image/jpeg": ".jpg",
}


class TelegramSender:
    """Sends for one bot. What of a message has gone out already is remembered, so a retry does not repeat it."""

    def __init__(self, client: TelegramClient, media: MediaStore, settings: TelegramSettings) -> None:
        self._client = client
        self._media = media
        self._settings = settings
        self._unfinished: OrderedDict[str, list[_Sent]] = OrderedDict()

    async def send(self, outbound: Outbound) -> Receipt:
        """Send all of `outbound`.

        Raises:
            ChannelError: as `Adapter.send` says.
        """
        pieces = pieces_of(outbound)
        sent = self._unfinished.get(outbound.key, [])
        for index, piece in enumerate(pieces):
            if index >= len(sent):
                quote = outbound.quote_message_id if index == 0 else None
                try:
                    sent.append(await self._piece(piece, _Where(outbound.chat, quote)))
                except Refused as refused:
                    raise refused.refusal.error() from None
                if index + 1 < len(pieces):
                    self._remember(outbound.key, sent)
        self._unfinished.pop(outbound.key, None)
        return Receipt(
            message_ids=tuple(one.message_id for one in sent if one.message_id),
            media_ids={sha256: file_id for one in sent for sha256, file_id in one.media_ids.items()},
        )

    async def draft(self, chat: Chat, draft_id: int, text: str) -> None:
        """Show the answer so far.

        Raises:
            ChannelError or Refused: when it could not be shown.
        """
        shown = telegram(text)
        if measure(shown.text, "utf16") > TEXT_LENGTH:
            shown = Formatted(split(shown.text, length=TEXT_LENGTH, unit="utf16")[0])
        method = SendMessageDraft(
            chat_id=int(chat.id),
            draft_id=draft_id & _LARGEST_DRAFT_ID or 1,
            message_thread_id=_thread(chat),
            text=shown.text,
            entities=_entities(shown),
        )
        await self._client.send(method, timeout_s=5)

    # ---------------------------------------------------------------------------------- one piece

    async def _piece(self, piece: Piece, where: _Where) -> _Sent:
        match piece.part:
            case Text():
                return await self._words(piece, where)
            case Media() as media:
                return await self._shown(piece, media.kind, media.file, media.caption, where)
            case Sticker(file=MediaFile() as file):
                return await self._shown(piece, "sticker", file, "", where)
            case Reaction() as reaction:
                await self._client.send(_reaction(reaction, where))
                return _Sent("")
            case Location() as location:
                return _sent(await self._client.send(_location(location, where, piece)))
            case Contact() as contact:
                return _sent(await self._client.send(_contact(contact, where, piece)))
            case _:
                raise Undeliverable("Telegram has no way to carry this part.", reason="rejected")

    async def _words(self, piece: Piece, where: _Where) -> _Sent:
        assert piece.words is not None
        method = SendMessage(
            **where.fields(),
            text=piece.words.text,
            entities=_entities(piece.words),
            link_preview_options=_NO_PREVIEW if not self._settings.shows_link_previews else None,
            reply_markup=_keyboard(piece.buttons),
        )
        try:
            return _sent(await self._client.send(method))
        except Refused as refused:
            if not method.entities or not refused.refusal.is_about_markup:
                raise
        return _sent(await self._client.send(method.model_copy(update={"entities": None})))

    async def _shown(self, piece: Piece, kind: str, file: MediaFile, caption: str, where: _Where) -> _Sent:
        words = piece.words if piece.words is not None else Formatted(caption)
        known = await self._known_id(file)
        if known is not None:
            try:
                return await self._media_message(kind, known, file, words, piece, where)
            except Refused as refused:
                if file.sha256 is None or not refused.refusal.is_about_the_file_id:
                    raise
        if file.sha256 is None:
            raise Undeliverable("The media has neither bytes nor an id on Telegram.", reason="rejected")
        content = await self._media.read(file.sha256)
        if len(content) > (LOCAL_UPLOAD_BYTES if self._settings.is_local else CLOUD_UPLOAD_BYTES):
            raise Undeliverable("The media is larger than Telegram takes.", reason="too_large")
        if kind == "image" and len(content) > _PHOTO_BYTES:
            kind = "file"
        upload = BufferedInputFile(content, filename=_filename(kind, file))
        try:
            return await self._media_message(kind, upload, file, words, piece, where)
        except Refused as refused:
            if kind != "image" or not refused.refusal.is_about_the_picture:
                raise
        # A picture Telegram cannot scale is still one that can be opened.
        return await self._media_message("file", upload, file, words, piece, where)

    async def _known_id(self, file: MediaFile) -> str | None:
        if file.platform_id is not None:
            return file.platform_id
        if file.sha256 is not None:
            return await self._media.platform_id(file.sha256)
        return file.url

    async def _media_message(
        self,
        kind: str,
        content: str | BufferedInputFile,
        file: MediaFile,
        words: Formatted,
        piece: Piece,
        where: _Where,
    ) -> _Sent:
        method_class, name = _METHODS[kind]
        fields = {**where.fields(), name: content, **_shape(kind, file), "reply_markup": _keyboard(piece.buttons)}
        if words.text:
            fields |= {"caption": words.text, "caption_entities": _entities(words)}
        timeout_s = _CALL_S
        if isinstance(content, BufferedInputFile):
            timeout_s += len(content.data) // _UPLOAD_BYTES_PER_S
        try:
            result = await self._client.send(method_class(**fields), timeout_s=timeout_s)
        except Refused as refused:
            if not fields.get("caption_entities") or not refused.refusal.is_about_markup:
                raise
            result = await self._client.send(method_class(**{**fields, "caption_entities": None}), timeout_s=timeout_s)
        return _sent(result, sha256=file.sha256, name=name)

    def _remember(self, key: str, sent: list[_Sent]) -> None:
        self._unfinished[key] = sent
        if len(self._unfinished) > _MOST_UNFINISHED:
            self._unfinished.popitem(last=False)


@dataclass(frozen=True, slots=True)
class _Sent:
    message_id: str
    media_ids: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Where:
    """The chat, the topic and the message that is answered."""

    chat: Chat
    quote_message_id: str | None

    def fields(self) -> dict[str, Any]:
        fields: dict[str, Any] = {"chat_id": _chat_id(self.chat), "message_thread_id": _thread(self.chat)}
        if self.quote_message_id and self.quote_message_id.isdecimal():
            fields["reply_parameters"] = ReplyParameters(
                message_id=int(self.quote_message_id), allow_sending_without_reply=True
            )
        return fields


# ------------------------------------------------------------------------------- as Telegram wants it

_NO_PREVIEW = LinkPreviewOptions(is_disabled=True)


def _chat_id(chat: Chat) -> int | str:
    if chat.id.removeprefix("-").isdecimal():
        return int(chat.id)
    if chat.id.startswith("@"):
        return chat.id
    raise Undeliverable("This is no id of a Telegram chat.", reason="chat_gone")


def _thread(chat: Chat) -> int | None:
    return int(chat.thread_id) if chat.thread_id and chat.thread_id.isdecimal() else None


def _entities(words: Formatted) -> list[MessageEntity] | None:
    return [
        MessageEntity(
            type=entity.kind,
            offset=entity.offset,
            length=entity.length,
            url=entity.url or None,
            language=entity.language or None,
        )
        for entity in words.entities
    ] or None


def _keyboard(buttons: tuple[Button, ...]) -> InlineKeyboardMarkup | None:
    rows = [[InlineKeyboardButton(text=button.label, callback_data=button.payload)] for button in buttons]
    return InlineKeyboardMarkup(inline_keyboard=rows) if rows else None


def _reaction(reaction: Reaction, where: _Where) -> TelegramMethod[Any]:
    shown: list[Any] = [
        ReactionTypeCustomEmoji(custom_emoji_id=emoji.removeprefix("custom:"))
        if emoji.startswith("custom:")
        else ReactionTypeEmoji(emoji=emoji)
        for emoji in reaction.emoji
    ]
    if not reaction.message_id.isdecimal():
        raise Undeliverable("This is no id of a Telegram message.", reason="rejected")
    return SetMessageReaction(chat_id=_chat_id(where.chat), message_id=int(reaction.message_id), reaction=shown)


def _location(location: Location, where: _Where, piece: Piece) -> TelegramMethod[Any]:
    fields = {**where.fields(), "reply_markup": _keyboard(piece.buttons)}
    fields |= {"latitude": location.latitude, "longitude": location.longitude}
    if location.name:
        return SendVenue(**fields, title=location.name, address=location.address or location.name)
    return SendLocation(**fields)


def _contact(contact: Contact, where: _Where, piece: Piece) -> TelegramMethod[Any]:
    if not contact.phones:
        raise Undeliverable("Telegram sends no contact without a phone number.", reason="rejected")
    return SendContact(
        **where.fields(),
        phone_number=contact.phones[0],
        first_name=contact.name or contact.phones[0],
        vcard=contact.vcard or None,
        reply_markup=_keyboard(piece.buttons),
    )


def _shape(kind: str, file: MediaFile) -> dict[str, Any]:
    """Return what Telegram should know of the media before anybody has opened it."""
    fields: dict[str, Any] = {}
    if kind in ("voice", "audio", "video", "video_note", "animation") and file.duration_s is not None:
        fields["duration"] = round(file.duration_s)
    if kind in ("video", "animation"):
        fields |= {"width": file.width, "height": file.height}
    if kind == "video":
        fields["supports_streaming"] = True
    if kind == "video_note" and file.width:
        fields["length"] = file.width
    return fields


def _filename(kind: str, file: MediaFile) -> str:
    if file.filename:
        return file.filename
    mime = (file.mime or "").partition(";")[0]
    return kind + (_EXTENSIONS.get(mime) or mimetypes.guess_extension(mime) or "")


def _sent(result: Any, *, sha256: str | None = None, name: str = "") -> _Sent:
    message = result if isinstance(result, dict) else {}
    file_id = _file_id(message, name) if sha256 else None
    return _Sent(str(message.get("message_id", "")), {sha256: file_id} if sha256 and file_id else {})


def _file_id(message: dict[str, Any], name: str) -> str | None:
    """Return the id of what was sent: Telegram may have made something else of it, a square video a round one."""
    for one in (name, *(other for _, other in _METHODS.values())):
        found = message.get(one)
        if isinstance(found, list) and found:
            found = found[-1]
        if isinstance(found, dict) and isinstance(found.get("file_id"), str):
            return str(found["file_id"])
    return None
