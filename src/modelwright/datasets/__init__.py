"""Datasets: versions of tables and of files, what is in them, what must hold of them, and how two of them differ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from modelwright.core.later import on_demand

if TYPE_CHECKING:
    from modelwright.datasets.ancestry import ancestors
    from modelwright.datasets.checks import (
        Check,
        Distribution,
        Expression,
        Freshness,
        Function,
        Measure,
        Nulls,
        Pattern,
        Range,
        References,
        RowCount,
        Severity,
        Types,
        Unique,
        Values,
        load_checks,
    )
    from modelwright.datasets.contracts.records import (
        Contract,
        ContractDiff,
        ContractVersion,
        PromisedColumn,
        load_contract,
    )
    from modelwright.datasets.contracts.service import Contracts
    from modelwright.datasets.lakes.access import DatasetSettings
    from modelwright.datasets.lakes.records import Lake
    from modelwright.datasets.pruning import objects_of
    from modelwright.datasets.records import (
        CheckReport,
        CheckResult,
        ColumnProfile,
        CsvFormat,
        DatasetColumn,
        DatasetDiff,
        DatasetFile,
        DatasetMerge,
        DatasetRecord,
        DatasetVersion,
        Keeping,
        LakeTable,
        MergeConflict,
        Part,
        Profile,
        Pruned,
        Query,
        TimeRange,
        Tombstone,
    )
    from modelwright.datasets.service import Datasets

__all__ = [
    "Check",
    "CheckReport",
    "CheckResult",
    "ColumnProfile",
    "Contract",
    "ContractDiff",
    "ContractVersion",
    "Contracts",
    "CsvFormat",
    "DatasetColumn",
    "DatasetDiff",
    "DatasetFile",
    "DatasetMerge",
    "DatasetRecord",
    "DatasetSettings",
    "DatasetVersion",
    "Datasets",
    "Distribution",
    "Expression",
    "Freshness",
    "Function",
    "Keeping",
    "Lake",
    "LakeTable",
    "Measure",
    "MergeConflict",
    "Nulls",
    "Part",
    "Pattern",
    "Profile",
    "PromisedColumn",
    "Pruned",
    "Query",
    "Range",
    "References",
    "RowCount",
    "Severity",
    "TimeRange",
    "Tombstone",
    "Types",
    "Unique",
    "Values",
    "ancestors",
    "load_checks",
    "load_contract",
    "objects_of",
]

_HOMES: Final = {
    "ancestry": ("ancestors",),
    "checks": (
        "Check",
        "Distribution",
        "Expression",
        "Freshness",
        "Function",
        "Measure",
        "Nulls",
        "Pattern",
        "Range",
        "References",
        "RowCount",
        "Severity",
        "Types",
        "Unique",
        "Values",
        "load_checks",
    ),
    "contracts.records": (
        "Contract",
        "ContractDiff",
        "ContractVersion",
        "PromisedColumn",
        "load_contract",
    ),
    "contracts.service": ("Contracts",),
    "lakes.access": ("DatasetSettings",),
    "lakes.records": ("Lake",),
    "pruning": ("objects_of",),
    "records": (
        "CheckReport",
        "CheckResult",
        "ColumnProfile",
        "CsvFormat",
        "DatasetColumn",
        "DatasetDiff",
        "DatasetFile",
        "DatasetMerge",
        "DatasetRecord",
        "DatasetVersion",
        "Keeping",
        "LakeTable",
        "MergeConflict",
        "Part",
        "Profile",
        "Pruned",
        "Query",
        "TimeRange",
        "Tombstone",
    ),
    "service": ("Datasets",),
}  # where each name is: a command pays only for what it uses


__getattr__ = on_demand(__name__, {name: home for home, names in _HOMES.items() for name in names})
