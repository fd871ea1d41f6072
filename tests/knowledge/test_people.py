"""People on their channels, and what they hold."""

from __future__ import annotations

from datetime import timedelta

import pytest

from knowledge import people
from knowledge.database import Connection
from knowledge.errors import Forbidden, NotFound
from tests.knowledge.family import NOW, Family, a_family


def test_somebody_is_made_on_first_sight_and_known_on_the_second(c: Connection, family: Family) -> None:
    first = people.identify(c, account_id=family.web.id, platform_user_id="7", name="Lía", language="es", at=NOW)
    later = NOW + timedelta(days=1)
    second = people.identify(c, account_id=family.web.id, platform_user_id="7", name="Lía R.", username="lia", at=later)
    assert (first.is_new, second.is_new) == (True, False)
    assert first.identity.id == second.identity.id
    assert first.person.id == second.person.id
    assert (second.identity.name, second.identity.username, second.identity.language) == ("Lía R.", "lia", "es")
    assert second.identity.last_seen_at == later
    assert second.person.name == "Lía"


def test_the_same_id_on_two_accounts_is_two_strangers(c: Connection, family: Family) -> None:
    one = people.identify(c, account_id=family.web.id, platform_user_id="7", name="Lía", at=NOW)
    two = people.identify(c, account_id=family.terminal.id, platform_user_id="7", name="Lía", at=NOW)
    assert one.person.id != two.person.id
    assert two.is_new


def test_a_name_that_comes_later_is_taken(c: Connection, family: Family) -> None:
    people.identify(c, account_id=family.web.id, platform_user_id="7", at=NOW)
    known = people.identify(c, account_id=family.web.id, platform_user_id="7", name="Lía", at=NOW)
    assert known.person.name == "Lía"


def test_who_writes_again_after_a_block_can_be_reached_again(c: Connection, family: Family) -> None:
    people.set_reachable(c, family.cousin.id, False)
    assert not people.identity(c, family.cousin.id).is_reachable
    again = people.identify(c, account_id=family.web.id, platform_user_id="cousin", at=NOW)
    assert again.identity.is_reachable
    assert again.identity.name == "Bruno"


def test_an_unknown_account_makes_nobody(c: Connection, family: Family) -> None:
    with pytest.raises(NotFound):
        people.identify(c, account_id="none", platform_user_id="7", at=NOW)


def test_the_owner_sees_all_and_others_what_their_circles_hold(c: Connection, family: Family) -> None:
    owner = people.owner_person(c, family.persona.id)
    assert people.viewer_of(c, family.persona.id, owner.id).sees_all
    daughter = family.viewer(c, family.daughter)
    assert not daughter.sees_all
    assert daughter.audiences == {"public", "circle:family", f"person:{family.daughter.person_id}"}


def test_nobody_is_a_viewer_of_another_persona(c: Connection, family: Family) -> None:
    other = a_family(c, "Abuelo Tomás")
    with pytest.raises(NotFound):
        people.viewer_of(c, other.persona.id, people.owner_person(c, family.persona.id).id)


def test_a_group_hears_public_things_until_it_is_given_a_circle(c: Connection, family: Family) -> None:
    def heard() -> frozenset[str]:
        return people.viewer_in_room(c, family.web.id, "group", family.persona.id).audiences

    assert heard() == {"public"}
    people.set_room(c, account_id=family.web.id, chat_id="group", circle="family", at=NOW)
    assert heard() == {"public", "circle:family"}
    people.set_room(c, account_id=family.web.id, chat_id="group", circle=None, at=NOW)
    assert heard() == {"public"}


def test_a_group_cannot_hear_what_is_for_the_owner(c: Connection, family: Family) -> None:
    with pytest.raises(Forbidden):
        people.set_room(c, account_id=family.web.id, chat_id="group", circle="owner", at=NOW)
    with pytest.raises(NotFound):
        people.set_room(c, account_id=family.web.id, chat_id="group", circle="neighbours", at=NOW)


def test_a_circle_of_one_persona_opens_nothing_of_another(c: Connection, family: Family) -> None:
    other = a_family(c, "Abuelo Tomás")
    people.set_room(c, account_id=family.web.id, chat_id="group", circle="family", at=NOW)
    assert people.viewer_in_room(c, family.web.id, "group", other.persona.id).audiences == {"public"}


def test_circles_are_set_exactly_and_the_owners_is_closed(c: Connection, family: Family) -> None:
    people.set_circles(c, family.cousin.person_id, ["family", "customers"])
    assert people.circles_of(c, family.cousin.person_id) == ["customers", "family"]
    with pytest.raises(Forbidden):
        people.set_circles(c, family.cousin.person_id, ["owner"])
    with pytest.raises(NotFound):
        people.set_circles(c, family.cousin.person_id, ["strangers"])
    assert people.circles_of(c, family.cousin.person_id) == ["customers", "family"]
    owner = people.owner_person(c, family.persona.id)
    people.set_circles(c, owner.id, ["friends"])
    assert people.circles_of(c, owner.id) == ["friends", "owner"]


def test_a_circle_can_be_added_once_and_never_be_called_public(c: Connection, family: Family) -> None:
    assert people.add_circle(c, family.persona.id, " Book  Club ") == "book club"
    people.add_circle(c, family.persona.id, "book club")
    names = [circle.name for circle in people.circles(c, family.persona.id)]
    assert names == ["book club", "customers", "family", "friends", "owner"]
    for wrong in ("public", "", "person:x"):
        with pytest.raises(ValueError):
            people.add_circle(c, family.persona.id, wrong)


def test_people_are_found_by_name_and_alias_and_never_guessed(c: Connection, family: Family) -> None:
    luz = people.add_person(
        c, persona_id=family.persona.id, name="Tía Luz", aliases=["Lucecita"], circles=["family"], at=NOW
    )
    for name in ("tia luz", "TÍA LUZ", "lucecita"):
        found = people.find_person_by_name(c, family.persona.id, name)
        assert found is not None
        assert found.id == luz.id
    assert people.find_person_by_name(c, family.persona.id, "") is None
    people.add_person(c, persona_id=family.persona.id, name="Lucecita", at=NOW)
    assert people.find_person_by_name(c, family.persona.id, "Lucecita") is None
    other = a_family(c, "Abuelo Tomás")
    assert people.find_person_by_name(c, other.persona.id, "Tía Luz") is None


def test_a_renamed_person_is_still_found_by_the_old_name(c: Connection, family: Family) -> None:
    renamed = people.rename(c, family.cousin.person_id, "Bruno Paz")
    assert (renamed.name, renamed.aliases) == ("Bruno Paz", ["Bruno"])
    found = people.find_person_by_name(c, family.persona.id, "bruno")
    assert found is not None
    assert found.id == renamed.id


def test_the_owner_stands_first_in_the_list(c: Connection, family: Family) -> None:
    names = [human.name for human in people.persons(c, family.persona.id)]
    assert names == ["Abuela Rosa", "Bruno", "Marta"]
