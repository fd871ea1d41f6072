"""What a guard reads and what it says."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Literal, Protocol, cast

from knowledge.viewer import Viewer

ENTRY_POINTS = "memoras.guards"
"""Installed packages add guards under this entry point group; each is a function like `check` below."""

Side = Literal["request", "answer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A stretch of the text that should not stand, and the name of what it is."""

    start: int
    end: int
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Surface:
    """Where the text stands. `sources` is what an answer may draw on: the memories used and the person's words."""

    side: Side
    language: str = "en"
    region: str | None = None
    persona_kind: str = "self"
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What one guard found: `score` from 0 (nothing) to 1 (sure), the spans it is about, and names of the reasons."""

    score: float = 0.0
    spans: tuple[Span, ...] = ()
    reasons: tuple[str, ...] = ()


class Guard(Protocol):
    """A guard."""

    def __call__(self, text: str, surface: Surface, viewer: Viewer) -> Verdict:
        """Return what is wrong with `text`. Pure, quick, and without any model."""


def installed_guards() -> dict[str, Guard]:
    """Return the guards that installed packages bring, by name."""
    return {point.name: cast(Guard, point.load()) for point in entry_points(group=ENTRY_POINTS)}


def without_spans(text: str, spans: Iterable[Span], replacement: str = "[…]") -> str:
    """Return `text` with the spans replaced; what overlaps is replaced once."""
    kept: list[str] = []
    at = 0
    for span in sorted(spans, key=lambda span: (span.start, -span.end)):
        if span.start >= at:
            kept += [text[at : span.start], replacement]
        at = max(at, span.end)
    return "".join([*kept, text[at:]])
