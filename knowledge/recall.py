"""Recall: from a question and a viewer to the memories that answer it best."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from knowledge.viewer import Viewer


@dataclass(frozen=True, slots=True, kw_only=True)
class Recalled:
    """One memory that was found. `score` falls from the best hit on, in 0..1; `features` say why it was found."""

    memory_id: int
    text: str
    kind: str
    speaker: str
    is_own: bool
    context: str
    language: str
    happened_at: datetime | None
    session: str
    source_id: str | None
    source_name: str
    score: float
    features: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """A stretch of time, both ends inclusive, aware; None leaves that end open."""

    since: datetime | None = None
    until: datetime | None = None


class Recall(Protocol):
    """Finds memories. Every call takes the viewer, and nothing the viewer may not see is read."""

    async def recall(
        self,
        viewer: Viewer,
        question: str,
        *,
        limit: int = 8,
        during: Period | None = None,
        own_only: bool = False,
        kinds: frozenset[str] | None = None,
        with_person: str | None = None,
        names: tuple[str, ...] = (),
        now: datetime | None = None,
    ) -> list[Recalled]:
        """Return the memories that best answer `question`, best first.

        `own_only` keeps what the persona itself said or wrote; `with_person` keeps what was said in conversations
        with that person id; `names` are the participants' names, masked in the question before searching.
        """
