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


def current() -> dict[str, str]:
    """What is installed here."""
    return parse(installed_packages())


def build(folder: Path, packages: dict[str, str], python: str) -> Path:
    """Make a virtual environment with just these packages, by pip as it is configured here; returns its interpreter.

    Modelwright itself comes from where it runs now, unless it was installed by pip in the same version. `NotFound` where
    there is no interpreter of the same minor version; `Unavailable` with what pip said where a package cannot be got.
    """
    _run([_interpreter(python), "-m", "venv", str(folder)], "The environment cannot be made")
    inside = folder / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    wanted = [f"{name}=={version}" for name, version in packages.items() if name not in NOT_NEEDED]
    source = _own_source()
    if source is not None:
        wanted = [each for each in wanted if not each.startswith(f"{OWN}==")]
    if wanted:
        listing = folder / "packages.txt"
        listing.write_text("\n".join(wanted) + "\n")
        install = [str(inside), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "-r"]
        _run([*install, str(listing)], "The packages of the run cannot be installed")
    if source is not None:
        code = "import sysconfig; print(sysconfig.get_path('purelib'))"
        site = Path(_run([str(inside), "-c", code], "The environment does not answer").strip())
        (site / f"{OWN}.pth").write_text(f"{source}\n")
    return inside


def _own_source() -> Path | None:
    """The folder that this program is imported from, where it was not installed as a wheel."""
    import modelwright

    root = Path(modelwright.__file__).parents[1]
    return None if root.name in ("site-packages", "dist-packages") else root


def _interpreter(python: str) -> str:
    wanted = python.split(".")[:2]
    if not python or wanted == platform.python_version().split(".")[:2]:
        return sys.executable
    found = shutil.which(f"python{'.'.join(wanted)}")
    if found is None:
        raise NotFound(
            f"The run had Python {python}, and there is no python{'.'.join(wanted)} here.",
            mend="Install it, or say --use-current to run with what is here.",
        )
    return found


def _run(command: Sequence[str], what: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise Unavailable(
            f"{what}: {done.stderr.strip()[-TOLD:]}",
            mend="Make the packages available to pip, or say --use-current to run with what is here.",
        )
    return done.stdout
