"""What all readers have in common: their files by role, and the parts that they read."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Annotated, ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Field

from stages.lib.cli import UserError
from stages.lib.study.metrics import Task
from stages.lib.study.strict_yaml import Section
from stages.lib.study.values import Count

Part = Literal["all", "train", "test"]
Shape = Annotated[tuple[Count, ...], Field(strict=False)]


class Raw(NamedTuple):
    """One part as a file holds it, and the file that mistakes in it are reported for."""

    x: np.ndarray
    y: np.ndarray
    path: Path


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
            class_names: of the labels 0, 1, ...
        """
        raise NotImplementedError


def in_shape(x: np.ndarray, shape: Sequence[int] | None, path: Path) -> np.ndarray:
    """The rows of `x` (n, ...), each of them in `shape`."""
    if shape is None:
        return x
    if prod(x.shape[1:]) != prod(shape):
        raise UserError(f"{path}: rows of {prod(x.shape[1:])} values do not fit shape {list(shape)}")
    return x.reshape(-1, *shape)
