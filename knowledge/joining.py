"""Joining: two channels turn out to be one human, and what was said on each is remembered on both."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Connection, and_, delete, select, update

from knowledge.errors import NotFound
from knowledge.rows import all_of, first_of, in_parts, insert_many, insert_new, table
from knowledge.tables import (
    Circle,
    CircleMember,
    Conversation,
    FootprintRecord,
    Identity,
    Invitation,
    Memory,
    MemoryFeed,
    Message,
    Person,
    Profile,
    Source,
    Turn,
)
from knowledge.viewer import OWNER, person_audience

_conversation = table(Conversation)
_identity = table(Identity)
_person = table(Person)
_memory = table(Memory)


def attach_identity(c: Connection, identity_id: str, person_id: str) -> Person:
    """Say that an identity is this person's, and return the person.

    Its conversations, messages, turns and memories move along, as does what only that person may see. When whom it
    was known as has no other identity left, everything of them joins and they disappear; the owner never does.

    Raises:
        NotFound: when there is no such identity or person, or they belong to different personas.
    """
    moving = first_of(c, Identity, select(_identity).where(_identity.c.id == identity_id))
    target = first_of(c, Person, select(_person).where(_person.c.id == person_id))
    if moving is None or target is None or target.persona_id != moving.persona_id:
        raise NotFound("This persona does not know that person.")
    before = _human(c, moving.person_id)
    if before.id == target.id:
        return target
    c.execute(update(_identity).where(_identity.c.id == identity_id).values(person_id=target.id))
    left = all_of(c, Identity, select(_identity).where(_identity.c.person_id == before.id))
    if left or before.is_owner:
        _move_conversations(c, before.id, target.id, _talks_of(before.id, moving, left))
    else:
        _move_conversations(c, before.id, target.id, _conversation.c.person_id == before.id)
        _merge(c, before, target)
    return _human(c, target.id)


def _human(c: Connection, person_id: str) -> Person:
    found = first_of(c, Person, select(_person).where(_person.c.id == person_id))
    if found is None:
        raise NotFound("There is no such person.")
    return found


def _talks_of(person_id: str, moving: Identity, left: list[Identity]) -> ColumnElement[bool]:
    """Return which conversations are this identity's, while the person keeps other identities."""
    here = and_(_conversation.c.person_id == person_id, _conversation.c.account_id == moving.account_id)
    if any(other.account_id == moving.account_id for other in left):
        # A conversation's key ends with the id of who speaks in it.
        return and_(here, _conversation.c.key.endswith(f"|{moving.platform_user_id}", autoescape=True))
    return here


def _move_conversations(c: Connection, old: str, new: str, which: ColumnElement[bool]) -> None:
    ids = list(c.execute(select(_conversation.c.id).where(which)).scalars())
    for part in in_parts(ids):
        c.execute(update(_conversation).where(_conversation.c.id.in_(part)).values(person_id=new))
        for model in (Message, Turn):
            found = table(model)
            c.execute(
                update(found).where(found.c.conversation_id.in_(part), found.c.person_id == old).values(person_id=new)
            )
        _move_memories(c, old, new, _memory.c.conversation_id.in_(part))


def _move_memories(c: Connection, old: str, new: str, which: ColumnElement[bool]) -> None:
    spoken = _memory.c.speaker_id == old
    shown = _memory.c.audience == person_audience(old)
    touched = c.execute(select(_memory.c.id, _memory.c.persona_id).where(which, spoken | shown)).all()
    c.execute(update(_memory).where(which, spoken).values(speaker_id=new))
    c.execute(update(_memory).where(which, shown).values(audience=person_audience(new)))
    insert_many(c, MemoryFeed, [{"memory_id": row.id, "persona_id": row.persona_id} for row in touched])


def _merge(c: Connection, old: Person, new: Person) -> None:
    """Give everything that is left of one person to another, and let the first one go."""
    for said in (table(Message), table(Turn)):
        mine = (said.c.persona_id == old.persona_id, said.c.person_id == old.id)
        c.execute(update(said).where(*mine).values(person_id=new.id))
    _move_memories(c, old.id, new.id, _memory.c.persona_id == old.persona_id)
    for shown in (table(FootprintRecord), table(Source), table(Profile)):
        mine = (shown.c.persona_id == old.persona_id, shown.c.audience == person_audience(old.id))
        c.execute(update(shown).where(*mine).values(audience=person_audience(new.id)))
    invited = table(Invitation)
    c.execute(update(invited).where(invited.c.person_id == old.id).values(person_id=new.id))
    _share_circles(c, old.id, new.id)
    names = [name for name in (*new.aliases, old.name, *old.aliases) if name and name != new.name]
    values = {"aliases": list(dict.fromkeys(names)), "language": new.language or old.language}
    c.execute(update(_person).where(_person.c.id == new.id).values(values))
    c.execute(delete(_person).where(_person.c.id == old.id))


def _share_circles(c: Connection, old: str, new: str) -> None:
    circle, member = table(Circle), table(CircleMember)
    theirs = select(circle.c.id).join(member, member.c.circle_id == circle.c.id)
    shared = theirs.where(member.c.person_id == old, circle.c.name != OWNER)
    joined = [{"circle_id": circle_id, "person_id": new} for circle_id in c.execute(shared).scalars()]
    insert_new(c, CircleMember, joined, "circle_id", "person_id")
    c.execute(delete(member).where(member.c.person_id == old))
