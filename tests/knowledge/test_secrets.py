"""Secrets open with their own key, in their own row, unchanged; and never otherwise."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.errors import SecretUnreadable
from knowledge.secrets import SecretBox


@pytest.fixture
def box(tmp_path: Path) -> SecretBox:
    return SecretBox(tmp_path / "data" / "secret.key")


@pytest.mark.parametrize("plain", [b"", b"token", b"\x00" * 5000])
def test_what_is_sealed_opens_again_in_another_process(box: SecretBox, tmp_path: Path, plain: bytes) -> None:
    sealed = box.seal(plain, "row")
    assert SecretBox(tmp_path / "data" / "secret.key").open(sealed, "row") == plain


def test_the_sealed_form_holds_nothing_of_the_secret_and_is_never_the_same(box: SecretBox) -> None:
    one, two = box.seal(b"a long bot token", "row"), box.seal(b"a long bot token", "row")
    assert one != two
    assert b"token" not in one


def test_the_key_is_made_on_the_first_sealing_for_its_owner_alone(box: SecretBox, tmp_path: Path) -> None:
    file = tmp_path / "data" / "secret.key"
    assert not file.exists()
    box.seal(b"x", "row")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(file.parent.iterdir()) == [file]


def test_many_who_seal_first_at_once_use_one_key(tmp_path: Path) -> None:
    file = tmp_path / "secret.key"
    with ThreadPoolExecutor(8) as pool:
        sealed = list(pool.map(lambda number: SecretBox(file).seal(b"x", str(number)), range(16)))
    reader = SecretBox(file)
    assert all(reader.open(each, str(number)) == b"x" for number, each in enumerate(sealed))


def test_a_secret_of_another_row_does_not_open(box: SecretBox) -> None:
    sealed = box.seal(b"token", "row")
    with pytest.raises(SecretUnreadable, match="changed"):
        box.open(sealed, "other")


@given(st.data())
def test_a_secret_with_any_byte_changed_does_not_open(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    box = SecretBox(tmp_path_factory.mktemp("tampered") / "key")
    sealed = box.seal(b"token", "row")
    at = data.draw(st.integers(0, len(sealed) - 1))
    changed = sealed[:at] + bytes([sealed[at] ^ data.draw(st.integers(1, 255))]) + sealed[at + 1 :]
    with pytest.raises(SecretUnreadable):
        box.open(changed, "row")


@pytest.mark.parametrize("length", [0, 1, 16, 17, 20])
def test_a_secret_that_was_cut_off_does_not_open(box: SecretBox, length: int) -> None:
    with pytest.raises(SecretUnreadable):
        box.open(box.seal(b"token", "row")[:length], "row")


def test_a_missing_key_says_which_file_and_what_to_do(box: SecretBox, tmp_path: Path) -> None:
    sealed = box.seal(b"token", "row")
    file = tmp_path / "data" / "secret.key"
    file.unlink()
    with pytest.raises(SecretUnreadable, match=r"secret\.key is missing: put the file back"):
        SecretBox(file).open(sealed, "row")


def test_another_key_is_told_from_a_changed_secret(box: SecretBox, tmp_path: Path) -> None:
    other = SecretBox(tmp_path / "other.key")
    other.seal(b"x", "row")
    with pytest.raises(SecretUnreadable, match="not the one that sealed"):
        other.open(box.seal(b"token", "row"), "row")


@pytest.mark.parametrize("content", ["", "memoras-key-1:", "memoras-key-1:abc", "nonsense", "memoras-key-1:ñ"])
def test_a_key_file_that_holds_no_key_is_not_overwritten(tmp_path: Path, content: str) -> None:
    file = tmp_path / "secret.key"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(SecretUnreadable, match="holds no key"):
        SecretBox(file).seal(b"token", "row")
    assert file.read_text(encoding="utf-8") == content
