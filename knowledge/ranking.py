"""The order of memories for a question: candidates from words, meaning and time, then a small linear model."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from knowledge.meaning import Mask, Rows, Vectors
from knowledge.question import Question
from knowledge.shelf import Shelf
from knowledge.vocabulary import weigh_by_rarity

FEATURES = (
    "words",
    "words_best",
    "coverage",
    "rarest",
    "context",
    "answers",
    "beside",
    "meaning",
    "meaning_best",
    "feedback",
    "session",
    "before",
    "after",
    "speaker",
    "date",
    "other_date",
    "question",
    "short",
    "length",
    "number",
    "importance",
    "own",
    "echo",
    "fact",
)
_RELATING = [FEATURES.index(name) for name in ("coverage", "context", "date")]
_BY_WORDS, _BY_MEANING, _BY_TIME = 120, 100, 60
_SIGNS_LOOKED_AT = 300
_RERANKED = 100
# Saturation and length of the words' score, as measured for turns of a conversation.
_K1, _B = 0.6, 0.4
_FEEDBACK_FROM = 3
_GUESSED_IS_WORTH = 0.8
_FACTS = ("fact", "note", "correction")

Search = Callable[[Sequence[tuple[str, float]]], list[int] | None]
"""Looks the weighted stems up in the index of words; None when it cannot."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """Memories in their order, best first, with scores in 0..1 and one line of features each."""

    rows: Rows
    scores: Vectors
    features: Vectors


@dataclass(frozen=True, slots=True)
class Weights:
    """The linear models: `order` puts the hits of one question in order, `trust` and `bias` say how likely the best
    of them answers it at all, and `fall` how fast that likelihood falls behind it."""

    order: Vectors
    trust: Vectors
    bias: float
    fall: float


@dataclass(frozen=True, slots=True)
class _Wanted:
    """The question's words as this shelf numbers them: for every stem its word and what it is worth."""

    rarity: Vectors
    word_of: NDArray[np.int8]
    worth: Vectors
    terms: list[tuple[str, float]]


@cache
def weights(*, with_meaning: bool) -> Weights:
    """Return the fitted weights; how they were fitted stands beside them in `ranking.json`."""
    found = json.loads(Path(__file__).with_name("ranking.json").read_text(encoding="utf-8"))
    chosen = found["with_meaning" if with_meaning else "words_only"]
    order, trust = (
        np.array([chosen[model].get(name, 0.0) for name in FEATURES], np.float32) for model in ("order", "trust")
    )
    return Weights(order, trust, float(chosen["bias"]), float(chosen["fall"]))


def rank(
    shelf: Shelf,
    question: Question,
    vector: Vectors | None,
    *,
    seen: Mask,
    eligible: Mask,
    person: int,
    search: Search,
    looked_through: int,
) -> Ranked:
    """Return the eligible memories for a question, best first.

    `seen` is what the viewer may see: neighbours, contexts and feedback come from there alone. `eligible` are
    those of them that may be returned. `person` is the code of who asks. Up to `looked_through` rows are read
    one by one instead of asking the index of words.
    """
    wanted = _resolve(shelf, question)
    rows = _candidates(shelf, question, wanted, vector, eligible, search, looked_through)
    if not len(rows):
        nothing = np.zeros(0, np.float32)
        return Ranked(rows, nothing, nothing.reshape(0, len(FEATURES)))
    features = _features(shelf, question, wanted, vector, rows, seen, person)
    if vector is None and (question.words or question.dates):
        # What was a candidate by a context that this viewer may not see has nothing to do with the question.
        is_related = features[:, _RELATING].any(axis=1)
        rows, features = rows[is_related], features[is_related]
    model = weights(with_meaning=vector is not None)
    values = (features * model.order).sum(axis=1)
    order = np.lexsort((shelf["memory"][rows], -values))[:_RERANKED]
    return Ranked(rows[order], _scores(values[order], features[order], model), features[order])


def _scores(values: Vectors, features: Vectors, model: Weights) -> Vectors:
    """Return for ordered hits how likely each answers: the best by its own features, the others by their distance."""
    if not len(values):
        return values
    best = float((features[0] * model.trust).sum()) + model.bias
    return np.asarray(1 / (1 + np.exp(-(best + model.fall * (values - values[0])))), dtype=np.float32)


def _resolve(shelf: Shelf, question: Question) -> _Wanted:
    vocabulary = shelf.vocabulary
    counts = vocabulary.counts.values
    word_of = np.full(len(vocabulary), -1, np.int8)
    worth = np.zeros(len(vocabulary), np.float32)
    found = np.zeros(len(question.words), np.float32)
    for at, word in enumerate(question.words):
        numbers = [number for number in map(vocabulary.find, word.stems) if number >= 0 and counts[number] > 0]
        alike = [(number, 1.0) for number in numbers]
        if not alike:
            guesses = [guess for stem in word.stems for guess in vocabulary.similar(stem)]
            alike = [(number, score * _GUESSED_IS_WORTH) for number, score in guesses]
        for number, score in alike:
            if word_of[number] in (-1, at):
                word_of[number] = at
                worth[number] = max(worth[number], score)
                found[at] = max(found[at], counts[number])
    rarity = weigh_by_rarity(np.maximum(found, 1), max(1, shelf.count))
    known = np.flatnonzero(word_of >= 0)
    terms = [(vocabulary.stem(int(number)), float(worth[number])) for number in known]
    return _Wanted(rarity, word_of, worth, terms)


def _candidates(
    shelf: Shelf,
    question: Question,
    wanted: _Wanted,
    vector: Vectors | None,
    eligible: Mask,
    search: Search,
    looked_through: int,
) -> Rows:
    parts: list[Rows] = []
    if wanted.terms:
        parts.append(_by_words(shelf, wanted, eligible, search, looked_through))
    if vector is not None:
        parts.append(shelf.meaning.nearest(vector, eligible, limit=_BY_MEANING, looked_at=_SIGNS_LOOKED_AT))
    is_open = not question.words and not (vector is not None and question.text.strip())
    if question.dates or is_open:
        fits = eligible & (_date_fit(shelf, question, np.arange(len(shelf))) > 0) if question.dates else eligible
        rows = np.flatnonzero(fits)
        if len(rows) > _BY_TIME:
            near = shelf.meaning.cosines(vector, rows) if vector is not None else 0.0
            tells = np.minimum(shelf["words"][rows], 12) / 12 - shelf["is_question"][rows]
            liked = near + shelf["importance"][rows] + 0.5 * tells
            rows = rows[np.lexsort((-shelf["memory"][rows], -liked))[:_BY_TIME]]
        parts.append(rows)
    return np.unique(np.concatenate(parts)) if parts else np.zeros(0, np.int64)


def _by_words(shelf: Shelf, wanted: _Wanted, eligible: Mask, search: Search, looked_through: int) -> Rows:
    value = np.where(wanted.word_of >= 0, wanted.worth * wanted.rarity[wanted.word_of], 0).astype(np.float32)
    from_index: list[int] | None = None
    first = shelf.settled
    if len(shelf) > looked_through and np.count_nonzero(eligible) > looked_through:
        from_index = search(wanted.terms)
    if from_index is None:
        first = 0
    scores = shelf.look_through(value, first) * eligible[first:]
    held = np.flatnonzero(scores)
    if len(held) > _BY_WORDS:
        length = shelf["words"][first:][held]
        worth = scores[held] / (1 + _B * length / (4 * shelf.average_words + 1))
        held = held[np.argsort(-worth, kind="stable")[:_BY_WORDS]]
    held = held + first
    if not from_index:
        return held
    known = np.array([shelf.row_of(memory_id) for memory_id in from_index], np.int64)
    known = known[known >= 0]
    return np.concatenate([known[eligible[known]], held])


def _features(
    shelf: Shelf,
    question: Question,
    wanted: _Wanted,
    vector: Vectors | None,
    rows: Rows,
    seen: Mask,
    person: int,
) -> Vectors:
    found = np.zeros((len(rows), len(FEATURES)), np.float32)
    column = {name: found[:, at] for at, name in enumerate(FEATURES)}
    before, after = shelf["before"][rows], shelf["after"][rows]
    # A context is the text of the turn before: whoever may not see that turn is not found by it either.
    may_use_context = (before < 0) | seen[before]
    _word_features(shelf, wanted, rows, may_use_context, column)
    asks_itself = shelf["is_question"][rows]
    column["answers"][:] = column["answers"] * ~asks_itself
    base = column["words_best"].copy()
    if vector is not None:
        near = _nearness(shelf, vector, rows)
        column["meaning"][:] = near
        column["meaning_best"][:] = _against_the_best(near)
        base += column["meaning_best"]
        base *= np.float32(0.5)
        best = rows[np.argsort(-base * ~asks_itself, kind="stable")[:_FEEDBACK_FROM]]
        best = best[shelf.meaning.known[best]]
        towards = vector + shelf.meaning.centre(best, np.full(len(best), 0.5, np.float32))
        column["feedback"][:] = _nearness(shelf, towards / max(1e-6, float(np.linalg.norm(towards))), rows)
    _surrounding_features(shelf, rows, base, before, after, column)
    column["speaker"][:] = _speaker_fit(shelf, question, rows, person)
    if question.dates:
        fit = _date_fit(shelf, question, rows)
        column["date"][:] = fit
        column["other_date"][:] = (fit <= 0) & (shelf["day"][rows] > 0)
    length = shelf["words"][rows].astype(np.float32)
    column["question"][:] = asks_itself
    column["short"][:] = np.clip((6 - length) / 4, 0, 1)
    column["length"][:] = np.minimum(np.log1p(length) / 4, 1.5)
    if question.wants_number:
        column["number"][:] = shelf["has_number"][rows]
    column["importance"][:] = shelf["importance"][rows]
    column["own"][:] = shelf["is_own"][rows]
    kinds = shelf["kind"][rows]
    column["echo"][:] = kinds == shelf.kinds.find("replied")
    column["fact"][:] = np.isin(kinds, [shelf.kinds.find(kind) for kind in _FACTS])
    return found


def _word_features(
    shelf: Shelf, wanted: _Wanted, rows: Rows, may_use_context: Mask, column: dict[str, Vectors]
) -> None:
    count = len(wanted.rarity)
    if not count or not wanted.terms:
        return
    total = float(wanted.rarity.sum())
    tokens, owners = shelf.words_of(rows)
    words = wanted.word_of[tokens]
    held, holders = words[words >= 0], owners[words >= 0]
    worth = wanted.worth[tokens[words >= 0]]
    often = _often(held, holders, worth, len(rows), count)
    relative = shelf["words"][rows] / max(1.0, shelf.average_words)
    saturated = often * (_K1 + 1) / (often + _K1 * (1 - _B + _B * relative)[:, None])
    score = (saturated * wanted.rarity).sum(axis=1)
    column["words"][:] = score / total
    column["words_best"][:] = score / max(1e-6, float(score.max()))
    held_at_all = np.minimum(often, 1)
    column["coverage"][:] = (held_at_all * wanted.rarity).sum(axis=1) / total
    column["rarest"][:] = held_at_all[:, int(np.argmax(wanted.rarity))]
    if count > 1:
        follows = (owners[1:] == owners[:-1]) & (words[1:] == words[:-1] + 1) & (words[:-1] >= 0)
        beside = np.bincount(owners[1:][follows], minlength=len(rows))
        column["beside"][:] = np.minimum(beside / (count - 1), 1)
    tokens, owners = shelf.words_of(rows, of_context=True)
    words = wanted.word_of[tokens]
    behind = _often(words[words >= 0], owners[words >= 0], wanted.worth[tokens[words >= 0]], len(rows), count)
    share = (np.minimum(behind, 1) * wanted.rarity).sum(axis=1) / total * may_use_context
    column["context"][:] = share
    column["answers"][:] = share * shelf["context_asks"][rows]


def _often(words: NDArray[np.int8], owners: Rows, worth: Vectors, rows: int, count: int) -> Vectors:
    counted = np.bincount(owners * count + words, worth, minlength=rows * count)
    return counted.reshape(rows, count).astype(np.float32)


def _nearness(shelf: Shelf, vector: Vectors, rows: Rows) -> Vectors:
    """Return the cosines; a memory that has no vector yet is taken for a middling one."""
    near = shelf.meaning.cosines(vector, rows)
    known = shelf.meaning.known[rows]
    if known.any() and not known.all():
        near[~known] = np.median(near[known])
    return near


def _against_the_best(near: Vectors) -> Vectors:
    middle, best = float(np.median(near)), float(near.max())
    return np.asarray(np.clip((near - middle) / max(1e-6, best - middle), 0, 1), dtype=np.float32)


def _surrounding_features(
    shelf: Shelf, rows: Rows, base: Vectors, before: Rows, after: Rows, column: dict[str, Vectors]
) -> None:
    # The candidates are all seen by the viewer, so looking among them alone looks at nothing hidden.
    place = np.full(len(shelf) + 1, -1, np.int32)
    place[rows] = np.arange(len(rows))
    score = np.append(base, np.float32(0))
    column["before"][:] = score[place[before]]
    column["after"][:] = score[place[after]]
    sessions = shelf["session"][rows]
    order = np.lexsort((-base, sessions))
    grouped = sessions[order]
    starts = np.flatnonzero(np.append(True, grouped[1:] != grouped[:-1]))
    within = np.arange(len(rows)) - np.repeat(starts, np.diff(np.append(starts, len(rows))))
    best = np.where(within < 3, base[order], 0)
    means = np.add.reduceat(best, starts) / 3
    column["session"][order] = np.repeat(means, np.diff(np.append(starts, len(rows)))) * (grouped != 0)


def _speaker_fit(shelf: Shelf, question: Question, rows: Rows, person: int) -> Vectors:
    """Return 1 where the speaker is the one asked about, -1 where it is somebody else, 0 where nobody is."""
    named: set[int] = set()
    for word in question.called:
        named |= shelf.speakers_called(word)
    if named:
        agrees = np.isin(shelf["speaker"][rows], list(named))
        if question.asks_you:
            agrees |= shelf["is_own"][rows]
    elif question.asks_you:
        agrees = shelf["is_own"][rows]
    elif question.asks_me and person > 0:
        agrees = (shelf["person"][rows] == person) & ~shelf["is_own"][rows]
    else:
        return np.zeros(len(rows), np.float32)
    return np.where(agrees, np.float32(1), np.float32(-1))


def _date_fit(shelf: Shelf, question: Question, rows: Rows) -> Vectors:
    """Return 1 for memories of the time asked about, a little less for the day before and after, 0 for others."""
    days = shelf["day"][rows]
    fit = np.zeros(len(rows), np.float32)
    for first, last in question.dates.spans:
        fit = np.maximum(fit, 0.7 * ((days >= first - 1) & (days <= last + 1)))
        fit = np.maximum(fit, (days >= first) & (days <= last))
    if question.dates.months:
        fit = np.maximum(fit, 0.9 * np.isin(shelf["month"][rows], list(question.dates.months)))
    for month, day in question.dates.days:
        fit = np.maximum(fit, (shelf["month"][rows] == month) & (shelf["day_of_month"][rows] == day))
    return fit.astype(np.float32)
