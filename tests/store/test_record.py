"""The record through every door, on both databases: the same questions of every kind of thing."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from modelwright.core.errors import InUse, Invalid, NotFound, Refused
from modelwright.core.refs import Kind, Ref
from modelwright.store import Direction, EventFilter, Verdict, catalog
from modelwright.workspace import Workspace, open_workspace

R = Ref.parse
FLIGHTS, CLEAN, MODEL = R("dataset:flights@1"), R("dataset:clean@1"), R("model:delay@1")


@pytest.fixture
def story(workspace: Workspace, tell) -> Workspace:
    """Raw data became clean data became a model, which was evaluated, became champion, and got a rival."""
    tell(workspace)
    return workspace


@pytest.fixture
def tell(tmp_path: Path, request: pytest.FixtureRequest):
    """Puts the story on the record, at the place where the workspace is."""

    def _tell(workspace: Workspace) -> None:
        home = workspace.home or open_workspace(tmp_path / "project", settings=_settings(request)).home
        with home.caller().transaction(write=True) as tx:
            for ref, needs in ((FLIGHTS, []), (CLEAN, [FLIGHTS]), (MODEL, [CLEAN]), (MODEL.at(2), [CLEAN])):
                made = catalog.add(
                    tx, ref.kind, ref.name, digest=f"{ref.name[0]}{ref.version}" * 32, record={}, needs=needs
                )
                tx.record(f"{ref.kind}s.version.made", made.ref, inputs=needs, outputs=[made.ref])
            catalog.set_alias(tx, MODEL, "champion", reason="better")

    return _tell


def _settings(request: pytest.FixtureRequest):
    import msgspec

    from modelwright.workspace import Settings

    settings = request.getfixturevalue("settings")
    if "postgresql" in request.node.name:
        settings = msgspec.structs.replace(settings, database=request.getfixturevalue("workspace_postgres"))
    return Settings(workspace=settings)


def test_every_kind_is_shown_in_the_same_way(story: Workspace):
    shown = story.record.show(R("model:delay@champion"))
    assert (shown.ref, shown.aliases) == (MODEL, ["champion"])
    assert story.record.show(R("dataset:clean")).ref == CLEAN
    with pytest.raises(NotFound, match="clean"):
        story.record.show(R("dataset:clear"))


def test_lineage_is_read_from_events_up_down_and_both_ways(story: Workspace):
    up = story.record.lineage(MODEL, Direction.UP)
    assert [(e.source, e.target) for e in up.edges] == [(FLIGHTS, CLEAN), (CLEAN, MODEL)]
    assert up.nodes == [MODEL, CLEAN, FLIGHTS]
    down = story.record.lineage(FLIGHTS, Direction.DOWN)
    assert {e.target for e in down.edges} == {CLEAN, MODEL, MODEL.at(2)}
    assert set(story.record.lineage(CLEAN).nodes) == {CLEAN, FLIGHTS, MODEL, MODEL.at(2)}
    short = story.record.lineage(FLIGHTS, Direction.DOWN, 1)
    assert ([e.target for e in short.edges], short.complete) == ([CLEAN], False)
    assert up.complete


def test_lineage_as_of_a_time_knows_nothing_of_what_came_later(story: Workspace):
    first = story.record.history(FLIGHTS).items[-1]
    early = story.record.lineage(FLIGHTS, Direction.DOWN, as_of=first.ts - timedelta(seconds=1))
    assert early.edges == []


def test_history_is_everything_that_touched_a_thing_newest_first(story: Workspace):
    actions = [event.action for event in story.record.history(R("model:delay")).items]
    assert actions == ["catalog.alias.moved", "models.version.made", "models.version.made"]
    of_version = story.record.history(R("model:delay@2")).items
    assert [event.resource for event in of_version] == ["model:delay@2"]
    used = [event.action for event in story.record.history(CLEAN).items]
    assert used == ["models.version.made", "models.version.made", "datasets.version.made"]


def test_history_is_narrowed_and_paged(story: Workspace):
    ref = R("model:delay")
    only = story.record.history(ref, EventFilter(action="catalog"))
    assert [event.action for event in only.items] == ["catalog.alias.moved"]
    assert story.record.history(ref, EventFilter(actor="nobody")).items == []
    pages, after = [], None
    while True:
        page = story.record.history(ref, EventFilter(limit=1, after=after))
        pages += page.items
        if (after := page.next) is None:
            break
    assert [event.seq for event in pages] == [event.seq for event in story.record.history(ref).items]
    middle = pages[1].ts
    assert {e.seq for e in story.record.history(ref, EventFilter(since=middle)).items} >= {pages[0].seq, pages[1].seq}
    assert all(e.ts < middle for e in story.record.history(ref, EventFilter(until=middle)).items)
    with pytest.raises(NotFound):
        story.record.history(R("model:nothing"))


def test_what_everybody_did_is_one_question(story: Workspace):
    events = story.record.events(EventFilter(action="models")).items
    assert [event.action for event in events] == ["models.version.made"] * 2
    me = story.principal.id
    assert len(story.record.events(EventFilter(actor=me)).items) >= 5


def test_what_is_live_is_known_of_one_thing_and_of_all_since_when_and_by_whom(story: Workspace):
    (move,) = story.record.live(R("model:delay"))
    assert (move.version, move.reason) == (1, "better")
    assert [m.ref for m in story.record.live(kind=Kind.MODEL)] == [R("model:delay")]
    assert story.record.live(as_of=move.at - timedelta(days=1)) == []
    assert [m.version for m in story.record.alias_history(R("model:delay"))] == [1]


def test_a_tag_is_set_changed_and_taken_away_and_each_leaves_an_event(story: Workspace):
    assert story.record.tag(MODEL, "Team", "ops") == {"Team": "ops"}
    assert story.record.tag(MODEL, "Team", "ops") == {"Team": "ops"}
    assert story.record.tag(R("model:delay@champion"), "Team", None) == {}
    actions = [event.action for event in story.record.history(MODEL).items]
    assert actions.count("catalog.tag.set") == 2
    with pytest.raises(NotFound):
        story.record.tag(R("model:nothing"), "a", "b")


def test_evidence_is_bound_to_the_exact_version(story: Workspace):
    made = story.record.attach(
        R("model:delay@champion"), "robustness", Verdict.WARN, figures={"drop": 0.25}, summary="noise", inputs=[CLEAN]
    )
    assert (made.subject, made.subject_digest) == (MODEL, story.record.show(MODEL).digest)
    assert story.record.evidence(MODEL) == [made]
    assert story.record.evidence(R("model:delay"), "robustness") == [made]
    assert story.record.evidence(MODEL.at(2)) == []
    assert story.record.evidence(MODEL, as_of=made.created_at - timedelta(days=1)) == []
    assert story.record.history(made.ref).items[0].action == "evidence.robustness.attached"
    assert made.ref in story.record.lineage(CLEAN, Direction.DOWN).nodes


@pytest.mark.parametrize("kind", ["approval", "waiver"])
def test_decisions_are_not_attached_as_if_they_were_findings(story: Workspace, kind: str):
    with pytest.raises(Refused):
        story.record.attach(MODEL, kind, Verdict.PASS)
    assert story.record.evidence(MODEL) == []


def test_deleting_asks_for_a_version_and_names_what_depends_on_it(story: Workspace):
    assert story.record.dependants(FLIGHTS) == [CLEAN]
    with pytest.raises(InUse, match="dataset:clean@1"):
        story.record.delete(FLIGHTS, "test")
    with pytest.raises(Invalid, match="which version"):
        story.record.delete(R("model:delay"), "test")
    story.record.delete(MODEL.at(2), "test")
    assert story.record.history(R("model:delay")).items[0].action == "catalog.version.deleted"
    with pytest.raises(NotFound):
        story.record.show(MODEL.at(2))


def test_the_ledger_is_sealed_proved_exported_and_verified_from_either_side(story: Workspace, tmp_path: Path):
    from modelwright.store.ledger import verify

    sealed = story.record.checkpoint()
    story.record.tag(MODEL, "a", "b")
    assert sealed in story.record.checkpoints()  # the operator of a server may have signed one before
    proof = story.record.proof(0)
    leaf, path = verify.leaf_hash(proof.event.encode()), [bytes.fromhex(step) for step in proof.path]
    assert verify.root_from_inclusion(leaf, 0, proof.size, path).hex() == sealed.root
    assert story.record.verify(outside=[sealed.note], pinned=story.record.head().keys, strict=True).findings == []
    exported = story.record.export(tmp_path / "export.zip")
    assert verify.verify_export(exported, [sealed.note], strict=True).findings == []
    rotated = story.record.rotate_key("yearly")
    assert rotated.size == story.record.head().size
    assert story.record.verify().findings == []
