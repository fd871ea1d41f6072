"""Secrets at rest: credentials encrypted with a key that lies in the data folder and never in the database.

A sealed secret is: version (1 byte), which key (4), nonce (12), AES-256-GCM ciphertext with the row's id as associated
data, so that a secret copied to another row does not open there.
"""

from __future__ import annotations

import base64
import hashlib
import os
import secrets
import threading
from pathlib import Path

from knowledge.errors import SecretUnreadable

_VERSION = b"\x01"
_KEY_BYTES = 32
_MARK_BYTES = 4
_NONCE_BYTES = 12
_HEAD_BYTES = len(_VERSION) + _MARK_BYTES + _NONCE_BYTES
_HEADING = "memoras-key-1:"
_NEXT_STEP = "put the file back from your backup, or enter the account's credentials again"


class SecretBox:
    """Seals and opens secrets with the key in `key_file`, which the first sealing makes (0600)."""

    def __init__(self, key_file: Path) -> None:
        self._file = key_file
        self._key: bytes | None = None
        self._lock = threading.Lock()

    def seal(self, plain: bytes, row_id: str) -> bytes:
        """Return `plain` encrypted for one row.

        Raises:
            SecretUnreadable: when the key file is there and holds no key.
        """
        # OpenSSL's bindings take a tenth of a second, which a start without credentials need not pay.
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        key = self._load() or self._make()
        nonce = secrets.token_bytes(_NONCE_BYTES)
        head = _VERSION + _mark(key) + nonce
        return head + AESGCM(key).encrypt(nonce, plain, _bound(head, row_id))

    def open(self, sealed: bytes, row_id: str) -> bytes:
        """Return what was sealed for this row.

        Raises:
            SecretUnreadable: when the key is missing or another one, or the secret was changed or is another row's.
        """
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        key = self._load()
        if key is None:
            raise SecretUnreadable(f"The key file {self._file} is missing: {_NEXT_STEP}.")
        head, ciphertext = sealed[:_HEAD_BYTES], sealed[_HEAD_BYTES:]
        if len(head) < _HEAD_BYTES or not head.startswith(_VERSION):
            raise SecretUnreadable("A stored secret has a form that this version does not know.")
        if head[1 : 1 + _MARK_BYTES] != _mark(key):
            raise SecretUnreadable(f"The key in {self._file} is not the one that sealed this secret: {_NEXT_STEP}.")
        try:
            return AESGCM(key).decrypt(head[-_NONCE_BYTES:], ciphertext, _bound(head, row_id))
        except InvalidTag as error:
            raise SecretUnreadable("A stored secret was changed: enter the account's credentials again.") from error

    def _load(self) -> bytes | None:
        with self._lock:
            if self._key is None:
                try:
                    self._key = _read(self._file)
                except FileNotFoundError:
                    return None
            return self._key

    def _make(self) -> bytes:
        key = secrets.token_bytes(_KEY_BYTES)
        self._file.parent.mkdir(parents=True, exist_ok=True)
        # Written beside and linked into place, so that a key file is whole or absent, and the first one wins.
        beside = self._file.with_name(f".{self._file.name}.{secrets.token_hex(8)}")
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="ascii") as out:
                out.write(_HEADING + base64.b64encode(key).decode() + "\n")
                out.flush()
                os.fsync(out.fileno())
            self._file.hardlink_to(beside)
        except FileExistsError:
            pass
        finally:
            beside.unlink()
        made = self._load()
        if made is None:
            raise SecretUnreadable(f"The key file {self._file} could not be made: check the data folder.")
        return made


def _read(file: Path) -> bytes:
    text = file.read_text(encoding="ascii", errors="replace").strip()
    try:
        key = base64.b64decode(text.removeprefix(_HEADING), validate=True)
    except ValueError:
        key = b""
    if not text.startswith(_HEADING) or len(key) != _KEY_BYTES:
        raise SecretUnreadable(f"The file {file} holds no key: {_NEXT_STEP}.")
    return key


def _mark(key: bytes) -> bytes:
    return hashlib.sha256(b"memoras key mark" + key).digest()[:_MARK_BYTES]


def _bound(head: bytes, row_id: str) -> bytes:
    return head[: 1 + _MARK_BYTES] + row_id.encode()
