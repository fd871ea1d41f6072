"""How fast an account may send: a bucket per chat and one per account, refilled by the clock."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from channels.contract import Chat, Limits
from knowledge.clock import Clock

_CHAT_BURST = 5.0
_MOST_CHATS = 10_000


@dataclass(slots=True)
class _Bucket:
    per_second: float
    capacity: float
    level: float
    filled_at: float
    closed_until: float = 0.0

    def wait_s(self, now: float) -> float:
        """Take one and return how many seconds to wait before using it; a closed bucket waits for its opening."""
        self.level = min(self.capacity, self.level + (now - self.filled_at) * self.per_second)
        self.filled_at = now
        self.level -= 1.0
        pause = max(0.0, self.closed_until - now)
        return max(pause, -self.level / self.per_second if self.level < 0 else 0.0)


class Rates:
    """The buckets of one account, from the limits its platform declares."""

    def __init__(self, limits: Limits, clock: Clock, *, sends_per_second: float = 0.0) -> None:
        """`sends_per_second` above 0 replaces the platform's own figures, e.g. for a server of one's own."""
        self._limits = limits
        self._clock = clock
        self._override = sends_per_second
        self._chats: dict[str, _Bucket] = {}
        per_account = sends_per_second or limits.sends_per_account_s
        self._account = self._bucket(per_account, max(1.0, per_account)) if per_account else None

    async def take(self, chat: Chat) -> None:
        """Wait until one message may go to this chat."""
        waits = [bucket.wait_s(self._clock.monotonic()) for bucket in (self._account, self._chat(chat)) if bucket]
        longest = max(waits, default=0.0)
        if longest > 0:
            await self._clock.sleep(longest)
        else:
            await asyncio.sleep(0)

    def close_chat(self, chat: Chat, seconds: float) -> None:
        """Keep a chat shut for as long as the platform asked."""
        bucket = self._chat(chat) or self._chats.setdefault(chat.id, self._bucket(1.0, 1.0))
        bucket.closed_until = max(bucket.closed_until, self._clock.monotonic() + seconds)

    def _chat(self, chat: Chat) -> _Bucket | None:
        if self._override:
            return self._chats.get(chat.id)
        per_second = self._limits.sends_per_chat_s
        if chat.kind == "group" and self._limits.sends_per_group_minute:
            per_second = self._limits.sends_per_group_minute / 60
        if not per_second:
            return self._chats.get(chat.id)
        if chat.id not in self._chats:
            if len(self._chats) >= _MOST_CHATS:
                self._chats.pop(next(iter(self._chats)))
            self._chats[chat.id] = self._bucket(per_second, _CHAT_BURST)
        return self._chats[chat.id]

    def _bucket(self, per_second: float, capacity: float) -> _Bucket:
        return _Bucket(per_second, capacity, capacity, self._clock.monotonic())
