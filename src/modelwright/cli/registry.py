"""Every command: where its code is, what right it needs, and one line on what it does.

The table is data so that help and completion need not import the commands. `needs` is the verb that the command's
operation asks for, or `LOCAL` for one that only touches files the operating system already lets its user touch; a command
without it keeps the server from starting, as a route does. Where a command is one operation, the operation is named: its
verb is then `needs`, and its first sentence begins with the summary. Tests hold the table to that.
"""

from __future__ import annotations

from typing import Final, NamedTuple

LOCAL: Final = "local"


class Command(NamedTuple):
    """One command, or a group of them (`mw audit verify`)."""

    module: str  # below modelwright.cli
    needs: str
    summary: str
    operation: str = ""  # room.operation, where it is exactly one


SECTIONS: Final[dict[str, dict[str, Command]]] = {
    "Begin": {
        "init": Command("begin", LOCAL, "Make a new project folder that runs."),
        "demo": Command("begin", LOCAL, "Tell the whole life of a model on generated data."),
        "up": Command("serve", LOCAL, "Serve the workspace: API, pages, inference and the operator."),
        "login": Command("account", LOCAL, "Sign in to a server and keep a token for it."),
        "logout": Command("account", LOCAL, "Revoke and forget the token kept for a server."),
        "warm": Command("warm.command", LOCAL, "Keep the program loaded, so that commands start at once."),
        "doctor": Command("doctor", LOCAL, "Check that all is as it should be, and say what mends it."),
    },
    "Look": {
        "list": Command("look", "read", "List things of a kind, the newest first."),
        "show": Command("look", "read", "Show one thing: a version, run, deployment, incident, policy."),
        "diff": Command("look", "read", "Show what changed from one version to another."),
        "runs": Command("runs", "read", "Search runs, each below the run that it is nested in."),
        "compare": Command("runs", "read", "Set runs side by side, against a baseline."),
        "views": Command("runs", "read", "List the saved views of an experiment's runs."),
        "traces": Command("outside", "read", "Search traces of programs, the newest first."),
        "lineage": Command("look", "read", "What a version came from and what came from it.", "record.lineage"),
        "history": Command("look", "read", "Everything that touched a thing.", "record.history"),
        "live": Command("look", "read", "Say what was live at a moment.", "deployments.live"),
        "card": Command("look", "read", "Build the model card of a version from the record.", "governance.card"),
        "figures": Command(
            "look",
            "read",
            "Compute lead time, deployment frequency, change-failure rate.",
            "governance.value",
        ),
    },
    "Data and training": {
        "data": Command("data", "write", "Add, check, merge, push, pull versions of data."),
        "features": Command("features", "write", "Apply feature views, put them online, read, push, find."),
        "run": Command("run", "train", "Run a pipeline; finished steps are not run again."),
        "evaluate": Command("judge", "evaluate", "Judge a version of a model on a version of a dataset."),
        "reproduce": Command("track", "evaluate", "Run a past run again as it was, and compare."),
        "sync": Command("track", "write", "Deliver what runs logged here and could not send."),
        "end": Command("track", "write", "End runs that their own process will not end any more."),
    },
    "Decide": {
        "gate": Command("decide", "read", "What the gate would say now.", "policy.gate"),
        "promote": Command("decide", "deploy.{stage}", "Move a version to a stage.", "models.promote"),
        "approve": Command("decide", "approve", "Consent to an action on one exact version.", "policy.approve"),
        "waive": Command("decide", "waive", "Set one requirement aside for one version.", "policy.waive"),
        "tag": Command("decide", "write", "Set or remove tags."),
        "retire": Command("decide", "register", "Take a version out of use for good, naming its successor."),
        "sign": Command("decide", "register", "Sign a model version with a key of yours."),
        "verify-model": Command("decide", "read", "Verify the signature over a version.", "signatures.verify"),
        "classify": Command("decide", "evaluate", "Set the risk tier of a thing.", "policy.classify"),
        "policy": Command("decide", "policy.edit", "Show, adopt, compare, simulate policies; waivers, gates."),
    },
    "Operate": {
        "deploy": Command(
            "operate",
            "deploy.{environment}",
            "Begin to put a model version live in an environment.",
            "deployments.deploy",
        ),
        "rollout": Command("operate", "deploy.{environment}", "Promote, pause, resume or abort the rollout under way."),
        "rollback": Command("operate", "rollback", "Go back at once.", "deployments.rollback"),
        "kill": Command("operate", "kill", "Turn the kill switch.", "deployments.switch"),
        "alerts": Command("operate", "read", "List alerts; acknowledge one."),
        "incident": Command("operate", "use", "Report, show, note, contain or resolve an incident."),
        "webhook": Command("outside", "grant", "Tell others of events; see what was sent to them."),
    },
    "Keep": {
        "audit": Command("audit", "audit.read", "Read, verify, export and sign the ledger."),
        "backup": Command("backup", LOCAL, "Copy database, objects and keys into one folder, verified."),
        "privacy": Command("minimisation", "audit.read", "What is not needed, and what about people goes into models."),
        "retention": Command("retention", "audit.read", "How long data are kept, what is due, legal holds, proofs."),
        "gc": Command("collect", "erase", "Drop objects that nothing refers to; --plan only shows them."),
        "restore": Command("backup", LOCAL, "Restore a backup into an empty folder, verified."),
    },
    "Come and go": {
        "import": Command("exchange", "write", "Bring over what MLflow, DVC, OpenLineage kept."),
        "export": Command("exchange", "read", "Write them for MLflow, DVC, OpenLineage; or one model's files."),
    },
    "People": {
        "user": Command("account", "grant", "Create people and service accounts, grant and revoke roles."),
        "token": Command("account", "use", "Create, list and revoke tokens."),
        "who-can": Command("account", "read", "Who may do something on a resource."),
        "completion": Command("completion", LOCAL, "Print the completion script of a shell."),
    },
}


def command(name: str) -> Command | None:
    """A command by its name."""
    return next((rows[name] for rows in SECTIONS.values() if name in rows), None)


def names() -> list[str]:
    """Every command's name."""
    return [name for rows in SECTIONS.values() for name in rows]


def check_commands() -> None:
    """Raise if a command has no registered permission."""
    for rows in SECTIONS.values():
        for name, row in rows.items():
            if not row.needs:
                raise RuntimeError(f"The command mw {name} has no registered permission; give it one in cli/registry.py")
