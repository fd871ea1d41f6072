"""What Instagram itself writes into an export, its notices and the names of its fields, in many languages."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from knowledge.names import fold

_ANYBODY = r"[^\n]{1,60}?"
_MOST_NOTICE = 200
_KINDS = ("name", "username", "biography", "comment", "owner", "caption")


@dataclass(frozen=True, slots=True)
class Phrases:
    """The notices as one pattern, and the labels of fields, folded."""

    notice: re.Pattern[str]
    labels: Mapping[str, frozenset[str]]

    def is_notice(self, text: str) -> bool:
        """Return whether a message is one that nobody wrote."""
        return len(text) <= _MOST_NOTICE and bool(self.notice.fullmatch(fold(text).rstrip(". ")))

    def is_label(self, kind: str, label: str) -> bool:
        """Return whether a label names this kind of field."""
        return fold(label) in self.labels[kind]


@cache
def phrases() -> Phrases:
    """Return the phrases, read once."""
    source = files("knowledge.importers").joinpath("instagram_phrases.toml").read_text(encoding="utf-8")
    languages = tomllib.loads(source).values()
    notices = {fold_pattern(text) for language in languages for text in language["notice"]}
    labels = {kind: frozenset(fold(text) for language in languages for text in language[kind]) for kind in _KINDS}
    return Phrases(re.compile("|".join(sorted(notices))), labels)


def fold_pattern(text: str) -> str:
    """Return a notice as a pattern over folded text."""
    return fold(text).replace("{x}", _ANYBODY)
