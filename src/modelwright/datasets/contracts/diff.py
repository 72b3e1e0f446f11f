"""How two versions of a contract differ, and what of that breaks a promise. Pure.

Whoever reads a dataset by its contract counts on what it says. To promise more never lets them down; to promise less, or
something else, does. Of two checks of one name it is not computed which is the stricter: another one is a break.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from modelwright.core.errors import Invalid
from modelwright.core.refs import Ref
from modelwright.core.wire import to_plain
from modelwright.datasets.checks import Declared
from modelwright.datasets.contracts.records import Contract, ContractChange, ContractDiff
from modelwright.datasets.durations import duration


def compare(before: tuple[Ref, Contract], after: tuple[Ref, Contract]) -> ContractDiff:
    """What the second promises otherwise, breaks first."""
    (old_ref, old), (new_ref, new) = before, after
    changes = [*_columns(old, new), *_checks(old, new), *_freshness(old, new), *_words(old, new)]
    return ContractDiff(before=old_ref, after=new_ref, changes=sorted(changes, key=lambda each: not each.breaking))


def check_sense(contract: Contract) -> None:
    """`Invalid` if it promises nothing, one column twice, or a type that there is not."""
    from modelwright.datasets.types import arrow_type

    if not contract.owner.strip():
        raise Invalid("A contract has an owner: somebody who answers for it.", mend='owner = "..."')
    if not contract.asked:
        raise Invalid("The contract promises nothing.", mend="Name columns, checks, or how fresh the data are.")
    twice = sorted({name for name in contract.names if contract.names.count(name) > 1})
    if twice:
        raise Invalid(f"The column {twice[0]!r} is promised twice.")
    titles = [check.title for check in contract.asked]
    alike = sorted({title for title in titles if titles.count(title) > 1})
    if alike:
        raise Invalid(f"Two checks are named {alike[0]!r}.", mend='Give one of them a name: name = "..."')
    if contract.fresh:
        duration(contract.fresh)
    for column in contract.columns:
        if not set("<[(") & set(column.type):  # what has parts is compared as it is written
            arrow_type(column.type)


def _columns(old: Contract, new: Contract) -> Iterator[ContractChange]:
    before, after = ({column.name: column for column in each.columns} for each in (old, new))
    for name, column in before.items():
        if name not in after:
            yield ContractChange(what=f"column {name} is no longer promised", breaking=True)
            continue
        now = after[name]
        if column.type != now.type:
            yield ContractChange(what=f"column {name} is {now.type}, and was {column.type}", breaking=True)
        if now.nullable and not column.nullable:
            yield ContractChange(what=f"column {name} may have missing values", breaking=True)
        if column.nullable and not now.nullable:
            yield ContractChange(what=f"column {name} never has a missing value")
        if column.description != now.description:
            yield ContractChange(what=f"column {name} is described otherwise")
    for name in after.keys() - before.keys():
        yield ContractChange(what=f"column {name} ({after[name].type}) is promised")


def _checks(old: Contract, new: Contract) -> Iterator[ContractChange]:
    before, after = ({check.title: check for check in each.checks} for each in (old, new))
    for title, check in before.items():
        if title not in after:
            yield ContractChange(what=f"check {title} is no longer made", breaking=True)
        elif check != after[title]:
            yield ContractChange(what=f"check {title} is another: {_fields(check, after[title])}", breaking=True)
    for title in after.keys() - before.keys():
        yield ContractChange(what=f"check {title} is made")


def _fields(old: Declared, new: Declared) -> str:
    one: dict[str, Any] = to_plain(old)
    other: dict[str, Any] = to_plain(new)
    named = [name for name in one | other if one.get(name) != other.get(name)]
    return ", ".join(f"{name} {one.get(name)} → {other.get(name)}" for name in named)


def _freshness(old: Contract, new: Contract) -> Iterator[ContractChange]:
    if old.fresh == new.fresh:
        return
    if not new.fresh:
        yield ContractChange(what="how fresh the data are is no longer promised", breaking=True)
        return
    said = f"the newest event is at most {new.fresh} old"
    later = bool(old.fresh) and duration(new.fresh) > duration(old.fresh)
    yield ContractChange(what=f"{said}, and was {old.fresh}" if old.fresh else said, breaking=later)


def _words(old: Contract, new: Contract) -> Iterator[ContractChange]:
    for field in ("owner", "description"):
        if getattr(old, field) != getattr(new, field):
            yield ContractChange(what=f"{field}: {getattr(old, field) or 'none'} → {getattr(new, field) or 'none'}")
    for name in sorted(set(old.consumers) - set(new.consumers)):
        yield ContractChange(what=f"{name} is no longer a consumer")
    for name in sorted(set(new.consumers) - set(old.consumers)):
        yield ContractChange(what=f"{name} is a consumer")
