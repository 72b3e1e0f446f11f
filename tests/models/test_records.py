"""The rules of stages, exhaustively."""

from __future__ import annotations

from itertools import pairwise, product

import pytest

from modelwright.core.errors import Conflict
from modelwright.core.refs import Ref
from modelwright.models import MOVES, Parity, Stage
from modelwright.models.records import check_move, is_gated, way

REF = Ref.parse("model:delay@1")
LEGAL = {
    ("candidate", "staging"),
    ("staging", "production"),
    ("staging", "candidate"),
    ("production", "staging"),
    ("candidate", "retired"),
    ("staging", "retired"),
    ("production", "retired"),
    ("candidate", "archived"),
    ("staging", "archived"),
    ("production", "archived"),
    ("archived", "candidate"),
    ("archived", "retired"),
}


@pytest.mark.parametrize(("before", "after"), list(product(Stage, Stage)))
def test_exactly_the_listed_moves_are_legal(before: Stage, after: Stage) -> None:
    if (before, after) in LEGAL:
        check_move(REF, before, after)
    else:
        with pytest.raises(Conflict, match=f"cannot move from {before} to {after}"):
            check_move(REF, before, after)


def test_every_stage_has_its_moves_and_nothing_leaves_retirement() -> None:
    assert MOVES.keys() == set(Stage)
    assert MOVES[Stage.RETIRED] == frozenset()


def test_an_illegal_move_says_where_the_version_may_go() -> None:
    with pytest.raises(Conflict) as refused:
        check_move(REF, Stage.CANDIDATE, Stage.PRODUCTION)
    assert refused.value.mend == "From candidate it may move to archived or retired or staging."


def test_the_way_up_is_gated_and_the_way_back_is_not() -> None:
    gated = {(before, after) for before, after in product(Stage, Stage) if is_gated(before, after)}
    assert gated & LEGAL == {("candidate", "staging"), ("staging", "production")}


@pytest.mark.parametrize(("before", "after"), list(product(Stage, Stage)))
def test_a_way_is_made_of_legal_moves_and_passes_every_gate_that_lies_between(before: Stage, after: Stage) -> None:
    steps = way(before, after)
    for one, other in pairwise([before, *steps]):
        check_move(REF, one, other)
    reachable = before is not after and Stage.RETIRED not in (before, after)
    assert bool(steps) is reachable
    if reachable:
        assert steps[-1] is after and len(set(steps)) == len(steps)
    if reachable and after is Stage.PRODUCTION and before in (Stage.CANDIDATE, Stage.ARCHIVED):
        assert Stage.STAGING in steps


@pytest.mark.parametrize(("difference", "holds"), [(0.0, True), (1e-6, True), (1.1e-5, False), (float("nan"), False)])
def test_parity_holds_within_its_tolerance_and_never_for_what_is_no_number(difference: float, holds: bool) -> None:
    assert Parity(rows=1, max_difference=difference, tolerance=1e-5).holds is holds
