"""The environment of a past run: its packages in a virtual environment of their own, or compared with what is here."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from modelwright.core.errors import NotFound, Unavailable
from modelwright.experiments.capturing import installed_packages

OWN = "modelwright"
NOT_NEEDED = {"pip", "setuptools", "wheel"}  # a new environment brings its own
LOST = "No matching distribution found for "
TOLD = 2000  # characters of what pip said last


def parse(listing: str) -> dict[str, str]:
    """`name==version` lines as a dict."""
    return {name: version for name, _, version in (line.partition("==") for line in listing.splitlines()) if version}


def differences(then: dict[str, str], now: dict[str, str]) -> dict[str, list[str]]:
    """Packages that were there then and have another version now, or are not there; then and now."""
    return {
        name: [version, now.get(name, "")]
        for name, version in sorted(then.items())
        if name not in NOT_NEEDED and now.get(name) != version
    }


def own_difference(then: dict[str, str]) -> dict[str, list[str]]:
    """This program, where it had another version then."""
    return differences({name: version for name, version in then.items() if name == OWN}, current())


def current() -> dict[str, str]:
    """What is installed here."""
    return parse(installed_packages())


def build(folder: Path, packages: dict[str, str], python: str) -> Path:
    """Make a virtual environment with just these packages, by pip as it is configured here; returns its interpreter.

    Modelwright itself comes from where it runs now, never from an index: it may have been installed from anywhere, and an
    index may have another program of that name. `NotFound` where there is no interpreter of the same minor version;
    `Unavailable` with what pip said where a package cannot be got.
    """
    _run([_interpreter(python), "-m", "venv", str(folder)], "The environment cannot be made")
    inside = folder / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    wanted = [f"{name}=={version}" for name, version in packages.items() if name not in NOT_NEEDED | {OWN}]
    if wanted:
        listing = folder / "packages.txt"
        listing.write_text("\n".join(wanted) + "\n")
        install = [str(inside), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "-r"]
        _run([*install, str(listing)], "The packages of the run cannot be installed")
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    _bring_own(Path(_run([str(inside), "-c", code], "The environment does not answer").strip()))
    return inside


def _bring_own(site: Path) -> None:
    """Put this program among the packages of another environment: a pointer to its source, or a copy with its metadata."""
    import modelwright

    package = Path(modelwright.__file__).parent
    if package.parent.name not in ("site-packages", "dist-packages"):
        (site / f"{OWN}.pth").write_text(f"{package.parent}\n")
        return
    skipped = shutil.ignore_patterns("__pycache__")
    shutil.copytree(package, site / OWN, ignore=skipped)
    for each in package.parent.glob(f"{OWN}-*.dist-info"):
        shutil.copytree(each, site / each.name, ignore=skipped)


def _interpreter(python: str) -> str:
    wanted = python.split(".")[:2]
    if not python or wanted == platform.python_version().split(".")[:2]:
        return sys.executable
    found = shutil.which(f"python{'.'.join(wanted)}")
    if found is None or subprocess.run([found, "--version"], capture_output=True, check=False).returncode:  # noqa: S603
        raise NotFound(
            f"The run had Python {python}, and there is no python{'.'.join(wanted)} here.",
            mend="Install it, or say --use-current to run with what is here.",
        )
    return found


def _run(command: Sequence[str], what: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        errors = [line for line in lines if line.startswith("ERROR")]  # pip's warnings would bury them
        lost = [line.partition(LOST)[2] for line in errors if LOST in line]  # beside it, pip lists every version there is
        said = f"pip finds no {', '.join(lost)}." if lost else "\n".join(errors or lines)
        raise Unavailable(
            f"{what}: {said[-TOLD:]}",
            mend="Make the packages available to pip, or say --use-current to run with what is here.",
        )
    return done.stdout
