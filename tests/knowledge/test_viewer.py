"""Who may see what: the algebra of audiences."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from knowledge.viewer import OWNER, PUBLIC, Viewer, circle_audience, narrowest, owner_viewer, person_audience

_NAMES = st.sampled_from(["family", "friends", "customers"])
_AUDIENCES = st.one_of(
    st.sampled_from([PUBLIC, OWNER]), _NAMES.map(circle_audience), st.sampled_from(["a", "b"]).map(person_audience)
)
_VIEWERS = st.builds(
    lambda held, sees_all: Viewer(persona_id="p", audiences=held | {PUBLIC}, sees_all=sees_all),
    st.frozensets(_AUDIENCES.filter(lambda audience: audience != OWNER)),
    st.booleans(),
)


@given(st.lists(_AUDIENCES), _VIEWERS)
def test_whoever_sees_what_was_derived_could_see_each_of_its_sources(sources: list[str], viewer: Viewer) -> None:
    if viewer.may_see(narrowest(sources)):
        assert all(viewer.may_see(audience) for audience in sources)


@given(st.lists(_AUDIENCES), st.lists(_AUDIENCES))
def test_deriving_in_steps_gives_the_same_audience_as_deriving_at_once(one: list[str], two: list[str]) -> None:
    assert narrowest([narrowest(one), narrowest(two)]) == narrowest([*one, *two])


@given(st.lists(_AUDIENCES))
def test_order_and_repeats_do_not_change_the_narrowest(audiences: list[str]) -> None:
    assert narrowest(audiences) == narrowest([*reversed(audiences), *audiences])


@given(_AUDIENCES)
def test_one_source_keeps_its_audience_and_public_adds_nothing(audience: str) -> None:
    assert narrowest([audience]) == narrowest([audience, PUBLIC]) == audience


def test_two_circles_have_only_the_owner_in_common() -> None:
    assert narrowest(["circle:family", "circle:friends"]) == OWNER
    assert narrowest(["circle:family", "person:a"]) == OWNER


def test_the_owner_sees_every_row_and_a_stranger_only_public_ones() -> None:
    assert all(owner_viewer("p").may_see(audience) for audience in (PUBLIC, OWNER, "circle:x", "person:y"))
    assert Viewer(persona_id="p").may_see(PUBLIC)
    assert not any(Viewer(persona_id="p").may_see(audience) for audience in (OWNER, "circle:x", "person:y"))
