"""Finding a server, and being told clearly when there is none."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from modelwright.client import connect
from modelwright.client.credentials import credentials_file, store_token, stored_token
from modelwright.core.errors import Corrupt, Invalid, NotFound, Unauthenticated, Unavailable
from modelwright.testing import serving
from modelwright.workspace import Workspace


@pytest.fixture(autouse=True)
def own_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def test_a_server_that_is_gone_says_how_to_start_it() -> None:
    with connect("http://127.0.0.1:1") as there, pytest.raises(Unavailable, match="mw up") as told:
        there.workspace.status()
    assert "127.0.0.1:1" in told.value.message


def page(status: int) -> Any:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("content-type", "text/html")
        handler.end_headers()
        handler.wfile.write(b"<html>welcome</html>")

    return answer


@pytest.mark.parametrize("status", [200, 301, 404, 500])
def test_an_address_that_is_not_ours_is_told_as_such(stranger: Any, status: int) -> None:
    with stranger(page(status)) as url, connect(url) as there:
        for ask in (there.workspace.status, lambda: there.principal, lambda: there.caller.blobs.put(b"x")):
            with pytest.raises(Unavailable, match=r"not a Modelwright server.* Check the address"):
                ask()


@pytest.mark.parametrize("where", ["http://", "http://localhost:x", "http://[::1", "https://a b"])
def test_what_is_no_address_is_told_as_such(where: str) -> None:
    with pytest.raises((Invalid, Unavailable)), connect(where) as there:
        there.workspace.status()


def test_a_read_is_sent_again_when_the_connection_breaks_and_a_write_is_not(stranger: Any) -> None:
    asked: list[str] = []

    def breaks(handler: BaseHTTPRequestHandler) -> None:
        asked.append(handler.path)
        handler.close_connection = True

    with stranger(breaks) as url, connect(url) as there:
        with pytest.raises(Unavailable, match="Look whether"):
            there.models.list()
        assert len(asked) == 2
        with pytest.raises(Unavailable, match="Look whether"):
            there.experiments.create("x")
        assert len(asked) == 3


def test_a_wrong_token_is_unauthenticated_and_never_shown(embedded: Workspace) -> None:
    with serving(embedded) as url:
        for token in ("mw_user_x_y", "secret\nvalue", "secrét"):
            with pytest.raises(Unauthenticated) as told, connect(url, token=token) as there:
                there.workspace.status()
            assert token not in str(told.value)


def test_tokens_are_kept_for_their_owner_only() -> None:
    path = store_token("http://Host:1/", "secret")
    assert path == credentials_file() and path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert stored_token("http://host:1") == "secret" and stored_token("http://host:2") is None
    store_token("http://host:1", None)
    assert stored_token("http://host:1") is None


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"a": 1}', b"\xff\xfe", b"{}x"])
def test_a_damaged_credentials_file_is_told_and_not_overwritten(content: bytes) -> None:
    path = credentials_file()
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    for ask in (lambda: connect("http://localhost:1"), lambda: store_token("http://localhost:1", "t")):
        with pytest.raises(Corrupt, match="mw login") as told:
            ask()
        assert str(path) in told.value.message
    assert path.read_bytes() == content


def test_a_folder_without_a_project_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="mw init"):
        connect(tmp_path)
