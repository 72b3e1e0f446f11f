"""The service of minimisation: the report, and what it says of one model as evidence."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from modelwright.core.errors import Invalid
from modelwright.core.operations import Caller, Room, operation
from modelwright.core.refs import Kind, Ref
from modelwright.core.wire import convert, to_plain
from modelwright.datasets import Datasets, DatasetVersion
from modelwright.features import Features
from modelwright.features.records import ViewRecord
from modelwright.governance.minimisation import gathering
from modelwright.governance.minimisation.records import Concern, MinimisationFinding, MinimisationReport
from modelwright.governance.retention import Retention, Scope
from modelwright.governance.retention.queries import downstream, live_models, may_name
from modelwright.store import Evidence, Transaction, Verdict, catalog, evidence, scopes
from modelwright.store.scopes import lies_under

MINIMISATION = "minimisation"  # the kind of evidence
_ORDER = list(Concern)


class Minimisation(Room):
    """What is collected, served or kept and not needed, and what about people goes into models."""

    room, kind = "minimisation", Kind.MODEL

    def __init__(self, caller: Caller, *, datasets: Datasets, features: Features, retention: Retention) -> None:
        super().__init__(caller)
        self._datasets = datasets
        self._features = features
        self._retention = retention

    @operation("audit.read", on="")
    def report(self, tx: Transaction, *, under: str = "") -> MinimisationReport:
        """Say what is perhaps not needed: features that no live model takes, columns that nothing reads, overdue data.

        Also what about people goes into live models, and what of it does not matter to them where somebody measured that
        (evidence of the kind `importance`). `under` narrows it to a path of names. It says what the record knows: a column
        may be read by a program that nobody told it of.
        """
        live = {ref: places for ref, places in live_models(tx).items() if lies_under(ref.name, under)}
        views = [(each.ref, convert(each.record, ViewRecord)) for each in gathering.newest(tx, Kind.FEATURES, under)]
        tables = [self._datasets.known(tx, each.ref) for each in gathering.newest(tx, Kind.DATASET, under)]
        findings = [*self._of_models(tx, live), *self._of_features(tx, views, live), *self._of_tables(tx, tables, views)]
        findings += self._of_retention(tx, tables, under)
        findings.sort(key=lambda each: (_ORDER.index(each.concern), not each.classes, each.ref))
        looked = {"live models": len(live), "views": len(views), "datasets": len(tables)}
        return MinimisationReport(at=tx.now, looked_at=looked, findings=findings)

    @operation("evaluate", event="minimisation.model.attested")
    def attest(self, tx: Transaction, ref: Ref, *, reason: str = "") -> Evidence:
        """Attach what is known of a model version's inputs as evidence of the kind `minimisation`, for gates.

        It passes where nothing about people goes in, or what does is permitted for a purpose and matters; it warns where
        something that is not about people does not matter; and it fails where something about people has no permit, or
        does not matter to the model.
        """
        version = catalog.get(tx, ref)
        if version.ref.kind is not Kind.MODEL:
            raise Invalid(f"{ref} is no version of a model.", mend="The report is about everything: mw privacy report")
        people, idle = gathering.personal_inputs(tx, self._datasets, version), gathering.weightless(tx, version)
        without = [each.name for each in people if not each.permitted]
        needless = [each.name for each in people if each.name in idle]
        verdict = Verdict.FAIL if without or needless else Verdict.WARN if idle else Verdict.PASS
        said = [f"{', '.join(without)}: about people, and no purpose is permitted for it"] if without else []
        said += [f"{', '.join(needless)}: about people, and of no weight"] if needless else []
        said += [f"{', '.join(set(idle) - set(needless))}: of no weight"] if set(idle) - set(needless) else []
        about = (
            f"{len(people)} inputs are about people, each permitted for a purpose." if people else "None is about people."
        )
        summary = "; ".join(said) + "." if said else about
        tx.note(resource=version.ref, inputs=[version.ref], after={"verdict": verdict.value})
        return evidence.attach(
            tx,
            MINIMISATION,
            version.ref,
            subject_digest=version.digest,
            verdict=verdict,
            figures={"personal": to_plain(people), "weightless": idle, "without_permit": without},
            summary=summary,
            inputs=[version.ref],
        )

    # Inside

    def _of_models(self, tx: Transaction, live: Mapping[Ref, Sequence[str]]) -> list[MinimisationFinding]:
        found, may = [], scopes.may_read(tx, Kind.MODEL)
        for ref, places in live.items():
            version = catalog.find(tx, ref)
            if version is None or not may(ref.name):
                continue
            people = gathering.personal_inputs(tx, self._datasets, version)
            for each in people:
                permit = "a purpose is permitted for it" if each.permitted else "no purpose is permitted for it"
                found.append(
                    MinimisationFinding(
                        concern=Concern.PERSONAL_INPUT,
                        ref=ref,
                        names=[each.name],
                        classes=each.classes,
                        why=f"it comes of {', '.join(each.sources)}; {permit}; live as {', '.join(places)}",
                        mend="" if each.permitted else f"mw data permit {each.sources[0].split('@')[0]} PURPOSE",
                    )
                )
            idle = gathering.weightless(tx, version)
            about = sorted({tag for each in people if each.name in idle for tag in each.classes})
            if idle:
                why = "the interval of its importance includes 0"
                mend = "Train without it and compare; leave it out where nothing is lost."
                found.append(
                    MinimisationFinding(concern=Concern.WEIGHTLESS, ref=ref, names=idle, classes=about, why=why, mend=mend)
                )
        return found

    def _of_features(
        self, tx: Transaction, views: Sequence[tuple[Ref, ViewRecord]], live: Mapping[Ref, Sequence[str]]
    ) -> list[MinimisationFinding]:
        found, online = [], {each.view for each in self._features.standing()}
        sources: dict[Ref, DatasetVersion] = {}
        for ref, record in views:
            names = record.view.names
            by_model = gathering.taken(tx, ref.whole, names)
            served = {name for model, taken in by_model.items() if model in live for name in taken}
            left = [name for name in names if name not in served]
            if not left:
                continue
            others = may_name(tx, sorted(model for model, taken in by_model.items() if taken & set(left)))
            why = f"no live model takes it; {', '.join(others)} would" if others else "no model takes it"
            why += "; it is served online" if ref in online else ""
            known = sources.get(record.source) or self._datasets.known(tx, record.source)
            sources[record.source] = known
            behind = {column for name in left for column in record.origins.get(name, [])}
            found.append(
                MinimisationFinding(
                    concern=Concern.UNUSED_FEATURE,
                    ref=ref,
                    names=left,
                    classes=sorted({each.tag for column in behind for each in known.classes_of(column) if each.masked}),
                    why=why,
                    mend="Leave it out of the view's next version, or retire the view.",
                )
            )
        return found

    def _of_tables(
        self, tx: Transaction, tables: Sequence[DatasetVersion], views: Sequence[tuple[Ref, ViewRecord]]
    ) -> list[MinimisationFinding]:
        found, by_source = [], defaultdict[Ref, list[ViewRecord]](list)
        for _, record in views:
            by_source[record.view.source.whole].append(record)
        for table in (each for each in tables if each.is_table):
            used = {*table.key, *([table.time_column] if table.time_column else [])}
            for permit in self._datasets.consents(tx, table.ref, table.names):
                used |= {permit.consent, permit.subject}
            for record in by_source[table.ref.whole]:
                used |= {column for behind in record.origins.values() for column in behind}
                used |= {name for name in (record.view.event_time, record.view.created_time) if name}
            for taken in gathering.taken(tx, table.ref.whole, table.names).values():
                used |= taken
            left = [name for name in table.names if name not in used]
            if not left:
                continue
            made, _ = downstream(tx, table.ref)
            others = may_name(tx, [each for each in made if each.kind is Kind.DATASET])
            why = "neither a view nor a model takes it"
            why += f"; {', '.join(others)} was made from it and may hold it" if others else ""
            people = [name for name in left if any(each.masked for each in table.classes_of(name))]
            for names in (people, [name for name in left if name not in people]):
                if names:
                    tags = {each.tag for name in names for each in table.classes_of(name) if each.masked}
                    mend = "Leave it out of what is added next."
                    found.append(
                        MinimisationFinding(
                            concern=Concern.UNREAD_COLUMN,
                            ref=table.ref,
                            names=names,
                            classes=sorted(tags),
                            why=why,
                            mend=mend,
                        )
                    )
        return found

    def _of_retention(self, tx: Transaction, tables: Sequence[DatasetVersion], under: str) -> list[MinimisationFinding]:
        plan, found = self._retention.plan(), []
        may = {kind: scopes.may_read(tx, kind) for kind in Kind}
        for due in [*plan.held, *plan.goes]:
            if lies_under(due.ref.name, under) and may[due.ref.kind](due.ref.name):
                kept = f"; it stays: {'; '.join(due.holds)}" if due.holds else "; it goes at the next look"
                why = f"{due.counted}, due since {due.due.date().isoformat()} under {due.retention}{kept}"
                found.append(MinimisationFinding(concern=Concern.OVERDUE, ref=due.ref, why=why, mend="mw retention plan"))
        covered = [Scope.parse(text) for each in self._retention.classes() for text in each.covers]
        for table in tables:
            people = [name for name in table.names if any(each.masked for each in table.classes_of(name))]
            limits = [each for each in covered if each.sort == "datasets" and lies_under(table.ref.name, each.path)]
            if people and not limits:
                found.append(
                    MinimisationFinding(
                        concern=Concern.UNLIMITED,
                        ref=table.ref.whole,
                        names=people,
                        classes=sorted({e.tag for name in people for e in table.classes_of(name) if e.masked}),
                        why="it is about people, and no retention class says how long it is kept",
                        mend=f'mw retention declare NAME datasets:{table.ref.name} --keep 90d -m "..."',
                    )
                )
        return found
