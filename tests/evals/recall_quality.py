"""How well recall finds the evidence, with numbers: `python -m pytest tests/evals/recall_quality.py -s`.

Not part of the suite: it embeds some thousand turns and takes a minute or two. The conversations and the topics are
none of those that the ranking was fitted on.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, median

import pytest

from benchmarks.dialogues import HELD_OUT, make_dialogue
from benchmarks.fit_ranking import ask, shelf_of
from knowledge.embedder import Embedder, load_local_embedder

_SEEDS = (700, 701, 702)


@pytest.fixture(scope="module")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> Embedder | None:
    return load_local_embedder(Path(tmp_path_factory.mktemp("model")))


@pytest.mark.parametrize(
    ("by", "wanted"),
    [
        ("words", {"detail": 0.95, "slips": 0.75, "when": 0.85, "all": 0.68}),
        ("words and meaning", {"detail": 0.95, "slips": 0.75, "when": 0.9, "you": 0.45, "all": 0.72}),
    ],
)
def test_the_evidence_is_among_the_first_ten(by: str, wanted: dict[str, float], embedder: Embedder | None) -> None:
    found: dict[str, list[float]] = defaultdict(list)
    for language in ("en", "es", "pt"):
        for seed in _SEEDS:
            dialogue = make_dialogue(language, seed, turns=400, topics=HELD_OUT)
            shelf = shelf_of(dialogue, embedder if by != "words" else None)
            for asked in dialogue.questions:
                hits = ask(shelf, dialogue, asked.text, embedder if by != "words" else None)
                share = len(asked.evidence & {turn for turn, _ in hits[:10]}) / len(asked.evidence)
                for group in (asked.kind, language, "all"):
                    found[group].append(share)
    _print(by, found)

    for group, least in wanted.items():
        assert mean(found[group]) >= least, group


def test_what_nobody_told_is_trusted_less_than_what_was_told(embedder: Embedder | None) -> None:
    told, untold = [], []
    for seed in _SEEDS:
        dialogue = make_dialogue("en", seed, turns=400, topics=HELD_OUT)
        evidence = frozenset(turn for asked in dialogue.questions for turn in asked.evidence)
        for shelf, scores in (
            (shelf_of(dialogue, embedder), told),
            (shelf_of(dialogue, embedder, without=evidence), untold),
        ):
            for asked in dialogue.questions:
                if asked.kind == "detail":
                    scores.append(ask(shelf, dialogue, asked.text, embedder)[0][1])
    sys.stdout.write(f"\ntrust in the best hit: told {median(told):.2f}, untold {median(untold):.2f}\n")

    assert median(told) > 0.5 > median(untold)


def _print(by: str, found: dict[str, list[float]]) -> None:
    def line(names: Sequence[str]) -> str:
        return "  ".join(f"{name} {mean(found[name]):.3f}" for name in names)

    sys.stdout.write(f"\nR@10 by {by}: {line(sorted(found))}\n")
