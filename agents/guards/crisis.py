"""Crisis: words of somebody who may hurt themselves, and the fixed help that answers them. Works without any model."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from agents.guards.verdict import Surface, Verdict
from agents.words import OTHER_SCRIPTS, fold, is_latin, load, patterns
from knowledge.viewer import Viewer

_EVERYWHERE = "https://findahelpline.com"
_FALLBACK_EMERGENCY = "112 / 911"


def check(text: str, surface: Surface, viewer: Viewer) -> Verdict:
    """Return a score of 1 when the person may be in danger. Every language is searched: people switch in distress."""
    spoken = _benign().sub(" | ", _SPACES.sub(" ", fold(text)))
    latin = is_latin(text)
    for language, strong in _lexicons().items():
        if not (latin and language in OTHER_SCRIPTS) and strong.search(spoken):
            return Verdict(score=1.0, reasons=(f"crisis:{language}",))
    return Verdict()


def help_text(language: str, region: str | None) -> str:
    """Return the fixed words of help in the person's language, with the helplines of their country when it is known."""
    words = load("crisis.toml")
    chosen = words.get(language, words["en"])
    known = _places().get((region or "").upper())
    if known is not None:
        return str(chosen["text"]).format(lines=_listed(known.lines), emergency=known.emergency)
    regions = [_places()[name] for name in chosen["regions"]]
    shown = [line if len(regions) == 1 else f"{name}: {line}" for name, line in _named(chosen["regions"])]
    emergencies = {place.emergency for place in regions}
    emergency = emergencies.pop() if len(emergencies) == 1 else _FALLBACK_EMERGENCY
    return str(chosen["text"]).format(lines=_listed([*shown, _EVERYWHERE]), emergency=emergency)


@dataclass(frozen=True, slots=True)
class _Place:
    lines: tuple[str, ...]
    emergency: str


@cache
def _lexicons() -> dict[str, re.Pattern[str]]:
    return {language: patterns(words["strong"]) for language, words in load("crisis.toml").items()}


@cache
def _benign() -> re.Pattern[str]:
    """Return the harmless ways of speaking of every language: "Suicide Squad" is a film in all of them."""
    return patterns([source for words in load("crisis.toml").values() for source in words["benign"]])


@cache
def _places() -> dict[str, _Place]:
    return {name: _Place(tuple(row["lines"]), row["emergency"]) for name, row in load("help.toml").items()}


def _named(regions: list[str]) -> list[tuple[str, str]]:
    return [(name, line) for name in regions for line in _places()[name].lines[:1]]


def _listed(lines: list[str] | tuple[str, ...]) -> str:
    return "\n".join(f"- {line}" for line in lines)


_SPACES = re.compile(r"\s+")
