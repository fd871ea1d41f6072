"""Forgetting somebody: what they said, what was learnt from it, and that they were ever here."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, delete, or_, select, update

from knowledge.errors import Forbidden
from knowledge.memories import remove_memory
from knowledge.people import person
from knowledge.rows import table
from knowledge.tables import (
    CircleMember,
    Conversation,
    Identity,
    Inbox,
    Incident,
    Invitation,
    Memory,
    Message,
    Outbox,
    Person,
    Turn,
)
from knowledge.viewer import OWNER, owner_viewer, person_audience

_conversation = table(Conversation)
_inbox = table(Inbox)
_invitation = table(Invitation)
_memory = table(Memory)
_person = table(Person)


def forget_person(c: Connection, person_id: str, *, by: str, at: datetime) -> int:
    """Delete a person with everything they said, and what was learnt of it; return how many memories went.

    What others said about them stays, and so do the numbers of their events, so that a repeat is still recognised.

    Raises:
        NotFound: when there is no such person.
        Forbidden: for the persona's owner.
    """
    human = person(c, person_id)
    if human.is_owner:
        raise Forbidden("The owner cannot be forgotten: delete the persona instead.")
    talks = c.execute(
        select(_conversation.c.id, _conversation.c.key).where(_conversation.c.person_id == person_id)
    ).all()
    ids, keys = [talk.id for talk in talks], [talk.key for talk in talks]
    count = _forget_memories(c, human, ids, by=by, at=at)
    mine = _inbox.c.conversation_key.in_(keys)
    c.execute(update(_inbox).where(mine, _inbox.c.state == "pending").values(state="done", done_at=at))
    c.execute(update(_inbox).where(mine).values(conversation_key="", payload="", raw="", last_error=""))
    for said in (Outbox, Message, Turn, Incident):
        c.execute(delete(table(said)).where(table(said).c.conversation_id.in_(ids)))
    c.execute(delete(_conversation).where(_conversation.c.id.in_(ids)))
    _forget_invitations(c, person_id, at)
    for known in (CircleMember, Identity):
        c.execute(delete(table(known)).where(table(known).c.person_id == person_id))
    c.execute(delete(_person).where(_person.c.id == person_id))
    return count


def _forget_memories(c: Connection, human: Person, talks: list[str], *, by: str, at: datetime) -> int:
    told = _memory.c.kind.in_(("told", "replied")) & (_memory.c.speaker_id == human.id)
    theirs = or_(_memory.c.conversation_id.in_(talks), _memory.c.audience == person_audience(human.id), told)
    living = (_memory.c.persona_id == human.persona_id, _memory.c.deleted_at.is_(None), theirs)
    found = list(c.execute(select(_memory.c.id).where(*living)).scalars())
    viewer = owner_viewer(human.persona_id)
    for memory_id in found:
        remove_memory(c, viewer, memory_id, by=by, at=at)
    c.execute(update(_memory).where(_memory.c.conversation_id.in_(talks)).values(conversation_id=None, message_id=None))
    c.execute(update(_memory).where(_memory.c.speaker_id == human.id).values(speaker_id=None))
    c.execute(update(_memory).where(_memory.c.audience == person_audience(human.id)).values(audience=OWNER))
    return len(found)


def _forget_invitations(c: Connection, person_id: str, at: datetime) -> None:
    known_as = select(table(Identity).c.id).where(table(Identity).c.person_id == person_id)
    mine = or_(_invitation.c.person_id == person_id, _invitation.c.used_by.in_(known_as))
    unused = (_invitation.c.used_at.is_(None), _invitation.c.revoked_at.is_(None))
    c.execute(update(_invitation).where(mine, *unused).values(revoked_at=at))
    c.execute(update(_invitation).where(mine).values(person_id=None, person_name="", used_by=None))
