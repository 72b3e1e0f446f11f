"""What was decided of columns, what they may be used for, and which objects are protected: on an open transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from modelwright.core.blobs import Blobs
from modelwright.core.hashing import digest_value
from modelwright.core.refs import Kind, Ref
from modelwright.core.wire import convert, decode
from modelwright.datasets.classes import DECLARED, FAMILIES, ColumnClass, Finding, Status, masks_for, passed_on
from modelwright.datasets.manifest import packs_of, read_manifest
from modelwright.datasets.privacy.records import ALL, FORGOTTEN, ROTATED, Permit
from modelwright.datasets.privacy.tables import decisions, permits, protected, to_decision, to_permit
from modelwright.datasets.records import DatasetRecord, DatasetVersion, LakeTable, Profile
from modelwright.store import Transaction, Version, catalog, evidence, scopes
from modelwright.store.driver import Prepared
from modelwright.store.queries import event_of, naming
from modelwright.store.tables import catalog_versions, ledger_events

_DECIDED = Prepared(
    sa.select(decisions).where(decisions.c.dataset == sa.bindparam("dataset")).order_by(decisions.c.seq), "dataset"
)
Decided = dict[tuple[str, str], ColumnClass]  # by column and class, the latest


def decided(tx: Transaction, names: Iterable[str]) -> dict[str, Decided]:
    """What holds by decision, of some datasets."""
    wanted = list(names)
    found: dict[str, Decided] = {name: {} for name in wanted}
    if len(wanted) == 1:
        rows: Sequence[Any] = _DECIDED.all(tx.connection, dataset=wanted[0])
    else:
        rows = tx.execute(sa.select(decisions).where(decisions.c.dataset.in_(wanted)).order_by(decisions.c.seq)).all()
    for row in rows:
        found[row.dataset][row.column_name, row.tag] = to_decision(row)
    return found


def shown(tx: Transaction, versions: Sequence[Version]) -> list[DatasetVersion]:
    """Versions as whoever asks sees them: with the classes of their columns, and what of them is masked for this caller."""
    held = decided(tx, {version.ref.name for version in versions})
    found = []
    for version in versions:
        known = DatasetVersion.of(version)
        classes = classes_of(known, held[version.ref.name])
        found.append(known.classed(classes, masks_for(classes, revealed(tx, version.ref.name) if classes else set())))
    return found


def classes_of(record: DatasetRecord, held: Decided) -> list[ColumnClass]:
    """Every class that the columns of a version were said to be of: declared, found, decided."""
    found: dict[tuple[str, str], ColumnClass] = {}
    for each in record.findings:
        found[each.column, each.tag] = ColumnClass(
            column=each.column, tag=each.tag, status=Status.UNCONFIRMED, finding=each
        )
    for column in record.columns:
        if column.personal:
            found.setdefault((column.name, DECLARED), ColumnClass(column=column.name, tag=DECLARED, status=Status.DECLARED))
    names = set(record.names)
    for key, decision in held.items():
        if key[0] in names:
            before = found.get(key)
            found[key] = msgspec.structs.replace(decision, finding=before.finding if before else None)
    order = {name: place for place, name in enumerate(record.names)}
    return sorted(found.values(), key=lambda each: (order[each.column], each.tag))


def inherited(tx: Transaction, record: DatasetRecord, whole: Ref, sources: Sequence[Ref]) -> list[Finding]:
    """What columns of a new version are about because those of the same name are, in datasets that it was made from.

    A column that the caller reads masked there is not what it was; one of the dataset itself is decided there.
    """
    may = scopes.may_read(tx, Kind.DATASET)
    chosen = [ref for ref in sources if ref.kind is Kind.DATASET and ref.whole != whole and may(ref.name)]
    names, known = set(record.names), {(each.column, each.tag) for each in record.findings}
    found: dict[tuple[str, str], Finding] = {}
    for version in shown(tx, [catalog.get(tx, ref) for ref in chosen]) if names else []:
        other = {mask.column for mask in version.masks}
        for each in passed_on(version.classes, str(version.ref)):
            key = each.column, each.tag
            if each.column in names - other and key not in known:
                found.setdefault(key, each)
    return list(found.values())


def revealed(tx: Transaction, name: str) -> set[str]:
    """The families of classes that the caller may read in clear, of one dataset."""
    return {family for family in FAMILIES if scopes.may(tx, f"reveal.{family}", Kind.DATASET, name)}


def decide(tx: Transaction, name: str, column: str, tag: str, status: Status, mask: str, reason: str) -> None:
    """Write a decision beside the event that the running operation will leave."""
    row = {"seq": tx.next_seq, "dataset": name, "column_name": column, "tag": tag, "status": status.value, "mask": mask}
    tx.execute(decisions.insert().values(**row, author=tx.principal.id, at=tx.stamp, reason=reason))


def permit(tx: Transaction, name: str, given: Permit) -> None:
    """Write what columns may be used for."""
    text = msgspec.json.encode(given.purposes).decode()
    row = {"seq": tx.next_seq, "dataset": name, "column_name": given.column, "purposes": text, "basis": given.basis}
    tx.execute(
        permits.insert().values(**row, consent=given.consent, subject=given.subject, author=tx.principal.id, at=tx.stamp)
    )


def permitted(tx: Transaction, name: str) -> dict[str, Permit]:
    """The permits that hold for a dataset, by column; `*` for those without one of their own."""
    rows = tx.execute(sa.select(permits).where(permits.c.dataset == name).order_by(permits.c.seq))
    return {row.column_name: to_permit(row) for row in rows}


def permit_for(held: dict[str, Permit], column: str) -> Permit | None:
    """The one that holds for a column."""
    return held.get(column) or held.get(ALL)


# Keys and vaults


class Told(NamedTuple):
    """What the record says of the files of a purpose: the keys that were made anew, and what was forgotten, by its id."""

    keys: set[int]
    forgotten: set[str]


def told_of(tx: Transaction, purpose: Ref) -> Told:
    """What events say of a purpose's keys and vault."""
    named = ledger_events.c.seq.in_(naming(purpose, role="subject"))
    chosen = sa.select(ledger_events.c.body).where(named, ledger_events.c.action.in_((ROTATED, FORGOTTEN)))
    said = [event_of(body).after for body in tx.execute(chosen).scalars()]
    return Told({each["key"] for each in said if "key" in each}, {each["id"] for each in said if "id" in each})


# Objects


def protect(tx: Transaction, blobs: Blobs, name: str) -> None:
    """Bring the list of protected objects in line with the classes of a dataset's versions."""
    c = catalog_versions.c
    rows = tx.execute(sa.select(c.version).where(c.kind == Kind.DATASET.value, c.name == name))
    held, wanted = decided(tx, [name])[name], set()
    for number in rows.scalars():
        wanted |= _objects_of(tx, blobs, catalog.get(tx, Ref(Kind.DATASET, name, number)), held)
    tx.execute(protected.delete().where(protected.c.dataset == name))
    _enter(tx, name, wanted)


def protect_version(tx: Transaction, blobs: Blobs, version: Version) -> None:
    """Enter the objects of a new version."""
    name = version.ref.name
    known = convert(version.record, DatasetRecord)
    if known.findings or any(column.personal for column in known.columns) or decided(tx, [name])[name]:
        _enter(tx, name, _objects_of(tx, blobs, version, decided(tx, [name])[name]))


def _objects_of(tx: Transaction, blobs: Blobs, version: Version, held: Decided) -> set[tuple[str, str]]:
    record = convert(version.record, DatasetRecord)
    families = {each.family for each in classes_of(record, held) if each.masked}
    if not families:
        return set()
    digests = {part.digest for part in record.parts} | {*profile_objects(blobs, record)}
    if record.manifest is not None:
        digests |= set(packs_of(blobs, read_manifest(blobs, record.manifest)))
    if record.lake is not None:
        digests |= {record.lake.listing, place_digest(record.lake)}
    digests |= {each.report for each in evidence.about(tx, version.ref) if each.report}
    return {(digest, family) for digest in digests for family in families}


def profile_objects(blobs: Blobs, record: DatasetRecord) -> list[str]:
    """The profile of a version, and the sketches that it was put together from."""
    if record.profile is None:
        return []
    return [record.profile, *(segment.sketch for segment in decode(blobs.read(record.profile), Profile).segments)]


def place_digest(lake: LakeTable) -> str:
    """What stands among the protected objects for a table that lies in place: its rows are no object of ours."""
    return digest_value(["lake", lake.form, lake.address])


def held_to(tx: Transaction, name: str, record: DatasetRecord) -> DatasetRecord:
    """The record of a version, with all that was declared or found of its columns in any version of the dataset.

    For whoever adds what is there already, and would read it masked: what they leave out of the record holds all the same.
    """
    names, findings, declared = set(record.names), {(each.column, each.tag): each for each in record.findings}, set[str]()
    c = catalog_versions.c
    rows = tx.execute(sa.select(c.version).where(c.kind == Kind.DATASET.value, c.name == name).order_by(c.version.desc()))
    for number in rows.scalars().all():
        before = convert(catalog.get(tx, Ref(Kind.DATASET, name, number)).record, DatasetRecord)
        declared |= {column.name for column in before.columns if column.personal}
        for each in before.findings:
            if each.column in names:
                findings.setdefault((each.column, each.tag), each)
    columns = [msgspec.structs.replace(each, personal=each.personal or each.name in declared) for each in record.columns]
    return msgspec.structs.replace(record, columns=columns, findings=list(findings.values()))


def _enter(tx: Transaction, name: str, wanted: set[tuple[str, str]]) -> None:
    for digest, family in sorted(wanted):
        tx.execute(tx.insert(protected).values(digest=digest, dataset=name, family=family).on_conflict_do_nothing())


def withheld(tx: Transaction, digests: Sequence[str], *, unless: str = "") -> list[str]:
    """The datasets for whose sake some objects are not for the caller; what is of dataset `unless` is its own affair."""
    found: set[str] = set()
    for start in range(0, len(digests), 500):
        chosen = protected.c.digest.in_(digests[start : start + 500])
        rows = tx.execute(sa.select(protected).where(chosen)).all()
        own = {row.digest for row in rows if row.dataset == unless}
        found |= {
            row.dataset
            for row in rows
            if row.digest not in own and not scopes.may(tx, f"reveal.{row.family}", Kind.DATASET, row.dataset)
        }
    return sorted(found)
