"""Each format goes in, is proved, comes out again, and is served; what runs code is read only by whoever asks for it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import pytest
import xgboost

from modelwright.core.errors import Invalid, Refused
from modelwright.models import ModelVersion
from modelwright.models.package import build
from modelwright.serving import Format
from modelwright.workspace import Workspace

ROWS = 300
QUIET = {"n_estimators": 7, "verbose": -1}


@pytest.fixture(scope="session")
def frame() -> pd.DataFrame:
    random = np.random.default_rng(3)
    return pd.DataFrame(
        {
            "distance": random.normal(500, 100, ROWS),
            "hour": random.integers(0, 24, ROWS),
            "carrier": pd.Categorical(random.choice(["AA", "DL", "UA"], ROWS)),
            "wind": np.where(random.random(ROWS) < 0.2, np.nan, random.normal(size=ROWS)),
            "holiday": random.random(ROWS) < 0.1,
        }
    )


@pytest.fixture(scope="session")
def delayed(frame: pd.DataFrame) -> pd.Series:
    return (frame.distance + 8 * frame.hour + 40 * (frame.carrier == "UA") > 620).astype(int)


@pytest.fixture(scope="session")
def cause(frame: pd.DataFrame) -> pd.Series:
    return pd.Series(np.where(frame.hour > 16, "crowd", np.where(frame.distance > 500, "wind", "none")))


def boosted(kind: str, frame: pd.DataFrame, delayed: pd.Series, cause: pd.Series) -> Any:
    codes = cause.astype("category").cat.codes
    trees = {"n_estimators": 7, "enable_categorical": True}
    return {
        "lightgbm, two classes": lambda: lightgbm.LGBMClassifier(**QUIET).fit(frame, delayed),
        "lightgbm, three classes": lambda: lightgbm.LGBMClassifier(**QUIET).fit(frame, cause),
        "lightgbm, a value": lambda: lightgbm.LGBMRegressor(**QUIET).fit(frame, frame.distance),
        "lightgbm, bare trees": lambda: lightgbm.LGBMClassifier(**QUIET).fit(frame, delayed).booster_,
        "lightgbm, bare trees of classes": lambda: lightgbm.train(
            {"objective": "multiclass", "num_class": 3, "verbose": -1}, lightgbm.Dataset(frame, codes), 5
        ),
        "xgboost, two classes": lambda: xgboost.XGBClassifier(**trees).fit(frame, delayed),
        "xgboost, three classes": lambda: xgboost.XGBClassifier(**trees).fit(frame, codes),
        "xgboost, a value": lambda: xgboost.XGBRegressor(**trees).fit(frame, frame.distance),
        "xgboost, bare trees": lambda: xgboost.XGBClassifier(**trees).fit(frame, delayed).get_booster(),
        "xgboost, stopped early": lambda: xgboost.XGBClassifier(
            n_estimators=60, enable_categorical=True, early_stopping_rounds=2
        ).fit(frame[:200], delayed[:200], eval_set=[(frame[200:], delayed[200:])], verbose=False),
    }[kind]()


KINDS = [
    "lightgbm, two classes",
    "lightgbm, three classes",
    "lightgbm, a value",
    "lightgbm, bare trees",
    "lightgbm, bare trees of classes",
    "xgboost, two classes",
    "xgboost, three classes",
    "xgboost, a value",
    "xgboost, bare trees",
    "xgboost, stopped early",
]


@pytest.mark.parametrize("kind", KINDS)
def test_boosted_trees_repeat_themselves_in_their_own_format(
    kind: str, frame: pd.DataFrame, delayed: pd.Series, cause: pd.Series
) -> None:
    built = build(boosted(kind, frame, delayed, cause), frame)
    assert built.format.value == kind.partition(",")[0] and built.framework.startswith(f"{built.format.value} ")
    assert built.parity is not None and built.parity.holds
    assert built.parity.rows == ROWS and built.parity.sampled > 0
    carrier = built.signature.inputs[2]
    assert (carrier.dtype.value, carrier.categories) == ("STRING", ["AA", "DL", "UA"])
    names = [column.name for column in built.signature.outputs]
    if "three" in kind or "of classes" in kind:
        assert names[0] == "prediction" and len(names) == 4
    else:
        assert names == ["prediction"] if "value" in kind else ["probability"]


def test_levels_count_by_name_however_the_example_orders_them(frame: pd.DataFrame, delayed: pd.Series) -> None:
    fitted = lightgbm.LGBMClassifier(**QUIET).fit(frame, delayed)
    turned = frame.assign(carrier=frame.carrier.cat.set_categories(["UA", "DL", "AA"]))
    assert build(fitted, turned).parity.holds  # type: ignore[union-attr]


def test_lightgbm_models_go_into_skops_too(frame: pd.DataFrame, delayed: pd.Series) -> None:
    assert build(lightgbm.LGBMClassifier(**QUIET).fit(frame, delayed), frame, format=Format.SKOPS).parity.holds  # type: ignore[union-attr]


def test_columns_of_other_features_are_refused(frame: pd.DataFrame, delayed: pd.Series) -> None:
    fitted = lightgbm.LGBMClassifier(**QUIET).fit(frame, delayed)
    with pytest.raises(Invalid, match="is not a model of xgboost"):
        build(fitted, frame, format=Format.XGBOOST)
    with pytest.raises(Invalid, match="Nothing is logged as mlflow"):
        build(fitted, frame, format=Format.MLFLOW)
    with pytest.raises(Invalid, match="with an example of its input"):
        build(fitted, None)


@pytest.mark.parametrize("kind", ["lightgbm, two classes", "xgboost, three classes"])
def test_boosted_trees_are_logged_and_loaded(
    workspace: Workspace, kind: str, frame: pd.DataFrame, delayed: pd.Series, cause: pd.Series
) -> None:
    model = boosted(kind, frame, delayed, cause)
    version = workspace.models.log("delay", model, example=frame)
    (parity,) = workspace.record.evidence(version.ref, kind="parity")
    assert parity.figures["n"] == ROWS + parity.figures["sampled"] > ROWS
    loaded = workspace.models.load(version.ref)
    given = loaded.predict(frame)
    chances = np.column_stack([values for name, values in given.items() if name.startswith("probability")])
    np.testing.assert_allclose(chances, model.predict_proba(frame)[:, -chances.shape[1] :], atol=1e-6)
    with pytest.raises(Invalid, match="none of its 3 known ones"):
        loaded.predict(frame.astype({"carrier": str}).assign(carrier="ZZ"))


def test_tensors_keep_names_types_and_metadata(workspace: Workspace) -> None:
    arrays = {"w": np.arange(6, dtype=np.float32).reshape(2, 3), "n": np.array([1, 2], dtype=np.int64)}
    version = workspace.models.log("net", arrays, metadata={"layers": "1"})
    assert version.record.format is Format.SAFETENSORS
    loaded = workspace.models.load(version.ref)
    assert loaded.metadata == {"layers": "1"}
    assert {name: (a.dtype.name, a.tolist()) for name, a in loaded.content.items()} == {
        "w": ("float32", arrays["w"].tolist()),
        "n": ("int64", [1, 2]),
    }
    with pytest.raises(Refused, match="does not predict by itself"):
        loaded.predict(pd.DataFrame({"x": [1]}))
    with pytest.raises(Refused, match="tensors and nothing that predicts"):
        workspace.models.check_servable(version)


def test_a_network_of_torch_gives_its_tensors(embedded: Workspace) -> None:
    import torch

    network = torch.nn.Linear(3, 2)
    version = embedded.models.log("net", network)
    back = embedded.models.load(version.ref).content
    np.testing.assert_array_equal(back["weight"], network.weight.detach().numpy())
    half = embedded.models.log("half", {"w": torch.ones(2, dtype=torch.bfloat16)})
    assert embedded.models.load(half.ref).content["w"].dtype is torch.bfloat16
    with pytest.raises(Invalid, match="no named tensors"):
        embedded.models.log("net", {})
    with pytest.raises(Invalid, match="and not numbers"):
        embedded.models.log("net", {"w": np.array(["a"])})


Log = Callable[..., ModelVersion]


def test_a_pickle_is_kept_by_name_only_and_read_by_whoever_asks_for_it(
    workspace: Workspace, log: Log, estimator: Any, flights: pd.DataFrame
) -> None:
    version = log(format="pickle", allow_unsafe=True)
    assert version.record.format is Format.PICKLE
    (scan,) = workspace.record.evidence(version.ref, kind="security-scan")
    assert (scan.verdict, scan.figures["format"], scan.figures["pickles"]) == ("pass", "pickle", 1)
    with pytest.raises(Refused, match="may run whatever is written in it"):
        workspace.models.load(version.ref)
    loaded = workspace.models.load(version.ref, allow_unsafe=True)
    np.testing.assert_allclose(loaded.scores(flights), estimator.predict_proba(flights)[:, 1])
    with pytest.raises(Refused, match="no server reads one"):
        workspace.models.check_servable(version)


class Stranger:
    """A class that is on no list."""


def test_a_pickle_with_unknown_names_is_on_the_record_and_read_only_if_they_are_named(embedded: Workspace) -> None:
    version = embedded.models.log("odd", Stranger(), format="pickle", allow_unsafe=True)
    (scan,) = embedded.record.evidence(version.ref, kind="security-scan")
    assert scan.verdict == "fail" and "Stranger" in scan.summary and scan.figures["findings"] > 0
    with pytest.raises(Refused, match="a name that is not on the list"):
        embedded.models.load(version.ref, allow_unsafe=True)
    name = f"{Stranger.__module__}.{Stranger.__qualname__}"
    assert isinstance(embedded.models.load(version.ref, allow_unsafe=True, trust=[name]).content, Stranger)


def test_a_policy_keeps_formats_away_from_a_tier(workspace: Workspace, log: Log) -> None:
    workspace.policy.adopt(
        'name = "standard"\n[[tier.high.require]]\nid = "format"\nevidence = "security-scan"\n'
        'figures = [{ figure = "format", none_of = ["pickle", "external"] }]\n'
    )
    good, bad = log(), log("other", format="pickle", allow_unsafe=True)
    assert workspace.policy.gate(good.ref, "promote", environment="staging").passed
    refused = workspace.policy.gate(bad.ref, "promote", environment="staging")
    assert not refused.passed and "format is pickle" in refused.requirements[0].reason


@pytest.mark.parametrize("flavour", ["sklearn", "lightgbm", "lightgbm trees", "xgboost", "cloudpickle"])
def test_a_folder_that_mlflow_wrote_is_loaded_through_its_safe_file(
    embedded: Workspace, flavour: str, tmp_path: Path, frame: pd.DataFrame, delayed: pd.Series
) -> None:
    import mlflow
    from mlflow.models import infer_signature
    from sklearn.linear_model import LogisticRegression

    numbers = frame[["distance", "hour"]].astype(float)
    folder = tmp_path / "model"
    model: Any

    def said(fitted: Any) -> Any:
        return infer_signature(numbers, fitted.predict(numbers))

    if flavour == "xgboost":
        model = xgboost.XGBClassifier(n_estimators=7).fit(numbers, delayed)
        mlflow.xgboost.save_model(
            model, folder, signature=infer_signature(numbers, model.predict(numbers)), pip_requirements=[]
        )
    elif flavour.startswith("lightgbm"):
        model = lightgbm.LGBMClassifier(**QUIET).fit(numbers, delayed)
        model = model.booster_ if flavour.endswith("trees") else model
        mlflow.lightgbm.save_model(
            model, folder, signature=infer_signature(numbers, model.predict(numbers)), pip_requirements=[]
        )
    else:
        model = LogisticRegression(max_iter=2000).fit(numbers, delayed)
        kind = "skops" if flavour == "sklearn" else "cloudpickle"
        mlflow.sklearn.save_model(model, folder, signature=said(model), serialization_format=kind, pip_requirements=[])
    blobs = embedded.caller.blobs
    files = {path.relative_to(folder).as_posix(): blobs.put(path) for path in folder.rglob("*") if path.is_file()}
    version = embedded.models.log_folder("delay", files)
    if flavour == "cloudpickle":
        assert version.record.entry == ""
        with pytest.raises(Refused, match="hold code or pickles, which no server runs"):
            embedded.models.check_servable(version)
        with pytest.raises(Refused, match="may run whatever"):
            embedded.models.load(version.ref, flavour="sklearn")
        loaded = embedded.models.load(version.ref, flavour="python_function", allow_unsafe=True).content
        np.testing.assert_array_equal(loaded.predict(numbers), model.predict(numbers))
        return
    embedded.models.check_servable(version)
    given = embedded.models.load(version.ref).predict(numbers)
    np.testing.assert_allclose(given["prediction"], model.predict(numbers), atol=1e-9)


def test_what_is_no_model_of_its_format_is_refused_and_nothing_dies(frame: pd.DataFrame, delayed: pd.Series) -> None:
    from modelwright.core.hashing import digest_bytes
    from modelwright.serving import Manifest, load

    built = build(lightgbm.LGBMClassifier(**QUIET).fit(frame, delayed), frame)
    for format, path in ((Format.LIGHTGBM, "model.lgb"), (Format.XGBOOST, "model.ubj")):
        for data in (b"", b"junk", b"\x80\x04.", b"{}", b"{L\x00", b'{"learner": {}}', b"tree\nversion=v4\nx"):
            manifest = Manifest(
                name="m", version=1, format=format, files={path: digest_bytes(data)}, signature=built.signature, digest=""
            )
            with pytest.raises(Invalid, match="cannot be read"):
                load(manifest, {path: data})


def test_the_server_never_imports_what_unpickles() -> None:
    code = (
        "import sys, modelwright.server.app, modelwright.server.process, modelwright.models, modelwright.serving.loaders;"
        "assert 'modelwright.models.unpickling' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
