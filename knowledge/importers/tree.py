"""The safe tree: a folder, a single file, one ZIP or several ZIP parts, read as one set of files."""

from __future__ import annotations

import io
import os
import re
import stat
import tempfile
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from knowledge.errors import ArchiveInvalid
from knowledge.importers.contract import Member, Tree, Trouble
from knowledge.importers.zip_archive import MOST_ENTRIES, Entry, ZipArchive, printable, why_name_is_unsafe

JSON_MOST_BYTES = 512 << 20
TEXT_MOST_BYTES = 2 << 30
_NESTED_MOST_BYTES = 2 << 30
_NESTED_MOST_RATIO = 20
_IGNORED_NAMES = frozenset({".ds_store", "thumbs.db", "desktop.ini", "icon\r"})
_IGNORED_FOLDERS = frozenset({"__macosx", ".git", ".svn", "@eadir"})
_PART = re.compile(r"^((?:instagram|facebook)-.+-\d{4}-\d{2}-\d{2})-[A-Za-z0-9]+(?: ?\(\d+\))?$", re.IGNORECASE)
_COPY = re.compile(r" ?\(\d{1,3}\)$")

OnOpen = Callable[[str], None]
OnRead = Callable[[int], None]


@dataclass(slots=True)
class _File:
    member: Member
    path: Path | None = None
    archive: ZipArchive | None = None
    entry: Entry | None = None


class SafeTree:
    """The files of one import. Nothing is unpacked to the disk, no link is followed, every stream is limited.

    `troubles` names what was refused while listing; the rest can be read.
    """

    def __init__(self, path: Path, *, on_open: OnOpen | None = None, on_read: OnRead | None = None) -> None:
        """List the files under `path`.

        Raises:
            ArchiveInvalid: when there is nothing at `path`, or it is one archive and that cannot be read.
        """
        self.name = _stem(path.name) or "import"
        self.troubles: list[Trouble] = []
        self.bytes_read = 0
        self._on_open = on_open
        self._on_read = on_read
        self._files: dict[str, _File] = {}
        self._archives: list[ZipArchive] = []
        self._resolver: _Resolver | None = None
        try:
            if path.is_dir():
                self._add_folder(path.resolve())
            elif path.is_file():
                self._add_single(path)
            else:
                raise ArchiveInvalid(
                    "There is no file or folder at that path.", next_step="Check the path and try again."
                )
        except BaseException:
            self.close()
            raise
        self._members = [self._files[name].member for name in sorted(self._files)]

    def __enter__(self) -> SafeTree:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def members(self) -> list[Member]:
        """Return every file, sorted by path."""
        return self._members

    def open(self, path: str) -> IO[bytes]:
        """Return a stream over one member, limited in size.

        Raises:
            ArchiveInvalid: when there is no such member, or it breaks a limit here or while being read.
        """
        file = self._files.get(path)
        if file is None:
            raise ArchiveInvalid("The import has no such file.")
        if self._on_open:
            self._on_open(path)
        raw = self._open_raw(file)
        return cast(IO[bytes], io.BufferedReader(_Counted(raw, path, self._count), 1 << 16))

    def resolve(self, uri: str, *, near: str = "") -> str | None:
        """Return the member that a path written inside the member `near` means, None when it was not exported."""
        if self._resolver is None:
            self._resolver = _Resolver(self._files)
        return self._resolver.find(uri, near)

    def leave_out(self, path: str) -> None:
        """Act as if there were no such member: reading it failed before."""
        self._files.pop(path, None)
        self._members = [member for member in self._members if member.path != path]

    def close(self) -> None:
        """Close every archive."""
        for archive in self._archives:
            archive.close()

    def _count(self, size: int) -> None:
        self.bytes_read += size
        if self._on_read:
            self._on_read(self.bytes_read)

    def _open_raw(self, file: _File) -> io.RawIOBase:
        if file.archive is not None and file.entry is not None:
            return file.archive.open(file.entry)
        assert file.path is not None
        try:
            fd = os.open(file.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError as error:
            raise ArchiveInvalid(f"{printable(file.member.path)} cannot be opened.") from error
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise ArchiveInvalid(f"{printable(file.member.path)} is not an ordinary file.")
        return io.FileIO(fd, closefd=True)

    def _add_single(self, path: Path) -> None:
        if _is_zip(path):
            self._add_archive(path.open("rb"), path.name, prefix="", depth=0)
        else:
            self._add(Member(path=path.name, size_bytes=path.stat().st_size), path=path)

    def _add_folder(self, root: Path) -> None:
        archives: list[Path] = []
        for folder, names, files in os.walk(root, followlinks=False):
            names[:] = sorted(name for name in names if name.lower() not in _IGNORED_FOLDERS)
            for name in list(names):
                if (Path(folder) / name).is_symlink():
                    names.remove(name)
                    self._refuse((Path(folder) / name).relative_to(root).as_posix(), "it is a link to another folder")
            for name in sorted(files):
                path = Path(folder) / name
                inside = path.relative_to(root).as_posix()
                details = path.lstat()
                if name.lower() in _IGNORED_NAMES:
                    continue
                if stat.S_ISLNK(details.st_mode):
                    self._refuse(inside, "it is a link to another file")
                elif not stat.S_ISREG(details.st_mode):
                    self._refuse(inside, "it is not an ordinary file")
                elif reason := why_name_is_unsafe(inside):
                    self._refuse(inside, reason)
                elif _is_zip(path):
                    archives.append(path)
                else:
                    self._add(Member(path=_text(inside), size_bytes=details.st_size), path=path)
        for path in archives:
            inside = path.relative_to(root).with_suffix("").as_posix()
            parent, _, stem = inside.rpartition("/")
            together = _PART.match(stem)
            prefix = "/".join(piece for piece in (parent, together[1] if together else stem) if piece) + "/"
            try:
                self._add_archive(path.open("rb"), path.name, prefix=prefix, depth=0)
            except (ArchiveInvalid, OSError) as error:
                self.troubles.append(Trouble(member=_text(path.relative_to(root).as_posix()), message=str(error)))

    def _add_archive(self, file: IO[bytes], label: str, *, prefix: str, depth: int) -> None:
        try:
            archive = ZipArchive(file, printable(label))
        except BaseException:
            file.close()
            raise
        self._archives.append(archive)
        for name, reason in archive.refused:
            self._refuse(prefix + name, reason)
        for entry in archive.entries:
            parts = entry.path.lower().split("/")
            if parts[-1] in _IGNORED_NAMES or _IGNORED_FOLDERS.intersection(parts[:-1]):
                continue
            if entry.path.lower().endswith(".zip"):
                self._add_nested(archive, entry, prefix, depth)
                continue
            member = Member(path=prefix + entry.path, size_bytes=entry.size_bytes, part=label)
            self._add(member, archive=archive, entry=entry)

    def _add_nested(self, archive: ZipArchive, entry: Entry, prefix: str, depth: int) -> None:
        name = prefix + entry.path
        if depth >= 1:
            self._refuse(name, "it is an archive inside an archive inside an archive")
            return
        if entry.size_bytes > max(_NESTED_MOST_RATIO * entry.packed_bytes, 1 << 20):
            self._refuse(name, f"it would unpack to more than {_NESTED_MOST_RATIO} times its size")
            return
        if entry.size_bytes > _NESTED_MOST_BYTES:
            self._refuse(name, "it is too large for an archive inside an archive")
            return
        try:
            # A plain temporary file: it has no name, and goes when it is closed.
            copy = cast(IO[bytes], tempfile.TemporaryFile())  # noqa: SIM115
            raw = archive.open(entry)
            while chunk := raw.read(1 << 18):
                copy.write(chunk)
            copy.flush()
            self._add_archive(copy, entry.path.rpartition("/")[2], prefix=_stem(name) + "/", depth=depth + 1)
        except ArchiveInvalid as error:
            self._refuse(name, str(error))

    def _add(
        self, member: Member, *, path: Path | None = None, archive: ZipArchive | None = None, entry: Entry | None = None
    ) -> None:
        if len(self._files) >= MOST_ENTRIES:
            raise ArchiveInvalid(
                f"The import holds more than {MOST_ENTRIES:,} files.", next_step="Import it in smaller pieces."
            )
        known = self._files.get(member.path)
        if known is not None:
            if known.entry is not None and entry is not None and known.entry.crc == entry.crc:
                return  # the same file in two parts of one export
            member = Member(path=f"{_stem(member.part)}/{member.path}", size_bytes=member.size_bytes, part=member.part)
            if member.path in self._files:
                self._refuse(member.path, "another file has the same name")
                return
        self._files[member.path] = _File(member, path, archive, entry)

    def _refuse(self, path: str, reason: str) -> None:
        if len(self.troubles) < 1000:
            self.troubles.append(Trouble(member=printable(path), message=f"Not read: {reason}."))


class TreeView:
    """Some of the files of another tree: what one importer is given of a mixed folder."""

    def __init__(self, tree: SafeTree | TreeView, paths: Iterable[str]) -> None:
        self.name: str = tree.name
        self._tree = tree
        wanted = set(paths)
        self._members = [member for member in tree.members() if member.path in wanted]
        self._paths = {member.path for member in self._members}

    def members(self) -> list[Member]:
        """Return the files of this view, sorted by path."""
        return self._members

    def open(self, path: str) -> IO[bytes]:
        """Return a stream over one member of this view."""
        if path not in self._paths:
            raise ArchiveInvalid("The import has no such file.")
        return self._tree.open(path)


def read_head(tree: Tree, path: str, size_bytes: int = 4096) -> bytes:
    """Return the first bytes of a member; empty when it cannot be read."""
    try:
        with tree.open(path) as stream:
            return stream.read(size_bytes)
    except (ArchiveInvalid, OSError):
        return b""


class _Counted(io.RawIOBase):
    """A raw stream that counts what leaves it and ends at a limit."""

    def __init__(self, raw: io.RawIOBase, path: str, on_bytes: OnRead) -> None:
        self._raw = raw
        self._path = path
        self._on_bytes = on_bytes
        self._left = JSON_MOST_BYTES if path.lower().endswith((".json", ".js")) else TEXT_MOST_BYTES

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        size: int = self._raw.readinto(buffer) or 0
        self._left -= size
        if self._left < 0:
            raise ArchiveInvalid(f"{printable(self._path)} is larger than a file of its kind may be.")
        self._on_bytes(size)
        return size

    def close(self) -> None:
        if not self.closed:
            self._raw.close()
        super().close()


class _Resolver:
    """Finds the file that a path written inside an export means, by ever looser comparison."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._exact = set(paths)
        self._folded: dict[str, str] = {}
        self._by_tail: dict[str, str | None] = {}
        for path in self._exact:
            folded = _fold(path)
            self._folded[folded] = path
            tail = folded.rpartition("/")[2]
            self._by_tail[tail] = None if tail in self._by_tail else path

    def find(self, uri: str, near: str) -> str | None:
        wanted = uri.replace("\\", "/").removeprefix("./").lstrip("/")
        if not wanted or ".." in wanted.split("/"):
            return None
        # Paths are written from the export's own root, which may lie in a folder here.
        roots = ["", *(near[: at + 1] for at, letter in enumerate(near) if letter == "/")]
        for root in roots:
            if root + wanted in self._exact:
                return root + wanted
        folded = _fold(wanted)
        first, _, rest = folded.partition("/")
        # Some exports repeat the first folder.
        spellings = [folded, rest] if rest.startswith(first + "/") else [folded]
        for root in roots:
            for spelling in spellings:
                if _fold(root) + spelling in self._folded:
                    return self._folded[_fold(root) + spelling]
        return self._by_tail.get(folded.rpartition("/")[2])


def _fold(path: str) -> str:
    return unicodedata.normalize("NFC", path).casefold()


def _is_zip(path: Path) -> bool:
    if path.suffix.lower() == ".zip":
        return True
    try:
        with path.open("rb") as file:
            return file.read(4) == b"PK\x03\x04" and path.suffix.lower() in ("", ".bin", ".download")
    except OSError:
        return False


def _stem(name: str) -> str:
    head, slash, tail = name.rpartition("/")
    if tail.lower().endswith((".zip", ".txt", ".md", ".html", ".htm", ".json")):
        tail = tail.rpartition(".")[0]
    return head + slash + _COPY.sub("", tail)


def _text(name: str) -> str:
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
