"""The phrase files of the six languages: what people say to a persona, and what it says by itself."""

from __future__ import annotations

import re
import tomllib
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from agents.words import patterns, tokens

SIX = ("en", "es", "pt", "fr", "de", "it")
"""The languages that have a phrase file: those this product speaks by itself."""

SMALL_TALK = (
    "who_are_you",
    "know_me",
    "more",
    "back",
    "how_are_you",
    "love",
    "miss",
    "thanks",
    "goodbye",
    "greeting",
    "ack",
)
"""What a clause can be besides a question or something told; what matters more stands first."""


@dataclass(frozen=True, slots=True)
class Phrases:
    """One language's phrases. `say` holds variants by name; the rest describes the language."""

    code: str
    heard: dict[tuple[str, ...], str]
    kin: frozenset[str]
    told: re.Pattern[str]
    question: re.Pattern[str]
    imperative: re.Pattern[str]
    mine: re.Pattern[str]
    i: re.Pattern[str]
    deictic: re.Pattern[str]
    say: dict[str, Any]

    def pick(self, what: str, *, seed: str, unlike: Iterable[str] = ()) -> str:
        """Return a variant of `what`: the same for the same seed, and none that starts like something in `unlike`."""
        variants: list[str] = self.say[what]
        start = zlib.crc32(f"{what}/{seed}".encode()) % len(variants)
        said = list(unlike)
        turned = variants[start:] + variants[:start]
        return next((each for each in turned if not any(_core(each) in text for text in said)), turned[0])

    def quoted(self, text: str) -> str:
        """Return `text` between this language's quotation marks."""
        opening, closing = self.say["quote"]
        return f"{opening}{text}{closing}"


def phrases(language: str) -> Phrases:
    """Return the phrases of a language, those of English for a language without a file."""
    return _phrases(language if language in SIX else "en")


def small_talk(clause: str, language: str) -> str:
    """Return which small talk a clause is, in `language` or else in any other; empty when it is none."""
    words = tuple(tokens(clause))
    if not words or len(words) > _LONGEST:
        return ""
    for code in dict.fromkeys((language if language in SIX else "en", *SIX)):
        known = _phrases(code)
        if words in known.heard:
            return known.heard[words]
        bare = _without_vocative(words, known.kin)
        # "And you, mother?" goes back to whoever asked; "and your mother?" asks for somebody else.
        if bare in known.heard and (known.heard[bare] != "back" or bare[-1] in _YOU):
            return known.heard[bare]
    return ""


def languages_of_small_talk(text: str) -> tuple[str, ...]:
    """Return the languages in which the whole of `text` is small talk."""
    words = tuple(tokens(text))
    spoken = [code for code in SIX if words in _phrases(code).heard]
    return tuple(
        spoken or [code for code in SIX if _without_vocative(words, (known := _phrases(code)).kin) in known.heard]
    )


def _without_vocative(words: tuple[str, ...], kin: frozenset[str]) -> tuple[str, ...]:
    first, last = 0, len(words)
    while last - first > 1 and words[last - 1] in kin:
        last -= 1
    while last - first > 1 and words[first] in kin:
        first += 1
    return words[first:last]


_LONGEST = 10
_YOU = frozenset(("you", "yourself", "tu", "vos", "usted", "voce", "vc", "toi", "vous", "du", "sie", "lei"))


def _core(variant: str) -> str:
    """Return the longest fixed part of a variant, by which it is recognised in what was said before."""
    return max(re.split(r"\{\w+\}", variant), key=len).strip()


@cache
def _phrases(code: str) -> Phrases:
    found = tomllib.loads(files("agents").joinpath("data", "phrases", f"{code}.toml").read_text(encoding="utf-8"))
    detect, say = found["detect"], found["say"]
    heard: dict[tuple[str, ...], str] = {}
    for name in SMALL_TALK:
        for phrase in detect[name]:
            heard.setdefault(tuple(tokens(phrase)), name)
    return Phrases(
        code=code,
        heard=heard,
        kin=frozenset(word for phrase in detect["kin"] for word in tokens(phrase)),
        told=patterns(detect["told"]),
        question=patterns(detect["question"]),
        imperative=patterns(detect["imperative"]),
        mine=patterns(detect["mine"]),
        i=patterns(detect["i"]),
        deictic=patterns(say["deictic"]),
        say=say,
    )
