"""Text and the looks that stand beside it, as Telegram takes them: nothing to escape, nothing malformed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import groupby

from channels.document import Block, Style, has_markup, parse
from channels.markup import RULE, prefix
from channels.splitting import measure


@dataclass(frozen=True, slots=True)
class Entity:
    """A look of a stretch of text as Telegram names it. `offset` and `length` count UTF-16 units."""

    kind: str
    offset: int
    length: int
    url: str = ""
    language: str = ""


@dataclass(frozen=True, slots=True)
class Formatted:
    """Text without marks and the looks that stand beside it."""

    text: str
    entities: tuple[Entity, ...] = ()


def telegram(markdown: str) -> Formatted:
    """Return `markdown` as plain text and entities, with no whitespace at either end."""
    if not has_markup(markdown):
        return Formatted(markdown.strip())
    found = format_blocks(parse(markdown))
    indent = len(found.text) - len(found.text.lstrip())
    text = found.text.strip()
    return Formatted(text, tuple(_moved(found.entities, -indent, measure(text, "utf16"))))


def format_blocks(blocks: Iterable[Block]) -> Formatted:
    """Return parsed text as text and entities."""
    text = ""
    entities: list[Entity] = []
    for is_quote, group in groupby(blocks, key=lambda block: block.quotes > 0):
        start = len(text)
        for index, block in enumerate(group):
            gap = ("\n" if block.is_tight else "\n\n") if text else ""
            start += len(gap) if index == 0 else 0
            text += gap + prefix(block, bullet="•")
            text = _add_runs(text, block, entities)
        if is_quote and text[start:].strip():
            entities.append(Entity("blockquote", measure(text[:start], "utf16"), measure(text[start:], "utf16")))
    return Formatted(text, tuple(entities))


_ENTITIES: Mapping[Style, str] = {"bold": "bold", "italic": "italic", "strike": "strikethrough", "code": "code"}


def _add_runs(text: str, block: Block, entities: list[Entity]) -> str:
    for run in block.runs:
        offset, length = measure(text, "utf16"), measure(run.text, "utf16")
        styles: frozenset[Style] = run.styles | {"bold"} if block.kind == "heading" else run.styles
        if block.kind == "code":
            entities.append(Entity("pre", offset, length, language=block.language))
        elif "code" in styles:  # Telegram lets code stand with no other look
            entities.append(Entity("code", offset, length))
        else:
            entities.extend(Entity(_ENTITIES[style], offset, length) for style in _ENTITIES if style in styles)
            if run.url and run.url != run.text:
                entities.append(Entity("text_link", offset, length, url=run.url))
        text += run.text
    return text + (RULE if block.kind == "rule" else "")


def _moved(entities: Iterable[Entity], by: int, end: int) -> Iterable[Entity]:
    for entity in entities:
        first, last = max(0, entity.offset + by), min(end, entity.offset + by + entity.length)
        if first < last:
            yield replace(entity, offset=first, length=last - first)
