"""Memories in the panel: searched, corrected, given an audience, added by hand and taken back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from aiohttp import web

from admin.audiences import Audiences, audiences_of
from admin.desk import Desk
from admin.errors import FormInvalid, PageNotFound
from admin.form import Form, number, query_text
from knowledge import memories
from knowledge.database import Connection
from knowledge.errors import StoreUnavailable
from knowledge.memories import MemoryDraft
from knowledge.tables import Memory, MemoryRevision, Persona, Source, new_id
from knowledge.viewer import owner_viewer

KINDS = {
    "said": "Said by the persona",
    "heard": "Said by somebody else",
    "told": "Told in a conversation",
    "replied": "Answered in a conversation",
    "document": "From a document",
    "fact": "A fact",
    "note": "Written by hand",
    "correction": "A correction",
}
_PER_PAGE = 40
_BEST = 20
_ALWAYS = 5
_NEAR = 0.05
"""The first five are shown however far off they are; the others only when they come near."""
_LONGEST = 8000


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One memory in a list; `score` when it was found by meaning."""

    memory: Memory
    score: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the address asks for."""

    words: str
    how: str
    kind: str
    audience: str
    source: str
    before: int


class MemoryPages:
    """The list of memories, one memory, and a new one."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> list[web.AbstractRouteDef]:
        """Return the routes of these pages."""
        base = "/admin/personas/{slug}/memories"
        return [
            web.get(base, self.listing),
            web.get(base + "/new", self.show_new),
            web.post(base + "/new", self.add),
            web.get(base + "/{memory_id}", self.show),
            web.post(base + "/{memory_id}", self.edit),
            web.post(base + "/{memory_id}/delete", self.remove),
        ]

    async def listing(self, request: web.Request) -> web.Response:
        """Show memories: the newest, or those that answer a question."""
        await self._desk.gate.need(request)
        persona = await self._desk.persona(request)
        wanted = Wanted(
            words=query_text(request, "q"),
            how="words" if request.query.get("how") == "words" else "meaning",
            kind=query_text(request, "kind", most=20),
            audience=query_text(request, "audience"),
            source=query_text(request, "source", most=64),
            before=number(request.query.get("before")),
        )
        found, notice = await self._find(persona, wanted)
        viewer = owner_viewer(persona.id)
        is_best = wanted.words != "" and wanted.how == "meaning"
        shown = found if is_best else found[:_PER_PAGE]
        return await self._desk.panel_page(
            request,
            "panel/memories.html",
            here="memories",
            persona=persona,
            found=shown,
            wanted=wanted,
            count=await self._desk.read(lambda c: memories.count_memories(c, viewer)),
            audiences=await self._desk.read(lambda c: audiences_of(c, persona)),
            sources=await self._desk.read(lambda c: _sources(c, persona)),
            kinds=KINDS,
            onward=shown[-1].memory.id if len(found) > len(shown) else None,
            search_notice=notice,
        )

    async def show_new(self, request: web.Request) -> web.Response:
        """Show the form for a memory written by hand."""
        await self._desk.gate.need(request, "curator")
        persona = await self._desk.persona(request)
        return await self._new(request, persona, {"audience": "owner", "whose": "own"})

    async def add(self, request: web.Request) -> web.Response:
        """Keep a memory written by hand."""
        form = await self._desk.gate.form(request)
        persona = await self._desk.persona(request)
        audiences = await self._desk.read(lambda c: audiences_of(c, persona))
        try:
            text, audience, happened_at = _read(form, audiences)
            is_own = form.choice("whose", ("own", "about")) == "own"
            form.check()
        except FormInvalid as error:
            return await self._new(request, persona, form.values, error)
        draft = MemoryDraft(
            persona_id=persona.id,
            natural_key=f"note:{new_id()}",
            kind="note",
            text=text,
            audience=audience,
            speaker=persona.name if is_own else "",
            is_own=is_own,
            happened_at=happened_at,
            importance=0.6,
        )
        at = self._desk.now()
        await self._desk.write(lambda c: memories.add_memories(c, [draft], at=at))
        self._desk.services.on_knowledge_changed(persona.id)
        return await self._desk.done(request, f"/admin/personas/{persona.slug}/memories", "Remembered.")

    async def show(self, request: web.Request) -> web.Response:
        """Show one memory, to be changed."""
        await self._desk.gate.need(request)
        persona, memory = await self._memory(request)
        return await self._one(request, persona, memory)

    async def edit(self, request: web.Request) -> web.Response:
        """Change a memory; what it was stays in its history."""
        form = await self._desk.gate.form(request)
        signed_in = await self._desk.gate.need(request)
        persona, memory = await self._memory(request)
        audiences = await self._desk.read(lambda c: audiences_of(c, persona))
        try:
            text, audience, day = _read(form, audiences, kept=memory.audience)
            form.check()
        except FormInvalid as error:
            return await self._one(request, persona, memory, form.values, error)
        at, name = self._desk.now(), signed_in.operator.name
        happened_at = memory.happened_at if _is_same_day(memory.happened_at, day) else day
        await self._desk.write(
            lambda c: memories.edit_memory(
                c,
                owner_viewer(persona.id),
                memory.id or 0,
                text=text,
                audience=audience,
                happened_at=happened_at,
                by=name,
                at=at,
            )
        )
        self._desk.services.on_knowledge_changed(persona.id)
        return await self._desk.done(request, f"/admin/personas/{persona.slug}/memories/{memory.id}", "Saved.")

    async def remove(self, request: web.Request) -> web.Response:
        """Take a memory back for good."""
        await self._desk.gate.form(request)
        signed_in = await self._desk.gate.need(request)
        persona, memory = await self._memory(request)
        at, name = self._desk.now(), signed_in.operator.name
        await self._desk.write(
            lambda c: memories.remove_memory(c, owner_viewer(persona.id), memory.id or 0, by=name, at=at)
        )
        self._desk.services.on_knowledge_changed(persona.id)
        return await self._desk.done(
            request,
            f"/admin/personas/{persona.slug}/memories",
            "Forgotten, and importing it again does not bring it back.",
        )

    async def _memory(self, request: web.Request) -> tuple[Persona, Memory]:
        persona = await self._desk.persona(request)
        memory_id = number(request.match_info["memory_id"])
        if not memory_id:
            raise PageNotFound("There is no such memory.")
        return persona, await self._desk.read(lambda c: memories.memory(c, owner_viewer(persona.id), memory_id))

    async def _find(self, persona: Persona, wanted: Wanted) -> tuple[list[Found], str]:
        if wanted.words and wanted.how == "meaning":
            try:
                return await self._by_meaning(persona, wanted), ""
            except StoreUnavailable:
                return await self._by_words(
                    persona, wanted
                ), "The search by meaning does not answer; these hold the words."
        return await self._by_words(persona, wanted), ""

    async def _by_words(self, persona: Persona, wanted: Wanted) -> list[Found]:
        found = await self._desk.read(
            lambda c: memories.memories(
                c,
                owner_viewer(persona.id),
                words=wanted.words,
                kind=wanted.kind or None,
                audience=wanted.audience or None,
                source_id=wanted.source or None,
                before_id=wanted.before or None,
                limit=_PER_PAGE + 1,
            )
        )
        return [Found(memory=memory) for memory in found]

    async def _by_meaning(self, persona: Persona, wanted: Wanted) -> list[Found]:
        viewer = owner_viewer(persona.id)
        kinds = frozenset({wanted.kind}) if wanted.kind else None
        recalled = await self._desk.services.recall.recall(
            viewer, wanted.words, limit=_BEST, kinds=kinds, now=self._desk.now()
        )
        near = [found for place, found in enumerate(recalled) if place < _ALWAYS or found.score >= _NEAR]
        scores = {found.memory_id: found.score for found in near}
        rows = await self._desk.read(lambda c: memories.memories_by_id(c, viewer, list(scores)))
        return [
            Found(memory=row, score=scores[row.id or 0])
            for row in rows
            if wanted.audience in ("", row.audience) and wanted.source in ("", row.source_id)
        ]

    async def _new(
        self, request: web.Request, persona: Persona, values: dict[str, str], error: FormInvalid | None = None
    ) -> web.Response:
        return await self._desk.panel_page(
            request,
            "panel/memory_new.html",
            here="memories",
            persona=persona,
            error=error,
            values=values,
            audiences=await self._desk.read(lambda c: audiences_of(c, persona)),
        )

    async def _one(
        self,
        request: web.Request,
        persona: Persona,
        memory: Memory,
        values: dict[str, str] | None = None,
        error: FormInvalid | None = None,
    ) -> web.Response:
        day = f"{memory.happened_at:%Y-%m-%d}" if memory.happened_at else ""
        return await self._desk.panel_page(
            request,
            "panel/memory.html",
            here="memories",
            persona=persona,
            error=error,
            memory=memory,
            values=values or {"text": memory.text, "audience": memory.audience, "happened_at": day},
            audiences=await self._desk.read(lambda c: audiences_of(c, persona)),
            source=await self._desk.read(lambda c: memories.source(c, memory.source_id) if memory.source_id else None),
            revisions=await self._desk.read(lambda c: _revisions(c, persona, memory)),
            kinds=KINDS,
        )


def _read(form: Form, audiences: Audiences, *, kept: str = "") -> tuple[str, str, datetime | None]:
    text = form.text("text", most=_LONGEST, is_long=True)
    audience = form.choice("audience", (*audiences.values, *([kept] if kept else [])))
    return text, audience, form.day("happened_at")


def _is_same_day(before: datetime | None, day: datetime | None) -> bool:
    return before is not None and day is not None and before.date() == day.date()


def _sources(c: Connection, persona: Persona) -> list[Source]:
    return [source for source in memories.sources(c, persona.id) if source.undone_at is None]


def _revisions(c: Connection, persona: Persona, memory: Memory) -> list[MemoryRevision]:
    return memories.revisions(c, owner_viewer(persona.id), memory.id or 0)
