"""The disclosure of being an AI and the truthful answer to whoever asks: fixed words, put in by code."""

from __future__ import annotations

from functools import cache

from agents.words import load

_FALLBACK = "en"


def languages() -> tuple[str, ...]:
    """Return the languages that have fixed words."""
    return tuple(_words())


def disclosure(kind: str, name: str, language: str) -> str:
    """Return the short disclosure for a persona of this kind, in the person's language or else in English."""
    return _word({"brand": "brand", "fictional": "fictional"}.get(kind, "person"), language).format(name=name)


def statement(kind: str, name: str, language: str) -> str:
    """Return the unambiguous answer to "are you a bot?" and "is it really you?"."""
    key = {"brand": "brand_statement", "fictional": "fictional_statement"}.get(kind, "statement")
    return _word(key, language).format(name=name)


def fixed(what: str, language: str) -> str:
    """Return a short fixed sentence: not_remembered, apology, closed or unheard."""
    return _word(what, language)


def _word(key: str, language: str) -> str:
    return _words().get(language, _words()[_FALLBACK])[key]


@cache
def _words() -> dict[str, dict[str, str]]:
    return {
        language: {key: value for key, value in row.items() if isinstance(value, str)}
        for language, row in load("honesty.toml").items()
    }
