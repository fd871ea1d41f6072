"""What a turn asks: small talk set aside, the question on its own, and what it refers to."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from agents.concepts import has_topic, without_rivals
from agents.guards.honesty import asks_whether_ai
from agents.phrases import SMALL_TALK, Phrases, phrases, small_talk
from agents.sentences import is_question
from agents.turn import Turn
from agents.words import fold, tokens

Aim = Literal["unheard", "identity", "small_talk", "question", "told", "you_told", "mine", "know_me", "more"]

_SENTENCE = re.compile(r"(?<=[.!?…;。!?])\s*|\n+")
_CLAUSE = re.compile(r"[,:–—]\s+")
_JOINS = frozenset(("and", "y", "e", "et", "und", "ed"))
_FEW = 5
_RECENT = 12
_MOST_QUESTIONS = 3
_WAVE = "👋"


@dataclass(frozen=True, slots=True)
class Reading:
    """What is wanted. `question` is what to look for in the memories; `asked` the person's words without small talk.

    `talk` is the small talk found (empty when there is none), `asks_ai` whether it is asked if this is an AI;
    `several` are the questions, where more than one was asked that can stand alone.
    """

    aim: Aim
    question: str = ""
    asked: str = ""
    talk: str = ""
    asks_ai: bool = False
    has_greeting: bool = False
    is_follow_up: bool = False
    several: tuple[str, ...] = ()


def read(turn: Turn, language: str) -> Reading:
    """Return what `turn` wants. Pure."""
    text = "\n".join(said.text.strip() for said in turn.messages if said.text.strip())
    if not text:
        return Reading("unheard")
    asks_ai = asks_whether_ai(text)
    talk, rest = _set_aside(text, language)
    greets = "greeting" in talk
    chief = next((kind for kind in SMALL_TALK if kind in talk), "")
    if asks_ai:
        rest = "\n".join(sentence for sentence in _sentences(rest) if not asks_whether_ai(sentence))
    if chief == "know_me":
        return Reading("know_me", asked=text, talk=chief, asks_ai=asks_ai, has_greeting=greets)
    before = _last_question(turn, language)
    if chief in ("more", "back") and not tokens(rest):
        if before:
            return Reading("more" if chief == "more" else "question", before, before, chief, asks_ai, greets)
        if asks_ai:
            return Reading("identity", talk=chief, asks_ai=True, has_greeting=greets)
        return Reading("small_talk", talk="how_are_you" if chief == "back" else "ack", has_greeting=greets)
    if not tokens(rest):
        aim: Aim = "identity" if asks_ai else "small_talk"
        greets = greets or _WAVE in text
        return Reading(aim, talk=chief or ("greeting" if greets else "ack"), asks_ai=asks_ai, has_greeting=greets)
    known = phrases(language)
    folded = fold(rest).lstrip("¿¡ ")
    told = known.told.search(folded)
    if told:
        return Reading("you_told", folded[told.end() :] or rest, rest, chief, asks_ai, greets)
    if chief == "back" or _asks(rest, folded, known):
        question, goes_on = _with_before(_questions(rest, language), before, turn, language)
        aim = "mine" if known.mine.search(folded) else "question"
        several = () if goes_on or aim == "mine" else _several(rest, language)
        return Reading(aim, question, rest, chief, asks_ai, greets, is_follow_up=goes_on, several=several)
    return Reading("told", rest, rest, chief, asks_ai, greets)


def _set_aside(text: str, language: str) -> tuple[set[str], str]:
    """Return the small talk of a text and what is left of it."""
    talk: set[str] = set()
    left: list[str] = []
    for sentence in _sentences(text):
        if kind := small_talk(sentence, language):
            talk.add(kind)
            continue
        clauses = _CLAUSE.split(sentence)
        while len(clauses) > 1 and (kind := small_talk(clauses[0], language)):
            talk.add(kind)
            clauses.pop(0)
        while len(clauses) > 1 and (kind := small_talk(clauses[-1], language)):
            talk.add(kind)
            clauses.pop()
        kin = phrases(language).kin
        while len(clauses) > 1 and set(tokens(clauses[-1])) <= kin:
            clauses.pop()
        while len(clauses) > 1 and set(tokens(clauses[0])) <= kin:
            clauses.pop(0)
        rest = ", ".join(clauses)
        if is_question(sentence) and "?" not in rest:
            rest += "?"
        left.append(_without_greeting(rest, language, talk))
    return talk, "\n".join(filter(None, left)).strip()


def _without_greeting(sentence: str, language: str, talk: set[str]) -> str:
    """Return "what did you cook?" of "hola abuela what did you cook?", where nothing parts the greeting."""
    words = sentence.split()
    kin = phrases(language).kin
    for size in range(min(4, len(words) - 1), 0, -1):
        if phrases(language).heard.get(tuple(tokens(" ".join(words[:size])))) == "greeting":
            talk.add("greeting")
            rest = words[size:]
            while len(rest) > 1 and set(tokens(rest[0])) <= kin:
                rest = rest[1:]
            return " ".join(rest)
    return sentence


def _asks(rest: str, folded: str, known: Phrases) -> bool:
    if is_question(rest) or known.imperative.search(folded):
        return True
    return known.question.match(folded) is not None


def _questions(rest: str, language: str) -> str:
    """Return what is asked without what is told around it, when the question can stand alone."""
    asked = " ".join(_asking(rest, language))
    return asked if has_topic(asked, language) else rest


def _several(rest: str, language: str) -> tuple[str, ...]:
    """Return the questions of a text one by one, nothing when there is but one or when one leans on another."""
    found = _asking(rest, language)
    stand_alone = 1 < len(found) <= _MOST_QUESTIONS and all(has_topic(question, language) for question in found)
    return tuple(found) if stand_alone and not any(tokens(question)[0] in _JOINS for question in found) else ()


def _asking(rest: str, language: str) -> list[str]:
    known = phrases(language)
    return [sentence for sentence in _sentences(rest) if _asks(sentence, fold(sentence).lstrip("¿¡ "), known)]


def _with_before(asked: str, before: str, turn: Turn, language: str) -> tuple[str, bool]:
    """Return a short question together with what it goes on from ("and grandpa?", "why?"), and whether it does."""
    words = tokens(asked)
    quoted = " ".join(said.quoted for said in turn.messages if said.quoted)
    if quoted and len(words) <= _FEW and not has_topic(asked, language):
        return f"{asked} {quoted}", False
    goes_on = words[0] in _JOINS and len(words) <= _FEW
    if before and (goes_on or len(words) <= 1):
        return f"{asked} {without_rivals(before, asked, language)}", True
    return asked, False


def _last_question(turn: Turn, language: str) -> str:
    """Return the last thing this person asked or told before this turn that was more than small talk."""
    for said in reversed(turn.history[-_RECENT:]):
        if said.is_ours or not said.text.strip():
            continue
        _, rest = _set_aside(said.text, language)
        if len(tokens(rest)) > 1:
            return rest
    return ""


def _sentences(text: str) -> list[str]:
    return [sentence.strip() for sentence in _SENTENCE.split(text) if sentence.strip()]
