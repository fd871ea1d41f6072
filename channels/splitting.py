"""Cut text to a platform's length, at the best place a reader would accept."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from itertools import accumulate
from typing import Literal

import regex

Unit = Literal["characters", "utf16", "bytes", "weighted"]


def split(text: str, *, length: int, unit: Unit = "characters") -> list[str]:
    """Return `text` in pieces of at most `length`, none empty, cut at a paragraph, line, sentence, word or grapheme.

    Whitespace at the cuts is dropped and nothing else is. A single grapheme longer than `length` is the one thing
    that is cut between its code points.
    """
    if not text.strip():
        return []
    if measure(text, unit) <= length:
        return [text]
    pieces = []
    rest = text.strip()
    while rest:
        at = cut(rest, reach(rest, length=length, unit=unit))
        pieces.append(rest[:at].rstrip())
        rest = rest[at + leading_space(rest, at) :]
    return [piece for piece in pieces if piece]


def measure(text: str, unit: Unit) -> int:
    """Return how long `text` is in the platform's unit. "weighted" is how X counts: links 23, CJK and emoji 2."""
    if unit == "characters" or (unit != "weighted" and text.isascii()):
        return len(text)
    if unit == "utf16":
        return len(text.encode("utf-16-le", "surrogatepass")) // 2
    if unit == "bytes":
        return len(text.encode("utf-8", "surrogatepass"))
    return sum(weight for _, weight in _weighted(text))


def reach(text: str, *, length: int, unit: Unit) -> int:
    """Return the largest index up to which `text` fits in `length`, at a grapheme's end; at least 1."""
    at = _fitting(text, length, unit)
    return grapheme_end(text, at) or max(at, 1)


def cut(text: str, at_most: int) -> int:
    """Return the best index to cut `text` at, not above `at_most`, which must be a grapheme's end."""
    if at_most >= len(text):
        return len(text)
    best, best_rank = 0, 0
    for index, rank in _bounds(text, at_most):
        # A better kind of bound wins only where it leaves a piece that is at least half full.
        if rank >= best_rank or best <= at_most // 2:
            best, best_rank = index, rank
    return best or at_most


def grapheme_end(text: str, at: int) -> int:
    """Return the last end of a grapheme not above `at`, 0 when the first is longer."""
    if at >= len(text):
        return len(text)
    end = text.rfind("\n", 0, at) + 1
    for found in _GRAPHEME.finditer(text, end):
        if found.end() > at:
            break
        end = found.end()
    return end


def leading_space(text: str, at: int) -> int:
    """Return how much whitespace stands at `at` that no mark is joined to."""
    found = _LEADING.match(text, at)
    return len(found.group()) if found else 0


_PARAGRAPH, _LINE, _SENTENCE, _CLAUSE, _WORD = 5, 4, 3, 2, 1
_SPACE = r"[^\S\u00a0\u202f]"
_EXTENDS = r"[\p{Grapheme_Cluster_Break=Extend}\p{Grapheme_Cluster_Break=SpacingMark}\u200d]"
_PLACES = regex.compile(
    rf"(?<!\p{{Grapheme_Cluster_Break=Prepend}}){_SPACE}+|[。！？｡][」』”’）)]*(?!{_EXTENDS})|[、，；：](?!{_EXTENDS})"
)
_LEADING = regex.compile(rf"(?:\s(?!{_EXTENDS}))+")
_SENTENCE_END = regex.compile(r"[.!?…؟۔।॥։።]+[\"'”’»›)\]*_]*$")
_LAST_WORD = regex.compile(r"[\p{L}.]*$")
_GRAPHEME = regex.compile(r"\X")
_LINK = regex.compile(
    r"(?P<sure>https?://(?:[a-z0-9-]+\.)+[a-z]{2,}(?::\d+)?(?:[/?#][a-z0-9\-._~:/?#@!$&'*+,;=%]*[a-z0-9/=#&%_-])?/?)"
    r"|(?<![\w@])(?:[a-z0-9-]+\.)+[a-z]{2,}\b",
    regex.IGNORECASE | regex.ASCII,
)
_LINK_WEIGHT = 23
_LIGHT = ((0x0, 0x10FF), (0x2000, 0x200D), (0x2010, 0x201F), (0x2032, 0x2037))
_EMOJI = regex.compile(r"[\p{Extended_Pictographic}\p{Regional_Indicator}\u20e3]")

# fmt: off
_ABBREVIATIONS = frozenset({
    "mr", "mrs", "ms", "dr", "prof", "st", "jr", "sr", "vs", "etc", "e.g", "i.e", "vol", "approx", "dept", "ltd", "inc",
    "sra", "srta", "dra", "drs", "ud", "uds", "vd", "vds", "p.ej", "ej", "pág", "págs", "núm", "av", "avda", "ee.uu",
    "tel", "dña", "exmo", "exma", "profa", "mme", "mlle", "mm", "p.ex", "cf", "env", "apr", "z.b", "d.h", "u.a", "usw",
    "bzw", "ca", "hr", "fr", "str", "nr", "evtl", "ggf", "inkl", "zzgl", "vgl", "s.o", "s.u", "z.t",
    "sig", "sigg", "sig.ra", "dott", "dott.ssa", "ing", "avv", "ecc", "pag", "cfr",
})
# fmt: on


def _bounds(text: str, at_most: int) -> Iterator[tuple[int, int]]:
    for found in _PLACES.finditer(text, 0, at_most + 1):
        place = found.group()
        if not place[0].isspace():
            if found.end() <= at_most:
                yield found.end(), _CLAUSE if place[0] in "、，；：" else _SENTENCE
        elif found.start():
            yield found.start(), _rank_of_space(text, found.start(), found.end(), place.count("\n"))


def _rank_of_space(text: str, start: int, end: int, newlines: int) -> int:
    if newlines:
        return _PARAGRAPH if newlines > 1 else _LINE
    before = text[max(0, start - 24) : start]
    ending = _SENTENCE_END.search(before)
    if not ending or text[end : end + 1].islower():
        return _WORD
    if ending.group()[0] != "." or ending.group().startswith(".."):
        return _SENTENCE
    word = _LAST_WORD.search(before[: ending.start()])
    stem = word.group().casefold() if word else ""
    follows_digit = before[: ending.start()][-1:].isdigit() and text[end : end + 1].isalnum()
    is_short = len(stem) == 1 or stem in _ABBREVIATIONS
    return _WORD if is_short or (follows_digit and len(before) < 5) else _SENTENCE


def _fitting(text: str, length: int, unit: Unit) -> int:
    if unit == "characters":
        return min(length, len(text))
    if unit == "weighted":
        at = total = 0
        for end, weight in _weighted(text):
            total += weight
            if total > length:
                break
            at = end
        return at
    cost = _utf16_cost if unit == "utf16" else _utf8_cost
    costs = accumulate(cost(ord(each)) for each in text[:length])
    return sum(1 for total in costs if total <= length)


def _utf16_cost(point: int) -> int:
    return 2 if point > 0xFFFF else 1


def _utf8_cost(point: int) -> int:
    return 1 if point < 0x80 else 2 if point < 0x800 else 3 if point < 0x10000 else 4


def _weighted(text: str) -> Iterator[tuple[int, int]]:
    """Yield (end index, weight) for each link and each grapheme between links."""
    at = 0
    for link in _LINK.finditer(text):
        yield from _weighted_words(text, at, link.start())
        weight = _LINK_WEIGHT if link.group("sure") else max(_LINK_WEIGHT, len(link.group()))
        yield link.end(), weight
        at = link.end()
    yield from _weighted_words(text, at, len(text))


def _weighted_words(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    for found in _GRAPHEME.finditer(text, start, end):
        grapheme = found.group()
        if len(grapheme) > 1 and _EMOJI.search(grapheme):
            yield found.end(), 2
        else:
            points = map(ord, unicodedata.normalize("NFC", grapheme))
            yield found.end(), sum(1 if any(low <= each <= high for low, high in _LIGHT) else 2 for each in points)
