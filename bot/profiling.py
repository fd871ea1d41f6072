"""Who a persona is, worked out again whenever it learns: without a model, and better with one."""

from __future__ import annotations

import logging

from agents.model import ModelConfig

from bot.failures import log_failure
from knowledge import profiles
from knowledge.clock import Clock
from knowledge.database import Database

log = logging.getLogger(__name__)


async def refresh(persona_id: str, *, database: Database, clock: Clock, model: ModelConfig | None) -> None:
    """Compute the persona's profile from what it remembers, and let the model write a better one when there is one."""
    at = clock.now()
    try:
        drafts = await database.read(lambda c: profiles.draft_profiles(c, persona_id))
        await database.write(lambda c: profiles.keep_drafts(c, drafts, at=at))
        if model is not None:
            from agents.analyst import improve_profile

            await improve_profile(persona_id, database=database, clock=clock, model=model)
    except Exception as error:  # an import must not fail because its summary did
        log_failure(log, "a profile could not be made", error, persona=persona_id)
