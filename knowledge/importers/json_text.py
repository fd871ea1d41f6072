"""Tolerant JSON: what real exports write that no JSON library reads, read piece by piece in bounded memory.

Byte order marks and UTF-16, `\\xNN` escapes, lone surrogates, raw control characters, NaN, files that were cut short,
and UTF-8 that was written as Latin-1 ("mojibake"). Every repair is counted.
"""

from __future__ import annotations

import codecs
import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from typing import IO, Any

from knowledge.errors import ArchiveInvalid

DEPTH_LIMIT = 64
PIECE_MOST_CHARACTERS = 16 << 20
MOST_PIECES = 300_000
_CHUNK_BYTES = 1 << 18

Repairs = Counter[str]
"""What was mended, by name: `mojibake`, `mojibake left`, `escapes`, `surrogates`, `controls`, `not numbers`."""

_BLANK = re.compile(r"[ \t\n\r]*")
_ESCAPE = re.compile(r'\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}|x([0-9a-fA-F]{2})|([\s\S]?))')
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_AGAIN = "The rest of the file was not read. Download the export again if this file matters."


class Damaged(ArchiveInvalid):
    """A JSON file ends or breaks at some point; what came before it was read."""


def pieces(stream: IO[bytes], repairs: Repairs, *, mends_mojibake: bool = True) -> Iterator[tuple[str | None, Any]]:
    """Yield the elements of the lists of a JSON file, one at a time, each with the key its list stands under.

    The elements of a bare list come under the key "". What else an object holds comes last, together, under None.

    Raises:
        Damaged: after everything before the damage was given.
    """
    text = _Text(stream, repairs)
    mend = _Mender(repairs, mends_mojibake=mends_mojibake)
    opening = text.peek()
    if opening == "[":
        for element in text.elements():
            yield "", mend(element)
    elif opening == "{":
        rest: dict[str, Any] = {}
        try:
            for key in text.names():
                name = mend(key)
                if text.peek() == "[":
                    is_empty = True
                    for element in text.elements():
                        is_empty = False
                        yield name, mend(element)
                    if is_empty:
                        rest[name] = []
                else:
                    rest[name] = mend(text.value())
        except Damaged:
            # What an object says of itself is wanted with its elements, before the damage is told.
            if rest:
                yield None, rest
            raise
        if rest:
            yield None, rest
    else:
        raise Damaged("It is not JSON.", next_step=_AGAIN)


def whole(stream: IO[bytes], repairs: Repairs, *, mends_mojibake: bool = True) -> Any:
    """Return a small JSON file as one value.

    Raises:
        Damaged: when it is not whole, or larger than one piece may be.
    """
    text = _Text(stream, repairs)
    text.peek()
    return _Mender(repairs, mends_mojibake=mends_mojibake)(text.value())


def mend_mojibake(text: str) -> str | None:
    """Return what was meant by a text whose UTF-8 bytes were written as characters, None when it was not meant so."""
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return None


class _Mender:
    """Walks a decoded value and gives it back fit to be stored: texts whole, numbers finite, not too deep."""

    def __init__(self, repairs: Repairs, *, mends_mojibake: bool) -> None:
        self._repairs = repairs
        self._mends_mojibake = mends_mojibake
        self._known: dict[str, str] = {}

    def __call__(self, value: Any) -> Any:
        return self._walk(value, 0)

    def _walk(self, value: Any, depth: int) -> Any:
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, dict):
            self._check(depth)
            return {self._key(key): self._walk(inner, depth + 1) for key, inner in value.items()}
        if isinstance(value, list):
            self._check(depth)
            return [self._walk(inner, depth + 1) for inner in value]
        if isinstance(value, float) and not math.isfinite(value):
            self._repairs["not numbers"] += 1
            return None
        if isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
            return str(value)
        return value

    def _check(self, depth: int) -> None:
        if depth >= DEPTH_LIMIT:
            raise _too_deep()

    def _key(self, key: str) -> str:
        if key.isascii() and key.isprintable():
            return key
        if key not in self._known:
            if len(self._known) > 1000:
                self._known.clear()
            self._known[key] = self._text(key)
        return self._known[key]

    def _text(self, text: str) -> str:
        if not text.isascii():
            if self._mends_mojibake:
                meant = mend_mojibake(text)
                if meant is not None:
                    self._repairs["mojibake"] += 1
                    text = meant
                elif "Ã" in text or "â\x80" in text or "ð\x9f" in text:
                    self._repairs["mojibake left"] += 1
            if _SURROGATE.search(text):
                self._repairs["surrogates"] += 1
                text = _join_surrogates(text)
        if _CONTROL.search(text):
            self._repairs["controls"] += 1
            text = _CONTROL.sub("", text)
        return text


class _Text:
    """The text of a JSON file, decoded as it is needed, with a place in it."""

    def __init__(self, stream: IO[bytes], repairs: Repairs) -> None:
        self._stream = stream
        self._repairs = repairs
        head = stream.read(_CHUNK_BYTES)
        encoding, skipped = sniff_encoding(head)
        self._decoder = codecs.getincrementaldecoder(encoding)("replace")
        self._is_whole = False
        self._is_mending = False
        self._waiting = ""
        self._at = 0
        self._count = 0
        self._buffer = ""
        self._grow(head[skipped:])
        self._scan = json.JSONDecoder(strict=False, parse_constant=self._constant).raw_decode

    def peek(self) -> str:
        """Return the next character that is not blank, '' at the end."""
        while True:
            match = _BLANK.match(self._buffer, self._at)
            assert match is not None
            self._at = match.end()
            if self._at < len(self._buffer) or self._is_whole:
                return self._buffer[self._at : self._at + 1]
            self._read()

    def elements(self) -> Iterator[Any]:
        """Yield the elements of the list that begins here."""
        self._at += 1
        if self.peek() == "]":
            self._at += 1
            return
        while True:
            self._count += 1
            if self._count > MOST_PIECES:
                raise Damaged(f"The file holds more than {MOST_PIECES:,} entries.", next_step=_AGAIN)
            yield self.value()
            if not self._goes_on("]"):
                return

    def names(self) -> Iterator[str]:
        """Yield the keys of the object that begins here; the caller reads each value."""
        self._at += 1
        if self.peek() == "}":
            self._at += 1
            return
        while True:
            if self.peek() != '"':
                raise self._broken()
            key = str(self.value())
            if self.peek() != ":":
                raise self._broken()
            self._at += 1
            yield key
            if not self._goes_on("}"):
                return

    def value(self) -> Any:
        """Return the value that begins here."""
        self.peek()
        while True:
            try:
                found, end = self._scan(self._buffer, self._at)
            except RecursionError as error:
                raise _too_deep() from error
            except json.JSONDecodeError as error:
                is_short = error.pos >= len(self._buffer) - 16 or error.msg.startswith("Unterminated string")
                if is_short and not self._is_whole:
                    self._read()
                elif not self._mend():
                    raise self._broken(error.pos) from error
                continue
            except ValueError as error:  # a number of thousands of digits
                raise self._broken() from error
            if end == len(self._buffer) and not self._is_whole and not isinstance(found, str | dict | list):
                self._read()  # a number may go on in the next chunk
                continue
            self._at = end
            if self._at > _CHUNK_BYTES:
                self._buffer = self._buffer[self._at :]
                self._at = 0
            return found

    def _goes_on(self, closing: str) -> bool:
        following = self.peek()
        if following == closing:
            self._at += 1
            return False
        if following != ",":
            raise self._broken()
        self._at += 1
        if self.peek() == closing:  # a comma too many
            self._at += 1
            return False
        return True

    def _read(self) -> None:
        size = len(self._buffer) - self._at
        if size > PIECE_MOST_CHARACTERS:
            raise Damaged("One entry of the file is larger than an entry may be.", next_step=_AGAIN)
        # Doubling keeps the work linear when one value needs many chunks.
        self._grow(self._stream.read(max(_CHUNK_BYTES, min(size, 8 << 20))))

    def _grow(self, data: bytes) -> None:
        self._is_whole = not data
        text = self._waiting + self._decoder.decode(data, final=self._is_whole)
        self._waiting = ""
        if self._is_mending:
            if not self._is_whole and "\\" in text[-8:]:
                cut = text.rindex("\\")
                while cut and text[cut - 1] == "\\":
                    cut -= 1
                text, self._waiting = text[:cut], text[cut:]
            text = self._mended(text)
        self._buffer = self._buffer[self._at :] + text
        self._at = 0

    def _mend(self) -> bool:
        if self._is_mending:
            return False
        self._is_mending = True
        text = self._buffer[self._at :]
        self._buffer, self._at = "", 0
        if not self._is_whole and "\\" in text[-8:]:
            cut = text.rindex("\\")
            while cut and text[cut - 1] == "\\":
                cut -= 1
            text, self._waiting = text[:cut], text[cut:]
        self._buffer = self._mended(text)
        return True

    def _mended(self, text: str) -> str:
        def _replace(match: re.Match[str]) -> str:
            if match[1]:
                self._repairs["escapes"] += 1
                return f"\\u00{match[1]}"
            if match[2] is not None:
                self._repairs["escapes"] += 1
                return "\\\\" + match[2]
            return match[0]

        return _ESCAPE.sub(_replace, text)

    def _constant(self, _: str) -> None:
        self._repairs["not numbers"] += 1

    def _broken(self, at: int = 0) -> Damaged:
        if self._is_whole and max(at, self._at) >= len(self._buffer.rstrip()) - 1:
            return Damaged("The file was cut short.", next_step=_AGAIN)
        return Damaged("The file breaks off: from some point on it is not JSON.", next_step=_AGAIN)


def sniff_encoding(head: bytes) -> tuple[str, int]:
    """Return the encoding of a JSON text and how many bytes its byte order mark takes."""
    for mark, encoding in (
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF32_LE, "utf-32-le"),
        (codecs.BOM_UTF32_BE, "utf-32-be"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
    ):
        if head.startswith(mark):
            return encoding, len(mark)
    first, second = head[0:256:2], head[1:256:2]
    if _are_half_zeros(second) and 0 not in first:
        return "utf-16-le", 0
    if _are_half_zeros(first) and 0 not in second:
        return "utf-16-be", 0
    return "utf-8", 0


def _are_half_zeros(data: bytes) -> bool:
    return len(data) > 0 and data.count(0) * 2 >= len(data)


def _join_surrogates(text: str) -> str:
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _too_deep() -> Damaged:
    return Damaged(f"The file is nested more than {DEPTH_LIMIT} levels deep, which no export is.", next_step=_AGAIN)
