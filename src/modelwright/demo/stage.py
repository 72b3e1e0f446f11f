"""Where a story is played: a project folder, a real server as a process of its own, and people with tokens."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from modelwright.client import connect
from modelwright.core.errors import Unavailable
from modelwright.demo.wire import Answer, Wire
from modelwright.workspace import Workspace, open_workspace

PEOPLE = {
    "ada": ("Ada, data scientist", ["scientist", "data_steward", "model_owner"]),
    "ben": ("Ben, model risk", ["validator", "risk_officer"]),
    "olga": ("Olga, operations", ["operator", "data_steward"]),
    "rita": ("Rita, administration", ["admin"]),
}
STARTS_WITHIN = 180.0  # seconds, on a machine that is busy
ENDS_WITHIN = 10.0  # seconds until a process that broke a connection is known to be gone, if it is
TRIES = 60  # of one piece of work, each on a server of its own
T = TypeVar("T")


class Progress(msgspec.Struct):
    """What has been done and was acknowledged; kept in a file that is replaced whole."""

    done: dict[str, Any] = {}
    tokens: dict[str, str] = {}
    password: str = ""  # of everybody in the cast, to sign in to the pages with


class Stage:
    """Holds the server up and the people signed in; a server that was killed is started again."""

    def __init__(self, folder: Path, project: Path) -> None:
        self.folder = folder
        self._project = project
        self.server: subprocess.Popen[bytes] | None = None
        self._workspaces: dict[str, Workspace] = {}
        self._wire: Wire | None = None
        self.url = ""
        self.progress = Progress()

    def set_up(self) -> None:
        """Lay the project out, create the people, start the server. What is there already is taken up."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for path in sorted(self._project.rglob("*")):
            target = self.folder / path.relative_to(self._project)
            if path.is_file() and "__pycache__" not in path.parts and not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)
        if self._memory.exists():
            self.progress = msgspec.json.decode(self._memory.read_bytes(), type=Progress)
        self._prepare()
        self.start()

    def _prepare(self) -> None:
        """What the owner of the folder does before anybody signs in: the project's policy in force, people with roles."""
        with open_workspace(self.folder) as here:
            policy = (self.folder / "policy.toml").read_text(encoding="utf-8")
            here.policy.adopt(policy, reason="the project's own policy")
            self.progress.password = self.progress.password or secrets.token_urlsafe(12)
            known = {account.id for account in here.access.list()}
            held = {(grant.principal, grant.role) for grant in here.access.grants()}
            for name, (display, roles) in PEOPLE.items():
                if name not in known:
                    here.access.create_user(name, display=display, reason="the cast of the story")
                for role in roles:
                    if (name, role) not in held:
                        here.access.grant(name, role, reason="the cast of the story")
                if name not in self.progress.tokens:
                    here.access.set_password(name, password=self.progress.password)
                    self.progress.tokens[name] = here.access.create_token(name, label="story", days=90).token
            self.save()

    # The server

    def start(self) -> None:
        """Start `mw up` in the project's folder, and wait until it answers; one that is killed meanwhile starts anew."""
        for _ in range(TRIES):
            if self._launch():
                self._sign_in()
                return
        raise Unavailable(f"The server was killed {TRIES} times before it answered.")

    def _launch(self) -> bool:
        address = self.folder / ".modelwright" / "address"
        address.unlink(missing_ok=True)
        log = self.folder / ".modelwright" / "logs" / "server.log"
        log.parent.mkdir(exist_ok=True, mode=0o700)
        with log.open("ab") as output:
            command = [sys.executable, "-m", "modelwright.cli", "up", "--port", "0", "--quiet"]
            self.server = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                [*command, "--address-file", str(address)],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        deadline = time.monotonic() + STARTS_WITHIN
        while not address.exists():
            ended = self.server.poll()
            if ended is not None and ended < 0:  # by a signal
                return False
            if ended is not None or time.monotonic() > deadline:
                tail = log.read_text(errors="replace")[-2000:]
                raise Unavailable(f"The server did not start. The end of its log:\n{tail}")
            time.sleep(0.02)
        self.url = address.read_text(encoding="utf-8")
        return True

    def _sign_in(self) -> None:
        for workspace in self._workspaces.values():
            workspace.close()
        self._workspaces = {name: connect(self.url, token=token) for name, token in self.progress.tokens.items()}
        if self._wire is not None:
            self._wire.close()
        self._wire = Wire(self.url, self.progress.tokens["olga"])

    def request(self, method: str, path: str, value: Any = None) -> Answer:
        """Ask the server's data plane as the operator does; `Unavailable` when the server went away."""
        assert self._wire is not None
        return self._wire.request(method, path, value)

    def alive(self) -> bool:
        """Whether the server's process runs."""
        return self.server is not None and self.server.poll() is None

    def persist(self, work: Callable[[], T]) -> T:
        """Do something; if the server went away in the middle, start it again and do it again."""
        for _ in range(TRIES):
            try:
                return work()
            except Unavailable:
                if not self._gone():
                    raise
                self.start()
        raise Unavailable(f"The server went away {TRIES} times over one piece of work.")

    def _gone(self) -> bool:
        deadline = time.monotonic() + ENDS_WITHIN
        while self.alive():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True

    def wait(self) -> None:
        """Until the server ends, or Ctrl-C."""
        try:
            if self.server is not None:
                self.server.wait()
        except KeyboardInterrupt:
            return

    def stop(self) -> None:
        """Stop the server as Ctrl-C would, and wait for it."""
        if self.server is not None and self.server.poll() is None:
            self.server.terminate()
            self.server.wait(60)

    # The people

    def as_(self, name: str) -> Workspace:
        """The workspace as one of the people sees it."""
        return self._workspaces[name]

    def renew(self) -> None:
        """New tokens for everybody: a person's token lasts ninety days at most, and the story goes on for longer."""
        for name in PEOPLE:
            self.progress.tokens[name] = self.as_(name).access.create_token(name, label="story", days=90).token
        self.save()
        self._sign_in()

    # What was done

    @property
    def _memory(self) -> Path:
        return self.folder / "story.json"

    def save(self) -> None:
        """Keep what was done, so that it survives a kill at any moment."""
        part = self._memory.with_suffix(".part")
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.encode(self.progress))
            file.flush()
            os.fsync(file.fileno())
        part.replace(self._memory)
