"""How a failure is logged: its kind and where it happened, never its message, which may quote a person."""

from __future__ import annotations

import logging
import traceback


def describe(error: BaseException) -> str:
    """Return the kind of an error and the place of each of its causes, without any message."""
    described: list[str] = []
    cause: BaseException | None = error
    while cause is not None and len(described) < 4:
        frames = traceback.extract_tb(cause.__traceback__)
        where = " < ".join(f"{frame.name}:{frame.lineno}" for frame in reversed(frames[-4:]))
        described.append(f"{type(cause).__module__}.{type(cause).__qualname__} at {where or 'unknown'}")
        cause = cause.__cause__ or cause.__context__
    return "; because of ".join(described)


def log_failure(log: logging.Logger, what: str, error: BaseException, **ids: object) -> None:
    """Log that something failed, with ids and the failure's place."""
    log.error("%s: %s", what, describe(error), extra={"ids": ids})
