"""From CommonMark to what each platform shows, and from an answer to the messages that carry it."""

from __future__ import annotations

from channels.composing import compose, render
from channels.document import has_markup, parser, tokens_of
from channels.entities import Entity, Formatted, telegram
from channels.markup import escape_commonmark
from channels.splitting import measure, split

__all__ = ["Entity", "Formatted", "compose", "escape", "measure", "render", "split", "telegram", "to_html"]


def to_html(markdown: str) -> str:
    """Return safe HTML: no raw HTML, no images, links to http, https, mailto and tel alone, without endorsement."""
    markdown_parser = parser()
    tokens = tokens_of(markdown)
    for token in tokens:
        children = token.children or []
        for index, child in enumerate(children):
            if child.type == "link_open":
                child.attrSet("rel", "nofollow noopener noreferrer")
                child.attrSet("target", "_blank")
            elif child.type == "image":
                children[index] = child.copy(type="text", tag="", content=child.content)
    return str(markdown_parser.renderer.render(tokens, markdown_parser.options, {}))


def escape(text: str) -> str:
    """Return CommonMark that shows `text` exactly as it is."""
    return "\n".join(escape_commonmark(line.strip(" \t")) for line in text.splitlines()) if has_markup(text) else text
