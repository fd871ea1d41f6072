"""How a persona writes, counted from its own messages without a model.

`style_card` returns plain JSON:

    messages, confidence   how many messages were counted; "low" under 200, "fair" under 1,000, else "good"
    languages              share of the messages by ISO 639-1 code, most used first
    markers                habit -> {count, rate, low, high}: the share of messages that show it, with its 95 % interval
                           (emoji, ellipsis, exclamation, question, double_marks, lowercase_start, capitals, laughter,
                           lengthened, no_final_stop, line_breaks, opening_marks, kisses)
    length                 median, p10, p25, p75, p90 in characters; words (median); log_mean, log_sd
    bursts                 mean messages in a row, and the share of turns of 1, 2, 3 and more
    greetings, closings    language -> [[phrase, share of the messages in that language], ...]
    phrases                language -> [[phrase, count], ...]: what this persona keeps saying
    emoji, laughter        [[what, count], ...]
    hours, weekdays        shares of the messages by local hour (24) and by weekday (7, Monday first); [] when unknown
    mixing                 index (code-mixing, 0..100) and switches (share of neighbouring messages in another language)
    assistant_rate         turns of phrase of machine assistants in 1,000 words: the persona's own level
"""

from __future__ import annotations

import math
import re
import statistics
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

import regex
from pydantic import JsonValue

_DATA = Path(__file__).with_name("habits.toml")

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_PICTURE = r"\p{Extended_Pictographic}[\uFE0F\p{EMod}]*"
_EMOJI = regex.compile(rf"{_PICTURE}(?:\u200D{_PICTURE})*|\p{{RI}}{{2}}")
_LAUGHTER = re.compile(
    r"\b(?:(?:a?(?:ja|je|ji|ha|he|hi|ah|ka)){2,}[jhak]?|k{3,}|(?:rs){2,}|lo+l|mdr|lmao)\b", re.IGNORECASE
)
_LENGTHENED = re.compile(r"([^\W\d_])\1{2,}", re.IGNORECASE)
_CAPITALS = re.compile(r"\b[^\W\d_]{3,}\b")
_KISSES = re.compile(r"(?:^|\s)x{1,4}\s*$|😘|💋", re.IGNORECASE)
_PIECE = re.compile(r"[.!?…,;:\n()]+")
_END_OF_SENTENCE = tuple(".!?…")

_BURST = timedelta(seconds=90)
_LONGEST_PHRASE = 4
_LONGEST_GREETING = 5
_LONGEST_NAME = 2
_FEWEST = 3
_MOST_LISTED = 12
_LOW, _FAIR = 200, 1000


class Sentence(NamedTuple):
    """One message of the persona's own. `at` and `language` may be unknown; `conversation` groups a talk."""

    text: str
    at: datetime | None = None
    language: str = ""
    conversation: str = ""


@dataclass(frozen=True, slots=True)
class Traits:
    """What one sentence shows; made once, counted for as many audiences as there are."""

    sentence: Sentence
    language: str
    words: tuple[str, ...]
    pieces: tuple[tuple[str, ...], ...]
    names: frozenset[str]
    markers: frozenset[str]
    greeting: str
    closing: str
    emoji: tuple[str, ...]
    laughter: tuple[str, ...]
    assistant: int


def style_card(sentences: Iterable[Sentence], *, timezone: str = "UTC") -> dict[str, JsonValue]:
    """Return how the writer of these sentences writes. Pure."""
    return card_of([traits_of(sentence) for sentence in sentences], timezone=timezone)


def traits_of(sentence: Sentence) -> Traits:
    """Return what one sentence shows. Pure."""
    text = sentence.text
    spelt = _WORD.findall(text)
    pieces = tuple(_words(piece) for piece in _PIECE.split(text)) if _PIECE.search(text) else (_words(text),)
    words = tuple(word for piece in pieces for word in piece)
    emoji = tuple(_EMOJI.findall(text)) if not text.isascii() else ()
    laughter = tuple(found.group().lower() for found in _LAUGHTER.finditer(text))
    language = sentence.language or guess_language(words)
    lowered = text.lower()
    return Traits(
        sentence=sentence,
        language=language,
        words=words,
        pieces=pieces,
        names=frozenset(word.lower() for word in spelt[1:] if word[0].isupper() and not word.isupper()),
        markers=frozenset(_markers(text, spelt, emoji, laughter)),
        greeting=_greeting(text, language),
        closing=_closing(text, language),
        emoji=emoji,
        laughter=laughter,
        assistant=sum(phrase in lowered for phrase in _habits().assistant),
    )


def card_of(traits: Sequence[Traits], *, timezone: str = "UTC") -> dict[str, JsonValue]:
    """Return the style card of sentences whose traits are known already. Pure."""
    count = len(traits)
    times = [each.sentence.at for each in traits if each.sentence.at is not None]
    words = sum(len(each.words) for each in traits)
    return {
        "messages": count,
        "confidence": "low" if count < _LOW else "fair" if count < _FAIR else "good",
        "languages": _shares(Counter(each.language for each in traits if each.language)),
        "markers": _rates(traits),
        "length": _lengths(traits),
        "bursts": _bursts(traits),
        "greetings": _openings(traits, "greeting"),
        "closings": _openings(traits, "closing"),
        "phrases": _phrases(traits),
        "emoji": _most(Counter(emoji for each in traits for emoji in each.emoji)),
        "laughter": _most(Counter(laugh for each in traits for laugh in each.laughter)),
        "hours": _by_time(times, timezone, 24),
        "weekdays": _by_time(times, timezone, 7),
        "mixing": _mixing(traits),
        "assistant_rate": round(1000 * sum(each.assistant for each in traits) / words, 3) if words else 0.0,
    }


def guess_language(words: Sequence[str]) -> str:
    """Return the language whose small words stand most among these lower-case words; empty when that is unclear."""
    counts = Counter(code for word in words for code in _habits().codes_of.get(word, ()))
    best = counts.most_common(2)
    if not best or (len(best) > 1 and best[0][1] == best[1][1]):
        return ""
    return best[0][0]


# ------------------------------------------------------------------------------------------- lexicon


@dataclass(frozen=True, slots=True)
class _Habits:
    assistant: tuple[str, ...]
    greetings: dict[str, frozenset[str]]
    before_a_name: dict[str, frozenset[str]]
    closings: dict[str, frozenset[str]]
    glue: dict[str, frozenset[str]]
    codes_of: dict[str, tuple[str, ...]]


@cache
def _habits() -> _Habits:
    found = tomllib.loads(_DATA.read_text(encoding="utf-8"))
    assistant = tuple(found.pop("assistant"))
    codes: defaultdict[str, list[str]] = defaultdict(list)
    for code, values in found.items():
        for word in (*values["glue"], *values["greetings"]):
            codes[word].append(code)
    return _Habits(
        assistant=assistant,
        greetings={code: frozenset(values["greetings"]) for code, values in found.items()},
        before_a_name={code: frozenset(values["before_a_name"]) for code, values in found.items()},
        closings={code: frozenset(values["closings"]) for code, values in found.items()},
        glue={code: frozenset(values["glue"]) for code, values in found.items()},
        codes_of={word: tuple(dict.fromkeys(of)) for word, of in codes.items()},
    )


def _known(of: dict[str, frozenset[str]], language: str) -> frozenset[str]:
    return of.get(language, frozenset())


# ------------------------------------------------------------------------------------------ sentences


def _words(text: str) -> tuple[str, ...]:
    return tuple(_WORD.findall(text.lower().replace("’", "'")))


def _markers(text: str, words: Sequence[str], emoji: Sequence[str], laughter: Sequence[str]) -> Iterator[str]:
    bare = text.strip()
    first = next((letter for letter in bare if letter.isalpha()), "")
    shown = {
        "emoji": bool(emoji),
        "ellipsis": "..." in text or "…" in text,
        "exclamation": "!" in text,
        "question": "?" in text,
        "double_marks": any(marks in text for marks in ("!!", "??", "?!", "!?")),
        "lowercase_start": first.islower(),
        "capitals": any(found.isupper() for found in _CAPITALS.findall(text)),
        "laughter": bool(laughter),
        "lengthened": _LENGTHENED.search(text) is not None,
        "no_final_stop": bool(words) and not bare.endswith(_END_OF_SENTENCE),
        "line_breaks": "\n" in bare,
        "opening_marks": "¿" in text or "¡" in text,
        "kisses": _KISSES.search(text) is not None,
    }
    return (name for name, is_shown in shown.items() if is_shown)


def _greeting(text: str, language: str) -> str:
    """Return the greeting a message opens with, up to its first pause; never with the name that follows it."""
    start = text.lstrip(" ¡¿!?.,\n\t")
    piece = _PIECE.split(start[:80], maxsplit=1)[0]
    words = _WORD.findall(_EMOJI.sub("|", piece).split("|")[0])
    found = _phrase_before_a_name(words, _known(_habits().greetings, language), is_whole_piece=len(piece) < 80)
    return "" if found in _known(_habits().before_a_name, language) else found


def _closing(text: str, language: str) -> str:
    """Return the words of parting a message ends with."""
    pieces = [piece for piece in _PIECE.split(text[-80:]) if _WORD.search(piece)]
    if not pieces or (len(pieces) == 1 and len(text) > 80):
        return ""
    words = _WORD.findall(_EMOJI.sub(" ", pieces[-1]))
    known = _known(_habits().closings, language)
    found = _phrase_before_a_name(words, known, is_whole_piece=True)
    if len(words) - len(found.split()) > _LONGEST_NAME:
        return ""
    # A greeting such as `ciao` at the very start of a message is no parting.
    return "" if len(pieces) == 1 and found == _greeting(text, language) else found


def _phrase_before_a_name(words: Sequence[str], known: frozenset[str], *, is_whole_piece: bool) -> str:
    lowered = [word.lower().replace("’", "'") for word in words]
    size = next((size for size in (4, 3, 2, 1) if " ".join(lowered[:size]) in known and len(lowered) >= size), 0)
    if not size:
        return ""
    following = words[size:_LONGEST_GREETING]
    ends_soon = is_whole_piece and len(words) <= _LONGEST_GREETING
    if ends_soon and all(word[0].islower() for word in following):
        return " ".join(lowered)
    return " ".join(lowered[:size])


# ------------------------------------------------------------------------------------------ counting


def _shares(counts: Counter[str]) -> dict[str, JsonValue]:
    total = counts.total()
    return {name: round(count / total, 4) for name, count in counts.most_common()}


def _rates(traits: Sequence[Traits]) -> dict[str, JsonValue]:
    counts = Counter(marker for each in traits for marker in each.markers)
    found: dict[str, JsonValue] = {}
    for marker, count in counts.most_common():
        low, high = wilson(count, len(traits))
        rate = round(count / len(traits), 4)
        found[marker] = {"count": count, "rate": rate, "low": round(low, 4), "high": round(high, 4)}
    return found


def wilson(count: int, total: int) -> tuple[float, float]:
    """Return the 95 % interval of a share, which stays honest when few were counted."""
    if total == 0:
        return 0.0, 1.0
    z, share = 1.959964, count / total
    middle = share + z * z / (2 * total)
    reach = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    below = 1 + z * z / total
    return max(0.0, (middle - reach) / below), min(1.0, (middle + reach) / below)


def _lengths(traits: Sequence[Traits]) -> dict[str, JsonValue]:
    sizes = sorted(len(each.sentence.text.strip()) for each in traits if each.sentence.text.strip())
    if not sizes:
        return {}
    logs = [math.log(size) for size in sizes]
    at = {name: sizes[min(len(sizes) - 1, int(len(sizes) * share))] for name, share in _PERCENTILES.items()}
    return {
        **at,
        "words": statistics.median(len(each.words) for each in traits),
        "log_mean": round(statistics.fmean(logs), 4),
        "log_sd": round(statistics.pstdev(logs), 4),
    }


_PERCENTILES = {"p10": 0.10, "p25": 0.25, "median": 0.50, "p75": 0.75, "p90": 0.90}


def _bursts(traits: Sequence[Traits]) -> dict[str, JsonValue]:
    """Return how many messages come in a row: in one talk, each soon after the one before."""
    sizes: list[int] = []
    before: tuple[str, datetime] | None = None
    for talk, at in sorted(_timed(traits)):
        is_same = before is not None and before[0] == talk and at - before[1] <= _BURST
        sizes.append(0) if not is_same else None
        sizes[-1] += 1
        before = (talk, at)
    if not sizes:
        return {}
    shares: dict[str, JsonValue] = {
        "1": round(sum(size == 1 for size in sizes) / len(sizes), 4),
        "2": round(sum(size == 2 for size in sizes) / len(sizes), 4),
        "3+": round(sum(size > 2 for size in sizes) / len(sizes), 4),
    }
    return {"mean": round(statistics.fmean(sizes), 3), "shares": shares}


def _timed(traits: Sequence[Traits]) -> Iterator[tuple[str, datetime]]:
    return ((each.sentence.conversation, each.sentence.at) for each in traits if each.sentence.at is not None)


def _openings(traits: Sequence[Traits], which: str) -> dict[str, JsonValue]:
    by_language: defaultdict[str, Counter[str]] = defaultdict(Counter)
    total: Counter[str] = Counter()
    for each in traits:
        total[each.language] += 1
        if phrase := each.greeting if which == "greeting" else each.closing:
            by_language[each.language][phrase] += 1
    return {
        language: [[phrase, round(count / total[language], 4)] for phrase, count in counts.most_common(_MOST_LISTED)]
        for language, counts in sorted(by_language.items())
    }


def _most(counts: Counter[str]) -> list[JsonValue]:
    return [[what, count] for what, count in counts.most_common(_MOST_LISTED)]


def _by_time(times: Sequence[datetime], timezone: str, parts: int) -> list[JsonValue]:
    if not times:
        return []
    zone = ZoneInfo(timezone)
    local = (time.astimezone(zone) for time in times)
    counts = Counter(time.hour if parts == 24 else time.weekday() for time in local)
    return [round(counts[part] / len(times), 4) for part in range(parts)]


def _mixing(traits: Sequence[Traits]) -> dict[str, JsonValue]:
    """Return the code-mixing index over the words whose language is plain, and how often the language changes."""
    indices = []
    codes_of = _habits().codes_of
    for each in traits:
        plain = Counter(codes_of[word][0] for word in each.words if len(codes_of.get(word, ())) == 1)
        if plain.total() > 1:
            indices.append(100 * (1 - max(plain.values()) / plain.total()))
    talks: defaultdict[str, list[tuple[datetime, str]]] = defaultdict(list)
    for each in traits:
        if each.sentence.at is not None and each.language:
            talks[each.sentence.conversation].append((each.sentence.at, each.language))
    pairs = switches = 0
    for talk in talks.values():
        talk.sort()
        pairs += len(talk) - 1
        switches += sum(one[1] != two[1] for one, two in pairwise(talk))
    return {
        "index": round(statistics.fmean(indices), 2) if indices else 0.0,
        "switches": round(switches / pairs, 4) if pairs else 0.0,
    }


# ------------------------------------------------------------------------------------------- phrases


def _phrases(traits: Sequence[Traits]) -> dict[str, JsonValue]:
    """Return what is said again and again: word sequences with something in them, without the names of people."""
    names = _names(traits)
    by_language: defaultdict[str, Counter[tuple[str, ...]]] = defaultdict(Counter)
    for each in traits:
        if each.language:
            # Once in each message, so that one long chant is not a habit.
            by_language[each.language].update({phrase for piece in each.pieces for phrase in _sequences(piece)})
    found: dict[str, JsonValue] = {}
    for language, counts in sorted(by_language.items()):
        glue = _known(_habits().glue, language)
        said = [
            (phrase, count)
            for phrase, count in counts.items()
            if count >= _FEWEST and not names.intersection(phrase) and _says_something(phrase, glue)
        ]
        if chosen := _longest_of_each(said):
            found[language] = [[" ".join(phrase), count] for phrase, count in chosen]
    return found


def _sequences(words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for size in range(2, _LONGEST_PHRASE + 1):
        yield from (words[at : at + size] for at in range(len(words) - size + 1))


def _says_something(phrase: tuple[str, ...], glue: frozenset[str]) -> bool:
    content = sum(word not in glue and len(word) > 2 for word in phrase)
    return content >= 1 and (len(phrase) == 2 or content * 2 >= len(phrase) - 1) and phrase[-1] not in glue


def _longest_of_each(said: list[tuple[tuple[str, ...], int]]) -> list[tuple[tuple[str, ...], int]]:
    said.sort(key=lambda each: (-each[1] * (len(each[0]) - 1), each[0]))
    chosen: list[tuple[tuple[str, ...], int]] = []
    told: set[tuple[str, ...]] = set()
    for phrase, count in said:
        pairs = set(pairwise(phrase))
        if not told.intersection(pairs):
            chosen.append((phrase, count))
            told |= pairs
        if len(chosen) == _MOST_LISTED:
            break
    return chosen


def _names(traits: Sequence[Traits]) -> frozenset[str]:
    """Return the words that stand with a capital more often than not: people and places."""
    capital = Counter(name for each in traits for name in each.names)
    if not capital:
        return frozenset()
    in_all = Counter(word for each in traits for word in each.words[1:] if word in capital)
    return frozenset(name for name, count in capital.items() if 2 * count > in_all[name])
