"""Exports to read, made here: chats as the app writes them, ZIP archives good and bad, folders."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from knowledge.importers.contract import Importer, Question, ReadOptions, Record, Tally, Trouble
from knowledge.importers.tree import SafeTree


def write_files(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    """Write files under a folder and return it."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
    return folder


def zip_of(path: Path, files: Mapping[str, str | bytes], *, compression: int = zipfile.ZIP_DEFLATED) -> Path:
    """Write an ordinary ZIP."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def read_all(importer: Importer, path: Path, options: ReadOptions | None = None) -> list[Record | Trouble | Tally]:
    """Return everything an importer yields for a path."""
    with SafeTree(path) as tree:
        return list(importer.read(tree, options or ReadOptions()))


def records_of(importer: Importer, path: Path, options: ReadOptions | None = None) -> list[Record]:
    """Return the records alone."""
    return [found for found in read_all(importer, path, options) if isinstance(found, Record)]


def questions_of(importer: Importer, path: Path, options: ReadOptions | None = None) -> list[Question]:
    """Return what an importer asks about a path."""
    with SafeTree(path) as tree:
        return importer.questions(tree, options or ReadOptions())


def raw_zip(members: Iterable[dict[str, Any]]) -> bytes:
    """Return a ZIP built byte by byte; a member may lie about its name, size, flags, method and place."""
    body = io.BytesIO()
    directory = io.BytesIO()
    count = 0
    for member in members:
        name: bytes = member["name"]
        data: bytes = member.get("data", b"")
        method = member.get("method", 8)
        packed = member.get("packed")
        if packed is None:
            squeezer = zlib.compressobj(9, zlib.DEFLATED, -15)
            packed = squeezer.compress(data) + squeezer.flush() if method == 8 else data
        size = member.get("size", len(data))
        crc = member.get("crc", zlib.crc32(data))
        flags = member.get("flags", 0)
        offset = member.get("offset", body.tell())
        if "offset" not in member:
            head = (b"PK\x03\x04", 20, flags, method, 0, 0, crc, len(packed), size, len(name), 0)
            body.write(struct.pack("<4s5H3L2H", *head) + name + packed)
        packed_size = member.get("packed_size", len(packed))
        entry = (b"PK\x01\x02", 20, 3, 20, 0, flags, method, 0, 0, crc, packed_size, size, len(name), 0, 0, 0, 0)
        attributes = member.get("attributes", 0o100644 << 16)
        directory.write(struct.pack("<4s4B4H3L5H2L", *entry, attributes, offset) + name)
        count += 1
    listing = directory.getvalue()
    shown = min(count, 0xFFFF)
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, shown, shown, len(listing), body.tell(), 0)
    return body.getvalue() + listing + end
