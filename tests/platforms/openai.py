"""An OpenAI-compatible endpoint on this machine: it answers and fails as it was told to, and keeps a record.

    async with OpenAI() as model:
        model.says("I baked bread every Sunday. [m1]")
        ...  # point the client at model.url
        model.requests[-1]["messages"]

Untold, it answers each call with a word of its own (`reply-1f3a9c02`). `python -m tests.platforms.openai --port 8111`
lets you try it by hand.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import itertools
import json
import random
import re
import secrets
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, get_args

from aiohttp import web

__all__ = ["Fault", "OpenAI", "Reply"]

Fault = Literal[
    "401",
    "403",
    "404",
    "429",
    "429_quota",
    "500",
    "503",
    "hang",
    "dropped",
    "dropped_stream",
    "garbage",
    "empty",
    "content_filter",
    "refusal",
    "length",
    "context",
    "slow_chunks",
]

# kind -> (status, type, code, message) as the real endpoint puts them.
_REFUSALS: dict[str, tuple[int, str, str | None, str]] = {
    "401": (401, "invalid_request_error", "invalid_api_key", "Incorrect API key provided."),
    "403": (403, "invalid_request_error", "unsupported_country_region_territory", "Country not supported."),
    "404": (404, "invalid_request_error", "model_not_found", "The model does not exist."),
    "429": (429, "requests", "rate_limit_exceeded", "Rate limit reached."),
    "429_quota": (429, "insufficient_quota", "insufficient_quota", "You exceeded your current quota."),
    "500": (500, "server_error", None, "The server had an error while processing your request."),
    "503": (503, "server_error", None, "The engine is currently overloaded."),
    "context": (400, "invalid_request_error", "context_length_exceeded", "This model's maximum context length is 8."),
}
_CHAOS: tuple[Fault, ...] = ("500", "503", "429", "dropped", "dropped_stream", "garbage", "empty", "hang")
_PIECE = re.compile(r"\s*\S+|\s+$")


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer: words, or tools to call as (name, arguments as JSON text), or both."""

    text: str = ""
    tools: tuple[tuple[str, str], ...] = ()
    finish: str = "stop"
    refusal: str | None = None


class OpenAI:
    """The endpoint. Everything in it is public: tests look at it and change it as they like."""

    def __init__(self) -> None:
        self.url = ""
        self.replies: deque[Reply] = deque()
        self.faults: list[Fault] = []
        self.requests: list[dict[str, Any]] = []
        """The bodies of the chat calls, oldest first."""
        self.keys: list[str] = []
        """The `Authorization` header of every call."""
        self.headers: list[dict[str, str]] = []
        """All the headers of every call."""
        self.calls_s: list[float] = []
        """How long each chat call took, once it was over."""
        self.models: tuple[str, ...] = ("local",)
        self.takes_tools = True
        """False answers every call that lends tools as servers do whose model has none."""
        self.api_key = ""
        """When set, every other key is refused."""
        self.delay_s = 0.0
        self.hang_s = 3600.0
        self.chunk_s = 0.05
        """The pause between two pieces of a `slow_chunks` answer."""
        self.piece_characters = 0
        """How long the pieces of a stream are; 0 streams word by word."""
        self.retry_after_s = 1.0
        self.failure_chance = 0.0
        """How often a call fails in one way or another, hangs among them."""
        self.random = random.Random(7)
        self.open_calls = 0
        self.most_open_calls = 0
        self._count = itertools.count(1)
        self._stopping = asyncio.Event()
        self._runner: web.ServerRunner | None = None

    # ------------------------------------------------------------------------------------------- life

    async def start(self, port: int = 0) -> None:
        """Listen on 127.0.0.1."""
        self._stopping.clear()
        self._runner = web.ServerRunner(web.Server(self._serve, handler_cancellation=True), shutdown_timeout=0.2)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", port, backlog=1024).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/v1"

    async def stop(self) -> None:
        """Let go of every call, hanging ones too."""
        self._stopping.set()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def __aenter__(self) -> OpenAI:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    # --------------------------------------------------------------------------------- what to answer

    def says(self, *texts: str) -> None:
        """Answer the next calls with these texts, one each."""
        self.replies.extend(Reply(text) for text in texts)

    def calls_tool(self, name: str, arguments: dict[str, Any] | str, *, text: str = "") -> None:
        """Answer the next call with the wish to call a tool; `arguments` as text are sent as they are."""
        self.calls_tools((name, arguments), text=text)

    def calls_tools(self, *calls: tuple[str, dict[str, Any] | str], text: str = "") -> None:
        """Answer the next call with the wish to call several tools."""
        tools = tuple(
            (name, arguments if isinstance(arguments, str) else json.dumps(arguments)) for name, arguments in calls
        )
        self.replies.append(Reply(text, tools, finish="tool_calls"))

    def fail(self, kind: Fault, times: int = 1) -> None:
        """Let the next calls fail; they use up no reply."""
        if kind not in get_args(Fault):
            raise ValueError(f"{kind} is no fault of this endpoint")
        self.faults.extend([kind] * times)

    # ----------------------------------------------------------------------------------------- serving

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        self.headers.append(dict(request.headers))
        self.keys.append(request.headers.get("Authorization", ""))
        if self.api_key and self.keys[-1] != f"Bearer {self.api_key}":
            return self._refuse("401")
        path = request.path
        if path == "/v1/models" and request.method == "GET":
            return web.json_response({"object": "list", "data": [_model(name) for name in self.models]})
        if request.method != "POST" or path not in ("/v1/chat/completions", "/v1/embeddings"):
            return _error(404, "invalid_request_error", None, f"Invalid URL ({request.method} {path})")
        try:
            body = json.loads(await request.read())
            if path == "/v1/embeddings":
                return _embeddings(body)
            if not isinstance(body["messages"], list) or not body["messages"]:
                raise ValueError
        except (ValueError, KeyError, TypeError):
            return _error(400, "invalid_request_error", None, "We could not parse the JSON body of your request.")
        return await self._chat(request, body)

    async def _chat(self, request: web.BaseRequest, body: dict[str, Any]) -> web.StreamResponse:
        began = time.monotonic()
        self.requests.append(body)
        self.open_calls += 1
        self.most_open_calls = max(self.most_open_calls, self.open_calls)
        try:
            fault = self._fault()
            if self.delay_s:
                await self._pause(self.delay_s)
            if fault == "hang":
                await self._pause(self.hang_s)
                return _drop(request)
            if fault in _REFUSALS:
                return self._refuse(fault)
            if fault == "dropped" or (fault == "dropped_stream" and not body.get("stream")):
                return _drop(request)
            if fault == "garbage":
                return _garbage(is_stream=bool(body.get("stream")))
            if body.get("tools") and not self.takes_tools:
                return _error(400, "api_error", None, "This model does not support tools.")
            reply = self._reply(fault)
            if body.get("stream"):
                return await self._stream(request, body, reply, fault)
            return web.json_response(self._completion(body, reply))
        finally:
            self.open_calls -= 1
            self.calls_s.append(time.monotonic() - began)

    def _fault(self) -> str:
        if self.faults:
            return self.faults.pop(0)
        if self.failure_chance and self.random.random() < self.failure_chance:
            return self.random.choice(_CHAOS)
        return ""

    def _reply(self, fault: str) -> Reply:
        if fault == "empty":
            return Reply()
        if fault == "content_filter":
            return Reply(finish="content_filter")
        if fault == "refusal":
            return Reply(refusal="I cannot help with that.")
        reply = self.replies.popleft() if self.replies else Reply(f"reply-{secrets.token_hex(4)}")
        if fault == "length":
            return Reply(reply.text[: max(1, len(reply.text) * 2 // 3)], finish="length")
        return reply

    def _completion(self, body: dict[str, Any], reply: Reply) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": reply.text or None, "refusal": reply.refusal}
        if not reply.tools and not reply.refusal:
            message["content"] = reply.text
        if reply.tools:
            message["tool_calls"] = [self._call(*tool) for tool in reply.tools]
        return {
            **self._head(body, "chat.completion"),
            "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": reply.finish}],
            "usage": _usage(body, reply),
        }

    async def _stream(
        self, request: web.BaseRequest, body: dict[str, Any], reply: Reply, fault: str
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
        await response.prepare(request)
        head = self._head(body, "chat.completion.chunk")
        deltas = list(self._deltas(reply))
        if fault == "dropped_stream":
            deltas = deltas[: max(1, len(deltas) // 2)]
        for delta in deltas:
            if fault == "slow_chunks":
                await self._pause(self.chunk_s)
            await response.write(_event({**head, "choices": [_choice(delta, None)]}))
        if fault == "dropped_stream":
            return _drop(request)
        await response.write(_event({**head, "choices": [_choice({}, reply.finish)]}))
        if (body.get("stream_options") or {}).get("include_usage"):
            await response.write(_event({**head, "choices": [], "usage": _usage(body, reply)}))
        await response.write(b"data: [DONE]\n\n")
        await response.write_eof()
        return response

    def _deltas(self, reply: Reply) -> Iterator[dict[str, Any]]:
        yield {"role": "assistant", "content": "", "refusal": None}
        size = self.piece_characters
        pieces = (
            [reply.text[at : at + size] for at in range(0, len(reply.text), size)]
            if size
            else _PIECE.findall(reply.text)
        )
        yield from ({"content": piece} for piece in pieces)
        if reply.refusal:
            yield {"refusal": reply.refusal}
        for index, (name, arguments) in enumerate(reply.tools):
            call = self._call(name, "")
            yield {"tool_calls": [{"index": index, **call}]}
            half = len(arguments) // 2
            for part in (arguments[:half], arguments[half:]):
                yield {"tool_calls": [{"index": index, "function": {"arguments": part}}]}

    def _head(self, body: dict[str, Any], kind: str) -> dict[str, Any]:
        return {
            "id": f"chatcmpl-{next(self._count)}",
            "object": kind,
            "created": int(time.time()),
            "model": str(body.get("model", "")),
        }

    def _call(self, name: str, arguments: str) -> dict[str, Any]:
        function = {"name": name, "arguments": arguments}
        return {"id": f"call_{next(self._count)}", "type": "function", "function": function}

    def _refuse(self, kind: str) -> web.Response:
        response = _error(*_REFUSALS[kind])
        if kind == "429":
            response.headers["Retry-After"] = f"{self.retry_after_s:g}"
        return response

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return


def _event(body: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def _choice(delta: dict[str, Any], finish: str | None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}


def _usage(body: dict[str, Any], reply: Reply) -> dict[str, int]:
    """Return tokens, a word being one."""
    asked = sum(len(str(message.get("content") or "").split()) for message in body["messages"])
    said = len(reply.text.split()) + sum(len(arguments.split()) for _, arguments in reply.tools)
    return {"prompt_tokens": asked, "completion_tokens": said, "total_tokens": asked + said}


def _error(status: int, kind: str, code: str | None, message: str) -> web.Response:
    body = {"error": {"message": message, "type": kind, "param": None, "code": code}}
    return web.json_response(body, status=status, headers={"x-request-id": f"req_{secrets.token_hex(6)}"})


def _drop(request: web.BaseRequest) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)


def _garbage(*, is_stream: bool) -> web.Response:
    if is_stream:
        return web.Response(body=b"data: {this is no JSON\n\n", content_type="text/event-stream")
    return web.Response(body=b"{this is no JSON", content_type="application/json")


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 1_700_000_000, "owned_by": "local"}


def _embeddings(body: dict[str, Any]) -> web.Response:
    """Return a unit-free vector of eight numbers a text: the same text, the same vector."""
    texts = [body["input"]] if isinstance(body["input"], str) else list(body["input"])
    vectors = [[byte / 255 for byte in hashlib.sha256(str(text).encode()).digest()[:8]] for text in texts]
    rows = [{"object": "embedding", "index": index, "embedding": vector} for index, vector in enumerate(vectors)]
    usage = {"prompt_tokens": len(texts), "total_tokens": len(texts)}
    return web.json_response({"object": "list", "data": rows, "model": body.get("model", ""), "usage": usage})


async def _by_hand(port: int) -> None:
    model = OpenAI()
    await model.start(port)
    try:
        print(f"Listening at {model.url}", flush=True)  # noqa: T201 - it is a command
        await asyncio.Event().wait()
    finally:
        await model.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_by_hand(parser.parse_args().port))
