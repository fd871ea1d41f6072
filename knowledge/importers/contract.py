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
    `is_words` is False for what nobody said: a notice of the platform, a call, a deleted message.
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
    is_words: bool = True
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
class Tally:
    """A count for the report, e.g. how many texts of a file were repaired. `member` may be empty."""

    member: str
    name: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What has to be answered before an import can be read.

    `option` is the field of `ReadOptions` that answers it; `choices` are names with how often each was found. `text`
    is for the person and names no one.
    """

    option: str
    text: str
    choices: tuple[tuple[str, int], ...] = ()
    member: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadOptions:
    """What the person said about the import: the owner's name(s) in it, its time zone, its date order if asked.

    `persona_names` is what the persona is called, a hint that decides only where nothing contradicts it.
    """

    owner_names: tuple[str, ...] = ()
    timezone: str = "UTC"
    day_first: bool | None = None
    persona_names: tuple[str, ...] = ()


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

    def questions(self, tree: Tree, options: ReadOptions) -> list[Question]:
        """Return what must be answered before `read` can be called; empty when nothing is in doubt."""

    def read(self, tree: Tree, options: ReadOptions) -> Iterator[Record | Trouble | Tally]:
        """Yield the records of the members it claims, the troubles it met and counts for the report."""


OnProgress = Callable[[str, int, int], None]
"""member, bytes read so far, bytes in all"""
