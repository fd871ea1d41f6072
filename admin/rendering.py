"""Templates: every page is rendered here, with escaping always on."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

_TINTS = 8

KINDS = {
    "self": "Living person",
    "memorial": "In loving memory",
    "brand": "Brand",
    "fictional": "Fictional character",
}
STATES = {"draft": "Draft", "live": "Answering", "paused": "Paused", "retired": "Retired"}
VISIBILITIES = {"private": "Private", "unlisted": "Unlisted", "public": "Public"}
ROLES = {"owner": "Owner", "curator": "Curator", "reader": "Reader"}
LANGUAGES = {
    "ar": "Arabic",
    "ca": "Catalan",
    "de": "German",
    "en": "English",
    "es": "Spanish",
    "eu": "Basque",
    "fr": "French",
    "gl": "Galician",
    "hi": "Hindi",
    "it": "Italian",
    "ja": "Japanese",
    "ko": "Korean",
    "nl": "Dutch",
    "pl": "Polish",
    "pt": "Portuguese",
    "ru": "Russian",
    "tr": "Turkish",
    "uk": "Ukrainian",
    "zh": "Chinese",
}


def environment(folder: Path, asset: Callable[[str], str], said_html: Callable[[str], str]) -> Environment:
    """Return the templates of `folder`; `asset` gives the address of a static file.

    `said_html` gives safe markup of a persona's words.
    """
    made = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.globals.update(
        asset=asset,
        KINDS=KINDS,
        STATES=STATES,
        VISIBILITIES=VISIBILITIES,
        ROLES=ROLES,
    )
    made.filters.update(
        initials=initials,
        tint=tint,
        moment=moment,
        ago=ago,
        iso=iso,
        size=size,
        took=took,
        language=language,
        audience=audience,
        thousands=thousands,
        excerpt=excerpt,
        told=told,
        enumerated=enumerated,
        said=lambda text: Markup(said_html(text)),  # noqa: S704 (it is made from the words, with everything else escaped)
    )
    return made


def initials(name: str) -> str:
    """Return the one or two letters that stand for a name."""
    words = [word for word in name.split() if word[0].isalnum()] or ["?"]
    ends = words if len(words) < 2 else [words[0], words[-1]]
    return "".join(word[0].upper() for word in ends)


def tint(key: str) -> int:
    """Return which of the portrait colours belongs to a key; always the same one."""
    return hashlib.sha256(key.encode("utf-8", "replace")).digest()[0] % _TINTS


def moment(at: datetime | None, zone: tzinfo | None = None) -> str:
    """Return a time in words, such as `3 March 2026, 14:05`; the day alone when only the day is known."""
    if at is None:
        return ""
    local = at.astimezone(zone) if zone else at
    is_day = (at.hour, at.minute, at.second) == (0, 0, 0)
    return f"{local.day} {local:%B %Y}" if is_day else f"{local.day} {local:%B %Y, %H:%M}"


def iso(at: datetime) -> str:
    """Return a time as machines read it."""
    return at.isoformat(timespec="seconds")


def ago(at: datetime | None, now: datetime) -> str:
    """Return how long ago something was, roughly."""
    if at is None:
        return "never"
    seconds = (now - at).total_seconds()
    for limit, unit, name in ((90, 1, "second"), (5400, 60, "minute"), (129_600, 3600, "hour")):
        if seconds < limit:
            count = max(0, round(seconds / unit))
            return "just now" if name == "second" else f"{count} {name}{'' if count == 1 else 's'} ago"
    days = round(seconds / 86_400)
    return f"{days} days ago" if days < 31 else f"{at.day} {at:%B %Y}"


def day_label(at: datetime, now: datetime, zone: tzinfo) -> str:
    """Return the heading above the first line of a day: today, yesterday, or the date."""
    day, today = at.astimezone(zone).date(), now.astimezone(zone).date()
    if day == today:
        return "Today"
    if day == today - timedelta(days=1):
        return "Yesterday"
    year = "" if day.year == today.year else f" {day.year}"
    return f"{day:%A}, {day.day} {day:%B}{year}"


def zone_of(name: str) -> tzinfo:
    """Return a time zone, UTC when the name means nothing here."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("UTC")


def size(size_bytes: float) -> str:
    """Return a size in words, such as `3.2 MB`."""
    for unit in ("bytes", "KB", "MB"):
        if size_bytes < 1000:
            return f"{size_bytes:.0f} {unit}" if unit == "bytes" else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1000
    return f"{size_bytes:.1f} GB"


def took(duration_ms: float) -> str:
    """Return a duration in words, such as `240 ms` or `1.3 s`."""
    return f"{duration_ms:.0f} ms" if duration_ms < 1000 else f"{duration_ms / 1000:.1f} s"


def language(code: str) -> str:
    """Return a language's name, its code when the name is not known here."""
    return LANGUAGES.get(code.split("-")[0].lower(), code)


def audience(value: str) -> str:
    """Return an audience in words; a person's name stands beside it where it is known."""
    kind, _, name = value.partition(":")
    if kind == "circle":
        return f"Circle: {name}"
    return {"public": "Everyone", "owner": "Only the owner", "person": "One person"}.get(kind, value)


def thousands(number: float) -> str:
    """Return a whole number with separators."""
    return f"{number:,.0f}"


def excerpt(text: str, most: int = 180) -> str:
    """Return the beginning of a text, cut between words."""
    text = " ".join(text.split())
    if len(text) <= most:
        return text
    return text[:most].rsplit(" ", 1)[0].rstrip(",;:. ") + "…"


def told(value: object) -> str:
    """Return a plain value of a style card or a trace in words."""
    match value:
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.3g}"
        case list() | tuple():
            return ", ".join(map(told, value))
        case dict():
            return ", ".join(f"{name}: {told(each)}" for name, each in value.items())
        case _:
            return str(value)


def enumerated(words: Iterable[str]) -> str:
    """Return words as a sentence lists them."""
    found = list(words)
    return " and ".join(filter(None, (", ".join(found[:-1]), *found[-1:])))
