"""Words made comparable: folded, cut into tokens, and the patterns that look for them."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from functools import cache
from importlib.resources import files
from typing import Any

_MARKS = re.compile("[̀-ͯ]+")
_APOSTROPHES = re.compile("['’‘ʼ`´]")
_TOKEN = re.compile(r"[^\W_]+")
_STROKES = str.maketrans({"ł": "l", "Ł": "l", "ø": "o", "Ø": "o", "đ": "d", "Đ": "d", "ς": "σ"})
_STRETCHED = re.compile(r"(\w)\1{2,}")


OTHER_SCRIPTS = frozenset(("el", "ru", "uk", "ar", "he", "ja", "ko", "zh"))
"""The languages of the data files that are never written in Latin letters."""


def fold(text: str) -> str:
    """Return `text` in lower case, without accents, an apostrophe being a space: how patterns see words."""
    if text.isascii():
        return text.lower().replace("'", " ").replace("`", " ")
    return _APOSTROPHES.sub(" ", without_accents(text.casefold()))


def without_accents(text: str) -> str:
    """Return `text` without the marks that people leave out when they type fast."""
    bare = _MARKS.sub("", unicodedata.normalize("NFKD", text))
    return unicodedata.normalize("NFC", bare).translate(_STROKES)


def tokens(text: str) -> list[str]:
    """Return the words and numbers of `text`, folded; a letter held down ("holaaaa") counts once."""
    return _TOKEN.findall(_STRETCHED.sub(r"\1", fold(text)))


def patterns(sources: list[str]) -> re.Pattern[str]:
    """Return one pattern that finds any of `sources` in folded text."""
    return re.compile("|".join(f"(?:{without_accents(source)})" for source in sources))


def is_latin(text: str) -> bool:
    """Return whether every letter of `text` is of the Latin script, so that other scripts need not be searched."""
    return text.isascii() or not _OTHER_SCRIPTS.search(text)


_OTHER_SCRIPTS = re.compile("[\u0370-\u1dff\u3040-\ud7ff]")


@cache
def load(name: str) -> dict[str, Any]:
    """Return one of the data files beside this package."""
    return tomllib.loads(files("agents").joinpath("data", name).read_text(encoding="utf-8"))
