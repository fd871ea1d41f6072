"""The platforms whose looks are marks in the text: how each writes them, and how it keeps a mark from being one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from channels.document import Block, Style


def write(blocks: Iterable[Block], platform: str) -> str:
    """Return parsed text in the markup of `platform`; plain text for one without, "commonmark" writes it back."""
    markup = _MARKUPS.get(platform, _PLAIN)
    return _join((_write(block, markup), block) for block in blocks).strip("\n")


def prefix(block: Block, *, bullet: str, indent: str = "  ", width: int = 0) -> str:
    """Return what stands before the first line of a block in a list: its indentation and marker."""
    outer = indent * max(0, block.depth - 1)
    if not block.marker:
        return indent * block.depth if width else outer
    shown = block.marker if block.marker[0].isdigit() or not bullet else bullet
    return outer + f"{shown} ".ljust(width)


def escape_commonmark(text: str) -> str:
    """Return CommonMark that shows `text`, one or more lines, as it is."""
    escaped = re.sub(r"([\\*_~`<>\[\]&])", r"\\\1", text)
    escaped = re.sub(r"^([-+#=])", r"\\\1", escaped, flags=re.MULTILINE)
    return re.sub(r"^(\d+)([.)])(?=\s|$)", r"\1\\\2", escaped, flags=re.MULTILINE)


RULE = "———"


@dataclass(frozen=True, slots=True)
class _Markup:
    """How one platform writes looks. Without `marks` a look is left out."""

    escape: Callable[[str], str]
    link: Callable[[str, str], str]
    marks: Mapping[Style, str] | None = None
    fence: str = ""
    takes_language: bool = False
    is_strict_about_words: bool = False
    heading: Callable[[int], str] | None = None
    quote: str = "> "
    bullet: str = "-"
    indent: str = "  "
    marker_width: int = 0
    rule: str = RULE


_WORD_BREAK = "\u200b"


def _join(written: Iterable[tuple[str, Block]]) -> str:
    text = ""
    for piece, block in written:
        text += (("\n" if block.is_tight else "\n\n") if text else "") + piece
    return text


def _write(block: Block, markup: _Markup) -> str:
    if block.kind == "rule":
        words = markup.rule
    elif block.kind == "code":
        words = _fenced(block, markup)
    else:
        words = _inline(block, markup)
        if block.kind == "heading" and markup.heading:
            words = markup.heading(block.level) + words
    quote = markup.quote * block.quotes
    first = prefix(block, bullet=markup.bullet, indent=markup.indent, width=markup.marker_width)
    others = " " * len(first) if markup.quote else ""
    lines = words.split("\n")
    return "\n".join(quote + (others if number else first) + line for number, line in enumerate(lines))


def _fenced(block: Block, markup: _Markup) -> str:
    if not markup.fence:
        return block.text
    if markup is _COMMONMARK:
        longest = max((len(found) for found in re.findall(r"`{3,}", block.text)), default=2)
        fence = "`" * (longest + 1)
        return f"{fence}{block.language}\n{block.text}\n{fence}"
    words = block.text.replace("```", f"``{_WORD_BREAK}`")
    if markup.is_strict_about_words and markup is _SLACK:
        words = _escape_angles(words)
    language = block.language if markup.takes_language else ""
    return f"{markup.fence}{language}\n{words}\n{markup.fence}"


def _inline(block: Block, markup: _Markup) -> str:
    written = ""
    looks = markup.marks or {}
    runs = block.runs
    for index, run in enumerate(runs):
        styles = set(run.styles)
        if block.kind == "heading" and not markup.heading:
            styles.add("bold")
        before = runs[index - 1].text[-1:] if index else ""
        after = runs[index + 1].text[:1] if index + 1 < len(runs) else ""
        marks = [looks[style] for style in ("bold", "italic", "strike") if style in styles and style in looks]
        if markup.is_strict_about_words and (_touches(before, run.text[:1]) or _touches(after, run.text[-1:])):
            marks = []
        if "code" in styles and "code" in looks:
            written += _code(run.text, markup)
        else:
            written += "\n".join(_marked(line, marks, run.url, markup) for line in run.text.split("\n"))
    return written


def _touches(outside: str, inside: str) -> bool:
    return outside.isalnum() and inside.isalnum()


def _marked(line: str, marks: Sequence[str], url: str, markup: _Markup) -> str:
    words = line.strip()
    if not words:
        return line
    start = line.index(words)
    shown = markup.link(words, url) if url else markup.escape(words)
    opening, closing = "".join(marks), "".join(reversed(marks))
    return line[:start] + opening + shown + closing + line[start + len(words) :]


def _code(text: str, markup: _Markup) -> str:
    if markup is _COMMONMARK:
        longest = max((len(found) for found in re.findall(r"`+", text)), default=0)
        fence = "`" * (longest + 1)
        padding = " " if text[:1] in ("`", " ") or text[-1:] in ("`", " ") else ""
        return f"{fence}{padding}{text}{padding}{fence}"
    words = text.replace("`", "'")
    return f"`{_escape_angles(words) if markup is _SLACK else words}`"


def _escape_angles(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


_LITERAL_MARK = re.compile(r"(?<!\w)([*_~`])(?=\S[^\n]*\1)")


def _break_marks(text: str) -> str:
    # Neither WhatsApp nor Slack has an escape: an invisible space after the mark keeps it a plain character.
    return _LITERAL_MARK.sub(rf"\1{_WORD_BREAK}", text)


def _escape_slack(text: str) -> str:
    return _break_marks(_escape_angles(text))


def _escape_discord(text: str) -> str:
    escaped = re.sub(r"([\\*_~`|<>\[\]])", r"\\\1", text)
    escaped = re.sub(r"^([-#+])(?=[\s#])", r"\\\1", escaped, flags=re.MULTILINE)
    return re.sub(r"@(?=everyone|here)", f"@{_WORD_BREAK}", escaped)


def _same(text: str) -> str:
    return text


def _link_plain(label: str, url: str) -> str:
    shown = url.removeprefix("mailto:").removeprefix("tel:")
    return label if label in (url, shown) else f"{label} ({shown})"


def _link_slack(label: str, url: str) -> str:
    target = _escape_angles(url).replace("|", "%7C")
    return f"<{target}>" if label == url else f"<{target}|{_escape_angles(label)}>"


def _link_discord(label: str, url: str) -> str:
    return url if label == url else f"[{_escape_discord(label)}]({url.replace(')', '%29')})"


def _link_commonmark(label: str, url: str) -> str:
    return url if label == url else f"[{escape_commonmark(label)}](<{url}>)"


_PLAIN = _Markup(escape=_same, link=_link_plain, quote="")
_WHATSAPP = _Markup(
    escape=_break_marks,
    link=_link_plain,
    marks={"bold": "*", "italic": "_", "strike": "~", "code": "`"},
    fence="```",
    is_strict_about_words=True,
)
_SLACK = _Markup(
    escape=_escape_slack,
    link=_link_slack,
    marks={"bold": "*", "italic": "_", "strike": "~", "code": "`"},
    fence="```",
    is_strict_about_words=True,
    bullet="•",
)
_DISCORD = _Markup(
    escape=_escape_discord,
    link=_link_discord,
    marks={"bold": "**", "italic": "*", "strike": "~~", "code": "`"},
    fence="```",
    takes_language=True,
    heading=lambda level: "#" * min(level, 3) + " ",
)
_COMMONMARK = _Markup(
    escape=escape_commonmark,
    link=_link_commonmark,
    marks={"bold": "**", "italic": "*", "strike": "~~", "code": "`"},
    fence="```",
    takes_language=True,
    heading=lambda level: "#" * level + " ",
    bullet="",
    indent="    ",
    marker_width=4,
    rule="***",
)
_MARKUPS = {"whatsapp": _WHATSAPP, "slack": _SLACK, "discord": _DISCORD, "commonmark": _COMMONMARK}
