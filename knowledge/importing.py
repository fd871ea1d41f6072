"""Imports: queued, read in a process of their own, kept in small transactions, finished after any interruption."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sqlalchemy import Connection, select, update

from knowledge import personas
from knowledge.clock import Clock
from knowledge.database import Database
from knowledge.errors import ArchiveInvalid, Conflict, NotFound
from knowledge.import_reading import ReaderFailed, Reading, told
from knowledge.import_rows import Keeper, ReadRow, count_kept, take_back
from knowledge.importers import recognise
from knowledge.live import Event, Live
from knowledge.memories import check_audience, create_source
from knowledge.people import owner_person
from knowledge.rows import all_of, first_of, insert, table
from knowledge.tables import FootprintRecord, ImportJob, Source, new_id
from knowledge.viewer import OWNER, Viewer, visible

__all__ = ["ImportRunner", "describe_report", "job", "jobs", "recognise", "records"]

log = logging.getLogger(__name__)

MOST_UPLOAD_BYTES = 20 << 30
_MOST_ATTEMPTS = 6
_ENDED = ("done", "failed")
_RETRY_S = 5.0
_FRESH_S = 3600.0

_job = table(ImportJob)
_source = table(Source)
_record = table(FootprintRecord)

OnFinished = Callable[[ImportJob], Awaitable[None]]


class ImportRunner:
    """Does the imports of one data folder, one at a time."""

    def __init__(
        self,
        database: Database,
        data_folder: Path,
        *,
        clock: Clock,
        live: Live,
        recall_notify: Callable[[], None] = lambda: None,
        on_finished: OnFinished | None = None,
        patience_s: float = 60.0,
        progress_s: float = 0.7,
        most_upload_bytes: int = MOST_UPLOAD_BYTES,
    ) -> None:
        self._database = database
        self._uploads = data_folder / "uploads"
        self._scratch = data_folder / "scratch"
        self._clock = clock
        self._live = live
        self._recall_notify = recall_notify
        self._on_finished = on_finished
        self._patience_s = patience_s
        self._progress_s = progress_s
        self._most_upload_bytes = most_upload_bytes
        self._turn = asyncio.Lock()
        self._wanted = asyncio.Event()
        self._current: str | None = None

    async def upload(self, name: str, chunks: AsyncIterator[bytes]) -> str:
        """Store an uploaded file in the data folder and return its path.

        Raises:
            ArchiveInvalid: when it is larger than an import may be, or empty.
        """
        folder = self._uploads / new_id()
        path = folder / _safe_name(name)
        await asyncio.to_thread(folder.mkdir, parents=True)
        size = 0
        try:
            file = await asyncio.to_thread(path.open, "xb")
            try:
                async for chunk in chunks:
                    size += len(chunk)
                    if size > self._most_upload_bytes:
                        raise ArchiveInvalid(
                            f"The file is larger than the {self._most_upload_bytes >> 30} GB that can be uploaded.",
                            next_step="Put it on the server and give its path, or import it in parts.",
                        )
                    await asyncio.to_thread(file.write, chunk)
            finally:
                await asyncio.to_thread(file.close)
            if not size:
                raise ArchiveInvalid("The file is empty.", next_step="Choose it again.")
        except BaseException:
            await asyncio.to_thread(shutil.rmtree, folder, True)
            raise
        return str(path)

    async def start(
        self,
        persona_id: str,
        path: str,
        *,
        name: str = "",
        audience: str = OWNER,
        owner_names: tuple[str, ...] = (),
        timezone: str = "UTC",
        day_first: bool | None = None,
    ) -> str:
        """Queue an import and return its job's id; its progress is published under `import/<job id>`.

        Raises:
            ArchiveInvalid: when there is nothing at the path, or the time zone does not exist.
            NotFound: when the persona or the audience does not exist.
        """
        where = Path(path)
        if not await asyncio.to_thread(where.exists):
            raise ArchiveInvalid("There is no file or folder at that path.", next_step="Check the path and try again.")
        try:
            ZoneInfo(timezone or "UTC")
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ArchiveInvalid("There is no such time zone.", next_step="Write it like Europe/Madrid.") from error
        options = {
            "audience": audience,
            "owner_names": [one.strip() for one in owner_names if one.strip()],
            "timezone": timezone or "UTC",
            "day_first": day_first,
        }
        at = self._clock.now()

        def _queue(c: Connection) -> str:
            personas.persona(c, persona_id)
            check_audience(c, persona_id, audience)
            wanted = ImportJob(
                persona_id=persona_id,
                path=str(where.resolve()),
                name=name or where.name,
                options=options,
                created_at=at,
            )
            return insert(c, wanted).id

        job_id = await self._database.write(_queue)
        self._wanted.set()
        return job_id

    async def undo(self, source_id: str) -> int:
        """Take back everything one import brought; return how many memories went.

        Raises:
            Conflict: while that import is still being read.
            NotFound: when there is no such source.
        """
        at = self._clock.now()

        def _undo(c: Connection) -> tuple[int, list[str]]:
            mine = all_of(c, ImportJob, select(_job).where(_job.c.source_id == source_id))
            if any(one.state not in _ENDED for one in mine):
                raise Conflict("This import is still being read: wait until it has finished.")
            if c.execute(select(_source.c.id).where(_source.c.id == source_id)).scalar() is None:
                raise NotFound("There is no such source.")
            return take_back(c, source_id, at), [one.path for one in mine]

        count, paths = await self._database.write(_undo)
        for path in paths:
            await self._drop_upload(path)
        self._recall_notify()
        self._wanted.set()
        return count

    async def run(self) -> None:
        """Do the queued imports, one at a time, until cancelled; those that a crash interrupted come first."""
        await self._sweep()
        while True:
            try:
                await self._next()
            except Exception as error:  # a disk that is full now may not be so later
                log.error("imports wait for the database", extra={"error": type(error).__name__})
                await self._clock.sleep(_RETRY_S)

    async def _next(self) -> None:
        self._wanted.clear()
        waiting = await self._database.read(_next_job)
        if waiting is None:
            await self._wanted.wait()
            return
        try:
            await self.import_now(waiting)
        except Exception as error:
            # One import must not keep the others waiting, whatever is wrong with it.
            log.error("an import failed", extra={"job": waiting, "error": type(error).__name__})
            await self._fail(waiting, "Something went wrong while it was being kept. Start it again.")

    async def import_now(self, job_id: str) -> ImportJob:
        """Do one import and return it as it ended. One that has ended already is left as it is.

        Raises:
            NotFound: when there is no such job.
        """
        async with self._turn:
            wanted = await self._database.read(lambda c: job(c, job_id))
            if wanted.state in _ENDED:
                return wanted
            at = self._clock.now()
            begun = {"state": "running", "started_at": at, "error": "", "progress": {}}
            await self._change(job_id, begun)
            self._current = job_id
            try:
                await self._read(wanted)
            except ArchiveInvalid as error:
                await self._fail(job_id, f"{error} {error.next_step}".strip())
            finally:
                self._current = None
        ended = await self._database.read(lambda c: job(c, job_id))
        self._live.publish(Event(f"import/{job_id}", ended.state))
        if self._on_finished is not None and ended.state == "done":
            try:
                await self._on_finished(ended)
            except Exception as error:  # what is made of an import is not the import
                log.error("what follows an import failed", extra={"job": job_id, "error": type(error).__name__})
        return ended

    async def _read(self, wanted: ImportJob) -> None:
        """Read and keep one import, leaving out whatever file the reading process cannot survive."""
        options = dict(wanted.options) | await self._database.read(lambda c: _hints(c, wanted.persona_id))
        await asyncio.to_thread(self._scratch.mkdir, parents=True, exist_ok=True)
        left_out: dict[str, str] = {}
        while True:
            reading = Reading(
                path=wanted.path,
                options=options,
                left_out=left_out,
                patience_s=self._patience_s,
                scratch=self._scratch,
            )
            try:
                await self._keep(wanted, reading)
                return
            except ReaderFailed as failure:
                log.warning("the reader of an import failed", extra={"job": wanted.id, "attempt": len(left_out) + 1})
                if not failure.member or failure.member in left_out or len(left_out) >= _MOST_ATTEMPTS:
                    raise ArchiveInvalid(
                        f"Reading it failed{f' at {failure.member}' if failure.member else ''}: {failure.reason}.",
                        next_step="Leave that file out and start the import again.",
                    ) from failure
                left_out[failure.member] = f"Not read: {failure.reason}."

    async def _keep(self, wanted: ImportJob, reading: Reading) -> None:
        keeper: Keeper | None = None
        told_at = began_at = self._clock.monotonic()
        lines = told(reading)
        async with contextlib.aclosing(lines):
            async for said in lines:
                kind = said["kind"]
                if kind == "plan":
                    keeper = await self._keeper(wanted, said["importers"])
                elif kind == "records" and keeper is not None:
                    rows = [ReadRow(*row) for row in said["rows"]]
                    await self._store(keeper, rows)
                elif kind == "progress" and self._clock.monotonic() - told_at >= self._progress_s:
                    told_at = self._clock.monotonic()
                    await self._tell_progress(wanted.id, said, told_at - began_at)
                elif kind == "questions":
                    await self._ask(wanted.id, said["questions"])
                elif kind == "end" and keeper is not None:
                    await self._finish(wanted, keeper, said["report"])

    async def _keeper(self, wanted: ImportJob, importers: list[str]) -> Keeper:
        return await self._database.write(lambda c: self._begin(c, wanted, importers))

    async def _store(self, keeper: Keeper, rows: list[ReadRow]) -> None:
        at = self._clock.now()
        await self._database.write(lambda c: keeper.keep(c, rows, at))
        self._recall_notify()

    def _begin(self, c: Connection, wanted: ImportJob, importers: list[str]) -> Keeper:
        current = job(c, wanted.id)
        audience = str(wanted.options.get("audience", OWNER))
        if current.source_id is None:
            made = create_source(
                c,
                persona_id=wanted.persona_id,
                kind="import",
                name=wanted.name,
                importer=", ".join(importers),
                audience=audience,
                at=self._clock.now(),
            )
            c.execute(update(_job).where(_job.c.id == wanted.id).values(source_id=made.id))
            return Keeper(wanted.persona_id, made.id, audience)
        return Keeper(wanted.persona_id, current.source_id, audience)

    async def _tell_progress(self, job_id: str, said: dict[str, Any], spent_s: float) -> None:
        done, total = int(said["bytes_done"]), int(said["bytes_total"])
        facts: dict[str, Any] = {"bytes_done": done, "bytes_total": total, "records": int(said["records"])}
        if total and done > total // 50:
            facts["seconds_left"] = round(spent_s * (total - done) / done, 1)
        await self._change(job_id, {"progress": facts | {"member": said["member"]}})
        self._live.publish(Event(f"import/{job_id}", "progress", facts))

    async def _ask(self, job_id: str, questions: list[dict[str, Any]]) -> None:
        text = " ".join(dict.fromkeys(question["text"] for question in questions))
        report = {"questions": questions}
        ended = {"state": "failed", "error": text, "report": report, "finished_at": self._clock.now()}
        await self._change(job_id, ended)

    async def _finish(self, wanted: ImportJob, keeper: Keeper, report: dict[str, Any]) -> None:
        at = self._clock.now()

        def _end(c: Connection) -> None:
            kept = count_kept(c, keeper.source_id)
            kept["known_before"] = max(0, report["counts"]["records"] - kept["rows"])
            whole = report | {"kept": kept}
            values = {"state": "done", "report": whole, "finished_at": at, "progress": {}}
            c.execute(update(_job).where(_job.c.id == wanted.id).values(values))

        await self._database.write(_end)
        log.info("import done", extra={"job": wanted.id, "records": report["counts"]["records"]})

    async def _fail(self, job_id: str, error: str) -> None:
        await self._change(job_id, {"state": "failed", "error": error, "finished_at": self._clock.now()})

    async def _change(self, job_id: str, values: dict[str, Any]) -> None:
        await self._database.write(lambda c: c.execute(update(_job).where(_job.c.id == job_id).values(values)) and None)

    async def _sweep(self) -> None:
        """Delete the uploads that no import needs any more, e.g. those of a persona that was removed."""
        wanted = await self._database.read(lambda c: set(c.execute(select(_job.c.path)).scalars()))
        kept = {Path(path).parent for path in wanted}
        before = self._clock.now().timestamp() - _FRESH_S

        def _delete() -> None:
            for folder in self._uploads.resolve().glob("*/"):
                if folder not in kept and folder.stat().st_mtime < before:
                    shutil.rmtree(folder, ignore_errors=True)

        await asyncio.to_thread(_delete)

    async def _drop_upload(self, path: str) -> None:
        folder = Path(path).parent
        if folder.parent == self._uploads.resolve():
            await asyncio.to_thread(shutil.rmtree, folder, True)


def jobs(c: Connection, persona_id: str) -> list[ImportJob]:
    """Return a persona's imports, newest first."""
    mine = select(_job).where(_job.c.persona_id == persona_id)
    return all_of(c, ImportJob, mine.order_by(_job.c.created_at.desc(), _job.c.id.desc()))


def job(c: Connection, job_id: str) -> ImportJob:
    """Return one import.

    Raises:
        NotFound: when there is none with this id.
    """
    found = first_of(c, ImportJob, select(_job).where(_job.c.id == job_id))
    if found is None:
        raise NotFound("There is no such import.")
    return found


def records(
    c: Connection,
    viewer: Viewer,
    *,
    platform: str | None = None,
    activity: str | None = None,
    source_id: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    after_id: int | None = None,
    limit: int = 100,
) -> list[FootprintRecord]:
    """Return the rows of imports that the viewer may see, in the order they were kept; go on with `after_id`.

    The row as it came, which may hold places and devices, is given to the owner alone.
    """
    query = select(_record).where(visible(viewer, _record.c.persona_id, _record.c.audience))
    for column, wanted in (("platform", platform), ("activity", activity), ("source_id", source_id)):
        if wanted is not None:
            query = query.where(_record.c[column] == wanted)
    if since is not None:
        query = query.where(_record.c.occurred_at >= since)
    if until is not None:
        query = query.where(_record.c.occurred_at <= until)
    if after_id is not None:
        query = query.where(_record.c.id > after_id)
    found = all_of(c, FootprintRecord, query.order_by(_record.c.id).limit(limit))
    if not viewer.sees_all:
        for row in found:
            row.raw = {}
    return found


def describe_report(report: dict[str, Any]) -> list[str]:
    """Return what came of an import in a few plain lines, for a terminal or a page."""
    if report.get("questions"):
        return [line for question in report["questions"] for line in _describe_question(question)]
    counts, kept = report.get("counts"), report.get("kept", {})
    if not counts:
        return []
    lines = [
        f"Read {counts['parsed']:,} of {counts['seen']:,} files: {counts['records']:,} rows, "
        f"{kept.get('memories', 0):,} memories ({', '.join(report['importers'])})."
    ]
    if report.get("since") and report.get("until"):
        lines.append(f"From {report['since'][:10]} to {report['until'][:10]}.")
    if kept.get("known_before"):
        lines.append(f"{kept['known_before']:,} rows were known already.")
    for name, words in (
        ("media_files", "media files lie beside the words"),
        ("not_read_yet", "files are of a kind that is not read yet"),
        ("unknown", "files were not recognised"),
        ("failed", "files could not be read"),
    ):
        if counts.get(name):
            lines.append(f"{counts[name]:,} {words}.")
    if report["media"]["missing"]:
        lines.append(f"{report['media']['missing']:,} photos, videos or voice notes were not in the export.")
    if report["repairs"].get("mojibake"):
        lines.append(f"{report['repairs']['mojibake']:,} texts with broken letters were mended.")
    lines += [f"  {trouble['file']}: {trouble['message']}" for trouble in report["troubles"][:10]]
    return lines


def _describe_question(question: dict[str, Any]) -> list[str]:
    lines = [question["text"]]
    if question["choices"]:
        lines.append(f"  Found: {', '.join(f'{name} ({count:,})' for name, count in question['choices'])}")
    if question["file"]:
        lines.append(f"  In: {question['file']}")
    return lines


def _next_job(c: Connection) -> str | None:
    waiting = (
        select(_job.c.id).where(_job.c.state.not_in(_ENDED)).order_by(_job.c.state.desc(), _job.c.created_at, _job.c.id)
    )
    return c.execute(waiting.limit(1)).scalar()


def _hints(c: Connection, persona_id: str) -> dict[str, Any]:
    """Return what the persona is called, so that its own words are found."""
    owner = owner_person(c, persona_id)
    names = [personas.persona(c, persona_id).name, owner.name, *owner.aliases]
    return {"persona_names": list(dict.fromkeys(name for name in names if name))}


def _safe_name(name: str) -> str:
    """Return a file name for the disk: the last part of what was given, without anything odd."""
    last = re.split(r"[/\\]", name)[-1]
    plain = "".join(letter if letter.isprintable() and letter not in ':*?"<>|' else "_" for letter in last).strip(". ")
    head, dot, ending = plain.rpartition(".")
    if not dot:
        head, ending = plain, ""
    return (head[:100] or "upload") + (f".{ending[:12]}" if ending else "")
