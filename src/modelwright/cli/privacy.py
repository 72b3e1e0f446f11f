"""`mw data` for privacy: what columns are about, who decides it, what they may be used for, and pseudonyms."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from modelwright.cli.options import AsJson, Reason, RefArgument, Where, parse_ref, workspace
from modelwright.cli.output import aside, print_json, say, section, table
from modelwright.core.refs import Kind
from modelwright.core.wire import to_plain

if TYPE_CHECKING:
    from modelwright.datasets.classes import ColumnClass
    from modelwright.datasets.privacy import Permit

Tag = Annotated[str, typer.Argument(metavar="CLASS", help="pii.<what>, special.<what> or proxy.")]


def classes(
    ref: Annotated[
        str | None, typer.Argument(metavar="REF", help="A dataset; by default every one with something unconfirmed.")
    ] = None,
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    """Show what columns are about: declared, found and on what grounds, confirmed or rejected."""
    with workspace(where) as rooms:
        if ref is None:
            found = {str(version.ref): version.unconfirmed for version in rooms.privacy.open()}
        else:
            version = rooms.datasets.show(parse_ref(ref, Kind.DATASET))
            found = {str(version.ref): version.classes}
    if as_json:
        print_json(found if ref is None else next(iter(found.values())))
        return
    columns = ["dataset", "column", "class", "", "found by", "match", "of", "sure"]
    table(columns, [[name, *_row(each)] for name, known in found.items() for each in known], right=("match", "of", "sure"))
    if any(each.status == "unconfirmed" for known in found.values() for each in known):
        aside("Decide: mw data classify REF COLUMN CLASS, with --reject where it is not so.")


def _row(each: ColumnClass) -> list[Any]:
    found = each.finding
    status = each.status.value + (f" by {each.by}" if each.by else "")
    if found is None:
        return [each.column, each.tag, status, "", "", "", ""]
    share = f"{found.share:.0%}" if found.share else ""
    return [each.column, each.tag, status, found.detector, share, found.sample, f"{found.confidence:.0%}"]


def classify(
    ref: RefArgument,
    column: Annotated[str, typer.Argument(help="The column.")],
    tag: Tag,
    reject: Annotated[bool, typer.Option("--reject", help="It is not of this class.")] = False,
    mask: Annotated[
        str,
        typer.Option(help="How it is masked: drop, vault, token, truncate:4, truncate:year, bucket:10, shift:30."),
    ] = "",
    reason: Reason = "",
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    """Confirm that a column is of a class, or reject it; that holds for every version of the dataset."""
    with workspace(where) as rooms:
        version = rooms.privacy.classify(
            parse_ref(ref, Kind.DATASET), column, tag, holds=not reject, mask=mask, reason=reason
        )
    if as_json:
        print_json(version.classes)
    else:
        left = len(version.unconfirmed)
        said = "is not" if reject else "is"
        say(f"{column} of {version.ref.whole} {said} {tag}; {left or 'nothing'} left to decide.")


def permit(
    ref: RefArgument,
    purposes: Annotated[
        list[str] | None, typer.Argument(metavar="PURPOSE...", help="What it may be used for; none: nothing.")
    ] = None,
    column: Annotated[list[str] | None, typer.Option(help="A column; may be repeated; by default all.")] = None,
    basis: Annotated[str, typer.Option(help="The legal basis: contract, consent, ... (GDPR, article 6).")] = "",
    consent: Annotated[str, typer.Option(help="The column that says whether the subject agreed.")] = "",
    subject: Annotated[str, typer.Option(help="The column that says who the subject is.")] = "",
    reason: Reason = "",
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    """Say what columns of a dataset may be used for, and on which legal basis."""
    with workspace(where) as rooms:
        found = rooms.privacy.permit(
            parse_ref(ref, Kind.DATASET),
            purposes or [],
            columns=column or ["*"],
            basis=basis,
            consent=consent,
            subject=subject,
            reason=reason,
        )
    _tell_permits(found, as_json=as_json)


def permits(ref: RefArgument, where: Where = None, as_json: AsJson = False) -> None:
    """Show what columns of a dataset may be used for."""
    with workspace(where) as rooms:
        found = rooms.privacy.permits(parse_ref(ref, Kind.DATASET))
    _tell_permits(found, as_json=as_json)


def _tell_permits(found: Any, *, as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    held: list[Permit] = list(found)
    if not held:
        say("Nothing is said: no use is refused for its purpose.")
        return
    rows = [
        [each.column, ", ".join(each.purposes) or "nothing", each.basis, each.consent, each.subject, each.by]
        for each in held
    ]
    section(["column", "may be used for", "basis", "consent", "of", "by"], rows)


def pseudonyms(
    purpose: Annotated[str, typer.Argument(metavar="PURPOSE", help="The purpose whose key they are made with.")],
    values: Annotated[list[str], typer.Argument(metavar="VALUE...", help="Values in clear.")],
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    """Look values up: their pseudonyms under a purpose, with the present key and with those before it."""
    with workspace(where) as rooms:
        found = rooms.privacy.lookup(purpose, values)
    if as_json:
        print_json([{"value": v, **to_plain(each)} for v, each in zip(values, found, strict=True)])
    else:
        rows = []
        for value, each in zip(values, found, strict=True):
            rows += [[value, str(made), "key"] for made in (*each.tokens, *each.numbers)]
            rows += [[value, made, "vault"] for made in each.drawn]
        table(["value", "pseudonym", "by"], rows)


def reveal(
    purpose: Annotated[str, typer.Argument(metavar="PURPOSE", help="The purpose whose vault drew them.")],
    tokens: Annotated[list[str], typer.Argument(metavar="TOKEN...", help="Tokens of columns masked with vault.")],
    reason: Annotated[str, typer.Option("--reason", "-m", help="Why somebody has to know: it goes on the record.")],
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    """Say what tokens stand for: who asked for which, and why, goes on the record."""
    with workspace(where) as rooms:
        found = rooms.privacy.reveal(purpose, tokens, reason=reason)
    if as_json:
        print_json(found)
    else:
        table(["token", "value"], [[each.token, "nobody's" if each.value is None else each.value] for each in found])


def forget(
    purpose: Annotated[str, typer.Argument(metavar="PURPOSE", help="The purpose whose vault drew their tokens.")],
    reason: Annotated[str, typer.Option("--reason", "-m", help="Why: it goes on the record.")],
    values: Annotated[list[str] | None, typer.Argument(metavar="VALUE...", help="Values in clear.")] = None,
    token: Annotated[list[str] | None, typer.Option(help="A token, where the value is not known.")] = None,
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    """Take values out of a vault: what was handed out under their tokens is nobody's from then on, for good."""
    with workspace(where) as rooms:
        count = rooms.privacy.forget(purpose, values=values or [], tokens=token or [], reason=reason)
    if as_json:
        print_json({"purpose": purpose, "count": count})
    elif count:
        what = "1 value is forgotten: its token" if count == 1 else f"{count} values are forgotten: their tokens"
        say(f"{what} for {purpose} lead{'s' if count == 1 else ''} nowhere from now on.")
    else:
        say(f"The vault of {purpose} has none of them.")


def rotate(
    purpose: Annotated[str, typer.Argument(metavar="PURPOSE", help="The purpose.")],
    reason: Annotated[str, typer.Option("--reason", "-m", help="Why: it goes on the record.")],
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    """Make a new key for the pseudonyms of a purpose; the old ones are kept for looking up."""
    with workspace(where) as rooms:
        number = rooms.privacy.rotate(purpose, reason=reason)
    if as_json:
        print_json({"purpose": purpose, "key": number})
    else:
        say(f"Pseudonyms for {purpose} are made with key {number} from now on.")


COMMANDS: Final[Mapping[str, Callable[..., None]]] = {
    "classes": classes,
    "classify": classify,
    "permit": permit,
    "permits": permits,
    "pseudonyms": pseudonyms,
    "reveal": reveal,
    "forget": forget,
    "rotate": rotate,
}
