"""A performance of a story: set the stage, tell it, leave everything in place to be looked at."""

from __future__ import annotations

import logging
from pathlib import Path

from modelwright.demo.case import Case


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
        teller.console.print(f"Told in {teller.seconds:.0f} seconds, in {folder}.", markup=False)
        if keep_serving:
            teller.console.print(f"The pages are at {stage.url}; Ctrl-C stops the server.", style="bold")
            stage.wait()
    finally:
        stage.stop()
    teller.console.print("Look around, in the pages and on the command line:", style="dim")
    teller.console.print(f"   cd {folder} && mw up", markup=False)
    return teller.seconds
