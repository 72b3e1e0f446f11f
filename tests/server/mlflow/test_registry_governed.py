"""What carries traffic moves only through its gate, through MLflow's client as through every other door; who may what."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from modelwright.core.principals import Principal
from modelwright.models import Stage
from modelwright.store import Verdict, acting_as
from modelwright.testing import serving
from modelwright.workspace import ServerSettings, Settings, Workspace, WorkspaceSettings, open_workspace

POLICY = """
name = "standard"

[[tier.high.require]]
id = "evaluation"
evidence = "evaluation"
environments = ["staging", "production"]

[[tier.high.require]]
id = "model-card"
evidence = "model-card"
verdicts = ["info"]
environments = ["production"]

[[tier.high.require]]
id = "approval"
approvals = 1
environments = ["production"]
"""
PASSWORD = "correct horse battery staple"


@pytest.fixture(scope="module")
def governed(served: Any) -> Any:
    served.here.policy.adopt(POLICY)
    return served


@pytest.fixture
def version(governed: Any, request: pytest.FixtureRequest) -> tuple[MlflowClient, str, Any]:
    """A client, the name of a model with one version, and its ref."""
    client, name = MlflowClient(governed.url, governed.url), request.node.name
    client.create_registered_model(name)
    client.create_model_version(name, "s3://bucket/x")
    return client, name, governed.here.registry.titled(name).ref.at(1)


def meet(here: Workspace, ref: Any) -> None:
    """Everything that the policy asks for."""
    here.record.attach(ref, "evaluation", Verdict.PASS)
    here.record.attach(ref, "model-card", Verdict.INFO)
    with acting_as(Principal(id="grace", trusted=True)):
        here.policy.approve(ref, "promote", environment="production", reason="read")


@pytest.mark.parametrize("stage", ["Production", "production"])
def test_a_transition_is_refused_with_every_reason(version: Any, governed: Any, stage: str) -> None:
    client, name, ref = version
    with pytest.raises(MlflowException) as refused:
        client.transition_model_version_stage(name, "1", stage)
    assert refused.value.error_code == "PERMISSION_DENIED"
    for told in ("evaluation: ", "model-card: ", "approval: ", "has no evidence of the kind evaluation", "gate refuses"):
        assert told in str(refused.value)
    assert governed.here.models.show(ref).stage is Stage.CANDIDATE
    answer = governed.call("POST", "2.0/mlflow/model-versions/transition-stage", name=name, version="1", stage="Staging")
    assert (answer.status_code, answer.json()["error_code"]) == (403, "PERMISSION_DENIED")


def test_the_alias_of_what_is_live_passes_the_gates(version: Any, governed: Any) -> None:
    client, name, ref = version
    with pytest.raises(MlflowException) as refused:
        client.set_registered_model_alias(name, "champion", "1")
    assert refused.value.error_code == "PERMISSION_DENIED"
    for requirement in ("evaluation: ", "model-card: ", "approval: "):
        assert requirement in str(refused.value)
    assert client.get_registered_model(name).aliases == {}
    client.set_registered_model_alias(name, "challenger", "1")  # carries nothing

    meet(governed.here, ref)
    client.set_registered_model_alias(name, "champion", "1")
    live = governed.here.models.champion(ref.name)
    assert live is not None and live.stage is Stage.PRODUCTION
    assert client.get_model_version_by_alias(name, "champion").current_stage == "Production"


def test_a_version_that_meets_its_policy_moves_and_the_gate_is_on_the_record(version: Any, governed: Any) -> None:
    client, name, ref = version
    meet(governed.here, ref)
    assert client.transition_model_version_stage(name, "1", "Production").current_stage == "Production"
    actions = [event.action for event in governed.here.record.history(ref).items]
    assert actions.count("models.version.promoted") == 2
    assert client.transition_model_version_stage(name, "1", "None").current_stage == "None"


def test_what_is_live_is_neither_archived_nor_deleted_nor_renamed_until_it_is_live_no_more(
    version: Any, governed: Any
) -> None:
    client, name, ref = version
    meet(governed.here, ref)
    client.set_registered_model_alias(name, "champion", "1")
    for work in (
        lambda: client.transition_model_version_stage(name, "1", "Archived"),
        lambda: client.delete_model_version(name, "1"),
        lambda: client.delete_registered_model(name),
        lambda: client.rename_registered_model(name, "another"),
    ):
        with pytest.raises(MlflowException, match="champion") as refused:
            work()
        assert refused.value.error_code == "INVALID_PARAMETER_VALUE"
    client.delete_registered_model_alias(name, "champion")
    assert client.transition_model_version_stage(name, "1", "Archived").current_stage == "Archived"
    client.delete_registered_model(name)


# Who may


class Guarded:
    """A server that wants to know who asks, and two people with a model each."""

    def __init__(self, here: Workspace, url: str) -> None:
        self.here, self.url = here, url
        self.tokens: dict[str, str] = {}
        for team, who in (("ours", "ada"), ("theirs", "eve")):
            here.access.create_user(who)
            here.access.grant(who, "model_owner", scope=f"model:{team}")
            with acting_as(Principal(id=who, trusted=True)):
                here.access.set_password(who, password=PASSWORD)
                self.tokens[who] = here.access.create_token(who).token
            here.registry.create(team, tags={"team": team})
            here.models.log_folder(team, {}, source="s3://bucket/x", tags={"team": team})
            here.models.alias(here.registry.titled(team).ref.at(1), "live")
            here.policy.adopt(POLICY)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, migrated_sqlite: Any) -> Iterator[Guarded]:
    import shutil

    folder = tmp_path_factory.mktemp("guarded") / "project"
    (folder / ".modelwright").mkdir(parents=True, mode=0o700)
    shutil.copyfile(migrated_sqlite, folder / ".modelwright" / "workspace.db")
    settings = Settings(
        workspace=WorkspaceSettings(name="test"), server=ServerSettings(turn_every=0.05, authentication="required")
    )
    with open_workspace(folder, settings=settings) as here, serving(here) as url:
        yield Guarded(here, url)


@pytest.fixture
def ada(guarded: Guarded, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    """Ada's client, who answers for `ours` and may not even know of `theirs`."""
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", guarded.tokens["ada"])
    return MlflowClient(guarded.url, guarded.url)


def code_of(work: Any) -> str:
    with pytest.raises(MlflowException) as raised:
        work()
    return str(raised.value.error_code)


def test_a_stranger_is_told_nothing(guarded: Guarded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_TOKEN", raising=False)
    client = MlflowClient(guarded.url, guarded.url)
    assert code_of(lambda: client.get_registered_model("ours")) == "UNAUTHENTICATED"
    assert code_of(lambda: client.search_registered_models()) == "UNAUTHENTICATED"


def test_a_token_and_a_password_are_both_known(
    guarded: Guarded, ada: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ada.get_registered_model("ours").tags == {"team": "ours"}
    monkeypatch.delenv("MLFLOW_TRACKING_TOKEN")
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "ada")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORD)
    client = MlflowClient(guarded.url, guarded.url)
    assert client.get_registered_model("ours").tags == {"team": "ours"}
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORD + "?")
    assert code_of(lambda: client.get_registered_model("ours")) == "UNAUTHENTICATED"


def test_searches_show_what_one_may_read_and_nothing_else(ada: MlflowClient) -> None:
    assert [each.name for each in ada.search_registered_models()] == ["ours"]
    assert ada.search_registered_models("name = 'theirs' OR tags.team = 'theirs'") == []
    assert [each.name for each in ada.search_registered_models("NOT name = 'x'")] == ["ours"]
    assert [each.name for each in ada.search_model_versions()] == ["ours"]
    assert ada.search_model_versions("name != 'ours'") == []
    page = ada.search_registered_models(max_results=1)
    assert [each.name for each in page] == ["ours"] and not page.token


def test_another_projects_model_is_as_if_it_were_not_there(ada: MlflowClient) -> None:
    for name in ("theirs", "nobody's"):
        for work in (
            lambda name=name: ada.get_registered_model(name),
            lambda name=name: ada.get_model_version(name, "1"),
            lambda name=name: ada.get_model_version_download_uri(name, "1"),
            lambda name=name: ada.get_model_version_by_alias(name, "live"),
            lambda name=name: ada.get_latest_versions(name),
            lambda name=name: ada.update_registered_model(name, "x"),
            lambda name=name: ada.update_model_version(name, "1", "x"),
            lambda name=name: ada.set_registered_model_tag(name, "k", "v"),
            lambda name=name: ada.set_model_version_tag(name, "1", "k", "v"),
            lambda name=name: ada.delete_registered_model_tag(name, "k"),
            lambda name=name: ada.delete_model_version_tag(name, "1", "k"),
            lambda name=name: ada.set_registered_model_alias(name, "live", "1"),
            lambda name=name: ada.delete_registered_model_alias(name, "live"),
            lambda name=name: ada.rename_registered_model(name, "ours too"),
            lambda name=name: ada.create_model_version(name, "s3://bucket/x"),
            lambda name=name: ada.transition_model_version_stage(name, "1", "Archived"),
            lambda name=name: ada.delete_model_version(name, "1"),
            lambda name=name: ada.delete_registered_model(name),
            lambda name=name: ada.create_model_version("ours", f"models:/{name}/1"),
        ):
            assert code_of(work) == "RESOURCE_DOES_NOT_EXIST"


def test_a_name_that_somebody_else_holds_is_taken(ada: MlflowClient) -> None:
    assert code_of(lambda: ada.rename_registered_model("ours", "theirs")) == "RESOURCE_ALREADY_EXISTS"


def test_what_one_may_see_and_not_do_is_denied(ada: MlflowClient) -> None:
    assert code_of(lambda: ada.delete_registered_model("ours")) == "PERMISSION_DENIED"
    assert code_of(lambda: ada.delete_model_version("ours", "1")) == "PERMISSION_DENIED"
    assert code_of(lambda: ada.set_registered_model_alias("ours", "champion", "1")) == "PERMISSION_DENIED"
    assert code_of(lambda: ada.transition_model_version_stage("ours", "1", "Production")) == "PERMISSION_DENIED"


@pytest.mark.parametrize("name", ["theirs", "theirs ", "Theirs", "their%73", "a model of theirs", "th\u00e9irs"])
def test_a_name_gives_no_right_on_another_that_looks_like_it(ada: MlflowClient, guarded: Guarded, name: str) -> None:
    assert code_of(lambda: ada.create_registered_model(name)) in ("RESOURCE_DOES_NOT_EXIST", "PERMISSION_DENIED")
    assert [each.title for each in guarded.here.registry.search().items] == ["ours", "theirs"]
