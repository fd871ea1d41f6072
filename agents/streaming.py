"""Showing an answer while it is written: only what the guards have seen, up to where nothing is cut in half."""

from __future__ import annotations

import re

from agents.draft import Draft
from agents.outgoing import guarded
from agents.turn import OnText
from agents.work import Work

_END = re.compile(r"[.!?…。!?](?=\s)|\n")
_LONG = 160
_TAIL = 48
_LEAST_NEW = 12


def guarded_stream(on_text: OnText, work: Work, *, before: str = "") -> OnText:
    """Return an `on_text` that passes on whole sentences alone, each seen by the guards; `before` stands first."""
    shown = 0

    async def show(text: str) -> None:
        nonlocal shown
        ready = _ready(text)
        if len(ready) - shown < _LEAST_NEW:
            return
        shown = len(ready)
        checked = guarded(ready, Draft(text=ready), work)
        if not checked.is_replaced:
            await on_text(f"{before}{checked.text}")

    return show


def _ready(text: str) -> str:
    """Return the part of a text that will not change its meaning with what follows."""
    ends = [found.end() for found in _END.finditer(text)]
    end = ends[-1] if ends else 0
    if len(text) - end > _LONG:
        end = max(end, text.rfind(" ", end, len(text) - _TAIL))
    return text[:end].rstrip()
