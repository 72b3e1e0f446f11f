"""Packages of both formats load to the same answers; what is not as registered, or not allowed, does not load."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

from modelwright.core.errors import Corrupt, Invalid, NotFound
from modelwright.core.signature import Column, DataType, Signature
from modelwright.serving import Format, Manifest, check_batch, load

BATCH = {"hour": [3, 22], "wind": [None, 18.5], "carrier": ["AA", "UA"]}


def manifest_like(manifest: Manifest, **changes) -> Manifest:
    import msgspec

    return msgspec.structs.replace(manifest, **changes)


def onnx_manifest(manifest: Manifest, data: bytes) -> Manifest:
    from modelwright.core.hashing import digest_bytes

    return manifest_like(manifest, format=Format.ONNX, files={"model.onnx": digest_bytes(data)})


def test_a_skops_pipeline_predicts_from_a_folder(skops_package) -> None:
    manifest, folder = skops_package
    answer = load(manifest, folder).predict(check_batch(manifest.signature, BATCH))
    assert answer["label"].tolist() == [0, 1]
    assert answer["probability"].dtype == np.float64
    assert answer["probability"][0] < 0.5 < answer["probability"][1]


def test_both_formats_of_one_model_agree(skops_package, skops_bytes: bytes, onnx_bytes: bytes) -> None:
    manifest, _ = skops_package
    columns = check_batch(manifest.signature, BATCH)
    one = load(manifest, {"model.skops": skops_bytes}).predict(columns)
    other = load(onnx_manifest(manifest, onnx_bytes), {"model.onnx": onnx_bytes}).predict(columns)
    assert one["label"].tolist() == other["label"].tolist()
    np.testing.assert_allclose(one["probability"], other["probability"], atol=1e-5)


def test_an_empty_batch_gives_empty_outputs(skops_package, onnx_bytes: bytes) -> None:
    manifest, folder = skops_package
    columns = check_batch(manifest.signature, {"hour": [], "wind": [], "carrier": []})
    for predictor in (load(manifest, folder), load(onnx_manifest(manifest, onnx_bytes), {"model.onnx": onnx_bytes})):
        answer = predictor.predict(columns)
        assert {name: values.shape for name, values in answer.items()} == {"label": (0,), "probability": (0,)}


def test_a_changed_byte_is_corrupt(skops_package, skops_bytes: bytes) -> None:
    manifest, _ = skops_package
    with pytest.raises(Corrupt, match=r"model\.skops"):
        load(manifest, {"model.skops": skops_bytes[:-1] + b"!"})


def test_a_missing_file_is_not_found(skops_package, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"model\.skops"):
        load(skops_package[0], tmp_path)


def test_a_path_out_of_the_package_is_refused(skops_package, tmp_path: Path) -> None:
    manifest = manifest_like(skops_package[0], files={"../model.skops": "0" * 64})
    with pytest.raises(Invalid, match="leads out"):
        load(manifest, tmp_path)


def test_a_skops_file_with_another_type_is_refused_by_name(skops_package) -> None:
    import skops.io
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer

    from modelwright.core.hashing import digest_bytes

    data = skops.io.dumps(make_pipeline(FunctionTransformer(Path)))
    manifest = manifest_like(skops_package[0], files={"model.skops": digest_bytes(data)})
    with pytest.raises(Invalid, match=r"not trusted: pathlib"):
        load(manifest, {"model.skops": data})


def test_a_pickle_under_the_name_of_skops_is_refused(skops_package) -> None:
    import pickle

    from modelwright.core.hashing import digest_bytes

    data = pickle.dumps({"a": 1})
    manifest = manifest_like(skops_package[0], files={"model.skops": digest_bytes(data)})
    with pytest.raises(Invalid, match="cannot be read"):
        load(manifest, {"model.skops": data})


def test_trees_are_among_the_trusted_types(skops_package) -> None:
    import skops.io
    from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier, RandomForestClassifier

    from modelwright.core.hashing import digest_bytes

    rng = np.random.default_rng(1)
    inputs, target = rng.normal(size=(60, 2)), rng.integers(0, 2, 60)
    signature = Signature(
        inputs=[Column(name=name, dtype=DataType.FP64) for name in "ab"],
        outputs=[Column(name=f"probability_{c}", dtype=DataType.FP32) for c in (0, 1)],
    )
    for model in (
        HistGradientBoostingClassifier(max_iter=3),
        RandomForestClassifier(3),
        GradientBoostingClassifier(n_estimators=3),
    ):
        stream = io.BytesIO()
        skops.io.dump(model.fit(inputs, target), stream)
        data = stream.getvalue()
        manifest = manifest_like(skops_package[0], files={"m.skops": digest_bytes(data)}, signature=signature)
        answer = load(manifest, {"m.skops": data}).predict({"a": inputs[:, 0], "b": inputs[:, 1]})
        np.testing.assert_allclose(answer["probability_1"], model.predict_proba(inputs)[:, 1], rtol=1e-6)
