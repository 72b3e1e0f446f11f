"""Whether views may be used for a purpose, and of whom: asked before a training set is built or features are read."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

import msgspec

from modelwright.core.refs import Ref
from modelwright.features.masks import feature_masks
from modelwright.features.records import ViewRecord

if TYPE_CHECKING:
    import pyarrow as pa

    from modelwright.datasets import Datasets
    from modelwright.store import Transaction


class Consent(msgspec.Struct, frozen=True, kw_only=True):
    """Of a dataset version, only the rows whose subject agrees may be used: by their latest answer."""

    source: Ref
    column: str
    subject: str
    time_column: str | None = None


class Admitted(msgspec.Struct, frozen=True, kw_only=True):
    """What a use of some views comes to."""

    consents: list[Consent] = []
    masks: dict[str, str] = {}  # the features that whoever asked reads masked
    personal: list[Ref] = []  # the views whose keys or features are about people, whoever asks


def about(datasets: Datasets, tx: Transaction, record: ViewRecord) -> tuple[dict[str, list[str]], dict[str, str]]:
    """The classes of a view's features, which are those of the columns behind them, and what the caller reads masked."""
    version = datasets.known(tx, record.source)
    classes: dict[str, list[str]] = {}
    for name, behind in record.origins.items():
        tags = {each.tag for column in behind for each in version.classes_of(column)}
        if tags:
            classes[name] = sorted(tags)
    return classes, feature_masks(record.view, record.origins, {each.column: each.mask for each in version.masks})


def weigh(datasets: Datasets, tx: Transaction, record: ViewRecord, source: Ref, purpose: str) -> tuple[list[str], Admitted]:
    """Why a view may not be used for a purpose, computed from a dataset version, and what the use comes to if it may."""
    columns = sorted({column for behind in record.origins.values() for column in behind})
    version = datasets.known(tx, source)
    reasons = list(datasets.reasons_against(tx, version, columns, purpose))
    consents = [
        Consent(source=version.ref, column=each.consent, subject=each.subject, time_column=version.time_column)
        for each in datasets.consents(tx, version.ref, columns)
    ]
    masked = {each.column: each.mask for each in version.masks}
    about_people = any(each.masked for column in columns for each in version.classes_of(column))
    return reasons, Admitted(
        consents=consents,
        masks=feature_masks(record.view, record.origins, masked),
        personal=[record.view.ref] if about_people else [],
    )


def agreeing(table: pa.Table, consents: Sequence[Consent]) -> Any:
    """The rows whose subjects agree: whose latest answer, by time and then by place, is yes. No answer is a no.

    An answer of which nobody knows when it was given is earlier than any other.
    """
    from modelwright.store import analytics  # with DuckDB

    for each in consents:
        quoted = ['"' + name.replace('"', '""') + '"' for name in (each.column, each.subject, each.time_column or "")]
        consent, subject, time = quoted
        turn = f'row_number() OVER (ORDER BY {time} NULLS FIRST, "#place")' if each.time_column else '"#place"'
        with closing(analytics.locked()) as connection:
            connection.register("given", table)
            kept = connection.sql(
                f"""
                WITH numbered AS (SELECT *, row_number() OVER () AS "#place" FROM given),
                turns AS (SELECT *, {turn} AS "#turn" FROM numbered),
                said AS (
                    SELECT {subject} AS "#who", arg_max(coalesce({consent}, FALSE), "#turn") AS "#yes"
                    FROM turns GROUP BY {subject})
                SELECT "#place" - 1 AS "#at" FROM numbered JOIN said ON {subject} = "#who" WHERE "#yes" ORDER BY "#place"
                """
            ).to_arrow_table()
        table = table.take(kept["#at"])
    return table
