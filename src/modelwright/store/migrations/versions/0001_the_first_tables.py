"""The first tables"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """To this revision."""
    op.create_table(
        "catalog_alias_moves",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("alias", sa.String(length=255), nullable=False),
        sa.Column("version", sa.Integer(), nullable=True),
        sa.Column("at", sa.String(length=27), nullable=False),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_catalog_alias_moves")),
    )
    with op.batch_alter_table("catalog_alias_moves", schema=None) as batch_op:
        batch_op.create_index("ix_catalog_alias_moves_alias", ["alias", "kind", "name", "id"], unique=False)
        batch_op.create_index("ix_catalog_alias_moves_name", ["kind", "name", "alias", "at"], unique=False)

    op.create_table(
        "catalog_aliases",
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("alias", sa.String(length=255), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("holder", sa.String(length=300), nullable=True),
        sa.PrimaryKeyConstraint("kind", "name", "alias", name=op.f("pk_catalog_aliases")),
    )
    op.create_table(
        "catalog_dependencies",
        sa.Column("dependant", sa.String(length=300), nullable=False),
        sa.Column("needs", sa.String(length=300), nullable=False),
        sa.Column("thing", sa.String(length=300), nullable=False),
        sa.PrimaryKeyConstraint("dependant", "needs", name=op.f("pk_catalog_dependencies")),
    )
    with op.batch_alter_table("catalog_dependencies", schema=None) as batch_op:
        batch_op.create_index("ix_catalog_dependencies_needs", ["needs"], unique=False)
        batch_op.create_index("ix_catalog_dependencies_thing", ["thing"], unique=False)

    op.create_table(
        "catalog_tags",
        sa.Column("ref", sa.String(length=300), nullable=False),
        sa.Column("key", sa.String(length=250), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("ref", "key", name=op.f("pk_catalog_tags")),
    )
    with op.batch_alter_table("catalog_tags", schema=None) as batch_op:
        batch_op.create_index("ix_catalog_tags_key", ["key"], unique=False)

    op.create_table(
        "catalog_things",
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("versions", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.String(length=27), nullable=False),
        sa.Column("created_by", sa.String(length=200), nullable=False),
        sa.Column("latest_at", sa.String(length=27), nullable=False),
        sa.Column("changed_at", sa.String(length=27), nullable=False),
        sa.Column("gone_at", sa.String(length=27), nullable=True),
        sa.Column("description", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("kind", "name", name=op.f("pk_catalog_things")),
    )
    with op.batch_alter_table("catalog_things", schema=None) as batch_op:
        batch_op.create_index("ix_catalog_things_kind_latest_at", ["kind", "latest_at", "name"], unique=False)

    op.create_table(
        "catalog_versions",
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("record", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("successor", sa.String(length=300), nullable=True),
        sa.Column("created_at", sa.String(length=27), nullable=False),
        sa.Column("created_by", sa.String(length=200), nullable=False),
        sa.Column("changed_at", sa.String(length=27), nullable=False),
        sa.PrimaryKeyConstraint("kind", "name", "version", name=op.f("pk_catalog_versions")),
    )
    with op.batch_alter_table("catalog_versions", schema=None) as batch_op:
        batch_op.create_index("ix_catalog_versions_digest", ["kind", "name", "digest"], unique=False)
        batch_op.create_index("ix_catalog_versions_kind_created_at", ["kind", "created_at"], unique=False)

    op.create_table(
        "deployments_deployments",
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("intake", sa.Text(), nullable=False),
        sa.Column("slow_after", sa.Float(), nullable=False),
        sa.Column("created_at", sa.String(length=27), nullable=False),
        sa.Column("created_by", sa.String(length=200), nullable=False),
        sa.Column("changed_at", sa.String(length=27), nullable=False),
        sa.Column("retired_at", sa.String(length=27), nullable=True),
        sa.Column("successor", sa.String(length=300), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_deployments_deployments")),
    )
    with op.batch_alter_table("deployments_deployments", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_deployments_deployments_changed_at"), ["changed_at"], unique=False)

    op.create_table(
        "deployments_placements",
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("environment", sa.String(length=60), nullable=False),
        sa.Column("record", sa.Text(), nullable=False),
        sa.Column("rollout", sa.String(length=26), nullable=True),
        sa.PrimaryKeyConstraint("name", "environment", name=op.f("pk_deployments_placements")),
    )
    op.create_table(
        "deployments_rollouts",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("environment", sa.String(length=60), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("record", sa.Text(), nullable=False),
        sa.Column("engine", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deployments_rollouts")),
    )
    with op.batch_alter_table("deployments_rollouts", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_deployments_rollouts_name"), ["name"], unique=False)

    op.create_table(
        "evalsets_examples",
        sa.Column("key", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("evalset", sa.BigInteger(), nullable=False),
        sa.Column(
            "id", sa.String(length=64).with_variant(sa.String(length=64, collation="C"), "postgresql"), nullable=False
        ),
        sa.Column("inputs", sa.String(length=64), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("updated", sa.BigInteger(), nullable=False),
        sa.Column(
            "created_by",
            sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "updated_by",
            sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_evalsets_examples")),
        sa.UniqueConstraint("evalset", "id", name=op.f("uq_evalsets_examples_evalset_id")),
        sa.UniqueConstraint("evalset", "inputs", name=op.f("uq_evalsets_examples_evalset_inputs")),
    )
    op.create_table(
        "evalsets_homes",
        sa.Column("evalset", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("experiment", sa.Integer(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("evalset", "experiment", name=op.f("pk_evalsets_homes")),
    )
    with op.batch_alter_table("evalsets_homes", schema=None) as batch_op:
        batch_op.create_index("ix_evalsets_homes_experiment", ["experiment"], unique=False)

    op.create_table(
        "evalsets_sets",
        sa.Column("key", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column(
            "id", sa.String(length=64).with_variant(sa.String(length=64, collation="C"), "postgresql"), nullable=False
        ),
        sa.Column(
            "title", sa.String(length=500).with_variant(sa.String(length=500, collation="C"), "postgresql"), nullable=False
        ),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("fields", sa.Text(), nullable=False),
        sa.Column("created_at", sa.String(length=27), nullable=False),
        sa.Column(
            "created_by",
            sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("updated_at", sa.String(length=27), nullable=False),
        sa.Column(
            "updated_by",
            sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_evalsets_sets")),
        sa.UniqueConstraint("id", name=op.f("uq_evalsets_sets_id")),
    )
    with op.batch_alter_table("evalsets_sets", schema=None) as batch_op:
        batch_op.create_index("ix_evalsets_sets_title", ["title"], unique=False)

    op.create_table(
        "evalsets_tags",
        sa.Column("evalset", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column(
            "key", sa.String(length=250).with_variant(sa.String(length=250, collation="C"), "postgresql"), nullable=False
        ),
        sa.Column("value", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=False),
        sa.PrimaryKeyConstraint("evalset", "key", name=op.f("pk_evalsets_tags")),
    )
    op.create_table(
        "evidence",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("kind", sa.String(length=60), nullable=False),
        sa.Column("subject", sa.String(length=300), nullable=False),
        sa.Column("thing", sa.String(length=300), nullable=False),
        sa.Column("subject_digest", sa.String(length=64), nullable=False),
        sa.Column("verdict", sa.String(length=8), nullable=False),
        sa.Column("figures", sa.Text(), nullable=False),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.Column("report", sa.String(length=64), nullable=True),
        sa.Column("producer", sa.String(length=200), nullable=False),
        sa.Column("inputs", sa.Text(), nullable=False),
        sa.Column("created_at", sa.String(length=27), nullable=False),
        sa.Column("expires_at", sa.String(length=27), nullable=True),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_evidence")),
    )
    with op.batch_alter_table("evidence", schema=None) as batch_op:
        batch_op.create_index("ix_evidence_created_at", ["created_at"], unique=False)
        batch_op.create_index("ix_evidence_subject", ["subject", "kind", "seq"], unique=False)
        batch_op.create_index("ix_evidence_thing", ["thing", "kind", "seq"], unique=False)

    op.create_table(
        "experiments_blocks",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("run", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Integer(), nullable=False),
        sa.Column("points", sa.Integer(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_experiments_blocks")),
    )
    with op.batch_alter_table("experiments_blocks", schema=None) as batch_op:
        batch_op.create_index("ix_experiments_blocks_run", ["run", "name", "id", "points"], unique=False)

    op.create_table(
        "experiments_experiments",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column(
            "name", sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql"), nullable=False
        ),
        sa.Column(
            "title", sa.String(length=500).with_variant(sa.String(length=500, collation="C"), "postgresql"), nullable=False
        ),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("artifact_location", sa.Text(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.String(length=200), nullable=False),
        sa.Column("updated", sa.BigInteger(), nullable=False),
        sa.Column("deleted", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_experiments_experiments")),
        sa.UniqueConstraint("name", name=op.f("uq_experiments_experiments_name")),
        sa.UniqueConstraint("title", name=op.f("uq_experiments_experiments_title")),
    )
    op.create_table(
        "experiments_logged_metrics",
        sa.Column("model", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column(
            "name", sa.String(length=250).with_variant(sa.String(length=250, collation="C"), "postgresql"), nullable=False
        ),
        sa.Column("time", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("step", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column(
            "run", sa.String(length=64).with_variant(sa.String(length=64, collation="C"), "postgresql"), nullable=False
        ),
        sa.Column("value", sa.Double(), nullable=True),
        sa.Column(
            "dataset",
            sa.String(length=500).with_variant(sa.String(length=500, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "dataset_digest",
            sa.String(length=64).with_variant(sa.String(length=64, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("model", "name", "time", "step", "run", name=op.f("pk_experiments_logged_metrics")),
    )
    with op.batch_alter_table("experiments_logged_metrics", schema=None) as batch_op:
        batch_op.create_index("ix_experiments_logged_metrics_name", ["name", "value", "model"], unique=False)

    op.create_table(
        "experiments_logged_params",
        sa.Column("model", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column(
            "name", sa.String(length=250).with_variant(sa.String(length=250, collation="C"), "postgresql"), nullable=False
        ),
        sa.Column("value", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=False),
        sa.PrimaryKeyConstraint("model", "name", name=op.f("pk_experiments_logged_params")),
    )
    op.create_table(
        "experiments_logged_tags",
        sa.Column("model", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column(
            "name", sa.String(length=250).with_variant(sa.String(length=250, collation="C"), "postgresql"), nullable=False
        ),
        sa.Column("value", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=False),
        sa.PrimaryKeyConstraint("model", "name", name=op.f("pk_experiments_logged_tags")),
    )
    op.create_table(
        "experiments_metrics",
        sa.Column("run", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("name", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("value", sa.Double(), nullable=True),
        sa.Column("step", sa.BigInteger(), nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("low", sa.Double(), nullable=True),
        sa.Column("high", sa.Double(), nullable=True),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("run", "name", name=op.f("pk_experiments_metrics")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("experiments_metrics", schema=None) as batch_op:
        batch_op.create_index("ix_experiments_metrics_name", ["name", "value", "run"], unique=False)

    op.create_table(
        "experiments_models_used",
        sa.Column("run", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("role", sa.String(length=8), nullable=False),
        sa.Column("model", sa.String(length=64), nullable=False),
        sa.Column("step", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("run", "role", "model", "step", name=op.f("pk_experiments_models_used")),
    )
    with op.batch_alter_table("experiments_models_used", schema=None) as batch_op:
        batch_op.create_index("ix_experiments_models_used_model", ["model", "role", "run"], unique=False)

    op.create_table(
        "experiments_names",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column(
            "name", sa.String(length=250).with_variant(sa.String(length=250, collation="C"), "postgresql"), nullable=False
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_experiments_names")),
        sa.UniqueConstraint("name", name=op.f("uq_experiments_names_name")),
    )
    op.create_table(
        "experiments_params",
        sa.Column("run", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("name", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column(
            "head", sa.String(length=100).with_variant(sa.String(length=100, collation="C"), "postgresql"), nullable=False
        ),
        sa.Column("tail", sa.Text(), nullable=True),
        sa.Column("json", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("run", "name", name=op.f("pk_experiments_params")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("experiments_params", schema=None) as batch_op:
        batch_op.create_index("ix_experiments_params_name", ["name", "head", "run"], unique=False)

    op.create_table(
        "experiments_tags",
        sa.Column("run", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("name", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column(
            "head", sa.String(length=100).with_variant(sa.String(length=100, collation="C"), "postgresql"), nullable=False
        ),
        sa.Column("tail", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("run", "name", name=op.f("pk_experiments_tags")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("experiments_tags", schema=None) as batch_op:
        batch_op.create_index("ix_experiments_tags_name", ["name", "head", "run"], unique=False)

    op.create_table(
        "experiments_tails",
        sa.Column("run", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("run", "seq", name=op.f("pk_experiments_tails")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "experiments_uploads",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("ref", sa.String(length=300), nullable=False),
        sa.Column(
            "name", sa.String(length=600).with_variant(sa.String(length=600, collation="C"), "postgresql"), nullable=False
        ),
        sa.Column("parts", sa.Integer(), nullable=False),
        sa.Column("heard", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_experiments_uploads")),
    )
    op.create_table(
        "experiments_views",
        sa.Column("experiment", sa.String(length=200), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("page", sa.String(length=12), nullable=False),
        sa.Column("query", sa.Text(), nullable=False),
        sa.Column("created_at", sa.String(length=27), nullable=False),
        sa.Column("created_by", sa.String(length=200), nullable=False),
        sa.PrimaryKeyConstraint("experiment", "name", name=op.f("pk_experiments_views")),
    )
    op.create_table(
        "features_folds",
        sa.Column("dataset", sa.String(length=200), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("onto", sa.Integer(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("dataset", "version", name=op.f("pk_features_folds")),
    )
    op.create_table(
        "features_joins",
        sa.Column("view", sa.String(length=220), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.Column("at", sa.String(length=27), nullable=False),
        sa.PrimaryKeyConstraint("view", name=op.f("pk_features_joins")),
    )
    op.create_table(
        "features_pushes",
        sa.Column("dataset", sa.String(length=200), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.String(length=200), nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=True),
        sa.Column("pushed_at", sa.String(length=27), nullable=False),
        sa.PrimaryKeyConstraint("dataset", "number", name=op.f("pk_features_pushes")),
        sa.UniqueConstraint("dataset", "id", name=op.f("uq_features_pushes_dataset_id")),
    )
    op.create_table(
        "governance_statements",
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("about", sa.String(length=300), nullable=False),
        sa.Column("field", sa.String(length=60), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("author", sa.String(length=200), nullable=False),
        sa.Column("at", sa.String(length=27), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_governance_statements")),
    )
    with op.batch_alter_table("governance_statements", schema=None) as batch_op:
        batch_op.create_index("ix_governance_statements_about", ["about", "field", "seq"], unique=False)

    op.create_table(
        "leases",
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("holder", sa.String(length=200), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.String(length=27), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_leases")),
    )
    op.create_table(
        "ledger_checkpoints",
        sa.Column("size", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("root", sa.LargeBinary(length=32), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("at", sa.String(length=27), nullable=False),
        sa.PrimaryKeyConstraint("size", name=op.f("pk_ledger_checkpoints")),
    )
    op.create_table(
        "ledger_details",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_ledger_details")),
    )
    op.create_table(
        "ledger_events",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("ts", sa.String(length=27), nullable=False),
        sa.Column(
            "action", sa.String(length=100).with_variant(sa.String(length=100, collation="C"), "postgresql"), nullable=False
        ),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("leaf", sa.LargeBinary(length=32), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_ledger_events")),
    )
    with op.batch_alter_table("ledger_events", schema=None) as batch_op:
        batch_op.create_index("ix_ledger_events_action", ["action", "seq"], unique=False)
        batch_op.create_index("ix_ledger_events_actor", ["actor", "seq"], unique=False)

    op.create_table(
        "ledger_head",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("log_id", sa.String(length=64), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("frontier", sa.LargeBinary(), nullable=False),
        sa.Column("last_ts", sa.String(length=27), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_head")),
    )
    op.create_table(
        "ledger_nodes",
        sa.Column("level", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.PrimaryKeyConstraint("level", "position", name=op.f("pk_ledger_nodes")),
    )
    op.create_table(
        "ledger_refs",
        sa.Column(
            "ref", sa.String(length=300).with_variant(sa.String(length=300, collation="C"), "postgresql"), nullable=False
        ),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("role", sa.String(length=8), nullable=False),
        sa.PrimaryKeyConstraint("ref", "seq", "role", name=op.f("pk_ledger_refs")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "models_origins",
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("run", sa.String(length=200), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("logged_as", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("name", "version", name=op.f("pk_models_origins")),
    )
    with op.batch_alter_table("models_origins", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_models_origins_logged_as"), ["logged_as"], unique=False)
        batch_op.create_index(batch_op.f("ix_models_origins_run"), ["run"], unique=False)

    op.create_table(
        "models_profiles",
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("owner", sa.String(length=200), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_models_profiles")),
    )
    op.create_table(
        "models_seals",
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("bundle", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", "version", name=op.f("pk_models_seals")),
    )
    op.create_table(
        "models_stages",
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("stage", sa.String(length=12), nullable=False),
        sa.Column("since", sa.String(length=27), nullable=False),
        sa.PrimaryKeyConstraint("name", "version", name=op.f("pk_models_stages")),
    )
    with op.batch_alter_table("models_stages", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_models_stages_stage"), ["stage"], unique=False)

    op.create_table(
        "models_titles",
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("title", sa.String(length=256), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_models_titles")),
        sa.UniqueConstraint("title", name=op.f("uq_models_titles_title")),
    )
    op.create_table(
        "monitoring_alerts",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("deployment", sa.String(length=200), nullable=False),
        sa.Column("monitor", sa.String(length=200), nullable=False),
        sa.Column("cause", sa.String(length=12), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("opened_at", sa.String(length=27), nullable=False),
        sa.Column("record", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_monitoring_alerts")),
    )
    with op.batch_alter_table("monitoring_alerts", schema=None) as batch_op:
        batch_op.create_index("ix_monitoring_alerts_deployment", ["deployment", "number"], unique=False)
        batch_op.create_index("ix_monitoring_alerts_monitor", ["monitor", "cause", "number"], unique=False)

    op.create_table(
        "monitoring_incidents",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("deployment", sa.String(length=200), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("severity", sa.Integer(), nullable=False),
        sa.Column("opened_at", sa.String(length=27), nullable=False),
        sa.Column("record", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_monitoring_incidents")),
    )
    with op.batch_alter_table("monitoring_incidents", schema=None) as batch_op:
        batch_op.create_index("ix_monitoring_incidents_deployment", ["deployment", "number"], unique=False)

    op.create_table(
        "monitoring_labels",
        sa.Column("deployment", sa.String(length=200), nullable=False),
        sa.Column("id", sa.String(length=200), nullable=False),
        sa.Column("label", sa.Float(), nullable=True),
        sa.Column("at", sa.String(length=27), nullable=False),
        sa.Column("received_at", sa.String(length=27), nullable=False),
        sa.PrimaryKeyConstraint("deployment", "id", name=op.f("pk_monitoring_labels")),
    )
    with op.batch_alter_table("monitoring_labels", schema=None) as batch_op:
        batch_op.create_index("ix_monitoring_labels_at", ["deployment", "at"], unique=False)

    op.create_table(
        "monitoring_progress",
        sa.Column("monitor", sa.String(length=300), nullable=False),
        sa.Column("aspect", sa.String(length=12), nullable=False),
        sa.Column("record", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("monitor", "aspect", name=op.f("pk_monitoring_progress")),
    )
    op.create_table(
        "monitoring_standing",
        sa.Column("monitor", sa.String(length=200), nullable=False),
        sa.Column("stopped", sa.Boolean(), nullable=False),
        sa.Column("silenced_until", sa.String(length=27), nullable=True),
        sa.PrimaryKeyConstraint("monitor", name=op.f("pk_monitoring_standing")),
    )
    op.create_table(
        "monitoring_windows",
        sa.Column("monitor", sa.String(length=300), nullable=False),
        sa.Column("aspect", sa.String(length=12), nullable=False),
        sa.Column("start", sa.String(length=27), nullable=False),
        sa.Column("end", sa.String(length=27), nullable=False),
        sa.Column("recorded_at", sa.String(length=27), nullable=False),
        sa.Column("record", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("monitor", "aspect", "start", name=op.f("pk_monitoring_windows")),
    )
    op.create_table(
        "openlineage_mentions",
        sa.Column("ref", sa.String(length=300), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("ref", "digest", name=op.f("pk_openlineage_mentions")),
    )
    op.create_table(
        "openlineage_parties",
        sa.Column("ref", sa.String(length=300), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("seen_at", sa.String(length=27), nullable=False),
        sa.PrimaryKeyConstraint("ref", name=op.f("pk_openlineage_parties")),
    )
    with op.batch_alter_table("openlineage_parties", schema=None) as batch_op:
        batch_op.create_index("ix_openlineage_parties_seen", ["kind", "seen_at", "ref"], unique=False)

    op.create_table(
        "openlineage_received",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("at", sa.String(length=27), nullable=False),
        sa.Column("event_time", sa.String(length=60), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_openlineage_received")),
    )
    op.create_table(
        "openlineage_targets",
        sa.Column("url", sa.String(length=500), nullable=False),
        sa.Column("seen", sa.BigInteger(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.String(length=27), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("url", name=op.f("pk_openlineage_targets")),
    )
    op.create_table(
        "pipelines_executions",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("pipeline", sa.String(length=200), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("params", sa.Text(), nullable=False),
        sa.Column("run", sa.String(length=26), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("cause", sa.BigInteger(), nullable=True),
        sa.Column("source", sa.String(length=300), nullable=False),
        sa.Column("inputs", sa.Text(), nullable=False),
        sa.Column("outputs", sa.Text(), nullable=False),
        sa.Column("result", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("created_at", sa.String(length=27), nullable=False),
        sa.Column("created_by", sa.String(length=200), nullable=False),
        sa.Column("ended_at", sa.String(length=27), nullable=True),
        sa.Column("touched_at", sa.String(length=27), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pipelines_executions")),
        sa.UniqueConstraint("pipeline", "cause", name=op.f("uq_pipelines_executions_pipeline_cause")),
    )
    with op.batch_alter_table("pipelines_executions", schema=None) as batch_op:
        batch_op.create_index("ix_pipelines_executions_pipeline", ["pipeline", "created_at"], unique=False)
        batch_op.create_index("ix_pipelines_executions_state", ["state"], unique=False)

    op.create_table(
        "pipelines_firings",
        sa.Column("trigger", sa.String(length=200), nullable=False),
        sa.Column("cause", sa.String(length=60), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("pipeline", sa.String(length=200), nullable=False),
        sa.Column("fired_at", sa.String(length=27), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("trigger", "cause", name=op.f("pk_pipelines_firings")),
    )
    op.create_table(
        "pipelines_triggers",
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("pipeline", sa.String(length=200), nullable=False),
        sa.Column("trigger", sa.Text(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("seen", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.String(length=27), nullable=False),
        sa.Column("created_by", sa.String(length=200), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_pipelines_triggers")),
    )
    op.create_table(
        "policy_attempts",
        sa.Column("who", sa.String(length=200), nullable=False),
        sa.Column("ip", sa.String(length=64), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("last_at", sa.String(length=27), nullable=False),
        sa.Column("locked_until", sa.String(length=27), nullable=True),
        sa.PrimaryKeyConstraint("who", "ip", name=op.f("pk_policy_attempts")),
    )
    op.create_table(
        "policy_credentials",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("owner", sa.String(length=200), nullable=False),
        sa.Column("label", sa.String(length=200), nullable=False),
        sa.Column("secret", sa.String(length=64), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("created_at", sa.String(length=27), nullable=False),
        sa.Column("created_by", sa.String(length=200), nullable=False),
        sa.Column("expires_at", sa.String(length=27), nullable=True),
        sa.Column("last_used_at", sa.String(length=27), nullable=True),
        sa.Column("revoked_at", sa.String(length=27), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_policy_credentials")),
    )
    with op.batch_alter_table("policy_credentials", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_policy_credentials_owner"), ["owner"], unique=False)

    op.create_table(
        "policy_epoch",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_policy_epoch")),
    )
    op.create_table(
        "policy_grants",
        sa.Column("principal", sa.String(length=200), nullable=False),
        sa.Column("role", sa.String(length=60), nullable=False),
        sa.Column("scope", sa.String(length=300), nullable=False),
        sa.Column("deny", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.String(length=27), nullable=False),
        sa.Column("created_by", sa.String(length=200), nullable=False),
        sa.PrimaryKeyConstraint("principal", "role", "scope", "deny", name=op.f("pk_policy_grants")),
    )
    op.create_table(
        "policy_principals",
        sa.Column("id", sa.String(length=200), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("display", sa.String(length=200), nullable=False),
        sa.Column("owner", sa.String(length=200), nullable=True),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("password", sa.String(length=200), nullable=True),
        sa.Column("created_at", sa.String(length=27), nullable=False),
        sa.Column("created_by", sa.String(length=200), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_policy_principals")),
    )
    with op.batch_alter_table("policy_principals", schema=None) as batch_op:
        batch_op.create_index("ix_policy_principals_owner", ["owner"], unique=False)

    op.create_table(
        "policy_roles",
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column("verbs", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_policy_roles")),
    )
    op.create_table(
        "privacy_decisions",
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("dataset", sa.String(length=200), nullable=False),
        sa.Column("column_name", sa.Text(), nullable=False),
        sa.Column("tag", sa.String(length=60), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("mask", sa.String(length=60), nullable=False),
        sa.Column("author", sa.String(length=200), nullable=False),
        sa.Column("at", sa.String(length=27), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_privacy_decisions")),
    )
    with op.batch_alter_table("privacy_decisions", schema=None) as batch_op:
        batch_op.create_index("ix_privacy_decisions_dataset", ["dataset", "seq"], unique=False)

    op.create_table(
        "privacy_permits",
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("dataset", sa.String(length=200), nullable=False),
        sa.Column("column_name", sa.Text(), nullable=False),
        sa.Column("purposes", sa.Text(), nullable=False),
        sa.Column("basis", sa.String(length=60), nullable=False),
        sa.Column("consent", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("author", sa.String(length=200), nullable=False),
        sa.Column("at", sa.String(length=27), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_privacy_permits")),
    )
    with op.batch_alter_table("privacy_permits", schema=None) as batch_op:
        batch_op.create_index("ix_privacy_permits_dataset", ["dataset", "seq"], unique=False)

    op.create_table(
        "privacy_protected",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("dataset", sa.String(length=200), nullable=False),
        sa.Column("family", sa.String(length=20), nullable=False),
        sa.PrimaryKeyConstraint("digest", "dataset", "family", name=op.f("pk_privacy_protected")),
    )
    with op.batch_alter_table("privacy_protected", schema=None) as batch_op:
        batch_op.create_index("ix_privacy_protected_dataset", ["dataset"], unique=False)

    op.create_table(
        "retention_classes",
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("keep", sa.String(length=20), nullable=False),
        sa.Column("covers", sa.Text(), nullable=False),
        sa.Column("about", sa.Text(), nullable=False),
        sa.Column("newest", sa.Boolean(), nullable=False),
        sa.Column("author", sa.String(length=200), nullable=False),
        sa.Column("at", sa.String(length=27), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_retention_classes")),
    )
    op.create_table(
        "retention_deletions",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("class_name", sa.String(length=200), nullable=False),
        sa.Column("covers", sa.String(length=20), nullable=False),
        sa.Column("ref", sa.String(length=300), nullable=False),
        sa.Column("part", sa.String(length=60), nullable=False),
        sa.Column("unit", sa.String(length=20), nullable=False),
        sa.Column("marked", sa.Text(), nullable=False),
        sa.Column("begun_at", sa.String(length=27), nullable=False),
        sa.Column("begun_seq", sa.BigInteger(), nullable=False),
        sa.Column("finished_at", sa.String(length=27), nullable=True),
        sa.Column("proof_seq", sa.BigInteger(), nullable=True),
        sa.Column("finished", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_retention_deletions")),
    )
    with op.batch_alter_table("retention_deletions", schema=None) as batch_op:
        batch_op.create_index("ix_retention_deletions_finished_at", ["finished_at"], unique=False)
        batch_op.create_index("ix_retention_deletions_ref", ["ref"], unique=False)

    op.create_table(
        "retention_holds",
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("on_sort", sa.String(length=20), nullable=False),
        sa.Column("path", sa.String(length=200), nullable=False),
        sa.Column("version", sa.Integer(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("placed_by", sa.String(length=200), nullable=False),
        sa.Column("placed_at", sa.String(length=27), nullable=False),
        sa.Column("lifted_by", sa.String(length=200), nullable=True),
        sa.Column("lifted_at", sa.String(length=27), nullable=True),
        sa.Column("lifted_because", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_retention_holds")),
    )
    op.create_table(
        "scorers_scorers",
        sa.Column("key", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("experiment", sa.Integer(), nullable=False),
        sa.Column(
            "name", sa.String(length=250).with_variant(sa.String(length=250, collation="C"), "postgresql"), nullable=False
        ),
        sa.Column("versions", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_scorers_scorers")),
        sa.UniqueConstraint("experiment", "name", name=op.f("uq_scorers_scorers_experiment_name")),
        sa.UniqueConstraint("id", name=op.f("uq_scorers_scorers_id")),
    )
    op.create_table(
        "scorers_versions",
        sa.Column("scorer", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("serialized", sa.Text(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.String(length=200), nullable=False),
        sa.PrimaryKeyConstraint("scorer", "version", name=op.f("pk_scorers_versions")),
    )
    op.create_table(
        "traces_assessments",
        sa.Column("trace", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column(
            "id", sa.String(length=64).with_variant(sa.String(length=64, collation="C"), "postgresql"), nullable=False
        ),
        sa.Column(
            "span", sa.String(length=64).with_variant(sa.String(length=64, collation="C"), "postgresql"), nullable=True
        ),
        sa.Column(
            "name", sa.String(length=250).with_variant(sa.String(length=250, collation="C"), "postgresql"), nullable=False
        ),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("text", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=True),
        sa.Column("number", sa.Double(), nullable=True),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("rationale", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=False),
        sa.Column("source_type", sa.String(length=40), nullable=False),
        sa.Column(
            "source_id",
            sa.String(length=250).with_variant(sa.String(length=250, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("updated", sa.BigInteger(), nullable=False),
        sa.Column(
            "overrides", sa.String(length=64).with_variant(sa.String(length=64, collation="C"), "postgresql"), nullable=True
        ),
        sa.Column("valid", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("trace", "id", name=op.f("pk_traces_assessments")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "traces_marks",
        sa.Column("trace", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column(
            "key", sa.String(length=250).with_variant(sa.String(length=250, collation="C"), "postgresql"), nullable=False
        ),
        sa.Column("value", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=False),
        sa.PrimaryKeyConstraint("trace", "key", name=op.f("pk_traces_marks")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "traces_prompts",
        sa.Column("trace", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column(
            "name", sa.String(length=250).with_variant(sa.String(length=250, collation="C"), "postgresql"), nullable=False
        ),
        sa.Column(
            "version", sa.String(length=64).with_variant(sa.String(length=64, collation="C"), "postgresql"), nullable=False
        ),
        sa.PrimaryKeyConstraint("trace", "name", "version", name=op.f("pk_traces_prompts")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "traces_runs",
        sa.Column("trace", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column(
            "run", sa.String(length=64).with_variant(sa.String(length=64, collation="C"), "postgresql"), nullable=False
        ),
        sa.PrimaryKeyConstraint("trace", "run", name=op.f("pk_traces_runs")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "traces_spans",
        sa.Column("trace", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column(
            "id", sa.String(length=16).with_variant(sa.String(length=16, collation="C"), "postgresql"), nullable=False
        ),
        sa.Column(
            "parent", sa.String(length=16).with_variant(sa.String(length=16, collation="C"), "postgresql"), nullable=True
        ),
        sa.Column("name", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=False),
        sa.Column("type", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=False),
        sa.Column("status", sa.String(length=8), nullable=False),
        sa.Column("kind", sa.SmallInteger(), nullable=False),
        sa.Column("start", sa.BigInteger(), nullable=False),
        sa.Column("end", sa.BigInteger(), nullable=True),
        sa.Column("content", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=False),
        sa.Column("usage", sa.Text(), nullable=True),
        sa.Column("cost", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("trace", "id", name=op.f("pk_traces_spans")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "traces_tags",
        sa.Column("trace", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column(
            "key", sa.String(length=250).with_variant(sa.String(length=250, collation="C"), "postgresql"), nullable=False
        ),
        sa.Column("value", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=False),
        sa.PrimaryKeyConstraint("trace", "key", name=op.f("pk_traces_tags")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "traces_traces",
        sa.Column("key", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column(
            "id", sa.String(length=64).with_variant(sa.String(length=64, collation="C"), "postgresql"), nullable=False
        ),
        sa.Column("experiment", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("started", sa.BigInteger(), nullable=False),
        sa.Column("milliseconds", sa.BigInteger(), nullable=True),
        sa.Column("client_request_id", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=True),
        sa.Column("request", sa.Text(), nullable=True),
        sa.Column("response", sa.Text(), nullable=True),
        sa.Column("told", sa.Boolean(), nullable=False),
        sa.Column("spans", sa.Integer(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_traces_traces")),
        sa.UniqueConstraint("id", name=op.f("uq_traces_traces_id")),
    )
    with op.batch_alter_table("traces_traces", schema=None) as batch_op:
        batch_op.create_index("ix_traces_traces_experiment", ["experiment", "started", "key"], unique=False)

    op.create_table(
        "webhooks_webhooks",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("events", sa.Text(), nullable=False),
        sa.Column("format", sa.String(length=20), nullable=False),
        sa.Column("status", sa.String(length=10), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=True),
        sa.Column("seen", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.String(length=27), nullable=False),
        sa.Column("created_by", sa.String(length=200), nullable=False),
        sa.Column("updated_at", sa.String(length=27), nullable=False),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhooks_webhooks")),
    )
    op.create_table(
        "experiments_datasets",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("experiment", sa.Integer(), nullable=False),
        sa.Column(
            "name", sa.String(length=500).with_variant(sa.String(length=500, collation="C"), "postgresql"), nullable=False
        ),
        sa.Column(
            "digest", sa.String(length=64).with_variant(sa.String(length=64, collation="C"), "postgresql"), nullable=False
        ),
        sa.Column("source_type", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("schema", sa.Text(), nullable=False),
        sa.Column("profile", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["experiment"],
            ["experiments_experiments.id"],
            name=op.f("fk_experiments_datasets_experiment_experiments_experiments"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_experiments_datasets")),
        sa.UniqueConstraint("experiment", "name", "digest", name=op.f("uq_experiments_datasets_experiment_name_digest")),
    )
    with op.batch_alter_table("experiments_datasets", schema=None) as batch_op:
        batch_op.create_index("ix_experiments_datasets_digest", ["digest"], unique=False)
        batch_op.create_index("ix_experiments_datasets_name", ["name"], unique=False)

    op.create_table(
        "experiments_experiment_tags",
        sa.Column("experiment", sa.Integer(), nullable=False),
        sa.Column(
            "key", sa.String(length=250).with_variant(sa.String(length=250, collation="C"), "postgresql"), nullable=False
        ),
        sa.Column("value", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=False),
        sa.ForeignKeyConstraint(
            ["experiment"],
            ["experiments_experiments.id"],
            name=op.f("fk_experiments_experiment_tags_experiment_experiments_experiments"),
        ),
        sa.PrimaryKeyConstraint("experiment", "key", name=op.f("pk_experiments_experiment_tags")),
    )
    with op.batch_alter_table("experiments_experiment_tags", schema=None) as batch_op:
        batch_op.create_index("ix_experiments_experiment_tags_key", ["key"], unique=False)

    op.create_table(
        "experiments_files",
        sa.Column("experiment", sa.Integer(), nullable=False),
        sa.Column(
            "path", sa.String(length=600).with_variant(sa.String(length=600, collation="C"), "postgresql"), nullable=False
        ),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("media_type", sa.String(length=100), nullable=False),
        sa.ForeignKeyConstraint(
            ["experiment"],
            ["experiments_experiments.id"],
            name=op.f("fk_experiments_files_experiment_experiments_experiments"),
        ),
        sa.PrimaryKeyConstraint("experiment", "path", name=op.f("pk_experiments_files")),
    )
    op.create_table(
        "experiments_logged_models",
        sa.Column("key", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column(
            "id", sa.String(length=64).with_variant(sa.String(length=64, collation="C"), "postgresql"), nullable=False
        ),
        sa.Column("experiment", sa.Integer(), nullable=False),
        sa.Column(
            "name", sa.String(length=500).with_variant(sa.String(length=500, collation="C"), "postgresql"), nullable=False
        ),
        sa.Column(
            "model_type",
            sa.String(length=500).with_variant(sa.String(length=500, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("status", sa.String(length=12), nullable=False),
        sa.Column("status_message", sa.Text(), nullable=False),
        sa.Column(
            "run", sa.String(length=64).with_variant(sa.String(length=64, collation="C"), "postgresql"), nullable=False
        ),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.String(length=200), nullable=False),
        sa.Column("updated", sa.BigInteger(), nullable=False),
        sa.Column("deleted", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["experiment"],
            ["experiments_experiments.id"],
            name=op.f("fk_experiments_logged_models_experiment_experiments_experiments"),
        ),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_experiments_logged_models")),
        sa.UniqueConstraint("id", name=op.f("uq_experiments_logged_models_id")),
    )
    with op.batch_alter_table("experiments_logged_models", schema=None) as batch_op:
        batch_op.create_index("ix_experiments_logged_models_experiment", ["experiment", "created", "id"], unique=False)
        batch_op.create_index("ix_experiments_logged_models_run", ["run"], unique=False)

    op.create_table(
        "experiments_runs",
        sa.Column("key", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column(
            "id", sa.String(length=64).with_variant(sa.String(length=64, collation="C"), "postgresql"), nullable=False
        ),
        sa.Column("experiment", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=False),
        sa.Column("status", sa.String(length=12), nullable=False),
        sa.Column("started", sa.BigInteger(), nullable=False),
        sa.Column("ended", sa.BigInteger(), nullable=True),
        sa.Column("deleted", sa.BigInteger(), nullable=True),
        sa.Column(
            "user_id",
            sa.String(length=250).with_variant(sa.String(length=250, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("created_by", sa.String(length=200), nullable=False),
        sa.Column("inputs", sa.Text(), nullable=False),
        sa.Column("outputs", sa.Text(), nullable=False),
        sa.Column("capture", sa.Text(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["experiment"],
            ["experiments_experiments.id"],
            name=op.f("fk_experiments_runs_experiment_experiments_experiments"),
        ),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_experiments_runs")),
        sa.UniqueConstraint("id", name=op.f("uq_experiments_runs_id")),
    )
    with op.batch_alter_table("experiments_runs", schema=None) as batch_op:
        batch_op.create_index(
            "ix_experiments_runs_experiment_started", ["experiment", "started", "id", "deleted"], unique=False
        )
        batch_op.create_index("ix_experiments_runs_started", ["started", "id"], unique=False)

    op.create_table(
        "experiments_upload_parts",
        sa.Column("upload", sa.String(length=26), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["upload"], ["experiments_uploads.id"], name=op.f("fk_experiments_upload_parts_upload_experiments_uploads")
        ),
        sa.PrimaryKeyConstraint("upload", "number", name=op.f("pk_experiments_upload_parts")),
    )
    op.create_table(
        "pipelines_steps",
        sa.Column("execution", sa.String(length=26), nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("step", sa.String(length=200), nullable=False),
        sa.Column("needs", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("cache_key", sa.String(length=64), nullable=False),
        sa.Column("components", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("outputs", sa.Text(), nullable=True),
        sa.Column("logged", sa.String(length=64), nullable=True),
        sa.Column("cached_from", sa.String(length=26), nullable=True),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("holder", sa.String(length=200), nullable=False),
        sa.Column("until", sa.String(length=27), nullable=True),
        sa.Column("started_at", sa.String(length=27), nullable=True),
        sa.Column("ended_at", sa.String(length=27), nullable=True),
        sa.Column("error", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["execution"], ["pipelines_executions.id"], name=op.f("fk_pipelines_steps_execution_pipelines_executions")
        ),
        sa.PrimaryKeyConstraint("execution", "key", name=op.f("pk_pipelines_steps")),
    )
    with op.batch_alter_table("pipelines_steps", schema=None) as batch_op:
        batch_op.create_index("ix_pipelines_steps_cache_key", ["cache_key"], unique=False)
        batch_op.create_index("ix_pipelines_steps_key", ["key", "state"], unique=False)

    op.create_table(
        "webhooks_deliveries",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("webhook", sa.String(length=26), nullable=False),
        sa.Column("event", sa.String(length=100), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=True),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.String(length=27), nullable=False),
        sa.Column("due_at", sa.String(length=27), nullable=True),
        sa.Column("finished_at", sa.String(length=27), nullable=True),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("error", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["webhook"], ["webhooks_webhooks.id"], name=op.f("fk_webhooks_deliveries_webhook_webhooks_webhooks")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhooks_deliveries")),
    )
    with op.batch_alter_table("webhooks_deliveries", schema=None) as batch_op:
        batch_op.create_index("ix_webhooks_deliveries_due", ["state", "due_at"], unique=False)
        batch_op.create_index("ix_webhooks_deliveries_finished", ["finished_at"], unique=False)
        batch_op.create_index("ix_webhooks_deliveries_webhook", ["webhook", "id"], unique=False)

    op.create_table(
        "experiments_artifacts",
        sa.Column("run", sa.BigInteger(), nullable=False),
        sa.Column(
            "name", sa.String(length=500).with_variant(sa.String(length=500, collation="C"), "postgresql"), nullable=False
        ),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("media_type", sa.String(length=100), nullable=False),
        sa.ForeignKeyConstraint(
            ["run"], ["experiments_runs.key"], name=op.f("fk_experiments_artifacts_run_experiments_runs")
        ),
        sa.PrimaryKeyConstraint("run", "name", name=op.f("pk_experiments_artifacts")),
    )
    op.create_table(
        "experiments_datasets_read",
        sa.Column("run", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("dataset", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column(
            "context", sa.String(length=500).with_variant(sa.String(length=500, collation="C"), "postgresql"), nullable=True
        ),
        sa.Column("tags", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["dataset"], ["experiments_datasets.id"], name=op.f("fk_experiments_datasets_read_dataset_experiments_datasets")
        ),
        sa.PrimaryKeyConstraint("run", "dataset", name=op.f("pk_experiments_datasets_read")),
    )
    with op.batch_alter_table("experiments_datasets_read", schema=None) as batch_op:
        batch_op.create_index("ix_experiments_datasets_read_context", ["context", "run"], unique=False)
        batch_op.create_index("ix_experiments_datasets_read_dataset", ["dataset", "run"], unique=False)

    op.create_table(
        "experiments_writers",
        sa.Column("run", sa.BigInteger(), nullable=False),
        sa.Column("writer", sa.String(length=26), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("began", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["run"], ["experiments_runs.key"], name=op.f("fk_experiments_writers_run_experiments_runs")
        ),
        sa.PrimaryKeyConstraint("run", "writer", name=op.f("pk_experiments_writers")),
    )
    op.create_table(
        "pipelines_attempts",
        sa.Column("execution", sa.String(length=26), nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("fence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("holder", sa.String(length=200), nullable=False),
        sa.Column("started_at", sa.String(length=27), nullable=False),
        sa.Column("ended_at", sa.String(length=27), nullable=True),
        sa.Column("outcome", sa.String(length=12), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["execution", "key"],
            ["pipelines_steps.execution", "pipelines_steps.key"],
            name=op.f("fk_pipelines_attempts_execution_pipelines_steps"),
        ),
        sa.PrimaryKeyConstraint("execution", "key", "fence", name=op.f("pk_pipelines_attempts")),
    )


def downgrade() -> None:
    """Back to the one before."""
    op.drop_table("pipelines_attempts")
    op.drop_table("experiments_writers")
    with op.batch_alter_table("experiments_datasets_read", schema=None) as batch_op:
        batch_op.drop_index("ix_experiments_datasets_read_dataset")
        batch_op.drop_index("ix_experiments_datasets_read_context")

    op.drop_table("experiments_datasets_read")
    op.drop_table("experiments_artifacts")
    with op.batch_alter_table("webhooks_deliveries", schema=None) as batch_op:
        batch_op.drop_index("ix_webhooks_deliveries_webhook")
        batch_op.drop_index("ix_webhooks_deliveries_finished")
        batch_op.drop_index("ix_webhooks_deliveries_due")

    op.drop_table("webhooks_deliveries")
    with op.batch_alter_table("pipelines_steps", schema=None) as batch_op:
        batch_op.drop_index("ix_pipelines_steps_key")
        batch_op.drop_index("ix_pipelines_steps_cache_key")

    op.drop_table("pipelines_steps")
    op.drop_table("experiments_upload_parts")
    with op.batch_alter_table("experiments_runs", schema=None) as batch_op:
        batch_op.drop_index("ix_experiments_runs_started")
        batch_op.drop_index("ix_experiments_runs_experiment_started")

    op.drop_table("experiments_runs")
    with op.batch_alter_table("experiments_logged_models", schema=None) as batch_op:
        batch_op.drop_index("ix_experiments_logged_models_run")
        batch_op.drop_index("ix_experiments_logged_models_experiment")

    op.drop_table("experiments_logged_models")
    op.drop_table("experiments_files")
    with op.batch_alter_table("experiments_experiment_tags", schema=None) as batch_op:
        batch_op.drop_index("ix_experiments_experiment_tags_key")

    op.drop_table("experiments_experiment_tags")
    with op.batch_alter_table("experiments_datasets", schema=None) as batch_op:
        batch_op.drop_index("ix_experiments_datasets_name")
        batch_op.drop_index("ix_experiments_datasets_digest")

    op.drop_table("experiments_datasets")
    op.drop_table("webhooks_webhooks")
    with op.batch_alter_table("traces_traces", schema=None) as batch_op:
        batch_op.drop_index("ix_traces_traces_experiment")

    op.drop_table("traces_traces")
    op.drop_table("traces_tags")
    op.drop_table("traces_spans")
    op.drop_table("traces_runs")
    op.drop_table("traces_prompts")
    op.drop_table("traces_marks")
    op.drop_table("traces_assessments")
    op.drop_table("scorers_versions")
    op.drop_table("scorers_scorers")
    op.drop_table("retention_holds")
    with op.batch_alter_table("retention_deletions", schema=None) as batch_op:
        batch_op.drop_index("ix_retention_deletions_ref")
        batch_op.drop_index("ix_retention_deletions_finished_at")

    op.drop_table("retention_deletions")
    op.drop_table("retention_classes")
    with op.batch_alter_table("privacy_protected", schema=None) as batch_op:
        batch_op.drop_index("ix_privacy_protected_dataset")

    op.drop_table("privacy_protected")
    with op.batch_alter_table("privacy_permits", schema=None) as batch_op:
        batch_op.drop_index("ix_privacy_permits_dataset")

    op.drop_table("privacy_permits")
    with op.batch_alter_table("privacy_decisions", schema=None) as batch_op:
        batch_op.drop_index("ix_privacy_decisions_dataset")

    op.drop_table("privacy_decisions")
    op.drop_table("policy_roles")
    with op.batch_alter_table("policy_principals", schema=None) as batch_op:
        batch_op.drop_index("ix_policy_principals_owner")

    op.drop_table("policy_principals")
    op.drop_table("policy_grants")
    op.drop_table("policy_epoch")
    with op.batch_alter_table("policy_credentials", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_policy_credentials_owner"))

    op.drop_table("policy_credentials")
    op.drop_table("policy_attempts")
    op.drop_table("pipelines_triggers")
    op.drop_table("pipelines_firings")
    with op.batch_alter_table("pipelines_executions", schema=None) as batch_op:
        batch_op.drop_index("ix_pipelines_executions_state")
        batch_op.drop_index("ix_pipelines_executions_pipeline")

    op.drop_table("pipelines_executions")
    op.drop_table("openlineage_targets")
    op.drop_table("openlineage_received")
    with op.batch_alter_table("openlineage_parties", schema=None) as batch_op:
        batch_op.drop_index("ix_openlineage_parties_seen")

    op.drop_table("openlineage_parties")
    op.drop_table("openlineage_mentions")
    op.drop_table("monitoring_windows")
    op.drop_table("monitoring_standing")
    op.drop_table("monitoring_progress")
    with op.batch_alter_table("monitoring_labels", schema=None) as batch_op:
        batch_op.drop_index("ix_monitoring_labels_at")

    op.drop_table("monitoring_labels")
    with op.batch_alter_table("monitoring_incidents", schema=None) as batch_op:
        batch_op.drop_index("ix_monitoring_incidents_deployment")

    op.drop_table("monitoring_incidents")
    with op.batch_alter_table("monitoring_alerts", schema=None) as batch_op:
        batch_op.drop_index("ix_monitoring_alerts_monitor")
        batch_op.drop_index("ix_monitoring_alerts_deployment")

    op.drop_table("monitoring_alerts")
    op.drop_table("models_titles")
    with op.batch_alter_table("models_stages", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_models_stages_stage"))

    op.drop_table("models_stages")
    op.drop_table("models_seals")
    op.drop_table("models_profiles")
    with op.batch_alter_table("models_origins", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_models_origins_run"))
        batch_op.drop_index(batch_op.f("ix_models_origins_logged_as"))

    op.drop_table("models_origins")
    op.drop_table("ledger_refs")
    op.drop_table("ledger_nodes")
    op.drop_table("ledger_head")
    with op.batch_alter_table("ledger_events", schema=None) as batch_op:
        batch_op.drop_index("ix_ledger_events_actor")
        batch_op.drop_index("ix_ledger_events_action")

    op.drop_table("ledger_events")
    op.drop_table("ledger_details")
    op.drop_table("ledger_checkpoints")
    op.drop_table("leases")
    with op.batch_alter_table("governance_statements", schema=None) as batch_op:
        batch_op.drop_index("ix_governance_statements_about")

    op.drop_table("governance_statements")
    op.drop_table("features_pushes")
    op.drop_table("features_joins")
    op.drop_table("features_folds")
    op.drop_table("experiments_views")
    op.drop_table("experiments_uploads")
    op.drop_table("experiments_tails")
    with op.batch_alter_table("experiments_tags", schema=None) as batch_op:
        batch_op.drop_index("ix_experiments_tags_name")

    op.drop_table("experiments_tags")
    with op.batch_alter_table("experiments_params", schema=None) as batch_op:
        batch_op.drop_index("ix_experiments_params_name")

    op.drop_table("experiments_params")
    op.drop_table("experiments_names")
    with op.batch_alter_table("experiments_models_used", schema=None) as batch_op:
        batch_op.drop_index("ix_experiments_models_used_model")

    op.drop_table("experiments_models_used")
    with op.batch_alter_table("experiments_metrics", schema=None) as batch_op:
        batch_op.drop_index("ix_experiments_metrics_name")

    op.drop_table("experiments_metrics")
    op.drop_table("experiments_logged_tags")
    op.drop_table("experiments_logged_params")
    with op.batch_alter_table("experiments_logged_metrics", schema=None) as batch_op:
        batch_op.drop_index("ix_experiments_logged_metrics_name")

    op.drop_table("experiments_logged_metrics")
    op.drop_table("experiments_experiments")
    with op.batch_alter_table("experiments_blocks", schema=None) as batch_op:
        batch_op.drop_index("ix_experiments_blocks_run")

    op.drop_table("experiments_blocks")
    with op.batch_alter_table("evidence", schema=None) as batch_op:
        batch_op.drop_index("ix_evidence_thing")
        batch_op.drop_index("ix_evidence_subject")
        batch_op.drop_index("ix_evidence_created_at")

    op.drop_table("evidence")
    op.drop_table("evalsets_tags")
    with op.batch_alter_table("evalsets_sets", schema=None) as batch_op:
        batch_op.drop_index("ix_evalsets_sets_title")

    op.drop_table("evalsets_sets")
    with op.batch_alter_table("evalsets_homes", schema=None) as batch_op:
        batch_op.drop_index("ix_evalsets_homes_experiment")

    op.drop_table("evalsets_homes")
    op.drop_table("evalsets_examples")
    with op.batch_alter_table("deployments_rollouts", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_deployments_rollouts_name"))

    op.drop_table("deployments_rollouts")
    op.drop_table("deployments_placements")
    with op.batch_alter_table("deployments_deployments", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_deployments_deployments_changed_at"))

    op.drop_table("deployments_deployments")
    with op.batch_alter_table("catalog_versions", schema=None) as batch_op:
        batch_op.drop_index("ix_catalog_versions_kind_created_at")
        batch_op.drop_index("ix_catalog_versions_digest")

    op.drop_table("catalog_versions")
    with op.batch_alter_table("catalog_things", schema=None) as batch_op:
        batch_op.drop_index("ix_catalog_things_kind_latest_at")

    op.drop_table("catalog_things")
    with op.batch_alter_table("catalog_tags", schema=None) as batch_op:
        batch_op.drop_index("ix_catalog_tags_key")

    op.drop_table("catalog_tags")
    with op.batch_alter_table("catalog_dependencies", schema=None) as batch_op:
        batch_op.drop_index("ix_catalog_dependencies_thing")
        batch_op.drop_index("ix_catalog_dependencies_needs")

    op.drop_table("catalog_dependencies")
    op.drop_table("catalog_aliases")
    with op.batch_alter_table("catalog_alias_moves", schema=None) as batch_op:
        batch_op.drop_index("ix_catalog_alias_moves_name")
        batch_op.drop_index("ix_catalog_alias_moves_alias")

    op.drop_table("catalog_alias_moves")
