"""Profiles: versions of who a persona is, each for an audience."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select, update

from knowledge.errors import Forbidden, NotFound
from knowledge.rows import all_of, first_of, insert, table
from knowledge.tables import Profile
from knowledge.viewer import OWNER, PUBLIC, Viewer, visible

_profile = table(Profile)


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
