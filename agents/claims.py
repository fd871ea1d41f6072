"""What a model wrote about a persona, cut into claims that are each held against the memories they cite."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from agents.concepts import is_stop, reading_language
from agents.words import tokens

_BORNE_OUT = 0.5
_STEM = 4
_PARTS = ("biography", "description")

_HEADING = re.compile(r"[\W_]*(biography|description)[\W_]*", re.IGNORECASE)
_CLAIM = re.compile(
    r"(?P<words>[^\[\]\n]+?)\s*(?P<marks>(?:\[\s*m\d+(?:\s*[,;]\s*m\d+)*\s*\]\s*)+)(?P<stop>[.!?…]?)", re.IGNORECASE
)
_NUMBER = re.compile(r"\d+")
_NAME = re.compile(r"(?<=\s)[A-ZÀ-Þ][\w'’-]+")
_NAMES_ARE_SMALL = frozenset(("de",))
_PRIVATE = re.compile(r"\d[\d\s().-]{6,}\d|\S@\S|https?:|www\.", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Claim:
    """One sentence and the memories, by their numbers, that it says it has it from. `part`: where it belongs."""

    text: str
    numbers: tuple[int, ...]
    part: str
    paragraph: int


def claims_of(text: str) -> Iterator[Claim]:
    """Yield the marked sentences of what a model wrote, part by part. What has no mark is passed over."""
    part, paragraph = "", 0
    for line in text.splitlines():
        heading = _HEADING.fullmatch(line)
        if heading:
            part, paragraph = heading[1].lower(), 0
        elif not line.strip():
            paragraph += 1
        elif part in _PARTS:
            for found in _CLAIM.finditer(line):
                words = " ".join(found["words"].split()).lstrip("-•*·.!? ").strip()
                numbers = tuple(int(number) for number in _NUMBER.findall(found["marks"]))
                yield Claim(_finished(words, found["stop"]), numbers, part, paragraph)


def is_borne_out(claim: Claim, texts: Mapping[int, str], *, name: str, language: str) -> bool:
    """Return whether the memories that a claim cites exist and hold its numbers, its names and most of its words.

    Numbers and names must stand there as they are; `name`, the persona's own, may stand anywhere.
    """
    if not claim.text or _PRIVATE.search(claim.text) or not set(claim.numbers) <= set(texts):
        return False
    source = "\n".join(texts[number] for number in claim.numbers)
    known = set(tokens(source)) | set(tokens(name))
    if not set(_NUMBER.findall(claim.text)) <= set(_NUMBER.findall(source)):
        return False
    if reading_language(language) not in _NAMES_ARE_SMALL:
        names = {word for found in _NAME.findall(claim.text) for word in tokens(_bare(found))}
        if not names <= known:
            return False
    stems = {word[:_STEM] for word in known}
    telling = {word for word in tokens(claim.text) if _is_telling(word, language)} - set(tokens(name))
    held = sum(word[:_STEM] in stems for word in telling)
    return bool(telling) and held / len(telling) >= _BORNE_OUT


def _is_telling(word: str, language: str) -> bool:
    return len(word) >= _STEM and not is_stop(word, reading_language(language))


def _bare(name: str) -> str:
    """Return a name without the "'s" that English puts behind it."""
    return re.sub(r"['’]s$", "", name)


def _finished(words: str, stop: str) -> str:
    return words if words.endswith((".", "!", "?", "…")) else f"{words}{stop or '.'}" if words else ""
