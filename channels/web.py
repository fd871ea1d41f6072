"""The talk page's channel: messages in by JSON or a plain form, answers out by server-sent events.

Nothing is sent anywhere: what was said is in the transcript, and a page is woken to read on from where it stands.
"""

from __future__ import annotations

import asyncio
import hashlib
import html
import re
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from typing import Any, ClassVar, Literal

from aiohttp import web
from pydantic import AwareDatetime, BaseModel, JsonValue, ValidationError

from channels.contract import (
    AccountConfig,
    Action,
    Chat,
    Health,
    Inbound,
    Inlet,
    Limits,
    Line,
    MediaFile,
    Outbound,
    Ports,
    Receipt,
    Received,
    Route,
    Sender,
    Text,
    Visitor,
)
from channels.errors import ChannelError, NotAccepted, NotConfigured, PayloadNotUnderstood, Undeliverable
from channels.rendering import to_html
from channels.web_requests import (
    Refused,
    check_origin,
    is_form,
    number,
    read_invited,
    read_said,
)
from channels.web_streams import Stream, Streams, event
from channels.web_visitors import CookieVisitors, put_cookie

__all__ = ["CookieVisitors", "WebAdapter", "line_html", "put_cookie"]

MESSAGES_PER_MINUTE = 30
NEW_VISITORS_PER_MINUTE = 120
_PAGE = 100
_NEW = ""


def line_html(line: Line) -> str:
    """Return safe HTML of one line: ours is CommonMark, a visitor's is shown exactly as it was typed."""
    if line.is_ours:
        return to_html(line.text)
    paragraphs = re.split(r"\n\s*\n", line.text.strip())
    return "".join(f"<p>{html.escape(each)}</p>\n".replace("\n", "<br />\n", each.count("\n")) for each in paragraphs)


class WebAdapter:
    """One persona's talk page. The routes are below the account's path, `/p/<slug>`."""

    name: ClassVar[str] = "web"
    limits: ClassVar[Limits] = Limits(
        text_length=12_000,
        caption_length=2_000,
        media_kinds=frozenset({"voice", "audio", "image", "video", "file"}),
        has_typing=True,
        has_drafts=True,
        has_idempotency_key=True,
    )

    def __init__(self, account: AccountConfig, ports: Ports, *, heartbeat_s: float = 15.0) -> None:
        if ports.visitors is None or ports.transcript is None:
            raise NotConfigured("The talk page needs to know its visitors and what was said.")
        self.account = account
        self._now = ports.now
        self._visitors = ports.visitors
        self._transcript = ports.transcript
        self._heartbeat_s = heartbeat_s
        self._streams = Streams()
        self._pace = _Pace(ports.now, per_minute=MESSAGES_PER_MINUTE)
        self._pace_of_new = _Pace(ports.now, per_minute=NEW_VISITORS_PER_MINUTE)

    def routes(self) -> list[Route]:
        return [
            Route("POST", "/messages", self._answering(self._take_message)),
            Route("GET", "/messages", self._answering(self._give_messages)),
            Route("GET", "/events", self._answering(self._stream)),
            Route("POST", "/invitation", self._answering(self._take_invitation)),
        ]

    def parse(self, payload: Any) -> list[Inbound]:
        try:
            given = _Payload.model_validate(payload)
        except ValidationError as error:
            raise PayloadNotUnderstood("This is not what the talk page sends.") from error
        sender = Sender(id=given.visitor.id, name=given.visitor.name, language=given.visitor.language)
        is_message = given.kind == "message"
        return [
            Inbound(
                event_id=f"{sender.id}:{given.client_id}",
                kind="message",
                chat=Chat(id=sender.id),
                sender=sender,
                sent_at=given.sent_at,
                message_id=f"{sender.id}:{given.client_id}",
                parts=(Text(text=given.text),) if is_message else (),
                invitation=None if is_message else given.text,
            )
        ]

    async def listen(self, inlet: Inlet) -> None:
        """Return at once: everything comes by the routes."""

    async def send(self, outbound: Outbound) -> Receipt:
        """Wake the visitor's pages; the message is already in the transcript, so doing it twice changes nothing."""
        self._streams.wake(outbound.chat.id)
        return Receipt(message_ids=(outbound.key,))

    async def reconcile(self, outbound: Outbound) -> Receipt | None:
        return Receipt(message_ids=(outbound.key,))

    async def show(self, action: Action, chat: Chat) -> None:
        self._streams.show(chat.id, "action", {"action": action})

    async def draft(self, chat: Chat, draft_id: int, text: str) -> None:
        self._streams.show(chat.id, "draft", {"draft_id": draft_id, "text": text})

    async def fetch(self, file: MediaFile) -> AsyncIterator[bytes]:
        raise Undeliverable("The talk page keeps no files.", reason="chat_gone")
        yield b""

    async def check(self) -> Health:
        return Health(is_ok=True, summary="The talk page is ready.")

    async def close(self) -> None:
        self._streams.close()

    # ------------------------------------------------------------------------------------------ requests

    def _answering(self, handler: Callable[[web.Request, Inlet], Awaitable[web.StreamResponse]]) -> _Handler:
        async def answer(request: web.Request, inlet: Inlet) -> web.StreamResponse:
            try:
                check_origin(request, public_url=self.account.webhook_url)
                return await handler(request, inlet)
            except Refused as refused:
                return refused.response(is_form=is_form(request))

        return answer

    async def _take_message(self, request: web.Request, inlet: Inlet) -> web.StreamResponse:
        said = await read_said(request)
        return await self._take(request, inlet, kind="message", client_id=said.client_id, text=said.text)

    async def _take_invitation(self, request: web.Request, inlet: Inlet) -> web.StreamResponse:
        token = (await read_invited(request)).token
        # The token is a secret: the event's id must not tell it.
        digest = hashlib.sha256(token.encode()).hexdigest()[:16]
        return await self._take(request, inlet, kind="invitation", client_id=f"invitation-{digest}", text=token)

    async def _take(
        self, request: web.Request, inlet: Inlet, *, kind: Literal["message", "invitation"], client_id: str, text: str
    ) -> web.StreamResponse:
        visitor = await self._visitors.identify(request)
        self._slow_down(visitor)
        sender = visitor.sender
        seen = _Visitor(id=sender.id, name=sender.name, language=sender.language)
        payload = _Payload(kind=kind, visitor=seen, client_id=client_id, text=text, sent_at=self._now())
        (inbound,) = self.parse(payload)
        is_new = await self._accept(
            inlet, Received(event_id=inbound.event_id, raw=payload.model_dump_json(), inbound=inbound)
        )
        self._streams.wake(sender.id)
        response: web.StreamResponse
        if is_form(request):
            page = request.path.rstrip("/").split("/")[-2]
            response = web.Response(status=303, headers={"Location": f"../{page}"})
        else:
            facts: dict[str, JsonValue] = {"accepted": True, "event_id": inbound.event_id, "is_repeat": not is_new}
            response = web.json_response(facts, status=202)
        return _kept_out_of_caches(response, visitor)

    def _slow_down(self, visitor: Visitor) -> None:
        # Whoever sends no cookie is a new visitor each time; all of them share one pace.
        wait_s = self._pace.wait_s(visitor.sender.id) or (visitor.set_cookie and self._pace_of_new.wait_s(_NEW)) or 0
        if wait_s:
            raise Refused(429, "too_fast", "That is a lot at once. Wait a moment.", retry_after_s=wait_s)

    async def _accept(self, inlet: Inlet, received: Received) -> bool:
        try:
            return await inlet.accept([received]) > 0
        except NotAccepted:
            message = "Your message could not be kept just now. Send it again in a moment."
            raise Refused(503, "try_again", message, retry_after_s=2) from None

    async def _give_messages(self, request: web.Request, inlet: Inlet) -> web.StreamResponse:
        after = number(request.query.get("after", ""))
        visitor = await self._visitors.identify(request)
        lines = await self._transcript.lines(visitor.sender, after=after, limit=_PAGE)
        facts = {"messages": [_facts(line) for line in lines], "last_id": lines[-1].id if lines else after}
        return _kept_out_of_caches(web.json_response(facts), visitor)

    # ------------------------------------------------------------------------------------------ the stream

    async def _stream(self, request: web.Request, inlet: Inlet) -> web.StreamResponse:
        after = number(request.headers.get("Last-Event-ID") or request.query.get("after", ""))
        visitor = await self._visitors.identify(request)
        with self._streams.opened(visitor.sender.id, request) as stream:
            if stream is None:
                raise Refused(429, "too_many_pages", "Too many pages of this talk are open.", retry_after_s=30)
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"})
            _kept_out_of_caches(response, visitor)
            try:
                await response.prepare(request)
                await self._pour(stream, response, visitor.sender, after)
            except ConnectionError:
                pass  # the browser left, which is how every stream ends
            return response

    async def _pour(self, stream: Stream, response: web.StreamResponse, sender: Sender, after: int) -> None:
        await response.write(b"retry: 2000\n\n")
        after = await self._catch_up(response, sender, after)
        await response.write(event("state", {"state": "open", "last_id": after}))
        while not (self._streams.is_closed or stream.is_gone):
            try:
                await asyncio.wait_for(stream.woken.wait(), self._heartbeat_s)
            except TimeoutError:
                await response.write(b": still here\n\n")
                continue
            stream.woken.clear()
            for moment in stream.taken():
                await response.write(moment)
            after = await self._catch_up(response, sender, after)
        await response.write(event("state", {"state": "closing", "last_id": after}))

    async def _catch_up(self, response: web.StreamResponse, sender: Sender, after: int) -> int:
        while True:
            try:
                lines = await self._transcript.lines(sender, after=after, limit=_PAGE)
            except ChannelError:
                return after
            for line in lines:
                await response.write(event("message", _facts(line), event_id=line.id))
                after = line.id
            if len(lines) < _PAGE:
                return after


_Handler = Callable[[web.Request, Inlet], Awaitable[web.StreamResponse]]


class _Visitor(BaseModel):
    id: str
    name: str = ""
    language: str | None = None


class _Payload(BaseModel):
    """What the talk page's requests become before they are parsed, and what is kept of them."""

    kind: Literal["message", "invitation"]
    visitor: _Visitor
    client_id: str
    text: str
    sent_at: AwareDatetime


class _Pace:
    """How often somebody may do something within the last minute."""

    def __init__(self, now: Callable[[], datetime], *, per_minute: int) -> None:
        self._now = now
        self._per_minute = per_minute
        self._times: dict[str, deque[float]] = {}

    def wait_s(self, who: str) -> int:
        """Count one more and return 0, or return the seconds to wait."""
        at = self._now().timestamp()
        if len(self._times) > _MOST_REMEMBERED:
            self._times = {name: times for name, times in self._times.items() if times[-1] > at - 60}
        times = self._times.setdefault(who, deque())
        while times and times[0] <= at - 60:
            times.popleft()
        if len(times) >= self._per_minute:
            return max(1, round(times[0] + 60 - at))
        times.append(at)
        return 0


_MOST_REMEMBERED = 10_000


def _facts(line: Line) -> dict[str, JsonValue]:
    return {
        "id": line.id,
        "key": line.key,
        "html": line_html(line),
        "text": line.text,
        "is_ours": line.is_ours,
        "at": line.at.isoformat(),
        "label": line.label,
        "state": line.state,
    }


def _kept_out_of_caches(response: web.StreamResponse, visitor: Visitor) -> web.StreamResponse:
    response.headers["Cache-Control"] = "no-store"
    put_cookie(response, visitor)
    return response
