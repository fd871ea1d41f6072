"""The analyst: lets a chat model write who a persona is, and keeps of it what the memories bear out.

Each audience's text is written from nothing but what that audience may see. A text that a human wrote is left alone.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from agents.claims import Claim, claims_of, is_borne_out
from agents.endpoint import Endpoint, Message, ModelConfig
from agents.errors import ModelError
from agents.prompting import as_data, language_name, prompt, wording
from knowledge.clock import Clock
from knowledge.database import Connection, Database
from knowledge.memories import memories, memories_by_id
from knowledge.personas import persona
from knowledge.profiles import COMPUTED, profile_versions, save_profile
from knowledge.tables import Memory, Profile
from knowledge.viewer import OWNER, PUBLIC, Viewer, owner_viewer

log = logging.getLogger(__name__)

_CHARACTERS = {"biography": 600, "description": 3000}
_READ_CHARACTERS = 14_000
_MEMORY_CHARACTERS = 600
_FEWEST_MEMORIES = 3
_MOST_OF_A_KIND = 30
_WRITTEN_DOWN = ("correction", "fact", "note", "document")
_NEW_ENOUGH = 25
_LOOKED_BACK = 200
_KEPT_SHARE = 0.5
_FEWEST_CLAIMS = 2


async def improve_profile(persona_id: str, *, database: Database, clock: Clock, model: ModelConfig) -> bool:
    """Let the model write a better profile for each audience that has one; return whether one was kept.

    The computed one stays where the model fails, or where too little of what it wrote is borne out.

    Raises:
        NotFound: when there is no such persona.
    """
    jobs = await database.read(lambda c: _jobs(c, persona_id))
    if not jobs:
        return False
    endpoint = Endpoint(model, clock)
    kept = 0
    try:
        for job in jobs:
            reply = await endpoint.ask(job.messages(), timeout_s=model.timeout_s)
            written = _checked(job, reply.text, made_by=f"model:{model.name}", at=clock.now())
            if written is not None and await database.write(written.keep):
                kept += 1
    except ModelError as error:
        log.info("the model wrote no profile", extra={"ids": {"persona": persona_id, "why": error.kind}})
    finally:
        await endpoint.close()
    return kept > 0


@dataclass(frozen=True, slots=True)
class _Job:
    """One audience's profile to be written, from these memories: their numbers are their places, from 1 on."""

    profile: Profile
    name: str
    kind: str
    language: str
    memories: tuple[Memory, ...]

    def messages(self) -> list[Message]:
        told = "\n".join(
            f'<memory n="m{number}">{as_data(memory.text, _MEMORY_CHARACTERS)}</memory>'
            for number, memory in enumerate(self.memories, start=1)
        )
        kind = wording(f"kinds.{self.kind}")
        rules = prompt("biography", name=self.name, kind=kind, language=language_name(self.language))
        return [{"role": "system", "content": rules}, {"role": "user", "content": f"<memories>\n{told}\n</memories>"}]


@dataclass(frozen=True, slots=True)
class _Written:
    """A profile that was borne out and is not kept yet."""

    job: _Job
    biography: str
    description: str
    cited: tuple[Memory, ...]
    made_by: str
    at: datetime

    def keep(self, c: Connection) -> bool:
        """Keep it, unless the profile or a memory it cites was changed while the model wrote."""
        before = self.job.profile
        viewer = _reader(before)
        now = memories_by_id(c, viewer, (_id(memory) for memory in self.cited))
        if [memory.text for memory in now] != [memory.text for memory in self.cited]:
            return False
        if before.id not in [profile.id for profile in _current(c, before.persona_id)]:
            return False
        save_profile(
            c,
            persona_id=before.persona_id,
            biography=self.biography,
            description=self.description,
            style=before.style,
            cited=[_id(memory) for memory in self.cited],
            audience=before.audience,
            made_by=self.made_by,
            at=self.at,
        )
        return True


def _jobs(c: Connection, persona_id: str) -> list[_Job]:
    whose = persona(c, persona_id)
    jobs = []
    for profile in _current(c, persona_id):
        if not _is_due(c, profile):
            continue
        read = _to_read(c, profile)
        if len(read) >= _FEWEST_MEMORIES:
            spoken = profile.style.get("languages") or {}
            language = next(iter([*spoken, *whose.languages]), "en")
            jobs.append(_Job(profile, whose.name, whose.kind, language, tuple(read)))
    return jobs


def _current(c: Connection, persona_id: str) -> list[Profile]:
    return [profile for profile in profile_versions(c, owner_viewer(persona_id)) if profile.is_current]


def _is_due(c: Connection, profile: Profile) -> bool:
    """Return whether a profile was computed, or written by a model that has much new to read by now."""
    if profile.made_by == COMPUTED:
        return True
    if not profile.made_by.startswith("model:"):
        return False
    newest = memories(c, _reader(profile), limit=_LOOKED_BACK)
    new = [memory for memory in newest if memory.is_own and _is_source(memory) and memory.recorded_at > profile.made_at]
    return len(new) >= _NEW_ENOUGH


def _to_read(c: Connection, profile: Profile) -> list[Memory]:
    """Return what the text is written from: what the profile cites, what was written down, what is newest."""
    viewer = _reader(profile)
    found = memories_by_id(c, viewer, profile.cited)
    for kind in _WRITTEN_DOWN:
        found += memories(c, viewer, kind=kind, limit=_MOST_OF_A_KIND)
    found += [memory for memory in memories(c, viewer, kind="said", limit=_LOOKED_BACK) if memory.is_own]
    kept: dict[int, Memory] = {}
    left = _READ_CHARACTERS
    for memory in found:
        size = min(len(memory.text), _MEMORY_CHARACTERS)
        if _id(memory) in kept or not memory.text or not _is_source(memory) or size > left:
            continue
        kept[_id(memory)] = memory
        left -= size
    return list(kept.values())


def _is_source(memory: Memory) -> bool:
    """Return whether a memory tells of the persona itself: its words, or what was written down for it."""
    return (memory.is_own and memory.kind != "replied") or memory.kind in _WRITTEN_DOWN


def _reader(profile: Profile) -> Viewer:
    if profile.audience == OWNER:
        return owner_viewer(profile.persona_id)
    return Viewer(persona_id=profile.persona_id, audiences=frozenset({PUBLIC, profile.audience}))


def _checked(job: _Job, text: str, *, made_by: str, at: datetime) -> _Written | None:
    """Return what is borne out of `text`, None when that is too little to be better than the computed profile."""
    texts = {number: as_data(memory.text, _MEMORY_CHARACTERS) for number, memory in enumerate(job.memories, start=1)}
    claims = list(claims_of(text))
    borne_out = [claim for claim in claims if is_borne_out(claim, texts, name=job.name, language=job.language)]
    if not claims or len(borne_out) / len(claims) < _KEPT_SHARE:
        return None
    biography, description = (_fitting(borne_out, part) for part in ("biography", "description"))
    if min(len(biography), len(description)) < _FEWEST_CLAIMS:
        return None
    numbers = dict.fromkeys(number for claim in (*biography, *description) for number in claim.numbers)
    return _Written(
        job=job,
        biography=_joined(biography),
        description=_joined(description),
        cited=tuple(job.memories[number - 1] for number in numbers),
        made_by=made_by,
        at=at,
    )


def _fitting(claims: Sequence[Claim], part: str) -> list[Claim]:
    kept: dict[str, Claim] = {}
    left = _CHARACTERS[part]
    for claim in claims:
        if claim.part == part and claim.text not in kept and len(claim.text) < left:
            kept[claim.text] = claim
            left -= len(claim.text) + 2
    return list(kept.values())


def _joined(claims: Sequence[Claim]) -> str:
    paragraphs: dict[int, list[str]] = {}
    for claim in claims:
        paragraphs.setdefault(claim.paragraph if claim.part == "description" else 0, []).append(claim.text)
    return "\n\n".join(" ".join(texts) for texts in paragraphs.values())


def _id(memory: Memory) -> int:
    assert memory.id is not None
    return memory.id
