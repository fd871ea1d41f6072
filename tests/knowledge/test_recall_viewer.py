"""The viewer's filter is absolute: whatever the audiences, questions and indexes, nothing hidden comes out."""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import astuple
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from knowledge.database import Database
from knowledge.recall import Recalled
from knowledge.tables import metadata
from knowledge.viewer import Viewer, person_audience
from tests.fakes import FakeClock
from tests.knowledge.recall_world import LetterEmbedder, World, make_persona, running, until

_WORDS = ("river", "lantern", "bakery", "doctor", "island", "violin", "harvest", "bridge", "letter", "orchard")
_AUDIENCES = ("public", "owner", "circle:family", "circle:friends", person_audience("ana"), person_audience("theo"))

_texts = st.lists(st.sampled_from(_WORDS), min_size=1, max_size=4).map(" ".join)
_turns = st.lists(st.tuples(_texts, st.sampled_from(_AUDIENCES), st.integers(0, 2)), min_size=1, max_size=12)
_held = st.frozensets(st.sampled_from(_AUDIENCES), max_size=4)


@settings(max_examples=40)
@given(turns=_turns, held=_held, question=_texts, uses_index=st.booleans(), is_embedded=st.booleans())
def test_no_text_of_another_audience_ever_comes_out(
    turns: list[tuple[str, str, int]], held: frozenset[str], question: str, uses_index: bool, is_embedded: bool
) -> None:
    told, found = asyncio.run(_ask(turns, held, question, uses_index=uses_index, is_embedded=is_embedded))

    hidden = {text for text, audience in told if audience not in held}
    for hit in found:
        shown = " ".join(str(value) for value in astuple(hit))
        assert not any(text in shown for text in hidden), "a hidden text came out"
    allowed = {text for text, audience in told if audience in held}
    assert {hit.text for hit in found} <= allowed
    asked = set(question.split())
    wanted = {text for text in allowed if asked & set(text.split())}
    assert not wanted or found, "what may be seen and matches was not found"


async def _ask(
    turns: list[tuple[str, str, int]], held: frozenset[str], question: str, *, uses_index: bool, is_embedded: bool
) -> tuple[list[tuple[str, str]], list[Recalled]]:
    with tempfile.TemporaryDirectory() as folder:
        database = Database(Path(folder) / "memoras.sqlite3")
        try:
            await database.write(metadata.create_all)
            world = World(database, Path(folder) / "recall", await make_persona(database, "rosalind"), FakeClock())
            told = await _tell(world, turns)
            viewer = Viewer(persona_id=world.persona_id, person_id="ana", audiences=held)
            options = {"looked_through": 0} if uses_index else {}
            recall = world.recall(embedder_factory=LetterEmbedder if is_embedded else (lambda: None), **options)
            async with running(recall):
                if uses_index:
                    await recall.rebuild()
                if is_embedded:
                    await until(lambda: recall.status().vectors == len(turns))
                return told, await recall.recall(viewer, question, limit=20)
        finally:
            database.close()


async def _tell(world: World, turns: list[tuple[str, str, int]]) -> list[tuple[str, str]]:
    """Tell the turns, each with the turn before as its context; a number makes every text its own."""
    told: list[tuple[str, str]] = []
    before: dict[int, str] = {}
    for place, (words, audience, session) in enumerate(turns):
        text = f"{words} #{place}#"
        context = before.get(session, "")
        await world.tell(text, audience=audience, session=f"s{session}", place=place, context=context)
        before[session] = text
        told.append((text, audience))
    return told
