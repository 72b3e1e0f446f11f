"""Every page's address."""

from __future__ import annotations

from collections.abc import Callable

from starlette.routing import BaseRoute

from modelwright.server.pages import (
    audit,
    comparisons,
    datasets,
    deployments,
    features,
    minimisation,
    models,
    monitors,
    overview,
    pipelines,
    policies,
    retention,
    runs,
    traces,
)
from modelwright.server.pages.addresses import Addresses
from modelwright.server.pages.render import Gather, Pages
from modelwright.server.pages.signin import SignIn
from modelwright.server.pages.static import static_routes
from modelwright.server.pages.traffic import Served, served
from modelwright.server.routing import PUBLIC, SIGNED_IN, Guarded


def page_routes(pages: Pages, metrics: Callable[[], str]) -> list[BaseRoute]:
    """Every page; `metrics` is this process's own Prometheus exposition, from which traffic and latency are read.

    Whoever is signed in may ask for any page: the operations behind it check their right to what it shows.
    """

    def serving() -> dict[str, list[Served]]:
        return served(metrics())

    found: list[tuple[str, str, str, Gather]] = [
        ("/", "overview.html", "overview", overview.gather(serving)),
        ("/datasets", "datasets.html", "dataset", datasets.index),
        ("/datasets/{name:path}", "dataset.html", "dataset", datasets.version),
        ("/features", "features.html", "features", features.index),
        ("/features/{name:path}", "view.html", "features", features.version),
        ("/pipelines", "pipelines.html", "pipeline", pipelines.index),
        ("/pipelines/{name:path}", "pipeline.html", "pipeline", pipelines.version),
        ("/executions/{name}", "execution.html", "pipeline", pipelines.execution),
        ("/runs", "runs.html", "run", runs.index),
        ("/runs/compare", "compare.html", "run", comparisons.compare),
        ("/runs/{name}", "run.html", "run", runs.run),
        ("/traces", "traces.html", "trace", traces.index),
        ("/traces/{name}", "trace.html", "trace", traces.trace),
        ("/models", "models.html", "model", models.index),
        ("/models/{name:path}", "model.html", "model", models.version),
        ("/deployments", "deployments.html", "deployment", deployments.index(serving)),
        ("/deployments/{name:path}", "deployment.html", "deployment", deployments.deployment(serving)),
        ("/monitors", "monitors.html", "monitor", monitors.index),
        ("/monitors/{name:path}", "monitor.html", "monitor", monitors.monitor),
        ("/alerts", "alerts.html", "monitor", monitors.alerts),
        ("/alerts/{name}", "alert.html", "monitor", monitors.alert),
        ("/incidents", "incidents.html", "incident", monitors.incidents),
        ("/incidents/{name}", "incident.html", "incident", monitors.incident),
        ("/policies", "policies.html", "policy", policies.index),
        ("/policies/{name:path}", "policy.html", "policy", policies.policy),
        ("/privacy", "minimisation.html", "retention", minimisation.index),
        ("/retention", "retention.html", "retention", retention.index),
        ("/audit", "audit.html", "audit", audit.index),
        ("/audit/{seq:int}", "event.html", "audit", audit.event),
        ("/record/{ref:path}", "record.html", "", audit.record),
    ]
    sign_in = SignIn(pages)
    return [
        *static_routes(),
        Guarded("/signin", sign_in.form, needs=PUBLIC, methods=["GET", "POST"]),
        Guarded("/views", pages.form(comparisons.SAVING, comparisons.save), needs="write", methods=["POST"]),
        Guarded("/runs/end", pages.form(runs.ENDING, runs.end), needs="write", methods=["POST"]),
        Guarded("/mlflow", Addresses(pages).lead, needs=SIGNED_IN),
        Guarded("/signout", sign_in.out, needs=PUBLIC, methods=["POST"]),
        *(Guarded(path, pages.page(template, here, gather), needs=SIGNED_IN) for path, template, here, gather in found),
    ]
