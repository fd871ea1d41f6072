"""The marks a model puts into its answer, such as [m3]: taken out before anybody sees them, and led back to memories.

Also what some models leave in by mistake: their thinking, the name in front, quotation marks around it all.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from agents.words import tokens
from knowledge.recall import Recalled

_ONE = r"(?:none|(?:memory\s*)?m?\s*\d+)"
_MANY = rf"{_ONE}(?:\s*[,;/&+–-]\s*{_ONE})*"
# In round brackets a bare number may well be meant: "it was 3 (three) degrees, in May (5)".
_MARK = re.compile(
    rf"[ \t]*(?:[\[【]\s*{_MANY}\s*[\]】]|\(\s*(?:none|m\s*\d+|memory\s*m?\s*\d+)(?:\s*[,;/&+]\s*{_ONE})*\s*\))",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"\d+")
_NONE = re.compile(r"\bnone\b", re.IGNORECASE)
_THOUGHT = re.compile(r"<(think|thinking|reasoning|tool_call)>.*?(?:</\1>|\Z)", re.IGNORECASE | re.DOTALL)
_THOUGHT_ENDED = re.compile(r"\A.*</think(?:ing)?>", re.IGNORECASE | re.DOTALL)
_UNFINISHED = re.compile(r"[ \t]*(?:[\[【(][^\]】)\n]{0,40}|<[a-z_/]{0,12})\Z", re.IGNORECASE)
_QUOTED = re.compile(r"\A[\"“«„](?P<inside>[^\"“”«»„]*)[\"”»“]\Z")
_ENOUGH_WORDS = 3
_MOST_GUESSED = 3
_SHORTEST_WORD = 5


@dataclass(frozen=True, slots=True)
class Cited:
    """An answer without its marks, the memories they named, and whether it was marked as not remembered."""

    text: str
    memory_ids: tuple[int, ...]
    is_unknown: bool


def plain(text: str, *, speaker: str = "", is_whole: bool = True) -> str:
    """Return what people may read of `text`. Of one still being written, nothing that may become a mark is shown."""
    text = _THOUGHT_ENDED.sub("", _THOUGHT.sub("", text))
    text = _MARK.sub("", text)
    if not is_whole:
        text = _UNFINISHED.sub("", text)
    text = text.strip()
    head = f"{speaker}:".casefold()
    if speaker and text.casefold().startswith(head):
        text = text[len(head) :].lstrip()
    elif speaker and not is_whole and head.startswith(text.casefold()):
        text = ""
    quoted = _QUOTED.match(text) if is_whole else None
    return quoted["inside"].strip() if quoted else text


def cited(text: str, memories: Sequence[Recalled], *, speaker: str = "") -> Cited:
    """Return the answer and what it draws on: `memories` stand in the order of their numbers, from 1 on.

    Marks of memories that were not shown count for nothing. A model that marks nothing is helped: the memories whose
    words the answer repeats are taken for its sources.
    """
    marks = _MARK.findall(_THOUGHT_ENDED.sub("", _THOUGHT.sub("", text)))
    numbers = [int(number) for mark in marks for number in _NUMBER.findall(mark)]
    named = [memories[number - 1].memory_id for number in numbers if 0 < number <= len(memories)]
    is_unknown = any(_NONE.search(mark) for mark in marks)
    words = plain(text, speaker=speaker)
    if not named and not is_unknown:
        named = _repeated(words, memories)
    return Cited(words, tuple(dict.fromkeys(named)), is_unknown)


def _repeated(text: str, memories: Sequence[Recalled]) -> list[int]:
    said = _telling(text)
    shared = [(len(said & _telling(memory.text)), memory.memory_id) for memory in memories]
    shared.sort(key=lambda pair: -pair[0])
    return [memory_id for count, memory_id in shared[:_MOST_GUESSED] if count >= _ENOUGH_WORDS]


def _telling(text: str) -> set[str]:
    return {word for word in tokens(text) if len(word) >= _SHORTEST_WORD or word.isdigit()}
