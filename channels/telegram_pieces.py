"""One message as the calls that carry it: words with their looks, captions, the label, the buttons."""

from __future__ import annotations

from dataclasses import dataclass

from channels.contract import Button, Media, Outbound, Part, Reaction, Text
from channels.errors import Undeliverable
from channels.rendering import Formatted, escape, measure, split, telegram

TEXT_LENGTH = 4096
CAPTION_LENGTH = 1024
_PIECE_LENGTH = 3000
_BUTTON_BYTES = 64


@dataclass(frozen=True, slots=True)
class Piece:
    """What one call sends: a part, its words as Telegram takes them, and the buttons below."""

    part: Part
    words: Formatted | None = None
    buttons: tuple[Button, ...] = ()


def pieces_of(outbound: Outbound) -> list[Piece]:
    """Return the calls to make. Buttons and the label stand with the last words there are."""
    buttons = tuple(part for part in outbound.parts if isinstance(part, Button))
    if any(len(button.payload.encode()) > _BUTTON_BYTES for button in buttons):
        raise Undeliverable("A button's payload is longer than the 64 bytes Telegram takes.", reason="rejected")
    pieces: list[Piece] = []
    for part in outbound.parts:
        if isinstance(part, Text):
            pieces += [Piece(part, words) for words in _within(part.text)]
        elif isinstance(part, Media):
            pieces += _captioned(part)
        elif not isinstance(part, Button):
            pieces.append(Piece(part))
    if outbound.label:
        pieces = _labelled(pieces, f"_{escape(outbound.label)}_")
    if buttons and not any(_takes_buttons(piece) for piece in pieces):
        pieces.append(Piece(Text(text=""), Formatted("⬇️")))
    for index in reversed(range(len(pieces))):
        if buttons and _takes_buttons(pieces[index]):
            pieces[index] = Piece(pieces[index].part, pieces[index].words, buttons)
            break
    if not pieces:
        raise Undeliverable("The message says nothing.", reason="rejected")
    return pieces


def _within(markdown: str) -> list[Formatted]:
    """Return the words in as few messages as hold them: one, unless looks made them longer than was foreseen."""
    whole = telegram(markdown)
    if not whole.text:
        return []
    if measure(whole.text, "utf16") <= TEXT_LENGTH:
        return [whole]
    return [telegram(piece) for piece in split(markdown, length=_PIECE_LENGTH, unit="utf16")]


def _captioned(media: Media) -> list[Piece]:
    caption = telegram(media.caption) if media.caption else Formatted("")
    if media.kind != "video_note" and measure(caption.text, "utf16") <= CAPTION_LENGTH:
        return [Piece(media, caption)]
    return [Piece(media, Formatted("")), *(Piece(Text(text=""), words) for words in _within(media.caption))]


def _labelled(pieces: list[Piece], label: str) -> list[Piece]:
    """Return the pieces with the label below the last words, where it fits, else in a message of its own."""
    for index in reversed(range(len(pieces))):
        piece = pieces[index]
        match piece.part:
            case Text(text=str(text)) if text:
                with_label, most = telegram(f"{text}\n\n{label}"), TEXT_LENGTH
            case Media(kind=str(kind), caption=str(caption)) if kind != "video_note":
                with_label, most = telegram(f"{caption}\n\n{label}"), CAPTION_LENGTH
            case _:
                continue
        is_whole = sum(one.part is piece.part for one in pieces) == 1
        if is_whole and measure(with_label.text, "utf16") <= most:
            return [*pieces[:index], Piece(piece.part, with_label), *pieces[index + 1 :]]
        break
    return [*pieces, Piece(Text(text=label), telegram(label))]


def _takes_buttons(piece: Piece) -> bool:
    return not isinstance(piece.part, Reaction)
