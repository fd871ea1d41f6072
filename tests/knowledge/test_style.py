"""How somebody writes, counted."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.style import Sentence, guess_language, style_card, wilson

T0 = datetime(2024, 1, 1, 9, 0, tzinfo=UTC)  # a Monday


def _card(*texts: str, language: str = "", **columns: Any) -> Any:
    return style_card(Sentence(text, language=language, **columns) for text in texts)


def _rate(marker: str, *texts: str) -> float:
    return float(_card(*texts)["markers"].get(marker, {"rate": 0.0})["rate"])


@pytest.mark.parametrize(
    ("marker", "shown", "not_shown"),
    [
        ("emoji", ["pan 🍞", "❤️", "👩‍👧 aquí", "🇪🇸", "ok 👍🏽"], ["pan", "(c) :)", "1 2 3"]),
        ("ellipsis", ["pues...", "no sé…"], ["pues.", "a. b."]),
        ("exclamation", ["¡hola!", "wow!"], ["hola"]),
        ("double_marks", ["qué?!", "no!!"], ["no! sí!"]),
        ("lowercase_start", ["hola", "  ¿qué tal", "🙂 hola"], ["Hola", "123", "¿Qué tal?"]),
        ("capitals", ["NO vengas TARDE", "qué RICO"], ["No vengas", "OK vale"]),
        (
            "laughter",
            ["jajaja", "JAJAJAJA qué", "haha no", "kkkkk", "rsrs", "hehehe"],
            ["ja", "caja", "haya"],
        ),
        ("lengthened", ["holaaaa", "sooo good"], ["hola", "too good", "1000"]),
        ("no_final_stop", ["vale", "vale 🙂"], ["vale.", "vale!", "🙂"]),
        ("line_breaks", ["uno\ndos"], ["uno dos", "uno\n"]),
        ("opening_marks", ["¿qué?", "¡ay!"], ["qué?"]),
        ("kisses", ["see you xx", "night x", "bye 😘"], ["xx-large box", "taxx"]),
    ],
)
def test_habits_are_seen_where_they_are_and_nowhere_else(marker: str, shown: list[str], not_shown: list[str]) -> None:
    assert {text: _rate(marker, text) for text in shown} == dict.fromkeys(shown, 1.0)
    assert {text: _rate(marker, text) for text in not_shown} == dict.fromkeys(not_shown, 0.0)


def test_a_rate_comes_with_its_interval() -> None:
    found = _card(*["vale!"] * 3, *["vale"] * 7)["markers"]["exclamation"]
    assert (found["count"], found["rate"]) == (3, 0.3)
    assert found["low"] == pytest.approx(0.1078, abs=1e-4)
    assert found["high"] == pytest.approx(0.6032, abs=1e-4)


@given(st.integers(0, 500), st.integers(1, 500))
def test_an_interval_holds_its_share_and_narrows_with_more(count: int, total: int) -> None:
    count = min(count, total)
    low, high = wilson(count, total)
    assert 0.0 <= low <= count / total + 1e-9
    assert count / total - 1e-9 <= high <= 1.0
    wide_low, wide_high = low, high
    low, high = wilson(count * 10, total * 10)
    assert high - low < wide_high - wide_low


def test_greetings_are_told_by_language_without_the_names_after_them() -> None:
    card = _card(
        "Hola mi vida, ¿cómo estás?",
        "hola mi vida! ya llegué",
        "Hola Marta, te cuento",
        "Querida Ana: gracias por la carta",
        "Buenos días 🌞",
        "no digo hola nunca",
        language="es",
    )
    assert card["greetings"] == {"es": [["hola mi vida", 0.3333], ["hola", 0.1667], ["buenos días", 0.1667]]}


def test_partings_are_the_last_words() -> None:
    card = _card(
        "Nos vemos el domingo. Un beso",
        "te dejo, un beso ❤️",
        "un beso me dio ayer tu abuelo",
        "Cuídate mucho!",
        language="es",
    )
    assert card["closings"]["es"][0] == ["un beso", 0.5]
    assert ["cuídate mucho", 0.25] in card["closings"]["es"]


def test_a_greeting_alone_is_no_parting() -> None:
    card = _card("Ciao!", "Ti chiamo dopo, ciao", language="it")
    assert card["greetings"] == {"it": [["ciao", 0.5]]}
    assert card["closings"] == {"it": [["ciao", 0.5]]}


def test_what_is_said_again_and_again_is_found_without_names_and_without_filler() -> None:
    texts = [f"pues mira, {rest}" for rest in ("hoy no", "mañana sí", "lo que hay", "te digo")]
    texts += ["fui a ver a Don Ramón a la plaza", "con Don Ramón no se puede", "ay Don Ramón", "Y Don Ramón dijo"]
    texts += ["de la casa", "de la mesa", "de la calle"]
    phrases = _card(*texts, language="es")["phrases"]
    assert phrases == {"es": [["pues mira", 4]]}


def test_a_phrase_does_not_run_over_a_pause() -> None:
    card = _card(*["te quiero mucho, pan caliente"] * 3, language="es")
    assert ["mucho pan", 3] not in card["phrases"]["es"]
    assert all("mucho pan" not in phrase for phrase, _ in card["phrases"]["es"])


def test_messages_in_a_row_are_one_turn() -> None:
    gaps = [0, 20, 40, 4000, 9000, 9010]
    sentences = [Sentence("hola", T0 + timedelta(seconds=gap), "es", "a") for gap in gaps]
    sentences.append(Sentence("hola", T0 + timedelta(seconds=30), "es", "b"))
    bursts = _bursts_of(sentences)
    assert bursts == {"mean": 1.75, "shares": {"1": 0.5, "2": 0.25, "3+": 0.25}}


def _bursts_of(sentences: list[Sentence]) -> Any:
    return style_card(sentences)["bursts"]


def test_hours_and_weekdays_are_local() -> None:
    card: Any = style_card([Sentence("hola", T0.replace(hour=23))], timezone="Europe/Madrid")
    assert card["hours"].index(1.0) == 0
    assert card["weekdays"].index(1.0) == 1
    assert _card("hola")["hours"] == []


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("the bread is better when it is warm", "en"),
        ("hoy fui al mercado con mi hermana porque sí", "es"),
        ("hoje não fui à feira com você", "pt"),
        ("je suis allée au marché avec ma sœur", "fr"),
        ("ich war heute mit meiner Schwester auf dem Markt", "de"),
        ("oggi sono andata al mercato con mia sorella", "it"),
        ("brrr zzz 123", ""),
    ],
)
def test_the_language_is_known_by_its_small_words(text: str, language: str) -> None:
    assert guess_language(text.lower().split()) == language


def test_mixed_languages_are_measured() -> None:
    pure = _card("the bread is better when it is warm", language="en")["mixing"]
    mixed = _card("the bread is better porque está muy rico", language="en")["mixing"]
    assert pure["index"] == 0.0
    assert 20 < mixed["index"] <= 50
    talk = [Sentence("x", T0 + timedelta(days=day), language) for day, language in enumerate(("es", "en", "en", "es"))]
    found: Any = style_card(talk)["mixing"]
    assert found["switches"] == pytest.approx(2 / 3, abs=1e-4)


def test_turns_of_phrase_of_machines_are_counted() -> None:
    assert _card("Certainly! I hope this helps you today")["assistant_rate"] == pytest.approx(2000 / 7, abs=0.01)
    assert _card("Pan y ya está")["assistant_rate"] == 0.0


def test_few_messages_give_little_confidence() -> None:
    assert _card("hola")["confidence"] == "low"
    assert _card(*["hola"] * 200)["confidence"] == "fair"
    assert _card(*["hola"] * 1000)["confidence"] == "good"


@given(st.lists(st.builds(Sentence, st.text(), st.none() | st.just(T0), st.sampled_from(["", "es", "xx"])), max_size=8))
def test_any_text_gives_a_card_of_plain_json(sentences: list[Sentence]) -> None:
    card = style_card(sentences)
    assert json.loads(json.dumps(card)) == card
    assert card["messages"] == len(sentences)


@pytest.mark.parametrize("text", ["ja" * 50_000, "a" * 100_000, "!?." * 30_000, "😂" * 30_000, "hola " * 20_000])
def test_a_strange_message_takes_no_time(text: str) -> None:
    before = time.process_time()
    _card(text)
    assert time.process_time() - before < 2
