"""Every way out of a dataset, tried by somebody who may read it, but not people in clear: the canary never sings."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from msgspec.structs import replace

from modelwright.core.errors import Denied, Invalid, NotFound
from modelwright.core.principals import Principal
from modelwright.core.refs import Ref
from modelwright.datasets.manifest import packs_of, read_manifest
from modelwright.features import FeatureView, count, distinct
from modelwright.store import acting_as
from modelwright.store.records import EventFilter
from modelwright.testing import serving
from modelwright.workspace import ServerSettings, Settings, Workspace, open_workspace
from tests.server.conftest import Locked

CANARY = "canary.bird@nest.example"
KEPT = "kept@example.org"
PEOPLE = f"""\
id,email,joined,amount
1,{CANARY},2020-01-01,10
2,ada@example.org,2020-02-01,20
3,{KEPT},2020-03-01,30
4,bob@example.org,2020-04-01,40
"""


@pytest.fixture
def people(locked: Locked, tmp_path: Path) -> Ref:
    """A dataset with an e-mail address that must not be seen, in two versions."""
    file = tmp_path / "people.csv"
    file.write_text(PEOPLE)
    first = locked.here.datasets.add("people", file, key="id")
    file.write_text(PEOPLE + f"5,{CANARY},2020-05-01,-1\n")
    second = locked.here.datasets.add("people", file)
    assert [(each.column, each.tag) for each in first.unconfirmed] == [("email", "pii.email")]
    return second.ref


def texts(value: Any) -> str:
    """Everything that a result says."""
    if isinstance(value, pa.Table):
        return repr(value.to_pylist())
    return repr(value)


def exported(workspace: Workspace, ref: Ref) -> str:
    """What a file holds that is written for others."""
    with tempfile.TemporaryDirectory() as folder:
        return workspace.datasets.export(ref, Path(folder) / "people.csv").read_text()


WAYS: dict[str, Callable[[Workspace, Ref], Any]] = {
    "show": lambda w, ref: w.datasets.show(ref),
    "read": lambda w, ref: w.datasets.read(ref),
    "read where": lambda w, ref: w.datasets.read(ref, where="amount > 0 OR email LIKE 'canary%'"),
    "head": lambda w, ref: w.datasets.head(ref, 5),
    "relation": lambda w, ref: w.datasets.relation(ref).to_arrow_table(),
    "arrow": lambda w, ref: w.datasets.arrow(ref).to_table(),
    "export": exported,
    "profile": lambda w, ref: w.datasets.profile(ref),
    "described": lambda w, ref: w.datasets.described(ref),
    "suggest": lambda w, ref: w.datasets.suggest(ref),
    "diff": lambda w, ref: w.datasets.diff(Ref.parse("dataset:people@1"), ref),
    "classes": lambda w, ref: w.privacy.classes(ref),
    "versions": lambda w, ref: w.datasets.versions(ref),
    "list": lambda w, ref: w.datasets.list(),
    "history": lambda w, ref: w.record.history(ref),
}


@pytest.mark.parametrize("door", ["http", "embedded"])
def test_no_way_out_shows_what_a_reader_may_not_see_in_clear(locked: Locked, people: Ref, door: str) -> None:
    token = locked.token("eve", ("scientist", "*"))
    remote = locked.workspace(token)
    for name, way in WAYS.items():
        if door == "http":
            found = texts(way(remote, people))
        else:
            with acting_as(Principal(id="eve")):
                found = texts(way(locked.here, people))
        assert "canary" not in found, name
        assert found, name
    clear = texts(locked.here.datasets.read(people))
    assert CANARY in clear  # and whoever has the right sees it


def test_the_objects_of_a_version_are_not_for_whoever_reads_it_masked(locked: Locked, people: Ref) -> None:
    eve, steward = (
        locked.client(locked.token("eve", ("scientist", "*"))),
        locked.client(locked.token("sam", ("data_steward", "*"))),
    )
    version = locked.here.datasets.show(people)
    assert version.manifest and version.profile
    objects = [
        *packs_of(locked.here.caller.blobs, read_manifest(locked.here.caller.blobs, version.manifest)),
        version.profile,
    ]
    for digest in objects:
        for headers in ({}, {"range": "bytes=0-10"}):
            assert eve.get(f"/api/v1/objects/{digest}", headers=headers).status_code == 403
        assert steward.get(f"/api/v1/objects/{digest}").status_code == 200


def test_what_is_protected_cannot_be_made_a_dataset_of_ones_own(locked: Locked, people: Ref) -> None:
    eve = locked.workspace(locked.token("eve", ("scientist", "*")))
    version = locked.here.datasets.show(people)
    with pytest.raises(Denied, match="masked for eve"):
        eve.datasets.register("mine", record=replace(version.as_added, findings=[], parent=None))


def test_what_has_to_see_rows_in_clear_is_refused_to_whoever_may_not(locked: Locked, people: Ref) -> None:
    val = locked.workspace(locked.token("val", ("validator", "*")))
    from modelwright.datasets import Pattern

    with pytest.raises(Denied, match="in clear"):
        val.datasets.check(people, [Pattern(column="email", regex=".*@example.org")])
    assert locked.here.datasets.check(people, [Pattern(column="email", regex=".*@example.org")]).failed
    page = locked.client(locked.token("val")).get(f"/datasets/{people.name}")
    assert page.status_code == 200
    assert "canary" not in page.text


def test_a_profile_shows_no_value_of_numbers_and_times_about_people(locked: Locked) -> None:
    born = pa.array([datetime(1911, 1, day, tzinfo=UTC) for day in range(1, 13)], pa.timestamp("us", "UTC"))
    table = pa.table({"born": born, "ssn": range(4_217_000_001, 4_217_000_013), "age": [44.25] * 2 + [None] * 10})
    ref = locked.here.datasets.add("born", table, time_column="born", personal=["born", "ssn", "age"]).ref
    eve = locked.workspace(locked.token("eve", ("scientist", "*")))
    for workspace in (locked.here, eve):  # for nobody, whatever they may read
        about = {column.name: column for column in workspace.datasets.profile(ref).columns}
        told = repr(about)
        assert "1911" not in told and "4217000001" not in told and "4217000012" not in told and "44.25" not in told
        assert about["ssn"].distinct == 12
    assert about["age"].mean is None and about["ssn"].sd is None
    assert locked.here.datasets.show(ref).time_range is not None
    shown = [eve.datasets.show(ref), eve.datasets.list().items[0], eve.datasets.versions(ref.whole).items[0]]
    assert [each.time_range for each in shown] == [None] * 3
    page = locked.client(locked.token("eve")).get("/datasets/born", headers={"accept": "text/html"}).text
    assert not re.search(r"(?<![\w.])1911", page)  # which a digest or the fractions of a second may say


def test_what_is_as_protected_content_is_refused_with_a_reason(locked: Locked) -> None:
    table = pa.table({"id": [1, 2, 3], "email": [CANARY, "ada@example.org", KEPT]})
    locked.here.datasets.add("theirs", table)
    eve = locked.workspace(locked.token("eve", ("scientist", "*")))
    with pytest.raises(Denied, match="columns of dataset:theirs that are masked for eve"):
        eve.datasets.add("mine", table)


def test_whoever_may_not_read_a_dataset_does_not_learn_of_it_by_its_objects(locked: Locked) -> None:
    table = pa.table({"id": [1, 2, 3], "email": [CANARY, "ada@example.org", KEPT]})
    ref = locked.here.datasets.add("secret/affair", table).ref
    for name in ("open/one", "secret/other"):
        locked.here.datasets.add(name, table)
    client = locked.client(locked.token("eve", ("scientist", "*:open")))
    digest = locked.here.datasets.show(ref).profile
    said = client.get(f"/api/v1/objects/{digest}").json()["error"]["message"]
    assert "dataset:open/one" in said and "secret" not in said
    stranger = locked.client(locked.token("mallory", ("scientist", "*:elsewhere")))
    answer = stranger.get(f"/api/v1/objects/{digest}")
    assert answer.status_code in (403, 404) and "secret" not in answer.text and "open" not in answer.text


def test_whole_numbers_are_found_by_their_pseudonyms(locked: Locked) -> None:
    table = pa.table({"ssn": [4_217_000_001, 2], "x": [1, 2]})
    ref = locked.here.datasets.add("numbers", table, personal=["ssn"]).ref
    before = locked.here.datasets.read(ref, purpose="fraud", masked=True)["ssn"].to_pylist()
    locked.here.privacy.rotate("fraud", reason="a key got out")
    now = locked.here.datasets.read(ref, purpose="fraud", masked=True)["ssn"].to_pylist()
    one, other, text = locked.here.privacy.lookup("fraud", ["4217000001", "+2", "ada@example.org"])
    assert [one.numbers, other.numbers] == [[now[0], before[0]], [now[1], before[1]]]
    assert text.numbers == [] and len(text.tokens) == 2


def test_what_people_decided_holds_of_data_made_of_it(locked: Locked) -> None:
    table = pa.table({"id": [1, 2], "iq": [101, 99], "grade": ["a", "b"], "email": [CANARY, KEPT], "x": [1, 2]})
    ref = locked.here.datasets.add("tests", table, key="id").ref
    for column, tag in (("iq", "special.health"), ("grade", "pii.grade")):
        locked.here.privacy.classify(ref, column, tag)
    locked.here.privacy.classify(ref, "grade", "pii.grade", holds=False)
    made = locked.here.datasets.add("copy", table.select(["id", "iq", "grade", "email"]), inputs=[ref])
    assert [(c.column, c.tag, c.status.value) for c in made.classes] == [
        ("iq", "special.health", "unconfirmed"),
        ("email", "pii.email", "unconfirmed"),
    ]
    assert made.classes[0].finding is not None and made.classes[0].finding.detector == "as in dataset:tests@1"
    eve = locked.workspace(locked.token("eve", ("scientist", "*")))
    assert eve.datasets.read(made.ref)["iq"].to_pylist() == [None, None]
    mine = eve.datasets.add("mine", eve.datasets.read(ref), inputs=[ref])
    assert mine.classes == []  # of pseudonyms nothing is known
    assert locked.here.datasets.add("copy", table.select(["id", "iq"]), inputs=[ref]).masks == []


def test_whoever_adds_rows_to_what_they_read_masked_does_so_all_the_same(
    locked: Locked, people: Ref, tmp_path: Path
) -> None:
    eve = locked.workspace(locked.token("eve", ("scientist", "*")))
    file = tmp_path / "more.csv"
    file.write_text(PEOPLE + "6,zoe@example.org,2020-06-01,60\n")
    made = eve.datasets.add("people", file)
    assert made.masks and made.rows == 5
    assert locked.here.datasets.read(made.ref)["email"][4].as_py() == "zoe@example.org"


def test_pseudonyms_join_within_a_purpose_and_not_across(locked: Locked, people: Ref, tmp_path: Path) -> None:
    eve = locked.workspace(locked.token("eve", ("scientist", "*")))
    file = tmp_path / "orders.csv"
    file.write_text("order,email\n1,ada@example.org\n2,ada@example.org\n3,bob@example.org\n4,cyd@example.org\n")
    orders = locked.here.datasets.add("orders", file)
    fraud = set(eve.datasets.read(people, purpose="fraud")["email"].to_pylist())
    assert len(fraud & set(eve.datasets.read(orders.ref, purpose="fraud")["email"].to_pylist())) == 2
    assert not fraud & set(eve.datasets.read(orders.ref, purpose="marketing")["email"].to_pylist())
    steward = locked.workspace(locked.token("sam", ("data_steward", "*")))
    before = steward.privacy.lookup("fraud", ["ada@example.org"])[0].tokens
    assert before[0] in fraud and len(before[0]) == 32
    assert steward.privacy.rotate("fraud", reason="a key got out") == 2
    after = steward.privacy.lookup("fraud", ["ada@example.org"])[0].tokens
    assert after[0] not in fraud and after[1] == before[0]
    assert after[0] in eve.datasets.read(people, purpose="fraud")["email"].to_pylist()
    with pytest.raises(Denied):
        eve.privacy.lookup("fraud", ["ada@example.org"])
    with pytest.raises(Invalid, match="cannot name a purpose"):
        eve.datasets.read(people, purpose="../fraud")


def test_only_who_may_see_a_class_rejects_it_and_then_all_see_the_values(locked: Locked, people: Ref) -> None:
    eve, steward = (
        locked.workspace(locked.token("eve", ("scientist", "*"))),
        locked.workspace(locked.token("sam", ("data_steward", "*"))),
    )
    with pytest.raises(Denied, match="may not decide"):
        eve.privacy.classify(people, "email", "pii.email", holds=False)
    assert [each.ref for each in eve.privacy.open()] == [people]
    steward.privacy.classify(people, "email", "pii.email", holds=False, reason="role accounts")
    assert CANARY in texts(eve.datasets.read(people))
    assert not eve.privacy.open()
    steward.privacy.classify(people, "joined", "special.health", reason="the day of a diagnosis")
    assert set(eve.datasets.read(people)["joined"].to_pylist()) == {None}
    assert eve.datasets.profile(people).column("joined").examples == []


def test_whoever_may_not_see_what_checks_have_to_see_adds_nothing(locked: Locked, people: Ref, tmp_path: Path) -> None:
    from modelwright.datasets import Pattern

    eve = locked.workspace(locked.token("eve", ("scientist", "*")))
    val = locked.workspace(locked.token("val", ("scientist", "*"), ("validator", "*")))
    file = tmp_path / "more.csv"
    file.write_text(PEOPLE + "6,zoe@example.org,2020-06-01,60\n")
    before = [each.ref for each in locked.here.datasets.versions(people.whole).items]
    for name in ("people", "unknown"):
        with pytest.raises(Denied, match="nothing was added"):
            val.datasets.add(name, file, checks=[Pattern(column="email", regex=".*")])
        with pytest.raises(Denied, match="may not validate"):
            eve.datasets.add(name, file, checks=[Pattern(column="email", regex=".*")])
    assert [each.ref for each in locked.here.datasets.versions(people.whole).items] == before
    file.write_text("day,amount\n1,2\n")
    assert val.datasets.add("plain", file, checks=[Pattern(column="day", regex=".*")]).rows == 1


def test_tokens_of_a_vault_are_asked_back_with_a_reason_that_goes_on_the_record(locked: Locked, people: Ref) -> None:
    eve = locked.workspace(locked.token("eve", ("scientist", "*")))
    steward = locked.workspace(locked.token("sam", ("data_steward", "*")))
    steward.privacy.classify(people, "email", "pii.email", mask="vault")
    read = eve.datasets.read(people, purpose="fraud")["email"].to_pylist()
    assert eve.datasets.read(people, purpose="fraud")["email"].to_pylist() == read and read[0] == read[4]
    assert not set(read) & set(eve.datasets.read(people, purpose="marketing")["email"].to_pylist())
    assert steward.privacy.lookup("fraud", ["ada@example.org"])[0].drawn == [read[1]]
    with pytest.raises(Denied):
        eve.privacy.reveal("fraud", read[:1], reason="curious")
    found = steward.privacy.reveal("fraud", [read[1], KEPT], reason="case 17")  # the second was taken for a token
    assert [each.value for each in found] == ["ada@example.org", None]
    said = locked.here.record.history(Ref.parse("dataset:fraud"), EventFilter(action="privacy.tokens.revealed")).items
    assert [each.reason for each in said] == ["case 17"] and said[0].after["tokens"] == [read[1]]
    assert said[0].after["others"] == 1 and not any(each in texts(said) for each in ("ada@", KEPT))
    assert steward.privacy.forget("fraud", values=["ada@example.org"], reason="she asked us to") == 1
    assert steward.privacy.forget("fraud", tokens=[read[2]], reason="so did they") == 1
    assert steward.privacy.forget("fraud", values=["ada@example.org"], reason="again") == 0
    after = eve.datasets.read(people, purpose="fraud")["email"].to_pylist()
    assert [one == other for one, other in zip(after, read, strict=True)] == [True, False, False, True, True]
    assert [each.value for each in steward.privacy.reveal("fraud", [read[1], after[1]], reason="case 17")] == [
        None,
        "ada@example.org",
    ]


def test_a_token_of_a_special_class_takes_the_right_to_read_it(locked: Locked, people: Ref) -> None:
    locked.here.privacy.classify(people, "email", "special.health", mask="vault")
    locked.here.privacy.classify(people, "email", "pii.email", mask="vault")
    eve = locked.workspace(locked.token("eve", ("scientist", "*")))
    token = eve.datasets.read(people, purpose="care")["email"][1].as_py()
    locked.here.access.define_role("clerk", ["read", "reveal.pii"])
    clerk = locked.workspace(locked.token("cleo", ("clerk", "*")))
    with pytest.raises(Denied, match="special"):
        clerk.privacy.reveal("care", [token], reason="case 18")
    steward = locked.workspace(locked.token("sam", ("data_steward", "*")))
    assert steward.privacy.reveal("care", [token], reason="case 18")[0].value == "ada@example.org"


def adder(locked: Locked) -> Workspace:
    """Somebody who may add to every dataset and say what columns are about, and reads people masked."""
    locked.here.access.define_role("adder", ["read", "write", "label"])
    return locked.workspace(locked.token("ann", ("adder", "*")))


def test_a_record_that_is_silent_about_people_shows_nobody(locked: Locked, people: Ref) -> None:
    ann, version = adder(locked), locked.here.datasets.show(people)
    columns = [replace(column, personal=column.name == "amount") for column in version.columns]
    silent = replace(version.as_added, findings=[], columns=columns, parent=None)
    made = ann.datasets.register("people", record=silent)
    assert {mask.column for mask in made.masks} == {"email", "amount"}
    for name, way in WAYS.items():
        assert "canary" not in texts(way(ann, made.ref)), name
    renamed = [replace(column, name={"email": "mail"}.get(column.name, column.name)) for column in columns]
    with pytest.raises(Invalid, match="other columns than the record says"):
        ann.datasets.register("people", record=replace(silent, columns=renamed))


def test_a_profile_of_others_is_none_of_ones_own(locked: Locked, tmp_path: Path) -> None:
    file = tmp_path / "staff.csv"
    file.write_text("id,nick\n" + "".join(f"{i},canary{i % 3}\n" for i in range(20)))
    staff = locked.here.datasets.add("staff", file, key="id")
    locked.here.privacy.classify(staff.ref, "nick", "pii.name")
    ann = adder(locked)
    shown, mine = ann.datasets.show(staff.ref), ann.datasets.add("mine", pa.table({"id": range(20), "x": ["y"] * 20}))
    with pytest.raises(Denied, match="dataset:staff"):
        ann.datasets.register("mine", record=replace(mine.as_added, profile=shown.profile, key=["id"], parent=None))
    of_ours = replace(mine.as_added, profile=shown.profile, parent=None)
    with pytest.raises(Invalid, match="other columns than the record says"):
        ann.datasets.register("staff", record=of_ours)


def test_a_table_in_place_is_not_read_past_what_is_said_of_it_elsewhere(prepared: Path, tmp_path: Path) -> None:
    place = tmp_path / "lake" / "people"
    write_deltalake(str(place), pa.table({"id": [1, 2], "email": [CANARY, "ada@example.org"]}))
    server = ServerSettings(authentication="required", turn_every=60.0)
    settings = Settings(server=server, datasets={"in_place": [str(tmp_path / "lake")]})
    with open_workspace(prepared, settings=settings) as here, serving(here) as url:
        held = here.datasets.add_in_place("people", f"delta:{place}", key="id", personal=["email"])
        ann = adder(Locked(here, url))
        columns = [replace(column, personal=column.name == "id") for column in held.columns]
        silent = replace(held.as_added, findings=[], columns=columns, parent=None)
        with pytest.raises(Denied, match="dataset:people"):
            ann.datasets.register("mine", record=replace(silent, profile=None))
        made = ann.datasets.register("people", record=silent)
        assert "canary" not in texts(ann.datasets.read(made.ref))


def test_who_reads_a_column_masked_does_not_have_it_masked_less(locked: Locked, people: Ref) -> None:
    ann, stays = adder(locked), ("joined", "email")
    locked.here.privacy.classify(people, "joined", "pii.birth_date")
    locked.here.privacy.classify(people, "email", "pii.email", mask="truncate:2")
    before = ann.datasets.read(people, stays)
    for column, tag, mask in [
        ("joined", "pii.a", "shift:1"),
        ("joined", "pii.a", "truncate:month"),
        ("joined", "pii.birth_date", "shift:1"),
        ("email", "pii.a", "truncate:99"),
        ("email", "pii.email", ""),
        ("email", "special.health", "bucket:1"),
    ]:
        with pytest.raises(Denied, match="may not decide how"):
            ann.privacy.classify(people, column, tag, mask=mask)
    assert ann.datasets.read(people, stays) == before
    ann.privacy.classify(people, "joined", "special.health")  # which hides more
    ann.privacy.classify(people, "amount", "pii.x", mask="bucket:7")  # and this was in clear
    found = ann.datasets.read(people, ["joined", "amount"])
    assert found["joined"].null_count == 5 and found["amount"].to_pylist() == [7, 14, 28, 35, -7]


def test_of_masks_of_one_sort_the_one_counts_that_hides_most(locked: Locked, people: Ref) -> None:
    eve = locked.workspace(locked.token("eve", ("scientist", "*")))
    for column, masks, found in [
        ("joined", ("truncate:month", "truncate:year"), "truncate:year"),
        ("amount", ("bucket:5", "bucket:50"), "bucket:50"),
        ("email", ("truncate:99", "truncate:1"), "drop"),
    ]:
        for tag, mask in zip(("pii.a", "pii.b"), masks, strict=True):
            locked.here.privacy.classify(people, column, tag, mask=mask)
        if column == "email":
            locked.here.privacy.classify(people, column, "pii.email", holds=False)
        assert {each.column: each.mask for each in eve.datasets.show(people).masks}[column] == found


def test_two_profiles_do_not_tell_what_the_row_between_them_holds(locked: Locked) -> None:
    pay = [1000.0 + 7 * number for number in range(20)]
    first = locked.here.datasets.add("pay", pa.table({"id": range(20), "pay": pay}), key="id", personal=["pay"])
    second = locked.here.datasets.add("pay", pa.table({"id": range(21), "pay": [*pay, 98_765.4]}))
    eve = locked.workspace(locked.token("eve", ("scientist", "*")))
    for version in (first, second):
        about = eve.datasets.profile(version.ref).column("pay")
        assert (about.mean, about.sd, about.count) == (None, None, version.rows)


def test_names_that_somebody_may_not_read_are_not_told(locked: Locked) -> None:
    locked.here.datasets.add("secret/plans", pa.table({"id": [1]}))
    locked.here.access.define_role("adder", ["read", "write"])
    ann = locked.workspace(locked.token("ann", ("adder", "dataset:mine"), ("adder", "object:*")))
    ann.datasets.add("mine/own", pa.table({"id": [1]}))
    said = []
    for name in ("secret/plans", "secret/plums"):
        with pytest.raises(NotFound) as told:
            ann.datasets.add("mine/made", pa.table({"id": [2]}), inputs=[Ref.parse(f"dataset:{name}")])
        said.append(str(told.value).replace(name, "it"))
    assert said[0] == said[1]
    for name in ("mine/secret/plans", "mine/secret/plan"):
        with pytest.raises(NotFound) as told:
            ann.datasets.show(f"dataset:{name}")
        assert "Did you mean secret" not in str(told.value)
    with pytest.raises(NotFound, match=r"Did you mean mine/own\?"):
        ann.datasets.show("dataset:mine/owm")


def standing(workspace: Workspace, name: str, rows: pa.Table, **view: Any) -> Ref:
    """A view of a dataset of its name, online."""
    source = workspace.datasets.add(name, rows, key="id").ref.whole
    made = FeatureView(name=name, entity="id", source=source, event_time="at", **view)
    workspace.features.apply(made)
    workspace.features.materialise(made.ref)
    return made.ref


def test_a_feature_is_not_masked_as_another_of_its_name(locked: Locked) -> None:
    at = pa.array([datetime(2026, 1, 1, tzinfo=UTC)], pa.timestamp("us", tz="UTC"))
    clear = standing(locked.here, "people", pa.table({"id": ["a"], "at": at, "email": [CANARY]}), features=["email"])
    ann = adder(locked)
    own = standing(ann, "own", pa.table({"id": ["a"], "at": at, "email": ["none"]}), features=["email"])
    ann.privacy.classify("dataset:own", "email", "pii.x", mask="truncate:99")
    with locked.client(locked.token("ann")) as client:
        asked = {"views": [str(clear), str(own)], "keys": [{"id": "a"}]}
        answer = client.post("/features/online", json=asked)
    assert answer.status_code == 400 and "both have a feature 'email'" in answer.text and "canary" not in answer.text
    with pytest.raises(Invalid, match="both have a feature"):
        ann.features.online([clear, own], [{"id": "a"}])
    assert "canary" not in texts(ann.features.online([clear], [{"id": "a"}]))


def test_a_count_does_not_tell_whether_a_masked_value_meets_a_condition(locked: Locked) -> None:
    at = pa.array([datetime.now(UTC)] * 2, pa.timestamp("us", tz="UTC"))
    rows, eve = pa.table({"id": ["a", "b"], "at": at, "pay": [1000.0, 98_765.0]}), adder(locked)
    locked.here.datasets.add("pay", rows, personal=["pay"])
    asked = count("CASE WHEN pay > 50000 THEN 1 END", window="9d", name="rich")
    plain = [
        distinct("pay", window="9d", name="kinds"),
        count("pay", window="9d", name="paid"),
        count(window="9d", name="all"),
    ]
    both = standing(locked.here, "pay", rows, features=[asked, *plain])
    found = eve.features.online([both], [{"id": "a"}, {"id": "b"}])
    assert found == [{"rich": None, "kinds": 1, "paid": 1, "all": 1}] * 2
    chosen = FeatureView(
        name="chosen",
        entity="id",
        source="dataset:pay",
        event_time="at",
        select='SELECT id, "at" FROM source WHERE pay > 50000',
        features=[count(window="9d", name="rich")],
    )
    locked.here.features.apply(chosen)
    locked.here.features.materialise(chosen.ref)
    assert eve.features.online([chosen.ref], [{"id": "a"}, {"id": "b"}]) == [{"rich": None}] * 2
    assert [row["rich"] for row in locked.here.features.online([chosen.ref], [{"id": "a"}, {"id": "b"}])] == [0, 1]
