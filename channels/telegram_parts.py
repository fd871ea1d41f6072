"""What one Telegram message holds: words, a voice, a picture, a place, a card."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from channels.contract import Contact, Location, Media, MediaFile, Part, Sticker, Text
from channels.telegram_fields import clean, inner, integer, listed, optional_integer, point, string

_DEEPEST = 32


def parts_of(message: dict[str, Any]) -> tuple[Part, ...]:
    if "text" in message:
        return (Text(text=string(message, "text")),)
    for key, read in _CONTENTS.items():
        if key in message:
            return (read(message),)
    return ()


def words_of(message: dict[str, Any]) -> str:
    return string(message, "text") or string(message, "caption")


def _file(found: dict[str, Any]) -> MediaFile:
    return MediaFile(
        platform_id=string(found, "file_id", required=True),
        platform_unique_id=string(found, "file_unique_id") or None,
        mime=string(found, "mime_type") or None,
        filename=string(found, "file_name") or None,
        size_bytes=optional_integer(found, "file_size"),
        duration_s=float(found["duration"]) if optional_integer(found, "duration") is not None else None,
        width=optional_integer(found, "width") or optional_integer(found, "length"),
        height=optional_integer(found, "height") or optional_integer(found, "length"),
    )


def _voice(message: dict[str, Any]) -> Part:
    return Media(kind="voice", file=_file(inner(message, "voice")), caption=string(message, "caption"))


def _audio(message: dict[str, Any]) -> Part:
    return Media(kind="audio", file=_file(inner(message, "audio")), caption=string(message, "caption"))


def _video(message: dict[str, Any]) -> Part:
    return Media(kind="video", file=_file(inner(message, "video")), caption=string(message, "caption"))


def _video_note(message: dict[str, Any]) -> Part:
    return Media(kind="video_note", file=_file(inner(message, "video_note")))


def _animation(message: dict[str, Any]) -> Part:
    return Media(kind="animation", file=_file(inner(message, "animation")), caption=string(message, "caption"))


def _document(message: dict[str, Any]) -> Part:
    return Media(kind="file", file=_file(inner(message, "document")), caption=string(message, "caption"))


def _photo(message: dict[str, Any]) -> Part:
    largest = max(listed(message, "photo"), key=lambda size: integer(size, "width") * integer(size, "height"))
    return Media(kind="image", file=_file(largest), caption=string(message, "caption"))


def _live_photo(message: dict[str, Any]) -> Part:
    live = inner(message, "live_photo")
    if live.get("photo"):
        return _photo({**message, "photo": live["photo"]})
    return Media(kind="video", file=_file(live), caption=string(message, "caption"))


def _sticker(message: dict[str, Any]) -> Part:
    sticker = inner(message, "sticker")
    return Sticker(emoji=string(sticker, "emoji"), file=_file(sticker))


def _venue(message: dict[str, Any]) -> Part:
    venue = inner(message, "venue")
    latitude, longitude = point(inner(venue, "location"))
    return Location(
        latitude=latitude, longitude=longitude, name=string(venue, "title"), address=string(venue, "address")
    )


def _location(message: dict[str, Any]) -> Part:
    latitude, longitude = point(inner(message, "location"))
    return Location(latitude=latitude, longitude=longitude)


def _contact(message: dict[str, Any]) -> Part:
    card = inner(message, "contact")
    user_id = optional_integer(card, "user_id")
    phone = string(card, "phone_number")
    return Contact(
        name=f"{string(card, 'first_name')} {string(card, 'last_name')}".strip(),
        phones=(phone,) if phone else (),
        vcard=string(card, "vcard"),
        platform_id=str(user_id) if user_id is not None else None,
    )


def _dice(message: dict[str, Any]) -> Part:
    dice = inner(message, "dice")
    return Text(text=f"{string(dice, 'emoji', required=True)} {integer(dice, 'value')}")


def _poll(message: dict[str, Any]) -> Part:
    poll = inner(message, "poll")
    options = [f"- {string(option, 'text')}" for option in listed(poll, "options")]
    return Text(text="\n".join([string(poll, "question", required=True), *options]))


def _checklist(message: dict[str, Any]) -> Part:
    checklist = inner(message, "checklist")
    tasks = [f"- {string(task, 'text')}" for task in listed(checklist, "tasks")]
    return Text(text="\n".join([string(checklist, "title", required=True), *tasks]))


def _rich(message: dict[str, Any]) -> Part:
    blocks = (_plain(block) for block in listed(inner(message, "rich_message"), "blocks"))
    return Text(text="\n".join(words for words in blocks if words))


def _plain(node: Any, depth: int = 0) -> str:
    """Return the words of a rich block, whose text is nested as deeply as its formatting."""
    if depth > _DEEPEST:
        raise ValueError("nested too deeply")
    if isinstance(node, str):
        return clean(node)
    if isinstance(node, list):
        return "".join(_plain(inner, depth + 1) for inner in node)
    if not isinstance(node, dict):
        return ""
    inside = [_plain(node[key], depth + 1) for key in ("text", "title", "summary") if key in node]
    for key in ("blocks", "items", "cells"):
        if isinstance(node.get(key), list):
            inside += [_plain(inner, depth + 1) for inner in node[key]]
    return "\n".join(words for words in inside if words)


_CONTENTS: dict[str, Callable[[dict[str, Any]], Part]] = {
    "voice": _voice,
    "photo": _photo,
    "video": _video,
    "video_note": _video_note,
    "audio": _audio,
    # Telegram repeats an animation as a document and a venue as a location, so the richer one is asked first.
    "animation": _animation,
    "document": _document,
    "sticker": _sticker,
    "venue": _venue,
    "location": _location,
    "contact": _contact,
    "live_photo": _live_photo,
    "rich_message": _rich,
    "poll": _poll,
    "checklist": _checklist,
    "dice": _dice,
}
