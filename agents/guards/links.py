"""Links that came from nowhere: an address in an answer must stand in what the answer was made from."""

from __future__ import annotations

import re

from agents.guards.verdict import Span, Surface, Verdict
from knowledge.viewer import Viewer

_ENDINGS = (
    "com|org|net|info|biz|io|ai|app|dev|shop|store|online|site|xyz|link|page|blog|cloud|live|tv|me|ly|gg|to|gl|co|us|uk|"
    "es|pt|br|mx|ar|cl|pe|uy|fr|de|at|ch|it|be|nl|pl|eu|cat|gal|ca|au|nz|in|jp|kr|cn|tw|ru|ua|tr|se|no|dk|fi|cz|ro|hu|gr|edu|gov"
)
_LINK = re.compile(
    rf"(?i:(?:https?|ftp)://|www\.)[^\s<>()\[\]\"'«»“”]+|(?i:mailto|tel|tg|javascript|data):[^\s<>()\[\]]+"
    # The ending in one case only: "me fui.De allí" is a missing space, not an address.
    rf"|(?<![@\w./-])(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\.)+(?:{_ENDINGS}|{_ENDINGS.upper()})\b"
    r"(?:/[^\s<>()\[\]\"'«»“”]*)?(?![\w@])",
)
_TRAILING = ".,;:!?…*_~"


def check(text: str, surface: Surface, viewer: Viewer) -> Verdict:
    """Return the links of an answer that stand in none of `surface.sources`."""
    if surface.side != "answer" or ("." not in text and ":" not in text):
        return Verdict()
    found = [(hit.start(), hit.group().rstrip(_TRAILING)) for hit in _LINK.finditer(text)]
    if not found:
        return Verdict()
    known = {_bare(link) for source in surface.sources for link in _links(source)}
    foreign = tuple(
        Span(start=start, end=start + len(link), kind="link") for start, link in found if _bare(link) not in known
    )
    return Verdict(score=1.0 if foreign else 0.0, spans=foreign, reasons=("link",) if foreign else ())


def _links(text: str) -> list[str]:
    return [found.group().rstrip(_TRAILING) for found in _LINK.finditer(text)] if "." in text or ":" in text else []


def _bare(link: str) -> str:
    return re.sub(r"^(?:https?://)?(?:www\.)?", "", link.lower()).rstrip("/")
