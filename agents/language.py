"""In which language a turn is answered: that of the question, else the one last used, else the persona's first."""

from __future__ import annotations

import re

from agents.phrases import SIX, languages_of_small_talk
from agents.turn import Turn
from agents.words import is_latin, tokens
from knowledge.language import identify
from knowledge.languages import guess_languages

_FEW_WORDS = 3
# Letters and marks that only one of the six has; "penses-tu": nobody else hangs pronouns on verbs like this.
_HINTS = (
    ("es", re.compile("[¿¡ñ]", re.IGNORECASE)),
    ("pt", re.compile(r"[ãõ]|ç(?:ão|ões)|\w[nl]h[aeo]|\b(?:têm|vendem|fazem|abrem|aceitam|custa)\b", re.IGNORECASE)),
    ("fr", re.compile(r"\w-(?:tu|vous|t-il|t-elle|moi)\b|\bqu['’]|\w \?", re.IGNORECASE)),
    ("de", re.compile("ß")),
)


def language_of(turn: Turn) -> str:
    """Return the language to answer `turn` in, as ISO 639-1."""
    text = "\n".join(said.text for said in turn.messages)
    known = [turn.language or "", *turn.persona.languages]
    is_short = len(tokens(text)) <= _FEW_WORDS
    found = identify(text)
    likely = languages_of_small_talk(text) if is_short else ()
    if not likely:
        if found and (found in known or not is_short or not is_latin(text)):
            return found
        likely = next(((code,) for code, hint in _HINTS if hint.search(text)), _of_small_words(text))
    for code in (*known, *SIX):
        if code in likely:
            return code
    if found in SIX:
        return found
    if turn.language:
        return turn.language
    for said in reversed(turn.history):
        if not said.is_ours and (earlier := identify(said.text)):
            return earlier
    return next((code for code in known if code), found or "en")


def _of_small_words(text: str) -> tuple[str, ...]:
    """Return the languages whose small words stand most in `text`; none when that says nothing."""
    guessed = guess_languages(tokens(text))
    return guessed if len(guessed) < len(SIX) else ()


def usable(turn: Turn, language: str) -> str:
    """Return the language our own phrases stand in: `language` when we speak it, else one that both may know."""
    if language in SIX:
        return language
    return next((code for code in (_RELATED.get(language), turn.language) if code in SIX), "en")


_RELATED = {"ca": "es", "gl": "es", "ast": "es", "oc": "fr"}
