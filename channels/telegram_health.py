"""What Telegram says about a bot, in words for whoever connects one."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from pydantic import JsonValue

from channels.contract import Health
from channels.telegram_settings import TelegramSettings

_MANY_PENDING = 100


def health(
    me: dict[str, Any], webhook: Any, *, settings: TelegramSettings, is_delivered: bool, trouble: str = ""
) -> Health:
    """Return whether the bot can send and receive, from getMe and getWebhookInfo; `trouble` is polling's."""
    info = webhook if isinstance(webhook, dict) else {}
    username, name = str(me.get("username", "")), str(me.get("first_name", ""))
    is_reading_all = me.get("can_read_all_group_messages") is True
    pending = info.get("pending_update_count")
    pending = pending if isinstance(pending, int) else 0
    failure = str(info.get("last_error_message") or "") if is_delivered else ""
    failing = bool(failure) and pending > 0
    detail: dict[str, JsonValue] = {
        "bot_id": settings.bot_id,
        "username": username,
        "name": name or username,
        "receives_by": "webhook" if is_delivered else "polling",
        "waiting": pending,
        "privacy_mode": not is_reading_all,
        "can_join_groups": me.get("can_join_groups") is True,
    }
    sentences = [
        f"Connected as {name} (@{username}).",
        "Telegram delivers its messages to this server." if is_delivered else "This server asks Telegram for messages.",
        _groups(me, settings, is_reading_all=is_reading_all),
    ]
    if pending:
        sentences.append(f"{pending} {'update waits' if pending == 1 else 'updates wait'} at Telegram.")
    if failing:
        sentences.append(f"The last delivery failed: {_without_address(failure, info)}.")
    if trouble:
        sentences.append(trouble)
    return Health(
        is_ok=not failing and not trouble,
        summary=" ".join(sentences),
        next_step=_next_step(failing=failing, trouble=trouble, pending=pending),
        detail=detail,
    )


def _groups(me: dict[str, Any], settings: TelegramSettings, *, is_reading_all: bool) -> str:
    if me.get("can_join_groups") is False:
        return "It cannot be added to groups (BotFather, /setjoingroups)."
    if settings.group_replies == "never":
        return "It says nothing in groups."
    if is_reading_all:
        return "Privacy mode is off: in groups it hears everything and answers when it is meant."
    return "Privacy mode is on: in groups it hears only commands, mentions and replies to it."


def _next_step(*, failing: bool, trouble: str, pending: int) -> str:
    if failing:
        return (
            "Check that MEMORAS_PUBLIC_URL is reachable from the internet with a valid certificate, or choose polling."
        )
    if "Another program" in trouble:
        return "Stop the other program that uses this token, or get a new one from @BotFather with /revoke."
    if trouble:
        return "Nothing to do: it goes on by itself as soon as Telegram answers."
    if pending > _MANY_PENDING:
        return "Nothing to do: what waits is being fetched."
    return "Write to the bot in Telegram to try it."


def _without_address(failure: str, info: dict[str, Any]) -> str:
    """Telegram's words on a failed delivery, without the webhook's secret path."""
    path = urlsplit(str(info.get("url") or "")).path
    shown = failure.replace(path, "/…") if len(path) > 1 else failure
    return shown[:200].rstrip(".")
