"""The style card as the profile page tells it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from admin.style_words import style_words

CARD = {
    "messages": 1320,
    "confidence": "good",
    "languages": {"pt": 0.7, "en": 0.295, "fr": 0.005},
    "length": {"median": 48.4, "words": 9, "p90": 120},
    "markers": {"emoji": {"rate": 0.21}, "kisses": {"rate": 0.4}, "capitals": {"rate": 0.001}},
    "greetings": {"en": [["my dear", 0.3]], "pt": [["bom dia", 0.1]]},
    "emoji": [["🌻", 12], ["😘", 3]],
    "hours": [0.0] * 9 + [0.5, 0.3, 0.2] + [0.0] * 12,
}


def test_a_card_is_told_in_sentences() -> None:
    assert dict(style_words(CARD)) == {
        "Counted from": "1,320 messages: plenty",
        "Languages": "Portuguese 70% and English 30%",
        "Length": "Usually about 48 characters (9 words), seldom more than 120",
        "Habits": "kisses in 40% and emoji in 21%",
        "Greets with": "“my dear”, “bom dia”",
        "Emoji": "🌻  😘",
        "Writes most": "around 9:00, around 10:00 and around 11:00",
    }


@pytest.mark.parametrize("card", [{}, {"languages": None, "hours": [], "markers": {"emoji": {}}, "unheard": 1}])
def test_a_card_that_says_nothing_is_not_shown(card: dict[str, Any]) -> None:
    assert style_words(card) == []


_json = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from([*CARD, "closings", "phrases", "laughter"]), _json))
def test_no_card_breaks_the_page(card: dict[str, Any]) -> None:
    style_words(card)
