"""Oxen's side of a benchmark: a process for each thing that is done, in an environment of its own.

Its command is not on PyPI, so what does the same is called from Python.

python -m venv .oxen && .oxen/bin/pip install oxenai
OXEN_PYTHON=.oxen/bin/python python -m benchmarks data-files
"""

from __future__ import annotations

import sys


def main(do: str) -> None:
    """Do one thing in the repository in the present folder: `init`, `add` (which commits), `status`."""
    import oxen

    if do == "init":
        oxen.user.config_user("benchmark", "benchmark@example.org")
        oxen.Repo(".").init()
    elif do == "add":
        repository = oxen.Repo(".")
        repository.add("data")
        repository.commit("data")
    elif do == "status":
        oxen.Repo(".").status()
    else:
        raise SystemExit(f"{do} is nothing that Oxen is asked here")


if __name__ == "__main__":
    main(sys.argv[1])
