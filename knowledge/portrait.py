"""A persona's biography and description, made without a model out of its own first-person sentences."""

from __future__ import annotations

import re
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

_DATA = Path(__file__).with_name("life.toml")
_BIOGRAPHY_CHARACTERS = 500
_DESCRIPTION_CHARACTERS = 3000

_SENTENCE = re.compile(r"[^.!?…\n]+(?:[.!?…]+[\"'»”)]*|(?=\n)|$)")
_WORD = re.compile(r"[^\W_]+")
_PRIVATE = re.compile(r"\d[\d\s().-]{6,}\d|\S@\S|https?:|www\.", re.IGNORECASE)
_SHORTEST, _LONGEST = 25, 240
_BEST_LENGTH = (45, 160)
_SHARED_WORDS_OF_A_REPEAT = 0.7


class Own(NamedTuple):
    """One of the persona's own memories. `importance` in 0..1; `language` may be unknown."""

    memory_id: int
    text: str
    language: str = ""
    importance: float = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Portrait:
    """Who the persona is, in its own words, and the memories the words came from, in the order of the telling."""

    biography: str = ""
    description: str = ""
    cited: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Telling:
    """One sentence that tells who somebody is; picked once, used for as many audiences as there are."""

    memory_id: int
    text: str
    language: str
    topic: int
    score: float
    words: frozenset[str]


def portrait_of(memories: Iterable[Own]) -> Portrait:
    """Return the portrait that these memories give: where they were born, home, family, work, likes, beliefs. Pure.

    Every sentence is quoted as it was written. Questions, fragments, and what holds a phone number, an e-mail address
    or a link are left out.
    """
    return portrait_from(telling for own in memories for telling in tellings_of(own))


def portrait_from(tellings: Iterable[Telling]) -> Portrait:
    """Return the portrait that sentences give which were picked already. Pure."""
    told = _in_one_language(list(tellings))
    told.sort(key=lambda telling: (-telling.score, telling.memory_id, telling.text))
    short = _chosen(told, _BIOGRAPHY_CHARACTERS, most_of_a_topic=1)
    long = _chosen(told, _DESCRIPTION_CHARACTERS, most_of_a_topic=12)
    return Portrait(
        biography=" ".join(telling.text for telling in short),
        description="\n\n".join(
            " ".join(telling.text for telling in long if telling.topic == topic)
            for topic in sorted({telling.topic for telling in long})
        ),
        cited=tuple(dict.fromkeys(telling.memory_id for telling in (*short, *long))),
    )


def tellings_of(own: Own) -> Iterator[Telling]:
    """Yield the sentences of a memory that tell who somebody is. Pure."""
    for found in _SENTENCE.finditer(own.text):
        sentence = " ".join(found.group().split()).strip('-•*·"«» ')
        if not _SHORTEST <= len(sentence) <= _LONGEST or "?" in sentence or _PRIVATE.search(sentence):
            continue
        lowered = sentence.lower().replace("’", "'")
        for topic, language, strength in _topics_of(lowered, own.language):
            score = strength + own.importance + _shape(sentence, lowered, language)
            words = frozenset(_WORD.findall(lowered))
            yield Telling(own.memory_id, _finished(sentence), language, topic, score, words)
            break


def _topics_of(lowered: str, language: str) -> Iterable[tuple[int, str, float]]:
    """Yield what a sentence tells of, the earlier topics first, in the language it is known or found to be in."""
    for topic, by_language in enumerate(_life().topics):
        for code in (language,) if language in by_language else by_language:
            match = by_language[code].search(lowered)
            if match:
                # What somebody says of themselves usually comes first.
                yield topic, code, 1.0 - min(0.5, match.start() / 120)


def _shape(sentence: str, lowered: str, language: str) -> float:
    """Return how well a sentence stands by itself."""
    low, high = _BEST_LENGTH
    score = 0.4 if low <= len(sentence) <= high else 0.0
    score += 0.2 if sentence[0].isupper() else 0.0
    score += 0.1 if sentence.endswith((".", "!")) else 0.0
    first = lowered.split(maxsplit=1)[0]
    score -= 0.6 if first in _life().leaning[language] else 0.0
    score -= 0.7 if _life().you[language].search(lowered) else 0.0
    return score


def _finished(sentence: str) -> str:
    """Return a sentence that others can follow: with a stop at its end, otherwise as it was written."""
    return sentence if sentence.endswith((".", "!", "…")) else f"{sentence}."


def _in_one_language(told: list[Telling]) -> list[Telling]:
    """Keep the language in which most is told, when it tells enough."""
    counts = Counter(telling.language for telling in told)
    if not counts:
        return []
    language, count = counts.most_common(1)[0]
    return [telling for telling in told if telling.language == language] if count >= 3 else told


def _chosen(told: Sequence[Telling], characters: int, *, most_of_a_topic: int) -> list[Telling]:
    """Return the best sentences that fit, no two alike, in the order of the topics and then of the memories."""
    chosen: list[Telling] = []
    used: defaultdict[int, int] = defaultdict(int)
    left = characters
    for telling in told:
        fits = len(telling.text) + 2 <= left and used[telling.topic] < most_of_a_topic
        if not fits or any(_is_repeat(telling, other) for other in chosen):
            continue
        chosen.append(telling)
        used[telling.topic] += 1
        left -= len(telling.text) + 2
    return sorted(chosen, key=lambda telling: (telling.topic, telling.memory_id))


def _is_repeat(one: Telling, two: Telling) -> bool:
    fewest = min(len(one.words), len(two.words))
    return fewest > 0 and len(one.words & two.words) / fewest >= _SHARED_WORDS_OF_A_REPEAT


@dataclass(frozen=True, slots=True)
class _Life:
    topics: tuple[dict[str, re.Pattern[str]], ...]
    leaning: dict[str, frozenset[str]]
    you: dict[str, re.Pattern[str]]


@cache
def _life() -> _Life:
    found = tomllib.loads(_DATA.read_text(encoding="utf-8"))
    leaning, you = found.pop("leaning"), found.pop("you")
    return _Life(
        topics=tuple(
            {code: re.compile("|".join(patterns)) for code, patterns in by_language.items()}
            for by_language in found.values()
        ),
        leaning={code: frozenset(words) for code, words in leaning.items()},
        you={code: re.compile(rf"\b(?:{'|'.join(words)})\b") for code, words in you.items()},
    )
