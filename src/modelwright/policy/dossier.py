"""What the record knows that a gate needs: authors, lineage, tier, champion, policy, evidence. On an open transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec

from modelwright.core.errors import NotFound
from modelwright.core.refs import Kind, Ref
from modelwright.core.wire import convert
from modelwright.policy import documents, queries
from modelwright.policy.reports import GateContext, Pinned
from modelwright.policy.requirements import CHAMPION, PolicyDocument, Tier
from modelwright.store import Evidence, Transaction, Version, catalog, evidence

POLICY_TAG = "modelwright.policy"
AUTHORS_TAG = "authors"
_PINNED = (Kind.DATASET, Kind.FEATURES, Kind.MODEL)
MAX_LINEAGE = 2000  # refs followed upstream before we stop: a lineage that large is a loop or a mistake


class InForce(msgspec.Struct, frozen=True, kw_only=True):
    """A policy as it holds: a version in the catalog, or the shipped one where the workspace has none."""

    ref: str
    document: PolicyDocument
    editor: str = ""
    edited_at: datetime | None = None


class Dossier(msgspec.Struct, frozen=True, kw_only=True):
    """All that a gate reads."""

    policy: InForce
    context: GateContext
    evidence: list[Evidence]


def policy_for(tx: Transaction, subject: Ref) -> InForce:
    """The policy that a thing is under: the one it was assigned, else `standard`, else the shipped one."""
    tags = catalog.tags_of(tx, [subject.whole])[str(subject.whole)]
    return policy_in_force(tx, tags.get(POLICY_TAG, documents.SHIPPED))


def policy_in_force(tx: Transaction, name: str) -> InForce:
    """The latest version of a policy; `NotFound` if there is none and it is not the shipped one."""
    version = catalog.latest(tx, Ref(Kind.POLICY, name))
    if version is not None:
        return in_force(tx, version)
    if name != documents.SHIPPED:
        raise NotFound(f"There is no policy named {name!r}.", mend="See what there is: mw list policy")
    return InForce(ref=f"{Kind.POLICY}:{documents.SHIPPED}", document=documents.shipped())


def in_force(tx: Transaction, version: Version) -> InForce:
    """A policy version of the catalog, parsed. Whoever adopts the shipped rules unchanged has edited nothing."""
    document: PolicyDocument = convert(version.record["document"], PolicyDocument)
    if version.digest == documents.shipped().digest:
        return InForce(ref=str(version.ref), document=document)
    editor = queries.effective_identity(tx, version.created_by)
    return InForce(ref=str(version.ref), document=document, editor=editor, edited_at=version.created_at)


def tier_of(tx: Transaction, subject: Ref) -> Tier:
    """The risk tier that a thing was last classified in; what was never classified is `high`."""
    latest = classification(tx, subject)
    return Tier(latest.figures["tier"]) if latest else Tier.HIGH


def classification(tx: Transaction, subject: Ref) -> Evidence | None:
    """The classification that holds."""
    told = evidence.about(tx, subject.whole, queries.CLASSIFICATION)
    found = queries.vouched(tx, [e for e in told if e.subject == subject.whole])
    return found[0] if found else None


def gather(tx: Transaction, subject: Ref, action: str, environment: str, related: Sequence[Ref] = ()) -> Dossier:
    """Everything a gate on `subject` reads, as the record stands now. `related` adds to what its lineage shows."""
    version = catalog.get(tx, subject)
    policy = policy_for(tx, version.ref)
    upstream = [each for each in lineage(tx, version.ref) if each.kind not in _PINNED or each.version is not None]
    pinned = [Pinned(ref=version.ref, digest=version.digest), *_pin(tx, [*related, *upstream], skip=version.ref)]
    kinds = policy.document.kinds_read()
    known = [e for e in about_all(tx, [each.ref for each in pinned]) if e.kind in kinds]
    runs = [ref for ref in upstream if ref.kind in (Kind.RUN, Kind.EXECUTION)]
    context = GateContext(
        subject=pinned[0],
        action=action,
        environment=environment,
        tier=tier_of(tx, version.ref),
        authors=authors(tx, version, runs),
        related=pinned[1:],
        champion=_champion(tx, version),
        identities=identities(tx, known),
        policy=policy.ref,
        policy_digest=policy.document.digest,
        policy_editor=policy.editor,
        policy_edited_at=policy.edited_at,
    )
    return Dossier(policy=policy, context=context, evidence=known)


def with_more(tx: Transaction, found: Dossier, more: Sequence[Evidence]) -> Dossier:
    """A dossier with evidence that is not on the record, as if the caller had attached it just now."""
    if not more:
        return found
    newest = max((e.seq for e in found.evidence if e.seq is not None), default=0)
    pieces = [msgspec.structs.replace(piece, seq=newest + at) for at, piece in enumerate(more, start=1)]
    who = dict.fromkeys((piece.id for piece in pieces), queries.effective_identity(tx, tx.principal.effective_id))
    context = msgspec.structs.replace(found.context, identities=found.context.identities | who)
    return msgspec.structs.replace(found, evidence=[*found.evidence, *pieces], context=context)


def about_all(tx: Transaction, refs: Iterable[Ref]) -> list[Evidence]:
    """What is known about several versions, forgeries left out."""
    return queries.vouched(tx, [piece for ref in refs for piece in evidence.about(tx, ref)])


def authors(tx: Transaction, version: Version, runs: Sequence[Ref] = ()) -> list[str]:
    """The people behind a version, by effective identity.

    Whoever registered it, or any version of the same kind with the same content (registering it again under another
    account changes nothing); whoever started the runs that it came from; and those whom it names as authors.
    """
    named = [name.strip() for name in version.tags.get(AUTHORS_TAG, "").split(",") if name.strip()]
    listed = version.record.get(AUTHORS_TAG)
    if isinstance(listed, list):
        named += [str(each) for each in listed]
    registered = queries.registrars(tx, version.ref.kind, version.digest)
    found = {queries.effective_identity(tx, who) for who in (*registered, *named)}
    first_events = queries.first_events(tx, [version.ref], role="out") + queries.first_events(tx, runs)
    return sorted(found | set(queries.actors(tx, first_events).values()))


def identities(tx: Transaction, known: Iterable[Evidence]) -> dict[str, str]:
    """Evidence id to the person behind whoever attached it, from the event that it left."""
    by_seq = {e.seq: e.id for e in known if e.seq is not None}
    return {by_seq[seq]: who for seq, who in queries.actors(tx, by_seq).items()}


def lineage(tx: Transaction, ref: Ref) -> list[Ref]:
    """Everything that a version was made from, as far back as the record goes, nearest first."""
    seen: dict[str, None] = {}
    edge = [str(ref)]
    while edge and len(seen) < MAX_LINEAGE:
        found = dict.fromkeys(queries.sources(tx, edge))
        edge = [text for text in found if text not in seen and text != str(ref)]
        seen.update(dict.fromkeys(edge))
    return [Ref.parse(text) for text in seen]


def _pin(tx: Transaction, refs: Iterable[Ref], *, skip: Ref) -> list[Pinned]:
    """Versions with their digests; what has no version (a run) carries no evidence that a gate reads.

    A version that was deleted since has no digest any more, so no evidence can match it: the gate says so.
    """
    found: dict[Ref, Pinned] = {}
    for ref in refs:
        if ref.kind in _PINNED and ref != skip:
            version = catalog.find(tx, ref)
            pinned = Pinned(ref=version.ref if version else ref, digest=version.digest if version else "")
            found.setdefault(pinned.ref, pinned)
    return list(found.values())


def _champion(tx: Transaction, version: Version) -> Pinned | None:
    live = catalog.find(tx, version.ref.at(CHAMPION))
    if live is None or live.ref == version.ref:
        return None
    return Pinned(ref=live.ref, digest=live.digest)
