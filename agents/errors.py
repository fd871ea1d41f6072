"""What can go wrong while an answer is made.

AgentError
├── ModelUnavailable   the chat model did not answer in time or at all; the offline answerer takes over
├── ModelRefused       the model declined to answer
└── SpeechFailed       no voice could be made; the text goes out instead
"""

from __future__ import annotations


class AgentError(Exception):
    """Root of everything the agents raise on purpose."""

    is_retryable: bool = False
    retry_after_s: float | None = None


class ModelUnavailable(AgentError):
    """The chat model could not be reached, timed out, was limited, or failed."""

    is_retryable = True


class ModelRefused(AgentError):
    """The chat model declined."""


class SpeechFailed(AgentError):
    """No speech could be made of the answer."""
