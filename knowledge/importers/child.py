"""The process in which an export is read: it may run out of memory, hang or crash, and only this import suffers.

It is told what to read in one line of JSON on its standard input, and writes lines of JSON to its standard output:
`plan`, then `records` and `progress`, then `end`; or `questions`, or `refused`. When its input ends it ends too, so
that it never outlives the process that started it.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import threading
import time
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from knowledge.errors import ArchiveInvalid
from knowledge.importers import Share, recognise
from knowledge.importers.contract import ReadOptions, Record, Tally, Trouble
from knowledge.importers.tree import SafeTree
from knowledge.importers.weighing import importance
from knowledge.language import identify

_MOST_MEMORY_BYTES = 1 << 30
_MOST_CPU_S = 4 * 3600
_MOST_FILE_BYTES = 4 << 30
_ROWS_PER_LINE = 100
_EVERY_S = 0.4
_LETTERS_PER_LINE = 1 << 18
_MOST_RAW = 1 << 18
_MOST_FILES_NAMED = 2000
_MOST_TROUBLES = 300
_MOST_AUTHORS = 5000
_READ_SO_FAR = "WhatsApp chats, Instagram exports (JSON), and text, Markdown and HTML documents"
_MEDIA = (
    *(".jpg", ".jpeg", ".png", ".webp", ".heic", ".gif", ".mp4", ".mov", ".m4v", ".3gp", ".webm", ".srt"),
    *(".m4a", ".aac", ".ogg", ".opus", ".oga", ".wav", ".amr", ".mp3", ".vcf", ".pdf"),
)


class Report:
    """What came of every file."""

    def __init__(self, tree: SafeTree, unknown: list[str]) -> None:
        self._files: dict[str, dict[str, Any]] = {}
        self._troubles: list[dict[str, Any]] = []
        self._repairs: Counter[str] = Counter()
        self._activities: Counter[str] = Counter()
        self._media: Counter[str] = Counter()
        self._since: datetime | None = None
        self._until: datetime | None = None
        self._records = 0
        self._words = 0
        self._tree = tree
        for member in tree.members():
            is_media = member.path.lower().endswith(_MEDIA)
            self._files[member.path] = {"state": "media" if is_media else "read", "records": 0}
        for path in unknown:
            if self._files[path]["state"] != "media":
                self._files[path]["state"] = "unknown"
        for trouble in tree.troubles:
            self.trouble(trouble)

    def record(self, record: Record) -> None:
        """Count one record."""
        self._records += 1
        self._words += record.is_words and bool(record.text)
        self._activities[f"{record.platform} {record.activity}"] += 1
        file = self._files.get(record.member)
        if file is not None:
            file["records"] += 1
        for uri in record.media:
            if not uri.startswith(("http://", "https://")):
                self._media["linked" if self._tree.resolve(uri, near=record.member) else "missing"] += 1
        at = record.occurred_at
        if at is not None:
            self._since = min(self._since or at, at)
            self._until = max(self._until or at, at)

    def trouble(self, trouble: Trouble) -> None:
        """Note what could not be read."""
        if trouble.is_fatal_for_member:
            self._files.setdefault(trouble.member, {"records": 0})["state"] = "failed"
        elif trouble.member in self._files:
            self._files[trouble.member]["state"] = "partly"
        if len(self._troubles) < _MOST_TROUBLES:
            self._troubles.append({"file": trouble.member, "message": trouble.message, "position": trouble.position})

    def tally(self, tally: Tally) -> None:
        """Add a count."""
        if tally.name == "not read yet":
            if tally.member in self._files:
                self._files[tally.member]["state"] = "not read yet"
        else:
            self._repairs[tally.name] += tally.count

    def as_json(self, shares: list[Share]) -> dict[str, Any]:
        """Return the report as it is kept with the import."""
        states = Counter(file["state"] for file in self._files.values())
        named = [
            {"path": path, **file}
            for path, file in sorted(self._files.items())
            if file["state"] != "media" or file["records"]
        ]
        return {
            "importers": [share.importer.title for share in shares],
            "files": named[:_MOST_FILES_NAMED],
            "files_not_named": max(0, len(named) - _MOST_FILES_NAMED),
            "counts": {
                "seen": len(self._files),
                "parsed": states["read"] + states["partly"],
                "not_read_yet": states["not read yet"],
                "unknown": states["unknown"],
                "failed": states["failed"],
                "media_files": states["media"],
                "records": self._records,
                "with_words": self._words,
            },
            "activities": dict(sorted(self._activities.items())),
            "media": {"linked": self._media["linked"], "missing": self._media["missing"]},
            "repairs": dict(sorted(self._repairs.items())),
            "since": self._since.isoformat() if self._since else None,
            "until": self._until.isoformat() if self._until else None,
            "troubles": self._troubles,
        }


class Teller:
    """Writes what is read to the process that waits for it."""

    def __init__(self, out: IO[bytes]) -> None:
        self._out = out
        self._rows: list[list[Any]] = []
        self._told_at = 0.0
        self._member = ""
        self._total = 0
        self._read = 0
        self._records = 0
        self._size = 0
        self._languages: dict[tuple[str, str], str] = {}

    def tell(self, kind: str, **facts: Any) -> None:
        """Write one line."""
        line = json.dumps({"kind": kind, **facts}, separators=(",", ":"), ensure_ascii=False)
        self._out.write(line.encode("utf-8", "replace") + b"\n")
        self._out.flush()
        self._told_at = time.monotonic()

    def begin(self, total: int) -> None:
        """Start to count bytes."""
        self._total = total
        self._read = 0

    def opened(self, path: str) -> None:
        """Note which member is being read: the one to blame if this is the last that is heard."""
        self._member = path
        self.tell("opened", member=path)

    def read(self, size: int) -> None:
        """Note how much was read, and show it now and then."""
        self._read = size
        if time.monotonic() - self._told_at > _EVERY_S:
            self.progress()

    def progress(self) -> None:
        """Show how far it is."""
        done = min(self._read, self._total) if self._total else self._read
        self.tell("progress", bytes_done=done, bytes_total=self._total, records=self._records, member=self._member)

    def record(self, record: Record) -> None:
        """Write a record, with others."""
        raw = record.raw
        size = len(repr(raw))
        if size > _MOST_RAW:
            raw, size = {"left_out": "longer than a row may be"}, 0
        self._rows.append(_row(record, raw, self._language(record)))
        self._size += size + len(record.text) + len(record.context)
        self._records += 1
        if len(self._rows) >= _ROWS_PER_LINE or self._size > _LETTERS_PER_LINE:
            self.flush()
            self.progress()

    def _language(self, record: Record) -> str:
        """Return the language of a record's words; of a line that does not tell, the one its author wrote in before."""
        if not (record.is_words and record.text):
            return ""
        who = (record.conversation, record.author)
        language = identify(record.text)
        if not language:
            return self._languages.get(who, "")
        if len(self._languages) > _MOST_AUTHORS:
            self._languages.clear()
        self._languages[who] = language
        return language

    def flush(self) -> None:
        """Write the records that wait."""
        if self._rows:
            self.tell("records", rows=self._rows)
            self._rows = []
            self._size = 0


def main() -> int:
    """Read one import and tell it; return the exit status."""
    request = json.loads(sys.stdin.buffer.readline())
    _limit()
    _end_with_the_parent()
    teller = Teller(sys.stdout.buffer)
    try:
        _read(request, teller)
    except ArchiveInvalid as error:
        teller.tell("refused", error=str(error), next_step=error.next_step)
    except BrokenPipeError:
        return 3
    return 0


def _read(request: dict[str, Any], teller: Teller) -> None:
    tree = SafeTree(Path(request["path"]), on_open=teller.opened, on_read=teller.read)
    left_out = dict(request.get("left_out", {}))
    for member in left_out:
        tree.leave_out(member)
    shares, unknown = recognise(tree)
    options = _options(request["options"])
    if not shares:
        first = tree.troubles[0].message if tree.troubles else ""
        raise ArchiveInvalid(
            f"Nothing in it is of a kind that is read so far. {first}".strip(),
            next_step=f"These are read: {_READ_SO_FAR}.",
        )
    questions = [question for share in shares for question in share.importer.questions(share.view, options)]
    if questions:
        told = [
            {
                "option": one.option,
                "text": one.text,
                "choices": [list(choice) for choice in one.choices],
                "file": one.member,
            }
            for one in questions
        ]
        teller.tell("questions", questions=told)
        return
    report = Report(tree, unknown)
    for member, reason in left_out.items():
        report.trouble(Trouble(member=member, message=reason))
    sizes = sum(
        member.size_bytes
        for share in shares
        for member in share.view.members()
        if not member.path.lower().endswith(_MEDIA)
    )
    teller.tell("plan", importers=[share.importer.name for share in shares], bytes_total=sizes)
    tree.bytes_read = 0
    teller.begin(sizes)
    for share in shares:
        for found in share.importer.read(share.view, options):
            if isinstance(found, Record):
                report.record(found)
                teller.record(found)
            elif isinstance(found, Trouble):
                report.trouble(found)
            else:
                report.tally(found)
    teller.flush()
    teller.progress()
    teller.tell("end", report=report.as_json(shares))


def _options(given: dict[str, Any]) -> ReadOptions:
    return ReadOptions(
        owner_names=tuple(given.get("owner_names") or ()),
        timezone=given.get("timezone") or "UTC",
        day_first=given.get("day_first"),
        persona_names=tuple(given.get("persona_names") or ()),
    )


def _row(record: Record, raw: dict[str, Any], language: str) -> list[Any]:
    """Return a record as it is stored, with its language and importance."""
    text = _clean(record.text)
    is_said = record.is_words and bool(text)
    return [
        record.platform,
        record.activity,
        record.natural_key,
        text,
        _clean(record.author)[:200],
        bool(record.is_owner),
        record.occurred_at.timestamp() if record.occurred_at else None,
        _clean(record.conversation)[:300],
        _clean(record.context),
        record.session,
        record.place,
        _clean(record.reply_to)[:300],
        [_clean(uri)[:1000] for uri in record.media],
        raw,
        _clean(record.member),
        record.position,
        is_said,
        language,
        importance(record) if is_said else 0.0,
    ]


def _clean(text: str) -> str:
    """Return a text that a database takes: no lone surrogates, no NUL."""
    if text.isascii():
        return text.replace("\0", "") if "\0" in text else text
    return text.encode("utf-8", "replace").decode("utf-8").replace("\0", "")


def _limit() -> None:
    os.nice(5)
    for what, most in (
        (resource.RLIMIT_AS, _MOST_MEMORY_BYTES),
        (resource.RLIMIT_CPU, _MOST_CPU_S),
        (resource.RLIMIT_FSIZE, _MOST_FILE_BYTES),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(what)
        resource.setrlimit(what, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def _end_with_the_parent() -> None:
    def _wait() -> None:
        while os.read(sys.stdin.fileno(), 4096):
            pass
        os._exit(3)

    threading.Thread(target=_wait, name="parent", daemon=True).start()


if __name__ == "__main__":
    sys.exit(main())
