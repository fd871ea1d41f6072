"""Splits a text into passages of about sixty to a hundred and twenty words, at bounds of paragraphs and sentences."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

LEAST_WORDS = 60
MOST_WORDS = 120
_SENTENCE = re.compile(r"(?<=[.!?…])[\"'”’»)\]]*\s+(?=[\"'“‘«(\[¿¡]*[^\Wa-zß-öø-ÿ_])|(?<=[。！？])")
_WIDE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\u0e00-\u0e7f]")
_LINE_WORDS = 400
_LETTERS_PER_WORD = 16
"""Longer than any language's words are on average: what exceeds it has no blanks."""
_MOST_LETTERS = 2000


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
    for headings, together in groupby(blocks, key=lambda block: block.headings):
        for text in _texts(piece for block in together for piece in _pieces(block.text)):
            yield Passage(text, headings)


def _texts(pieces: Iterable[str]) -> Iterator[str]:
    """Yield runs of pieces; a few words left over at the end go with what stands before them."""
    ready: list[str] = []
    waiting: list[str] = []
    words = 0
    for piece in pieces:
        size = count_words(piece)
        if waiting and (words >= LEAST_WORDS or words + size > MOST_WORDS + LEAST_WORDS):
            if ready:
                yield _joined(ready)
            ready, waiting, words = waiting, [], 0
        waiting.append(piece)
        words += size
    if ready and words < LEAST_WORDS // 2:
        yield _joined(ready + waiting)
        return
    if ready:
        yield _joined(ready)
    if waiting:
        yield _joined(waiting)


def count_words(text: str) -> int:
    """Return about how many words a text has, also where words are not set apart."""
    return max(len(text.split()) + len(_WIDE.findall(text)) // 2, len(text) // _LETTERS_PER_WORD)


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
    if count_words(unit) <= _LINE_WORDS:
        yield unit
        return
    words = unit.split()
    for start in range(0, len(words), MOST_WORDS):
        run = " ".join(words[start : start + MOST_WORDS])
        yield from (run[at : at + _MOST_LETTERS] for at in range(0, len(run), _MOST_LETTERS))
