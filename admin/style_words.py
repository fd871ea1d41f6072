"""The style card in words: how a persona writes, for the person who looks after it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from admin.rendering import enumerated, language

_HABITS = {
    "emoji": "emoji",
    "ellipsis": "dots at the end…",
    "exclamation": "exclamation marks",
    "question": "questions",
    "double_marks": "doubled marks!!",
    "lowercase_start": "a small first letter",
    "capitals": "WORDS IN CAPITALS",
    "laughter": "laughter",
    "lengthened": "looong letters",
    "no_final_stop": "no full stop at the end",
    "line_breaks": "several lines",
    "opening_marks": "¿opening marks?",
    "kisses": "kisses",
}
_CONFIDENCE = {
    "low": "few, so take it as a first impression",
    "fair": "enough for a fair impression",
    "good": "plenty",
}
_MOST = 6


def style_words(style: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what a style card says, as pairs of a name and a sentence; empty for a card that says nothing known."""
    said = {
        "Counted from": _counted(style),
        "Languages": _languages(_mapping(style.get("languages"))),
        "Length": _length(_mapping(style.get("length"))),
        "Habits": _habits(_mapping(style.get("markers"))),
        "Greets with": _phrases(_mapping(style.get("greetings"))),
        "Ends with": _phrases(_mapping(style.get("closings"))),
        "Keeps saying": _phrases(_mapping(style.get("phrases"))),
        "Emoji": _listed(style.get("emoji")),
        "Laughs": _listed(style.get("laughter")),
        "Writes most": _hours(style.get("hours")),
    }
    return [(name, words) for name, words in said.items() if words]


def _counted(style: Mapping[str, Any]) -> str:
    count = style.get("messages")
    if not isinstance(count, int):
        return ""
    how_sure = _CONFIDENCE.get(str(style.get("confidence")), "")
    return f"{count:,} messages: {how_sure}" if how_sure else f"{count:,} messages"


def _languages(shares: Mapping[str, Any]) -> str:
    known = [(code, share) for code, share in shares.items() if isinstance(share, int | float) and share >= 0.01]
    return enumerated(f"{language(code)} {share:.0%}" for code, share in known[:_MOST])


def _length(length: Mapping[str, Any]) -> str:
    median, words, longest = length.get("median"), length.get("words"), length.get("p90")
    if not isinstance(median, int | float):
        return ""
    usual = f"Usually about {median:.0f} characters"
    usual += f" ({words:.0f} words)" if isinstance(words, int | float) else ""
    return usual + (f", seldom more than {longest:.0f}" if isinstance(longest, int | float) else "")


def _habits(markers: Mapping[str, Any]) -> str:
    rates = {name: _mapping(marker).get("rate") for name, marker in markers.items()}
    found = sorted(
        ((rate, name) for name, rate in rates.items() if isinstance(rate, int | float) and rate >= 0.01), reverse=True
    )
    return enumerated(f"{_HABITS.get(name, name.replace('_', ' '))} in {rate:.0%}" for rate, name in found[:_MOST])


def _phrases(by_language: Mapping[str, Any]) -> str:
    said = [phrase for phrases in by_language.values() for phrase in _firsts(phrases)[:_MOST]]
    return ", ".join(f"“{phrase}”" for phrase in said[: 2 * _MOST])


def _listed(counted: object) -> str:
    return "  ".join(_firsts(counted)[:_MOST])


def _hours(shares: object) -> str:
    if not isinstance(shares, list) or len(shares) != 24 or not all(isinstance(one, int | float) for one in shares):
        return ""
    best = sorted((hour for hour in range(24) if shares[hour] > 0), key=lambda hour: -shares[hour])[:3]
    return enumerated(f"around {hour}:00" for hour in sorted(best))


def _firsts(pairs: object) -> list[str]:
    """Return the first of each pair of a list such as `[["my dear", 12], ...]`."""
    if not isinstance(pairs, list):
        return []
    return [str(pair[0]) for pair in pairs if isinstance(pair, list | tuple) and pair]


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
