"""The raw files of a data set as arrays.

Nothing in a file is trusted: its SHA-256 is compared before it is opened, and every value must be a finite number.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from pathlib import Path

import numpy as np

from stages.lib.cli import UserError
from stages.lib.data.catalogue import Dataset
from stages.lib.data.readers.raw import Raw
from stages.lib.files import sha256_of


def read_parts(dataset: Dataset, folder: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The raw files in `folder` as part -> (x, y). The parts are `all`, or `train` and `test`.

    x keeps the type that it has in the file, (n, ...); y is int64 for classification, float64 for regression, (n,).
    """
    paths = {role: folder / file.name for role, file in dataset.files.items()}
    for role, file in dataset.files.items():
        if not paths[role].is_file():
            raise UserError(f"{paths[role]}: missing; run the fetch stage")
        if (digest := sha256_of(paths[role])) != file.sha256:
            raise UserError(f"{paths[role]}: altered since its fetch: SHA-256 expected {file.sha256}, found {digest}")
    parts = {part: _checked(raw) for part, raw in dataset.reader.read(paths, dataset.class_names).items()}
    for x, _, path in parts.values():
        if (names := len(dataset.named_features)) not in (0, prod(x.shape[1:])):
            raise UserError(f"{path}: rows of {prod(x.shape[1:])} values, where feature_names has {names}")
    if dataset.task == "regression":
        return {part: (x, y.astype(np.float64)) for part, (x, y, _) in parts.items()}
    _check_labels(parts, len(dataset.class_names))
    return {part: (x, y.astype(np.int64)) for part, (x, y, _) in parts.items()}


def _checked(raw: Raw) -> Raw:
    """A part whose rows agree and hold finite numbers, with its targets as (n,)."""
    x, y, path = raw
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if x.ndim < 2 or y.ndim != 1 or len(x) != len(y) or x.size == 0:
        raise UserError(f"{path}: inputs of shape {x.shape}, targets of shape {y.shape}; must be (n, ...) and (n,)")
    for what, values in (("inputs", x), ("targets", y)):
        if values.dtype.kind not in "iuf":
            raise UserError(f"{path}: the {what} are of type {values.dtype}, not numbers")
        if not (finite := np.isfinite(values)).all():
            first = tuple(np.argwhere(~finite)[0])
            raise UserError(f"{path}: the {what} hold {values[first]} in row {first[0] + 1}, not a finite number")
    return Raw(x, y, path)


def _check_labels(parts: Mapping[str, Raw], named: int) -> None:
    """Raises UserError unless all labels are 0 to k - 1, where k is the number of named classes, or of labels that occur."""
    classes = named or len(np.unique(np.concatenate([y for _, y, _ in parts.values()])))
    for _, y, path in parts.values():
        if (odd := np.flatnonzero(~np.isin(y, np.arange(classes)))).size:
            row = odd[0]
            raise UserError(f"{path}: row {row + 1}: label {y[row]}; labels of {classes} classes are 0 to {classes - 1}")
