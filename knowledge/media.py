"""Media: files kept once under the hash of their content, and the platform ids that stand for them."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection, delete, select

from knowledge.errors import KnowledgeError, NotFound
from knowledge.rows import first_of, insert_new, table
from knowledge.tables import MediaBlob, MediaPlatformId, MediaUse

MOST_BYTES = 64 * 1024 * 1024

_HASH = re.compile(r"[0-9a-f]{64}")
_blob = table(MediaBlob)
_use = table(MediaUse)
_platform_id = table(MediaPlatformId)


class MediaTooLarge(KnowledgeError):
    """A file is larger than what is kept."""


class MediaFolder:
    """The files of a data folder. Blocking: call it in a thread."""

    def __init__(self, folder: Path, *, most_bytes: int = MOST_BYTES) -> None:
        self.folder = folder
        self.most_bytes = most_bytes

    def keep(self, content: bytes) -> str:
        """Write a file so that it is whole on the disk, and return the hash it is found by.

        Raises:
            MediaTooLarge: when it is larger than what is kept.
        """
        return self.keep_chunks([content])

    def keep_chunks(self, chunks: Iterable[bytes]) -> str:
        """Write a file as it comes, and return the hash it is found by.

        Raises:
            MediaTooLarge: as soon as it is larger than what is kept; nothing stays behind.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        beside = self.folder / f".{secrets.token_hex(12)}.part"
        digest = hashlib.sha256()
        size_bytes = 0
        try:
            with beside.open("xb") as out:
                for chunk in chunks:
                    size_bytes += len(chunk)
                    if size_bytes > self.most_bytes:
                        raise MediaTooLarge(f"The file is larger than {self.most_bytes // 1024 // 1024} MB.")
                    digest.update(chunk)
                    out.write(chunk)
                out.flush()
                os.fsync(out.fileno())
            found = digest.hexdigest()
            self._put(beside, found)
        finally:
            beside.unlink(missing_ok=True)
        return found

    def path(self, sha256: str) -> Path:
        """Return where a file lies, whether it is there or not.

        Raises:
            NotFound: for what is no hash, so that no path can be asked for.
        """
        if not _HASH.fullmatch(sha256):
            raise NotFound("There is no such file.")
        return self.folder / sha256[:2] / sha256

    def read(self, sha256: str) -> bytes:
        """Return a file's bytes.

        Raises:
            NotFound: when it is not there.
        """
        try:
            return self.path(sha256).read_bytes()
        except FileNotFoundError as error:
            raise NotFound("There is no such file.") from error

    def remove(self, sha256: str) -> None:
        """Delete a file; nothing happens when it is not there."""
        self.path(sha256).unlink(missing_ok=True)

    def _put(self, beside: Path, sha256: str) -> None:
        target = self.path(sha256)
        target.parent.mkdir(exist_ok=True)
        beside.replace(target)
        for folder in (target.parent, self.folder):
            descriptor = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def note_media(
    c: Connection, *, sha256: str, mime: str = "", size_bytes: int = 0, persona_id: str | None = None, at: datetime
) -> MediaBlob:
    """Note a file that was kept, and the persona it belongs to."""
    row = {"sha256": sha256, "mime": mime, "size_bytes": size_bytes, "created_at": at}
    insert_new(c, MediaBlob, [row], "sha256")
    if persona_id is not None:
        insert_new(c, MediaUse, [{"persona_id": persona_id, "sha256": sha256}], "persona_id", "sha256")
    return media(c, sha256)


def media(c: Connection, sha256: str) -> MediaBlob:
    """Return what is known of a file.

    Raises:
        NotFound: when nothing is.
    """
    found = first_of(c, MediaBlob, select(_blob).where(_blob.c.sha256 == sha256))
    if found is None:
        raise NotFound("There is no such file.")
    return found


def is_media_of(c: Connection, persona_id: str, sha256: str) -> bool:
    """Return whether a file belongs to a persona."""
    mine = select(_use.c.sha256).where(_use.c.persona_id == persona_id, _use.c.sha256 == sha256)
    return c.execute(mine).first() is not None


def platform_id(c: Connection, account_id: str, sha256: str) -> str | None:
    """Return the id under which an account can send a file again, None when it never did."""
    mine = (_platform_id.c.account_id == account_id, _platform_id.c.sha256 == sha256)
    return c.execute(select(_platform_id.c.platform_id).where(*mine)).scalar()


def note_platform_id(c: Connection, account_id: str, sha256: str, found: str) -> None:
    """Note the id under which an account can send a file again; the newest counts."""
    mine = (_platform_id.c.account_id == account_id, _platform_id.c.sha256 == sha256)
    c.execute(delete(_platform_id).where(*mine))
    row = {"account_id": account_id, "sha256": sha256, "platform_id": found}
    insert_new(c, MediaPlatformId, [row], "account_id", "sha256")


def forget_unused(c: Connection) -> list[str]:
    """Forget the files that no persona uses any more, and return their hashes, to be deleted from the folder."""
    unused = select(_blob.c.sha256).where(_blob.c.sha256.not_in(select(_use.c.sha256)))
    found = list(c.execute(unused).scalars())
    c.execute(delete(_blob).where(_blob.c.sha256.in_(unused)))
    return found
