"""The sample personas: an invented grandmother and an invented bakery, made by importing sample exports.

They are made once. Deleting one does not bring it back: what was made is noted in the data folder.
"""

from __future__ import annotations

import asyncio
import json
import logging
import tomllib
from pathlib import Path
from typing import Protocol

from pydantic import BaseModel, ConfigDict

from knowledge import importing, personas
from knowledge.clock import Clock
from knowledge.database import Connection, Database
from knowledge.tables import ImportJob, Persona

log = logging.getLogger(__name__)

_HERE = Path(__file__).resolve().parent
_MARK = "samples.json"


class SampleImport(BaseModel):
    """One folder of a sample's material."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str
    name: str


class Sample(BaseModel):
    """What `persona.toml` says of a sample."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    kind: str
    visibility: str
    languages: tuple[str, ...]
    timezone: str
    owner_names: tuple[str, ...]
    audience: str
    suggestions: dict[str, tuple[str, ...]]
    """What a visitor may begin with, by language."""
    imports: tuple[SampleImport, ...]


class Imports(Protocol):
    """What making a sample needs of the imports."""

    async def start(
        self,
        persona_id: str,
        path: str,
        *,
        name: str = "",
        audience: str = "owner",
        owner_names: tuple[str, ...] = (),
        timezone: str = "UTC",
        day_first: bool | None = None,
    ) -> str:
        """Queue an import and return its job's id."""

    async def import_now(self, job_id: str) -> ImportJob:
        """Do one import and return it as it ended."""


def samples() -> dict[str, Sample]:
    """Return the samples there are, by their slug."""
    found: dict[str, Sample] = {}
    for path in sorted(_HERE.glob("*/persona.toml")):
        found[path.parent.name] = Sample.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    return found


async def create_samples(
    database: Database, imports: Imports, *, folder: Path, clock: Clock, only: frozenset[str] | None = None
) -> list[str]:
    """Make the samples that were never made in this data folder and return their slugs.

    A kill in between is harmless: the next call goes on where this one was.
    """
    mark = folder / _MARK
    made = await asyncio.to_thread(_made, mark)
    new: list[str] = []
    for slug, sample in (await asyncio.to_thread(samples)).items():
        if slug in made or (only is not None and slug not in only):
            continue
        persona = await _persona(database, slug, sample, clock)
        for wanted in sample.imports:
            await _import(database, imports, persona, slug, sample, wanted)
        made.add(slug)
        new.append(slug)
        await asyncio.to_thread(_note, mark, made)
        log.info("sample persona made", extra={"persona": persona.id})
    return new


async def _persona(database: Database, slug: str, sample: Sample, clock: Clock) -> Persona:
    at = clock.now()

    def _found_or_made(c: Connection) -> Persona:
        found = personas.persona_by_slug(c, slug)
        if found is not None and found.is_sample:
            return found
        made = personas.create_persona(
            c,
            name=sample.name,
            kind=sample.kind,
            visibility=sample.visibility,
            slug=slug if found is None else None,
            languages=sample.languages,
            timezone=sample.timezone,
            is_sample=True,
            at=at,
        )
        return personas.update_persona(c, made.id, settings={"suggestions": sample.suggestions}, at=at)

    return await database.write(_found_or_made)


async def _import(
    database: Database, imports: Imports, persona: Persona, slug: str, sample: Sample, wanted: SampleImport
) -> None:
    path = str(_HERE / slug / wanted.path)
    known = await database.read(lambda c: [job for job in importing.jobs(c, persona.id) if job.path == path])
    job_id = (
        known[0].id
        if known
        else await imports.start(
            persona.id,
            path,
            name=wanted.name,
            audience=sample.audience,
            owner_names=sample.owner_names,
            timezone=sample.timezone,
        )
    )
    ended = await imports.import_now(job_id)
    if ended.state != "done":
        log.warning("a sample could not be imported", extra={"job": job_id})


def _made(mark: Path) -> set[str]:
    try:
        found = json.loads(mark.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return set()
    return {str(slug) for slug in found} if isinstance(found, list) else set()


def _note(mark: Path, made: set[str]) -> None:
    written = mark.with_suffix(".new")
    written.write_text(json.dumps(sorted(made)), encoding="utf-8")
    written.replace(mark)
