"""Keys in files of the data folder, made on first use and readable by their owner alone."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

_BYTES = 32


def read_or_make(file: Path) -> bytes:
    """Return the key in a file, made now when there is none."""
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        found = file.read_bytes()
        if len(found) >= _BYTES:
            return found
        file.unlink()  # a start was killed while it wrote
        return read_or_make(file)
    with os.fdopen(descriptor, "wb") as out:
        made = secrets.token_bytes(_BYTES)
        out.write(made)
        out.flush()
        os.fsync(out.fileno())
    return made
