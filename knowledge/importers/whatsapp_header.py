"""The head of a line in an exported WhatsApp chat: its forms, its date, and in which order a file writes dates."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from knowledge.importers.whatsapp_phrases import MARKS

_M = f"[{MARKS}]*"
_S = "[ \u00a0\u202f\u2009\t]"
_DATE = (
    rf"(\d{{1,4}}){_M}(?:[./\-]|年|년){_S}?{_M}(\d{{1,2}}){_M}(?:[./\-]|月|월){_S}?{_M}(\d{{1,4}})"
    rf"(?:{_M}(?:\.|日|일|{_S}г\.?))?{_M}"
)
_GLUE = rf"(?:[,،、]{_M}{_S}?|{_S})?{_M}(?:(?:à|às|a las|alas|um|at|kl\.?|klo|ore|alle ore|alle|в|о|u|o|om){_S})?{_M}"
_BEFORE = (
    r"(?:(上午|下午|午前|午後|오전|오후|凌晨|清晨|早上|中午|傍晚|晚上|晚間|深夜|पूर्वाह्न|अपराह्न"
    rf"|AM|PM|am|pm|SA|CH){_S}?)?"
)
_TIME = rf"(\d{{1,2}})(?:[:.٫]|{_S}h{_S}){_M}(\d{{2}})(?:(?:[:.٫]|{_S}min{_S}){_M}(\d{{2}})(?:{_S}s)?)?"
_AFTER = (
    rf"(?:{_S}?{_M}([AaPp]\.?{_S}?[Mm]\.?|ص|م|[πΠ]\.?[μΜ]\.?|[μΜ]\.?[μΜ]\.?|ÖÖ|ÖS|öö|ös|SA|CH|de\.|du\.|PTG|PG"
    rf"|пр\.{_S}?п\.|сл\.{_S}?п\.|ДП|ПП|дп|пп|पूर्वाह्न|अपराह्न))?"
)
_STAMP = f"({_DATE}{_GLUE}{_BEFORE}{_TIME}{_AFTER})"

IOS = re.compile(rf"(?m)^{_M}\[{_STAMP}{_M}\]{_S}?")
# Until 2018 iPhones wrote a colon behind the time instead of brackets around it.
ANDROID = re.compile(rf"(?m)^{_M}{_STAMP}{_M}(?:{_S}[-–—]{_S}?|:{_S})")

_PM = ("p", "م", "下午", "午後", "오후", "中午", "傍晚", "晚", "μμ", "ös", "ch", "du", "अ", "сл", "пп")
_AM = frozenset({"pg"})

Fields = tuple[int, int, int]
Order = tuple[int, int, int]
"""Where year, month and day stand among the three fields of a date."""

DAY_FIRST: Order = (2, 1, 0)
MONTH_FIRST: Order = (2, 0, 1)
YEAR_FIRST: Order = (0, 1, 2)
_FIRST_YEAR, _LAST_YEAR = 2009, 2099
_FOREIGN_SHARE = 50


def head_of(text: str) -> re.Pattern[str] | None:
    """Return the form of the first header in a text, None when it has none."""
    found = [(match.start(), pattern) for pattern in (IOS, ANDROID) if (match := pattern.search(text))]
    return min(found, key=lambda one: one[0])[1] if found else None


def fields_of(match: re.Match[str]) -> Fields:
    """Return the three numbers of a header's date."""
    return int(match[2]), int(match[3]), int(match[4])


@dataclass(frozen=True, slots=True)
class DateEvidence:
    """What a file shows about the order of its dates. `orders` are all that remain possible, most likely first."""

    orders: tuple[Order, ...]
    is_month_first_style: bool = False
    is_day_first_style: bool = False


def weigh_orders(dates: Sequence[Fields], first_stamp: str) -> DateEvidence:
    """Return which orders the dates of a file, in the sequence they stand in, leave possible.

    An order must make dates of nearly all of them (a chat may quote a line of another), and of those that do, the ones
    with the fewest steps back in time stay.
    """
    distinct = set(dates)
    bad = {order: sum(_as_date(fields, order) is None for fields in distinct) for order in _candidates(distinct)}
    fewest = min(bad.values())
    allowed = fewest + len(distinct) // _FOREIGN_SHARE
    possible = [order for order, count in bad.items() if count <= allowed]
    if len(possible) > 1:
        steps = {order: _steps_back(dates, order) for order in possible}
        best = min(steps.values())
        possible = [order for order in possible if steps[order] == best]
    return DateEvidence(
        tuple(possible),
        is_month_first_style=_looks_american(first_stamp),
        is_day_first_style=bool(re.match(rf"{_M}\d{{1,2}}{_M}[.\-]", first_stamp)),
    )


class Stamps:
    """Turns the stamps of one file into times: `read` gives the UTC time and the local minute as text."""

    def __init__(self, pattern: re.Pattern[str], order: Order, zone: tzinfo) -> None:
        self._order = order
        self._zone = zone
        self._hours: dict[tuple[str, str, str, int], tuple[datetime, str]] = {}

    def read(self, match: re.Match[str]) -> tuple[datetime | None, str]:
        """Return the time of a header in UTC and its local minute; None when it names no real date."""
        first, second, third, before, hour_text, minute, seconds, after = match.group(2, 3, 4, 5, 6, 7, 8, 9)
        hour = int(hour_text)
        half = before or after
        if half:
            hour = _hour_of_day(hour, half)
        key = (first, second, third, hour)
        known = self._hours.get(key)
        if known is None:
            known = self._hour(key)
            if known is None:
                return None, match[1]
            if len(self._hours) > 5000:
                self._hours.clear()
            self._hours[key] = known
        start, label = known
        minutes = int(minute)
        if seconds:
            return start + timedelta(0, minutes * 60 + int(seconds)), f"{label}:{minutes:02d}"
        return start + timedelta(0, minutes * 60), f"{label}:{minutes:02d}"

    def _hour(self, key: tuple[str, str, str, int]) -> tuple[datetime, str] | None:
        date = _as_date((int(key[0]), int(key[1]), int(key[2])), self._order)
        if date is None or key[3] > 23:
            return None
        try:
            local = datetime(*date, key[3], tzinfo=self._zone)
        except ValueError:
            return None
        return local.astimezone(UTC), f"{local:%Y-%m-%dT%H}"


def _candidates(dates: set[Fields]) -> list[Order]:
    if sum(fields[0] > 31 for fields in dates) * 2 > len(dates):
        return [YEAR_FIRST]
    if sum(fields[2] > 31 for fields in dates) * 2 > len(dates):
        return [DAY_FIRST, MONTH_FIRST]
    both = [DAY_FIRST, MONTH_FIRST]
    # A year of two digits in front is rare; it counts only where neither of the others makes dates.
    if all(sum(_as_date(fields, order) is None for fields in dates) * 2 > len(dates) for order in both):
        both.append(YEAR_FIRST)
    return both


def _as_date(fields: Fields, order: Order) -> Fields | None:
    year, month, day = fields[order[0]], fields[order[1]], fields[order[2]]
    if year < 100:
        year += 2000
    elif 2400 < year < 2700:
        year -= 543  # the Buddhist calendar of Thai telephones
    if not (_FIRST_YEAR <= year <= _LAST_YEAR and 1 <= month <= 12 and 1 <= day <= 31):
        return None
    return year, month, day


def _steps_back(dates: Sequence[Fields], order: Order) -> int:
    steps = 0
    before: Fields | None = None
    for fields in dates:
        date = _as_date(fields, order)
        if date is None:
            continue
        if before is not None and date < before:
            steps += 1
        before = date
    return steps


def _looks_american(stamp: str) -> bool:
    """Whether the form is the one that only telephones set to month-first write: 1/4/23, 7:02 PM."""
    return bool(
        re.match(rf"{_M}(?!0)\d{{1,2}}/(?!0)\d{{1,2}}/\d{{2}},{_S}(?!0)\d{{1,2}}:\d{{2}}(:\d{{2}})?{_S}?[AP]M", stamp)
    )


def _hour_of_day(hour: int, half: str) -> int:
    if not 1 <= hour <= 12:
        return hour
    plain = half.replace(".", "").replace("\u00a0", "").replace("\u202f", "").replace(" ", "").lower()
    is_after_noon = plain.startswith(_PM) and plain not in _AM
    return hour % 12 + (12 if is_after_noon else 0)
