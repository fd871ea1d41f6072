"""The words of one persona's memories, numbered and counted, and those that a misspelt word may have meant."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from knowledge.arrays import Growing

_LOOKED_AT = 12
_SHORTEST_GUESSED = 4
_LEAST_ALIKE = 0.55
_LEAST_ALIKE_PAIRS = 0.3
_BITS = 64


class Vocabulary:
    """Numbers for stems, how many memories hold each, and the similarity of their letters."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._stems: list[str] = []
        self.counts = Growing(np.int32, room=256)
        self._signs = Growing(np.uint64, room=256)
        self._lengths = Growing(np.int16, room=256)

    def __len__(self) -> int:
        return len(self._stems)

    @property
    def size_bytes(self) -> int:
        """About how much memory this takes."""
        arrays = sum(each.size_bytes for each in (self.counts, self._signs, self._lengths))
        return arrays + 160 * len(self._stems)

    def number(self, stem: str) -> int:
        """Return the number of a stem, giving it one when it is new."""
        found = self._numbers.get(stem)
        if found is None:
            found = self._numbers[stem] = len(self._stems)
            self._stems.append(stem)
            self.counts.extend(1)
            self._signs.extend(1)[0] = _sign(stem)
            self._lengths.extend(1)[0] = len(stem)
        return found

    def find(self, stem: str) -> int:
        """Return the number of a stem, -1 when no memory ever held it."""
        return self._numbers.get(stem, -1)

    def stem(self, number: int) -> str:
        """Return the stem that has this number."""
        return self._stems[number]

    def similar(self, stem: str, *, limit: int = 3) -> list[tuple[int, float]]:
        """Return the stems in use whose letters are most like these, with a similarity in 0..1, best first.

        Compared by the pairs of letters in a bit pattern first, then by threes and fours of letters and by
        how many letters differ.
        """
        if len(stem) < _SHORTEST_GUESSED or not self._stems:
            return []
        wanted = np.uint64(_sign(stem))
        signs = self._signs.values
        common = np.bitwise_count(signs & wanted).astype(np.float32)
        alike = 2 * common / (np.bitwise_count(signs) + float(np.bitwise_count(wanted)))
        slack = 2 if len(stem) < 8 else 3
        fits = (self.counts.values > 0) & (np.abs(self._lengths.values - len(stem)) <= slack)
        alike[~fits] = 0
        if len(alike) > _LOOKED_AT:
            border = np.partition(alike, -_LOOKED_AT)[-_LOOKED_AT]
            best = np.flatnonzero(alike >= max(border, _LEAST_ALIKE_PAIRS))[: 2 * _LOOKED_AT]
        else:
            best = np.arange(len(alike))
        judged = [(int(at), similarity(stem, self._stems[at])) for at in best if alike[at] > 0]
        judged = [(at, score) for at, score in judged if score >= _LEAST_ALIKE]
        return sorted(judged, key=lambda pair: (-pair[1], pair[0]))[:limit]


def similarity(first: str, second: str) -> float:
    """Return how alike two words are in 0..1: the better of shared threes and fours of letters, and of few edits."""
    if first == second:
        return 1.0
    grams, others = _grams(first), _grams(second)
    shared = 2 * len(grams & others) / (len(grams) + len(others))
    allowed = 1 if min(len(first), len(second)) < 7 else 2
    if len(set(first) ^ set(second)) > 2 * allowed or abs(len(first) - len(second)) > allowed:
        return shared
    edits = _edits(first, second)
    return max(shared, 1 - 0.2 * edits if edits <= allowed else 0.0)


@lru_cache(maxsize=4096)
def _grams(word: str) -> frozenset[str]:
    padded = f"^{word}$"
    return frozenset(padded[at : at + size] for size in (3, 4) for at in range(len(padded) - size + 1))


def _edits(first: str, second: str) -> int:
    """Return the number of letters to put in, take out, change or swap with the next."""
    before: list[int] = []
    row = list(range(len(second) + 1))
    for i, left in enumerate(first, 1):
        before, last, row = row, before, [i]
        for j, right in enumerate(second, 1):
            cost = before[j - 1] if left == right else 1 + min(before[j - 1], before[j], row[j - 1])
            if i > 1 and j > 1 and left == second[j - 2] and first[i - 2] == right:
                cost = min(cost, last[j - 2] + 1)
            row.append(cost)
    return row[-1]


def _sign(word: str) -> int:
    bits = 0
    for left, right in zip(f"^{word}", f"{word}$", strict=True):
        bits |= 1 << (ord(left) * 31 + ord(right)) % _BITS
    return bits


def weigh_by_rarity(counts: NDArray[np.float32], total: int) -> NDArray[np.float32]:
    """Return how much a word says that stands in `counts` of `total` memories."""
    found = np.log(1 + (total - counts + 0.5) / (counts + 0.5))
    return np.asarray(found, dtype=np.float32)
