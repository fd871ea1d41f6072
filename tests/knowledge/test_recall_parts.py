"""The parts of recall one by one: times in a question, misspelt words, signs of vectors, rows that come and go."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.database import Database
from knowledge.dates import dates_in, may_name_time
from knowledge.index import IndexedMemory, living_by_id
from knowledge.languages import guess_languages, plain, stems
from knowledge.meaning import Meaning, quantise
from knowledge.question import understand
from knowledge.shelf import Shelf
from knowledge.shelves import Shelves
from knowledge.viewer import Viewer, owner_viewer, public_viewer
from knowledge.vocabulary import Vocabulary, similarity
from tests.fakes import FakeClock
from tests.knowledge.recall_world import World, make_persona

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)  # a Sunday


@pytest.mark.parametrize(
    ("question", "first", "last"),
    [
        ("What did we do last August?", "2025-08-01", "2025-08-31"),
        ("what happened in August last year", "2025-08-01", "2025-08-31"),
        ("Where were you on May 5th 2020?", "2020-05-05", "2020-05-05"),
        ("Where were you yesterday?", "2026-02-28", "2026-02-28"),
        ("a couple of weeks ago", "2026-02-09", "2026-02-15"),
        ("what was life like in the 80s?", "1980-01-01", "1989-12-31"),
        ("what did you cook last weekend?", "2026-02-21", "2026-02-22"),
        ("on 2021-04-03", "2021-04-03", "2021-04-03"),
        ("in summer 2018, where?", "2018-06-01", "2018-08-31"),
        ("what did you do in 1974?", "1974-01-01", "1974-12-31"),
        ("¿Qué hicimos en agosto de 2019?", "2019-08-01", "2019-08-31"),
        ("¿Qué pasó el lunes pasado?", "2026-02-23", "2026-02-23"),
        ("¿qué hiciste anteayer?", "2026-02-27", "2026-02-27"),
        ("hace dos semanas, ¿qué comimos?", "2026-02-09", "2026-02-15"),
        ("¿dónde estabas en los años 60?", "1960-01-01", "1969-12-31"),
        ("O que fizemos o mês passado?", "2026-02-01", "2026-02-28"),
        ("há três meses onde foste?", "2025-12-01", "2025-12-31"),
        ("o que disseste dois dias atrás?", "2026-02-27", "2026-02-27"),
        ("o que aconteceu em março de 2015?", "2015-03-01", "2015-03-31"),
        ("le 5 mai 2020 où étais-tu ?", "2020-05-05", "2020-05-05"),
        ("qu'as-tu fait l'été dernier ?", "2025-06-01", "2025-08-31"),
        ("il y a deux ans, où vivais-tu ?", "2024-01-01", "2024-12-31"),
        ("Was war im August letzten Jahres?", "2025-08-01", "2025-08-31"),
        ("wo warst du vor drei Monaten?", "2025-12-01", "2025-12-31"),
        ("wo warst du in den 70er Jahren?", "1970-01-01", "1979-12-31"),
        ("cosa hai fatto l'altro ieri?", "2026-02-27", "2026-02-27"),
        ("dove eri tre anni fa?", "2023-01-01", "2023-12-31"),
    ],
)
def test_a_time_in_words_is_a_stretch_of_days(question: str, first: str, last: str) -> None:
    words = plain(question).split()
    codes = guess_languages(words)

    assert may_name_time(words, codes)
    found = dates_in(question, codes, NOW)

    spans = [(str(date.fromordinal(a)), str(date.fromordinal(b))) for a, b in found.spans]
    assert (first, last) in spans
    assert len(spans) == 1


@pytest.mark.parametrize(
    "question",
    [
        "You may tell me",
        "did you fall?",
        "tu as été là",
        "how are you",
        "¿quién eres?",
        "Marco, vem cá",
        "a second helping",
    ],
)
def test_words_that_only_look_like_times_name_none(question: str) -> None:
    assert not dates_in(question, guess_languages(plain(question).split()), NOW)


def test_a_month_alone_stands_for_any_year() -> None:
    found = dates_in("¿qué comíais en diciembre?", ("es",), NOW)

    assert found.months == {12}
    assert not found.spans


@given(st.text(max_size=80))
def test_no_text_breaks_the_reading_of_a_question(text: str) -> None:
    question = understand(text, names=("Ana María",), spoken=("es", "en"), now=NOW)

    assert len(question.words) <= 24


@given(st.integers(1, 9999), st.integers(0, 99), st.integers(0, 99))
def test_no_number_breaks_the_reading_of_a_date(year: int, month: int, day: int) -> None:
    for text in (
        f"on {day}/{month}/{year}",
        f"{year}-{month}-{day}",
        f"el {day} de mayo de {year}",
        f"{day} years ago",
    ):
        dates_in(text, ("en", "es"), NOW)


def test_stems_meet_with_and_without_accents() -> None:
    assert set(stems("comiamos", "es")) & set(stems("comíamos", "es"))
    assert set(stems("coração", "pt")) & set(stems("coracao", "pt"))
    assert set(stems("Straße", "de")) & set(stems("strasse", "de"))


@pytest.mark.parametrize(
    ("slip", "meant"),
    [("tortose", "tortois"), ("kitchn", "kitchen"), ("acordion", "accordion"), ("lihgthouse", "lighthous")],
)
def test_a_slip_finds_the_word_it_was_meant_for(slip: str, meant: str) -> None:
    vocabulary = Vocabulary()
    for word in (meant, "table", "orang", "lightn", "accord", "bake", "torch", "houses", "window"):
        number = vocabulary.number(word)
        vocabulary.counts.values[number] = 1

    found = vocabulary.similar(slip)

    assert vocabulary.stem(found[0][0]) == meant


def test_words_that_no_memory_holds_any_more_are_not_guessed() -> None:
    vocabulary = Vocabulary()
    vocabulary.number("tortois")

    assert vocabulary.similar("tortose") == []


def test_different_words_are_not_alike() -> None:
    assert similarity("bridge", "orange") < 0.55
    assert similarity("bread", "bread") == 1


def test_vectors_that_differ_in_every_sign_are_the_farthest() -> None:
    # Counted in single bytes, 384 differing bits would be 128 and look near.
    meaning = Meaning(384)
    meaning.extend(3)
    towards = np.full(384, 1 / np.sqrt(384), np.float32)
    half = towards.copy()
    half[:150] *= -1
    for row, vector in enumerate((-towards, half, towards)):
        meaning.put(row, *quantise(vector))

    found = meaning.nearest(towards, np.ones(3, np.bool_), limit=2, looked_at=2)

    assert found.tolist() == [2, 1]


def test_signs_and_bytes_find_nearly_what_the_exact_vectors_find() -> None:
    chance = np.random.default_rng(7)
    centres = chance.normal(size=(60, 384))
    vectors = (centres[chance.integers(0, 60, 5000)] + chance.normal(size=(5000, 384))).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    meaning = Meaning(384)
    meaning.extend(len(vectors))
    for row, vector in enumerate(vectors):
        meaning.put(row, *quantise(vector))
    hits = 0
    for vector in vectors[::250]:
        near = np.argsort(-np.einsum("rd,d->r", vectors, vector))[:10]
        found = meaning.nearest(vector, np.ones(len(vectors), np.bool_), limit=10, looked_at=300)
        hits += len(set(near.tolist()) & set(found.tolist()))

    assert hits / 200 > 0.97


def test_only_eligible_rows_are_near() -> None:
    meaning = Meaning(64)
    meaning.extend(10)
    for row in range(10):
        meaning.put(row, *quantise(np.full(64, 1.0, np.float32)))
    eligible = np.zeros(10, np.bool_)
    eligible[[2, 5]] = True

    assert meaning.nearest(np.ones(64, np.float32), eligible, limit=10, looked_at=3).tolist() == [2, 5]


def _memory(number: int, **facts: object) -> IndexedMemory:
    given = IndexedMemory(
        id=number,
        persona_id="p",
        kind="said",
        text=f"word{number} here",
        context="",
        language="en",
        audience="public",
        speaker="Ana",
        speaker_id=None,
        subject="",
        is_own=True,
        session="s",
        place=number,
        happened_at=None,
        importance=0.3,
        mentions=[],
        with_person=None,
    )
    return replace(given, **facts)  # type: ignore[arg-type]


@given(st.lists(st.tuples(st.integers(1, 6), st.integers(0, 5), st.booleans()), max_size=30))
def test_neighbours_and_counts_hold_whatever_comes_and_goes(changes: list[tuple[int, int, bool]]) -> None:
    shelf = Shelf("p", 64)
    living: dict[int, int] = {}
    for line, (number, place, is_here) in enumerate(changes):
        if is_here:
            shelf.add([_memory(number, place=place)], line=line)
            living[number] = place
        else:
            shelf.remove(number)
            living.pop(number, None)

    assert shelf.count == len(living)
    order = [number for _, number in sorted((place, number) for number, place in living.items())]
    rows = [shelf.row_of(number) for number in order]
    assert [int(shelf["before"][row]) for row in rows] == ([-1, *rows[:-1]] if rows else [])
    assert [int(shelf["after"][row]) for row in rows] == ([*rows[1:], -1] if rows else [])
    assert int(shelf.vocabulary.counts.values.sum()) == 2 * len(living)
    seen = shelf.seen_by(public_viewer("p"))
    assert np.flatnonzero(seen).tolist() == sorted(rows)
    assert not shelf.seen_by(Viewer(persona_id="p", audiences=frozenset())).any()
    assert not shelf.seen_by(owner_viewer("another")).any()


async def test_a_shelf_of_mostly_closed_rows_is_put_aside_and_loaded_anew(
    database: Database, clock: FakeClock, tmp_path: Path
) -> None:
    world = World(database, tmp_path, await make_persona(database, "rosalind"), clock)
    memory_id = await world.tell("The stone bridge.")
    shelves = Shelves()
    shelf = await database.read(lambda c: shelves.current(c, world.persona_id))
    for _ in range(1100):
        living = await database.read(lambda c: living_by_id(c, [memory_id]))
        shelf.add(living, line=shelf.learnt)
        if len(shelf) > 1002:
            break

    await database.read(lambda c: shelves.all_reach(c, shelf.learnt))

    assert shelves.all() == []
    assert (await database.read(lambda c: shelves.current(c, world.persona_id))).count == 1
