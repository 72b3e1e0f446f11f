"""The handle that a running script logs through: figures are gathered and sent about once a second.

A point's time is the run's start by the workspace's clock plus the time that has passed here since. So two machines' clocks
need not agree, it holds in a replay of the past, and it is the same when a batch has to be sent twice.
"""

from __future__ import annotations

import contextvars
import mimetypes
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any

from modelwright.core.blobs import Blobs
from modelwright.core.errors import Invalid, Unavailable
from modelwright.core.refs import Ref
from modelwright.experiments.records import Artifact, Point, Run, RunStatus, outcome
from modelwright.experiments.values import plain, whole

EVERY = 1.0  # seconds between two batches
MOST = 10_000  # points in one batch


class ActiveRun:
    """A run that is running here. Safe to use from several threads.

    As a context manager it ends the run: finished, or failed with the error that left the block, or killed where that was
    an interruption from the keyboard. Metrics are sent from a thread in the background; parameters, tags and artifacts at
    once, so a mistake in one of them is raised where it was made.
    """

    def __init__(self, run: Run, *, log: Callable[..., None], finish: Callable[..., Run], blobs: Blobs) -> None:
        self.ref = run.ref
        self.name = run.name
        self.experiment = run.experiment
        self._log, self._finish, self._blobs = log, finish, blobs
        self.started_at, self._since = run.started_at, time.monotonic()
        self._points: list[Point] = []
        self.outputs: list[Ref] = []
        self._last_step: dict[str, int] = {}
        self._lock = threading.Lock()
        self._sending = threading.Lock()
        self._wake = threading.Event()
        self._closed = False
        self._thread: threading.Thread | None = None

    def log_param(self, name: str, value: Any) -> None:
        """Log one parameter; it keeps its first value."""
        self.log_params({name: value})

    def log_params(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Log parameters: plain values, lists and dicts of them; anything else by its text. Returns them as stored."""
        made = {name: plain(value) for name, value in params.items()}
        self._log(self.ref, params=made)
        return made

    def log_metric(self, name: str, value: float, *, step: int | None = None) -> None:
        """Log a figure; without a step, one after the metric's last. NaN and infinities are kept as such."""
        self.log_metrics({name: value}, step=step)

    def log_metrics(self, values: Mapping[str, float], *, step: int | None = None) -> list[Point]:
        """Log several figures of one step; the points are returned as they will be stored."""
        now = self.now()
        with self._lock:
            made = []
            for name, value in values.items():
                at = self._last_step.get(name, -1) + 1 if step is None else step
                made.append(Point.of(name, value, step=at, time=now))
            self._last_step |= {point.metric: point.step for point in made}
            self._points += made
            if self._thread is None and not self._closed:
                self._begin()
        return made

    def log_tags(self, tags: Mapping[str, str]) -> None:
        """Set tags."""
        self._log(self.ref, tags=dict(tags))

    def log_artifact(self, content: bytes | str | Path, name: str = "", *, media_type: str = "") -> Artifact:
        """Keep bytes, or a file by its path, as an artifact; a file's own name is the default name."""
        path = None if isinstance(content, bytes) else Path(content)
        name = name or (path.name if path is not None else "")
        if not name:
            raise Invalid("An artifact made of bytes needs a name.", mend='Write log_artifact(data, "plots/roc.png").')
        if path is not None and not path.is_file():
            raise Invalid(f"There is no file {path}.", mend="Give the path of a file, or bytes and a name.")
        digest = self._blobs.put(path if path is not None else content)  # type: ignore[arg-type]
        guessed = media_type or mimetypes.guess_type(name)[0] or "application/octet-stream"
        artifact = Artifact(name=name, digest=digest, size=self._blobs.size(digest), media_type=guessed)
        self._log(self.ref, artifacts=[artifact])
        return artifact

    def log_figure(self, figure: Any, name: str) -> Artifact:
        """Keep a chart: of Altair as Vega-Lite (`.vl.json`), of Matplotlib as PNG, of Plotly as HTML."""
        from modelwright.experiments.figures import render

        name, data, media_type = render(figure, name)
        return self.log_artifact(data, name, media_type=media_type)

    def log_output(self, ref: Ref | str) -> None:
        """Say that the run made something: it is in the record of its end, and in the lineage."""
        ref = ref if isinstance(ref, Ref) else Ref.parse(ref)
        if ref not in self.outputs:
            self.outputs.append(ref)

    def now(self) -> datetime:
        """The time by the workspace's clock, as far as it can be told from here."""
        return self.started_at + timedelta(seconds=time.monotonic() - self._since)

    def flush(self) -> None:
        """Send what was gathered, and return once it is stored."""
        with self._sending:
            while True:
                with self._lock:
                    batch = self._points[:MOST]
                if not batch:
                    return
                self._log(self.ref, points=batch)
                with self._lock:
                    del self._points[: len(batch)]

    def finish(self, status: RunStatus = RunStatus.FINISHED, *, outputs: Sequence[Ref] = (), error: str = "") -> Run:
        """Send what is left and end the run."""
        self.close()
        return self._finish(self.ref, status=status, outputs=[*self.outputs, *outputs], error=error)

    def close(self) -> None:
        """Send what is left, and leave the run running."""
        with self._lock:
            self._closed = True
            thread = self._thread
        self._wake.set()
        if thread is not None:
            thread.join()
        self.flush()

    def __enter__(self) -> ActiveRun:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        status, told = outcome(error)
        try:
            self.finish(status, error=whole(told)[:2000])
        except Exception as second:
            if error is None:
                raise
            error.add_note(f"The end of {self.ref} could not be recorded: {second}")

    def _begin(self) -> None:
        context = contextvars.copy_context()  # who is asking goes along
        self._thread = threading.Thread(target=context.run, args=(self._send_on,), name=f"log {self.name}", daemon=True)
        self._thread.start()

    def _send_on(self) -> None:
        while not self._wake.wait(EVERY):
            try:
                self.flush()
            except Unavailable:
                continue  # kept, and sent with the next batch; the end of the run tries once more and says so
            except Exception:  # noqa: BLE001 - kept too: `close` meets the same error and raises it where it is seen
                return
