"""What the Bot API says no with, and what that means to us.

429 with `retry_after`       RateLimited
400 with `migrate_to_chat_id`  Undeliverable(migrated)
401, 404                     NotConfigured: Telegram answers 404 to a token it never gave out
403, 400, 413                Undeliverable, for the reason its description gives
500, 502, 504                OutcomeUnknown: a gateway gave up on a request that may have been carried out
503, and "restart"           PlatformUnavailable: nothing was begun

A description is Telegram's and may quote the message, so none of it reaches our errors but the upper-case code.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from channels.errors import (
    ChannelError,
    NotConfigured,
    OutcomeUnknown,
    PlatformUnavailable,
    RateLimited,
    Reason,
    Undeliverable,
)

_REASONS: tuple[tuple[str, Reason], ...] = (
    ("voice_messages_forbidden", "voice_forbidden"),
    ("blocked by the user", "blocked"),
    ("can't initiate conversation", "blocked"),
    ("user is deactivated", "chat_gone"),
    ("was kicked", "chat_gone"),
    ("is not a member", "chat_gone"),
    ("chat not found", "chat_gone"),
    ("user not found", "chat_gone"),
    ("peer_id_invalid", "chat_gone"),
    ("group chat was deactivated", "chat_gone"),
    ("message thread not found", "chat_gone"),
    ("topic_deleted", "chat_gone"),
    ("topic_closed", "forbidden"),
    ("chat_write_forbidden", "forbidden"),
    ("chat_send_", "forbidden"),
    ("not enough rights", "forbidden"),
    ("have no rights", "forbidden"),
    ("need administrator rights", "forbidden"),
    ("file is too big", "too_large"),
    ("entity too large", "too_large"),
)

_STALE = ("file identifier", "remote file", "file_reference", "file of type", "type of file", "file_id")
_MARKUP = ("parse entities", "entity_", "entities_", "entities are too long")
_CODE = re.compile(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b")


@dataclass(frozen=True, slots=True)
class Refusal:
    """One refusal as the Bot API gave it. `description` stays here: it is looked at and never passed on."""

    status: int
    description: str = ""
    retry_after_s: float | None = None
    new_chat_id: str | None = None

    @property
    def is_about_markup(self) -> bool:
        """Whether the same words without their looks would be taken."""
        return self.status == 400 and self._says(_MARKUP)

    @property
    def is_about_the_file_id(self) -> bool:
        """Whether the same media would be taken when its bytes are sent instead of its id."""
        return self.status == 400 and self._says(_STALE)

    @property
    def is_about_the_picture(self) -> bool:
        """Whether the same bytes would be taken as a file."""
        return self.status == 400 and self._says(("photo_", "image_process"))

    @property
    def is_unknown_method(self) -> bool:
        """Whether this server has never heard of what was asked."""
        return self.status in (404, 501) or (self.status == 400 and self._says(("method not found", "method is not")))

    @property
    def is_webhook_conflict(self) -> bool:
        """Whether updates cannot be asked for because they are delivered."""
        return self.status == 409 and self._says(("webhook",))

    def error(self) -> ChannelError:
        """Return what the refusal means to whoever sends."""
        if self.status == 429:
            pause_s = self.retry_after_s or 1.0
            return RateLimited(f"Telegram asks for a pause of {pause_s:g} seconds.", retry_after_s=pause_s)
        if self.new_chat_id is not None:
            message = "The group became a supergroup with another id."
            return Undeliverable(message, reason="migrated", new_chat_id=self.new_chat_id)
        if self.status in (401, 404):
            return NotConfigured(
                "Telegram does not know this bot token: copy it again from BotFather and set it under Accounts, "
                "see docs/channels/telegram.md."
            )
        if self.status == 503 or (self.status >= 500 and self._says(("restart",))):
            return PlatformUnavailable("Telegram is restarting.")
        if self.status >= 500:
            return OutcomeUnknown(f"Telegram failed ({self.status}) on a message it may have sent.")
        if self.status == 409:
            return PlatformUnavailable("Another program is receiving this bot's messages.")
        return Undeliverable(f"Telegram refused the message ({self._code()}).", reason=self._reason())

    def _reason(self) -> Reason:
        if self.status == 413:
            return "too_large"
        lowered = self.description.lower()
        for words, reason in _REASONS:
            if words in lowered:
                return reason
        return "forbidden" if self.status == 403 else "rejected"

    def _code(self) -> str:
        found = _CODE.search(self.description)
        return f"{self.status} {found[0]}" if found else str(self.status)

    def _says(self, words: tuple[str, ...]) -> bool:
        lowered = self.description.lower()
        return any(one in lowered for one in words)


class Refused(Exception):
    """The Bot API said no; `refusal` holds how."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(f"Telegram answered {refusal.status}")
        self.refusal = refusal


def refusal(status: int, body: Any, retry_after: str | None = None) -> Refusal:
    """Return the refusal in an answer's JSON; of one that has none, what its status says."""
    found = body if isinstance(body, dict) else {}
    parameters = found.get("parameters")
    parameters = parameters if isinstance(parameters, dict) else {}
    pause = parameters.get("retry_after", retry_after)
    description = found.get("description")
    moved = parameters.get("migrate_to_chat_id")
    return Refusal(
        status=status,
        description=description if isinstance(description, str) else "",
        retry_after_s=_seconds(pause),
        new_chat_id=str(moved) if isinstance(moved, int) else None,
    )


def _seconds(pause: Any) -> float | None:
    try:
        return max(0.0, float(pause))
    except (TypeError, ValueError, OverflowError):
        return None
