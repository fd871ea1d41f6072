"""What says much weighs more than what says little."""

from __future__ import annotations

import pytest

from knowledge.importers.contract import Record
from knowledge.importers.weighing import importance


def weight(text: str, platform: str = "whatsapp", activity: str = "message") -> float:
    return importance(Record(platform=platform, activity=activity, natural_key="x", text=text))


@pytest.mark.parametrize(
    "text",
    [
        "ok",
        "Ok!!",
        "jajaja",
        "kkkk",
        "hahaha",
        "rs",
        "👍",
        "...",
        "gracias",
        "sí sí",
        "vale, gracias",
        "ㅋㅋㅋ",
        "哈哈",
    ],
)
def test_a_line_that_says_nothing_weighs_nothing(text: str) -> None:
    assert weight(text) <= 0.02


def test_lines_are_ordered_as_a_reader_would() -> None:
    lines = [
        "jaja",
        "¿vienes?",
        "ya llego al mercado ahora",
        "Nací el 3 de febrero de 1941 en San Paio, una aldea pegada al Miño.",
    ]
    weights = [weight(line) for line in lines]
    assert weights == sorted(weights)
    assert weights[-1] > 3 * weights[-2]


def test_an_answer_weighs_more_than_its_question() -> None:
    assert weight("I was born by the river in 1941.") > 2 * weight("Where were you born, and in which year was that?")


def test_what_was_written_down_weighs_more_than_what_was_chatted() -> None:
    text = "We carried coffee under our coats."
    assert weight(text, "documents", "passage") > weight(text, "instagram", "post") > weight(text)


@pytest.mark.parametrize("text", ["word " * 5000, "é" * 9000, "1 2 3", "?", "\n"])
def test_a_weight_is_between_nothing_and_everything(text: str) -> None:
    assert 0 < weight(text) <= 1
