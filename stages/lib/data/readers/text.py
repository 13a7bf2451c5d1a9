"""Text as a table of cells: delimiters, quotes, encodings, comments, and rows of unequal length.

pandas reads it. What is here says in one line why a file is no table, and what would make it one.
"""

from __future__ import annotations

import codecs
import csv
import io
import math
import re
import warnings
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import pandas as pd

from stages.lib.cli import SettingError, UserError, as_yaml

WHITESPACE = "whitespace"
DELIMITERS = {";": "';'", "\t": "a tab", "|": "'|'", ",": "','"}
"""What else a file may have between its cells, and how a message calls it."""
BYTE_ORDER_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
TOTAL = re.compile(r"(grand |sub)?(totals?|sums?|averages?|means?|insgesamt|gesamt|summe)\b.*", re.IGNORECASE)
"""A cell that a row of totals begins with."""


class Format(NamedTuple):
    """How a text is divided into cells. `Csv` in tables.py says what each means."""

    header: bool = False
    delimiter: str = ","
    decimal: str = "."
    encoding: str = "utf-8"
    quote: str = '"'
    comment: str = "none"
    skip_lines: int = 0
    row_names: bool = False


def check_encoding(name: str) -> None:
    """Raises SettingError unless Python knows this encoding of text."""
    try:
        "".encode(name)
    except LookupError:
        wrong = f"{as_yaml(name)} is no encoding of text that Python knows, such as utf-8, utf-16, latin-1 or cp1252"
        raise SettingError(wrong) from None


def read_cells(path: Path, how: Format, as_text: Collection[str | int] = (), all_text: bool = False) -> pd.DataFrame:
    """The cells of a text file, (rows, columns). The columns have the header's names, or are numbered from 0.

    A column of numbers alone is numbers, one of `true` and `false` alone is booleans, every other one is text as it is in the
    file. Raises UserError, naming the file, for what is no table.

    Args:
        as_text: columns that stay text, by name or position.
        all_text: whether all columns do.
    """
    try:
        names = _names(path, how)
        if not names:
            raise UserError(f"{path}: has one column, and row_names: true leaves it out")
        chosen = names if all_text else as_text
        text = {
            number for number, name in enumerate(names) if name in chosen or number in chosen or number - len(names) in chosen
        }
        frame = _read(path, how, len(names), text)
    except pd.errors.EmptyDataError:
        raise UserError(f"{path}: has no rows") from None
    except UnicodeError as error:
        raise UserError(f"{path}: {_no_text(path, how, error)}") from None
    except pd.errors.ParserError as error:
        ragged = re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", str(error))
        if ragged:
            _check_delimiter(path, how, int(ragged[1]))
            raise UserError(f"{path}: line {ragged[2]} has {ragged[3]} columns, the first has {ragged[1]}") from None
        raise UserError(f"{path}: not a CSV file: {' '.join(str(error).split())}") from None
    frame.columns = pd.Index(names, dtype=object)
    _check_delimiter(path, how, len(names))
    if all(is_text(frame.iloc[:, number]) for number in range(len(names))):
        filled = [frame.iloc[:, number].map(_is_filled) for number in range(len(names))]
        frame = frame[np.any(filled, axis=0)]  # without lines of nothing but delimiters, as spreadsheets write them
    if frame.empty:
        raise UserError(f"{path}: has no rows")
    _check_lengths(path, how, frame)
    return frame.reset_index(drop=True)


def as_name(cell: object) -> str:
    """A cell of the header as a column's name, on one line. pandas calls what has none `Unnamed: 0`."""
    return re.sub(r"\s*[\r\n]\s*", " ", re.sub(r"^Unnamed: \d+$", "", str(cell).strip()))


def is_text(cells: pd.Series[Any]) -> bool:
    """Whether a column is neither numbers nor booleans."""
    return cells.dtype.kind not in "iufb"


def _is_filled(cell: object) -> bool:
    """Whether there is something in a cell; a number of more digits than 64 bits hold is no text."""
    return bool(cell.strip()) if isinstance(cell, str) else cell == cell  # not for NaN


def _names(path: Path, how: Format) -> list[Any]:
    """Names of the columns, or their positions from 0. Row names are no column."""
    with _open(path, how) as file:
        first = pd.read_csv(file, header=None, nrows=1, dtype=str, **_options(how)).iloc[0].tolist()
    if not how.header:
        return list(range(len(first) - how.row_names))
    names = [as_name(name) for name in first]
    if how.row_names and not _is_wider(path, how, len(names)):
        names = names[1:]
    _check_header(names, path)
    return names


def _open(path: Path, how: Format) -> IO[str]:
    encoding = "utf-8-sig" if codecs.lookup(how.encoding).name == "utf-8" else how.encoding
    file = path.open(encoding=encoding, newline="")
    if how.comment == "none":
        return file
    with file, path.open(encoding=encoding) as lines:  # pandas would cut a line at the sign, wherever it stands
        return io.StringIO("".join(line for line in lines if not line.lstrip().startswith(how.comment)))


def _options(how: Format) -> dict[str, Any]:
    quoting = {"quoting": csv.QUOTE_NONE} if how.quote == "none" else {"quotechar": how.quote}
    return {
        "sep": r"\s+" if how.delimiter == WHITESPACE else how.delimiter,
        "decimal": how.decimal,
        "skiprows": how.skip_lines,
        "keep_default_na": False,
        "skipinitialspace": True,
        "low_memory": False,
        **quoting,
    }


def _is_wider(path: Path, how: Format, width: int) -> bool:
    """Whether the first row has a cell more than the header."""
    with warnings.catch_warnings(record=True) as said, _open(path, how) as file:
        warnings.simplefilter("always")
        pd.read_csv(file, header=0, names=range(width), index_col=False, nrows=1, **_options(how))
    return any(issubclass(warning.category, pd.errors.ParserWarning) for warning in said)


def _read(path: Path, how: Format, width: int, text: Collection[int]) -> pd.DataFrame:
    """The rows below the header, without their names, with columns numbered from 0.

    A last column without a name and with nothing in it is left out: such lines end with a delimiter.
    """
    own = int(how.row_names)
    header = 0 if how.header else None
    dtype = {number + own: str for number in text}

    def read(columns: int) -> tuple[pd.DataFrame, bool]:
        """The frame, and whether rows have more columns."""
        with warnings.catch_warnings(record=True) as said, _open(path, how) as file:
            warnings.simplefilter("always")
            frame = pd.read_csv(file, header=header, names=range(columns), dtype=dtype, index_col=False, **_options(how))
        return frame, any(issubclass(warning.category, pd.errors.ParserWarning) for warning in said)

    frame, longer = read(width + own)
    if longer:
        frame, longer = read(width + own + 1)
        last = frame.iloc[:, -1]
        if longer or not is_text(last) or last.map(_is_filled).any():
            _check_delimiter(path, how, width)
            hint = "if each row begins with a name or number of its own, set row_names: true"
            raise UserError(f"{path}: rows have more columns than the header, which has {width}; {hint}")
    rows: pd.DataFrame = frame.iloc[:, own : own + width]
    return rows


def _no_text(path: Path, how: Format, error: UnicodeError) -> str:
    """What to say of bytes that the encoding does not have."""
    with path.open("rb") as file:
        start = file.read(2)
    other = "utf-16" if start in BYTE_ORDER_MARKS else "latin-1 or cp1252, say"
    reason = " ".join(str(getattr(error, "reason", None) or error).split())
    where = f" at byte {error.start}" if isinstance(error, UnicodeDecodeError) else ""
    return f"not a CSV file: no text in {how.encoding}{where}: {reason}; set the reader's encoding, to {other}"


def _check_header(names: Sequence[str], path: Path) -> None:
    """Raises UserError for a header that names a column twice, or that looks like a row of data."""
    for number, name in enumerate(names):
        if name and name != "nan" and name in names[:number]:
            raise UserError(f"{path}: the header names column {as_yaml(name)} twice; rename one of them")
    numbered = [str(number) for number in range(len(names))]  # as pandas writes columns without names
    if names != numbered and all(_is_number(name) for name in names):
        raise UserError(f"{path}: the header holds nothing but numbers, as a row of data does; set header: false")


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _check_delimiter(path: Path, how: Format, width: int) -> None:
    """Raises UserError for a single column whose lines seem to have another delimiter, or to begin with comments."""
    if width > 1:
        return
    with _open(path, how) as file:
        lines = [line.strip() for line, _ in zip(_lines(file), range(how.skip_lines + 5), strict=False)][how.skip_lines :]
    lines = [line for line in lines if line]
    if lines and lines[0][0] in "#%@" and how.comment == "none":
        raise UserError(f"{path}: the first line begins with {lines[0][0]!r}; set comment to it, if such lines are no rows")
    for delimiter, called in DELIMITERS.items():
        if delimiter != how.delimiter and lines and all(delimiter in line for line in lines):
            raise UserError(f"{path}: has one column, and {called} in each line; set delimiter to it")
    if how.delimiter != WHITESPACE and len({len(line.split()) for line in lines} - {1}) == 1:
        raise UserError(f"{path}: has one column, and blanks in each line; set delimiter: {WHITESPACE}")


def _lines(file: IO[str]) -> Iterator[str]:
    for line in file:
        yield from line.replace("\r\n", "\n").replace("\r", "\n").splitlines()


def _check_lengths(path: Path, how: Format, frame: pd.DataFrame) -> None:
    """Raises UserError for a row that is shorter than the first. pandas fills it up with empty cells."""
    last = frame.iloc[:, -1]
    if how.delimiter == WHITESPACE or not is_text(last) or not (last.fillna("") == "").any():
        return
    quoting: dict[str, Any] = {"quoting": csv.QUOTE_NONE} if how.quote == "none" else {"quotechar": how.quote}
    with _open(path, how) as file:
        for _ in range(how.skip_lines):
            file.readline()
        width = 0
        reader = csv.reader(file, delimiter=how.delimiter, skipinitialspace=True, **quoting)
        for cells in reader:
            if len(cells) > 1 or (cells and cells[0].strip()):
                width = width or len(cells)
                if len(cells) < width:
                    line = how.skip_lines + reader.line_num
                    raise UserError(f"{path}: line {line} has {len(cells)} columns, the first has {width}")
