"""Memories by meaning: the signs of their vectors choose candidates, their int8 values put them in order."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from knowledge.arrays import Growing

Vectors = NDArray[np.float32]
Rows = NDArray[np.int64]
Mask = NDArray[np.bool_]


def quantise(vector: Vectors) -> tuple[bytes, float]:
    """Return a vector as int8 values and the scale that brings them back."""
    scale = float(np.abs(vector).max()) / 127 or 1.0
    return np.rint(vector / scale).astype(np.int8).tobytes(), scale


class Meaning:
    """The vectors of one persona's memories, by row. A row without one is simply not found here."""

    def __init__(self, dimensions: int) -> None:
        self.dimensions = dimensions
        self._signs = [Growing(np.uint64) for _ in range(-(-dimensions // 64))]
        self._values = Growing(np.int8, dimensions)
        self._scales = Growing(np.float32)
        self._known = Growing(np.bool_)

    def __len__(self) -> int:
        return len(self._known)

    @property
    def known(self) -> Mask:
        """Which rows have a vector."""
        return self._known.values

    @property
    def size_bytes(self) -> int:
        """How much memory this takes."""
        return sum(each.size_bytes for each in (*self._signs, self._values, self._scales, self._known))

    def extend(self, count: int) -> None:
        """Add rows without vectors."""
        for each in (*self._signs, self._values, self._scales, self._known):
            each.extend(count)

    def put(self, row: int, values: bytes, scale: float) -> None:
        """Give a row its vector."""
        found = np.frombuffer(values, np.int8)
        self._values.values[row] = found
        self._scales.values[row] = scale
        self._known.values[row] = True
        for column, word in zip(self._signs, _signs(found), strict=True):
            column.values[row] = word

    def nearest(self, vector: Vectors, eligible: Mask, *, limit: int, looked_at: int) -> Rows:
        """Return the eligible rows nearest to `vector`, best first: `looked_at` by signs, `limit` of them by values."""
        allowed = eligible & self.known
        rows = np.flatnonzero(allowed)
        if len(rows) > looked_at:
            # Sums of single bytes would wrap at 256 differing bits and find nothing.
            apart = np.zeros(len(self), np.uint16)
            for column, word in zip(self._signs, _signs(vector), strict=True):
                apart += np.bitwise_count(column.values ^ word)
            apart[~allowed] = np.iinfo(np.uint16).max
            # The cut by value and then by row gives the same rows every time, whatever stands at the border.
            border = np.partition(apart, looked_at - 1)[looked_at - 1]
            surely = np.flatnonzero(apart < border)
            at_border = np.flatnonzero(apart == border)[: looked_at - len(surely)]
            rows = np.concatenate([surely, at_border])
        near = self.cosines(vector, rows)
        return rows[np.argsort(-near, kind="stable")[:limit]]

    def cosines(self, vector: Vectors, rows: Rows) -> Vectors:
        """Return how near each of the rows is to `vector`; 0 for those without a vector."""
        # Not `@`: these are too small for the threads of a BLAS, which some builds start and let spin.
        found = np.einsum("rd,d->r", self._values.values[rows].astype(np.float32), vector)
        return np.asarray(found * self._scales.values[rows], dtype=np.float32)

    def centre(self, rows: Rows, weights: Vectors) -> Vectors:
        """Return the weighted sum of the rows' vectors."""
        scaled = weights * self._scales.values[rows]
        return np.asarray(np.einsum("r,rd->d", scaled, self._values.values[rows].astype(np.float32)))


def _signs(vector: NDArray[np.float32] | NDArray[np.int8]) -> NDArray[np.uint64]:
    bits = np.packbits(vector > 0)
    room = np.zeros(-(-len(bits) // 8) * 8, np.uint8)
    room[: len(bits)] = bits
    return room.view(np.uint64)
