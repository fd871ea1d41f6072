"""Profiles: versions of who a persona is, each made of what its audience may see."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select, update

from knowledge.errors import Forbidden, NotFound
from knowledge.personas import persona
from knowledge.portrait import Own, Portrait, Telling, portrait_from, tellings_of
from knowledge.rows import all_of, first_of, insert, table
from knowledge.style import Sentence, Traits, card_of, traits_of
from knowledge.tables import Memory, Profile
from knowledge.viewer import OWNER, PUBLIC, Viewer, owner_viewer, visible

COMPUTED = "computed"

_profile = table(Profile)
_memory = table(Memory)
_FEWEST_MESSAGES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileDraft:
    """A profile that was computed and not kept yet."""

    persona_id: str
    audience: str
    portrait: Portrait
    quoted: tuple[str, ...]
    """The words of the memories that the portrait cites, as they were read."""
    style: dict[str, Any]


def compute_profile(c: Connection, persona_id: str, *, at: datetime) -> list[Profile]:
    """Compute the profile of every audience from the persona's own words, and keep those that changed.

    A large persona takes seconds: where others wait for the writer, call `draft_profiles` in a read and `keep_drafts`
    in a write.

    Raises:
        NotFound: when there is no such persona.
    """
    return keep_drafts(c, draft_profiles(c, persona_id), at=at)


def draft_profiles(c: Connection, persona_id: str) -> list[ProfileDraft]:
    """Return the profiles as they would be computed now: one for the public, one for the owner, one for each circle
    whose members may see more than the public. Each is made of nothing but what its audience may see.

    Raises:
        NotFound: when there is no such persona.
    """
    timezone = persona(c, persona_id).timezone
    words = _own_words(c, persona_id)
    kept = select(_profile.c.audience).where(_profile.c.persona_id == persona_id, _profile.c.is_current)
    audiences = {PUBLIC, OWNER, *c.execute(kept).scalars(), *(each.audience for each in words)}
    drafts = []
    for audience in sorted(audience for audience in audiences if not audience.startswith("person:")):
        seen = [each for each in words if audience == OWNER or each.audience in (PUBLIC, audience)]
        said = [each.traits for each in seen if each.is_message]
        style = card_of(said if len(said) >= _FEWEST_MESSAGES else [each.traits for each in seen], timezone=timezone)
        portrait = portrait_from(telling for each in seen for telling in each.tellings)
        texts = {each.memory_id: " ".join(each.text.split()) for each in seen}
        drafts.append(
            ProfileDraft(
                persona_id=persona_id,
                audience=audience,
                portrait=portrait,
                quoted=tuple(texts[memory_id] for memory_id in portrait.cited),
                style=style,
            )
        )
    return drafts


def keep_drafts(c: Connection, drafts: Iterable[ProfileDraft], *, at: datetime) -> list[Profile]:
    """Keep the drafts that say something new and return them. Texts that a human or a model wrote stay; only what was
    computed is computed again."""
    kept = []
    for draft in _fresh(c, list(drafts)):
        mine = (_profile.c.persona_id == draft.persona_id, _profile.c.audience == draft.audience)
        before = first_of(c, Profile, select(_profile).where(*mine, _profile.c.is_current))
        texts: dict[str, Any] = {
            "biography": draft.portrait.biography,
            "description": draft.portrait.description,
            "cited": list(draft.portrait.cited),
            "made_by": COMPUTED,
        }
        if before is not None and before.made_by != COMPUTED and (before.biography or before.description):
            texts = {name: getattr(before, name) for name in texts}
        if before is None and not draft.style["messages"]:
            continue
        new = {**texts, "style": draft.style}
        if before is None or any(getattr(before, name) != value for name, value in new.items()):
            kept.append(save_profile(c, persona_id=draft.persona_id, audience=draft.audience, **new, at=at))
    return kept


def _fresh(c: Connection, drafts: list[ProfileDraft]) -> list[ProfileDraft]:
    """Return the drafts, made anew when a memory they quote was changed or taken back since they were read."""
    for draft in drafts:
        ids = draft.portrait.cited
        seen = visible(_reader(draft), _memory.c.persona_id, _memory.c.audience)
        query = select(_memory.c.id, _memory.c.text).where(_memory.c.id.in_(ids), seen, _memory.c.deleted_at.is_(None))
        words = {row.id: " ".join(row.text.split()) for row in c.execute(query)}
        if len(words) < len(ids) or draft.quoted != tuple(words[memory_id] for memory_id in ids):
            return draft_profiles(c, draft.persona_id)
    return drafts


def _reader(draft: ProfileDraft) -> Viewer:
    if draft.audience == OWNER:
        return owner_viewer(draft.persona_id)
    return Viewer(persona_id=draft.persona_id, audiences=frozenset({PUBLIC, draft.audience}))


def save_profile(
    c: Connection,
    *,
    persona_id: str,
    biography: str = "",
    description: str = "",
    style: Mapping[str, Any] | None = None,
    cited: Iterable[int] = (),
    audience: str = OWNER,
    made_by: str = "",
    at: datetime,
) -> Profile:
    """Keep a new version for one audience; it is the current one from now on."""
    mine = (_profile.c.persona_id == persona_id, _profile.c.audience == audience)
    newest = c.execute(select(func.max(_profile.c.version)).where(*mine)).scalar() or 0
    c.execute(update(_profile).where(*mine, _profile.c.is_current).values(is_current=False))
    made = Profile(
        persona_id=persona_id,
        version=newest + 1,
        biography=biography,
        description=description,
        style=dict(style or {}),
        cited=list(cited),
        audience=audience,
        made_by=made_by,
        made_at=at,
    )
    return insert(c, made)


def current_profile(c: Connection, viewer: Viewer) -> Profile | None:
    """Return the current profile made for the narrowest audience this viewer holds, None when there is none."""
    mine = select(_profile).where(visible(viewer, _profile.c.persona_id, _profile.c.audience), _profile.c.is_current)
    found = all_of(c, Profile, mine)
    return max(found, key=_closeness, default=None)


def profile_versions(c: Connection, viewer: Viewer, *, audience: str | None = None) -> list[Profile]:
    """Return the versions this viewer may see, newest first."""
    mine = select(_profile).where(visible(viewer, _profile.c.persona_id, _profile.c.audience))
    if audience is not None:
        mine = mine.where(_profile.c.audience == audience)
    return all_of(c, Profile, mine.order_by(_profile.c.made_at.desc(), _profile.c.version.desc(), _profile.c.id))


def restore_profile(c: Connection, viewer: Viewer, profile_id: str, *, by: str, at: datetime) -> Profile:
    """Make an old version the current one again, as a new version of its audience. Only the persona's owner may.

    Raises:
        NotFound: when there is none that the viewer may see.
        Forbidden: when the viewer is not the owner.
    """
    seen = visible(viewer, _profile.c.persona_id, _profile.c.audience)
    old = first_of(c, Profile, select(_profile).where(seen, _profile.c.id == profile_id))
    if old is None:
        raise NotFound("There is no such version of the profile.")
    if not viewer.sees_all:
        raise Forbidden("Only the owner may change the profile.")
    return save_profile(
        c,
        persona_id=old.persona_id,
        biography=old.biography,
        description=old.description,
        style=old.style,
        cited=old.cited,
        audience=old.audience,
        made_by=by,
        at=at,
    )


def _closeness(profile: Profile) -> tuple[int, int, str]:
    """Return how much a profile was made for somebody in particular, and from how much."""
    kind = {PUBLIC: 0, OWNER: 3}.get(profile.audience, 2 if profile.audience.startswith("person:") else 1)
    return kind, len(profile.cited), profile.audience


@dataclass(frozen=True, slots=True)
class _OwnWords:
    memory_id: int
    text: str
    audience: str
    is_message: bool
    traits: Traits
    tellings: tuple[Telling, ...]


def _own_words(c: Connection, persona_id: str) -> list[_OwnWords]:
    """Return what the persona itself said or wrote; not what it answered as a machine."""
    columns = ("id", "kind", "audience", "text", "language", "session", "happened_at", "importance")
    mine = (
        select(*(_memory.c[name] for name in columns))
        # The owner's profile is made of everything, and each other one of the part that its audience may see.
        .where(visible(owner_viewer(persona_id), _memory.c.persona_id, _memory.c.audience))
        .where(_memory.c.is_own, _memory.c.kind != "replied", _memory.c.deleted_at.is_(None), _memory.c.text != "")
    )
    return [_read(row) for row in c.execute(mine.order_by(_memory.c.id))]


def _read(row: Any) -> _OwnWords:
    traits = traits_of(Sentence(row.text, row.happened_at, row.language, row.session))
    own = Own(row.id, row.text, traits.language, row.importance)
    return _OwnWords(
        memory_id=row.id,
        text=row.text,
        audience=row.audience,
        is_message=row.kind == "said",
        traits=traits,
        tellings=tuple(tellings_of(own)),
    )
