"""Models as wholes: titles, searches, renaming, deleting, and versions that come as MLflow folders or mere addresses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from modelwright.core.errors import Conflict, InUse, Invalid, NotFound, Refused
from modelwright.core.names import path_for
from modelwright.core.refs import Ref
from modelwright.models import Compare, Every, ModelVersion, Not, Order, Search, Some, Test
from modelwright.serving import Format
from modelwright.workspace import Workspace

Log = Callable[..., ModelVersion]
FOLDER = b"""
artifact_path: model
flavors:
  python_function: {loader_module: mlflow.sklearn, env: {conda: conda.yaml}}
  sklearn: {pickled_model: model.skops, serialization_format: skops, sklearn_version: 1.7.2}
mlflow_version: 3.17.2
signature:
  inputs: '[{"type": "double", "name": "distance", "required": true}, {"type": "long", "name": "hour", "required": false},
    {"type": "string", "name": "carrier", "required": true}]'
  outputs: '[{"type": "long", "required": true}]'
"""


def titles(workspace: Workspace, where: Any = Every(of=[]), **further: Any) -> list[str]:
    return [each.title for each in workspace.registry.search(Search(where=where, **further)).items]


def test_a_model_is_made_before_its_first_version(workspace: Workspace, log: Log) -> None:
    made = workspace.registry.create("delay", description="late", tags={"team": "ops"})
    assert (str(made.ref), made.title, made.versions, made.latest) == ("model:delay", "delay", 0, [])
    assert workspace.registry.show(made.ref) == made
    with pytest.raises(Conflict, match="already"):
        workspace.registry.create("delay")
    with pytest.raises(NotFound, match="no version now"):
        workspace.models.show(made.ref)
    first = log()
    assert first.ref.version == 1
    after = workspace.registry.show(made.ref)
    assert after.latest == [first] and after.description == "late" and after.changed_at > made.changed_at


def test_a_title_outside_the_grammar_gets_a_ref_that_can_be_read(workspace: Workspace, log: Log) -> None:
    made = workspace.registry.create("Späte Flüge (2013)")
    assert made.ref.name == path_for("Späte Flüge (2013)") and made.title == "Späte Flüge (2013)"
    assert workspace.registry.titled("Späte Flüge (2013)").ref == made.ref
    version = log(made.ref.name)
    assert version.title == "Späte Flüge (2013)"
    assert workspace.models.show(version.ref).title == version.title


LOOKALIKES = [
    "delay",
    "Delay",
    "DELAY",
    "delay.",
    "delay ",
    " delay",
    "\uff44\uff45\uff4c\uff41\uff59",  # full width
    "de\u200blay",  # with a space of no width
    "d\u00e9lay",
    "de\u0301lay",  # the same to the eye
    "d\u0435lay",  # a Cyrillic e
]


def test_titles_that_look_alike_are_different_models(embedded: Workspace) -> None:
    refs = {title: embedded.registry.create(title).ref for title in LOOKALIKES}
    assert len(set(refs.values())) == len(LOOKALIKES)
    for title, ref in refs.items():
        assert embedded.registry.titled(title).ref == ref
    for title in ("delay\u200b", "\uff24\uff25\uff2c\uff21\uff39", refs["delay."].name):
        with pytest.raises(NotFound):
            embedded.registry.titled(title)


@pytest.mark.parametrize("title", ["", "a/b", "a:b", "a\x00", "a\n", "x" * 257, "\ud800"])
def test_a_title_that_no_client_may_give_is_refused(embedded: Workspace, title: str) -> None:
    with pytest.raises(Invalid):
        embedded.registry.create(title)


@given(some.text(max_size=300))
def test_every_text_has_a_name_that_is_one(text: str) -> None:
    name = path_for(text)
    assert Ref("model", name).name == name == path_for(text)


def test_a_name_that_another_title_holds_is_not_given_twice(embedded: Workspace, log_here: Log) -> None:
    holder = embedded.registry.create("delay.").ref  # its ref has digits of a digest
    with pytest.raises(Conflict, match="already"):
        embedded.registry.create("delay.")
    squatter = embedded.registry.create(holder.name)  # and this title follows the grammar: it is a model of its own
    assert squatter.ref != holder and squatter.title == holder.name
    assert embedded.registry.titled(holder.name).ref == squatter.ref
    with pytest.raises(Conflict, match="is the title of the model"):
        log_here(holder.name)


def test_a_renamed_model_keeps_ref_versions_and_history(workspace: Workspace, log: Log) -> None:
    version = log()
    workspace.models.alias(version.ref, "best", reason="it is")
    renamed = workspace.registry.rename(version.ref.whole, "Delay, new")
    assert (renamed.ref, renamed.title, renamed.aliases) == (version.ref.whole, "Delay, new", {"best": 1})
    assert workspace.registry.titled("Delay, new").latest[0].ref == version.ref
    assert workspace.models.history(version.ref.whole)[0].reason == "it is"
    with pytest.raises(NotFound):
        workspace.registry.titled("delay")
    again = workspace.registry.create("delay")  # the title is free, the ref is not
    assert again.ref != version.ref.whole and again.title == "delay"
    with pytest.raises(Conflict, match="already"):
        workspace.registry.rename(version.ref.whole, "delay")
    with pytest.raises(Conflict, match="is the title of the model"):
        log(params={"n": 2})


def test_a_live_model_keeps_its_name(workspace: Workspace, log: Log, open_gate: None) -> None:
    ref = log().ref
    for stage in ("staging", "production"):
        workspace.models.promote(ref, stage, reason="good")  # type: ignore[arg-type]
    workspace.models.make_champion(ref, reason="best")
    with pytest.raises(InUse, match=r"live and keeps its name: @champion \(version 1\)"):
        workspace.registry.rename(ref.whole, "other")
    with pytest.raises(InUse, match="alias @champion"):
        workspace.registry.delete(ref.whole, reason="tidy")
    assert workspace.registry.show(ref.whole).title == "delay"


def test_a_deleted_model_is_gone_and_its_numbers_are_not_given_again(workspace: Workspace, log: Log) -> None:
    log()
    ref = log(params={"n": 2}).ref
    workspace.models.alias(ref, "best")
    with pytest.raises(InUse, match="alias @best"):
        workspace.registry.delete(ref.whole, reason="tidy")
    workspace.models.drop_alias(ref, "best")
    with pytest.raises(Invalid, match="is one version"):
        workspace.registry.delete(ref, reason="tidy")
    workspace.registry.delete(ref.whole, reason="tidy")
    assert titles(workspace) == []
    with pytest.raises(NotFound):
        workspace.registry.show(ref.whole)
    with pytest.raises(NotFound):
        workspace.registry.rename(ref.whole, "other")
    workspace.registry.create("delay")
    assert log().ref.version == 3


def test_models_are_found_by_title_and_tags(workspace: Workspace) -> None:
    for title, tags in (("a b", {"team": "ops"}), ("c", {"team": "risk", "x": ""}), ("B_1", {}), ("Bx1", {"team": "OPS"})):
        workspace.registry.create(title, tags=tags)
    team = {"field": "tag", "key": "team"}
    assert titles(workspace, Test(**team, how=Compare.EQUAL, value="ops")) == ["a b"]
    assert titles(workspace, Test(**team, how=Compare.UNEQUAL, value="ops")) == ["Bx1", "c"]
    assert titles(workspace, Test(**team, how=Compare.ILIKE, value="o%")) == ["Bx1", "a b"]
    assert titles(workspace, Test(field="name", how=Compare.LIKE, value="B_1")) == ["B_1", "Bx1"]
    assert titles(workspace, Test(field="name", how=Compare.LIKE, value="b%")) == []
    either = Some(of=[Test(field="name", how=Compare.IN, value=["c", "zz"]), Test(**team, how=Compare.EQUAL, value="OPS")])
    assert titles(workspace, either) == ["Bx1", "c"]
    assert titles(workspace, Every(of=[either, Not(of=Test(field="tag", key="x", how=Compare.EQUAL, value=""))])) == ["Bx1"]
    assert titles(workspace, order=[Order(field="created_at", descending=True)]) == ["Bx1", "B_1", "c", "a b"]


def test_pages_follow_one_another_without_a_gap(workspace: Workspace) -> None:
    for number in range(7):
        workspace.registry.create(f"m{number}")
    found, search = [], Search(limit=3, order=[Order(field="name", descending=True)])
    while True:
        page = workspace.registry.search(search)
        found += [each.title for each in page.items]
        if page.next is None:
            break
        search = Search(limit=3, order=search.order, after=page.next)
    assert found == [f"m{number}" for number in range(6, -1, -1)]
    with pytest.raises(Invalid, match="not the `next`"):
        workspace.registry.search(Search(after="x"))


@pytest.mark.parametrize(
    "wrong",
    [
        Test(field="nothing", how=Compare.EQUAL, value="x"),
        Test(field="name", how=Compare.LESS, value="x"),
        Test(field="name", how=Compare.EQUAL, value=1),
        Test(field="name", how=Compare.IN, value="x"),
        Test(field="created_at", how=Compare.LIKE, value="2013-01-01T00:00:00Z"),
        Test(field="created_at", how=Compare.MORE, value="yesterday"),
    ],
)
def test_a_condition_that_means_nothing_is_refused(embedded: Workspace, wrong: Test) -> None:
    with pytest.raises(Invalid):
        embedded.registry.search(Search(where=wrong))


def test_versions_are_found_across_models(workspace: Workspace, log: Log) -> None:
    run = Ref.parse("run:01JD0ZK3T8V1M2N3P4Q5R6S7T8")
    log(run=run), log(params={"n": 2}), log("other")
    workspace.models.tag(Ref.parse("model:delay@1"), {"best": "yes"})

    def found(where: Any, **further: Any) -> list[str]:
        return [str(each.ref) for each in workspace.registry.search_versions(Search(where=where, **further)).items]

    assert found(Every(of=[])) == ["model:delay@1", "model:other@1", "model:delay@2"]  # the last changed first
    assert found(Test(field="run", how=Compare.EQUAL, value=run.name)) == ["model:delay@1"]
    assert found(Test(field="name", how=Compare.EQUAL, value="delay")) == ["model:delay@1", "model:delay@2"]
    assert found(Test(field="version", how=Compare.AT_LEAST, value=2)) == ["model:delay@2"]
    assert found(Test(field="tag", key="best", how=Compare.EQUAL, value="yes")) == ["model:delay@1"]
    assert found(Test(field="stage", how=Compare.EQUAL, value="candidate"), limit=1) == ["model:delay@1"]


def test_the_newest_version_of_each_stage_stands_in_the_model(workspace: Workspace, log: Log, open_gate: None) -> None:
    one = log().ref
    log(params={"n": 2})
    three = log(params={"n": 3}).ref
    workspace.models.promote(one, "staging", reason="try")  # type: ignore[arg-type]
    latest = workspace.registry.show(one.whole).latest
    assert [(each.ref, each.stage.value) for each in latest] == [(three, "candidate"), (one, "staging")]


def test_descriptions_and_tags_change_what_they_are_about(workspace: Workspace, log: Log) -> None:
    version = log(description="one")
    workspace.registry.annotate(version.ref, "first")
    workspace.registry.annotate(version.ref.whole, "both")
    model = workspace.registry.tag(version.ref.whole, {"team": "ops"})
    assert (model.description, model.latest[0].description, model.tags) == ("both", "first", {"team": "ops"})
    assert model.latest[0].tags == {} and model.latest[0].changed_at > version.changed_at
    assert model.latest[0].digest == version.digest
    assert workspace.registry.tag(version.ref.whole, {"team": None}).tags == {}


def test_the_tag_that_says_which_policy_holds_is_not_set_by_hand(embedded: Workspace, log_here: Log) -> None:
    ref = log_here().ref
    with pytest.raises(Refused, match="not set by hand"):
        embedded.registry.tag(ref.whole, {"modelwright.policy": "lenient"})
    with pytest.raises(Refused, match="not set by hand"):
        embedded.registry.create("other", tags={"modelwright.policy": "lenient"})


def folder(workspace: Workspace, **further: bytes) -> dict[str, str]:
    files = {"MLmodel": FOLDER, **{name.replace("_", "."): data for name, data in further.items()}}
    return {path: workspace.caller.blobs.put(data) for path, data in files.items()}


def test_an_mlflow_folder_is_a_version_and_the_same_one_again_a_further_one(workspace: Workspace, log: Log) -> None:
    skops = log("native")
    files = {**folder(workspace), "model.skops": skops.record.files["model.skops"]}
    run = Ref.parse("run:01JD0ZK3T8V1M2N3P4Q5R6S7T8")
    made = workspace.models.log_folder("delay", files, source="runs:/x/model", run=run, logged_as="m-1", tags={"a": "b"})
    assert made.record.format is Format.MLFLOW and made.record.flavours == ["python_function", "sklearn"]
    assert (made.record.source, made.record.logged_as, made.tags) == ("runs:/x/model", "m-1", {"a": "b"})
    assert [(c.name, c.dtype.value, c.nullable) for c in made.record.signature.inputs] == [
        ("distance", "FP64", False), ("hour", "INT64", True), ("carrier", "STRING", False),
    ]  # fmt: skip
    again = workspace.models.log_folder("delay", files, source="runs:/x/model", run=run, logged_as="m-1")
    assert again.ref.version == 2
    digest = workspace.models.show(made.ref.at(f"b3:{again.digest}"))
    assert digest.ref == again.ref


def test_a_version_of_which_only_the_address_is_known_says_so(workspace: Workspace) -> None:
    made = workspace.models.log_folder("delay", {}, source="s3://bucket/model")
    assert made.record.format is Format.EXTERNAL and made.record.files == {}
    with pytest.raises(Refused, match="only an address, s3://bucket/model"):
        workspace.models.load(made.ref)
    with pytest.raises(Invalid, match="an address and no files"):
        workspace.models.log_folder("delay", {})


def test_a_folder_without_mlmodel_is_refused(embedded: Workspace) -> None:
    with pytest.raises(Invalid, match="has no file MLmodel"):
        embedded.models.log_folder("delay", {"model.pkl": embedded.caller.blobs.put(b"x")})


def test_a_folder_of_pickles_is_registered_and_never_loaded(embedded: Workspace) -> None:
    content = FOLDER.replace(b"serialization_format: skops", b"serialization_format: cloudpickle")
    files = {"MLmodel": embedded.caller.blobs.put(content), "model.skops": embedded.caller.blobs.put(b"\x80\x04.")}
    made = embedded.models.log_folder("delay", files)
    with pytest.raises(Refused, match="code or pickles, which are never run here"):
        embedded.models.load(made.ref)


def test_a_token_whose_keys_are_of_another_kind_is_of_no_page_of_the_search(workspace: Workspace) -> None:
    for order, token in (("version", '["a","b"]'), ("name", "[1,2]"), ("created_at", '["2026","a","b"]')):
        with pytest.raises(Invalid, match="not the `next`"):
            workspace.registry.search_versions(Search(order=[Order(field=order)], after=token))
