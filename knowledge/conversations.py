"""Conversations and what was said in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Insert, Select, bindparam, func, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from knowledge.database import Connection
from knowledge.errors import NotFound
from knowledge.tables import Account, Conversation, Message, Person, Persona, Room, new_id

_conversation = Conversation.__table__  # type: ignore[attr-defined]
_message = Message.__table__  # type: ignore[attr-defined]
_person = Person.__table__  # type: ignore[attr-defined]
_persona = Persona.__table__  # type: ignore[attr-defined]
_account = Account.__table__  # type: ignore[attr-defined]
_room = Room.__table__  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class Earlier:
    """What an answer needs of an earlier message; `parts` and `quote` as they are kept."""

    id: int
    text: str
    is_ours: bool
    parts: list[dict[str, Any]]
    quote: dict[str, Any] | None
    sent_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One conversation as a list shows it, with the names that belong to it and its last words."""

    conversation: Conversation
    persona_name: str
    persona_slug: str
    person_name: str
    channel: str
    message_count: int
    last_text: str
    last_is_ours: bool


_BY_KEY = select(_conversation).where(_conversation.c.key == bindparam("wanted"))
_WRITTEN_IN = update(_conversation).where(_conversation.c.id == bindparam("row")).values(last_in_at=bindparam("at"))
_OPEN = insert(_conversation)
_ADD = insert(_message)
_SET_TURN = update(_message).where(_message.c.inbox_id == bindparam("row")).values(turn_id=bindparam("turn"))
_HISTORY = (
    select(*[_message.c[name] for name in ("id", "text", "direction", "parts", "quote", "sent_at")])
    .where(
        _message.c.conversation_id == bindparam("conversation"),
        _message.c.deleted_at.is_(None),
        or_(_message.c.inbox_id.is_(None), _message.c.inbox_id < bindparam("first")),
    )
    .order_by(_message.c.id.desc())
    .limit(bindparam("most"))
)


@cache
def _add_once(dialect: str) -> Insert:
    upsert = postgresql.insert if dialect == "postgresql" else sqlite.insert
    return upsert(_message).on_conflict_do_nothing()


def open_conversation(
    c: Connection,
    *,
    key: str,
    persona_id: str,
    person_id: str,
    account_id: str,
    chat_id: str,
    thread_id: str | None,
    chat_kind: str,
    title: str,
    at: datetime,
) -> Conversation:
    """Return the conversation with this key, made now when it is the first time."""
    row = c.execute(_BY_KEY, {"wanted": key}).first()
    if row is not None:
        found = Conversation(**row._mapping)
        c.execute(_WRITTEN_IN, {"row": found.id, "at": at})
        return found
    made = Conversation(
        id=new_id(),
        key=key,
        persona_id=persona_id,
        person_id=person_id,
        account_id=account_id,
        chat_id=chat_id,
        thread_id=thread_id,
        chat_kind=chat_kind,
        title=title,
        opened_at=at,
        last_in_at=at,
    )
    c.execute(_OPEN, made.model_dump())
    return made


def conversation(c: Connection, conversation_id: str) -> Conversation:
    """Return one conversation.

    Raises:
        NotFound: when there is none with this id.
    """
    row = c.execute(select(_conversation).where(_conversation.c.id == conversation_id)).first()
    if row is None:
        raise NotFound("There is no such conversation; it may have been deleted.")
    return Conversation(**row._mapping)


def conversation_by_key(c: Connection, key: str) -> Conversation | None:
    """Return the conversation with this key, None when nobody has written there yet."""
    row = c.execute(_BY_KEY, {"wanted": key}).first()
    return None if row is None else Conversation(**row._mapping)


def note_answer(c: Connection, conversation_id: str, *, at: datetime, language: str | None, is_disclosed: bool) -> None:
    """Keep when the persona last spoke, in which language, and whether it said that it is an AI."""
    values: dict[str, Any] = {"last_out_at": at}
    if language:
        values["language"] = language
    if is_disclosed:
        values["disclosed_at"] = at
    c.execute(update(_conversation).where(_conversation.c.id == conversation_id).values(**values))


def add_inbound(c: Connection, conversation: Conversation, messages: Sequence[dict[str, Any]]) -> None:
    """Add what a person said, once: a message whose inbox row is already there is left as it is."""
    shared = {
        "conversation_id": conversation.id,
        "persona_id": conversation.persona_id,
        "person_id": conversation.person_id,
        "direction": "in",
        "label": "",
        "state": "received",
    }
    c.execute(_add_once(c.dialect.name), [{**shared, **message} for message in messages])


def add_outbound(
    c: Connection,
    conversation: Conversation,
    *,
    turn_id: str | None,
    key: str,
    text: str,
    parts: list[Any],
    label: str,
    at: datetime,
) -> int:
    """Add one message of the persona, not sent yet; return its id."""
    row = {
        "conversation_id": conversation.id,
        "persona_id": conversation.persona_id,
        "person_id": conversation.person_id,
        "direction": "out",
        "turn_id": turn_id,
        "key": key,
        "text": text,
        "parts": parts,
        "label": label,
        "state": "pending",
        "sent_at": at,
    }
    added = c.execute(_ADD, row)
    assert added.inserted_primary_key is not None
    id_: int = added.inserted_primary_key[0]
    return id_


def set_turn(c: Connection, inbox_ids: Sequence[int], turn_id: str) -> None:
    """Say which turn answered these messages."""
    c.execute(_SET_TURN, [{"row": inbox_id, "turn": turn_id} for inbox_id in inbox_ids])


def _messages(query: Select[Any], c: Connection) -> list[Message]:
    return [Message(**row._mapping) for row in c.execute(query)]


def history(c: Connection, conversation_id: str, *, before_inbox: int, limit: int = 20) -> list[Earlier]:
    """Return what was said before the messages now being answered, oldest first."""
    rows = c.execute(_HISTORY, {"conversation": conversation_id, "first": before_inbox, "most": limit})
    return [Earlier(row.id, row.text, row.direction == "out", row.parts, row.quote, row.sent_at) for row in rows][::-1]


def messages_of(c: Connection, conversation_id: str, *, after_id: int = 0, limit: int = 200) -> list[Message]:
    """Return the messages after `after_id`, oldest first; the last `limit` of all when `after_id` is 0."""
    query = select(_message).where(_message.c.conversation_id == conversation_id)
    if after_id:
        return _messages(query.where(_message.c.id > after_id).order_by(_message.c.id).limit(limit), c)
    return _messages(query.order_by(_message.c.id.desc()).limit(limit), c)[::-1]


def messages_by_inbox(c: Connection, inbox_ids: Sequence[int]) -> dict[int, Message]:
    """Return the messages of these inbox rows, by inbox id."""
    rows = c.execute(select(_message).where(_message.c.inbox_id.in_(inbox_ids)))
    return {row.inbox_id: Message(**row._mapping) for row in rows}


def message_by_platform_id(c: Connection, account_id: str, chat_id: str, platform_message_id: str) -> Message | None:
    """Return the message that a platform's id means in one chat."""
    row = c.execute(
        select(_message)
        .join(_conversation, _conversation.c.id == _message.c.conversation_id)
        .where(
            _conversation.c.account_id == account_id,
            _conversation.c.chat_id == chat_id,
            _message.c.platform_message_id == platform_message_id,
        )
        .order_by(_message.c.id.desc())
    ).first()
    return None if row is None else Message(**row._mapping)


def edit_message(c: Connection, message_id: int, *, text: str, parts: list[Any], at: datetime) -> None:
    """Replace the words of a message its author edited."""
    c.execute(update(_message).where(_message.c.id == message_id).values(text=text, parts=parts, edited_at=at))


def delete_message(c: Connection, message_id: int, *, at: datetime) -> None:
    """Erase the words of a message its author took back; that there was one stays."""
    c.execute(
        update(_message)
        .where(_message.c.id == message_id)
        .values(text="", parts=[], quote=None, deleted_at=at, state="deleted")
    )


def set_message_state(c: Connection, message_id: int, state: str) -> None:
    """Keep what became of a message: sent, delivered, read, played, failed."""
    c.execute(update(_message).where(_message.c.id == message_id).values(state=state))


def move_chat(c: Connection, account_id: str, *, old_chat_id: str, new_chat_id: str) -> dict[str, str]:
    """Give the conversations of a chat the chat's new id, and what it may hear; return old key -> new key."""
    rows = c.execute(
        select(_conversation).where(_conversation.c.account_id == account_id, _conversation.c.chat_id == old_chat_id)
    ).all()
    moved: dict[str, str] = {}
    for row in rows:
        new_key = conversation_key(account_id, new_chat_id, row.thread_id, row.key.rsplit("|", 1)[-1])
        taken = c.execute(select(_conversation.c.id).where(_conversation.c.key == new_key)).scalar()
        if taken is None:
            c.execute(
                update(_conversation)
                .where(_conversation.c.id == row.id)
                .values(chat_id=new_chat_id, key=new_key, chat_kind="group")
            )
        moved[row.key] = new_key
    _move_room(c, account_id, old_chat_id, new_chat_id)
    return moved


def _move_room(c: Connection, account_id: str, old_chat_id: str, new_chat_id: str) -> None:
    mine = _room.c.account_id == account_id
    if c.execute(select(_room.c.circle).where(mine, _room.c.chat_id == new_chat_id)).first() is None:
        c.execute(update(_room).where(mine, _room.c.chat_id == old_chat_id).values(chat_id=new_chat_id))


def conversation_key(account_id: str, chat_id: str, thread_id: str | None, sender_id: str) -> str:
    """Return the key of the conversation of one person in one thread of one chat of one account."""
    return f"{account_id}|{chat_id}|{thread_id or ''}|{sender_id}"


def list_conversations(
    c: Connection, persona_id: str | None = None, *, before: datetime | None = None, limit: int = 50
) -> list[Listed]:
    """Return conversations, the one with the newest message first. For operators: it shows everything."""
    last_at = func.coalesce(_conversation.c.last_in_at, _conversation.c.opened_at)
    query = (
        select(
            _conversation,
            _persona.c.name.label("persona_name"),
            _persona.c.slug.label("persona_slug"),
            _person.c.name.label("person_name"),
            _account.c.channel.label("channel"),
        )
        .join(_persona, _persona.c.id == _conversation.c.persona_id)
        .join(_person, _person.c.id == _conversation.c.person_id)
        .join(_account, _account.c.id == _conversation.c.account_id)
        .order_by(last_at.desc())
        .limit(limit)
    )
    if persona_id is not None:
        query = query.where(_conversation.c.persona_id == persona_id)
    if before is not None:
        query = query.where(last_at < before)
    names = ("persona_name", "persona_slug", "person_name", "channel")
    found = []
    for row in c.execute(query).all():
        values = dict(row._mapping)
        labels = {name: values.pop(name) for name in names}
        conversation = Conversation(**values)
        last = c.execute(
            select(_message.c.text, _message.c.direction)
            .where(_message.c.conversation_id == conversation.id)
            .order_by(_message.c.id.desc())
            .limit(1)
        ).first()
        count = c.execute(
            select(func.count()).select_from(_message).where(_message.c.conversation_id == conversation.id)
        ).scalar_one()
        found.append(
            Listed(
                conversation=conversation,
                message_count=count,
                last_text=last.text if last else "",
                last_is_ours=bool(last and last.direction == "out"),
                **labels,
            )
        )
    return found
