"""The fields of a Telegram update, each checked as it is touched."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

MALFORMED = (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError)
"""What reading a field of an unknown shape may raise."""

_LATEST = 1 << 40
_WIDEST = 1 << 53


def inner(found: Any, key: str) -> dict[str, Any]:
    value = found[key]
    if not isinstance(value, dict):
        raise TypeError(key)
    return value


def listed(found: dict[str, Any], key: str) -> list[Any]:
    value = found.get(key, [])
    if not isinstance(value, list):
        raise TypeError(key)
    return value


def integer(found: Any, key: str) -> int:
    value = found[key]
    # True is an int to Python, and an id above 52 bits is none of Telegram's.
    if type(value) is not int or not -_WIDEST < value < _WIDEST:
        raise TypeError(key)
    return value


def optional_integer(found: dict[str, Any], key: str) -> int | None:
    return integer(found, key) if key in found else None


def string(found: Any, key: str, *, required: bool = False) -> str:
    value = found[key] if required else found.get(key, "")
    if not isinstance(value, str):
        raise TypeError(key)
    return value if value.isascii() and "\0" not in value else clean(value)


def clean(text: str) -> str:
    """JSON may hold half a surrogate pair or a NUL; no database takes either."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").replace("\0", "")


def moment(found: dict[str, Any], key: str) -> datetime:
    seconds = integer(found, key)
    if not 0 <= seconds < _LATEST:
        raise ValueError(key)
    return datetime.fromtimestamp(seconds, UTC)


def point(found: dict[str, Any]) -> tuple[float, float]:
    latitude, longitude = float(found["latitude"]), float(found["longitude"])
    if not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
        raise ValueError("a place that is not on earth")
    return latitude, longitude
