"""What readers of tables have in common: columns by name or position, and what becomes of their cells."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import numpy as np
import pandas as pd
from pydantic import Field, WithJsonSchema, WrapValidator, model_validator

from stages.lib.cli import SettingError, UserError, as_yaml
from stages.lib.data.readers import columns as cells_of
from stages.lib.data.readers.raw import Column, Raw, Reader, Shape, in_shape
from stages.lib.data.readers.text import as_name
from stages.lib.study.metrics import Task
from stages.lib.study.strict_yaml import TWO, unknown
from stages.lib.study.values import Positive, Whole

Place = int | str
"""A column by its name, or by its position from 0; negative positions count from the end."""
Places = Annotated[tuple[Place, ...], Field(strict=False)]
Dtype = Literal["uint8", "int16", "int32", "int64", "float32", "float64"]


def _categories(value: Any, _: object) -> dict[Place, tuple[str, ...]]:
    """Column -> its values in their order, or () for those that occur."""
    if isinstance(value, list | tuple):
        value = dict.fromkeys(value)
    if not isinstance(value, Mapping) or not all(isinstance(place, int | str) for place in value):
        raise SettingError(f"{as_yaml(value)} must be a list of columns, or a mapping of columns to lists of values")
    found: dict[Place, tuple[str, ...]] = {}
    for place, values in value.items():
        if not isinstance(values, list | tuple | None) or any(isinstance(each, list | dict | None) for each in values or ()):
            raise SettingError(f"{as_yaml(values)} must be a list of values in their order", str(place))
        found[place] = tuple(cells_of.as_text(each) for each in values or ())
        if len(set(found[place])) < len(found[place]):
            raise SettingError(f"{as_yaml(values)} holds a value twice", str(place))
    return found


_NAMES = {"type": "array", "items": {"anyOf": [{"type": "string"}, {"type": "integer"}]}}
_VALUE = {"anyOf": [{"type": "string"}, {"type": "number"}, {"type": "boolean"}]}
_VALUES = {"anyOf": [{"type": "array", "items": _VALUE}, {"type": "null"}]}
_CATEGORIES_SCHEMA = {"anyOf": [_NAMES, {"type": "object", "additionalProperties": _VALUES}]}
Categories = Annotated[dict[Place, tuple[str, ...]], WrapValidator(_categories), WithJsonSchema(_CATEGORIES_SCHEMA)]


class Chosen(NamedTuple):
    """The inputs and the target of a part, before they become numbers.

    categories: number of an input -> its values, or () for those that occur.
    dates: numbers of inputs.
    """

    inputs: list[pd.Series[Any]]
    target: pd.Series[Any]
    categories: dict[int, tuple[str, ...]]
    dates: list[int]


class Table(Reader):
    """Rows and columns. Each part has a file."""

    kind: str
    """This reader."""
    columns: Annotated[tuple[str, ...], Field(strict=False)] = ()
    """Names of the columns, if there is no header."""
    ratios: dict[str, Annotated[tuple[Place, Place], Field(strict=False), TWO]] = {}
    """Name of a new column -> dividend and divisor."""
    target: Place = -1
    """The column to predict: its name, or its position from 0. -1 is the last."""
    target_divisor: Positive = 1.0
    """What the target is divided by, to have another unit than in the file."""
    features: Annotated[tuple[Place, ...] | None, Field(strict=False)] = None
    """Columns in this order. Without it, all but the target and those to leave out, then the ratios."""
    leave_out: Places = ()
    """Columns that are no features, such as names and numbers of rows."""
    leave_out_last: Whole = 0
    """Rows at the end that are none, such as totals."""
    categories: Categories = {}
    """Columns that hold one of several values, text or numbers. Of a mapping, the values are in the order of their sizes."""
    dates: Places = ()
    """Columns of dates. They become days since 1970-01-01."""
    date_format: str | None = None
    """How dates are written, such as `%d.%m.%Y`. Without it, 2024-12-31, perhaps with a time."""
    missing: Annotated[tuple[str | int | float, ...], Field(strict=False)] = cells_of.MISSING
    """Cells that hold no value. One that is also a class or a listed category is not missing there."""
    dtype: Dtype = "float32"
    """Type of the inputs."""
    shape: Shape | None = None
    """Shape of one row's inputs, such as `[28, 28]`."""

    roles: ClassVar = (("all",), ("train", "test"))

    @property
    def has_header(self) -> bool:
        """Whether the file names its columns."""
        return True

    @model_validator(mode="after")
    def _names_are_known(self) -> Table:
        if self.has_header and self.columns:
            raise SettingError("are named by the header already; leave one of the two out", "columns")
        for number, name in enumerate(self.columns):
            if name in self.columns[:number]:
                raise SettingError(f"{name!r} occurs twice", "columns")
            if name in self.ratios:
                raise SettingError(f"{name!r} is a column already", "ratios")
        features = [column for column in self.features or () if column not in self.ratios]
        inner = chain(self.leave_out, self.categories, self.dates, chain.from_iterable(self.ratios.values()))
        for column in (self.target, *features, *inner):
            if isinstance(column, str) and self.columns and column not in self.columns:
                raise unknown("column", column, self.columns)
            if isinstance(column, str) and not (self.columns or self.has_header):
                raise SettingError(f"{column!r} names a column, which needs header: true, or columns")
        for key, others in (("leave_out", features), ("dates", list(self.categories))):
            if both := [column for column in getattr(self, key) if column in others]:
                other = "features" if key == "leave_out" else "categories"
                raise SettingError(f"{both[0]!r} is under {other} too; list it once", key)
        if self.categories and np.issubdtype(self.dtype, np.integer):
            raise SettingError(f"{self.dtype} has no sign for a missing category; float32 or float64 have", "dtype")
        return self

    @property
    def feature_names(self) -> tuple[str, ...]:
        features = self.features or ()
        names = tuple(column for column in features if isinstance(column, str))
        return names if len(names) == len(features) else ()

    def check(self, task: Task, class_names: Sequence[str], roles: Collection[str]) -> None:  # noqa: ARG002
        if self.target_divisor != 1 and task == "classification":
            raise SettingError("labels of classes are not divided", "reader", "target_divisor")

    # Files

    def _cells(self, path: Path, as_text: Collection[Place]) -> pd.DataFrame:
        """The cells of a file, with the names of its header or numbered from 0. Columns `as_text` hold text."""
        raise NotImplementedError

    def frame(self, path: Path, class_names: Sequence[str] = ()) -> pd.DataFrame:
        """The rows of a file, with columns by name, or numbered from 0 if they have none.

        A cell is a number, true or false, or text without blanks around it. What is missing is NaN. Columns of categories are
        text. Raises UserError, naming the file, for what cannot be read.
        """
        known = self._cells(path, list(self.categories))
        if self.columns:
            if len(self.columns) != known.shape[1]:
                raise UserError(f"{path}: has {known.shape[1]} columns, where {len(self.columns)} are named")
            known.columns = pd.Index(self.columns, dtype=object)
        elif self.has_header:  # a spreadsheet may name a column 2024, and pandas an unnamed one
            known.columns = pd.Index([as_name(name) for name in known.columns], dtype=object)
        if self.leave_out_last >= len(known):
            raise UserError(f"{path}: has {len(known)} rows, and leave_out_last is {self.leave_out_last}")
        known = known.iloc[: len(known) - self.leave_out_last]
        names = list(known.columns)
        listed = {position_of(column, names, path): values for column, values in self.categories.items()}
        values = {position_of(self.target, names, path): tuple(class_names), **listed}
        tokens = cells_of.Tokens.of(self.missing)

        def cells(place: int) -> pd.Series[Any]:
            present = cells_of.without_missing(known.iloc[:, place], tokens, values.get(place, ()))
            if place in listed or not cells_of.is_text(present) or not present.notna().any():
                return present
            parsed = self._parsed(present)  # a column of text that is nothing but numbers
            return present if (parsed.isna() & present.notna()).any() else cells_of.without_missing(parsed, tokens)

        frame = pd.concat([cells(place) for place in range(len(names))], axis=1)
        frame.columns = known.columns
        return frame

    def _parsed(self, cells: pd.Series[Any]) -> pd.Series[Any]:
        return cells_of.numbers(cells)

    # Parts

    def read(self, paths: Mapping[str, Path], class_names: Sequence[str]) -> dict[str, Raw]:
        chosen = {part: self._chosen(self.frame(path, class_names), path) for part, path in paths.items()}
        first, *others = chosen.values()
        for other in others:
            if len(other.inputs) != len(first.inputs):
                wrong = f"has {len(other.inputs)} features, where the first part has {len(first.inputs)}"
                raise UserError(f"{list(paths.values())[-1]}: {wrong}")
        columns = []
        for number, cells in enumerate(first.inputs):
            name = cells.name if isinstance(cells.name, str) else f"column_{int(str(cells.name)) + 1}"
            if all(each.inputs[number].isna().all() for each in chosen.values()):
                raise UserError(f"{next(iter(paths.values()))}: column {name!r} holds no value at all; put it under leave_out")
            if number in first.categories:
                values = first.categories[number]
                found = values or cells_of.values_of([each.inputs[number] for each in chosen.values()])
                columns.append(Column(name, "category", found, bool(values)))
            elif number in first.dates:
                columns.append(Column(name, "date"))
            else:
                whole = pd.concat([each.inputs[number] for each in chosen.values()])
                columns.append(Column(name, "boolean" if cells_of.booleans(whole) is not None else "number"))
        return {part: self._raw(each, columns, paths[part]) for part, each in chosen.items()}

    def beside(self, paths: Mapping[str, Path], column: str) -> dict[str, np.ndarray]:
        found = {}
        for part, path in paths.items():
            frame = self.frame(path)
            cells = frame.iloc[:, position_of(column, list(frame.columns), path)]
            if cells.isna().any():
                place = cells_of.place_of(int(np.argmax(cells.isna())), column)
                raise UserError(f"{path}: {place}: is missing, and the split needs it")
            dated = cells_of.is_text(cells) and cells.map(lambda cell: bool(cells_of.DATE.fullmatch(str(cell)))).all()
            if dated or column in self.dates:
                cells = cells_of.dates(cells, self.date_format, path)
            found[part] = cells.to_numpy() if cells.dtype.kind in "iufb" else cells.map(cells_of.as_text).to_numpy(str)
        return found

    def _chosen(self, frame: pd.DataFrame, path: Path) -> Chosen:
        """The columns that the settings name. Raises UserError for one that there is not."""
        names = list(frame.columns)
        target = position_of(self.target, names, path)
        left_out = {position_of(column, names, path) for column in self.leave_out}
        ratios = [self._ratio(frame, name, *of, path) for name, of in self.ratios.items()]
        cells = [frame.iloc[:, place] for place in range(len(names))] + ratios
        if self.features is None:
            places = [place for place in range(len(cells)) if place != target and place not in left_out]
            unnamed = [place for place in places if place < len(names) and names[place] == ""]
            if self.has_header and unnamed:
                wrong = f"column {unnamed[0] + 1} has no name in the header, as the index of a data frame has none"
                raise UserError(f"{path}: {wrong}; put {unnamed[0]} under leave_out, or name the column")
        else:
            extra = {name: len(names) + number for number, name in enumerate(self.ratios)}
            places = [extra[column] if column in extra else position_of(column, names, path) for column in self.features]
        if target in places:
            raise UserError(f"{path}: column {self.target!r} is the target and cannot be a feature too")
        if not places:
            raise UserError(f"{path}: no column is left for a feature")
        listed = {position_of(column, names, path): values for column, values in self.categories.items()}
        dates = [position_of(column, names, path) for column in self.dates]
        return Chosen(
            [cells[place] for place in places],
            cells[target],
            {number: listed[place] for number, place in enumerate(places) if place in listed},
            [number for number, place in enumerate(places) if place in dates],
        )

    def places(self, path: Path) -> list[Place]:
        """The inputs of a file in their order: columns by name, or by position if they have none, and ratios by name."""
        chosen = self._chosen(self.frame(path), path)
        return [cells.name if isinstance(cells.name, str) else int(str(cells.name)) for cells in chosen.inputs]

    def _ratio(self, frame: pd.DataFrame, name: str, dividend: Place, divisor: Place, path: Path) -> pd.Series[Any]:
        """One column divided by another, (rows,). Raises UserError for a divisor of 0."""
        names = list(frame.columns)
        if name in names:
            raise UserError(f"{path}: ratios: {name!r} is a column already")
        above, below = (self._numbers(frame.iloc[:, position_of(column, names, path)], path) for column in (dividend, divisor))
        if (zeros := np.flatnonzero(below == 0)).size:
            place = cells_of.place_of(int(zeros[0]), names[position_of(divisor, names, path)])
            raise UserError(f"{path}: {place}: 0, where {name!r} needs something to divide by")
        with np.errstate(over="ignore"):  # an infinite ratio is refused with the features
            return pd.Series(above / below, frame.index, name=name)

    def _numbers(self, cells: pd.Series[Any], path: Path, dtype: str = "float64") -> np.ndarray:
        truths = cells_of.booleans(cells)
        return cells_of.fitting(cells, self._parsed(cells) if truths is None else truths, dtype, path, self.has_header)

    def _raw(self, chosen: Chosen, columns: Sequence[Column], path: Path) -> Raw:
        x = np.empty((len(chosen.target), len(columns)), self.dtype, order="F")
        for number, (cells, column) in enumerate(zip(chosen.inputs, columns, strict=True)):
            if column.kind == "category":
                x[:, number] = cells_of.codes(cells, column.values, path)
            elif column.kind == "date":
                x[:, number] = cells_of.fitting(cells, cells_of.dates(cells, self.date_format, path), self.dtype, path)
            else:
                x[:, number] = self._numbers(cells, path, self.dtype)
        if self.shape and len(self.shape) > 1 and any(column.values for column in columns):
            raise UserError(f"{path}: a row with categories has no shape; leave shape out")
        return Raw(in_shape(x, self.shape, path), self._target(chosen.target, path), path, tuple(columns), chosen.target.name)

    def _target(self, cells: pd.Series[Any], path: Path) -> np.ndarray:
        """The targets, (n,): float64 with NaN for a missing one, or text with "" if they are no numbers."""
        truths = cells_of.booleans(cells)
        parsed = self._parsed(cells)
        if truths is None and not (parsed.isna() & cells.notna()).any():
            return cells_of.fitting(cells, parsed, "float64", path) / self.target_divisor
        text = cells.map(cells_of.as_text, na_action="ignore").fillna("")
        return (text if truths is None else text.str.lower()).to_numpy(str)


def position_of(column: Place, names: Sequence[Any], path: Path) -> int:
    """The position of a column, from 0. Raises UserError if there is no such column."""
    if isinstance(column, str):
        if column not in names:
            raise UserError(f"{path}: {unknown('column', column, [str(name) for name in names])}")
        return names.index(column)
    if not -len(names) <= column < len(names):
        raise UserError(f"{path}: there is no column {column} among {len(names)}; they count from 0, or from -1 backwards")
    return column % len(names)
