"""What operators should look at is shown until somebody did."""

from __future__ import annotations

from datetime import timedelta

import pytest

from knowledge import incidents
from knowledge.database import Connection
from knowledge.errors import NotFound
from tests.knowledge.family import NOW


def test_an_incident_stays_open_until_it_is_resolved(c: Connection) -> None:
    older = incidents.report(c, kind="dead_letter", summary="A message could not be sent.", persona_id="p", at=NOW)
    newer = incidents.report(c, kind="crisis", summary="Look here.", persona_id="p", at=NOW + timedelta(minutes=1))
    other = incidents.report(c, kind="crisis", summary="Look here.", persona_id="q", at=NOW)
    assert [found.id for found in incidents.open_incidents(c, "p")] == [newer.id, older.id]
    assert len(incidents.open_incidents(c)) == 3
    done = incidents.resolve(c, newer.id, "ana", NOW)
    assert (done.resolved_by, done.resolved_at) == ("ana", NOW)
    assert incidents.resolve(c, newer.id, "eva", NOW).resolved_by == "ana"
    assert {found.id for found in incidents.open_incidents(c)} == {older.id, other.id}
    with pytest.raises(NotFound):
        incidents.resolve(c, "none", "ana", NOW)


def test_the_same_thing_is_told_once_while_it_is_open(c: Connection) -> None:
    about = {"kind": "account_broken", "summary": "The token was refused.", "account_id": "a"}
    first = incidents.report(c, **about, at=NOW)
    assert incidents.report(c, **about, at=NOW + timedelta(hours=1)).id == first.id
    assert incidents.report(c, **about, turn_id="t", at=NOW).id != first.id
    incidents.resolve(c, first.id, "ana", NOW)
    assert incidents.report(c, **about, at=NOW + timedelta(hours=2)).id != first.id
