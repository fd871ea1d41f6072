"""Whose export it is: the author who is the persona, among all who wrote in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from knowledge.importers.contract import Question, ReadOptions
from knowledge.names import fold

_MOST_CHOICES = 40


@dataclass(slots=True)
class Authors:
    """Everyone who wrote: how often, and in how many of the conversations."""

    messages: Counter[str] = field(default_factory=Counter)
    threads: Counter[str] = field(default_factory=Counter)
    thread_count: int = 0

    def add(self, counts: Counter[str]) -> None:
        """Add the authors of one conversation."""
        self.messages.update(counts)
        self.threads.update(counts.keys())
        self.thread_count += 1


def owners_among(authors: Authors, options: ReadOptions, *, known: Iterable[str] = ()) -> list[str]:
    """Return the names under which the owner wrote, the most frequent first; empty when it cannot be told.

    `known` are the names that the export itself gives its owner.
    """
    for names in (options.owner_names, tuple(known)):
        found = [name for wanted in names for name in _matching(authors, wanted)]
        if found:
            return sorted(set(found), key=lambda name: (-authors.messages[name], name))
    if options.owner_names:
        return []  # the person named someone who is not here; guessing now would be wrong
    for wanted in options.persona_names:
        found = _matching(authors, wanted)
        if len(found) == 1:
            return found
    everywhere = [name for name, count in authors.threads.items() if count == authors.thread_count]
    if authors.thread_count > 1 and len(everywhere) == 1:
        return everywhere
    return []


def ask_for_owner(authors: Authors, options: ReadOptions) -> Question:
    """Return the question whose words the persona's are."""
    text = "Whose words are the persona's own? Choose the name, and start the import again."
    if options.owner_names:
        text = "The owner's name that was given is not in this import. " + text
    return Question(option="owner_names", text=text, choices=tuple(authors.messages.most_common(_MOST_CHOICES)))


def _matching(authors: Authors, wanted: str) -> list[str]:
    exact = [name for name in authors.messages if fold(name) == fold(wanted)]
    if exact:
        return exact
    words = _words(wanted)
    if not words:
        return []
    near = [name for name in authors.messages if _is_part(words, _words(name)) or _is_part(_words(name), words)]
    return near if len(near) == 1 else []


def _words(name: str) -> Sequence[str]:
    return [word for word in fold(name).replace(".", " ").split() if word]


def _is_part(few: Sequence[str], many: Sequence[str]) -> bool:
    return bool(few) and set(few) <= set(many)
