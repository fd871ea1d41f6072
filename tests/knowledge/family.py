"""A family to test with: a grandmother's persona, her daughter in the family circle, a cousin in none of it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime

from knowledge.accounts import accounts
from knowledge.database import Connection
from knowledge.memories import MemoryDraft, add_memories
from knowledge.people import identify, set_circles, viewer_of
from knowledge.personas import create_persona
from knowledge.tables import Account, Identity, Persona
from knowledge.viewer import Viewer, owner_viewer

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Family:
    """The persona and who writes to it."""

    persona: Persona
    web: Account
    terminal: Account
    daughter: Identity
    cousin: Identity

    @property
    def owner(self) -> Viewer:
        return owner_viewer(self.persona.id)

    def viewer(self, c: Connection, identity: Identity) -> Viewer:
        return viewer_of(c, self.persona.id, identity.person_id)


def a_family(c: Connection, name: str = "Abuela Rosa") -> Family:
    """Make the family, for real."""
    persona = create_persona(c, name=name, kind="memorial", timezone="Europe/Madrid", at=NOW)
    own = {account.channel: account for account in accounts(c, persona.id)}
    daughter = identify(c, account_id=own["web"].id, platform_user_id="daughter", name="Marta", at=NOW).identity
    cousin = identify(c, account_id=own["web"].id, platform_user_id="cousin", name="Bruno", at=NOW).identity
    set_circles(c, daughter.person_id, ["family"])
    set_circles(c, cousin.person_id, ["friends"])
    return Family(persona=persona, web=own["web"], terminal=own["terminal"], daughter=daughter, cousin=cousin)


def key_of(text: str) -> str:
    """Return the key under which a text is kept here: it tells nothing of it, like those of the importers."""
    return hashlib.sha256(text.encode()).hexdigest()


def remember(c: Connection, family: Family, text: str, *, audience: str = "owner", **columns: object) -> int:
    """Add one memory and return its id."""
    values: dict[str, object] = {"kind": "said", "is_own": True, "natural_key": key_of(text), **columns}
    draft = MemoryDraft(persona_id=family.persona.id, text=text, audience=audience, **values)  # type: ignore[arg-type]
    (added,) = add_memories(c, [draft], at=NOW)
    return added
