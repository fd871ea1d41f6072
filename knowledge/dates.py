"""The times a question names, in six languages, as days that a memory's own day can be held against."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache
from typing import Any

from knowledge.languages import languages, plain

_ISO = re.compile(r"\b(\d{4})-(\d{1,2})(?:-(\d{1,2}))?\b")
_NUMERIC = re.compile(r"\b(\d{1,2})[/.](\d{1,2})[/.](\d{4}|\d{2})\b")
_YEAR = re.compile(r"\b(19[2-9]\d|20[0-4]\d)\b")
_SUMMER_IN_BOTH_HALVES = ("es", "pt")
_JOIN = r"(?: (?:de|del|do|of|di|d|du|dell|des|im|in|en|em|the|l))*"
# Months and seasons that are other words too ("may", "fall", "été", "Marco") count after these only.
_BEFORE_MONTH = {"en": "(?:in|of|during|since|every|this|that|by|until) ", "pt": "(?:em|de|no mes de|desde) "}
_BEFORE_SEASON = {
    "en": "(?:in|the|that|this|every|during|of) ",
    "fr": "(?:en|l|cet|chaque|au|d) ",
}


@dataclass(frozen=True, slots=True)
class Dates:
    """The times a question names.

    `spans` are first and last days as ordinals; `months` and `days` (month, day) stand for any year. `words` are
    the relative ones among the question's words, which say nothing beyond the time.
    """

    spans: tuple[tuple[int, int], ...] = ()
    months: frozenset[int] = frozenset()
    days: frozenset[tuple[int, int]] = frozenset()
    words: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.spans or self.months or self.days)


def dates_in(text: str, codes: tuple[str, ...], now: datetime) -> Dates:
    """Return the times that `text` names, read in the languages `codes` as of `now`."""
    found = _Found(now.date())
    rest = found.numeric(text)
    folded = plain(rest)
    for code in codes:
        folded_before = folded
        folded = found.read(folded, _patterns(code), code)
        if folded != folded_before:
            break
    for match in _YEAR.finditer(folded):
        found.span(*_year(int(match[1])))
    return Dates(
        tuple(dict.fromkeys(found.spans)), frozenset(found.months), frozenset(found.days), frozenset(found.words)
    )


def may_name_time(words: Iterable[str], codes: tuple[str, ...]) -> bool:
    """Return whether any of these folded words can be part of a time: most questions hold none."""
    telling = [_telling(code) for code in codes]
    return any(word[:1].isdigit() or any(word in each for each in telling) for word in words)


@cache
def _telling(code: str) -> frozenset[str]:
    """Return the words of which every pattern of a language holds one, unless it holds a digit."""
    times = languages()[code].times
    names = ("months", "weekdays", "seasons", "day", "week", "month", "year", "today", "yesterday", "before_yesterday")
    return frozenset(part for name in (*names, "weekend") for words in times[name] for part in re.split(r"[ |]", words))


@dataclass(frozen=True, slots=True)
class _Patterns:
    rules: tuple[tuple[str, re.Pattern[str]], ...]
    months: dict[str, int]
    weekdays: dict[str, int]
    seasons: dict[str, int]
    units: dict[str, str]
    numbers: dict[str, int]
    kept: frozenset[str]


class _Found:
    """What has been read so far."""

    def __init__(self, today: date) -> None:
        self.today = today
        self.spans: list[tuple[int, int]] = []
        self.months: set[int] = set()
        self.days: set[tuple[int, int]] = set()
        self.words: set[str] = set()

    def span(self, first: date, last: date) -> None:
        self.spans.append((first.toordinal(), last.toordinal()))

    def numeric(self, text: str) -> str:
        for match in _ISO.finditer(text):
            year, month, day = int(match[1]), int(match[2]), match[3]
            self._date(year, month, int(day)) if day else self._month(year, month)
        for match in _NUMERIC.finditer(text):
            first, second, year = int(match[1]), int(match[2]), int(match[3])
            year += 0 if year > 99 else (2000 if year < 50 else 1900)
            # Day first or month first: nobody says, so both are looked at.
            self._date(year, second, first)
            self._date(year, first, second)
        for match in (*_ISO.finditer(text), *_NUMERIC.finditer(text)):
            self.words |= {number for number in match.groups(default="") if not _YEAR.fullmatch(number)}
        return _NUMERIC.sub(" ", _ISO.sub(" ", text))

    def read(self, text: str, known: _Patterns, code: str) -> str:
        for name, pattern in known.rules:
            for match in list(pattern.finditer(text)):
                parts = {key.rstrip("2"): value for key, value in match.groupdict(default="").items() if value}
                if getattr(self, f"_{name}")(parts | {"": match[0]}, known, code):
                    self.words |= {
                        word for word in match[0].split() if word not in known.kept and not _YEAR.fullmatch(word)
                    }
                    text = text.replace(match[0], " | ", 1)
        return text

    def _date(self, year: int, month: int, day: int) -> None:
        try:
            found = date(year, month, day)
        except ValueError:
            return
        self.span(found, found)

    def _month(self, year: int, month: int) -> None:
        if 1 <= month <= 12 and 1 <= year < 9999:
            self.span(*_month(year, month))

    def _day_month(self, parts: dict[str, str], known: _Patterns, code: str) -> bool:
        day, month, year = int(parts["day"]), known.months[parts["month"]], parts.get("year")
        if not 1 <= day <= 31:
            return False
        if year:
            self._date(int(year), month, day)
        else:
            self.days.add((month, day))
        return True

    def _month_year(self, parts: dict[str, str], known: _Patterns, code: str) -> bool:
        self._month(int(parts["year"]), known.months[parts["month"]])
        return True

    def _month_last_year(self, parts: dict[str, str], known: _Patterns, code: str) -> bool:
        self._month(self.today.year - 1, known.months[parts["month"]])
        return True

    def _last_month_named(self, parts: dict[str, str], known: _Patterns, code: str) -> bool:
        month = known.months[parts["month"]]
        self._month(self.today.year - (month >= self.today.month), month)
        return True

    def _season_year(self, parts: dict[str, str], known: _Patterns, code: str) -> bool:
        for months, shift in _season_months(known.seasons[parts["season"]], code):
            first, last = _season(int(parts["year"]) + shift, months)
            self.span(first, last)
        return True

    def _last_season(self, parts: dict[str, str], known: _Patterns, code: str) -> bool:
        for months, _ in _season_months(known.seasons[parts["season"]], code):
            year = self.today.year
            while _season(year, months)[0] >= self.today:
                year -= 1
            self.span(*_season(year, months))
        return True

    def _season_alone(self, parts: dict[str, str], known: _Patterns, code: str) -> bool:
        for months, _ in _season_months(known.seasons[parts["season"]], code):
            self.months |= {(month - 1) % 12 + 1 for month in months}
        return True

    def _last_unit(self, parts: dict[str, str], known: _Patterns, code: str) -> bool:
        self._units_back(known.units[parts["unit"]], 1)
        return True

    def _this_unit(self, parts: dict[str, str], known: _Patterns, code: str) -> bool:
        self._units_back(known.units[parts["unit"]], 0)
        return True

    def _ago(self, parts: dict[str, str], known: _Patterns, code: str) -> bool:
        number = parts["n"]
        count = int(number) if number.isdigit() else known.numbers[number]
        self._units_back(known.units[parts["unit"]], min(count, 500), is_loose=True)
        return True

    def _weekend(self, parts: dict[str, str], known: _Patterns, code: str) -> bool:
        sunday = self.today - timedelta(days=(self.today.weekday() + 1) % 7 or 7)
        self.span(sunday - timedelta(days=1), sunday)
        return True

    def _weekday(self, parts: dict[str, str], known: _Patterns, code: str) -> bool:
        day = self.today - timedelta(days=(self.today.weekday() - known.weekdays[parts["weekday"]]) % 7 or 7)
        self.span(day, day)
        return True

    def _before_yesterday(self, parts: dict[str, str], known: _Patterns, code: str) -> bool:
        self._units_back("day", 2)
        return True

    def _yesterday(self, parts: dict[str, str], known: _Patterns, code: str) -> bool:
        self._units_back("day", 1)
        return True

    def _today(self, parts: dict[str, str], known: _Patterns, code: str) -> bool:
        self._units_back("day", 0)
        return True

    def _decade(self, parts: dict[str, str], known: _Patterns, code: str) -> bool:
        tens = int(parts["d"])
        stated = re.search(r"(19|20)\d0", parts[""])
        century = int(stated[1]) * 100 if stated else (2000 if 2000 + tens <= self.today.year else 1900)
        self.span(date(century + tens, 1, 1), date(century + tens + 9, 12, 31))
        return True

    def _month_alone(self, parts: dict[str, str], known: _Patterns, code: str) -> bool:
        self.months.add(known.months[parts["month"]])
        return True

    def _units_back(self, unit: str, count: int, *, is_loose: bool = False) -> None:
        today = self.today
        if unit == "day":
            day = today - timedelta(days=count)
            slack = timedelta(days=count // 7 if is_loose else 0)
            self.span(day - slack, day + slack)
        elif unit == "week":
            monday = today - timedelta(days=today.weekday() + 7 * count)
            self.span(monday, monday + timedelta(days=6))
        elif unit == "month":
            months = today.year * 12 + today.month - 1 - count
            self._month(months // 12, months % 12 + 1)
        else:
            self.span(*_year(today.year - count))


def _year(year: int) -> tuple[date, date]:
    return date(max(1, year), 1, 1), date(max(1, year), 12, 31)


def _month(year: int, month: int) -> tuple[date, date]:
    following = date(year + month // 12, month % 12 + 1, 1)
    return date(year, month, 1), following - timedelta(days=1)


def _season_months(season: int, code: str) -> Iterator[tuple[tuple[int, int, int], int]]:
    """Yield the three months of a season counted from January of its year, and a shift of that year."""
    first = 3 * season + 3
    yield (first, first + 1, first + 2), (-1 if season == 3 else 0)
    if code in _SUMMER_IN_BOTH_HALVES:
        first = 3 * ((season + 2) % 4) + 3
        yield (first, first + 1, first + 2), (-1 if season == 1 else 0)


def _season(year: int, months: tuple[int, int, int]) -> tuple[date, date]:
    last = year * 12 + months[2] - 1
    return _month(year, months[0])[0], _month(last // 12, last % 12 + 1)[1]


@cache
def _patterns(code: str) -> _Patterns:
    times: dict[str, Any] = languages()[code].times
    months = {name: at for at, names in enumerate(times["months"], 1) for name in names.split()}
    weekdays = {name: at for at, names in enumerate(times["weekdays"]) for name in names.split("|")}
    seasons = {name: at for at, names in enumerate(times["seasons"]) for name in names.split("|")}
    units = {name: unit for unit in ("day", "week", "month", "year") for name in times[unit]}
    numbers = {name: at for at, names in enumerate(times["numbers"], 1) for name in names.split("|")}
    month, season, unit = _one("month", months), _one("season", seasons), _one("unit", units)
    last, this, year = _any(times["last"]), _any(times["this"]), r"(?P<year>(?:19|20)\d\d)"
    number = rf"(?:\d{{1,3}}|{_any(numbers)})"
    years = _any(times["year"])
    ago = times["ago"].replace("{number}", number).replace("{unit}", _any(units))
    rules = [
        ("day_month", rf"(?P<day>\d{{1,2}})(?:st|nd|rd|th|er|o)?{_JOIN} {month}(?:{_JOIN} {year})?"),
        ("month_last_year", rf"{month}{_JOIN} (?:{last} {years}|{years} {last})"),
        ("month_year", rf"{month}{_JOIN} {year}"),
        ("last_month_named", rf"{last} {month}|{month.replace('P<month>', 'P<month2>')} {last}"),
        ("season_year", rf"{season}{_JOIN} {year}"),
        ("last_season", rf"{last} {season}|{season.replace('P<season>', 'P<season2>')} {last}"),
        ("before_yesterday", _any(times["before_yesterday"])),
        ("weekend", rf"(?:{last} )?{_any(times['weekend'])}(?: {last})?"),
        ("last_unit", rf"{last} {unit}|{unit.replace('P<unit>', 'P<unit2>')} {last}"),
        ("this_unit", rf"{this} {unit}"),
        ("ago", ago),
        ("yesterday", _any(times["yesterday"])),
        ("today", _any(times["today"])),
        ("weekday", rf"(?:{last} )?{_one('weekday', weekdays)}(?: {last})?"),
        ("decade", times["decade"]),
        ("season_alone", _BEFORE_SEASON.get(code, "") + season),
        ("month_alone", _BEFORE_MONTH.get(code, "") + month),
    ]
    if code == "en":
        rules.insert(1, ("day_month", rf"{month} (?P<day>\d{{1,2}})(?:st|nd|rd|th)?(?: {year})?"))
    compiled = tuple((name, re.compile(rf"\b(?:{rule})\b")) for name, rule in rules)
    kept = frozenset({*months, *weekdays, *seasons})
    return _Patterns(compiled, months, weekdays, seasons, units, numbers, kept)


def _any(words: Any) -> str:
    return (
        "(?:" + "|".join(sorted({part for word in words for part in word.split("|")}, key=lambda w: (-len(w), w))) + ")"
    )


def _one(name: str, words: Any) -> str:
    return _any(words).replace("(?:", f"(?P<{name}>", 1)
