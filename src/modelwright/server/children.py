"""Pipelines in processes of their own, started for the operator in the project's folder."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modelwright.core.wire import to_plain

logger = logging.getLogger("modelwright.pipelines")


class ProjectRunner:
    """Has `mw run` execute a pipeline of the project; a `pipelines.Starter`. Its output goes to a log file."""

    def __init__(self, project: Path) -> None:
        self._project = project
        self._children: list[subprocess.Popen[bytes]] = []

    def start(self, pipeline: str, *, params: Mapping[str, Any], reason: str, cause: int | None) -> None:
        """See `pipelines.Starter`. No shell: every argument is an argument."""
        command = [sys.executable, "-m", "modelwright.cli", "run", pipeline, "--reason", reason, "--json"]
        command += ["--workspace", str(self._project), "--params", json.dumps(to_plain(dict(params)))]
        if cause is not None:
            command += ["--cause", str(cause)]
        self._children = [child for child in self._children if child.poll() is None]
        log = self._project / ".modelwright" / "logs"
        log.mkdir(exist_ok=True, mode=0o700)
        with (log / f"{pipeline.replace('/', '-')}.log").open("ab") as output:
            child = subprocess.Popen(  # noqa: S603 - our own interpreter and module; the name was checked when it was defined
                command, cwd=self._project, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        self._children.append(child)
        logger.info("started %s as process %s", pipeline, child.pid)

    def running(self) -> int:
        """How many are still at it."""
        return sum(child.poll() is None for child in self._children)
