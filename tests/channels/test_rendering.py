"""What leaves is what was meant: looks on each platform, and text cut without loss."""

from __future__ import annotations

import re
import unicodedata

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from channels.contract import Button, Contact, Limits, Location, Media, MediaFile, Part, Reaction, Sticker, Text
from channels.document import parse
from channels.rendering import Entity, compose, escape, measure, render, split, telegram, to_html
from channels.splitting import Unit

FAMILY, FLAG, WAVE = "👩‍👩‍👧‍👦", "🇪🇸", "👋🏽"
UNITS: list[Unit] = ["characters", "utf16", "bytes", "weighted"]
PLATFORMS = ["telegram", "whatsapp", "slack", "discord", "web", "plain"]

hard_text = st.lists(
    st.one_of(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
        st.sampled_from(
            [FAMILY, FLAG, WAVE, "é", "ñ̃", "שלום עולם", "مرحبا", "今天天气很好。我们去公园，", "ไม่มีช่องว่าง"]
        ),
        st.sampled_from(
            [" ", "\n", "\n\n", "\r\n", ". ", "! ", "? ", "Sra. ", "z.B. ", "https://example.org/a/b?c=d "]
        ),
    ),
    max_size=40,
).map("".join)

_MARKED = (
    "**bold words**|*soft*|~~gone~~|`a * b`|[a place](https://example.org/x_y)|# Heading\n|\n\n|- one\n- two\n|"
    "1. first\n   - inner\n2. second\n|> said so\n|```py\nx = 1\n\n  y = 2\n```\n|* |_|<b>|&amp;|\\*|\n|---\n|"
    f"plain words and more of them. |5 * 3 * 2|snake_case_name|今天天气很好。|{FAMILY}"
)
marked_text = st.lists(st.sampled_from(_MARKED.split("|")), max_size=30).map("".join)


def _without_space(text: str) -> str:
    return "".join(text.split())


def _shown(markdown: str, platform: str) -> str:
    return telegram(markdown).text if platform == "telegram" else render(markdown, platform)


# ------------------------------------------------------------------------------------------ splitting


@pytest.mark.parametrize("unit", UNITS)
@given(text=hard_text, length=st.integers(60, 160))
@settings(max_examples=120, deadline=None)
def test_pieces_fit_are_never_empty_and_lose_only_the_space_between_them(text: str, length: int, unit: Unit) -> None:
    pieces = split(text, length=length, unit=unit)
    at = 0
    bounds = {0, *(found.end() for found in regex.finditer(r"\X", text))}
    longest = max((measure(found, unit) for found in regex.findall(r"\X", text)), default=0)
    for piece in pieces:
        assert piece.strip()
        assert measure(piece, unit) <= length or longest > length
        found = text.index(piece, at)
        assert not text[at:found].strip()
        if longest <= length:
            assert found in bounds
            assert found + len(piece) in bounds or text[found + len(piece)].isspace()
        at = found + len(piece)
    assert not text[at:].strip()


def test_a_text_that_fits_is_left_alone() -> None:
    assert split("  two\n\nlines ", length=40) == ["  two\n\nlines "]
    assert split("   \n ", length=2) == []


@pytest.mark.parametrize(
    ("text", "length", "pieces"),
    [
        ("First part.\n\nSecond part.", 20, ["First part.", "Second part."]),
        ("We baked bread. Then we sang songs.", 25, ["We baked bread.", "Then we sang songs."]),
        (
            "Das gilt z.B. für Brot und auch. Und Kuchen ist gut.",
            40,
            ["Das gilt z.B. für Brot und auch.", "Und Kuchen ist gut."],
        ),
        ("今天天气很好。我们去公园玩，好吗？", 12, ["今天天气很好。", "我们去公园玩，好吗？"]),
        ("abcdefghij", 4, ["abcd", "efgh", "ij"]),
        ("ten 10\u00a0000 euros", 9, ["ten", "10\u00a0000", "euros"]),
    ],
)
def test_the_cut_is_where_a_reader_would_make_it(text: str, length: int, pieces: list[str]) -> None:
    assert split(text, length=length) == pieces


def test_an_abbreviation_is_not_the_end_of_a_sentence() -> None:
    text = "El pan lo hizo bien. Vino la Sra. Molina con sus nietos"
    assert split(text, length=36)[0] == "El pan lo hizo bien."


def test_families_flags_and_joined_marks_stay_whole() -> None:
    for grapheme in (FAMILY, FLAG, WAVE, "e\u0301\u0323", "ก็"):
        for piece in split(grapheme * 9, length=max(12, 2 * len(grapheme) + 1), unit="utf16"):
            assert set(regex.findall(r"\X", piece)) == {grapheme}


def test_a_single_grapheme_longer_than_the_limit_is_still_sent() -> None:
    monster = "e" + "\u0301" * 50
    assert "".join(split(monster, length=20)) == monster


def test_lengths_are_counted_as_each_platform_counts() -> None:
    assert measure("a👋", "characters") == 2
    assert measure("a👋", "utf16") == 3
    assert measure("a👋ñ", "bytes") == 7
    assert measure("a 今", "weighted") == 4
    assert measure(FAMILY, "weighted") == 2
    assert measure("see https://example.org/a/very/long/path/that/goes/on", "weighted") == 4 + 23
    assert measure("see https://example.org.今", "weighted") == 4 + 23 + 1 + 2


# ------------------------------------------------------------------------------------------- looks


@pytest.mark.parametrize(
    ("platform", "shown"),
    [
        ("plain", "Home\nHi you, me, gone, x_y and site (https://example.org/a)."),
        ("whatsapp", "*Home*\nHi *you*, _me_, ~gone~, `x_y` and site (https://example.org/a)."),
        ("slack", "*Home*\nHi *you*, _me_, ~gone~, `x_y` and <https://example.org/a|site>."),
        ("discord", "# Home\nHi **you**, *me*, ~~gone~~, `x_y` and [site](https://example.org/a)."),
    ],
)
def test_the_same_words_look_right_on_every_platform(platform: str, shown: str) -> None:
    markdown = "# Home\nHi **you**, *me*, ~~gone~~, `x_y` and [site](https://example.org/a)."
    assert render(markdown, platform) == shown


def test_telegram_gets_looks_beside_the_text_in_utf16_units() -> None:
    found = telegram(f"{WAVE} **Ana**, read [this](https://example.org)\n\n> so *she* said\n\n```py\nx\n```")
    assert found.text == f"{WAVE} Ana, read this\n\nso she said\n\nx"
    assert found.entities == (
        Entity("bold", 5, 3),
        Entity("text_link", 15, 4, url="https://example.org"),
        Entity("italic", 24, 3),
        Entity("blockquote", 21, 11),
        Entity("pre", 34, 1, language="py"),
    )


def test_code_on_telegram_carries_no_other_look() -> None:
    assert telegram("**`x`**").entities == (Entity("code", 0, 1),)


@given(markdown=marked_text | hard_text)
@settings(max_examples=150, deadline=None)
def test_telegram_entities_lie_inside_the_text(markdown: str) -> None:
    found = telegram(markdown)
    size = measure(found.text, "utf16")
    assert found.text == found.text.strip()
    for entity in found.entities:
        assert 0 <= entity.offset < entity.offset + entity.length <= size


def test_nobody_is_called_who_was_only_named() -> None:
    words = "<!channel> @everyone @here <@123> [x](javascript:alert)"
    assert "<!" not in render(words, "slack")
    assert "@everyone" not in render(words, "discord")
    assert "@here" not in render("just @here", "discord")
    assert r"\<@123\>" in render(words, "discord")


def test_signs_that_are_only_signs_stay_so() -> None:
    assert re.sub("\u200b", "", render(r"a \*b\* _c", "whatsapp")) == "a *b* _c"
    assert "*b*" not in render(r"a \*b\* c", "whatsapp")
    assert render("un**frigging**believable", "whatsapp") == "unfriggingbelievable"


def test_the_page_gets_safe_markup() -> None:
    shown = to_html("**hi** <script>x</script> <img src=x onerror=y> [a](javascript:x) ![i](https://example.org/i.png)")
    assert "<strong>hi</strong>" in shown
    assert "<script" not in shown
    assert "<img" not in shown
    assert 'href="javascript' not in shown
    assert 'rel="nofollow noopener noreferrer"' in to_html("see https://example.org/x_y_z.")
    assert 'href="https://example.org/x_y_z"' in to_html("see https://example.org/x_y_z.")


@given(markdown=marked_text | hard_text)
@settings(max_examples=150, deadline=None)
def test_no_words_can_make_a_tag_of_their_own(markdown: str) -> None:
    tags = set(re.findall(r"</?([a-zA-Z0-9]+)", to_html(markdown)))
    assert tags <= {
        "p",
        "br",
        "strong",
        "em",
        "s",
        "a",
        "code",
        "pre",
        "ul",
        "ol",
        "li",
        "blockquote",
        "hr",
        *(f"h{n}" for n in range(1, 7)),
    }


@given(text=hard_text)
@settings(max_examples=150, deadline=None)
def test_escaped_words_are_shown_as_they_are(text: str) -> None:
    shown = telegram(escape(text)).text
    assert _without_space(shown.replace("\0", "\ufffd")) == _without_space(text.replace("\0", "\ufffd"))


@pytest.mark.parametrize("platform", PLATFORMS)
@given(markdown=marked_text)
@settings(max_examples=60, deadline=None)
def test_markup_is_cut_with_its_looks_and_without_losing_words(markdown: str, platform: str) -> None:
    limits = Limits(text_length=70, text_unit="utf16")
    messages = compose([Text(text=markdown)], limits, platform=platform)
    words = [part.text for (part,) in messages if isinstance(part, Text)]
    assert all(measure(_shown(each, platform), "utf16") <= 70 for each in words)
    assert all(_shown(each, platform).strip() for each in words)
    before = "".join(block.text for block in parse(markdown))
    after = "".join(block.text for each in words for block in parse(each))
    assert _without_space(after) == _without_space(before)


@pytest.mark.parametrize("mark", ["> ", "- ", "1. ", "> - ", "*", "[", "`", "~~"])
def test_marks_nested_beyond_all_sense_lose_no_word(mark: str) -> None:
    for count in (3, 9, 10, 19, 20, 300):
        for shown in (
            telegram(mark * count + "kept").text,
            to_html(mark * count + "kept"),
            render(mark * count + "kept", "slack"),
        ):
            assert "kept" in shown


def test_a_long_bold_passage_is_bold_in_every_message() -> None:
    messages = compose([Text(text=f"**{'word ' * 60}end**")], Limits(text_length=100), platform="discord")
    assert len(messages) > 2
    assert all(
        part.text.startswith("**") and part.text.endswith("**") for (part,) in messages if isinstance(part, Text)
    )


def test_a_long_code_block_is_fenced_in_every_message() -> None:
    code = "\n".join(f"    line {number}" for number in range(40))
    messages = compose([Text(text=f"```py\n{code}\n```")], Limits(text_length=120), platform="discord")
    words = [render(part.text, "discord") for (part,) in messages if isinstance(part, Text)]
    assert all(each.startswith("```py\n    line") and each.endswith("\n```") for each in words)
    assert "\n".join(each[6:-4] for each in words) == code


def test_a_numbered_list_goes_on_counting_in_the_next_message() -> None:
    text = "\n".join(f"{number}. step {'x' * 20}" for number in range(1, 8))
    messages = compose([Text(text=text)], Limits(text_length=80), platform="telegram")
    words = [telegram(part.text).text for (part,) in messages if isinstance(part, Text)]
    assert [line.split(" ")[0] for each in words for line in each.splitlines()] == [f"{n}." for n in range(1, 8)]


def test_a_list_inside_a_list_is_a_list_in_the_next_message_too() -> None:
    inner = "\n".join(f"    - inner *{number}* {'x' * 20}" for number in range(6))
    messages = compose([Text(text=f"- outer\n{inner}")], Limits(text_length=80), platform="telegram")
    words = [telegram(part.text) for (part,) in messages if isinstance(part, Text)]
    assert len(words) > 2
    assert all(line.lstrip().startswith("• ") for each in words for line in each.text.splitlines())
    assert all(any(entity.kind == "italic" for entity in each.entities) for each in words)


# ------------------------------------------------------------------------------------------- messages

VOICE = Media(kind="voice", file=MediaFile(sha256="00" * 32, size_bytes=500), caption="a **word**")


@pytest.mark.parametrize(
    ("part", "limits", "expected"),
    [
        (VOICE, Limits(text_length=100, caption_length=50, media_kinds=frozenset({"voice"})), ["voice+"]),
        (VOICE, Limits(text_length=100, caption_length=5, media_kinds=frozenset({"voice"})), ["voice", "a word"]),
        (VOICE, Limits(text_length=100, caption_length=50, media_kinds=frozenset({"file"})), ["file+"]),
        (VOICE, Limits(text_length=100, media_kinds=frozenset({"voice"}), media_bytes=100), ["a word"]),
        (VOICE, Limits(text_length=100), ["a word"]),
        (Sticker(emoji="🙂"), Limits(text_length=100), ["🙂"]),
        (Contact(name="Ana", phones=("+000",)), Limits(text_length=100), ["Ana\n+000"]),
        (Reaction(message_id="1", emoji=("👍",)), Limits(text_length=100), []),
        (Reaction(message_id="1", emoji=("👍",)), Limits(text_length=100, has_reactions=True), ["reaction"]),
    ],
)
def test_each_part_becomes_what_the_platform_can_carry(part: Part, limits: Limits, expected: list[str]) -> None:
    found = []
    for (each,) in compose([part], limits, platform="plain"):
        is_captioned = isinstance(each, Media) and each.caption
        found.append(
            render(each.text, "plain") if isinstance(each, Text) else each.kind + ("+" if is_captioned else "")
        )
    assert found == expected


def test_a_place_becomes_an_address_where_no_map_can_be_sent() -> None:
    place = Location(latitude=41.5, longitude=2.25, name="The bakery")
    assert compose([place], Limits(text_length=99, media_kinds=frozenset({"location"})), platform="plain") == [(place,)]
    ((words,),) = compose([place], Limits(text_length=99), platform="plain")
    assert isinstance(words, Text)
    assert words.text.startswith("The bakery\nhttps://www.openstreetmap.org/?mlat=41.5")


def test_buttons_stand_with_the_last_text_or_become_a_list() -> None:
    parts: list[Part] = [Text(text="Which?"), Button(label="This", payload="1"), Button(label="That", payload="2")]
    assert compose(parts, Limits(text_length=99, has_buttons=True), platform="plain") == [tuple(parts)]
    assert compose(parts, Limits(text_length=99), platform="plain") == [(parts[0],), (Text(text="- This\n- That"),)]


@pytest.mark.parametrize("nothing", ["", " \n", "> ", "#", "```", "> > \n\n>", "~~~\n\n~~~"])
def test_marks_without_words_are_no_message(nothing: str) -> None:
    assert compose([Text(text=nothing)], Limits(text_length=4000), platform="telegram") == []


def test_a_link_without_words_shows_its_address() -> None:
    assert telegram("[](https://example.org/a)").text == "https://example.org/a"
    assert ">https://example.org/a</a>" in to_html("[](https://example.org/a)")


def test_disclosure_and_answer_are_messages_of_their_own() -> None:
    parts = [Text(text="I am an AI."), Text(text="Hello!"), Text(text="  ")]
    assert compose(parts, Limits(text_length=99), platform="telegram") == [(parts[0],), (parts[1],)]


def test_composed_text_is_left_as_it_was_written() -> None:
    written = unicodedata.normalize("NFD", "Señora, **qué** bien\n\n- uno")
    assert compose([Text(text=written)], Limits(text_length=4096, text_unit="utf16"), platform="telegram") == [
        (Text(text=written),)
    ]
