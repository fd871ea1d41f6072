"""Imports in the panel: giving a persona something to remember, watching it being read, and taking it back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from aiohttp import BodyPartReader, MultipartReader, web

from admin.audiences import Audiences, audiences_of
from admin.desk import Desk
from admin.errors import FormInvalid, PageNotFound
from admin.form import Form
from knowledge import importing, memories
from knowledge.database import Connection
from knowledge.errors import ArchiveInvalid, Conflict, KnowledgeError
from knowledge.tables import ImportJob, Persona, Source
from knowledge.viewer import OWNER, owner_viewer

_CHUNK = 256 * 1024
_MOST_FIELD_BYTES = 8 * 1024
_MOST_FIELDS = 12
_DATE_ORDERS = {"": None, "day": True, "month": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What somebody said about what they import."""

    audience: str
    owner_names: tuple[str, ...]
    timezone: str
    day_first: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a running import is. What is not known yet is None."""

    share: float | None
    left_s: float | None
    records: int
    member: str


class ImportPages:
    """The imports of one persona."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> list[web.AbstractRouteDef]:
        """Return the routes of these pages."""
        base = "/admin/personas/{slug}/import"
        return [
            web.get(base, self.listing),
            web.post(base + "/upload", self.upload),
            web.post(base + "/path", self.path),
            web.get(base + "/{job_id}", self.show),
            web.post(base + "/{job_id}/again", self.again),
            web.post(base + "/{job_id}/undo", self.undo),
        ]

    async def listing(self, request: web.Request) -> web.Response:
        """Show the forms and what was imported."""
        await self._desk.gate.need(request)
        persona = await self._desk.persona(request)
        values = {"audience": OWNER, "timezone": persona.timezone}
        return await self._listing(request, persona, values)

    async def upload(self, request: web.Request) -> web.StreamResponse:
        """Take a file as it streams in, and queue its import."""
        signed_in = await self._desk.gate.need(request, "curator")
        persona = await self._desk.persona(request)
        if request.content_type != "multipart/form-data":
            raise web.HTTPUnsupportedMediaType
        values: dict[str, list[str]] = {}
        try:
            reader = await request.multipart()
            file = await _next_file(reader, values)
            form = Form(values)
            self._desk.gate.check_token(request, signed_in, form.text("csrf", is_required=False))
            return await self._take(request, persona, form, file)
        except (ValueError, LookupError, AssertionError) as error:
            raise web.HTTPBadRequest from error

    async def path(self, request: web.Request) -> web.Response:
        """Queue the import of a file or folder that lies on the server."""
        form = await self._desk.gate.form(request, "owner")
        persona = await self._desk.persona(request)
        audiences = await self._audiences(persona)
        try:
            wish = _wish(form, audiences)
            path = form.text("path", most=2000)
            form.check()
            job_id = await self._start(persona, path, "", wish)
        except FormInvalid as error:
            return await self._listing(request, persona, form.values, "path", error)
        return await self._desk.done(request, f"{_address(persona)}/{job_id}")

    async def show(self, request: web.Request) -> web.Response:
        """Show how one import is doing, or what it brought."""
        await self._desk.gate.need(request)
        persona, job = await self._job(request)
        return await self._one(request, persona, job)

    async def again(self, request: web.Request) -> web.Response:
        """Start an import once more, with what it asked for."""
        form = await self._desk.gate.form(request)
        persona, job = await self._job(request)
        if job.state != "failed":
            raise PageNotFound("This import has nothing to ask.")
        try:
            names = form.many("owner_names", _named(job)) if _asks(job, "owner_names") else _names(job)
            if not names and _asks(job, "owner_names"):
                form.errors["owner_names"] = "Please choose at least one name."
            order = form.choice("date_order", ("day", "month")) if _asks(job, "day_first") else ""
            form.check()
            wish = Wish(
                audience=str(job.options.get("audience", OWNER)),
                owner_names=tuple(names),
                timezone=str(job.options.get("timezone", "UTC")),
                day_first=_DATE_ORDERS[order] if order else job.options.get("day_first"),
            )
            job_id = await self._start(persona, job.path, job.name, wish)
        except FormInvalid as error:
            return await self._one(request, persona, job, error)
        return await self._desk.done(request, f"{_address(persona)}/{job_id}")

    async def undo(self, request: web.Request) -> web.Response:
        """Take back everything one import brought."""
        await self._desk.gate.form(request)
        persona, job = await self._job(request)
        if job.source_id is None:
            raise PageNotFound("This import brought nothing that could be taken back.")
        try:
            count = await self._desk.services.imports.undo(job.source_id)
        except Conflict as error:
            return await self._desk.done(request, f"{_address(persona)}/{job.id}", str(error), kind="bad")
        words = f"Taken back: {count:,} memories are gone." if count != 1 else "Taken back: one memory is gone."
        return await self._desk.done(request, f"{_address(persona)}/{job.id}", words)

    async def _take(
        self, request: web.Request, persona: Persona, form: Form, file: BodyPartReader | None
    ) -> web.StreamResponse:
        audiences = await self._audiences(persona)
        try:
            wish = _wish(form, audiences)
            if file is None or not file.filename:
                form.errors["file"] = "Please choose a file."
            form.check()
            assert file is not None
            name = Form({"name": [file.filename or ""]}).text("name", most=200)
            stored = await self._store(name or "upload", file)
            job_id = await self._start(persona, stored, name, wish)
        except FormInvalid as error:
            return await self._listing(request, persona, form.values, "upload", error)
        return await self._desk.done(request, f"{_address(persona)}/{job_id}")

    async def _store(self, name: str, file: BodyPartReader) -> str:
        try:
            return await self._desk.services.imports.upload(name, _chunks(file))
        except ArchiveInvalid as error:
            raise FormInvalid(str(error), fields={"file": f"{error} {error.next_step}".strip()}) from error

    async def _start(self, persona: Persona, path: str, name: str, wish: Wish) -> str:
        try:
            return await self._desk.services.imports.start(
                persona.id,
                path,
                name=name,
                audience=wish.audience,
                owner_names=wish.owner_names,
                timezone=wish.timezone,
                day_first=wish.day_first,
            )
        except ArchiveInvalid as error:
            words = f"{error} {error.next_step}".strip()
            raise FormInvalid(str(error), fields={"path" if not name else "file": words}) from error

    async def _audiences(self, persona: Persona) -> Audiences:
        return await self._desk.read(lambda c: audiences_of(c, persona))

    async def _job(self, request: web.Request) -> tuple[Persona, ImportJob]:
        persona = await self._desk.persona(request)
        job_id = request.match_info["job_id"]
        job = await self._desk.read(lambda c: importing.job(c, job_id))
        if job.persona_id != persona.id:
            raise PageNotFound("This persona has no such import.")
        return persona, job

    async def _one(
        self, request: web.Request, persona: Persona, job: ImportJob, error: FormInvalid | None = None
    ) -> web.Response:
        audiences = await self._audiences(persona)
        return await self._desk.panel_page(
            request,
            "panel/import_job.html",
            here="import",
            persona=persona,
            error=error,
            job=job,
            progress=_progress(job),
            report=job.report,
            told_lines=_besides(job.report),
            source=await self._desk.read(lambda c: _source(c, job)),
            audience=audiences.words(str(job.options.get("audience", OWNER))),
        )

    async def _listing(
        self,
        request: web.Request,
        persona: Persona,
        values: dict[str, str],
        part: str = "",
        error: FormInvalid | None = None,
    ) -> web.Response:
        return await self._desk.panel_page(
            request,
            "panel/imports.html",
            here="import",
            persona=persona,
            error=error,
            part=part,
            values=values,
            audiences=await self._audiences(persona),
            jobs=await self._desk.read(lambda c: importing.jobs(c, persona.id)),
            count=await self._desk.read(lambda c: memories.count_memories(c, owner_viewer(persona.id))),
        )


def _address(persona: Persona) -> str:
    return f"/admin/personas/{persona.slug}/import"


def _wish(form: Form, audiences: Audiences) -> Wish:
    return Wish(
        audience=form.choice("audience", audiences.values),
        owner_names=tuple(form.words("owner_names", most=8)),
        timezone=form.timezone("timezone"),
        day_first=_DATE_ORDERS[form.choice("date_order", _DATE_ORDERS, default="") if not form.errors else ""],
    )


async def _next_file(reader: MultipartReader, values: dict[str, list[str]]) -> BodyPartReader | None:
    """Read the fields before the file into `values`, and return the file unread; None when none was chosen."""
    for _ in range(_MOST_FIELDS):
        part = await reader.next()
        if not isinstance(part, BodyPartReader):
            return None
        if part.name == "file":
            return part
        text = bytearray()
        while chunk := await part.read_chunk(_MOST_FIELD_BYTES):
            text += chunk
            if len(text) > _MOST_FIELD_BYTES:
                raise ValueError("a field of the form is too long")
        values.setdefault(part.name or "", []).append(text.decode("utf-8", "replace"))
    return None


async def _chunks(file: BodyPartReader) -> AsyncIterator[bytes]:
    while chunk := await file.read_chunk(_CHUNK):
        yield chunk


def _progress(job: ImportJob) -> Progress | None:
    if job.state not in ("queued", "running"):
        return None
    told: dict[str, Any] = job.progress
    done, whole, left = told.get("bytes_done", 0), told.get("bytes_total", 0), told.get("seconds_left")
    return Progress(
        share=min(1.0, done / whole) if whole else None,
        left_s=float(left) if left is not None else None,
        records=int(told.get("records", 0)),
        member=str(told.get("member", "")),
    )


def _questions(job: ImportJob) -> list[dict[str, Any]]:
    return list(job.report.get("questions") or ())


def _asks(job: ImportJob, option: str) -> bool:
    return any(question["option"] == option for question in _questions(job))


def _named(job: ImportJob) -> list[str]:
    """Return the names an import asked to choose from."""
    return [str(name) for question in _questions(job) for name, _ in question["choices"]]


def _names(job: ImportJob) -> list[str]:
    return [str(name) for name in job.options.get("owner_names") or ()]


def _besides(report: dict[str, Any]) -> list[str]:
    """Return what is worth saying beside the figures."""
    lines = importing.describe_report(report) if report.get("counts") else []
    return [line for line in lines[1:] if not line.startswith((" ", "From "))]


def _source(c: Connection, job: ImportJob) -> Source | None:
    try:
        return memories.source(c, job.source_id) if job.source_id else None
    except KnowledgeError:
        return None
