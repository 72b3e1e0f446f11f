"""Evaluation datasets and scorers through MLflow's own client."""

from __future__ import annotations

import json
from typing import Any

import pytest
from mlflow.exceptions import MlflowException

from modelwright.core.refs import Kind, Ref
from modelwright.store import EventFilter


@pytest.fixture(scope="module")
def experiment(served: Any) -> str:
    return str(served.here.experiments.create("evaluated").id)


@pytest.fixture
def dataset(mlflow: Any, experiment: str, request: pytest.FixtureRequest) -> Any:
    from mlflow.genai import datasets

    return datasets.create_dataset(name=request.node.name, experiment_id=experiment, tags={"team": "ops"})


def by_question(dataset: Any) -> dict[str, Any]:
    return {row.inputs["q"]: row for row in dataset.to_df().itertuples()}


QUESTIONS = [
    {"inputs": {"q": "why?"}, "expectations": {"answer": "so"}},
    {"inputs": {"q": "how?", "n": 3}, "outputs": {"a": [1, None]}, "tags": {"hard": "yes"}},
]


def test_examples_come_back_as_they_went_in(mlflow: Any, dataset: Any, experiment: str) -> None:
    from mlflow.genai import datasets

    dataset.merge_records(QUESTIONS)
    found = datasets.get_dataset(dataset_id=dataset.dataset_id)
    assert (found.name, found.tags["team"], found.experiment_ids) == (dataset.name, "ops", [experiment])
    assert json.loads(found.profile) == {"num_records": 2}
    assert json.loads(found.schema)["inputs"] == {"q": "string", "n": "integer"}
    records = by_question(found)
    assert records["why?"].expectations == {"answer": "so"}
    assert records["why?"].source_type == "HUMAN"
    assert records["how?"].outputs == {"a": [1, None]}
    assert records["how?"].tags["hard"] == "yes"
    assert list(found.to_df()["inputs"]) == [each["inputs"] for each in QUESTIONS]


def test_the_same_inputs_are_the_same_example(mlflow: Any, dataset: Any) -> None:
    from mlflow.genai import datasets

    dataset.merge_records(QUESTIONS)
    before = dataset.digest
    dataset.merge_records([{"inputs": {"q": "why?"}, "expectations": {"tone": "kind"}}, {"inputs": {"q": "who?"}}])
    records = by_question(dataset)
    assert len(records) == 3
    assert records["why?"].expectations == {"answer": "so", "tone": "kind"}
    assert dataset.delete_records([records["who?"].dataset_record_id, "dr-none"]) == 1
    assert len(dataset.to_df()) == 2
    assert datasets.get_dataset(dataset_id=dataset.dataset_id).digest != before


def test_examples_are_made_of_traces(mlflow: Any, served: Any, dataset: Any, experiment: str) -> None:
    mlflow.set_experiment(experiment_id=experiment)

    @mlflow.trace
    def answer(question: str) -> str:
        return "because"

    answer("why?")
    mlflow.flush_trace_async_logging()
    trace = mlflow.get_last_active_trace_id()
    mlflow.log_expectation(trace_id=trace, name="answer", value="so")
    dataset.merge_records(mlflow.search_traces(locations=[experiment]))
    record = next(dataset.to_df().itertuples())
    assert (record.inputs, record.outputs) == ({"question": "why?"}, "because")
    assert record.expectations == {"answer": "so"}
    assert (record.source_id, record.source_type) == (trace, "TRACE")


def test_sets_are_found_tagged_placed_and_deleted(mlflow: Any, served: Any, dataset: Any, experiment: str) -> None:
    from mlflow.genai import datasets

    found = datasets.search_datasets(experiment_ids=experiment, filter_string=f"name = '{dataset.name}'")
    assert [each.dataset_id for each in found] == [dataset.dataset_id]
    assert datasets.search_datasets(filter_string="tags.team = 'none'") == []
    datasets.set_dataset_tags(dataset_id=dataset.dataset_id, tags={"team": "dev", "more": "1"})
    datasets.delete_dataset_tag(dataset_id=dataset.dataset_id, key="more")
    tags = datasets.get_dataset(dataset_id=dataset.dataset_id).tags
    assert (tags["team"], "more" in tags) == ("dev", False)
    other = str(served.here.experiments.create("beside").id)
    datasets.add_dataset_to_experiments(dataset_id=dataset.dataset_id, experiment_ids=[other])
    datasets.remove_dataset_from_experiments(dataset_id=dataset.dataset_id, experiment_ids=[experiment])
    assert datasets.get_dataset(dataset_id=dataset.dataset_id).experiment_ids == [other]
    datasets.delete_dataset(dataset_id=dataset.dataset_id)
    with pytest.raises(MlflowException) as raised:
        datasets.get_dataset(dataset_id=dataset.dataset_id)
    assert raised.value.error_code == "RESOURCE_DOES_NOT_EXIST"
    events = served.here.record.history(Ref(Kind.EVALSET, dataset.dataset_id)).items
    assert [each.action for each in events][::-1][:2] == ["evaluation_sets.set.created", "evaluation_sets.set.tagged"]
    assert events[0].action == "evaluation_sets.set.deleted"


def test_many_examples_come_in_pages(mlflow: Any, dataset: Any, served: Any) -> None:
    dataset.merge_records([{"inputs": {"n": number}} for number in range(1005)])
    assert [inputs["n"] for inputs in dataset.to_df()["inputs"]] == list(range(1005))
    answer = served.call("GET", f"3.0/mlflow/datasets/{dataset.dataset_id}/records", max_results=2)
    assert len(json.loads(answer.json()["records"])) == 2


@pytest.mark.parametrize(
    ("method", "path", "fields", "status"),
    [
        ("POST", "create", {}, 400),
        ("POST", "create", {"name": " "}, 400),
        ("POST", "create", {"name": "x" * 501}, 400),
        ("POST", "create", {"name": "a\x00"}, 400),
        ("POST", "create", {"name": "a", "tags": "[1]"}, 400),
        ("POST", "create", {"name": "a", "tags": "{"}, 400),
        ("POST", "create", {"name": "a", "experiment_ids": ["999999"]}, 404),
        ("POST", "create", {"name": "a", "experiment_ids": ["../1"]}, 400),
        ("POST", "search", {"filter_string": "((("}, 400),
        ("POST", "search", {"max_results": 0}, 400),
        ("POST", "search", {"page_token": "!"}, 400),
        ("POST", "search", {"order_by": ["nothing"]}, 400),
        ("GET", "d-none", {}, 404),
        ("GET", "..%2f..", {}, 404),
        ("GET", "d-none/records", {}, 404),
        ("POST", "d-none/records", {"records": "[]"}, 404),
        ("POST", "d-none/records", {"records": "x"}, 400),
        ("POST", "d-none/records", {"records": "[7]"}, 400),
        ("POST", "d-none/records", {"records": '[{"inputs": 3}]'}, 400),
        ("POST", "d-none/records", {"records": '[{"inputs": {}, "tags": 3}]'}, 400),
        ("POST", "d-none/records", {"records": '[{"inputs": {}, "source": {"source_type": "X"}}]'}, 400),
        ("POST", "d-none/records", {"records": "[" * 100_000}, 400),
        ("DELETE", "d-none", {}, 404),
        ("PATCH", "d-none/tags", {"tags": "{}"}, 404),
        ("GET", "d-none/experiment-ids", {}, 404),
    ],
)
def test_what_does_not_do_is_told_so(served: Any, method: str, path: str, fields: Any, status: int) -> None:
    answer = served.call(method, f"3.0/mlflow/datasets/{path}", **fields)
    assert answer.status_code == status, answer.text
    assert answer.json()["error_code"] in ("INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST", "BAD_REQUEST")


# Scorers


def test_a_scorer_is_registered_in_versions(mlflow: Any, served: Any, experiment: str) -> None:
    from mlflow.genai.scorers import Guidelines, delete_scorer, get_scorer, list_scorers

    first = Guidelines(name="polite", guidelines="Be kind.", model="openai:/gpt-4")
    first.register(experiment_id=experiment)
    Guidelines(name="polite", guidelines="Be very kind.", model="openai:/gpt-4").register(experiment_id=experiment)
    assert get_scorer(name="polite", experiment_id=experiment).guidelines == "Be very kind."
    assert get_scorer(name="polite", experiment_id=experiment, version=1).guidelines == "Be kind."
    assert [each.name for each in list_scorers(experiment_id=experiment)] == ["polite"]
    delete_scorer(name="polite", experiment_id=experiment, version=1)
    with pytest.raises(MlflowException) as raised:
        get_scorer(name="polite", experiment_id=experiment, version=1)
    assert raised.value.error_code == "RESOURCE_DOES_NOT_EXIST"
    events = served.here.record.events(EventFilter(action="scorers")).items
    assert [(each.action, each.resource) for each in events][::-1] == [
        ("scorers.version.registered", "scorer:evaluated/polite@1"),
        ("scorers.version.registered", "scorer:evaluated/polite@2"),
        ("scorers.version.deleted", "scorer:evaluated/polite@1"),
    ]


@pytest.mark.parametrize(
    ("method", "path", "fields", "status"),
    [
        ("POST", "register", {"experiment_id": "0", "name": "a"}, 400),
        ("POST", "register", {"experiment_id": "0", "name": "a", "serialized_scorer": "{"}, 400),
        ("POST", "register", {"experiment_id": "0", "name": "a", "serialized_scorer": "[" * 100_000}, 400),
        ("POST", "register", {"experiment_id": "0", "name": "n" * 251, "serialized_scorer": "{}"}, 400),
        ("POST", "register", {"experiment_id": "999999", "name": "a", "serialized_scorer": "{}"}, 404),
        ("GET", "get", {"experiment_id": "0", "name": "none"}, 404),
        ("GET", "get", {"experiment_id": "0"}, 400),
        ("GET", "list", {"experiment_id": "999999"}, 404),
        ("DELETE", "delete", {"experiment_id": "0", "name": "none"}, 404),
    ],
)
def test_what_is_no_scorer_is_told_so(served: Any, method: str, path: str, fields: Any, status: int) -> None:
    answer = served.call(method, f"3.0/mlflow/scorers/{path}", **fields)
    assert answer.status_code == status, answer.text
