"""Whether a text takes up a word of a question: by the word, its stem, what it means, or nearly the word."""

from __future__ import annotations

from functools import lru_cache

from agents.asking import GENERIC_WEIGHT, KIN, Asked, Key
from agents.concepts import Text, are_sisters

_CONCEPT = 0.95
_SIMILAR = 0.8
_LONG = 6
_WHOLE_WORD = 4


def match(key: Key, text: Text, asked_in: str, language: str) -> float:
    """Return how far `text` takes up `key`, in 0..1; they are in the languages `language` and `asked_in`."""
    is_near = are_sisters(asked_in, language)
    if key.concepts & text.concepts:
        return 1.0 if is_near and key.forms & text.forms else _CONCEPT
    if key.concepts & KIN:
        return 0.0
    # Between languages only whole words are the same: names, "gluten", "pizza"; stems meet by accident.
    if key.forms & text.forms if is_near else len(key.word) >= _WHOLE_WORD and key.word in text.forms:
        return 1.0
    if len(key.word) >= _LONG and any(_is_similar(key.word, word) for word in text.starting_with(key.word[:2])):
        return _SIMILAR
    return 0.0


def holds(question: Asked, context: Text, language: str) -> bool:
    """Return whether a text takes up every word that says what the question is about."""
    topics = [key for key in question.keys if key.weight > GENERIC_WEIGHT]
    return bool(topics) and all(match(key, context, question.language, language) for key in topics)


@lru_cache(maxsize=100_000)
def _is_similar(first: str, second: str) -> bool:
    """Return whether two words differ by a slip of the finger, or by the spelling of a sister language."""
    if first[:2] != second[:2] or abs(len(first) - len(second)) > 2 or first.isdigit():
        return False
    allowed = 1 if min(len(first), len(second)) < 9 else 2
    return _distance(first, second, allowed) <= allowed


def _distance(first: str, second: str, most: int) -> int:
    row = list(range(len(second) + 1))
    for i, a in enumerate(first, 1):
        previous, row[0] = row[0], i
        for j, b in enumerate(second, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (a != b))
        if min(row) > most:
            return most + 1
    return row[-1]
