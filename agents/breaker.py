"""A circuit breaker: an endpoint that keeps failing is left alone for a while, so that nobody waits for it in vain."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from agents.errors import ModelUnavailable
from knowledge.clock import Clock

_FAILURES = 4
_FIRST_REST_S = 10.0
_LONGEST_REST_S = 120.0


class Breaker:
    """Counts failures in a row. After a few it lets nobody through until its rest is over, then one to try."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failures = 0
        self._rest_s = _FIRST_REST_S
        self._rests_until: float | None = None
        self._is_probing = False

    @property
    def is_resting(self) -> bool:
        """Whether the endpoint is left alone at this moment."""
        return self._rests_until is not None and self._clock.monotonic() < self._rests_until

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Let one call through.

        The caller says how it ended with `succeeded` or `failed`; a call that says neither counts for nothing.

        Raises:
            ModelUnavailable: of kind "resting", at once, while the endpoint is left alone.
        """
        is_probe = self._enter()
        try:
            yield
        finally:
            if is_probe:
                self._is_probing = False

    def succeeded(self) -> None:
        """The endpoint answered."""
        self._failures = 0
        self._rest_s = _FIRST_REST_S
        self._rests_until = None

    def failed(self) -> None:
        """The endpoint did not answer, or not as one should."""
        self._failures += 1
        if self._failures < _FAILURES:
            return
        now = self._clock.monotonic()
        if self._rests_until is not None:
            if now < self._rests_until:
                return  # one of many calls that were under way together
            self._rest_s = min(2 * self._rest_s, _LONGEST_REST_S)
        self._rests_until = now + self._rest_s

    def _enter(self) -> bool:
        if self._rests_until is None:
            return False
        left_s = self._rests_until - self._clock.monotonic()
        if left_s > 0 or self._is_probing:
            raise ModelUnavailable(
                f"The chat model failed {self._failures} times in a row and is left alone for a while.",
                kind="resting",
                retry_after_s=max(0.0, left_s),
            )
        self._is_probing = True
        return True
