"""Operators sign in with the right password, in their own time when it was wrong."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select

from knowledge import operators
from knowledge.database import Connection
from knowledge.errors import Conflict, NotFound
from knowledge.rows import table
from knowledge.tables import Operator, OperatorSession, SignInFailure
from tests.knowledge.family import NOW


@pytest.fixture
def ana(c: Connection) -> Operator:
    return operators.create_operator(c, name="Ana", password_hash="not a hash", at=NOW)


def test_only_the_right_password_is_right() -> None:
    kept = operators.hash_password("correct horse battery")
    assert kept.startswith("$argon2id$")
    assert operators.verify_password(kept, "correct horse battery")
    assert not operators.verify_password(kept, "correct horse batterz")
    assert not operators.verify_password(None, "correct horse battery")
    assert not operators.verify_password("not a hash", "correct horse battery")


def test_a_short_password_is_refused(c: Connection) -> None:
    with pytest.raises(ValueError):
        operators.create_operator(c, name="Ana", password="short", at=NOW)
    assert not operators.has_operators(c)


def test_the_first_operator_is_noticed_and_found_by_name(c: Connection, ana: Operator) -> None:
    assert operators.has_operators(c)
    found = operators.operator_by_name(c, " ANA ")
    assert found == operators.operator(c, ana.id)
    assert operators.operator_by_name(c, "Eva") is None
    with pytest.raises(Conflict):
        operators.create_operator(c, name="ana", password_hash="x", at=NOW)
    with pytest.raises(ValueError):
        operators.create_operator(c, name="Eva", password_hash="x", role="emperor", at=NOW)
    with pytest.raises(NotFound):
        operators.operator(c, "none")


def test_a_session_lasts_until_it_ends_or_is_closed(c: Connection, ana: Operator) -> None:
    opened, token = operators.open_session(c, ana.id, at=NOW, lasts_days=2)
    stored = c.execute(select(table(OperatorSession))).one()
    assert token not in str(tuple(stored))
    assert operators.session(c, token, at=NOW + timedelta(days=1)) == opened
    assert operators.session(c, token, at=NOW + timedelta(days=2)) is None
    assert operators.session(c, "", at=NOW) is None
    assert operators.session(c, opened.token_hash, at=NOW) is None
    assert operators.operator(c, ana.id).last_sign_in_at == NOW
    assert operators.close_session(c, token)
    assert operators.session(c, token, at=NOW) is None
    assert not operators.close_session(c, token)


def test_opening_a_session_clears_those_that_ran_out(c: Connection, ana: Operator) -> None:
    operators.open_session(c, ana.id, at=NOW, lasts_days=1)
    operators.open_session(c, ana.id, at=NOW + timedelta(days=3))
    assert len(c.execute(select(table(OperatorSession))).all()) == 1


def test_a_new_password_signs_every_browser_out(c: Connection, ana: Operator) -> None:
    _, token = operators.open_session(c, ana.id, at=NOW)
    operators.set_password(c, ana.id, "another hash")
    assert operators.session(c, token, at=NOW) is None
    assert operators.operator(c, ana.id).password_hash == "another hash"


def _fail(c: Connection, name: str, address: str, times: int) -> None:
    for second in range(times):
        operators.note_failure(c, name, address, at=NOW + timedelta(seconds=second))


def test_five_wrong_passwords_make_one_wait(c: Connection) -> None:
    _fail(c, "Ana", "10.0.0.1", 4)
    after = NOW + timedelta(seconds=4)
    assert operators.must_wait_s(c, "ana", "10.0.0.1", at=after) == 0
    operators.note_failure(c, "ANA", "10.0.0.1", at=after)
    assert operators.must_wait_s(c, "ana", "10.0.0.1", at=after) == pytest.approx(15 * 60 - 4)
    assert operators.must_wait_s(c, "ana", "10.0.0.2", at=after) == 0
    assert operators.must_wait_s(c, "eva", "10.0.0.1", at=after) == 0
    assert operators.must_wait_s(c, "ana", "10.0.0.1", at=NOW + timedelta(minutes=15, seconds=1)) == 0


def test_many_addresses_on_one_name_and_many_names_from_one_address_wait_too(c: Connection) -> None:
    for number in range(25):
        operators.note_failure(c, "ana", f"10.0.0.{number}", at=NOW)
    assert operators.must_wait_s(c, "ana", "10.9.9.9", at=NOW) > 0
    for number in range(50):
        operators.note_failure(c, f"name {number}", "10.5.5.5", at=NOW)
    assert operators.must_wait_s(c, "somebody", "10.5.5.5", at=NOW) > 0
    assert operators.must_wait_s(c, "somebody", "10.9.9.9", at=NOW) == 0


def test_signing_in_forgets_the_failures_and_time_erases_them(c: Connection) -> None:
    _fail(c, "ana", "10.0.0.1", 5)
    operators.forget_failures(c, "Ana", "10.0.0.1")
    assert operators.must_wait_s(c, "ana", "10.0.0.1", at=NOW) == 0
    _fail(c, "ana", "10.0.0.1", 5)
    operators.note_failure(c, "eva", "10.0.0.2", at=NOW + timedelta(hours=1))
    kept = c.execute(select(table(SignInFailure))).all()
    assert len(kept) == 1
    assert "eva" not in str(tuple(kept[0]))
    assert "10.0.0.2" not in str(tuple(kept[0]))
