"""How much a text is worth remembering, before anything is known of it but its words."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from importlib.resources import files

from knowledge.importers.contract import Record
from knowledge.names import fold

_WORD = re.compile(r"[^\W_]+")
_LETTER = re.compile(r"[^\W\d_]")
_NUMBER = re.compile(r"\d")
_YEAR = re.compile(r"\b(?:1[89]|20)\d{2}\b")
_LAUGH = re.compile(r"(?:[hj]+[aeiou]*|k|rs|l+o+|x+d+|ш|х+а*|ㅋ|ㅎ|哈|w|ه|5)+", re.IGNORECASE)
_NAME = re.compile(r"(?<=[^.!?¡¿…\n] )[A-ZÁÉÍÓÚÑÇÂÊÔÃÕÀÈÌÒÙÄÖÜ][a-zà-ÿ]{2,}")
_STARTING_POINTS = {"documents": 0.45}
_POSTS = frozenset({"post", "profile", "thread_post", "reel", "archived_post"})


def importance(record: Record) -> float:
    """Return how much the words of a record are worth remembering, in 0..1."""
    text = record.text
    words = _WORD.findall(text)
    if not words or not _LETTER.search(text):
        return 0.01
    folded = [fold(word) for word in words[:60]]
    trivial, first_person = _lists()
    laughs = len(words) <= 4 and all(_LAUGH.fullmatch(word) or fold(word) in trivial for word in words)
    if laughs:
        return 0.02
    worth = _STARTING_POINTS.get(record.platform, 0.3 if record.activity in _POSTS else 0.12)
    worth += 0.3 * min(1.0, len(words) / 40)
    if first_person.intersection(folded):
        worth += 0.1
    if _YEAR.search(text):
        worth += 0.1
    elif _NUMBER.search(text):
        worth += 0.05
    if _NAME.search(text):
        worth += 0.08
    if text.rstrip().endswith(("?", "？", "؟")) and len(words) < 25:
        worth -= 0.15  # a question is hardly ever what somebody wants to find
    if len(words) < 4:
        worth *= 0.5
    return round(min(1.0, max(0.03, worth)), 3)


@cache
def _lists() -> tuple[frozenset[str], frozenset[str]]:
    source = files("knowledge.importers").joinpath("weighing.toml").read_text(encoding="utf-8")
    lists = tomllib.loads(source)
    trivial, first_person = (frozenset(map(fold, lists[name].split())) for name in ("trivial", "first_person"))
    return trivial, first_person
