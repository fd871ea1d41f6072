"""What can go wrong with the local Telegram: lost answers, server errors, slowness, rate limits."""

from __future__ import annotations

import math
import random
import time
from dataclasses import dataclass, field
from typing import Literal

FaultKind = Literal[
    "lost",  # carries it out, then closes the connection without an answer
    "dropped",  # closes the connection without carrying it out
    "did_500",  # carries it out and answers 500
    "did_502",
    "did_garbled",  # carries it out and answers something that is no JSON
    "500",  # answers 500 and does nothing
    "502",
    "503",
    "429",  # asks to wait `seconds`
    "slow",  # answers after `seconds`
    "hang",  # never answers; gives up after `seconds` without doing anything
    "did_hang",  # carries it out and never answers
]

CARRIED_OUT: frozenset[str] = frozenset({"lost", "did_500", "did_502", "did_garbled", "did_hang"})


@dataclass(slots=True)
class Fault:
    """One planned fault: it befalls the next `times` calls of a method whose name begins with `method`."""

    kind: FaultKind
    method: str = ""
    times: int = 1
    seconds: float = 1.0
    chat_id: int | None = None

    def befalls(self, method: str, chat_id: int | None) -> bool:
        return (
            self.times > 0
            and method.lower().startswith(self.method.lower())
            and (self.chat_id is None or self.chat_id == chat_id)
        )


@dataclass(slots=True)
class Faults:
    """Everything that goes wrong: planned faults first, then by chance, from a seed so that a run can be repeated.

    `chances` befall sends alone; `duplicate` and `reorder` are the chances of an update to be delivered twice or late.
    """

    planned: list[Fault] = field(default_factory=list)
    chances: dict[FaultKind, float] = field(default_factory=dict)
    seconds: float = 1.0
    duplicate: float = 0.0
    reorder: float = 0.0
    random: random.Random = field(default_factory=lambda: random.Random(7))

    def of(self, method: str, chat_id: int | None) -> Fault | None:
        """Return what befalls this call."""
        for fault in self.planned:
            if fault.befalls(method, chat_id):
                fault.times -= 1
                if not fault.times:
                    self.planned.remove(fault)
                return fault
        if self.chances and method.startswith("send") and method not in ("sendChatAction", "sendMessageDraft"):
            drawn = self.random.random()
            for kind, chance in self.chances.items():
                if drawn < chance:
                    return Fault(kind, seconds=self.seconds)
                drawn -= chance
        return None


@dataclass(slots=True)
class Rates:
    """Telegram's limits on sending. `burst` messages may go to one chat at once."""

    per_chat_s: float = 1.0
    per_group_minute: float = 20.0
    per_bot_s: float = 30.0
    burst: int = 3
    _full_at: dict[tuple[int, int], float] = field(default_factory=dict)

    def wait_s(self, bot_id: int, chat_id: int) -> int:
        """Return 0 and count one message, or return the seconds to wait."""
        now = time.monotonic()
        per_chat = self.per_group_minute / 60 if chat_id < 0 else self.per_chat_s
        buckets = ((bot_id, 0, self.per_bot_s, self.per_bot_s), (bot_id, chat_id, per_chat, self.burst))
        waits = [self._full_at.get((bot, chat), now) - now - (burst - 1) / rate for bot, chat, rate, burst in buckets]
        if max(waits) > 0:
            return math.ceil(max(waits))
        for bot, chat, rate, _ in buckets:
            self._full_at[bot, chat] = max(self._full_at.get((bot, chat), now), now) + 1 / rate
        return 0
