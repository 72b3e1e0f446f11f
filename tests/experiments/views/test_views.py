"""How somebody looks at runs is kept under a name, for everybody who may read them."""

from __future__ import annotations

import pytest

from modelwright.core.errors import Invalid, NotFound
from modelwright.core.refs import Ref
from modelwright.experiments.views import Page
from modelwright.workspace import Workspace

QUERY = "run=01JD0ZK3T8V1M2N3P4Q5R6S7T8&show=all"


def test_a_view_is_found_again_by_its_name(workspace: Workspace) -> None:
    kept = workspace.views.save("pricing/delay", "the best five", page=Page.COMPARE, query=QUERY)
    assert workspace.views.show("pricing/delay", "the best five") == kept
    assert workspace.views.list("pricing/delay") == [kept]
    assert kept.address == f"/runs/compare?{QUERY}"
    assert workspace.views.list("pricing") == []


def test_a_view_of_the_same_name_is_replaced_and_the_record_knows_what_it_was(workspace: Workspace) -> None:
    workspace.views.save("delay", "mine", page=Page.COMPARE, query=QUERY)
    again = workspace.views.save("delay", " mine ", page=Page.RUNS, query="q=deep")
    assert workspace.views.list("delay") == [again]
    assert again.page is Page.RUNS
    newest = workspace.record.history(Ref.parse("experiment:delay")).items[0]
    assert (newest.before, newest.after["query"]) == ({"query": QUERY}, "q=deep")


def test_saving_what_is_there_changes_nothing(workspace: Workspace) -> None:
    first = workspace.views.save("delay", "mine", page=Page.RUNS, query="")
    assert workspace.views.save("delay", "mine", page=Page.RUNS, query="") == first
    assert len(workspace.record.history(Ref.parse("experiment:delay")).items) == 1


def test_an_experiment_may_be_named_by_its_title(workspace: Workspace) -> None:
    workspace.experiments.create("Späte Flüge")
    kept = workspace.views.save("Späte Flüge", "mine", page=Page.RUNS, query="q=deep")
    assert workspace.views.list("Späte Flüge") == [kept] == workspace.views.list(kept.experiment)
    assert workspace.views.show("Späte Flüge", "mine") == workspace.views.delete("Späte Flüge", "mine") == kept


def test_a_forgotten_view_is_gone(workspace: Workspace) -> None:
    workspace.views.save("delay", "mine", page=Page.RUNS, query="")
    workspace.views.delete("delay", "mine")
    with pytest.raises(NotFound, match="no saved view 'mine'"):
        workspace.views.show("delay", "mine")
    with pytest.raises(NotFound):
        workspace.views.delete("delay", "mine")


@pytest.mark.parametrize("query", ["a#b", "a b", "x=<script>", 'x="', "x=ü", "x" * 8001, "a\\b", "a\nb"])
def test_only_the_query_of_an_address_is_kept(embedded: Workspace, query: str) -> None:
    with pytest.raises(Invalid, match="not the query of an address"):
        embedded.views.save("delay", "mine", page=Page.RUNS, query=query)
    assert embedded.views.list("delay") == []


@pytest.mark.parametrize("name", ["", "  ", "x" * 81])
def test_a_view_needs_a_name_that_fits(embedded: Workspace, name: str) -> None:
    with pytest.raises(Invalid, match="1 to 80 characters"):
        embedded.views.save("delay", name, page=Page.RUNS, query="")
