"""Follows a conversation: which session a message belongs to, its place there, and what it answers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo

_NIGHT = timedelta(hours=4)
_MOST_CONTEXT = 400


class Turns:
    """One conversation, told its messages in order. A session is a day, which ends at four in the morning.

    Days make the same sessions of every export of a conversation, wherever it begins.
    """

    def __init__(self, conversation: str, zone: tzinfo = UTC) -> None:
        self._conversation = conversation
        self._zone = zone
        self._until: datetime | None = None
        self._since: datetime | None = None
        self._session = ""
        self._place = 0
        self._author = ""
        self._said = ""
        self._answered = ""

    def place(self, author: str, text: str, at: datetime | None) -> tuple[str, int, str]:
        """Return the session, the place in it and the context of the next message."""
        if at is not None and (self._until is None or self._since is None or not self._since <= at < self._until):
            self._begin(at)
        self._place += 1
        if text:
            if author != self._author:
                self._answered = self._said
                self._said = ""
                self._author = author
            context = self._answered or self._said
            self._said = f"{self._said}\n{text}"[-_MOST_CONTEXT:] if self._said else text[-_MOST_CONTEXT:]
        else:
            context = self._said
        return self._session, self._place, context

    def _begin(self, at: datetime) -> None:
        local = at.astimezone(self._zone) - _NIGHT
        start = local.replace(hour=0, minute=0, second=0, microsecond=0) + _NIGHT
        self._since = start.astimezone(UTC)
        self._until = (start + timedelta(days=1)).astimezone(UTC)
        self._session = f"{self._conversation}/{local:%Y-%m-%d}"
        self._place = 0
        self._author = self._said = self._answered = ""
