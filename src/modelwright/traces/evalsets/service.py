"""The service: what can be done with evaluation sets."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import msgspec
import sqlalchemy as sa

from modelwright.core.errors import Invalid
from modelwright.core.hashing import digest_bytes, digest_value
from modelwright.core.names import path_for
from modelwright.core.operations import Caller, Resource, Room, operation
from modelwright.core.refs import Kind, Ref
from modelwright.core.wire import encode, encode_text
from modelwright.experiments import Experiments
from modelwright.store import Transaction
from modelwright.traces.evalsets import queries
from modelwright.traces.evalsets.records import (
    MAX_EXAMPLE,
    MAX_MERGED,
    MAX_TITLE,
    EvaluationSet,
    EvaluationSetPage,
    ExampleGiven,
    ExamplePage,
    Merged,
    fields_of,
    merged,
)
from modelwright.traces.evalsets.tables import evalsets, example_of, examples, homes, tags
from modelwright.traces.queries import readable

PIECE = 400  # rows in one statement
MAX_KEY, MAX_VALUE = 250, 8000  # characters of a tag's

_e, _x = evalsets.c, examples.c


class EvaluationSets(Room):
    """Sets of examples: what goes in and what should come out.

    The right to a set is asked on the path of its title, as for a dataset: `evalset:pricing/*`. To lay one beside an
    experiment takes the right to read that as well.
    """

    room: ClassVar[str] = "evaluation_sets"
    kind: ClassVar[Kind] = Kind.EVALSET

    def __init__(self, caller: Caller, *, experiments: Experiments) -> None:
        super().__init__(caller)
        self._experiments = experiments

    def resource_of(self, tx: Any, ref: Ref) -> Resource:
        """The path of its title stands for the set."""
        return Resource(Kind.EVALSET, path_for(queries.row(tx, ref).title))

    def resource_named(self, tx: Any, parameter: str, value: str) -> Resource:
        """A set by its title."""
        return Resource(Kind.EVALSET, path_for(value))

    @operation("write", event="evaluation_sets.set.created", on="title")
    def create(
        self,
        tx: Transaction,
        title: str,
        *,
        experiments: Sequence[Ref] = (),
        tags: Mapping[str, str] = {},
        reason: str = "",
    ) -> EvaluationSet:
        """Make an evaluation set, laid beside experiments. A title may occur twice: the id tells sets apart."""
        if not title.strip() or len(title) > MAX_TITLE or "\x00" in title:
            raise Invalid(f"The title of an evaluation set has 1 to {MAX_TITLE} characters.")
        ref = Ref(Kind.EVALSET, f"d-{secrets.token_hex(16)}")
        stamps = {"created_at": tx.stamp, "created_by": tx.principal.id}
        stamps |= {"updated_at": tx.stamp, "updated_by": tx.principal.id}
        row = {"id": ref.name, "title": title, "digest": digest_value([]), "fields": "{}", **stamps}
        key = int(tx.execute(evalsets.insert().values(row).returning(_e.key)).scalar_one())
        self._place(tx, key, experiments)
        self._tag(tx, key, tags)
        tx.note(resource=ref, after={"title": title})
        return queries.one(tx, ref)

    @operation("read")
    def show(self, tx: Transaction, ref: Ref) -> EvaluationSet:
        """Show one evaluation set, without its examples."""
        return queries.one(tx, ref)

    @operation("read", on="")
    def search(
        self,
        tx: Transaction,
        *,
        experiments: Sequence[Ref] | None = None,
        where: str = "",
        order_by: Sequence[str] = (),
        limit: int = 100,
        after: str | None = None,
    ) -> EvaluationSetPage:
        """Find evaluation sets, the newest first. Filters know name, created_by, created_time, tags and the like."""
        numbers = None if experiments is None else readable(tx, experiments)
        return queries.search(tx, numbers, where, order_by, limit, after)

    @operation("read")
    def examples(self, tx: Transaction, ref: Ref, *, limit: int = 1000, after: str | None = None) -> ExamplePage:
        """Read the examples of a set, in the order in which they were added."""
        return queries.page_of_examples(tx, queries.row(tx, ref).key, limit, after)

    @operation("write", event="evaluation_sets.examples.merged")
    def merge(self, tx: Transaction, ref: Ref, given: Sequence[ExampleGiven], *, reason: str = "") -> Merged:
        """Add examples. One of the same inputs as another replaces its outputs, and adds to its expectations and tags.

        The event carries the digest of the set before and after.
        """
        if len(given) > MAX_MERGED:
            raise Invalid(f"At most {MAX_MERGED} examples are added at once, not {len(given)}.")
        row = queries.row(tx, ref)
        new: dict[str, ExampleGiven] = {}
        for each in given:
            name = digest_value(each.inputs)
            new[name] = merged(new[name], each) if name in new else each
        held = self._held(tx, row.key, list(new))
        now, who = int(tx.now.timestamp() * 1000), tx.principal.id
        added, changed = [], 0
        for name, example in new.items():
            before = held.get(name)
            if before is None:
                content = _content(example)
                stamps = {"created": now, "updated": now, "created_by": who, "updated_by": who}
                ids = {"evalset": row.key, "id": f"dr-{secrets.token_hex(16)}", "inputs": name}
                added.append({**ids, "digest": digest_bytes(content.encode()), "content": content, **stamps})
                continue
            was = example_of(before)
            kept = ExampleGiven(
                inputs=was.inputs, outputs=was.outputs, expectations=was.expectations, tags=was.tags, source=was.source
            )
            content = _content(merged(kept, example))
            values = {"content": content, "digest": digest_bytes(content.encode()), "updated": now, "updated_by": who}
            tx.execute(examples.update().where(_x.key == before.key).values(**values))
            changed += 1
        if added:
            tx.execute(examples.insert(), added)
        fields = fields_of(_fields(row), list(new.values()))
        self._changed(tx, ref, row, fields=encode_text(fields))
        return Merged(added=len(added), changed=changed)

    @operation("write", event="evaluation_sets.examples.dropped")
    def drop(self, tx: Transaction, ref: Ref, ids: Sequence[str], *, reason: str = "") -> int:
        """Take examples out of a set; returns how many there were."""
        row = queries.row(tx, ref)
        count = 0
        for at in range(0, len(ids), PIECE):
            mine = (_x.evalset == row.key, _x.id.in_(ids[at : at + PIECE]))
            count += tx.execute(examples.delete().where(*mine)).rowcount
        if count:
            self._changed(tx, ref, row)
        else:
            tx.unchanged()
        return count

    @operation("write", event="evaluation_sets.set.tagged")
    def tag(self, tx: Transaction, ref: Ref, new: Mapping[str, str | None], *, reason: str = "") -> EvaluationSet:
        """Set tags; None takes one away."""
        row = queries.row(tx, ref)
        gone = [key for key, value in new.items() if value is None]
        tx.execute(tags.delete().where(tags.c.evalset == row.key, tags.c.key.in_(gone)))
        self._tag(tx, row.key, {key: value for key, value in new.items() if value is not None})
        tx.note(resource=ref, after={"tags": [f"{key}={value}" for key, value in new.items() if value is not None] + gone})
        return queries.one(tx, ref)

    @operation("write", event="evaluation_sets.set.placed")
    def place(
        self, tx: Transaction, ref: Ref, *, beside: Sequence[Ref] = (), away: Sequence[Ref] = (), reason: str = ""
    ) -> EvaluationSet:
        """Lay a set beside experiments, and take it away from others."""
        row = queries.row(tx, ref)
        self._place(tx, row.key, beside)
        numbers = [self._experiments.experiment(each).id for each in away]
        tx.execute(homes.delete().where(homes.c.evalset == row.key, homes.c.experiment.in_(numbers)))
        tx.note(resource=ref, after={"beside": [str(each) for each in beside], "away": [str(each) for each in away]})
        return queries.one(tx, ref)

    @operation("erase", event="evaluation_sets.set.deleted")
    def delete(self, tx: Transaction, ref: Ref, *, reason: str = "") -> None:
        """Delete a set with its examples, for good."""
        row = queries.row(tx, ref)
        for table in (examples, tags, homes):
            tx.execute(table.delete().where(table.c.evalset == row.key))
        tx.execute(evalsets.delete().where(_e.key == row.key))
        tx.note(resource=ref, before={"title": row.title, "digest": row.digest})

    def _place(self, tx: Transaction, key: int, experiments: Sequence[Ref]) -> None:
        numbers = {self._experiments.experiment(each).id for each in experiments}
        if numbers:
            rows = [{"evalset": key, "experiment": number} for number in sorted(numbers)]
            tx.execute(tx.insert(homes).on_conflict_do_nothing(), rows)

    def _tag(self, tx: Transaction, key: int, new: Mapping[str, str]) -> None:
        for name, value in new.items():
            if not 0 < len(name) <= MAX_KEY or len(value) > MAX_VALUE or "\x00" in name + value:
                raise Invalid(f"A tag has a key of 1 to {MAX_KEY} and a value of at most {MAX_VALUE} characters.")
        if new:
            insert = tx.insert(tags)
            replacing = insert.on_conflict_do_update(
                index_elements=[tags.c.evalset, tags.c.key], set_={"value": insert.excluded.value}
            )
            tx.execute(replacing, [{"evalset": key, "key": name, "value": value} for name, value in new.items()])

    def _held(self, tx: Transaction, key: int, names: Sequence[str]) -> dict[str, Any]:
        found = {}
        for at in range(0, len(names), PIECE):
            query = sa.select(examples).where(_x.evalset == key, _x.inputs.in_(names[at : at + PIECE]))
            found.update({each.inputs: each for each in tx.execute(query)})
        return found

    def _changed(self, tx: Transaction, ref: Ref, row: Any, **values: Any) -> None:
        """Write down that the examples of a set are others now."""
        digests = tx.execute(sa.select(_x.digest).where(_x.evalset == row.key).order_by(_x.inputs)).scalars().all()
        digest = digest_value(list(digests))
        stamps = {"updated_at": tx.stamp, "updated_by": tx.principal.id, "digest": digest}
        tx.execute(evalsets.update().where(_e.key == row.key).values(**stamps, **values))
        tx.note(resource=ref, before={"digest": row.digest}, after={"digest": digest, "examples": len(digests)})


def _content(example: ExampleGiven) -> str:
    content = encode(example)
    if len(content) > MAX_EXAMPLE:
        raise Invalid(f"An example has at most {MAX_EXAMPLE} bytes as JSON, not {len(content)}.")
    return content.decode()


def _fields(row: Any) -> dict[str, Any]:
    return msgspec.json.decode(row.fields, type=dict[str, Any])
