"""A small world for the agents: a persona whose memories lie in a real database, and turns spoken to it."""

from __future__ import annotations

import tomllib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from agents.turn import PersonaCard, Said, Turn
from knowledge.database import Database
from knowledge.engine import EmbeddedRecall
from knowledge.language import identify
from knowledge.memories import MemoryDraft, add_memories
from knowledge.rows import insert
from knowledge.tables import Persona, metadata
from knowledge.viewer import PUBLIC, Viewer, person_audience
from tests.fakes import FakeClock

WORLDS = Path(__file__).with_name("worlds")
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
ANA = "ana"


def sets(name: str) -> dict[str, Any]:
    """Return one of the fixed sets of sentences."""
    return tomllib.loads((Path(__file__).with_name("sets") / f"{name}.toml").read_text(encoding="utf-8"))


@dataclass
class World:
    """One persona with its memories, and the recall over them."""

    card: PersonaCard
    database: Database
    recall: EmbeddedRecall
    questions: dict[str, Any] = field(default_factory=dict)

    async def remember(self, text: str, **columns: Any) -> int:
        """Add one memory, public and the persona's own unless told otherwise; return its id."""
        draft = MemoryDraft(
            **{
                "persona_id": self.card.id,
                "natural_key": f"{columns.get('kind', 'said')}/{text}",
                "kind": "said",
                "text": text,
                "language": identify(text),
                "audience": PUBLIC,
                "speaker": self.card.name,
                "is_own": True,
                **columns,
            }
        )
        ids = await self.database.write(lambda c: add_memories(c, [draft], at=NOW))
        return ids[0]

    async def tell(self, text: str, *, person: str = ANA) -> int:
        """Remember what a person told the persona in a conversation."""
        return await self.remember(
            text, kind="told", is_own=False, speaker=person, speaker_id=person, audience=person_audience(person)
        )


@asynccontextmanager
async def world(folder: Path, name: str = "", **card: Any) -> AsyncIterator[World]:
    """Yield the world of one of the files in `worlds`, or an empty one. Recall goes by words alone."""
    found: dict[str, Any] = tomllib.loads((WORLDS / f"{name}.toml").read_text("utf-8")) if name else {}
    database = Database(folder / "world.sqlite3")
    await database.write(metadata.create_all)
    about = {"name": "Rosa", "kind": "memorial", "languages": ["en"]} | {
        key: found[key] for key in ("name", "kind", "languages") if key in found
    }
    row = Persona(slug="persona", created_at=NOW, name=about["name"], kind=about["kind"])
    persona = await database.write(lambda c: insert(c, row))
    recall = EmbeddedRecall(database, folder / "index", clock=FakeClock(NOW), embedder_factory=lambda: None)
    values = {"name": about["name"], "kind": about["kind"], "languages": tuple(about["languages"])} | card
    made = World(PersonaCard(id=persona.id, **values), database, recall, found)
    for at, memory in enumerate(found.get("memories", [])):
        kind = next(kind for kind in ("said", "heard", "fact", "document") if kind in memory)
        await made.remember(
            memory[kind],
            kind=kind,
            is_own=kind != "heard",
            speaker=memory.get("by", made.card.name),
            context=memory.get("to", ""),
            session=f"session {at // 6}",
            place=at % 6,
            happened_at=NOW - timedelta(days=700 - at * 9),
        )
    try:
        yield made
    finally:
        recall.close()
        database.close()


def turn(
    card: PersonaCard,
    *texts: str,
    history: Sequence[tuple[str, str]] = (),
    viewer: Viewer | None = None,
    **values: Any,
) -> Turn:
    """Return a turn in which `texts` were written; `history` is pairs of what was asked and answered before."""
    said: list[Said] = []
    for at, (asked, answered) in enumerate(history):
        when = NOW - timedelta(minutes=10 - at)
        said += [Said(text=asked, is_ours=False, at=when), Said(text=answered, is_ours=True, at=when)]
    return Turn(
        **{
            "id": "turn",
            "persona": card,
            "viewer": viewer or Viewer(persona_id=card.id, person_id=ANA, audiences=frozenset((PUBLIC, "person:ana"))),
            "conversation_id": "conversation",
            "messages": tuple(Said(text=text, is_ours=False, at=NOW) for text in texts),
            "history": tuple(said),
            "person_name": "Ana",
            "now": NOW,
            **values,
        }
    )
