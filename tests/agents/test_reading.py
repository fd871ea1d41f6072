"""What a message asks: its language, its small talk, its sentences."""

from __future__ import annotations

import pytest

from agents.language import language_of
from agents.manner import manner_of
from agents.phrases import SIX, SMALL_TALK, phrases, small_talk
from agents.reading import read
from agents.sentences import is_repeat, quotable, sentences
from agents.turn import PersonaCard
from tests.agents.world import turn

CARD = PersonaCard(id="persona", name="Rosa", kind="self", languages=("es", "pt"))


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("What did you cook on Sundays?", "en"),
        ("que cocinabas los domingos", "es"),
        ("O que cozinhavas ao domingo?", "pt"),
        ("Que penses-tu de la mer ?", "fr"),
        ("Was hast du sonntags gekocht?", "de"),
        ("Cosa cucinavi la domenica?", "it"),
        ("Wat kookte je op zondag voor de kinderen?", "nl"),
        ("ok", "es"),
        ("olá avó", "pt"),
        ("Oma?", "de"),
        ("merci mamie", "fr"),
        ("ты меня помнишь?", "ru"),
        ("你好", "zh"),
        ("😊", "es"),
    ],
)
def test_the_language_is_that_of_the_question_else_one_that_both_use(text: str, language: str) -> None:
    assert language_of(turn(CARD, text)) == language


def test_what_says_nothing_is_in_the_language_last_used() -> None:
    assert language_of(turn(CARD, "ok", language="it")) == "it"
    assert language_of(turn(CARD, "👍", language="fr")) == "fr"
    assert language_of(turn(CARD, "???", history=[("Where is the bread, granny?", "In the oven.")])) == "en"


@pytest.mark.parametrize("language", SIX)
def test_every_phrase_of_a_language_is_heard_as_what_it_is(language: str) -> None:
    for words, kind in phrases(language).heard.items():
        if len(words) <= 10:
            assert small_talk(" ".join(words), language) == kind
    assert set(phrases(language).heard.values()) == set(SMALL_TALK)


@pytest.mark.parametrize("language", SIX)
def test_what_is_said_by_itself_is_complete_in_every_language(language: str) -> None:
    assert set(phrases(language).say) == set(phrases("en").say)
    values = {"name": "", "person": "Ana", "quotes": "“…”", "language": "x", "date": "y"}
    for variants in phrases(language).say.values():
        for variant in variants if isinstance(variants, list) else ():
            assert "{" not in variant.format(**values)


def test_variants_differ_from_what_was_just_said() -> None:
    known = phrases("en")
    said: list[str] = []
    for _ in range(len(known.say["not_remembered"])):
        said.append(known.pick("not_remembered", seed="same", unlike=said))
    assert len(set(said)) == len(said)


@pytest.mark.parametrize(
    ("text", "aim", "question"),
    [
        ("Hello granny, where were you born?", "question", "where were you born?"),
        ("hi! thanks. What is the secret of the soup?", "question", "What is the secret of the soup?"),
        ("Tell me about the war", "question", "Tell me about the war"),
        ("What did I tell you about my exam?", "you_told", " my exam?"),
        ("What is my dog called?", "mine", "What is my dog called?"),
        ("what do you know about me?", "know_me", ""),
        ("I planted tomatoes today", "told", "I planted tomatoes today"),
        ("are you a bot?", "identity", ""),
        ("Are you a bot? Where were you born?", "question", "Where were you born?"),
        ("", "unheard", ""),
    ],
)
def test_what_is_wanted(text: str, aim: str, question: str) -> None:
    found = read(turn(CARD, text), "en")
    assert found.aim == aim
    assert found.question.strip() == question.strip()


def test_and_you_turns_what_the_person_told_into_a_question() -> None:
    found = read(turn(CARD, "My favourite season is autumn. And you?"), "en")
    assert found.aim in ("question", "mine")
    assert "autumn" in found.question


def test_a_short_question_takes_the_earlier_one_along_without_what_it_replaces() -> None:
    history = [("Where was your father born?", "In Lugo.")]
    found = read(turn(CARD, "And your mother?", history=history), "en")
    assert "mother" in found.question
    assert "father" not in found.question
    assert "born" in found.question
    assert found.is_follow_up


def test_a_question_about_a_quoted_message_is_about_that_message() -> None:
    made = turn(CARD, "why?")
    message = type(made.messages[0])(text="why?", is_ours=False, at=made.now, quoted="We left Newark in 2005.")
    quoting = turn(CARD, messages=(message,))
    assert "Newark" in read(quoting, "en").question


def test_sentences_end_where_they_end() -> None:
    assert sentences("I met Dr. Gray at 8.30. He smiled! 😊 We danced.") == [
        "I met Dr. Gray at 8.30.",
        "He smiled! 😊",
        "We danced.",
    ]


def test_only_what_says_something_is_quoted() -> None:
    text = "Hola Lucía! Ayer hice croquetas con la Sra. Pilar. ¿Y tú qué tal? Un beso"
    assert quotable(text, "es") == ["Ayer hice croquetas con la Sra. Pilar."]
    assert quotable("# Oats\n- 200 g of oats\n- 3 eggs", "en") == ["Oats", "200 g of oats", "3 eggs"]


def test_the_same_in_other_words_is_no_repeat() -> None:
    assert is_repeat("The bread rests all night", ["the bread rests ALL night!"])
    assert not is_repeat("The bread rests all night", ["We sold the bread at six"])


def test_a_style_card_of_any_shape_gives_a_manner() -> None:
    for style in (
        {},
        {"greetings": []},
        {"greetings": {"es": [["hola"], 3, ["hola", 0.4]]}, "emoji": [[]], "markers": 3},
    ):
        manner = manner_of(style, "es")  # type: ignore[arg-type]
        assert manner.dressed("Hola.", "seed") == "Hola."
