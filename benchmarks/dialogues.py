"""Conversations of our own making, with questions whose evidence is known: to fit the ranking and to measure recall.

Two people talk over some years in sessions. Each tells things about themselves; the other asks back, greets, and says
much that answers nothing. Several hands write: one plainly, one at length, one without accents, capitals and stops,
one with slips of the fingers.
"""

from __future__ import annotations

import random
import string
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from knowledge.names import fold

HELD_OUT = frozenset({"pet", "music", "teacher", "trip", "gift", "fear"})
"""Topics that the ranking is never fitted on."""

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
_FIRST = datetime(2019, 1, 5, 18, 0, tzinfo=UTC)
_PEOPLE = {
    "en": [("Rosalind", "Theo"), ("Mabel", "Hugh"), ("Ingrid", "Samuel"), ("Winifred", "Clara")],
    "es": [("Remedios", "Lucía"), ("Aurelia", "Tomás"), ("Consuelo", "Iván"), ("Matilde", "Noa")],
    "pt": [("Celeste", "Rui"), ("Ermelinda", "Joana"), ("Graça", "Tiago"), ("Odete", "Vera")],
}


@dataclass(frozen=True, slots=True)
class Turn:
    """One thing said. `is_own`: by the persona."""

    number: int
    session: int
    place: int
    speaker: str
    is_own: bool
    text: str
    context: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Asked:
    """A question and the numbers of the turns that answer it. `kind`: you, named, detail, when, plain, slips."""

    text: str
    kind: str
    topic: str
    evidence: frozenset[int]


@dataclass(frozen=True, slots=True)
class Dialogue:
    """A whole conversation of a persona with one other."""

    language: str
    persona: str
    other: str
    turns: tuple[Turn, ...]
    questions: tuple[Asked, ...]


def make_dialogue(language: str, seed: int, *, turns: int, topics: frozenset[str] | None = None) -> Dialogue:
    """Return a conversation of about `turns` turns. The same seed gives the same conversation."""
    return _Maker(language, random.Random(seed), seed, topics).make(turns)


@cache
def all_topics() -> frozenset[str]:
    """Return the names of the topics."""
    return frozenset(_stuff()["en"]["topics"])


@cache
def _stuff() -> dict[str, Any]:
    return tomllib.loads(Path(__file__).with_name("dialogues.toml").read_text(encoding="utf-8"))


class _Maker:
    def __init__(self, language: str, chance: random.Random, seed: int, topics: frozenset[str] | None) -> None:
        self.language, self.chance, self.stuff = language, chance, _stuff()[language]
        self.persona, self.other = _PEOPLE[language][seed % len(_PEOPLE[language])]
        hands = (_plainly, _at_length, _carelessly, _slipping)
        self.hands = {self.persona: chance.choice(hands), self.other: chance.choice(hands)}
        self.topics = sorted(topics if topics is not None else all_topics())
        self.turns: list[Turn] = []
        self.questions: list[Asked] = []
        self.session, self.place, self.at = 0, 0, _FIRST
        self.told: dict[tuple[str, str], list[int]] = {}

    def make(self, turns: int) -> Dialogue:
        # Each tells each topic a few times at most, so that what a question means stays clear.
        tellings = [(who, topic) for topic in self.topics for who in (self.persona, self.other)]
        self.chance.shuffle(tellings)
        sessions = max(len(tellings) // 3, turns // 24)
        gap = (NOW - _FIRST) / (sessions + 1)
        for number in range(sessions):
            self.session, self.place = number + 1, 0
            self.at = _FIRST + gap * (number + self.chance.random() * 0.8)
            due = -(-len(tellings) // (sessions - number))
            self._talk([tellings.pop() for _ in range(due)], turns // sessions)
        return Dialogue(self.language, self.persona, self.other, tuple(self.turns), tuple(self.questions))

    def _talk(self, tellings: list[tuple[str, str]], length: int) -> None:
        start = len(self.turns)
        first, second = self.chance.sample([self.persona, self.other], 2)
        self._say(first, "hello")
        self._say(second, "hello")
        for who, topic in tellings:
            for _ in range(self.chance.randint(0, 2)):
                self._chat()
            self._tell(who, topic)
        while len(self.turns) - start < length - 2:
            self._chat()
        self._say(first, "bye")
        self._say(second, "bye")

    def _chat(self) -> None:
        who = self.chance.choice([self.persona, self.other])
        if self.chance.random() < 0.45:
            topic = self.stuff["topics"][self.chance.choice(self.topics)]
            noise = _fill(self.chance.choice(topic["noise"]), self._slots())
            beside = self.chance.choice(["", "", *self.stuff["filler"]])
            self._add(who, f"{self.chance.choice(self.stuff['lead'])}{noise}. {beside}".strip())
        else:
            self._say(who, "filler")

    def _tell(self, who: str, name: str) -> None:
        topic, slots = self.stuff["topics"][name], self._slots()
        asker = self.other if who == self.persona else self.persona
        evidence: set[int] = set()
        how = self.chance.random()
        if how < 0.65:
            self._add(asker, _fill(self.chance.choice(topic["asks"]), slots))
        if 0.4 < how < 0.65:
            evidence.add(self._add(who, _fill(topic["brief"], slots)))
            if self.chance.random() < 0.4:
                self._say(asker, "filler")
                evidence.add(self._add(who, self._long(topic, slots)))
        else:
            evidence.add(self._add(who, self._long(topic, slots)))
        self._ask(who, name, topic, slots, frozenset(evidence))

    def _long(self, topic: dict[str, Any], slots: dict[str, str]) -> str:
        lead, tail = self.chance.choice(self.stuff["lead"]), self.chance.choice(self.stuff["tail"])
        told = _fill(self.chance.choice(topic["tells"]), slots)
        return f"{lead}{told[:1].lower() + told[1:] if lead else told}.{tail}"

    def _ask(self, who: str, name: str, topic: dict[str, Any], slots: dict[str, str], evidence: frozenset[int]) -> None:
        chosen = self.chance.choice
        self._ask_details(name, topic, slots, evidence)
        named = _fill(chosen(topic["named"]), slots | {"name": who})
        self.questions.append(Asked(named, "named", name, evidence))
        if who == self.persona:
            text = _fill(chosen(topic["you"]), slots)
            self.questions.append(Asked(text, "you", name, evidence))
            self.questions.append(Asked(fold(text), "plain", name, evidence))
            self.questions.append(Asked(_slipping(text, self.chance), "slips", name, evidence))
        if topic.get("is_event"):
            month, year = self.stuff["months"][self.at.month - 1], str(self.at.year)
            is_last_year = NOW - timedelta(days=330) < self.at
            form = "last_month" if is_last_year and self.chance.random() < 0.5 else "in_month"
            when = _fill(self.stuff[form], {"month": month, "year": year})
            text = _fill(chosen(topic["you"] if who == self.persona else topic["named"]), slots | {"name": who})
            self.questions.append(Asked(f"{text[:-1]} {when}?", "when", name, evidence))

    def _ask_details(self, name: str, topic: dict[str, Any], slots: dict[str, str], evidence: frozenset[int]) -> None:
        """Ask what only makes sense with the words that were used: every detail named was told."""
        told = fold(" ".join(self.turns[number].text for number in evidence))
        for template in topic["detail"]:
            named = [slot for _, slot, _, _ in string.Formatter().parse(template) if slot]
            if named and all(fold(slots[slot]) in told for slot in named):
                text = _fill(template, slots)
                self.questions.append(Asked(text, "detail", name, evidence))
                self.questions.append(Asked(_slipping(fold(text), self.chance), "slips", name, evidence))

    def _slots(self) -> dict[str, str]:
        return {name: self.chance.choice(values) for name, values in self.stuff["slots"].items()}

    def _say(self, who: str, what: str) -> None:
        other = self.other if who == self.persona else self.persona
        self._add(who, _fill(self.chance.choice(self.stuff[what]), {"me": who, "other": other}))

    def _add(self, who: str, text: str) -> int:
        text = self.hands[who](text[:1].upper() + text[1:], self.chance)
        context = self.turns[-1].text if self.turns and self.place else ""
        self.at += timedelta(seconds=self.chance.randint(10, 400))
        number = len(self.turns)
        self.turns.append(Turn(number, self.session, self.place, who, who == self.persona, text, context, self.at))
        self.place += 1
        return number


Hand = Callable[[str, random.Random], str]


def _plainly(text: str, chance: random.Random) -> str:
    return text


def _at_length(text: str, chance: random.Random) -> str:
    return text if chance.random() < 0.5 else f"{text} {chance.choice(('🙂', '❤️', '...', '!'))}"


def _carelessly(text: str, chance: random.Random) -> str:
    kept = fold(text) if chance.random() < 0.7 else text.lower()
    return kept.rstrip(".") if chance.random() < 0.8 else kept


def _slipping(text: str, chance: random.Random) -> str:
    """Swap, drop or double a letter in one long word of about five."""
    words = text.split(" ")
    long = [at for at, word in enumerate(words) if len(word.strip(string.punctuation)) > 4]
    for at in chance.sample(long, min(len(long), max(1, len(words) // 8))):
        word, place = words[at], chance.randint(1, len(words[at]) - 3)
        how = chance.random()
        if how < 0.35:
            word = word[:place] + word[place + 1] + word[place] + word[place + 2 :]
        elif how < 0.7:
            word = word[:place] + word[place + 1 :]
        else:
            word = word[:place] + word[place] + word[place:]
        words[at] = word
    return " ".join(words)


def _fill(template: str, slots: dict[str, str]) -> str:
    return template.format_map(slots)
