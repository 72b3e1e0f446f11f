"""What a hostile client or another site's page may try: it gets a plain refusal, and nothing changes."""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import pytest

from modelwright.core.operations import operations_of
from modelwright.server.security import Guard
from modelwright.testing import serving
from modelwright.workspace import Settings, Workspace, WorkspaceSettings, open_workspace
from tests.waiting import LONG, eventually

JSON = {"content-type": "application/json"}
HEADERS = ("content-security-policy", "x-content-type-options", "x-frame-options", "referrer-policy", "x-request-id")


@pytest.fixture
def url(embedded: Workspace) -> Any:
    """A server without authentication: whoever reaches it is its owner."""
    with serving(embedded) as address:
        yield address


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory, migrated_sqlite: Path) -> Iterator[Workspace]:
    """A workspace for what is asked and changes nothing."""
    home = tmp_path_factory.mktemp("asked") / ".modelwright"
    home.mkdir(mode=0o700)
    shutil.copyfile(migrated_sqlite, home / "workspace.db")
    with open_workspace(home.parent, settings=Settings(workspace=WorkspaceSettings(name="test"))) as here:
        yield here


@pytest.fixture(scope="module")
def asked_url(asked: Workspace) -> Iterator[str]:
    """Its server, without authentication."""
    with serving(asked) as address:
        yield address


def raw(url: str, request: bytes) -> bytes:
    """The answer to bytes sent as they are."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), timeout=LONG) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


# Names and origins


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:99", "127.0.0.1", "127.0.0.1:7878", "[::1]", "[::1]:80"])
def test_it_answers_to_its_own_names(asked_url: str, host: str) -> None:
    assert httpx.get(f"{asked_url}/healthz", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost.evil.example", "localhost.", "evil@localhost", "127.0.0.1.nip.io", "127.1", "0x7f.0.0.1",
     "2130706433", "0.0.0.0", "[::]", "[::ffff:127.0.0.1]", "[::1", "localhost:80:80", "localhost:x", "", "localhost/"],
)  # fmt: skip
def test_it_answers_to_no_other_name(asked_url: str, host: str) -> None:
    answer = httpx.get(f"{asked_url}/healthz", headers={"host": host})
    assert answer.status_code == 403 and answer.json()["error"]["code"] == "denied"
    assert all(name in answer.headers for name in HEADERS)


def test_a_request_with_no_name_or_two_is_turned_away(asked_url: str) -> None:
    assert b" 403 " in raw(asked_url, b"GET /healthz HTTP/1.0\r\n\r\n").splitlines()[0]
    for second in (b"localhost", b"evil.example"):
        two = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: " + second + b"\r\nConnection: close\r\n\r\n"
        assert b" 400 " in raw(asked_url, two).splitlines()[0]


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://localhost:3000"},  # another program on this machine
        {"origin": "http://127.0.0.1"},
        {"origin": "http://[::1"},
        {"origin": ""},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_another_sites_page_changes_nothing(url: str, embedded: Workspace, headers: dict[str, str]) -> None:
    answer = httpx.post(f"{url}/api/v1/experiments/create", json={"name": "planted"}, headers=headers)
    assert answer.status_code == 403
    assert embedded.experiments.list_experiments().items == []


def test_its_own_pages_may(url: str, embedded: Workspace) -> None:
    headers = {"origin": url, "sec-fetch-site": "same-origin"}
    assert httpx.post(f"{url}/api/v1/experiments/create", json={"name": "mine"}, headers=headers).status_code == 200


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""])
def test_what_a_form_can_send_is_no_operation_even_from_a_browser_that_tells_no_origin(
    url: str, embedded: Workspace, kind: str
) -> None:
    before = len(list((embedded.home.folder / "objects").rglob("*")))  # type: ignore[union-attr]
    for path in ("experiments/create", "objects", "login", "setup"):
        answer = httpx.post(f"{url}/api/v1/{path}", content=b'{"name": "planted"}', headers={"content-type": kind})
        assert (answer.status_code, answer.json()["error"]["code"]) == (415, "wrong-media-type")
    assert embedded.experiments.list_experiments().items == []
    assert len(list((embedded.home.folder / "objects").rglob("*"))) == before  # type: ignore[union-attr]


def test_no_other_site_is_given_leave_to_read(asked_url: str) -> None:
    for method in ("GET", "OPTIONS"):
        answer = httpx.request(method, f"{asked_url}/api/v1/whoami", headers={"origin": "https://evil.example"})
        assert not [name for name in answer.headers if name.startswith("access-control")]


# Bodies


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"where": ' + b'{"tags":' * 600 + b"1" + b"}" * 601,
        b"NaN",
        b'{"depth": NaN}',
        b'{"depth": Infinity}',
        b'{"depth": 1e999}',
        b'{"depth": ' + b"9" * 5000 + b"}",
        b'{"ref": "\xff"}',
        b'{"ref": "\\ud800"}',
        b'\xef\xbb\xbf{"ref": "run:1"}',
        b'{"ref": "run:1", "ref": "run:2"}',
        b'{"ref": "run:1", "depth": 1, "as_of": null, "direction": {"a": 1, "a": 2}}',
        b"[]",
        b"null",
        b'"text"',
        b"{} {}",
    ],
)
def test_a_malformed_body_is_told_as_such(asked_url: str, body: bytes) -> None:
    answer = httpx.post(f"{asked_url}/api/v1/record/lineage", content=body, headers=JSON)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid"), answer.text
    assert len(answer.content) < 2000


def chunked(size: int) -> Any:
    return (b" " * 65536 for _ in range(size // 65536))


def test_a_body_past_the_limit_is_refused_with_and_without_a_length(locked: Any) -> None:
    with locked.client(locked.token("ada")) as ada:
        for body in (b" " * (2 * 2**20), chunked(2 * 2**20)):
            answer = ada.post("/api/v1/models/list", content=body, headers=JSON)
            assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too-large")
        answer = ada.post("/signin", content=chunked(2 * 2**20))
        assert answer.status_code == 413


@pytest.mark.parametrize("length", ["-1", "1e3", "0x10", "²", "1, 2"])
def test_a_strange_length_is_no_way_past_it(asked_url: str, length: str) -> None:
    head = f"POST /api/v1/models/list HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{{}}"
    assert b" 400 " in raw(asked_url, head.encode("latin-1")).splitlines()[0]


def test_a_request_that_dribbles_is_cut_off() -> None:
    import anyio

    from modelwright.server import security

    async def stalled() -> Any:
        await anyio.sleep_forever()

    async def reads(scope: Any, receive: Any, send: Any) -> None:
        await receive()

    sent: list[Any] = []

    async def run() -> None:
        async def send(message: Any) -> None:
            sent.append(message)

        guard = Guard(reads, hosts=frozenset({"localhost"}), max_body=10, patience=0.05)
        scope = {"type": "http", "method": "POST", "path": "/", "headers": [(b"host", b"localhost")]}
        await guard(scope, stalled, send)

    anyio.run(run)
    assert sent[0]["status"] == security.TooSlow.status == 408


def test_web_sockets_are_closed() -> None:
    import anyio

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    guard = Guard(None, hosts=frozenset({"localhost"}), max_body=10)
    anyio.run(guard, {"type": "websocket", "headers": []}, None, send)
    assert [message["type"] for message in sent] == ["websocket.close"]


# Paths

ESCAPES = [
    "../../etc/passwd", "..%2f..%2f..%2fetc%2fpasswd", "%2e%2e/%2e%2e/etc/passwd", "%252e%252e%252fetc%252fpasswd",
    "..%5c..%5cwindows%5cwin.ini", "..;/..;/etc/passwd", "//etc/passwd", "/etc/passwd", "%2fetc%2fpasswd",
    "//proc/self/root/etc/passwd", "file:///etc/passwd", "file:%2f%2f%2fetc%2fpasswd", "http:///#/../../etc/passwd",
    "http:%2f%2f%2f%23%2f..%2fetc%2fpasswd", "C:%5cWindows%5cwin.ini", "c:/windows/win.ini", "%5c%5chost%5cshare",
    "%00", "a%00.json", "..%00/", "%ff%fe", "%c0%ae%c0%ae/%c0%afetc/passwd", "%e0%80%ae%e0%80%ae/", "..%ef%bc%8fetc",
    "%ef%bc%8e%ef%bc%8e/etc/passwd", "%u002e%u002e/", "....//....//etc/passwd", "..././..././etc/passwd", "./.././../",
    ".modelwright/workspace.db", "%2emodelwright%2fworkspace.db", "~root", "$HOME", "%24%7bHOME%7d", "`id`", "|id",
    "a;b", "a?b#c", "a@b@c", "@", ":", "model:late", "a%0d%0aSet-Cookie:x=y", "a%0aB", "%09", "%20", ".", "..", "...",
    "a/../b", "a/./b", "a//b", "a/", "-", "--help", "a" * 5000, "%f0%9f%92%a9", "%e2%80%ae", "%7f", "con", "nul.txt",
    "../" * 40 + "etc/passwd", "{{7*7}}", "$" + "{7*7}", "<script>alert(1)</script>", "'%20OR%20'1'='1", "%27%3b--",
]  # fmt: skip
PLACES = [
    "/api/v1/objects/{}", "/static/{}", "/models/{}", "/datasets/{}", "/features/{}", "/pipelines/{}", "/deployments/{}",
    "/monitors/{}", "/policies/{}", "/record/{}", "/record/model:{}", "/runs/{}", "/executions/{}", "/alerts/{}",
    "/incidents/{}", "/audit/{}", "/v2/models/{}", "/v2/models/{}/ready", "/v2/models/x/versions/{}", "/serving/{}/ping",
    "/api/v1/models/{}", "/api/v1/{}", "/{}", "/models?after={}", "/audit?kind={}", "/runs/compare?refs={}",
]  # fmt: skip
SECRETS = ("root:x:", "SQLite format", "Traceback", "site-packages", "/modelwright/", "sqlalchemy", "psycopg")


ON_DISK = ("/api/v1/objects/{}", "/static/{}", "/{}")  # what an address names here may lie in a folder


@pytest.mark.parametrize("place", PLACES)
def test_no_path_leads_out_or_makes_it_fail(asked_url: str, asked: Workspace, place: str, thorough: bool) -> None:
    """The places that read files are asked for the whole list, each other one for a third of it."""
    folder = str(asked.home.folder)  # type: ignore[union-attr]
    address = urlsplit(asked_url).netloc
    connection = http.client.HTTPConnection(address, timeout=LONG)
    for payload in ESCAPES if thorough or place in ON_DISK else ESCAPES[PLACES.index(place) % 3 :: 3]:
        target = place.format(quote(payload, safe="%/:@;?#$`|~{}<>'\\"))
        connection.request("GET", target)
        answer = connection.getresponse()
        text = answer.read().decode()
        told = (target[:120], answer.status, text[:300])
        harmless = "?" in target or target.strip("/.").partition("#")[0] in ("", "record", "audit")
        slash = answer.status == 307 and answer.getheader("location", "").startswith(f"http://{address}{target[:3]}")
        assert answer.status in (400, 404, 405) or slash or (answer.status == 200 and harmless), told
        assert answer.getheader("set-cookie") is None, told
        assert not any(word in text for word in (*SECRETS, folder)), told
        assert answer.getheader("content-type", "") == "application/json" or "<script>alert" not in text, told
    connection.close()


NASTY: list[Any] = [
    "", "\0", "a\0b", "../../etc/passwd", "x" * 100_000, "model:" + "a" * 300, "model:x@" + "9" * 30, "model:x@b3:zz",
    "run:\0", "dataset:../x", 2**63, -(2**63) - 1, 10**400, 1e308, -1, 0, True, None, [], {}, [None], {"": ""},
    "9999-12-31T23:59:59.999999-23:59", "0001-01-01T00:00:00+23:59", "0001-01-01T00:00:00Z", "2026-01-01",
    "\U0001f701", "\u202e", "%s%n", "{0}", "$" + "{x}",
    {"limit": 10**30}, {"limit": 2**62, "after": "x"}, {"text": "\0"}, {"text": "%_\\"}, {"under": "\0"}, {"after": "\0"},
    {"since": "0001-01-01T00:00:00Z", "until": "9999-12-31T23:59:59Z"}, {"tags": {"\0": "\0"}}, {"state": "\0"},
]  # fmt: skip
FITTING = {"ref": "model:x@1", "name": "x", "where": {}, "reason": "r"}


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["sqlite", "postgresql"])
def test_no_argument_of_any_operation_makes_the_server_fail(
    backend: str, prepared: Path, request: pytest.FixtureRequest, thorough: bool
) -> None:
    """The first parameter of each type is given half of all, the next type's the other half; every other one a single one.

    On SQLite without the texts: it takes any, and which one PostgreSQL takes not, is seen there.
    """
    database = request.getfixturevalue("workspace_postgres") if backend == "postgresql" else ""
    settings = Settings(workspace=WorkspaceSettings(name="test", database=database))
    failed: list[Any] = []
    tried: set[Any] = set()
    with open_workspace(prepared, settings=settings) as here, serving(here) as url:
        client = http.client.HTTPConnection(urlsplit(url).netloc, timeout=LONG)
        for _, operation in operations_of(here.rooms):
            required = {p.name: FITTING.get(p.name, "x") for p in operation.parameters if p.default is p.empty}
            for parameter in operation.parameters:
                kind = str(parameter.annotation).removesuffix(" | None")  # null is among what everything is given
                half = NASTY[len(tried) % 2 :: 2]
                some = NASTY if thorough else half if kind not in tried else [NASTY[len(tried) % len(NASTY)]]
                tried |= {kind, (operation.path, parameter.name)}
                for value in some:
                    if backend == "sqlite" and isinstance(value, str) and not thorough:
                        continue
                    body = json.dumps({**required, parameter.name: value})
                    client.request("POST", f"/api/v1/{operation.path}", body, JSON)
                    answer = client.getresponse()
                    text = answer.read()
                    if answer.status >= 500:
                        failed.append((operation.path, parameter.name, str(value)[:30], text[:120]))
        client.close()
    assert not failed, "\n".join(map(str, [len(failed), *failed[:60]]))


# Answers


def test_every_answer_carries_the_headers_and_a_request_id(asked_url: str) -> None:
    for method, path in (
        ("GET", "/"), ("GET", "/healthz"), ("GET", "/static/style.css"), ("GET", "/nothing"), ("GET", "/v2"),
        ("POST", "/api/v1/models/show"), ("DELETE", "/models"), ("OPTIONS", "/"), ("HEAD", "/models"), ("GET", "/metrics"),
    ):  # fmt: skip
        answer = httpx.request(method, asked_url + path)
        assert all(name in answer.headers for name in HEADERS), (method, path)
        assert "script-src 'self'" in answer.headers["content-security-policy"]
        assert "server" not in answer.headers


def test_what_is_not_there_is_told_as_json_to_programs_and_as_a_page_to_people(asked_url: str) -> None:
    for path in ("/nothing", "/api/v1/nothing", "/api/v1/models/nothing", "/v2/nothing", "/serving/nothing"):
        answer = httpx.get(asked_url + path)
        assert answer.status_code == 404 and answer.headers["content-type"] == "application/json", path
        assert answer.json().keys() & {"error", "error_code"}  # each protocol's own shape
    assert "text/html" in httpx.get(f"{asked_url}/nothing", headers={"accept": "text/html"}).headers["content-type"]


def test_methods_that_an_address_does_not_know_are_told_with_those_that_it_does(asked_url: str) -> None:
    for method, path, allowed in (
        ("GET", "/api/v1/models/list", "POST"),
        ("POST", "/healthz", "GET"),
        ("OPTIONS", "/", "GET"),
    ):
        answer = httpx.request(method, asked_url + path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (405, "method-not-allowed")
        assert allowed in answer.headers["allow"]
    head = httpx.head(f"{asked_url}/healthz")
    assert (head.status_code, head.content) == (200, b"")


@pytest.mark.parametrize("accept", ["application/json", "text/html"])
def test_a_failure_tells_its_request_id_and_nothing_of_its_cause(embedded: Workspace, caplog: Any, accept: str) -> None:
    assert embedded.home is not None
    with serving(embedded) as url:
        with sqlite3.connect(embedded.home.folder / "workspace.db") as database:
            database.execute("ALTER TABLE catalog_versions RENAME TO gone")
        place = "/models" if accept == "text/html" else "/api/v1/models/list"
        method = "GET" if accept == "text/html" else "POST"
        answer = httpx.request(method, url + place, headers={"accept": accept})
        assert answer.status_code == 500 and answer.headers["content-type"].startswith(accept)
        identity = answer.headers["x-request-id"]
        assert identity in answer.text
        assert not any(
            word in answer.text for word in ("catalog_versions", "sqlite", "Traceback", str(embedded.home.folder))
        )
        told: list[Any] = []
        eventually(  # it is answered first, and logged then
            lambda: told.extend(each for each in caplog.records if identity in each.getMessage()) or told, "The log's word"
        )
        assert told[0].exc_info
        if accept == "application/json":
            error = answer.json()["error"]
            assert error["code"] == "error" and error["details"] == {"request_id": identity}
        with sqlite3.connect(embedded.home.folder / "workspace.db") as database:
            database.execute("ALTER TABLE gone RENAME TO catalog_versions")
