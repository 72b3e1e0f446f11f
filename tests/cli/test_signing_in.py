"""Signing in to a server that wants to know who asks, and what that opens."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

PASSWORD = "correct horse battery"


@pytest.fixture
def admin(mw: Any, guarded: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> str:
    """Signed in as the first admin; the server's address."""
    url, setup = guarded
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{PASSWORD}\n"))
    assert mw("login", url, "--setup", setup, "--password-stdin").code == 0
    return url


def test_the_first_admin_sets_a_password_and_may_look_around(mw: Any, admin: str, tmp_path: Path) -> None:
    kept = tmp_path / "config" / "modelwright" / "credentials.json"
    assert kept.stat().st_mode & 0o077 == 0 and json.loads(kept.read_text())[admin].startswith("mw_user_")
    listed = mw("user", "list", "-w", admin)
    assert listed.code == 0 and "admin on *" in listed.out
    health = mw("doctor", "-w", admin)
    assert health.code in (0, 1) and "It knows you as admin" in health.out


def test_a_setup_token_works_once_and_a_wrong_password_says_little(
    mw: Any, admin: str, guarded: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, setup = guarded
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{PASSWORD}\n"))
    assert mw("login", url, "--setup", setup, "--password-stdin").code == 6
    monkeypatch.setattr("sys.stdin", io.StringIO("wrong\n"))
    refused = mw("login", url, "--name", "nobody", "--password-stdin", "--json")
    assert refused.code == 6 and refused.error["message"] == "The name or the password is wrong."


def test_signing_out_revokes_the_token_and_forgets_it(mw: Any, admin: str, tmp_path: Path) -> None:
    kept = tmp_path / "config" / "modelwright" / "credentials.json"
    token = json.loads(kept.read_text())[admin]
    assert mw("logout", admin).code == 0
    assert json.loads(kept.read_text()) == {}
    assert mw("list", "model", "-w", admin).code == 6
    answer = httpx.get(f"{admin}/api/v1/whoami", headers={"authorization": f"Bearer {token}"})
    assert answer.status_code == 401
    assert mw("logout", admin).code == 3


def test_an_admin_brings_people_and_machines_in(mw: Any, admin: str) -> None:
    at = ("-w", admin)
    made = mw("user", "create", "ada", "--display", "Ada", "--role", "scientist", "--scope", "model:*", *at)
    assert made.code == 0 and f"mw login {admin} --setup mw_setup_" in made.out
    setup = mw("user", "invite", "ada", *at, "--json").json["token"]
    assert setup.startswith("mw_setup_")
    held = mw("user", "show", "ada", *at, "--json").json
    assert held["rights"][0]["role"] == "scientist"
    assert "ada" in mw("who-can", "register", "model:late", *at).out
    assert mw("user", "grant", "ada", "viewer", "--deny", *at).code == 0
    assert mw("user", "revoke", "ada", "viewer", "--deny", *at).code == 0
    assert mw("user", "grant", "ada", "emperor", *at).code == 3
    assert "risk_officer" in mw("user", "roles", *at).out
    assert mw("user", "service", "ci", "--owner", "ada", *at, "--json").json["id"] == "svc/ci"
    assert mw("user", "disable", "ada", "-m", "on leave", "-y", *at).code == 0
    assert mw("user", "enable", "ada", "-m", "back", *at).code == 0
    assert mw("user", "sign-out", "ada", "-m", "lost laptop", "-y", *at, "--json").json["revoked"] >= 1


def test_tokens_are_made_listed_and_revoked(mw: Any, admin: str) -> None:
    at = ("-w", admin)
    issued = mw("token", "create", "--label", "ci", "--scope", "read", "--days", "7", *at, "--json").json
    identity = issued["credential"]["id"]
    assert identity in {each["id"] for each in mw("token", "list", *at, "--json").json}
    assert mw("token", "revoke", identity, *at).code == 0
    assert identity not in {each["id"] for each in mw("token", "list", *at, "--json").json}
    assert identity in mw("token", "list", "--all", *at).out


def test_a_given_token_is_tried_before_it_is_kept(mw: Any, admin: str, tmp_path: Path) -> None:
    token = mw("token", "create", "-w", admin).out.strip()
    assert mw("logout", admin).code == 0
    assert mw("login", admin, "--token", "mw_user_nonsense").code == 6
    assert mw("login", admin, "--token", token, "--json").json["principal"]["id"] == "admin"


def test_a_session_is_a_cookie_that_scripts_cannot_read(admin: str) -> None:
    with httpx.Client(base_url=admin) as client:
        answer = client.post("/api/v1/login", json={"name": "admin", "password": PASSWORD})
        assert answer.status_code == 200 and "token" not in answer.json()
        cookie = answer.headers["set-cookie"].lower()
        assert "httponly" in cookie and "samesite=strict" in cookie
        assert client.get("/api/v1/whoami").json()["auth"] == "session"
        assert client.post("/api/v1/logout").status_code == 200
        assert client.get("/api/v1/whoami").status_code == 401
        assert client.post("/api/v1/login", json={"name": "admin"}).status_code == 400


def test_who_is_not_known_is_told_how_to_sign_in(mw: Any, guarded: tuple[str, str]) -> None:
    refused = mw("list", "model", "-w", guarded[0], "--json")
    assert refused.code == 6 and "mw login" in refused.error["mend"]
    assert mw("login", "ftp://somewhere").code == 2
