"""What can go wrong on a channel.

ChannelError
├── BadSignature          the caller could not prove who it is; nothing was written
├── PayloadNotUnderstood  a shape this adapter does not know; kept raw, answered 200
├── NotAccepted           the event could not be stored; the platform must send it again (503)
├── RateLimited           wait `retry_after_s`, then send the same again
├── PlatformUnavailable   the platform failed before it did anything; safe to send again
├── OutcomeUnknown        a lost response: the message may or may not have arrived
├── Undeliverable         this message will never arrive; `reason` says why
└── NotConfigured         a credential is missing or refused; a human must act
"""

from __future__ import annotations

from typing import Literal

Reason = Literal[
    "blocked",
    "window_closed",
    "chat_gone",
    "forbidden",
    "too_large",
    "rejected",
    "migrated",
    "voice_forbidden",
]


class ChannelError(Exception):
    """Root of everything an adapter raises; `bot/delivery.py` decides on the attributes, never on text."""

    is_retryable: bool = False
    retry_after_s: float | None = None


class BadSignature(ChannelError):
    """The request's signature, secret or timestamp is missing or wrong."""


class PayloadNotUnderstood(ChannelError):
    """The payload is of a kind this adapter does not know."""


class NotAccepted(ChannelError):
    """The event was not stored, so the platform must deliver it again."""

    is_retryable = True


class RateLimited(ChannelError):
    """The platform asked for a pause of `retry_after_s` seconds; nothing was sent."""

    is_retryable = True

    def __init__(self, message: str, *, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class PlatformUnavailable(ChannelError):
    """The platform could not be reached or failed before doing anything; nothing was sent."""

    is_retryable = True


class OutcomeUnknown(ChannelError):
    """The request left but its answer never came: the message may exist on the platform."""


class Undeliverable(ChannelError):
    """The platform will never deliver this message.

    `reason` names why; with `migrated`, `new_chat_id` is the chat to use from now on.
    """

    def __init__(self, message: str, *, reason: Reason, new_chat_id: str | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.new_chat_id = new_chat_id


class NotConfigured(ChannelError):
    """A credential is missing or the platform refused it; the message names the page to set it on."""
