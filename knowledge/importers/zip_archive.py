"""Reads a ZIP archive that nobody trusts: its directory is checked before anything is read, and every byte is counted.

The standard library reads the whole directory into large objects, follows overlapping entries and believes sizes; an
archive of a hundred kilobytes can claim twenty gigabytes. Here the directory is walked once, in bounded memory.
"""

from __future__ import annotations

import io
import os
import stat
import struct
import zlib
from dataclasses import dataclass
from itertools import pairwise
from typing import IO

from knowledge.errors import ArchiveInvalid

MOST_ENTRIES = 200_000
MOST_NAME = 1024
MOST_RATIO = 200
FREE_BYTES = 1 << 20
"""What a member may unpack to whatever its ratio."""

_MOST_DIRECTORY_BYTES = 48 << 20
_FREE_TOTAL_BYTES = 32 << 20
_TWO_GIB = 1 << 31

_END = struct.Struct("<4s4H2LH")
_END64_LOCATOR = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_CENTRAL = struct.Struct("<4s4B4HL2L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")

_STORED, _DEFLATED = 0, 8
_METHODS = {9: "Deflate64", 12: "bzip2", 14: "LZMA", 20: "Zstandard", 93: "Zstandard", 95: "XZ", 98: "PPMd"}
_ZIP_AGAIN = "Unpack it on your computer and choose the folder, or make a new ZIP of it without a password."


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of the archive, as its directory says."""

    path: str
    offset: int
    packed_bytes: int
    size_bytes: int
    crc: int
    method: int


class ZipArchive:
    """An open archive: `entries` may be read, `refused` may not and say why."""

    def __init__(self, file: IO[bytes], label: str) -> None:
        """Check the directory of the archive.

        Raises:
            ArchiveInvalid: when it is damaged, hostile, or nothing in it can be read.
        """
        self._fd = file.fileno()
        self._file = file
        self.label = label
        self.size_bytes = os.fstat(self._fd).st_size
        self.entries: list[Entry] = []
        self.refused: list[tuple[str, str]] = []
        self._shift = 0
        self._walk(*self._find_directory())
        if not self.entries and self.refused:
            raise ArchiveInvalid(f"Nothing in {label} can be read: {self.refused[0][1]}", next_step=_ZIP_AGAIN)

    def open(self, entry: Entry) -> io.RawIOBase:
        """Return the unpacked bytes of one entry.

        Raises:
            ArchiveInvalid: here or while reading, when the bytes are not what the directory promised.
        """
        header = os.pread(self._fd, _LOCAL.size, entry.offset)
        if len(header) < _LOCAL.size or header[:4] != b"PK\x03\x04":
            raise ArchiveInvalid(f"{entry.path} is damaged.", next_step="Download the export again.")
        fields = _LOCAL.unpack(header)
        start = entry.offset + _LOCAL.size + fields[9] + fields[10]
        return _Unpacked(self._fd, start, entry)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _find_directory(self) -> tuple[int, int]:
        tail_size = min(self.size_bytes, 65_535 + _END.size)
        tail = os.pread(self._fd, tail_size, self.size_bytes - tail_size)
        at = tail.rfind(b"PK\x05\x06")
        if at < 0 or len(tail) - at < _END.size:
            raise self._cut_short()
        _, disk, _, _, count, size, offset, _ = _END.unpack_from(tail, at)
        end = self.size_bytes - tail_size + at
        if disk not in (0, 0xFFFF):
            raise ArchiveInvalid(
                f"{self.label} is one piece of a split archive.", next_step="Join the pieces and choose the whole file."
            )
        if 0xFFFF in (count, disk) or 0xFFFFFFFF in (size, offset):
            end, count, size, offset = self._find_directory64(end, count, size, offset)
        if count > MOST_ENTRIES or size > _MOST_DIRECTORY_BYTES:
            raise ArchiveInvalid(
                f"{self.label} lists more than {MOST_ENTRIES:,} files.", next_step="Import it in smaller pieces."
            )
        self._shift = end - size - offset
        if self._shift < 0:
            raise self._cut_short()
        return end - size, size

    def _find_directory64(self, end: int, count: int, size: int, offset: int) -> tuple[int, int, int, int]:
        at = end - _END64_LOCATOR.size
        locator = os.pread(self._fd, _END64_LOCATOR.size, at) if at >= 0 else b""
        if len(locator) < _END64_LOCATOR.size or locator[:4] != b"PK\x06\x07":
            return end, count, size, offset
        # What the locator points to may be shifted by bytes put before the archive, so it is also looked for before it.
        for place in (_END64_LOCATOR.unpack(locator)[2], at - _END64.size):
            found = os.pread(self._fd, _END64.size, place) if 0 <= place < self.size_bytes else b""
            if len(found) == _END64.size and found[:4] == b"PK\x06\x06":
                fields = _END64.unpack(found)
                return place, fields[7], fields[8], fields[9]
        raise self._cut_short()

    def _walk(self, start: int, size: int) -> None:
        directory = os.pread(self._fd, size, start)
        spans: list[tuple[int, int]] = []
        position = total = 0
        while position + _CENTRAL.size <= len(directory) and directory[position : position + 4] == b"PK\x01\x02":
            if len(spans) >= MOST_ENTRIES:
                raise ArchiveInvalid(
                    f"{self.label} lists more than {MOST_ENTRIES:,} files.", next_step="Import it in smaller pieces."
                )
            fields = _CENTRAL.unpack_from(directory, position)
            name_size, extra_size, comment_size = fields[12], fields[13], fields[14]
            after_name = position + _CENTRAL.size + name_size
            name = directory[position + _CENTRAL.size : after_name]
            extra = directory[after_name : after_name + extra_size]
            position = after_name + extra_size + comment_size
            packed, unpacked, offset = _sizes(fields[10], fields[11], fields[18], extra)
            offset += self._shift
            spans.append((offset, offset + _LOCAL.size + name_size + packed))
            self._add(name, fields, packed, unpacked, offset)
            total += unpacked
        _refuse_overlap(spans, start, self.label)
        if total > max(MOST_RATIO * self.size_bytes, _FREE_TOTAL_BYTES):
            raise ArchiveInvalid(
                f"{self.label} would unpack to more than {MOST_RATIO} times its size.",
                next_step="This is not what an export looks like; download it again from where it came.",
            )
        self.entries.sort(key=lambda entry: entry.path)

    def _add(self, raw_name: bytes, fields: tuple[int, ...], packed: int, unpacked: int, offset: int) -> None:
        flags, method, crc, attributes = fields[5], fields[6], fields[9], fields[17]
        name = _decode_name(raw_name, is_utf8=bool(flags & 0x800))
        if name.endswith("/"):
            return
        reason = why_name_is_unsafe(name)
        if not reason and stat.S_ISLNK(attributes >> 16):
            reason = "it is a link to another file"
        if not reason and flags & 0x1:
            reason = "it is locked with a password"
        if not reason and method not in (_STORED, _DEFLATED):
            reason = f"it is packed with {_METHODS.get(method, f'method {method}')}, which is not read here"
        if not reason and unpacked > FREE_BYTES and unpacked > MOST_RATIO * max(packed, 1):
            reason = f"it would unpack to more than {MOST_RATIO} times its size"
        if reason:
            if len(self.refused) < 1000:
                self.refused.append((printable(name), reason))
            return
        self.entries.append(Entry(name, offset, packed, unpacked, crc, method))

    def _cut_short(self) -> ArchiveInvalid:
        if self.size_bytes == _TWO_GIB:
            return ArchiveInvalid(
                f"{self.label} is exactly 2 GiB: the download was cut there.",
                next_step="Download it again, with another browser, or ask the platform for smaller files.",
            )
        return ArchiveInvalid(
            f"{self.label} is not a whole ZIP file.",
            next_step="The download was probably cut short: download it again.",
        )


def why_name_is_unsafe(name: str) -> str:
    """Return why a path inside an archive must not be used, or an empty string."""
    if not name or len(name) > MOST_NAME:
        return "its name is too long"
    if any(ord(letter) < 32 or ord(letter) == 127 for letter in name):
        return "its name holds control characters"
    if name.startswith("/") or (len(name) > 1 and name[1] == ":" and name[0].isalpha()):
        return "its name is an absolute path"
    if ".." in name.split("/"):
        return "its name points outside the archive"
    return ""


def printable(name: str) -> str:
    """Return a hostile name in a form that can be shown."""
    return "".join(letter if letter.isprintable() else "�" for letter in name[:120])


def _decode_name(raw: bytes, *, is_utf8: bool) -> str:
    try:
        name = raw.decode("utf-8")  # many programs write UTF-8 and do not say so
    except UnicodeDecodeError:
        name = raw.decode("utf-8", "replace") if is_utf8 else raw.decode("cp437")
    return name.replace("\\", "/").removeprefix("./")


def _sizes(packed: int, unpacked: int, offset: int, extra: bytes) -> tuple[int, int, int]:
    if 0xFFFFFFFF not in (packed, unpacked, offset):
        return packed, unpacked, offset
    position = 0
    while position + 4 <= len(extra):
        kind, size = struct.unpack_from("<HH", extra, position)
        if kind == 1:
            body = extra[position + 4 : position + 4 + size]
            numbers = list(struct.unpack(f"<{len(body) // 8}Q", body[: len(body) // 8 * 8]))
            if unpacked == 0xFFFFFFFF and numbers:
                unpacked = numbers.pop(0)
            if packed == 0xFFFFFFFF and numbers:
                packed = numbers.pop(0)
            if offset == 0xFFFFFFFF and numbers:
                offset = numbers.pop(0)
            break
        position += 4 + size
    return packed, unpacked, offset


def _refuse_overlap(spans: list[tuple[int, int]], directory_start: int, label: str) -> None:
    spans.sort()
    spans.append((directory_start, directory_start))
    for (_, end), (following, _) in pairwise(spans):
        if end > following:
            raise ArchiveInvalid(
                f"The files inside {label} lie on top of each other.",
                next_step="This is not what an export looks like; download it again from where it came.",
            )


class _Unpacked(io.RawIOBase):
    """The bytes of one entry, inflated as they are asked for."""

    def __init__(self, fd: int, start: int, entry: Entry) -> None:
        self._fd = fd
        self._at = start
        self._packed_left = entry.packed_bytes
        self._entry = entry
        self._inflate = zlib.decompressobj(-15) if entry.method == _DEFLATED else None
        self._given = 0
        self._crc = 0
        self._is_done = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if self._is_done or not len(buffer):
            return 0
        data = self._next(len(buffer))
        if not data:
            self._is_done = True
            if self._given != self._entry.size_bytes or self._crc != self._entry.crc:
                raise self._damaged()
            return 0
        self._given += len(data)
        if self._given > self._entry.size_bytes:
            raise self._damaged()
        self._crc = zlib.crc32(data, self._crc)
        buffer[: len(data)] = data
        return len(data)

    def _next(self, wanted: int) -> bytes:
        if self._inflate is None:
            return self._fetch(wanted)
        while not self._inflate.eof:
            packed = self._inflate.unconsumed_tail or self._fetch(65_536)
            try:
                data = self._inflate.decompress(packed, wanted)
            except zlib.error as error:
                raise self._damaged() from error
            if data:
                return data
            if not packed:
                break
        return b""

    def _fetch(self, wanted: int) -> bytes:
        packed = os.pread(self._fd, min(wanted, self._packed_left), self._at)
        self._at += len(packed)
        self._packed_left -= len(packed)
        return packed

    def _damaged(self) -> ArchiveInvalid:
        return ArchiveInvalid(
            f"{printable(self._entry.path)} is damaged inside its archive.", next_step="Download the export again."
        )
