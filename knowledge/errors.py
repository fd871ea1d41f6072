"""What can go wrong with what is known.

KnowledgeError
├── NotFound           no such row, or none that this viewer may see
├── Forbidden          the row exists and the caller may not change it
├── Conflict           a name, slug or key is taken
├── StoreUnavailable   the database could not read or write; nothing was changed
├── StoreLocked        another process uses this data folder
├── SecretUnreadable   a stored secret cannot be opened with the key that is there
├── SchemaTooNew       a newer version has used this database
└── ArchiveInvalid     an import cannot be read; `next_step` says what the person can do
"""

from __future__ import annotations


class KnowledgeError(Exception):
    """Root of everything the ground floor raises on purpose."""

    is_retryable: bool = False


class NotFound(KnowledgeError):
    """There is no such row, or none that the viewer may see."""


class Forbidden(KnowledgeError):
    """The caller may see the row but not do this with it."""


class Conflict(KnowledgeError):
    """A name, slug or key that must be unique is taken."""


class StoreUnavailable(KnowledgeError):
    """The database could not read or write; nothing was changed."""

    is_retryable = True


class StoreLocked(KnowledgeError):
    """Another process uses this data folder; the message names it."""


class ArchiveInvalid(KnowledgeError):
    """An import cannot be read. `next_step` is a sentence for the person who chose the file."""

    def __init__(self, message: str, *, next_step: str = "") -> None:
        super().__init__(message)
        self.next_step = next_step


class SecretUnreadable(KnowledgeError):
    """A stored secret cannot be opened: its key is missing or another one, or the row was changed."""


class SchemaTooNew(KnowledgeError):
    """A newer version of Memoras has used this database; this one does not know its form."""
