"""The stage for tests with a chat model: a grandmother's real memories, a real recall, and a turn to answer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from pydantic import SecretStr

from agents.draft import Brief
from agents.model import ModelConfig
from agents.turn import PersonaCard, Said, Turn
from knowledge.accounts import accounts
from knowledge.database import Connection, Database
from knowledge.memories import MemoryDraft, add_memories
from knowledge.people import identify, viewer_of
from knowledge.personas import create_persona
from knowledge.recall import Recall, Recalled
from knowledge.viewer import Viewer, person_audience, public_viewer

KEY = "sk-very-secret-key"
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A persona, two persons who write to it, and what it remembers."""

    persona_id: str
    marta: Viewer
    bruno: Viewer
    recall: Recall

    async def brief(self, question: str, *, viewer: Viewer | None = None, limit: int = 1, **turn: Any) -> Brief:
        """Return a question to answer, with what a first search finds."""
        asks = viewer or self.marta
        found: Sequence[Recalled] = await self.recall.recall(asks, question, limit=limit, now=NOW) if limit else ()
        made = replace(self.turn(question, viewer=asks), **turn)
        return Brief(turn=made, language="en", question=question, found=found)

    def turn(self, question: str, *, viewer: Viewer | None = None) -> Turn:
        card = PersonaCard(
            id=self.persona_id,
            name="Rosa",
            kind="memorial",
            languages=("en", "es"),
            timezone="Europe/Madrid",
            biography="Rosa baked bread in a small town.",
        )
        return Turn(
            id="turn",
            persona=card,
            viewer=viewer or self.marta,
            conversation_id="talk",
            messages=(Said(text=question, is_ours=False, at=NOW),),
            person_name="Marta",
            now=NOW,
        )

    def stranger(self) -> Viewer:
        return public_viewer(self.persona_id)


def furnish(database: Database, recall: Recall) -> Stage:
    """Fill the database."""

    def fill(c: Connection) -> tuple[str, Viewer, Viewer]:
        persona = create_persona(c, name="Rosa", kind="memorial", timezone="Europe/Madrid", at=NOW)
        account = _web_account(c, persona.id)
        people = [
            identify(c, account_id=account, platform_user_id=name, name=name, at=NOW).identity.person_id
            for name in ("Marta", "Bruno")
        ]
        marta, bruno = people
        drafts = [
            _said(persona.id, "I baked bread every Sunday with my mother.", 1951),
            _said(persona.id, "My first job was at the bakery of Don Pedro, at fourteen.", 1955),
            _said(persona.id, "We danced all night at the wedding in the orchard.", 1962),
            _said(persona.id, "The key of the bakery lies under the blue flowerpot.", 1980, audience="owner"),
            _told(persona.id, "I am afraid of the exam in June.", marta, "Marta"),
            _told(persona.id, "I broke the blue vase of the exam room.", bruno, "Bruno"),
        ]
        add_memories(c, drafts, at=NOW)
        return persona.id, viewer_of(c, persona.id, marta), viewer_of(c, persona.id, bruno)

    persona_id, marta, bruno = database.write_now(fill)
    return Stage(persona_id=persona_id, marta=marta, bruno=bruno, recall=recall)


def config(url: str, **fields: Any) -> ModelConfig:
    """Return the configuration of a local model that is given a moment and no more."""
    return replace(ModelConfig(base_url=url, api_key=SecretStr(KEY), name="local", timeout_s=10.0), **fields)


def words_of(request: dict[str, Any], role: str) -> str:
    """Return everything one side says in a request."""
    return "\n".join(str(message["content"]) for message in request["messages"] if message["role"] == role)


def texts_of(steps: Iterable[Any]) -> str:
    """Return a trace as text."""
    return " ".join(f"{step.name} {step.summary} {step.detail}" for step in steps)


def _web_account(c: Connection, persona_id: str) -> str:
    return next(account.id for account in accounts(c, persona_id) if account.channel == "web")


def _said(persona_id: str, text: str, year: int, audience: str = "public") -> MemoryDraft:
    return MemoryDraft(
        persona_id=persona_id,
        natural_key=f"said/{text}",
        kind="said",
        text=text,
        language="en",
        audience=audience,
        speaker="Rosa",
        is_own=True,
        happened_at=datetime(year, 5, 3, 12, 0, tzinfo=UTC),
    )


def _told(persona_id: str, text: str, person_id: str, name: str) -> MemoryDraft:
    return MemoryDraft(
        persona_id=persona_id,
        natural_key=f"told/{text}",
        kind="told",
        text=text,
        language="en",
        audience=person_audience(person_id),
        speaker=name,
        speaker_id=person_id,
        happened_at=datetime(2026, 2, 1, 12, 0, tzinfo=UTC),
    )
