"""Words made comparable: folded, cut into tokens, stripped of endings, weighed."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from functools import lru_cache
from importlib.resources import files
from typing import Any

_MARKS = re.compile("[̀-ͯ]+")
_APOSTROPHES = re.compile("['’‘ʼ`´]")
_TOKEN = re.compile(r"[^\W_]+")
_STROKES = str.maketrans({"ł": "l", "Ł": "l", "ø": "o", "Ø": "o", "đ": "d", "Đ": "d", "ς": "σ"})
_STRETCHED = re.compile(r"(\w)\1{2,}")

SIX = ("en", "es", "pt", "fr", "de", "it")
"""The languages this product speaks by itself."""


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


@lru_cache(maxsize=65536)
def stem(word: str) -> str:
    """Return `word` without the ending that number, gender, person and tense give it. Rough, the same on both sides."""
    if word.isdigit() or len(word) < 4 or not word.isascii():
        return word
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return _undouble(word[: -len(ending)])
    return word


def load(name: str) -> dict[str, Any]:
    """Return one of the data files beside this package."""
    return tomllib.loads(files("agents").joinpath("data", name).read_text(encoding="utf-8"))


def _undouble(word: str) -> str:
    return word[:-1] if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "aeiou" else word


# Endings of the six languages together, longest first: a wrong cut is the same wrong cut in the question and the memory.
_ENDINGS = tuple(
    sorted(
        """ing ed ies es s ly er y
        aciones acion amiento mente abamos ibamos aramos ieron aron aste iste aban abas aba ian ias ia ando iendo endo indo
        amos emos imos ado ada ados adas ido ida idos idas ar er ir as es os is an en o a e i u ava avam avas iam aste este
        ou ei eu iu ao oes coes zinho zinha inho inha ito ita itos itas cito cita ues
        ais ait aient ons ez ent ions iez ee ees ement eux euse euses tion tions
        te ten test st en er em es est ung ungen lich chen lein
        avo avi ava avano evo evi eva evano ivo iva ivano ato ata ati ate uto uta uti ute ito ita iti ite are ere ire ando endo
        iamo ate ete ite ino ina ini ine etto etta ucci zione zioni issimo issima""".split(),
        key=len,
        reverse=True,
    )
)
