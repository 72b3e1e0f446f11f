"""What MLflow's client finds before it does anything, and what it is told where there is nothing."""

from __future__ import annotations

from typing import Any

import mlflow
import pytest
from mlflow.exceptions import MlflowException
from mlflow.utils.rest_utils import MlflowHostCreds, http_request

from modelwright.server.mlflow.unoffered import UNOFFERED


def test_the_version_is_that_of_the_client_it_was_tested_with(served: Any) -> None:
    answer = served.http.get("/version")
    assert answer.text == mlflow.__version__
    assert served.http.get("/health").text == "OK"


def test_new_clients_are_told_what_the_server_can_do(served: Any) -> None:
    offers = served.call("GET", "3.0/mlflow/server-info").json()
    assert offers["store_type"] == "SqlStore"
    assert offers["workspaces_enabled"] is False


@pytest.mark.parametrize("prefix", ["/api", "/ajax-api"])
def test_what_is_not_there_is_said_in_the_words_of_mlflow(served: Any, prefix: str) -> None:
    answer = served.http.post(f"{prefix}/2.0/mlflow/no/such/thing", json={})
    assert answer.status_code == 404
    assert answer.json()["error_code"] == "ENDPOINT_NOT_FOUND"


@pytest.mark.parametrize(("method", "path"), UNOFFERED)
def test_what_is_not_offered_is_said_to_be_so(served: Any, method: str, path: str) -> None:
    below = path.replace("{rest*}", "some/thing")
    answer = served.http.request(method, f"/api{below}" if below[1].isdigit() else below)
    assert answer.status_code == 501
    assert answer.json()["error_code"] == "NOT_IMPLEMENTED"


def test_the_client_raises_what_it_is_told(served: Any) -> None:
    from mlflow.utils.rest_utils import verify_rest_response

    answer = http_request(MlflowHostCreds(served.url), "/api/3.0/mlflow/gateway/endpoints/list", "GET")
    with pytest.raises(MlflowException, match="not offered") as raised:
        verify_rest_response(answer, "/api/3.0/mlflow/gateway/endpoints/list")
    assert raised.value.error_code == "NOT_IMPLEMENTED"
