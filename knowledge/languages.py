"""The words of six languages: stems that meet with and without accents, and the words that carry no content."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import tantivy

from knowledge.names import fold

_DATA = Path(__file__).with_name("languages.toml")
_LONGEST_WORD = 40
_UNSPACED = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]{2,}")
_NOT_A_WORD = re.compile(r"[\W_]+")


@dataclass(frozen=True, slots=True)
class Language:
    """What recall knows of one language; every word folded."""

    code: str
    stemmer: str
    stop: frozenset[str]
    question: frozenset[str]
    you: frozenset[str]
    me: frozenset[str]
    when: tuple[str, ...]
    many: tuple[str, ...]
    times: dict[str, Any]


@cache
def languages() -> dict[str, Language]:
    """Return the languages by their ISO 639-1 code."""
    found = tomllib.loads(_DATA.read_text(encoding="utf-8"))
    return {code: _language(code, values) for code, values in found.items()}


def stems(text: str, language: str) -> list[str]:
    """Return the stems of a text in the order of its words, without accents.

    Stemming needs the accents and people leave them out, so a word whose stem depends on them gives both.
    """
    analyse, analyse_bare = _analysers(language if language in languages() else "en")
    found: list[str] = analyse.analyze(text)
    if text.isascii():
        return found
    bare: list[str] = analyse_bare.analyze(text)
    if bare != found:
        both: list[str] = []
        for first, second in zip(found, bare, strict=False):
            both += [first] if first == second else [first, second]
        found = both
    return found + [run[at : at + 2] for run in _UNSPACED.findall(text) for at in range(len(run) - 1)]


@cache
def _stems_of_word(word: str, codes: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(stem for code in codes for stem in stems(word, code)))


def stems_of_word(word: str, codes: tuple[str, ...]) -> tuple[str, ...]:
    """Return what a word may have become in any of these languages."""
    return _stems_of_word(word, codes) if len(word) < _LONGEST_WORD else ()


def plain(text: str) -> str:
    """Return a text as words: folded, nothing between them but single spaces."""
    return _NOT_A_WORD.sub(" ", fold(text)).strip()


def guess_languages(words: Iterable[str]) -> tuple[str, ...]:
    """Return the languages whose small words stand most in these folded words; all of them when none does."""
    words = list(words)
    counts = {code: sum(word in known.stop for word in words) for code, known in languages().items()}
    most = max(counts.values())
    return tuple(code for code, count in counts.items() if count == most)


def _language(code: str, values: dict[str, Any]) -> Language:
    sets = {name: frozenset(values.pop(name)) for name in ("question", "you", "me")}
    stop = frozenset(values.pop("stop").split())
    when, many = tuple(values.pop("when")), tuple(values.pop("many"))
    return Language(code=code, stemmer=values.pop("stemmer"), stop=stop, when=when, many=many, times=values, **sets)


@cache
def _analysers(code: str) -> tuple[tantivy.TextAnalyzer, tantivy.TextAnalyzer]:
    keep = tantivy.Filter
    stemmer = languages()[code].stemmer
    lower = [keep.lowercase(), keep.remove_long(_LONGEST_WORD)]
    accented, bare = [keep.stemmer(stemmer), keep.ascii_fold()], [keep.ascii_fold(), keep.stemmer(stemmer)]
    return _analyser([*lower, *accented]), _analyser([*lower, *bare])


def _analyser(filters: list[tantivy.Filter]) -> tantivy.TextAnalyzer:
    builder = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.simple())
    for each in filters:
        builder = builder.filter(each)
    return builder.build()
