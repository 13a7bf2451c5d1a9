"""What all readers have in common: their files by role, and the parts that they read."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Annotated, ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Field

from stages.lib.cli import SettingError, UserError
from stages.lib.study.metrics import Task
from stages.lib.study.strict_yaml import Section
from stages.lib.study.values import Count

Part = Literal["all", "train", "test"]
Shape = Annotated[tuple[Count, ...], Field(strict=False)]


@dataclass(frozen=True)
class Column:
    """What one input of a table's row is.

    kind: of a `category`, x holds the position in `values`; a `boolean` is 0 or 1; a `date` is days since 1970-01-01.
    values: of a category, in the order that the settings give, or sorted.
    ordered: whether the settings give the order.
    """

    name: str
    kind: Literal["number", "boolean", "category", "date"]
    values: tuple[str, ...] = ()
    ordered: bool = False


class Raw(NamedTuple):
    """One part as a file holds it, and the file that mistakes in it are reported for.

    y: numbers, or text for labels that are text; NaN or empty text where there is no target.
    columns: of a table. x holds NaN for a missing value of these.
    target: the column of the targets, by name or position, for messages.
    """

    x: np.ndarray
    y: np.ndarray
    path: Path
    columns: tuple[Column, ...] = ()
    target: object = 0


class Reader(Section):
    """A kind of files, and how they are read."""

    roles: ClassVar[tuple[tuple[str, ...], ...]]
    """The roles of the files, in each way that the data set may be divided into files."""

    @property
    def feature_names(self) -> tuple[str, ...]:
        """What one row's inputs are called. () if the settings do not say so."""
        return ()

    def check(self, task: Task, class_names: Sequence[str], roles: Collection[str]) -> None:
        """Raises SettingError, with a place below the data set, for settings that this reader cannot follow."""

    def read(self, paths: Mapping[str, Path], class_names: Sequence[str]) -> dict[str, Raw]:
        """The parts that the files hold. Raises UserError, naming the file, for what cannot be read.

        Args:
            paths: role -> file.
            class_names: of the labels 0, 1, ...; or the labels themselves, if they are text.
        """
        raise NotImplementedError

    def beside(self, paths: Mapping[str, Path], column: str) -> dict[str, np.ndarray]:  # noqa: ARG002
        """Part -> the cells of a column, which need not be an input, (n,), numbers or text.

        Raises SettingError for files that are no tables.
        """
        raise SettingError(f"{type(self).__name__.lower()} files have no columns; tables have", "column")


def in_shape(x: np.ndarray, shape: Sequence[int] | None, path: Path) -> np.ndarray:
    """The rows of `x` (n, ...), each of them in `shape`."""
    if shape is None:
        return x
    if prod(x.shape[1:]) != prod(shape):
        raise UserError(f"{path}: rows of {prod(x.shape[1:])} values do not fit shape {list(shape)}")
    return x.reshape(-1, *shape)
