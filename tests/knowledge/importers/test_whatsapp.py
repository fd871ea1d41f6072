"""What is true of every exported chat: dates, owners, the same rows again, and hostile lines."""

from __future__ import annotations

import string
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from knowledge.importers.contract import ReadOptions, Record, Trouble
from knowledge.importers.tree import SafeTree
from knowledge.importers.whatsapp import WhatsApp
from tests.knowledge.importers.exports import questions_of, read_all, records_of, write_files, zip_of

MINE = ReadOptions(owner_names=("Ivy",))


def days_of(folder: Path, options: ReadOptions = MINE) -> list[str]:
    return [f"{record.occurred_at:%Y-%m-%d}" for record in records_of(WhatsApp(), folder, options)]


def test_a_day_above_twelve_decides_the_order_of_every_date(tmp_path: Path) -> None:
    write_files(tmp_path, {"a.txt": "02/01/2021, 10:00 - Ivy: a\n02/13/2021, 10:00 - Sam: b\n"})
    assert days_of(tmp_path) == ["2021-02-01", "2021-02-13"]


def test_dates_that_would_jump_back_are_read_the_other_way(tmp_path: Path) -> None:
    lines = ["03/01/2021", "04/01/2021", "05/02/2021", "01/03/2021"]
    write_files(tmp_path, {"a.txt": "".join(f"{day}, 10:00 - Ivy: x\n" for day in lines)})
    assert days_of(tmp_path) == ["2021-01-03", "2021-01-04", "2021-02-05", "2021-03-01"]


AMBIGUOUS = "01/02/2021, 10:00 - Ivy: a\n03/04/2021, 10:00 - Sam: b\n12/11/2021, 10:00 - Ivy: c\n"


def test_dates_that_can_be_read_both_ways_are_asked_about(tmp_path: Path) -> None:
    write_files(tmp_path, {"a.txt": AMBIGUOUS})
    asked = questions_of(WhatsApp(), tmp_path, MINE)
    assert [(one.option, one.member) for one in asked] == [("day_first", "a.txt")]


@pytest.mark.parametrize(
    ("day_first", "days"),
    [(True, ["2021-02-01", "2021-04-03", "2021-11-12"]), (False, ["2021-01-02", "2021-03-04", "2021-12-11"])],
)
def test_the_answer_about_dates_is_followed(day_first: bool, days: list[str], tmp_path: Path) -> None:
    write_files(tmp_path, {"a.txt": AMBIGUOUS})
    options = ReadOptions(owner_names=("Ivy",), day_first=day_first)
    assert not questions_of(WhatsApp(), tmp_path, options)
    assert days_of(tmp_path, options) == days


def test_the_language_of_the_telephone_settles_what_dates_leave_open(tmp_path: Path) -> None:
    text = "01/02/2021, 10:00 - Los mensajes y las llamadas están cifrados de extremo a extremo.\n"
    write_files(tmp_path, {"a.txt": text + AMBIGUOUS})
    assert not questions_of(WhatsApp(), tmp_path, MINE)
    assert days_of(tmp_path)[0] == "2021-02-01"


def test_a_chat_beside_it_settles_what_one_leaves_open(tmp_path: Path) -> None:
    write_files(tmp_path, {"a.txt": AMBIGUOUS, "b.txt": "12/25/2021, 10:00 - Ivy: x\n"})
    assert not questions_of(WhatsApp(), tmp_path, MINE)
    assert days_of(tmp_path)[1] == "2021-03-04"


def test_a_line_quoted_in_a_message_does_not_change_the_order(tmp_path: Path) -> None:
    good = "".join(f"{day:02d}/03/2021, 10:00 - Ivy: x{day}\n" for day in range(1, 29)) * 4
    write_files(tmp_path, {"a.txt": good + "29/03/2021, 10:00 - Sam: he wrote\n05/31/2021, 10:00 - Bo: hello\n"})
    assert days_of(tmp_path)[0] == "2021-03-01"


def test_times_are_of_the_zone_that_was_said(tmp_path: Path) -> None:
    write_files(tmp_path, {"a.txt": "25/01/2024, 10:00 - Ivy: x\n25/07/2024, 10:00 - Ivy: y\n"})
    options = ReadOptions(owner_names=("Ivy",), timezone="Europe/Madrid")
    found = [f"{record.occurred_at:%H:%M}" for record in records_of(WhatsApp(), tmp_path, options)]
    assert found == ["09:00", "08:00"]


def test_the_owner_is_who_was_named(tmp_path: Path) -> None:
    write_files(tmp_path, {"a.txt": "25/01/2024, 10:00 - Ivy Moss: x\n25/01/2024, 10:01 - Sam: y\n"})
    found = records_of(WhatsApp(), tmp_path, ReadOptions(owner_names=("ivy moss",)))
    assert [(record.author, record.is_owner) for record in found] == [("Ivy Moss", True), ("Sam", False)]


def test_the_personas_own_name_tells_the_owner(tmp_path: Path) -> None:
    write_files(tmp_path, {"a.txt": "25/01/2024, 10:00 - Ivy: x\n25/01/2024, 10:01 - Sam: y\n"})
    options = ReadOptions(persona_names=("Ivy Moss",))
    assert not questions_of(WhatsApp(), tmp_path, options)
    assert [record.is_owner for record in records_of(WhatsApp(), tmp_path, options)] == [True, False]


def test_who_writes_in_every_chat_is_the_owner(tmp_path: Path) -> None:
    chats = {
        f"WhatsApp Chat with {name}.txt": f"25/01/2024, 10:00 - Ivy: x\n25/01/2024, 10:01 - {name}: y\n"
        for name in ("Sam", "Bo", "Kit")
    }
    write_files(tmp_path, chats)
    tree = SafeTree(tmp_path)
    assert WhatsApp().owner(tree, ReadOptions()) == "Ivy"


def test_when_nothing_tells_the_owner_the_names_are_offered(tmp_path: Path) -> None:
    write_files(
        tmp_path, {"a.txt": "25/01/2024, 10:00 - Ivy: x\n25/01/2024, 10:01 - Sam: y\n25/01/2024, 10:02 - Sam: z\n"}
    )
    (asked,) = questions_of(WhatsApp(), tmp_path)
    assert asked.option == "owner_names"
    assert asked.choices == (("Sam", 2), ("Ivy", 1))
    assert "Sam" not in asked.text


def test_a_name_that_is_not_in_the_chat_is_asked_for_again(tmp_path: Path) -> None:
    write_files(tmp_path, {"a.txt": "25/01/2024, 10:00 - Ivy: x\n"})
    (asked,) = questions_of(WhatsApp(), tmp_path, ReadOptions(owner_names=("Zoe",)))
    assert "not in this import" in asked.text


@pytest.mark.parametrize(
    "name",
    [
        "WhatsApp Chat with Sam.txt",
        "Chat de WhatsApp con Sam.txt",
        "Conversa do WhatsApp com Sam.txt",
        "Discussion WhatsApp avec Sam.txt",
        "WhatsApp Chat mit Sam.txt",
        "WhatsApp-chat met Sam.txt",
        "Chat WhatsApp con Sam.txt",
        "WhatsApp Chat with Sam (1).txt",
        "Sam ile WhatsApp Sohbeti.txt",
        "Sam님과 나눈 WhatsApp 대화.txt",
        "与Sam的WhatsApp聊天.txt",
        "_chat.txt",
        "export.txt",
    ],
)
def test_a_conversation_is_the_same_whatever_its_file_is_called(name: str, tmp_path: Path) -> None:
    write_files(tmp_path, {name: "25/01/2024, 10:00 - Ivy: x\n25/01/2024, 10:01 - Sam: y\n"})
    found = records_of(WhatsApp(), tmp_path, MINE)
    assert {record.conversation for record in found} == {"Sam"}
    plain = write_files(tmp_path / "again", {"WhatsApp Chat with Sam.txt": (tmp_path / name).read_bytes()})
    again = records_of(WhatsApp(), plain, MINE)
    assert [record.natural_key for record in again] == [record.natural_key for record in found]


def test_a_chat_in_a_zip_of_an_iphone_takes_its_name(tmp_path: Path) -> None:
    text = "[25/01/24, 10:00:00] Ivy: x\r\n[25/01/24, 10:01:00] Sam: y\r\n[25/01/24, 10:01:00] Bo: z\r\n"
    zip_of(tmp_path / "WhatsApp Chat - The choir.zip", {"_chat.txt": text})
    assert {record.conversation for record in records_of(WhatsApp(), tmp_path, MINE)} == {"The choir"}


def test_the_same_words_twice_in_a_minute_are_two_messages(tmp_path: Path) -> None:
    write_files(tmp_path, {"a.txt": "25/01/2024, 10:00 - Ivy: ha\n" * 3})
    keys = [record.natural_key for record in records_of(WhatsApp(), tmp_path, MINE)]
    assert len(set(keys)) == 3
    assert keys == [record.natural_key for record in records_of(WhatsApp(), tmp_path, MINE)]


def test_a_longer_export_of_a_chat_repeats_the_rows_of_the_shorter(tmp_path: Path) -> None:
    lines = [
        f"25/01/2024, 10:{minute:02d} - {'Ivy' if minute % 3 else 'Sam'}: line {minute // 4}\n" for minute in range(50)
    ]
    short = write_files(tmp_path / "a", {"WhatsApp Chat with Sam.txt": "".join(lines[:30])})
    whole = write_files(tmp_path / "b", {"WhatsApp Chat with Sam.txt": "".join(lines)})
    few = [record.natural_key for record in records_of(WhatsApp(), short, MINE)]
    many = [record.natural_key for record in records_of(WhatsApp(), whole, MINE)]
    assert many[:30] == few
    assert len(set(many)) == 50


def test_both_telephones_give_the_same_message_the_same_key(tmp_path: Path) -> None:
    android = write_files(tmp_path / "a", {"WhatsApp Chat with Sam.txt": "25/01/2024, 10:00 - Ivy: hello\n"})
    iphone = write_files(tmp_path / "i", {"WhatsApp Chat with Sam.txt": "[25/01/24, 10:00:31] Ivy: hello\r\n"})
    assert [record.natural_key for record in records_of(WhatsApp(), android, MINE)] == [
        record.natural_key for record in records_of(WhatsApp(), iphone, MINE)
    ]


def test_a_message_knows_what_it_answers_and_its_place_in_the_day(tmp_path: Path) -> None:
    text = (
        "25/01/2024, 10:00 - Sam: where were you born?\n25/01/2024, 10:01 - Ivy: by the river\n"
        "25/01/2024, 10:01 - Ivy: in a boat\n26/01/2024, 10:00 - Sam: good morning\n"
    )
    write_files(tmp_path, {"a.txt": text})
    found = records_of(WhatsApp(), tmp_path, MINE)
    assert [record.context for record in found] == ["", "where were you born?", "where were you born?", ""]
    assert [record.place for record in found] == [1, 2, 3, 1]
    assert found[0].session == found[2].session != found[3].session


def test_after_midnight_it_is_still_the_same_evening(tmp_path: Path) -> None:
    write_files(
        tmp_path, {"a.txt": "25/01/2024, 23:50 - Sam: a\n26/01/2024, 01:10 - Ivy: b\n26/01/2024, 04:30 - Ivy: c\n"}
    )
    sessions = [record.session for record in records_of(WhatsApp(), tmp_path, MINE)]
    assert sessions[0] == sessions[1] != sessions[2]


def test_a_chat_without_an_end_of_line_and_an_empty_one_are_fine(tmp_path: Path) -> None:
    write_files(tmp_path, {"a.txt": "25/01/2024, 10:00 - Ivy: last", "empty.txt": ""})
    assert [record.text for record in records_of(WhatsApp(), tmp_path, MINE)] == ["last"]


def test_a_text_that_only_quotes_a_chat_is_no_chat(tmp_path: Path) -> None:
    write_files(tmp_path, {"diary.txt": "Dear diary,\n25/01/2024, 10:00 - Ivy: he wrote this\n"})
    assert WhatsApp().recognises(SafeTree(tmp_path)) == 0


def test_a_message_without_end_is_cut_and_said_so(tmp_path: Path) -> None:
    write_files(
        tmp_path, {"a.txt": "25/01/2024, 10:00 - Ivy: " + "word " * 700_000 + "\n25/01/2024, 10:01 - Sam: ok\n"}
    )
    found = read_all(WhatsApp(), tmp_path, MINE)
    assert [record.text for record in found if isinstance(record, Record)][1] == "ok"
    assert any(isinstance(one, Trouble) and not one.is_fatal_for_member for one in found)


def test_a_line_with_an_impossible_date_belongs_to_the_message_it_stands_in(tmp_path: Path) -> None:
    text = "25/01/2024, 10:00 - Ivy: a\n99/99/2024, 25:61 - Sam: b\n26/01/2024, 10:00 - Ivy: c\n"
    write_files(tmp_path, {"a.txt": text})
    found = records_of(WhatsApp(), tmp_path, MINE)
    assert [record.text for record in found] == ["a\n99/99/2024, 25:61 - Sam: b", "c"]


@pytest.mark.parametrize(
    "text", ["<3", "a (b) c", "see note.txt (draft)", "if x < 3 and y > 4", "Vale: mañana", "POLL: yes"]
)
def test_ordinary_words_stay_words(text: str, tmp_path: Path) -> None:
    write_files(tmp_path, {"a.txt": f"25/01/2024, 10:00 - Ivy: {text}\n"})
    (found,) = records_of(WhatsApp(), tmp_path, MINE)
    assert (found.activity, found.text, found.is_words, found.media) == ("message", text, True, ())


_LINES = st.lists(
    st.one_of(
        st.text(max_size=60),
        st.builds(
            lambda a, b, c, rest: f"{a}/{b}/{c}, 10:00 - {rest}",
            st.integers(0, 99),
            st.integers(0, 99),
            st.integers(0, 9999),
            st.text(alphabet=string.printable + "\u200e\u202f«»“<>():", max_size=40),
        ),
        st.builds(lambda rest: f"\u200e[7.3.26, 21:22:39] {rest}", st.text(max_size=40)),
    ),
    max_size=12,
)


@settings(max_examples=150, deadline=timedelta(seconds=2), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=_LINES)
def test_no_chat_makes_the_reader_fail(lines: list[str], tmp_path: Path) -> None:
    text = "25/01/2024, 10:00 - Ivy: start\n" + "\n".join(lines)
    write_files(tmp_path, {"a.txt": text.encode("utf-8", "replace")})
    for found in read_all(WhatsApp(), tmp_path, MINE):
        if isinstance(found, Record):
            assert found.natural_key.startswith("whatsapp:")
            assert "\0" not in found.text
