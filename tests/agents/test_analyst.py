"""The analyst keeps of what a model wrote about a persona what the memories bear out, for each audience its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from agents.analyst import improve_profile
from agents.claims import Claim, claims_of, is_borne_out
from knowledge.database import Connection, Database
from knowledge.memories import MemoryDraft, add_memories, edit_memory
from knowledge.personas import create_persona
from knowledge.profiles import compute_profile, profile_versions, save_profile
from knowledge.tables import Profile
from knowledge.viewer import owner_viewer
from tests.agents.model_stage import NOW, config, words_of
from tests.fakes import FakeClock
from tests.platforms.openai import Fault, OpenAI

PUBLIC_LINES = (
    "I was born in Jaén in 1941, in the house behind the oil mill.",
    "My mother Carmen taught me to bake bread every Sunday.",
    "I worked forty years at the bakery of Don Pedro.",
    "I love the sea although I learned to swim at fifty.",
)
SECRET_LINE = "My sister Lola lent me the money for the house in 1970."

GOOD = """BIOGRAPHY
Rosa was born in Jaén in 1941. {born}
She worked forty years at the bakery of Don Pedro. {work}

DESCRIPTION
Her mother Carmen taught her to bake bread every Sunday. {mother}

She learned to swim at fifty and loves the sea. {sea}
"""


@pytest.fixture
async def model() -> AsyncIterator[OpenAI]:
    async with OpenAI() as endpoint:
        yield endpoint


@pytest.fixture
async def persona_id(database: Database) -> str:
    def fill(c: Connection) -> str:
        persona = create_persona(c, name="Rosa", kind="memorial", timezone="Europe/Madrid", languages=("en",), at=NOW)
        drafts = [_draft(persona.id, text, "public") for text in PUBLIC_LINES]
        add_memories(c, [*drafts, _draft(persona.id, SECRET_LINE, "owner")], at=NOW)
        compute_profile(c, persona.id, at=NOW)
        return persona.id

    return await database.write(fill)


async def improve(database: Database, persona_id: str, model: OpenAI) -> bool:
    clock = FakeClock(NOW + timedelta(hours=1))
    return await improve_profile(persona_id, database=database, clock=clock, model=config(model.url))


async def current(database: Database, persona_id: str) -> dict[str, Profile]:
    found = await database.read(lambda c: profile_versions(c, owner_viewer(persona_id)))
    return {profile.audience: profile for profile in found if profile.is_current}


def marked(model: OpenAI, text: str = GOOD, *, call: int) -> str:
    """Return `text` with the marks that the memories had in a call."""
    shown = words_of(model.requests[call], "user").splitlines()

    def mark(word: str) -> str:
        line = next(line for line in shown if word in line)
        return "[{}]".format(line.split('"')[1])

    return text.format(born=mark("1941"), work=mark("Pedro"), mother=mark("Carmen"), sea=mark("swim"))


async def learn_the_marks(database: Database, persona_id: str, model: OpenAI) -> list[str]:
    """Let the model fail to write once, so that the test knows which number each memory has in each request."""
    assert not await improve(database, persona_id, model)
    texts = [marked(model, call=call) for call in range(len(model.requests))]
    model.requests.clear()
    return texts


async def test_each_audience_gets_a_text_made_of_what_it_may_see(
    database: Database, persona_id: str, model: OpenAI
) -> None:
    computed = await current(database, persona_id)
    texts = await learn_the_marks(database, persona_id, model)
    model.says(*texts)
    assert await improve(database, persona_id, model)
    profiles = await current(database, persona_id)
    assert set(profiles) == set(computed) == {"public", "owner"}
    for audience, profile in profiles.items():
        assert profile.made_by == "model:local"
        assert profile.biography == "Rosa was born in Jaén in 1941. She worked forty years at the bakery of Don Pedro."
        assert profile.description == (
            "Her mother Carmen taught her to bake bread every Sunday.\n\n"
            "She learned to swim at fifty and loves the sea."
        )
        assert len(profile.cited) == 4
        assert profile.style == computed[audience].style
        assert profile.made_at == NOW + timedelta(hours=1)
    told = {profile.audience: words_of(request, "user") for request, profile in _pairs(model, profiles)}
    assert "Lola" in told["owner"]
    assert "Lola" not in told["public"]


def _pairs(model: OpenAI, profiles: dict[str, Profile]) -> list[tuple[dict[str, object], Profile]]:
    by_secret = sorted(model.requests, key=lambda request: "Lola" in words_of(request, "user"))
    return [(by_secret[0], profiles["public"]), (by_secret[1], profiles["owner"])]


async def test_a_profile_is_not_written_again_until_there_is_much_new(
    database: Database, persona_id: str, model: OpenAI
) -> None:
    model.says(*await learn_the_marks(database, persona_id, model))
    assert await improve(database, persona_id, model)
    model.requests.clear()
    assert not await improve(database, persona_id, model)
    assert model.requests == []

    more = [_draft(persona_id, f"I remember the {number} lemon trees.", "public") for number in range(30)]
    await database.write(lambda c: add_memories(c, more, at=NOW + timedelta(days=1)))
    await improve(database, persona_id, model)
    assert len(model.requests) == 2


async def test_invented_sentences_are_dropped(database: Database, persona_id: str, model: OpenAI) -> None:
    texts = await learn_the_marks(database, persona_id, model)
    born = texts[0].split("1941. ")[1].split("\n")[0]
    invented = (
        f"She was crowned in Jaén in 1960. {born}\nShe knew Picasso in Jaén and in the house. {born}\n"
        "She was born under a lucky star.\nShe was born in Jaén. [m999]\n"
        f"Quantum physics fascinated nobody else like that. {born}\n"
    )
    model.says(*(text.replace("BIOGRAPHY\n", f"BIOGRAPHY\n{invented}") for text in texts))
    # Half and more must be borne out: four of eight marked sentences are.
    assert await improve(database, persona_id, model)
    for profile in (await current(database, persona_id)).values():
        for word in ("crowned", "Picasso", "lucky", "Quantum", "[m"):
            assert word not in profile.biography + profile.description
        assert profile.biography.count(".") == 2


@pytest.mark.parametrize(
    "poor",
    [
        "",
        "I am sorry, I cannot do that.",
        "BIOGRAPHY\nRosa is wonderful.\nDESCRIPTION\nShe is kind.",
        "BIOGRAPHY\nRosa was a famous pilot in Paris. [m1]\nDESCRIPTION\nShe flew to 12 countries. [m2]",
        "BIOGRAPHY\nRosa was born in Jaén in 1941. [m1][m2][m3][m4]",
    ],
)
async def test_the_computed_profile_stays_when_the_models_is_poor(
    database: Database, persona_id: str, model: OpenAI, poor: str
) -> None:
    before = await current(database, persona_id)
    model.says(poor, poor)
    assert not await improve(database, persona_id, model)
    assert await current(database, persona_id) == before


@pytest.mark.parametrize("fault", ["401", "500", "garbage", "refusal", "dropped"])
async def test_the_computed_profile_stays_when_the_model_fails(
    database: Database, persona_id: str, model: OpenAI, fault: Fault
) -> None:
    before = await current(database, persona_id)
    model.fail(fault, times=2)
    assert not await improve(database, persona_id, model)
    assert await current(database, persona_id) == before
    assert len(model.requests) == 1


async def test_what_a_human_wrote_is_left_alone(database: Database, persona_id: str, model: OpenAI) -> None:
    def by_hand(c: Connection) -> None:
        for audience in ("public", "owner"):
            save_profile(c, persona_id=persona_id, biography="Our Rosa.", audience=audience, made_by="Ana", at=NOW)

    await database.write(by_hand)
    assert not await improve(database, persona_id, model)
    assert model.requests == []


async def test_a_memory_that_changed_while_the_model_wrote_is_not_told_as_it_was(
    database: Database, persona_id: str, model: OpenAI
) -> None:
    texts = await learn_the_marks(database, persona_id, model)
    cited = (await current(database, persona_id))["owner"].cited
    before = await current(database, persona_id)
    model.says(*texts)
    model.delay_s = 0.5
    owner = owner_viewer(persona_id)
    async with asyncio.TaskGroup() as group:
        improving = group.create_task(improve(database, persona_id, model))
        while len(model.requests) < 1:
            await asyncio.sleep(0.01)
        for memory_id in cited:
            await database.write(
                lambda c, memory_id=memory_id: edit_memory(  # type: ignore[misc]
                    c, owner, memory_id, text="Corrected.", by="Ana", at=NOW
                )
            )
    assert not improving.result()
    assert {profile.made_by for profile in (await current(database, persona_id)).values()} == {"computed"}
    assert {profile.made_by for profile in before.values()} == {"computed"}


async def test_a_persona_with_hardly_a_memory_is_not_written_about(database: Database, model: OpenAI) -> None:
    def fill(c: Connection) -> str:
        persona = create_persona(c, name="Bo", kind="self", at=NOW)
        add_memories(c, [_draft(persona.id, "I was born in Oslo in 1980.", "public")], at=NOW)
        compute_profile(c, persona.id, at=NOW)
        return persona.id

    assert not await improve(database, await database.write(fill), model)
    assert model.requests == []


# ------------------------------------------------------------------------------------------- claims

TEXTS = {1: "I was born in Jaén in 1941.", 2: "Trabajé cuarenta años en la panadería de Don Pedro."}


@pytest.mark.parametrize(
    ("text", "numbers", "language", "is_fine"),
    [
        ("Rosa was born in Jaén in 1941.", (1,), "en", True),
        ("Rosa was born in Jaen in 1941.", (1,), "en", True),
        ("Rosa was born in Jaén in 1942.", (1,), "en", False),
        ("Rosa was born in Madrid in 1941.", (1,), "en", False),
        ("Rosa was born in Jaén in 1941.", (2,), "en", False),
        ("Rosa was born in Jaén in 1941.", (1, 3), "en", False),
        ("Trabajó cuarenta años en la panadería de Don Pedro.", (2,), "es", True),
        ("Trabajó cuarenta años en la fábrica de Don Ramón.", (2,), "es", False),
        ("Rosa.", (1,), "en", False),
        ("Rosa was born in Jaén, call 600 123 456.", (1,), "en", False),
    ],
)
def test_a_claim_needs_the_numbers_names_and_words_of_what_it_cites(
    text: str, numbers: tuple[int, ...], language: str, is_fine: bool
) -> None:
    claim = Claim(text, numbers, "biography", 0)
    assert is_borne_out(claim, TEXTS, name="Rosa", language=language) is is_fine


def test_claims_are_found_however_a_model_sets_them_out() -> None:
    text = """Here you are:

**BIOGRAPHY**
- She was born in Jaén [m1]. She baked bread. [m2][m3] And more without a mark.
## Description:
One. [m4]

Two [m5, m6]
"""
    found = [(claim.text, claim.numbers, claim.part, claim.paragraph) for claim in claims_of(text)]
    assert found == [
        ("She was born in Jaén.", (1,), "biography", 0),
        ("She baked bread.", (2, 3), "biography", 0),
        ("One.", (4,), "description", 0),
        ("Two.", (5, 6), "description", 1),
    ]


def _draft(persona_id: str, text: str, audience: str) -> MemoryDraft:
    return MemoryDraft(
        persona_id=persona_id,
        natural_key=f"said/{text}",
        kind="said",
        text=text,
        language="en",
        audience=audience,
        speaker="Rosa",
        is_own=True,
    )
