"""One call of a chat model: any OpenAI-compatible endpoint, asked through langchain-openai.

Address and key are those of the configuration and of nowhere else. The libraries cost a second and 89 MB, so they are
imported with the first call, in a thread.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import AsyncGenerator, Mapping, MutableMapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import JsonValue, SecretStr

from agents.breaker import Breaker
from agents.errors import ModelError, ModelRefused, ModelUnavailable
from agents.turn import OnText
from knowledge.clock import Clock

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage
    from langchain_openai import ChatOpenAI

_CONNECT_S = 5.0
_FILTERED = "content_filter"
# Each server says it in its own words; langchain knows those of one.
_TOO_LONG = re.compile(
    r"context_length_exceeded|exceed_context_size|(?:maximum|available|exceeds? the) context|prompt is too long", re.I
)
_UNABLE = frozenset((400, 404, 422, 500, 501))
_NO_TOOLS = re.compile(r"\btools?\b|tool[_-]|function.?call", re.I)
_UNHEALTHY = frozenset(
    ("connection", "dropped", "timeout", "server", "quota", "unauthorized", "forbidden", "not_found", "garbled")
)
_TRACING = (
    "LANGSMITH_GATEWAY",
    "LANGSMITH_TRACING",
    "LANGSMITH_TRACING_V2",
    "LANGCHAIN_TRACING",
    "LANGCHAIN_TRACING_V2",
    "LANGSMITH_OTEL_ENABLED",
    "LANGCHAIN_OTEL_ENABLED",
)

Message = dict[str, Any]
"""One message as the protocol has it: role, content, and what belongs to tools."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """Which model to ask and how long. Prices are per million tokens, in whatever currency the operator counts."""

    base_url: str
    api_key: SecretStr
    name: str
    timeout_s: float = 60.0
    max_steps: int = 4
    input_price: float = 0.0
    output_price: float = 0.0
    temperature: float | None = None

    def cost(self, input_tokens: int, output_tokens: int) -> float:
        """Return what so many tokens cost."""
        return (input_tokens * self.input_price + output_tokens * self.output_price) / 1_000_000


def quiet_tracing(environ: MutableMapping[str, str]) -> None:
    """Switch off LangChain's tracing variables, so that no conversation leaves this machine unasked."""
    for name in _TRACING:
        environ[name] = "false"
    langsmith = sys.modules.get("langsmith.utils")
    if langsmith is not None:
        langsmith.get_env_var.cache_clear()  # it may have looked before us


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool that the model wants called. `arguments` is None when they were no JSON object."""

    id: str
    name: str
    arguments: dict[str, JsonValue] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What one call gave. `finish` is the endpoint's word for why it ended: stop, length, tool_calls."""

    text: str
    tool_calls: tuple[ToolCall, ...] = ()
    finish: str = ""
    input_tokens: int = 0
    output_tokens: int = 0


class Endpoint:
    """The model's endpoint. Any number of calls may be under way; one that keeps failing is left alone for a while."""

    def __init__(self, config: ModelConfig, clock: Clock) -> None:
        self.config = config
        self.breaker = Breaker(clock)
        self.takes_tools = True
        """False once the endpoint has said that it cannot lend tools to this model."""
        self._lock = asyncio.Lock()
        self._chat: ChatOpenAI | None = None

    async def ask(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[Mapping[str, Any]] = (),
        timeout_s: float,
        on_text: OnText | None = None,
    ) -> Reply:
        """Return the model's reply; `on_text` hears everything so far, as it comes.

        Raises:
            ModelUnavailable: when it did not come, not in time, or not as the protocol has it.
            ModelRefused: when the model declined.
        """
        await self.ready()
        with self.breaker.attempt():
            try:
                async with asyncio.timeout(timeout_s):
                    reply = await self._ask(list(messages), list(tools), on_text)
            except TimeoutError as error:
                self.breaker.failed()
                raise ModelUnavailable("The chat model did not answer in time.", kind="timeout") from error
            except ModelError as error:
                if error.kind in _UNHEALTHY:
                    self.breaker.failed()
                self.takes_tools = self.takes_tools and error.kind != "no_tools"
                raise
            self.breaker.succeeded()
            return reply

    def prepare(self) -> None:
        """Import what the calls need, so that the first one need not wait for it."""
        if self._chat is None:
            self._chat = _build(self.config)

    async def ready(self) -> None:
        """Do what `prepare` does, in a thread; return at once when it was done."""
        if self._chat is None:
            async with self._lock:
                await asyncio.to_thread(self.prepare)

    async def close(self) -> None:
        """Close the connections."""
        if self._chat is not None:
            await self._chat.root_async_client.close()
            self._chat = None

    async def _ask(self, messages: list[Message], tools: list[Mapping[str, Any]], on_text: OnText | None) -> Reply:
        chat = self._chat
        assert chat is not None
        lent: dict[str, Any] = {"tools": tools} if tools else {}
        if on_text is None:
            try:
                return _whole(await chat.ainvoke(messages, **lent))
            except Exception as error:  # whatever a vendor's library raises over an endpoint's answer
                raise _ours(error, has_tools=bool(tools)) from error
        gathered = _Gathered()
        async with aclosing(_pieces(chat, messages, lent)) as pieces:
            async for piece in pieces:
                if gathered.add(piece):
                    await on_text(gathered.text)
        return gathered.reply()


def _build(config: ModelConfig) -> ChatOpenAI:
    from langchain_openai import ChatOpenAI
    from openai import AsyncOpenAI, Timeout

    timeout = Timeout(config.timeout_s, connect=min(_CONNECT_S, config.timeout_s))
    key = config.api_key.get_secret_value() or "none"
    client = AsyncOpenAI(base_url=config.base_url, api_key=key, max_retries=0, timeout=timeout)
    # The library fills these from OPENAI_... variables, which are not ours to follow.
    client.organization = client.project = None
    client._custom_headers = {}
    completions = client.chat.completions
    return ChatOpenAI(
        model=config.name,
        base_url=config.base_url,
        api_key=SecretStr(key),
        client=completions,
        root_client=client,
        async_client=completions,
        root_async_client=client,
        temperature=config.temperature,
        max_retries=0,
        stream_usage=True,
        stream_chunk_timeout=None,
        use_responses_api=False,
    )


async def _pieces(chat: ChatOpenAI, messages: list[Message], lent: dict[str, Any]) -> AsyncGenerator[AIMessage, None]:
    """Yield the pieces of a streamed reply; a vendor's exceptions leave as ours."""
    try:
        async for piece in chat.astream(messages, **lent):
            yield piece
    except Exception as error:  # see above; what the reader of these pieces raises does not pass through here
        raise _ours(error, has_tools=bool(lent)) from error


@dataclass(slots=True)
class _Gathered:
    """The pieces of a streamed reply, put together."""

    text: str = ""
    finish: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    calls: dict[int, dict[str, str]] = field(default_factory=dict)

    def add(self, piece: Any) -> bool:
        """Take one piece in; return whether it brought words."""
        for part in getattr(piece, "tool_call_chunks", ()):
            call = self.calls.setdefault(part.get("index") or 0, {"id": "", "name": "", "args": ""})
            for name in call:
                call[name] += part.get(name) or ""
        self.finish = piece.response_metadata.get("finish_reason") or self.finish
        if piece.usage_metadata:
            self.input_tokens += piece.usage_metadata["input_tokens"]
            self.output_tokens += piece.usage_metadata["output_tokens"]
        words = str(piece.text)
        self.text += words
        return bool(words)

    def reply(self) -> Reply:
        return _reply(
            Reply(
                text=self.text,
                tool_calls=tuple(
                    ToolCall(call["id"], call["name"], _arguments(call["args"])) for call in self.calls.values()
                ),
                finish=self.finish,
                input_tokens=self.input_tokens,
                output_tokens=self.output_tokens,
            )
        )


def _whole(message: AIMessage) -> Reply:
    if message.additional_kwargs.get("refusal"):
        raise ModelRefused("The chat model declined to answer.", kind="refusal")
    wanted = [ToolCall(call["id"] or "", call["name"], call["args"]) for call in message.tool_calls]
    broken = [ToolCall(call["id"] or "", call["name"] or "", None) for call in message.invalid_tool_calls]
    usage = message.usage_metadata
    return _reply(
        Reply(
            text=str(message.text),
            tool_calls=(*wanted, *broken),
            finish=message.response_metadata.get("finish_reason") or "",
            input_tokens=usage["input_tokens"] if usage else 0,
            output_tokens=usage["output_tokens"] if usage else 0,
        )
    )


def _reply(reply: Reply) -> Reply:
    if reply.finish == _FILTERED:
        raise ModelRefused("The endpoint's content filter stopped the answer.", kind=_FILTERED)
    return reply


def _arguments(text: str) -> dict[str, JsonValue] | None:
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _ours(error: Exception, *, has_tools: bool) -> ModelError:
    """Return our exception for a vendor's, without a word of what the vendor said."""
    import openai
    from langchain_core.exceptions import ContextOverflowError

    if isinstance(error, ModelError):
        return error
    if isinstance(error, ContextOverflowError):
        return _unavailable("context", is_retryable=False)
    if isinstance(error, openai.APITimeoutError | TimeoutError):
        return _unavailable("timeout")
    if isinstance(error, openai.APIConnectionError):
        return _unavailable("dropped" if "RemoteProtocolError" in _causes(error) else "connection")
    if isinstance(error, openai.APIStatusError):
        if error.status_code < 500 and _TOO_LONG.search(f"{error.code} {error.type} {error.message}"):
            return _unavailable("context", is_retryable=False)
        if has_tools and error.status_code in _UNABLE and _NO_TOOLS.search(error.message):
            return _unavailable("no_tools", is_retryable=False)
        return _of_status(error.status_code, str(error.code or error.type or ""), error.response.headers)
    if isinstance(error, openai.APIError):
        return _unavailable("server")
    if type(error).__module__.partition(".")[0] in ("httpx", "httpx2", "httpcore", "httpcore2"):
        return _unavailable("dropped")
    return _unavailable("garbled")


def _causes(error: BaseException | None) -> set[str]:
    """Return the names of an exception and of those that led to it."""
    found: set[str] = set()
    while error is not None and len(found) < 10:
        found.add(type(error).__name__)
        error = error.__cause__ or error.__context__
    return found


def _of_status(status: int, code: str, headers: Mapping[str, str]) -> ModelError:
    if code == _FILTERED:
        return ModelRefused("The endpoint's content filter stopped the question.", kind=_FILTERED)
    if status == 429:
        if code == "insufficient_quota":
            return _unavailable("quota", is_retryable=False)
        return _unavailable("rate_limited", retry_after_s=_seconds(headers.get("retry-after", "")))
    kinds = {401: "unauthorized", 403: "forbidden", 404: "not_found"}
    if status in kinds:
        return _unavailable(kinds[status], is_retryable=False)
    if status >= 500 or status in (408, 409):
        return _unavailable("server")
    return _unavailable("rejected", is_retryable=False)


def _seconds(text: str) -> float | None:
    try:
        return max(0.0, float(text))
    except ValueError:
        return None


_MESSAGES = {
    "connection": "The chat model's endpoint cannot be reached: is MEMORAS_MODEL_URL right, and does it run?",
    "dropped": "The chat model's endpoint closed the connection in the middle of an answer.",
    "timeout": "The chat model did not answer in time.",
    "server": "The chat model's endpoint failed.",
    "rate_limited": "The chat model's endpoint asks for a pause.",
    "quota": "The account at the chat model's endpoint has no credit left.",
    "unauthorized": "The chat model's endpoint refused the key: set MEMORAS_MODEL_KEY again.",
    "forbidden": "The chat model's endpoint does not let this key use the model.",
    "not_found": "The endpoint does not know the chat model: see MEMORAS_MODEL_NAME and MEMORAS_MODEL_URL.",
    "rejected": "The chat model's endpoint did not accept the question.",
    "no_tools": "The chat model's endpoint cannot lend tools to this model.",
    "context": "The question was longer than the chat model can read.",
    "garbled": "The chat model's endpoint answered what is no chat completion.",
}


def _unavailable(
    kind: str, *, retry_after_s: float | None = None, is_retryable: bool | None = None
) -> ModelUnavailable:
    return ModelUnavailable(_MESSAGES[kind], kind=kind, retry_after_s=retry_after_s, is_retryable=is_retryable)
