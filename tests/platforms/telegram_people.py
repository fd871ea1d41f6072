"""The people and groups of the local Telegram, and what they do there."""

from __future__ import annotations

import re
import secrets
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.platforms.telegram_methods import Sent, StoredFile

if TYPE_CHECKING:
    from tests.platforms.telegram import LocalBot, Telegram

_COMMAND = re.compile(r"/[A-Za-z0-9_]+(?:@[A-Za-z0-9_]+)?")
_MENTION = re.compile(r"@[A-Za-z0-9_]{3,}")


@dataclass(slots=True)
class Group:
    """A group or, with `is_forum`, a supergroup with topics."""

    telegram: Telegram
    id: int
    title: str
    is_forum: bool = False
    members: list[int] = field(default_factory=list)
    administrators: set[int] = field(default_factory=set)

    @property
    def chat(self) -> dict[str, Any]:
        kind = "supergroup" if self.is_forum or self.id < -(10**12) else "group"
        return {"id": self.id, "type": kind, "title": self.title, **({"is_forum": True} if self.is_forum else {})}

    def adds_bot(self, bot: LocalBot, by: Person, *, is_administrator: bool = False) -> None:
        self.telegram.blocked.discard((bot.id, self.id))
        if is_administrator:
            self.administrators.add(bot.id)
        self._membership(bot, by, "left", "member")

    def removes_bot(self, bot: LocalBot, by: Person) -> None:
        self._membership(bot, by, "member", "kicked")
        self.telegram.blocked.add((bot.id, self.id))

    def opens_topic(self, name: str) -> int:
        """Return the thread id of a new topic."""
        thread_id = self.telegram.next_message_id(self.id)
        self.telegram.topics.setdefault(self.id, {})[thread_id] = name
        return thread_id

    def migrates(self) -> int:
        """Become a supergroup: another id, told to every bot from both sides. Return the new id."""
        old, new_id = self.chat, -(10**12) - abs(self.id)
        self.telegram.migrated[self.id] = new_id
        self.telegram.groups[new_id] = self
        old_id, self.id = self.id, new_id
        self.telegram.chats[new_id] = self.chat
        for bot in self.telegram.bots.values():
            common = {"from": {"id": 1087968824, "is_bot": True, "first_name": "Group"}, "date": int(time.time())}
            message = {"message_id": self.telegram.next_message_id(old_id), "chat": old, **common}
            bot.updates.push("message", {**message, "migrate_to_chat_id": new_id}, old_id)
            message = {"message_id": self.telegram.next_message_id(new_id), "chat": self.chat, **common}
            bot.updates.push("message", {**message, "migrate_from_chat_id": old_id}, new_id)
        return new_id

    def _membership(self, bot: LocalBot, by: Person, was: str, becomes: str) -> None:
        change = {
            "chat": self.chat,
            "from": by.user,
            "date": int(time.time()),
            "old_chat_member": {"user": bot.user, "status": was},
            "new_chat_member": {"user": bot.user, "status": becomes},
        }
        bot.updates.push("my_chat_member", change, self.id)


@dataclass(slots=True)
class Person:
    """Somebody on Telegram. What they do reaches the bot as an update; each verb returns the message's id."""

    telegram: Telegram
    bot: LocalBot
    id: int
    name: str
    username: str = ""
    language: str = "en"

    @property
    def user(self) -> dict[str, Any]:
        user = {"id": self.id, "is_bot": False, "first_name": self.name, "language_code": self.language}
        return {**user, "username": self.username} if self.username else user

    @property
    def chat(self) -> dict[str, Any]:
        return {"id": self.id, "type": "private", "first_name": self.name}

    @property
    def heard(self) -> list[Sent]:
        """What the bot has said to this person alone."""
        return self.telegram.sent(self.id)

    async def hears(self, count: int = 1, *, timeout_s: float = 15.0) -> list[Sent]:
        """Wait until the bot has said `count` messages to this person in all, and return them."""
        return await self.telegram.sends(count, self.id, timeout_s=timeout_s)

    async def starts(self, token: str = "", *, in_: Group | None = None) -> int:
        at = f"@{self.bot.username}" if in_ else ""
        return await self.writes(f"/start{at} {token}".strip(), in_=in_)

    async def writes(
        self, text: str, *, in_: Group | None = None, to: int | None = None, thread: int | None = None
    ) -> int:
        """Write, in the private chat or a group, as a reply to the message `to` when given."""
        return self.says({"text": text, **_entities(text, "entities")}, in_=in_, to=to, thread=thread)

    async def calls(self, text: str, *, in_: Group) -> int:
        """Mention the bot by its name without an @, as people without usernames are mentioned."""
        entity = {"type": "text_mention", "offset": 0, "length": len(self.bot.name), "user": self.bot.user}
        return self.says({"text": f"{self.bot.name} {text}", "entities": [entity]}, in_=in_)

    async def sends_voice(self, content: bytes, *, duration: int = 3, in_: Group | None = None) -> int:
        return self._sends("voice", content, "audio/ogg", in_, duration=duration)

    async def sends_audio(self, content: bytes, *, caption: str = "", duration: int = 60) -> int:
        return self._sends("audio", content, "audio/mpeg", None, caption=caption, duration=duration)

    async def sends_video(self, content: bytes, *, caption: str = "", duration: int = 5) -> int:
        return self._sends("video", content, "video/mp4", None, caption=caption, duration=duration)

    async def sends_video_note(self, content: bytes, *, duration: int = 5) -> int:
        return self._sends("video_note", content, "", None, duration=duration, length=384)

    async def sends_document(self, content: bytes, filename: str, *, caption: str = "", mime: str = "") -> int:
        return self._sends("document", content, mime or "application/pdf", None, caption=caption, file_name=filename)

    async def sends_sticker(self, content: bytes, emoji: str) -> int:
        return self._sends("sticker", content, "", None, emoji=emoji, width=512, height=512)

    async def sends_photo(self, content: bytes, *, caption: str = "", in_: Group | None = None) -> int:
        return self.says(self._photo(content, caption), in_=in_)

    async def sends_album(self, *contents: bytes, caption: str = "") -> list[int]:
        album = secrets.token_hex(6)
        captions = [caption] + [""] * len(contents)
        return [
            self.says({**self._photo(content, words), "media_group_id": album})
            for content, words in zip(contents, captions, strict=False)
        ]

    async def sends_location(self, latitude: float, longitude: float) -> int:
        return self.says({"location": {"latitude": latitude, "longitude": longitude}})

    async def sends_contact(self, name: str, phone: str) -> int:
        return self.says({"contact": {"phone_number": phone, "first_name": name}})

    async def edits(self, message_id: int, text: str, *, in_: Group | None = None) -> int:
        """Change a message; return the update's number."""
        chat = in_.chat if in_ else self.chat
        said = self.telegram.said[chat["id"], message_id]
        said |= {"text": text, "edit_date": int(time.time()), **_entities(text, "entities")}
        return self.bot.updates.push("edited_message", said, chat["id"])

    async def reacts(self, message_id: int, *emoji: str, in_: Group | None = None) -> int:
        chat = in_.chat if in_ else self.chat
        reaction = {
            "chat": chat,
            "message_id": message_id,
            "user": self.user,
            "date": int(time.time()),
            "old_reaction": [],
            "new_reaction": [{"type": "emoji", "emoji": one} for one in emoji],
        }
        return self.bot.updates.push("message_reaction", reaction, chat["id"])

    async def presses(self, sent: Sent, payload: str) -> str:
        """Press a button below a message; return the query's id, open until the bot answers it."""
        query_id = secrets.token_hex(8)
        self.bot.open_buttons.add(query_id)
        query = {"id": query_id, "from": self.user, "message": sent.payload, "chat_instance": "1", "data": payload}
        self.bot.updates.push("callback_query", query, sent.chat_id)
        return query_id

    async def stops(self, draft_id: int) -> int:
        """Press stop while the answer is being written."""
        return self.bot.updates.push("stopped_message_generation", {"chat": self.chat, "draft_id": draft_id}, self.id)

    async def blocks(self) -> int:
        self.telegram.blocked.add((self.bot.id, self.id))
        return self._membership("member", "kicked")

    async def unblocks(self) -> int:
        self.telegram.blocked.discard((self.bot.id, self.id))
        return self._membership("kicked", "member")

    async def joins(self, group: Group) -> None:
        """Join a group; Telegram's notice of it reaches the bot too."""
        group.members.append(self.id)
        self.says({"new_chat_members": [self.user]}, in_=group, is_service=True)

    async def refuses_voice(self) -> None:
        """Take voice messages from nobody, as people with Premium can."""
        self.telegram.voice_refusers.add(self.id)

    def says(
        self,
        content: dict[str, Any],
        *,
        in_: Group | None = None,
        to: int | None = None,
        thread: int | None = None,
        is_service: bool = False,
    ) -> int:
        """Put a message of any content into a chat and, where the bot may see it, before the bot."""
        chat = in_.chat if in_ else self.chat
        chat_id = int(chat["id"])
        if not in_:
            self.telegram.met.add((self.bot.id, self.id))
            self.telegram.blocked.discard((self.bot.id, self.id))
        message_id = self.telegram.next_message_id(chat_id)
        message: dict[str, Any] = {
            "message_id": message_id,
            "from": self.user,
            "chat": chat,
            "date": int(time.time()),
            **content,
        }
        if thread is not None:
            opening = {
                "message_id": thread,
                "chat": chat,
                "date": 0,
                "forum_topic_created": {"name": "", "icon_color": 0},
            }
            message |= {"message_thread_id": thread, "is_topic_message": True, "reply_to_message": opening}
        if to is not None:
            answered = self.telegram.said.get((chat_id, to))
            if answered is not None:
                message["reply_to_message"] = {k: v for k, v in answered.items() if k != "reply_to_message"}
        self.telegram.said[chat_id, message_id] = message
        if in_ is None or is_service or self._is_seen(message, in_):
            self.bot.updates.push("message", message, chat_id)
        return message_id

    def _is_seen(self, message: dict[str, Any], group: Group) -> bool:
        """Whether a bot in privacy mode gets to see this."""
        if self.bot.reads_all or self.bot.id in group.administrators:
            return True
        if message.get("reply_to_message", {}).get("from", {}).get("id") == self.bot.id:
            return True
        words = message.get("text", message.get("caption", ""))
        kinds = {one["type"] for one in (*message.get("entities", ()), *message.get("caption_entities", ()))}
        named = {one["user"]["id"] for one in message.get("entities", ()) if one["type"] == "text_mention"}
        is_named = f"@{self.bot.username}".lower() in words.lower() or self.bot.id in named
        return is_named or ("bot_command" in kinds and words.startswith("/") and "@" not in words.split()[0])

    def _sends(self, kind: str, content: bytes, mime: str, in_: Group | None, **fields: Any) -> int:
        caption = fields.pop("caption", "")
        file_id, stored = self.bot.keep_file(StoredFile(kind, content, "", mime=mime))
        shown = {"file_id": file_id, "file_unique_id": stored.unique_id, "file_size": len(content), **fields}
        if mime:
            shown["mime_type"] = mime
        message = {kind: shown, **({"caption": caption, **_entities(caption, "caption_entities")} if caption else {})}
        return self.says(message, in_=in_)

    def _photo(self, content: bytes, caption: str) -> dict[str, Any]:
        file_id, stored = self.bot.keep_file(StoredFile("photo", content, ""))
        small_id, small = self.bot.keep_file(StoredFile("photo", content[: len(content) // 2 + 1], ""))
        sizes = [
            {"file_id": small_id, "file_unique_id": small.unique_id, "width": 90, "height": 60, "file_size": 1200},
            {
                "file_id": file_id,
                "file_unique_id": stored.unique_id,
                "width": 1280,
                "height": 853,
                "file_size": len(content),
            },
        ]
        return {"photo": sizes, **({"caption": caption, **_entities(caption, "caption_entities")} if caption else {})}

    def _membership(self, was: str, becomes: str) -> int:
        change = {
            "chat": self.chat,
            "from": self.user,
            "date": int(time.time()),
            "old_chat_member": {"user": self.bot.user, "status": was},
            "new_chat_member": {"user": self.bot.user, "status": becomes, "until_date": 0},
        }
        return self.bot.updates.push("my_chat_member", change, self.id)


def _entities(text: str, name: str) -> dict[str, Any]:
    """Return the entities Telegram finds in what a person writes."""
    if "/" not in text and "@" not in text:
        return {}
    found = []
    command = _COMMAND.match(text)
    spans = [("bot_command", command)] if command else []
    spans += [("mention", one) for one in _MENTION.finditer(text) if not command or one.start() >= command.end()]
    for kind, span in spans:
        offset = len(text[: span.start()].encode("utf-16-le")) // 2
        found.append({"type": kind, "offset": offset, "length": len(span[0].encode("utf-16-le")) // 2})
    return {name: found} if found else {}
