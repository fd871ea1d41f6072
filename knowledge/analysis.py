"""A memory as words: the stems of its text and of what it answers, as both indexes of words hold them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from knowledge.index import IndexedMemory
from knowledge.languages import guess_languages, languages, plain, stems
from knowledge.words import WordsDocument

_READ_TO_GUESS = 400
_TEXTS_KEPT = 4


@dataclass(frozen=True, slots=True)
class Analysed:
    """A memory and the stems of its words; whom and what it is about stands among them."""

    memory: IndexedMemory
    language: str
    words: list[str]
    context: list[str]


def analyse(memories: Iterable[IndexedMemory]) -> Iterator[Analysed]:
    """Yield the memories with their stems."""
    # In a conversation the context of a turn is the text of the turn before: it is stemmed once.
    earlier: deque[tuple[str, str, list[str]]] = deque(maxlen=_TEXTS_KEPT)
    for memory in memories:
        language = memory.language if memory.language in languages() else _guess(memory.text)
        own = stems(memory.text, language)
        context = next((known for text, code, known in earlier if (text, code) == (memory.context, language)), None)
        if context is None:
            context = stems(memory.context, language) if memory.context else []
        earlier.append((memory.text, language, own))
        about = " ".join([memory.subject, *memory.mentions, "" if memory.is_own else memory.speaker]).strip()
        yield Analysed(memory, language, own + stems(about, language) if about else own, context)


def documents(memories: Iterable[IndexedMemory]) -> Iterator[WordsDocument]:
    """Yield the memories as the index of words wants them, with the tags that they can be filtered by."""
    for each in analyse(memories):
        memory, persona = each.memory, each.memory.persona_id
        tags = [persona, audience_tag(persona, memory.audience), kind_tag(persona, memory.kind)]
        if memory.is_own:
            tags.append(own_tag(persona))
        if memory.person:
            tags.append(person_tag(persona, memory.person))
        yield WordsDocument(memory.id, tuple(tags), each.words, each.context)


def audience_tag(persona_id: str, audience: str) -> str:
    """Return the tag of a persona's memories for one audience; the persona's id alone is the tag of all."""
    return f"{persona_id}|{audience}"


def kind_tag(persona_id: str, kind: str) -> str:
    """Return the tag of a persona's memories of one kind."""
    return f"{persona_id}#{kind}"


def own_tag(persona_id: str) -> str:
    """Return the tag of what a persona itself said or wrote."""
    return f"{persona_id}!"


def person_tag(persona_id: str, person_id: str) -> str:
    """Return the tag of what was said in conversations with one person."""
    return f"{persona_id}@{person_id}"


def _guess(text: str) -> str:
    return guess_languages(plain(text[:_READ_TO_GUESS]).split())[0]
