"""Documents: what the persona wrote down, as text, Markdown or HTML, in passages under their headings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from typing import ClassVar
from zoneinfo import ZoneInfo

from markdown_it import MarkdownIt
from markdown_it.token import Token
from selectolax.lexbor import LexborHTMLParser, LexborNode

from knowledge.errors import ArchiveInvalid
from knowledge.importers.charset import encoding_of, text_of
from knowledge.importers.contract import Member, Question, ReadOptions, Record, Tally, Tree, Trouble
from knowledge.importers.dates import date_in_name, date_in_text
from knowledge.importers.passages import Block, Passage, passages
from knowledge.names import fold

MOST_BYTES = 32 << 20
HTML_MOST_BYTES = 8 << 20
_TEXT = (".txt", ".text")
_MARKDOWN = (".md", ".markdown")
_HTML = (".html", ".htm", ".xhtml")
_FRONT_MATTER = re.compile(r"\A---[ \t]*\n(.*?)\n(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
_FIELD = re.compile(r"^([A-Za-z_]{2,20}):[ \t]*(.*)$", re.MULTILINE)
_CHARSET = re.compile(rb"charset\s*=\s*[\"']?\s*([A-Za-z0-9_\-]{3,20})", re.IGNORECASE)
_SKIPPED = frozenset(
    {"script", "style", "template", "noscript", "nav", "svg", "iframe", "object", "form", "head", "button", "select"}
)
_BLOCKS = frozenset(
    {"p", "li", "blockquote", "pre", "td", "th", "dt", "dd", "figcaption", "caption", "address", "summary", "tr"}
)
_SECTIONS = frozenset({"div", "section", "article", "ul", "ol", "main", "header", "footer"})
_HEADINGS = {"h1": 1, "h2": 2, "h3": 3, "h4": 4, "h5": 5, "h6": 6}
_MOST_DEPTH = 200
_BREAK = "\v"
_MOST_NESTING = 2000
# Only what its writer must close: a paragraph or a list's point ends by itself.
_NESTING_TAG = re.compile(
    r"<(/?)(?!(?:p|li|dt|dd|tr|td|th|thead|tbody|option|br|hr|img|input|meta|link|col|source|wbr|area|base|embed)[\s/>])"
    r"[a-z]",
    re.IGNORECASE,
)
_OWN_NAMES = frozenset({"", "me", "i", "yo", "eu", "moi", "ich", "io"})


@dataclass(slots=True)
class _Document:
    title: str = ""
    author: str = ""
    written_at: datetime | None = None
    blocks: list[Block] = field(default_factory=list)


class Documents:
    """Text, Markdown and HTML files. They count as the persona's own words unless they name another author."""

    name: ClassVar[str] = "documents"
    title: ClassVar[str] = "Documents (text, Markdown, HTML)"

    def recognises(self, tree: Tree) -> float:
        """Return how sure it is that the tree holds documents: any text might be one."""
        return 0.4 if self.claims(tree) else 0.0

    def claims(self, tree: Tree) -> list[str]:
        """Return the files whose names say that they are documents."""
        endings = (*_TEXT, *_MARKDOWN, *_HTML)
        return [member.path for member in tree.members() if member.path.lower().endswith(endings)]

    def owner(self, tree: Tree, options: ReadOptions) -> str | None:
        """Return the first name the persona goes by: documents do not say whose they are."""
        names = (*options.owner_names, *options.persona_names)
        return names[0] if names else ""

    def questions(self, tree: Tree, options: ReadOptions) -> list[Question]:
        """Ask nothing."""
        return []

    def read(self, tree: Tree, options: ReadOptions) -> Iterator[Record | Trouble | Tally]:
        """Yield every passage of every document."""
        owner = self.owner(tree, options) or ""
        zone = ZoneInfo(options.timezone)
        for member in tree.members():
            try:
                document = _open_document(tree, member, zone)
            except ArchiveInvalid as error:
                yield Trouble(member=member.path, message=str(error))
                continue
            yield from _records(document, member, owner, (*options.owner_names, *options.persona_names))


def _records(document: _Document, member: Member, owner: str, own_names: tuple[str, ...]) -> Iterator[Record]:
    is_own = fold(document.author) in _OWN_NAMES or fold(document.author) in map(fold, own_names)
    name = document.title or member.path.rpartition("/")[2].rpartition(".")[0]
    session = "document/" + blake2b(member.path.encode("utf-8", "replace"), digest_size=8).hexdigest()
    seen: set[str] = set()
    for place, passage in enumerate(passages(document.blocks), 1):
        key = _key(passage, "" if is_own else document.author)
        if key in seen:
            continue
        seen.add(key)
        yield Record(
            platform="documents",
            activity="passage",
            natural_key=key,
            text=passage.text,
            author=owner if is_own else document.author,
            is_owner=is_own,
            occurred_at=document.written_at,
            conversation=name,
            context=" › ".join(dict.fromkeys((name, *passage.headings))),
            session=session,
            place=place,
            raw={"title": document.title, "headings": list(passage.headings), "text": passage.text},
            member=member.path,
            position=place,
        )


def _key(passage: Passage, author: str) -> str:
    said = "\0".join((author, " ".join(passage.text.split()))).encode("utf-8", "replace")
    return f"document:{blake2b(said, digest_size=12).hexdigest()}"


def _open_document(tree: Tree, member: Member, zone: ZoneInfo) -> _Document:
    if member.size_bytes > MOST_BYTES:
        raise ArchiveInvalid(
            f"It is larger than a document of {MOST_BYTES >> 20} MB.", next_step="Split it, or leave it out."
        )
    path = member.path.lower()
    if path.endswith(_HTML):
        if member.size_bytes > HTML_MOST_BYTES:
            raise ArchiveInvalid(f"It is larger than a page of {HTML_MOST_BYTES >> 20} MB.")
        with tree.open(member.path) as stream:
            document = read_html(stream.read(HTML_MOST_BYTES + 1), zone)
    else:
        with tree.open(member.path) as stream:
            text = "".join(text_of(stream))
        document = read_markdown(text, zone) if path.endswith(_MARKDOWN) else read_text(text, zone)
    document.written_at = document.written_at or date_in_name(member.path.rpartition("/")[2], zone)
    return document


def read_text(text: str, zone: ZoneInfo) -> _Document:
    """Return a plain text: paragraphs stand between blank lines, a short line alone above one is its heading."""
    document, text = _with_front_matter(text, zone)
    paragraphs = [piece.strip("\n") for piece in re.split(r"\n[ \t]*\n", text) if piece.strip()]
    if len(paragraphs) == 1 and "\n" in paragraphs[0] and len(paragraphs[0]) > 1500:
        paragraphs = paragraphs[0].split("\n")
    if document.written_at is None:
        for line in "\n".join(paragraphs[:2]).split("\n")[:3]:
            if len(line) < 60 and (found := date_in_text(line, zone)):
                document.written_at = found
                break
    headings: tuple[str, ...] = ()
    for at, paragraph in enumerate(paragraphs):
        following = paragraphs[at + 1] if at + 1 < len(paragraphs) else ""
        if _is_heading(paragraph, following):
            headings = (paragraph.strip().strip("=-*# "),)
            if at == 0:
                document.title = document.title or headings[0]
            continue
        document.blocks.append(Block(_unwrapped(paragraph), headings))
    return document


def read_markdown(text: str, zone: ZoneInfo) -> _Document:
    """Return a Markdown text without its marks."""
    document, text = _with_front_matter(text, zone)
    tokens = MarkdownIt("commonmark", {"maxNesting": 40}).enable("table").parse(text)
    headings: dict[int, str] = {}
    waiting: list[str] = []
    list_depth = 0
    prefix = ""

    def _flush() -> None:
        if waiting:
            document.blocks.append(Block("\n".join(waiting), tuple(headings[level] for level in sorted(headings))))
            waiting.clear()

    level = 0
    before = ""
    for token in tokens:
        if token.type == "heading_open":
            _flush()
            level = int(token.tag[1])
        elif token.type == "heading_close":
            level = 0
        elif token.type in ("bullet_list_open", "ordered_list_open", "table_open"):
            list_depth += 1
        elif token.type in ("bullet_list_close", "ordered_list_close", "table_close"):
            list_depth -= 1
            if not list_depth:
                _flush()
        elif token.type == "list_item_open":
            prefix = f"{token.info}{token.markup} " if token.info else "- "
        elif token.type == "tr_open":
            waiting.append("")
        elif token.type == "inline":
            said = _plain(token)
            if level:
                headings = {depth: name for depth, name in headings.items() if depth < level} | {level: said}
                document.title = document.title or said
            elif before in ("td_open", "th_open"):
                waiting[-1] = f"{waiting[-1]} | {said}" if waiting[-1] else said
            elif list_depth:
                waiting.append(prefix + said)
                prefix = ""
            else:
                waiting.append(said)
                _flush()
        elif token.type in ("fence", "code_block"):
            waiting.append(token.content.rstrip())
            if not list_depth:
                _flush()
        before = token.type
    _flush()
    return document


def read_html(data: bytes, zone: ZoneInfo) -> _Document:
    """Return an HTML page: its words in blocks under its headings, without scripts, menus and forms."""
    text = _decoded_html(data)
    _refuse_deep(text)
    page = LexborHTMLParser(text)
    document = _Document()
    title = page.css_first("title")
    document.title = _one_line(title.text()) if title else ""
    for node in page.css("meta"):
        attributes = node.attributes
        name = (attributes.get("name") or attributes.get("property") or "").lower()
        content = attributes.get("content") or ""
        if name in ("date", "dcterms.date", "dc.date", "article:published_time") and not document.written_at:
            document.written_at = date_in_text(content[:40].replace("T", " "), zone)
        elif name == "author":
            document.author = _one_line(content)[:120]
    root = page.body or page.root
    if root is not None:
        _Walker(document).walk(root)
    return document


class _Walker:
    """Collects the blocks of a page in the order they are read."""

    def __init__(self, document: _Document) -> None:
        self._document = document
        self._headings: dict[int, str] = {}
        self._loose: list[str] = []

    def walk(self, root: LexborNode) -> None:
        # A stack instead of recursion: pages may be nested as deep as their writer likes.
        stack: list[tuple[LexborNode | None, int, str]] = [(root.child, 0, "")]
        while stack:
            node, depth, closing = stack.pop()
            if node is None:
                if closing:
                    self._end()
                continue
            stack.append((node.next, depth, closing))
            tag = node.tag
            if tag == "-text":
                self._loose.append(node.text_content or "")
            elif tag in _SKIPPED or tag is None or tag.startswith(("-", "_", "!")):
                continue
            elif tag == "br":
                self._loose.append(_BREAK)
            elif tag in _HEADINGS:
                self._end()
                self._heading(_HEADINGS[tag], _one_line(node.text()))
            elif tag == "tr":
                self._end()
                cells = [_one_line(cell.text()) for cell in node.iter() if cell.tag in ("td", "th")]
                self._add(" | ".join(cell for cell in cells if cell))
            elif depth < _MOST_DEPTH and node.child is not None:
                is_block = tag in _BLOCKS or tag in _SECTIONS
                if is_block:
                    self._end()
                    if tag == "li":
                        self._loose.append("- ")
                stack.append((node.child, depth + 1, tag if is_block else ""))
        self._end()

    def _heading(self, level: int, name: str) -> None:
        if name:
            self._headings = {depth: kept for depth, kept in self._headings.items() if depth < level} | {level: name}
            self._document.title = self._document.title or name

    def _end(self) -> None:
        text, self._loose = "".join(self._loose), []
        self._add(text)

    def _add(self, text: str) -> None:
        lines = [_one_line(line) for line in text.split(_BREAK)]
        said = "\n".join(line for line in lines if line)
        if said and said != "-":
            headings = tuple(self._headings[level] for level in sorted(self._headings))
            self._document.blocks.append(Block(said, headings))


def _with_front_matter(text: str, zone: ZoneInfo) -> tuple[_Document, str]:
    document = _Document()
    match = _FRONT_MATTER.match(text)
    if match is None:
        return document, text
    fields = {name.lower(): value.strip().strip("\"'") for name, value in _FIELD.findall(match[1])}
    document.title = fields.get("title", "")
    document.author = fields.get("author", "")
    if "date" in fields:
        document.written_at = date_in_text(fields["date"], zone) or date_in_name(fields["date"], zone)
    return document, text[match.end() :]


def _is_heading(paragraph: str, following: str) -> bool:
    line = paragraph.strip()
    if "\n" in line:
        head, _, rule = line.partition("\n")
        return bool(head.strip()) and bool(re.fullmatch(r"[=\-~*]{3,}", rule.strip()))
    return (
        0 < len(line) <= 60
        and bool(following)
        and len(following) > len(line)
        and line[-1] not in ".,;:!?…。！？"
        and line[0] not in '-*•"“«—'
        and (line[0].isupper() or line[0].isdigit() or not line[0].isascii())
        and len(line.split()) <= 8
    )


def _unwrapped(paragraph: str) -> str:
    """Join the lines of a paragraph that was broken at a fixed width; keep lists and verses as they are."""
    lines = [line.strip() for line in paragraph.split("\n")]
    longest = max(map(len, lines))
    if len(lines) > 1 and longest >= 55 and all(len(line) > longest * 0.6 for line in lines[:-1]):
        return " ".join(lines)
    return "\n".join(lines)


def _plain(token: Token) -> str:
    parts: list[str] = []
    for child in token.children or ():
        if child.type in ("text", "code_inline"):
            parts.append(child.content)
        elif child.type == "softbreak":
            parts.append(" ")
        elif child.type == "hardbreak":
            parts.append("\n")
        elif child.type == "image":
            parts.append(child.content)
    return "".join(parts).strip()


def _refuse_deep(text: str) -> None:
    """Refuse a page nested deeper than any that was written: the parser's time grows with the square of the depth."""
    depth = 0
    for match in _NESTING_TAG.finditer(text):
        depth = max(0, depth - 1) if match[1] else depth + 1
        if depth > _MOST_NESTING:
            raise ArchiveInvalid("The page is nested deeper than a page may be.")


def _decoded_html(data: bytes) -> str:
    encoding, skipped = encoding_of(data[:65_536])
    declared = _CHARSET.search(data[:4096])
    if encoding == "cp1252" and declared:
        wanted = declared[1].decode("ascii").lower()
        encoding = encoding if wanted in ("utf-8", "utf8") else wanted
    try:
        return data[skipped:].decode(encoding, "replace")
    except LookupError:
        return data.decode("cp1252", "replace")


def _one_line(text: str) -> str:
    return " ".join(text.split())
