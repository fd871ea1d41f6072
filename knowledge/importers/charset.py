"""Which encoding a text file is in, and its text as a stream."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import Protocol

from knowledge.errors import ArchiveInvalid
from knowledge.importers.json_text import sniff_encoding

_CHUNK_BYTES = 1 << 18
_UNDEFINED = dict.fromkeys((0x81, 0x8D, 0x8F, 0x90, 0x9D))


def encoding_of(head: bytes) -> tuple[str, int]:
    """Return the encoding of a text from its first bytes, and how many of them are a byte order mark.

    Raises:
        ArchiveInvalid: when the bytes are no text.
    """
    encoding, skipped = sniff_encoding(head)
    _refuse_controls(head[skipped : skipped + 4096].decode(encoding, "replace"))
    if encoding != "utf-8" or skipped:
        return encoding, skipped
    try:
        codecs.getincrementaldecoder("utf-8")("strict").decode(head)
    except UnicodeDecodeError:
        # Text of old Windows programs; the few bytes it leaves undefined speak for something else.
        strange = sum(byte in _UNDEFINED or (byte < 32 and byte not in b"\t\n\r\x0c\x1b") for byte in head)
        if strange > len(head) // 50:
            raise ArchiveInvalid("It is not a text file.") from None
        return "cp1252", 0
    return "utf-8", 0


def _refuse_controls(text: str) -> None:
    strange = sum(letter < " " and letter not in "\t\n\r\x0c\x1b" for letter in text)
    if strange * 50 > len(text):
        raise ArchiveInvalid("It is not a text file.")


class Readable(Protocol):
    """What bytes can be read from."""

    def read(self, size: int = ..., /) -> bytes:
        """Return the next bytes, b'' at the end."""


def text_of(stream: Readable) -> Iterator[str]:
    """Yield the text of a stream in pieces, with `\\n` as the only end of a line.

    Raises:
        ArchiveInvalid: when it is no text.
    """
    head = stream.read(_CHUNK_BYTES)
    encoding, skipped = encoding_of(head)
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    data = head[skipped:]
    held = ""
    while True:
        text = held + decoder.decode(data, final=not data)
        held = ""
        if data and text.endswith("\r"):
            text, held = text[:-1], "\r"
        if text:
            yield text.replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "")
        if not data:
            return
        data = stream.read(_CHUNK_BYTES)
