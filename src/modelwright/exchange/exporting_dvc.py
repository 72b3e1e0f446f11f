"""Datasets written as a project of DVC: what it keeps in its cache, its .dvc files, and a commit of git for each version.

The formats are those of DVC 3: a file lies in `.dvc/cache/files/md5` under its MD5, a folder there as the JSON list of its
files under the MD5 of that and `.dir` (https://dvc.org/doc/user-guide/project-structure/internal-files). DVC need not be
installed; git must be.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import yaml

from modelwright.core.clock import isoformat
from modelwright.core.errors import Conflict, Invalid, NotFound, Unavailable
from modelwright.core.paging import every
from modelwright.core.refs import Kind, Ref
from modelwright.datasets import Datasets, DatasetVersion
from modelwright.exchange.dvc import Project
from modelwright.exchange.records import Line, Outcome
from modelwright.exchange.remarks import Remarks

OPENED: Final = 50  # new files of a version that are fetched one by one; for more, the version is written out
Told = Callable[[str, int, int], None]
_CONFIG: Final = {".dvc/config": "", ".dvc/.gitignore": "/config.local\n/tmp\n/cache\n", ".dvcignore": ""}


class ExportingDvc:
    """One export. One that was stopped goes on when it is started again; a second one writes what is new."""

    def __init__(
        self,
        datasets: Datasets,
        folder: Path,
        *,
        names: Sequence[str] = (),
        told: Told = lambda what, done, total: None,
    ) -> None:
        """`folder` is new, empty, or an earlier export; `names` are the datasets to write, by default all."""
        self.datasets, self.folder = datasets, folder.absolute()
        self._names, self._told = names, told
        self._remarks = Remarks()
        self._md5: dict[str, tuple[str, int]] = {}  # by the digest of a file: its MD5 and size
        self._cache = self.folder / ".dvc" / "cache" / "files" / "md5"

    def run(self, *, source: str) -> Outcome:
        """Write every version that is not there, in the order in which they were made, then count both sides."""
        wanted = list(self._versions())
        self._begin()
        versions = sorted(wanted, key=lambda each: (_moment(each), each.ref.name, each.ref.version or 0))
        paths = _paths({each.ref.name for each in versions})
        done_before = set(self._git("tag", "--list").splitlines())
        written = left = files = size = 0
        states: dict[str, str] = {}
        changed = 0
        for done, version in enumerate(versions, 1):
            path = paths[version.ref.name]
            if version.lake is not None:
                self._remarks.add("was left out", f"{version.ref} lies in place, at {version.lake.address}")
                continue
            held = _tag(version.ref) in done_before
            entries = self._listed(path, version.ref) if held else self._stored(version)
            md5 = self._folder(entries) if not held else self._said(path, version.ref)
            if states.get(path) != md5:
                states[path], changed = md5, changed + 1
                files, size = files + len(entries), size + sum(each[1] for each in entries.values())
            if held:
                left += 1
            else:
                self._commit(version, path, md5, entries)
                written += 1
            self._told("versions", done, len(versions))
        here = {"datasets": len(states), "versions": changed, "files": files, "bytes": size}
        there = self._counted()
        return Outcome(
            source=source,
            target=str(self.folder),
            dry_run=False,
            added={"versions": written},
            same={"versions": left},
            check=[Line(what=what, there=there[what], here=here[what]) for what in here],
            notes=list(self._remarks.lines()),
            remarks=self._remarks.all(),
        )

    def _versions(self) -> Iterator[DatasetVersion]:
        names = list(self._names) or [each.ref.name for each in every(self.datasets.list)]
        for name in names:
            found = self.datasets.history(Ref(Kind.DATASET, name))
            if not found:
                raise NotFound(f"There is no dataset named {name!r}.", mend="See what there is: mw list dataset")
            yield from found

    # What DVC keeps

    def _stored(self, version: DatasetVersion) -> dict[str, tuple[str, int]]:
        """Bring the files of a version into the cache; by path, their MD5 and size."""
        if version.is_table:
            wanted = {f"{number:06}.parquet": part.digest for number, part in enumerate(version.parts)}
            executable = 0
        else:
            listed = self.datasets.files(version.ref)
            wanted = {each.path: each.digest for each in listed}
            executable = sum(each.executable for each in listed)
        if executable:
            self._remarks.add("is lost", f"{version.ref}: {executable} files may be executed, which DVC does not keep")
        if version.masks:  # then what leaves is not what the digests are of
            self._remarks.add("was masked", f"{version.ref}: {', '.join(mask.column for mask in version.masks)}")
            return {path: self._keep(file) for path, file in self._written_out(version)}
        missing = [path for path, digest in wanted.items() if digest not in self._md5]
        if missing and (version.is_table or len(missing) > OPENED):
            for path, file in self._written_out(version):
                self._md5[wanted[path]] = self._keep(file)
        else:
            for path in missing:
                with self.datasets.open(version.ref, path) as content, self._partial() as partial:
                    with partial.open("wb") as opened:
                        shutil.copyfileobj(content, opened)
                    self._md5[wanted[path]] = self._keep(partial)
        return {path: self._md5[digest] for path, digest in wanted.items()}

    def _written_out(self, version: DatasetVersion) -> Iterator[tuple[str, Path]]:
        with tempfile.TemporaryDirectory(dir=self.folder / ".dvc" / "tmp") as place:
            root = Path(place) / "version"
            self.datasets.export(version.ref, root, "parts" if version.is_table else "folder")
            for file in sorted(root.rglob("*")):
                if file.is_file():
                    yield file.relative_to(root).as_posix(), file

    def _keep(self, file: Path) -> tuple[str, int]:
        """Move a file into the cache, under its MD5, unless that is there."""
        with file.open("rb") as content:
            md5 = hashlib.file_digest(content, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        size = file.stat().st_size
        place = self._cache / md5[:2] / md5[2:]
        if not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            file.chmod(0o444)
            file.replace(place)
        return md5, size

    def _folder(self, entries: Mapping[str, tuple[str, int]]) -> str:
        """Put the list of a folder's files into the cache; gives its MD5, with `.dir`."""
        listed = [{"md5": entries[path][0], "relpath": path} for path in sorted(entries)]
        with self._partial() as partial:
            partial.write_bytes(json.dumps(listed, sort_keys=True).encode())
            md5 = hashlib.md5(partial.read_bytes(), usedforsecurity=False).hexdigest()
            place = self._cache / md5[:2] / f"{md5[2:]}.dir"
            place.parent.mkdir(parents=True, exist_ok=True)
            partial.replace(place)
        return f"{md5}.dir"

    @contextmanager
    def _partial(self) -> Iterator[Path]:
        path = self.folder / ".dvc" / "tmp" / secrets.token_hex(8)
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)

    # What git keeps

    def _begin(self) -> None:
        if shutil.which("git") is None:
            raise Unavailable("A project of DVC has its history in git, which is not installed.", mend="Install git.")
        if self.folder.exists() and any(self.folder.iterdir()) and not (self.folder / ".dvc").is_dir():
            raise Conflict(f"{self.folder} has other things in it.", mend="Name a new folder, or one of an earlier export.")
        for name, text in _CONFIG.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                path.write_text(text, encoding="utf-8")
        (self.folder / ".dvc" / "tmp").mkdir(exist_ok=True)
        if not (self.folder / ".git").exists():
            self._git("init", "-q", "-b", "main")

    def _commit(self, version: DatasetVersion, path: str, md5: str, entries: Mapping[str, tuple[str, int]]) -> None:
        """Say in a .dvc file what a path is now, and commit that, with the version's time, author and description."""
        place = self.folder / f"{path}.dvc"
        place.parent.mkdir(parents=True, exist_ok=True)
        size = sum(size for _, size in entries.values())
        out = {"md5": md5, "size": size, "nfiles": len(entries), "hash": "md5", "path": place.name.removesuffix(".dvc")}
        place.write_text(yaml.safe_dump({"outs": [out]}, sort_keys=False), encoding="utf-8")
        ignored = place.parent / ".gitignore"
        line = f"/{out['path']}"
        lines = ignored.read_text(encoding="utf-8").splitlines() if ignored.exists() else []
        if line not in lines:
            ignored.write_text("\n".join([*lines, line]) + "\n", encoding="utf-8")
        self._git("add", "-f", "--", *_CONFIG, str(place.relative_to(self.folder)), str(ignored.relative_to(self.folder)))
        subject = version.description.strip() or f"Version {version.ref.version} of {version.ref.name}"
        message = f"{subject}\n\nDataset: {version.ref}\nDigest: {version.digest}\n"
        author, moment = version.tags.get("git.author") or version.created_by, _moment(version)
        who = {f"GIT_{role}_{field}": value for role in ("AUTHOR", "COMMITTER") for field, value in _person(author, moment)}
        self._git("commit", "-q", "--allow-empty", "--no-verify", "-m", message, environment=who)
        self._git("tag", _tag(version.ref))

    def _said(self, path: str, ref: Ref) -> str:
        """What an earlier export wrote of a version."""
        text = self._git("show", f"{_tag(ref)}:{path}.dvc")
        return str(yaml.safe_load(text)["outs"][0]["md5"])

    def _listed(self, path: str, ref: Ref) -> dict[str, tuple[str, int]]:
        md5 = self._said(path, ref)
        listed = json.loads((self._cache / md5[:2] / md5[2:]).read_bytes())
        return {
            each["relpath"]: (each["md5"], (self._cache / each["md5"][:2] / each["md5"][2:]).stat().st_size)
            for each in listed
        }

    def _git(self, *arguments: str, environment: Mapping[str, str] | None = None) -> str:
        done = subprocess.run(  # noqa: S603
            ["git", "-C", str(self.folder), "-c", "commit.gpgsign=false", "-c", "tag.gpgsign=false", *arguments],  # noqa: S607
            capture_output=True,
            env=os.environ | dict(environment or {}),
            check=False,
        )
        if done.returncode:
            raise Invalid(f"git {arguments[0]} failed in {self.folder}: {done.stderr.decode(errors='replace').strip()}")
        return done.stdout.decode("utf-8", "replace")

    def _counted(self) -> dict[str, int]:
        """What is there, as whoever comes from DVC reads it."""
        project = Project(self.folder)
        found = {"datasets": 0, "versions": 0, "files": 0, "bytes": 0}
        outs = project.outs()
        found["datasets"], found["versions"] = len({out.path for out in outs}), len(outs)
        for out in outs:
            places = [place for _, place in project.files(out).values() if place is not None]
            found["files"] += len(places)
            found["bytes"] += sum(place.stat().st_size for place in places)
        return found


def _paths(names: set[str]) -> dict[str, str]:
    """Where each dataset lies: under its name, unless another's name leads through it, as no folder is in another's."""
    found = {}
    for name in names:
        path = name
        while any(other.startswith(f"{path}/") for other in names):
            path += ".all"
        found[name] = path
    return found


def _moment(version: DatasetVersion) -> str:
    return version.tags.get("git.at") or isoformat(version.created_at)


def _person(name: str, moment: str) -> list[tuple[str, str]]:
    plain = "".join(sign for sign in name if sign not in "<>\n") or "unknown"
    return [("NAME", plain), ("EMAIL", plain if "@" in plain else ""), ("DATE", moment)]


def _tag(ref: Ref) -> str:
    return f"{ref.name}@{ref.version}"
