"""WhatsApp chats as the app exports them: every language and both telephones, streamed."""

from __future__ import annotations

import re
from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from itertools import chain
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from knowledge.errors import ArchiveInvalid
from knowledge.importers.charset import text_of
from knowledge.importers.contract import Member, Question, ReadOptions, Record, Tally, Tree, Trouble
from knowledge.importers.owners import Authors, ask_for_owner, owners_among
from knowledge.importers.tree import read_head
from knowledge.importers.turns import Turns
from knowledge.importers.whatsapp_header import (
    DAY_FIRST,
    IOS,
    MONTH_FIRST,
    DateEvidence,
    Fields,
    Order,
    Stamps,
    fields_of,
    head_of,
    weigh_orders,
)
from knowledge.importers.whatsapp_phrases import MARKS, normal, phrases, without_marks
from knowledge.names import fold

_HEAD_BYTES = 8192
_MOST_AUTHOR = 120
_MOST_TEXT = 100_000
_MOST_WAITING = 1 << 18
_MOST_PARTS = 4
_MOST_HEAD = 400
_REMEMBERED_KEYS = 20_000
_SURVEY_LINES = 400

_MARK = re.compile(f"[{MARKS}]")
_UNKNOWN_CONTACT = re.compile(f"^[{MARKS}]*~[ \u00a0\u202f]?")
_QUOTES = re.compile('["“”„«»「」『』]')
_BRACKETED = re.compile(r"^<[^<>\n]{3,60}>$")
_EDITED = re.compile(r"\s*<([^<>\n]{4,60})>$")
_ATTACHED_IOS = re.compile(r"<([^:：<>\n]{2,30})[:：] ?([^<>\n/\\]{1,200}\.\w{1,5})>")
_ATTACHED_ANDROID = re.compile(r"^([^\n/\\<>]{1,200}\.\w{1,5}) \(([^()\n]{2,40})\)(?=\n|$)")
_CAMERA_NAME = re.compile(r"^(?:IMG|VID|PTT|AUD|STK|DOC|GIF)-\d{8}-WA\d+\.\w+$")
_PLACE = re.compile(
    r"^(?:[^:\n]{2,40}?[ \u00a0]?: ?)?https://(?:maps\.google\.com/|www\.google\.com/maps|goo\.gl/maps/|maps\.app\.goo\.gl/"
    r"|foursquare\.com/v/)\S*$",
)
_COORDINATES = re.compile(r"q=(-?\d{1,3}\.\d+),(-?\d{1,3}\.\d+)")
_OPTION = re.compile(r"^[^\W\d_][\w ]{1,20} ?[:：] ?(.{1,200}?) \((\d+)[^()]*\)$")
_POLL = re.compile(r"^([^\n:：]{2,24}) ?[:：]\n")

_TITLE = re.compile(
    r"^(?:whats ?app[ -]?(?:chat|sohbeti|トーク|チャット|聊天|對話|대화)?"
    r"(?: (?:with|mit|met|med|con|com|avec|z)| -| –)? ?"
    r"|chat (?:de|do|di) whatsapp (?:con|com|en) |chat whatsapp (?:con|com|avec) |conversa (?:do|de) whatsapp com "
    r"|discussion whatsapp avec |conversation whatsapp avec |чат whatsapp с (?:контактом |группой )?"
    r"|دردشة واتساب مع |دردشة whatsapp مع |צ'אט whatsapp עם |czat whatsapp z |obrolan whatsapp dengan "
    r"|percakapan whatsapp dengan |与|與|与 |與 )(?P<after>.+)$"
    r"|^(?P<before>.+?)(?: ile whatsapp sohbeti|님과 나눈 whatsapp 대화|님과의 whatsapp 대화"
    r"| ?との ?whatsapp ?(?:トーク|チャット)?"
    r"| ile olan whatsapp sohbeti)$",
    re.IGNORECASE,
)
_CHINESE_TAIL = re.compile(r" ?的 ?whats ?app ?(?:聊天|對話|对话|聊天記錄|聊天记录)?$", re.IGNORECASE)
_NAMELESS = frozenset({"_chat", "chat", ""})


@dataclass(slots=True)
class _Survey:
    """What a first look at one chat found."""

    member: Member
    pattern: re.Pattern[str]
    dates: DateEvidence
    authors: Counter[str] = field(default_factory=Counter)
    languages: Counter[str] = field(default_factory=Counter)
    title: str = ""
    subject: str = ""


class WhatsApp:
    """Exported chats: a `.txt` per chat, alone, in a folder or in a ZIP with its media."""

    name: ClassVar[str] = "whatsapp"
    title: ClassVar[str] = "WhatsApp chats"

    def __init__(self) -> None:
        self._surveys: dict[str, _Survey | Trouble] = {}
        self._tree: Tree | None = None

    def recognises(self, tree: Tree) -> float:
        """Return how sure it is that the tree holds exported chats."""
        return 0.95 if any(_is_chat(tree, member) for member in tree.members()) else 0.0

    def claims(self, tree: Tree) -> list[str]:
        """Return the chats and the media that lie beside them."""
        chats = [member for member in tree.members() if _is_chat(tree, member)]
        folders = {member.path.rpartition("/")[0] for member in chats}
        beside = [
            member.path
            for member in tree.members()
            if member.path.rpartition("/")[0] in folders and _is_whatsapp_media(member.path)
        ]
        return sorted({member.path for member in chats}.union(beside))

    def owner(self, tree: Tree, options: ReadOptions) -> str | None:
        """Return the name under which the owner wrote most."""
        found = owners_among(self._authors(tree), options)
        return found[0] if found else None

    def questions(self, tree: Tree, options: ReadOptions) -> list[Question]:
        """Ask whose words are the persona's, and how a chat's dates are to be read, where nothing tells."""
        found: list[Question] = []
        authors = self._authors(tree)
        if authors.messages and not owners_among(authors, options):
            found.append(ask_for_owner(authors, options))
        surveys = self._chats(tree)
        for survey in surveys:
            if _order_of(survey, surveys, options) is None:
                text = (
                    "The dates in a chat can be read as day/month or as month/day. Say which comes first, "
                    "and start the import again."
                )
                found.append(Question(option="day_first", text=text, member=survey.member.path))
                break
        return found

    def read(self, tree: Tree, options: ReadOptions) -> Iterator[Record | Trouble | Tally]:
        """Yield every line of every chat as a record."""
        zone = ZoneInfo(options.timezone)
        owners = frozenset(owners_among(self._authors(tree), options))
        surveys = self._chats(tree)
        for found in self._surveys.values():
            if isinstance(found, Trouble):
                yield found
        for survey in surveys:
            order = _order_of(survey, surveys, options) or DAY_FIRST
            chat = _Chat(survey, Stamps(survey.pattern, order, zone), owners, zone)
            try:
                yield from chat.read(tree)
            except ArchiveInvalid as error:
                yield Trouble(member=survey.member.path, message=str(error))

    def _chats(self, tree: Tree) -> list[_Survey]:
        if self._tree is not tree:
            self._tree = tree
            chats = [member for member in tree.members() if _is_chat(tree, member)]
            self._surveys = {member.path: _survey(tree, member) for member in chats}
        return [found for found in self._surveys.values() if isinstance(found, _Survey)]

    def _authors(self, tree: Tree) -> Authors:
        authors = Authors()
        for survey in self._chats(tree):
            authors.add(survey.authors)
        return authors


class _Chat:
    """One chat being read."""

    def __init__(self, survey: _Survey, stamps: Stamps, owners: frozenset[str], zone: ZoneInfo) -> None:
        self._survey = survey
        self._stamps = stamps
        self._owners = owners
        self._is_ios = survey.pattern is IOS
        self._path = survey.member.path
        self._title, self._conversation = _conversation_of(survey, owners)
        self._turns = Turns(self._conversation, zone)
        self._seen: OrderedDict[bytes, int] = OrderedDict()
        self._names: dict[str, str] = {}
        self._position = 0

    def read(self, tree: Tree) -> Iterator[Record | Trouble | Tally]:
        with tree.open(self._path) as stream:
            for head, at, minute, body in self._dated(text_of(stream)):
                self._position += 1
                if len(body) > _MOST_TEXT:
                    body = body[:_MOST_TEXT]
                    yield Trouble(
                        member=self._path,
                        message="A message longer than WhatsApp allows was cut.",
                        position=self._position,
                        is_fatal_for_member=False,
                    )
                yield self._record(head, at, minute, body)

    def _dated(self, texts: Iterator[str]) -> Iterator[tuple[str, datetime | None, str, str]]:
        """Yield each line's head, time, local minute and body.

        What looks like a head and names no day of this file's kind is part of the message it stands in.
        """
        waiting: tuple[str, datetime | None, str, str] | None = None
        for match, body in _messages(self._survey.pattern, texts):
            at, minute = self._stamps.read(match)
            if at is None and waiting is not None:
                waiting = (*waiting[:3], f"{waiting[3]}\n{match[0]}{body}"[: _MOST_TEXT + 1])
                continue
            if waiting is not None:
                yield waiting
            waiting = (match[1], at, minute, body)
        if waiting is not None:
            yield waiting

    def _record(self, head: str, at: datetime | None, minute: str, body: str) -> Record:
        author_text, said = _author_of(body)
        raw: dict[str, Any] = {"head": head, "body": body}
        if author_text is None:
            return self._finish("notice", "", without_marks(body).strip(), at, minute, raw, is_words=False)
        author = self._names.get(author_text)
        if author is None:
            author = self._names[author_text] = clean_name(author_text)
        if "~" in author_text[:6] and _UNKNOWN_CONTACT.match(author_text):
            raw["is_contact"] = False
        activity, text, media, is_words = self._understand(said, raw)
        if activity == "notice" and self._is_ios and fold(author) == fold(self._title):
            author = ""  # iOS writes the chat's own name before what nobody said
        return self._finish(activity, author, text, at, minute, raw, media=media, is_words=is_words)

    def _understand(self, said: str, raw: dict[str, Any]) -> tuple[str, str, tuple[str, ...], bool]:
        """Return what kind of line it is, its words, its media, and whether somebody said them."""
        # Nearly every line is plain words: nothing below can be in it then.
        if not ("\u200e" in said or "<" in said or "(" in said or "://" in said or ":\n" in said or len(said) < 64):
            return "message", _MARK.sub("", said) if not said.isascii() else said, (), True
        is_marked = said.startswith("\u200e")
        text = _MARK.sub("", said).strip() if not said.isascii() else said.strip()
        if not text or text == "null":
            return "message", "", (), False
        text, is_edited = _without_edit_note(text)
        if is_edited:
            raw["is_edited"] = True
        found = _attachment(text)
        if found:
            return "message", found[1], (found[0],), True
        if len(text) < 64:
            plain = normal(text)
            known = phrases()
            if plain in known.deleted:
                raw["is_deleted"] = True
                return "deleted", "", (), False
            if plain.strip("<>") in known.omitted or _BRACKETED.match(text):
                raw["is_omitted"] = True
                return "message", "", (), False
            if known.is_call(plain):
                return "notice", text, (), False
        elif self._position < 4 and any(phrase in normal(text) for phrase in phrases().encrypted):
            return "notice", text, (), False
        if "://" in text and _PLACE.match(text):
            if coordinates := _COORDINATES.search(text):
                raw["latitude"], raw["longitude"] = float(coordinates[1]), float(coordinates[2])
            return "location", "", (), False
        poll = _poll(text)
        if poll:
            return "poll", poll, (), True
        if is_marked and self._is_ios:
            return "notice", text, (), False
        return "message", text, (), True

    def _finish(
        self,
        activity: str,
        author: str,
        text: str,
        at: datetime | None,
        minute: str,
        raw: dict[str, Any],
        *,
        is_words: bool,
        media: tuple[str, ...] = (),
    ) -> Record:
        session, place, context = self._turns.place(author, text if is_words else "", at)
        return Record(
            platform="whatsapp",
            activity=activity,
            natural_key=self._key(minute, author, text or "\0".join(media) or activity),
            text=text,
            author=author,
            is_owner=author in self._owners,
            occurred_at=at,
            conversation=self._title,
            context=context if is_words else "",
            session=session,
            place=place,
            media=media,
            is_words=is_words,
            raw=raw,
            member=self._path,
            position=self._position,
        )

    def _key(self, minute: str, author: str, text: str) -> str:
        said = f"{self._conversation}\0{minute}\0{author}\0{text}".encode("utf-8", "replace")
        digest = blake2b(said, digest_size=12).digest()
        # The same words in the same minute, twice: chats have no ids, so the second is told by its count.
        count = self._seen.get(digest, 0)
        self._seen[digest] = count + 1
        if len(self._seen) > _REMEMBERED_KEYS:
            self._seen.popitem(last=False)
        if count:
            digest = blake2b(said + count.to_bytes(4, "big"), digest_size=12).digest()
        return f"whatsapp:{digest.hex()}"


def clean_name(text: str) -> str:
    """Return an author's name without the marks an export puts around it."""
    name = _UNKNOWN_CONTACT.sub("", text)
    return " ".join(without_marks(name).replace("\u00a0", " ").replace("\u202f", " ").replace("\u2011", "-").split())


def _is_chat(tree: Tree, member: Member) -> bool:
    if not member.path.lower().endswith(".txt") or member.size_bytes == 0:
        return False
    head = read_head(tree, member.path, _HEAD_BYTES)
    try:
        text = "".join(text_of(_Bytes(head)))
    except ArchiveInvalid:
        return False
    pattern = head_of(text)
    if pattern is None:
        return False
    # A chat begins with a header; a diary or an article may quote one further down.
    first = pattern.search(text)
    return first is not None and not text[: first.start()].strip(f"{_strippable()}")


def _strippable() -> str:
    return "\ufeff\u200e\u200f \n\t"


class _Bytes:
    """The first bytes of a file, as a stream."""

    def __init__(self, data: bytes) -> None:
        # A letter cut in two at the end would make the text look like another encoding.
        while data and data[-1] & 0x80:
            data = data[:-1]
        self._data = data

    def read(self, size: int = -1) -> bytes:
        data, self._data = self._data, b""
        return data


def _is_whatsapp_media(path: str) -> bool:
    name = path.rpartition("/")[2]
    return bool(_CAMERA_NAME.match(name)) or bool(re.match(r"^\d{8}-[A-Z]+-\d{4}-\d{2}-\d{2}-", name))


def _survey(tree: Tree, member: Member) -> _Survey | Trouble:
    try:
        with tree.open(member.path) as stream:
            return _survey_of(member, tree.name, text_of(stream))
    except ArchiveInvalid as error:
        return Trouble(member=member.path, message=str(error))


def _survey_of(member: Member, tree_name: str, texts: Iterator[str]) -> _Survey | Trouble:
    head = next(texts, "")
    pattern = head_of(head[:_HEAD_BYTES])
    if pattern is None:
        return Trouble(member=member.path, message="It holds no chat.")

    def _all() -> Iterator[str]:
        yield head
        yield from texts

    dates: list[Fields] = []
    authors: Counter[str] = Counter()
    languages: Counter[str] = Counter()
    first_stamp = subject = ""
    looked_at = 0
    for match, body in _messages(pattern, _all()):
        fields = fields_of(match)
        if not dates or dates[-1] != fields:
            dates.append(fields)
        first_stamp = first_stamp or match[1]
        author, said = _author_of(body)
        is_telling = author is None or said.startswith(("\u200e", "<"))
        if author is not None and (said[:1] != "\u200e" or said[1:2] == "<" or normal(said) in phrases().omitted):
            authors[author] += 1
        if is_telling and looked_at < _SURVEY_LINES:
            looked_at += 1
            languages.update(phrases().languages_of_line(said))
            if author is None and not subject and looked_at < 6:
                quoted = re.search('["“„«「](.{1,100})["”“»」]', body)
                subject = quoted[1] if quoted else ""
    named: Counter[str] = Counter()
    for name, count in authors.items():
        named[clean_name(name)] += count
    return _Survey(
        member=member,
        pattern=pattern,
        dates=weigh_orders(dates, first_stamp),
        authors=named,
        languages=languages,
        title=_title_of(member, tree_name),
        subject=subject,
    )


def _messages(pattern: re.Pattern[str], texts: Iterable[str]) -> Iterator[tuple[re.Match[str], str]]:
    """Yield each header with everything up to the next one, without the end of its last line."""
    head: re.Match[str] | None = None
    parts: list[str] = []
    carried = ""
    is_in_line = False
    for text in chain(texts, (None,)):
        buffer = carried + (text or "")
        carried = ""
        last_line = buffer.rfind("\n") + 1
        if text is not None and len(buffer) - last_line <= _MOST_HEAD:
            # A header may be cut in two by the end of this piece.
            buffer, carried = buffer[:last_line], buffer[last_line:]
        start = 0
        for match in pattern.finditer(buffer):
            begin = match.start()
            if is_in_line and begin == 0:
                continue
            if head is not None:
                body = buffer[start:begin] if not parts else "".join((*parts, buffer[start:begin]))
                yield head, body.removesuffix("\n")
            head = match
            start = match.end()
            parts = []
        if head is not None and len(parts) < _MOST_PARTS:
            parts.append(buffer[start : start + _MOST_WAITING])
        if buffer:
            is_in_line = not buffer.endswith("\n")
    if head is not None:
        yield head, "".join(parts).rstrip("\n")


def _author_of(body: str) -> tuple[str | None, str]:
    """Return who said a line and what; None for a line that nobody said."""
    at = body.find(": ", 0, _MOST_AUTHOR)
    if at < 0:
        end = body.find("\n")
        line = body if end < 0 else body[:end]
        if 1 < len(line) <= _MOST_AUTHOR and line.endswith(":") and " " not in line[-2:]:
            return line[:-1], "" if end < 0 else body[end + 1 :]
        return None, body
    name = body[:at]
    if "\n" in name:
        # An empty first line after the name: "Name:" and the words below it.
        line = name.partition("\n")[0]
        if line.endswith(":"):
            return line[:-1], body[len(line) + 1 :]
        return None, body
    if len(_QUOTES.findall(name)) % 2 or _is_about_a_group(name):
        return None, body  # the subject of a group may hold ": "
    return name, body[at + 2 :]


def _is_about_a_group(name: str) -> bool:
    if len(name) < 12 or not _QUOTES.search(name):
        return False
    plain = normal(name)
    return any(phrase in plain for phrase in phrases().notice)


def _without_edit_note(text: str) -> tuple[str, bool]:
    if not text.endswith(">"):
        return text, False
    match = _EDITED.search(text)
    if match and normal(match[1]) in phrases().edited and match.start():
        return text[: match.start()], True
    return text, False


def _attachment(text: str) -> tuple[str, str] | None:
    """Return the file's name and the caption, when a text stands for a file."""
    if ">" in text:
        match = _ATTACHED_IOS.search(text)
        if match and (normal(match[1]) in phrases().attached or match.end() == len(text)):
            caption = f"{text[: match.start()].strip()}\n{text[match.end() :].strip()}".strip()
            # A document's name and number of pages stand before it; they are not said by anybody.
            name = match[2].strip()
            is_label = " • " in caption and caption.partition(" • ")[0] in name
            return name, "" if is_label else caption
    if "(" in text:
        match = _ATTACHED_ANDROID.match(text)
        if match and (normal(match[2]) in phrases().attached or _CAMERA_NAME.match(match[1])):
            return match[1].strip(), text[match.end() :].strip()
    return None


def _poll(text: str) -> str:
    """Return a poll's question and its options as one text, '' when it is none."""
    head = _POLL.match(text)
    if head is None:
        return ""
    lines = [line.strip() for line in text[head.end() :].split("\n") if line.strip()]
    options = [match[1] for line in lines if (match := _OPTION.match(line))]
    if not options or (normal(head[1]) not in phrases().poll and len(options) < 2):
        return ""
    question = " ".join(line for line in lines if not _OPTION.match(line))
    return f"{question} ({' / '.join(options)})".strip()


def _order_of(survey: _Survey, surveys: list[_Survey], options: ReadOptions) -> Order | None:
    """Return how one chat writes its dates: by what it shows, what the person said, its language, its neighbours."""
    possible = survey.dates.orders
    if len(possible) == 1:
        return possible[0]
    if options.day_first is not None:
        return DAY_FIRST if options.day_first else MONTH_FIRST
    if survey.dates.is_day_first_style:
        return DAY_FIRST
    if survey.dates.is_month_first_style:
        return MONTH_FIRST
    languages = {language for language, _ in survey.languages.most_common(3)}
    if languages and "en" not in languages:
        return DAY_FIRST
    # Chats exported by one telephone write dates alike.
    sure = {
        other.dates.orders[0]
        for other in surveys
        if other is not survey and len(other.dates.orders) == 1 and other.pattern is survey.pattern
    }
    return sure.pop() if len(sure) == 1 and sure <= {DAY_FIRST, MONTH_FIRST} else None


def _title_of(member: Member, tree_name: str) -> str:
    folder, _, name = member.path.rpartition("/")
    stem = re.sub(r" ?\(\d{1,3}\)$", "", name[: -len(".txt")])
    for candidate in (stem, folder.rpartition("/")[2], member.part.removesuffix(".zip"), tree_name):
        match = _TITLE.match(candidate.strip())
        if match:
            found = match["after"] or match["before"] or ""
            return clean_name(re.sub(r" ?\(\d{1,3}\)$", "", _CHINESE_TAIL.sub("", found)))
    return ""


def _conversation_of(survey: _Survey, owners: frozenset[str]) -> tuple[str, str]:
    """Return a chat's title, and the name that stays the same in every export of it."""
    title = survey.title
    if not title:
        others = sorted(name for name in survey.authors if name not in owners)
        if len(others) == 1:
            title = others[0]
        elif survey.subject:
            title = survey.subject
        else:
            stem = survey.member.path.rpartition("/")[2].removesuffix(".txt")
            title = ", ".join(others[:6]) if stem.casefold() in _NAMELESS and others else stem
    return title, f"whatsapp/{fold(title)}"
