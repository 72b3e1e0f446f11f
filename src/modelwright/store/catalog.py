"""Versions and aliases of every kind: immutable, counted from 1, never deleted from under a dependant.

Functions on an open transaction. A room keeps its own description of a version in `record`; what has no versions (a run,
an incident) lives in the room's own tables and uses only tags and dependencies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa

from modelwright.core.clock import isoformat, parse_time
from modelwright.core.errors import Conflict, InUse, Invalid, NotFound
from modelwright.core.paging import MAX_LIMIT, Filter, Page, number_after
from modelwright.core.refs import DIGEST_PREFIX, LATEST, Kind, Ref
from modelwright.core.wire import encode_text
from modelwright.store import holds, scopes
from modelwright.store.database import Transaction
from modelwright.store.driver import Prepared
from modelwright.store.records import AliasMove, State, Version
from modelwright.store.tables import (
    catalog_alias_moves,
    catalog_aliases,
    catalog_dependencies,
    catalog_tags,
    catalog_things,
    catalog_versions,
)

_v, _t, _a, _m = catalog_versions.c, catalog_things.c, catalog_aliases.c, catalog_alias_moves.c
_of_thing = sa.select(catalog_versions).where(_v.kind == sa.bindparam("kind"), _v.name == sa.bindparam("name"))
_NEWEST = Prepared(_of_thing.order_by(_v.version.desc()).limit(1), "kind", "name")
_EXACT = Prepared(_of_thing.where(_v.version == sa.bindparam("version")), "kind", "name", "version")
_TAGS = Prepared(
    sa.select(catalog_tags.c.key, catalog_tags.c.value)
    .where(catalog_tags.c.ref == sa.bindparam("ref"))
    .order_by(catalog_tags.c.key),
    "ref",
)
_ALIASES = Prepared(
    sa.select(_a.alias)
    .where(_a.kind == sa.bindparam("kind"), _a.name == sa.bindparam("name"), _a.version == sa.bindparam("version"))
    .order_by(_a.alias),
    *("kind", "name", "version"),
)


def add(
    tx: Transaction,
    kind: Kind,
    name: str,
    *,
    digest: str,
    record: Any,
    description: str = "",
    tags: Mapping[str, str] | None = None,
    needs: Sequence[Ref] = (),
    anew: bool = False,
) -> Version:
    """Add the next version of a thing. `record` is a struct or a dict; `needs` are pinned refs that it depends on.

    The same digest as the latest version's is that version again: it is returned and nothing is written (compare
    `version.created_at` with `tx.now`, or call `latest` first, to tell); unless it is wanted `anew`.
    """
    ref = Ref(kind, name)
    newest = None if anew else latest(tx, ref)
    if newest is not None and newest.digest == digest and newest.state is State.ACTIVE:
        return newest
    counted = (
        tx.insert(catalog_things)
        .values(
            kind=kind,
            name=name,
            versions=1,
            created_at=tx.stamp,
            created_by=tx.principal.id,
            latest_at=tx.stamp,
            changed_at=tx.stamp,
            description=description,
        )
        .on_conflict_do_update(
            index_elements=[_t.kind, _t.name],
            set_={"versions": _t.versions + 1, "latest_at": tx.stamp, "changed_at": tx.stamp, "gone_at": None},
        )
        .returning(_t.versions)
    )
    number = int(tx.execute(counted).scalar_one())
    tx.execute(
        catalog_versions.insert().values(
            kind=kind,
            name=name,
            version=number,
            digest=digest,
            record=encode_text(record),
            description=description,
            state=State.ACTIVE,
            created_at=tx.stamp,
            created_by=tx.principal.id,
            changed_at=tx.stamp,
        )
    )
    pinned = ref.at(number)
    for key, value in (tags or {}).items():
        set_tag(tx, pinned, key, value)
    depend(tx, pinned, needs)
    return get(tx, pinned)


def latest(tx: Transaction, ref: Ref) -> Version | None:
    """The newest version, or None if there is none yet."""
    row = _NEWEST.first(tx.connection, kind=ref.kind.value, name=ref.name)
    return None if row is None else _single(tx, row)


def get(tx: Transaction, ref: Ref) -> Version:
    """The version a ref stands for: a number, an alias, a digest prefix, `latest`, or (no selector) the latest."""
    named = {"kind": ref.kind.value, "name": ref.name}
    if ref.version is None and ref.digest is None and ref.alias in (None, LATEST):
        row = _NEWEST.first(tx.connection, **named)
    else:
        row = _EXACT.first(tx.connection, **named, version=ref.version or resolve(tx, ref).version)
    if row is None:
        raise _not_found(tx, ref)
    return _single(tx, row)


def find(tx: Transaction, ref: Ref) -> Version | None:
    """`get`, or None where there is no such version."""
    try:
        return get(tx, ref)
    except NotFound:
        return None


def resolve(tx: Transaction, ref: Ref) -> Ref:
    """The same thing pinned to a version number, or `NotFound` with the names that come nearest."""
    query = sa.select(_v.version, _v.digest).where(_v.kind == ref.kind, _v.name == ref.name)
    if ref.version is not None:
        query = query.where(_v.version == ref.version)
    elif ref.digest is not None:
        query = query.where(_v.digest >= ref.digest, _v.digest < ref.digest + "g")  # a range of the index: g follows f
    elif ref.alias not in (None, LATEST):
        query = sa.select(_a.version, sa.null().label("digest")).where(
            _a.kind == ref.kind, _a.name == ref.name, _a.alias == ref.alias
        )
    found = tx.execute(query.order_by(sa.desc("version")).limit(2)).all()
    if not found:
        raise _not_found(tx, ref)
    if ref.digest is not None and len({row.digest for row in found}) > 1:
        told = ", ".join(str(row.version) for row in found)
        raise Conflict(f"{ref} fits more than one version ({told}, ...).", mend="Give more of the digest.")
    return ref.at(found[0].version)


def list_things(tx: Transaction, kind: Kind, where: Filter) -> Page[Version]:
    """The latest version of each thing of a kind that the caller may see, the most recently changed first."""
    other = catalog_versions.alias()
    newest = sa.select(sa.func.max(other.c.version)).where(other.c.kind == _t.kind, other.c.name == _t.name)
    current = _v.version == newest.correlate(catalog_things).scalar_subquery()
    both = catalog_versions.join(catalog_things, sa.and_(_t.kind == _v.kind, _t.name == _v.name, current))
    query = sa.select(catalog_versions, _t.latest_at).select_from(both)
    query = _narrow(tx, query.where(_v.kind == kind), where, kind)
    if where.after:
        at, _, name = where.after.partition(" ")
        query = query.where(sa.or_(_t.latest_at < at, sa.and_(_t.latest_at == at, _t.name > name)))
    limit = _limit(where)
    rows = tx.execute(query.order_by(_t.latest_at.desc(), _t.name).limit(limit + 1)).all()
    more = rows[limit - 1] if len(rows) > limit else None
    return Page(items=_version(tx, rows[:limit]), next=f"{more.latest_at} {more.name}" if more else None)


def list_versions(tx: Transaction, ref: Ref, where: Filter = Filter()) -> Page[Version]:
    """The versions of one thing, newest first."""
    query = sa.select(catalog_versions).where(_v.kind == ref.kind, _v.name == ref.name)
    if where.after:
        query = query.where(_v.version < number_after(where.after))
    limit = _limit(where)
    rows = tx.execute(query.order_by(_v.version.desc()).limit(limit + 1)).all()
    return Page(items=_version(tx, rows[:limit]), next=str(rows[limit - 1].version) if len(rows) > limit else None)


def holder(tx: Transaction, ref: Ref, alias: str) -> Ref | None:
    """What holds an alias where it is, because it serves that version; None where nothing does."""
    key = (_a.kind == ref.kind, _a.name == ref.name, _a.alias == alias)
    held = tx.execute(sa.select(_a.holder).where(*key)).scalar()
    return None if held is None else Ref.parse(held)


def set_alias(tx: Transaction, ref: Ref, alias: str, *, reason: str = "", holder: Ref | None = None) -> AliasMove:
    """Point an alias at the version that `ref` stands for; leaves its own event and its line in the alias's history.

    `holder` is what has it there: see `holder`. Whether it may be moved away from that is for the caller to ask.
    """
    pinned, by = resolve(tx, ref), None if holder is None else str(holder)
    Ref(pinned.kind, pinned.name, alias)  # the grammar decides whether it is an alias
    if alias == LATEST:
        raise Invalid("`latest` always points at the newest version and cannot be set.")
    key = (_a.kind == ref.kind, _a.name == ref.name, _a.alias == alias)
    held = tx.execute(sa.select(_a.version).where(*key)).scalar()
    if held is None:
        row = {"kind": ref.kind, "name": ref.name, "alias": alias}
        tx.execute(catalog_aliases.insert().values(**row, version=pinned.version, holder=by))
    else:
        tx.execute(catalog_aliases.update().where(*key).values(version=pinned.version, holder=by))
    return _moved(tx, pinned.whole, alias, held, pinned.version, reason)


def drop_alias(tx: Transaction, ref: Ref, alias: str, *, reason: str = "") -> AliasMove:
    """Take an alias away; its history stays."""
    key = (_a.kind == ref.kind, _a.name == ref.name, _a.alias == alias)
    held = tx.execute(sa.select(_a.version).where(*key)).scalar()
    if held is None:
        raise NotFound(f"{ref.whole} has no alias {alias!r}.")
    tx.execute(catalog_aliases.delete().where(*key))
    return _moved(tx, ref.whole, alias, held, None, reason)


def _moved(tx: Transaction, whole: Ref, alias: str, before: int | None, after: int | None, reason: str) -> AliasMove:
    for version in {before, after} - {None}:
        touch(tx, whole.at(version))
    seq = tx.record(
        "catalog.alias.moved" if after else "catalog.alias.dropped",
        whole.at(after or before),
        before={"alias": alias, "version": before},
        after={"alias": alias, "version": after},
        reason=reason,
    )
    move = AliasMove(ref=whole, alias=alias, version=after, at=tx.now, actor=tx.principal.id, reason=reason, seq=seq)
    tx.execute(
        catalog_alias_moves.insert().values(
            kind=whole.kind,
            name=whole.name,
            alias=alias,
            version=after,
            at=tx.stamp,
            actor=tx.principal.id,
            reason=reason,
            seq=seq,
        )
    )
    return move


def alias_history(tx: Transaction, ref: Ref, alias: str | None = None, *, as_of: datetime | None = None) -> list[AliasMove]:
    """Every move of a thing's aliases, newest first; with `as_of`, up to that moment: the first is what held then."""
    query = sa.select(catalog_alias_moves).where(_m.kind == ref.kind, _m.name == ref.name)
    if alias is not None:
        query = query.where(_m.alias == alias)
    if as_of is not None:
        query = query.where(_m.at <= isoformat(as_of))
    return [_move(row) for row in tx.execute(query.order_by(_m.id.desc()))]


def aliased_at(tx: Transaction, ref: Ref, alias: str, moment: datetime) -> AliasMove | None:
    """What an alias pointed at, at a moment: the move that put it there, or None."""
    query = sa.select(catalog_alias_moves).where(_m.kind == ref.kind, _m.name == ref.name, _m.alias == alias)
    row = tx.execute(query.where(_m.at <= isoformat(moment)).order_by(_m.at.desc(), _m.id.desc()).limit(1)).first()
    return None if row is None or row.version is None else _move(row)


def all_aliased_at(tx: Transaction, kind: Kind, alias: str, moment: datetime) -> list[AliasMove]:
    """What an alias pointed at, at a moment, for every thing of a kind that had it; by name."""
    last = sa.select(sa.func.max(_m.id)).where(_m.alias == alias, _m.kind == kind, _m.at <= isoformat(moment))
    query = sa.select(catalog_alias_moves).where(_m.id.in_(last.group_by(_m.name)), _m.version.is_not(None))
    return [_move(row) for row in tx.execute(query.order_by(_m.name))]


def _move(row: Any) -> AliasMove:
    return AliasMove(
        ref=Ref(row.kind, row.name),
        alias=row.alias,
        version=row.version,
        at=parse_time(row.at),
        actor=row.actor,
        reason=row.reason,
        seq=row.seq,
    )


def set_tag(tx: Transaction, ref: Ref, key: str, value: str | None) -> None:
    """Set a tag on a thing or a version, or with None take it away. Leaves no event of its own."""
    if not key or len(key) > 250:
        raise Invalid("A tag's key has 1 to 250 characters.")
    tx.execute(catalog_tags.delete().where(catalog_tags.c.ref == str(ref), catalog_tags.c.key == key))
    if value is not None:
        tx.execute(catalog_tags.insert().values(ref=str(ref), key=key, value=value))


def tags_of(tx: Transaction, refs: Sequence[Ref]) -> dict[str, dict[str, str]]:
    """The tags of several refs, by ref."""
    found: dict[str, dict[str, str]] = {str(ref): {} for ref in refs}
    query = sa.select(catalog_tags).where(catalog_tags.c.ref.in_(list(found)))
    for row in tx.execute(query.order_by(catalog_tags.c.key)):
        found[row.ref][row.key] = row.value
    return found


def depend(tx: Transaction, dependant: Ref, needs: Sequence[Ref]) -> None:
    """State that one ref cannot do without others. Stating it twice is the same as once."""
    d = catalog_dependencies.c
    known = set(tx.execute(sa.select(d.needs).where(d.dependant == str(dependant))).scalars())
    fresh = [
        {"dependant": str(dependant), "needs": str(need), "thing": str(need.whole)}
        for need in dict.fromkeys(needs)
        if str(need) not in known
    ]
    if fresh:
        tx.execute(catalog_dependencies.insert(), fresh)


def release(tx: Transaction, dependant: Ref) -> None:
    """The ref needs nothing any more."""
    tx.execute(catalog_dependencies.delete().where(catalog_dependencies.c.dependant == str(dependant)))


def dependants(tx: Transaction, ref: Ref) -> list[Ref]:
    """What depends on this ref (or, without a selector, on any version of it)."""
    d = catalog_dependencies.c
    which = d.thing == str(ref) if ref.selector is None else d.needs == str(ref)
    rows = tx.execute(sa.select(d.dependant).where(which).distinct().order_by(d.dependant))
    return [Ref.parse(text) for text in rows.scalars()]


def retire(tx: Transaction, ref: Ref, successor: Ref | None) -> Version:
    """Take a version out of use for good; its tombstone names the successor. `Conflict` if it is retired already."""
    version = get(tx, ref)
    if version.state is State.RETIRED:
        raise Conflict(f"{version.ref} is retired already.")
    if version.aliases:
        held = ", ".join(f"@{alias}" for alias in version.aliases)
        raise InUse(f"{version.ref} still carries {held}.", mend="Move the alias first.")
    key = (_v.kind == ref.kind, _v.name == ref.name, _v.version == version.ref.version)
    to = None if successor is None else str(resolve(tx, successor))
    tx.execute(catalog_versions.update().where(*key).values(state=State.RETIRED, successor=to))
    touch(tx, version.ref)
    return get(tx, version.ref)


def delete(tx: Transaction, ref: Ref) -> Version:
    """Delete one version. `InUse` names every dependant and alias; its number is never given out again.

    `Refused` where a legal hold stands on it.
    """
    version = get(tx, ref)
    holds.refuse_version(tx, version.ref)
    held = [f"alias @{alias}" for alias in version.aliases] + [str(r) for r in dependants(tx, version.ref)]
    if held:
        raise InUse(
            f"{version.ref} cannot be deleted: {', '.join(held)} depend{'s' if len(held) == 1 else ''} on it.",
            mend="Retire it instead, or delete what depends on it first.",
            details={"dependants": held},
        )
    key = (_v.kind == ref.kind, _v.name == ref.name, _v.version == version.ref.version)
    tx.execute(catalog_versions.delete().where(*key))
    tx.execute(catalog_tags.delete().where(catalog_tags.c.ref == str(version.ref)))
    release(tx, version.ref)
    touch(tx, version.ref.whole)
    return version


def bury(tx: Transaction, ref: Ref, record: Any) -> Version:
    """Leave a tombstone where a version was: number and digest stay, and whatever points at it; `record` is what is left.

    It is retired by that. `Refused` where a legal hold stands on it.
    """
    version = get(tx, ref)
    holds.refuse_version(tx, version.ref)
    key = (_v.kind == ref.kind, _v.name == ref.name, _v.version == version.ref.version)
    tx.execute(catalog_versions.update().where(*key).values(record=encode_text(record), state=State.RETIRED))
    touch(tx, version.ref)
    return version


def amend(tx: Transaction, ref: Ref, record: Any) -> None:
    """Replace what is kept of a version where that says the same in another way: its content and digest stay."""
    version = get(tx, ref)
    key = (_v.kind == ref.kind, _v.name == ref.name, _v.version == version.ref.version)
    tx.execute(catalog_versions.update().where(*key).values(record=encode_text(record)))


def touch(tx: Transaction, ref: Ref) -> None:
    """Something about a thing (or about one version of it, and so about the thing) has changed now."""
    tx.execute(catalog_things.update().where(_t.kind == ref.kind, _t.name == ref.name).values(changed_at=tx.stamp))
    if ref.version is not None:
        key = (_v.kind == ref.kind, _v.name == ref.name, _v.version == ref.version)
        tx.execute(catalog_versions.update().where(*key).values(changed_at=tx.stamp))


def describe(tx: Transaction, ref: Ref, description: str) -> None:
    """Replace the description of a version, or (without a selector) of the thing. Leaves no event of its own."""
    if ref.version is None:
        tx.execute(catalog_things.update().where(_t.kind == ref.kind, _t.name == ref.name).values(description=description))
    else:
        key = (_v.kind == ref.kind, _v.name == ref.name, _v.version == ref.version)
        tx.execute(catalog_versions.update().where(*key).values(description=description))
    touch(tx, ref)


def versions_of(tx: Transaction, rows: Sequence[Any]) -> list[Version]:
    """Rows of `catalog_versions`, all of one kind, as records: for a room's own queries."""
    return _version(tx, rows)


def _single(tx: Transaction, row: Any) -> Version:
    """`_version` of one row, as nearly everything asks for."""
    ref = Ref(row.kind, row.name, row.version)
    aliases = _ALIASES.run(tx.connection, kind=row.kind, name=row.name, version=row.version)
    return _read(ref, row, dict(_TAGS.run(tx.connection, ref=str(ref)).fetchall()), [alias for (alias,) in aliases])


def _version(tx: Transaction, rows: Sequence[Any]) -> list[Version]:
    refs = [Ref(r.kind, r.name, r.version) for r in rows]
    tags = tags_of(tx, refs) if refs else {}
    aliases: dict[Ref, list[str]] = {}
    if refs:
        names = {r.name for r in refs}
        query = sa.select(catalog_aliases).where(_a.kind == refs[0].kind, _a.name.in_(names)).order_by(_a.alias)
        for row in tx.execute(query):
            aliases.setdefault(Ref(row.kind, row.name, row.version), []).append(row.alias)
    return [_read(ref, row, tags[str(ref)], aliases.get(ref, [])) for ref, row in zip(refs, rows, strict=True)]


def _read(ref: Ref, row: Any, tags: dict[str, str], aliases: list[str]) -> Version:
    return Version(
        ref=ref,
        digest=row.digest,
        record=msgspec.json.decode(row.record),
        created_at=parse_time(row.created_at),
        created_by=row.created_by,
        description=row.description,
        state=State(row.state),
        successor=Ref.parse(row.successor) if row.successor else None,
        tags=tags,
        aliases=aliases,
        changed_at=parse_time(row.changed_at),
    )


def _narrow(tx: Transaction, query: Any, where: Filter, kind: Kind) -> Any:
    query = query.where(scopes.readable(tx, kind, _v.name))
    if where.under:
        query = query.where(scopes.under(_v.name, where.under))
    if where.text:
        pattern = where.text.lower()
        query = query.where(
            sa.or_(
                sa.func.lower(_v.name).contains(pattern, autoescape=True),
                sa.func.lower(_v.description).contains(pattern, autoescape=True),
            )
        )
    if where.state:
        query = query.where(_v.state == where.state)
    if where.since:
        query = query.where(_v.created_at >= isoformat(where.since))
    if where.until:
        query = query.where(_v.created_at < isoformat(where.until))
    g = catalog_tags.c
    for key, value in where.tags.items():
        ref = _v.kind + ":" + _v.name + "@" + sa.cast(_v.version, sa.String)
        query = query.where(sa.exists().where(g.ref == ref, g.key == key, g.value == value))
    return query


def _limit(where: Filter) -> int:
    if not 1 <= where.limit <= MAX_LIMIT:
        raise Invalid(f"A page holds 1 to {MAX_LIMIT} items, not {where.limit}.")
    return where.limit


def _not_found(tx: Transaction, ref: Ref) -> NotFound:
    import difflib

    may_read = scopes.readable(tx, ref.kind, _t.name)  # what it may not, nobody is told the name of
    names = tx.execute(sa.select(_t.name).where(_t.kind == ref.kind, may_read).limit(1000)).scalars().all()
    if ref.name in names:
        versions = tx.execute(sa.select(_v.version).where(_v.kind == ref.kind, _v.name == ref.name)).scalars().all()
        aliases = tx.execute(sa.select(_a.alias).where(_a.kind == ref.kind, _a.name == ref.name)).scalars().all()
        if not versions:
            return NotFound(f"{ref.whole} has no version now: none was added yet, or every one was deleted.")
        has = f"versions {min(versions)} to {max(versions)}" if len(versions) > 1 else f"version {versions[0]}"
        also = f" and the aliases {', '.join(aliases)}" if aliases else ""
        what = f"{DIGEST_PREFIX}{ref.digest}" if ref.digest else ref.selector
        return NotFound(f"{ref.whole} has no {what!r}; it has {has}{also}.")
    near = difflib.get_close_matches(ref.name, names, n=3)
    return NotFound(
        f"There is no {ref.kind.noun} named {ref.name!r}.",
        mend=f"Did you mean {' or '.join(near)}?" if near else f"See what there is: mw list {ref.kind.value}",
    )
