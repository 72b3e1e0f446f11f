"""A run of this process: what is logged is on file when the call returns, and delivered in the background."""

from __future__ import annotations

import json
import logging
import mimetypes
import operator
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from modelwright.core.clock import SystemClock
from modelwright.core.errors import Conflict, Invalid
from modelwright.core.ids import new_id
from modelwright.core.refs import Kind, Ref
from modelwright.core.wire import encode
from modelwright.experiments import values as rules
from modelwright.experiments.entries import Ended, Figures, Linked, Params, Tags
from modelwright.experiments.filenames import check_file_name
from modelwright.experiments.records import Number, RunStatus, outcome
from modelwright.tracking import spool
from modelwright.tracking.courier import Courier, Followed
from modelwright.tracking.journal import Journal, Spooled
from modelwright.tracking.trace import Trace

if TYPE_CHECKING:
    from modelwright.tracking.sampling import Sampler

LOG: Final = logging.getLogger("modelwright")
MAX_STEP = 2**63 - 1
AWAY = 1.0  # seconds that the end of a run waits where nothing arrived just now: one more try, and no more


class TrackedRun:
    """A run that is running here, in this process. Safe to use from several threads, and in processes forked off.

    Every call checks what it is given, so that a mistake is raised where it is made; then it appends to a log on this
    machine and returns. What comes after never raises and never waits: see `modelwright.tracking.journal` for what
    survives. As a context manager it ends the run: finished; failed, with the error that left the block; or killed, where
    that was an interruption from the keyboard.
    """

    def __init__(self, *, id: str, experiment: str, name: str, journal: Journal | None = None, parent: str = "") -> None:
        self.id, self.experiment, self.name, self.parent = id, experiment, name, parent
        self.ref = Ref(Kind.RUN, id)
        self.resumed = False  # its last steps are not known here
        self.status = RunStatus.RUNNING
        self.traces: dict[str, Trace] = {}
        self.params: dict[str, Any] = {}
        self.sampler: Sampler | None = None
        self.patience = 10.0  # seconds that its end waits for what is left to arrive
        self._journal = journal
        self._courier: Courier | None = None
        self._followed: Followed | None = None
        self._linked: set[Ref] = set()
        self._pid = os.getpid()

    @property
    def inherited(self) -> bool:
        """Whether this process was forked off from the one that started it."""
        return self._pid != os.getpid()

    @property
    def address(self) -> str:
        """The workspace that it goes to; empty where nobody has said yet."""
        return "" if self._journal is None else self._journal.opening.address

    def begin(self, courier: Courier) -> None:
        """Have it delivered from now on."""
        if self._journal is not None:
            self._courier, self._followed = courier, courier.follow(self._journal)

    # Figures and parameters

    def log_metric(self, name: str, value: float, *, step: int | None = None) -> None:
        """Log a figure; without a step, one after the metric's last. NaN and infinities are kept as such."""
        self.log_metrics({name: value}, step=step)

    def log_metrics(self, metrics: Mapping[str, float], *, step: int | None = None) -> None:
        """Log several figures, of one step or each of the one after its last."""
        journal = self._open_journal()
        if journal is None or not metrics:
            return
        made: dict[str, Number] = {}
        for name, value in metrics.items():
            if name not in self.traces:
                rules.check_name(name)
            made[name] = rules.figure(name, value)
        if step is not None:
            step = _step(step)
        with journal.lock:
            grouped: dict[int | None, dict[str, Number]] = {}
            for name, figure in made.items():
                trace = self.traces.get(name)
                if trace is None:
                    trace = self.traces[name] = Trace()
                at = trace.add(figure, step, known=not self.resumed)
                grouped.setdefault(at, {})[name] = figure
            for at, some in grouped.items():
                journal.append(Figures, values=some, step=at)

    def log_param(self, name: str, value: Any) -> None:
        """Log one parameter; it keeps its first value."""
        self.log_params({name: value})

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Log parameters: plain values, lists and dicts of them; anything else by its text.

        A parameter keeps its first value: another is a `Conflict`, and nothing of the call is logged.
        """
        journal = self._open_journal()
        if journal is None:
            return
        made = {name: rules.param(name, value) for name, value in params.items()}
        with journal.lock:
            for name, value in made.items():
                if name in self.params and self.params[name] != value:
                    raise Conflict(
                        f"Parameter {name!r} of {self.ref} is {self.params[name]!r} and cannot become {value!r}.",
                        mend="What changes during a run is a metric; a run with other parameters is another run.",
                    )
            self.params |= made
            if made:
                journal.append(Params, values=made)

    def set_tag(self, key: str, value: Any) -> None:
        """Set a tag."""
        self.set_tags({key: value})

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        """Set tags."""
        made = {key: rules.tag(key, value) for key, value in tags.items()}
        journal = self._open_journal()
        if journal is not None and made:
            journal.append(Tags, values=made)

    # Files

    def log_artifact(self, path: Path | str, name: str = "") -> None:
        """Keep a file, under its own name or another (`plots/roc.png`). It is copied before this returns."""
        path = Path(path)
        if not path.is_file():
            raise Invalid(f"There is no file {path}.", mend="Give the path of a file; of a folder use log_artifacts.")
        self._keep(path, name or path.name)

    def log_artifacts(self, folder: Path | str, under: str = "") -> None:
        """Keep every file below a folder, by its path in it; `under` goes before that path."""
        folder = Path(folder)
        if not folder.is_dir():
            raise Invalid(f"There is no folder {folder}.", mend="Give the path of a folder; of a file use log_artifact.")
        found = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        names = ["/".join([*([under] if under else []), *path.relative_to(folder).parts]) for path in found]
        for name in names:
            check_file_name(name)
        for path, name in zip(found, names, strict=True):
            self._keep(path, name)

    def log_bytes(self, content: bytes, name: str, *, media_type: str = "") -> None:
        """Keep bytes as an artifact."""
        self._keep(content, name, media_type)

    def log_text(self, text: str, name: str) -> None:
        """Keep text as an artifact, in UTF-8."""
        self._keep(
            text.encode(errors="backslashreplace"), name, media_type="" if mimetypes.guess_type(name)[0] else "text/plain"
        )

    def log_dict(self, values: Any, name: str) -> None:
        """Keep a dict or list as a JSON artifact."""
        try:
            content = encode(values)
        except (TypeError, UnicodeEncodeError):
            content = json.dumps(values, indent=2, default=str).encode()
        self._keep(content, name, media_type="application/json")

    def log_figure(self, figure: Any, name: str) -> None:
        """Keep a chart: of Altair as Vega-Lite (`.vl.json`), of Matplotlib as PNG, of Plotly as HTML."""
        from modelwright.experiments.figures import render

        name, content, media_type = render(figure, name)
        self._keep(content, name, media_type)

    def log_table(self, table: Any, name: str) -> None:
        """Keep a table as Parquet: anything with the Arrow C stream, a data frame, columns by name, or a list of rows."""
        from modelwright.tracking.tables import parquet

        name = name if name.endswith(".parquet") else f"{name}.parquet"
        self._keep(parquet(table), name, media_type="application/vnd.apache.parquet")

    # Where it comes from and what comes of it

    def log_input(self, ref: Ref | str) -> None:
        """Say that the run reads something: `dataset:flights@7`. What `datasets.read` reads meanwhile is said by itself."""
        self._link("inputs", ref)

    def log_output(self, ref: Ref | str) -> None:
        """Say that the run has made something."""
        self._link("outputs", ref)

    # Its end

    def flush(self, patience: float | None = None) -> bool:
        """Wait, at most `patience` seconds, until all that was logged has arrived; says whether it has."""
        if self._courier is None or self._followed is None:
            return False
        return self._courier.flush(self._followed, self.patience if patience is None else patience)

    def end(self, status: RunStatus | str = RunStatus.FINISHED, *, error: str = "") -> None:
        """End the run, and wait a little until all has arrived. What cannot arrive now is kept, and said once.

        Ending it twice does nothing; nor does ending it in a process that was forked off.
        """
        status = RunStatus(status)
        if status is RunStatus.RUNNING:
            raise Invalid("A run does not end as running.", mend="Say finished, failed or killed.")
        if self.status is not RunStatus.RUNNING:
            return
        journal = self._journal
        if journal is not None and not journal.is_own:
            return
        if self.sampler is not None:
            self.sampler.stop()
        self.status = status
        if journal is None or self._followed is None:
            return
        ending = {"status": status, "error": rules.whole(error)[:2000]}
        written = journal.append(Ended, **ending)
        if not written and self._courier is not None:  # what is delivered makes room
            self._courier.flush(self._followed, self.patience, away=AWAY)
            written = journal.append(Ended, **ending)
            journal.lost -= written
        self._followed.whole, self._followed.ended = written, True
        arrived = self._courier is not None and self._courier.flush(self._followed, self.patience, away=AWAY)
        if journal.lost or not written:
            LOG.warning("%s: %d entries could not be written to %s and are lost.", self.ref, journal.lost, journal.path)
        if not arrived and journal.path.exists():
            self._say_kept(journal)

    def _say_kept(self, journal: Journal) -> None:
        assert self._courier is not None
        level = logging.INFO if self._courier.offline else logging.WARNING  # offline, it is what was asked for
        told = "%s is kept in %s until `mw sync` delivers it. %s"
        LOG.log(level, told, self.ref, journal.folder, self._courier.failure)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        from modelwright.tracking.active import leave

        leave(self)
        status, told = outcome(error)
        self.end(status, error=told)

    def __repr__(self) -> str:
        return f"<{self.ref} {self.name} of {self.experiment}, {self.status}>"

    def _repr_html_(self) -> str:
        from modelwright.tracking.display import tracked_run

        return tracked_run(self)

    def _open_journal(self) -> Journal | None:
        if self.status is not RunStatus.RUNNING:
            raise Conflict(f"{self.ref} is {self.status}.", mend="Go on with it by start_run(run=...), or start another.")
        return self._journal

    def _keep(self, content: Path | bytes, name: str, media_type: str = "") -> None:
        journal = self._open_journal()
        if journal is None:
            return
        check_file_name(name)
        file = new_id(SystemClock().now())
        try:
            if isinstance(content, Path):
                spool.add_file(journal.folder, file, content)
            else:
                spool.add_bytes(journal.folder, file, content)
        except OSError as error:
            LOG.warning("%s: %s is not kept: %s", self.ref, name, error)
            journal.lost += 1
            return
        media_type = media_type or mimetypes.guess_type(name)[0] or "application/octet-stream"
        journal.append(Spooled, file=file, name=name, media_type=media_type)

    def _link(self, side: str, ref: Ref | str) -> None:
        ref = ref if isinstance(ref, Ref) else Ref.parse(ref)
        journal = self._open_journal()
        if journal is None:
            return
        with journal.lock:
            if ref not in self._linked:
                self._linked.add(ref)
                journal.append(Linked, **{side: [ref]})


def _step(step: Any) -> int:
    try:
        found = operator.index(step)
    except TypeError:
        raise Invalid(f"A step is a whole number, not {step!r}.") from None
    if abs(found) > MAX_STEP:
        raise Invalid(f"The step {found} does not fit into 64 bits.")
    return found


def refs(texts: Sequence[Ref | str]) -> list[Ref]:
    """Refs from refs or their text."""
    return [each if isinstance(each, Ref) else Ref.parse(each) for each in texts]
