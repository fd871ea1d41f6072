"""Finds the date of a document: in its head, its name or its first lines."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from knowledge.names import fold

_ISO = re.compile(r"(?<!\d)((?:1[5-9]|20)\d{2})[-_./](\d{1,2})(?:[-_./](\d{1,2}))?(?!\d)")
_COMPACT = re.compile(r"(?<!\d)((?:19|20)\d{2})(\d{2})(\d{2})(?!\d)")
_MONTHS = {
    1: "january jan enero janeiro janvier januar gennaio januari ocak",
    2: "february feb febrero fevereiro fevrier februar febbraio februari",
    3: "march mar marzo marco mars marz maerz maart mart",
    4: "april apr abril avril aprile nisan",
    5: "may mayo maio mai maggio mei",
    6: "june jun junio junho juin juni giugno",
    7: "july jul julio julho juillet juli luglio",
    8: "august aug agosto aout augustus",
    9: "september sep sept septiembre setiembre setembro septembre settembre",
    10: "october oct octubre outubro octobre oktober ottobre",
    11: "november nov noviembre novembro novembre",
    12: "december dec diciembre dezembro decembre dezember dicembre",
}
_MONTH_OF = {name: month for month, names in _MONTHS.items() for name in names.split()}
_DAY_MONTH = re.compile(
    r"\b(\d{1,2})(?:st|nd|rd|th|er|º|\.)? (?:de |of )?([^\W\d_]{3,10})\.?,? (?:de |del |of )?(1[5-9]\d{2}|20\d{2})\b"
)
_MONTH_DAY = re.compile(r"\b([^\W\d_]{3,10})\.? (\d{1,2})(?:st|nd|rd|th)?,? (1[5-9]\d{2}|20\d{2})\b")
_MONTH_YEAR = re.compile(r"\b([^\W\d_]{3,10})\.?,? (?:de |del |of )?(1[5-9]\d{2}|20\d{2})\b")


def date_in_name(name: str, zone: ZoneInfo) -> datetime | None:
    """Return the date that a file's name carries: 2019-05-03 letter.txt, 20190503.md, 1961-05 Vigo.txt."""
    for pattern in (_ISO, _COMPACT):
        match = pattern.search(name)
        if match:
            found = _at(int(match[1]), int(match[2]), int(match[3] or 1), zone)
            if found:
                return found
    return None


def date_in_text(text: str, zone: ZoneInfo) -> datetime | None:
    """Return the date that a line is, e.g. the head of a letter: Vigo, 3 de mayo de 1962."""
    iso = _ISO.search(text)
    if iso and iso[3]:
        return _at(int(iso[1]), int(iso[2]), int(iso[3]), zone)
    plain = fold(text)
    if match := _DAY_MONTH.search(plain):
        return _named(match[3], match[2], match[1], zone)
    if match := _MONTH_DAY.search(plain):
        return _named(match[3], match[1], match[2], zone)
    if match := _MONTH_YEAR.search(plain):
        return _named(match[2], match[1], "1", zone)
    return None


def _named(year: str, month: str, day: str, zone: ZoneInfo) -> datetime | None:
    number = _MONTH_OF.get(month)
    return _at(int(year), number, int(day), zone) if number else None


def _at(year: int, month: int, day: int, zone: ZoneInfo) -> datetime | None:
    try:
        return datetime(year, month, day, 12, tzinfo=zone).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
