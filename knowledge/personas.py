"""Personas: who answers. Making one makes its owner, its circles and the two channels that need no platform."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sqlalchemy import ColumnElement, Connection, Table, bindparam, delete, func, or_, select, update

from knowledge.errors import Conflict, NotFound
from knowledge.names import fold, slug_of
from knowledge.rows import affected, all_of, first_of, insert, insert_many, table
from knowledge.tables import Account, Circle, CircleMember, Memory, MemoryFeed, Person, Persona, metadata, new_id

KINDS = ("brand", "self", "memorial", "fictional")
STATES = ("draft", "live", "paused", "retired")
VISIBILITIES = ("private", "unlisted", "public")
FIRST_CIRCLES = ("owner", "family", "friends", "customers")

_CHANGEABLE = frozenset(
    {"name", "slug", "kind", "state", "visibility", "languages", "timezone", "is_sample", "settings"}
)
_persona = table(Persona)
_account = table(Account)
_memory = table(Memory)
_feed = table(MemoryFeed)


_BY_ID = select(_persona).where(_persona.c.id == bindparam("row"))


def create_persona(
    c: Connection,
    *,
    name: str,
    kind: str = "self",
    visibility: str = "private",
    slug: str | None = None,
    languages: Iterable[str] = (),
    timezone: str = "UTC",
    is_sample: bool = False,
    at: datetime,
) -> Persona:
    """Create a persona with its first circles, its owner, and the accounts of the web page and the terminal.

    Raises:
        Conflict: when `slug` is given and taken.
        ValueError: for a kind, visibility, slug or time zone that does not exist.
    """
    fields: dict[str, Any] = {"name": name.strip(), "kind": kind, "visibility": visibility, "timezone": timezone}
    _check(fields)
    found = insert(
        c,
        Persona(
            **fields,
            slug=_free_slug(c, name) if slug is None else _own_slug(c, slug),
            languages=list(languages),
            is_sample=is_sample,
            created_at=at,
        ),
    )
    owner = insert(c, Person(persona_id=found.id, name=found.name, is_owner=True, created_at=at))
    circles = [Circle(id=new_id(), persona_id=found.id, name=circle) for circle in FIRST_CIRCLES]
    insert_many(c, Circle, [circle.model_dump() for circle in circles])
    insert(c, CircleMember(circle_id=circles[0].id, person_id=owner.id))
    for channel, path in _paths(found.slug).items():
        insert(c, Account(persona_id=found.id, channel=channel, name=found.name, webhook_path=path, created_at=at))
    return found


def persona(c: Connection, persona_id: str) -> Persona:
    """Return one persona.

    Raises:
        NotFound: when there is none with this id.
    """
    found = first_of(c, Persona, _BY_ID, {"row": persona_id})
    if found is None:
        raise NotFound("There is no such persona.")
    return found


def persona_by_slug(c: Connection, slug: str) -> Persona | None:
    """Return the persona with this slug, None when there is none."""
    return first_of(c, Persona, select(_persona).where(_persona.c.slug == slug.lower()))


def persona_by_name(c: Connection, name: str) -> Persona | None:
    """Return the persona of this name or slug, whatever the case and accents; the oldest when several share it."""
    wanted = fold(name)
    if not wanted:
        return None
    return next((found for found in personas(c) if wanted in (found.slug, fold(found.name))), None)


def personas(c: Connection) -> list[Persona]:
    """Return every persona, oldest first."""
    return all_of(c, Persona, select(_persona).order_by(_persona.c.created_at, _persona.c.id))


def public_personas(c: Connection) -> list[Persona]:
    """Return the personas that anybody may find and talk to, by name."""
    shown = select(_persona).where(_persona.c.visibility == "public", _persona.c.state == "live")
    return all_of(c, Persona, shown.order_by(_persona.c.name, _persona.c.id))


def update_persona(c: Connection, persona_id: str, *, at: datetime, **fields: Any) -> Persona:
    """Change some columns of a persona and return it. A new slug moves its web and terminal addresses too.

    Raises:
        NotFound: when there is none with this id.
        Conflict: when the new slug is taken.
        ValueError: for a value that does not exist, or a column that is not changed this way.
    """
    before = persona(c, persona_id)
    if unknown := fields.keys() - _CHANGEABLE:
        raise ValueError(f"a persona has no changeable {', '.join(sorted(unknown))}")
    _check(fields)
    if "languages" in fields:
        fields["languages"] = list(fields["languages"])
    if "name" in fields:
        fields["name"] = fields["name"].strip()
    if fields.get("slug", before.slug) != before.slug:
        fields["slug"] = _own_slug(c, fields["slug"])
        for channel, path in _paths(fields["slug"]).items():
            own = (_account.c.persona_id == persona_id, _account.c.webhook_path == _paths(before.slug)[channel])
            c.execute(update(_account).where(*own).values(webhook_path=path))
    if fields:
        c.execute(update(_persona).where(_persona.c.id == persona_id).values(fields))
    return persona(c, persona_id)


def remove_persona(c: Connection, persona_id: str) -> dict[str, int]:
    """Delete a persona and everything of it; return how many rows went from each table.

    What stays is one line in the feed for each memory, with its number alone, until the search indexes have read it.
    Files are content-addressed and may be shared: `media.forget_unused` says which ones nobody uses any more.

    Raises:
        NotFound: when there is none with this id.
    """
    persona(c, persona_id)
    counts: dict[str, int] = {}
    _feed_removals(c, persona_id)
    # What hangs on an account or a memory is found through it, and so goes before it.
    through_others = [
        found for found in metadata.sorted_tables if "persona_id" not in found.c and found is not _persona
    ]
    for found in dict.fromkeys([*through_others, *reversed(metadata.sorted_tables)]):
        mine = None if found is _feed else _of_persona(found, persona_id)
        if mine is not None and (gone := affected(c.execute(delete(found).where(mine)))):
            counts[found.name] = gone
    return counts


def _feed_removals(c: Connection, persona_id: str) -> None:
    """Tell the search indexes that every memory is gone, after all else they were told of this persona."""
    before = c.execute(select(func.max(_feed.c.id))).scalar() or 0
    ids = c.execute(select(_memory.c.id).where(_memory.c.persona_id == persona_id)).scalars().all()
    insert_many(c, MemoryFeed, [{"memory_id": id_, "persona_id": persona_id, "is_removal": True} for id_ in ids])
    c.execute(delete(_feed).where(_feed.c.persona_id == persona_id, _feed.c.id <= before))


def _of_persona(found: Table, persona_id: str) -> ColumnElement[bool] | None:
    """Return which rows of a table belong to a persona: by its own id, or by that of what they hang on."""
    columns = found.c
    if found is _persona:
        return columns.id == persona_id
    if "persona_id" in columns:
        return columns.persona_id == persona_id
    conditions = [
        columns[name].in_(select(parent.c.id).where(parent.c.persona_id == persona_id))
        for name, parent in (
            ("account_id", _account),
            ("circle_id", table(Circle)),
            ("conversation_id", metadata.tables["conversation"]),
            ("memory_id", _memory),
        )
        if name in columns
    ]
    return or_(*conditions) if conditions else None


def _paths(slug: str) -> dict[str, str]:
    return {"web": f"/p/{slug}", "terminal": f"/terminal/{slug}"}


def _free_slug(c: Connection, name: str) -> str:
    base = slug_of(name)
    taken = set(c.execute(select(_persona.c.slug).where(_persona.c.slug.startswith(base, autoescape=True))).scalars())
    if base not in taken:
        return base
    return next(slug for number in range(2, len(taken) + 3) if (slug := f"{base}-{number}") not in taken)


def _own_slug(c: Connection, slug: str) -> str:
    wanted = slug_of(slug, fallback="")
    if not wanted:
        raise ValueError("a slug is made of letters a to z, digits and hyphens")
    if persona_by_slug(c, wanted) is not None:
        raise Conflict(f"The address {wanted} is taken by another persona: choose another one.")
    return wanted


def _check(fields: dict[str, Any]) -> None:
    for name, allowed in (("kind", KINDS), ("state", STATES), ("visibility", VISIBILITIES)):
        if name in fields and fields[name] not in allowed:
            raise ValueError(f"{name} is one of {', '.join(allowed)}")
    if "name" in fields and not fields["name"].strip():
        raise ValueError("a persona has a name")
    if "timezone" in fields:
        try:
            ZoneInfo(fields["timezone"])
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError("the time zone is not known: write it like Europe/Madrid") from error
