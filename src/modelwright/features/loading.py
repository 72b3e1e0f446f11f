"""Reading a project's `features.py`."""

from __future__ import annotations

import runpy
from pathlib import Path

from modelwright.core.errors import Invalid, NotFound
from modelwright.features.definitions import FeatureView


def load_views(path: Path) -> list[FeatureView]:
    """Run a Python file and return the views it defines, in order: by names of their own, or in lists and tuples.

    It is the project's own code and runs as such. `Invalid` if it fails, defines none, or gives two the same name.
    """
    if not path.is_file():
        raise NotFound(f"There is no file {path}.", mend="Name it in modelwright.toml: [project] features = ...")
    try:
        defined = runpy.run_path(str(path), run_name="features")
    except Invalid as error:
        raise Invalid(f"{path}: {error.message}", mend=error.mend, details=error.details) from error
    except Exception as error:
        raise Invalid(f"{path} does not run: {type(error).__name__}: {error}") from error
    several = [each if isinstance(each, list | tuple) else [each] for each in defined.values()]
    views = list({id(value): value for some in several for value in some if isinstance(value, FeatureView)}.values())
    if not views:
        raise Invalid(f"{path} defines no FeatureView.", mend='Name one: depots = FeatureView(name="depots", ...).')
    names = [view.name for view in views]
    for name in names:
        if names.count(name) > 1:
            raise Invalid(f"{path} defines two views named {name!r}.")
    return views
