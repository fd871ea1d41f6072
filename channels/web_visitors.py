"""Tells browsers apart: a signed cookie with a random id, which says nothing about anybody."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Awaitable, Callable

from aiohttp import web

from channels.contract import Sender, Visitor

SignedIn = Callable[[web.Request], Awaitable[Sender | None]]

YEAR_S = 365 * 24 * 3600


class CookieVisitors:
    """Knows a browser by its cookie, and an operator by `signed_in`, who goes before the cookie."""

    def __init__(self, secret: bytes, *, is_secure: bool, signed_in: SignedIn) -> None:
        self._secret = secret
        self._signed_in = signed_in
        self._cookie = f"{_HOST_ONLY if is_secure else ''}memoras_visitor"

    async def identify(self, request: web.Request) -> Visitor:
        """Return who sends the request; a new visitor when the cookie is missing or was not made here."""
        sender = await self._signed_in(request)
        if sender is not None:
            return Visitor(sender=sender)
        language = _language(request.headers.get("Accept-Language", ""))
        known = self._verified(request.cookies.get(self._cookie, ""))
        if known:
            return Visitor(sender=Sender(id=known, language=language))
        visitor_id = f"v{secrets.token_hex(16)}"
        cookie = (self._cookie, f"{visitor_id}.{self._signature(visitor_id)}")
        return Visitor(sender=Sender(id=visitor_id, language=language), set_cookie=cookie)

    def _verified(self, cookie: str) -> str | None:
        visitor_id, _, signature = cookie.partition(".")
        expected = self._signature(visitor_id).encode()
        return visitor_id if hmac.compare_digest(signature.encode("utf-8", "replace"), expected) else None

    def _signature(self, visitor_id: str) -> str:
        return hmac.new(self._secret, b"visitor\0" + visitor_id.encode("utf-8", "replace"), hashlib.sha256).hexdigest()


def put_cookie(response: web.StreamResponse, visitor: Visitor) -> None:
    """Send a new visitor's cookie with `response`: for a year, unreadable to scripts, not sent by other sites."""
    if visitor.set_cookie is None:
        return
    name, value = visitor.set_cookie
    is_secure = name.startswith(_HOST_ONLY)
    response.set_cookie(name, value, max_age=YEAR_S, path="/", httponly=True, samesite="Lax", secure=is_secure)


# Browsers take a cookie of this name over HTTPS alone, and from no other host of the same domain.
_HOST_ONLY = "__Host-"


def _language(accepted: str) -> str | None:
    found = re.match(r"\s*([A-Za-z]{2,3})(?=[-_,;\s]|$)", accepted)
    return found.group(1).lower() if found else None
