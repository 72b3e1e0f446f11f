"""The registry's service: what is done to versions of models, on the record."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import pairwise
from typing import ClassVar

from msgspec.structs import replace

from modelwright.core.errors import Conflict, InUse, Invalid, Refused
from modelwright.core.hashing import digest_value
from modelwright.core.operations import Caller, Room, operation
from modelwright.core.paging import Filter, Page
from modelwright.core.refs import Kind, Ref
from modelwright.models import queries, titles
from modelwright.models.admission import attach_parity, attach_scan, check_stored
from modelwright.models.diff import diff
from modelwright.models.folders import pickles_named
from modelwright.models.records import (
    CHAMPION,
    GATED,
    ModelDiff,
    ModelRecord,
    ModelVersion,
    Parity,
    Profile,
    Stage,
    check_move,
    check_parity,
    is_gated,
    together,
    way,
)
from modelwright.models.registry import changed_tags, pairs
from modelwright.models.scan import Scan, joined, scan_file
from modelwright.models.signing import Signatures
from modelwright.models.tables import on_stage, profiles_of, set_origin, set_profile, set_seal, set_stage, stages_of
from modelwright.policy import require
from modelwright.serving import Format
from modelwright.serving.records import MLMODEL
from modelwright.store import AliasMove, State, Transaction, Version, catalog, things

_REMEMBERED = 10_000  # files whose scan is kept


def nobody(sources: Sequence[Ref]) -> set[str]:
    """Where nothing is known of data: none of it is about people."""
    return set()


class Versions(Room):
    """Versions of models on the record; `Models` adds how they go in and come out where the caller is."""

    room: ClassVar[str] = "models"
    kind: ClassVar[Kind] = Kind.MODEL

    def __init__(
        self, caller: Caller, *, signatures: Signatures, people: Callable[[Sequence[Ref]], set[str]] = nobody
    ) -> None:
        """`people` says which columns of some datasets, views, and what runs read, are about people."""
        super().__init__(caller)
        self._signatures = signatures
        self._people = people
        self._scans: dict[tuple[str, str, bool], Scan] = {}  # files do not change: each is looked into once

    @operation("register", event="models.version.registered")
    def register(
        self,
        tx: Transaction,
        name: str,
        *,
        record: ModelRecord,
        parity: Parity | None = None,
        description: str = "",
        tags: dict[str, str] | None = None,
        anew: bool = False,
        reason: str = "",
    ) -> ModelVersion:
        """Add a version made of files that are already stored; `log` is the way from an estimator to here.

        It needs its run and the exact dataset and feature versions it was made from, which cannot be deleted from now on.
        The same record as the latest version's is that version again, unless it is wanted `anew`. Whoever registers is
        among its authors. `Invalid` if a file is not stored; `Refused` for an ONNX model whose predictions were not
        compared, or are not the same.
        """
        ref = Ref(Kind.MODEL, name)
        if parity is not None:
            check_parity(ref, parity)
        elif record.format is Format.ONNX:
            raise Refused(f"{ref} is a converted model, and its predictions were not compared.", mend="Use models.log.")
        titles.claim(tx, name)
        check_stored(self.blobs, record)
        record = _completed(tx, record)
        digest = digest_value(record)
        newest = None if anew else catalog.latest(tx, ref)
        if newest is not None and newest.digest == digest and newest.state is State.ACTIVE:
            tx.unchanged()
            return self._version(tx, newest)
        version = catalog.add(
            tx,
            Kind.MODEL,
            name,
            digest=digest,
            record=record,
            description=description,
            tags=tags,
            needs=record.needs,
            anew=anew,
        )
        set_origin(tx, version.ref, record)
        tx.note(
            resource=version.ref,
            inputs=record.needs,
            outputs=[version.ref],
            after={"digest": digest, "format": record.format, "stage": Stage.CANDIDATE},
        )
        if parity is not None:
            attach_parity(tx, version, parity)
        attach_scan(tx, version, record, self._scanned(record))
        return self._version(tx, version)

    @operation("read")
    def show(self, tx: Transaction, ref: Ref) -> ModelVersion:
        """One version; without a selector the latest. Of a retired one it says the successor."""
        return self._version(tx, catalog.get(tx, ref))

    @operation("read", on="")
    def list(self, tx: Transaction, where: Filter = Filter()) -> Page[ModelVersion]:
        """The latest version of every model that the caller may read, the most recently changed first."""
        return self._page(tx, catalog.list_things(tx, Kind.MODEL, where))

    @operation("read")
    def versions(self, tx: Transaction, ref: Ref, where: Filter = Filter()) -> Page[ModelVersion]:
        """The versions of one model, newest first."""
        return self._page(tx, catalog.list_versions(tx, ref, where))

    @operation("read")
    def diff(self, tx: Transaction, ref: Ref, other: Ref) -> ModelDiff:
        """What changed from one version to another of the same model, and whether callers would notice."""
        if ref.whole != other.whole:
            raise Invalid(f"{ref} and {other} are not versions of the same model.")
        return diff(self._version(tx, catalog.get(tx, ref)), self._version(tx, catalog.get(tx, other)))

    @operation("read")
    def history(
        self, tx: Transaction, ref: Ref, *, alias: str | None = None, as_of: datetime | None = None
    ) -> Sequence[AliasMove]:
        """Every move of a model's aliases, newest first; with `as_of` up to then: the first is what held at that time."""
        return catalog.alias_history(tx, ref, alias, as_of=as_of)

    # On the record: standing

    @operation("deploy.{stage}", event="models.version.promoted")
    def promote(self, tx: Transaction, ref: Ref, stage: Stage, *, reason: str) -> ModelVersion:
        """Move a version to a stage; on the way up `Refused` names every unmet requirement of its policy.

        `Conflict` for a move that the stages do not have. Retiring is an operation of its own.
        """
        before = self._version(tx, catalog.get(tx, ref))
        if stage is before.stage:
            tx.unchanged()
            return before
        check_move(before.ref, before.stage, stage)
        if stage is Stage.RETIRED:
            raise Invalid(f"{before.ref} is retired with its successor, not promoted.", mend="Use models.retire.")
        if CHAMPION in before.aliases:
            raise InUse(f"{before.ref} is the champion.", mend="Make another version the champion first.")
        if is_gated(before.stage, stage):
            self._signatures.check(before, read=False)  # all who write wait meanwhile, and every load reads it anyway
            self._signatures.renew(tx, before)
            require(tx, before.ref, "promote", environment=stage.value)
        set_stage(tx, before.ref, stage)
        catalog.touch(tx, before.ref)
        tx.note(
            resource=before.ref,
            before={"stage": before.stage},
            after={"stage": stage},
            environment=stage.value,
        )
        return self.show(before.ref)

    @operation("deploy.{stage}", event="models.version.placed")
    def place(self, tx: Transaction, ref: Ref, stage: Stage, *, instead: bool = False, reason: str) -> ModelVersion:
        """Bring a version to a stage from wherever it is, by one promotion after the other, all of them or none.

        Each asks its own right and its own gate; `Refused` names what is not met at any of them. With `instead`, every
        other version on that stage is archived.
        """
        tx.unchanged()  # each promotion is an event
        version = self._version(tx, catalog.get(tx, ref))
        if instead and stage not in GATED:
            raise Invalid(f"Versions are set aside for one on {' or '.join(sorted(GATED))}, not on {stage}.")
        steps = way(version.stage, stage) or [stage]  # where no way leads there, promotion says why
        refusals: list[Refused] = []
        for before, after in pairwise([version.stage, *steps]):
            try:
                if not refusals:
                    self.promote(version.ref, after, reason=reason)
                elif is_gated(before, after):
                    require(tx, version.ref, "promote", environment=after.value)
            except Refused as refused:
                refusals.append(refused)
        if refusals:
            raise together(refusals)
        for other in on_stage(tx, ref.name, stage) if instead else ():
            if other != version.ref:
                self.promote(other, Stage.ARCHIVED, reason=reason)
        return self.show(version.ref)

    @operation("register", event="models.alias.set")
    def alias(self, tx: Transaction, ref: Ref, alias: str, *, reason: str = "") -> ModelVersion:
        """Point an alias at a version. `champion` is protected: see `make_champion`, which this becomes for it."""
        if alias == CHAMPION:
            tx.unchanged()
            return self.make_champion(ref, reason=reason)
        version = catalog.get(tx, ref)
        _refuse_retired(version)
        if alias in version.aliases:
            tx.unchanged()
            return self._version(tx, version)
        move = catalog.set_alias(tx, version.ref, alias, reason=reason)
        tx.note(resource=version.ref, after={"alias": alias, "version": move.version})
        return self.show(version.ref)

    @operation("register", event="models.alias.dropped")
    def drop_alias(self, tx: Transaction, ref: Ref, alias: str, *, reason: str = "") -> ModelVersion:
        """Take an alias away; its history stays. `Refused` for `champion`, which ends by `drop_champion`."""
        if alias == CHAMPION:
            raise Refused(f"{alias!r} is what is live and not for anybody to drop.", mend="Use models.drop_champion.")
        version = catalog.get(tx, ref.at(alias))
        catalog.drop_alias(tx, ref, alias, reason=reason)
        tx.note(resource=version.ref, before={"alias": alias, "version": version.ref.version})
        return self.show(version.ref)

    @operation("deploy.production", event="models.champion.made")
    def make_champion(self, tx: Transaction, ref: Ref, *, promote: bool = False, reason: str) -> ModelVersion:
        """Make a version the champion: what production answers with.

        `Refused` unless it is on the stage `production`, which it can only have reached through the gate; so going back to
        an earlier champion is instant, and nothing that no gate let through is ever live. With `promote` it is brought
        there first, if the gates on the way let it. `InUse` while a deployment serves another version: the champion is
        what answers, so it moves with the deployment.
        """
        version = self._version(tx, catalog.get(tx, ref))
        serving = catalog.holder(tx, version.ref, CHAMPION)
        if serving is not None and CHAMPION not in version.aliases:
            champion = catalog.get(tx, version.ref.at(CHAMPION)).ref
            raise InUse(
                f"{champion} is the champion, since {serving} serves it in production.",
                mend=f"Put the other live, and it is the champion: mw deploy {serving.name} {version.ref} production",
            )
        if promote and version.stage is not Stage.PRODUCTION:
            version = self.place(version.ref, Stage.PRODUCTION, reason=reason)
        if version.stage is not Stage.PRODUCTION:
            raise Refused(
                f"{version.ref} is on the stage {version.stage}, and a champion must be on {Stage.PRODUCTION}.",
                mend=f"Promote it through the gate first: mw promote {version.ref} production",
            )
        if CHAMPION in version.aliases:
            tx.unchanged()
            return version
        catalog.set_alias(tx, version.ref, CHAMPION, reason=reason)
        tx.note(resource=version.ref, after={"champion": version.ref.version})
        return self.show(version.ref)

    @operation("deploy.production", event="models.champion.dropped")
    def drop_champion(self, tx: Transaction, ref: Ref, *, reason: str) -> ModelVersion:
        """Leave a model without a champion, when it goes out of use altogether; `InUse` while a deployment serves it."""
        version = catalog.get(tx, ref.at(CHAMPION))
        serving = catalog.holder(tx, ref, CHAMPION)
        if serving is not None:
            raise InUse(
                f"{version.ref} is the champion, which {serving} serves.",
                mend=f"Deploy another version there, or take it out of use first: mw retire {serving}",
            )
        catalog.drop_alias(tx, ref, CHAMPION, reason=reason)
        tx.note(resource=version.ref, before={"champion": version.ref.version})
        return self.show(version.ref)

    # On the record: care

    @operation("register", event="models.tags.set")
    def tag(self, tx: Transaction, ref: Ref, tags: dict[str, str | None], *, reason: str = "") -> ModelVersion:
        """Set tags on a version; a value of None takes the tag away."""
        version = catalog.get(tx, ref)
        for key, value in tags.items():
            catalog.set_tag(tx, version.ref, key, value)
        catalog.touch(tx, version.ref)
        tx.note(resource=version.ref, before={"tags": pairs(version.tags)}, after=changed_tags(tags))
        return self.show(version.ref)

    @operation("write", event="models.profile.described")
    def describe(self, tx: Transaction, ref: Ref, profile: Profile, *, reason: str = "") -> Profile:
        """Say who answers for a model and what it is for; its risk tier is a classification, and policy's."""
        things.get(tx, ref)
        before = profiles_of(tx, [ref.name])[ref.name]
        if before == profile:
            tx.unchanged()
            return profile
        set_profile(tx, ref.name, profile)
        tx.note(resource=ref.whole, before=_changed(before, profile), after=_changed(profile, before))
        return profile

    @operation("register", event="models.version.retired")
    def retire(self, tx: Transaction, ref: Ref, *, successor: Ref | None = None, reason: str) -> ModelVersion:
        """Take a version out of use for good; whoever asks for it is told the successor.

        `InUse` while an alias or a deployment holds it, naming each of them.
        """
        version = catalog.get(tx, ref)
        stage = stages_of(tx, [version.ref])[version.ref]
        if holders := catalog.dependants(tx, version.ref):
            told = ", ".join(str(each) for each in holders)
            raise InUse(f"{version.ref} is still used by {told}.", mend="Move those to another version first.")
        if successor is not None:
            successor = _fit_successor(tx, version.ref, successor)
        catalog.retire(tx, version.ref, successor)
        set_stage(tx, version.ref, Stage.RETIRED)
        tx.note(
            resource=version.ref,
            inputs=[successor] if successor else [],
            before={"stage": stage},
            after={"stage": Stage.RETIRED, "successor": successor},
        )
        return self.show(version.ref)

    @operation("erase", event="models.version.deleted")
    def delete(self, tx: Transaction, ref: Ref, *, reason: str) -> Ref:
        """Delete one version for good; `InUse` names everything that depends on it. Its number is never given again."""
        version = catalog.delete(tx, ref)
        set_stage(tx, version.ref, None)
        set_origin(tx, version.ref, None)
        set_seal(tx, version.ref, None)
        tx.note(resource=version.ref, before={"digest": version.digest})
        return version.ref

    # Inside

    def _scanned(self, record: ModelRecord) -> Scan:
        """What speaks against the files of a record. Formats that run nothing hold nothing to look for."""
        if record.format not in (Format.PICKLE, Format.MLFLOW):
            return Scan()
        content = self.blobs.read(record.files[MLMODEL]) if MLMODEL in record.files else None
        named = record.files.keys() if content is None else pickles_named(content)
        scans = []
        for path, digest in record.files.items():
            key = (path, digest, path in named)
            if key not in self._scans:
                if len(self._scans) > _REMEMBERED:
                    self._scans.clear()
                self._scans[key] = scan_file(path, self.blobs.read(digest), named=path in named)
            scans.append(self._scans[key])
        return joined(scans)

    def _version(self, tx: Transaction, version: Version) -> ModelVersion:
        return queries.complete(tx, [version])[0]

    def _page(self, tx: Transaction, page: Page[Version]) -> Page[ModelVersion]:
        return Page(items=queries.complete(tx, page.items), next=page.next)


def _completed(tx: Transaction, record: ModelRecord) -> ModelRecord:
    """Refs pinned to versions, and whoever registers among the authors."""
    return replace(
        record,
        datasets=[catalog.resolve(tx, ref) for ref in record.datasets],
        features=[catalog.resolve(tx, ref) for ref in record.features],
        authors=list(dict.fromkeys([*record.authors, tx.principal.effective_id])),
    )


def _refuse_retired(version: Version) -> None:
    if version.state is State.RETIRED:
        instead = f"Its successor is {version.successor}." if version.successor else ""
        raise Conflict(f"{version.ref} is retired.", mend=instead)


def _fit_successor(tx: Transaction, ref: Ref, successor: Ref) -> Ref:
    if successor.kind is not Kind.MODEL:
        raise Invalid(f"{successor} cannot succeed a model.")
    found = catalog.get(tx, successor)
    if found.ref == ref:
        raise Invalid(f"{ref} cannot succeed itself.")
    _refuse_retired(found)
    return found.ref


def _changed(one: Profile, other: Profile) -> dict[str, str]:
    return {name: getattr(one, name) for name in one.__struct_fields__ if getattr(one, name) != getattr(other, name)}
