"""One message as the calls that carry it: words with their looks, captions, the label, the buttons."""

from __future__ import annotations

from dataclasses import dataclass, replace

from channels.contract import Button, Media, Outbound, Part, Reaction, Text
from channels.errors import Undeliverable
from channels.rendering import Entity, Formatted, measure, split, telegram

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
    """Return the calls to make. Buttons and the label stand with the last words there are.

    Raises:
        Undeliverable: when there is nothing to say, or a button says more than Telegram takes.
    """
    buttons = tuple(part for part in outbound.parts if isinstance(part, Button))
    if any(len(button.payload.encode()) > _BUTTON_BYTES for button in buttons):
        raise Undeliverable("A button's payload is longer than the 64 bytes Telegram takes.", reason="rejected")
    pieces = [piece for part in outbound.parts for piece in _of_part(part)]
    if not pieces and not buttons:
        raise Undeliverable("The message says nothing.", reason="rejected")
    if outbound.label:
        pieces = _labelled(pieces, outbound.label)
    return _with_buttons(pieces, buttons) if buttons else pieces


def _of_part(part: Part) -> list[Piece]:
    if isinstance(part, Text):
        return [Piece(part, words) for words in _within(part.text)]
    if isinstance(part, Media):
        return _captioned(part)
    return [] if isinstance(part, Button) else [Piece(part)]


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
    """Return the pieces with the label in italics below the last words, or in a message of its own."""
    last = pieces[-1] if pieces else Piece(Reaction(message_id="", emoji=()))
    match last.part:
        case Text():
            most = TEXT_LENGTH
        case Media(kind=str(kind)) if kind != "video_note":
            most = CAPTION_LENGTH
        case _:
            most = 0
    if last.words is not None:
        labelled = _below(last.words, label)
        if measure(labelled.text, "utf16") <= most:
            return [*pieces[:-1], Piece(last.part, labelled)]
    return [*pieces, Piece(Text(text=label), _below(Formatted(""), label))]


def _below(words: Formatted, label: str) -> Formatted:
    text = f"{words.text}\n\n" if words.text else ""
    look = Entity("italic", measure(text, "utf16"), measure(label, "utf16"))
    return Formatted(text + label, (*words.entities, look))


def _with_buttons(pieces: list[Piece], buttons: tuple[Button, ...]) -> list[Piece]:
    if not pieces or isinstance(pieces[-1].part, Reaction):
        pieces = [*pieces, Piece(Text(text=""), Formatted("⬇️"))]
    return [*pieces[:-1], replace(pieces[-1], buttons=buttons)]
