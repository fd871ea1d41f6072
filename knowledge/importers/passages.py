"""Splits a text into passages of about sixty to a hundred and twenty words, at bounds of paragraphs and sentences."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

LEAST_WORDS = 60
MOST_WORDS = 120
_SENTENCE = re.compile(r"(?<=[.!?…])[\"'”’»)\]]*\s+(?=[\"'“‘«(\[¿¡]*[^\Wa-zß-öø-ÿ_])|(?<=[。！？])")
_WIDE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\u0e00-\u0e7f]")
_LINE_WORDS = 400


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph, a list or a verse, with the headings it stands under, the outermost first."""

    text: str
    headings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Passage:
    """A stretch of a document that is remembered as one thing."""

    text: str
    headings: tuple[str, ...] = ()


def passages(blocks: Iterable[Block]) -> Iterator[Passage]:
    """Yield the passages of a document; one never crosses a heading."""
    waiting: list[str] = []
    words = 0
    headings: tuple[str, ...] = ()
    for block in blocks:
        if block.headings != headings:
            if waiting:
                yield Passage(_joined(waiting), headings)
            waiting, words, headings = [], 0, block.headings
        for piece in _pieces(block.text):
            size = count_words(piece)
            if waiting and (words >= LEAST_WORDS or words + size > MOST_WORDS):
                yield Passage(_joined(waiting), headings)
                waiting, words = [], 0
            waiting.append(piece)
            words += size
    if waiting:
        yield Passage(_joined(waiting), headings)


def count_words(text: str) -> int:
    """Return about how many words a text has, also where words are not set apart."""
    return len(text.split()) + len(_WIDE.findall(text)) // 2


def sentences(text: str) -> list[str]:
    """Return the sentences of a text."""
    found: list[str] = []
    start = 0
    for match in _SENTENCE.finditer(text):
        if text[start : match.start()].strip():
            found.append(text[start : match.end()].strip())
            start = match.end()
    rest = text[start:].strip()
    return [*found, rest] if rest else found


def _joined(pieces: list[str]) -> str:
    text = pieces[0]
    for piece in pieces[1:]:
        # The points of a list stay close together.
        text += ("\n" if piece.startswith("- ") and text.rpartition("\n")[2].startswith("- ") else "\n\n") + piece
    return text


def _pieces(text: str) -> Iterator[str]:
    """Yield a block whole when it is short enough, else in runs of lines or sentences."""
    text = text.strip()
    if not text:
        return
    if count_words(text) <= MOST_WORDS:
        yield text
        return
    lines = text.split("\n")
    units = lines if len(lines) > 1 and max(map(count_words, lines)) <= MOST_WORDS else sentences(text)
    glue = "\n" if units is lines else " "
    run: list[str] = []
    size = 0
    for unit in units:
        for part in _at_most(unit):
            words = count_words(part)
            if run and size + words > MOST_WORDS:
                yield glue.join(run)
                run, size = [], 0
            run.append(part)
            size += words
    if run:
        yield glue.join(run)


def _at_most(unit: str) -> Iterator[str]:
    """Yield a sentence without end in parts."""
    words = unit.split()
    if len(words) > 1 and count_words(unit) <= _LINE_WORDS:
        yield unit
        return
    if len(words) <= 1:
        yield from (unit[start : start + 2000] for start in range(0, len(unit), 2000))
        return
    for start in range(0, len(words), MOST_WORDS):
        yield " ".join(words[start : start + MOST_WORDS])
