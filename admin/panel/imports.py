"""Imports in the panel: giving a persona something to remember, watching it being read, and taking it back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aiohttp import BodyPartReader, MultipartReader, web

from admin.audiences import Audiences, audiences_of
from admin.desk import Desk
from admin.errors import FormInvalid, PageNotFound
from admin.form import Form
from knowledge import importing, memories
from knowledge.database import Connection
from knowledge.errors import ArchiveInvalid, KnowledgeError
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
    """How far an import is, in numbers a page can show."""

    share: float | None
    left_s: float | None
    member: str
    counts: list[tuple[str, int]]


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
            web.post(base + "/{job_id}/undo", self.undo),
        ]

    async def listing(self, request: web.Request) -> web.Response:
        """Show the forms and what was imported."""
        await self._desk.gate.need(request)
        persona = await self._desk.persona(request)
        values = {"audience": OWNER, "timezone": persona.timezone, "owner_names": persona.name}
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
        audiences = await self._audiences(persona)
        return await self._desk.panel_page(
            request,
            "panel/import_job.html",
            here="import",
            persona=persona,
            job=job,
            progress=_progress(job, self._desk.now()),
            report=_report(job),
            source=await self._desk.read(lambda c: _source(c, job)),
            audience=audiences.words(str(job.options.get("audience", OWNER))),
        )

    async def undo(self, request: web.Request) -> web.Response:
        """Take back everything one import brought."""
        await self._desk.gate.form(request)
        persona, job = await self._job(request)
        if job.source_id is None:
            raise PageNotFound("This import brought nothing that could be taken back.")
        count = await self._desk.services.imports.undo(job.source_id)
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


def _progress(job: ImportJob, now: datetime) -> Progress | None:
    """Return how far a running import is; the time left is guessed from the time it took so far."""
    if job.state not in ("queued", "running"):
        return None
    told: dict[str, Any] = job.progress
    done, whole = _figure(told.get("bytes_done")), _figure(told.get("bytes_total"))
    share = min(1.0, done / whole) if whole else None
    spent_s = (now - job.started_at).total_seconds() if job.started_at else 0.0
    left_s = spent_s * (1 - share) / share if share and share > 0.02 and spent_s > 1 else None
    counts = [(str(name).replace("_", " "), int(value)) for name, value in told.items() if _is_count(name, value)]
    return Progress(share=share, left_s=left_s, member=str(told.get("member", "")), counts=counts)


def _report(job: ImportJob) -> dict[str, Any]:
    return job.report


def _figure(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _is_count(name: str, value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and not name.startswith("bytes")


def _source(c: Connection, job: ImportJob) -> Source | None:
    try:
        return memories.source(c, job.source_id) if job.source_id else None
    except KnowledgeError:
        return None
