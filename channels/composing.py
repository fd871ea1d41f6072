"""From an answer's parts to the messages that carry them, each within what the platform takes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from channels.contract import Button, Contact, Limits, Location, Media, Part, Reaction, Sticker, Text
from channels.document import Block, has_markup, parse
from channels.entities import format_blocks
from channels.markup import escape_commonmark, write
from channels.splitting import Unit, cut, grapheme_end, leading_space, measure, reach, split


def compose(parts: Sequence[Part], limits: Limits, *, platform: str) -> list[tuple[Part, ...]]:
    """Return the messages to send, in order, each small enough for the platform.

    Long text becomes several messages with its looks kept in each; a caption that is too long follows its media as
    text. What the platform cannot carry becomes the nearest thing it can (a voice note a file, a place its address,
    buttons a list), or is left out: `limits.media_kinds` names "location", "contact" and "sticker" where they work.
    """
    messages: list[tuple[Part, ...]] = []
    buttons = tuple(part for part in parts if isinstance(part, Button))
    for part in parts:
        if not isinstance(part, Button):
            messages.extend(_messages(part, limits, platform))
    if buttons and limits.has_buttons and messages and isinstance(messages[-1][0], Text):
        messages[-1] += buttons
    elif buttons:
        choices = "\n".join(f"- {escape_commonmark(button.label)}" for button in buttons)
        messages.extend(_messages(Text(text=choices), limits, platform))
    return messages


def render(markdown: str, platform: str) -> str:
    """Return `markdown` in the markup of `platform`; plain text for one that has none or is not known."""
    return (write(parse(markdown), platform) if has_markup(markdown) else markdown).strip()


_NEAREST: dict[str, tuple[str, ...]] = {
    "voice": ("audio", "file"),
    "audio": ("file",),
    "image": ("file",),
    "video": ("file",),
    "video_note": ("video", "file"),
    "animation": ("video", "file"),
}
# No look, escape or link weight makes a character longer than this in any unit.
_MOST_PER_CHARACTER = 6


def _messages(part: Part, limits: Limits, platform: str) -> Iterator[tuple[Part, ...]]:
    text = _Target(limits.text_length, limits.text_unit, platform)
    match part:
        case Text():
            yield from ((Text(text=piece),) for piece in text.pieces(part.text))
        case Media():
            yield from _media(part, limits, text)
        case Reaction():
            if limits.has_reactions:
                yield (part,)
        case Location() | Contact() | Sticker() if part.kind in limits.media_kinds:
            yield (part,)
        case Location() | Contact() | Sticker():
            yield from ((Text(text=piece),) for piece in text.pieces(_in_words(part)))


def _media(part: Media, limits: Limits, text: _Target) -> Iterator[tuple[Part, ...]]:
    kinds = (part.kind, *_NEAREST.get(part.kind, ()))
    kind = next((kind for kind in kinds if kind in limits.media_kinds), None)
    is_too_large = 0 < limits.media_bytes < (part.file.size_bytes or 0)
    caption = _Target(limits.caption_length, limits.text_unit, text.platform)
    keeps_caption = caption.fits(part.caption)
    if kind and not is_too_large:
        yield (replace(part, kind=kind, caption=part.caption if keeps_caption else ""),)  # type: ignore[arg-type]
        if keeps_caption:
            return
    yield from ((Text(text=piece),) for piece in text.pieces(part.caption))


def _in_words(part: Location | Contact | Sticker) -> str:
    match part:
        case Location():
            place = f"https://www.openstreetmap.org/?mlat={part.latitude:.6f}&mlon={part.longitude:.6f}"
            return "\n".join([*(escape_commonmark(each) for each in (part.name, part.address) if each), place])
        case Contact():
            return escape_commonmark("\n".join([part.name, *part.phones]))
        case Sticker():
            return part.emoji


@dataclass(frozen=True, slots=True)
class _Target:
    """How long a text may be, in which unit, once it is in the platform's markup."""

    length: int
    unit: Unit
    platform: str

    def pieces(self, markdown: str) -> list[str]:
        """Return the CommonMark of each message."""
        if self.fits(markdown):
            return [markdown] if self._says_something(markdown) else []
        if not has_markup(markdown):
            return split(markdown, length=self.length, unit=self.unit)
        pages = self._pages(parse(markdown))
        return [piece for page in pages if self._shown(page).strip() for piece in self._written(page)]

    def fits(self, markdown: str) -> bool:
        return len(markdown) * _MOST_PER_CHARACTER <= self.length or self._size(parse(markdown)) <= self.length

    def _says_something(self, markdown: str) -> bool:
        # A letter is always shown; without one the marks may be all there is, such as an empty quote.
        return any(map(str.isalnum, markdown)) or bool(self._shown(parse(markdown)).strip())

    def _shown(self, blocks: Iterable[Block]) -> str:
        return format_blocks(blocks).text if self.platform == "telegram" else write(blocks, self.platform)

    def _size(self, blocks: Iterable[Block]) -> int:
        return measure(self._shown(blocks), self.unit)

    def _pages(self, blocks: Iterable[Block]) -> Iterator[list[Block]]:
        page: list[Block] = []
        used = 0
        for whole in blocks:
            block = whole
            size = self._size([block])
            if page and used + size + 2 > self.length:
                yield page
                page, used = [], 0
            while size > self.length:
                head, block = self._divide(block)
                yield [head]
                size = self._size([block])
            page.append(block)
            used += size + 2
        if page:
            yield page

    def _divide(self, block: Block) -> tuple[Block, Block]:
        text = block.text
        low, high = 0, reach(text, length=self.length, unit=self.unit)
        while low < high:
            middle = (low + high + 1) // 2
            fits = self._size([block.part(0, middle)]) <= self.length
            low, high = (middle, high) if fits else (low, middle - 1)
        at = cut(text, grapheme_end(text, low) or max(low, 1))
        if block.kind == "code":
            return block.part(0, at), block.part(at + text.startswith("\n", at))
        return block.part(0, at), block.part(at + leading_space(text, at))

    def _written(self, blocks: list[Block]) -> Iterator[str]:
        markdown = write(_lifted(blocks), "commonmark")
        if self.fits(markdown) and _words(parse(markdown)) == _words(blocks):
            yield markdown
        else:
            yield from self._bare("\n\n".join(block.text for block in blocks), self.length)

    def _bare(self, text: str, length: int) -> Iterator[str]:
        """Yield the words without looks, for the rare text that cannot be cut within its looks."""
        for piece in split(text, length=length, unit=self.unit):
            markdown = "\n".join(escape_commonmark(line.strip()) for line in piece.splitlines())
            if length == 1 or self.fits(markdown):
                yield markdown
            else:
                yield from self._bare(piece, max(1, length // 2))


def _lifted(blocks: Iterable[Block]) -> Iterator[Block]:
    """Yield the blocks with no list level whose opening item stands in an earlier message."""
    open_lists: list[int] = []
    for block in blocks:
        while open_lists and open_lists[-1] > block.depth:
            open_lists.pop()
        if block.marker and (not open_lists or open_lists[-1] < block.depth):
            open_lists.append(block.depth)
        yield replace(block, depth=len(open_lists))


def _words(blocks: Iterable[Block]) -> list[str]:
    return "".join(block.text for block in blocks).split()
