"""What the nodes of the graph share about one turn, beside the graph's plain state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import JsonValue

from agents.draft import Draft, Writer
from agents.finding import Findings
from agents.guards import Guard
from agents.reading import Reading
from agents.turn import Alert, OnText, Step, Turn
from knowledge.clock import Clock
from knowledge.recall import Recall


@dataclass(slots=True, kw_only=True)
class Work:
    """One turn being answered. Lives as long as the turn; the graph carries it as its context."""

    turn: Turn
    recall: Recall
    clock: Clock
    guards: Mapping[str, Guard]
    writer: Writer | None = None
    on_text: OnText | None = None
    language: str = "en"
    reading: Reading = field(default_factory=lambda: Reading("question"))
    findings: Findings = field(default_factory=Findings)
    is_recall_lost: bool = False
    is_cautious: bool = False
    is_fixed: bool = False
    """Whether the words are ours and stay as they are: no guard may cut a helpline's number."""
    draft: Draft | None = None
    trace: list[Step] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)

    def note(self, name: str, summary: str, started: float, detail: dict[str, JsonValue] | None = None) -> None:
        """Record a step that began at `started` on the clock's monotonic scale."""
        duration_ms = round(1000 * (self.clock.monotonic() - started), 3)
        self.trace.append(Step(name=name, summary=summary, duration_ms=duration_ms, detail=detail or {}))
