"""Memories cut into sentences that can be quoted: no greetings, no questions, nothing twice."""

from __future__ import annotations

import re
from collections.abc import Iterable

from agents.phrases import phrases, small_talk
from agents.words import fold, tokens

_END = re.compile(
    r"(?<=[\U0001f300-\U0001faff])\s+(?=[A-ZÀ-Þ¿¡])|(?<=[.!?…])[\"'”»)]*\s+(?=[\"'“«¿¡(A-ZÀ-ÞŁŚŻ0-9\u0400-\u042f\u2190-\U0001faff-])|(?<=[。!?])|\n+"
)
_NOT_AN_END = re.compile(
    r"\b(?:[A-Z]|sra?|dr|dra|mr|mrs|ms|st|sta|av|avda|ed|tel|n[ºo°]|z\.\s?b|bzw|ca|etc|p\.\s?ex|aprox|min|max|art)\.$",
    re.I,
)
_VOCATIVE = re.compile(r"^[¡\s]*([^\W\d_]+(?:\s+[^\W\d_]+){0,4})\s*[,!.…:;)\u2190-\U0001faff]+\s*")
_PLACEHOLDER = re.compile(r"<[^<>]{3,40}>|\((?:file|archivo|arquivo|fichier|datei) [^()]*\)", re.I)
_QUESTION = re.compile(r"[?¿؟？]")
_MARKDOWN = re.compile(r"^\s*(?:#{1,6}\s+|[-*+]\s+|\d{1,2}[.)]\s+|>\s*)")

LONGEST = 320
"""A sentence longer than this is no sentence to quote in a chat."""


def sentences(text: str) -> list[str]:
    """Return the sentences of `text`, in order."""
    found: list[str] = []
    for piece in _END.split(text):
        piece = _MARKDOWN.sub("", piece).strip()
        if not piece:
            continue
        is_decoration = not any(character.isalnum() for character in piece)
        if found and (is_decoration or _NOT_AN_END.search(found[-1])):
            found[-1] = f"{found[-1]} {piece}"
        else:
            found.append(piece)
    return found


def quotable(text: str, language: str) -> list[str]:
    """Return the sentences that say something: without the greeting at their head, questions and small talk."""
    kept = []
    for sentence in sentences(text):
        sentence = without_greeting(_PLACEHOLDER.sub("", sentence).strip(), language)
        if not sentence or is_question(sentence) or len(sentence) > LONGEST or small_talk(sentence, language):
            continue
        if any(character.isalnum() for character in sentence):
            kept.append(sentence)
    return kept


def without_greeting(sentence: str, language: str) -> str:
    """Return `sentence` without the "Hello Ana," that was for somebody else."""
    for _ in range(2):
        found = _VOCATIVE.match(sentence)
        if not found or not (small_talk(found[1], language) or _is_greeting_to(found[1], language)):
            break
        rest = sentence[found.end() :].strip()
        sentence = rest[:1].upper() + rest[1:]
    return sentence


def is_question(sentence: str) -> bool:
    """Return whether a sentence asks."""
    return _QUESTION.search(sentence) is not None


def is_repeat(sentence: str, said: Iterable[str]) -> bool:
    """Return whether `sentence` says in nearly the same words what was said already."""
    words = frozenset(tokens(sentence))
    for other in said:
        others = frozenset(tokens(other))
        if fold(sentence) == fold(other) or (words and len(words & others) / len(words | others) > 0.7):
            return True
        if words and len(words) >= 4 and words <= others:
            return True
    return False


def _is_greeting_to(opening: str, language: str) -> bool:
    """Return whether an opening is a greeting followed by a name or a pet name: "Hola Lucía", "hola mi niña"."""
    words = tuple(tokens(opening))
    heard = phrases(language).heard
    return any(heard.get(words[:size]) == "greeting" and len(words) - size <= 2 for size in (3, 2, 1))
