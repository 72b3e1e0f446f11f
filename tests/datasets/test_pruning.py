"""Which versions are kept, and what goes with the others."""

from __future__ import annotations

import random
from copy import copy

import httpx
import pyarrow as pa
import pytest

from modelwright.core.errors import Conflict, Invalid, NotFound
from modelwright.core.refs import Ref
from modelwright.datasets import Unique
from modelwright.testing import serving


def add(rooms, seed: int, **about):
    made = random.Random(seed)
    return rooms.datasets.add("stock", pa.table({"id": range(3000), "x": [made.random() for _ in range(3000)]}), **about)


def test_the_last_the_aliased_and_the_used_stay_and_the_others_go_with_their_content(workspace):
    versions = [add(workspace, seed) for seed in range(6)]
    workspace.datasets.alias(versions[1].ref, "gold")
    workspace.experiments.start("first", inputs=[versions[2].ref])
    made = workspace.datasets.add("sums", pa.table({"n": [1]}), inputs=[versions[3].ref])

    plan = workspace.datasets.prune("dataset:stock", last=2, plan=True)
    assert [each.ref.version for each in plan.gone] == [1]
    assert {each.ref.version: each.reasons[0] for each in plan.kept if each.ref.version in (6, 5, 4, 2)} == {
        6: "one of the last 2",
        5: "one of the last 2",
        4: f"used by {made.ref}",
        2: "alias @gold",
    }
    assert next(each.reasons for each in plan.kept if each.ref.version == 3)[0].startswith("used by run:")
    assert len(workspace.datasets.history("dataset:stock")) == 6

    done = workspace.datasets.prune("dataset:stock", last=2, reason="space")
    assert (done.gone, done.size) == (plan.gone, plan.size)
    with pytest.raises(NotFound):
        workspace.datasets.show(versions[0].ref)
    gone = workspace.storage.remove(done.objects, grace=0)
    assert (gone.count, gone.size) == (len(done.objects), done.size)
    assert done.size > 20_000
    for each in versions[1:]:
        assert workspace.datasets.read(each.ref).num_rows == 3000


def test_what_comes_to_be_kept_while_versions_go_stays(embedded):
    versions = [add(embedded, seed) for seed in range(4)]

    class Others:
        """While it is said what may go, somebody names one version, another deletes one, and a third adds one."""

        blobs, principal = embedded.caller.blobs, embedded.caller.principal

        def call(self, room, operation, arguments):
            found = embedded.caller.call(room, operation, arguments)
            if operation.name == "keeping":
                embedded.datasets.alias(versions[0].ref, "gold")
                embedded.datasets.delete(versions[1].ref, reason="wrong")
                add(embedded, 9)
            return found

    rooms = copy(embedded.datasets)
    rooms.caller = Others()
    done = rooms.prune("dataset:stock", last=1)
    assert sorted(each.ref.version for each in done.gone) == [2, 3]
    assert "gold" in next(each.reasons for each in done.kept if each.ref == versions[0].ref)[0]
    embedded.storage.remove(done.objects, grace=0)
    for version in (1, 4, 5):
        assert embedded.datasets.read(f"dataset:stock@{version}").num_rows == 3000


def test_content_that_another_dataset_needs_stays(embedded):
    first = add(embedded, 1)
    add(embedded, 2)
    embedded.datasets.add("copy", embedded.datasets.read(first.ref))
    done = embedded.datasets.prune("dataset:stock", last=1)
    gone = embedded.storage.remove(done.objects, grace=0)
    assert gone.size < done.size
    assert embedded.datasets.read("dataset:copy").num_rows == 3000


def test_one_version_is_always_kept(embedded):
    add(embedded, 1)
    with pytest.raises(Invalid, match="At least one"):
        embedded.datasets.prune(Ref.parse("dataset:stock"), last=0)


def test_an_alias_is_set_moved_and_taken_away(workspace):
    first, second = add(workspace, 1), add(workspace, 2)
    assert workspace.datasets.alias(first.ref, "gold", reason="checked").aliases == ["gold"]
    workspace.datasets.alias(second.ref, "gold")
    assert workspace.datasets.show(Ref.parse("dataset:stock@gold")).ref == second.ref
    assert workspace.datasets.drop_alias(second.ref, "gold").aliases == []
    with pytest.raises(NotFound):
        workspace.datasets.show(Ref.parse("dataset:stock@gold"))
    workspace.datasets.retire(first.ref)
    with pytest.raises(Conflict, match="is retired"):
        workspace.datasets.alias(first.ref, "gold")


def test_what_is_known_about_a_version_does_not_keep_it(embedded):
    """A dataset under checks would never lose a version otherwise."""
    first, second, third = (add(embedded, seed, key=["id"]) for seed in range(3))
    for each in (first, second, third):
        embedded.datasets.check(each.ref, [Unique()])
    assert [each.ref for each in embedded.datasets.prune("dataset:stock", last=1).gone] == [second.ref, first.ref]


def test_the_page_of_a_version_says_that_the_one_before_is_gone(embedded):
    first = add(embedded, 1, key=["id"])
    second = add(embedded, 2, parent=first.ref)
    with serving(embedded) as url:
        assert "What changed since @1" in httpx.get(f"{url}/datasets/stock@2").text
        embedded.datasets.delete(first.ref)
        page = httpx.get(f"{url}/datasets/stock@2").text
    assert f"{first.ref}, which is gone" in page
    assert "What changed since" not in page
    assert embedded.datasets.profile(second.ref).columns[0].distinct <= second.rows
