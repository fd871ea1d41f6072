"""The guards at the door: what an answer may not say is taken out before anybody sees it."""

from __future__ import annotations

from dataclasses import dataclass

from agents.disclosure import statement
from agents.draft import Draft
from agents.guards import Guard, Surface, Verdict, honesty, links, personal_data, without_spans
from agents.work import Work

BUILT_IN: dict[str, Guard] = {
    "honesty": honesty.check,
    "personal_data": personal_data.check,
    "links": links.check,
}
"""The guards every answer passes; installed packages add more."""

REFUSED = 1.0
"""The score from which an answer without spans to cut is not sent at all."""


@dataclass(frozen=True, slots=True)
class Guarded:
    """A text after the guards, with the verdicts that were not clean."""

    text: str
    verdicts: dict[str, Verdict]
    is_replaced: bool = False


def guarded(text: str, draft: Draft, work: Work) -> Guarded:
    """Return `text` without what the guards found in it; a denial of being an AI is replaced by the truth."""
    surface = surface_of(draft, work)
    found: dict[str, Verdict] = {}
    for name, guard in (BUILT_IN | dict(work.guards)).items():
        verdict = guard(text, surface, work.turn.viewer)
        if not verdict.score:
            continue
        found[name] = verdict
        if name == "honesty" or (verdict.score >= REFUSED and not verdict.spans):
            return Guarded(_truth(work), found, is_replaced=True)
        text = without_spans(text, verdict.spans)
    return Guarded(text, found)


def surface_of(draft: Draft, work: Work) -> Surface:
    """Return what the guards need to know: above all the texts that an answer may draw on."""
    turn = work.turn
    own_words = [said.text for said in (*turn.history, *turn.messages) if not said.is_ours]
    known = (turn.persona.name, turn.persona.biography, turn.persona.description)
    shown = tuple(hit.text for hit in work.findings.memories)
    return Surface(
        side="answer",
        language=work.language,
        region=turn.region,
        persona_kind=turn.persona.kind,
        sources=(*draft.sources, *shown, *own_words, *known),
    )


def _truth(work: Work) -> str:
    return statement(work.turn.persona.kind, work.turn.persona.name, work.language)
