"""What an importer is: it recognises a tree of files and streams records out of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import IO, Any, ClassVar, Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One file of the tree. `path` is its POSIX path inside the tree; sizes in bytes."""

    path: str
    size_bytes: int
    part: str = ""


class Tree(Protocol):
    """The files of an import, whether a folder, a single file or one or more ZIP parts; safe to read."""

    name: str

    def members(self) -> list[Member]:
        """Return every file, in a stable order."""

    def open(self, path: str) -> IO[bytes]:
        """Return a stream over one member, limited in size.

        Raises:
            ArchiveInvalid: when the member breaks a limit while being read.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One row of an export: the fields every platform shares, and the row as it came in `raw`.

    `natural_key` is the same for the same thing in any export, so that importing twice changes nothing.
    `is_owner`: written by the persona; None when the owner is not known yet.
    `context` is what the text replies to, when the export shows it. `session` groups a conversation.
    """

    platform: str
    activity: str
    natural_key: str
    text: str = ""
    author: str = ""
    is_owner: bool | None = None
    occurred_at: datetime | None = None
    conversation: str = ""
    context: str = ""
    session: str = ""
    place: int = 0
    reply_to: str = ""
    media: tuple[str, ...] = ()
    raw: dict[str, Any] = field(default_factory=dict)
    member: str = ""
    position: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Something in one file that could not be read. It is reported; the import goes on."""

    member: str
    message: str
    position: int = 0
    is_fatal_for_member: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadOptions:
    """What the person said about the import: the owner's name(s) in it, its time zone, its date order if asked."""

    owner_names: tuple[str, ...] = ()
    timezone: str = "UTC"
    day_first: bool | None = None


class Importer(Protocol):
    """One kind of export. Streaming: a record leaves before the next is read."""

    name: ClassVar[str]
    title: ClassVar[str]

    def recognises(self, tree: Tree) -> float:
        """Return how sure it is that (part of) the tree is its kind, in 0..1."""

    def claims(self, tree: Tree) -> list[str]:
        """Return the members it will read, so that a mixed folder is shared out."""

    def owner(self, tree: Tree, options: ReadOptions) -> str | None:
        """Return the owner's name as the export writes it, None when it cannot tell."""

    def read(self, tree: Tree, options: ReadOptions) -> Iterator[Record | Trouble]:
        """Yield the records of the members it claims, and the troubles it met."""


OnProgress = Callable[[str, int, int], None]
"""member, bytes read so far, bytes in all"""
