"""A running server of MLflow's, asked through its REST API, as its own client does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit, urlunsplit

from msgspec.structs import replace

from modelwright.core.errors import Denied, Invalid, Unauthenticated, Unavailable
from modelwright.exchange.files import PROXY, File, Place, Roots
from modelwright.exchange.records import Counts
from modelwright.exchange.sources.folder import counted, counted_logged, found_with_versions
from modelwright.exchange.sources.server_traces import TracesOfServer
from modelwright.exchange.sources.traces import ForeignTrace
from modelwright.experiments.intake import ForeignExperiment, ForeignFigure, ForeignLoggedModel, ForeignRun, Series
from modelwright.experiments.records import NAME_TAG, DatasetRead, ModelRole, ModelUse, RunStatus
from modelwright.models.intake import ForeignModel, ForeignVersion

if TYPE_CHECKING:
    import httpx

PATIENCE = 60.0  # seconds
ATTEMPTS = 3
PAGE = 1000
POINTS = 25_000  # of a page of a curve
AT_ONCE = 8  # curves that are asked for
PIECE = 1 << 20
PROMPTS = "tags.`mlflow.prompt.is_prompt` = 'true'"  # shown only to whoever asks for them
LOGGED = {"LOGGED_MODEL_READY": "ready", "LOGGED_MODEL_UPLOAD_FAILED": "failed"}


class Api:
    """MLflow's REST API: one request, one answer; and pages until there are no more."""

    def __init__(self, address: str, *, token: str = "") -> None:
        import httpx

        parts = urlsplit(address)
        self.address = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), "", ""))
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        whose = (parts.username or "", parts.password or "") if parts.username and not token else None
        self.client: httpx.Client = httpx.Client(
            base_url=self.address, headers=headers, auth=whose, timeout=PATIENCE, follow_redirects=False
        )

    def ask(self, method: str, path: str, *, query: Any = None, body: Any = None) -> Any:
        """The JSON of an answer; what the server refuses is an error that says its words."""
        return self.send(method, f"/api/2.0/mlflow/{path}", params=query, json=body).json()

    def send(self, method: str, path: str, **how: Any) -> httpx.Response:
        """The answer itself. A server that is busy or gone for a moment is asked again."""
        import httpx

        last = ""
        for _ in range(ATTEMPTS):
            try:
                answer = self.client.request(method, path, **how)
            except httpx.HTTPError as error:
                last = str(error) or type(error).__name__
                continue
            if answer.status_code in (408, 429, 502, 503, 504):
                last = f"status {answer.status_code}"
                continue
            check(answer, self.address)
            return answer
        raise Unavailable(f"{self.address} does not answer: {last}", mend="Is it running? Run the same command again.")

    def pages(self, method: str, path: str, what: str, asked: dict[str, Any]) -> Iterator[Any]:
        """Everything that a list holds, page by page."""
        token = ""
        while True:
            wanted = {**asked, "page_token": token} if token else asked
            told = self.ask(method, path, **({"query": wanted} if method == "GET" else {"body": wanted}))
            yield from told.get(what, ())
            token = told.get("next_page_token", "")
            if not token:
                return

    def close(self) -> None:
        """Hang up."""
        self.client.close()


def check(answer: httpx.Response, address: str) -> None:
    """Raise unless the server did what it was asked."""
    if answer.is_success:
        return
    answer.read()
    said, is_mlflow = _message(answer)
    if answer.status_code == 401:
        raise Unauthenticated(
            f"{address} wants to know who asks.", mend="Give --token, or name and password in the address."
        )
    if answer.status_code == 403:
        raise Denied(f"{address} does not allow it: {said}")
    raise Invalid(
        f"{address} answered {answer.request.method} {answer.request.url.path} with {answer.status_code}: {said}",
        details={"unknown": answer.status_code in (404, 405, 501)},
        mend="" if is_mlflow else "Is it a server of MLflow's, version 2.0 or later?",
    )


def _message(answer: httpx.Response) -> tuple[str, bool]:
    """What an answer says, and whether it says so as MLflow's servers do."""
    try:
        return str(answer.json()["message"])[:1000], True
    except (ValueError, KeyError, TypeError):
        first = answer.text.strip().partition("\n")[0]
        return "a web page" if first.startswith("<") else first[:300], False


class ServerSource:
    """Reads a server of MLflow's."""

    def __init__(self, address: str, *, root: str | None = None, token: str = "") -> None:
        self._api = Api(address, token=token)
        self.name = self._api.address
        self._roots = Roots(root)
        self._has_root = root is not None
        self._older = False
        self._traces = TracesOfServer(lambda method, path, **how: self._api.send(method, path, **how).json())
        self._lengths: dict[tuple[str, str], int] = {}  # of curves that were read

    def close(self) -> None:
        """Hang up."""
        self._api.close()

    @property
    def notes(self) -> list[str]:
        """What is not brought, as far as a server tells."""
        return ["Traces are not brought: the server is older than version 3."] if self._older else []

    def sizes(self) -> Counts:
        """A server does not tell without giving everything."""
        return Counts()

    def experiments(self) -> Iterator[ForeignExperiment]:
        """Every experiment, deleted ones too."""
        asked = {"max_results": PAGE, "view_type": "ALL"}
        for said in self._api.pages("POST", "experiments/search", "experiments", asked):
            yield ForeignExperiment(
                id=said["experiment_id"],
                title=said["name"],
                location=said.get("artifact_location", ""),
                deleted=said.get("lifecycle_stage") == "deleted",
                created=int(said.get("creation_time", 0)),
                updated=int(said.get("last_update_time", 0)),
                tags=_tags(said),
            )

    def runs(self) -> Iterator[ForeignRun]:
        """Every run, experiment by experiment. How many points it has is told by `series`."""
        for experiment in self.experiments():
            yield from self.runs_of(experiment.id)

    def runs_of(self, experiment: str) -> Iterator[ForeignRun]:
        """Every run of an experiment."""
        asked = {
            "experiment_ids": [experiment],
            "run_view_type": "ALL",
            "max_results": PAGE,
            "order_by": ["attributes.start_time ASC"],
        }
        yield from map(_run, self._api.pages("POST", "runs/search", "runs", asked))

    def series(self, runs: Sequence[str]) -> Iterator[tuple[str, Series]]:
        """All points of some runs: a request or more for each metric, several at once."""
        wanted = [(run, key) for run in runs for key in self._metrics(run)]
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="curves") as pool:
            yield from pool.map(lambda each: (each[0], self._curve(*each)), wanted)

    def _metrics(self, run: str) -> list[str]:
        said = self._api.ask("GET", "runs/get", query={"run_id": run})
        return [each["key"] for each in said["run"].get("data", {}).get("metrics", ())]

    def _curve(self, run: str, metric: str) -> Series:
        asked = {"run_id": run, "metric_key": metric, "max_results": POINTS}
        points = list(self._api.pages("GET", "metrics/get-history", "metrics", asked))
        self._lengths[run, metric] = len(points)
        return Series(
            metric,
            [int(each.get("step", 0)) for each in points],
            [int(each.get("timestamp", 0)) for each in points],
            [each["value"] for each in points],
        )

    def logged_models(self) -> Iterator[ForeignLoggedModel]:
        """Every logged model that is not deleted: of others a server says nothing. None of a server before 3.0."""
        alive = [each.id for each in self.experiments() if not each.deleted]
        if alive and self.major() >= 3:
            yield from self.logged_of(alive)

    def logged_of(self, experiments: Sequence[str]) -> Iterator[ForeignLoggedModel]:
        """Every logged model of some experiments, deleted experiments too."""
        asked = {"experiment_ids": list(experiments), "max_results": 50}
        for said in self._api.pages("POST", "logged-models/search", "models", asked):
            info, data = said["info"], said.get("data", {})
            yield ForeignLoggedModel(
                id=info["model_id"],
                experiment=info["experiment_id"],
                name=info.get("name", ""),
                status=LOGGED.get(info.get("status", ""), "pending"),
                status_message=info.get("status_message", ""),
                model_type=info.get("model_type", ""),
                run=info.get("source_run_id", ""),
                location=info.get("artifact_uri", ""),
                created=int(info.get("creation_timestamp_ms", 0)),
                updated=int(info.get("last_updated_timestamp_ms", 0)),
                params={each["key"]: each.get("value", "") for each in data.get("params", ())},
                tags=_tags(info),
                figures=[_figure(each) for each in data.get("metrics", ())],
            )

    def traces(self) -> Iterator[ForeignTrace]:
        """Every trace of an experiment that is not deleted; none where the server is older than 3."""
        experiments = [each.id for each in self.experiments() if not each.deleted]
        try:
            yield from self._traces.all(experiments)
        except Invalid as error:
            if not error.details.get("unknown"):
                raise
            self._older = True

    def models(self) -> Iterator[ForeignModel]:
        """Every registered model, prompts too."""
        for said in self._registered():
            yield ForeignModel(
                name=said["name"],
                description=said.get("description", ""),
                created=int(said.get("creation_timestamp", 0)),
                updated=int(said.get("last_updated_timestamp", 0)),
                tags=_tags(said),
                aliases={each["alias"]: int(each["version"]) for each in said.get("aliases", ())},
            )

    def versions(self) -> Iterator[ForeignVersion]:
        """Every version of every registered model."""
        for name in [said["name"] for said in self._registered()]:
            yield from map(self._located, self.versions_of(name))

    def versions_of(self, name: str) -> list[ForeignVersion]:
        """The versions of a registered model, or of a prompt, by their numbers; without saying where their files lie."""
        quoted = name.replace("'", "\\'")
        found: list[Any] = []
        for condition in (f"name='{quoted}'", f"name='{quoted}' AND {PROMPTS}"):
            if not found:
                asked = {"filter": condition, "max_results": PAGE}
                found = list(self._api.pages("GET", "model-versions/search", "model_versions", asked))
        return sorted(map(_version, found), key=lambda each: each.number)

    def counts(self) -> Counts:
        """How much there is, asked anew; of curves and traces that were read already, as it was then."""
        found = Counts() + self._traces.counted
        for experiment in self.experiments():
            found += Counts(
                experiments=1, experiments_deleted=int(experiment.deleted), experiment_tags=len(experiment.tags)
            )
        unread: list[tuple[str, str]] = []
        for run in self.runs():
            found += counted(run)
            for metric in run.latest:
                if (run.id, metric) in self._lengths:
                    found.points += self._lengths[run.id, metric]
                else:
                    unread.append((run.id, metric))
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="curves") as pool:
            found.points += sum(len(series) for series in pool.map(lambda each: self._curve(*each), unread))
        for logged in self.logged_models():
            found += counted_logged(logged)
        numbers = {(each.name, each.number): len(each.tags) for each in self.versions()}
        for model in self.models():
            found += Counts(registered_models=1, aliases=sum((model.name, n) in numbers for n in model.aliases.values()))
        return found_with_versions(found, numbers)

    def place(self, location: str) -> Place | None:
        """Files behind the server's proxy are asked of it; others are looked for where they are said to be."""
        if urlsplit(location).scheme == PROXY and not self._has_root:
            return Proxied(self._api, urlsplit(location).path.strip("/"))
        return self._roots.place(location)

    def _registered(self) -> Iterator[Any]:
        """Prompts are registered models that are shown only to whoever asks for them."""
        yield from self._api.pages("GET", "registered-models/search", "registered_models", {"max_results": 100})
        if self.major() >= 3:
            asked = {"max_results": 100, "filter": PROMPTS}
            yield from self._api.pages("GET", "registered-models/search", "registered_models", asked)

    def _located(self, version: ForeignVersion) -> ForeignVersion:
        asked = {"name": version.name, "version": str(version.number)}
        told = self._api.ask("GET", "model-versions/get-download-uri", query=asked)
        return replace(version, location=told.get("artifact_uri", ""))

    def major(self) -> int:
        """The first number of the version of MLflow that the server is; 0 where it says nothing of the kind."""
        text = self._api.send("GET", "/version").text
        major = text.partition(".")[0]
        return int(major) if major.isdigit() else 0


class Proxied:
    """A folder behind the server's artifact proxy."""

    def __init__(self, api: Api, path: str) -> None:
        self._api = api
        self._path = path

    def files(self) -> list[File]:
        """See `Place`."""
        return sorted(self._below(""))

    def _below(self, folder: str) -> Iterator[File]:
        whole = f"{self._path}/{folder}".rstrip("/")
        told = self._api.send("GET", "/api/2.0/mlflow-artifacts/artifacts", params={"path": whole}).json()
        for each in told.get("files", ()):
            path = f"{folder}/{each['path']}" if folder else each["path"]
            if each.get("is_dir"):
                yield from self._below(path)
            else:
                yield File(path, int(each.get("file_size", 0)))

    def read(self, path: str) -> Iterable[bytes]:
        """See `Place`."""
        whole = quote(f"{self._path}/{path}")
        with self._api.client.stream("GET", f"/api/2.0/mlflow-artifacts/artifacts/{whole}") as answer:
            check(answer, self._api.address)
            yield from answer.iter_bytes(PIECE)


def _tags(said: Any) -> dict[str, str]:
    return {each["key"]: each.get("value", "") for each in said.get("tags", ())}


def _version(said: Any) -> ForeignVersion:
    return ForeignVersion(
        name=said["name"],
        number=int(said["version"]),
        source=said.get("source", ""),
        run=said.get("run_id", ""),
        run_link=said.get("run_link", ""),
        logged_as=said.get("model_id", ""),
        stage=said.get("current_stage", "None"),
        description=said.get("description", ""),
        user=said.get("user_id", ""),
        created=int(said.get("creation_timestamp", 0)),
        updated=int(said.get("last_updated_timestamp", 0)),
        tags=_tags(said),
    )


def _run(said: Any) -> ForeignRun:
    info, data = said["info"], said.get("data", {})
    tags = _tags(data)
    name = tags.pop(NAME_TAG, "")
    inputs, outputs = said.get("inputs", {}), said.get("outputs", {})
    models = [ModelUse(model=each["model_id"], role=ModelRole.INPUT) for each in inputs.get("model_inputs", ())]
    models += [
        ModelUse(model=each["model_id"], role=ModelRole.OUTPUT, step=int(each.get("step", 0)))
        for each in outputs.get("model_outputs", ())
    ]
    return ForeignRun(
        id=info["run_id"],
        experiment=info["experiment_id"],
        name=info.get("run_name") or name,
        status=RunStatus(info.get("status", "RUNNING").lower()),
        started=int(info.get("start_time", 0)),
        ended=int(info["end_time"]) if info.get("end_time") else None,
        user=info.get("user_id", ""),
        location=info.get("artifact_uri", ""),
        deleted=info.get("lifecycle_stage") == "deleted",
        params={each["key"]: each.get("value", "") for each in data.get("params", ())},
        tags=tags,
        datasets=sorted(map(_dataset, inputs.get("dataset_inputs", ())), key=lambda each: (each.name, each.digest)),
        models=sorted(models, key=lambda each: (each.role, each.model, each.step)),
        metrics=len(data.get("metrics", ())),
        latest={
            each["key"]: (each["value"], int(each.get("step", 0)), int(each.get("timestamp", 0)))
            for each in data.get("metrics", ())
        },
    )


def _dataset(said: Any) -> DatasetRead:
    described = said["dataset"]
    return DatasetRead(
        name=described["name"],
        digest=described["digest"],
        source_type=described.get("source_type", ""),
        source=described.get("source", ""),
        schema=described.get("schema", ""),
        profile=described.get("profile", ""),
        tags=_tags(said),
    )


def _figure(said: Any) -> ForeignFigure:
    return ForeignFigure(
        metric=said["key"],
        value=said["value"],
        time=int(said.get("timestamp", 0)),
        step=int(said.get("step", 0)),
        run=said.get("run_id", ""),
        dataset=said.get("dataset_name", ""),
        dataset_digest=said.get("dataset_digest", ""),
    )
