"""The reader of tables: text with commas."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Collection, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from stages.lib.cli import SettingError, UserError, as_yaml
from stages.lib.data.readers.raw import Raw, Reader, Shape, in_shape
from stages.lib.study.metrics import Task
from stages.lib.study.strict_yaml import TWO, unknown
from stages.lib.study.values import Positive

Column = int | str
"""A column by its name, or by its position from 0; negative positions count from the end."""
Dtype = Literal["uint8", "int16", "int32", "int64", "float32", "float64"]


class Csv(Reader):
    """Text with commas, one row a line. Each part has a file."""

    kind: Literal["csv"]
    """This reader. Files: all; or train and test."""
    header: bool = False
    """Whether the first row names the columns."""
    columns: Annotated[tuple[str, ...], Field(strict=False)] = ()
    """Names of the columns, if there is no header."""
    ratios: dict[str, Annotated[tuple[Column, Column], Field(strict=False), TWO]] = {}
    """Name of a new column -> dividend and divisor."""
    target: Column = -1
    """The column to predict: its name, or its position from 0. -1 is the last."""
    target_divisor: Positive = 1.0
    """What the target is divided by, to have another unit than in the file."""
    features: Annotated[tuple[Column, ...] | None, Field(strict=False)] = None
    """Columns in this order. Without it, all but the target, then the ratios."""
    dtype: Dtype = "float32"
    """Type of the inputs."""
    shape: Shape | None = None
    """Shape of one row's inputs, such as `[28, 28]`."""

    roles: ClassVar = (("all",), ("train", "test"))

    @model_validator(mode="after")
    def _names_are_known(self) -> Csv:
        if self.header and self.columns:
            raise SettingError("are named by the header already; leave one of the two out", "columns")
        for number, name in enumerate(self.columns):
            if name in self.columns[:number]:
                raise SettingError(f"{name!r} occurs twice", "columns")
            if name in self.ratios:
                raise SettingError(f"{name!r} is a column already", "ratios")
        features = (column for column in self.features or () if column not in self.ratios)
        for column in (self.target, *features, *chain.from_iterable(self.ratios.values())):
            if isinstance(column, str) and self.columns and column not in self.columns:
                raise unknown("column", column, self.columns)
            if isinstance(column, str) and not (self.columns or self.header):
                raise SettingError(f"{column!r} names a column, which needs header: true, or columns")
        return self

    @property
    def feature_names(self) -> tuple[str, ...]:
        features = self.features or ()
        names = tuple(column for column in features if isinstance(column, str))
        return names if len(names) == len(features) else ()

    def check(self, task: Task, class_names: Sequence[str], roles: Collection[str]) -> None:  # noqa: ARG002
        if self.target_divisor != 1 and task == "classification":
            raise SettingError("labels of classes are not divided", "reader", "target_divisor")

    def read(self, paths: Mapping[str, Path], class_names: Sequence[str]) -> dict[str, Raw]:  # noqa: ARG002
        return {part: self._read(path) for part, path in paths.items()}

    def _read(self, path: Path) -> Raw:
        frame = read_frame(path, self.header)
        if self.columns:
            if len(self.columns) != frame.shape[1]:
                raise UserError(f"{path}: has {frame.shape[1]} columns, where {len(self.columns)} are named")
            frame.columns = pd.Index(self.columns)
        names = list(frame.columns)
        target = position_of(self.target, names, path)
        frame = frame.assign(**{name: ratio_of(frame, name, *of, path) for name, of in self.ratios.items()})
        features = [position for position in range(frame.shape[1]) if position != target]
        unnamed = [position for position, name in enumerate(names) if str(name).startswith("Unnamed: ") and position != target]
        if self.header and self.features is None and unnamed:
            wrong = f"column {unnamed[0] + 1} has no name in the header, as the index of a data frame has none"
            raise UserError(f"{path}: {wrong}; list the features in datasets.yaml, or name the column")
        if self.features is not None:
            extra = {name: len(names) + number for number, name in enumerate(self.ratios)}
            features = [extra[column] if column in extra else position_of(column, names, path) for column in self.features]
        if target in features:
            raise UserError(f"{path}: column {self.target!r} is the target and cannot be a feature too")
        if not features:
            raise UserError(f"{path}: no column is left for a feature")
        x = numbers_of(frame.iloc[:, features], self.dtype, path)
        y = numbers_of(frame.iloc[:, [target]], "float64", path) / self.target_divisor
        return Raw(in_shape(x, self.shape, path), y, path)


def read_frame(path: Path, header: bool) -> pd.DataFrame:
    """The rows of a CSV file, which must be as long as the first. Cells that are no numbers stay text."""
    first = 0 if header else None
    try:
        frame = pd.read_csv(path, header=first, keep_default_na=False, low_memory=False, compression=None)
    except pd.errors.EmptyDataError:
        raise UserError(f"{path}: has no rows") from None
    except (pd.errors.ParserError, UnicodeDecodeError) as error:
        ragged = re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", str(error))
        if ragged:
            raise UserError(f"{path}: line {ragged[2]} has {ragged[3]} columns, the first has {ragged[1]}") from None
        raise UserError(f"{path}: not a CSV file: {error}") from None
    if not isinstance(frame.index, pd.RangeIndex):  # pandas takes what exceeds the header for an index
        raise UserError(f"{path}: rows have more columns than the header, which has {frame.shape[1]}")
    if frame.empty:
        raise UserError(f"{path}: has no rows")
    if header:
        _check_header(path)
    return frame


def _check_header(path: Path) -> None:
    """Raises UserError for a header that names a column twice, or that looks like a row of data."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        names = next((row for row in csv.reader(file) if row), [])
    for number, name in enumerate(names):
        if name and name in names[:number]:
            raise UserError(f"{path}: the header names column {as_yaml(name)} twice")
    numbered = [str(number) for number in range(len(names))]  # as pandas writes columns without names
    if names != numbered and all(_is_number(name) for name in names):
        raise UserError(f"{path}: the header holds nothing but numbers, as a row of data does; set header: false")


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def position_of(column: Column, names: Sequence[Column], path: Path) -> int:
    """The position of a column, from 0. Raises UserError if there is no such column."""
    if isinstance(column, str):
        if column not in names:
            raise UserError(f"{path}: {unknown('column', column, [str(name) for name in names])}")
        return names.index(column)
    if not -len(names) <= column < len(names):
        raise UserError(f"{path}: there is no column {column} among {len(names)}; they count from 0, or from -1 backwards")
    return column % len(names)


def _place(row: int, column: Column) -> str:
    return f"row {row + 1}, column {repr(column) if isinstance(column, str) else column + 1} (counted from 1)"


def ratio_of(frame: pd.DataFrame, name: str, dividend: Column, divisor: Column, path: Path) -> np.ndarray:
    """One column divided by another, (rows,). Raises UserError for a divisor of 0."""
    names = list(frame.columns)
    if name in names:
        raise UserError(f"{path}: ratios: {name!r} is a column already")
    positions = [position_of(dividend, names, path), position_of(divisor, names, path)]
    above, below = numbers_of(frame.iloc[:, positions], "float64", path).T
    if (zeros := np.flatnonzero(below == 0)).size:
        place = _place(zeros[0], names[positions[1]])
        raise UserError(f"{path}: {place}: 0, where {name!r} needs something to divide by")
    with np.errstate(over="ignore"):  # an infinite ratio is refused with the features
        ratio: np.ndarray = above / below
    return ratio


def _numbers(column: pd.Series[Any]) -> pd.Series[Any]:
    return column if column.dtype.kind in "iuf" else pd.to_numeric(column.astype(str), errors="coerce")


def numbers_of(frame: pd.DataFrame, dtype: str, path: Path) -> np.ndarray:
    """The cells as numbers, (rows, columns). Raises UserError for the first that `dtype` cannot hold."""
    values: np.ndarray = frame.apply(_numbers).to_numpy()
    integer = np.issubdtype(dtype, np.integer)
    limits = np.iinfo(dtype) if integer else np.finfo(dtype)
    fits = (values >= limits.min) & (values <= limits.max)  # not for NaN
    if integer:
        fits &= np.where(fits, values, 0) % 1 == 0
    if not fits.all():
        row, column = np.argwhere(~fits)[0]
        place = _place(row, frame.columns[column])
        raise UserError(f"{path}: {place}: {str(frame.iloc[row, column])!r} is no finite number that {dtype} can hold")
    return values.astype(dtype)
