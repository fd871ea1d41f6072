"""The chat model as a writer of answers: an agent that may search the memories before it writes.

Whose memories it searches is bound here, in code; no word of the model, of a person or of a memory can widen it.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field

from pydantic import JsonValue

from agents.draft import Brief, Draft, Writer
from agents.endpoint import Endpoint, Message, ModelConfig, Reply, ToolCall, quiet_tracing
from agents.errors import ModelError, ModelUnavailable
from agents.marks import Cited, cited, plain
from agents.prompting import Shown, messages_of, nearest_lines, wording
from agents.toolbox import Toolbox
from agents.turn import OnText, Reason, Step
from knowledge.clock import Clock
from knowledge.recall import Recall

__all__ = ["ModelAgent", "ModelConfig", "make_writer", "quiet_tracing"]

_HELD_BACK = 120
_MOST_CALLS_AT_ONCE = 4
_LONGEST_PAUSE_S = 5.0
_CALLS_TO_COME = 2.2
_TRIMMED_HISTORY = 4
_TRIMMED_MEMORIES = 4
_SHORTEST_PARTIAL = 40
_END = re.compile(r"[.!?…。！？][\"'”»)]*(?:\s*\[[^\]\n]{1,40}\])*(?=\s|\Z)")


def make_writer(model: ModelConfig, *, recall: Recall, clock: Clock) -> Writer:
    """Return what writes answers with this model. Imports its libraries, which takes a second: call it in a thread."""
    agent = ModelAgent(model, recall, clock)
    agent.endpoint.prepare()
    return agent


class ModelAgent:
    """Writes answers with one chat model. Built once; any number of turns may run through it at the same time."""

    def __init__(self, config: ModelConfig, recall: Recall, clock: Clock) -> None:
        self.name = config.name
        self.endpoint = Endpoint(config, clock)
        self._config = config
        self._recall = recall
        self._clock = clock

    async def write(self, brief: Brief, *, on_text: OnText | None = None) -> Draft:
        """Return the answer to `brief`, within the time and the steps that the configuration grants.

        When either is used up the model answers with what was found until then; an answer that time cut off is kept
        up to its last whole sentence. `on_text` hears the answer itself, never what stands beside a search.

        Raises:
            ModelUnavailable: when there is no answer that can be used. Its `steps` tell what was done.
            ModelRefused: when the model declined.
        """
        writing = _Writing(brief, self._config, self.endpoint, self._recall, self._clock, on_text)
        try:
            return await writing.draft()
        except ModelError as error:
            error.steps = tuple(writing.steps)
            raise

    async def close(self) -> None:
        """Close the connections."""
        await self.endpoint.close()


@dataclass(slots=True)
class _Writing:
    """One answer being written."""

    brief: Brief
    config: ModelConfig
    endpoint: Endpoint
    recall: Recall
    clock: Clock
    on_text: OnText | None
    steps: list[Step] = field(default_factory=list)
    shown: Shown = field(default_factory=Shown)
    input_tokens: int = 0
    output_tokens: int = 0
    heard: str = ""
    retries_left: int = 1
    ends_at: float = 0.0
    longest_call_s: float = 0.0

    async def draft(self) -> Draft:
        await self.endpoint.ready()
        self.ends_at = asyncio.get_running_loop().time() + self.config.timeout_s
        self.shown.add(self.brief.found)
        async with self._in_time():
            lines = await nearest_lines(self.recall, self.brief, self.shown)
        self.shown.lines = lines
        try:
            reply = await self._search()
        except ModelUnavailable as error:
            if error.kind != "context":
                raise
            self.shown.trim(_TRIMMED_MEMORIES)
            self._note("trim", "the question was too long: less history, fewer memories", self.clock.monotonic())
            reply = await self._ask(messages_of(self.brief, self.shown, most_history=_TRIMMED_HISTORY))
        return self._drafted(reply)

    async def _search(self) -> Reply:
        """Let the model search until it writes, its steps are used up, or its time is needed to write."""
        if self.brief.is_cautious or not self.endpoint.takes_tools:
            return await self._finish()
        try:
            return await self._search_with(Toolbox(self.recall, self.brief, self.shown))
        except ModelUnavailable as error:
            if error.kind != "no_tools":
                raise
            return await self._finish()

    async def _search_with(self, toolbox: Toolbox) -> Reply:
        messages = messages_of(self.brief, self.shown, has_tools=True)
        for _ in range(self.config.max_steps):
            reply = await self._ask(messages, tools=toolbox.lent())
            if not reply.tool_calls:
                return reply if plain(reply.text) else await self._finish()
            messages.append(_as_message(reply))
            for number, call in enumerate(reply.tool_calls):
                messages.append(await self._look(toolbox, call, is_one_too_many=number >= _MOST_CALLS_AT_ONCE))
            if self._left_s() < _CALLS_TO_COME * self.longest_call_s:
                break
        return await self._finish()

    async def _finish(self) -> Reply:
        """Let the model write with what was found. Nothing of the searches is left to go on with."""
        return await self._ask(messages_of(self.brief, self.shown))

    async def _look(self, toolbox: Toolbox, call: ToolCall, *, is_one_too_many: bool) -> Message:
        started = self.clock.monotonic()
        if is_one_too_many:
            content = wording("too_many")
        else:
            async with self._in_time():
                looked = await toolbox.call(call)
            content = looked.words
            self._note("search", looked.summary, started, looked.detail)
        return {"role": "tool", "tool_call_id": call.id, "content": content}

    async def _ask(self, messages: list[Message], *, tools: list[Message] | None = None) -> Reply:
        started, left_s = self.clock.monotonic(), self._left_s()
        try:
            reply = await self._asked_in_time(messages, tools or [])
        except ModelUnavailable as error:
            self._note("model", f"failed: {error.kind.replace('_', ' ')}", started, {"kind": error.kind})
            pause_s = self._pause_s(error)
            if pause_s is None:
                raise
            self.retries_left -= 1
            async with self._in_time():
                await self.clock.sleep(pause_s)
            return await self._ask(messages, tools=tools)
        except ModelError as error:
            self._note("model", "declined", started, {"kind": error.kind})
            raise
        self.longest_call_s = max(self.longest_call_s, left_s - self._left_s())
        self.input_tokens += reply.input_tokens
        self.output_tokens += reply.output_tokens
        wanted = ", ".join(call.name for call in reply.tool_calls)
        detail: dict[str, JsonValue] = {
            "model": self.config.name,
            "finish": reply.finish,
            "input_tokens": reply.input_tokens,
            "output_tokens": reply.output_tokens,
        }
        self._note("model", f"wants {wanted}" if wanted else "wrote", started, detail)
        return reply

    async def _asked_in_time(self, messages: list[Message], tools: list[Message]) -> Reply:
        self.heard = ""
        listen = self._listener(_HELD_BACK if tools else 0) if self.on_text else None
        try:
            reply = await self.endpoint.ask(messages, tools=tools, timeout_s=self._left_s(), on_text=listen)
            if listen and not reply.text and not reply.tool_calls:
                # Some endpoints stream nothing where they answer, or leave out that they decline.
                reply = await self.endpoint.ask(messages, tools=tools, timeout_s=self._left_s())
        except ModelUnavailable:
            kept = _whole_sentences(plain(self.heard))
            if len(kept) < _SHORTEST_PARTIAL:
                raise
            return Reply(text=_whole_sentences(self.heard), finish="interrupted")
        if reply.finish == "length":
            return Reply(
                text=_whole_sentences(reply.text) or f"{reply.text.rsplit(' ', 1)[0]}…",
                finish=reply.finish,
                input_tokens=reply.input_tokens,
                output_tokens=reply.output_tokens,
            )
        return reply

    def _listener(self, held_back: int) -> OnText:
        """Return what hears the model: beside a search models say a few words, which are not the answer."""
        told = ""
        speaker = self.brief.turn.persona.name

        async def listen(text: str) -> None:
            nonlocal told
            self.heard = text
            so_far = plain(text, speaker=speaker, is_whole=False)
            if self.on_text and len(so_far) > held_back and so_far != told:
                told = so_far
                await self.on_text(so_far)

        return listen

    def _drafted(self, reply: Reply) -> Draft:
        found: Cited = cited(reply.text, self.shown.numbered, speaker=self.brief.turn.persona.name)
        if not found.text:
            raise ModelUnavailable("The chat model wrote nothing.", kind="empty")
        reason: Reason = "not_remembered" if found.is_unknown and not found.memory_ids else "answered"
        return Draft(
            text=found.text,
            reason=reason,
            engine=f"model:{self.config.name}",
            memory_ids=found.memory_ids,
            sources=self.shown.texts(),
            steps=tuple(self.steps),
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
            cost=self.config.cost(self.input_tokens, self.output_tokens),
        )

    def _in_time(self) -> AbstractAsyncContextManager[None]:
        return _in_time(self.ends_at)

    def _left_s(self) -> float:
        return max(0.0, self.ends_at - asyncio.get_running_loop().time())

    def _pause_s(self, error: ModelUnavailable) -> float | None:
        """Return how long to wait before asking once more, None when that is of no use."""
        if not self.retries_left:
            return None
        if error.kind == "dropped" and not self.heard:
            return 0.0  # a connection that was kept open and closed on the other side
        if error.kind != "rate_limited" or error.retry_after_s is None:
            return None
        return error.retry_after_s if error.retry_after_s <= min(_LONGEST_PAUSE_S, self._left_s() / 2) else None

    def _note(self, name: str, summary: str, started: float, detail: dict[str, JsonValue] | None = None) -> None:
        duration_ms = round(1000 * (self.clock.monotonic() - started), 3)
        self.steps.append(Step(name=name, summary=summary, duration_ms=duration_ms, detail=detail or {}))


@asynccontextmanager
async def _in_time(ends_at: float) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout_at(ends_at):
            yield
    except TimeoutError as error:
        raise ModelUnavailable("The time for an answer was used up.", kind="timeout") from error


def _as_message(reply: Reply) -> Message:
    calls = [
        {
            "id": call.id,
            "type": "function",
            "function": {"name": call.name, "arguments": json.dumps(call.arguments or {}, ensure_ascii=False)},
        }
        for call in reply.tool_calls
    ]
    return {"role": "assistant", "content": reply.text, "tool_calls": calls}


def _whole_sentences(text: str) -> str:
    """Return `text` up to the end of its last whole sentence, with the marks that stand there."""
    ends = [found.end() for found in _END.finditer(text)]
    return text[: ends[-1]].strip() if ends else ""
