"""Encodings: rows of a table with missing values and categories as numbers alone.

An encoding is plain JSON, fitted on the training rows. Encoded columns stand in this order: numbers, signs of missing values,
categories, crosses. stages/tools/predict.py applies the same encoding without this project.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from stages.lib.study.rows import View

Columns = Sequence[Mapping[str, Any]]
"""For each raw column its name, its kind, and the values and the order of a category, as facts.json has them."""
NONE = -1
"""The code of a category that is missing."""


SIZES = {"category": None, "boolean": 2}
"""Kinds of columns that can be crossed -> their number of values, if it is always the same."""


def is_needed(view: View, columns: Columns) -> bool:
    """Whether a view of these columns does more than shift and multiply them."""
    return bool(columns) and (view.missing is not None or bool(view.crosses) or any(_is_category(each) for each in columns))


def fit(view: View, rows: np.ndarray, columns: Columns) -> dict[str, Any]:
    """The encoding of raw rows (n, columns), in which NaN is a missing value.

    fills: what stands for a missing value of each column; None leaves the code of a category missing.
    indicators: columns that are missing in some rows, each of which gets a column that says where.
    one_hot: (column, codes, rare codes), with a column for each code and one for all the rare ones.
    ordinal: columns whose codes are taken as numbers.
    crosses: (column, column, pairs of codes that occur).
    """
    fills = [_fill(view, x, column) for x, column in zip(rows.T, columns, strict=True)]
    missing = np.isnan(rows).any(axis=0)
    encoding: dict[str, Any] = {
        "columns": [{**column, "values": list(column["values"])} for column in columns],
        "fills": fills,
        "indicators": [number for number in np.flatnonzero(missing).tolist() if view.missing_indicator],
        "one_hot": [],
        "ordinal": [],
        "crosses": [],
    }
    codes = {number: _codes(rows[:, number], fills[number]) for number, column in enumerate(columns) if column["kind"] in SIZES}
    for number, column in enumerate(columns):
        if not _is_category(column):
            continue
        if view.categories == "ordinal" and column["ordered"]:
            encoding["ordinal"].append(number)
            continue
        occurring, counts = np.unique(codes[number][codes[number] != NONE], return_counts=True)
        rare = counts < view.rare
        encoding["one_hot"].append([number, occurring[~rare].tolist(), occurring[rare].tolist()])
    names = [column["name"] for column in columns]
    for pair in view.crosses:
        first, second = (names.index(name) for name in pair)
        both = np.column_stack([codes[first], codes[second]])
        encoding["crosses"].append([first, second, np.unique(both[(both != NONE).all(axis=1)], axis=0).tolist()])
    return encoding


def _is_category(column: Mapping[str, Any]) -> bool:
    return bool(column["kind"] == "category")


def _fill(view: View, x: np.ndarray, column: Mapping[str, Any]) -> Any:
    """What stands for a missing value of a column, from its training rows (n,). 0 if none of them has a value.

    None for a column whose missing values have no stand-in.
    """
    if view.missing is None or (_is_category(column) and view.missing != "most_frequent"):
        return None
    known = x[~np.isnan(x)].astype(np.float64)
    if not len(known):
        return 0.0
    if view.missing == "most_frequent":
        values, counts = np.unique(known, return_counts=True)
        value = values[np.argmax(counts)]  # the smallest of those that are equally frequent
    elif view.missing in ("median", "mean"):
        value = np.median(known) if view.missing == "median" else known.mean()
    else:
        value = view.missing
    return float(np.float32(value).astype(str))


def _codes(x: np.ndarray, fill: float | None) -> np.ndarray:
    """The values of a category or a boolean as whole numbers, (n,)."""
    return np.where(np.isnan(x), NONE if fill is None else fill, x).astype(np.int64)


def numbers(encoding: Mapping[str, Any], rows: np.ndarray) -> np.ndarray:
    """The columns of raw rows (n, columns) that are numbers, without missing values, (n, numbers), float32."""
    places = [number for number, column in enumerate(encoding["columns"]) if not _is_category(column)]
    x: np.ndarray = rows[:, places].astype(np.float32)
    fills = np.array([encoding["fills"][number] for number in places], np.float32)
    return np.where(np.isnan(x), fills, x)


def others(encoding: Mapping[str, Any], rows: np.ndarray) -> np.ndarray:
    """The encoded columns of raw rows (n, columns) after the numbers, (n, others), float32.

    A code behind the last is a value that the data never had. It has no column.
    """
    columns, fills = encoding["columns"], encoding["fills"]
    parts = [np.isnan(rows[:, encoding["indicators"]])]
    category = {number: _codes(rows[:, number], fills[number]) for number in range(len(columns)) if columns[number]["values"]}
    hot = {number: (known, rare) for number, known, rare in encoding["one_hot"]}
    for number, codes in category.items():
        if number in encoding["ordinal"]:
            parts.append(codes[:, None])
            continue
        known, rare = hot[number]
        table = np.zeros(
            (len(columns[number]["values"]) + 1, len(known) + bool(rare)), bool
        )  # the last row is for NONE and new values
        table[known, np.arange(len(known))] = True
        table[rare, len(known) :] = True
        parts.append(table[codes])
    for first, second, pairs in encoding["crosses"]:
        size = len(columns[second]["values"]) or 2
        a, b = (_codes(rows[:, number], fills[number]) for number in (first, second))
        known = np.array([one * size + other for one, other in pairs], np.int64)
        parts.append(np.where((a < 0) | (b < 0) | (b >= size), NONE, a * size + b)[:, None] == known)
    return np.concatenate(parts, axis=1, dtype=np.float32, casting="unsafe")


def names(encoding: Mapping[str, Any]) -> list[str]:
    """What the encoded columns are called."""
    columns = encoding["columns"]

    def value(number: int, code: int) -> str:
        values = columns[number]["values"] or ("false", "true")
        return f"{columns[number]['name']} {values[code]}"

    found = [column["name"] for column in columns if not _is_category(column)]
    found += [f"{columns[number]['name']} missing" for number in encoding["indicators"]]
    hot = {number: (known, rare) for number, known, rare in encoding["one_hot"]}
    for number, column in enumerate(columns):
        if number in encoding["ordinal"]:
            found.append(column["name"])
        elif number in hot:
            known, rare = hot[number]
            found += [value(number, code) for code in known] + [f"{column['name']} rare"] * bool(rare)
    for first, second, pairs in encoding["crosses"]:
        found += [f"{value(first, one)} x {value(second, other)}" for one, other in pairs]
    return found


def crossed(encoding: Mapping[str, Any]) -> int:
    """How many encoded columns are crosses. They are the last ones."""
    return sum(len(pairs) for _, _, pairs in encoding["crosses"]) if encoding else 0
