"""Instagram exports as JSON: posts, stories, reels, comments and messages, of every layout since 2018."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from knowledge.errors import ArchiveInvalid
from knowledge.importers.contract import Member, Question, ReadOptions, Record, Tally, Tree, Trouble
from knowledge.importers.instagram_phrases import phrases
from knowledge.importers.json_text import Damaged, Repairs, pieces
from knowledge.importers.owners import Authors, ask_for_owner, owners_among
from knowledge.importers.turns import Turns
from knowledge.names import fold

_Json = dict[str, Any]
_Found = Iterator[Record | Trouble | Tally]

# A file is told by the end of its path; older layouts lie in other folders.
_POSTS = re.compile(r"(?:^|/)(?:media|content)/(?:archived_)?posts(?:_\d+)?\.json$|(?:^|/)posts_\d+\.json$")
_MEDIA_KINDS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(?:^|/)(?:media|content)/archived_posts(?:_\d+)?\.json$"), "archived_post"),
    (_POSTS, "post"),
    (re.compile(r"(?:^|/)(?:media|content)/stories(?:_\d+)?\.json$"), "story"),
    (re.compile(r"(?:^|/)(?:media|content)/reels(?:_\d+)?\.json$"), "reel"),
    (re.compile(r"(?:^|/)(?:media|content)/igtv_videos(?:_\d+)?\.json$"), "reel"),
    (re.compile(r"(?:^|/)(?:media|content)/other_content(?:_\d+)?\.json$"), "post"),
    (re.compile(r"(?:^|/)(?:media|content)/profile_photos(?:_\d+)?\.json$"), "profile_photo"),
    (re.compile(r"(?:^|/)(?:media|content)/recently_deleted_content(?:_\d+)?\.json$"), "deleted_post"),
    (re.compile(r"(?:^|/)threads/threads_and_replies(?:_\d+)?\.json$"), "thread_post"),
)
_COMMENTS = re.compile(r"(?:^|/)(?:comments/)?(?:post_comments|reels_comments|story_comments|hype)(?:_\d+)?\.json$")
_MESSAGES = re.compile(r"(?:^|/)messages/(?:[a-z_0-9]+/)?([^/]+)/(message|replies)_(\d+)\.json$")
_PROFILE = re.compile(r"(?:^|/)(?:personal_information|account_information)/personal_information\.json$")
_OLD = re.compile(r"(?:^|/)(media|messages|comments|profile)\.json$")
_OTHER_PROFILES = re.compile(r"(?:^|/)(?:threads|edits)/personal_information\.json$")

_MARKS_OF_AN_EXPORT = re.compile(
    r"(?:^|/)(?:your_instagram_activity|apps_and_websites_off_of_instagram|followers_and_following"
    r"|instagram_ads_and_businesses|story_sticker_interactions|story_interactions)/"
)
_ROOT = re.compile(r"(?:^|/)instagram-[^/]+-\d{4}-\d{2}-\d{2}(?:-[A-Za-z0-9]+)?/", re.IGNORECASE)
_EXPORT_NAME = re.compile(r"(?:^|/)instagram-(.+?)-\d{4}-\d{2}-\d{2}(?:-|/|$)", re.IGNORECASE)
_META = re.compile(r"facebook", re.IGNORECASE)
_MEDIA_ENDINGS = (
    *(".jpg", ".jpeg", ".png", ".webp", ".heic", ".gif", ".mp4", ".mov"),
    *(".m4a", ".aac", ".ogg", ".wav", ".srt"),
)
_SILENT = frozenset({"deleted_post", "profile_photo"})
_THREAD_MOST_BYTES = 64 << 20


@dataclass(slots=True)
class _Thread:
    """One conversation: its files, newest first, as the export numbers them."""

    key: str
    files: list[tuple[int, str, Member]] = field(default_factory=list)


class Instagram:
    """An Instagram export in JSON, whole, in parts, or unpacked."""

    name: ClassVar[str] = "instagram"
    title: ClassVar[str] = "Instagram export"

    def __init__(self) -> None:
        self._tree: Tree | None = None
        self._authors = Authors()
        self._profile: dict[str, str] = {}
        self._own_names: list[str] = []
        self._repairs: dict[str, Repairs] = defaultdict(Repairs)

    def recognises(self, tree: Tree) -> float:
        """Return how sure it is that the tree holds an Instagram export."""
        return 0.9 if _roots(tree) is not None else 0.0

    def claims(self, tree: Tree) -> list[str]:
        """Return every file of the export, also those that are not read yet."""
        roots = _roots(tree)
        if roots is None:
            return []
        return [member.path for member in tree.members() if not roots or member.path.startswith(tuple(roots))]

    def owner(self, tree: Tree, options: ReadOptions) -> str | None:
        """Return the owner's name as messages write it, else as the profile does."""
        self._look(tree)
        found = owners_among(self._authors, options, known=self._names())
        return found[0] if found else next(iter(self._names()), None)

    def questions(self, tree: Tree, options: ReadOptions) -> list[Question]:
        """Ask whose words are the persona's when neither profile nor messages tell."""
        self._look(tree)
        if not self._authors.messages.total() or owners_among(self._authors, options, known=self._names()):
            return []
        # Nothing names the owner, and nobody writes in every conversation.
        return [ask_for_owner(self._authors, options)]

    def read(self, tree: Tree, options: ReadOptions) -> _Found:
        """Yield posts, stories, comments and messages; every other file is named as not read yet."""
        owner = self.owner(tree, options) or ""
        owners = frozenset(owners_among(self._authors, options, known=self._names())) | {owner}
        zone = ZoneInfo(options.timezone)
        threads: dict[str, _Thread] = {}
        for member in tree.members():
            path = member.path
            if match := _MESSAGES.search(path):
                key = _thread_key(match[1])
                thread = threads.setdefault(key, _Thread(key))
                thread.files.append((int(match[3]), match[2], member))
                continue
            reader = self._reader_of(path, owner)
            if reader is not None:
                yield from self._read_file(tree, member, reader)
            elif path.lower().endswith((".html", ".htm")) and not path.lower().endswith("start_here.html"):
                message = "This export is in HTML. Ask Instagram for it again and choose JSON."
                yield Trouble(member=path, message=message)
            elif not path.lower().endswith(_MEDIA_ENDINGS) and not path.endswith("no-data.txt"):
                yield Tally(member=path, name="not read yet", count=1)
        for key in sorted(threads):
            yield from self._read_thread(tree, threads[key], owners, zone)
        for path, repairs in self._repairs.items():
            for name, count in sorted(repairs.items()):
                yield Tally(member=path, name=name, count=count)

    def _reader_of(self, path: str, owner: str) -> Callable[[Member, Iterable[tuple[str | None, Any]]], _Found] | None:
        for pattern, activity in _MEDIA_KINDS:
            if pattern.search(path):
                return lambda member, parts: _posts(member, parts, activity, owner)
        if _COMMENTS.search(path):
            return lambda member, parts: _comments(member, parts, owner)
        if _is_profile(path):
            return lambda member, parts: _profile(member, parts, owner)
        old = _OLD.search(path)
        if old and old[1] == "media":
            return lambda member, parts: _old_media(member, parts, owner)
        if old and old[1] == "comments":
            return lambda member, parts: _old_comments(member, parts, owner)
        if old and old[1] == "messages":
            return lambda member, parts: _old_messages(member, parts, owner)
        return None

    def _read_file(
        self, tree: Tree, member: Member, reader: Callable[[Member, Iterable[tuple[str | None, Any]]], _Found]
    ) -> _Found:
        try:
            with tree.open(member.path) as stream:
                repairs = Repairs()
                self._repairs[member.path] = repairs
                yield from reader(member, pieces(stream, repairs))
        except ArchiveInvalid as error:
            yield Trouble(member=member.path, message=str(error), is_fatal_for_member=not isinstance(error, Damaged))

    def _read_thread(self, tree: Tree, thread: _Thread, owners: frozenset[str], zone: ZoneInfo) -> _Found:
        turns = Turns(f"instagram/{thread.key}", zone)
        seen: Counter[str] = Counter()
        for _, kind, member in sorted(thread.files, key=lambda file: (file[1] != "message", -file[0], file[2].path)):
            messages: list[_Json] = []
            head: _Json = {}
            trouble: Trouble | None = None
            try:
                if member.size_bytes > _THREAD_MOST_BYTES:
                    raise ArchiveInvalid("It is larger than the messages of one conversation may be.")
                with tree.open(member.path) as stream:
                    repairs = Repairs()
                    self._repairs[member.path] = repairs
                    for key, value in pieces(stream, repairs):
                        if key in ("messages", "replies") and isinstance(value, dict):
                            messages.append(value)
                        elif key is None and isinstance(value, dict):
                            head.update(value)
                        elif key:
                            head.setdefault(key, []).append(value)
            except ArchiveInvalid as error:
                trouble = Trouble(
                    member=member.path, message=str(error), is_fatal_for_member=not isinstance(error, Damaged)
                )
            title = _words(head.get("title")) or thread.key
            yield from _thread_head(member, thread.key, title, head, kind)
            # The export writes the newest first; a conversation is told from its beginning.
            messages.sort(key=lambda message: _number(message.get("timestamp_ms")))
            for position, message in enumerate(messages, 1):
                yield _message(message, member, position, thread.key, title, owners, turns, seen)
            if trouble:
                yield trouble

    def _names(self) -> list[str]:
        """Return what the export calls its owner, the surest first."""
        listed = [self._profile[kind] for kind in ("name", "username") if self._profile.get(kind)]
        return listed + self._own_names

    def _look(self, tree: Tree) -> None:
        """Read who the export belongs to and who writes in its conversations, once."""
        if self._tree is tree:
            return
        self._tree = tree
        self._authors = Authors()
        self._profile = {}
        self._own_names = _names_in_paths(tree)
        opposite: Counter[str] = Counter()
        counts: dict[str, Counter[str]] = defaultdict(Counter)
        for member in tree.members():
            match = _MESSAGES.search(member.path)
            old = _OLD.search(member.path)
            try:
                if match:
                    if member.size_bytes <= _THREAD_MOST_BYTES and match[2] == "message":
                        senders, own = _senders(tree, member)
                        counts[_thread_key(match[1])].update(senders)
                        opposite.update([own] if own else [])
                elif _is_profile(member.path):
                    self._profile |= _profile_fields(_all_pieces(tree, member))
                elif old and old[1] == "messages":
                    for at, senders in enumerate(_old_senders(_all_pieces(tree, member))):
                        counts[f"old {at}"].update(senders)
            except ArchiveInvalid:
                continue  # it is reported when it is read
        for senders in counts.values():
            if senders:
                self._authors.add(senders)
        self._own_names += [name for name, _ in opposite.most_common(1)]


def _is_profile(path: str) -> bool:
    old = _OLD.search(path)
    return (old is not None and old[1] == "profile") or (
        bool(_PROFILE.search(path)) and not _OTHER_PROFILES.search(path)
    )


def _roots(tree: Tree) -> list[str] | None:
    """Return the folders under which Instagram exports lie, [] for the whole tree, None for none."""
    roots: set[str] = set()
    score = 0
    for member in tree.members():
        path = member.path
        if match := _ROOT.search(path):
            roots.add(path[: match.end()])
            score += 3
        elif match := _MARKS_OF_AN_EXPORT.search(path):
            roots.add(path[: match.start() + (path[match.start()] == "/")])
            score += 3
        elif _COMMENTS.search(path) or _PROFILE.search(path) or _MESSAGES.search(path):
            score += 1
        elif any(pattern.search(path) for pattern, _ in _MEDIA_KINDS):
            score += 2
        elif _OLD.search(path) or path.endswith(("likes.json", "connections.json", "stories_activities.json")):
            score += 1
    if _META.search(tree.name) and not roots:
        return None
    if score < 2:
        return None
    return [] if "" in roots or not roots else sorted(roots)


def _posts(member: Member, parts: Iterable[tuple[str | None, Any]], activity: str, owner: str) -> _Found:
    position = 0
    single: _Json = {}
    for key, value in parts:
        if key == "media" or (key is None and isinstance(value, dict) and not _containers(value)):
            # One post that stands alone instead of in a list comes in its pieces.
            if key == "media":
                single.setdefault("media", []).append(value)
            else:
                single |= value
            continue
        for post in _containers(value) if key is None else (value,):
            if isinstance(post, dict):
                position += 1
                yield _post(post, member, position, activity, owner)
    if single.get("media") or single.get("title") or single.get("label_values"):
        yield _post(single, member, position + 1, activity, owner)


def _containers(value: Any) -> list[Any]:
    """Return the posts in {"ig_reels_media": {"media": [...]}}, whatever the outer key is."""
    found: list[Any] = []
    if isinstance(value, dict):
        for inner in value.values():
            if isinstance(inner, dict) and isinstance(inner.get("media"), list):
                found.extend(inner["media"])
    return found


def _post(post: _Json, member: Member, position: int, activity: str, owner: str) -> Record:
    media = [one for one in post.get("media") or () if isinstance(one, dict)] or ([post] if "uri" in post else [])
    labelled = _labelled(post)
    caption = _words(post.get("title")) or labelled.get("caption", "")
    own_captions = [_words(one.get("title")) for one in media]
    if not caption:
        caption = "\n\n".join(dict.fromkeys(said for said in own_captions if said))
    at = _time(post.get("creation_timestamp"), *(one.get("creation_timestamp") for one in media), post.get("timestamp"))
    uris = tuple(uri for one in media if (uri := _words(one.get("uri"))))
    return Record(
        platform="instagram",
        activity=activity,
        natural_key=_key(activity, at, caption, *uris),
        text=caption,
        author=owner,
        is_owner=True,
        occurred_at=at,
        conversation="Instagram",
        media=uris,
        is_words=bool(caption) and activity not in _SILENT,
        session=f"instagram/{activity}/{at:%Y-%m}" if at else f"instagram/{activity}",
        place=position,
        raw=post,
        member=member.path,
        position=position,
    )


def _comments(member: Member, parts: Iterable[tuple[str | None, Any]], owner: str) -> _Found:
    single: _Json = {}
    position = 0
    for key, value in parts:
        if key is None and isinstance(value, dict):
            single |= value
        elif key in ("media_list_data", "label_values", "media"):
            single.setdefault(key, []).append(value)
        elif isinstance(value, dict):
            position += 1
            yield _comment(value, member, position, owner)
    if single.get("string_map_data") or single.get("label_values"):
        yield _comment(single, member, position + 1, owner)


def _comment(entry: _Json, member: Member, position: int, owner: str) -> Record:
    fields = _mapped(entry) | _labelled(entry)
    text, whose = fields.get("comment", ""), fields.get("owner", "")
    at = _time(fields.get("time"), entry.get("timestamp"))
    return Record(
        platform="instagram",
        activity="comment",
        natural_key=_key("comment", at, whose, text),
        text=text,
        author=owner,
        is_owner=True,
        occurred_at=at,
        conversation=whose,
        reply_to=whose,
        is_words=bool(text),
        media=tuple(_media_of(entry)),
        session=f"instagram/comments/{at:%Y-%m}" if at else "instagram/comments",
        place=position,
        raw=entry,
        member=member.path,
        position=position,
    )


def _media_of(entry: _Json) -> Iterator[str]:
    listed = entry.get("media_list_data")
    for one in listed if isinstance(listed, list) else ():
        if isinstance(one, dict) and (uri := _words(one.get("uri"))):
            yield uri


def _mapped(entry: _Json) -> dict[str, Any]:
    """Return the fields of a `string_map_data`, whose labels are in the language of the account."""
    found: dict[str, Any] = {}
    values: list[str] = []
    labels = entry.get("string_map_data")
    for label, content in labels.items() if isinstance(labels, dict) else ():
        if not isinstance(content, dict):
            continue
        value = _words(content.get("value"))
        if value and phrases().is_label("comment", label):
            found["comment"] = value
        elif value and phrases().is_label("owner", label):
            found["owner"] = value
        elif value:
            values.append(value)
        if content.get("timestamp") and not found.get("time"):
            found["time"] = content["timestamp"]
    # Labels of a language not known here: the comment stands first, then whose post it was.
    for name in ("comment", "owner"):
        if name not in found and values:
            found[name] = values.pop(0)
    return found


def _labelled(entry: _Json) -> dict[str, Any]:
    """Return the fields of the newest layout, `label_values`."""
    found: dict[str, Any] = {}
    labels = entry.get("label_values")
    for one in labels if isinstance(labels, list) else ():
        if not isinstance(one, dict):
            continue
        label = _words(one.get("ent_field_name")) or _words(one.get("label")) or _words(one.get("title"))
        value = _words(one.get("value"))
        for kind in ("comment", "caption", "owner"):
            if value and phrases().is_label(kind, label):
                found.setdefault(kind, value)
        if one.get("timestamp_value"):
            found.setdefault("time", one["timestamp_value"])
        inner = one.get("dict")
        for part in _flat(inner) if isinstance(inner, list) else ():
            if phrases().is_label("username", _words(part.get("label"))) and _words(part.get("value")):
                found.setdefault("owner", _words(part.get("value")))
    return found


def _flat(parts: list[Any]) -> Iterator[_Json]:
    waiting = list(parts)
    while waiting:
        part = waiting.pop(0)
        if isinstance(part, dict):
            yield part
            inner = part.get("dict")
            if isinstance(inner, list):
                waiting.extend(inner)


def _thread_key(folder: str) -> str:
    """Return what stays the same of a conversation's folder: its number, else its name."""
    number = re.search(r"_(\d{4,})$", folder)
    return number[1] if number else fold(folder)


def _thread_head(member: Member, key: str, title: str, head: _Json, kind: str) -> Iterator[Record]:
    if not head:
        return
    yield Record(
        platform="instagram",
        activity="conversation",
        natural_key=_key("conversation", None, key, kind, json.dumps(head, sort_keys=True)),
        conversation=title,
        is_words=False,
        raw=head,
        member=member.path,
    )


def _participants(head: _Json) -> list[str]:
    listed = head.get("participants")
    named = [one.get("name") if isinstance(one, dict) else one for one in listed] if isinstance(listed, list) else []
    return [name for name in map(_words, named) if name]


def _message(
    message: _Json,
    member: Member,
    position: int,
    key: str,
    title: str,
    owners: frozenset[str],
    turns: Turns,
    seen: Counter[str],
) -> Record:
    author = _words(message.get("sender_name")) or _words(message.get("original_message_sender"))
    said = _words(message.get("content")) or _words(message.get("reply_content"))
    share = message.get("share")
    share = share if isinstance(share, dict) else {}
    at = _time(message.get("timestamp_ms"))
    media = tuple(_uris(message))
    has_more = bool(media or share or message.get("call_duration") or message.get("is_unsent"))
    is_notice = bool(said) and phrases().is_notice(said)
    is_words = bool(said) and not is_notice
    activity = "message"
    if is_notice and not has_more:
        activity = "notice"
    elif message.get("is_unsent"):
        activity = "deleted"
    session, place, context = turns.place(author, said if is_words else "", at)
    if is_words and share and _words(share.get("share_text")):
        context = context or _words(share.get("share_text"))[:400]
    natural_key = _key("message", at, key, author, said, *media, _words(share.get("link")))
    seen[natural_key] += 1
    if seen[natural_key] > 1:
        natural_key = f"{natural_key}-{seen[natural_key]}"
    return Record(
        platform="instagram",
        activity=activity,
        natural_key=natural_key,
        text=said,
        author=author,
        is_owner=author in owners,
        occurred_at=at,
        conversation=title,
        context=context if is_words else "",
        session=session,
        place=place,
        media=media,
        is_words=is_words,
        raw=message,
        member=member.path,
        position=position,
    )


def _uris(message: _Json) -> Iterator[str]:
    for kind in ("photos", "videos", "gifs", "audio_files", "files", "sticker"):
        found = message.get(kind)
        for one in found if isinstance(found, list) else [found]:
            if isinstance(one, dict) and (uri := _words(one.get("uri"))):
                yield uri


def _names_in_paths(tree: Tree) -> list[str]:
    """Return the account's name out of the export's own: instagram-<name>-<date>-<letters>."""
    for path in (tree.name, *(f"{member.part}/{member.path}" for member in tree.members()[:50])):
        match = _EXPORT_NAME.search(path)
        if match:
            return [match[1]]
    return []


def _senders(tree: Tree, member: Member) -> tuple[Counter[str], str]:
    """Return who wrote in a conversation of two, how often, and which of them it is not named after."""
    found: Counter[str] = Counter()
    title = ""
    with tree.open(member.path) as stream:
        try:
            for key, value in pieces(stream, Repairs()):
                if key == "messages" and isinstance(value, dict) and (name := _words(value.get("sender_name"))):
                    found[name] += 1
                elif key == "participants" and isinstance(value, dict) and (name := _words(value.get("name"))):
                    found[name] += 0
                elif key is None and isinstance(value, dict):
                    title = _words(value.get("title"))
        except Damaged:
            return found, ""
    others = [name for name in found if name != title]
    return found, others[0] if len(found) == 2 and len(others) == 1 else ""


def _all_pieces(tree: Tree, member: Member) -> list[tuple[str | None, Any]]:
    with tree.open(member.path) as stream:
        return list(pieces(stream, Repairs()))


def _profile_fields(parts: Iterable[tuple[str | None, Any]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in parts:
        if not isinstance(value, dict):
            continue
        if key is None:
            # The oldest layout: plain fields.
            for kind, name in (("name", "name"), ("username", "username"), ("biography", "biography")):
                if _words(value.get(name)):
                    found.setdefault(kind, _words(value[name]))
        labels = value.get("string_map_data")
        for label, content in labels.items() if isinstance(labels, dict) else ():
            said = _words(content.get("value")) if isinstance(content, dict) else ""
            for kind in ("name", "username", "biography"):
                if said and phrases().is_label(kind, label):
                    found.setdefault(kind, said)
    return found


def _profile(member: Member, parts: Iterable[tuple[str | None, Any]], owner: str) -> _Found:
    listed = list(parts)
    fields = _profile_fields(listed)
    biography = fields.get("biography", "")
    raw = {key or "fields": value for key, value in listed} if listed else {}
    yield Record(
        platform="instagram",
        activity="profile",
        natural_key=_key("profile", None, fields.get("username", ""), biography),
        text=biography,
        author=owner,
        is_owner=True,
        conversation="Instagram",
        session="instagram/profile",
        is_words=bool(biography),
        raw=raw,
        member=member.path,
        position=1,
    )


def _old_media(member: Member, parts: Iterable[tuple[str | None, Any]], owner: str) -> _Found:
    kinds = {"photos": "post", "videos": "post", "stories": "story", "direct": "sent_media", "profile": "profile_photo"}
    for position, (key, value) in enumerate(parts, 1):
        if key is None or not isinstance(value, dict):
            continue
        text, uri = _words(value.get("caption")), _words(value.get("path"))
        at = _time(value.get("taken_at"))
        activity = kinds.get(key, "post")
        yield Record(
            platform="instagram",
            activity=activity,
            natural_key=_key(activity, at, text, uri),
            text=text,
            author=owner,
            is_owner=True,
            occurred_at=at,
            conversation="Instagram",
            media=(uri,) if uri else (),
            is_words=bool(text) and activity not in _SILENT,
            session=f"instagram/{activity}/{at:%Y-%m}" if at else f"instagram/{activity}",
            place=position,
            raw=value,
            member=member.path,
            position=position,
        )


def _old_comments(member: Member, parts: Iterable[tuple[str | None, Any]], owner: str) -> _Found:
    for position, (_, value) in enumerate(parts, 1):
        if not (isinstance(value, list) and len(value) >= 2):
            continue
        at, text = _time(value[0]), _words(value[1])
        whose = _words(value[2]) if len(value) > 2 else ""
        yield Record(
            platform="instagram",
            activity="comment",
            natural_key=_key("comment", at, whose, text),
            text=text,
            author=owner,
            is_owner=True,
            occurred_at=at,
            conversation=whose,
            reply_to=whose,
            is_words=bool(text),
            session=f"instagram/comments/{at:%Y-%m}" if at else "instagram/comments",
            place=position,
            raw={"comment": value},
            member=member.path,
            position=position,
        )


def _old_messages(member: Member, parts: Iterable[tuple[str | None, Any]], owner: str) -> _Found:
    for _, thread in parts:
        if not isinstance(thread, dict) or not isinstance(thread.get("conversation"), list):
            continue
        names = sorted(_participants(thread))
        key = ",".join(map(fold, names))
        title = ", ".join(name for name in names if name != owner) or key
        turns = Turns(f"instagram/{key}")
        seen: Counter[str] = Counter()
        messages = [message for message in thread["conversation"] if isinstance(message, dict)]
        messages.sort(key=lambda message: str(message.get("created_at", "")))
        for position, message in enumerate(messages, 1):
            modern = message | {
                "sender_name": message.get("sender"),
                "content": message.get("text"),
                "timestamp_ms": message.get("created_at"),
            }
            yield _message(modern, member, position, key, title, frozenset({owner}), turns, seen)


def _old_senders(parts: Iterable[tuple[str | None, Any]]) -> Iterator[Counter[str]]:
    for _, thread in parts:
        if isinstance(thread, dict) and isinstance(thread.get("conversation"), list):
            yield Counter(
                name
                for message in thread["conversation"]
                if isinstance(message, dict) and (name := _words(message.get("sender")))
            )


def _time(*values: Any) -> datetime | None:
    """Return the first of several times that is one: seconds, milliseconds, microseconds or ISO."""
    for value in values:
        if isinstance(value, str) and len(value) >= 10 and not value.isdigit():
            try:
                found = datetime.fromisoformat(value)
            except ValueError:
                continue
            return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
        number = _number(value)
        if not number:
            continue
        if abs(number) >= 1e14:
            number /= 1e6
        elif abs(number) >= 1e11:
            number /= 1e3
        if -2_208_988_800 <= number <= 4_102_444_800:
            return datetime.fromtimestamp(number, UTC)
    return None


def _number(value: Any) -> float:
    if isinstance(value, bool):
        return 0.0
    if isinstance(value, int | float):
        return float(value)
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return 0.0
    return 0.0


def _words(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""


def _key(kind: str, at: datetime | None, *parts: str) -> str:
    when = f"{at:%Y-%m-%dT%H:%M:%S.%f}" if at else ""
    said = "\0".join((kind, when, *parts)).encode("utf-8", "replace")
    return f"instagram:{blake2b(said, digest_size=12).hexdigest()}"
