"""Which language a text is in: by its script, else by the small words and letters that only one language has.

Made for chat lines: fast, sure or silent. No model and no download; the lists are small words that everybody writes.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections import defaultdict
from functools import cache, lru_cache
from importlib.resources import files

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
_LINK = re.compile(r"https?://\S+|\S+@\S+")
_MOST_CHARACTERS = 1000
_LEAST_SCORE = 1.0
_LEAST_LEAD = 0.34

_SCRIPTS = (
    ("ja", re.compile(r"[\u3040-\u30ff]")),
    ("ko", re.compile(r"[\uac00-\ud7af\u1100-\u11ff]")),
    ("zh", re.compile(r"[\u3400-\u9fff]")),
    ("th", re.compile(r"[\u0e00-\u0e7f]")),
    ("el", re.compile(r"[\u0370-\u03ff]")),
    ("he", re.compile(r"[\u0590-\u05ff]")),
    ("hi", re.compile(r"[\u0900-\u097f]")),
    ("fa", re.compile(r"[پچژگ]")),
    ("ar", re.compile(r"[\u0600-\u06ff]")),
    ("uk", re.compile(r"[іїєґІЇЄҐ]")),
    ("ru", re.compile(r"[\u0400-\u04ff]")),
)

_PRIOR = dict.fromkeys(("en", "es", "pt", "fr", "de", "it"), 1.0)
_RARER = 0.6
"""How much a word tells of a language that fewer people here write."""
_LETTERS = {
    "es": "ñ¿¡",
    "pt": "ãõ",
    "fr": "œêûîëù",
    "de": "ßäöü",
    "tr": "ğışİ",
    "pl": "łąęśżźćń",
    "sv": "å",
    "ro": "țșăĂ",
    "it": "ìò",
}
_ENDINGS = {
    "es": ("ción", "ciones", "aba", "aban", "ito", "ita", "ando", "iendo", "mente"),
    "pt": ("ção", "ções", "inha", "inho", "ava", "avam", "ando", "endo", "nh", "lh"),
    "fr": ("eux", "ait", "aient", "ement", "eau", "ette"),
    "de": ("ung", "lich", "keit", "heit", "chen", "isch"),
    "it": ("zione", "zioni", "mente", "ando", "endo", "etto", "etta", "issimo", "issima"),
    "en": ("ing", "tion", "ness", "ful", "ight", "ould"),
    "nl": ("lijk", "heid", "tje", "tjes"),
}


@cache
def _weights() -> dict[str, dict[str, float]]:
    # Each word counts the more, the fewer languages use it.
    source = files("knowledge").joinpath("language_words.toml").read_text(encoding="utf-8")
    users: dict[str, set[str]] = defaultdict(set)
    for language, words in tomllib.loads(source).items():
        for word in words.split():
            users[word].add(language)
    weights: dict[str, dict[str, float]] = {}
    for word, languages in users.items():
        # A short word is often shared or a slip; a longer one tells more.
        weight = (0.7 if len(word) < 3 else 1.0) / len(languages)
        weights[word] = {language: weight * _PRIOR.get(language, _RARER) for language in languages}
        bare = _bare(word)
        if bare != word and bare not in users:
            # People leave accents out on a telephone.
            weights.setdefault(bare, {language: told * 0.7 for language, told in weights[word].items()})
    return weights


def identify(text: str) -> str:
    """Return the language of a text as a two-letter code, '' when nothing tells."""
    return _identify(text[:_MOST_CHARACTERS])


@lru_cache(maxsize=4096)
def _identify(text: str) -> str:
    if not text.isascii():
        found = _by_script(text)
        if found:
            return found
    words = [word.lower().replace("’", "'") for word in _WORD.findall(_LINK.sub(" ", text))]
    weights = _weights()
    scores: dict[str, float] = defaultdict(float)
    for word in words:
        for language, weight in weights.get(word, _NONE).items():
            scores[language] += weight
        if len(word) > 4:
            for language, endings in _ENDINGS.items():
                if word.endswith(endings):
                    scores[language] += 0.2
    lowered = text.lower()
    if not lowered.isascii():
        for language, letters in _LETTERS.items():
            scores[language] += min(2.0, 0.8 * sum(lowered.count(letter) for letter in letters))
    if not scores:
        return ""
    ranked = sorted(scores.items(), key=lambda one: -one[1])
    best, score = ranked[0]
    second = ranked[1][1] if len(ranked) > 1 else 0.0
    needed = _LEAST_SCORE if len(words) > 2 else 0.5
    return best if score >= needed and score - second >= _LEAST_LEAD * min(1.0, score) else ""


def _by_script(text: str) -> str:
    letters = sum(letter.isalpha() for letter in text)
    for language, script in _SCRIPTS:
        found = len(script.findall(text))
        # Japanese and Persian are told by a few letters among others of a shared script.
        if found and (found * 2 >= letters or (language in ("ja", "fa", "uk") and found * 20 >= letters)):
            return language
    return ""


def _bare(word: str) -> str:
    return "".join(letter for letter in unicodedata.normalize("NFKD", word) if not unicodedata.combining(letter))


_NONE: dict[str, float] = {}
