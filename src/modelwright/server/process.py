"""What runs beside the routes while the server is up: the operator and what it turns."""

from __future__ import annotations

import os
import secrets
import socket
from datetime import datetime, timedelta

from modelwright.operator import Operator, Reconciler, Turn
from modelwright.store import Database
from modelwright.workspace import Home, Workspace


class DatabaseLease:
    """The operator's lease, in the database that it acts on."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._holder = f"{socket.gethostname()}/{os.getpid()}/{secrets.token_hex(4)}"

    def hold(self, now: datetime, lasting: timedelta) -> bool:
        return True

    def give_up(self) -> None:
        pass


class Process:
    """The parts of a running server that are not routes. `begin` and `end` are called once each."""

    def __init__(self, workspace: Workspace) -> None:
        if workspace.home is None:
            raise RuntimeError("a server needs a workspace that lies here")
        self.home: Home = workspace.home
        self.operator = Operator(
            self._reconcilers(),
            DatabaseLease(self.home.database),
            self.home.clock,
            every=self.home.settings.server.turn_every,
            turned=self._turned,
        )

    def begin(self) -> None:
        """Start turning."""
        self.home.wakers.append(self.operator.wake)
        self.operator.start()

    def end(self) -> None:
        """Finish what is under way and stop."""
        self.operator.stop()

    def troubles(self) -> dict[str, str]:
        """The parts that do not answer, by name; empty when the server is ready."""
        return {}

    def metrics(self) -> str:
        """Everything in Prometheus' text format."""
        return ""

    def _reconcilers(self) -> list[Reconciler]:
        return []

    def _turned(self, turn: Turn) -> None:
        self.home.turned_at = turn.at
