"""Bringing a project of DVC over: each state of each path becomes a version of files, once."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from modelwright.core.errors import Corrupt, Invalid, NotFound
from modelwright.core.refs import Kind, Ref
from modelwright.datasets import Datasets, DatasetVersion
from modelwright.exchange.dvc import Out, Project
from modelwright.exchange.records import Line, Outcome
from modelwright.exchange.remarks import Remarks

ORIGIN: Final = "dvc.state"  # the tag that says which state of which commit a version is
_FOREIGN: Final = re.compile(r"[^A-Za-z0-9_.\-]+")
Told = Callable[[str, int, int], None]


class BringingDvc:
    """One import. One that was stopped goes on when it is started again; a second one brings what is new."""

    def __init__(
        self,
        project: Project,
        datasets: Datasets,
        *,
        under: str = "",
        dry_run: bool = False,
        told: Told = lambda what, done, total: None,
    ) -> None:
        """`under` is a path that the names of the datasets begin with."""
        self.project, self.datasets = project, datasets
        self._under, self._dry_run, self._told = under, dry_run, told
        self._remarks = Remarks()
        self._names: dict[str, str] = {}  # the path that each name stands for

    def run(self, *, target: str) -> Outcome:
        """Bring everything that is in the cache, then count both sides."""
        outs = self.project.outs()
        held: dict[str, dict[str, DatasetVersion]] = {}
        there = {"datasets": 0, "versions": 0, "files": 0, "bytes": 0}
        brought = left = 0
        expected: dict[str, set[str]] = {}
        for done, out in enumerate(outs, 1):
            name = self._name(out.path)
            if name not in held:
                held[name] = self._held(name)
                there["datasets"] += 1
            try:
                files = self.project.files(out)
            except (NotFound, Corrupt) as error:
                self._remarks.add("was left out", f"{out.path} at {_when(out)}: {error.message}")
                files = {}
            missing = [path for path, (_, place) in files.items() if place is None]
            if missing:
                self._remarks.add("was left out", f"{out.path} at {_when(out)}: {_files(len(missing))} not in the cache")
            there["versions"] += 1
            there["files"] += len(files)
            there["bytes"] += sum(place.stat().st_size for _, place in files.values() if place is not None)
            expected.setdefault(name, set()).add(out.identity)
            if out.identity in held[name]:
                left += 1
            elif files and not missing:
                version = None if self._dry_run else self._bring(name, out, files)
                fresh = self._dry_run or (version is not None and version.tags.get(ORIGIN) == out.identity)
                brought += fresh
                if version is not None:
                    left += not fresh  # the version before has the same content
                    held[name][out.identity] = version
            self._told("versions", done, len(outs))
        here = [version for name, states in expected.items() for state, version in held[name].items() if state in states]
        counts = {
            "datasets": len({version.ref.name for version in here}),
            "versions": len(here),
            "files": sum(version.files for version in here),
            "bytes": sum(version.bytes for version in here),
        }
        check = [] if self._dry_run else [Line(what=what, there=there[what], here=counts[what]) for what in there]
        return Outcome(
            source=str(self.project.root),
            target=target,
            dry_run=self._dry_run,
            added={"versions": brought},
            same={"versions": left},
            check=check,
            notes=list(self._remarks.lines()),
            remarks=self._remarks.all(),
        )

    def _bring(self, name: str, out: Out, files: Mapping[str, tuple[str, Path | None]]) -> DatasetVersion | None:
        commit = out.commit
        tags = {ORIGIN: out.identity, "dvc.path": out.path}
        tags |= {f"git.{field}": str(getattr(commit, field)) for field in ("id", "at", "author") if getattr(commit, field)}
        try:
            return self.datasets.add_listed(
                name,
                {path: place for path, (_, place) in files.items() if place is not None},
                md5={path: md5 for path, (md5, _) in files.items()} if out.plain else {},
                source=f"DVC: {out.path}",
                description=commit.subject,
                tags=tags,
                reason=f"brought from DVC, {out.path} at {_when(out)}",
            )
        except (Corrupt, Invalid) as error:
            self._remarks.add("was left out", f"{out.path} at {_when(out)}: {error.message}")
            return None

    def _held(self, name: str) -> dict[str, DatasetVersion]:
        """The versions that an earlier import made, by their states."""
        versions = self.datasets.history(Ref(Kind.DATASET, name))
        return {each.tags[ORIGIN]: each for each in versions if ORIGIN in each.tags}

    def _name(self, path: str) -> str:
        """The dataset's name for a path; `Invalid` where two paths come to the same."""
        parts = [_FOREIGN.sub("-", part).strip("-.") or "unnamed" for part in path.split("/")]
        name = "/".join([*([self._under.strip("/")] if self._under else []), *parts])
        if self._names.setdefault(name, path) != path:
            raise Invalid(f"{path!r} and {self._names[name]!r} would both be dataset:{name}.", mend="Rename one of them.")
        return name


def _when(out: Out) -> str:
    return f"commit {out.commit.id[:12]}" if out.commit.id else "present"


def _files(count: int) -> str:
    return "1 file is" if count == 1 else f"{count:,} files are"
