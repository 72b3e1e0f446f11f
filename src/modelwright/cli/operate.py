"""`deploy`, `rollout`, `rollback`, `kill`, `alerts`, `incident`: what is live, and what happens when it goes wrong."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelwright.cli.explain import add_commands, add_group, carries_out
from modelwright.cli.kinds.live import DeploymentFace
from modelwright.cli.kinds.watching import AlertFace, IncidentFace
from modelwright.cli.options import AsJson, Reason, Where, Yes, confirm, named, parse_moment, parse_ref, workspace
from modelwright.cli.output import aside, print_json, say, table
from modelwright.core.errors import Invalid, NotFound
from modelwright.core.paging import Filter
from modelwright.core.refs import Kind, Ref

if TYPE_CHECKING:
    from modelwright.deployments.records import Deployment
    from modelwright.workspace import Workspace

DeploymentName = Annotated[str, typer.Argument(metavar="DEPLOYMENT", help="Its name.")]
Production = Annotated[str, typer.Option("--environment", "-e", help="Where: staging, production, ...")]
Number = Annotated[str, typer.Argument(metavar="NUMBER", help="The incident's number.")]


def register(app: typer.Typer) -> None:
    """Add the commands and the groups `rollout` and `incident`."""
    add_commands(app, {"deploy": deploy, "rollback": rollback, "kill": kill, "alerts": alerts})
    add_group(
        app,
        "rollout",
        "Decide about the rollout that is under way.",
        {"promote": promote, "pause": pause, "resume": resume, "abort": abort},
    )
    add_group(
        app,
        "incident",
        "What went wrong, and what is done about it.",
        {
            "list": incident_list,
            "show": incident_show,
            "report": incident_report,
            "note": incident_note,
            "contain": incident_contain,
            "resolve": incident_resolve,
        },
    )


@carries_out("deployments.deploy")
def deploy(
    deployment: DeploymentName,
    model: Annotated[str, typer.Argument(metavar="MODEL", help="The version: model:delay@3.")],
    environment: Annotated[str, typer.Argument(help="staging, production, ...")],
    strategy: Annotated[
        str | None, typer.Option(help="canary, ramp, all_at_once, or one of the workspace's own.", show_default=False)
    ] = None,
    create: Annotated[bool, typer.Option("--create", help="Make the deployment if there is none of that name.")] = False,
    unit: Annotated[
        str, typer.Option(metavar="COLUMN", help="With --create: the column that names the unit, for sticky routing.")
    ] = "",
    time_column: Annotated[str, typer.Option("--time", metavar="COLUMN", help="With --create: the event time.")] = "",
    key: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN", help="With --create: logged, not given to the model; may be repeated."),
    ] = None,
    reason: Reason = "",
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    name = named(deployment, Kind.DEPLOYMENT)
    with workspace(where) as rooms:
        if create:
            _create(rooms, name, unit, time_column, key or [])
        made = rooms.deployments.deploy(name, parse_ref(model, Kind.MODEL), environment, strategy=strategy, reason=reason)
        _tell(rooms, made, environment, as_json=as_json)


@carries_out("deployments.rollback")
def rollback(
    deployment: DeploymentName,
    environment: Production = "production",
    reason: Reason = "",
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    with workspace(where) as rooms:
        made = rooms.deployments.rollback(named(deployment, Kind.DEPLOYMENT), environment, reason=reason)
        _tell(rooms, made, environment, as_json=as_json)


@carries_out("deployments.switch")
def kill(
    deployment: DeploymentName,
    environment: Production = "production",
    on: Annotated[bool, typer.Option("--on", help="Let the model answer again.")] = False,
    fallback: Annotated[
        str | None, typer.Option(metavar="JSON", help="A fixed answer instead of none.", show_default=False)
    ] = None,
    reason: Reason = "",
    yes: Yes = False,
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    from modelwright.serving.records import Switch

    name = named(deployment, Kind.DEPLOYMENT)
    to = Switch.LIVE if on else Switch.FALLBACK if fallback is not None else Switch.OFF
    if to is Switch.OFF:
        confirm(f"{name} answers nobody in {environment} until it is switched on again.", yes=yes)
    with workspace(where) as rooms:
        made = rooms.deployments.switch(name, environment, to, fallback=_object(fallback), reason=reason)
        _tell(rooms, made, environment, as_json=as_json)


@carries_out("deployments.promote")
def promote(
    deployment: DeploymentName,
    environment: Production = "production",
    reason: Reason = "",
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    with workspace(where) as rooms:
        made = rooms.deployments.promote(named(deployment, Kind.DEPLOYMENT), environment, reason=reason)
        _tell(rooms, made, environment, as_json=as_json)


@carries_out("deployments.pause")
def pause(
    deployment: DeploymentName,
    environment: Production = "production",
    reason: Reason = "",
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    with workspace(where) as rooms:
        made = rooms.deployments.pause(named(deployment, Kind.DEPLOYMENT), environment, reason=reason)
        _tell(rooms, made, environment, as_json=as_json)


@carries_out("deployments.resume")
def resume(
    deployment: DeploymentName,
    environment: Production = "production",
    reason: Reason = "",
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    with workspace(where) as rooms:
        made = rooms.deployments.resume(named(deployment, Kind.DEPLOYMENT), environment, reason=reason)
        _tell(rooms, made, environment, as_json=as_json)


@carries_out("deployments.abort")
def abort(
    deployment: DeploymentName,
    environment: Production = "production",
    reason: Reason = "",
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    with workspace(where) as rooms:
        made = rooms.deployments.abort(named(deployment, Kind.DEPLOYMENT), environment, reason=reason)
        _tell(rooms, made, environment, as_json=as_json)


def alerts(
    acknowledge: Annotated[
        str | None,
        typer.Option("--acknowledge", "-a", metavar="NUMBER", help="Say that you have seen it.", show_default=False),
    ] = None,
    deployment: Annotated[str | None, typer.Option(help="Only of this deployment.", show_default=False)] = None,
    all_: Annotated[bool, typer.Option("--all", help="Also those that are over.")] = False,
    reason: Reason = "",
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    """List the alerts that stand, the newest first; or acknowledge one."""
    face = AlertFace()
    with workspace(where) as rooms:
        if acknowledge is not None:
            seen = rooms.monitoring.acknowledge(_numbered(acknowledge, Kind.ALERT), reason=reason)
            if as_json:
                print_json(seen)
            else:
                say(f"{seen.ref} is acknowledged by {seen.acknowledged_by}.")
            return
        page = face.list(rooms, Filter(under=deployment, state=None if all_ else "unfinished"))
    if as_json:
        print_json(page)
    elif page.items:
        table(face.columns, [face.row(item) for item in page.items], right=face.right)
    else:
        aside("No alert stands." if not all_ else "There has been no alert.")


@carries_out("monitoring.incidents")
def incident_list(
    deployment: Annotated[str | None, typer.Option(help="Only of this deployment.", show_default=False)] = None,
    all_: Annotated[bool, typer.Option("--all", help="Also those that are resolved.")] = False,
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    face = IncidentFace()
    with workspace(where) as rooms:
        page = face.list(rooms, Filter(under=deployment, state=None if all_ else "unfinished"))
    if as_json:
        print_json(page)
    elif page.items:
        table(face.columns, [face.row(item) for item in page.items], right=face.right)
    else:
        aside("No incident is open." if not all_ else "There has been no incident.")


@carries_out("monitoring.incident")
def incident_show(
    number: Number,
    draft: Annotated[bool, typer.Option("--report", help="Draft the report on it, in Markdown.")] = False,
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    face, ref = IncidentFace(), _numbered(number, Kind.INCIDENT)
    with workspace(where) as rooms:
        if draft and not as_json:
            typer.echo(rooms.governance.incident_report(ref))
            return
        found = face.show(rooms, ref)
        if as_json:
            print_json(found)
        else:
            face.tell(rooms, found)


@carries_out("monitoring.report")
def incident_report(
    deployment: DeploymentName,
    title: Annotated[str, typer.Argument(help="What is wrong, in a line.")],
    severity: Annotated[int, typer.Option(help="1 is the gravest, 4 the slightest.")] = 3,
    type_: Annotated[
        str, typer.Option("--type", help="performance, data, bias, privacy, security, outage or misuse.")
    ] = "performance",
    started: Annotated[str | None, typer.Option(metavar="TIME", help="When it began.", show_default=False)] = None,
    reason: Reason = "",
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    from modelwright.monitoring.records import IncidentType

    if type_ not in set(IncidentType):
        raise Invalid(f"{type_!r} is no type of incident.", mend=f"The types are {', '.join(IncidentType)}.")
    with workspace(where) as rooms:
        made = rooms.monitoring.report(
            Ref(Kind.DEPLOYMENT, named(deployment, Kind.DEPLOYMENT)),
            title,
            severity=severity,
            type=IncidentType(type_),
            started_at=parse_moment(started),
            reason=reason,
        )
    _tell_incident(made, "is open", as_json=as_json)


@carries_out("monitoring.note")
def incident_note(
    number: Number,
    text: Annotated[str, typer.Argument(help="What is to be known.")],
    owner: Annotated[str | None, typer.Option(help="Hand it to somebody.", show_default=False)] = None,
    severity: Annotated[int | None, typer.Option(help="1 is the gravest, 4 the slightest.", show_default=False)] = None,
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    with workspace(where) as rooms:
        made = rooms.monitoring.note(_numbered(number, Kind.INCIDENT), text, owner=owner, severity=severity)
    _tell_incident(made, "has a note", as_json=as_json)


@carries_out("monitoring.contain")
def incident_contain(number: Number, reason: Reason = "", where: Where = None, as_json: AsJson = False) -> None:
    with workspace(where) as rooms:
        made = rooms.monitoring.contain(_numbered(number, Kind.INCIDENT), reason=reason)
    _tell_incident(made, "is contained", as_json=as_json)


@carries_out("monitoring.resolve")
def incident_resolve(
    number: Number,
    root_cause: Annotated[str, typer.Option("--cause", help="What it came from.")],
    lessons: Annotated[str, typer.Option(help="What was learned.")] = "",
    action: Annotated[
        list[str] | None,
        typer.Option(metavar="OWNER:WHAT", help="What will be done so that it does not return; may be repeated."),
    ] = None,
    reason: Reason = "",
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    from modelwright.monitoring.records import CorrectiveAction

    actions = []
    for text in action or []:
        owner, colon, what = text.partition(":")
        if not colon or not what.strip():
            raise Invalid(f"--action {text!r} is not OWNER:WHAT.")
        actions.append(CorrectiveAction(what=what.strip(), owner=owner.strip()))
    with workspace(where) as rooms:
        made = rooms.monitoring.resolve(
            _numbered(number, Kind.INCIDENT), root_cause=root_cause, lessons=lessons, actions=actions, reason=reason
        )
    _tell_incident(made, "is resolved", as_json=as_json)


def _create(rooms: Workspace, name: str, unit: str, time_column: str, keys: list[str]) -> None:
    from modelwright.serving.records import Intake

    try:
        rooms.deployments.show(name)
    except NotFound:
        rooms.deployments.create(name, intake=Intake(unit_column=unit, time_column=time_column, keys=keys))


def _tell(rooms: Workspace, made: Deployment, environment: str, *, as_json: bool) -> None:
    if as_json:
        print_json(made)
        return
    placement = made.placement(environment)
    if placement is None:
        DeploymentFace().tell(rooms, made)
        return
    traffic = ", ".join(f"{model} {weight:g} %" for model, weight in placement.weights.items())
    say(
        f"{made.ref} in {environment}: {traffic}" + ("" if placement.switch == "live" else f" (switch: {placement.switch})")
    )
    if placement.active is not None:
        active = placement.active
        say(f"  {active.ref} {active.state.value}: {active.candidate.model} by {active.strategy.name}")
        aside(f"Follow it: mw show {active.ref}")


def _tell_incident(made: Any, what: str, *, as_json: bool) -> None:
    if as_json:
        print_json(made)
    else:
        say(f"{made.ref} {what}: {made.title}")


def _numbered(text: str, kind: Kind) -> Ref:
    """An alert or incident by its number (3) or its ref (incident:3)."""
    return parse_ref(text, kind) if ":" in text else Ref(kind, text)


def _object(text: str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise Invalid(f"--fallback is not JSON: {error}.") from None
    if not isinstance(value, dict):
        raise Invalid("--fallback must be a JSON object: outputs by name.", mend="""For example: '{"probability": 0.1}'""")
    return value
