"""`gate`, `promote`, `approve`, `waive`, `tag`, `retire`, `sign`, `classify`, `policy`: who decides what, and why."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from modelwright.cli.explain import add_commands, add_group, carries_out
from modelwright.cli.kinds import face_of
from modelwright.cli.kinds.rules import tell_gate
from modelwright.cli.options import (
    AsJson,
    Reason,
    RefArgument,
    Where,
    Yes,
    confirm,
    pairs,
    parse_moment,
    parse_ref,
    workspace,
)
from modelwright.cli.output import aside, print_json, say, section, table, when
from modelwright.core.errors import Invalid, NotFound
from modelwright.core.refs import Kind, Ref

if TYPE_CHECKING:
    from modelwright.models import ModelVersion
    from modelwright.store import Evidence
    from modelwright.workspace import Workspace

GATE_REFUSED = 10  # the exit code of `Refused`
Why = Annotated[str, typer.Option("--reason", "-m", help="Why: it goes on the record.")]
Place = Annotated[str, typer.Option("--environment", "-e", help="Where: staging, production, ...")]


def register(app: typer.Typer) -> None:
    """Add the commands and the group `policy`."""
    add_commands(
        app,
        {
            "gate": gate,
            "promote": promote,
            "approve": approve,
            "waive": waive,
            "tag": tag,
            "retire": retire,
            "sign": sign,
            "verify-model": verify_model,
            "classify": classify,
        },
    )
    add_group(
        app,
        "policy",
        "Policies: what they say, what is in force, what a change would do.",
        {
            "show": policy_show,
            "adopt": policy_adopt,
            "diff": policy_diff,
            "simulate": policy_simulate,
            "assign": policy_assign,
            "gates": policy_gates,
            "waivers": policy_waivers,
            "revoke": policy_revoke,
        },
    )


@carries_out("policy.gate")
def gate(
    ref: RefArgument,
    action: Annotated[str, typer.Argument(help="promote, deploy, rollback, ...")] = "promote",
    environment: Place = "production",
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    with workspace(where) as rooms:
        report = rooms.policy.gate(parse_ref(ref), action, environment=environment)
    if as_json:
        print_json(report)
    else:
        tell_gate(report)
    if not report.passed:
        raise typer.Exit(GATE_REFUSED)


@carries_out("models.promote")
def promote(
    ref: RefArgument,
    stage: Annotated[str, typer.Argument(help="candidate, staging, production or archived.")],
    reason: Why = "",
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    from modelwright.models.records import Stage

    if stage not in set(Stage):
        raise Invalid(f"{stage!r} is not a stage.", mend=f"The stages are {', '.join(Stage)}.")
    with workspace(where) as rooms:
        made = rooms.models.promote(parse_ref(ref, Kind.MODEL), Stage(stage), reason=reason)
    if as_json:
        print_json(made)
    else:
        say(f"{made.ref} is in {made.stage.value}.")


@carries_out("policy.approve")
def approve(
    ref: RefArgument,
    reason: Annotated[str, typer.Option("--reason", "-m", help="What you looked at, and why it is enough.")],
    action: Annotated[str, typer.Option(help="What it is consented to: promote, deploy, ...")] = "promote",
    environment: Place = "production",
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    with workspace(where) as rooms:
        piece = rooms.policy.approve(parse_ref(ref), action, environment=environment, reason=reason)
    if as_json:
        print_json(piece)
    else:
        say(f"{piece.producer} approved: {action} {piece.subject} to {environment} ({piece.ref}).")


@carries_out("policy.waive")
def waive(
    ref: RefArgument,
    rule: Annotated[str, typer.Argument(help="The requirement's id, as `mw gate` shows it.")],
    reason: Annotated[str, typer.Option("--reason", "-m", help="Why it can be set aside.")],
    control: Annotated[str, typer.Option(help="What is done instead.")] = "",
    until: Annotated[str | None, typer.Option(metavar="TIME", help="When it ends.", show_default=False)] = None,
    days: Annotated[int | None, typer.Option(help="Or: after so many days.", show_default=False)] = None,
    environment: Annotated[str, typer.Option("--environment", "-e", help="Only there; by default everywhere.")] = "",
    ask: Annotated[bool, typer.Option("--ask", help="Only ask for it: somebody else grants it.")] = False,
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    parsed = parse_ref(ref)
    with workspace(where) as rooms:
        if ask:
            piece = rooms.policy.request_waiver(parsed, rule, environment=environment, reason=reason)
            if as_json:
                print_json(piece)
            else:
                say(f"{piece.producer} asked for a waiver of {rule} for {piece.subject}; a risk officer can grant it.")
            return
        made = rooms.policy.waive(
            parsed, rule, reason=reason, control=control, until=_end(rooms, until, days), environment=environment
        )
    if as_json:
        print_json(made)
    else:
        say(f"{made.rule} is waived for {made.ref} until {when(made.until)}, with: {made.control}.")


def tag(
    ref: RefArgument,
    tags: Annotated[list[str], typer.Argument(metavar="KEY=VALUE...", help="KEY= takes a tag away.")],
    reason: Reason = "",
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    """Set tags on a version or a run; KEY= takes one away."""
    parsed = parse_ref(ref)
    wanted: dict[str, str | None] = {key: value or None for key, value in pairs(tags, option="A tag").items()}
    with workspace(where) as rooms:
        held = face_of(parsed.kind).tag(rooms, parsed, wanted, reason)
    if as_json:
        print_json(held)
    else:
        say(f"{parsed}: {', '.join(f'{key}={value}' for key, value in sorted(held.items())) or 'no tags'}")


def retire(
    ref: RefArgument,
    successor: Annotated[
        str | None, typer.Option(metavar="REF", help="What to use in its place.", show_default=False)
    ] = None,
    reason: Why = "",
    yes: Yes = False,
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    """Take a version (or a deployment) out of use for good; whoever asks for it is told the successor."""
    parsed = parse_ref(ref)
    confirm(f"{parsed} goes out of use for good.", yes=yes)
    with workspace(where) as rooms:
        named = Ref.parse(successor) if successor else None
        made = face_of(parsed.kind).retire(rooms, parsed, named, reason)
    if as_json:
        print_json(made)
    else:
        say(f"{made.ref} is retired{f'; its successor is {made.successor}' if made.successor else ''}.")


def sign(
    ref: RefArgument,
    key: Annotated[
        Path,
        typer.Option(
            "--key", metavar="FILE", help="A private key, in PEM: ECDSA or Ed25519; with --bundle the public one."
        ),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write the bundle there too.", show_default=False)
    ] = None,
    bundle: Annotated[
        Path | None,
        typer.Option("--bundle", metavar="FILE", help="A signature that was made elsewhere.", show_default=False),
    ] = None,
    reason: Reason = "",
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    """Sign a model version with a key of yours.

    The key stays here; the signature goes on the record, and every load verifies it. If the key has a password, it is
    asked for. The bundle is what OpenSSF's model-signing verifies. Where the key cannot come here, mw export model writes
    the files, that program signs them, and --bundle brings its signature back.
    """
    parsed = parse_ref(ref, Kind.MODEL)
    if bundle is not None:
        _put_signature(parsed, bundle, key, reason=reason, where=where, as_json=as_json)
        return
    password = None
    if b"ENCRYPTED" in key.read_bytes() if key.is_file() else False:
        password = typer.prompt("The key's password", hide_input=True, err=True)
    with workspace(where) as rooms:
        made = rooms.signatures.sign(parsed, key, password=password, reason=reason)
        worth = rooms.record.evidence(made.ref, "signature")[0]
    if out is not None and made.seal is not None:
        out.write_text(made.seal.bundle, encoding="utf-8")
    if as_json:
        print_json(made)
    else:
        _tell_signed(made, worth)


def _put_signature(ref: Ref, bundle: Path, key: Path, *, reason: str, where: str | None, as_json: bool) -> None:
    from modelwright.serving import Seal

    seal = Seal(bundle=_read(bundle), key=_read(key))
    with workspace(where) as rooms:
        made = rooms.signatures.put(ref, seal, reason=reason)
        worth = rooms.record.evidence(made.ref, "signature")[0]
    print_json(made) if as_json else _tell_signed(made, worth)


def _tell_signed(made: ModelVersion, worth: Evidence) -> None:
    from modelwright.store.records import Verdict

    say(f"{made.ref} is signed: {_files(len(made.record.files))}.")
    if worth.verdict is not Verdict.PASS:
        aside(f"It is {worth.summary}: a gate that asks for a signature goes on refusing.")
        aside("If whoever holds the key is to be trusted, name the PEM file of its public key in [models] trusted_keys.")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise NotFound(f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise Invalid(f"{path} is neither a bundle nor a key in PEM: it is no text.") from None


def _files(count: int) -> str:
    return f"{count} file{'s' if count > 1 else ''}"


@carries_out("signatures.verify")
def verify_model(
    ref: Annotated[
        str, typer.Argument(metavar="REF", help="kind:name@selector; with --signature the folder that holds the files.")
    ],
    key: Annotated[
        Path | None,
        typer.Option("--key", metavar="FILE", help="The public key that must have signed it.", show_default=False),
    ] = None,
    signature: Annotated[
        Path | None,
        typer.Option("--signature", metavar="FILE", help="Of files in a folder: needs no workspace.", show_default=False),
    ] = None,
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    """Verify the signature over a version: every file, and that its key counts."""
    if signature is not None:
        _verify_folder(Path(ref), signature, key, as_json=as_json)
        return
    parsed = parse_ref(ref, Kind.MODEL)
    with workspace(where) as rooms:
        found = rooms.signatures.verify(parsed, key=_read(key) if key else "")
    if as_json:
        print_json(found)
    else:
        say(f"{found.ref} is as it was signed: {_files(len(found.record.files))}.")


def _verify_folder(folder: Path, signature: Path, key: Path | None, *, as_json: bool) -> None:
    from modelwright.serving import verify_folder

    if key is None:
        raise Invalid(
            "A signature says nothing without the key that must have made it.", mend="Name the public key: --key PUBLIC.pem"
        )
    files = verify_folder(folder, signature, _read(key))
    print_json({"folder": folder, "files": files}) if as_json else say(
        f"{folder} is as it was signed: {_files(len(files))}."
    )


@carries_out("policy.classify")
def classify(
    ref: RefArgument,
    answers: Annotated[list[str] | None, typer.Argument(metavar="QUESTION=ANSWER...", help="The answers.")] = None,
    tier: Annotated[
        str | None, typer.Option(help="low, standard or high, instead of the computed.", show_default=False)
    ] = None,
    questions: Annotated[bool, typer.Option("--questions", help="Only print the questionnaire.")] = False,
    reason: Reason = "",
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    from modelwright.policy import Tier
    from modelwright.policy.tiers import QUESTIONS

    if questions:
        if as_json:
            print_json(QUESTIONS)
        else:
            rows = [[key, question.text, "\n".join(question.answers)] for key, question in QUESTIONS.items()]
            table(["question", "what is asked", "answers"], rows)
        return
    if tier is not None and tier not in set(Tier):
        raise Invalid(f"{tier!r} is not a risk tier.", mend=f"The tiers are {', '.join(Tier)}.")
    given = pairs(answers, option="The answer")
    with workspace(where) as rooms:
        made = rooms.policy.classify(parse_ref(ref), given, tier=Tier(tier) if tier else None, reason=reason)
    if as_json:
        print_json(made)
        return
    say(f"{made.ref} is in risk tier {made.tier.value} ({made.points} points give {made.computed.value}).")
    for why in made.reasons:
        say(f"  {why}")


@carries_out("policy.show")
def policy_show(
    ref: Annotated[str, typer.Argument(metavar="REF", help="policy:NAME@VERSION.")] = "policy:standard",
    toml: Annotated[bool, typer.Option("--toml", help="Its text, to edit and adopt.")] = False,
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    parsed = parse_ref(ref, Kind.POLICY)
    face = face_of(Kind.POLICY)
    with workspace(where) as rooms:
        found = face.show(rooms, parsed)
        if as_json:
            print_json(found)
        elif toml:
            typer.echo(found.text, nl=False)
        else:
            face.tell(rooms, found)


@carries_out("policy.adopt")
def policy_adopt(
    file: Annotated[Path, typer.Argument(help="A policy in TOML.")],
    reason: Why = "",
    yes: Yes = False,
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    text = _text(file)
    with workspace(where) as rooms:
        if not yes:
            aside(rooms.policy.simulate(text).sentence)
        confirm(f"{file} comes into force for every gate from now on.", yes=yes)
        made = rooms.policy.adopt(text, reason=reason)
    if as_json:
        print_json(made)
    else:
        say(f"{made.ref} is in force.")


@carries_out("policy.diff")
def policy_diff(
    ref: Annotated[str, typer.Argument(metavar="REF", help="policy:NAME@VERSION.")],
    other: Annotated[str | None, typer.Argument(help="A ref, or just another version; by default the latest.")] = None,
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    from modelwright.cli.look import diff

    parse_ref(ref, Kind.POLICY)
    diff(ref, other, where=where, as_json=as_json)


@carries_out("policy.simulate")
def policy_simulate(
    file: Annotated[Path, typer.Argument(help="A policy in TOML.")],
    since: Annotated[str | None, typer.Option(metavar="TIME", help="Only gates from then on.", show_default=False)] = None,
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    with workspace(where) as rooms:
        found = rooms.policy.simulate(_text(file), since=parse_moment(since))
    if as_json:
        print_json(found)
        return
    changed = [case for case in found.cases if case.passed_then != case.passes_now]
    say(found.sentence)
    section(
        ["when", "what", "then", "now", "missing"],
        [
            [
                when(c.at),
                f"{c.action} {c.subject} {c.environment}",
                _passed(c.passed_then),
                _passed(c.passes_now),
                ", ".join(c.unmet),
            ]
            for c in changed
        ],
    )


@carries_out("policy.assign")
def policy_assign(
    ref: RefArgument,
    policy: Annotated[str, typer.Argument(help="The policy's name.")],
    reason: Why = "",
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    parsed = parse_ref(ref)
    with workspace(where) as rooms:
        rooms.policy.assign(parsed, policy.removeprefix("policy:"), reason=reason)
    if as_json:
        print_json({"ref": parsed.whole, "policy": policy})
    else:
        say(f"{parsed.whole} is under the policy {policy}.")


@carries_out("policy.gates")
def policy_gates(ref: RefArgument, where: Where = None, as_json: AsJson = False) -> None:
    with workspace(where) as rooms:
        found = rooms.policy.gates(parse_ref(ref))
    if as_json:
        print_json(found)
        return
    rows = [
        [
            when(each.report.at),
            f"{each.report.action} {each.report.subject}\nto {each.report.environment}",
            _passed(each.report.passed),
            each.by,
            ", ".join(r.id for r in each.report.unmet),
        ]
        for each in found
    ]
    if rows:
        table(["when", "action", "gate", "by", "missing"], rows)
    else:
        aside("No gate has decided anything about it.")


@carries_out("policy.waivers")
def policy_waivers(where: Where = None, as_json: AsJson = False) -> None:
    with workspace(where) as rooms:
        found = rooms.policy.waivers()
    if as_json:
        print_json(found)
    elif found:
        rows = [[str(w.ref), w.rule, w.environment, when(w.until), w.granted_by, f"{w.reason}\n{w.control}"] for w in found]
        table(["for", "rule", "where", "until", "granted by", "why, and what is done instead"], rows)
    else:
        aside("No requirement is waived.")


@carries_out("policy.revoke")
def policy_revoke(
    ref: RefArgument,
    consent: Annotated[str, typer.Argument(help="The evidence id of the approval or waiver.")],
    reason: Annotated[str, typer.Option("--reason", "-m", help="Why it is taken back.")],
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    with workspace(where) as rooms:
        piece = rooms.policy.revoke(parse_ref(ref), consent.removeprefix("evidence:"), reason=reason)
    if as_json:
        print_json(piece)
    else:
        say(f"The {piece.kind} {consent} of {piece.subject} is taken back.")


def _end(rooms: Workspace, until: str | None, days: int | None) -> datetime:
    """When a waiver ends, from the workspace's own time where it is told in days."""
    moment = parse_moment(until)
    if (moment is None) == (days is None):
        raise Invalid("A waiver needs an end.", mend="Say --until TIME or --days N, 90 days ahead at most.")
    return moment or (rooms.workspace.status().now + timedelta(days=days or 0)).astimezone(UTC)


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise Invalid(f"There is no file {file}.", mend="Begin with: mw policy show --toml > policy.toml") from None


def _passed(passed: bool) -> str:
    return "pass" if passed else "fail"
