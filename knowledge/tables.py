"""Every table. Rows are plain: what they mean and how they are found is in the modules beside this one."""

from __future__ import annotations

import secrets
import time
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Dialect,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Text,
)
from sqlalchemy import UniqueConstraint as Unique
from sqlalchemy.types import TypeDecorator
from sqlmodel import Field, SQLModel

SQLModel.metadata.naming_convention = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
).naming_convention


def new_id() -> str:
    """Return a new id: 48 bits of milliseconds and 80 random bits, as 32 hexadecimal digits, so ids sort by age."""
    return f"{time.time_ns() // 1_000_000:012x}{secrets.token_hex(10)}"


class UtcDateTime(TypeDecorator[datetime]):
    """An aware datetime in UTC; SQLite keeps no zone, so it is put back on reading."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone cannot be stored")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


# Auto-incremented keys: SQLite counts only a column of exactly INTEGER by itself.
_Serial = BigInteger().with_variant(Integer(), "sqlite")


def _serial() -> Any:
    return Field(default=None, sa_type=_Serial, primary_key=True)


def _when(*, optional: bool = False, index: bool = False) -> Any:
    # SQLModel wants the default spelt out for a column that may be null.
    return (
        Field(default=None, sa_type=UtcDateTime, nullable=True, index=index)
        if optional
        else Field(sa_type=UtcDateTime, index=index)
    )


def _json(default: Any = None) -> Any:
    return Field(default_factory=default or dict, sa_type=JSON)


def _long(default: str = "") -> Any:
    return Field(default=default, sa_type=Text)


# ------------------------------------------------------------------------------ personas and people


class Persona(SQLModel, table=True):
    """Who answers. kind: brand, self, memorial, fictional. state: draft, live, paused, retired."""

    id: str = Field(default_factory=new_id, primary_key=True)
    slug: str = Field(unique=True)
    name: str
    kind: str = "self"
    state: str = "live"
    visibility: str = "private"
    languages: list[str] = _json(list)
    timezone: str = "UTC"
    is_sample: bool = False
    settings: dict[str, Any] = _json()
    created_at: datetime = _when()


class Person(SQLModel, table=True):
    """A human who writes to the persona or appears in its material. `is_owner` marks whose persona it is."""

    id: str = Field(default_factory=new_id, primary_key=True)
    persona_id: str = Field(foreign_key="persona.id", index=True)
    name: str = ""
    aliases: list[str] = _json(list)
    relation: str = ""
    is_owner: bool = False
    language: str | None = None
    age_state: str = "unknown"
    stopped_at: datetime | None = _when(optional=True)
    created_at: datetime = _when()


class Identity(SQLModel, table=True):
    """A person on one channel. Name, username and phone are attributes, never keys."""

    __table_args__ = (Unique("account_id", "platform_user_id"),)

    id: str = Field(default_factory=new_id, primary_key=True)
    persona_id: str = Field(foreign_key="persona.id", index=True)
    person_id: str = Field(foreign_key="person.id", index=True)
    account_id: str = Field(foreign_key="account.id", index=True)
    channel: str
    platform_user_id: str
    name: str = ""
    username: str = ""
    phone: str = ""
    language: str | None = None
    is_reachable: bool = True
    last_seen_at: datetime | None = _when(optional=True)
    created_at: datetime = _when()


class Circle(SQLModel, table=True):
    """A named group of persons of one persona."""

    __table_args__ = (Unique("persona_id", "name"),)

    id: str = Field(default_factory=new_id, primary_key=True)
    persona_id: str = Field(foreign_key="persona.id")
    name: str


class CircleMember(SQLModel, table=True):
    """One person in one circle."""

    __tablename__ = "circle_member"

    circle_id: str = Field(foreign_key="circle.id", primary_key=True)
    person_id: str = Field(foreign_key="person.id", primary_key=True, index=True)


class Account(SQLModel, table=True):
    """One persona's presence on one platform. `secret_settings` is encrypted; state: on, off, broken."""

    id: str = Field(default_factory=new_id, primary_key=True)
    persona_id: str = Field(foreign_key="persona.id", index=True)
    channel: str
    name: str = ""
    secret_settings: bytes = Field(default=b"", sa_type=LargeBinary)
    webhook_path: str = Field(unique=True)
    state: str = "on"
    quiet_s: float | None = None
    burst_s: float | None = None
    last_event_at: datetime | None = _when(optional=True)
    last_error: str = _long()
    last_error_at: datetime | None = _when(optional=True)
    created_at: datetime = _when()


class Room(SQLModel, table=True):
    """A group chat and the circle it was invited with; without a row a group hears public things only."""

    account_id: str = Field(foreign_key="account.id", primary_key=True)
    chat_id: str = Field(primary_key=True)
    circle: str
    created_at: datetime = _when()


class Invitation(SQLModel, table=True):
    """A one-time link for one person or one new member of a circle. Only the token's hash is kept."""

    id: str = Field(default_factory=new_id, primary_key=True)
    persona_id: str = Field(foreign_key="persona.id", index=True)
    token_hash: str = Field(unique=True)
    person_id: str | None = Field(default=None, foreign_key="person.id")
    person_name: str = ""
    circle: str = "friends"
    created_by: str | None = None
    created_at: datetime = _when()
    expires_at: datetime | None = _when(optional=True)
    used_at: datetime | None = _when(optional=True)
    used_by: str | None = None
    revoked_at: datetime | None = _when(optional=True)


class Operator(SQLModel, table=True):
    """A human who signs in to the panel. role: owner, curator, reader."""

    id: str = Field(default_factory=new_id, primary_key=True)
    name: str = Field(unique=True)
    password_hash: str
    role: str = "owner"
    created_at: datetime = _when()
    last_sign_in_at: datetime | None = _when(optional=True)


class OperatorSession(SQLModel, table=True):
    """One signed-in browser. Only the cookie's hash is kept."""

    __tablename__ = "operator_session"

    token_hash: str = Field(primary_key=True)
    operator_id: str = Field(foreign_key="operator.id", index=True)
    csrf_token: str
    created_at: datetime = _when()
    expires_at: datetime = _when()


class SignInFailure(SQLModel, table=True):
    """A wrong password, kept as hashes for as long as it counts against the next try."""

    __tablename__ = "sign_in_failure"

    id: int | None = _serial()
    name_hash: str = Field(index=True)
    address_hash: str = Field(index=True)
    failed_at: datetime = _when()


class Incident(SQLModel, table=True):
    """Something the operators should look at: a dead letter, a crisis, a poisoned message, a broken account."""

    id: str = Field(default_factory=new_id, primary_key=True)
    persona_id: str | None = Field(default=None, index=True)
    account_id: str | None = None
    conversation_id: str | None = None
    turn_id: str | None = None
    kind: str
    summary: str = _long()
    created_at: datetime = _when()
    resolved_at: datetime | None = _when(optional=True)
    resolved_by: str | None = None


# ------------------------------------------------------------------------------ conversations


class Conversation(SQLModel, table=True):
    """One persona, one person, one account, one thread. `key` is what the inbox rows carry."""

    id: str = Field(default_factory=new_id, primary_key=True)
    key: str = Field(unique=True)
    persona_id: str = Field(foreign_key="persona.id", index=True)
    person_id: str = Field(foreign_key="person.id", index=True)
    account_id: str = Field(foreign_key="account.id", index=True)
    chat_id: str
    thread_id: str | None = None
    chat_kind: str = "private"
    title: str = ""
    language: str | None = None
    opened_at: datetime = _when()
    last_in_at: datetime | None = _when(optional=True, index=True)
    last_out_at: datetime | None = _when(optional=True)
    disclosed_at: datetime | None = _when(optional=True)
    held_by: str | None = None


class Message(SQLModel, table=True):
    """One thing said. state: received, pending, sent, delivered, read, failed, unknown; deleted ones keep no words."""

    __table_args__ = (
        Index("ix_message_conversation_id_id", "conversation_id", "id"),
        Index("ix_message_conversation_platform", "conversation_id", "platform_message_id"),
    )

    id: int | None = _serial()
    conversation_id: str = Field(foreign_key="conversation.id")
    persona_id: str = Field(index=True)
    person_id: str
    direction: str
    turn_id: str | None = Field(default=None, index=True)
    inbox_id: int | None = Field(default=None, sa_type=BigInteger, unique=True)
    platform_message_id: str | None = None
    key: str = ""
    text: str = _long()
    parts: list[Any] = _json(list)
    quote: dict[str, Any] | None = Field(default=None, sa_type=JSON)
    label: str = ""
    state: str = "received"
    sent_at: datetime = _when()
    edited_at: datetime | None = _when(optional=True)
    deleted_at: datetime | None = _when(optional=True)


class Turn(SQLModel, table=True):
    """One answer being made. `trace` is every step with what was searched, found, judged and spent."""

    id: str = Field(default_factory=new_id, primary_key=True)
    persona_id: str = Field(index=True)
    person_id: str
    conversation_id: str = Field(foreign_key="conversation.id", index=True)
    engine: str = ""
    reason: str = ""
    language: str = ""
    trace: list[Any] = _json(list)
    memory_ids: list[int] = _json(list)
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float = 0.0
    duration_ms: float = 0.0
    started_at: datetime = _when()
    finished_at: datetime = _when()


class Inbox(SQLModel, table=True):
    """One accepted event. state: pending, done, skipped (not for us), kept (not understood), dead."""

    __table_args__ = (
        Unique("account_id", "event_id"),
        Index("ix_inbox_state_conversation_key_id", "state", "conversation_key", "id"),
    )

    id: int | None = _serial()
    account_id: str
    event_id: str
    conversation_key: str = ""
    kind: str = ""
    payload: str = _long()
    raw: str = _long()
    state: str = "pending"
    attempts: int = 0
    turn_id: str | None = None
    last_error: str = ""
    received_at: datetime = _when()
    done_at: datetime | None = _when(optional=True)


class Outbox(SQLModel, table=True):
    """One message to send. state: pending, sending, sent, unknown, dead, cancelled."""

    __table_args__ = (
        Index("ix_outbox_state_due_at", "state", "due_at"),
        Index("ix_outbox_conversation_id_id", "conversation_id", "id"),
    )

    id: int | None = _serial()
    key: str = Field(unique=True)
    account_id: str = Field(index=True)
    conversation_id: str
    message_id: int | None = Field(default=None, sa_type=BigInteger)
    turn_id: str | None = None
    payload: str = _long()
    state: str = "pending"
    attempts: int = 0
    unknown_attempts: int = 0
    due_at: datetime = _when()
    attempted_at: datetime | None = _when(optional=True)
    sent_at: datetime | None = _when(optional=True)
    receipt: str = _long()
    last_error: str = ""
    created_at: datetime = _when()


class Cursor(SQLModel, table=True):
    """A place to go on from, e.g. the polling offset of one Telegram bot."""

    account_id: str = Field(primary_key=True)
    name: str = Field(primary_key=True)
    value: str


class MediaBlob(SQLModel, table=True):
    """A file kept by its content's hash in the data folder."""

    __tablename__ = "media"

    sha256: str = Field(primary_key=True)
    mime: str = ""
    size_bytes: int = Field(default=0, sa_type=BigInteger)
    created_at: datetime = _when()


class MediaUse(SQLModel, table=True):
    """Which personas a file belongs to; a file that nobody uses any more is removed."""

    __tablename__ = "media_use"

    persona_id: str = Field(foreign_key="persona.id", primary_key=True)
    sha256: str = Field(foreign_key="media.sha256", primary_key=True, index=True)


class MediaPlatformId(SQLModel, table=True):
    """The platform id under which an account can send the same media again."""

    __tablename__ = "media_platform_id"

    account_id: str = Field(primary_key=True)
    sha256: str = Field(primary_key=True)
    platform_id: str


# ------------------------------------------------------------------------------ knowledge


class Source(SQLModel, table=True):
    """Where knowledge came from. kind: import, upload, interview, conversation, correction."""

    id: str = Field(default_factory=new_id, primary_key=True)
    persona_id: str = Field(foreign_key="persona.id", index=True)
    kind: str
    name: str
    importer: str = ""
    audience: str = "owner"
    report: dict[str, Any] = _json()
    created_at: datetime = _when()
    undone_at: datetime | None = _when(optional=True)


class FootprintRecord(SQLModel, table=True):
    """One row of an import as it came, with the fields every platform shares beside its raw form."""

    __tablename__ = "footprint_record"
    __table_args__ = (
        Unique("persona_id", "natural_key"),
        Index("ix_footprint_record_table", "persona_id", "platform", "activity"),
    )

    id: int | None = _serial()
    persona_id: str = Field(foreign_key="persona.id")
    source_id: str = Field(foreign_key="source.id", index=True)
    platform: str
    activity: str
    natural_key: str
    audience: str = "owner"
    occurred_at: datetime | None = _when(optional=True)
    author: str = ""
    is_owner: bool = False
    conversation: str = ""
    text: str = _long()
    reply_to: str = ""
    media: list[Any] = _json(list)
    raw: dict[str, Any] = _json()
    member: str = ""
    position: int = 0


class Memory(SQLModel, table=True):
    """One thing remembered.

    kind: said (the persona's own words), heard (someone's words in the persona's material), told (what a person
    told the persona in a conversation), replied (what the persona answered), document, fact, note, correction.
    `speaker` is a name; `speaker_id` a person when known. `context` is the turn before, used to find this one,
    never shown. `happened_at`..`happened_to` is when it happened, `recorded_at` when it was learnt.
    """

    __table_args__ = (
        Unique("persona_id", "natural_key"),
        Index("ix_memory_persona_audience", "persona_id", "audience"),
        Index("ix_memory_session", "persona_id", "session", "place"),
        # What was deleted leaves its number behind: traces, profiles and indexes still hold it.
        {"sqlite_autoincrement": True},
    )

    id: int | None = _serial()
    persona_id: str = Field(foreign_key="persona.id")
    natural_key: str
    kind: str
    text: str = _long()
    context: str = _long()
    language: str = ""
    audience: str = "owner"
    speaker: str = ""
    speaker_id: str | None = Field(default=None, index=True)
    subject: str = ""
    is_own: bool = False
    session: str = ""
    place: int = 0
    happened_at: datetime | None = _when(optional=True, index=True)
    happened_to: datetime | None = _when(optional=True)
    recorded_at: datetime = _when()
    valid_from: datetime | None = _when(optional=True)
    valid_to: datetime | None = _when(optional=True)
    superseded_by: int | None = Field(default=None, sa_type=BigInteger)
    importance: float = 0.3
    strength: float = 1.0
    uses: int = 0
    last_used_at: datetime | None = _when(optional=True)
    tier: str = "live"
    source_id: str | None = Field(default=None, foreign_key="source.id", index=True)
    record_id: int | None = Field(default=None, sa_type=BigInteger)
    conversation_id: str | None = None
    message_id: int | None = Field(default=None, sa_type=BigInteger)
    evidence: list[int] = _json(list)
    mentions: list[str] = _json(list)
    edited_by: str | None = None
    deleted_at: datetime | None = _when(optional=True)


class MemoryRevision(SQLModel, table=True):
    """What a memory was before somebody edited it."""

    __tablename__ = "memory_revision"

    id: int | None = _serial()
    memory_id: int = Field(foreign_key="memory.id", index=True, sa_type=BigInteger)
    persona_id: str = Field(index=True)
    text: str = _long()
    audience: str = "owner"
    happened_at: datetime | None = _when(optional=True)
    replaced_by: str = ""
    replaced_at: datetime = _when()


class MemoryVector(SQLModel, table=True):
    """The embedding of one memory: int8 values and their scale, with the model and dimensions that made it.

    `digest` is the checksum of the words that were embedded: a vector of older words is not used.
    """

    __tablename__ = "memory_vector"

    memory_id: int = Field(primary_key=True, foreign_key="memory.id", sa_type=BigInteger)
    persona_id: str = Field(index=True)
    model: str
    dimensions: int
    scale: float
    digest: int = Field(default=0, sa_type=BigInteger)
    vector: bytes = Field(sa_type=LargeBinary)


class MemoryFeed(SQLModel, table=True):
    """What the derived indexes still have to learn, written in the transaction that changed the memory."""

    __tablename__ = "memory_feed"
    __table_args__ = {"sqlite_autoincrement": True}

    id: int | None = _serial()
    memory_id: int = Field(sa_type=BigInteger)
    persona_id: str
    is_removal: bool = False


class Profile(SQLModel, table=True):
    """One version of who the persona is. The newest with `is_current` counts."""

    id: str = Field(default_factory=new_id, primary_key=True)
    persona_id: str = Field(foreign_key="persona.id", index=True)
    version: int = 1
    is_current: bool = True
    biography: str = _long()
    description: str = _long()
    style: dict[str, Any] = _json()
    cited: list[int] = _json(list)
    audience: str = "owner"
    made_by: str = ""
    made_at: datetime = _when()


class ImportJob(SQLModel, table=True):
    """One import asked for. state: queued, running, done, failed. `progress` and `report` hold counts and names."""

    __tablename__ = "import_job"

    id: str = Field(default_factory=new_id, primary_key=True)
    persona_id: str = Field(foreign_key="persona.id", index=True)
    path: str
    name: str = ""
    options: dict[str, Any] = _json()
    state: str = "queued"
    progress: dict[str, Any] = _json()
    report: dict[str, Any] = _json()
    error: str = _long()
    source_id: str | None = None
    created_at: datetime = _when()
    started_at: datetime | None = _when(optional=True)
    finished_at: datetime | None = _when(optional=True)


metadata = SQLModel.metadata
