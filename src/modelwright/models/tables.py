"""Where versions stand today, and what belongs to a model as a whole. How they came there is in the ledger."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from modelwright.core.refs import Kind, Ref
from modelwright.models.records import ModelRecord, Profile, Stage
from modelwright.serving.records import Seal
from modelwright.store import Transaction
from modelwright.store.tables import metadata

models_stages = sa.Table(
    "models_stages",
    metadata,
    sa.Column("name", sa.String(200), primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("stage", sa.String(12), nullable=False, index=True),
    sa.Column("since", sa.String(27), nullable=False),
)

models_profiles = sa.Table(
    "models_profiles",
    metadata,
    sa.Column("name", sa.String(200), primary_key=True),
    sa.Column("owner", sa.String(200), nullable=False),
    sa.Column("purpose", sa.Text, nullable=False),
)

models_titles = sa.Table(  # only of models whose title is not simply the name of their ref
    "models_titles",
    metadata,
    sa.Column("name", sa.String(200), primary_key=True),
    sa.Column("title", sa.String(256), nullable=False, unique=True),
)

models_origins = sa.Table(  # what versions are searched by; the record of the version says the same
    "models_origins",
    metadata,
    sa.Column("name", sa.String(200), primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("run", sa.String(200), nullable=False, index=True),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("logged_as", sa.String(64), nullable=False, index=True),
)

models_seals = sa.Table(  # the signature over a version's files, the newest one
    "models_seals",
    metadata,
    sa.Column("name", sa.String(200), primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("bundle", sa.Text, nullable=False),
    sa.Column("key", sa.Text, nullable=False),
)

_s, _p, _t, _o = models_stages.c, models_profiles.c, models_titles.c, models_origins.c


def stages_of(tx: Transaction, refs: Sequence[Ref]) -> dict[Ref, Stage]:
    """The stage of each pinned ref; a version that was never moved is a candidate."""
    names = {ref.name for ref in refs}
    numbers = {ref.version for ref in refs}  # not only of that name each, but no model's whole history
    rows = tx.execute(sa.select(models_stages).where(_s.name.in_(names), _s.version.in_(numbers))).all()
    moved = {(row.name, row.version): Stage(row.stage) for row in rows}
    return {ref: moved.get((ref.name, ref.version), Stage.CANDIDATE) for ref in refs}


def set_stage(tx: Transaction, ref: Ref, stage: Stage | None) -> None:
    """Put a version on a stage, or with None forget that it had one."""
    tx.execute(models_stages.delete().where(_s.name == ref.name, _s.version == ref.version))
    if stage is not None:
        row = {"name": ref.name, "version": ref.version, "stage": stage, "since": tx.stamp}
        tx.execute(models_stages.insert().values(row))


def on_stage(tx: Transaction, name: str, stage: Stage) -> list[Ref]:
    """The versions of a model that were moved to a stage and are there now."""
    query = sa.select(_s.version).where(_s.name == name, _s.stage == stage).order_by(_s.version)
    return [Ref(Kind.MODEL, name, version) for version in tx.execute(query).scalars()]


def profiles_of(tx: Transaction, names: Sequence[str]) -> dict[str, Profile]:
    """The profile of each model; the default one where nothing was said yet."""
    rows = tx.execute(sa.select(models_profiles).where(_p.name.in_(set(names)))).all()
    said = {row.name: Profile(owner=row.owner, purpose=row.purpose) for row in rows}
    return {name: said.get(name, Profile()) for name in names}


def set_profile(tx: Transaction, name: str, profile: Profile) -> None:
    """Replace a model's profile."""
    tx.execute(models_profiles.delete().where(_p.name == name))
    row = {"name": name, "owner": profile.owner, "purpose": profile.purpose}
    tx.execute(models_profiles.insert().values(row))


def titles_of(tx: Transaction, names: Sequence[str]) -> dict[str, str]:
    """The title of each model: the name of its ref where no other was given."""
    rows = tx.execute(sa.select(models_titles).where(_t.name.in_(set(names)))).all()
    given = {row.name: row.title for row in rows}
    return {name: given.get(name, name) for name in names}


def titled(tx: Transaction, title: str) -> str | None:
    """The name of the model to which exactly this title was given, where that is not its name anyway."""
    return tx.execute(sa.select(_t.name).where(_t.title == title)).scalar()


def set_title(tx: Transaction, name: str, title: str | None) -> None:
    """Give a model a title, or with None take it away."""
    tx.execute(models_titles.delete().where(_t.name == name))
    if title is not None and title != name:
        tx.execute(models_titles.insert().values(name=name, title=title))


def set_origin(tx: Transaction, ref: Ref, record: ModelRecord | None) -> None:
    """Write down what a version is searched by, or with None forget it."""
    tx.execute(models_origins.delete().where(_o.name == ref.name, _o.version == ref.version))
    if record is not None:
        run = record.run.name if record.run else ""
        row = {"name": ref.name, "version": ref.version, "run": run, "source": record.source}
        tx.execute(models_origins.insert().values(logged_as=record.logged_as, **row))


def forget(tx: Transaction, name: str) -> None:
    """A model was deleted as a whole: nothing of it stays here."""
    for table in (models_stages, models_profiles, models_titles, models_origins, models_seals):
        tx.execute(table.delete().where(table.c.name == name))


def seals_of(tx: Transaction, refs: Sequence[Ref]) -> dict[Ref, Seal]:
    """The signature over each of the versions that has one."""
    c = models_seals.c
    rows = tx.execute(sa.select(models_seals).where(c.name.in_({ref.name for ref in refs}))).all()
    found = {(row.name, row.version): Seal(bundle=row.bundle, key=row.key) for row in rows}
    return {ref: found[ref.name, ref.version] for ref in refs if (ref.name, ref.version) in found}


def set_seal(tx: Transaction, ref: Ref, seal: Seal | None) -> None:
    """Put a signature over a version in place of the one before, or with None forget it."""
    c = models_seals.c
    tx.execute(models_seals.delete().where(c.name == ref.name, c.version == ref.version))
    if seal is not None:
        row = {"name": ref.name, "version": ref.version, "bundle": seal.bundle, "key": seal.key}
        tx.execute(models_seals.insert().values(row))
