"""What WhatsApp itself writes into an exported chat, in every language known here."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files

MARKS = "\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff"
_MARKS = re.compile(f"[{MARKS}]")
_FIRST_LETTERS = 4
_BLANKS = re.compile(r"[\u00a0\u202f\u2009]")


@dataclass(slots=True)
class Phrases:
    """The phrases of all languages, normalised; each maps to the languages that use it."""

    deleted: dict[str, set[str]] = field(default_factory=dict)
    edited: dict[str, set[str]] = field(default_factory=dict)
    omitted: dict[str, set[str]] = field(default_factory=dict)
    attached: dict[str, set[str]] = field(default_factory=dict)
    poll: dict[str, set[str]] = field(default_factory=dict)
    notice: dict[str, set[str]] = field(default_factory=dict)
    call: dict[str, set[str]] = field(default_factory=dict)
    encrypted: tuple[str, ...] = ()
    starts: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """The calls by their first letters: every short message is compared with them."""

    def is_call(self, plain: str) -> bool:
        """Return whether a normalised text stands for a call, perhaps with a time behind it."""
        for phrase in self.starts.get(plain[:_FIRST_LETTERS], ()):
            if plain.startswith(phrase) and len(plain) < len(phrase) + 20:
                return True
        return False

    def languages_of_line(self, line: str) -> set[str]:
        """Return the languages in which WhatsApp could have written this line."""
        plain = normal(line)
        found = set[str]()
        for phrases in (self.deleted, self.omitted):
            found |= phrases.get(plain.strip("<>"), set())
        for phrase, languages in self.notice.items():
            if phrase in plain:
                found |= languages
        bracketed = plain.rpartition("(")[2].rstrip(")")
        return found | self.attached.get(bracketed, set())


def normal(text: str) -> str:
    """Return a phrase as it is compared: without marks of direction, case, and a full stop at the end."""
    return _BLANKS.sub(" ", _MARKS.sub("", text)).strip().rstrip(".。").casefold()


def without_marks(text: str) -> str:
    """Return a text without the marks of direction that exports put into it."""
    return _MARKS.sub("", text)


@cache
def phrases() -> Phrases:
    """Return the phrases, read once."""
    source = files("knowledge.importers").joinpath("whatsapp_phrases.toml").read_text(encoding="utf-8")
    found = Phrases()
    encrypted: list[str] = []
    for language, kinds in tomllib.loads(source).items():
        for kind, texts in kinds.items():
            for text in texts:
                getattr(found, kind).setdefault(normal(text), set()).add(language)
        encrypted.append(normal(kinds["notice"][0]))
    found.encrypted = tuple(encrypted)
    for phrase in found.call:
        first = phrase[:_FIRST_LETTERS]
        found.starts[first] = (*found.starts.get(first, ()), phrase)
    return found
