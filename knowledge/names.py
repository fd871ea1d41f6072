"""Names as people write them: compared without case and accents, and as slugs for addresses."""

from __future__ import annotations

import re
import unicodedata

_LETTERS = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ı": "i"})


def fold(name: str) -> str:
    """Return `name` as it is compared: no case, no accents, single spaces."""
    decomposed = unicodedata.normalize("NFKD", name.casefold())
    bare = "".join(letter for letter in decomposed if not unicodedata.combining(letter))
    return " ".join(bare.split())


def slug_of(name: str, *, fallback: str = "memora") -> str:
    """Return `name` for an address: small ASCII letters, digits and hyphens; `fallback` when nothing is left of it."""
    plain = fold(name).translate(_LETTERS)
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:48].strip("-") or fallback
