"""What Telegram says about a bot, in words for whoever connects one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from pydantic import JsonValue

from channels.contract import Health
from channels.telegram_settings import TelegramSettings

_MANY_WAITING = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """How this account means to receive: at `webhook_url`, or by polling when it is None.

    `is_set` when Telegram has taken that address already; `trouble` is what polling ran into.
    """

    webhook_url: str | None
    is_set: bool = False
    trouble: str = ""


def health(me: dict[str, Any], webhook: Any, *, settings: TelegramSettings, arrival: Arrival) -> Health:
    """Return whether the bot can send and receive, from getMe and getWebhookInfo."""
    info = webhook if isinstance(webhook, dict) else {}
    username, name = str(me.get("username", "")), str(me.get("first_name", ""))
    waiting = info.get("pending_update_count")
    waiting = waiting if isinstance(waiting, int) else 0
    problem, next_step = _problem(info, arrival, waiting)
    detail: dict[str, JsonValue] = {
        "bot_id": settings.bot_id,
        "username": username,
        "name": name or username,
        "receives_by": "webhook" if arrival.webhook_url else "polling",
        "waiting": waiting,
        "privacy_mode": me.get("can_read_all_group_messages") is not True,
        "can_join_groups": me.get("can_join_groups") is True,
    }
    sentences = [
        f"Connected as {name} (@{username}).",
        "Telegram delivers to this server." if arrival.webhook_url else "This server asks Telegram for messages.",
        _groups(me, settings),
        f"{waiting} {'update waits' if waiting == 1 else 'updates wait'} at Telegram." if waiting else "",
        problem,
    ]
    return Health(
        is_ok=not problem,
        summary=" ".join(filter(None, sentences)),
        next_step=next_step or _try_it(waiting),
        detail=detail,
    )


def _groups(me: dict[str, Any], settings: TelegramSettings) -> str:
    if me.get("can_join_groups") is False:
        return "It cannot be added to groups (BotFather, /setjoingroups)."
    if settings.group_replies == "never":
        return "It says nothing in groups."
    if me.get("can_read_all_group_messages") is True:
        return "Privacy mode is off: in groups it hears everything and answers when it is meant."
    return "Privacy mode is on: in groups it hears only commands, mentions and replies to it."


def _problem(info: dict[str, Any], arrival: Arrival, waiting: int) -> tuple[str, str]:
    """Return what is wrong and what to do about it; two empty strings when nothing is."""
    if arrival.trouble:
        if "Another program" in arrival.trouble:
            return arrival.trouble, "Stop the other program, or send /revoke to @BotFather and connect the new token."
        return arrival.trouble, "Nothing to do: it goes on by itself as soon as Telegram answers."
    if not arrival.webhook_url or not arrival.is_set:
        # What is known of deliveries is then about an address that is not this server's, or not yet.
        return "", ""
    if info.get("url") != arrival.webhook_url:
        return (
            "Telegram delivers to another address.",
            "Switch the account off and on again; if this comes back, another program uses the same token.",
        )
    failure = str(info.get("last_error_message") or "")
    if failure and waiting:
        return (
            f"The last delivery failed: {_without_path(failure, arrival.webhook_url)}.",
            "Check that MEMORAS_PUBLIC_URL is reachable from the internet with a valid certificate, or choose polling.",
        )
    return "", ""


def _try_it(waiting: int) -> str:
    return "What waits is being fetched." if waiting > _MANY_WAITING else "Write to the bot in Telegram to try it."


def _without_path(failure: str, url: str) -> str:
    """Telegram's words on a failed delivery, without the webhook's secret path."""
    path = urlsplit(url).path
    shown = failure.replace(path, "/…") if len(path) > 1 else failure
    return shown[:200].rstrip(".")
