"""How well a sentence answers a question: which of its words it takes up, and whether it is of the kind asked for.

A question about something absent must not be answered with a sentence about something else, so what counts is the share
of the question's own words that a memory holds, not how near it is among the others.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from agents.asking import GENERIC_WEIGHT, KIN, Asked
from agents.concepts import Text, as_text, concepts_of, is_copula, is_number, reading_language
from agents.matching import holds, match
from agents.sentences import is_question, quotable
from agents.words import tokens
from knowledge.languages import guess_languages
from knowledge.recall import Recalled

ENOUGH = 0.65
"""The least support with which a sentence is given as an answer. Chosen on the worlds of `tests/agents`."""
_HEADING = 0.95
_ANSWERS_BETTER = 0.06
_NOT_MINE = 0.9
_RECIPE = 0.15
_AMOUNTS = 2
_ANSWERS = 1.0
_CONTEXT = 0.5
_NEARBY = 0.85
_OF_ANOTHER = 0.93
_PLACE = frozenset(
    ("in", "at", "from", "to", "near", "en", "de", "del", "a", "al", "em", "no", "na", "do", "da", "aus", "nach", "di")
)
_YEAR = re.compile(r"(?:19|20)\d\d")
_TIMES = frozenset(
    (
        "monday",
        "tuesday",
        "wednesday",
        "thursday",
        "friday",
        "saturday",
        "sunday",
        "summer",
        "winter",
        "spring",
        "autumn",
        "christmas",
        "birthday",
        "child",
        "birth",
        "war",
    )
)


@dataclass(frozen=True, slots=True)
class Quote:
    """A sentence of one memory and how much of the question it supports, in 0..1.

    `place` and `length` are the sentences of the memory that answer together; `order` ranks it among others.
    """

    memory: Recalled
    text: str
    place: int
    support: float
    order: float = 0.0
    length: int = 1
    is_whole: bool = False
    """Whether the whole memory answers: it stands under a heading, or after a question, that asks the same."""


def quotes(question: Asked, found: Sequence[Recalled]) -> list[Quote]:
    """Return for each memory its sentence that answers best, best first; `found` comes in the order of recall."""
    best = [quote for memory in found if (quote := best_quote(question, memory)) is not None]
    rank = {quote.memory.memory_id: at for at, quote in enumerate(best)}
    return sorted(
        best,
        key=lambda quote: (
            -round(quote.order + 0.1 * (quote.memory.language == question.language), 2),
            rank[quote.memory.memory_id],
        ),
    )


def best_quote(question: Asked, memory: Recalled) -> Quote | None:
    """Return the sentence of `memory` that answers best, None when it has none to quote."""
    language = memory.language or _guessed(memory.text, question.language)
    parts = _parts(memory.text, language)
    if not parts:
        return None
    if not _touches(question, memory, language):
        return None
    read = [as_text(part, language) for part in parts]
    context = as_text(memory.context, language) if memory.context else None
    context_weight = _context_weight(memory)
    supports = [
        _support(question, at, read, context, context_weight, memory, reading_language(language))
        for at in range(len(parts))
    ]
    at = max(range(len(parts)), key=lambda each: (round(supports[each], 3), -each))
    order = supports[at]
    if question.wanted == "how":
        order += _RECIPE * is_recipe(memory)
    elif question.asks_you and not read[at].is_mine:
        order *= _NOT_MINE
    asks_the_same = context is not None and context_weight >= _HEADING
    is_whole = asks_the_same and context is not None and holds(question, context, reading_language(language))
    if is_whole:
        order += _ANSWERS_BETTER
    first, last = _reach(question, at, read, reading_language(language))
    return Quote(memory, parts[at], first, supports[at], order, last - first + 1, is_whole)


def _touches(question: Asked, memory: Recalled, language: str) -> bool:
    """Return whether a memory holds any word that says what the question is about; most that are found do not."""
    code = reading_language(language)
    texts = [as_text(memory.text, language)]
    if memory.context:
        texts.append(as_text(memory.context, language))
    for key in question.keys:
        if key.weight <= GENERIC_WEIGHT:
            continue
        if _YEAR.fullmatch(key.word) or any(match(key, text, question.language, code) for text in texts):
            return True
    return False


def is_recipe(memory: Recalled) -> bool:
    """Return whether a memory tells how something is made: several amounts stand in it."""
    words = as_text(memory.text, memory.language or "en")
    amounts = sum(word.isdigit() or is_number(word, reading_language(memory.language)) for word in words.words)
    return amounts >= _AMOUNTS


def _reach(question: Asked, at: int, read: Sequence[Text], language: str) -> tuple[int, int]:
    """Return from where to where the sentences stand that answer together: some of the words may be next door."""
    first = last = at
    for key in question.keys:
        if key.weight <= GENERIC_WEIGHT or match(key, read[at], question.language, language):
            continue
        for other in _around(at, len(read)):
            if match(key, read[other], question.language, language):
                first, last = min(first, other), max(last, other)
                break
    return first, last


def _support(
    question: Asked,
    at: int,
    read: Sequence[Text],
    context: Text | None,
    context_weight: float,
    memory: Recalled,
    language: str,
) -> float:
    held = total = 0.0
    missing_name = False
    for key in question.keys:
        best = match(key, read[at], question.language, language)
        if best < 1 and context is not None:
            best = max(best, context_weight * match(key, context, question.language, language))
        if best < _NEARBY:
            near = max(
                (match(key, read[other], question.language, language) for other in _around(at, len(read))), default=0
            )
            best = max(best, _NEARBY * near)
        if not best and "work" in key.concepts and _says_what_was(read[at], question, language):
            best = 0.8
        if not best and _YEAR.fullmatch(key.word) and memory.happened_at and str(memory.happened_at.year) == key.word:
            best = 0.9
        held += key.weight * best
        total += key.weight
        missing_name = missing_name or (key.is_name and not best)
    if not total or not question.has_topic:
        return 0.0
    support = held / total
    if _is_of_another(question, read[at], language):
        support *= _OF_ANOTHER
    if missing_name:
        support *= 0.5
    return support * _fit(question, read[at], any(text.has_number for text in read), language)


def _is_of_another(question: Asked, sentence: Text, language: str) -> bool:
    """Return whether what was asked for is said of a relative nobody asked about: "when your mother was born"."""
    asked_for = frozenset(concept for key in question.keys for concept in key.concepts)
    if not sentence.concepts & (KIN - asked_for):
        return False
    matched = [at for at, word in enumerate(sentence.words) if concepts_of(word, language) & asked_for]
    near = {word for at in matched for word in sentence.words[max(0, at - 3) : at + 4]}
    return any(concepts_of(word, language) & (KIN - asked_for) for word in near)


def _around(at: int, count: int) -> Iterable[int]:
    return (other for other in range(max(0, at - 2), min(count, at + 3)) if other != at)


def _fit(question: Asked, sentence: Text, has_number_near: bool, language: str) -> float:
    """Return how far a sentence is of the kind asked for: a time, an amount, a name."""
    match question.wanted:
        case "number":
            return 1.0 if sentence.has_number else 0.85 if has_number_near else 0.6
        case "when":
            return 1.0 if sentence.has_number or sentence.concepts & _TIMES else 0.95 if has_number_near else 0.8
        case "name":
            return 1.0 if _names_it(question, sentence, language) else 0.75 if sentence.names else 0.6
        case "where":
            return 1.0 if _names_a_place(question, sentence) else 0.95
        case _:
            return 1.0


def _names_a_place(question: Asked, sentence: Text) -> bool:
    known = {key.word for key in question.keys}
    for before, word in pairwise(sentence.words):
        if word in sentence.names and word not in known and before in _PLACE:
            return True
    return bool(sentence.concepts & {"address"})


def _names_it(question: Asked, sentence: Text, language: str) -> bool:
    """Return whether a name stands close to what is asked for: "my mother Esperanza"."""
    for key in question.keys:
        for at, word in enumerate(sentence.words):
            if word in key.forms or concepts_of(word, language) & key.concepts:
                near = sentence.words[max(0, at - 5) : at + 6]
                if sentence.names.intersection(near):
                    return True
    return False


def _context_weight(memory: Recalled) -> float:
    """Return how far what stands before a memory tells what it is about: a question it answers, or its heading."""
    if memory.context and is_question(memory.context):
        return _ANSWERS
    return _HEADING if memory.kind == "document" else _CONTEXT


def _says_what_was(sentence: Text, question: Asked, language: str) -> bool:
    """Return whether a sentence says of the one asked about what they were: "my father was a sailor"."""
    kin = {concept for key in question.keys for concept in key.concepts}
    for at, word in enumerate(sentence.words):
        if is_copula(word, language) and at:
            before = sentence.words[max(0, at - 6) : at]
            if any(concepts_of(each, language) & kin for each in before):
                return True
    return False


@lru_cache(maxsize=8192)
def _guessed(text: str, likely: str) -> str:
    guesses = guess_languages(tokens(text))
    return likely if likely in guesses else guesses[0]


@lru_cache(maxsize=8192)
def _parts(text: str, language: str) -> tuple[str, ...]:
    return tuple(quotable(text, language))
