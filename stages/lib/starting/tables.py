"""What the columns of a table seem to be: numbers, categories, dates, names of rows, and the one to predict."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from stages.lib.cli import UserError, first_of
from stages.lib.data.checks import counts_rows
from stages.lib.data.readers import columns as cells_of
from stages.lib.data.readers.table import Table, position_of
from stages.lib.data.readers.tables import Csv, Excel, Parquet
from stages.lib.data.readers.text import TOTAL, is_text
from stages.lib.starting.answers import Answers, Seen
from stages.lib.starting.targets import look_at_target
from stages.lib.starting.text import look_at_text
from stages.lib.study.strict_yaml import at

READERS: dict[str, type[Table]] = {"csv": Csv, "parquet": Parquet, "excel": Excel}
ALSO_MISSING = ". -- --- * na n/a N.A. n.a. #N/A #NA <NA> NAN -nan none None NONE missing Missing unknown nil undefined".split()
"""Text among numbers that stands for no value, and that the reader does not take for such by itself."""
MOST_VALUES = 50
"""Values of a category that one may have without being asked."""
MOST_NAMED = 12
"""Columns that a line names."""
SIDE = 8
"""Pixels of the smallest square pictures in a table."""
DATE_FORMATS = ("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%y", "%d/%m/%y", "%m/%d/%y")
NUMBER_NAMES = re.compile(r"(.*[_ ])?(id|index|nr|no|row)|unnamed.*", re.IGNORECASE)
"""Names of columns that number the rows."""
TARGETS = ("target", "label", "labels", "class", "outcome", "y")
"""Names that columns to predict have."""


def look_at_table(path: Path, kind: str, answers: Answers) -> Seen:
    """What a table was taken for. Raises UserError for what the reader refuses, and for what only the user can say."""
    options = {"kind": kind, **(look_at_text(path, answers) if kind == "csv" else answers.reader)}
    if "missing" in answers.reader:
        options["missing"] = [*cells_of.MISSING, *answers.reader["missing"]]
    names: list[Any] = list(_frame(options, path).columns)
    place = _target(names, path, answers)
    options["target"] = place if names[place] == "" else names[place]
    frame = _frame(options, path)
    left_out = []
    if "leave_out_last" not in options and _ends_in_total(frame):
        options["leave_out_last"] = 1
        left_out.append("left out: the last row, a total")
        frame = _frame(options, path)
    if options.get("row_names"):
        left_out.append("left out: the first column, a name or number of each row")
    seen = look_at_target(_numbers(frame.iloc[:, place], options), _called(names[place]), path, answers)
    seen.said = [_how(options), *seen.said, *left_out]
    if side := _pixels(frame.drop(columns=frame.columns[place]), options):
        options |= {"dtype": "uint8", "shape": [side, side]}
        seen.said.append(f"pictures: each row has {side} x {side} pixels from 0 to 255")
    else:
        seen.said += _sort_out(frame, place, options)
    _date_format(frame, options, path, answers)
    seen.reader = options
    return seen


def _frame(options: dict[str, Any], path: Path) -> pd.DataFrame:
    """The cells, before it is known what the columns are."""
    with at("reader"):
        return READERS[options["kind"]].model_validate(options).frame(path)


def _numbers(cells: pd.Series[Any], options: dict[str, Any]) -> pd.Series[Any]:
    """The target as numbers, if it holds nothing else. The reader leaves it as it is, since labels may be text."""
    thousands = options.get("thousands", "none").replace("blank", " ")
    parsed = cells_of.numbers(cells, options.get("decimal", "."), thousands)
    return cells if (parsed.isna() & cells.notna()).any() else parsed


def _pixels(features: pd.DataFrame, options: dict[str, Any]) -> int:
    """The side of the square pictures that rows seem to be: as many whole numbers from 0 to 255. 0 if they are none."""
    side = math.isqrt(features.shape[1])
    if side**2 != features.shape[1] or side < SIDE or options.keys() & {"shape", "features", "leave_out", "categories"}:
        return 0
    if any(cells.dtype.kind not in "iu" for _, cells in features.items()):
        return 0
    pixels = features.to_numpy()
    return side if pixels.min() >= 0 and 16 <= pixels.max() <= 255 else 0


def _sort_out(frame: pd.DataFrame, target: int, options: dict[str, Any]) -> list[str]:
    """Add the columns of categories and dates, and those to leave out, to the reader's settings. Returns what to say of it."""
    chosen = {each for key in ("categories", "dates", "leave_out") for each in options.get(key, ())}
    features = options.get("features") or frame.columns
    left_out: dict[str, list[str]] = {}  # reason -> columns
    words: list[str] = []
    names: list[Any] = list(frame.columns)
    for number, name in enumerate(names):
        if number == target or name in chosen or number in chosen or name not in features:
            continue
        cells, found_words = _without_words(frame.iloc[:, number])
        words += found_words
        key, why = _look_at(cells, name)
        if key:
            options[key] = [*options.get(key, ()), number if name == "" else name]
        if why:
            left_out.setdefault(why, []).append(_called(name))
    said = [f"left out: {first_of(columns, MOST_NAMED)}, {why}" for why, columns in left_out.items()]
    if words and "missing" not in options:
        options["missing"] = [*cells_of.MISSING, *dict.fromkeys(words)]
        said.append(f"missing: {', '.join(map(repr, dict.fromkeys(words)))} among numbers")
    return said


def _called(name: object) -> str:
    """What a column without a name is called in reports too."""
    return f"column_{name + 1}" if isinstance(name, int) else str(name)


def _how(options: dict[str, Any]) -> str:
    """How the file is written, in a line."""
    header = "a header" if options.get("header", options["kind"] == "parquet") else "no header"
    if options["kind"] != "csv":
        return f"table: {options['kind']}, {header}"
    delimiter = {"\t": "tabs"}.get(options.get("delimiter", ","), options.get("delimiter", ","))
    others = [
        f"{key} {options[key]}" for key in ("decimal", "thousands", "encoding", "comment", "skip_lines") if key in options
    ]
    return ", ".join([f"table: {delimiter} between cells, {header}", *others])


def _target(names: list[Any], path: Path, answers: Answers) -> int:
    """The position of the column to predict, as the user says, or by its name."""
    given = answers.reader.get("target", answers.target)
    if given is None:
        likely = [name for name in names if str(name).lower() in TARGETS]
        if len(likely) == 1:
            return names.index(likely[0])
        positions = "by its position from 0, or -1 for the last" if isinstance(names[0], int) else "by its name"
        question = f"{path}: which of its columns is to be predicted: {first_of(names, 20)}?"
        given = answers.ask(question, [str(name) for name in names], f"--target, {positions}.")
    is_number = str(given) not in names and re.fullmatch(r"-?\d+", str(given))
    return position_of(int(given) if is_number else str(given), names, path)


def _ends_in_total(frame: pd.DataFrame) -> bool:
    """Whether the last row begins with a word for a sum, in a column that otherwise holds numbers."""
    first = frame.iloc[:, 0]
    if len(first) < 3 or not is_text(first) or not TOTAL.fullmatch(str(first.iloc[-1])):
        return False
    return bool(pd.to_numeric(first.iloc[:-1], errors="coerce").notna().mean() > 0.5)


def _without_words(cells: pd.Series[Any]) -> tuple[pd.Series[Any], list[str]]:
    """A column that holds numbers and words for no value, with NaN for these, and the words."""
    if not is_text(cells):
        return cells, []
    present = cells.dropna()
    words = present[pd.to_numeric(present.astype(str), errors="coerce").isna()]
    found = list(dict.fromkeys(map(str, words)))
    if not len(words) or len(words) == len(present) or not set(found) <= set(ALSO_MISSING):
        return cells, []
    return pd.to_numeric(cells.where(~cells.isin(found)), errors="coerce"), found


def _look_at(cells: pd.Series[Any], name: object) -> tuple[str, str]:
    """What becomes of a column, and why: nothing, as it is a number, or `dates`, `categories` or `leave_out`."""
    present = cells.dropna()
    values = present.nunique()
    if not values:
        return "leave_out", "which has no value"
    if values == 1 and len(present) == len(cells):
        return "leave_out", f"{str(present.iloc[0])!r} in every row"
    if not is_text(cells):
        unique = values == len(cells) > 2 and bool((present % 1 == 0).all())
        counts = unique and counts_rows(present.to_numpy(np.float64))
        return ("leave_out", "which numbers the rows") if counts or (unique and NUMBER_NAMES.fullmatch(str(name))) else ("", "")
    if cells_of.booleans(cells) is not None or _mostly_numbers(present):
        return "", ""
    if present.map(lambda cell: bool(cells_of.DATE.fullmatch(str(cell)))).all():
        return "dates", ""
    if values > MOST_VALUES or values * 2 > len(present):
        advice = "" if values > len(present) * 0.9 else "; --reader 'categories=[COLUMN]' keeps it"
        return "leave_out", f"{values} different texts in {len(cells)} rows{advice}"
    return "categories", ""


def _mostly_numbers(present: pd.Series[Any]) -> bool:
    """Whether most cells are numbers, so that the others are mistakes, which the reader names."""
    digits = present.map(lambda cell: bool(re.match(r"[+-]?[.,]?\d", str(cell))))
    return bool(digits.mean() > 0.5) and bool(pd.to_numeric(present.astype(str), errors="coerce").notna().mean() > 0.5)


def _date_format(frame: pd.DataFrame, options: dict[str, Any], path: Path, answers: Answers) -> None:
    """Add the format of dates that are not written as 2024-12-31."""
    cells = [frame[name] if isinstance(name, str) else frame.iloc[:, name] for name in options.get("dates", ())]
    text = pd.concat(cells).dropna().astype(str) if cells and "date_format" not in options else pd.Series([], dtype=object)
    if not len(text) or text.str.match(r"\d{4}-").all():
        return
    fitting = [each for each in DATE_FORMATS if pd.to_datetime(text, format=each, errors="coerce").notna().all()]
    if not fitting:
        raise UserError(
            f"{path}: dates such as {text.iloc[0]!r} and {text.iloc[-1]!r} have no format in common; leave them out"
        )
    if len(fitting) > 1 and "/" in text.iloc[0]:
        question = f"{path}: is {text.iloc[0]} a date of the form {' or '.join(fitting)}?"
        fitting = [answers.ask(question, fitting, "--reader date_format=FORMAT")]
    options["date_format"] = fitting[0]


def described(columns: Sequence[Any], missing: Sequence[int], rows: int) -> list[str]:
    """The features of a table in a few lines: numbers, categories with their values, dates, and what is missing."""
    lines = []
    for kind, words in (("number", "numbers"), ("boolean", "true or false"), ("date", "dates"), ("category", "categories")):
        named = [column for column in columns if column.kind == kind]
        if named:
            texts = [f"{column.name} ({len(column.values)} values)" if kind == "category" else column.name for column in named]
            lines.append(f"{words}: {first_of(texts, MOST_NAMED)}")
    if columns and any(missing):
        absent = [f"{column.name} in {number}" for column, number in zip(columns, missing, strict=True) if number]
        lines.append(f"missing: {first_of(absent, MOST_NAMED)} of {rows} rows")
    return lines
