"""What can go wrong on a page; each carries the HTTP status it is answered with.

AdminError
├── Unauthenticated  nobody is signed in (401, or a redirect to the sign-in page)
├── NotAllowed       the operator's role does not allow this, or the form came from elsewhere (403)
├── PageNotFound     there is no such page or row (404)
└── FormInvalid      a field is missing or wrong; `fields` says which and how to mend it (422)
"""

from __future__ import annotations


class AdminError(Exception):
    """Root of everything a page raises on purpose."""

    status: int = 400


class Unauthenticated(AdminError):
    """Nobody is signed in."""

    status = 401


class NotAllowed(AdminError):
    """The operator may not do this, or the form lacks its token."""

    status = 403


class PageNotFound(AdminError):
    """There is no such page or row."""

    status = 404


class FormInvalid(AdminError):
    """A form was filled in wrongly. `fields` maps a field's name to a sentence that says how to mend it."""

    status = 422

    def __init__(self, message: str, *, fields: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.fields = fields or {}
