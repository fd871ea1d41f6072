"""Who is asking, and the one place that turns it into a condition on rows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, true
from sqlalchemy.orm import InstrumentedAttribute

PUBLIC = "public"
OWNER = "owner"


def circle_audience(name: str) -> str:
    """Return the audience of the circle `name`."""
    return f"circle:{name}"


def person_audience(person_id: str) -> str:
    """Return the audience of one person."""
    return f"person:{person_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Viewer:
    """Who asks: which persona, which person, and the audiences that person holds.

    `sees_all` belongs to the persona's owner, who may read every row of it.
    """

    persona_id: str
    person_id: str | None = None
    audiences: frozenset[str] = frozenset({PUBLIC})
    sees_all: bool = False

    def may_see(self, audience: str) -> bool:
        """Return whether a row of this audience is for this viewer."""
        return self.sees_all or audience in self.audiences


def owner_viewer(persona_id: str, person_id: str | None = None) -> Viewer:
    """Return the viewer who sees everything of one persona."""
    return Viewer(persona_id=persona_id, person_id=person_id, audiences=frozenset({PUBLIC, OWNER}), sees_all=True)


def public_viewer(persona_id: str) -> Viewer:
    """Return a viewer who holds nothing but `public`, e.g. a stranger or a group chat."""
    return Viewer(persona_id=persona_id)


def visible(
    viewer: Viewer,
    persona_id: InstrumentedAttribute[str] | ColumnElement[str],
    audience: InstrumentedAttribute[str] | ColumnElement[str],
) -> ColumnElement[bool]:
    """Return the condition that every query on memories and on the footprint carries."""
    held = true() if viewer.sees_all else audience.in_(sorted(viewer.audiences))
    return and_(persona_id == viewer.persona_id, held)


def narrowest(audiences: Iterable[str]) -> str:
    """Return the most restrictive of several audiences, for what is derived from several rows.

    Two different circles or persons have no common audience but the owner; and a person need not be in a circle.
    """
    found = set(audiences) - {PUBLIC}
    if not found:
        return PUBLIC
    return found.pop() if len(found) == 1 else OWNER
