"""The service of retention: classes, holds, what is due, letting go of it in two steps, and the proof."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

from modelwright.core.errors import Conflict, Invalid, NotFound, Refused
from modelwright.core.held import hold as keep_in
from modelwright.core.operations import Caller, Room, operation
from modelwright.core.paging import MAX_LIMIT, Filter, Page
from modelwright.core.refs import Kind, Ref
from modelwright.datasets import Datasets
from modelwright.features import OnlineStore, ReadLog
from modelwright.governance.retention import checking, queries
from modelwright.governance.retention.features import OnlineKeeper, PushKeeper
from modelwright.governance.retention.logs import PredictionKeeper, ReadKeeper
from modelwright.governance.retention.objects import Shelf
from modelwright.governance.retention.ports import Keeper
from modelwright.governance.retention.records import (
    Covers,
    Deletion,
    Due,
    Finished,
    Marked,
    ProofCheck,
    RetentionClass,
    RetentionPlan,
    RetentionSettings,
    Scope,
    duration,
)
from modelwright.governance.retention.runs import ArtifactKeeper, TraceKeeper
from modelwright.governance.retention.versions import ACCEPTED, DatasetKeeper
from modelwright.store import Evidence, Hold, Transaction, Verdict, catalog, evidence, holds
from modelwright.store.scopes import lies_under

MOST = 1000  # things in one plan
_IN_DATABASE = frozenset({Covers.PUSHES, Covers.TRACES})  # what lies in rows of its own there


class Places(NamedTuple):
    """Where the data lie that are in no database, where the workspace is."""

    predictions: Path
    reads: Path
    cache: Path | None
    log: ReadLog
    online: OnlineStore


class Retention(Room):
    """How long data are kept, what goes, what must stay, and the proof of what went."""

    room, kind = "retention", Kind.RETENTION

    def __init__(
        self,
        caller: Caller,
        *,
        datasets: Datasets,
        places: Places | None = None,
        settings: RetentionSettings = RetentionSettings(),
    ) -> None:
        """`places` are where the workspace is; at a distance there are none."""
        super().__init__(caller)
        self.settings = settings
        self._datasets = datasets
        self._places = places
        self._scrubbed: set[str] = set()  # deletions since which the database's log was emptied
        self._named: dict[str, list[str]] = {}  # the digests in objects: they do not change, and each is read once

    # Classes

    @operation("policy.edit", event="retention.class.declared")
    def declare(
        self,
        tx: Transaction,
        name: str,
        keep: str,
        covers: Sequence[str],
        *,
        about: Sequence[str] = (),
        newest: bool = False,
        reason: str,
    ) -> RetentionClass:
        """Say how long data are kept (`36h`, `90d`, `8w`, `7y`) and which: `datasets:crm`, `predictions:*`, ...

        The sorts are datasets, pushes, features, reads, predictions, traces and artifacts; behind the colon stands a path
        of names. Of datasets, `about` (`pii`, `special.health`) narrows it to versions with columns of such a class, and
        with `newest` even the newest version goes. It takes the place of the class of that name; nothing goes at once.
        """
        duration(keep)
        scopes = [str(Scope.parse(each)) for each in covers]
        if not scopes:
            raise Invalid("A class covers something.", mend="Name it: datasets:<name>, traces:*, ...")
        before = queries.find_class(tx, name)
        made = RetentionClass(
            name=name, keep=keep, covers=scopes, about=list(about), newest=newest, reason=_needed(reason, "a class")
        )
        queries.put_class(tx, made)
        tx.note(resource=made.ref, before=_told(before), after=_told(made))
        return queries.find_class(tx, name) or made

    @operation("policy.edit", event="retention.class.withdrawn")
    def withdraw(self, tx: Transaction, name: str, *, reason: str) -> None:
        """Take a class back: nothing more is due under it. What went is gone, and its proofs stay."""
        found = queries.find_class(tx, name)
        if found is None:
            raise NotFound(f"There is no retention class {name!r}.", mend="See what there is: mw retention classes")
        queries.drop_class(tx, name)
        tx.note(resource=found.ref, before=_told(found), reason=_needed(reason, "taking a class back"))

    @operation("read", on="")
    def classes(self, tx: Transaction) -> Sequence[RetentionClass]:
        """The classes in force, by name."""
        return queries.all_classes(tx)

    # Holds

    @operation("hold", event="retention.hold.placed", on="")
    def hold(self, tx: Transaction, name: str, on: str, *, reason: str) -> Hold:
        """Place a legal hold on data: `datasets:crm@3`, `traces:support`, `models:credit`, or `*` for everything.

        Until it is lifted nobody deletes them: no class, no person, no full disk.
        """
        scope, ref = Scope.parse(on, hold=True), Ref(Kind.HOLD, name)
        if any(each.name == name for each in queries.all_holds(tx)):
            raise Conflict(f"There is or was a hold named {name!r}.", mend="Give this one another name.")
        queries.put_hold(tx, name, scope, _needed(reason, "a hold"))
        self._spread(tx)
        tx.note(resource=ref, after={"on": str(scope)})
        return next(each for each in holds.standing(tx) if each.name == name)

    @operation("hold", event="retention.hold.lifted", on="")
    def lift(self, tx: Transaction, name: str, *, reason: str) -> Hold:
        """Lift a legal hold. What is due by then goes at the operator's next look."""
        found = next((each for each in holds.standing(tx) if each.name == name), None)
        if found is None:
            raise NotFound(f"No hold named {name!r} stands.", mend="See which do: mw retention holds")
        queries.lift_hold(tx, name, _needed(reason, "lifting a hold"))
        self._spread(tx)
        tx.note(resource=Ref(Kind.HOLD, name), before={"on": found.scope})
        return next(each for each in queries.all_holds(tx) if each.name == name)

    @operation("read", on="")
    def holds(self, tx: Transaction, *, lifted: bool = False) -> Sequence[Hold]:
        """The legal holds that stand; with `lifted` also those that did."""
        return queries.all_holds(tx) if lifted else holds.standing(tx)

    @operation("approve", event="retention.loss.accepted")
    def accept(self, tx: Transaction, ref: Ref, *, reason: str) -> Evidence:
        """Accept that a dataset version goes though a live model came of it, which cannot be made again then.

        Whoever declared a class that covers it cannot: two people decide. It stands as evidence about the version.
        """
        version = catalog.get(tx, ref)
        if version.ref.kind is not Kind.DATASET:
            raise Invalid(f"{ref} is no version of a dataset.", mend="Only those keep live models from being unmade.")
        who = tx.principal.effective_id
        declared = [each for each in queries.all_classes(tx) if _covers(each, version.ref.name) and each.by == who]
        if declared:
            raise Refused(
                f"{who} declared the retention class {declared[0].name}, under which {version.ref} is to go.",
                mend="Somebody else with the right to approve has to accept what it takes.",
            )
        tx.note(resource=version.ref, inputs=[version.ref], after={"accepted": True})
        return evidence.attach(
            tx,
            ACCEPTED,
            version.ref,
            subject_digest=version.digest,
            verdict=Verdict.PASS,
            summary=_needed(reason, "accepting a loss"),
            inputs=[version.ref],
        )

    # What is due, and letting go of it

    @operation("audit.read", on="")
    def plan(self, tx: Transaction, *, name: str | None = None) -> RetentionPlan:
        """Say what is older than its class allows: what would go, why, how much, and what keeps the rest. Nothing goes.

        `name` narrows it to one class. What several classes cover goes by the shortest of them.
        """
        chosen = [each for each in queries.all_classes(tx) if name in (None, each.name)]
        if name is not None and not chosen:
            raise NotFound(f"There is no retention class {name!r}.", mend="See what there is: mw retention classes")
        found: dict[tuple[Covers, Ref, str], Due] = {}
        for each in chosen:
            for text in each.covers:
                for due in self._due(tx, each, Scope.parse(text)):
                    known = found.get((due.covers, due.ref, due.part))
                    if known is None or due.due < known.due or (due.goes and not known.goes):
                        found[due.covers, due.ref, due.part] = due
        ordered = sorted(found.values(), key=lambda due: (due.due, due.what))
        goes, held = [due for due in ordered if due.goes], [due for due in ordered if not due.goes]
        return RetentionPlan(at=tx.now, goes=goes[:MOST], held=held[:MOST])

    @operation("erase", event="retention.deletion.begun", on="")
    def begin(
        self, tx: Transaction, retention: str, covers: Covers, ref: Ref, *, part: str = "", reason: str = ""
    ) -> Deletion:
        """Put one thing that is due out of reach, with a tombstone where it was. Its bytes go by `finish`.

        Whether it is due, and whether something keeps it, is looked up again here, with nobody writing meanwhile: `Refused`
        says what does, `NotFound` that it is not due.
        """
        found = queries.find_class(tx, retention)
        scope = Scope(covers.value, part if covers is Covers.ARTIFACTS else ref.name)
        dues = [] if found is None else self._due(tx, found, scope, only=ref)
        due = next((each for each in dues if (each.ref, each.part) == (ref, part)), None)
        if found is None or due is None or not _covers(found, scope.path, covers):
            raise NotFound(f"The {covers.value} of {ref} are not due under {retention!r}.", mend="mw retention plan")
        if due.holds:
            raise Refused(f"This is due and stays: {due.what}: {'; '.join(due.holds)}.", details={"holds": due.holds})
        identity = tx.new_id()
        marked = self._keepers()[covers].mark(tx, due, identity)
        after = {"deletion": identity, "class": retention, "keep": found.keep, "covers": covers.value, "part": part}
        tx.note(
            resource=ref,
            before={"count": marked.count, "unit": due.unit, "size": marked.size, **_digests(marked)},
            after=after,
            reason=reason or f"kept {found.keep} under {retention}, due since {due.due.date().isoformat()}",
        )
        queries.begin(tx, identity, due, marked)
        self._scrub(tx, identity)
        return self._found(tx, identity)[0]

    @operation("audit.read", on="")
    def unfinished(self, tx: Transaction) -> Sequence[str]:
        """The ids of deletions that are begun and not finished, the oldest first."""
        found = queries.open_deletions(tx)
        for identity in found:
            _, marked, _ = self._found(tx, identity)
            if marked.objects:  # one look reads it all
                self._shelf().look(tx, marked)
                break
        return found

    @operation("erase", event=checking.ACTION, on="")
    def finish(self, tx: Transaction, deletion: str) -> Deletion:
        """Let go of the bytes of what was put out of reach, and leave the proof: which digests went, which stay and why.

        What is killed halfway is done again from where it was. Where something has to wait nothing is proved yet.
        """
        known, marked, before = self._found(tx, deletion)
        if known.finished_at is not None or tx.tentative:  # behind writers that may yet be undone nothing is deleted
            tx.unchanged()
            return known
        done = self._keepers()[known.covers].finish(tx, (str(known.ref), known.part), marked)
        if known.covers in _IN_DATABASE and tx.database.is_sqlite and deletion not in self._scrubbed and not done.waits:
            self._scrub(tx, deletion)
            done = replace(done, waits="somebody reads from the database's write-ahead log, which holds it still")
        gone = sorted({*before.gone, *done.gone})
        done = replace(done, gone=gone, size=before.size + done.size)
        if done.waits:
            queries.goes_on(tx, deletion, done)
            tx.unchanged()
            return self._found(tx, deletion)[0]
        tx.note(resource=known.ref, after=checking.proof_of(known, marked, done))
        queries.finish(tx, deletion, done)
        tx.committed.append(lambda: self._scrubbed.discard(deletion))
        return self._found(tx, deletion)[0]

    def carry_out(self, *, reason: str = "") -> Sequence[Deletion]:
        """Let go of everything that is due and that nothing keeps, and finish what was begun: what the operator does.

        What cannot go any more when its turn comes (somebody has placed a hold) stays.
        """
        for due in self.plan().goes:
            try:
                self.begin(due.retention, due.covers, due.ref, part=due.part, reason=reason)
            except (Refused, NotFound):
                continue
        return [self.finish(identity) for identity in self.unfinished()]

    # Proofs

    @operation("audit.read", on="")
    def proofs(self, tx: Transaction, *, ref: Ref | None = None, where: Filter = Filter()) -> Page[Deletion]:
        """What went, the newest first: of everything, or of one thing."""
        limit = min(where.limit, MAX_LIMIT)
        found = queries.list_deletions(tx, ref, where.after, limit + 1)
        return Page(items=found[:limit], next=found[limit - 1].id if len(found) > limit else None)

    @operation("audit.read", on="")
    def verify(self, tx: Transaction, *, deletion: str | None = None, ref: Ref | None = None) -> Sequence[ProofCheck]:
        """Hold proofs against ledger and stores today: one, those of one thing, or the newest hundred.

        The event is there and unchanged, it names what the tombstone names, and nothing of it has come back.
        """
        chosen = queries.list_deletions(tx, ref, None, 100) if deletion is None else [self._found(tx, deletion)[0]]
        checks = []
        for each in chosen:
            _, marked, done = self._found(tx, each.id)
            findings = checking.against_ledger(tx, each, marked, done)
            if each.finished_at is not None:
                findings += self._keepers()[each.covers].again(tx, (str(each.ref), each.part), marked, done)
            checks.append(ProofCheck(deletion=each, holds=not findings, findings=findings))
        return checks

    # Inside

    def _due(self, tx: Transaction, retention: RetentionClass, scope: Scope, *, only: Ref | None = None) -> Sequence[Due]:
        """What of one sort is due, with the legal holds on it."""
        keeper, standing, found = self._keepers()[Covers(scope.sort)], holds.standing(tx), []
        for due in keeper.due(tx, retention, scope.path, tx.now, only=only):
            name = due.part if due.covers is Covers.ARTIFACTS else due.ref.name
            legal = holds.over(standing, due.covers.value, name, due.ref.version)
            told = [f"the legal hold {each.name}: {each.reason}" for each in legal]
            found.append(replace(due, holds=[*told, *due.holds]) if told else due)
        return found

    def _keepers(self) -> dict[Covers, Keeper]:
        if self._places is None:
            raise RuntimeError("the body of an operation runs where the workspace is")
        here, shelf = self._places, self._shelf()
        made: list[Keeper] = [
            DatasetKeeper(self._datasets, shelf),
            PushKeeper(),
            OnlineKeeper(here.online),
            ReadKeeper(here.log),
            PredictionKeeper(here.predictions),
            TraceKeeper(),
            ArtifactKeeper(shelf),
        ]
        return {each.covers: each for each in made}

    def _shelf(self) -> Shelf:
        cache = None if self._places is None else self._places.cache
        return Shelf(self.blobs, cache, self.settings.grace, self._named)

    def _scrub(self, tx: Transaction, deletion: str) -> None:
        """Once this is committed, see that the database's log holds nothing of it either: before that nothing is proved."""

        def scrub() -> None:
            if tx.database.scrub():
                self._scrubbed.add(deletion)

        tx.committed.append(scrub)

    def _found(self, tx: Transaction, identity: str) -> tuple[Deletion, Marked, Finished]:
        found = queries.find(tx, identity)
        if found is None:
            raise NotFound(f"There is no deletion {identity[:40]!r}.", mend="See what went: mw retention proofs")
        return found

    def _spread(self, tx: Transaction) -> None:
        """Tell those who clear their files without the database what must stay, once this is committed."""
        if self._places is None:
            raise RuntimeError("the body of an operation runs where the workspace is")
        standing = holds.standing(tx)
        for sort, folder in ((Covers.PREDICTIONS, self._places.predictions), (Covers.READS, self._places.reads)):
            paths = [each.path or "*" for each in standing if each.on in ("*", sort.value)]
            keep_in(folder, paths)


def _covers(retention: RetentionClass, name: str, sort: Covers = Covers.DATASETS) -> bool:
    scopes = [Scope.parse(each) for each in retention.covers]
    return any(each.sort == sort.value and lies_under(name, each.path) for each in scopes)


def _needed(reason: str, what: str) -> str:
    if not reason.strip():
        raise Invalid(f"Every record of {what} says why.", mend='Say it: --reason "...".')
    return reason


def _told(found: RetentionClass | None) -> dict[str, object]:
    if found is None:
        return {}
    return {"keep": found.keep, "covers": found.covers, "about": found.about, "newest": found.newest}


def _digests(marked: Marked) -> dict[str, object]:
    """What is to go, as an event says it."""
    pieces = [f"{digest} {name}" for name, digest in sorted(marked.pieces.items())]
    return {"objects": marked.objects, "pieces": pieces}
