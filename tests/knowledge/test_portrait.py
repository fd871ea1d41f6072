"""Who somebody is, in their own sentences."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.portrait import Own, Portrait, portrait_of

LIFE = [
    Own(1, "Nací en Gijón en 1938, en una casa con un manzano enorme.", "es"),
    Own(2, "Mi madre era costurera y mi padre trabajaba en la mina.", "es"),
    Own(3, "Vivo en Oviedo desde que me casé con Ramón, que en paz descanse.", "es"),
    Own(4, "Trabajé de maestra cuarenta años en la escuela del barrio.", "es"),
    Own(5, "Me encanta la sidra y los domingos en la playa con los nietos.", "es"),
    Own(6, "Siempre digo que el pan no se tira nunca.", "es"),
    Own(7, "¿Te gusta la sidra que te mandé por correo ayer?", "es"),
    Own(8, "vale, luego te llamo", "es"),
]


def test_a_life_is_told_in_its_order_and_every_word_is_cited() -> None:
    found = portrait_of(LIFE)
    starts = ("Nací", "Vivo", "Mi madre", "Trabajé", "Me encanta", "Siempre digo")
    places = [found.biography.index(start) for start in starts]
    assert places == sorted(places)
    assert set(found.cited) == {1, 2, 3, 4, 5, 6}
    assert [part.split(maxsplit=1)[0] for part in found.description.split("\n\n")] == [
        start.split()[0] for start in starts
    ]


def test_nothing_is_said_that_was_not_written() -> None:
    found = portrait_of(LIFE)
    written = " ".join(own.text for own in LIFE)
    for sentence in found.description.replace("\n\n", " ").split(". "):
        assert sentence.rstrip(".") in written


def test_the_order_of_the_memories_does_not_matter() -> None:
    found = {portrait_of(order) for order in permutations(LIFE[:5])}
    assert len(found) == 1


@pytest.mark.parametrize(
    "text",
    [
        "Vivo en la calle Mayor y mi teléfono es el 612 345 678, llámame.",
        "Trabajé en una tienda y mi correo es rosa@example.com desde siempre.",
        "Me gusta mucho esta página que es https://example.com de verdad.",
    ],
)
def test_phone_numbers_addresses_and_links_are_left_out(text: str) -> None:
    assert portrait_of([Own(1, text, "es")]) == Portrait()


def test_questions_fragments_and_endless_sentences_are_left_out() -> None:
    texts = ["¿Nací en Gijón, o fue en Oviedo donde nací yo?", "Nací en Gijón", "Nací en Gijón " + "y más " * 60]
    assert portrait_of([Own(number, text, "es") for number, text in enumerate(texts)]) == Portrait()


def test_what_was_told_twice_is_said_once() -> None:
    twice = [LIFE[0], Own(9, "nací en Gijón en 1938, en una casa con un manzano enorme", "es")]
    assert portrait_of(twice).biography == LIFE[0].text


def test_the_lengths_are_kept_however_much_there_is() -> None:
    many = [
        Own(number, f"Me gusta {word * 3} cuando viene el {word} número {number} de la {word}{number}.", "es")
        for number, word in enumerate(["pan", "mar", "sol", "luz", "flor"] * 60)
    ]
    found = portrait_of([*LIFE, *many])
    assert len(found.biography) <= 500
    assert len(found.description) <= 3000
    assert found.biography.startswith("Nací")


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "I was born in Leeds, above my father's bakery on the hill."),
        ("pt", "Nasci em Coimbra, numa casa pequena perto do rio."),
        ("fr", "J'ai grandi à Lyon, dans une maison près de la rivière."),
        ("de", "Ich bin in Graz in einer kleinen Bäckerei aufgewachsen."),
        ("it", "Sono nata a Torino, in una casa vicino al fiume."),
    ],
)
def test_a_birthplace_is_found_in_every_language_told_or_not(language: str, text: str) -> None:
    assert portrait_of([Own(1, text, language)]).biography == text
    assert portrait_of([Own(1, text, "")]).biography == text


def test_a_brand_tells_of_its_work() -> None:
    found = portrait_of([Own(1, "Our bakery opened in 1962 and we bake everything by hand.", "en")])
    assert found.biography == "Our bakery opened in 1962 and we bake everything by hand."


def test_most_is_told_in_the_language_that_is_used_most() -> None:
    mixed = [*LIFE, Own(20, "I was born in Leeds, above my father's bakery on the hill.", "en")]
    assert "Leeds" not in portrait_of(mixed).description


@given(st.lists(st.builds(Own, st.integers(1, 99), st.text(), st.sampled_from(["", "es", "xx"])), max_size=6))
def test_any_text_gives_a_portrait_that_cites_what_it_was_given(memories: list[Own]) -> None:
    found = portrait_of(memories)
    assert set(found.cited) <= {own.memory_id for own in memories}
