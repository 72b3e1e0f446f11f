"""What differs between runs, how far, and which way is better."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec import structs

from modelwright.core.errors import Invalid
from modelwright.core.refs import Kind, Ref
from modelwright.experiments import Metric, Point, Run, RunStatus
from modelwright.experiments.comparing import compared
from modelwright.experiments.directions import lower_is_better, tells_direction
from modelwright.experiments.names import labels
from modelwright.experiments.service import MOST_COMPARED
from modelwright.workspace import Workspace

AT = datetime(2026, 1, 1, tzinfo=UTC)


def run(name: str, metrics: dict[str, tuple[Any, Any, Any]], **params: Any) -> Run:
    """A run whose metrics are (last, lowest, highest)."""
    figures = {
        key: Metric(name=key, value=last, step=3, time=AT, low=low, high=high) for key, (last, low, high) in metrics.items()
    }
    return Run(
        id=name,
        experiment="e",
        experiment_id=1,
        name=name,
        status=RunStatus.FINISHED,
        started_at=AT,
        created_by="ada",
        params=params,
        metrics=figures,
    )


@pytest.mark.parametrize(
    "name", ["loss", "val_loss", "eval/rmse", "logLoss", "test log_loss", "error", "cross-entropy", "MAE", "loss1"]
)
def test_what_is_named_for_an_error_is_better_when_it_is_small(name: str) -> None:
    assert lower_is_better(name)


@pytest.mark.parametrize("name", ["auc", "accuracy", "f1", "recall@10", "neg_mean_squared_error", "r2", "closset", "bleu"])
def test_everything_else_is_a_score(name: str) -> None:
    assert not lower_is_better(name)


def test_a_name_that_says_nothing_of_better_or_worse_is_told_apart() -> None:
    assert all(map(tells_direction, ("val_loss", "test/roc_auc", "F1", "r2", "eval/accuracy", "neg_log_loss", "recall@10")))
    assert not any(map(tells_direction, ("layer03/grad_norm", "learning_rate", "epoch", "l2", "weights/mean")))


def test_the_best_of_each_run_goes_the_way_of_its_metric() -> None:
    found = compared([run("a", {"loss": (0.5, 0.3, 0.9), "auc": (0.7, 0.6, 0.8)}), run("b", {"loss": (0.4, 0.4, 0.8)})])
    loss = next(row for row in found.metrics if row.name == "loss")
    auc = next(row for row in found.metrics if row.name == "auc")
    assert (loss.values, loss.best, loss.lower_is_better) == ([0.5, 0.4], [0.3, 0.4], True)
    assert (auc.values, auc.best, auc.lower_is_better) == ([0.7, None], [0.8, None], False)


def test_differences_are_from_the_first_run_and_missing_where_there_is_no_number() -> None:
    figures = {"loss": (0.5, 0.5, 0.5)}
    found = compared(
        [run("a", figures), run("b", {"loss": ("NaN", None, None)}), run("c", {}), run("d", {"loss": (0.75, 0.7, 1.0)})]
    )
    assert found.metrics[0].differences == [0.0, None, None, 0.25]


def test_what_differs_comes_first_and_a_number_is_not_the_word_for_it() -> None:
    found = compared([run("a", {}, same=1, depth=3, text=1), run("b", {}, same=1, depth=4, text="1")])
    assert [(row.name, row.same) for row in found.params] == [("depth", False), ("text", False), ("same", True)]


def test_the_baseline_comes_first(workspace: Workspace) -> None:
    refs = [workspace.experiments.start("delay").ref for _ in range(3)]
    for at, ref in enumerate(refs):
        workspace.experiments.log(ref, points=[Point.of("auc", at / 4, step=0, time=AT)])
    found = workspace.experiments.compare(refs, baseline=refs[2])
    assert [each.ref for each in found.runs] == [refs[2], refs[0], refs[1]]
    assert found.metrics[0].differences == [0.0, -0.5, -0.25]
    assert [each.ref for each in workspace.experiments.compare(refs).runs] == refs


def test_more_runs_than_fit_are_refused_with_what_to_do(embedded: Workspace) -> None:
    one = embedded.experiments.start("delay").ref
    many = [one.__class__(one.kind, f"{one.name[:-3]}{i:03d}") for i in range(MOST_COMPARED + 1)]
    with pytest.raises(Invalid, match="too many"):
        embedded.experiments.compare(many)


def test_runs_are_called_by_their_names_and_where_these_are_alike_by_the_end_of_their_ids_too() -> None:
    given = [("a", "01AAAAAA"), ("b", "01BBBBBB"), ("a", "01CCCCCC"), ("", "01DDDDDD")]
    runs = [structs.replace(run(identity, {}), name=name) for name, identity in given]
    assert labels(runs) == ["a …AAAAAA", "b", "a …CCCCCC", "…DDDDDD"]
    alike = [structs.replace(run(identity, {}), name="a") for identity in ("1XXXXXX", "2XXXXXX")]
    assert labels(alike) == ["a 1XXXXXX", "a 2XXXXXX"]


def test_a_label_is_one_line_of_limited_length_that_steers_nothing() -> None:
    names = ["x" * 200 + "1", "x" * 200 + "2", "turned \u202e round\n\x1b[2J"]
    given = [structs.replace(run(f"01AAAAA{at}", {}), name=name) for at, name in enumerate(names)]
    first, second, third = labels(given)
    assert first != second and max(map(len, (first, second))) <= 70 and first.startswith("xxx")
    assert third == r"turned \u202e round\n\x1b[2J"


@pytest.mark.parametrize("text", ["run:01JD0ZK3T8V1M2N3P4Q5R6S7T8@2", "experiment:delay@latest"])
def test_what_has_no_versions_says_so(embedded: Workspace, text: str) -> None:
    ref = Ref.parse(text)
    with pytest.raises(Invalid, match="has no versions"):
        (embedded.experiments.show if ref.kind is Kind.RUN else embedded.experiments.experiment)(ref)
