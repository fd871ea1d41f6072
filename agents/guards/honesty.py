"""Honesty: whether somebody asks if this is an AI, and whether an answer says so or denies it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from agents.guards.verdict import Span, Surface, Verdict
from agents.words import OTHER_SCRIPTS, fold, is_latin, load, patterns
from knowledge.viewer import Viewer


def check(text: str, surface: Surface, viewer: Viewer) -> Verdict:
    """Return a score of 1 for an answer that denies being an AI or claims to be a human being, in any language."""
    if surface.side != "answer":
        return Verdict()
    folded = fold(text)
    for language, said in _in_script_of(text):
        if said.deny.search(folded):
            return Verdict(
                score=1.0, spans=(Span(start=0, end=len(text), kind="denial"),), reasons=(f"denial:{language}",)
            )
    return Verdict()


def asks_whether_ai(text: str) -> bool:
    """Return whether somebody asks if this is a machine or the person, in any of the languages known."""
    folded = fold(text)
    return any(said.ask.search(folded) for _, said in _in_script_of(text))


def says_it_is_ai(text: str) -> bool:
    """Return whether a text states plainly that an AI speaks."""
    folded = fold(text)
    return any(said.says.search(folded) for _, said in _in_script_of(text))


@dataclass(frozen=True, slots=True)
class _Sayings:
    ask: re.Pattern[str]
    deny: re.Pattern[str]
    says: re.Pattern[str]


def _in_script_of(text: str) -> Iterable[tuple[str, _Sayings]]:
    known = _sayings()
    return [(code, known[code]) for code in known if code not in OTHER_SCRIPTS] if is_latin(text) else known.items()


@cache
def _sayings() -> dict[str, _Sayings]:
    return {
        language: _Sayings(patterns(words["ask"]), patterns(words["deny"]), patterns(words["says"]))
        for language, words in load("honesty.toml").items()
    }
