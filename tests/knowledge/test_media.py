"""Files are kept whole, once, under the hash of what is in them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from knowledge import media, personas
from knowledge.database import Connection
from knowledge.errors import NotFound
from knowledge.media import MediaFolder, MediaTooLarge
from tests.knowledge.family import NOW, Family, a_family


@pytest.fixture
def folder(tmp_path: Path) -> MediaFolder:
    return MediaFolder(tmp_path / "media", most_bytes=1000)


def _files(folder: MediaFolder) -> list[str]:
    return sorted(str(path.relative_to(folder.folder)) for path in folder.folder.rglob("*") if path.is_file())


def test_a_file_is_found_by_the_hash_of_its_content(folder: MediaFolder) -> None:
    kept = folder.keep(b"a voice note")
    assert kept == hashlib.sha256(b"a voice note").hexdigest()
    assert folder.read(kept) == b"a voice note"
    assert folder.keep_chunks([b"a voice", b" note"]) == kept
    assert _files(folder) == [f"{kept[:2]}/{kept}"]


def test_a_file_that_is_too_large_or_breaks_off_leaves_nothing_behind(folder: MediaFolder) -> None:
    def breaks() -> Iterator[bytes]:
        yield b"x" * 10
        raise ConnectionResetError

    with pytest.raises(MediaTooLarge):
        folder.keep_chunks(b"x" * 100 for _ in range(11))
    with pytest.raises(ConnectionResetError):
        folder.keep_chunks(breaks())
    assert _files(folder) == []
    assert len(folder.read(folder.keep(b"x" * 1000))) == 1000


@pytest.mark.parametrize("sha256", ["", "../../etc/passwd", "A" * 64, "a" * 63, "a" * 64 + "\n", "/" * 64])
def test_what_is_no_hash_opens_no_file(folder: MediaFolder, sha256: str) -> None:
    for wanted in (folder.read, folder.remove, folder.path):
        with pytest.raises(NotFound):
            wanted(sha256)


def test_a_file_that_was_removed_is_gone(folder: MediaFolder) -> None:
    kept = folder.keep(b"x")
    folder.remove(kept)
    folder.remove(kept)
    with pytest.raises(NotFound):
        folder.read(kept)


def test_a_file_is_noted_once_and_belongs_to_whoever_used_it(c: Connection, family: Family) -> None:
    other = a_family(c, "Abuelo Tomás")
    sha256 = "a" * 64
    first = media.note_media(c, sha256=sha256, mime="audio/ogg", size_bytes=7, persona_id=family.persona.id, at=NOW)
    again = media.note_media(c, sha256=sha256, mime="other", persona_id=family.persona.id, at=NOW)
    assert first == again
    assert (first.mime, first.size_bytes) == ("audio/ogg", 7)
    assert media.is_media_of(c, family.persona.id, sha256)
    assert not media.is_media_of(c, other.persona.id, sha256)
    with pytest.raises(NotFound):
        media.media(c, "b" * 64)


def test_a_shared_file_outlives_one_persona_and_not_both(c: Connection, family: Family) -> None:
    other = a_family(c, "Abuelo Tomás")
    for persona in (family.persona, other.persona):
        media.note_media(c, sha256="a" * 64, persona_id=persona.id, at=NOW)
    personas.remove_persona(c, family.persona.id)
    assert media.forget_unused(c) == []
    personas.remove_persona(c, other.persona.id)
    assert media.forget_unused(c) == ["a" * 64]
    assert media.forget_unused(c) == []


def test_an_account_knows_under_which_id_it_sent_a_file(c: Connection, family: Family) -> None:
    assert media.platform_id(c, family.web.id, "a" * 64) is None
    media.note_platform_id(c, family.web.id, "a" * 64, "first")
    media.note_platform_id(c, family.web.id, "a" * 64, "second")
    assert media.platform_id(c, family.web.id, "a" * 64) == "second"
    assert media.platform_id(c, family.terminal.id, "a" * 64) is None
