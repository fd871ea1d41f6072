"""Finding what an offline answer is made of: the persona's own sentences, and what this person told it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from agents.asking import Asked, asked, in_other_words
from agents.evidence import Quote, is_recipe, quotes
from agents.phrases import phrases
from agents.reading import Reading
from agents.sentences import quotable
from agents.turn import Turn
from agents.words import fold
from knowledge.recall import Recall, Recalled

OWN_KINDS = frozenset(("said", "document", "fact", "note", "correction"))
_WRITTEN_DOWN = frozenset(("fact", "note", "correction"))
_LIMIT = 10
_SURE = 0.9
_TOLD_ENOUGH = 0.5
_MOST_TOLD = 4


@dataclass(frozen=True, slots=True)
class Search:
    """One search that was made, for the trace."""

    question: str
    kinds: tuple[str, ...]
    found: tuple[Recalled, ...]


@dataclass(slots=True)
class Findings:
    """What was found for one turn: the person's own tellings, and the persona's sentences with their support.

    Where several questions were asked, `parts` hold what was found for each.
    """

    asked: Asked | None = None
    quotes: list[Quote] = field(default_factory=list)
    told: list[Recalled] = field(default_factory=list)
    searches: list[Search] = field(default_factory=list)
    parts: list[Findings] = field(default_factory=list)

    @property
    def memories(self) -> list[Recalled]:
        """Every memory that was found, once, in the order of the searches."""
        return list({hit.memory_id: hit for search in self.searches for hit in search.found}.values())


async def find(recall: Recall, turn: Turn, reading: Reading, language: str) -> Findings:
    """Search the memories for what a turn wants."""
    findings = Findings()
    if reading.aim in ("you_told", "mine", "know_me"):
        await _find_told(recall, turn, reading, language, findings)
    if reading.several:
        for question in reading.several:
            part = Findings()
            await _find_own(recall, turn, replace(reading, question=question), language, part)
            findings.parts.append(part)
            findings.searches += part.searches
            findings.quotes += part.quotes
    elif reading.aim in ("question", "mine", "more", "told"):
        await _find_own(recall, turn, reading, language, findings)
    return findings


def names_of(turn: Turn) -> tuple[str, ...]:
    """Return the names of the two who talk, which say nothing in a question."""
    return tuple(filter(None, (turn.persona.name, turn.person_name)))


async def _find_own(recall: Recall, turn: Turn, reading: Reading, language: str, findings: Findings) -> None:
    names = names_of(turn)
    question = asked(
        reading.question, language, names=names, kin=phrases(language).kin, is_brand=turn.persona.kind == "brand"
    )
    findings.asked = question

    async def look(words: str, limit: int) -> None:
        hits = await recall.recall(turn.viewer, words, limit=limit, kinds=OWN_KINDS, names=names, now=turn.now)
        findings.searches.append(Search(words, tuple(sorted(OWN_KINDS)), tuple(hits)))
        findings.quotes = quotes(question, [hit for hit in findings.memories if is_quotable(hit, turn)])

    await look(reading.question, _LIMIT)
    best = findings.quotes[0] if findings.quotes else None
    # A sentence in another language is given only when none in the language of the question is as good.
    is_sure = best is not None and best.support >= _SURE and best.memory.language in ("", language)
    if is_sure and question.wanted == "how":
        is_sure = best is not None and is_recipe(best.memory)
    other_words = in_other_words(question, (language, *turn.persona.languages, *_written_in(turn)))
    if question.has_topic and other_words and not is_sure:
        await look(other_words, _LIMIT)


async def _find_told(recall: Recall, turn: Turn, reading: Reading, language: str, findings: Findings) -> None:
    person = turn.viewer.person_id
    if person is None or turn.is_group:
        return
    words = "" if reading.aim == "know_me" else reading.question
    hits = await recall.recall(
        turn.viewer,
        words,
        limit=_LIMIT,
        kinds=frozenset(("told",)),
        with_person=person,
        names=names_of(turn),
        now=turn.now,
    )
    findings.searches.append(Search(words, ("told",), tuple(hits)))
    if reading.aim == "know_me":
        findings.told = [hit for hit in hits if quotable(hit.text, hit.language or language)][:_MOST_TOLD]
        return
    question = asked(reading.question, language, names=names_of(turn), kin=frozenset())
    if question.has_topic:
        scored = quotes(question, hits)
        findings.told = [quote.memory for quote in scored if quote.support >= _TOLD_ENOUGH][:_MOST_TOLD]
    elif reading.aim == "you_told":
        findings.told = hits[:_MOST_TOLD]


def _written_in(turn: Turn) -> list[str]:
    """Return the languages the persona's style card counted."""
    counted = turn.persona.style.get("languages")
    return list(counted) if isinstance(counted, dict) else []


def is_quotable(memory: Recalled, turn: Turn) -> bool:
    """Return whether a memory is the persona's own to say: its words, or what its owner wrote down for it."""
    if memory.kind not in OWN_KINDS:
        return False
    if memory.is_own or memory.kind in _WRITTEN_DOWN:
        return True
    return memory.kind == "document" and (
        turn.persona.kind == "brand" or fold(memory.speaker) in ("", fold(turn.persona.name))
    )
