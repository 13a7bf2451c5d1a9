"""Cells of a table as numbers: what is missing, what a date or a category is, and which cell is no number."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import pandas as pd

from stages.lib.cli import UserError
from stages.lib.data.readers.text import TOTAL, is_text
from stages.lib.study.strict_yaml import unknown

MISSING = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "?", "-")
"""Cells that hold no value, unless the settings say otherwise."""
DATE = re.compile(r"\d{4}-\d\d-\d\d([T ].*)?|\d{1,2}[./]\d{1,2}[./]\d{2,4}")
DAY = np.timedelta64(1, "D")
Cells: TypeAlias = "pd.Series[Any]"
"""One column."""


def place_of(row: int, name: object) -> str:
    """A cell for a message. Columns without names are counted."""
    return f"row {row + 1}, column {repr(name) if isinstance(name, str) else int(str(name)) + 1} (counted from 1)"


class Tokens(NamedTuple):
    """What stands for a missing value: text, and those of them that are numbers."""

    text: tuple[str, ...]
    numbers: tuple[float, ...]

    @classmethod
    def of(cls, missing: Iterable[object]) -> Tokens:
        text = tuple(as_text(token) for token in missing)
        numbers = pd.to_numeric(pd.Series(text, dtype=object), errors="coerce")
        return cls(text, tuple(numbers[np.isfinite(numbers)]))


def without_missing(cells: Cells, tokens: Tokens, values: Collection[str] = ()) -> Cells:
    """The cells without blanks around text, and NaN for what is missing. One of `values` is never missing."""
    if is_text(cells):
        text: Cells = cells.map(_stripped).astype(object)
        return text.mask(text.isin([token for token in tokens.text if token not in values]) | text.isna(), np.nan)
    if cells.dtype.kind == "b" or not tokens.numbers:
        return cells
    gone = cells.isin(tokens.numbers)
    return cells.mask(gone) if gone.any() else cells


def booleans(cells: Cells) -> Cells | None:
    """true and false as 1 and 0, if the column holds nothing else."""
    if cells.dtype.kind == "b":
        return cells.astype(np.int64)
    present = cells.dropna()
    if not is_text(cells) or not len(present):
        return None
    small = present.map(_lower)
    if not small.isin(["true", "false"]).all():
        return None
    return small.map({"true": 1.0, "false": 0.0}).reindex(cells.index).astype(float)


def dates(cells: Cells, pattern: str | None, path: Path) -> Cells:
    """Days since 1970-01-01. Without a pattern, dates are as ISO 8601 has them: 2024-12-31, perhaps with a time."""
    if cells.dtype.kind == "M":
        days = cells
    else:
        text = _text_of(cells)
        days = pd.to_datetime(text, format=pattern or "ISO8601", errors="coerce", utc=True).dt.tz_localize(None)
        if (wrong := days.isna() & cells.notna()).any():
            row = int(np.flatnonzero(wrong)[0])
            how = f"date_format says {pattern}" if pattern else "2024-12-31 is one; set date_format for others"
            raise UserError(f"{path}: {place_of(row, cells.name)}: {cells.iloc[row]!r} is no date; {how}")
    return pd.Series((days.to_numpy("datetime64[ns]") - np.datetime64(0, "D")) / DAY, cells.index, name=cells.name)


def _lower(cell: object) -> str:
    return str(cell).lower()


def _stripped(cell: object) -> object:
    return cell.strip() if isinstance(cell, str) else cell


def _text_of(cells: Cells) -> Cells:
    """The cells as text, but for those that are missing."""
    return cells.map(str, na_action="ignore").astype(object)


def as_text(cell: object) -> str:
    """A category's cell as text: 1.0, which is what a spreadsheet makes of 1, is 1."""
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)


def values_of(parts: Sequence[Cells]) -> tuple[str, ...]:
    """The values that occur in a column of all parts, sorted: numbers by size, and text by letters."""
    found = {as_text(cell) for cells in parts for cell in cells.dropna().unique()}
    try:
        return tuple(sorted(found, key=float))
    except ValueError:
        return tuple(sorted(found))


def codes(cells: Cells, values: Sequence[str], path: Path) -> Cells:
    """The position of each cell in `values`. Raises UserError for one that is not among them."""
    places = {value: place for place, value in enumerate(values)}
    found = cells.map(as_text, na_action="ignore").map(places).astype(float)
    if (wrong := found.isna() & cells.notna()).any():
        row = int(np.flatnonzero(wrong)[0])
        raise UserError(f"{path}: {place_of(row, cells.name)}: {unknown('value', cells.iloc[row], values, ' (categories)')}")
    return found


def numbers(cells: Cells, decimal: str = ".", thousands: str = "none") -> Cells:
    """The cells as numbers, and NaN for those that are none."""
    if not is_text(cells):
        return cells
    text = _text_of(cells)
    if thousands != "none":  # 1.234.567,8 but not 31.12.2024
        grouped = re.compile(rf"[+-]?\d{{1,3}}({re.escape(thousands)}\d{{3}})+({re.escape(decimal)}\d*)?")
        text = text.map(lambda cell: cell.replace(thousands, "") if isinstance(cell, str) and grouped.fullmatch(cell) else cell)
    if decimal != ".":
        text = text.map(lambda cell: cell.replace(".", "no").replace(decimal, ".") if isinstance(cell, str) else cell)
    return pd.to_numeric(text, errors="coerce")


def fitting(cells: Cells, parsed: Cells, dtype: str, path: Path, header: bool = True) -> np.ndarray:
    """The numbers of a column as `dtype`, (rows,), with NaN for what is missing.

    Raises UserError for the first cell that is no number, or that the type cannot hold.

    Args:
        cells: as the file has them, for messages.
        parsed: as numbers.
        header: whether the columns have names. A message may say how to set it.
    """
    integer = np.issubdtype(dtype, np.integer)
    limits = np.iinfo(dtype) if integer else np.finfo(dtype)
    values = parsed.to_numpy()
    missing = cells.isna().to_numpy()
    fits = (values >= limits.min) & (values <= limits.max)  # not for NaN
    if integer and values.dtype.kind == "f":
        fits &= np.where(fits, values, 0) % 1 == 0
    if not (fits | missing).all():
        row = int(np.flatnonzero(~(fits | missing))[0])
        cell = cells.iloc[row]
        wrong = f"{path}: {place_of(row, cells.name)}: {str(cell)!r} is no finite number that {dtype} can hold"
        raise UserError(wrong + _advice(cells, parsed, row, header))
    if integer and missing.any():
        row = int(np.flatnonzero(missing)[0])
        wrong = f"{path}: {place_of(row, cells.name)}: is missing, and {dtype} has no sign for that; set dtype to float32"
        raise UserError(wrong)
    return values.astype(dtype)


def _advice(cells: Cells, parsed: Cells, row: int, header: bool) -> str:
    """What may make a number of the cell, or use of its column. Empty if nothing comes to mind."""
    cell = str(cells.iloc[row])
    wrong = parsed.isna() & cells.notna()
    if not is_text(cells) or not wrong.any():
        return ""
    if row == len(cells) - 1 and TOTAL.fullmatch(cell):
        return "; it seems to begin a row of totals: leave_out_last: 1 leaves it out"
    if row == 0 and not header and wrong.sum() == 1 and len(cells) > 1:
        return "; if the first row names the columns, set header: true"
    if DATE.fullmatch(cell):
        return "; if it is a date, list the column under dates"
    if re.fullmatch(r"[+-]?\d+,\d+", cell):
        return "; if ',' is the decimal sign, set decimal to it"
    if (wrong == cells.notna()).all():
        return "; list the column under categories, or under leave_out"
    return ""
