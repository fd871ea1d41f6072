"""Columns of numbers that grow at the end, for what is searched in memory."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray


class Growing:
    """An array that grows at the end. `values` is a view of what is filled, valid until the next growth."""

    def __init__(self, dtype: DTypeLike, width: int | None = None, room: int = 64) -> None:
        self._room: NDArray[Any] = np.zeros(room if width is None else (room, width), dtype)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def values(self) -> NDArray[Any]:
        return self._room[: self._count]

    def extend(self, count: int) -> NDArray[Any]:
        """Add `count` zeros and return the view of them, to be filled."""
        wanted = self._count + count
        if wanted > len(self._room):
            more = np.zeros((max(wanted, len(self._room) * 3 // 2), *self._room.shape[1:]), self._room.dtype)
            more[: self._count] = self.values
            self._room = more
        self._count = wanted
        return self._room[wanted - count : wanted]

    @property
    def size_bytes(self) -> int:
        return self._room.nbytes
