"""Who is signed in: sessions, the token that every form carries, roles, and sign-in with patience."""

from __future__ import annotations

import asyncio
import hmac
import math
import secrets
from dataclasses import dataclass
from urllib.parse import urlsplit

from aiohttp import web

from admin.errors import FormInvalid, NotAllowed, Unauthenticated
from admin.form import Form, read_form
from admin.ports import Services
from knowledge import operators
from knowledge.database import Connection
from knowledge.tables import Operator

_RANKS = {"reader": 0, "curator": 1, "owner": 2}
_SESSION_DAYS = 30
_HASHING = 2
_STALE = "This form is too old or came from elsewhere. Go back, reload the page, and send it again."


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """One signed-in browser. `session` names it without giving its cookie away."""

    operator: Operator
    csrf_token: str
    session: str

    def may(self, role: str) -> bool:
        """Return whether the operator's role is at least `role`."""
        return _RANKS.get(self.operator.role, -1) >= _RANKS[role]


class Gate:
    """Decides who may see and change what on the pages."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._database = services.database
        prefix = "__Host-" if services.is_secure else ""
        self._cookie = f"{prefix}memoras_session"
        self._form_cookie = f"{prefix}memoras_form"
        # Argon2 takes 64 MiB a time, so a crowd at the door waits its turn.
        self._hashing = asyncio.Semaphore(_HASHING)

    async def signed_in(self, request: web.Request) -> SignedIn | None:
        """Return who is signed in with this request's cookie, None when nobody is. Asked once per request."""
        if SIGNED_IN in request:
            return request[SIGNED_IN]
        token = request.cookies.get(self._cookie, "")
        found = None
        if token and token.isascii() and len(token) < 200:
            found = await self._database.read(lambda c: self._look_up(c, token))
        request[SIGNED_IN] = found
        return found

    async def need(self, request: web.Request, role: str = "reader") -> SignedIn:
        """Return who is signed in.

        Raises:
            Unauthenticated: when nobody is.
            NotAllowed: when the operator's role is below `role`.
        """
        found = await self.signed_in(request)
        if found is None:
            raise Unauthenticated("Please sign in.")
        if not found.may(role):
            raise NotAllowed(f"This needs the role “{role}”. Ask an owner of this server to do it or to change yours.")
        return found

    async def form(self, request: web.Request, role: str = "curator") -> Form:
        """Return a form sent by somebody who may: signed in, of the role, from a page of ours.

        Raises:
            Unauthenticated: when nobody is signed in.
            NotAllowed: when the role is too low or the form's token is missing or wrong.
        """
        signed_in = await self.need(request, role)
        form = await read_form(request)
        self.check_token(request, signed_in, form.text("csrf", is_required=False))
        return form

    def check_token(self, request: web.Request, signed_in: SignedIn, token: str) -> None:
        """Go on when the form came from a page of ours.

        Raises:
            NotAllowed: when it did not.
        """
        if not self._is_from_here(request) or not _is_same(token, signed_in.csrf_token):
            raise NotAllowed(
                "This form is too old or came from elsewhere. Go back, reload the page, and send it again."
            )

    async def open_form(self, request: web.Request) -> Form:
        """Return a form that needs nobody signed in; it carries the token of the form cookie.

        Raises:
            NotAllowed: when the token is missing or wrong.
        """
        form = await read_form(request)
        cookie = request.cookies.get(self._form_cookie, "")
        if not self._is_from_here(request) or not _is_same(form.text("csrf", is_required=False), cookie):
            raise NotAllowed(
                "This form is too old or came from elsewhere. Go back, reload the page, and send it again."
            )
        return form

    def form_token(self, request: web.Request) -> str:
        """Return the token for a form that needs nobody signed in; send it with `keep_form_token` too."""
        known = request.cookies.get(self._form_cookie, "")
        return known if len(known) == 43 and known.isascii() else secrets.token_urlsafe(32)

    def keep_form_token(self, response: web.Response, token: str) -> None:
        """Put the form cookie on a response."""
        response.set_cookie(
            self._form_cookie, token, httponly=True, secure=self._services.is_secure, samesite="Strict", path="/"
        )

    async def set_up(self, name: str, password: str, code: str) -> Operator:
        """Create the first operator, an owner.

        Raises:
            FormInvalid: when the code is wrong.
            NotAllowed: when there is an operator already.
        """
        if not self._services.setup_code or not _is_same(code.strip(), self._services.setup_code):
            raise FormInvalid(
                "The code is not the right one.",
                fields={"code": "This is not the code that the server printed when it started. Look at its terminal."},
            )
        password_hash = await self.hash_password(password)
        at = self._services.clock.now()

        def create(c: Connection) -> Operator:
            if operators.has_operators(c):
                raise NotAllowed("This server has an owner already. Sign in instead.")
            return operators.create_operator(c, name=name, password_hash=password_hash, role="owner", at=at)

        return await self._database.write(create)

    async def sign_in(self, request: web.Request, name: str, password: str) -> Operator:
        """Return the operator of this name and password.

        Raises:
            FormInvalid: when they do not belong together, or after too many tries.
        """
        address = request.remote or ""
        now = self._services.clock.now()
        async with self._hashing:
            found = await self._database.read(lambda c: self._may_try(c, name, address))
            password_hash = found.password_hash if found else None
            is_right = await asyncio.to_thread(operators.verify_password, password_hash, password)
            if found is None or not is_right:
                await self._database.write(lambda c: operators.note_failure(c, name, address, at=now))
                raise FormInvalid("Not signed in.", fields={"password": "The name or the password is not right."})
        await self._database.write(lambda c: operators.forget_failures(c, name, address))
        return found

    async def hash_password(self, password: str) -> str:
        """Return the hash of a new password, made in a thread."""
        async with self._hashing:
            return await asyncio.to_thread(operators.hash_password, password)

    async def open_session(self, request: web.Request, response: web.Response, operator: Operator) -> None:
        """Sign this browser in, and out of whatever session it had."""
        old = request.cookies.get(self._cookie, "")
        at = self._services.clock.now()

        def renew(c: Connection) -> str:
            if old.isascii():
                operators.close_session(c, old)
            return operators.open_session(c, operator.id, at=at, lasts_days=_SESSION_DAYS)[1]

        token = await self._database.write(renew)
        response.set_cookie(
            self._cookie,
            token,
            max_age=_SESSION_DAYS * 86_400,
            httponly=True,
            secure=self._services.is_secure,
            samesite="Lax",
            path="/",
        )

    async def close_session(self, request: web.Request, response: web.Response) -> None:
        """Sign this browser out."""
        token = request.cookies.get(self._cookie, "")
        if token.isascii():
            await self._database.write(lambda c: operators.close_session(c, token))
        response.del_cookie(self._cookie, path="/", secure=self._services.is_secure, httponly=True, samesite="Lax")

    async def has_operators(self) -> bool:
        """Return whether the server has an owner yet."""
        return await self._database.read(operators.has_operators)

    def _look_up(self, c: Connection, token: str) -> SignedIn | None:
        session = operators.session(c, token, at=self._services.clock.now())
        if session is None:
            return None
        operator = operators.operator(c, session.operator_id)
        return SignedIn(operator=operator, csrf_token=session.csrf_token, session=session.token_hash)

    def _may_try(self, c: Connection, name: str, address: str) -> Operator | None:
        wait_s = operators.must_wait_s(c, name, address, at=self._services.clock.now())
        if wait_s > 0:
            minutes = math.ceil(wait_s / 60)
            words = f"Too many wrong passwords. Please wait {minutes} minute{'s' * (minutes > 1)}, then try again."
            raise FormInvalid("Too many tries.", fields={"password": words})
        return operators.operator_by_name(c, name)

    def _is_from_here(self, request: web.Request) -> bool:
        """Return whether the browser says that the form stood on a page of this server."""
        site = request.headers.get("Sec-Fetch-Site")
        if site is not None:
            return site in ("same-origin", "none")
        origin = request.headers.get("Origin")
        return origin is None or _host(origin) in (request.host, _host(self._services.public_url))


async def signed_in(request: web.Request) -> Operator | None:
    """Return the operator whose browser sent this request, None when nobody is signed in.

    Works in every handler of the application, because the site's middleware left its gate on the request.
    """
    gate = request.get(GATE)
    found = await gate.signed_in(request) if gate is not None else None
    return found.operator if found is not None else None


GATE: web.RequestKey[Gate] = web.RequestKey("gate", Gate)
SIGNED_IN: web.RequestKey[SignedIn | None] = web.RequestKey("signed_in", object)  # type: ignore[arg-type]


def _host(url: str) -> str | None:
    try:
        return urlsplit(url).netloc
    except ValueError:
        return None


def _is_same(given: str, wanted: str) -> bool:
    return bool(wanted) and hmac.compare_digest(given.encode("utf-8", "replace"), wanted.encode("utf-8", "replace"))
