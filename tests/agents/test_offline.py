"""The offline answerer over real memories: it quotes what answers, and says when it does not remember."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agents.graph import GraphAnswerer
from agents.turn import Answer
from knowledge.viewer import PUBLIC, Viewer, public_viewer
from tests.agents.world import NOW, World, turn, world
from tests.fakes import FakeClock


@pytest.fixture
async def rosa(tmp_path: Path) -> AsyncIterator[World]:
    """A persona with nothing to remember yet."""
    async with world(tmp_path) as made:
        yield made


async def ask(made: World, *texts: str, **values: object) -> Answer:
    answerer = GraphAnswerer(recall=made.recall, clock=FakeClock(NOW), guards={})
    return await answerer.answer(turn(made.card, *texts, **values))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["grandmother", "bakery"])
async def test_what_is_there_is_answered_and_what_is_not_is_not(tmp_path: Path, name: str) -> None:
    async with world(tmp_path, name) as made:
        wrong = []
        for question, expected in made.questions["answerable"]:
            answer = await ask(made, question)
            if answer.reason != "answered" or expected.lower() not in answer.text.lower():
                wrong.append((question, answer.text))
        answered = []
        for question in made.questions["absent"]:
            answer = await ask(made, question)
            if answer.reason != "not_remembered":
                answered.append((question, answer.text))
    assert len(wrong) <= 0.15 * len(made.questions["answerable"]), wrong
    assert len(answered) <= 0.05 * len(made.questions["absent"]), answered


async def test_every_word_of_an_answer_is_the_persona_s_own(tmp_path: Path) -> None:
    async with world(tmp_path, "grandmother") as made:
        own = " ".join(memory.get("said", "") for memory in made.questions["memories"])
        answer = await ask(made, "¿Cómo conociste al abuelo?")
    assert answer.text.rstrip(".") in own
    assert answer.memory_ids
    assert answer.label == "Respuesta sin conexión: citas de las propias palabras de Carmiña"
    assert answer.engine == "offline"


async def test_words_of_others_are_never_said(rosa: World) -> None:
    await rosa.remember("My exam in chemistry was a disaster", kind="heard", is_own=False, speaker="Iria")
    answer = await ask(rosa, "How was the exam in chemistry?")
    assert answer.reason == "not_remembered"
    assert "disaster" not in answer.text


async def test_a_memory_for_others_is_not_said(rosa: World) -> None:
    await rosa.remember("My secret was the nutmeg in the soup", audience="circle:family")
    stranger = public_viewer(rosa.card.id)
    family = Viewer(persona_id=rosa.card.id, audiences=frozenset((PUBLIC, "circle:family")))
    assert (await ask(rosa, "What was your secret for the soup?", viewer=stranger)).reason == "not_remembered"
    assert "nutmeg" in (await ask(rosa, "What was your secret for the soup?", viewer=family)).text


async def test_greetings_and_questions_in_a_memory_are_left_out(rosa: World) -> None:
    await rosa.remember("Hello Lucy! The cake needs four eggs. Are you coming on Sunday?")
    answer = await ask(rosa, "How many eggs does the cake need?")
    assert answer.text == "The cake needs four eggs."


async def test_the_same_thing_is_not_said_twice(rosa: World) -> None:
    await rosa.remember("The bread needs a night of rest")
    await rosa.remember("the bread needs a night of rest!!")
    assert (await ask(rosa, "What does the bread need?")).text.lower().count("night of rest") == 1


async def test_two_memories_that_answer_are_joined(rosa: World) -> None:
    await rosa.remember("For the pancakes I beat three eggs")
    await rosa.remember("The pancakes rest for two hours")
    answer = await ask(rosa, "Tell me about the pancakes")
    assert "three eggs." in answer.text
    assert "two hours." in answer.text
    assert len(answer.memory_ids) == 2


async def test_and_then_goes_on_without_repeating(rosa: World) -> None:
    await rosa.remember("The wedding was in April")
    await rosa.remember("At the wedding it rained all day, and my shoes were ruined")
    first = await ask(rosa, "When was the wedding?")
    assert "April" in first.text
    history = [("When was the wedding?", first.text)]
    second = await ask(rosa, "And then?", history=history)
    rest = second.text if "April" in second.text else first.text + second.text
    assert "rained" in rest
    history.append(
        ("And then?", "At the wedding it rained all day, and my shoes were ruined. The wedding was in April.")
    )
    assert (await ask(rosa, "Tell me more", history=history)).reason == "not_remembered"


async def test_a_short_question_goes_on_from_the_one_before(rosa: World) -> None:
    await rosa.remember("My father was born in Lugo")
    await rosa.remember("My mother was born in Cork")
    history = [("Where was your father born?", "My father was born in Lugo.")]
    assert "Cork" in (await ask(rosa, "And your mother?", history=history)).text


async def test_a_grandfather_is_not_a_grandmother(rosa: World) -> None:
    await rosa.remember("Mi abuela nació en Noia", language="es")
    answer = await ask(rosa, "¿Dónde nació tu abuelo?")
    assert answer.reason == "not_remembered"


async def test_material_in_another_language_is_quoted_with_a_word_about_it(tmp_path: Path) -> None:
    async with world(tmp_path, languages=("es",)) as made:
        await made.remember("Nací en Muros en 1938", language="es")
        answer = await ask(made, "Where were you born?")
    assert "Spanish" in answer.text
    assert "“Nací en Muros en 1938.”" in answer.text


async def test_a_question_in_a_seventh_language_gets_its_own_word_of_not_remembering(rosa: World) -> None:
    answer = await ask(rosa, "Wat was de naam van jullie hond in die tijd?")
    assert (answer.language, answer.text) == ("nl", "Dat herinner ik me niet.")


async def test_a_plan_of_long_ago_is_quoted_with_its_day(rosa: World) -> None:
    await rosa.remember("Tomorrow I will plant the roses", happened_at=NOW.replace(year=2019))
    answer = await ask(rosa, "When will you plant the roses?")
    assert "1 March 2019" in answer.text
    assert "“Tomorrow I will plant the roses.”" in answer.text


async def test_it_says_that_it_does_not_remember_in_the_language_of_the_question(rosa: World) -> None:
    for question, words in (
        ("What do you think of Bitcoin?", ("remember", "memory")),
        ("¿Qué opinas de Bitcoin?", ("acuerdo", "recuerdo")),
        ("O que achas da Bitcoin?", ("lembro", "lembrança")),
        ("Que penses-tu de Bitcoin ?", ("souviens", "souvenir")),
        ("Was hältst du von Bitcoin?", ("erinnere", "Erinnerung", "weiß")),
        ("Che cosa pensi di Bitcoin?", ("ricordo",)),
    ):
        answer = await ask(rosa, question)
        assert answer.reason == "not_remembered"
        assert any(word in answer.text for word in words), answer.text


async def test_not_remembering_is_said_in_varied_words_and_the_same_each_time(rosa: World) -> None:
    first = await ask(rosa, "What do you think of Bitcoin?")
    assert first.text == (await ask(rosa, "What do you think of Bitcoin?")).text
    history = [("What do you think of Bitcoin?", first.text)]
    assert (await ask(rosa, "Did you ever ski?", history=history)).text != first.text


async def test_what_the_person_told_is_told_back_to_that_person_alone(rosa: World) -> None:
    await rosa.tell("My dog is called Bruno and he hates the vet")
    assert "Bruno" in (await ask(rosa, "What did I tell you about my dog?")).text
    assert "Bruno" in (await ask(rosa, "What is my dog called?")).text
    assert "Bruno" in (await ask(rosa, "What do you know about me?")).text
    other = Viewer(persona_id=rosa.card.id, person_id="leo", audiences=frozenset((PUBLIC, "person:leo")))
    for question in ("What did I tell you about my dog?", "What is my dog called?", "What do you know about me?"):
        assert "Bruno" not in (await ask(rosa, question, viewer=other)).text


async def test_the_owner_is_told_only_what_the_owner_told(rosa: World) -> None:
    await rosa.tell("My dog is called Bruno", person="leo")
    owner = Viewer(persona_id=rosa.card.id, person_id="ana", audiences=frozenset((PUBLIC, "owner")), sees_all=True)
    assert "Bruno" not in (await ask(rosa, "What did I tell you about my dog?", viewer=owner)).text


async def test_whoever_tells_something_is_thanked(rosa: World) -> None:
    answer = await ask(rosa, "Today I planted tomatoes with Leo")
    assert answer.reason == "small_talk"
    assert "remember" in answer.text or "keep" in answer.text


async def test_a_voice_note_without_words_is_answered_honestly(rosa: World) -> None:
    silent = turn(rosa.card, language="es")
    message = turn(rosa.card, "").messages[0]
    answerer = GraphAnswerer(recall=rosa.recall, clock=FakeClock(NOW), guards={})
    spoken = type(message)(text="", is_ours=False, at=NOW, media=("voice",))
    answer = await answerer.answer(type(silent)(**{**_fields(silent), "messages": (spoken,)}))
    assert answer.reason == "unheard"
    assert "no puedo oír" in answer.text


async def test_a_transcript_is_answered_like_written_words(rosa: World) -> None:
    await rosa.remember("I was born in Cork")
    written = turn(rosa.card, "Where were you born?")
    heard = type(written.messages[0])(text="Where were you born?", is_ours=False, at=NOW, media=("voice",))
    answerer = GraphAnswerer(recall=rosa.recall, clock=FakeClock(NOW), guards={})
    answer = await answerer.answer(type(written)(**{**_fields(written), "messages": (heard,)}))
    assert answer.text == "I was born in Cork."


SMALL_TALK = [
    ("hello", "en", "small_talk"),
    ("Hola abuela!", "es", "small_talk"),
    ("oi", "pt", "small_talk"),
    ("coucou mamie", "fr", "small_talk"),
    ("Hallo Oma", "de", "small_talk"),
    ("ciao nonna", "it", "small_talk"),
    ("How are you?", "en", "small_talk"),
    ("¿Qué tal estás?", "es", "small_talk"),
    ("tudo bem?", "pt", "small_talk"),
    ("Comment vas-tu ?", "fr", "small_talk"),
    ("Wie geht's dir?", "de", "small_talk"),
    ("come stai?", "it", "small_talk"),
    ("thanks!", "en", "small_talk"),
    ("muchas gracias", "es", "small_talk"),
    ("obrigada avó", "pt", "small_talk"),
    ("merci beaucoup", "fr", "small_talk"),
    ("vielen Dank", "de", "small_talk"),
    ("grazie mille", "it", "small_talk"),
    ("good night", "en", "small_talk"),
    ("un beso, abuela", "es", "small_talk"),
    ("beijinhos", "pt", "small_talk"),
    ("à bientôt", "fr", "small_talk"),
    ("tschüss", "de", "small_talk"),
    ("a presto", "it", "small_talk"),
    ("who are you?", "en", "identity"),
    ("¿Quién eres?", "es", "identity"),
    ("quem és tu?", "pt", "identity"),
    ("Qui es-tu ?", "fr", "identity"),
    ("Wer bist du?", "de", "identity"),
    ("chi sei?", "it", "identity"),
    ("I love you", "en", "small_talk"),
    ("te echo de menos", "es", "small_talk"),
    ("tenho saudades tuas", "pt", "small_talk"),
    ("tu me manques", "fr", "small_talk"),
    ("ich hab dich lieb", "de", "small_talk"),
    ("ti voglio bene", "it", "small_talk"),
]


@pytest.mark.parametrize(("text", "language", "reason"), SMALL_TALK)
async def test_small_talk_is_answered_in_its_language(rosa: World, text: str, language: str, reason: str) -> None:
    answer = await ask(rosa, text)
    assert (answer.language, answer.reason) == (language, reason)
    assert answer.text


async def test_who_it_is_is_told_without_pretending(rosa: World) -> None:
    answer = await ask(rosa, "who are you?")
    assert "an AI" in answer.text
    assert "I am not Rosa in person" in answer.text


async def test_the_persona_greets_as_it_does(tmp_path: Path) -> None:
    style = {
        "greetings": {"es": [["holi", 0.4], ["buenas noches", 0.2]]},
        "emoji": [["🌷", 30]],
        "markers": {"emoji": {"rate": 1.0}, "opening_marks": {"rate": 0.5}},
    }
    async with world(tmp_path, style=style, languages=("es",)) as made:
        answer = await ask(made, "hola abuela")
    assert answer.text.startswith("¡Holi Ana!")
    assert answer.text.endswith("🌷")


async def test_a_greeting_before_a_question_is_returned_once(rosa: World) -> None:
    await rosa.remember("I was born in Cork")
    answer = await ask(rosa, "Hello granny, where were you born?")
    assert answer.text == "Hello Ana! I was born in Cork."
    again = await ask(rosa, "Hello granny, where were you born?", history=[("hi", "Hello Ana!")])
    assert again.text == "I was born in Cork."


async def test_a_burst_of_lines_is_one_question(rosa: World) -> None:
    await rosa.remember("The cat was called Piston")
    answer = await ask(rosa, "hi!", "I was thinking of the cat", "what was the cat called?")
    assert "Piston" in answer.text


def _fields(value: object) -> dict[str, object]:
    return {name: getattr(value, name) for name in value.__dataclass_fields__}  # type: ignore[attr-defined]


async def test_two_questions_at_once_get_both_answers(rosa: World) -> None:
    await rosa.remember("I learnt to dance in the hayloft of my aunt, with a broom for a partner.")
    await rosa.remember("The clarinet I bought in Ourense with my first wages from the sawmill.")
    answer = await ask(rosa, "Where did you buy the clarinet?", "Where did you learn to dance?")
    assert answer.text == (
        "The clarinet I bought in Ourense with my first wages from the sawmill.\n\n"
        "I learnt to dance in the hayloft of my aunt, with a broom for a partner."
    )
    half = await ask(rosa, "Where did you buy the clarinet?", "Who was the mayor of Lisbon?")
    assert half.text == "The clarinet I bought in Ourense with my first wages from the sawmill."
