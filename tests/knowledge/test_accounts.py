"""Accounts keep their credentials sealed, and lose them when they are removed."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import func, select

from knowledge import accounts, media, people
from knowledge.database import Connection
from knowledge.errors import NotFound, SecretUnreadable
from knowledge.rows import insert, table
from knowledge.secrets import SecretBox
from knowledge.tables import Account, Conversation, Cursor, MediaPlatformId, Outbox
from tests.knowledge.family import NOW, Family

SETTINGS = {"token": "123:abc", "mode": "polling"}


@pytest.fixture
def box(tmp_path: Path) -> SecretBox:
    return SecretBox(tmp_path / "secret.key")


@pytest.fixture
def telegram(c: Connection, box: SecretBox, family: Family) -> Account:
    return accounts.create_account(
        c, box, persona_id=family.persona.id, channel="telegram", name="Rosa's bot", settings=SETTINGS, at=NOW
    )


def test_settings_come_back_and_are_not_in_the_row(c: Connection, box: SecretBox, telegram: Account) -> None:
    stored = accounts.account(c, telegram.id)
    assert b"abc" not in stored.secret_settings
    assert accounts.settings_of(box, stored) == SETTINGS


def test_a_secret_moved_to_another_account_does_not_open(c: Connection, box: SecretBox, telegram: Account) -> None:
    telegram.id = "another"
    with pytest.raises(SecretUnreadable):
        accounts.settings_of(box, telegram)


def test_the_webhook_cannot_be_guessed(c: Connection, telegram: Account) -> None:
    prefix, secret = telegram.webhook_path.rsplit("/", 1)
    assert prefix == "/webhooks/telegram"
    assert len(secret) >= 22


def test_the_web_and_the_terminal_have_no_settings(c: Connection, box: SecretBox, family: Family) -> None:
    assert accounts.settings_of(box, family.web) == {}


def test_new_settings_replace_the_old_ones(c: Connection, box: SecretBox, telegram: Account) -> None:
    changed = accounts.update_settings(c, box, telegram.id, {"token": "new"})
    assert accounts.settings_of(box, changed) == {"token": "new"}


def test_switching_on_forgets_the_last_error(c: Connection, telegram: Account) -> None:
    accounts.note_error(c, telegram.id, "The token was refused.", NOW)
    broken = accounts.set_state(c, telegram.id, "broken")
    assert (broken.state, broken.last_error, broken.last_error_at) == ("broken", "The token was refused.", NOW)
    working = accounts.set_state(c, telegram.id, "on")
    assert (working.state, working.last_error, working.last_error_at) == ("on", "", None)
    accounts.note_event(c, telegram.id, NOW)
    assert accounts.account(c, telegram.id).last_event_at == NOW
    with pytest.raises(ValueError):
        accounts.set_state(c, telegram.id, "removed")


def test_a_removed_account_keeps_its_conversations_and_nothing_to_send_with(
    c: Connection, box: SecretBox, family: Family, telegram: Account
) -> None:
    guest = people.identify(c, account_id=telegram.id, platform_user_id="9", at=NOW).identity
    talk = Conversation(
        key="k",
        persona_id=family.persona.id,
        person_id=guest.person_id,
        account_id=telegram.id,
        chat_id="9",
        opened_at=NOW,
    )
    insert(c, talk)
    for state in ("pending", "sent"):
        row = {"account_id": telegram.id, "conversation_id": talk.id, "due_at": NOW, "created_at": NOW}
        insert(c, Outbox(key=state, state=state, **row))
    insert(c, Cursor(account_id=telegram.id, name="offset", value="7"))
    media.note_media(c, sha256="a" * 64, at=NOW)
    media.note_platform_id(c, telegram.id, "a" * 64, "file")

    gone = accounts.remove_account(c, telegram.id)

    assert (gone.state, gone.secret_settings) == ("removed", b"")
    assert accounts.settings_of(box, gone) == {}
    assert telegram.id not in [found.id for found in accounts.accounts(c)]
    assert accounts.account(c, telegram.id).id == telegram.id
    assert c.execute(select(table(Conversation).c.id)).scalars().all() == [talk.id]
    assert sorted(c.execute(select(table(Outbox).c.state)).scalars()) == ["cancelled", "sent"]
    for model in (Cursor, MediaPlatformId):
        assert c.execute(select(func.count()).select_from(table(model))).scalar_one() == 0


def test_a_removed_account_does_not_come_back(c: Connection, box: SecretBox, telegram: Account) -> None:
    accounts.remove_account(c, telegram.id)
    assert accounts.set_state(c, telegram.id, "on").state == "removed"
    assert accounts.update_settings(c, box, telegram.id, SETTINGS).secret_settings == b""


def test_accounts_of_one_persona_are_listed_oldest_first(c: Connection, family: Family, telegram: Account) -> None:
    channels = [found.channel for found in accounts.accounts(c, family.persona.id)]
    assert channels == ["web", "terminal", "telegram"]
    with pytest.raises(NotFound):
        accounts.account(c, "none")
