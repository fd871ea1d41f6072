"""The graph that makes an answer: listen, guard the request, recall, answer, guard the answer, speak, appear.

Its state is plain JSON and it keeps no checkpoint: a turn's input lies in the inbox, what was said in our tables.
Importing this module imports LangGraph (half a second): only whoever builds the answerer does.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime
from pydantic import JsonValue

from agents.disclosure import disclosure, fixed, statement
from agents.draft import Brief, Draft, Writer
from agents.errors import ModelError, ModelRefused
from agents.finding import Search, find, names_of
from agents.guards import Guard, Surface, crisis, injection, installed_guards
from agents.language import language_of, usable
from agents.model import ModelConfig, make_writer
from agents.offline import compose
from agents.outgoing import REFUSED, guarded
from agents.phrases import phrases
from agents.reading import read
from agents.streaming import guarded_stream
from agents.turn import Alert, Answer, OnText, Reason, Turn
from agents.work import Work
from knowledge.clock import Clock
from knowledge.recall import Recall

log = logging.getLogger(__name__)

_RECURSION_LIMIT = 10
_FOR_THE_MODEL = 12
_MOST_SHOWN = 16
_CAUTION = 0.5
_RESTING = "resting"


class State(TypedDict, total=False):
    """What the nodes pass on: plain JSON, small, and never anybody's words."""

    language: str
    aim: str
    caution: float
    found: list[JsonValue]
    reason: str
    engine: str


Node = Callable[[Work], Awaitable[State]]


class _GraphNode(Protocol):
    """A node as LangGraph calls it."""

    def __call__(self, state: State, *, runtime: Runtime[Work]) -> Awaitable[State]: ...


class GraphAnswerer:
    """Makes answers. Built once; any number of turns may run through it at the same time."""

    def __init__(
        self,
        *,
        recall: Recall,
        clock: Clock,
        model: ModelConfig | None = None,
        writer: Writer | None = None,
        guards: Mapping[str, Guard] | None = None,
    ) -> None:
        self._recall = recall
        self._clock = clock
        self._guards = installed_guards() if guards is None else dict(guards)
        self._writer = writer or (make_writer(model, recall=recall, clock=clock) if model else None)
        self._graph = build_graph()

    async def answer(self, turn: Turn, *, on_text: OnText | None = None) -> Answer:
        """Return the answer to `turn`. Nothing that goes wrong inside reaches the caller."""
        work = Work(
            turn=turn,
            recall=self._recall,
            clock=self._clock,
            guards=self._guards,
            writer=self._writer,
            on_text=on_text,
        )
        await self._graph.ainvoke({}, {"recursion_limit": _RECURSION_LIMIT}, context=work)
        return _answer_of(work)

    async def close(self) -> None:
        """Release the chat model's connections."""
        if self._writer is not None:
            await self._writer.close()

    def apology(self, turn: Turn) -> Answer:
        """Return a short apology in the person's language. Pure."""
        return _fixed_answer(turn, "apology", "apology")

    def closed_door(self, turn: Turn) -> Answer:
        """Return the polite word of a private persona to somebody it does not know. Pure; reads no memory."""
        return _fixed_answer(turn, "closed", "closed")


def build_graph() -> CompiledStateGraph[State, Work, State, State]:
    """Return the compiled graph. It holds nothing of any turn."""
    nodes: dict[str, Node] = {
        "listen": _listen,
        "guard_request": _guard_request,
        "recall": _recall,
        "answer": _answer,
        "guard_answer": _guard_answer,
        "speak": _pass,
        "appear": _pass,
    }
    graph = StateGraph(State, context_schema=Work)
    names = list(nodes)
    for name, node in nodes.items():
        graph.add_node(name, _kept(name, node))
    # Plain edges: a conditional one costs as much as a node, and a node with nothing to do returns at once.
    for before, after in zip([START, *names], [*names, END], strict=True):
        graph.add_edge(before, after)
    return graph.compile()


def _kept(name: str, node: Node) -> _GraphNode:
    """Return a node that never loses the turn: what it raises is noted, and the next nodes make the best of it."""

    async def run(state: State, *, runtime: Runtime[Work]) -> State:
        work = runtime.context
        started = work.clock.monotonic()
        try:
            return await node(work)
        except Exception as error:
            log.warning("a step of an answer failed", extra={"ids": {"turn": work.turn.id, "step": name}})
            work.note(name, f"failed: {type(error).__name__}", started)
            _recover(name, work)
            return {}

    return run


def _recover(name: str, work: Work) -> None:
    if name == "recall":
        work.is_recall_lost = True
    elif name in ("answer", "guard_answer"):
        work.draft = _apology(work)
        work.is_fixed = True


def _apology(work: Work) -> Draft:
    return Draft(text=fixed("apology", work.language), reason="apology")


# -------------------------------------------------------------------------------------------- the nodes


async def _listen(work: Work) -> State:
    started = work.clock.monotonic()
    work.language = language_of(work.turn)
    work.reading = read(work.turn, work.language)
    detail: dict[str, JsonValue] = {"language": work.language, "aim": work.reading.aim}
    work.note("listen", f"{work.reading.aim.replace('_', ' ')}, in {work.language}", started, detail)
    return {"language": work.language, "aim": work.reading.aim}


async def _guard_request(work: Work) -> State:
    started = work.clock.monotonic()
    turn = work.turn
    text = "\n".join(said.text for said in turn.messages)
    surface = Surface(side="request", language=work.language, region=turn.region, persona_kind=turn.persona.kind)
    danger = crisis.check(text, surface, turn.viewer)
    caution = injection.check(text, surface, turn.viewer)
    work.is_cautious = caution.score >= _CAUTION
    detail: dict[str, JsonValue] = {"crisis": danger.score, "injection": caution.score}
    summary = "nothing found"
    if danger.score >= REFUSED:
        work.draft = Draft(text=crisis.help_text(work.language, turn.region), reason="crisis")
        work.is_fixed = True
        work.alerts.append(
            Alert(
                kind="crisis", summary="A person may be in danger. The persona stepped aside and showed where help is."
            )
        )
        summary = "a crisis: the persona steps aside"
    elif work.is_cautious:
        summary = "words meant for the machine: fewer tools are lent"
    for name, guard in work.guards.items():
        verdict = guard(text, surface, turn.viewer)
        detail[name] = verdict.score
        if verdict.score >= REFUSED and work.draft is None:
            words = phrases(usable(turn, work.language))
            work.draft = Draft(text=words.pick("not_remembered", seed=turn.id), reason="refused")
            summary = f"refused by {name}"
    work.note("guard_request", summary, started, detail)
    return {"caution": caution.score}


async def _recall(work: Work) -> State:
    if work.draft is not None:
        return {}
    started = work.clock.monotonic()
    findings = await find(work.recall, work.turn, work.reading, work.language)
    work.findings = findings
    if work.writer is not None:
        words = work.reading.question or "\n".join(said.text for said in work.turn.messages)
        # A model may also make use of what others said in the material, where this viewer may know of it.
        hits = await work.recall.recall(
            work.turn.viewer, words, limit=_FOR_THE_MODEL, names=names_of(work.turn), now=work.turn.now
        )
        findings.searches.insert(0, Search(words, (), tuple(hits)))
    support = {quote.memory.memory_id: round(quote.support, 3) for quote in findings.quotes}
    searches: list[JsonValue] = [
        {
            "kinds": list(search.kinds),
            "found": [
                {"id": hit.memory_id, "score": round(hit.score, 4), "support": support.get(hit.memory_id)}
                for hit in search.found
            ],
        }
        for search in findings.searches
    ]
    count = len(findings.memories)
    work.note("recall", f"{len(searches)} searches, {count} memories", started, {"searches": searches})
    return {"found": [{"id": hit.memory_id, "score": round(hit.score, 4)} for hit in findings.memories]}


async def _answer(work: Work) -> State:
    if work.draft is not None:
        return {"reason": work.draft.reason}
    if work.writer is not None and work.reading.aim not in ("unheard", "identity"):
        work.draft = await _written(work, work.writer)
    if work.draft is None:
        started = work.clock.monotonic()
        needs_memories = work.reading.aim not in ("unheard", "identity", "small_talk", "told")
        if work.is_recall_lost and needs_memories:
            work.draft = _apology(work)
            work.is_fixed = True
        else:
            work.draft = compose(work.turn, work.reading, work.language, work.findings)
        draft = work.draft
        work.note("answer", f"{draft.reason.replace('_', ' ')}, offline", started, {"memories": list(draft.memory_ids)})
    return {"reason": work.draft.reason, "engine": work.draft.engine}


async def _written(work: Work, writer: Writer) -> Draft | None:
    """Return what the model wrote, None when it failed and the offline answerer has to take over."""
    started = work.clock.monotonic()
    truth = ""
    if work.reading.asks_ai:
        truth = f"{statement(work.turn.persona.kind, work.turn.persona.name, work.language)}\n\n"
    brief = Brief(
        turn=work.turn,
        language=work.language,
        question=work.reading.question or "\n".join(said.text for said in work.turn.messages),
        found=work.findings.memories[:_MOST_SHOWN],
        names=names_of(work.turn),
        is_cautious=work.is_cautious,
    )
    stream = guarded_stream(work.on_text, work, before=truth) if work.on_text else None
    try:
        draft = await writer.write(brief, on_text=stream)
    except ModelRefused as error:
        work.trace.extend(error.steps)
        work.note("answer", "the model declined; the offline answerer takes over", started, _about(writer, error))
        return None
    except Exception as error:
        about = _about(writer, error)
        work.trace.extend(error.steps if isinstance(error, ModelError) else ())
        work.note("answer", "the model failed; the offline answerer takes over", started, about)
        if about["kind"] != _RESTING:  # the operators know already
            summary = f"The chat model did not answer ({about['kind']}); the offline answerer took over."
            work.alerts.append(Alert(kind="model_unavailable", summary=summary))
        return None
    work.trace.extend(draft.steps)
    detail: dict[str, JsonValue] = {
        "memories": list(draft.memory_ids),
        "input_tokens": draft.input_tokens,
        "output_tokens": draft.output_tokens,
        "cost": draft.cost,
    }
    work.note("answer", f"written by {draft.engine}", started, detail)
    if not truth:
        return draft
    return _with_text(draft, f"{truth}{draft.text}", "identity")


def _about(writer: Writer, error: Exception) -> dict[str, JsonValue]:
    kind = error.kind if isinstance(error, ModelError) else ""
    retryable = error.is_retryable if isinstance(error, ModelError) else False
    return {"model": writer.name, "kind": kind or type(error).__name__, "is_retryable": retryable}


async def _guard_answer(work: Work) -> State:
    draft = work.draft
    if draft is None or work.is_fixed:
        return {}
    started = work.clock.monotonic()
    checked = guarded(draft.text, draft, work)
    detail: dict[str, JsonValue] = {
        name: {"score": verdict.score, "reasons": list(verdict.reasons), "spans": len(verdict.spans)}
        for name, verdict in checked.verdicts.items()
    }
    if checked.is_replaced:
        work.draft = _with_text(draft, checked.text, "identity" if "honesty" in checked.verdicts else "refused")
    elif checked.verdicts:
        work.draft = _with_text(draft, checked.text, draft.reason)
    if checked.verdicts and draft.engine != "offline":
        names = ", ".join(sorted(checked.verdicts))
        work.alerts.append(Alert(kind="guard", summary=f"Something the model wrote was held back by: {names}."))
    summary = f"held back by {', '.join(checked.verdicts)}" if checked.verdicts else "nothing found"
    work.note("guard_answer", summary, started, detail)
    return {"reason": work.draft.reason if work.draft else draft.reason}


async def _pass(work: Work) -> State:
    """Do nothing yet: voices and faces find their room ready here."""
    return {}


# ------------------------------------------------------------------------------------------ the answer


def _answer_of(work: Work) -> Answer:
    draft = work.draft or _apology(work)
    turn = work.turn
    return Answer(
        text=_fitting(draft.text, turn.max_characters) or fixed("apology", work.language),
        language=work.language,
        reason=draft.reason,
        engine=draft.engine,
        disclosure=_due(turn, work.language),
        label=draft.label,
        memory_ids=draft.memory_ids,
        trace=tuple(work.trace),
        alerts=tuple(work.alerts),
        input_tokens=draft.input_tokens,
        output_tokens=draft.output_tokens,
        cost=draft.cost,
    )


def _fixed_answer(turn: Turn, what: str, reason: Reason) -> Answer:
    language = language_of(turn)
    return Answer(
        text=fixed(what, language), language=language, reason=reason, engine="offline", disclosure=_due(turn, language)
    )


def _due(turn: Turn, language: str) -> str:
    """Return the disclosure when it is due. No setting reaches this far."""
    return disclosure(turn.persona.kind, turn.persona.name, language) if turn.is_disclosure_due else ""


def _with_text(draft: Draft, text: str, reason: Reason) -> Draft:
    values: dict[str, Any] = {name: getattr(draft, name) for name in draft.__dataclass_fields__}
    return Draft(**(values | {"text": text, "reason": reason}))


def _fitting(text: str, most: int) -> str:
    """Return `text` within `most` characters, cut after a whole sentence where there is one."""
    text = text.strip()
    if len(text) <= most:
        return text
    cut = text[:most]
    end = max(cut.rfind(mark) for mark in (". ", "! ", "? ", "\n"))
    return cut[: end + 1].rstrip() if end > most // 3 else f"{cut[: most - 1].rsplit(' ', 1)[0]}…"
