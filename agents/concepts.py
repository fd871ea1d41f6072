"""Words as what they mean: which words of six languages ask for the same thing."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from functools import cache, lru_cache

from agents.phrases import SIX
from agents.words import fold, load, patterns, tokens
from knowledge.languages import languages, stems_of_word

_CURRENCY = re.compile(r"[€$£]|\b\d+(?:[.,]\d+)? ?(?:eur|euros?)\b")
_LONG = 6
_SHORT = 3
_DECEMBER = frozenset(("december", "diciembre", "dezembro", "decembre", "dezember", "dicembre"))
_RELATED = {"gl": "pt", "ca": "es", "ast": "es"}
# Lines too short to tell these apart are common, and their words mostly mean the same.
_SISTERS = {"es": ("es", "pt"), "pt": ("pt", "es")}


@dataclass(frozen=True, slots=True)
class Text:
    """A text as words: `forms` are its words and their stems, `concepts` what they stand for, in the text's order."""

    words: tuple[str, ...]
    forms: frozenset[str]
    concepts: frozenset[str]
    names: frozenset[str]
    has_number: bool
    is_mine: bool
    long_words: dict[str, tuple[str, ...]]

    def starting_with(self, letters: str) -> tuple[str, ...]:
        """Return the longer words that begin with these two letters."""
        return self.long_words.get(letters, ())


def as_text(text: str, language: str) -> Text:
    """Return `text` as words that can be compared with a question's."""
    return _as_text(text, reading_language(language))


def reading_language(language: str) -> str:
    """Return which of the six languages a text is read in."""
    code = _RELATED.get(language, language)
    return code if code in SIX else "en"


@lru_cache(maxsize=50_000)
def forms_of(word: str, language: str) -> frozenset[str]:
    """Return the folded word and what its stems are in `language`."""
    return frozenset((word, *(stem for stem in stems_of_word(word, (language,)) if len(stem) > _SHORT)))


@lru_cache(maxsize=50_000)
def concepts_of(word: str, language: str) -> frozenset[str]:
    """Return the concepts a word of `language` stands for."""
    found: set[str] = set()
    for code in _SISTERS.get(language, (language,)):
        known = _by_form()[code]
        exact = known.get(word)
        if exact is not None:
            found |= exact
            continue
        for form in forms_of(word, code):
            found |= known.get(form, frozenset())
    return frozenset(found)


def are_sisters(first: str, second: str) -> bool:
    """Return whether words of two languages may be compared by their stems."""
    return first == second or second in _SISTERS.get(first, ())


def concepts_asked(question: str, language: str) -> frozenset[str]:
    """Return the concepts of a question that has no word of its own, such as "where are you?"."""
    folded = fold(question).lstrip("¿¡ ")
    return frozenset(concept for concept, pattern in _asked().items() if pattern.search(folded))


def asks_how(question: str) -> bool:
    """Return whether a question asks how something is made."""
    return _how().search(fold(question)) is not None


def is_generic(word: str, language: str) -> bool:
    """Return whether a word says little about the topic."""
    return not forms_of(word, language).isdisjoint(_generic()[language])


def is_number(word: str, language: str) -> bool:
    """Return whether a word is a number written out."""
    return word in _numbers()[language]


def is_weak(word: str, language: str) -> bool:
    """Return whether a word is a verb that needs something beside it to say what a question is about."""
    return not forms_of(word, language).isdisjoint(_weak()[language])


def is_stop(word: str, language: str) -> bool:
    """Return whether a word carries no content in `language`."""
    return word in languages()[language].stop or word in _more_stop()[language]


def is_copula(word: str, language: str) -> bool:
    """Return whether a word says that something is something."""
    return word in _copula()[language]


def has_topic(text: str, language: str) -> bool:
    """Return whether a text has a word that says what it is about."""
    code = reading_language(language)
    return any(not is_stop(word, code) and not is_generic(word, code) for word in tokens(text))


def without_rivals(before: str, now: str, language: str) -> str:
    """Return an earlier question without the words that a new one puts others in the place of.

    After "where was your father born?", "and your mother?" asks where she was born, not where both were.
    """
    code = reading_language(language)
    new = {group for word in tokens(now) for group in _groups_of(word, code)}
    return " ".join(word for word in before.split() if not new.intersection(*_groups(word, code)))


def _groups(text: str, code: str) -> tuple[frozenset[str], ...]:
    return (frozenset(group for word in tokens(text) for group in _groups_of(word, code)),)


def _groups_of(word: str, code: str) -> frozenset[str]:
    held = concepts_of(word, code)
    return frozenset(name for name, members in load("concepts.toml")["groups"].items() if held & set(members))


@cache
def words_for(concept: str, language: str) -> str:
    """Return a few words that stand for a concept in `language`, to search with."""
    found: str = load("concepts.toml")["words"][concept][language]
    return found


@lru_cache(maxsize=8192)
def _as_text(text: str, language: str) -> Text:
    words = tuple(tokens(text))
    forms: set[str] = set()
    concepts: set[str] = set()
    for word in words:
        forms |= forms_of(word, language)
        concepts |= concepts_of(word, language)
    has_number = any(character.isdigit() for character in text) or any(form in _numbers()[language] for form in words)
    if _CURRENCY.search(text.lower()):
        concepts.add("price")
    if "25" in words and _DECEMBER.intersection(words):
        concepts.add("christmas")
    concepts |= {wider for wider, narrower in load("concepts.toml")["narrower"].items() if concepts & set(narrower)}
    names = frozenset(fold(name) for name in _NAME.findall(text))
    long_words: defaultdict[str, list[str]] = defaultdict(list)
    for word in set(words):
        if len(word) >= _LONG:
            long_words[word[:2]].append(word)
    by_start = {letters: tuple(held) for letters, held in long_words.items()}
    is_mine = not languages()[language].me.isdisjoint(words) or _I.search(text.lower()) is not None
    return Text(words, frozenset(forms), frozenset(concepts), names, has_number, is_mine, by_start)


# What the writer did or was, where the verb alone tells: "nací", "trabajé", "éramos", "nasci", "cheguei", "wir".
_I = re.compile(
    r"\b(?:\w{2,}(?:é|í|ei|amos|emos|imos|ábamos|íamos|iamos|ávamos)|fui|hice|tuve|estuve|era|fiz|tive|éramos|we|our|us|nous|notre|wir|uns|noi)\b"
)
_NAME = re.compile(r"(?<![.!?…:\n]\s)(?<!^)(?<![\"“«(¿¡])\b[A-ZÀ-Þ][\w'’-]+")


@cache
def _by_form() -> dict[str, dict[str, frozenset[str]]]:
    found: dict[str, defaultdict[str, set[str]]] = {code: defaultdict(set) for code in SIX}
    # In Spanish "abuela" and "abuelo" have one stem: people are known by their whole word alone.
    people = frozenset(load("concepts.toml")["groups"]["people"])
    for concept, by_language in load("concepts.toml")["words"].items():
        for code, listed in by_language.items():
            for word in listed.split():
                folded = fold(word)
                found[code][folded].add(concept)
                for form in () if concept in people else forms_of(folded, code):
                    found[code][form].add(concept)
    return {code: {form: frozenset(held) for form, held in forms.items()} for code, forms in found.items()}


@cache
def _generic() -> dict[str, frozenset[str]]:
    listed = load("concepts.toml")["generic"]
    return {
        code: frozenset(form for word in listed[code].split() for form in forms_of(fold(word), code)) for code in SIX
    }


@cache
def _how() -> re.Pattern[str]:
    return patterns(load("concepts.toml")["how"]["patterns"])


@cache
def _weak() -> dict[str, frozenset[str]]:
    listed = load("concepts.toml")["weak"]
    return {code: frozenset(form for word in listed[code].split() for form in forms_of(word, code)) for code in SIX}


@cache
def _more_stop() -> dict[str, frozenset[str]]:
    return {code: frozenset(fold(words).split()) for code, words in load("concepts.toml")["stop"].items()}


@cache
def _copula() -> dict[str, frozenset[str]]:
    return {code: frozenset(fold(words).split()) for code, words in load("concepts.toml")["copula"].items()}


@cache
def _asked() -> dict[str, re.Pattern[str]]:
    return {concept: patterns(sources) for concept, sources in load("concepts.toml")["asked"].items()}


@cache
def _numbers() -> dict[str, frozenset[str]]:
    listed = load("concepts.toml")["numbers"]
    return {code: frozenset(fold(listed[code]).split()) for code in SIX}
