"""Where a version may say that it comes from: read as text, and never opened."""

from __future__ import annotations

import posixpath
from contextlib import suppress
from urllib.parse import quote, unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from modelwright.server.mlflow.errors import MlflowError
from modelwright.server.mlflow.sources import Origin, check_claims, check_link, check_placeholder, read_source
from tests.server.mlflow.payloads import INJECTIONS, SCRIPTS, TRAVERSALS

RUN, LOGGED = "01JD0ZK3T8V1M2N3P4Q5R6S7T8", "m-" + "0" * 31 + "a"


@pytest.mark.parametrize("payload", TRAVERSALS)
def test_no_way_out_is_a_source(payload: str) -> None:
    with pytest.raises(MlflowError, match=r"source|exceeds") as raised:
        read_source(payload)
    assert raised.value.error_code == "INVALID_PARAMETER_VALUE"


@pytest.mark.parametrize("root", ["runs:/abc/", "s3://bucket/", f"models:/{LOGGED}/", "mlflow-artifacts:/0/abc/artifacts/"])
def test_nor_is_one_below_a_good_root_however_often_it_is_encoded(root: str) -> None:
    taken: list[str] = []
    for payload in (each for each in TRAVERSALS if ".." in each and len(each) < 200):
        for _ in range(4):
            with suppress(MlflowError):
                read_source(root + payload)
                taken.append(root + payload)
            payload = quote(payload, safe="")
    assert not taken


@pytest.mark.parametrize(
    ("text", "origin", "run", "logged", "path"),
    [
        (f"runs:/{RUN}/model", Origin.RUN, RUN, "", "model"),
        (f"runs:/{RUN}/a b/ü/", Origin.RUN, RUN, "", "a b/ü"),
        (f"mlflow-artifacts:/12/{RUN}/artifacts/deep/model", Origin.RUN, RUN, "", "deep/model"),
        (f"models:/{LOGGED}", Origin.LOGGED, "", LOGGED, ""),
        (f"mlflow-artifacts:/12/models/{LOGGED}/artifacts", Origin.LOGGED, "", LOGGED, ""),
        (f"mlflow-artifacts:/12/models/{LOGGED}/artifacts/x", Origin.LOGGED, "", LOGGED, "x"),
        ("s3://bucket/a/b", Origin.ELSEWHERE, "", "", ""),
        ("S3://bucket/a%20b", Origin.ELSEWHERE, "", "", ""),
        ("abfss://files@account.dfs.core.windows.net/x", Origin.ELSEWHERE, "", "", ""),
        ("dbfs:/databricks/x", Origin.ELSEWHERE, "", "", ""),
        ("hdfs://name:8020/x", Origin.ELSEWHERE, "", "", ""),
        ("https://example.org/model", Origin.ELSEWHERE, "", "", ""),
    ],
)
def test_what_a_source_leads_to(text: str, origin: Origin, run: str, logged: str, path: str) -> None:
    source = read_source(text)
    assert (source.origin, source.run, source.logged, source.path, source.text) == (origin, run, logged, path, text)


@pytest.mark.parametrize(
    ("text", "name", "selector"),
    [
        ("models:/churn/3", "churn", "3"),
        ("models:/a b@live", "a b", "@live"),
        ("models:/churn/Production", "churn", "Production"),
    ],
)
def test_another_version_may_be_the_source(text: str, name: str, selector: str) -> None:
    source = read_source(text)
    assert (source.origin, source.name, source.selector) == (Origin.VERSION, name, selector)


def test_the_request_must_name_what_its_source_belongs_to() -> None:
    run, logged = read_source(f"runs:/{RUN}/model"), read_source(f"models:/{LOGGED}")
    check_claims(run, RUN, "")
    check_claims(logged, "", LOGGED)
    check_claims(logged, RUN, LOGGED)
    check_claims(read_source("s3://bucket/x"), "", "")
    for source, claims in (
        (run, ("", "")),
        (run, (LOGGED, "")),
        (run, (RUN, LOGGED)),
        (logged, (RUN, "")),
        (logged, ("", "m-1")),
    ):
        with pytest.raises(MlflowError, match=r"run_id|model_id"):
            check_claims(source, *claims)


@pytest.mark.parametrize("text", ["", "dummy", "s3://bucket/x", "file:///etc/passwd", "Dummy-Source"])
def test_a_prompt_has_a_placeholder_and_no_source(text: str) -> None:
    check_placeholder("dummy-source")
    with pytest.raises(MlflowError, match="placeholder"):
        check_placeholder(text)


@pytest.mark.parametrize("text", [*SCRIPTS, *INJECTIONS, "ftp://x/y", "//host/x", "http://a b", "https://", "data:,x"])
def test_a_link_is_one_that_a_browser_may_follow(text: str) -> None:
    check_link("")
    check_link("https://tracking.example/#/experiments/1/runs/2")
    with pytest.raises(MlflowError, match="run_link"):
        check_link(text)


@given(st.text(max_size=80))
@example("s3://b/%2E%2e/x")
def test_whatever_is_accepted_stays_below_its_root_after_any_decoding(text: str) -> None:
    for root in ("", "s3://bucket/", "runs:/abc/", "mlflow-artifacts:/0/abc/artifacts/"):
        try:
            source = read_source(root + text)
        except MlflowError:
            continue
        decoded = source.text
        while (once := unquote(decoded)) != decoded:
            decoded = once
        scheme, _, rest = decoded.partition(":")
        assert len(scheme) > 1 and scheme.lower() != "file"
        assert not posixpath.normpath(rest.lstrip("/")).startswith("..")
        assert ".." not in rest.replace("\\", "/").split("/")
        assert not posixpath.normpath("/root/" + source.path).removeprefix("/root").startswith("/..")
