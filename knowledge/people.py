"""People: who writes to a persona, on which channels, in which circles, and so what they may learn."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, bindparam, delete, select, update

from knowledge.errors import Forbidden, NotFound
from knowledge.joining import attach_identity
from knowledge.names import fold
from knowledge.rows import all_of, as_model, first_of, insert, insert_new, table
from knowledge.tables import Account, Circle, CircleMember, Identity, Person, Room, new_id
from knowledge.viewer import OWNER, PUBLIC, Viewer, circle_audience, owner_viewer, person_audience

__all__ = [
    "Identified",
    "add_circle",
    "add_person",
    "attach_identity",
    "circle_of_room",
    "circles",
    "circles_of",
    "find_person_by_name",
    "identify",
    "identities_of",
    "identity",
    "owner_person",
    "person",
    "person_id_of",
    "persons",
    "rename",
    "set_circles",
    "set_reachable",
    "set_room",
    "viewer_for",
    "viewer_in_room",
    "viewer_of",
]

_person = table(Person)
_identity = table(Identity)
_circle = table(Circle)
_member = table(CircleMember)
_room = table(Room)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identified:
    """Who an event came from. `is_new` when this account had never heard of them."""

    identity: Identity
    person: Person
    is_new: bool


_KNOWN = select(_identity).where(
    _identity.c.account_id == bindparam("account"), _identity.c.platform_user_id == bindparam("user")
)
_PERSON = select(_person).where(_person.c.id == bindparam("row"))
_CIRCLES_OF = (
    select(_circle.c.name)
    .join(_member, _member.c.circle_id == _circle.c.id)
    .join(_person, _person.c.id == _member.c.person_id)
    .where(_member.c.person_id == bindparam("person"), _circle.c.persona_id == _person.c.persona_id)
    .order_by(_circle.c.name)
)
# Writing down each message's minute would cost every message a change.
_SEEN_ANEW = timedelta(minutes=1)


def identify(
    c: Connection,
    *,
    account_id: str,
    platform_user_id: str,
    name: str = "",
    username: str = "",
    language: str | None = None,
    at: datetime,
) -> Identified:
    """Return the identity and person behind a platform's user id, made on first sight; note what they now call
    themselves and that they can be reached.

    Raises:
        NotFound: when there is no such account.
    """
    row = c.execute(_KNOWN, {"account": account_id, "user": platform_user_id}).first()
    if row is None:
        return _meet(c, account_id, platform_user_id, name, username, language, at)
    known = as_model(Identity, row)
    told = {"name": name, "username": username, "language": language, "is_reachable": True}
    seen: dict[str, object] = {
        column: value for column, value in told.items() if value and value != getattr(known, column)
    }
    if seen or known.last_seen_at is None or at - known.last_seen_at >= _SEEN_ANEW:
        seen["last_seen_at"] = at
        c.execute(update(_identity).where(_identity.c.id == known.id).values(seen))
    human = person(c, known.person_id)
    if name and not human.name:
        human = rename(c, human.id, name)
    return Identified(identity=Identity(**{**known.model_dump(), **seen}), person=human, is_new=False)


def identity(c: Connection, identity_id: str) -> Identity:
    """Return one identity.

    Raises:
        NotFound: when there is none with this id.
    """
    found = first_of(c, Identity, select(_identity).where(_identity.c.id == identity_id))
    if found is None:
        raise NotFound("There is no such identity.")
    return found


def person_id_of(c: Connection, account_id: str, platform_user_id: str) -> str | None:
    """Return the person behind a platform's user id, None for somebody who has never written."""
    query = select(_identity.c.person_id).where(
        _identity.c.account_id == account_id, _identity.c.platform_user_id == platform_user_id
    )
    found: str | None = c.execute(query).scalar()
    return found


def identities_of(c: Connection, person_id: str) -> list[Identity]:
    """Return the channels on which a person is known, in the order they were met."""
    return all_of(
        c, Identity, select(_identity).where(_identity.c.person_id == person_id).order_by(_identity.c.created_at)
    )


def viewer_of(c: Connection, persona_id: str, person_id: str) -> Viewer:
    """Return what a person may see of a persona: everything for its owner, else public, their circles and their own.

    Raises:
        NotFound: when the persona does not know this person.
    """
    return viewer_for(c, persona_id, person(c, person_id))


def viewer_for(c: Connection, persona_id: str, human: Person) -> Viewer:
    """Return what `viewer_of` does, for a person who was read in the same transaction.

    Raises:
        NotFound: when the persona does not know this person.
    """
    if human.persona_id != persona_id:
        raise NotFound("This persona does not know that person.")
    if human.is_owner:
        return owner_viewer(persona_id, human.id)
    held = {PUBLIC, person_audience(human.id), *map(circle_audience, circles_of(c, human.id))}
    return Viewer(persona_id=persona_id, person_id=human.id, audiences=frozenset(held))


def viewer_in_room(c: Connection, account_id: str, chat_id: str, persona_id: str) -> Viewer:
    """Return what a group chat may hear: public things, and those of the circle it was invited with."""
    circle = c.execute(
        select(_room.c.circle)
        .join(table(Account), table(Account).c.id == _room.c.account_id)
        .where(_room.c.account_id == account_id, _room.c.chat_id == chat_id)
        .where(table(Account).c.persona_id == persona_id)
    ).scalar()
    # Nobody can tell who reads along in a group, so the owner's circle opens nothing there.
    held = {PUBLIC} if circle in (None, OWNER) else {PUBLIC, circle_audience(circle)}
    return Viewer(persona_id=persona_id, audiences=frozenset(held))


def circle_of_room(c: Connection, account_id: str, chat_id: str) -> str | None:
    """Return the circle a group chat was invited with, None when it was not."""
    found: str | None = c.execute(
        select(_room.c.circle).where(_room.c.account_id == account_id, _room.c.chat_id == chat_id)
    ).scalar()
    return found


def set_room(c: Connection, *, account_id: str, chat_id: str, circle: str | None, at: datetime) -> None:
    """Let a group chat hear what a circle may; None takes that back.

    Raises:
        NotFound: when the account's persona has no such circle.
        Forbidden: for the owner's circle.
    """
    c.execute(delete(_room).where(_room.c.account_id == account_id, _room.c.chat_id == chat_id))
    if circle is None:
        return
    if circle == OWNER:
        raise Forbidden("A group cannot hear what is for the owner alone: choose another circle.")
    _circle_ids(c, _persona_of_account(c, account_id), [circle])
    insert(c, Room(account_id=account_id, chat_id=chat_id, circle=circle, created_at=at))


def persons(c: Connection, persona_id: str) -> list[Person]:
    """Return everybody a persona knows, the owner first, then by name."""
    found = all_of(c, Person, select(_person).where(_person.c.persona_id == persona_id))
    return sorted(found, key=lambda human: (not human.is_owner, fold(human.name), human.id))


def person(c: Connection, person_id: str) -> Person:
    """Return one person.

    Raises:
        NotFound: when there is none with this id.
    """
    found = first_of(c, Person, _PERSON, {"row": person_id})
    if found is None:
        raise NotFound("There is no such person.")
    return found


def owner_person(c: Connection, persona_id: str) -> Person:
    """Return the person whose persona it is.

    Raises:
        NotFound: when there is no such persona.
    """
    mine = select(_person).where(_person.c.persona_id == persona_id, _person.c.is_owner)
    found = first_of(c, Person, mine.order_by(_person.c.created_at, _person.c.id))
    if found is None:
        raise NotFound("There is no such persona.")
    return found


def add_person(
    c: Connection,
    *,
    persona_id: str,
    name: str,
    circles: Iterable[str] = (),
    relation: str = "",
    aliases: Iterable[str] = (),
    language: str | None = None,
    at: datetime,
) -> Person:
    """Add somebody before they ever write, e.g. to invite them or to name who speaks in an import.

    Raises:
        NotFound: when there is no such circle.
    """
    found = insert(
        c,
        Person(
            persona_id=persona_id,
            name=name.strip(),
            aliases=list(aliases),
            relation=relation,
            language=language,
            created_at=at,
        ),
    )
    set_circles(c, found.id, circles)
    return found


def rename(c: Connection, person_id: str, name: str) -> Person:
    """Give a person another name; the old one stays as an alias."""
    human = person(c, person_id)
    wanted = name.strip()
    aliases = [alias for alias in (*human.aliases, human.name) if alias and alias != wanted]
    values = {"name": wanted, "aliases": list(dict.fromkeys(aliases))}
    c.execute(update(_person).where(_person.c.id == person_id).values(values))
    return person(c, person_id)


def find_person_by_name(c: Connection, persona_id: str, name: str) -> Person | None:
    """Return who goes by this name or alias, whatever the case and accents.

    None when nobody does, and when several do: a guess here would show one person's memories to another.
    """
    wanted = fold(name)
    if not wanted:
        return None
    found = [human for human in persons(c, persona_id) if wanted in map(fold, (human.name, *human.aliases))]
    return found[0] if len(found) == 1 else None


def circles(c: Connection, persona_id: str) -> list[Circle]:
    """Return the circles of a persona, by name."""
    return all_of(c, Circle, select(_circle).where(_circle.c.persona_id == persona_id).order_by(_circle.c.name))


def add_circle(c: Connection, persona_id: str, name: str) -> str:
    """Make sure that a persona has this circle and return its name as it is kept.

    Raises:
        ValueError: for a name that cannot be a circle's.
    """
    wanted = " ".join(name.casefold().split())
    if not wanted or wanted == PUBLIC or ":" in wanted:
        raise ValueError("a circle has a name, other than public and without a colon")
    insert_new(c, Circle, [{"id": new_id(), "persona_id": persona_id, "name": wanted}], "persona_id", "name")
    return wanted


def circles_of(c: Connection, person_id: str) -> list[str]:
    """Return the names of the circles a person is in."""
    return list(c.execute(_CIRCLES_OF, {"person": person_id}).scalars())


def set_circles(c: Connection, person_id: str, names: Iterable[str]) -> None:
    """Put a person in exactly these circles. The owner stays in the owner's circle, and nobody else enters it.

    Raises:
        NotFound: when there is no such person or circle.
        Forbidden: for the owner's circle; the owner's other channels join with an invitation to it.
    """
    human = person(c, person_id)
    wanted = set(names)
    if human.is_owner:
        wanted.add(OWNER)
    elif OWNER in wanted:
        raise Forbidden("Only the owner is in the owner's circle: to join another of their channels, invite it there.")
    ids = _circle_ids(c, human.persona_id, wanted)
    c.execute(delete(_member).where(_member.c.person_id == person_id))
    for circle_id in ids:
        insert(c, CircleMember(circle_id=circle_id, person_id=person_id))


def set_reachable(c: Connection, identity_id: str, is_reachable: bool) -> None:
    """Note whether the persona may still write to somebody there, e.g. after a block."""
    c.execute(update(_identity).where(_identity.c.id == identity_id).values(is_reachable=is_reachable))


def _meet(
    c: Connection,
    account_id: str,
    platform_user_id: str,
    name: str,
    username: str,
    language: str | None,
    at: datetime,
) -> Identified:
    found = table(Account)
    account = c.execute(select(found.c.persona_id, found.c.channel).where(found.c.id == account_id)).first()
    if account is None:
        raise NotFound("There is no such account.")
    human = insert(c, Person(persona_id=account.persona_id, name=name or username, language=language, created_at=at))
    new = insert(
        c,
        Identity(
            persona_id=account.persona_id,
            person_id=human.id,
            account_id=account_id,
            channel=account.channel,
            platform_user_id=platform_user_id,
            name=name,
            username=username,
            language=language,
            last_seen_at=at,
            created_at=at,
        ),
    )
    return Identified(identity=new, person=human, is_new=True)


def _persona_of_account(c: Connection, account_id: str) -> str:
    found = c.execute(select(table(Account).c.persona_id).where(table(Account).c.id == account_id)).scalar()
    if found is None:
        raise NotFound("There is no such account.")
    return str(found)


def _circle_ids(c: Connection, persona_id: str, names: Iterable[str]) -> list[str]:
    by_name = {circle.name: circle.id for circle in circles(c, persona_id)}
    if missing := sorted(set(names) - by_name.keys()):
        raise NotFound(f"There is no circle {', '.join(missing)}: add it first.")
    return [by_name[name] for name in sorted(set(names))]
