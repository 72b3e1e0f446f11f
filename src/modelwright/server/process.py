"""What runs beside the routes while the server is up: the data plane, its log, the operator and what it turns."""

from __future__ import annotations

import logging
import os
import secrets
import socket
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from datetime import datetime

from modelwright.core.principals import OPERATOR
from modelwright.datasets.privacy.turn import PrivacyTurn
from modelwright.deployments.controller import Controller
from modelwright.features import FeatureSettings
from modelwright.features.turn import FeatureTurn
from modelwright.governance.retention import RetentionTurn
from modelwright.monitoring.logged import LoggedPredictions
from modelwright.monitoring.skew import SkewTurn
from modelwright.monitoring.turn import MonitorTurn
from modelwright.openlineage import LineageTurn
from modelwright.operator import Operator, Reconciler, Turn
from modelwright.pipelines import PipelineReconciler
from modelwright.server.children import ProjectRunner
from modelwright.server.figures import OperatorFigures, record_figures
from modelwright.serving.metrics import ServingMetrics
from modelwright.serving.plane import Plane
from modelwright.serving.predictions import LogSettings, PredictionLog
from modelwright.store import acting_as, due
from modelwright.store.leases import Leadership
from modelwright.webhooks import MlflowWords, Sender, WebhookTurn
from modelwright.workspace import Home, Workspace

logger = logging.getLogger("modelwright.server")


class Process:
    """The parts of a running server that are not routes. `begin` and `end` are called once each."""

    def __init__(self, workspace: Workspace) -> None:
        if workspace.home is None:
            raise RuntimeError("a server needs a workspace that lies here")
        self.workspace = workspace
        self.home: Home = workspace.home
        settings = self.home.settings.section("predictions", LogSettings)
        self.log = PredictionLog(self.home.folder / "predictions", self.home.clock, settings)
        self.serving = ServingMetrics()
        self.plane = Plane([self.log, self.serving])
        self.controller = Controller(workspace.deployments, self.plane, self.home.folder / "cache" / "models")
        self.home.failing = lambda: self.controller.unserved
        self.loaded: Future[None] = Future()  # done when what was live when the process began is loaded
        self._turning, self._ending = threading.Lock(), False
        self._loader = threading.Thread(target=self._load, name="modelwright-loader", daemon=True)
        self.runner = ProjectRunner(self.home.project)
        holder = f"{socket.gethostname()}/{os.getpid()}/{secrets.token_hex(4)}"
        hooks = workspace.webhooks
        sender = Sender(hooks.settings.hosts, timeout=hooks.settings.timeout)
        words = MlflowWords(workspace.models, workspace.registry)
        self.webhooks = WebhookTurn(hooks, self.home.caller(), sender, words)
        self.lineage = LineageTurn(workspace.openlineage, self.home.caller())
        reconcilers = self._reconcilers()
        self.figures = OperatorFigures(each.name for each in reconcilers)
        self.operator = Operator(
            reconcilers,
            Leadership(self.home.database, "operator", holder),
            self.home.clock,
            every=self.home.settings.server.turn_every,
            turned=self._turned,
        )

    def begin(self) -> None:
        """Begin to load what is live, take up what an earlier process left, and start turning.

        What a library needs to read a model takes it seconds to import, and nobody but who asks that model waits for it.
        """
        self.log.start()
        self.home.wakers.append(self.operator.wake)
        self._loader.start()

    def end(self) -> None:
        """Finish what is under way, seal the ledger, and stop. Models that are being loaded are not waited for."""
        with self._turning:
            self._ending = True
        self.controller.stop()
        self.home.wakers.remove(self.operator.wake)
        self.operator.stop()
        self.webhooks.end()
        self.lineage.end()
        if self.loaded.done():  # else nothing was served, and who loads holds what a report needs
            self.controller.report()
        self.log.stop()
        self.workspace.record.checkpoint()

    def _load(self) -> None:
        try:
            for said in self.controller.sync():
                logger.info("deployments: %s", said)
        except Exception:
            if not self._ending:
                logger.exception("what is live could not be loaded; the operator tries again")
        finally:
            self.loaded.set_result(None)
            with self._turning:
                if not self._ending:
                    self.operator.start()  # and not before: it would take the processor from those who wait for a model

    def troubles(self) -> dict[str, str]:
        """The parts that do not answer, by name; empty when the server is ready."""
        if self.controller.ready():
            return {}
        failing = len(self.controller.unserved)
        if not failing:
            return {"serving": "A deployment is not loaded yet."}
        what = "1 deployment does" if failing == 1 else f"{failing} deployments do"
        return {"serving": f"{what} not answer, since the model cannot be loaded: mw doctor, its page and the log say why."}

    def traffic(self) -> str:
        """What this process serves, in Prometheus' text format."""
        return self.serving.exposition(self.plane, log_dropped=self.log.dropped)

    def metrics(self) -> str:
        """Everything in Prometheus' text format: the traffic, the operator, and what the record says."""
        with acting_as(OPERATOR):
            series = [*self.figures.series(), *record_figures(self.workspace)]
        return self.traffic() + "".join(f"{each.text()}\n" for each in series)

    def _reconcilers(self) -> list[Reconciler]:
        rooms = self.workspace
        return [
            self.controller,
            MonitorTurn(rooms.monitoring, rooms.datasets, LoggedPredictions(self.log.read), rooms.deployments),
            FeatureTurn(rooms.features, rooms.pushes, self.home.settings.section("features", FeatureSettings)),
            SkewTurn(rooms.monitoring, rooms.features),
            PipelineReconciler(rooms.triggers, self.runner),
            Reminders(rooms),
            Seals(rooms),
            RetentionTurn(rooms.retention),
            PrivacyTurn(rooms.privacy),
            self.webhooks,
            self.lineage,
        ]

    def _turned(self, turn: Turn) -> None:
        self.figures.turned(turn)
        self.home.turned_at = turn.at


class Reminders:
    """Waivers that are about to end, and refusals that were counted, come on the record."""

    name = "policy"

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def turn(self, now: datetime) -> Sequence[str]:
        """See `operator.Reconciler`."""
        told = [alert.message for alert in self._workspace.policy.remind()]
        if self._workspace.home is not None:
            self._workspace.home.rights.denials.settle()
        return told


class Seals:
    """The ledger gets its signed checkpoints."""

    name = "ledger"

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def turn(self, now: datetime) -> Sequence[str]:
        """See `operator.Reconciler`."""
        head = self._workspace.record.head()
        if not due(head.size, head.sealed, now, self._workspace.ledger):
            return []
        sealed = self._workspace.record.checkpoint()
        return [f"Sealed the ledger at {sealed.size} events."]
