"""What a question asks for: the words an answer should take up, and the kind of thing that is wanted."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

from agents.concepts import (
    asks_how,
    concepts_asked,
    concepts_of,
    forms_of,
    is_generic,
    is_stop,
    is_weak,
    reading_language,
    words_for,
)
from agents.words import fold, tokens
from knowledge.languages import languages

Wanted = Literal["", "when", "number", "name", "where", "how"]

GENERIC_WEIGHT = 0.2
"""The weight of a word that says little; a question of such words alone has no topic."""
_WEAK_WEIGHT = 0.5
_CALLED = 0.2
# Relatives: in Spanish a grandmother and a grandfather have one stem, and are not to be taken for each other.
KIN = frozenset(
    ("mother", "father", "grandmother", "grandfather", "husband", "wife", "brother", "sister", "son", "daughter")
)
_OWN_PLACE = frozenset(("baker", "shop"))
# Verbs that only "you" has, in the languages that leave the pronoun out.
_YOUR_VERB = re.compile(r"\b\w{3,}(?:aste|iste|abas|ias|asteis|isteis|abais|iais|este|avas|aste|avi|evi|ivi)\b")
NAME_ASKED = re.compile(
    r"\b(?:name|named|called|llama\w*|nombre|chama\w*|nome|appel\w*|nom|heiss\w*|hiess\w*|name|chiam\w*)\b"
)
_WHERE_ASKED = re.compile(r"\b(?:where|donde|adonde|onde|aonde|ou|wo|woher|wohin|dove)\b")
_CAPITAL = re.compile(r"(?<=[\w,;'’] )[A-ZÀ-Þ][\w'’-]+|(?<=['’])[A-ZÀ-Þ][\w-]+")


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
        return any(key.weight > GENERIC_WEIGHT for key in self.keys)


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
        if wanted == "name" and NAME_ASKED.fullmatch(word):
            continue
        weight = _weight(word, code, is_name=is_name, is_place_of_brand=is_brand and _is_own_place(word, code))
        if word in kin and at == len(words) - 1 and at and not is_stop(words[at - 1], code):
            weight = min(weight, _CALLED)  # most likely whom the question is put to: "where did you work, granny"
        keys[word] = Key(word, forms_of(word, code), concepts_of(word, code), weight, is_name)
    for concept in concepts_asked(question, code):
        keys[concept] = Key(concept, frozenset(), frozenset((concept,)), 1.0)
    _lower_kin_before_a_name(keys, words)
    if keys and all(key.weight <= GENERIC_WEIGHT for key in keys.values()):
        keys = {word: replace(key, weight=1.0) if key.concepts else key for word, key in keys.items()}
    asks_you = not languages()[code].you.isdisjoint(words) or _YOUR_VERB.search(fold(question)) is not None
    return Asked(tuple(keys.values()), wanted, code, asks_you)


def in_other_words(question: Asked, languages: Iterable[str]) -> str:
    """Return other words that ask for the same, in these languages; empty when no word of the question has any."""
    keys = [key for key in question.keys if key.weight > GENERIC_WEIGHT]
    concepts = [concept for key in keys for concept in sorted(key.concepts)]
    if not concepts:
        return ""
    codes = dict.fromkeys(reading_language(language) for language in languages)
    plain = [key.word for key in keys if not key.concepts]
    return " ".join((*plain, *(words_for(concept, code) for code in codes for concept in concepts)))


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
    if NAME_ASKED.search(folded):
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


def _weight(word: str, code: str, *, is_name: bool, is_place_of_brand: bool) -> float:
    if is_name:
        return 1.2
    if is_place_of_brand or is_generic(word, code):
        return GENERIC_WEIGHT
    return _WEAK_WEIGHT if is_weak(word, code) else 1.0


def _is_own_place(word: str, code: str) -> bool:
    """Return whether a word only says "your shop", which every memory of a shop is about."""
    return bool(concepts_of(word, code) & _OWN_PLACE)


def _lower_kin_before_a_name(keys: dict[str, Key], words: Sequence[str]) -> None:
    """In "grandpa Joaquim" it is Joaquim who is asked for."""
    for first, second in pairwise(words):
        if first in keys and second in keys and keys[second].is_name and keys[first].concepts & KIN:
            keys[first] = replace(keys[first], weight=GENERIC_WEIGHT)
