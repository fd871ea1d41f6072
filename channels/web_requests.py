"""What a browser may send to the talk page, read with care: who asks from where, how much, and in which shape."""

from __future__ import annotations

import re
import secrets
from typing import Annotated, TypeVar
from urllib.parse import parse_qsl, urlsplit

from aiohttp import web
from aiohttp.http_exceptions import PayloadEncodingError
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

MOST_CHARACTERS = 4000
_MOST_BYTES = 64 * 1024
_MOST_FIELDS = 20
_FORM = "application/x-www-form-urlencoded"
_JSON = "application/json"

Model = TypeVar("Model", bound=BaseModel)
Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class Said(BaseModel):
    """A message from the page. `client_id` is the same when the page sends the message again."""

    model_config = ConfigDict(extra="ignore")

    text: str
    client_id: Id = Field(default_factory=lambda: secrets.token_urlsafe(12))


class Invited(BaseModel):
    """The one-time token of an invitation."""

    model_config = ConfigDict(extra="ignore")

    token: Id


class Refused(Exception):
    """The request cannot be taken; `status`, `code` and the message say why."""

    def __init__(self, status: int, code: str, message: str, *, retry_after_s: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.retry_after_s = retry_after_s

    def response(self, *, is_form: bool) -> web.Response:
        """Return the answer: JSON for a script, a sentence for a browser that sent a form."""
        headers = {"Cache-Control": "no-store"}
        if self.retry_after_s is not None:
            headers["Retry-After"] = str(self.retry_after_s)
        if is_form:
            return web.Response(status=self.status, text=f"{self} Go back and try again.", headers=headers)
        error = {"code": self.code, "message": str(self)}
        return web.json_response({"error": error}, status=self.status, headers=headers)


def is_form(request: web.Request) -> bool:
    """Return whether a browser without script sent this."""
    return request.content_type == _FORM


def check_origin(request: web.Request, *, public_url: str | None) -> None:
    """Refuse what another site made the browser send.

    Raises:
        Refused: 403.
    """
    site = request.headers.get("Sec-Fetch-Site")
    origin = request.headers.get("Origin")
    ours = {request.host.lower(), urlsplit(public_url or "").netloc.lower()}
    is_other_site = site not in (None, "same-origin", "none")
    if is_other_site or (origin is not None and (_host(origin) not in ours)):
        raise Refused(403, "other_site", "This came from another site.")


async def read_said(request: web.Request) -> Said:
    """Return the message in a request's body, its text cleaned.

    Raises:
        Refused: 400, 413, 415 or 422.
    """
    said = await _read(request, Said)
    text = clean(said.text)
    if not text:
        raise Refused(422, "empty", "There is nothing written.")
    if len(text) > MOST_CHARACTERS:
        raise Refused(422, "too_long", f"A message may have {MOST_CHARACTERS} characters; this one has {len(text)}.")
    return said.model_copy(update={"text": text})


async def read_invited(request: web.Request) -> Invited:
    """Return the invitation in a request's body.

    Raises:
        Refused: 400, 413, 415 or 422.
    """
    return await _read(request, Invited)


def number(text: str) -> int:
    """Return a line's id as a page sends it, 0 for none.

    Raises:
        Refused: 422.
    """
    if text and not re.fullmatch(r"[0-9]{1,18}", text, re.ASCII):
        raise Refused(422, "not_a_number", "`after` must be the id of a message.")
    return int(text or 0)


def clean(text: str) -> str:
    """Return text without what no keyboard writes: control characters and halves of surrogate pairs."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    return _CONTROL.sub("", lines.encode("utf-8", "replace").decode()).strip()


_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def _host(origin: str) -> str:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


async def _read(request: web.Request, model: type[Model]) -> Model:
    body = await _body(request)
    try:
        if is_form(request):
            words = body.decode("utf-8", "replace")
            return model.model_validate(dict(parse_qsl(words, keep_blank_values=True, max_num_fields=_MOST_FIELDS)))
        if request.content_type == _JSON:
            return model.model_validate_json(body)
    except ValidationError as error:
        names = ", ".join(sorted({str(each["loc"][0]) for each in error.errors() if each["loc"]})) or "the whole"
        raise Refused(422, "not_understood", f"Not understood: {names}.") from None
    except ValueError:
        raise Refused(422, "not_understood", "The form was not understood.") from None
    raise Refused(415, "media_type", f"Send {_JSON}, or a form.")


async def _body(request: web.Request) -> bytes:
    if "Content-Encoding" in request.headers:
        raise Refused(415, "encoding", "Send the body as it is, not compressed.")
    body = bytearray()
    try:
        async for chunk in request.content.iter_chunked(8192):
            body += chunk
            if len(body) > _MOST_BYTES:
                raise Refused(413, "too_large", f"The body may have {_MOST_BYTES} bytes.")
    except (PayloadEncodingError, web.RequestPayloadError, ConnectionError):
        raise Refused(400, "broken", "The body ended early or was not well formed.") from None
    return bytes(body)
