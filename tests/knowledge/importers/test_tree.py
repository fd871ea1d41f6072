"""The safe tree: folders, files, archives in parts, and every way in which an archive can be hostile."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from knowledge.errors import ArchiveInvalid
from knowledge.importers.tree import SafeTree, TreeView
from tests.knowledge.importers.exports import raw_zip, write_files, zip_of


def paths_of(path: Path) -> list[str]:
    with SafeTree(path) as tree:
        return [member.path for member in tree.members()]


def content_of(path: Path, name: str) -> bytes:
    with SafeTree(path) as tree, tree.open(name) as stream:
        return stream.read()


def test_a_folder_is_read_with_its_subfolders(tmp_path: Path) -> None:
    write_files(tmp_path, {"b/c.txt": "two", "a.txt": "one", ".DS_Store": "x", "__MACOSX/._a": "x"})
    assert paths_of(tmp_path) == ["a.txt", "b/c.txt"]
    assert content_of(tmp_path, "b/c.txt") == b"two"


def test_a_single_file_is_a_tree_of_one(tmp_path: Path) -> None:
    write_files(tmp_path, {"a.txt": "one"})
    assert paths_of(tmp_path / "a.txt") == ["a.txt"]


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_an_archive_is_read_without_being_unpacked(compression: int, tmp_path: Path) -> None:
    path = zip_of(tmp_path / "x.zip", {"d/a.txt": "one" * 50_000, "ñ.txt": "two"}, compression=compression)
    assert paths_of(path) == ["d/a.txt", "ñ.txt"]
    assert content_of(path, "d/a.txt") == b"one" * 50_000
    assert [found.name for found in tmp_path.iterdir()] == ["x.zip"]


def test_parts_of_one_export_are_one_tree_whatever_their_order(tmp_path: Path) -> None:
    name = "instagram-ivy.moss-2025-11-01-"
    zip_of(tmp_path / f"{name}AAAAAAAA.zip", {"messages/inbox/s_1/message_1.json": "1", "x/no-data.txt": "-"})
    zip_of(tmp_path / f"{name}ZZZZZZZZ.zip", {"messages/inbox/s_1/message_2.json": "2", "x/no-data.txt": "-"})
    root = "instagram-ivy.moss-2025-11-01/"
    assert paths_of(tmp_path) == [
        root + "messages/inbox/s_1/message_1.json",
        root + "messages/inbox/s_1/message_2.json",
        root + "x/no-data.txt",
    ]


def test_archives_of_different_things_do_not_mix(tmp_path: Path) -> None:
    zip_of(tmp_path / "WhatsApp Chat - Sam.zip", {"_chat.txt": "1"})
    zip_of(tmp_path / "WhatsApp Chat - Bo.zip", {"_chat.txt": "2"})
    assert paths_of(tmp_path) == ["WhatsApp Chat - Bo/_chat.txt", "WhatsApp Chat - Sam/_chat.txt"]


def test_an_archive_in_an_archive_is_read_and_no_deeper(tmp_path: Path) -> None:
    deepest = zip_of(tmp_path / "c.zip", {"z.txt": "deep"})
    inner = zip_of(tmp_path / "b.zip", {"y.txt": "inner", "c.zip": deepest.read_bytes()})
    outer = zip_of(tmp_path / "a.zip", {"x.txt": "outer", "b.zip": inner.read_bytes()})
    with SafeTree(outer) as tree:
        assert [member.path for member in tree.members()] == ["b/y.txt", "x.txt"]
        assert [trouble.member for trouble in tree.troubles] == ["b/c.zip"]


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    secret = write_files(tmp_path / "outside", {"secret.txt": "secret"})
    inside = write_files(tmp_path / "inside", {"a.txt": "one"})
    (inside / "link.txt").symlink_to(secret / "secret.txt")
    (inside / "folder").symlink_to(secret)
    tree = SafeTree(inside)
    assert [member.path for member in tree.members()] == ["a.txt"]
    assert sorted(trouble.member for trouble in tree.troubles) == ["folder", "link.txt"]


def test_a_file_that_becomes_a_link_later_is_not_followed(tmp_path: Path) -> None:
    secret = write_files(tmp_path / "outside", {"secret.txt": "secret"})
    inside = write_files(tmp_path / "inside", {"a.txt": "one"})
    tree = SafeTree(inside)
    (inside / "a.txt").unlink()
    (inside / "a.txt").symlink_to(secret / "secret.txt")
    with pytest.raises(ArchiveInvalid):
        tree.open("a.txt")


def test_a_pipe_in_a_folder_does_not_hang(tmp_path: Path) -> None:
    write_files(tmp_path, {"a.txt": "one"})
    os.mkfifo(tmp_path / "pipe.txt")
    tree = SafeTree(tmp_path)
    assert [member.path for member in tree.members()] == ["a.txt"]
    assert tree.troubles


@pytest.mark.parametrize(
    "name",
    [b"../up.txt", b"a/../../up.txt", b"/etc/passwd", b"C:\\x.txt", b"nul\x00.txt", b"new\nline.txt", b"n" * 2000],
)
def test_a_dangerous_name_is_refused_and_the_rest_is_read(name: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    path.write_bytes(raw_zip([{"name": name, "data": b"bad"}, {"name": b"good.txt", "data": b"good"}]))
    with SafeTree(path) as tree:
        assert [member.path for member in tree.members()] == ["good.txt"]
        assert len(tree.troubles) == 1
        assert tree.troubles[0].member.isprintable()


def test_a_link_inside_an_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    link = {"name": b"l.txt", "data": b"/etc/passwd", "attributes": 0o120777 << 16}
    path.write_bytes(raw_zip([link, {"name": b"good.txt", "data": b"good"}]))
    assert paths_of(path) == ["good.txt"]


@pytest.mark.parametrize(
    ("member", "words"),
    [
        ({"flags": 1}, "password"),
        ({"method": 9, "packed": b"xx"}, "Deflate64"),
        ({"method": 93, "packed": b"xx"}, "Zstandard"),
        ({"method": 95, "packed": b"xx"}, "XZ"),
    ],
)
def test_what_cannot_be_unpacked_says_why_and_what_to_do(member: dict[str, object], words: str, tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    path.write_bytes(raw_zip([{"name": b"a.txt", "data": b"x", **member}]))
    with pytest.raises(ArchiveInvalid, match=words) as caught:
        SafeTree(path)
    assert caught.value.next_step


def test_a_damaged_member_fails_while_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    path.write_bytes(raw_zip([{"name": b"a.txt", "data": b"hello", "crc": 1}]))
    with pytest.raises(ArchiveInvalid, match="damaged"):
        content_of(path, "a.txt")


def test_a_member_that_is_larger_than_it_says_is_stopped(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    path.write_bytes(raw_zip([{"name": b"a.txt", "data": b"h" * 100_000, "size": 10}]))
    with pytest.raises(ArchiveInvalid, match="damaged"):
        content_of(path, "a.txt")


@pytest.mark.parametrize("size", [0, 1, 21, 22, 60, 200])
def test_an_archive_that_was_cut_short_says_so(size: int, tmp_path: Path) -> None:
    whole = zip_of(tmp_path / "x.zip", {"a.txt": os.urandom(500)}).read_bytes()
    (tmp_path / "cut.zip").write_bytes(whole[:size])
    with pytest.raises(ArchiveInvalid, match="not a whole ZIP"):
        SafeTree(tmp_path / "cut.zip")


def test_bytes_before_the_archive_do_not_matter(tmp_path: Path) -> None:
    whole = zip_of(tmp_path / "x.zip", {"a.txt": "one"}).read_bytes()
    (tmp_path / "y.zip").write_bytes(b"#!/bin/sh\n" * 20 + whole)
    assert content_of(tmp_path / "y.zip", "a.txt") == b"one"


def test_one_bad_archive_does_not_stop_a_folder(tmp_path: Path) -> None:
    write_files(tmp_path, {"a.txt": "one", "bad.zip": b"PK\x03\x04 not really"})
    tree = SafeTree(tmp_path)
    assert [member.path for member in tree.members()] == ["a.txt"]
    assert [trouble.member for trouble in tree.troubles] == ["bad.zip"]


def test_a_view_shows_no_more_than_its_share(tmp_path: Path) -> None:
    write_files(tmp_path, {"a.txt": "one", "b.txt": "two"})
    view = TreeView(SafeTree(tmp_path), ["a.txt"])
    assert [member.path for member in view.members()] == ["a.txt"]
    with pytest.raises(ArchiveInvalid):
        view.open("b.txt")


@pytest.mark.parametrize(
    ("uri", "found"),
    [
        ("media/posts/1.jpg", "root/media/posts/1.jpg"),
        ("./media/posts/1.jpg", "root/media/posts/1.jpg"),
        ("Media/Posts/1.JPG", "root/media/posts/1.jpg"),
        ("media/media/posts/1.jpg", "root/media/posts/1.jpg"),
        ("elsewhere/only.mp4", "root/media/only.mp4"),
        ("media/posts/9.jpg", None),
        ("../../etc/passwd", None),
        ("/etc/passwd", None),
        ("", None),
    ],
)
def test_a_path_in_the_export_finds_its_file_and_nothing_else(uri: str, found: str | None, tmp_path: Path) -> None:
    write_files(tmp_path, {"root/media/posts/1.jpg": "1", "root/media/only.mp4": "2", "root/a/posts.json": "[]"})
    assert SafeTree(tmp_path).resolve(uri, near="root/a/posts.json") == found


ZEROS = b"\0" * 1_000_000


def overlapping_bomb() -> bytes:
    """Many entries of the directory that all unpack the same bytes: a small file that claims gigabytes."""
    entry = {"offset": 0, "packed": b"x" * 900, "size": 5_000_000, "crc": 0}
    return raw_zip([{"name": b"a.txt", "data": ZEROS}, *({"name": b"%d.txt" % at, **entry} for at in range(4000))])


def huge_directory() -> bytes:
    entry = {"data": b"", "method": 0, "packed": b"", "offset": 0}
    return raw_zip({"name": b"%d" % at, **entry} for at in range(205_000))


POSTS = b"your_instagram_activity/media/posts_1.json"
ATTACKS = {
    "overlapping entries": overlapping_bomb,
    "one member of a high ratio": lambda: raw_zip([{"name": b"a.txt", "data": ZEROS * 100}]),
    "many members of a high ratio": lambda: raw_zip({"name": b"%d.txt" % at, "data": ZEROS} for at in range(100)),
    "a directory of very many files": huge_directory,
    "a size that lies": lambda: raw_zip([{"name": b"a.txt", "data": ZEROS * 50, "size": 100}]),
    "deep JSON": lambda: raw_zip([{"name": POSTS, "data": b"[" * 900_000, "method": 0}]),
    "flat JSON": lambda: raw_zip([{"name": POSTS, "data": b"[" + b"0," * 9_000_000, "method": 0}]),
    "a JSON text without an end": lambda: raw_zip([{"name": POSTS, "data": b'["' + b"a" * 60_000_000, "method": 0}]),
    "a chat without an end of line": lambda: raw_zip(
        [{"name": b"a.txt", "data": b"25/01/2024, 10:00 - Ivy: " + b"a" * 60_000_000, "method": 0}]
    ),
    "a document without a blank": lambda: raw_zip([{"name": b"b.md", "data": b"a" * 8_000_000, "method": 0}]),
    "a page of nested tags": lambda: raw_zip([{"name": b"b.html", "data": b"<div>" * 200_000, "method": 0}]),
    "a text of nested lists": lambda: raw_zip([{"name": b"b.md", "data": b"> " * 200_000 + b"x", "method": 0}]),
}
LAUNCHER = """
import resource, subprocess, sys
with open(sys.argv[2], "wb") as out:
    child = subprocess.Popen([sys.executable, "-m", "knowledge.importers.child"], stdin=subprocess.PIPE, stdout=out)
    child.stdin.write(sys.argv[1].encode() + b"\\n")
    child.stdin.flush()
    status = child.wait()
    child.stdin.close()
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(status, used.ru_maxrss, used.ru_utime + used.ru_stime)
"""


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_ends_soon_in_little_memory_and_the_rest_is_read(name: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "attack.zip").write_bytes(ATTACKS[name]())
    write_files(tmp_path / "in", {"a.md": "# A letter\n\nI was born by the river, in the winter of a flood."})
    options = {"persona_names": ["Ivy"], "owner_names": ["Ivy"]}
    request = json.dumps({"path": str(tmp_path / "in"), "options": options})
    ended = subprocess.run(
        [sys.executable, "-c", LAUNCHER, request, str(tmp_path / "out")], stdout=subprocess.PIPE, check=True
    )
    status, most_kib, spent_s = ended.stdout.split()
    told = (tmp_path / "out").read_text()
    assert status == b"0"
    assert '"kind":"end"' in told
    assert "I was born by the river" in told
    assert float(spent_s) < 5
    assert int(most_kib) < 128 * 1024


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_broken_archive_raises_anything_but_its_own_error(data: st.DataObject, tmp_path: Path) -> None:
    whole = bytearray(raw_zip([{"name": b"a.txt", "data": b"hello " * 40}, {"name": b"b/c.md", "data": b"# x"}]))
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(whole) - 1))
        whole[at] = data.draw(st.integers(0, 255))
    path = tmp_path / "x.zip"
    path.write_bytes(whole)
    try:
        tree = SafeTree(path)
    except ArchiveInvalid:
        return
    try:
        for member in tree.members():
            try:
                with tree.open(member.path) as stream:
                    stream.read()
            except ArchiveInvalid:
                continue
    finally:
        tree.close()
