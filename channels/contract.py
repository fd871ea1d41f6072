"""The vocabulary of channels: what comes in, what goes out, and what an adapter must offer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal, Protocol, runtime_checkable

from aiohttp import web
from pydantic import BaseModel, Discriminator, JsonValue, TypeAdapter

# ---------------------------------------------------------------------------------------------- parts


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaFile:
    """Where the bytes of a media part are: on the platform (`platform_id`, `url`) or with us (`sha256`).

    `duration_s` in seconds, `size_bytes` in bytes, `width` and `height` in pixels; None when not told.
    """

    platform_id: str | None = None
    platform_unique_id: str | None = None
    url: str | None = None
    sha256: str | None = None
    mime: str | None = None
    filename: str | None = None
    size_bytes: int | None = None
    duration_s: float | None = None
    width: int | None = None
    height: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """Words. Inbound: plain text. Outbound: CommonMark, translated by the adapter's rendering."""

    text: str
    kind: Literal["text"] = "text"


@dataclass(frozen=True, slots=True, kw_only=True)
class Media:
    """A voice note, audio, image, video, round video note, animation or file, with an optional caption."""

    kind: Literal["voice", "audio", "image", "video", "video_note", "animation", "file"]
    file: MediaFile
    caption: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """A point (WGS 84 degrees), optionally named."""

    latitude: float
    longitude: float
    name: str = ""
    address: str = ""
    kind: Literal["location"] = "location"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """Somebody's card as the person shared it."""

    name: str
    phones: tuple[str, ...] = ()
    vcard: str = ""
    platform_id: str | None = None
    kind: Literal["contact"] = "contact"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sticker:
    """A sticker; `emoji` is what it stands for, when the platform says."""

    emoji: str = ""
    file: MediaFile | None = None
    kind: Literal["sticker"] = "sticker"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reaction:
    """The emoji now standing on message `message_id`; empty when the reaction was taken back."""

    message_id: str
    emoji: tuple[str, ...]
    kind: Literal["reaction"] = "reaction"


@dataclass(frozen=True, slots=True, kw_only=True)
class Button:
    """A button. Inbound: the one pressed. Outbound: one offered. `payload` comes back when it is pressed."""

    label: str
    payload: str
    kind: Literal["button"] = "button"


Part = Annotated[
    Text | Media | Location | Contact | Sticker | Reaction | Button,
    Discriminator("kind"),
]

# ------------------------------------------------------------------------------------------- inbound


@dataclass(frozen=True, slots=True, kw_only=True)
class Chat:
    """Where something is said. `id` and `thread_id` are the platform's; `private` means two take part."""

    id: str
    kind: Literal["private", "group", "channel"] = "private"
    thread_id: str | None = None
    title: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """Who said it, by the platform's stable user id. Name, phone and language are attributes, never keys."""

    id: str
    name: str = ""
    username: str = ""
    language: str | None = None
    is_machine: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """The message that is being answered. `is_ours` when the persona had said it."""

    message_id: str
    text: str = ""
    is_ours: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Inbound:
    """One event from a platform, stored under (account, `event_id`), so a repeat is recognised.

    kind:
      message     something said; `parts` hold it
      edit        the new content of `message_id`
      deletion    `message_id` was taken back by its author
      reaction    one `Reaction` part
      membership  `state`: "blocked", "unblocked", "joined", "left" (the persona's account in that chat)
      migration   the chat is now `state` (a chat id); the old id is in `chat`
      status      what became of our message `message_id`: `state` "sent", "delivered", "read", "failed", "played"
      stop        the person asked to stop the answer being written
    `is_addressed`: the platform's rules say the persona is spoken to (private chat, mention, reply, command).
    `invitation`: the one-time token of a deep link, when the message is one.
    """

    event_id: str
    kind: Literal["message", "edit", "deletion", "reaction", "membership", "migration", "status", "stop"]
    chat: Chat
    sender: Sender
    sent_at: datetime
    message_id: str | None = None
    parts: tuple[Part, ...] = ()
    quote: Quote | None = None
    is_addressed: bool = True
    invitation: str | None = None
    state: str | None = None
    detail: dict[str, JsonValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One platform event as it came (`raw`, the verified bytes or their JSON) and what was read from it.

    `inbound` is None when the shape was not understood: it is then only kept.
    """

    event_id: str
    raw: str
    inbound: Inbound | None


# ------------------------------------------------------------------------------------------ outbound


@dataclass(frozen=True, slots=True, kw_only=True)
class Outbound:
    """One message to send, already small enough for the platform.

    `key` is the same on every attempt: an adapter whose platform has idempotency keys passes it on.
    `label` is the honest mark that stands by an offline answer or machine-made media where it shows.
    """

    key: str
    chat: Chat
    parts: tuple[Part, ...]
    quote_message_id: str | None = None
    label: str = ""
    detail: dict[str, JsonValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What the platform gave back: its ids of the message(s), and ids to send the same media again."""

    message_ids: tuple[str, ...]
    media_ids: dict[str, str] = field(default_factory=dict)
    """sha256 of the media -> the platform's file id"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """The result of `check()`: can this account send and receive, and what to do if not."""

    is_ok: bool
    summary: str
    next_step: str = ""
    detail: dict[str, JsonValue] = field(default_factory=dict)


Action = Literal["typing", "record_voice", "upload_voice", "record_video", "upload_video", "read"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a platform can carry. Lengths count in `text_unit`; times in seconds; sizes in bytes."""

    text_length: int
    text_unit: Literal["characters", "utf16", "bytes", "weighted"] = "characters"
    caption_length: int = 0
    media_kinds: frozenset[str] = frozenset()
    media_bytes: int = 0
    has_buttons: bool = False
    has_quotes: bool = False
    has_reactions: bool = False
    has_typing: bool = False
    typing_lasts_s: float = 5.0
    has_drafts: bool = False
    has_idempotency_key: bool = False
    can_edit: bool = False
    reply_window_s: float | None = None
    sends_per_chat_s: float | None = None
    sends_per_group_minute: float | None = None
    sends_per_account_s: float | None = None
    max_unknown_resends: int = 1


# ------------------------------------------------------------------------------------------- adapter


class Inlet(Protocol):
    """Where an adapter hands what it has verified. One inlet belongs to one account."""

    async def accept(self, received: Sequence[Received], *, cursor: tuple[str, str] | None = None) -> int:
        """Store the events durably and return how many were new. Only then may the platform be answered 200.

        `cursor` (name, value) is stored in the same transaction, e.g. a polling offset.

        Raises:
            NotAccepted: when they could not be stored; answer 503.
        """

    async def cursor(self, name: str) -> str | None:
        """Return the value stored with `accept(cursor=...)`, None when there is none."""


Handler = Callable[[web.Request, Inlet], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Route:
    """One HTTP route of an account, below its webhook path. `path` "" is the webhook path itself."""

    method: str
    path: str
    handler: Handler


class MediaStore(Protocol):
    """Content-addressed bytes on our side, and the platform ids under which an account has sent them before."""

    async def read(self, sha256: str) -> bytes:
        """Return the bytes."""

    async def platform_id(self, sha256: str) -> str | None:
        """Return the account's platform id of this media, None when it was never sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountConfig:
    """What an adapter is built from: the account's id, its validated settings and its public webhook address."""

    id: str
    settings: BaseModel
    webhook_url: str | None = None
    display_name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """Who sits in front of a browser. `set_cookie` (name, value) must go out with the response when given."""

    sender: Sender
    set_cookie: tuple[str, str] | None = None


class Visitors(Protocol):
    """Tells browsers apart. The web channel has no platform that does it for us."""

    async def identify(self, request: web.Request) -> Visitor:
        """Return who sends this request: a signed-in operator, a returning visitor or a new one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a transcript as a page shows it. `id` grows; `key` is the outbound's key for ours."""

    id: int
    key: str
    text: str
    is_ours: bool
    at: datetime
    label: str = ""
    state: str = ""
    media: tuple[MediaFile, ...] = ()


class Transcript(Protocol):
    """What was said in one chat of an account, for channels that keep no history of their own."""

    async def lines(self, sender: Sender, *, after: int = 0, limit: int = 100) -> list[Line]:
        """Return the lines with an id above `after`, oldest first; the last `limit` when `after` is 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """What the bot lends every adapter. `visitors` and `transcript` serve the web and the terminal alone."""

    now: Callable[[], datetime]
    media: MediaStore
    visitors: Visitors | None = None
    transcript: Transcript | None = None


@runtime_checkable
class Adapter(Protocol):
    """One account on one platform. Built lazily: the SDK is imported with the adapter's module."""

    name: ClassVar[str]
    limits: ClassVar[Limits]
    account: AccountConfig

    def parse(self, payload: Any) -> list[Inbound]:
        """Return what a verified payload says. Pure.

        Raises:
            PayloadNotUnderstood: for a shape that is not known; the caller keeps it raw.
        """

    def routes(self) -> list[Route]:
        """Return the HTTP routes of this account; empty when it only listens."""

    async def listen(self, inlet: Inlet) -> None:
        """Receive over the account's own connection until cancelled; return at once when it uses webhooks."""

    async def send(self, outbound: Outbound) -> Receipt:
        """Send one message.

        Raises:
            ChannelError: RateLimited, PlatformUnavailable, OutcomeUnknown, Undeliverable or NotConfigured.
        """

    async def reconcile(self, outbound: Outbound) -> Receipt | None:
        """Find out whether a send of unknown outcome arrived; None when it did not or nobody can tell."""

    async def show(self, action: Action, chat: Chat) -> None:
        """Show an action such as typing, once; never raises for a platform that has none."""

    async def draft(self, chat: Chat, draft_id: int, text: str) -> None:
        """Show the answer so far, where `limits.has_drafts`; a failure is not an error."""

    def fetch(self, file: MediaFile) -> AsyncIterator[bytes]:
        """Yield the bytes of inbound media.

        Raises:
            ChannelError: Undeliverable (too_large, chat_gone) or PlatformUnavailable.
        """

    async def check(self) -> Health:
        """Try the credentials for real and say what works."""

    async def close(self) -> None:
        """Release connections."""


INBOUND: TypeAdapter[Inbound] = TypeAdapter(Inbound)
OUTBOUND: TypeAdapter[Outbound] = TypeAdapter(Outbound)
RECEIPT: TypeAdapter[Receipt] = TypeAdapter(Receipt)
