"""Who asks and who there is, asked as MLflow's client for accounts does (which itself needs parts of MLflow's server)."""

from __future__ import annotations

from typing import Any

import pytest
from mlflow.exceptions import MlflowException
from mlflow.utils.rest_utils import MlflowHostCreds, http_request, verify_rest_response

from modelwright.core.principals import Principal
from modelwright.store import acting_as

PASSWORD = "correct horse battery staple"


class Asking:
    """Somebody who asks."""

    def __init__(self, url: str, name: str) -> None:
        self._creds = MlflowHostCreds(url, username=name, password=PASSWORD)

    def __call__(self, method: str, endpoint: str, **fields: Any) -> Any:
        path, how = f"/api/{endpoint}", "params" if method == "GET" else "json"
        answer = http_request(self._creds, path, method, **{how: fields})
        return verify_rest_response(answer, path).json()


def test_accounts_are_seen_through_mlflow_and_kept_by_our_own_commands(locked: Any) -> None:
    access = locked.here.access
    for name, role in (("root", "admin"), ("ada", "viewer")):
        access.create_user(name)
        access.grant(name, role)
        with acting_as(Principal(id=name, trusted=True)):
            access.set_password(name, password=PASSWORD)
    ada, root = Asking(locked.url, "ada"), Asking(locked.url, "root")
    said = {
        "ada": {"id": "ada", "username": "ada", "is_admin": False},
        "root": {"id": "root", "username": "root", "is_admin": True},
    }
    for name, asking in (("ada", ada), ("root", root)):
        assert asking("GET", "2.0/mlflow/users/current") == {"user": said[name], "is_basic_auth": True}
    assert root("GET", "2.0/mlflow/users/get", username="ada") == {"user": said["ada"]}
    assert root("GET", "2.0/mlflow/users/list") == {"users": [said["ada"], said["root"]]}
    with pytest.raises(MlflowException, match="nobody not found") as raised:
        root("GET", "2.0/mlflow/users/get", username="nobody")
    assert raised.value.error_code == "RESOURCE_DOES_NOT_EXIST"

    for method, path, fields in (
        ("POST", "2.0/mlflow/users/create", {"username": "new", "password": "password1234"}),
        ("PATCH", "2.0/mlflow/users/update-password", {"username": "ada", "password": "password1234"}),
        ("PATCH", "2.0/mlflow/users/update-admin", {"username": "ada", "is_admin": True}),
        ("DELETE", "2.0/mlflow/users/delete", {"username": "ada"}),
        ("POST", "3.0/mlflow/users/permissions/grant", {"username": "ada"}),
        ("GET", "3.0/mlflow/roles/list", {}),
    ):
        with pytest.raises(MlflowException, match="not offered") as raised:
            root(method, path, **fields)
        assert raised.value.error_code == "NOT_IMPLEMENTED"


def test_where_nobody_is_asked_whoever_runs_the_server_is_its_admin(served: Any) -> None:
    user = served.call("GET", "2.0/mlflow/users/current").json()["user"]
    assert user["username"] == served.here.caller.principal.id and user["is_admin"]
