"""The tools lent to a model: three ways to search the memories, for one viewer that was bound before."""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, JsonValue, ValidationError

from agents.draft import Brief
from agents.endpoint import Message, ToolCall
from agents.prompting import Shown, block, load_prompts, timezone_of, wording
from knowledge.recall import Period, Recall, Recalled

_LIMIT = 8
_LONGEST_QUESTION = 300
_REMEMBERED = frozenset(("said", "heard", "told", "document", "fact", "note", "correction"))
_EARLIER_TALKS = frozenset(("told", "replied"))
_DAY = re.compile(r"\s*(\d{4})(?:-(\d{1,2})(?:-(\d{1,2}))?)?")


@dataclass(frozen=True, slots=True)
class Looked:
    """What a tool gave: words for the model, and a step for the trace."""

    words: str
    summary: str
    detail: dict[str, JsonValue]


class Toolbox:
    """The tools of one turn. Its viewer is the turn's: no argument names a persona, a person or an audience."""

    def __init__(self, recall: Recall, brief: Brief, shown: Shown) -> None:
        self._recall = recall
        self._brief = brief
        self._shown = shown

    def lent(self) -> list[Message]:
        """Return the tools as the protocol describes them. In a group nobody's earlier talks are recalled."""
        return [_described(name, tool) for name, tool in load_prompts("tools.toml").items() if self._is_lent(name)]

    async def call(self, call: ToolCall) -> Looked:
        """Use one tool. A call that makes no sense is answered with words that help the model to do better."""
        if not self._is_lent(call.name):
            return _useless(wording("no_such_tool"), "an unknown tool")
        try:
            match call.name:
                case "search_memories":
                    return await self._search(_Search.model_validate(call.arguments))
                case "look_at_period":
                    return await self._look_at_period(_LookAtPeriod.model_validate(call.arguments))
                case _:
                    return await self._recall_talks(_RecallTalks.model_validate(call.arguments))
        except ValidationError:
            return _useless(wording("wrong_arguments"), "arguments that were not understood")

    def _is_lent(self, name: str) -> bool:
        if name == "recall_earlier_talks":
            return self._brief.turn.viewer.person_id is not None and not self._brief.turn.is_group
        return name in load_prompts("tools.toml")

    async def _search(self, wanted: _Search) -> Looked:
        found = await self._recalled(wanted.question, own_only=wanted.own_only, kinds=_REMEMBERED)
        return self._looked("search_memories", found, question=wanted.question, own_only=wanted.own_only)

    async def _look_at_period(self, wanted: _LookAtPeriod) -> Looked:
        during = self._period(wanted.since, wanted.until)
        if during is None:
            return _useless(wording("wrong_arguments"), "a time that was not understood")
        found = await self._near(wanted.about, kinds=_REMEMBERED, during=during)
        return self._looked("look_at_period", found, since=wanted.since, until=wanted.until, question=wanted.about)

    async def _recall_talks(self, wanted: _RecallTalks) -> Looked:
        person = self._brief.turn.viewer.person_id
        found = await self._near(wanted.about, kinds=_EARLIER_TALKS, with_person=person)
        return self._looked("recall_earlier_talks", found, question=wanted.about)

    async def _near(
        self, about: str, *, kinds: frozenset[str], during: Period | None = None, with_person: str | None = None
    ) -> list[Recalled]:
        """Return what fits `about` in a time or in earlier talks; whatever is there when nothing fits."""
        found = await self._recalled(about, kinds=kinds, during=during, with_person=with_person) if about else []
        return found or await self._recalled("", kinds=kinds, during=during, with_person=with_person)

    async def _recalled(
        self,
        question: str,
        *,
        kinds: frozenset[str],
        own_only: bool = False,
        during: Period | None = None,
        with_person: str | None = None,
    ) -> list[Recalled]:
        turn = self._brief.turn
        return await self._recall.recall(
            turn.viewer,
            question,
            limit=_LIMIT,
            during=during,
            own_only=own_only,
            kinds=kinds,
            with_person=with_person,
            names=self._brief.names,
            now=turn.now,
        )

    def _looked(self, tool: str, found: Sequence[Recalled], **asked: JsonValue) -> Looked:
        numbers = self._shown.add(found)
        hits: list[JsonValue] = [{"id": memory.memory_id, "score": round(memory.score, 4)} for memory in found]
        return Looked(
            words=block(self._shown, numbers, self._brief) or wording("no_memory"),
            summary=f"{tool}: {len(found)} found",
            detail={"tool": tool, **asked, "found": hits},
        )

    def _period(self, since: str, until: str) -> Period | None:
        zone = timezone_of(self._brief.turn.persona)
        begins, ends = _days(since), _days(until)
        if (since.strip() and not begins) or (until.strip() and not ends) or not (begins or ends):
            return None
        if begins and ends and begins[0] > ends[1]:
            begins, ends = ends, begins
        return Period(
            since=begins[0].replace(tzinfo=zone) if begins else None,
            until=ends[1].replace(tzinfo=zone) if ends else None,
        )


def _described(name: str, tool: dict[str, JsonValue]) -> Message:
    parameters = {"type": "object", "properties": tool["parameters"], "required": tool["required"]}
    return {
        "type": "function",
        "function": {"name": name, "description": tool["description"], "parameters": parameters},
    }


def _useless(words: str, summary: str) -> Looked:
    return Looked(words, summary, {})


def _days(text: str) -> tuple[datetime, datetime] | None:
    """Return the first and the last moment of a year, a month or a day; None for anything else."""
    found = _DAY.match(text)
    if not found:
        return None
    year, month, day = (int(number) if number else 0 for number in found.groups())
    try:
        first = datetime(year, month or 1, day or 1)
        last_month = month or 12
        last = datetime(year, last_month, day or monthrange(year, last_month)[1])
    except ValueError:
        return None
    return first, datetime.combine(last, time.max)


def _as_words(value: object) -> object:
    if value is None:
        return ""
    return value[:_LONGEST_QUESTION] if isinstance(value, str) else str(value) if isinstance(value, int) else value


Words = Annotated[str, BeforeValidator(_as_words)]


class _Search(BaseModel):
    question: Words
    own_only: bool = False


class _LookAtPeriod(BaseModel):
    since: Words = ""
    until: Words = ""
    about: Words = ""


class _RecallTalks(BaseModel):
    about: Words = ""
