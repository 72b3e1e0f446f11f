"""The nouns of contracts: the promise, its versions, and how two of them differ. Pure."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import msgspec

from modelwright.core.errors import Invalid, NotFound
from modelwright.core.refs import Ref
from modelwright.core.wire import convert
from modelwright.datasets.checks import Declared, Freshness, Nulls, Types
from modelwright.store.records import State, Version


class PromisedColumn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A column that will be there, with this type (Arrow's name, or int, float, text, bool, date, time)."""

    name: str
    type: str
    nullable: bool = True  # False: no value is ever missing
    description: str = ""


class Contract(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a producer promises of every version of a dataset. Further columns may be there; nobody may count on them."""

    owner: str  # who answers for it
    columns: list[PromisedColumn] = []
    checks: list[Declared] = []
    fresh: str = ""  # how old the newest event may be when a version is added: "36h"; by the dataset's time column
    consumers: list[str] = []  # who reads it: refs (`features:weather`), or people and teams by name
    description: str = ""

    @property
    def names(self) -> list[str]:
        """The promised columns."""
        return [column.name for column in self.columns]

    @property
    def asked(self) -> list[Declared]:
        """Everything that is promised, as checks."""
        found: list[Declared] = []
        if self.columns:
            found.append(Types(columns={column.name: column.type for column in self.columns}, name="promised columns"))
        found += [Nulls(column=c.name, name=f"promised values of {c.name}") for c in self.columns if not c.nullable]
        if self.fresh:
            found.append(Freshness(max_age=self.fresh, name="promised freshness"))
        return [*found, *self.checks]


class ContractVersion(Contract, frozen=True, kw_only=True):
    """One immutable version of a contract: `contract:flights@2` is what holds of `dataset:flights`."""

    ref: Ref
    dataset: Ref
    digest: str
    created_at: datetime
    created_by: str
    state: State = State.ACTIVE
    successor: Ref | None = None
    tags: dict[str, str] = {}
    aliases: list[str] = []

    @classmethod
    def of(cls, version: Version) -> ContractVersion:
        """From the catalog's version."""
        promise = promise_of(version)
        about = {
            name: getattr(version, name)
            for name in ("ref", "digest", "created_at", "created_by", "state", "successor", "tags", "aliases")
        }
        promised = {name: getattr(promise, name) for name in promise.__struct_fields__}
        return cls(**about, **promised, dataset=Ref("dataset", version.ref.name))


class ContractChange(msgspec.Struct, frozen=True, kw_only=True):
    """One difference, as a sentence, and whether somebody who counted on the contract before it is let down."""

    what: str
    breaking: bool = False


class ContractDiff(msgspec.Struct, frozen=True, kw_only=True):
    """What one version of a contract promises otherwise than another."""

    before: Ref
    after: Ref
    changes: list[ContractChange] = []

    @property
    def breaking(self) -> list[ContractChange]:
        """Those that break what was promised."""
        return [change for change in self.changes if change.breaking]


def promise_of(version: Version) -> Contract:
    """The promise in a version's record."""
    found: Contract = convert(version.record, Contract)
    return found


def load_contract(path: Path) -> Contract:
    """Read a contract from TOML: its fields, `[[column]]` and `[[check]]` tables; `Invalid` says what is wrong."""
    import tomllib
    from difflib import get_close_matches

    try:
        document = tomllib.loads(path.read_text())
    except FileNotFoundError:
        raise NotFound(f"There is no file {path}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Invalid(f"{path} is not TOML: {error}.") from None
    fields = {"column", "check", *Contract.__struct_fields__} - {"columns", "checks"}
    for unknown in document.keys() - fields:
        near = get_close_matches(unknown, fields, 1)
        raise Invalid(
            f"{path}: a contract has no {unknown!r}.",
            mend=f"Did you mean {near[0]}?" if near else f"It has {', '.join(sorted(fields))}.",
        )
    document["columns"], document["checks"] = document.pop("column", []), document.pop("check", [])
    try:
        found: Contract = convert(document, Contract)
    except Invalid as error:
        raise Invalid(f"{path}: {error.message}", mend=error.mend) from None
    return found
