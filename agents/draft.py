"""What writes an answer, and the answer before the guards have seen it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from agents.turn import OnText, Reason, Step, Turn
from knowledge.recall import Recalled


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """An answer as it was written. `sources` are the texts of every memory that was shown to whoever wrote it."""

    text: str
    reason: Reason = "answered"
    engine: str = "offline"
    label: str = ""
    memory_ids: tuple[int, ...] = ()
    sources: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Brief:
    """What a writer is given besides the turn.

    `question` is the turn's messages as one text, with what they refer to; `found` are the memories recalled for it
    (some of them other people's words, marked so by `is_own`); `is_cautious`: the person may be trying to talk to
    the machine behind the persona, so fewer tools are lent.
    """

    turn: Turn
    language: str
    question: str
    found: Sequence[Recalled] = ()
    names: tuple[str, ...] = ()
    is_cautious: bool = False


class Writer(Protocol):
    """Writes answers with a chat model."""

    name: str

    async def write(self, brief: Brief, *, on_text: OnText | None = None) -> Draft:
        """Return the answer to `brief`; `on_text` hears the whole answer so far while it is written.

        Raises:
            ModelUnavailable: when the model did not answer in time, failed, or answered nothing that can be used.
            ModelRefused: when it declined.
        """

    async def close(self) -> None:
        """Release connections."""
