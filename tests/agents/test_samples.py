"""The offline answerer on the sample personas, imported as they are shipped: what visitors really meet."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from agents.graph import GraphAnswerer
from agents.turn import Answer, PersonaCard
from bot.samples import create_samples
from knowledge import personas
from knowledge.clock import SystemClock
from knowledge.database import Database
from knowledge.engine import EmbeddedRecall
from knowledge.importing import ImportRunner
from knowledge.live import InProcessLive
from knowledge.tables import metadata
from knowledge.viewer import Viewer
from tests.agents.world import sets, turn

QUESTIONS = sets("samples")
SAMPLES = list(QUESTIONS)


@dataclass
class Samples:
    """The sample personas in a data folder of their own."""

    database: Database
    answerer: GraphAnswerer

    async def ask(self, slug: str, question: str) -> Answer:
        persona = await self.database.read(lambda c: personas.persona_by_slug(c, slug))
        assert persona is not None
        card = PersonaCard(
            id=persona.id,
            name=persona.name,
            kind=persona.kind,
            languages=tuple(persona.languages),
            timezone=persona.timezone,
        )
        stranger = Viewer(persona_id=persona.id, person_id="visitor")
        return await self.answerer.answer(turn(card, question, viewer=stranger, person_name=""))


@pytest.fixture
async def samples(tmp_path: Path) -> AsyncIterator[Samples]:
    database, clock = Database(tmp_path / "memoras.sqlite3"), SystemClock()
    await database.write(metadata.create_all)
    recall = EmbeddedRecall(database, tmp_path / "index", clock=clock, embedder_factory=lambda: None)
    imports = ImportRunner(database, tmp_path, clock=clock, live=InProcessLive())
    made = await create_samples(database, imports, folder=tmp_path, clock=clock)
    assert sorted(made) == sorted(SAMPLES)
    yield Samples(database, GraphAnswerer(recall=recall, clock=clock, guards={}))
    recall.close()
    database.close()


async def test_85_of_100_questions_are_answered_and_95_of_100_absent_topics_are_not(samples: Samples) -> None:
    for slug in SAMPLES:
        asked: list[Any] = QUESTIONS[slug]["answerable"]
        wrong = []
        for question, expected in asked:
            answer = await samples.ask(slug, question)
            if answer.reason != "answered" or not any(word.lower() in answer.text.lower() for word in expected):
                wrong.append((question, answer.text))
        assert len(wrong) <= 0.15 * len(asked), wrong
        absent: list[str] = QUESTIONS[slug]["absent"]
        answered = [
            (question, answer.text)
            for question in absent
            if (answer := await samples.ask(slug, question)).reason != "not_remembered"
        ]
        assert len(answered) <= 0.05 * len(absent), answered
