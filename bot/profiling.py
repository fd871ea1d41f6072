"""Who a persona is, worked out again whenever it learns: without a model, and better with one."""

from __future__ import annotations

import asyncio
import logging

from agents.model import ModelConfig
from bot.failures import log_failure
from knowledge import profiles
from knowledge.clock import Clock
from knowledge.database import Database

log = logging.getLogger(__name__)

_GATHER_S = 3.0


class Profiling:
    """Keeps the profiles up to date in the background; several changes in a row are worked out once."""

    def __init__(self, *, database: Database, clock: Clock, model: ModelConfig | None) -> None:
        self._database = database
        self._clock = clock
        self._model = model
        self._changed: set[str] = set()
        self._woken = asyncio.Event()

    def note_change(self, persona_id: str) -> None:
        """Say that what a persona remembers has changed."""
        self._changed.add(persona_id)
        self._woken.set()

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            await self._woken.wait()
            await self._clock.sleep(_GATHER_S)
            self._woken.clear()
            changed, self._changed = self._changed, set()
            for persona_id in changed:
                await self.refresh(persona_id)

    async def refresh(self, persona_id: str) -> None:
        """Compute the persona's profile from what it remembers, and let the model write a better one."""
        try:
            drafts = await self._database.read(lambda c: profiles.draft_profiles(c, persona_id))
            at = self._clock.now()
            await self._database.write(lambda c: profiles.keep_drafts(c, drafts, at=at))
            if self._model is not None:
                from agents.analyst import improve_profile

                await improve_profile(persona_id, database=self._database, clock=self._clock, model=self._model)
        except Exception as error:  # a profile that could not be made must not end what called for it
            log_failure(log, "a profile could not be made", error, persona=persona_id)
