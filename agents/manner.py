"""The persona's manner: its own greetings, closings and emoji, read out of the style card."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from pydantic import JsonValue

from agents.phrases import phrases
from agents.words import tokens

_RARE = 0.12
_FEWEST = 2
_HOURS = frozenset(
    (
        "morning",
        "afternoon",
        "evening",
        "night",
        "dia",
        "dias",
        "tarde",
        "tardes",
        "noche",
        "noches",
        "noite",
        "bonsoir",
        "soir",
        "matin",
        "nuit",
        "morgen",
        "abend",
        "nacht",
        "buongiorno",
        "buonasera",
        "giorno",
        "sera",
        "notte",
        "buonanotte",
        "goodnight",
    )
)
_PICTURES = range(0x2190, 0x1FFFF)


@dataclass(frozen=True, slots=True)
class Manner:
    """How one persona opens, closes and decorates what it writes in one language."""

    greetings: tuple[str, ...] = ()
    closings: tuple[str, ...] = ()
    emoji: tuple[str, ...] = ()
    emoji_rate: float = 0.0
    is_lower_case: bool = False
    has_opening_marks: bool = True

    def greeting(self, seed: str) -> str:
        """Return one of the persona's own greetings, empty when it has none that is plain enough."""
        return _turned(self.greetings, seed)

    def closing(self, seed: str) -> str:
        """Return one of the persona's own closings, empty when it has none."""
        return _turned(self.closings, seed)

    def dressed(self, text: str, seed: str) -> str:
        """Return words of ours as this persona would write them: its emoji as often as it uses them."""
        if self.is_lower_case and text:
            text = text[0].lower() + text[1:]
        if not self.emoji or _share(seed) >= self.emoji_rate or any(ord(c) in _PICTURES for c in text[-3:]):
            return text
        return f"{text} {_turned(self.emoji, seed)}"


def manner_of(style: dict[str, JsonValue], language: str) -> Manner:
    """Return the manner in one language; a card with too little in it gives a plain one."""
    markers = style.get("markers")
    return Manner(
        greetings=tuple(
            phrase for phrase in _phrases(style.get("greetings"), language) if _is_plain(phrase, language, "greeting")
        ),
        closings=tuple(
            phrase for phrase in _phrases(style.get("closings"), language) if _is_plain(phrase, language, "goodbye")
        ),
        emoji=tuple(
            str(pair[0])
            for pair in _pairs(style.get("emoji"))[:4]
            if isinstance(pair[1], int | float) and pair[1] >= _FEWEST
        ),
        emoji_rate=_rate(markers, "emoji"),
        is_lower_case=_rate(markers, "lowercase_start") > 0.8,
        has_opening_marks=not markers or _rate(markers, "opening_marks") > 0,
    )


def _is_plain(phrase: str, language: str, what: str) -> bool:
    """Return whether a phrase fits anybody at any hour: no pet name of one person, no time of day."""
    words = tuple(tokens(phrase))
    return phrases(language).heard.get(words) == what and not _HOURS.intersection(words)


def _phrases(found: JsonValue, language: str) -> list[str]:
    if not isinstance(found, dict):
        return []
    return [_capital(str(pair[0])) for pair in _pairs(found.get(language))[:3]]


def _pairs(found: JsonValue) -> list[list[JsonValue]]:
    if not isinstance(found, list):
        return []
    return [pair for pair in found if isinstance(pair, list) and len(pair) >= 2]


def _rate(markers: JsonValue, name: str) -> float:
    marker = markers.get(name) if isinstance(markers, dict) else None
    rate = marker.get("rate") if isinstance(marker, dict) else None
    return float(rate) if isinstance(rate, int | float) and rate >= _RARE else 0.0


def _capital(phrase: str) -> str:
    return phrase[:1].upper() + phrase[1:]


def _share(seed: str) -> float:
    return zlib.crc32(seed.encode()) % 1000 / 1000


def _turned(choices: tuple[str, ...], seed: str) -> str:
    return choices[zlib.crc32(f"turned/{seed}".encode()) % len(choices)] if choices else ""
