"""What recall finds, for whom, and how soon."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from knowledge.database import Database
from knowledge.memories import edit_memory, remove_memory
from knowledge.recall import Period
from knowledge.viewer import OWNER, Viewer, owner_viewer, public_viewer
from tests.fakes import FakeClock
from tests.knowledge.recall_world import AT, World, make_persona


@pytest.fixture
async def world(database: Database, clock: FakeClock, tmp_path: Path) -> World:
    return World(database, tmp_path / "recall", await make_persona(database, "rosalind"), clock)


async def test_the_memory_that_answers_comes_first(world: World) -> None:
    recall = world.recall()
    await world.tell("The bus was late again and it rained on my hat.")
    wanted = await world.tell("I learnt to swim in the mill pond, my brother held me by the belt.")
    await world.tell("My brother sends you his regards.")

    found = await recall.recall(owner_viewer(world.persona_id), "Who taught you to swim?")

    assert found[0].memory_id == wanted
    assert found[0].text.startswith("I learnt to swim")
    assert 0 < found[0].score <= 1
    assert found[0].features["coverage"] > 0
    assert [hit.score for hit in found] == sorted((hit.score for hit in found), reverse=True)


async def test_a_memory_is_found_by_the_next_question_after_its_commit(world: World) -> None:
    recall = world.recall()
    viewer = owner_viewer(world.persona_id)
    assert await recall.recall(viewer, "where is the lantern") == []

    wanted = await world.tell("The lantern hangs behind the stable door.")

    assert [hit.memory_id for hit in await recall.recall(viewer, "where is the lantern")] == [wanted]


async def test_an_edited_memory_is_found_by_its_new_words_only(world: World) -> None:
    recall = world.recall()
    viewer = owner_viewer(world.persona_id)
    memory_id = await world.tell("The spare key lies under the flowerpot.")
    await recall.recall(viewer, "flowerpot")

    await world.database.write(
        lambda c: edit_memory(c, viewer, memory_id, text="The spare key hangs in the pantry.", by="owner", at=AT)
    )

    assert await recall.recall(viewer, "flowerpot") == []
    assert [hit.text for hit in await recall.recall(viewer, "pantry")] == ["The spare key hangs in the pantry."]


async def test_a_memory_that_was_taken_back_is_never_served(world: World) -> None:
    recall = world.recall()
    viewer = owner_viewer(world.persona_id)
    memory_id = await world.tell("The spare key lies under the flowerpot.")
    assert await recall.recall(viewer, "flowerpot")

    await world.database.write(lambda c: remove_memory(c, viewer, memory_id, by="owner", at=AT))

    assert await recall.recall(viewer, "flowerpot") == []


async def test_a_memory_whose_audience_narrowed_is_hidden_from_the_next_question_on(world: World) -> None:
    recall = world.recall()
    owner, stranger = owner_viewer(world.persona_id), public_viewer(world.persona_id)
    memory_id = await world.tell("My doctor says the knee needs an operation.")
    assert await recall.recall(stranger, "knee operation")

    await world.database.write(lambda c: edit_memory(c, owner, memory_id, audience=OWNER, by="owner", at=AT))

    assert await recall.recall(stranger, "knee operation") == []
    assert await recall.recall(owner, "knee operation")


async def test_one_persona_never_answers_from_the_memories_of_another(world: World) -> None:
    recall = world.recall()
    other = await make_persona(world.database, "bakery")
    await world.tell("Our sourdough rests for two days.", persona_id=other)

    assert await recall.recall(owner_viewer(world.persona_id), "how long does the sourdough rest?") == []
    assert await recall.recall(owner_viewer(other), "how long does the sourdough rest?")


async def test_the_context_of_a_memory_is_not_shown_to_who_may_not_see_the_turn_it_comes_from(world: World) -> None:
    recall = world.recall()
    secret = "Is it true that the adoption papers are in the drawer?"
    await world.tell(secret, audience="circle:family", session="s", place=1, is_own=False, speaker="Theo")
    await world.tell("Yes, beneath the blue letters.", session="s", place=2, context=secret)
    family = Viewer(persona_id=world.persona_id, audiences=frozenset({"public", "circle:family"}))

    for_family = await recall.recall(family, "adoption papers blue letters")
    for_stranger = await recall.recall(public_viewer(world.persona_id), "adoption papers blue letters")

    assert secret in {hit.context for hit in for_family}
    assert [(hit.text, hit.context) for hit in for_stranger] == [("Yes, beneath the blue letters.", "")]
    assert await recall.recall(public_viewer(world.persona_id), "adoption papers drawer") == []


async def test_the_answer_to_a_matching_question_is_found_though_it_shares_no_word(world: World) -> None:
    recall = world.recall()
    question = "In which year did you open the bakery?"
    await world.tell(question, session="s", place=1, is_own=False, speaker="Theo")
    wanted = await world.tell("It was 1974, with a loan from the priest.", session="s", place=2, context=question)
    await world.tell("The bakery smells of oranges in December.", session="t", place=1)

    found = await recall.recall(owner_viewer(world.persona_id), "When did you open the bakery?")

    assert found[0].memory_id == wanted


@pytest.mark.parametrize(
    ("language", "text", "question"),
    [
        ("en", "We had a tortoise called Admiral in the greenhouse.", "what was the tortose called"),
        ("en", "I was baptised in the cathedral of Saltmere.", "which cathedarl"),
        ("es", "Aprendí a tocar el acordeón con mi tía Inés.", "quien te enseno el acordeon"),
        ("es", "Comíamos higos en el jardín de la abuela.", "que comiamos en el jardin"),
        ("es", "Mi canción preferida era la del molinero.", "cual era tu cansion preferida"),
        ("pt", "O coração da casa era a cozinha da minha avó.", "qual era o coracao da casa"),
        ("pt", "Aos domingos íamos à procissão de São João.", "onde era a procisao"),
        ("fr", "Ma sœur chantait dans la forêt de Brévannes.", "qui chantait dans la foret"),
        ("de", "Mein Großvater hatte eine Mühle am Bächlein.", "wer hatte eine muhle"),
        ("it", "La nonna teneva le più belle perle nel comò.", "dove teneva le perle"),
    ],
)
async def test_slips_and_missing_accents_find_it_all_the_same(
    world: World, language: str, text: str, question: str
) -> None:
    recall = world.recall()
    for filler in ("Hola, hello, ciao.", "Nothing new here today.", "Bom dia, gente."):
        await world.tell(filler, language="")
    wanted = await world.tell(text, language=language)

    found = await recall.recall(owner_viewer(world.persona_id), question)

    assert found
    assert found[0].memory_id == wanted


@pytest.mark.parametrize(
    ("question", "happened", "others"),
    [
        ("What did we do last August?", datetime(2025, 8, 14, tzinfo=UTC), (2024, 2023)),
        ("¿Qué hicimos en agosto de 2019?", datetime(2019, 8, 3, tzinfo=UTC), (2018, 2020)),
        ("O que fizemos o mês passado?", datetime(2026, 2, 10, tzinfo=UTC), (2025, 2024)),
        ("Qu'avons-nous fait le 5 mai 2020 ?", datetime(2020, 5, 5, tzinfo=UTC), (2019, 2021)),
        ("Was war vor drei Jahren?", datetime(2023, 6, 1, tzinfo=UTC), (2022, 2024)),
        ("Cosa abbiamo fatto ieri?", datetime(2026, 2, 28, 9, tzinfo=UTC), (2025, 2024)),
    ],
)
async def test_a_question_that_names_only_a_time_finds_what_happened_then(
    world: World, question: str, happened: datetime, others: tuple[int, ...]
) -> None:
    recall = world.recall()
    for year in others:
        await world.tell(f"A day like any other, number {year % 7}.", happened_at=happened.replace(year=year))
    wanted = await world.tell("We rowed to the chapel with a basket of pears.", happened_at=happened)

    found = await recall.recall(owner_viewer(world.persona_id), question)

    assert [hit.memory_id for hit in found] == [wanted]
    assert found[0].features["date"] == 1


async def test_a_named_time_prefers_the_right_one_of_two_like_memories(world: World) -> None:
    recall = world.recall()
    await world.tell("We walked along the coast.", happened_at=datetime(2024, 8, 2, tzinfo=UTC))
    wanted = await world.tell("We walked along the coast again.", happened_at=datetime(2025, 8, 2, tzinfo=UTC))

    found = await recall.recall(owner_viewer(world.persona_id), "Where did we walk last August?")

    assert found[0].memory_id == wanted


async def test_the_names_of_those_who_talk_do_not_count_as_words(world: World) -> None:
    recall = world.recall()
    for at in range(5):
        await world.tell(f"Hello Rosalind, good to see you, number {at}.", is_own=False, speaker="Theo")
    wanted = await world.tell("I sold the loom to a museum.", speaker="Rosalind")

    found = await recall.recall(
        owner_viewer(world.persona_id), "What did Rosalind do with the loom?", names=("Rosalind", "Theo")
    )

    assert [hit.memory_id for hit in found] == [wanted]
    assert found[0].features["speaker"] == 1


async def test_only_what_was_asked_for_comes_back(world: World) -> None:
    recall = world.recall()
    viewer = owner_viewer(world.persona_id)
    may = datetime(2020, 5, 1, tzinfo=UTC)
    own = await world.tell("My violin came from Cremona.", happened_at=may)
    heard = await world.tell(
        "The violin is out of tune.",
        is_own=False,
        kind="heard",
        speaker="Theo",
        happened_at=datetime(2021, 1, 1, tzinfo=UTC),
    )
    fact = await world.tell("Owns a violin made in 1890.", kind="fact", is_own=False, speaker="")

    async def ids(**options: object) -> set[int]:
        return {hit.memory_id for hit in await recall.recall(viewer, "violin", **options)}  # type: ignore[arg-type]

    assert await ids() == {own, heard, fact}
    assert await ids(own_only=True) == {own}
    assert await ids(kinds=frozenset({"fact"})) == {fact}
    assert await ids(during=Period(since=may, until=may)) == {own}
    assert await ids(during=Period(since=datetime(2020, 6, 1, tzinfo=UTC))) == {heard}
    assert await ids(limit=1) <= {own, heard, fact}
    assert await ids(with_person="nobody") == set()


async def test_no_question_gives_what_the_period_holds(world: World) -> None:
    recall = world.recall()
    wanted = await world.tell("The river froze.", happened_at=datetime(1985, 1, 9, tzinfo=UTC))
    await world.tell("The river was warm.", happened_at=datetime(1999, 7, 9, tzinfo=UTC))
    winter = Period(since=datetime(1985, 1, 1, tzinfo=UTC), until=datetime(1985, 1, 31, tzinfo=UTC))

    found = await recall.recall(owner_viewer(world.persona_id), "", during=winter)

    assert [hit.memory_id for hit in found] == [wanted]


async def test_the_same_words_are_given_once(world: World) -> None:
    recall = world.recall()
    for at in range(4):
        await world.tell("The well is forty feet deep.", session=f"s{at}")

    assert len(await recall.recall(owner_viewer(world.persona_id), "how deep is the well")) == 1


async def test_the_same_question_twice_gives_the_same_order(world: World) -> None:
    for at in range(40):
        await world.tell(f"The orchard gave pears in the year {1950 + at}, a good harvest.")
    viewer = owner_viewer(world.persona_id)
    recall, again = world.recall(), world.recall()

    first = [hit.memory_id for hit in await recall.recall(viewer, "pears of the orchard", limit=20)]

    assert first == [hit.memory_id for hit in await recall.recall(viewer, "pears of the orchard", limit=20)]
    assert first == [hit.memory_id for hit in await again.recall(viewer, "pears of the orchard", limit=20)]


@pytest.mark.parametrize("question", ["", "?", "🙂", "of the", "a" * 5000, "\x00\ud800", "x " * 3000, "(((", "*:*"])
async def test_a_question_that_says_nothing_is_answered_with_little_and_no_error(world: World, question: str) -> None:
    recall = world.recall()
    await world.tell("The well is forty feet deep.")

    assert len(await recall.recall(public_viewer(world.persona_id), question)) <= 1


async def test_a_persona_without_memories_remembers_nothing(world: World) -> None:
    assert await world.recall().recall(public_viewer("nobody"), "anything?") == []


async def test_what_cannot_be_answered_scores_lower_than_what_can(world: World) -> None:
    recall = world.recall()
    await world.tell("I kept bees behind the chapel for eleven years.")
    await world.tell("The chapel bell cracked in the great frost.")
    viewer = owner_viewer(world.persona_id)

    answered = await recall.recall(viewer, "How long did you keep bees behind the chapel?")
    unanswered = await recall.recall(viewer, "Which submarine did you command behind enemy lines?")

    assert answered[0].score > 0.5
    assert all(hit.score < 0.35 for hit in unanswered)
