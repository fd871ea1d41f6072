"""CommonMark in parsed form: blocks of styled runs, which can be cut anywhere and written back."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

Style = Literal["bold", "italic", "strike", "code"]
_PLAIN: frozenset[Style] = frozenset()


@dataclass(frozen=True, slots=True)
class Run:
    """A stretch of text of one look. `url` makes it a link; a bare address in the text has itself as `url`."""

    text: str
    styles: frozenset[Style] = _PLAIN
    url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One paragraph, heading, code block or rule, wherever it is nested.

    `quotes` and `depth` count the quotes and lists around it; `marker` opens a list item as it is written ("-", "3.").
    `is_tight` when no blank line stands before it.
    """

    kind: Literal["paragraph", "heading", "code", "rule"]
    runs: tuple[Run, ...] = ()
    quotes: int = 0
    depth: int = 0
    marker: str = ""
    level: int = 0
    language: str = ""
    is_tight: bool = False

    @property
    def text(self) -> str:
        """The words without their looks."""
        return "".join(run.text for run in self.runs)

    def part(self, start: int, end: int | None = None) -> Block:
        """Return the block with the words from `start` to `end` alone; what goes on in a list has no marker."""
        return replace(self, runs=_slice(self.runs, start, end), marker="" if start else self.marker)


def has_markup(text: str) -> bool:
    """Return whether `text` may mean anything but itself. False is certain, and found fast."""
    return _MARKUP.search(text) is not None


def parse(markdown: str) -> list[Block]:
    """Return the blocks of `markdown`. Line breaks are kept, raw HTML is text, indentation makes no code."""
    if not has_markup(markdown):
        return [Block(kind="paragraph", runs=(Run(markdown.strip()),))] if markdown.strip() else []
    return _Reader().read(tokens_of(markdown))


def tokens_of(markdown: str) -> list[Token]:
    """Return the parser's tokens. Quotes and lists nested beyond all sense are taken as text, so no word is lost."""
    found = parser().parse(markdown)
    is_too_deep = any(token.level >= _DEEPEST - 1 for token in found)
    if is_too_deep:
        found = parser(takes_nesting=False).parse(markdown)
    for token in found:
        if token.type == "fence" and not token.content:  # words after a fence that nothing follows are words
            token.content, token.info = token.info.strip(), ""
    return found


@cache
def parser(*, takes_nesting: bool = True) -> MarkdownIt:
    """Return the parser: CommonMark with ~~strike~~ and bare links, without raw HTML and indented code."""
    from markdown_it import MarkdownIt  # imported late: a start without markup to read should not wait for it

    found = MarkdownIt("commonmark", {"html": False, "breaks": True, "maxNesting": _DEEPEST})
    found.enable("strikethrough").disable(["code", "lheading", "html_block", "html_inline", "reference"])
    if not takes_nesting:
        found.disable(["blockquote", "list"])
    found.core.ruler.push("bare_links", lambda state: _link_bare_addresses(state.tokens))
    found.validateLink = _is_safe  # type: ignore[method-assign]
    return found


_MARKUP = re.compile(r"[*_`~\[\]<>&\\|@]|https?://|^[ \t]*(?:[-+#]|\d{1,9}[.)])|!\[", re.MULTILINE)
_DEEPEST = 20
_SCHEMES = ("http://", "https://", "mailto:", "tel:")
_BARE = re.compile(r"https?://[^\s<>\"“”«»]*[^\s<>\"“”«».,;:!?'’)\]}*_~]")


def _is_safe(url: str) -> bool:
    return url.strip().lower().startswith(_SCHEMES)


def _link_bare_addresses(tokens: Sequence[Token]) -> None:
    for token in tokens:
        if token.type == "inline" and token.children:
            token.children = list(_with_links(_with_labels(token.children)))


def _with_labels(children: Iterable[Token]) -> Iterable[Token]:
    """Yield the tokens, and the address itself in a link that has no words."""
    from markdown_it.token import Token

    opened: Token | None = None
    for child in children:
        if child.type == "link_close" and opened is not None:
            yield Token("text", "", 0, content=str(opened.attrGet("href") or ""))
        opened = child if child.type == "link_open" else None
        yield child


def _with_links(children: Iterable[Token]) -> Iterable[Token]:
    from markdown_it.token import Token

    inside = 0
    for child in children:
        inside += child.nesting if child.type.startswith("link_") else 0
        if child.type != "text" or inside:
            yield child
            continue
        at = 0
        for found in _BARE.finditer(child.content):
            yield Token("text", "", 0, content=child.content[at : found.start()])
            yield Token("link_open", "a", 1, attrs={"href": found.group()}, info="auto")
            yield Token("text", "", 0, content=found.group())
            yield Token("link_close", "a", -1, info="auto")
            at = found.end()
        yield Token("text", "", 0, content=child.content[at:])


class _Reader:
    """Walks the parser's flat tokens and keeps count of the quotes and lists around."""

    def __init__(self) -> None:
        self._quotes = 0
        self._lists: list[int | None] = []
        self._marker = ""
        self._end = -1
        self._blocks: list[Block] = []

    def read(self, tokens: Sequence[Token]) -> list[Block]:
        heading = 0
        for token in tokens:
            match token.type:
                case "blockquote_open" | "blockquote_close":
                    self._quotes += token.nesting
                case "bullet_list_open":
                    self._lists.append(None)
                case "ordered_list_open":
                    self._lists.append(int(token.attrGet("start") or 1) if token.attrGet("start") != 0 else 0)
                case "bullet_list_close" | "ordered_list_close":
                    self._lists.pop()
                case "list_item_open":
                    self._open_item(token)
                case "list_item_close" if self._marker:
                    self._add(Block(kind="paragraph"), token.map)
                case "heading_open":
                    heading = int(token.tag[1:])
                case "heading_close":
                    heading = 0
                case "inline":
                    kind: Literal["heading", "paragraph"] = "heading" if heading else "paragraph"
                    runs = _runs(token.children or ())
                    self._add(Block(kind=kind, runs=runs, level=heading), token.map)
                case "fence":
                    words = (Run(token.content.removesuffix("\n")),)
                    language = (token.info.split() or [""])[0]
                    self._add(Block(kind="code", runs=words, language=language), token.map)
                case "hr":
                    self._add(Block(kind="rule"), token.map)
        return self._blocks

    def _open_item(self, token: Token) -> None:
        number = self._lists[-1]
        self._marker = token.markup if number is None else f"{number}{token.markup}"
        if number is not None:
            self._lists[-1] = number + 1

    def _add(self, block: Block, lines: Sequence[int] | None) -> None:
        first, last = (lines[0], lines[1]) if lines else (self._end, self._end)
        self._blocks.append(
            replace(
                block,
                quotes=self._quotes,
                depth=len(self._lists),
                marker=self._marker,
                is_tight=bool(self._blocks) and first <= self._end,
            )
        )
        self._marker, self._end = "", last


_STYLES: dict[str, Style] = {"strong": "bold", "em": "italic", "s": "strike"}


def _runs(children: Iterable[Token]) -> tuple[Run, ...]:
    found: list[Run] = []
    styles: frozenset[Style] = _PLAIN
    url = ""
    for child in children:
        name, _, edge = child.type.rpartition("_")
        if name in _STYLES:
            styles = styles | {_STYLES[name]} if edge == "open" else styles - {_STYLES[name]}
        elif name == "link":
            url = str(child.attrGet("href") or "") if edge == "open" else ""
        elif child.type in ("softbreak", "hardbreak"):
            _append(found, Run("\n", styles, url))
        elif child.type == "code_inline":
            _append(found, Run(child.content, styles | {"code"}, url))
        elif child.type == "image":
            source = str(child.attrGet("src") or "")
            _append(found, Run(child.content or source, styles, url or source))
        else:
            _append(found, Run(child.content, styles, url))
    return tuple(found)


def _append(runs: list[Run], run: Run) -> None:
    if not run.text:
        return
    last = runs[-1] if runs else None
    if last and (last.styles, last.url) == (run.styles, run.url):
        runs[-1] = replace(last, text=last.text + run.text)
    else:
        runs.append(run)


def _slice(runs: Iterable[Run], start: int, end: int | None) -> tuple[Run, ...]:
    found = []
    at = 0
    for run in runs:
        words = run.text[max(0, start - at) : None if end is None else max(0, end - at)]
        if words:
            # A part of a bare address is no address.
            found.append(Run(words, run.styles, "" if run.url == run.text != words else run.url))
        at += len(run.text)
    return tuple(found)
