"""`mw webhook`: who is told of what happens, and how it went; and `mw traces`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from modelwright.cli.explain import add_commands, add_group, carries_out
from modelwright.cli.kinds.outside import TraceFace, WebhookFace, tell_deliveries
from modelwright.cli.options import AsJson, Reason, Where, Yes, confirm, experiment_of, parse_ref, workspace
from modelwright.cli.output import aside, print_json, say, table
from modelwright.core.errors import Invalid
from modelwright.core.names import path_for
from modelwright.core.paging import every
from modelwright.core.refs import Kind, Ref

STDIN = "-"

Hook = Annotated[str, typer.Argument(metavar="WEBHOOK", help="Its ref or id: mw list webhook.")]
Events = Annotated[
    list[str] | None,
    typer.Option("--event", metavar="ACTION", help="models, models.version.registered, *; repeat it.", show_default=False),
]
Secret = Annotated[
    str | None, typer.Option("--secret", help="Signs what is sent; - reads it from standard input.", show_default=False)
]
Description = Annotated[str | None, typer.Option("--description", help="What it is for.", show_default=False)]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    add_commands(app, {"traces": traces})
    add_group(
        app,
        "webhook",
        "Tell others of events: make, change, delete webhooks; see what was sent. List them with mw list webhook.",
        {"create": create, "change": change, "delete": delete, "deliveries": deliveries, "redeliver": redeliver},
    )


@carries_out("webhooks.create")
def create(
    title: Annotated[str, typer.Argument(metavar="NAME", help="What people call it.")],
    url: Annotated[str, typer.Argument(help="Where to: an https address.")],
    events: Events = None,
    format_: Annotated[str, typer.Option("--format", help="cloudevents, cloudevents-binary or mlflow.")] = "cloudevents",
    description: Description = None,
    secret: Secret = None,
    reason: Reason = "",
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    from modelwright.webhooks import WebhookFormat

    if format_ not in list(WebhookFormat):
        raise Invalid(f"{format_!r} is no format of webhooks.", mend=f"There are {', '.join(WebhookFormat)}.")
    if not events:
        raise Invalid(
            "It is not said of what the webhook is told.", mend="Say --event models, or --event '*' for everything."
        )
    with workspace(where) as rooms:
        made = rooms.webhooks.create(
            title,
            url,
            events,
            format=WebhookFormat(format_),
            description=description or "",
            secret=_secret(secret) or "",
            reason=reason,
        )
    if as_json:
        print_json(made)
    else:
        say(f"{made.ref} is told of {', '.join(made.events)} from now on, {'signed' if made.signed else 'unsigned'}.")


@carries_out("webhooks.update")
def change(
    hook: Hook,
    url: Annotated[str | None, typer.Option(help="Another address.", show_default=False)] = None,
    events: Events = None,
    enable: Annotated[
        bool | None, typer.Option("--enable/--disable", help="Tell it of events, or nothing.", show_default=False)
    ] = None,
    description: Description = None,
    secret: Secret = None,
    reason: Reason = "",
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    from modelwright.webhooks import WebhookChange, WebhookStatus

    status = None if enable is None else WebhookStatus.ACTIVE if enable else WebhookStatus.DISABLED
    with workspace(where) as rooms:
        wanted = WebhookChange(
            url=url, events=events or None, status=status, description=description, secret=_secret(secret)
        )
        face, made = WebhookFace(), rooms.webhooks.update(_hook(hook), wanted, reason=reason)
        if as_json:
            print_json(made)
        else:
            face.tell(rooms, made)


@carries_out("webhooks.delete")
def delete(hook: Hook, yes: Yes = False, reason: Reason = "", where: Where = None, as_json: AsJson = False) -> None:
    with workspace(where) as rooms:
        found = rooms.webhooks.show(_hook(hook))
        confirm(f"{found.name} ({found.url}) is told nothing more, and what is on its way is dropped.", yes=yes)
        rooms.webhooks.delete(found.ref, reason=reason)
    if as_json:
        print_json(found)
    else:
        say(f"Deleted: {found.ref}, {found.name}")


@carries_out("webhooks.deliveries")
def deliveries(
    hook: Hook,
    limit: Annotated[int, typer.Option("--limit", "-n", help="How many at most.")] = 20,
    after: Annotated[str | None, typer.Option(help="Go on after the page before.", show_default=False)] = None,
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    with workspace(where) as rooms:
        page = rooms.webhooks.deliveries(_hook(hook), limit=limit, after=after)
    if as_json:
        print_json(page)
    elif page.items:
        tell_deliveries(page.items)
        if page.next:
            aside(f"There are more: --after {page.next}")
    else:
        aside("Nothing was sent to it yet.")


@carries_out("webhooks.redeliver")
def redeliver(
    hook: Hook,
    delivery: Annotated[str, typer.Argument(metavar="DELIVERY", help="Its id: mw webhook deliveries.")],
    reason: Reason = "",
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    with workspace(where) as rooms:
        again = rooms.webhooks.redeliver(_hook(hook), delivery, reason=reason)
    if as_json:
        print_json(again)
    else:
        say(f"{again.event} is sent again by the operator of a running server (mw up).")


def traces(
    experiment: Annotated[
        str | None, typer.Argument(metavar="[EXPERIMENT]", help="Of one, by its name, title or ref.", show_default=False)
    ] = None,
    filter_: Annotated[
        str, typer.Option("--filter", metavar="CLAUSES", help="status = 'ERROR' AND span.type = 'LLM'", show_default=False)
    ] = "",
    order: Annotated[
        list[str] | None,
        typer.Option("--order", metavar="ITEM", help="execution_time_ms DESC; repeat it.", show_default=False),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", help="How many at most, 1 to 1000.")] = 50,
    after: Annotated[str | None, typer.Option(help="Go on after the page before.", show_default=False)] = None,
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    """Search traces of programs, the newest first.

    mw show trace:tr-... shows one, span by span.

    mw traces chat --filter "status = 'ERROR' AND execution_time_ms > 5000"
    """
    face = TraceFace()
    with workspace(where) as rooms:
        if experiment is None:
            among = [each.ref for each in every(rooms.experiments.list_experiments)]
        else:
            among = [rooms.experiments.experiment(Ref(Kind.EXPERIMENT, path_for(experiment_of(experiment)))).ref]
        page = rooms.traces.search(among, where=filter_, order_by=order or [], limit=limit, after=after)
    if as_json:
        print_json(page)
    elif page.items:
        table(face.columns, [face.row(each) for each in page.items], right=face.right, copied=("trace",))
        if page.next:
            aside(f"There are more: --after {page.next}")
    else:
        aside("There is none.")


def _hook(text: str) -> Ref:
    return parse_ref(text if ":" in text else f"webhook:{text}", Kind.WEBHOOK)


def _secret(text: str | None) -> str | None:
    return sys.stdin.readline().rstrip("\n") if text == STDIN else text
