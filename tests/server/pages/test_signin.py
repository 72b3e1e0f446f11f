"""Signing in with a browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pyarrow as pa
import pytest

from modelwright.server.pages.signin import local
from modelwright.testing import serving
from modelwright.workspace import ServerSettings, Settings, open_workspace

PASSWORD = "correct horse battery"


@pytest.fixture
def browse(prepared: Path) -> Iterator[httpx.Client]:
    settings = Settings(server=ServerSettings(authentication="required"))
    with open_workspace(prepared, settings=settings) as workspace:
        assert workspace.home is not None
        for name, role in (("ada", "viewer"), ("ivy", "auditor")):
            workspace.access.create_user(name)
            workspace.access.grant(name, role)
            workspace.home.authenticator.redeem(workspace.access.invite(name).token, PASSWORD)
        workspace.datasets.add("numbers", pa.table({"n": [1, 2, 3]}))
        with serving(workspace) as url, httpx.Client(base_url=url, headers={"accept": "text/html"}) as client:
            yield client


def sign_in(browse: httpx.Client, name: str, password: str = PASSWORD, onward: str = "/") -> httpx.Response:
    return browse.post("/signin", data={"name": name, "password": password, "next": onward})


def test_whoever_is_not_signed_in_is_sent_to_do_so_and_back(browse: httpx.Client) -> None:
    answer = browse.get("/models?q=delay")
    assert (answer.status_code, answer.headers["location"]) == (303, "/signin?next=%2Fmodels%3Fq%3Ddelay")
    answer = sign_in(browse, "ada", onward="/models?q=delay")
    assert (answer.status_code, answer.headers["location"]) == (303, "/models?q=delay")
    assert browse.get("/models?q=delay").status_code == 200


def test_the_session_cookie_is_out_of_reach_of_scripts_and_of_other_sites(browse: httpx.Client) -> None:
    cookie = sign_in(browse, "ada").headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=strict" in cookie and "path=/" in cookie


def test_a_wrong_password_says_nothing_of_what_was_wrong(browse: httpx.Client) -> None:
    wrong, nobody = sign_in(browse, "ada", "a wrong password"), sign_in(browse, "eve", "a wrong password")
    assert wrong.status_code == nobody.status_code == 401
    assert "set-cookie" not in wrong.headers
    assert wrong.text.replace("ada", "eve") == nobody.text


def test_signing_out_ends_the_session(browse: httpx.Client) -> None:
    sign_in(browse, "ada")
    held = browse.cookies["modelwright_session"]
    assert browse.post("/signout").headers["location"] == "/signin"
    browse.cookies.set("modelwright_session", held)  # whoever kept a copy of it
    assert browse.get("/").status_code == 303


def test_a_session_that_is_not_known_leads_to_the_form(browse: httpx.Client) -> None:
    browse.cookies.set("modelwright_session", "mw_sess_nothing")
    answer = browse.get("/")
    assert answer.status_code == 303 and "max-age=0" in answer.headers["set-cookie"].lower()


def test_a_viewer_sees_no_audit_log_and_an_auditor_does(browse: httpx.Client) -> None:
    sign_in(browse, "ada")
    assert "Latest events" not in browse.get("/").text
    assert browse.get("/audit").status_code == 403
    browse.post("/signout")
    sign_in(browse, "ivy")
    assert browse.get("/audit").status_code == 200
    assert 'href="/audit"' in browse.get("/").text


def test_no_page_leads_a_viewer_where_they_may_not_go(browse: httpx.Client) -> None:
    sign_in(browse, "ada")
    seen, waiting = set(), ["/"]
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        answer = browse.get(path)
        assert answer.status_code == 200, path
        links = re.findall(r'href="(/[^"#]*)', answer.text)
        waiting += [link.replace("&amp;", "&") for link in links if not link.startswith(("/static/", "/api/"))]
    assert len(seen) > 12 and "/retention" in seen and "/audit" not in seen


def test_programs_are_told_and_not_sent(browse: httpx.Client) -> None:
    answer = browse.post("/api/v1/workspace/status", headers={"accept": "application/json"})
    assert answer.status_code == 401


@pytest.mark.parametrize(
    "path", ["//evil.example", "https://evil.example", "/\\evil.example", "", "javascript:alert(1)", "/\n/x"]
)
def test_nobody_is_sent_elsewhere_after_signing_in(path: str) -> None:
    assert local(path) == "/"
    assert local("/models/delay@3?q=1") == "/models/delay@3?q=1"
