"""Large files of CSV read block by block, as long as the blocks come to the same as the file would as a whole.

Where they may not (types that differ between blocks, a value over several lines, a quotation mark where none belongs, text
that may be broken numbers, any error), the file is `Irregular`, and for `read_csv`, which reads it as a whole, and tells.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from modelwright.datasets.csv import EXACT, doubtful, is_inexact, parse
from modelwright.datasets.records import CsvFormat
from modelwright.datasets.types import TypePlan

LARGE: Final = 64 << 20  # bytes of a file that is read so
_BLOCK: Final = 16 << 20
_QUOTE, _LINE, _RETURN = ord('"'), ord("\n"), ord("\r")


class Irregular(Exception):
    """A file that has to be read as a whole."""


def read_blocks(path: Path, plan: TypePlan, form: CsvFormat, *, size: int = _BLOCK) -> Iterator[Any]:
    """The rows of a file as tables, each with the types of its own values; `Irregular`, at any time, if it is that."""
    names: list[str] | None = None
    with path.open("rb") as file:
        rest = b""
        while data := file.read(size):
            block = rest + data
            end = block.rfind(b"\n") + 1
            if not end:
                raise Irregular
            block, rest = block[:end], block[end:]
            table = _table(block, names, plan, form)
            names = table.column_names
            yield table
        if rest.strip():
            yield _table(rest, names, plan, form)


def agreed(schemas: Sequence[Any]) -> Any:
    """The types of a file whose blocks have these; `Irregular` where only a look at all of it can tell."""
    found = []
    for name in schemas[0].names:
        kinds = {schema.field(name).type for schema in schemas} - {pa.null()}
        if kinds == {pa.int64(), pa.float64()}:
            kinds = {pa.float64()}
        if len(kinds) > 1:
            raise Irregular
        found.append((name, kinds.pop() if kinds else pa.null()))
    return pa.schema(found)


def _table(block: bytes, names: Sequence[str] | None, plan: TypePlan, form: CsvFormat) -> Any:
    _refuse_odd_quotes(block, form)
    try:
        table = parse(pa.BufferReader(block), plan, form, threads=True, names=names)
    except pa.ArrowInvalid:
        raise Irregular from None
    if table.num_columns == 1:  # perhaps another character separates them
        raise Irregular
    for name, column in zip(table.column_names, table.columns, strict=True):
        if name in plan.for_text:
            continue
        if pa.types.is_binary(column.type) or is_inexact(column) or (pa.types.is_string(column.type) and doubtful(column)):
            raise Irregular
        if column.type == pa.int64():
            ends = pc.min_max(column).as_py()
            if ends["min"] is not None and max(-ends["min"], ends["max"]) > EXACT:
                raise Irregular  # unless all are whole numbers, which is not known here
    return table


def _refuse_odd_quotes(block: bytes, form: CsvFormat) -> None:
    """`Irregular` unless quotation marks open and close fields, or stand doubled in them, and each within its line."""
    if b'"' not in block:
        return
    content = np.frombuffer(block, np.uint8)
    places = np.flatnonzero(content == _QUOTE)
    if len(places) % 2:
        raise Irregular
    before, after = places[0::2] - 1, places[1::2] + 1
    around = np.zeros(256, np.bool_)
    around[[_QUOTE, _LINE, _RETURN, form.delimiter.encode()[0]]] = True
    lines = np.flatnonzero(content == _LINE)
    if not (
        around[content[before[before >= 0]]].all()
        and around[content[after[after < len(content)]]].all()
        and not (np.searchsorted(places, lines) % 2).any()
    ):
        raise Irregular
