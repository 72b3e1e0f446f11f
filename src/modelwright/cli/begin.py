"""`mw init`: a new project folder that runs at once. `mw demo`: a whole life, told."""

from __future__ import annotations

from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Annotated

import typer

from modelwright.cli.options import AsJson
from modelwright.cli.output import print_json, say, table
from modelwright.core.errors import Conflict, Unavailable
from modelwright.core.refs import Kind, Ref

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

DEMO = Path(".demo/lending")
PACKAGES = ("sklearn", "pandas", "skops", "skl2onnx", "onnxruntime")  # that the story trains and serves with
SUFFIX = ".template"
ROWS, SEED = 2400, 7  # of the sample data
SETTINGS, STORE = "modelwright.toml", ".modelwright/"
HIDDEN = {"gitignore": ".gitignore"}  # files whose names would hide them among the templates


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("init")(init)
    app.command("demo")(demo)


def init(
    folder: Annotated[Path, typer.Argument(help="The folder to make; one that has files already gets just the settings.")],
    name: Annotated[
        str | None, typer.Option(help="The workspace's name; by default the folder's.", show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a new project folder that runs: settings, features, a pipeline, checks, a policy, and sample data.

    A folder that has files already becomes a project as it is: it gets modelwright.toml, and a line in .gitignore.
    """
    if folder.exists() and not folder.is_dir():
        raise Conflict(f"{folder} is a file.", mend="Name a folder: mw init FOLDER")
    if (folder / SETTINGS).exists():
        raise Conflict(f"{folder} is a project already: it has a {SETTINGS}.", mend="Name another folder: mw init FOLDER")
    chosen = Ref(Kind.WORKSPACE, name or folder.absolute().name.replace(" ", "-")).name
    in_use = folder.exists() and any(folder.iterdir())
    made = sorted(str(path.relative_to(folder)) for path in (adopt if in_use else write_project)(folder, chosen))
    if as_json:
        print_json({"folder": str(folder), "name": chosen, "files": made})
        return
    table([f"in {folder}"], [[each] for each in made])
    say("")
    say("Run it:", style="bold")
    go = "" if folder.absolute() == Path.cwd() else f"cd {folder} && "
    say(f"  {go}mw up   # the pages, and MLFLOW_TRACKING_URI" if in_use else f"  {go}mw run train && mw list model")


def demo(
    folder: Annotated[Path, typer.Argument(help="Where it is told; a story that broke off there goes on.")] = DEMO,
    serve: Annotated[bool, typer.Option("--serve", help="Leave the server up at the end, until Ctrl-C.")] = False,
) -> None:
    """Tell the whole life of a model on generated loans: from raw files to retirement, on a real server.

    The workspace stays, to be looked at: mw up in its folder.
    """
    from modelwright.demo import tell
    from modelwright.demo.lending.case import Lending

    lacking = [name for name in PACKAGES if find_spec(name) is None]
    if lacking:
        raise Unavailable(
            f"The story trains models, and there is no {', no '.join(lacking)} here.",
            mend="pip install 'modelwright[sklearn]'",
        )
    tell(Lending(), folder.absolute(), keep_serving=serve)


def adopt(folder: Path, name: str) -> list[Path]:
    """Make a project of a folder that has files: its settings, and what Git is not to keep; returns what was written."""
    project = resources.files("modelwright.cli").joinpath("project")
    settings, ignored = folder / SETTINGS, folder / ".gitignore"
    text = project.joinpath(SETTINGS + SUFFIX).read_text(encoding="utf-8")
    settings.write_text(Template(text).substitute(name=name), encoding="utf-8")
    held = ignored.read_text(encoding="utf-8") if ignored.exists() else ""
    if STORE in (line.strip() for line in held.splitlines()):
        return [settings]
    ignored.write_text(f"{held}{'' if not held or held.endswith(chr(10)) else chr(10)}{STORE}\n", encoding="utf-8")
    return [settings, ignored]


def write_project(folder: Path, name: str) -> list[Path]:
    """Write every file of a new project; returns their paths."""
    from modelwright.cli.parcels import write_parcels
    from modelwright.policy.documents import shipped_text

    values = {"name": name, "rows": f"{ROWS:,}"}
    made = _copy(resources.files("modelwright.cli").joinpath("project"), folder, values)
    policy, data = folder / "policy.toml", folder / "data" / "parcels.csv"
    policy.write_text(shipped_text(), encoding="utf-8")
    data.parent.mkdir()
    write_parcels(data, ROWS, seed=SEED)
    return [*made, policy, data]


def _copy(source: Traversable, target: Path, values: dict[str, str]) -> list[Path]:
    """Write the templates of a folder, and of those in it, with the values filled in."""
    target.mkdir(parents=True, exist_ok=True)
    made = []
    for each in source.iterdir():
        if each.is_dir():
            made += _copy(each, target / each.name, values)
        elif each.name.endswith(SUFFIX):
            name = each.name.removesuffix(SUFFIX)
            path = target / HIDDEN.get(name, name)
            path.write_text(Template(each.read_text(encoding="utf-8")).substitute(values), encoding="utf-8")
            made.append(path)
    return made
