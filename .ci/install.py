"""Install the project with what its tests need: by uv, which is much faster, or by pip where uv cannot be had.

Run by the interpreter that it is to be installed for. uv reads none of pip's settings: where a machine is set to other
indexes, folders of wheels, certificates or constraints, uv is told so.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys

WHAT = ["--quiet", "--editable", ".", "--group", "dev", "--constraint", "constraints.txt"]
PIP = [sys.executable, "-m", "pip"]
WORDS = {  # what pip is set to: what uv is told
    "index-url": "--index-url",
    "extra-index-url": "--extra-index-url",
    "find-links": "--find-links",
    "constraint": "--constraint",
    "trusted-host": "--allow-insecure-host",
}


def pip_settings() -> dict[str, str]:
    """What pip is set to on this machine; its environment overrules its files, and there `install` overrules `global`."""
    lines = subprocess.run([*PIP, "config", "list"], capture_output=True, text=True, check=True).stdout.splitlines()
    found: dict[str, dict[str, str]] = {"global": {}, "install": {}, ":env:": {}}
    for line in lines:
        name, _, value = line.partition("=")
        section, _, key = name.rpartition(".")
        if section in found:
            found[section][key] = str(ast.literal_eval(value))
    return found["global"] | found["install"] | found[":env:"]


def by_uv() -> bool:
    """Whether uv was to be had and has installed everything."""
    if subprocess.run([*PIP, "install", "--quiet", "uv>=0.8"]).returncode:
        return False
    settings = pip_settings()
    told = [word for key, option in WORDS.items() for value in settings.get(key, "").split() for word in (option, value)]
    environment = dict(os.environ)
    if "cert" in settings:
        environment.setdefault("SSL_CERT_FILE", settings["cert"])
    # As pip does: the best version of any index, not only of the first one that knows the name.
    command = [
        sys.executable,
        "-m",
        "uv",
        "pip",
        "install",
        "--python",
        sys.executable,
        "--index-strategy",
        "unsafe-best-match",
    ]
    return subprocess.run([*command, *told, *WHAT], env=environment).returncode == 0


if not by_uv():
    print("Without uv, by pip: this takes some minutes more.", flush=True)
    subprocess.run([*PIP, "install", "--quiet", "--upgrade", "pip>=25.1"], check=True)
    subprocess.run([*PIP, "install", *WHAT], check=True)
