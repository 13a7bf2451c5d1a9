"""Checks of what was read: tables with missing values and categories, rows that are used, views, and what is worth a line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from stages.lib.cli import SettingError, first_of
from stages.lib.data.parts import NO_LABEL, Parts, Rows
from stages.lib.study.rows import View
from stages.lib.study.settings import Study
from stages.lib.study.strict_yaml import at, unknown

MOST_INPUTS = 20_000
"""Most encoded columns of a view."""
SIGNS = (-9.0, -99.0, -999.0, -9999.0, -99999.0, 999.0, 9999.0, 99999.0)
"""Numbers that often stand for a missing value."""
FEW = 5
"""A class with fewer rows in a split than this is worth a line."""


def missing_in(x: np.ndarray) -> np.ndarray:
    """Where the values of rows (n, ...) are missing, as booleans of the same shape."""
    return np.isnan(x) if x.dtype.kind == "f" else np.zeros(x.shape, bool)


def is_special(parts: Parts) -> bool:
    """Whether a table has a category or a missing value."""
    has_missing = any(missing_in(x).any() for x, _ in parts.values())
    return bool(parts.columns) and (has_missing or any(column.kind == "category" for column in parts.columns))


def asked_for(study: Study) -> bool:
    """Whether a view says what to do with missing values or with pairs of columns."""
    return any(view.missing is not None or view.crosses for view in study.views.values())


def described(parts: Parts) -> list[dict[str, Any]]:
    """Of each column its name, its kind, the values of a category and how many cells are missing, for facts.json."""
    missing = sum(missing_in(x).sum(axis=0) for x, _ in parts.values())
    return [{**asdict(column), "missing": int(number)} for column, number in zip(parts.columns, missing, strict=True)]


def usable(study: Study, parts: Parts) -> Parts:
    """The rows that are used: all, or those without a missing value. Raises SettingError for a row without a target."""
    complete: dict[str, np.ndarray] = {}
    for part, (x, y) in parts.items():
        absent = np.isnan(y) if y.dtype.kind == "f" else y == NO_LABEL
        if study.data.incomplete_rows == "keep" and absent.any():
            row = int(np.flatnonzero(absent)[0]) + 1
            more = f" ({absent.sum()} rows have none)" if absent.sum() > 1 else ""
            wrong = f"row {row} of part {part!r} has no target{more}; leave_out drops such rows"
            raise SettingError(wrong, "data", "incomplete_rows")
        complete[part] = ~(absent | missing_in(x).reshape(len(x), -1).any(axis=1))
    if study.data.incomplete_rows == "keep":
        return parts
    if not all(rows.any() for rows in complete.values()):
        raise SettingError("leave_out leaves no row: each has a missing value", "data", "incomplete_rows")
    kept = Parts({part: (x[complete[part]], y[complete[part]]) for part, (x, y) in parts.items()})
    kept.columns, kept.class_names = parts.columns, parts.class_names
    kept.beside = {part: cells[complete[part]] for part, cells in parts.beside.items()}
    return kept


# Views


def check_views(study: Study, parts: Parts) -> None:
    """Raises SettingError for a view that the table does not allow, or that does not say how missing values are filled."""
    special = is_special(parts)
    for name, view in study.views.items():
        with at("views", name):
            if not parts.columns and (view.missing is not None or view.crosses or view.rare or view.categories != "one_hot"):
                wrong = "missing, categories, rare and crosses are for tables; this data set is none"
                raise SettingError(wrong)
            if special or view.missing is not None or view.crosses:
                _check_view(view, parts)


def _check_view(view: View, parts: Parts) -> None:
    columns = {column.name: column for column in parts.columns}
    missing = [each["name"] for each in described(parts) if each["missing"]]
    if missing and view.missing is None:
        ways = "set median, mean, most_frequent or a number, or data.incomplete_rows: leave_out"
        wrong = f"values are missing in {first_of(missing, 5)}; {ways}"
        raise SettingError(wrong, "missing")
    for key, off in (("invert", False), ("test_noise", 0.0), ("fit_on", "train")):
        if getattr(view, key) != off:
            raise SettingError(f"is not for a table with categories or missing values; it must be {str(off).lower()}", key)
    if view.categories == "ordinal":
        ordered = [column for column in columns.values() if column.ordered]
        if not ordered:
            wrong = "no column has an order; the reader's categories give it, as in {size: [small, large]}"
            raise SettingError(wrong, "categories")
        if (gaps := [column.name for column in ordered if column.name in missing]) and view.missing != "most_frequent":
            raise SettingError(f"{gaps[0]} has missing values, so missing must be most_frequent", "categories")
    for number, pair in enumerate(view.crosses):
        for column in pair:
            if column not in columns:
                raise unknown("column", column, list(columns)).below("crosses", str(number))
            if columns[column].kind not in ("category", "boolean"):
                wrong = f"{column!r} is a {columns[column].kind}; a cross is of categories, or of true and false"
                raise SettingError(wrong, "crosses", str(number))
    width = sum(len(column.values) or 1 for column in columns.values())
    if width > MOST_INPUTS:
        largest = max(columns.values(), key=lambda column: len(column.values))
        wrong = f"{width} inputs, {len(largest.values)} of them for {largest.name}; {MOST_INPUTS} are the most: leave it out"
        raise SettingError(wrong)


# What is worth a line


def counts_rows(values: np.ndarray) -> bool:
    """Whether a column is 0, 1, 2, ... or 1, 2, 3, ..."""
    return len(values) > 2 and values[0] in (0, 1) and bool((np.diff(values) == 1).all())


def doubts(
    given: Mapping[str, Rows], splits: Mapping[str, tuple[np.ndarray, np.ndarray]], class_names: Sequence[str]
) -> Iterator[str]:
    """What may be meant and is seldom: classes with few rows, or none to train on, and numbers that stand for nothing.

    Args:
        class_names: none for a regression.
    """
    counts = {split: np.bincount(y, minlength=len(class_names)) for split, (_, y) in splits.items()} if class_names else {}
    nowhere, untaught, few = [], [], []
    for label, name in enumerate(class_names):
        found = {split: int(count[label]) for split, count in counts.items()}
        if not any(found.values()):
            nowhere.append(name)
        elif not found["train"]:
            untaught.append(name)
        elif min(found.values()) < FEW:
            few.append(f"{name} ({', '.join(f'{count} in {split}' for split, count in found.items())})")
    for names, what in ((nowhere, "no row"), (untaught, "no training row, so nothing can learn it"), (few, "few rows")):
        if names:
            yield f"data.split: class {first_of(names, 3)}: {what}"
    parts = Parts.of(given)
    for number, column in enumerate(parts.columns):
        if column.kind == "number":
            if any(counts_rows(x.reshape(len(x), -1)[:, number]) for x, _ in parts.values()):
                yield f"column {column.name} numbers the rows, as an index does; if it means nothing, list it under leave_out"
            values = np.unique(np.concatenate([x.reshape(len(x), -1)[:, number] for x, _ in parts.values()]))
            for sign in SIGNS:
                others = np.abs(values[(values != sign) & ~missing_in(values)])
                if sign in values and len(others) and others.max() * 5 < abs(sign):
                    yield f"column {column.name} holds {sign:g}, far from all else; if it means nothing, list it under missing"
