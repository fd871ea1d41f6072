"""Tolerant JSON: whatever an export does to it, what can be read is read, and repairs are counted."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.importers.json_text import Damaged, Repairs, pieces, whole


def read(text: str | bytes, **options: Any) -> tuple[list[tuple[str | None, Any]], Repairs, str]:
    repairs = Repairs()
    found: list[tuple[str | None, Any]] = []
    error = ""
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    try:
        for piece in pieces(io.BytesIO(data), repairs, **options):
            found.append(piece)
    except Damaged as damage:
        error = str(damage)
    return found, repairs, error


def garbled(text: str) -> str:
    """Write a text as Meta's exports do: each byte of its UTF-8 as a character."""
    return text.encode("utf-8").decode("latin-1")


def test_a_list_comes_piece_by_piece() -> None:
    assert read('[{"a": 1}, 2, "x", null, []]')[0] == [("", {"a": 1}), ("", 2), ("", "x"), ("", None), ("", [])]


def test_an_object_gives_its_lists_first_and_the_rest_last() -> None:
    found, _, error = read('{"title": "t", "messages": [1, 2], "who": {"name": "x"}, "none": []}')
    assert found == [("messages", 1), ("messages", 2), (None, {"title": "t", "who": {"name": "x"}, "none": []})]
    assert error == ""


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_every_unicode_encoding_is_read(encoding: str) -> None:
    assert read('["café"]'.encode(encoding))[0] == [("", "café")]


def test_broken_letters_are_mended_in_values_and_keys_and_counted() -> None:
    text = json.dumps([{garbled("Réaction"): garbled("J’aime 🎂")}])
    found, repairs, _ = read(text)
    assert found == [("", {"Réaction": "J’aime 🎂"})]
    assert repairs["mojibake"] == 2


def test_real_letters_are_left_alone() -> None:
    found, repairs, _ = read(json.dumps(["café real", "Да", "おはよう"]))
    assert [value for _, value in found] == ["café real", "Да", "おはよう"]
    assert repairs["mojibake"] == 0


def test_letters_cut_in_the_middle_stay_and_are_counted() -> None:
    found, repairs, _ = read('["truncated emoji \\u00f0\\u009f\\u0098"]')
    assert found == [("", "truncated emoji ð\x9f\x98")]
    assert repairs["mojibake left"] == 1


def test_an_export_in_right_letters_is_not_mended() -> None:
    assert read(json.dumps([garbled("é")]), mends_mojibake=False)[0] == [("", "Ã©")]


def test_escapes_that_json_does_not_know_are_mended() -> None:
    found, repairs, error = read(r'[{"a": "\x1b[0m tab\x41 \q \\x41 \\\x42", "b": 1}]')
    assert found == [("", {"a": "[0m tabA \\q \\x41 \\B", "b": 1})]
    assert repairs["escapes"] == 4
    assert error == ""


def test_an_escape_across_the_bounds_of_a_chunk_is_mended_once() -> None:
    for shift in range(12):
        text = '["' + "a" * (262_140 + shift) + r'\x41\\x42\\\x43", "end"]'
        found, _, error = read(text)
        assert error == ""
        assert found[0][1].endswith("aA\\x42\\C")
        assert found[1] == ("", "end")


def test_lone_surrogates_and_control_characters_do_not_reach_the_database() -> None:
    found, repairs, _ = read('["a\\ud83d b", "\\u0000c\x07d", "\\ud83d\\ude00"]')
    assert [value for _, value in found] == ["a\ufffd b", "cd", "😀"]
    assert repairs["surrogates"] == 1
    assert repairs["controls"] == 1


def test_numbers_that_are_none_and_numbers_too_large() -> None:
    found, repairs, _ = read("[NaN, Infinity, -Infinity, 1e999, 123456789012345678901234567890]")
    assert [value for _, value in found] == [None, None, None, None, "123456789012345678901234567890"]
    assert repairs["not numbers"] == 4


@pytest.mark.parametrize("cut", [7, 12, 18, 25])
def test_what_stands_before_a_cut_is_kept(cut: int) -> None:
    text = '{"title": "t", "messages": [{"n": 1}, {"n": 2}, {"n": 3}]}'
    found, _, error = read(text[:-cut])
    assert error
    assert [value["n"] for key, value in found if key == "messages"] == [1, 2, 3][: len(found) - 1]
    assert found[-1] == (None, {"title": "t"})


@pytest.mark.parametrize("depth", [70, 5_000, 200_000])
@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_deep_nesting_is_refused(depth: int, opening: str) -> None:
    found, _, error = read("[1, " + opening * depth)
    assert found == [("", 1)]
    assert "deep" in error or "cut short" in error
    complete = "[1, " + opening * depth + "1" + ("]" if opening == "[" else "}") * depth + "]"
    assert "deep" in read(complete)[2]


@pytest.mark.parametrize("text", ["", " ", "hello", "123", '"x"', "nul", "{", "[", '{"a"', '{"a":', "[1,", "{]", "[}"])
def test_what_is_no_export_is_damaged(text: str) -> None:
    assert read(text)[2]


def test_a_comma_too_many_does_no_harm() -> None:
    assert read("[1, 2, ]")[0] == [("", 1), ("", 2)]


def test_a_long_list_is_read_in_pieces() -> None:
    text = json.dumps([{"n": n, "text": "x" * 50} for n in range(20_000)])
    assert [value["n"] for _, value in read(text)[0]] == list(range(20_000))


def test_a_number_at_the_end_of_a_chunk_is_whole() -> None:
    text = "[" + ",".join(str(1_000_000 + n) for n in range(60_000)) + "]"
    assert sum(value for _, value in read(text)[0]) == sum(range(1_000_000, 1_060_000))


_VALUES = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-(10**12), 10**12), st.text(st.characters(codec="ascii"), max_size=20)
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text("abc", max_size=3), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(value=st.lists(_VALUES, max_size=6))
def test_good_json_comes_out_as_it_went_in(value: list[Any]) -> None:
    repairs = Repairs()
    text = json.dumps(value)
    kept = json.loads("".join(letter for letter in text if letter >= " "))
    assert [piece for _, piece in pieces(io.BytesIO(text.encode()), repairs)] == _without_controls(kept)


@given(data=st.binary(max_size=300))
def test_no_bytes_raise_anything_but_damaged(data: bytes) -> None:
    read(data)
    try:
        whole(io.BytesIO(data), Repairs())
    except Damaged:
        return


@given(value=_VALUES, data=st.data())
def test_no_edit_of_good_json_raises_anything_but_damaged(value: Any, data: st.DataObject) -> None:
    text = bytearray(json.dumps({"a": value, "b": [value]}).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        text[data.draw(st.integers(0, len(text) - 1))] = data.draw(st.integers(0, 255))
    read(bytes(text))


def _without_controls(value: Any) -> Any:
    if isinstance(value, str):
        return "".join(letter for letter in value if letter in "\t\n\r" or letter >= " ")
    if isinstance(value, list):
        return [_without_controls(inner) for inner in value]
    if isinstance(value, dict):
        return {key: _without_controls(inner) for key, inner in value.items()}
    return value
