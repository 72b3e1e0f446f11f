"""A performance of a story: set the stage, tell it, leave everything in place to be looked at."""

from __future__ import annotations

import logging
from pathlib import Path

from modelwright.core.config import PROJECT_FILE, load
from modelwright.demo.case import Case
from modelwright.workspace import Settings


def tell(case: Case, folder: Path, *, keep_serving: bool = False) -> float:
    """Tell a case in a folder and return the seconds it took. A story that broke off there goes on where it was.

    The workspace stays; `keep_serving` also leaves the server up until Ctrl-C.
    """
    from rich.console import Console

    from modelwright.demo.stage import Stage
    from modelwright.demo.story import Story
    from modelwright.demo.telling import Teller

    logging.getLogger("httpx").setLevel(logging.WARNING)
    stage, teller = Stage(folder, case.project), Teller(Console(highlight=False))
    try:
        Story(case, stage, teller).play()
        teller.console.print()
        teller.console.print(f"Told in {teller.seconds:.0f} seconds.", markup=False)
        if keep_serving:
            teller.console.print(f"The pages are at {stage.url}; Ctrl-C stops the server.", style="bold")
            stage.wait()
    finally:
        stage.stop()
    teller.console.print("Reopen it, and look around in the pages and on the command line:", style="dim")
    teller.console.print(f"   cd {_shown(folder)} && mw up", markup=False, soft_wrap=True)
    settings = load(folder / PROJECT_FILE, Settings).server
    teller.console.print(
        f"   http://{settings.host}:{settings.port}   sign in as ada, ben, olga or rita; "
        f"password {stage.progress.password}",
        markup=False,
        soft_wrap=True,
    )
    return teller.seconds


def _shown(folder: Path) -> str:
    """The folder as one would type it from here."""
    here = Path.cwd()
    return str(folder.relative_to(here)) if folder.is_relative_to(here) else str(folder)
