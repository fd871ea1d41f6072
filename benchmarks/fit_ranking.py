"""Fits the weights of recall's ranking on conversations of our own making and writes them to `knowledge/ranking.json`.

`python -m benchmarks.fit_ranking` fits on some topics, prints the recall of evidence on topics and conversations it
never saw, and writes the file. Nothing reported elsewhere as a benchmark goes into the fit.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.dialogues import HELD_OUT, NOW, Asked, Dialogue, all_topics, make_dialogue
from knowledge.embedder import Embedder, load_local_embedder
from knowledge.index import IndexedMemory
from knowledge.meaning import quantise
from knowledge.question import understand
from knowledge.ranking import FEATURES, Ranked, rank
from knowledge.shelf import Shelf
from knowledge.viewer import owner_viewer

_LANGUAGES = ("en", "es", "pt")
_FITTED, _TESTED = range(100, 116), range(900, 906)
_LENGTHS = (240, 500, 900)
_OF_MEANING = frozenset({"meaning", "meaning_best", "feedback"})
# These do not vary in the invented conversations; a little of each is set by hand.
_BY_HAND = {"importance": 0.4, "fact": 0.4, "echo": -0.6, "own": 0.0}
# What a feature may say at all: a weight of the wrong sign would be a quirk of the invented conversations.
_NEVER_POSITIVE = frozenset({"other_date", "question", "short"})
_AT_MOST = {"length": 1.5, "before": 1.0, "after": 1.0}
# What measurements on real dialogues found useful keeps a little weight where invented ones do not show it.
_AT_LEAST = {"feedback": 0.3, "context": 0.3, "session": 0.3, "after": 0.1}
# What says something on its own; the others compare with the other candidates.
_TRUSTED = frozenset(
    {"words", "coverage", "rarest", "context", "answers", "beside", "meaning", "speaker", "date", "other_date", "short"}
    | {"question"}
)
_LEAST = np.array([-np.inf if name in _NEVER_POSITIVE else 0.0 for name in FEATURES])
_MOST = np.array([0.0 if name in _NEVER_POSITIVE else _AT_MOST.get(name, np.inf) for name in FEATURES])
_STEPS, _RATE, _SHRINK = 1500, 0.03, 0.004

Numbers = NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class Case:
    """One question: the features of its candidates, which are evidence, and how many evidence turns there are."""

    features: Numbers
    is_evidence: NDArray[np.bool_]
    wanted: int
    kind: str


def fit_and_write() -> None:
    """Fit, report and write."""
    embedder = load_local_embedder(Path(tempfile.gettempdir()) / "memoras-benchmark")
    if embedder is None:
        raise SystemExit("The embedder is not installed: both sets of weights need it to be fitted.")
    fitted_on = all_topics() - HELD_OUT
    found: dict[str, object] = {
        "provenance": (
            "Fitted by benchmarks/fit_ranking.py on invented conversations in English, Spanish and Portuguese "
            f"(seeds {_FITTED.start}-{_FITTED.stop - 1}, topics {', '.join(sorted(fitted_on))}). "
            f"Set by hand: {', '.join(_BY_HAND)}. Kept above a floor: {', '.join(_AT_LEAST)}."
        )
    }
    for name, with_meaning in (("with_meaning", True), ("words_only", False)):
        cases = list(_cases(_FITTED, fitted_on, embedder if with_meaning else None))
        unanswerable = list(_cases(_FITTED, fitted_on, embedder if with_meaning else None, is_answered=False))
        order = _fit_order(cases, with_meaning=with_meaning)
        trust, bias, fall = _fit_trust(cases, unanswerable, order, with_meaning=with_meaning)
        tested = list(_cases(_TESTED, HELD_OUT, embedder if with_meaning else None))
        print(f"{name}: fitted R@10 {_recall(cases, order, 10):.3f}", end=", ")
        print(f"unseen topics R@5 {_recall(tested, order, 5):.3f} R@10 {_recall(tested, order, 10):.3f}")
        found[name] = {"order": _named(order), "trust": _named(trust), "bias": round(bias, 3), "fall": round(fall, 3)}
    path = Path("knowledge/ranking.json")
    path.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


def shelf_of(dialogue: Dialogue, embedder: Embedder | None, *, without: frozenset[int] = frozenset()) -> Shelf:
    """Return a conversation as recall keeps it in memory; memory ids are the turns' numbers and one."""
    shelf = Shelf("persona", embedder.dimensions if embedder else 384)
    memories = [
        IndexedMemory(
            id=turn.number + 1,
            persona_id="persona",
            kind="said" if turn.is_own else "heard",
            text=turn.text,
            context=turn.context,
            language=dialogue.language,
            audience="owner",
            speaker=turn.speaker,
            speaker_id=None if turn.is_own else "other",
            subject="",
            is_own=turn.is_own,
            session=str(turn.session),
            place=turn.place,
            happened_at=turn.at,
            importance=0.3,
            mentions=[],
            with_person="other",
        )
        for turn in dialogue.turns
        if turn.number not in without
    ]
    shelf.add(memories, line=0)
    if embedder is not None:
        for memory, vector in zip(memories, embedder.embed([m.embedded_text for m in memories]), strict=True):
            shelf.put_vector(memory.id, memory.digest, *quantise(vector))
    return shelf


def ask(shelf: Shelf, dialogue: Dialogue, text: str, embedder: Embedder | None) -> list[tuple[int, float]]:
    """Return the turns that recall finds for a question, best first, with their scores."""
    ranked = _rank(shelf, dialogue, text, embedder)
    turns = (shelf["memory"][ranked.rows] - 1).tolist()
    return list(zip(turns, ranked.scores.tolist(), strict=True))


def _rank(shelf: Shelf, dialogue: Dialogue, text: str, embedder: Embedder | None) -> Ranked:
    question = understand(text, names=(dialogue.persona, dialogue.other), spoken=shelf.languages, now=NOW)
    seen = shelf.seen_by(owner_viewer("persona"))
    return rank(
        shelf,
        question,
        embedder.embed([question.text])[0] if embedder else None,
        seen=seen,
        eligible=seen,
        person=-1,
        search=lambda terms: None,
        looked_through=1_000_000,
    )


def _case(shelf: Shelf, dialogue: Dialogue, asked: Asked, embedder: Embedder | None) -> Case:
    ranked = _rank(shelf, dialogue, asked.text, embedder)
    is_evidence = np.isin(shelf["memory"][ranked.rows] - 1, list(asked.evidence))
    return Case(ranked.features, is_evidence, len(asked.evidence), asked.kind)


def _cases(
    seeds: Iterable[int], topics: frozenset[str], embedder: Embedder | None, *, is_answered: bool = True
) -> Iterable[Case]:
    for language in _LANGUAGES:
        for seed in seeds:
            dialogue = make_dialogue(language, seed, turns=_LENGTHS[seed % len(_LENGTHS)], topics=topics)
            questions = dialogue.questions
            if not is_answered:
                # The same questions after what answers them was taken out: the best hit must not look good.
                if seed % 4:
                    continue
                left_out = frozenset(turn for asked in questions for turn in asked.evidence)
                shelf = shelf_of(dialogue, embedder, without=left_out)
            else:
                shelf = shelf_of(dialogue, embedder)
            for asked in questions:
                yield _case(shelf, dialogue, asked, embedder)


def _fit_order(cases: Sequence[Case], *, with_meaning: bool) -> Numbers:
    """Return the weights under which the evidence gets most of the softmax over each question's candidates."""
    useful = [case for case in cases if case.is_evidence.any()]
    features = np.concatenate([case.features for case in useful])
    is_evidence = np.concatenate([case.is_evidence for case in useful])
    sizes = np.array([len(case.features) for case in useful])
    starts = np.cumsum(sizes) - sizes

    def slope(weights: Numbers) -> Numbers:
        scores = features @ weights
        scores -= np.repeat(np.maximum.reduceat(scores, starts), sizes)
        share = np.exp(scores)
        share /= np.repeat(np.add.reduceat(share, starts), sizes)
        of_evidence = share * is_evidence
        target = of_evidence / np.repeat(np.add.reduceat(of_evidence, starts) + 1e-12, sizes)
        return np.asarray((share - target) @ features / len(useful))

    fixed = _fixed(_BY_HAND, with_meaning=with_meaning)
    floors = np.array([_AT_LEAST.get(name, low) for name, low in zip(FEATURES, _LEAST, strict=True)])
    start = np.array([_BY_HAND.get(name, 0.0) for name in FEATURES])
    return _descend(slope, start, least=floors, most=_MOST, fixed=fixed, shrink=_SHRINK)


def _fit_trust(
    cases: Sequence[Case], unanswerable: Sequence[Case], order: Numbers, *, with_meaning: bool
) -> tuple[Numbers, float, float]:
    """Return weights and a constant for how likely the best hit answers, and how fast that falls behind it."""
    best, is_right, gaps, is_right_behind = [], [], [], []
    for case in (*cases, *unanswerable):
        if len(case.features):
            values = case.features @ order
            ranking = np.argsort(-values, kind="stable")[:5]
            best.append(case.features[ranking[0]])
            is_right.append(case.is_evidence[ranking[0]])
            if case.is_evidence[ranking].any():
                gaps.append(values[ranking] - values[ranking[0]])
                is_right_behind.append(case.is_evidence[ranking])
    features, right = np.array(best, np.float64), np.array(is_right, np.float64)
    fixed = _fixed({name for name in FEATURES if name not in _TRUSTED}, with_meaning=with_meaning)
    # The constant is fitted as one more weight, by a feature that is 1 for all and may say anything.
    features = np.column_stack([features, np.ones(len(right))])
    fitted = _descend(
        lambda given: np.asarray((_chance(features @ given) - right) @ features / len(right)),
        np.zeros(len(FEATURES) + 1),
        least=np.append(_LEAST, -np.inf),
        most=np.append(_MOST, np.inf),
        fixed=np.append(fixed, False),
        shrink=_SHRINK / 10,
    )
    weights, bias = fitted[:-1], float(fitted[-1])
    falls = np.concatenate(gaps), np.concatenate(is_right_behind).astype(np.float64)
    fall = min(
        (at / 10 for at in range(2, 21)),
        key=lambda fall: float(np.mean((_chance(1.0 + fall * falls[0]) - falls[1]) ** 2)),
    )
    return weights, bias, fall


def _descend(
    slope: Callable[[Numbers], Numbers],
    start: Numbers,
    *,
    least: Numbers,
    most: Numbers,
    fixed: NDArray[np.bool_],
    shrink: float,
) -> Numbers:
    """Follow `slope` down from `start` within the bounds (Adam)."""
    weights, speed, change = start.copy(), np.zeros_like(start), np.zeros_like(start)
    for step in range(1, _STEPS + 1):
        steep = slope(weights) + shrink * weights
        change = 0.9 * change + 0.1 * steep
        speed = 0.999 * speed + 0.001 * steep**2
        weights -= _RATE * (change / (1 - 0.9**step)) / (np.sqrt(speed / (1 - 0.999**step)) + 1e-8)
        weights = np.where(fixed, start, np.clip(weights, least, most))
    return weights


def _fixed(names: Iterable[str], *, with_meaning: bool) -> NDArray[np.bool_]:
    held = set(names)
    return np.array([name in held or (name in _OF_MEANING and not with_meaning) for name in FEATURES])


def _chance(value: Numbers) -> Numbers:
    return np.asarray(1 / (1 + np.exp(-value)))


def _named(weights: Numbers) -> dict[str, float]:
    return {name: round(float(value), 3) for name, value in zip(FEATURES, weights, strict=True) if abs(value) >= 5e-4}


def _recall(cases: Sequence[Case], weights: Numbers, first: int) -> float:
    shares = []
    for case in cases:
        order = np.argsort(-(case.features @ weights), kind="stable")[:first]
        shares.append(case.is_evidence[order].sum() / case.wanted)
    return float(np.mean(shares))


if __name__ == "__main__":
    fit_and_write()
