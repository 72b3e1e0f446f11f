"""Prompts through MLflow's own client: registered models with a tag, and hidden where models are looked for."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from mlflow.exceptions import MlflowException

_numbers = itertools.count()


@pytest.fixture
def name() -> str:
    """A name that no other test uses."""
    return f"prompt-{next(_numbers)}"


@pytest.fixture
def genai(mlflow: Any) -> Any:
    """`mlflow.genai`, which remembers no prompt of another test."""
    from mlflow.prompt.registry_utils import PromptCache

    PromptCache._reset_instance()
    return mlflow.genai


def test_a_prompt_is_registered_and_loaded_in_every_way(genai: Any, name: str) -> None:
    first = genai.register_prompt(name, "Say {{what}} to {{whom}}", commit_message="first", tags={"team": "ops"})
    assert (first.name, first.version, first.template) == (name, 1, "Say {{what}} to {{whom}}")
    second = genai.register_prompt(name, "Tell {{whom}} {{what}}", commit_message="second")
    assert second.version == 2
    genai.set_prompt_alias(name, "live", 1)
    for address, version in (
        (f"prompts:/{name}/2", 2),
        (f"prompts:/{name}@live", 1),
        (name, 2),
        (f"prompts:/{name}@latest", 2),
    ):
        loaded = genai.load_prompt(address)
        assert loaded.version == version
    loaded = genai.load_prompt(name, version=1)
    assert loaded.format(what="hello", whom="Ada") == "Say hello to Ada"
    assert loaded.commit_message == "first"
    assert loaded.tags == {"team": "ops"}
    assert loaded.aliases == ["live"]


def test_a_chat_keeps_its_messages_and_the_form_of_its_answer(genai: Any, name: str) -> None:
    messages = [{"role": "system", "content": "Be {{style}}."}, {"role": "user", "content": "{{question}}"}]
    form = {"type": "object", "properties": {"answer": {"type": "string"}}}
    genai.register_prompt(name, messages, response_format=form)
    loaded = genai.load_prompt(name, version=1)
    assert loaded.template == messages
    assert loaded.response_format == form
    assert loaded.format(style="kind", question="why?")[1] == {"role": "user", "content": "why?"}


def test_aliases_move_and_go(genai: Any, name: str) -> None:
    for text in ("one", "two"):
        genai.register_prompt(name, text)
    genai.set_prompt_alias(name, "live", 1)
    genai.set_prompt_alias(name, "live", 2)
    assert genai.load_prompt(f"prompts:/{name}@live").template == "two"
    genai.delete_prompt_alias(name, "live")
    with pytest.raises(MlflowException):
        genai.load_prompt(f"prompts:/{name}@live")
    assert genai.load_prompt(f"prompts:/{name}@gone", allow_missing=True) is None


def test_prompts_are_found_among_prompts_and_models_among_models(genai: Any, client: Any, name: str) -> None:
    genai.register_prompt(name, "text", tags={"team": name})
    client.create_registered_model(f"{name}-model", tags={"team": name})
    client.create_model_version(f"{name}-model", "s3://bucket/x", tags={"team": name})
    assert [each.name for each in genai.search_prompts(f"name LIKE '{name}%'")] == [name]
    assert [each.name for each in genai.search_prompts(f"tags.team = '{name}'")] == [name]
    assert [each.name for each in client.search_registered_models(f"name LIKE '{name}%'")] == [f"{name}-model"]
    assert [each.name for each in client.search_model_versions(f"name LIKE '{name}%'")] == [f"{name}-model"]
    tag = "tags.`mlflow.prompt.is_prompt`"
    for asked, found in (
        (f"{tag} = 'true'", [name]),
        (f"{tag} != 'false'", [name]),
        (f"{tag} = 'false'", [f"{name}-model"]),
        (f"{tag} != 'true'", [f"{name}-model"]),
        (f"({tag} = 'true' OR {tag} != 'true')", [name, f"{name}-model"]),
        (f"NOT {tag} = 'true'", [f"{name}-model"]),
    ):
        assert [each.name for each in client.search_registered_models(f"tags.team = '{name}' AND {asked}")] == found


def test_tags_of_a_prompt_and_of_its_versions(genai: Any, client: Any, name: str) -> None:
    genai.register_prompt(name, "text")
    client.set_prompt_tag(name, "team", "ops")
    client.set_prompt_version_tag(name, "1", "state", "good")
    assert client.get_prompt(name).tags["team"] == "ops"
    assert genai.load_prompt(name, version=1).tags["state"] == "good"
    client.delete_prompt_tag(name, "team")
    client.delete_prompt_version_tag(name, "1", "state")
    assert "team" not in client.get_prompt(name).tags
    assert "state" not in genai.load_prompt(name, version=1).tags


def test_versions_are_listed_and_deleted(genai: Any, client: Any, name: str) -> None:
    for text in ("one", "two", "three"):
        genai.register_prompt(name, text)
    assert [each.version for each in client.search_prompt_versions(name)] == [3, 2, 1]
    client.delete_prompt_version(name, "3")
    assert genai.register_prompt(name, "four").version == 4
    with pytest.raises(MlflowException, match="not found") as raised:
        client.get_prompt_version(name, "3")
    assert raised.value.error_code == "RESOURCE_DOES_NOT_EXIST"
    client.delete_prompt(name)
    assert client.get_prompt(name) is None


def test_a_prompt_and_a_model_do_not_share_a_name(genai: Any, client: Any, name: str) -> None:
    genai.register_prompt(name, "text")
    with pytest.raises(MlflowException, match="already taken by a prompt"):
        client.create_registered_model(name)
    with pytest.raises(MlflowException, match="is a prompt"):
        client.create_model_version(name, "s3://bucket/x")
    client.create_registered_model(f"{name}-model")
    with pytest.raises(MlflowException, match="exists with the same name"):
        genai.register_prompt(f"{name}-model", "text")


def test_what_a_version_says_is_for_good(genai: Any, served: Any, name: str) -> None:
    genai.register_prompt(name, "text")
    text, mark = "mlflow.prompt.text", "mlflow.prompt.is_prompt"
    for method, path, fields in (
        ("POST", "model-versions/set-tag", {"version": "1", "key": text, "value": "another"}),
        ("DELETE", "model-versions/delete-tag", {"version": "1", "key": text}),
        ("POST", "model-versions/set-tag", {"version": "1", "key": mark, "value": "false"}),
        ("POST", "registered-models/set-tag", {"key": mark, "value": "false"}),
        ("DELETE", "registered-models/delete-tag", {"key": mark}),
    ):
        answer = served.call(method, f"2.0/mlflow/{path}", name=name, **fields)
        assert (answer.status_code, answer.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
    version = served.here.models.show(served.here.registry.titled(name).ref)
    assert version.record.params == {text: "text"}  # the version's digest covers it


@pytest.mark.parametrize("source", ["s3://bucket/x", "file:///etc/passwd", "/etc/passwd", "runs:/x/y"])
def test_the_tag_of_a_prompt_lets_no_address_in(genai: Any, served: Any, name: str, source: str) -> None:
    genai.register_prompt(name, "text")
    tags = [{"key": "mlflow.prompt.is_prompt", "value": "true"}, {"key": "mlflow.prompt.text", "value": "x"}]
    answer = served.call("POST", "2.0/mlflow/model-versions/create", name=name, source=source, tags=tags)
    assert (answer.status_code, answer.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
    assert "placeholder" in answer.json()["message"]
