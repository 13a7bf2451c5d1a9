"""The raw files of a data set as arrays.

Nothing in a file is trusted: its SHA-256 is compared before it is opened, and every value must be a finite number, or missing
in a table that has columns for that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from stages.lib.cli import UserError
from stages.lib.data.catalogue import Dataset, check_class_names
from stages.lib.data.readers import columns as cells_of
from stages.lib.data.readers.raw import Column, Raw
from stages.lib.files import sha256_of
from stages.lib.study.strict_yaml import unknown

Rows = tuple[np.ndarray, np.ndarray]
"""Values (n, ...) and labels (n,)."""
MOST_CLASSES = 1000
"""Most classes that are taken from the labels that occur. More are a number to predict."""
BOOLEANS = ("false", "true")
"""Labels that are false or true."""
NO_LABEL = -1
"""Of a row whose label is missing."""


class Parts(dict[str, Rows]):
    """Part -> (x, y). The parts are `all`, or `train` and `test`.

    columns: what the inputs of a table are. x holds NaN where they have no value.
    class_names: of the labels 0, 1, ...; () for a regression.
    beside: part -> the column that the split goes by, (n,).
    """

    columns: tuple[Column, ...] = ()
    class_names: tuple[str, ...] = ()
    beside: Mapping[str, np.ndarray] = {}

    @classmethod
    def of(cls, given: Mapping[str, Rows]) -> Parts:
        """These parts, or plain arrays of which nothing else is known."""
        return given if isinstance(given, cls) else cls(given)


def read_parts(dataset: Dataset, folder: Path, beside: str | None = None) -> Parts:
    """The raw files in `folder` as part -> (x, y), and what is known of them.

    x keeps the type that it has in the file, (n, ...); y is int64 for classification, float64 for regression, (n,). A missing
    target is -1 or NaN.

    Args:
        beside: a column that the split goes by.
    """
    paths = {role: folder / file.name for role, file in dataset.files.items()}
    for role, file in dataset.files.items():
        if not paths[role].is_file():
            raise UserError(f"{paths[role]}: missing; run the fetch stage")
        if (digest := sha256_of(paths[role])) != file.sha256:
            raise UserError(f"{paths[role]}: altered since its fetch: SHA-256 expected {file.sha256}, found {digest}")
    named = tuple(cells_of.as_text(label) for label in dataset.labels) or dataset.class_names
    raw = {part: _checked(each, dataset.task) for part, each in dataset.reader.read(paths, named).items()}
    for each in raw.values():
        if (names := len(dataset.named_features)) not in (0, prod(each.x.shape[1:])):
            raise UserError(f"{each.path}: rows of {prod(each.x.shape[1:])} values, where feature_names has {names}")
    if dataset.task == "regression":
        parts = Parts({part: (each.x, _numbers(each)) for part, each in raw.items()})
    else:
        classes = _classes(raw, dataset)
        parts = Parts({part: (each.x, _labels(each, classes)) for part, each in raw.items()})
        parts.class_names = classes.names
    parts.columns = next(iter(raw.values())).columns
    parts.beside = dataset.reader.beside(paths, beside) if beside is not None else {}
    return parts


def _checked(raw: Raw, task: str) -> Raw:
    """A part whose rows agree and hold finite numbers, with its targets as (n,)."""
    x, y, path = raw.x, raw.y, raw.path
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim == 2 and len(y) and task == "classification" and y.dtype.kind in "iufb":
        if not ((y == 0) | (y == 1)).all() or not (y.sum(axis=1) == 1).all():
            raise UserError(f"{path}: targets of shape {y.shape} must be one-hot: one 1 in each row, and 0 elsewhere")
        y = y.argmax(axis=1)
    if task == "regression" and y.ndim == 2:
        raise UserError(f"{path}: targets of shape {y.shape}; a study predicts one number a row, so choose a column")
    if x.ndim < 2 or y.ndim != 1 or len(x) != len(y) or x.size == 0:
        raise UserError(f"{path}: inputs of shape {x.shape}, targets of shape {y.shape}; must be (n, ...) and (n,)")
    if task == "classification" and y.dtype.kind == "b":
        y = np.array(BOOLEANS)[y.astype(np.int64)]
    if y.dtype.kind == "S":
        y = np.char.decode(y, "utf-8", "replace")
    for what, values, kinds in (("inputs", x, "iuf"), ("targets", y, "iufU")):
        if values.dtype.kind not in kinds:
            raise UserError(f"{path}: the {what} are of type {values.dtype}, not numbers")
        absent = np.isnan(values) if raw.columns and values.dtype.kind == "f" else False
        if values.dtype.kind != "U" and not (finite := np.isfinite(values) | absent).all():
            first = tuple(np.argwhere(~finite)[0])
            raise UserError(f"{path}: the {what} hold {values[first]} in row {first[0] + 1}, not a finite number")
    return raw._replace(x=x, y=y)


def _numbers(raw: Raw) -> np.ndarray:
    """The targets of a regression, (n,) float64. Raises UserError for the first that is text."""
    if raw.y.dtype.kind != "U":
        return raw.y.astype(np.float64)
    cells = pd.Series(raw.y, name=raw.target, dtype=object).replace("", np.nan)
    return cells_of.fitting(cells, cells_of.numbers(cells), "float64", raw.path)


# Labels


@dataclass(frozen=True)
class _Classes:
    """Names of the classes, and the label that stands for each in the files: text, or numbers.

    said: whether the catalogue says which labels there are. Otherwise they are those that occur, or 0, 1, ...
    """

    names: tuple[str, ...]
    labels: pd.Index[Any]
    said: bool


def _classes(parts: Mapping[str, Raw], dataset: Dataset) -> _Classes:
    """What the labels of a data set mean.

    `labels` of the catalogue say it. Without it, labels that are text are class_names, and numbers are 0, 1, ...; without
    both, they are the values that occur, sorted. Raises UserError if these cannot be classes.
    """
    is_text = any(raw.y.dtype.kind == "U" for raw in parts.values())
    occurring = _occurring(parts, is_text)
    names = dataset.class_names
    labels: Sequence[Any] = dataset.labels
    if not labels and not names:
        labels = occurring
        if len(labels) > MOST_CLASSES:
            path = next(iter(parts.values())).path
            raise UserError(
                f"{path}: the target has {len(labels)} values; a regression predicts those, or class_names name them"
            )
    elif not labels and is_text:
        booleans = set(occurring) <= set(BOOLEANS) and len(names) == 2 and not set(names) & set(occurring)
        labels = BOOLEANS if booleans else names
    elif not labels:
        labels = range(len(names))
    if not names:
        names = tuple(_label_text(label) for label in labels)
        check_class_names(names)
    known = [_label_text(label) if is_text else _label_number(label) for label in labels]
    return _Classes(names, pd.Index(known, dtype=object if is_text else np.float64), bool(dataset.labels))


def _occurring(parts: Mapping[str, Raw], is_text: bool) -> Sequence[Any]:
    """The labels that occur, sorted, without missing ones."""
    if is_text:
        return cells_of.values_of([pd.Series(_as_text(raw.y), dtype=object).replace("", None) for raw in parts.values()])
    found = np.unique(np.concatenate([raw.y for raw in parts.values()]).astype(np.float64))
    return [float(label) for label in found if np.isfinite(label)]


def _label_text(label: object) -> str:
    return str(label).lower() if isinstance(label, bool) else cells_of.as_text(label)


def _label_number(label: object) -> float:
    try:
        return float(str(label)) if isinstance(label, str) else float(label)  # type: ignore[arg-type]
    except ValueError:
        return np.nan  # no number is this label


def _as_text(labels: np.ndarray) -> np.ndarray:
    """Labels as text, and "" where there is none."""
    if labels.dtype.kind == "U":
        return labels
    return np.array(["" if label != label else cells_of.as_text(label) for label in labels.tolist()])


def _labels(raw: Raw, classes: _Classes) -> np.ndarray:
    """The labels 0, 1, ... of a part, (n,) int64, and -1 for a row without one.

    Raises UserError for the first that is no class.
    """
    is_text = classes.labels.dtype == object
    y = _as_text(raw.y).astype(object) if is_text else raw.y.astype(np.float64)
    absent = y == "" if is_text else np.isnan(y)
    found = classes.labels.get_indexer(pd.Index(y))
    odd = found < 0
    if not is_text and not classes.said:
        odd |= y % 1 != 0
    if (rows := np.flatnonzero(odd & ~absent)).size:
        row, number = rows[0], len(classes.names)
        place = f"{raw.path}: row {row + 1}"
        if is_text:
            raise UserError(f"{place}: {unknown('label', y[row], [str(label) for label in classes.labels])}")
        known = ", ".join(map(cells_of.as_text, classes.labels)) if classes.said else f"0 to {number - 1}"
        hint = "" if classes.said else "; `labels` of the data set says what others stand for"
        raise UserError(f"{place}: label {y[row]}; labels of {number} classes are {known}{hint}")
    return np.where(absent, NO_LABEL, found).astype(np.int64)
