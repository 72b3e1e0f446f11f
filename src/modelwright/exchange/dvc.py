"""A project of DVC as it lies on the disk: what its .dvc files and dvc.lock name, in every commit of git, and its cache.

Nothing of DVC need be installed, and nothing there is written. The formats are those that DVC writes since its version 2:
https://dvc.org/doc/user-guide/project-structure.
"""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Final

import msgspec
import yaml

from modelwright.core.errors import Corrupt, Invalid, NotFound

_MD5: Final = re.compile(r"[0-9a-f]{32}(?:\.dir)?")
_LOCK: Final = "dvc.lock"
_STAGES: Final = "dvc.yaml"  # beside it: what it locks, and in which folder a stage works
_BETWEEN: Final = "\x1f"


class Commit(msgspec.Struct, frozen=True, kw_only=True):
    """A commit of git; of a project without git, what lies in the folder."""

    id: str = ""
    at: str = ""  # ISO 8601
    author: str = ""
    subject: str = ""


class Out(msgspec.Struct, frozen=True, kw_only=True):
    """What a .dvc file or a stage of dvc.lock keeps in the cache at one commit."""

    path: str  # below the project, with `/`
    md5: str  # of a folder with `.dir` at its end
    commit: Commit
    plain: bool = True  # the digest is that of the bytes; DVC 2 left carriage returns out of it

    @property
    def identity(self) -> str:
        """What tells it from every other state of that path."""
        return f"{self.commit.id}:{self.md5}"


class Project:
    """One project of DVC: the folder with `.dvc` in it."""

    def __init__(self, root: Path) -> None:
        """`NotFound` or `Invalid` where there is none."""
        self.root = root.resolve()
        if not self.root.is_dir():
            raise NotFound(f"There is no folder {root}.")
        if not (self.root / ".dvc").is_dir():
            raise Invalid(
                f"{root} is no project of DVC: it has no .dvc folder.", mend="Name the folder where `dvc init` ran."
            )
        self._git = self._find_git()
        self._caches = self._find_caches()

    def outs(self) -> list[Out]:
        """Each state that each path had, in the order of the commits; what a commit left as it was is not told again."""
        found: list[Out] = []
        last: dict[str, str] = {}
        for commit, files in self._states():
            for path, text in files.items():
                if PurePosixPath(path).name == _STAGES:
                    continue
                beside = files.get(PurePosixPath(path).with_name(_STAGES).as_posix(), "")
                for out in _outs(path, text, beside, commit):
                    if last.get(out.path) != out.md5:
                        last[out.path] = out.md5
                        found.append(out)
        return found

    def files(self, out: Out) -> dict[str, tuple[str, Path | None]]:
        """The files of a state by path: the MD5 of each, and where it lies in the cache, or None where it is not there.

        `NotFound` where the list of a folder is not in the cache; `Corrupt` where it is no such list.
        """
        if not out.md5.endswith(".dir"):
            return {PurePosixPath(out.path).name: (out.md5, self._cached(out.md5))}
        listed = self._cached(out.md5)
        if listed is None:
            raise NotFound(f"The list of the files of {out.path} ({out.md5}) is not in the cache.")
        try:
            entries = msgspec.json.decode(listed.read_bytes(), type=list[dict[str, Any]])
            return {str(each["relpath"]): (_md5(each["md5"]), self._cached(_md5(each["md5"]))) for each in entries}
        except (msgspec.MsgspecError, KeyError) as error:
            raise Corrupt(f"{listed} is no list of files: {error}.") from None

    def _cached(self, md5: str) -> Path | None:
        for cache in self._caches:
            path = cache / md5[:2] / md5[2:]
            if path.is_file():
                return path
        return None

    def _find_caches(self) -> list[Path]:
        place = self.root / ".dvc" / "cache"
        for name in ("config", "config.local"):
            read = configparser.ConfigParser(interpolation=None)
            try:
                read.read(self.root / ".dvc" / name, encoding="utf-8")
            except configparser.Error as error:
                raise Invalid(f"{self.root / '.dvc' / name} cannot be read: {error}") from None
            if said := read.get("cache", "dir", fallback=""):
                place = (self.root / ".dvc" / said).resolve()
        return [place / "files" / "md5", place]

    # What git knows

    def _find_git(self) -> list[str]:
        tool = shutil.which("git")
        if tool is None:
            return []
        asked = subprocess.run([tool, "-C", str(self.root), "rev-parse", "HEAD"], capture_output=True, check=False)  # noqa: S603
        return [tool, "-C", str(self.root)] if asked.returncode == 0 else []

    def _states(self) -> Iterator[tuple[Commit, Mapping[str, str]]]:
        """Each commit that touched a .dvc file or a dvc.lock, with all of their texts then; then the folder itself.

        Commits of side branches count, too, where a merge kept nothing of them.
        """
        if self._git:
            form = _BETWEEN.join(["%H", "%aI", "%an", "%s"])
            told = self._ask("log", "--full-history", "--reverse", f"--format={form}", "--", "*.dvc", _LOCK, f"*/{_LOCK}")
            for line in told.splitlines():
                id_, at, author, subject = line.split(_BETWEEN, 3)
                yield Commit(id=id_, at=at, author=author, subject=subject), self._texts(id_)
        yield (
            Commit(),
            {
                path.relative_to(self.root).as_posix(): path.read_text(encoding="utf-8")
                for path in sorted(self.root.rglob("*"))
                if _is_read(path.name) and path.is_file() and ".dvc" not in path.relative_to(self.root).parts[:-1]
            },
        )

    def _texts(self, commit: str) -> dict[str, str]:
        """The files that name outs, as they were in a commit, by their paths below the project."""
        listed = self._ask("ls-tree", "-r", "-z", "--name-only", commit, ".").split("\0")
        wanted = [path for path in listed if _is_read(PurePosixPath(path).name)]
        return {path: self._ask("show", f"{commit}:./{path}") for path in wanted}

    def _ask(self, *arguments: str) -> str:
        done = subprocess.run([*self._git, *arguments], capture_output=True, check=False)  # noqa: S603
        if done.returncode:
            raise Invalid(f"git {arguments[0]} failed in {self.root}: {done.stderr.decode(errors='replace').strip()}")
        return done.stdout.decode("utf-8", "replace")


def _is_read(name: str) -> bool:
    return name in (_LOCK, _STAGES) or (name.endswith(".dvc") and name != ".dvc")


def _outs(path: str, text: str, beside: str, commit: Commit) -> Iterator[Out]:
    """What one file names; paths are from its folder or `wdir` below that, which of stages the dvc.yaml `beside` says."""
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise Invalid(f"{path} at {commit.id or 'present'} is no YAML: {str(error).splitlines()[0]}") from None
    if not isinstance(document, dict):
        return
    folder = PurePosixPath(path).parent
    if PurePosixPath(path).name == _LOCK:
        where, stages = _folders(beside), document.get("stages") or {}
        named = [(where(name), out) for name, stage in stages.items() for out in stage.get("outs") or []]
    else:
        named = [(str(document.get("wdir") or "."), out) for out in document.get("outs") or []]
    for below, out in named:
        md5 = str(out.get("md5") or "")
        if _MD5.fullmatch(md5):
            place = _joined(folder / below / str(out["path"]))
            if place is not None:
                yield Out(path=place, md5=md5, commit=commit, plain=out.get("hash") == "md5")


def _folders(text: str) -> Callable[[str], str]:
    """In which folder, below that of a dvc.yaml, each stage works. One that cannot be told is named for the stage.

    dvc.lock does not say it: two stages in two folders would else be taken for makers of one file.
    """
    try:
        document = yaml.safe_load(text) if text else None
    except yaml.YAMLError:
        document = None
    stages = document.get("stages") if isinstance(document, dict) else None

    def folder(stage: str) -> str:
        name, _, key = stage.partition("@")
        found = (stages or {}).get(stage) or (stages or {}).get(name) if isinstance(stages, dict) else None
        if not isinstance(found, dict):
            return "."
        inner = found.get("do")
        said = str(found.get("wdir") or (inner.get("wdir") if isinstance(inner, dict) else None) or ".")
        said = re.sub(r"\$\{\s*(?:item|key)\s*\}", lambda _: key, said) if key else said
        return re.sub(r"[^A-Za-z0-9_.-]+", "-", stage) if "${" in said else said

    return folder


def _joined(path: PurePosixPath) -> str | None:
    """A path without `.` and `..`; None where it leads out of the project, as to a disk or a bucket elsewhere."""
    if path.is_absolute() or ":" in str(path):
        return None
    parts: list[str] = []
    for part in path.parts:
        if part == ".." and not parts:
            return None
        if part == "..":
            parts.pop()
        elif part != ".":
            parts.append(part)
    return "/".join(parts) or None


def _md5(text: Any) -> str:
    if not _MD5.fullmatch(str(text)):
        raise Corrupt(f"{str(text)[:80]!r} is no MD5.")
    return str(text)
