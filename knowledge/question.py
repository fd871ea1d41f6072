"""A question as recall understands it: its words without names, whom it is about, and the times it names."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from knowledge.dates import Dates, dates_in, may_name_time
from knowledge.languages import guess_languages, languages, plain, stems_of_word

_LONGEST = 1000
_MOST_WORDS = 24
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Word:
    """One word of the question and the stems by which memories may hold it."""

    text: str
    stems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Question:
    """What a question asks. `text` is the question without the participants' names; `called` are folded words of it.

    `asks_you` and `asks_me`: it is about the persona, or about the one who asks. `wants_number`: it asks when, how
    many or how old.
    """

    text: str
    words: tuple[Word, ...]
    called: frozenset[str]
    dates: Dates
    asks_you: bool
    asks_me: bool
    wants_number: bool


def understand(text: str, *, names: Iterable[str], spoken: tuple[str, ...], now: datetime) -> Question:
    """Return the question behind `text`, asked of memories in the languages `spoken`."""
    text = text[:_LONGEST].encode("utf-8", "ignore").decode()
    masked = frozenset(part for name in names for part in plain(name).split() if len(part) > 1)
    written = _WORD.findall(text)
    folded = [_folded(word) for word in written]
    codes = guess_languages(folded)
    dates = dates_in(text, codes, now) if may_name_time(folded, codes) else Dates()
    guessed = [languages()[code] for code in codes]
    stop = frozenset().union(*(known.stop for known in guessed))
    read_in = tuple(dict.fromkeys([*spoken, *codes]))
    kept: dict[str, Word] = {}
    for word, bare in zip(written, folded, strict=True):
        if bare in stop or bare in dates.words or bare in masked or (len(bare) < 2 and not bare.isdigit()):
            continue
        if bare not in kept and len(kept) < _MOST_WORDS:
            kept[bare] = Word(bare, stems_of_word(word, read_in))
    spaced = " ".join(folded)
    said = frozenset(folded)
    return Question(
        text=_without(text, masked),
        words=tuple(kept.values()),
        called=said - stop,
        dates=dates,
        asks_you=any(said & known.you for known in guessed),
        asks_me=any(said & known.me for known in guessed),
        wants_number=any(_holds(spaced, (*known.when, *known.many)) for known in guessed),
    )


@lru_cache(maxsize=8192)
def _folded(word: str) -> str:
    return plain(word)


def _without(text: str, masked: frozenset[str]) -> str:
    if not masked:
        return text
    kept = [part for part in text.split() if not masked & set(plain(part).split())]
    return " ".join(kept)


def _holds(spaced: str, phrases: Iterable[str]) -> bool:
    padded = f" {spaced} "
    return any(f" {phrase} " in padded for phrase in phrases)
