"""Audiences in words: the ones a persona has, to choose from and to show."""

from __future__ import annotations

from dataclasses import dataclass

from knowledge import people
from knowledge.database import Connection
from knowledge.tables import Persona
from knowledge.viewer import OWNER, PUBLIC, circle_audience, person_audience

_MOST_PERSONS = 200


@dataclass(frozen=True, slots=True)
class Audiences:
    """The audiences of one persona: value, words, and what it means, from the narrowest to the widest."""

    choices: tuple[tuple[str, str, str], ...]
    names: dict[str, str]
    """Every person's name, by the audience that is theirs."""

    @property
    def values(self) -> tuple[str, ...]:
        """Return the audiences alone."""
        return tuple(value for value, _, _ in self.choices)

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Return value and words, for a list to choose from."""
        return tuple((value, words) for value, words, _ in self.choices)

    @property
    def groups(self) -> tuple[tuple[str, str, str], ...]:
        """Return the choices that are not one person."""
        return tuple(choice for choice in self.choices if not choice[0].startswith("person:"))

    def words(self, value: str) -> str:
        """Return who an audience is."""
        if value in self.names:
            return f"Only {self.names[value]}"
        return next((words for known, words, _ in self.choices if known == value), value)


def audiences_of(c: Connection, persona: Persona) -> Audiences:
    """Return the audiences of a persona."""
    known = [person for person in people.persons(c, persona.id) if person.name and not person.is_owner]
    names = {person_audience(person.id): person.name for person in known}
    circles = [circle.name for circle in people.circles(c, persona.id) if circle.name not in (OWNER, PUBLIC)]
    choices = [
        (OWNER, "Only the owner", "Nobody else is ever told. The safe choice for private chats and letters."),
        *((circle_audience(name), f"The circle “{name}”", "Those you put into this circle.") for name in circles),
        (PUBLIC, "Everyone", "Whoever talks with the persona may be told."),
        *((value, f"Only {name}", "This one person.") for value, name in list(names.items())[:_MOST_PERSONS]),
    ]
    return Audiences(tuple(choices), names)
