"""Logged models through MLflow's own client."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from mlflow.entities import LoggedModelStatus
from mlflow.exceptions import MlflowException

from modelwright.core.refs import Kind, Ref
from modelwright.experiments import Measurement


@pytest.fixture
def both(served_twice: Any) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(served_twice.url, served_twice.url)


@pytest.fixture
def run(served_twice: Any, request: pytest.FixtureRequest) -> Any:
    return served_twice.here.experiments.start(f"logged/{request.node.originalname}")


def ref(model: Any) -> Ref:
    return Ref(Kind.LOGGED_MODEL, model.model_id)


def make(client: Any, run: Any, name: str | None = "forest", **more: Any) -> Any:
    return client.create_logged_model(str(run.experiment_id), name=name, source_run_id=run.id, **more)


def test_a_model_begins_pending_and_ends_ready(both: Any, run: Any) -> None:
    made = make(both, run, params={"depth": "3"}, tags={"team": "ops"}, model_type="classifier")
    assert made.model_id.startswith("m-") and len(made.model_id) == 34
    assert (made.status, made.source_run_id, made.model_type) == (LoggedModelStatus.PENDING, run.id, "classifier")
    assert made.artifact_location == f"mlflow-artifacts:/{run.experiment_id}/models/{made.model_id}/artifacts"
    assert both.finalize_logged_model(made.model_id, LoggedModelStatus.READY).status == LoggedModelStatus.READY
    found = both.get_logged_model(made.model_id)
    assert (found.name, found.params, found.tags) == ("forest", {"depth": "3"}, {"team": "ops"})
    assert found.last_updated_timestamp >= found.creation_timestamp > 1_600_000_000_000


def test_the_record_knows_which_run_made_it(served_twice: Any, both: Any, run: Any) -> None:
    made = make(both, run)
    both.finalize_logged_model(made.model_id, LoggedModelStatus.FAILED)
    events = {each.action: each for each in served_twice.here.record.history(ref(made)).items}
    assert events["experiments.model.logged"].inputs == [str(run.ref)]
    assert events["experiments.model.logged"].outputs == [str(ref(made))]
    assert events["experiments.model.finalised"].after == {"status": "failed"}
    assert Ref.parse(f"models:/{made.model_id}") == ref(made)


def test_without_a_name_it_gets_one_and_without_a_run_it_has_none(both: Any, run: Any) -> None:
    made = both.create_logged_model(str(run.experiment_id))
    assert made.name and made.source_run_id in (None, "")


@pytest.mark.parametrize("name", ["a/b", "a:b", "a.b", "a%b", 'a"b', "a'b", "a\0b", "a\nb"])
def test_names_that_would_break_an_address_are_refused(both: Any, run: Any, name: str) -> None:
    with pytest.raises(MlflowException, match="cannot name a logged model") as raised:
        make(both, run, name)
    assert raised.value.error_code == "INVALID_PARAMETER_VALUE"


def test_parameters_keep_their_first_value(both: Any, run: Any) -> None:
    made = make(both, run, params={"depth": "3"})
    both.log_model_params(made.model_id, {"depth": "3", "empty": "", **{f"p{n}": str(n) for n in range(250)}})
    found = both.get_logged_model(made.model_id).params
    assert len(found) == 252 and found["p249"] == "249" and found["empty"] == ""
    with pytest.raises(MlflowException, match="cannot become"):
        both.log_model_params(made.model_id, {"depth": "4"})


def test_tags_are_set_replaced_and_taken_away(both: Any, run: Any) -> None:
    made = make(both, run)
    both.set_logged_model_tags(made.model_id, {"a": "1", "b/c d": "2"})
    both.set_logged_model_tags(made.model_id, {"a": "3"})
    assert both.get_logged_model(made.model_id).tags == {"a": "3", "b/c d": "2"}
    both.delete_logged_model_tag(made.model_id, "b/c d")
    assert both.get_logged_model(made.model_id).tags == {"a": "3"}
    with pytest.raises(MlflowException, match="No tag with key") as raised:
        both.delete_logged_model_tag(made.model_id, "never")
    assert raised.value.error_code == "RESOURCE_DOES_NOT_EXIST"


def test_a_deleted_model_is_out_of_sight_and_can_be_brought_back(served_twice: Any, both: Any, run: Any) -> None:
    made = make(both, run)
    both.delete_logged_model(made.model_id)
    with pytest.raises(MlflowException, match="not found") as raised:
        both.get_logged_model(made.model_id)
    assert raised.value.error_code == "RESOURCE_DOES_NOT_EXIST"
    assert list(both.search_logged_models([str(run.experiment_id)])) == []
    shown = served_twice.call("GET", f"2.0/mlflow/logged-models/{made.model_id}", allow_deleted="true").json()
    assert shown["model"]["info"]["model_id"] == made.model_id
    served_twice.here.logged_models.restore(ref(made))
    assert both.get_logged_model(made.model_id).name == "forest"


def test_files_of_a_model_go_in_are_listed_and_come_out(served_twice: Any, both: Any, run: Any, tmp_path: Path) -> None:
    made = make(both, run)
    (tmp_path / "deep").mkdir()
    (tmp_path / "MLmodel").write_text("flavors: {}")
    (tmp_path / "deep" / "weights.bin").write_bytes(b"123")
    both.log_model_artifacts(made.model_id, str(tmp_path))
    listed = [(each.path, each.is_dir, each.file_size) for each in both.list_logged_model_artifacts(made.model_id)]
    assert listed == [("MLmodel", False, 11), ("deep", True, None)]
    assert [each.path for each in both.list_logged_model_artifacts(made.model_id, "deep")] == ["deep/weights.bin"]
    file = f"/api/2.0/mlflow/logged-models/{made.model_id}/artifacts/files"
    assert served_twice.http.get(file, params={"artifact_file_path": "deep/weights.bin"}).content == b"123"
    assert [each.name for each in served_twice.here.artifacts.all(ref(made))] == ["MLmodel", "deep/weights.bin"]


def test_a_model_that_is_not_there_is_told_in_mlflows_words(served_twice: Any, run: Any) -> None:
    for identity in ("m-" + "0" * 32, "m-x", "m-" + "g" * 32):
        answer = served_twice.call("GET", f"2.0/mlflow/logged-models/{identity}")
        assert (answer.status_code, answer.json()["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST"), identity
    lost = {"experiment_id": str(run.experiment_id), "source_run_id": "nobody"}
    assert served_twice.call("POST", "2.0/mlflow/logged-models", **lost).status_code == 404
    assert served_twice.call("POST", "2.0/mlflow/logged-models", experiment_id="999999").status_code == 404
    assert served_twice.call("POST", "2.0/mlflow/logged-models", experiment_id="x").status_code == 400
    assert served_twice.call("POST", "2.0/mlflow/logged-models").status_code == 400


def test_a_status_is_a_name_or_a_number(served_twice: Any, both: Any, run: Any) -> None:
    made = make(both, run)
    path = f"2.0/mlflow/logged-models/{made.model_id}"
    for status in (None, "", "LOGGED_MODEL_PENDING", 0, 1, 9, "done"):
        assert served_twice.call("PATCH", path, status=status).status_code == 400
    answer = served_twice.call("PATCH", path, model_id=made.model_id, status=2)
    assert answer.json()["model"]["info"]["status"] == "LOGGED_MODEL_READY"


# Searching


@pytest.fixture(scope="module")
def shelf(served_twice: Any) -> Iterator[Any]:
    """Six models in one experiment, and one in another."""
    from mlflow import MlflowClient

    client, here = MlflowClient(served_twice.url, served_twice.url), served_twice.here
    run = here.experiments.start("logged/shelf")
    made = {}
    figures = [0.5, 0.9, float("nan"), None, float("inf"), 0.7]
    for number, value in enumerate(figures):
        model = client.create_logged_model(
            str(run.experiment_id),
            name="Forest" if number % 2 else "tree",
            source_run_id=run.id,
            params={"depth": str(number)},
            tags={"stage": "candidate" if number < 3 else "Old one"},
            model_type="classifier",
        )
        made[number] = model.model_id
        if value is not None:
            at = datetime(2026, 1, 1, tzinfo=UTC)
            taken = [
                Measurement(
                    name="val auc", value=_told(value), time=at, step=1, run=run.id, dataset="flights", dataset_digest="d1"
                ),
                Measurement(name="val auc", value=0.1, time=at, step=0, run=run.id, dataset="weather", dataset_digest="d2"),
            ]
            here.logged_models.log(Ref(Kind.LOGGED_MODEL, model.model_id), metrics=taken)
    client.finalize_logged_model(made[0], LoggedModelStatus.READY)
    other = here.experiments.start("logged/other shelf")
    made[6] = client.create_logged_model(str(other.experiment_id), name="tree").model_id

    class Shelf:
        experiment, ids, search_with = str(run.experiment_id), made, client

        def find(self, filter: str = "", **more: Any) -> list[int]:
            found = client.search_logged_models([self.experiment], filter_string=filter or None, **more)
            numbers = {identity: number for number, identity in made.items()}
            return [numbers[each.model_id] for each in found]

    yield Shelf()


def _told(value: float) -> Any:
    from modelwright.experiments.records import number

    return number(value)


@pytest.mark.parametrize(
    ("filter", "found"),
    [
        ("name = 'Forest'", {1, 3, 5}),
        ("name != 'Forest'", {0, 2, 4}),
        ("name LIKE 'F%'", {1, 3, 5}),
        ("name LIKE 'f%'", set()),
        ("name ILIKE 'f%'", {1, 3, 5}),
        ("name IN ('tree', 'bush')", {0, 2, 4}),
        ("name NOT IN ('tree', 'bush')", {1, 3, 5}),
        ("params.depth = '3'", {3}),
        ("params.depth != '3'", {0, 1, 2, 4, 5}),
        ("params.missing != '3'", set()),
        ("tags.stage LIKE 'cand%' AND name = 'tree'", {0, 2}),
        ("tags.`stage` = 'Old one'", {3, 4, 5}),
        ("metrics.`val auc` > 0.6", {1, 4, 5}),
        ("metrics.`val auc` <= 0.1", {0, 1, 2, 4, 5}),
        ("metrics.nothing > 0", set()),
        ("status = 'READY'", {0}),
        ("status != 'ready'", {1, 2, 3, 4, 5}),
        ("status = 'LOGGED_MODEL_PENDING' AND name = 'tree'", {2, 4}),
        ("model_type = 'classifier' AND creation_timestamp > 0", {0, 1, 2, 3, 4, 5}),
        ("creation_time > 99999999999999", set()),
        ("name = 'tree' OR params.depth = '1'", {0, 1, 2, 4}),
        ("NOT (name = 'tree' OR params.depth = '1')", {3, 5}),
    ],
)
def test_a_filter_finds_what_it_says(shelf: Any, filter: str, found: set[int]) -> None:
    assert set(shelf.find(filter)) == found


@pytest.mark.parametrize(
    "filter",
    [
        "name > 'a'", "name = 3", "metrics.x = 'a'", "metrics.x LIKE 'a'", "colour = 'red'", "name =", "spans.x = '1'",
        "name = 'a' AND", "(" * 80,
    ],
)  # fmt: skip
def test_a_filter_that_cannot_be_read_is_refused(shelf: Any, filter: str) -> None:
    with pytest.raises(MlflowException) as raised:
        shelf.find(filter)
    assert raised.value.error_code == "INVALID_PARAMETER_VALUE"


def test_an_order_puts_what_has_no_figure_last(shelf: Any) -> None:
    field = "metrics.val auc"
    assert shelf.find(order_by=[{"field_name": field, "ascending": False}])[:4] == [4, 1, 5, 0]
    assert shelf.find(order_by=[{"field_name": field, "ascending": True}])[:4] == [0, 5, 1, 4]
    assert set(shelf.find(order_by=[{"field_name": field, "ascending": True}])[4:]) == {2, 3}
    on = {"field_name": field, "ascending": True, "dataset_name": "weather", "dataset_digest": "d2"}
    assert shelf.find(order_by=[on])[-1] == 3
    assert shelf.find(order_by=[{"field_name": "name"}, {"field_name": "creation_timestamp"}]) == [1, 3, 5, 0, 2, 4]
    assert shelf.find() == [5, 4, 3, 2, 1, 0]


@pytest.mark.parametrize("field", ["params.depth", "tags.stage", "colour", "", "name; DROP TABLE x"])
def test_an_order_by_what_orders_nothing_is_refused(shelf: Any, field: str) -> None:
    with pytest.raises(MlflowException) as raised:
        shelf.find(order_by=[{"field_name": field}])
    assert raised.value.error_code == "INVALID_PARAMETER_VALUE"


def test_figures_count_only_on_the_datasets_named(shelf: Any) -> None:
    flights = [{"dataset_name": "flights", "dataset_digest": "d1"}]
    assert set(shelf.find("metrics.`val auc` < 0.6", datasets=flights)) == {0}
    assert set(shelf.find(datasets=flights)) == {0, 1, 2, 4, 5}
    assert set(shelf.find(datasets=[{"dataset_name": "flights", "dataset_digest": "d2"}])) == set()
    assert set(shelf.find(datasets=[{"dataset_name": "weather"}])) == {0, 1, 2, 4, 5}
    with pytest.raises(MlflowException, match="dataset_name"):
        shelf.find(datasets=[{"dataset_name": "", "dataset_digest": "d1"}])


def test_pages_hold_every_model_once_and_a_token_its_search(shelf: Any) -> None:
    seen, token = [], None
    while True:
        page = shelf.search_with.search_logged_models([shelf.experiment], max_results=2, page_token=token)
        seen += [each.model_id for each in page]
        token = page.token
        if not token:
            break
    assert seen == [shelf.ids[number] for number in (5, 4, 3, 2, 1, 0)]
    token = shelf.search_with.search_logged_models([shelf.experiment], max_results=2).token
    for other in ({"filter_string": "name = 'tree'"}, {"order_by": [{"field_name": "name"}]}):
        with pytest.raises(MlflowException, match="Invalid page token"):
            shelf.search_with.search_logged_models([shelf.experiment], page_token=token, **other)
    for wrong in ("x", "bm90IGpzb24=", "WzEsIngiXQ=="):
        with pytest.raises(MlflowException, match="Invalid page token"):
            shelf.search_with.search_logged_models([shelf.experiment], page_token=wrong)


def test_a_models_figures_come_back_with_it(shelf: Any) -> None:
    metrics = shelf.search_with.get_logged_model(shelf.ids[1]).metrics
    assert [(each.key, each.value, each.step, each.dataset_name) for each in metrics] == [
        ("val auc", 0.1, 0, "weather"),
        ("val auc", 0.9, 1, "flights"),
    ]
    assert metrics[0].model_id == shelf.ids[1]


def test_the_newest_figure_of_each_metric_on_each_dataset_is_the_latest(served: Any, client: Any) -> None:
    run = served.here.experiments.start("logged/latest")
    made = make(client, run)
    for time, value in ((1_000, 0.5), (2_000, 0.75)):  # as mlflow.evaluate does: it tells each figure twice
        for name, digest, later in (("train", "a1", 0), ("test", "b2", 1)):
            client.log_metric(
                run.id,
                "auc",
                value,
                timestamp=time + later,
                model_id=made.model_id,
                dataset_name=name,
                dataset_digest=digest,
            )
    found = served.here.logged_models.show(ref(made))
    assert len(found.metrics) == 4
    assert [(each.dataset, each.value) for each in found.latest] == [("train", 0.75), ("test", 0.75)]
