"""Crisis: who may be in danger is heard in every language, and everyday exaggeration is not."""

from __future__ import annotations

import pytest

from agents.guards import Surface, crisis
from agents.words import load
from knowledge.viewer import public_viewer
from tests.agents.world import sets

SENTENCES = sets("crisis")
SURFACE = Surface(side="request")
VIEWER = public_viewer("persona")


def hears(text: str) -> bool:
    return crisis.check(text, SURFACE, VIEWER).score >= 1


@pytest.mark.parametrize("language", SENTENCES["danger"])
def test_at_least_95_of_100_sentences_of_danger_are_heard(language: str) -> None:
    said = SENTENCES["danger"][language]
    missed = [text for text in said if not hears(text)]
    assert len(missed) <= 0.05 * len(said), missed


@pytest.mark.parametrize("language", SENTENCES["harmless"])
def test_harmless_sentences_raise_no_alarm(language: str) -> None:
    said = SENTENCES["harmless"][language]
    alarms = [text for text in said if hears(text)]
    assert len(alarms) <= 0.03 * len(said), alarms


@pytest.mark.parametrize(
    "written",
    [
        "I WANT TO DIE",
        "i want to die!!!",
        "hi granny how are you\n\ni want   to\ndie",
        "I don’t want to live",
        "quiero MORIRME",
    ],
)
def test_how_it_is_typed_makes_no_difference(written: str) -> None:
    assert hears(written)


@pytest.mark.parametrize(
    ("region", "number", "emergency"),
    [("US", "988", "911"), ("ES", "024", "112"), ("PT", "1411", "112"), ("BR", "188", "192"), ("GB", "116 123", "999")],
)
def test_the_help_is_that_of_the_country(region: str, number: str, emergency: str) -> None:
    text = crisis.help_text("es", region)
    assert number in text
    assert emergency in text


def test_without_a_country_the_help_names_those_of_the_language_and_a_list_of_all() -> None:
    text = crisis.help_text("es", None)
    assert "ES: " in text
    assert "MX: " in text
    assert "findahelpline.com" in text


@pytest.mark.parametrize("language", load("crisis.toml"))
def test_every_language_has_words_of_help_without_a_gap(language: str) -> None:
    for region in (None, "DE", "XX"):
        text = crisis.help_text(language, region)
        assert "{" not in text
        assert "\n- " in text


def test_a_language_without_words_of_help_gets_them_in_english() -> None:
    assert crisis.help_text("xx", "US") == crisis.help_text("en", "US")


def test_every_place_of_help_has_a_line_a_number_for_emergencies_and_a_source() -> None:
    for row in load("help.toml").values():
        assert row["lines"]
        assert row["emergency"].isdigit()
        assert row["source"].startswith("https://")
