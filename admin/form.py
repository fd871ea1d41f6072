"""Forms: from what a browser sent to values that can be trusted, with a sentence for every field that cannot."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from aiohttp import web

from admin.errors import FormInvalid

MOST_INTEGER = 2**53
_KEPT_CONTROLS = {"\n", "\t"}


class Form:
    """The fields of one form. Each reader notes what is wrong and goes on; `check()` raises once, with all of it."""

    def __init__(self, values: Mapping[str, list[str]]) -> None:
        self._values = values
        self.errors: dict[str, str] = {}

    @property
    def values(self) -> dict[str, str]:
        """What was filled in, to be shown again; never a password."""
        return {name: tidy(found[0]) for name, found in self._values.items() if found and "password" not in name}

    def text(self, name: str, *, most: int = 200, is_required: bool = True, is_long: bool = False) -> str:
        """Return a text without control characters; one line unless `is_long`."""
        value = tidy((self._values.get(name) or [""])[0]).strip()
        if not is_long:
            value = " ".join(value.split())
        if is_required and not value:
            self.errors[name] = "Please fill this in."
        elif len(value) > most:
            self.errors[name] = f"This is too long: {len(value):,} characters, and at most {most:,} fit."
        return value

    def secret(self, name: str, *, least: int = 1, most: int = 512) -> str:
        """Return a password as it was typed."""
        value = (self._values.get(name) or [""])[0]
        if not value:
            self.errors[name] = "Please fill this in."
        elif len(value) > most or any(unicodedata.category(each) in ("Cc", "Cs") for each in value):
            self.errors[name] = f"Please use at most {most} characters of one line."
        elif len(value) < least:
            self.errors[name] = f"Please use at least {least} characters; three or four words are a good password."
        return value

    def choice(self, name: str, choices: Iterable[str], *, default: str | None = None) -> str:
        """Return one of `choices`."""
        value = (self._values.get(name) or [""])[0]
        if not value and default is not None:
            return default
        if value not in set(choices):
            self.errors[name] = "Please choose one of these."
        return value

    def many(self, name: str, choices: Iterable[str]) -> list[str]:
        """Return those of `choices` that are ticked, each once, in their order."""
        ticked = set(self._values.get(name) or [])
        return [choice for choice in choices if choice in ticked]

    def words(self, name: str, *, most: int = 20, longest: int = 80) -> list[str]:
        """Return a list written with commas or on lines of its own."""
        raw = tidy((self._values.get(name) or [""])[0]).replace("\n", ",")
        found = list(dict.fromkeys(" ".join(word.split()) for word in raw.split(",") if word.strip()))
        if len(found) > most or any(len(word) > longest for word in found):
            self.errors[name] = f"Please write at most {most}, of at most {longest} characters each."
        return found

    def languages(self, name: str) -> list[str]:
        """Return language codes such as `en` or `pt-BR`."""
        found = self.words(name, most=12, longest=12)
        if any(not code.replace("-", "").isalnum() or not code.isascii() or len(code) < 2 for code in found):
            self.errors[name] = "Please write codes such as en, es or pt, with commas between them."
        return found

    def timezone(self, name: str) -> str:
        """Return the name of a time zone that exists."""
        value = self.text(name, most=64, is_required=False) or "UTC"
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            self.errors[name] = "This time zone is not known. Write one such as Europe/Madrid or America/Bogota."
        return value

    def day(self, name: str) -> datetime | None:
        """Return the start of a day written as 1964-05-31, in UTC; None when the field is empty."""
        value = self.text(name, most=10, is_required=False)
        if not value:
            return None
        try:
            return datetime.strptime(value, "%Y-%m-%d").replace(tzinfo=UTC)
        except ValueError:
            self.errors[name] = "Please write the day as year-month-day, such as 1964-05-31."
            return None

    def whole(self, name: str, *, least: int, most: int, default: int) -> int:
        """Return a whole number between `least` and `most`."""
        value = self.text(name, most=12, is_required=False)
        if not value:
            return default
        if not (value.isascii() and value.isdigit()) or not least <= int(value) <= most:
            self.errors[name] = f"Please write a number between {least} and {most}."
            return default
        return int(value)

    def seconds(self, name: str, *, most: float) -> float | None:
        """Return a number of seconds from 0 to `most`, None when the field is empty."""
        value = tidy((self._values.get(name) or [""])[0]).strip().replace(",", ".")
        if not value:
            return None
        try:
            found = float(value)
        except ValueError:
            found = -1.0
        if not 0 <= found <= most:
            self.errors[name] = f"Please give a number of seconds from 0 to {most:g}, or leave it empty."
            return None
        return found

    def is_ticked(self, name: str) -> bool:
        """Return whether a box was ticked."""
        return bool(self._values.get(name))

    def check(self, message: str = "Some fields need another look.") -> None:
        """Go on when every field was right.

        Raises:
            FormInvalid: with a sentence for each field that was not.
        """
        if self.errors:
            raise FormInvalid(message, fields=dict(self.errors))


def tidy(text: str) -> str:
    """Return text that every database and page can carry: composed, without control characters or half characters."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").encode("utf-8", "ignore").decode("utf-8")
    kept = (each for each in text if each in _KEPT_CONTROLS or unicodedata.category(each) != "Cc")
    return unicodedata.normalize("NFC", "".join(kept))


async def read_form(request: web.Request) -> Form:
    """Return the form in a request's body.

    Raises:
        web.HTTPBadRequest: when the body is not a form.
    """
    if request.content_type not in ("application/x-www-form-urlencoded", "multipart/form-data"):
        raise web.HTTPUnsupportedMediaType
    try:
        sent = await request.post()
    except (ValueError, LookupError, AssertionError, EOFError) as error:
        raise web.HTTPBadRequest from error
    values: dict[str, list[str]] = {}
    for name, value in sent.items():
        if isinstance(value, str):
            values.setdefault(name, []).append(value)
    return Form(values)


def number(text: str | None, *, default: int = 0, least: int = 0, most: int = MOST_INTEGER) -> int:
    """Return a whole number from an address, `default` when there is none or it makes no sense."""
    if not text or not text.isascii() or not text.isdigit() or len(text) > 16:
        return default
    found = int(text)
    return found if least <= found <= most else default


def query_text(request: web.Request, name: str, *, most: int = 300) -> str:
    """Return a text from the address, cut at `most` characters."""
    return " ".join(tidy(request.query.get(name, "")).split())[:most]
