"""Accounts: a persona's presence on one platform, with its credentials sealed."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, select, update

from knowledge.errors import NotFound
from knowledge.rows import all_of, first_of, insert, table
from knowledge.secrets import SecretBox
from knowledge.tables import Account, Cursor, MediaPlatformId, Outbox, Room, new_id

STATES = ("on", "off", "broken", "removed")

_account = table(Account)


def create_account(
    c: Connection,
    box: SecretBox,
    *,
    persona_id: str,
    channel: str,
    name: str,
    settings: Mapping[str, Any],
    webhook_path: str | None = None,
    quiet_s: float | None = None,
    burst_s: float | None = None,
    at: datetime,
) -> Account:
    """Store an account with its settings sealed; without a `webhook_path` it gets one that cannot be guessed."""
    account_id = new_id()
    made = Account(
        id=account_id,
        persona_id=persona_id,
        channel=channel,
        name=name,
        secret_settings=_sealed(box, account_id, settings),
        webhook_path=webhook_path or f"/webhooks/{channel}/{secrets.token_urlsafe(16)}",
        quiet_s=quiet_s,
        burst_s=burst_s,
        created_at=at,
    )
    return insert(c, made)


def accounts(c: Connection, persona_id: str | None = None) -> list[Account]:
    """Return the accounts of one persona or of all, oldest first, without those that were removed."""
    query = select(_account).where(_account.c.state != "removed")
    if persona_id is not None:
        query = query.where(_account.c.persona_id == persona_id)
    return all_of(c, Account, query.order_by(_account.c.created_at, _account.c.id))


def account(c: Connection, account_id: str) -> Account:
    """Return one account, also one that was removed: its conversations can still be read.

    Raises:
        NotFound: when there is none with this id.
    """
    found = first_of(c, Account, select(_account).where(_account.c.id == account_id))
    if found is None:
        raise NotFound("There is no such account.")
    return found


def account_at(c: Connection, webhook_paths: Sequence[str]) -> Account | None:
    """Return the account that is reached under one of these paths, None when there is none."""
    return first_of(c, Account, select(_account).where(_account.c.webhook_path.in_(webhook_paths)))


def settings_of(box: SecretBox, account: Account) -> dict[str, Any]:
    """Return an account's settings in the clear; empty when it has none.

    Raises:
        SecretUnreadable: when they cannot be opened; the message says what to do.
    """
    if not account.secret_settings:
        return {}
    found: dict[str, Any] = json.loads(box.open(account.secret_settings, account.id))
    return found


def update_settings(c: Connection, box: SecretBox, account_id: str, settings: Mapping[str, Any]) -> Account:
    """Replace an account's settings.

    Raises:
        NotFound: when there is none with this id.
    """
    return _change(c, account_id, secret_settings=_sealed(box, account_id, settings))


def update_account(
    c: Connection, account_id: str, *, name: str, quiet_s: float | None, burst_s: float | None
) -> Account:
    """Change what is no secret: the name, and how long to wait for a burst of messages to end.

    Raises:
        NotFound: when there is none with this id.
    """
    return _change(c, account_id, name=name, quiet_s=quiet_s, burst_s=burst_s)


def set_state(c: Connection, account_id: str, state: str) -> Account:
    """Switch an account on or off, or mark it broken. Switching it on forgets its last error.

    Raises:
        NotFound: when there is none with this id.
    """
    if state not in STATES[:3]:
        raise ValueError(f"an account's state is one of {', '.join(STATES[:3])}")
    clean = {"last_error": "", "last_error_at": None} if state == "on" else {}
    return _change(c, account_id, state=state, **clean)


def note_event(c: Connection, account_id: str, at: datetime) -> None:
    """Note that the platform sent something."""
    c.execute(update(_account).where(_account.c.id == account_id).values(last_event_at=at))


def note_error(c: Connection, account_id: str, error: str, at: datetime) -> None:
    """Note what last went wrong, in words for the owner and without content."""
    c.execute(update(_account).where(_account.c.id == account_id).values(last_error=error, last_error_at=at))


def remove_account(c: Connection, account_id: str) -> Account:
    """Erase an account's credentials and everything that only serves sending; its conversations stay to be read.

    Raises:
        NotFound: when there is none with this id.
    """
    gone = _change(
        c, account_id, state="removed", secret_settings=b"", webhook_path=f"removed/{account_id}", last_error=""
    )
    for model in (Cursor, MediaPlatformId, Room):
        c.execute(delete(table(model)).where(table(model).c.account_id == account_id))
    waiting = table(Outbox)
    unsent = (waiting.c.account_id == account_id, waiting.c.state == "pending")
    c.execute(update(waiting).where(*unsent).values(state="cancelled"))
    return gone


def _change(c: Connection, account_id: str, **values: Any) -> Account:
    c.execute(update(_account).where(_account.c.id == account_id, _account.c.state != "removed").values(values))
    return account(c, account_id)


def _sealed(box: SecretBox, account_id: str, settings: Mapping[str, Any]) -> bytes:
    return box.seal(json.dumps(dict(settings)).encode(), account_id) if settings else b""
