"""Prompt injection: words meant for the machine behind the persona. They raise caution, never the only defence."""

from __future__ import annotations

import re
from functools import cache

from agents.guards.verdict import Surface, Verdict
from agents.words import fold, load, patterns
from knowledge.viewer import Viewer

_HIDDEN = re.compile("[​-‏‪-‮⁠-⁤\U000e0000-\U000e007f]")
_JOINERS = re.compile("(?<=[☀-➿️\U0001f000-\U0001faff])‍(?=[☀-➿\U0001f000-\U0001faff])")


def check(text: str, surface: Surface, viewer: Viewer) -> Verdict:
    """Return 1 for words that only serve to take over, 0.5 for words that also appear in ordinary talk."""
    folded = fold(_HIDDEN.sub("", text))
    sure, maybe = _lexicon()
    if sure.search(folded):
        return Verdict(score=1.0, reasons=("injection",))
    if len(_HIDDEN.findall(_JOINERS.sub("", text))) > 8:
        return Verdict(score=1.0, reasons=("injection:hidden_characters",))
    if maybe.search(folded):
        return Verdict(score=0.5, reasons=("injection:maybe",))
    return Verdict()


@cache
def _lexicon() -> tuple[re.Pattern[str], re.Pattern[str]]:
    words = load("injection.toml")
    return patterns(words["sure"]), patterns(words["maybe"])
