"""Personal data: phones, addresses and numbers in an answer that came from nothing the viewer may see."""

from __future__ import annotations

import re
from collections.abc import Callable

from agents.guards.verdict import Span, Surface, Verdict
from agents.words import fold
from knowledge.viewer import Viewer


def check(text: str, surface: Surface, viewer: Viewer) -> Verdict:
    """Return the spans of personal data that stand in none of `surface.sources`.

    The sources hold only what this viewer may see and what the person wrote, so what is in them may be repeated.
    """
    if surface.side != "answer":
        return Verdict()
    found = [span for kind, pattern, is_real in _KINDS for span in _spans(text, kind, pattern, is_real)]
    if not found:
        return Verdict()
    known = _squeezed(" ".join(surface.sources))
    foreign = tuple(span for span in found if _squeezed(text[span.start : span.end]) not in known)
    return Verdict(
        score=1.0 if foreign else 0.0,
        spans=foreign,
        reasons=tuple(sorted({f"personal:{span.kind}" for span in foreign})),
    )


def _spans(text: str, kind: str, pattern: re.Pattern[str], is_real: Callable[[str], bool]) -> list[Span]:
    return [
        Span(start=found.start(), end=found.end(), kind=kind)
        for found in pattern.finditer(text)
        if is_real(found.group())
    ]


def _squeezed(text: str) -> str:
    return re.sub(r"[^\w@]+", "", fold(text))


def _digits(text: str) -> str:
    return re.sub(r"\D", "", text)


def _is_phone(text: str) -> bool:
    digits = _digits(text)
    if (
        not 7 <= len(digits) <= 15
        or _AMOUNT.fullmatch(text.strip())
        or _DATE.fullmatch(text.strip())
        or _YEARS.fullmatch(text.strip())
    ):
        return False
    return text.lstrip().startswith(("+", "(", "00")) or len(digits) >= 8 or bool(re.search(r"\d[ .-]\d", text))


def _is_card(text: str) -> bool:
    digits = _digits(text)
    if not 13 <= len(digits) <= 19:
        return False
    doubled = [int(d) * (1 + i % 2) for i, d in enumerate(reversed(digits))]
    return sum(d - 9 if d > 9 else d for d in doubled) % 10 == 0


def _is_iban(text: str) -> bool:
    bare = re.sub(r"\s", "", text).upper()
    if not 15 <= len(bare) <= 34:
        return False
    return int("".join(str(int(c, 36)) for c in bare[4:] + bare[:4])) % 97 == 1


def _is_dni(text: str) -> bool:
    bare = re.sub(r"[\s.-]", "", text).upper()
    number = bare[:-1].translate(str.maketrans("XYZ", "012"))
    return number.isdigit() and "TRWAGMYFPDXBNJZSQVHLCKE"[int(number) % 23] == bare[-1]


def _is_cpf(text: str) -> bool:
    digits = [int(d) for d in _digits(text)]
    if len(digits) != 11 or len(set(digits)) == 1:
        return False
    return all(
        sum(d * (size + 1 - i) for i, d in enumerate(digits[:size])) * 10 % 11 % 10 == digits[size] for size in (9, 10)
    )


def _is_address(text: str) -> bool:
    return not re.search(r"\b(?:en|in|em|a|im)?\s*(?:1[5-9]|20)\d{2}$", text)


def _always(text: str) -> bool:
    return True


_DATE = re.compile(r"(?:\d{1,4}[./-]\d{1,2}[./-]\d{1,4})(?:[ ,]+\d{1,2}[:.h]\d{2})?")
_AMOUNT = re.compile(r"\d{1,3}(?:[ .]\d{3})*[ .]000")
_YEARS = re.compile(r"(?:1[89]|20)\d{2}\s*[-–/ ]\s*(?:1[89]|20)\d{2}")

_STREET = (
    r"(?:calle|c/|avenida|avda\.?|av\.|plaza|paseo|camino|carretera|rua|travessa|praça|largo|estrada|alameda|"
    r"rue|place|boulevard|bd\.?|chemin|allée|impasse|via|viale|piazza|corso|vicolo|largo)"
)
_KINDS: tuple[tuple[str, re.Pattern[str], Callable[[str], bool]], ...] = (
    ("email", re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"), _always),
    ("iban", re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,30}\b"), _is_iban),
    ("card", re.compile(r"(?<![\d+])\d(?:[ -]?\d){12,18}(?!\d)"), _is_card),
    ("id", re.compile(r"\b(?:\d{2}\.?\d{3}\.?\d{3}|[XYZ]-?\d{7})-?[A-Za-z]\b"), _is_dni),
    ("id", re.compile(r"\b\d{3}\.?\d{3}\.?\d{3}-?\d{2}\b"), _is_cpf),
    ("id", re.compile(r"\b(?!000|666|9\d\d)\d{3}-(?!00)\d{2}-(?!0000)\d{4}\b"), _always),
    ("id", re.compile(r"\b[A-Z]{6}\d{2}[A-EHLMPR-T]\d{2}[A-Z]\d{3}[A-Z]\b"), _always),
    ("phone", re.compile(r"(?<![\w.,])(?:\+|00)?\(?\d{1,4}\)?(?:[ ./-]?\(?\d{1,4}\)?){2,6}(?![\w])"), _is_phone),
    (
        "address",
        re.compile(rf"(?i:\b{_STREET})\s+(?:[\w'’.ªº-]+\s+){{0,5}}?[\w'’.-]*[,\s]+(?:n[º°.]?\s*)?\d{{1,5}}\b"),
        _is_address,
    ),
    (
        "address",
        re.compile(
            r"\b\d{1,5}[a-zA-Z]?,?\s+(?:[A-Z][\w'’.-]+\s+){1,4}"
            r"(?i:street|st|road|rd|avenue|ave|lane|ln|drive|dr|close|court|square|way|terrace|crescent)\b"
        ),
        _always,
    ),
    (
        "address",
        re.compile(
            r"\b\d{1,4}(?:\s?(?:bis|ter))?,?\s+(?i:rue|avenue|boulevard|place|chemin|allée|impasse|quai)\s+(?:\w+[\s-]?){1,5}"
        ),
        _always,
    ),
    (
        "address",
        re.compile(r"\b[A-ZÄÖÜ][\wäöüß-]*(?:straße|strasse|str\.|weg|platz|allee|gasse|ring|damm)\s+\d{1,4}[a-z]?\b"),
        _always,
    ),
)
