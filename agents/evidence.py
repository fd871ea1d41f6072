"""How well a sentence answers a question: which of its words it takes up, and whether it is of the kind asked for.

A question about something absent must not be answered with a sentence about something else, so what counts is the share
of the question's own words that a memory holds, not how near it is among the others.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from typing import Literal

from agents.concepts import (
    Text,
    are_sisters,
    as_text,
    asks_how,
    concepts_asked,
    concepts_of,
    forms_of,
    is_copula,
    is_generic,
    is_number,
    is_stop,
    is_weak,
    reading_language,
    words_for,
)
from agents.sentences import is_question, quotable
from agents.words import fold, tokens
from knowledge.languages import guess_languages, languages
from knowledge.recall import Recalled

ENOUGH = 0.65
"""The least support with which a sentence is given as an answer. Chosen on the worlds of `tests/agents`."""

Wanted = Literal["", "when", "number", "name", "where", "how"]

_GENERIC_WEIGHT = 0.2
_WEAK_WEIGHT = 0.5
_HEADING = 0.95
_ANSWERS_BETTER = 0.06
_NOT_MINE = 0.9
_RECIPE = 0.15
_AMOUNTS = 2
_CALLED = 0.2
_CONCEPT = 0.95
_SIMILAR = 0.8
_ANSWERS = 1.0
_CONTEXT = 0.5
_NEARBY = 0.85
_OF_ANOTHER = 0.93
# Relatives: in Spanish a grandmother and a grandfather have one stem, and are not to be taken for each other.
_KIN = frozenset(
    ("mother", "father", "grandmother", "grandfather", "husband", "wife", "brother", "sister", "son", "daughter")
)
_WHERE_ASKED = re.compile(r"\b(?:where|donde|adonde|onde|aonde|ou|wo|woher|wohin|dove)\b")
_PLACE = frozenset(
    ("in", "at", "from", "to", "near", "en", "de", "del", "a", "al", "em", "no", "na", "do", "da", "aus", "nach", "di")
)
_OWN_PLACE = frozenset(("baker", "shop"))
_LONG = 6
_WHOLE_WORD = 4
# Verbs that only "you" has, in the languages that leave the pronoun out.
_YOUR_VERB = re.compile(r"\b\w{3,}(?:aste|iste|abas|ias|asteis|isteis|abais|iais|este|avas|aste|avi|evi|ivi)\b")
_YEAR = re.compile(r"(?:19|20)\d\d")
_NAME_ASKED = re.compile(
    r"\b(?:name|named|called|llama\w*|nombre|chama\w*|nome|appel\w*|nom|heiss\w*|hiess\w*|name|chiam\w*)\b"
)


@dataclass(frozen=True, slots=True)
class Key:
    """One word of the question that an answer should take up."""

    word: str
    forms: frozenset[str]
    concepts: frozenset[str]
    weight: float
    is_name: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """What a question asks for."""

    keys: tuple[Key, ...]
    wanted: Wanted
    language: str
    asks_you: bool = False

    @property
    def has_topic(self) -> bool:
        """Whether there is a word that says what the question is about."""
        return any(key.weight > _GENERIC_WEIGHT for key in self.keys)


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


def asked(
    question: str,
    language: str,
    *,
    names: Iterable[str] = (),
    kin: frozenset[str] = frozenset(),
    is_brand: bool = False,
) -> Asked:
    """Return what `question` asks for. `names` are not looked for: those of the two who talk say nothing."""
    code = reading_language(language)
    wanted = _wanted(question, code)
    masked = frozenset(word for name in names for word in tokens(name))
    words = tokens(question)
    capitals = _capitals(question, code)
    keys: dict[str, Key] = {}
    for at, word in enumerate(words):
        if word in keys or word in masked or is_stop(word, code) or (len(word) < 2 and not word.isdigit()):
            continue
        is_name = word in capitals
        if wanted == "name" and _NAME_ASKED.fullmatch(word):
            continue
        weight = _weight(word, code, is_name=is_name, is_place_of_brand=is_brand and _is_own_place(word, code))
        if word in kin and at == len(words) - 1 and at and not is_stop(words[at - 1], code):
            weight = min(weight, _CALLED)  # most likely whom the question is put to: "where did you work, granny"
        keys[word] = Key(word, forms_of(word, code), concepts_of(word, code), weight, is_name)
    for concept in concepts_asked(question, code):
        keys[concept] = Key(concept, frozenset(), frozenset((concept,)), 1.0)
    _lower_kin_before_a_name(keys, words)
    if keys and all(key.weight <= _GENERIC_WEIGHT for key in keys.values()):
        keys = {word: replace(key, weight=1.0) if key.concepts else key for word, key in keys.items()}
    asks_you = not languages()[code].you.isdisjoint(words) or _YOUR_VERB.search(fold(question)) is not None
    return Asked(tuple(keys.values()), wanted, code, asks_you)


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
    is_whole = asks_the_same and context is not None and _holds(question, context, reading_language(language))
    if is_whole:
        order += _ANSWERS_BETTER
    first, last = _reach(question, at, read, reading_language(language))
    return Quote(memory, parts[at], first, supports[at], order, last - first + 1, is_whole)


def is_recipe(memory: Recalled) -> bool:
    """Return whether a memory tells how something is made: several amounts stand in it."""
    words = as_text(memory.text, memory.language or "en")
    amounts = sum(word.isdigit() or is_number(word, reading_language(memory.language)) for word in words.words)
    return amounts >= _AMOUNTS


def _reach(question: Asked, at: int, read: Sequence[Text], language: str) -> tuple[int, int]:
    """Return from where to where the sentences stand that answer together: some of the words may be next door."""
    first = last = at
    for key in question.keys:
        if key.weight <= _GENERIC_WEIGHT or _match(key, read[at], question.language, language):
            continue
        for other in _around(at, len(read)):
            if _match(key, read[other], question.language, language):
                first, last = min(first, other), max(last, other)
                break
    return first, last


def in_other_words(question: Asked, languages: Iterable[str]) -> str:
    """Return other words that ask for the same, in these languages; empty when no word of the question has any."""
    keys = [key for key in question.keys if key.weight > _GENERIC_WEIGHT]
    concepts = [concept for key in keys for concept in sorted(key.concepts)]
    if not concepts:
        return ""
    codes = dict.fromkeys(reading_language(language) for language in languages)
    plain = [key.word for key in keys if not key.concepts]
    return " ".join((*plain, *(words_for(concept, code) for code in codes for concept in concepts)))


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
        match = _match(key, read[at], question.language, language)
        if match < 1 and context is not None:
            match = max(match, context_weight * _match(key, context, question.language, language))
        if match < _NEARBY:
            near = max(
                (_match(key, read[other], question.language, language) for other in _around(at, len(read))), default=0
            )
            match = max(match, _NEARBY * near)
        if not match and "work" in key.concepts and _says_what_was(read[at], question, language):
            match = 0.8
        if not match and _YEAR.fullmatch(key.word) and memory.happened_at and str(memory.happened_at.year) == key.word:
            match = 0.9
        held += key.weight * match
        total += key.weight
        missing_name = missing_name or (key.is_name and not match)
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
    if not sentence.concepts & (_KIN - asked_for):
        return False
    matched = [at for at, word in enumerate(sentence.words) if concepts_of(word, language) & asked_for]
    near = {word for at in matched for word in sentence.words[max(0, at - 3) : at + 4]}
    return any(concepts_of(word, language) & (_KIN - asked_for) for word in near)


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


def _holds(question: Asked, context: Text, language: str) -> bool:
    topics = [key for key in question.keys if key.weight > _GENERIC_WEIGHT]
    return bool(topics) and all(_match(key, context, question.language, language) for key in topics)


def _weight(word: str, code: str, *, is_name: bool, is_place_of_brand: bool) -> float:
    if is_name:
        return 1.2
    if is_place_of_brand or is_generic(word, code):
        return _GENERIC_WEIGHT
    return _WEAK_WEIGHT if is_weak(word, code) else 1.0


def _is_own_place(word: str, code: str) -> bool:
    """Return whether a word only says "your shop", which every memory of a shop is about."""
    return bool(concepts_of(word, code) & _OWN_PLACE)


def _lower_kin_before_a_name(keys: dict[str, Key], words: Sequence[str]) -> None:
    """In "grandpa Joaquim" it is Joaquim who is asked for."""
    for first, second in pairwise(words):
        if first in keys and second in keys and keys[second].is_name and keys[first].concepts & _KIN:
            keys[first] = replace(keys[first], weight=_GENERIC_WEIGHT)


def _match(key: Key, text: Text, asked_in: str, language: str) -> float:
    is_near = are_sisters(asked_in, language)
    if key.concepts & text.concepts:
        return 1.0 if is_near and key.forms & text.forms else _CONCEPT
    if key.concepts & _KIN:
        return 0.0
    # Between languages only whole words are the same: names, "gluten", "pizza"; stems meet by accident.
    if key.forms & text.forms if is_near else len(key.word) >= _WHOLE_WORD and key.word in text.forms:
        return 1.0
    if len(key.word) >= _LONG and any(_is_similar(key.word, word) for word in text.starting_with(key.word[:2])):
        return _SIMILAR
    return 0.0


def _says_what_was(sentence: Text, question: Asked, language: str) -> bool:
    """Return whether a sentence says of the one asked about what they were: "my father was a sailor"."""
    kin = {concept for key in question.keys for concept in key.concepts}
    for at, word in enumerate(sentence.words):
        if is_copula(word, language) and at:
            before = sentence.words[max(0, at - 6) : at]
            if any(concepts_of(each, language) & kin for each in before):
                return True
    return False


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


def _wanted(question: str, code: str) -> Wanted:
    folded = fold(question)
    if asks_how(question):
        return "how"
    known = languages()[code]
    spaced = f" {' '.join(tokens(folded))} "
    if any(f" {phrase} " in spaced for phrase in known.when):
        return "when"
    if any(f" {phrase} " in spaced for phrase in known.many):
        return "number"
    if _NAME_ASKED.search(folded):
        return "name"
    return "where" if _WHERE_ASKED.search(folded) else ""


def _capitals(question: str, code: str) -> frozenset[str]:
    """Return the words written as names. German writes every noun so, and some people write everything so."""
    letters = [character for character in question if character.isalpha()]
    if code == "de" or sum(character.isupper() for character in letters) > len(letters) / 3:
        return frozenset()
    return frozenset(
        word for name in _CAPITAL.findall(question) for word in tokens(name) if not concepts_of(word, code)
    )


_CAPITAL = re.compile(r"(?<=[\w,;'’] )[A-ZÀ-Þ][\w'’-]+|(?<=['’])[A-ZÀ-Þ][\w-]+")
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


@lru_cache(maxsize=8192)
def _guessed(text: str, likely: str) -> str:
    guesses = guess_languages(tokens(text))
    return likely if likely in guesses else guesses[0]


@lru_cache(maxsize=8192)
def _parts(text: str, language: str) -> tuple[str, ...]:
    return tuple(quotable(text, language))
