"""Marks lead answers back to memories and are never seen, however a text is cut while it is written."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.marks import cited, plain
from knowledge.recall import Recalled

_PIECES = (
    "[m1]",
    "[m2, m3]",
    "[none]",
    " [m12]",
    "【m3】",
    "(m2)",
    "[memory 4]",
    "I baked bread",
    "Rosa: ",
    ". ",
    " (I swear) ",
    " [sic] ",
    "\n",
    " 2 < 3 ",
    "¡Qué alegría!",
    "<think>hm [m9]</think>",
)


def memory(memory_id: int, text: str = "Nothing of note.") -> Recalled:
    return Recalled(
        memory_id=memory_id,
        text=text,
        kind="said",
        speaker="Rosa",
        is_own=True,
        context="",
        language="en",
        happened_at=None,
        session="",
        source_id=None,
        source_name="",
        score=1.0,
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Bread. [m1]", "Bread."),
        ("Bread [m1].", "Bread."),
        ("Bread.[m1][m2] Then cake. [M3]", "Bread. Then cake."),
        ("Bread [m1, m2; m3] and cake (m4).", "Bread and cake."),
        ("No idea. [none]", "No idea."),
        ("Bread 【m1】", "Bread"),
        ("Bread [1] and cake [2, 3], or pie [m4-m6]. [m123456]", "Bread and cake, or pie."),
        ("In May (5) we swam.", "In May (5) we swam."),
        ("Bread. [Memory 2]", "Bread."),
        ("It was 3 (three) degrees [sic].", "It was 3 (three) degrees [sic]."),
        ("<think>Which one? [m1]</think>Bread.", "Bread."),
        ("Which one? [m1]\n</think>\nBread.", "Bread."),
        ("Rosa: Bread.", "Bread."),
        ("“Bread, dear.”", "Bread, dear."),
        ('"Bread", she said, "and cake"', '"Bread", she said, "and cake"'),
        ("<think>all of it", ""),
    ],
)
def test_a_finished_answer_is_shown_without_its_marks(text: str, shown: str) -> None:
    assert plain(text, speaker="Rosa") == shown


@settings(deadline=None)
@given(st.lists(st.sampled_from(_PIECES), max_size=12).map("".join), st.integers(1, 7))
def test_no_part_of_a_mark_or_a_thought_is_ever_shown(text: str, size: int) -> None:
    whole = plain(text, speaker="Rosa")
    for end in range(0, len(text) + 1, size):
        so_far = plain(text[:end], speaker="Rosa", is_whole=False)
        assert whole.startswith(so_far)


def test_marks_name_memories_by_the_order_in_which_they_were_shown() -> None:
    found = cited("One [m2]. Two [m1][m2][m9]. Three [m0].", [memory(70), memory(50)])
    assert found.memory_ids == (50, 70)
    assert found.text == "One. Two. Three."
    assert not found.is_unknown


def test_an_unmarked_answer_is_led_back_by_its_words_and_one_without_memories_is_not() -> None:
    shown = [memory(1, "The lemon trees stood behind the chapel."), memory(2, "We swam in the river every August.")]
    assert cited("Behind the chapel, where the lemon trees were.", shown).memory_ids == (1,)
    assert cited("Good morning, dear!", shown).memory_ids == ()
    assert cited("I do not remember lemon trees behind the chapel. [none]", shown).memory_ids == ()
