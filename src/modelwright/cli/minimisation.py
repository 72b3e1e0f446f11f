"""`mw privacy`: what is collected, served or kept and not needed, and what about people goes into models."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from modelwright.cli.explain import add_group, carries_out
from modelwright.cli.options import AsJson, Reason, RefArgument, Where, parse_ref, workspace
from modelwright.cli.output import aside, print_json, say, section
from modelwright.core.refs import Kind

TITLES: Final = {
    "personal-input": "About people, and in a live model",
    "weightless": "In a live model, and of no weight",
    "overdue": "Kept longer than its class allows",
    "unlimited": "About people, and kept without a limit",
    "unused-feature": "Features that no live model takes",
    "unread-column": "Columns that neither a view nor a model takes",
}


def register(app: typer.Typer) -> None:
    """Add the group."""
    about = "What is not needed, and what about people goes into models."
    add_group(app, "privacy", about, {"report": report, "attest": attest})


@carries_out("minimisation.report")
def report(
    under: Annotated[str, typer.Option(metavar="PATH", help="Only names below a path.")] = "",
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    with workspace(where) as rooms:
        found = rooms.minimisation.report(under=under)
    if as_json:
        print_json(found)
        return
    for concern, title in TITLES.items():
        chosen = [each for each in found.findings if each.concern == concern]
        if chosen:
            say(f"{title}:")
            rows = [
                [each.ref, ", ".join(each.names), ", ".join(each.classes), f"{each.why}\n{each.mend}".strip()]
                for each in chosen
            ]
            section(["of", "what", "about", "because"], rows)
    looked = ", ".join(f"{count:,} {what}" for what, count in found.looked_at.items())
    if not found.findings:
        say("Nothing was found that is not needed.")
    aside(f"Looked at {looked}. What a program reads without telling the record is not known here.")


@carries_out("minimisation.attest")
def attest(ref: RefArgument, reason: Reason = "", where: Where = None, as_json: AsJson = False) -> None:
    with workspace(where) as rooms:
        made = rooms.minimisation.attest(parse_ref(ref, Kind.MODEL), reason=reason)
    if as_json:
        print_json(made)
    else:
        say(f"{made.subject}: {made.verdict.value}. {made.summary}")
