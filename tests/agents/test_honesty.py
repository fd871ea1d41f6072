"""Honesty: the question "are you a bot?" is recognised in many languages, and no denial passes."""

from __future__ import annotations

import re

import pytest

from agents import disclosure
from agents.guards import Surface, honesty
from knowledge.viewer import public_viewer
from tests.agents.world import sets

SENTENCES = sets("honesty")
ANSWER = Surface(side="answer")
VIEWER = public_viewer("persona")


def denies(text: str) -> bool:
    return honesty.check(text, ANSWER, VIEWER).score >= 1


def variants(text: str) -> set[str]:
    """Return the ways the same question is typed."""
    bare = re.sub(r"^[¿\s]+|[?？;.\s]+$", "", text)
    return {text, text.upper(), bare, f"{bare}??", f"😊 {text}", f"ok. {text}"}


def test_there_are_more_than_500_ways_of_asking_in_at_least_20_languages() -> None:
    asked = {variant for said in SENTENCES["asks"].values() for text in said for variant in variants(text)}
    assert len(asked) > 500
    assert len(SENTENCES["asks"]) >= 20
    missed = sorted(text for text in asked if not honesty.asks_whether_ai(text))
    assert missed == []


@pytest.mark.parametrize("language", SENTENCES["neither"])
def test_other_questions_are_not_taken_for_it(language: str) -> None:
    assert [text for text in SENTENCES["neither"][language] if honesty.asks_whether_ai(text)] == []


@pytest.mark.parametrize("language", SENTENCES["denials"])
def test_denials_are_recognised(language: str) -> None:
    said = SENTENCES["denials"][language]
    assert [text for text in (*said, *(text.upper() for text in said)) if not denies(text)] == []


@pytest.mark.parametrize("language", SENTENCES["clean"])
def test_what_is_no_denial_passes(language: str) -> None:
    assert [text for text in SENTENCES["clean"][language] if denies(text)] == []


def test_a_request_is_never_judged_as_a_denial() -> None:
    assert honesty.check("I am human, are you?", Surface(side="request"), VIEWER).score == 0


@pytest.mark.parametrize("language", disclosure.languages())
@pytest.mark.parametrize("kind", ["self", "memorial", "brand", "fictional"])
def test_our_own_words_say_plainly_that_this_is_an_ai_and_deny_nothing(language: str, kind: str) -> None:
    for text in (disclosure.disclosure(kind, "Rosa", language), disclosure.statement(kind, "Rosa", language)):
        assert honesty.says_it_is_ai(text)
        assert not denies(text)
        assert "Rosa" in text


def test_there_are_fixed_words_in_at_least_20_languages() -> None:
    assert len(disclosure.languages()) >= 20
    assert disclosure.statement("self", "Rosa", "xx") == disclosure.statement("self", "Rosa", "en")
