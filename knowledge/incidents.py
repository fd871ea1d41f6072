"""Incidents: what the operators should look at."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, select, update

from knowledge.errors import NotFound
from knowledge.rows import all_of, first_of, insert, table
from knowledge.tables import Incident

_incident = table(Incident)


def report(
    c: Connection,
    *,
    kind: str,
    summary: str,
    at: datetime,
    persona_id: str | None = None,
    account_id: str | None = None,
    conversation_id: str | None = None,
    turn_id: str | None = None,
) -> Incident:
    """Keep something for the operators. What is open already, about the same thing, is returned and not repeated."""
    made = Incident(
        persona_id=persona_id,
        account_id=account_id,
        conversation_id=conversation_id,
        turn_id=turn_id,
        kind=kind,
        summary=summary,
        created_at=at,
    )
    about = ("persona_id", "account_id", "conversation_id", "turn_id", "kind", "summary")
    # `is_not_distinct_from` also finds the columns that are null.
    same = [_incident.c[name].is_not_distinct_from(getattr(made, name)) for name in about]
    known = first_of(c, Incident, select(_incident).where(_incident.c.resolved_at.is_(None), *same))
    return known or insert(c, made)


def open_incidents(c: Connection, persona_id: str | None = None) -> list[Incident]:
    """Return what nobody has dealt with yet, newest first: of one persona, or of all and of none."""
    query = select(_incident).where(_incident.c.resolved_at.is_(None))
    if persona_id is not None:
        query = query.where(_incident.c.persona_id == persona_id)
    return all_of(c, Incident, query.order_by(_incident.c.created_at.desc(), _incident.c.id.desc()))


def settle(c: Connection, *, kind: str, account_id: str, at: datetime) -> None:
    """Close what is open about an account because it is well again by itself or by what somebody did elsewhere."""
    about = (_incident.c.kind == kind, _incident.c.account_id == account_id, _incident.c.resolved_at.is_(None))
    c.execute(update(_incident).where(*about).values(resolved_at=at))


def resolve(c: Connection, incident_id: str, by: str, at: datetime) -> Incident:
    """Note who dealt with an incident; the first one counts.

    Raises:
        NotFound: when there is none with this id.
    """
    mine = (_incident.c.id == incident_id, _incident.c.resolved_at.is_(None))
    c.execute(update(_incident).where(*mine).values(resolved_at=at, resolved_by=by))
    found = first_of(c, Incident, select(_incident).where(_incident.c.id == incident_id))
    if found is None:
        raise NotFound("There is no such incident.")
    return found
