"""Reading CSV strictly: every row has every field, every field fits its column's type, or nothing is read.

Types that are not declared are inferred from all rows, not from the first ones. A column that is numbers, or times, but for
a few stray values is taken to be broken, rather than quietly made text; so is one of times of which some have a zone.
"""

from __future__ import annotations

import math
import re
import shlex
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from modelwright.core.errors import Invalid
from modelwright.datasets.records import CsvFormat
from modelwright.datasets.types import TypePlan, arrow_type, check_names

STRAY_SHARE = 0.05  # a text column where at most this share is not a number (or time) is a broken column of numbers (times)
SHOWN = 120  # characters of a broken row that a message quotes
LINES = 5  # that a message names
SAMPLED = 1000  # values that are looked at first
LIKELY = 0.8  # of them, where all of the column may be within the share of strays
_LIMIT = threading.Lock()
OTHERS = ";\t|"  # what separates fields where it is no comma
HEADS = 20  # lines that are looked at for that

EXACT = 1 << 53  # up to here every whole number is one of floating point
_MANY_DIGITS = r"^\s*[+-]?\d{16,300}\s*$"
_NUMBER = r"^\s*[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?\s*$"
_DAY, _CLOCK = r"^\d{4}-\d{2}-\d{2}", r"[T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?"
_ZONED = _DAY + _CLOCK + r"(Z|[+-]\d{2}:?\d{2})$"
_UNZONED = f"{_DAY}({_CLOCK})?$"
_RAGGED = re.compile(r"Row #(\d+): Expected (\d+) columns, got (\d+)")
_UNCONVERTIBLE = re.compile(r"In CSV column #(\d+): Row #(\d+): CSV conversion error to ([^:]+): (.*)", re.DOTALL)


def read_csv(path: Path, plan: TypePlan, form: CsvFormat) -> Any:
    """Read one file into an Arrow table, or raise `Invalid` with the file, the line, the column and the row."""
    _refuse_wide(path)
    try:
        table = parse(path, plan, form, threads=True)
    except pa.ArrowInvalid as error:
        if "straddling" in str(error):  # a row that is longer than what Arrow looks at together
            _refuse_open_quotes(path, None, form)
        raise _otherwise(path, form) or _broken(path, plan, form, error) from None
    if table.num_columns == 1 and (other := _otherwise(path, form)):
        raise other
    check_names(table.column_names, plan.declared, str(path))
    _refuse_open_quotes(path, table, form)
    for name in table.column_names:
        if name in plan.for_text:
            continue
        if pa.types.is_binary(table.schema.field(name).type):
            raise _not_utf8(path, name)
        if is_inexact(table[name]):
            _refuse_lost_digits(path, table, name, form)
        if pa.types.is_string(table.schema.field(name).type):
            _refuse_strays(path, table, name, form)
    return table


def parse(source: Any, plan: TypePlan, form: CsvFormat, *, threads: bool, names: Sequence[str] | None = None) -> Any:
    """What Arrow reads of a file, or of a part of one, which has a header unless `names` are given."""
    return csv.read_csv(
        source,
        read_options=csv.ReadOptions(use_threads=threads, column_names=names),
        parse_options=csv.ParseOptions(delimiter=form.delimiter, newlines_in_values=True),
        convert_options=csv.ConvertOptions(
            column_types={name: arrow_type(kind) for name, kind in plan.for_text.items()},
            null_values=list(form.missing),
            strings_can_be_null=True,
            quoted_strings_can_be_null=True,
            decimal_point=form.decimal_point,
        ),
    )


def _refuse_wide(path: Path) -> None:
    """`Invalid` for text of two bytes a letter, which Arrow would take apart at its zeros."""
    with path.open("rb") as file:
        if file.read(2) in (b"\xff\xfe", b"\xfe\xff"):
            raise Invalid(
                f"{path} is UTF-16, not UTF-8.", mend=f"Convert it first: iconv -f utf-16 -t utf-8 {shlex.quote(str(path))}"
            )


def _otherwise(path: Path, form: CsvFormat) -> Invalid | None:
    """The error of a file whose first lines another character separates, each into as many fields."""
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        lines = [line for line, _ in zip(file, range(HEADS), strict=False) if line.strip()]
    if not lines or form.delimiter in lines[0]:
        return None
    counts = {other: {line.count(other) for line in lines} for other in OTHERS if other != form.delimiter}
    found = Counter({other: min(each) for other, each in counts.items() if len(each) == 1 and min(each)}).most_common(1)
    if not found:
        return None
    shown = repr(found[0][0])
    return Invalid(
        f"{path} has no {form.delimiter!r} in its header; its fields seem to be separated by {shown}.",
        mend=f"Say so: --delimiter ${shown}, csv=CsvFormat(delimiter={shown}); nothing was loaded.",
        details={"file": str(path), "line": 1},
    )


def _refuse_open_quotes(path: Path, table: Any, form: CsvFormat) -> None:
    """`Invalid` where a quotation mark opens a field and none closes it: all that follows would be the text of that field.

    Looked for where the file has an odd number of them, or a value goes over several lines; else it cannot be.
    """
    import csv as standard

    if table is not None and not _odd_quotes(path):
        texts = [table[name] for name in table.column_names if pa.types.is_string(table.schema.field(name).type)]
        if not any(pc.any(pc.match_substring(text, "\n")).as_py() for text in texts):
            return
    begins = 1
    with _fields(path, form, strict=True) as reader:
        try:
            for _ in reader:
                begins = reader.line_num + 1
        except standard.Error as error:
            open_to_the_end = "unexpected end" in str(error)
            last = reader.line_num
        else:
            return
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        text = next((line.rstrip("\r\n") for number, line in enumerate(file, 1) if number == begins), "")
    what = (
        "a quotation mark opens a field and none closes it"
        if open_to_the_end
        else f"a quotation mark opens a field, and what closes it in line {last} has text behind it"
    )
    raise _invalid(path, begins, "", what, text, f"Close it in line {begins}, or write it twice; nothing was loaded.")


def _odd_quotes(path: Path) -> bool:
    with path.open("rb") as file:
        return bool(sum(block.count(b'"') for block in iter(lambda: file.read(1 << 20), b"")) % 2)


@contextmanager
def _fields(path: Path, form: CsvFormat, *, strict: bool = False) -> Iterator[Any]:
    """The rows of a file as lists of fields, of any length, by the standard library: it knows in which line it is."""
    import csv as standard

    with _LIMIT:  # it is one for the whole process: who reads at the same time must not have it taken back
        limit = standard.field_size_limit(2**31 - 1)
        try:
            with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
                yield standard.reader(file, delimiter=form.delimiter, strict=strict)
        finally:
            standard.field_size_limit(limit)


def _broken(path: Path, plan: TypePlan, form: CsvFormat, error: Exception) -> Invalid:
    """The error with its place. Arrow counts rows only when it reads them in order, so the file is read once more."""
    try:
        parse(path, plan, form, threads=False)
    except pa.ArrowInvalid as located:
        error = located
    if ragged := _RAGGED.search(str(error)):
        row, expected, got = (int(group) for group in ragged.groups())
        line, fields, text = _row(path, form, row)
        header = _row(path, form, 1)[1]
        if got < expected:
            count = "1 field" if got == 1 else f"{got} fields"
            what = f"has {count} where the header has {expected}; the first that is missing is {header[got]!r}"
            column = header[got]
        else:
            what = f"has {got} fields where the header has {expected}: {fields[expected]!r} is beyond the last column"
            column = header[-1]
        return _invalid(path, line, column, what, text, f"Mend line {line} of the file; nothing was loaded.")
    if unconvertible := _UNCONVERTIBLE.search(str(error)):
        position, row = int(unconvertible[1]), int(unconvertible[2])
        line, fields, text = _row(path, form, row)
        column = _row(path, form, 1)[1][position]
        because = f" ({plan.reason(column)})" if plan.reason(column) else ""
        what = f"column {column!r} holds {fields[position]!r}, which is not {_article(unconvertible[3])}{because}"
        mend = f"Mend line {line}, or declare the column otherwise: types={{{column!r}: 'text'}}, "
        mend += f"--type {shlex.quote(column + '=text')}; nothing was loaded."
        return _invalid(path, line, column, what, text, mend)
    return Invalid(f"{path} cannot be read as CSV: {error}.", details={"file": str(path)})


def _refuse_strays(path: Path, table: Any, name: str, form: CsvFormat) -> None:
    """`Invalid` where a column became text, and is one of numbers or times with something wrong in it."""
    column = table[name]
    filled = len(column) - column.null_count
    if _likely(column, _NUMBER):
        _refuse_few(path, table, name, form, _matching(column, _NUMBER), filled, "numbers")
    if not _likely(column, _DAY):
        return
    zoned, unzoned = (_matching(column, each) for each in (_ZONED, _UNZONED))
    _refuse_few(path, table, name, form, pc.or_(zoned, unzoned), filled, "dates or times")
    with_zone, without = pc.sum(zoned).as_py() or 0, pc.sum(unzoned).as_py() or 0
    if not (with_zone and without and with_zone + without == filled):
        return
    fewer = unzoned if without <= with_zone else zoned
    places = pc.indices_nonzero(fewer)
    found = [_row(path, form, place.as_py() + 2) for place in places[:LINES]]
    lines = ", ".join(str(line) for line, _, _ in found) + (", ..." if len(places) > LINES else "")
    which = "without one" if fewer is unzoned else "with one"
    one, other = (column[pc.index(each, True).as_py()].as_py() for each in (zoned, unzoned))
    line, _, text = found[0]
    raise _invalid(
        path,
        line,
        name,
        f"column {name!r} mixes times with a zone ({with_zone}, such as {one!r}) "
        f"and without ({without}, such as {other!r}); {which}: line{'s' if len(places) > 1 else ''} {lines}",
        text,
        f"Say in the file which zone every time is in, or declare types={{{name!r}: 'text'}}; nothing was loaded.",
    )


def is_inexact(column: Any) -> bool:
    """Whether these are floats of which some may stand for a whole number with more digits than a float has."""
    if column.type != pa.float64():
        return False
    ends = [abs(each) for each in pc.min_max(column).as_py().values() if each is not None and math.isfinite(each)]
    return max(ends, default=0.0) >= EXACT


def _refuse_lost_digits(path: Path, table: Any, name: str, form: CsvFormat) -> None:
    """`Invalid` where whole numbers, which Arrow takes for floats as they are too large, are others than the file has."""
    texts = csv.read_csv(
        path,
        parse_options=csv.ParseOptions(delimiter=form.delimiter, newlines_in_values=True),
        convert_options=csv.ConvertOptions(
            column_types={name: pa.string()},
            include_columns=[name],
            null_values=list(form.missing),
            strings_can_be_null=True,
        ),
    )[name]
    for place in pc.indices_nonzero(_matching(texts, _MANY_DIGITS)):
        value = texts[place.as_py()].as_py().strip()
        if int(value) != int(float(value)):
            line, _, text = _row(path, form, place.as_py() + 2)
            what = f"column {name!r} holds {value!r}, whose last digits a float has no place for, and int64 is too short"
            mend = (
                f"Declare what it is: types={{{name!r}: 'text'}}, --type {shlex.quote(name + '=text')}; nothing was loaded."
            )
            raise _invalid(path, line, name, what, text, mend)


def doubtful(column: Any) -> bool:
    """Whether these texts may be part of a column of numbers, or of times, with something wrong in it."""
    filled = len(column) - column.null_count
    return any(
        _likely(column, pattern) and (pc.sum(_matching(column, pattern)).as_py() or 0) >= (1 - STRAY_SHARE) * filled
        for pattern in (_NUMBER, _DAY)
    )


def _likely(column: Any, pattern: str) -> bool:
    """Whether nearly all values may have a form, by some of them from all over the column: to look at all takes a while."""
    some = column.take(pa.array(range(0, len(column), max(1, len(column) // SAMPLED)), pa.int64())).drop_null()
    return len(some) < SAMPLED // 2 or (pc.sum(_matching(some, pattern)).as_py() or 0) >= LIKELY * len(some)


def _matching(column: Any, pattern: str) -> Any:
    return pc.fill_null(pc.match_substring_regex(column, pattern), False)


def _refuse_few(path: Path, table: Any, name: str, form: CsvFormat, fitting: Any, filled: int, what: str) -> None:
    """`Invalid` where nearly all values fit, and a few do not."""
    fits = pc.sum(fitting).as_py() or 0
    if not 0 < filled - fits <= STRAY_SHARE * filled:
        return
    at = pc.index(pc.and_(pc.is_valid(table[name]), pc.invert(fitting)), True).as_py()
    line, fields, text = _row(path, form, at + 2)
    value = fields[table.column_names.index(name)]
    raise _invalid(
        path,
        line,
        name,
        f"column {name!r} holds {value!r}, though {fits} of its {filled} values are {what}",
        text,
        f"Mend line {line}, count {value!r} as missing, or declare types={{{name!r}: 'text'}}; nothing was loaded.",
    )


def _row(path: Path, form: CsvFormat, number: int) -> tuple[int, list[str], str]:
    """Row `number` (the header is 1, empty lines do not count): the line it begins on, its fields, its text."""
    with _fields(path, form) as reader:
        seen, begins = 0, 1
        for fields in reader:
            if fields:
                seen += 1
            if seen == number and fields:
                return begins, fields, form.delimiter.join(fields)
            begins = reader.line_num + 1
    raise Invalid(f"{path} has changed while it was read.", mend="Read it again.")


def _invalid(path: Path, line: int, column: str, what: str, text: str, mend: str) -> Invalid:
    shown = text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
    details = {"file": str(path), "line": line, "column": column, "row": shown}
    return Invalid(f"{path}, line {line}: {what}.\n  {shown}", mend=mend, details=details)


def _not_utf8(path: Path, name: str) -> Invalid:
    details = {"file": str(path), "column": name}
    return Invalid(
        f"{path}, column {name!r}: the text is not UTF-8.",
        mend="Convert the file first, for example: iconv -f latin1 -t utf-8",
        details=details,
    )


def _article(kind: str) -> str:
    return f"an {kind}" if kind[:1] in "aeio" else f"a {kind}"
