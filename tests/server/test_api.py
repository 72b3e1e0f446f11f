"""Operations over HTTP: described in full, and the same values and errors at both ends."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import httpx
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from modelwright.client.remote import Remote, error_of
from modelwright.core import errors
from modelwright.core.errors import ModelwrightError, NotFound
from modelwright.core.operations import operations_of
from modelwright.core.paging import Filter
from modelwright.core.refs import Ref
from modelwright.server.api.openapi import openapi
from modelwright.server.app import create_app
from modelwright.server.security import error_body
from modelwright.testing import serving
from modelwright.workspace import Workspace


def test_the_description_is_valid_and_names_every_operation(embedded: Workspace, thorough: bool) -> None:
    """Whether it is valid is asked of all schemas and of every thirtieth path, or of all: they are derived by one rule."""
    document = openapi(embedded.rooms)
    paths = document["paths"] if thorough else dict([*document["paths"].items()][::30])
    OpenAPIV31SpecValidator({**document, "paths": paths}).validate()
    described = {path.removeprefix("/api/v1/") for path in document["paths"]}
    every = [operation for _, operation in operations_of(embedded.rooms)]
    assert {operation.path for operation in every} <= described
    for operation in every:
        told = document["paths"][f"/api/v1/{operation.path}"]["post"]
        body = told["requestBody"]["content"]["application/json"]["schema"]
        assert list(body["properties"]) == [parameter.name for parameter in operation.parameters]
        assert told["summary"] and told["x-permission"] == operation.verb
        assert told["responses"]["200"]["content"]["application/json"]["schema"] is not None
        assert {"400", "401", "403", "404", "409", "422"} <= told["responses"].keys()


# These docs/server.md tells of
DIRECT = {"openapi.json", "whoami", "objects", "objects/{digest}", "login", "logout", "setup"}
DIRECT |= {"lineage", "lineage/batch"}  # OpenLineage's


def test_no_address_of_the_api_but_the_documented_few_is_left_out(embedded: Workspace) -> None:
    routes = {route.path.removeprefix("/api/v1/") for route in create_app(embedded).app.routes if "/api/v1/" in route.path}
    described = {path.removeprefix("/api/v1/") for path in openapi(embedded.rooms)["paths"]}
    assert routes - described == DIRECT


def test_a_served_description_is_the_same(embedded: Workspace) -> None:
    with serving(embedded) as url:
        assert httpx.get(f"{url}/api/v1/openapi.json").json()["openapi"] == "3.1.0"


def tree(kind: type[ModelwrightError]) -> Iterator[type[ModelwrightError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from tree(child)


CORE = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, ModelwrightError)]


@pytest.mark.parametrize("kind", CORE)
def test_an_error_is_the_same_at_both_ends(kind: type[ModelwrightError]) -> None:
    raised = kind("What is wrong.", mend="Put it right.", details={"which": ["a", 1]})
    answer = httpx.Response(
        kind.status,
        content=error_body(raised),
        headers={"content-type": "application/json"},
        request=httpx.Request("POST", "http://x/"),
    )
    arrived = error_of(answer)
    assert type(arrived) is kind
    assert (arrived.message, arrived.mend, arrived.details) == (raised.message, raised.mend, raised.details)


def test_codes_are_unique_so_that_an_error_finds_its_type() -> None:
    own = [kind for kind in tree(ModelwrightError) if "code" in vars(kind)]
    by_code: dict[str, set[str]] = {}
    for kind in own:
        by_code.setdefault(kind.code, set()).add(str(kind.status))
    assert all(len(statuses) == 1 for statuses in by_code.values()), by_code


def test_refs_times_filters_and_pages_arrive_as_they_were(workspace: Workspace) -> None:
    for number in range(5):
        workspace.experiments.create(f"group/n{number}", description=f"№ {number} — “quoted” \U0001f701")
    first = workspace.experiments.list_experiments(Filter(under="group", limit=2))
    assert first.next is not None and len(first.items) == 2
    seen, page = list(first.items), first
    while page.next is not None:
        page = workspace.experiments.list_experiments(Filter(under="group", limit=2, after=page.next))
        seen += page.items
    assert len({each.name for each in seen}) == len(seen) == 5
    assert "\U0001f701" in seen[0].description

    run = workspace.experiments.start("group/n1", tags={"a/b": "c=d"})
    assert isinstance(run.ref, Ref) and workspace.experiments.show(run.ref) == workspace.experiments.show(str(run.ref))  # type: ignore[arg-type]
    assert run.started_at.tzinfo is not None and run.started_at.utcoffset() == timedelta(0)
    elsewhere = run.started_at.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert [r.ref for r in workspace.experiments.list(Filter(since=elsewhere)).items] == [run.ref]
    assert workspace.experiments.list(Filter(since=datetime(2999, 1, 1, tzinfo=UTC))).items == []


def test_an_error_is_of_the_same_type_through_every_door(workspace: Workspace) -> None:
    with pytest.raises(NotFound) as told:
        workspace.models.show(Ref.parse("model:nothing"))
    assert type(told.value) is NotFound and "nothing" in told.value.message
    with pytest.raises(errors.BadRef):
        workspace.models.show("model:../x")  # type: ignore[arg-type]
    with pytest.raises(errors.Invalid, match=r"has no parameter|unexpected keyword"):
        workspace.models.show(Ref.parse("model:x"), wrong=1)  # type: ignore[call-arg]


def test_what_is_done_already_is_answered_as_it_was(workspace: Workspace) -> None:
    made = workspace.experiments.create("once", description="first")
    assert workspace.experiments.create("once", description="first") == made
    assert len(workspace.record.history(Ref.parse("experiment:once")).items) == 1


def test_who_asks_is_who_the_token_says(locked: Any) -> None:
    there = Workspace(Remote(locked.url, locked.token("ada", ("viewer", "*"))), address=locked.url)
    with there:
        assert (there.principal.id, there.principal.auth, there.principal.trusted) == ("ada", "token", False)
