"""The model registry as MLflow's own client finds it: models, versions, aliases, tags, stages, searches."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from modelwright.core.refs import Ref
from modelwright.models import Stage

ASKS_NOTHING = 'name = "standard"\n[tier.high]\n'
_numbers = itertools.count()


@pytest.fixture
def client(served_twice: Any) -> MlflowClient:
    return MlflowClient(served_twice.url, served_twice.url)


@pytest.fixture
def name() -> str:
    """A name that no other test uses."""
    return f"model {next(_numbers)}"


@pytest.fixture
def open_gates(served_twice: Any) -> Iterator[None]:
    """A policy that asks for nothing; the shipped one again afterwards."""
    from modelwright.policy.documents import shipped_text

    served_twice.here.policy.adopt(ASKS_NOTHING)
    yield
    served_twice.here.policy.adopt(shipped_text())


def add(client: MlflowClient, name: str, times: int = 1, **further: Any) -> list[Any]:
    """A model with versions that are addresses elsewhere."""
    client.create_registered_model(name)
    return [client.create_model_version(name, f"s3://bucket/{name}/{n}", **further) for n in range(times)]


def refused(work: Callable[[], Any], code: str = "INVALID_PARAMETER_VALUE") -> str:
    """What the client says of a call that fails with a code."""
    with pytest.raises(MlflowException) as raised:
        work()
    assert raised.value.error_code == code, raised.value
    return str(raised.value)


# Models


def test_a_model_is_made_found_described_tagged_and_deleted(client: MlflowClient, name: str) -> None:
    made = client.create_registered_model(name, tags={"team": "ops", "empty": ""}, description="how late")
    assert (made.name, made.description, made.tags) == (name, "how late", {"team": "ops", "empty": ""})
    assert made.creation_timestamp == made.last_updated_timestamp
    assert client.update_registered_model(name, "how late it will be").description == "how late it will be"
    client.set_registered_model_tag(name, "team", "planning")
    client.set_registered_model_tag(name, "a/b: c", "ü" * 1000)
    client.delete_registered_model_tag(name, "empty")
    client.delete_registered_model_tag(name, "never set")
    found = client.get_registered_model(name)
    assert found.tags == {"team": "planning", "a/b: c": "ü" * 1000}
    assert found.last_updated_timestamp > made.last_updated_timestamp
    assert found.latest_versions == []
    client.delete_registered_model(name)
    assert f"name={name} not found" in refused(lambda: client.get_registered_model(name), "RESOURCE_DOES_NOT_EXIST")


def test_a_name_is_taken_once(client: MlflowClient, name: str) -> None:
    client.create_registered_model(name)
    assert "already exists" in refused(lambda: client.create_registered_model(name), "RESOURCE_ALREADY_EXISTS")
    client.create_registered_model(name.upper())  # another name altogether
    assert {each.name for each in client.search_registered_models(f"name ILIKE '{name}'")} == {name, name.upper()}


@pytest.mark.parametrize("wrong", ["a/b", "a:b", "..", ".", " ", "x" * 257, "tab\tted", "nul\x00"])
def test_some_names_are_none(client: MlflowClient, wrong: str) -> None:
    refused(lambda: client.create_registered_model(wrong))


def test_a_model_keeps_everything_but_its_name(client: MlflowClient, name: str) -> None:
    add(client, name, 2)
    client.set_registered_model_alias(name, "live", "1")
    client.rename_registered_model(name, f"{name} (new)")
    assert client.get_registered_model(f"{name} (new)").aliases == {"live": "1"}
    assert client.get_model_version_by_alias(f"{name} (new)", "live").version == "1"
    assert client.get_model_version(f"{name} (new)", "2").name == f"{name} (new)"
    refused(lambda: client.get_registered_model(name), "RESOURCE_DOES_NOT_EXIST")
    client.create_registered_model(name)  # free again, and somebody else
    assert client.search_model_versions(f"name = '{name}'") == []
    refused(lambda: client.rename_registered_model(f"{name} (new)", name), "RESOURCE_ALREADY_EXISTS")


def test_what_is_not_there_is_said_to_be_so(client: MlflowClient, name: str) -> None:
    for work in (
        lambda: client.get_registered_model(name),
        lambda: client.update_registered_model(name, "x"),
        lambda: client.rename_registered_model(name, "y"),
        lambda: client.delete_registered_model(name),
        lambda: client.set_registered_model_tag(name, "k", "v"),
        lambda: client.delete_registered_model_tag(name, "k"),
        lambda: client.get_latest_versions(name),
        lambda: client.create_model_version(name, "s3://bucket/x"),
        lambda: client.set_registered_model_alias(name, "live", "1"),
        lambda: client.delete_registered_model_alias(name, "live"),
        lambda: client.get_model_version_by_alias(name, "live"),
        lambda: client.get_model_version(name, "1"),
    ):
        assert f"name={name}" in refused(work, "RESOURCE_DOES_NOT_EXIST")


# Versions


def test_a_version_is_what_it_was_made_from(client: MlflowClient, name: str, served_twice: Any) -> None:
    client.create_registered_model(name)
    made = client.create_model_version(
        name,
        "s3://bucket/path",
        run_link="https://elsewhere.example/#/runs/1",
        description="first",
        tags={"a": "1"},
    )
    assert (made.version, made.status, made.current_stage) == ("1", "READY", "None")
    found = client.get_model_version(name, "1")
    assert (found.source, found.run_link, found.description, found.tags) == (
        "s3://bucket/path",
        "https://elsewhere.example/#/runs/1",
        "first",
        {"a": "1"},
    )
    assert client.get_model_version_download_uri(name, "1") == "s3://bucket/path"
    ours = served_twice.here.registry.titled(name).latest[0]
    assert (ours.record.source, ours.record.files) == ("s3://bucket/path", {})


def test_numbers_count_up_and_are_never_given_twice(client: MlflowClient, name: str) -> None:
    assert [each.version for each in add(client, name, 3)] == ["1", "2", "3"]
    client.delete_model_version(name, "3")
    assert client.create_model_version(name, "s3://bucket/x").version == "4"
    client.delete_model_version(name, "1")
    assert client.create_model_version(name, "s3://bucket/x").version == "5"
    assert f"(name={name}, version=3) not found" in refused(
        lambda: client.get_model_version(name, "3"), "RESOURCE_DOES_NOT_EXIST"
    )
    assert [each.version for each in client.search_model_versions(f"name = '{name}'")] == ["5", "4", "2"]


def test_a_change_of_a_version_is_one_of_its_model(client: MlflowClient, name: str) -> None:
    add(client, name, 2)

    def moved(work: Callable[[], Any]) -> None:
        before = client.get_registered_model(name).last_updated_timestamp, client.get_model_version(name, "1")
        work()
        version = client.get_model_version(name, "1")
        assert client.get_registered_model(name).last_updated_timestamp > before[0]
        assert version.last_updated_timestamp > before[1].last_updated_timestamp
        assert version.creation_timestamp == before[1].creation_timestamp

    moved(lambda: client.update_model_version(name, "1", "words"))
    moved(lambda: client.set_model_version_tag(name, "1", "k", "v"))
    moved(lambda: client.delete_model_version_tag(name, "1", "k"))
    moved(lambda: client.set_registered_model_alias(name, "live", "1"))
    moved(lambda: client.transition_model_version_stage(name, "1", "Archived"))
    assert client.get_model_version(name, "1").description == "words"
    assert client.get_model_version(name, "1").tags == {}


@pytest.mark.parametrize("wrong", ["x", "0", "-1", "01", "1.0", "", "٣", "latest"])
def test_a_version_has_one_number_written_one_way(client: MlflowClient, name: str, wrong: str) -> None:
    add(client, name)
    refused(lambda: client.get_model_version(name, wrong))


def test_a_version_may_be_copied_to_another_model(client: MlflowClient, name: str, served_twice: Any) -> None:
    add(client, name)
    copy = client.copy_model_version(f"models:/{name}/1", f"{name} copy")
    assert (copy.name, copy.version, copy.source) == (f"{name} copy", "1", f"models:/{name}/1")
    assert client.get_model_version_download_uri(f"{name} copy", "1") == f"s3://bucket/{name}/0"


# Aliases


def test_an_alias_moves_and_goes(client: MlflowClient, name: str) -> None:
    add(client, name, 2)
    client.set_registered_model_alias(name, "live", "1")
    client.set_registered_model_alias(name, "Live-2", 2)
    assert client.get_model_version_by_alias(name, "live").version == "1"
    client.set_registered_model_alias(name, "live", "2")
    assert client.get_registered_model(name).aliases == {"live": "2", "Live-2": "2"}
    assert sorted(client.get_model_version(name, "2").aliases) == ["Live-2", "live"]
    for unusual in ("2026-best", "x" * 255):
        client.set_registered_model_alias(name, unusual, "1")
        assert client.get_model_version_by_alias(name, unusual).version == "1"
        client.delete_registered_model_alias(name, unusual)
    client.delete_registered_model_alias(name, "live")
    client.delete_registered_model_alias(name, "live")
    assert "alias live not found" in refused(lambda: client.get_model_version_by_alias(name, "live"))
    assert client.get_model_version_by_alias(name, "latest").version == "2"


WRONG_ALIASES = ["latest", "LATEST", "v1", "V22", "a b", "a.b", "a/b", "", "ü", "12", "-x", "x" * 256, "a@b"]


@pytest.mark.parametrize("wrong", WRONG_ALIASES)
def test_some_aliases_are_none(client: MlflowClient, name: str, wrong: str) -> None:
    add(client, name)
    refused(lambda: client.set_registered_model_alias(name, wrong, "1"))


def test_what_an_alias_names_is_not_deleted(client: MlflowClient, name: str) -> None:
    add(client, name)
    client.set_registered_model_alias(name, "live", "1")
    assert "live" in refused(lambda: client.delete_model_version(name, "1"))
    assert "live" in refused(lambda: client.delete_registered_model(name))
    client.delete_registered_model_alias(name, "live")
    client.delete_registered_model(name)


# Stages


@pytest.mark.usefixtures("open_gates")
def test_stages_in_any_case_and_what_is_latest_on_each(client: MlflowClient, name: str, served_twice: Any) -> None:
    add(client, name, 4)
    assert client.transition_model_version_stage(name, "1", "production").current_stage == "Production"
    assert client.transition_model_version_stage(name, "2", "STAGING").current_stage == "Staging"
    assert client.transition_model_version_stage(name, "3", "Staging").current_stage == "Staging"
    assert {each.current_stage: each.version for each in client.get_latest_versions(name)} == {
        "Production": "1",
        "Staging": "3",
        "None": "4",
    }
    assert [each.version for each in client.get_latest_versions(name, ["Staging"])] == ["3"]
    assert client.get_latest_versions(name, ["archived"]) == []
    listed = client.get_registered_model(name).latest_versions
    assert sorted((each.current_stage, each.version) for each in listed) == [
        ("None", "4"),
        ("Production", "1"),
        ("Staging", "3"),
    ]
    assert served_twice.here.registry.titled(name).latest[-1].stage is Stage.PRODUCTION


@pytest.mark.usefixtures("open_gates")
def test_others_are_archived_for_one(client: MlflowClient, name: str) -> None:
    add(client, name, 3)
    for version in "12":
        client.transition_model_version_stage(name, version, "Production")
    client.transition_model_version_stage(name, "3", "Production", archive_existing_versions=True)
    stages = [client.get_model_version(name, each).current_stage for each in "123"]
    assert stages == ["Archived", "Archived", "Production"]
    assert client.transition_model_version_stage(name, "1", "None").current_stage == "None"
    assert client.transition_model_version_stage(name, "3", "None").current_stage == "None"
    for stage in ("None", "Archived"):
        assert "archive" in refused(
            lambda stage=stage: client.transition_model_version_stage(name, "1", stage, archive_existing_versions=True)
        )
    assert "Value must be one of None, Staging, Production, Archived" in refused(
        lambda: client.transition_model_version_stage(name, "1", "Live")
    )


def test_what_was_retired_is_archived_for_good(client: MlflowClient, name: str, served_twice: Any) -> None:
    add(client, name)
    ref = served_twice.here.registry.titled(name).ref.at(1)
    served_twice.here.models.retire(ref, reason="worn out")
    assert client.get_model_version(name, "1").current_stage == "Archived"
    assert client.transition_model_version_stage(name, "1", "archived").current_stage == "Archived"
    refused(lambda: client.transition_model_version_stage(name, "1", "None"))


# Searches


def test_models_are_searched_by_name_and_tag_in_order_and_in_pages(client: MlflowClient, name: str) -> None:
    names = [f"{name} {letter}" for letter in "dbcae"]
    for each in names:
        client.create_registered_model(each, tags={"letter": each[-1], "of": name})
    ours = f"tags.of = '{name}'"

    def found(text: str, **further: Any) -> list[str]:
        return [each.name[-1] for each in client.search_registered_models(text, **further)]

    assert found(ours) == list("abcde")
    assert found(f"{ours} AND name LIKE '%b'") == ["b"]
    assert found(f"{ours} and tag.letter != 'b'", order_by=["name DESC"]) == list("edca")
    assert found(ours, order_by=["last_updated_timestamp DESC"]) == list("eacbd")
    assert found(f"name IN ('{name} a', '{name} b')") == ["a", "b"]
    assert found(f"{ours} AND (tags.letter = 'a' OR NOT tags.letter = 'c')") == list("abde")
    first = client.search_registered_models(ours, max_results=2)
    second = client.search_registered_models(ours, max_results=2, page_token=first.token)
    third = client.search_registered_models(ours, max_results=2, page_token=second.token)
    assert [[each.name[-1] for each in page] for page in (first, second, third)] == [["a", "b"], ["c", "d"], ["e"]]
    assert not third.token
    assert not client.search_registered_models(ours, max_results=5).token
    refused(lambda: client.search_registered_models(f"{ours} AND name != 'x'", page_token=first.token))
    refused(lambda: client.search_registered_models(ours, page_token="?"))


def test_versions_are_searched_by_all_that_is_known_of_them(client: MlflowClient, name: str) -> None:
    add(client, name, 3)
    add(client, f"{name}!", 1, tags={"k": "V"})

    def found(text: str, **further: Any) -> list[tuple[str, str]]:
        return [(each.name, each.version) for each in client.search_model_versions(text, **further)]

    assert found(f"name = '{name}'") == [(name, "3"), (name, "2"), (name, "1")]
    assert found(f"name = '{name}' AND version_number > 1", order_by=["version_number ASC"]) == [(name, "2"), (name, "3")]
    assert found(f"source_path LIKE 's3://bucket/{name}!/%'") == [(f"{name}!", "1")]
    assert found(f"name LIKE '{name}%' AND tags.k ILIKE 'v'") == [(f"{name}!", "1")]
    assert found(f"name LIKE '{name}%' AND tags.k LIKE 'v'") == []
    assert found(f"name LIKE '{name}%' AND run_id IN ('{'0' * 32}')") == []
    client.update_model_version(name, "1", "touched")
    assert found(f"name LIKE '{name}%'")[0] == (name, "1")


@pytest.mark.parametrize(
    "wrong",
    ["name", "name =", "name = x", "name > 'a'", "name = 'a' OR", "foo = 'a'", "metrics.x > 1", "tags.k > '1'",
     "(name = 'a'", "name = 'a' name = 'b'", "version_number = 'x'", "version_number LIKE '1'", "name IN ()",
     "name IN 'a'", "'a' = name", "name = 'a'; DROP TABLE x", "NOT", "tags. = 'x'", "version_number = 1.5",
     "version_number = 9999999999", "source_path IN ('a')", "(" * 60 + "name = 'a'" + ")" * 60,
     " OR ".join(["name = 'a'"] * 500)],
)  # fmt: skip
def test_a_filter_that_is_none_is_said_to_be_so(client: MlflowClient, wrong: str) -> None:
    refused(lambda: client.search_model_versions(wrong))


@pytest.mark.parametrize("wrong", ["creation_timestamp", "name UP", "name ASC, version", "tags.x", "name;--"])
def test_an_order_that_is_none_is_said_to_be_so(client: MlflowClient, wrong: str) -> None:
    refused(lambda: client.search_registered_models(order_by=[wrong]))


def test_a_page_has_a_size(client: MlflowClient) -> None:
    for most in (0, -1, 1001):
        refused(lambda most=most: client.search_registered_models(max_results=most))
    for most in (0, 200_001):
        refused(lambda most=most: client.search_model_versions(max_results=most))


# Both worlds


def test_what_is_registered_is_a_version_like_every_other(client: MlflowClient, name: str, served_twice: Any) -> None:
    add(client, name)
    here = served_twice.here
    model = here.registry.titled(name)
    assert model.ref == Ref.parse(str(model.ref))
    client.set_registered_model_alias(name, "live", "1")
    assert here.models.show(model.ref.at("live")).ref == model.ref.at(1)
    assert here.models.history(model.ref, alias="live")[0].version == 1


def test_a_model_with_a_path_is_read_and_searched_but_not_made(client: MlflowClient, served_twice: Any) -> None:
    served_twice.here.models.log_folder("pricing/delay", {}, source="s3://bucket/x")
    assert client.get_registered_model("pricing/delay").latest_versions[0].version
    assert [each.name for each in client.search_registered_models("name = 'pricing/delay'")] == ["pricing/delay"]
    refused(lambda: client.create_registered_model("pricing/other"))
