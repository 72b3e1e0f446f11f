"""The code of a past run: its commit and its uncommitted changes, in a temporary worktree of the repository."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from modelwright.core.errors import Corrupt, NotFound


def repository(start: Path, commit: str) -> Path:
    """The top of the repository around a folder, if it holds the commit."""
    if not start.is_dir():
        raise NotFound(f"There is no folder {start}.", mend="Name a clone of the repository that the run came from.")
    top = _git(start, "rev-parse", "--show-toplevel")
    if top is None:
        raise NotFound(f"{start} is in no Git repository.", mend="Go to a clone of the one that the run came from.")
    if _git(start, "cat-file", "-e", f"{commit}^{{commit}}") is None:
        raise NotFound(
            f"The repository {top.strip()} has no commit {commit[:12]}.",
            mend="Fetch it (git fetch --all), or go to a clone of the repository that the run came from.",
        )
    return Path(top.strip())


@contextmanager
def checked_out(top: Path, commit: str, patch: Path | None, folder: Path) -> Iterator[Path]:
    """A worktree at the commit with the patch applied, until the block ends."""
    try:
        _must(top, "worktree", "add", "--quiet", "--detach", str(folder), commit)
        if patch is not None:
            done = _done(folder, ("apply", "--binary", "--whitespace=nowarn", str(patch)))
            if done.returncode:
                raise Corrupt(
                    f"The uncommitted changes of the run do not fit its commit {commit[:12]}: {done.stderr.strip()}",
                    mend="Line endings may be others than where it ran (core.autocrlf, .gitattributes): try another clone.",
                )
        yield folder
    finally:
        _git(top, "worktree", "remove", "--force", str(folder))
        _git(top, "worktree", "prune")


def _must(folder: Path, *arguments: str) -> None:
    done = _done(folder, arguments)
    if done.returncode:
        raise Corrupt(f"git {arguments[0]} failed: {done.stderr.strip()}", mend="Look whether the repository is whole.")


def _git(folder: Path, *arguments: str) -> str | None:
    done = _done(folder, arguments)
    return None if done.returncode else done.stdout


def _done(folder: Path, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    tool = shutil.which("git")
    if tool is None:
        raise NotFound("There is no git here.", mend="Install Git.")
    return subprocess.run([tool, *arguments], cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603
