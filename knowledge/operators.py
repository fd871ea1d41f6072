"""Operators: the humans who sign in to the panel, their sessions, and the patience with wrong passwords."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, select, update

from knowledge.errors import Conflict, NotFound
from knowledge.rows import affected, all_of, first_of, insert, table
from knowledge.tables import Operator, OperatorSession, SignInFailure

ROLES = ("owner", "curator", "reader")

_operator = table(Operator)
_session = table(OperatorSession)
_failure = table(SignInFailure)

_WINDOW = timedelta(minutes=15)
_MOST_PER_PAIR = 5
_MOST_PER_NAME = 25
_MOST_PER_ADDRESS = 50
_SHORTEST_PASSWORD = 10


def hash_password(password: str) -> str:
    """Return the argon2id hash of a password. Takes a tenth of a second on purpose: call it outside the writer.

    Raises:
        ValueError: when the password is too short to be one.
    """
    # A server without a visitor in the panel never needs it.
    from argon2 import PasswordHasher

    if len(password) < _SHORTEST_PASSWORD:
        raise ValueError(f"a password has at least {_SHORTEST_PASSWORD} characters")
    return PasswordHasher().hash(password)


def verify_password(password_hash: str | None, password: str) -> bool:
    """Return whether the password is the one. Without a hash it takes as long and says no, so names do not leak."""
    from argon2 import PasswordHasher
    from argon2.exceptions import InvalidHashError, VerificationError

    hasher = PasswordHasher()
    if password_hash is None:
        hasher.hash(password)
        return False
    try:
        return hasher.verify(password_hash, password)
    except (VerificationError, InvalidHashError):
        return False


def has_operators(c: Connection) -> bool:
    """Return whether anybody can sign in yet."""
    return c.execute(select(_operator.c.id).limit(1)).first() is not None


def create_operator(
    c: Connection,
    *,
    name: str,
    password: str | None = None,
    password_hash: str | None = None,
    role: str = "owner",
    at: datetime,
) -> Operator:
    """Create an operator from a password, or from its hash when that was made outside the writer.

    Raises:
        Conflict: when the name is taken.
        ValueError: for an unknown role, an empty name, or a password that is too short.
    """
    wanted = _as_kept(name)
    if not wanted or role not in ROLES:
        raise ValueError(f"an operator has a name, and a role of {', '.join(ROLES)}")
    if operator_by_name(c, wanted) is not None:
        raise Conflict("There is an operator of that name already: choose another one.")
    made = password_hash or hash_password(password or "")
    return insert(c, Operator(name=wanted, password_hash=made, role=role, created_at=at))


def operators(c: Connection) -> list[Operator]:
    """Return everybody who can sign in, by name."""
    return all_of(c, Operator, select(_operator).order_by(_operator.c.name))


def operator(c: Connection, operator_id: str) -> Operator:
    """Return one operator.

    Raises:
        NotFound: when there is none with this id.
    """
    found = first_of(c, Operator, select(_operator).where(_operator.c.id == operator_id))
    if found is None:
        raise NotFound("There is no such operator.")
    return found


def operator_by_name(c: Connection, name: str) -> Operator | None:
    """Return the operator of this name, whatever the case, None when there is none."""
    return first_of(c, Operator, select(_operator).where(_operator.c.name == _as_kept(name)))


def set_password(c: Connection, operator_id: str, password_hash: str) -> None:
    """Change an operator's password and sign all of their browsers out."""
    c.execute(update(_operator).where(_operator.c.id == operator_id).values(password_hash=password_hash))
    c.execute(delete(_session).where(_session.c.operator_id == operator_id))


def open_session(c: Connection, operator_id: str, *, at: datetime, lasts_days: int = 30) -> tuple[OperatorSession, str]:
    """Sign an operator in; return the session and its token, which goes into the cookie and is kept nowhere."""
    token = secrets.token_urlsafe(32)
    made = OperatorSession(
        token_hash=_hash(token),
        operator_id=operator_id,
        csrf_token=secrets.token_urlsafe(32),
        created_at=at,
        expires_at=at + timedelta(days=lasts_days),
    )
    c.execute(delete(_session).where(_session.c.expires_at <= at))
    c.execute(update(_operator).where(_operator.c.id == operator_id).values(last_sign_in_at=at))
    return insert(c, made), token


def session(c: Connection, token: str, *, at: datetime) -> OperatorSession | None:
    """Return the open session of a cookie's token, None when there is none or it ran out."""
    if not token:
        return None
    found = select(_session).where(_session.c.token_hash == _hash(token), _session.c.expires_at > at)
    return first_of(c, OperatorSession, found)


def close_session(c: Connection, token: str) -> bool:
    """Sign a browser out; return whether it was signed in."""
    return affected(c.execute(delete(_session).where(_session.c.token_hash == _hash(token)))) > 0


def must_wait_s(c: Connection, name: str, address: str, *, at: datetime) -> float:
    """Return how many seconds this address must wait before it may try this name again; 0 when it may try now.

    Fifteen minutes remember the failures: few from one address on one name, more on a name or from an address.
    """
    return max(
        _wait(c, _MOST_PER_PAIR, at, name=_hash(_as_kept(name)), address=_hash(address)),
        _wait(c, _MOST_PER_NAME, at, name=_hash(_as_kept(name))),
        _wait(c, _MOST_PER_ADDRESS, at, address=_hash(address)),
    )


def note_failure(c: Connection, name: str, address: str, *, at: datetime) -> None:
    """Note a wrong password. Only hashes of the name and the address are kept, and no longer than they count."""
    c.execute(delete(_failure).where(_failure.c.failed_at <= at - _WINDOW))
    insert(c, SignInFailure(name_hash=_hash(_as_kept(name)), address_hash=_hash(address), failed_at=at))


def forget_failures(c: Connection, name: str, address: str) -> None:
    """Forget the failures of one address on one name, after it signed in."""
    pair = (_failure.c.name_hash == _hash(_as_kept(name)), _failure.c.address_hash == _hash(address))
    c.execute(delete(_failure).where(*pair))


def _wait(c: Connection, most: int, at: datetime, *, name: str | None = None, address: str | None = None) -> float:
    mine = select(_failure.c.failed_at).where(_failure.c.failed_at > at - _WINDOW)
    if name is not None:
        mine = mine.where(_failure.c.name_hash == name)
    if address is not None:
        mine = mine.where(_failure.c.address_hash == address)
    decisive = c.execute(mine.order_by(_failure.c.failed_at.desc()).offset(most - 1).limit(1)).scalar()
    return 0.0 if decisive is None else max(0.0, (decisive + _WINDOW - at).total_seconds())


def _as_kept(name: str) -> str:
    return " ".join(name.casefold().split())


def _hash(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()
