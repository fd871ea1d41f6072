"""Documents become passages under their headings, in any of the usual encodings, with the date they carry."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from knowledge.importers.contract import ReadOptions, Record, Trouble
from knowledge.importers.documents import Documents
from knowledge.importers.passages import Block, count_words, passages, sentences
from tests.knowledge.importers.exports import read_all, records_of, write_files

MINE = ReadOptions(persona_names=("Ivy Moss",))


def texts_of(folder: Path) -> list[str]:
    return [record.text for record in records_of(Documents(), folder, MINE)]


def test_markdown_loses_its_marks_and_keeps_its_headings(tmp_path: Path) -> None:
    text = "# Recipes\n\n## Broth\n\nTake **one** [leek](http://x.example) and `salt`.\n\n- a bone\n- two potatoes\n"
    write_files(tmp_path, {"r.md": text})
    (found,) = records_of(Documents(), tmp_path, MINE)
    assert found.text == "Take one leek and salt.\n\n- a bone\n- two potatoes"
    assert found.context == "Recipes › Broth"
    assert (found.author, found.is_owner, found.activity) == ("Ivy Moss", True, "passage")


def test_a_passage_never_crosses_a_heading(tmp_path: Path) -> None:
    write_files(tmp_path, {"faq.md": "# FAQ\n\n## When?\n\nAt seven.\n\n## Where?\n\nBy the river.\n"})
    found = records_of(Documents(), tmp_path, MINE)
    assert [(record.text, record.context) for record in found] == [
        ("At seven.", "FAQ › When?"),
        ("By the river.", "FAQ › Where?"),
    ]


def test_a_table_is_read_row_by_row(tmp_path: Path) -> None:
    write_files(tmp_path, {"t.md": "| Loaf | Price |\n|---|---|\n| rye | 4.80 |\n| corn | 4.50 |\n"})
    assert texts_of(tmp_path) == ["Loaf | Price\nrye | 4.80\ncorn | 4.50"]


def test_front_matter_gives_title_author_and_date(tmp_path: Path) -> None:
    write_files(
        tmp_path, {"a.md": "---\ntitle: The notebook\nauthor: Sam\ndate: 1998-02-01\n---\nHello there, friend.\n"}
    )
    (found,) = records_of(Documents(), tmp_path, MINE)
    assert (found.conversation, found.author, found.is_owner) == ("The notebook", "Sam", False)
    assert found.occurred_at is not None
    assert f"{found.occurred_at:%Y-%m-%d}" == "1998-02-01"


def test_a_document_by_the_persona_is_its_own_words(tmp_path: Path) -> None:
    write_files(tmp_path, {"a.md": "---\nauthor: ivy moss\n---\nI was born by the river.\n"})
    assert [record.is_owner for record in records_of(Documents(), tmp_path, MINE)] == [True]


@pytest.mark.parametrize(
    ("name", "text", "day"),
    [
        ("2019-05-03 letter.txt", "Dear Sam, I write to you.", "2019-05-03"),
        ("20190503.txt", "Dear Sam, I write to you.", "2019-05-03"),
        ("1961-05.txt", "Dear Sam, I write to you.", "1961-05-01"),
        ("a.txt", "Vigo, 3 de mayo de 1962\n\nQuerida hermana: te escribo.", "1962-05-03"),
        ("a.txt", "Lisboa, 24 de agosto de 1975\n\nQuerida amiga, escrevo-te.", "1975-08-24"),
        ("a.txt", "May 3, 1962\n\nDear Sam, I write to you.", "1962-05-03"),
        ("a.txt", "Paris, le 3 août 1962\n\nCher Sam, je t'écris.", "1962-08-03"),
        ("a.txt", "Bonn, 3. März 1962\n\nLieber Sam, ich schreibe dir.", "1962-03-03"),
        ("a.txt", "In 1962 there were 30 of us in the choir, all of them tenors.", None),
    ],
)
def test_the_date_of_a_document_is_found(name: str, text: str, day: str | None, tmp_path: Path) -> None:
    write_files(tmp_path, {name: text})
    at = records_of(Documents(), tmp_path, MINE)[0].occurred_at
    assert (f"{at:%Y-%m-%d}" if at else None) == day


def test_html_is_read_without_scripts_menus_and_forms(tmp_path: Path) -> None:
    page = (
        "<html><head><title>Life</title><meta name='date' content='2001-01-02T10:00'><script>no()</script></head><body>"
        "<nav>Menu</nav><h1>My life</h1><p>I was born in <b>1941</b>.<br>In winter.</p>"
        "<h2>Work</h2><ul><li>buttons<li>coats</ul><form>Sign up<input></form>"
        "<table><tr><td>rye</td><td>4.80</td></tr></table><style>p{}</style></body></html>"
    )
    write_files(tmp_path, {"l.html": page})
    found = records_of(Documents(), tmp_path, MINE)
    assert [(record.text, record.context) for record in found] == [
        ("I was born in 1941.\nIn winter.", "Life › My life"),
        ("- buttons\n- coats\n\nrye | 4.80", "Life › My life › Work"),
    ]
    assert found[0].occurred_at is not None


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.txt", "El caldo está mejor mañana.".encode()),
        ("a.txt", "El caldo está mejor mañana.".encode("utf-8-sig")),
        ("a.txt", "El caldo está mejor mañana.".encode("utf-16")),
        ("a.txt", "El caldo está mejor mañana.".encode("cp1252")),
        ("a.html", "<p>El caldo está mejor mañana.</p>".encode("cp1252")),
        ("a.html", '<meta charset="iso-8859-15"><p>El caldo está mejor mañana.</p>'.encode("iso-8859-15")),
    ],
)
def test_every_usual_encoding_is_read(name: str, data: bytes, tmp_path: Path) -> None:
    write_files(tmp_path, {name: data})
    assert texts_of(tmp_path) == ["El caldo está mejor mañana."]


def test_a_file_that_is_no_text_is_told_and_the_others_are_read(tmp_path: Path) -> None:
    write_files(tmp_path, {"a.txt": b"\x00\x01\x02\x03" * 100, "b.txt": "Words of mine."})
    found = read_all(Documents(), tmp_path, MINE)
    assert [one.member for one in found if isinstance(one, Trouble)] == ["a.txt"]
    assert [one.text for one in found if isinstance(one, Record)] == ["Words of mine."]


def test_a_letter_broken_at_a_fixed_width_is_joined_and_a_verse_is_not(tmp_path: Path) -> None:
    letter = (
        "I write to you from the harbour, where the ship has left\n"
        "without me this morning, and I could not say goodbye as\nI had wanted to."
    )
    verse = "Airiños, airiños aires,\nairiños da miña terra"
    write_files(tmp_path, {"a.txt": f"{letter}\n\n{verse}\n"})
    assert texts_of(tmp_path) == [letter.replace("\n", " ") + "\n\n" + verse]


def test_a_repeated_passage_is_kept_once(tmp_path: Path) -> None:
    write_files(tmp_path, {"a.md": "# A\n\nSame words here.\n\n# B\n\nSame words here.\n"})
    assert len(texts_of(tmp_path)) == 1


def test_passages_are_neither_tiny_nor_huge() -> None:
    blocks = [Block(" ".join(f"Sentence number {n} has seven words here." for n in range(60))), Block("Short one.")] * 3
    sizes = [count_words(passage.text) for passage in passages(blocks)]
    assert sum(sizes) == sum(count_words(block.text) for block in blocks)
    assert all(30 <= size <= 180 for size in sizes)


def test_sentences_end_where_a_reader_would_say() -> None:
    text = 'He said: "Go." She left at 7.30 p.m. with 3.5 kilos. ¿Y tú? Yo no… Well! 好的。走吧。'
    assert sentences(text) == [
        'He said: "Go."',
        "She left at 7.30 p.m. with 3.5 kilos.",
        "¿Y tú?",
        "Yo no…",
        "Well!",
        "好的。",
        "走吧。",
    ]


@settings(max_examples=80, deadline=timedelta(seconds=2), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    ending=st.sampled_from(["txt", "md", "html"]),
    data=st.one_of(
        st.binary(max_size=300),
        st.text(max_size=300).map(lambda text: text.encode("utf-8", "replace")),
        st.lists(
            st.sampled_from(
                ["<p>", "</div>", "<td>", "# ", "- ", "> ", "|a|\n", "```", "\n", "word ", "<!--", "---\n"]
            ),
            max_size=60,
        ).map(lambda parts: "".join(parts).encode()),
    ),
)
def test_no_document_makes_the_reader_fail(ending: str, data: bytes, tmp_path: Path) -> None:
    write_files(tmp_path, {f"a.{ending}": data})
    read_all(Documents(), tmp_path, MINE)
    (tmp_path / f"a.{ending}").unlink()
