"""What an answer is made of, and what comes back: plain data, free of platforms."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol

from pydantic import JsonValue

from knowledge.viewer import Viewer

Reason = Literal[
    "answered",
    "small_talk",
    "identity",
    "not_remembered",
    "refused",
    "crisis",
    "unheard",
    "apology",
    "closed",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One message of the conversation, reduced to what an answer needs.

    `media` names what came without words ("voice", "image", ...); `text` then holds its caption or transcript.
    """

    text: str
    is_ours: bool
    at: datetime
    message_id: int | None = None
    media: tuple[str, ...] = ()
    quoted: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonaCard:
    """Who answers. `kind` is brand, self, memorial or fictional. Profile texts are those this viewer may read."""

    id: str
    name: str
    kind: str
    languages: tuple[str, ...] = ()
    timezone: str = "UTC"
    biography: str = ""
    description: str = ""
    style: dict[str, JsonValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One answer to be made: `messages` are answered together, `history` came before, oldest first."""

    id: str
    persona: PersonaCard
    viewer: Viewer
    conversation_id: str
    messages: tuple[Said, ...]
    history: tuple[Said, ...] = ()
    person_name: str = ""
    language: str | None = None
    """The language this person last used, as ISO 639-1, None when unknown."""
    is_disclosure_due: bool = False
    is_group: bool = False
    now: datetime
    region: str | None = None
    max_characters: int = 4000


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of the trace: what a node did, found and cost. `detail` is plain JSON and never a secret."""

    name: str
    summary: str
    duration_ms: float
    detail: dict[str, JsonValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """Something the operators should be told about this turn."""

    kind: Literal["crisis", "model_unavailable", "guard", "poisoned"]
    summary: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What goes back to the person.

    `text` is CommonMark in the persona's words; `disclosure` is put before it as a message part of its own.
    `engine` is "offline" or "model:<name>"; an offline answer carries a `label` that is shown beside it.
    """

    text: str
    language: str
    reason: Reason
    engine: str
    disclosure: str = ""
    label: str = ""
    memory_ids: tuple[int, ...] = ()
    trace: tuple[Step, ...] = ()
    alerts: tuple[Alert, ...] = ()
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float = 0.0


OnText = Callable[[str], Awaitable[None]]
"""Called with the whole answer so far while a model writes it."""


class Answerer(Protocol):
    """Makes answers; the graph behind it is built once."""

    async def answer(self, turn: Turn, *, on_text: OnText | None = None) -> Answer:
        """Return the answer to `turn`. A failing model never reaches the caller: the offline answerer takes over."""

    def apology(self, turn: Turn) -> Answer:
        """Return a short apology in the person's language, for a message that could not be answered. Pure."""

    def closed_door(self, turn: Turn) -> Answer:
        """Return the polite word of a private persona to somebody it does not know. Pure; reads no memory."""
