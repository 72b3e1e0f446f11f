"""What holds objects: in which tables a digest keeps an object alive, and why it does not in the others.

Every table of the house stands in one of the two lists; a test holds them to that, so whoever makes a table must say which
it is. A digest is found wherever it stands in a text of a table that holds: in a column of its own, or somewhere in a
record.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import sqlalchemy as sa

from modelwright.core.errors import Conflict

DIGEST: Final = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
_MIGRATIONS: Final = "alembic_version"
SHORTEST: Final = 64  # a column of fewer characters holds no digest

HOLDS: Final[dict[str, str]] = {
    "catalog_versions": "files, parts, profiles and examples of every version, in its record",
    "catalog_tags": "whatever somebody tagged a version with",
    "evidence": "reports, and figures that name objects",
    "experiments_artifacts": "the artifacts of runs",
    "experiments_files": "the files of runs and logged models",
    "experiments_upload_parts": "the parts of uploads under way",
    "experiments_runs": "what was captured: the diff, the packages",
    "experiments_datasets": "schemas and profiles of what runs read",
    "deployments_deployments": "what an endpoint takes in",
    "deployments_placements": "the files of what is live and of the way back",
    "deployments_rollouts": "the files of what is coming or was rolled back",
    "governance_statements": "what was said of models, which may name a report",
    "monitoring_alerts": "reports behind an alert",
    "monitoring_incidents": "reports in an incident",
    "monitoring_progress": "where a monitor stands",
    "monitoring_windows": "reports of windows",
    "pipelines_executions": "inputs, outputs and results",
    "pipelines_steps": "outputs of steps, and what they logged",
    "pipelines_attempts": "what an attempt left behind",
    "pipelines_triggers": "what a trigger starts with",
}

_SAID = "what happened is told in itself; what came of it is held by the thing that it speaks of"
_WORDS = "words and numbers of users, which name no object that nothing else holds"
_ACCESS = "who may do what"
HOLDS_NOT: Final[dict[str, str]] = {
    **dict.fromkeys(
        ["ledger_head", "ledger_events", "ledger_details", "ledger_nodes", "ledger_checkpoints", "ledger_refs"], _SAID
    ),
    **dict.fromkeys(
        [
            "catalog_things",
            "catalog_aliases",
            "catalog_alias_moves",
            "catalog_dependencies",
            "leases",
            "models_stages",
            "models_profiles",
            "models_titles",
            "models_origins",
            "models_seals",
            "experiments_datasets_read",
            "experiments_experiment_tags",
            "experiments_experiments",
            "experiments_logged_metrics",
            "experiments_logged_models",
            "experiments_logged_params",
            "experiments_logged_tags",
            "experiments_metrics",
            "experiments_models_used",
            "experiments_names",
            "experiments_params",
            "experiments_tags",
            "experiments_uploads",
            "experiments_views",
            "experiments_writers",
            "monitoring_labels",
            "monitoring_standing",
            "privacy_decisions",
            "privacy_permits",
            "pipelines_firings",
            "openlineage_mentions",
            "openlineage_parties",
            "openlineage_received",
            "openlineage_targets",
            "webhooks_deliveries",
            "webhooks_webhooks",
        ],
        _WORDS,
    ),
    **dict.fromkeys(["experiments_blocks", "experiments_tails"], "metric points, as they are"),
    **dict.fromkeys(
        [
            "evalsets_examples",
            "evalsets_homes",
            "evalsets_sets",
            "evalsets_tags",
            "features_folds",
            "features_joins",
            "features_pushes",
            "scorers_scorers",
            "scorers_versions",
            "traces_assessments",
            "traces_marks",
            "traces_prompts",
            "traces_runs",
            "traces_spans",
            "traces_tags",
            "traces_traces",
        ],
        _WORDS,
    ),
    **dict.fromkeys(
        [
            "policy_attempts",
            "policy_credentials",
            "policy_epoch",
            "policy_grants",
            "policy_principals",
            "policy_roles",
            "privacy_protected",
        ],
        _ACCESS,
    ),
    **dict.fromkeys(
        ["retention_classes", "retention_deletions", "retention_holds"],
        "what is to go, has gone, or must stay: the digests of what is to go must not keep it",
    ),
}


def texts(connection: sa.Connection) -> Iterator[str]:
    """Every text in which a digest would hold an object, one after the other.

    The tables are those that the database has, whatever this process has loaded. `Conflict` where it has one that stands in
    neither list, or lacks one: better to let nothing go than what a table holds that nobody looked into.
    """
    refuse_strange(connection)
    for table in tables_that_hold(connection):
        for row in connection.execute(sa.select(*columns_of(table)).execution_options(yield_per=1000)):
            yield from (value for value in row if value)


def refuse_strange(connection: sa.Connection) -> None:
    """`Conflict` where the database has a table of which it is not known whether it holds, or lacks one that does."""
    there = set(sa.inspect(connection).get_table_names()) - {_MIGRATIONS}
    if strange := sorted((there - HOLDS.keys() - HOLDS_NOT.keys()) | (HOLDS.keys() - there)):
        raise Conflict(
            f"It is not known whether objects are held by the table {strange[0]}.",
            mend="Bring the database to this version: mw doctor.",
            details={"tables": strange},
        )


def tables_that_hold(connection: sa.Connection) -> list[sa.TableClause]:
    """The tables that hold objects, with their columns as the database has them, described in one go."""
    found = sa.inspect(connection).get_multi_columns(filter_names=list(HOLDS))
    there = {name: columns for (_, name), columns in found.items()}
    return [sa.table(name, *(sa.column(each["name"], each["type"]) for each in there[name])) for name in HOLDS]


def columns_of(table: sa.FromClause) -> list[sa.ColumnElement[str]]:
    """The columns of a table that are long enough to hold a digest."""
    return [
        column
        for column in table.columns
        if isinstance(column.type, sa.String) and (column.type.length is None or column.type.length >= SHORTEST)
    ]
