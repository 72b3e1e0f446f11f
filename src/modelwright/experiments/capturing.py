"""Capture what it takes to repeat a run. Never fails a run: what cannot be found out is left empty."""

from __future__ import annotations

import functools
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path

from modelwright.core.blobs import Blobs
from modelwright.experiments.records import Capture, Hardware
from modelwright.experiments.values import whole

MAX_UNTRACKED = 1 << 20  # bytes of one untracked file that still goes into the patch
PATIENCE = 20  # seconds for one git command
_SECRET = re.compile(  # not --max-tokens, --tokenizer, --passes and --bypass-cache
    r"((?<!by)pass(words?|wd|phrase|code)?|secrets?|token|api[-_]?keys?|credentials?)(?![a-z])", re.IGNORECASE
)
# A patch for `git apply`, whatever whoever runs this has set for their own eyes.
_PATCH = ["diff", "--binary", "--no-ext-diff", "--no-textconv", "--no-color", "--src-prefix=a/", "--dst-prefix=b/"]
_PATCH += ["--unified=3", f"-O{os.devnull}"]
UNTOLD = "the uncommitted changes, which git did not tell,"
_HEAD_ENDS = re.compile(r"\n\r?\n")  # what follows is the description
_NAMED = re.compile(r"^(Name|Version):[ \t]*(.*?)\s*$", re.MULTILINE)
_SECRET_URL = re.compile(r"(://[^/:@\s]*:)[^@/\s]+@")


def capture(blobs: Blobs, folder: Path, *, seeds: Mapping[str, int] | None = None, position: int = 0) -> Capture:
    """The state of the code in `folder` (with its uncommitted changes), the packages, the machine and the command."""
    commit = _git(folder, "rev-parse", "HEAD").decode().strip()
    patch, left_out = _uncommitted(folder) if commit else (b"", [])
    return Capture(
        commit=commit,
        branch=_git(folder, "rev-parse", "--abbrev-ref", "HEAD").decode(errors="replace").strip() if commit else "",
        folder=_git(folder, "rev-parse", "--show-prefix").decode(errors="replace").strip().rstrip("/") if commit else "",
        dirty=bool(patch or left_out),
        diff=blobs.put(patch) if patch else None,
        left_out=left_out,
        packages=blobs.put(installed_packages().encode()),
        command=masked([Path(sys.executable).name, *sys.orig_argv[1:]]),
        seeds=dict(seeds or {}),
        hardware=hardware(),
        python=platform.python_version(),
        position=position,
    )


def masked(command: Sequence[str]) -> list[str]:
    """A command line with what looks like a secret taken out: `--token x`, `password=x`, `user:x@host`."""
    shown, hide = [], False
    for word in command:
        if hide and not word.startswith("-"):
            shown.append("***")
            hide = False
            continue
        name, sign, _ = word.partition("=")
        secret = _SECRET.search(name) is not None and not name.endswith((".py", "/"))
        shown.append(whole(f"{name}=***" if secret and sign else _SECRET_URL.sub(r"\1***@", word)))
        hide = secret and not sign and name.startswith("-")
    return shown


@functools.cache
def installed_packages() -> str:
    """The installed distributions, one `name==version` a line, in order."""
    found = {_named(each) for each in metadata.distributions()}
    return "".join(f"{name}=={version}\n" for name, version in sorted(found) if name)


def _named(distribution: metadata.Distribution) -> tuple[str, str]:
    """Its name and version, by the two lines that hold them: to read all that it says of itself takes ten times as long."""
    text = distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or ""
    told = dict(_NAMED.findall(_HEAD_ENDS.split(text, maxsplit=1)[0]))
    return told.get("Name", "").lower().replace("_", "-"), told.get("Version", "")


@functools.cache
def hardware() -> Hardware:
    """The machine this runs on."""
    names = os.sysconf_names if hasattr(os, "sysconf_names") else {}
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if "SC_PHYS_PAGES" in names else 0
    return Hardware(
        processor=_processor(),
        cores=os.cpu_count() or 1,
        memory=memory,
        platform=platform.platform(),
        accelerators=_accelerators(),
    )


def _processor() -> str:
    listing = Path("/proc/cpuinfo")
    if listing.exists():
        for line in listing.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _accelerators() -> list[str]:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    listed = _output([tool, "--query-gpu=name,memory.total", "--format=csv,noheader"], None) or b""
    return [line.strip() for line in listed.decode(errors="replace").splitlines() if line.strip()]


def _uncommitted(folder: Path) -> tuple[bytes, list[str]]:
    root = Path(os.fsdecode(_git(folder, "rev-parse", "--show-toplevel")).rstrip("\n"))
    changes, left_out = _tried(root, *_PATCH, "HEAD"), list[str]()
    if changes is None:
        left_out.append(UNTOLD)
    pieces = [changes or b""]
    for name in _git(root, "ls-files", "--others", "--exclude-standard", "-z").decode(errors="surrogateescape").split("\0"):
        if not name:
            continue
        file, added = root / name, None
        if file.is_file() and not file.is_symlink() and file.stat().st_size <= MAX_UNTRACKED:
            added = _tried(root, *_PATCH, "--no-index", "--", os.devnull, name)
            if added is not None:
                pieces.append(added)
        if added is None:
            left_out.append(name.encode(errors="replace").decode())
    return b"".join(pieces), left_out


def _git(folder: Path, *arguments: str) -> bytes:
    return _tried(folder, *arguments) or b""


def _tried(folder: Path, *arguments: str) -> bytes | None:
    tool = shutil.which("git")
    return _output([tool, "-c", "core.quotepath=off", *arguments], folder) if tool else None


def _output(command: Sequence[str], folder: Path | None) -> bytes | None:
    """What a command prints; None where it cannot run or says that something is wrong."""
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, timeout=PATIENCE, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return None
    # `git diff --no-index` says 1 where there is a difference
    return done.stdout if done.returncode == 0 or (done.returncode == 1 and "--no-index" in command) else None
