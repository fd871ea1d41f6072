"""What can go wrong while an answer is made.

AgentError
├── ModelError
│   ├── ModelUnavailable   the chat model did not answer in time or at all; the offline answerer takes over
│   └── ModelRefused       the model declined to answer
└── SpeechFailed          no voice could be made; the text goes out instead
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agents.turn import Step


class AgentError(Exception):
    """Root of everything the agents raise on purpose."""

    is_retryable: bool = False
    retry_after_s: float | None = None


class ModelError(AgentError):
    """The chat model gave no answer. `kind` is one word for why, `steps` are what was done until then."""

    def __init__(
        self, message: str = "", *, kind: str = "", retry_after_s: float | None = None, is_retryable: bool | None = None
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.retry_after_s = retry_after_s
        self.steps: tuple[Step, ...] = ()
        if is_retryable is not None:
            self.is_retryable = is_retryable


class ModelUnavailable(ModelError):
    """The chat model could not be reached, timed out, was limited, or failed.

    `kind`: connection, dropped, timeout, server, rate_limited, quota, unauthorized, forbidden, not_found, rejected,
    no_tools, context, garbled, empty, or resting (it failed too often just now and was not asked).
    """

    is_retryable = True


class ModelRefused(ModelError):
    """The chat model declined. `kind`: refusal or content_filter."""


class SpeechFailed(AgentError):
    """No speech could be made of the answer."""
