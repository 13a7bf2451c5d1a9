"""The rows of each split, the views fitted on them, and what a report says of the data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from stages.lib.cli import SettingError
from stages.lib.data import checks
from stages.lib.data.catalogue import Dataset
from stages.lib.data.parts import Parts, Rows
from stages.lib.data.prepared import Prepared
from stages.lib.data.readers.raw import Column
from stages.lib.study.load import check_task
from stages.lib.study.rows import GroupSplit, RowRange, RowsSplit, StratifiedSplit, TimeSplit, TrainTestSplit
from stages.lib.study.settings import Study
from stages.lib.study.strict_yaml import at
from stages.lib.training import views
from stages.lib.training.views import FittedView

FIRST_ROWS = 5
"""Rows of a table that a report shows."""


def together(parts: dict[str, Rows]) -> Rows:
    """The rows of all parts, one part after another."""
    return np.concatenate([x for x, _ in parts.values()]), np.concatenate([y for _, y in parts.values()])


def stratified(parts: dict[str, Rows], split: StratifiedSplit) -> dict[str, Rows]:
    """Disjoint random splits of all rows, each class in each split in the proportion that it has in the whole.

    The rows of each class are shuffled and spread evenly over [0, 1). All rows are then sorted by this place. Any run of them
    holds the classes in proportion, to within two rows of each class, unless a class is many times larger than the others.

    Raises SettingError if the sizes add up to more rows than there are.
    """
    x, y = together(parts)
    wanted = split.train + split.validation + split.test
    if wanted > len(y):
        wrong = f"train, validation and test add up to {wanted} rows; the data set has {len(y)}"
        raise SettingError(wrong, "data", "split")
    draw = np.random.default_rng(split.seed)
    order = draw.permutation(len(y))
    place = np.empty(len(y))
    for label in np.unique(y):
        members = order[y[order] == label]
        place[members] = (np.arange(len(members)) + draw.random()) / len(members)
    spread = np.argsort(place, kind="stable")
    chosen = {
        "train": spread[: split.train],
        "validation": spread[split.train : split.train + split.validation],
        "test": spread[split.train + split.validation : wanted],
    }
    return {name: (x[rows], y[rows]) for name, rows in chosen.items() if len(rows)}


def train_test(parts: dict[str, Rows], split: TrainTestSplit) -> dict[str, Rows]:
    """scikit-learn's shuffled shares: first the test rows from all rows, then the validation rows from the others.

    Raises SettingError if a split would be left without rows.
    """
    from sklearn.model_selection import train_test_split  # takes seconds, so only if needed

    x, y = together(parts)
    try:
        rest, test = train_test_split(np.arange(len(y)), test_size=split.test, random_state=split.test_seed)
        train, validation = train_test_split(rest, test_size=split.validation, random_state=split.validation_seed)
    except ValueError:
        raise SettingError(f"{len(y)} rows are too few to train, validate and test on", "data", "split") from None
    chosen = {"train": train, "validation": validation, "test": test}
    return {name: (x[rows], y[rows]) for name, rows in chosen.items()}


def by_groups(parts: dict[str, Rows], groups: np.ndarray, split: GroupSplit) -> dict[str, Rows]:
    """scikit-learn's shares of groups: first the test groups, then the validation groups from the others.

    Raises SettingError if a split would be left without a group.

    Args:
        groups: the group of each row of all parts, (n,).
    """
    from sklearn.model_selection import GroupShuffleSplit  # takes seconds, so only if needed

    x, y = together(parts)

    def cut(rows: np.ndarray, share: float) -> tuple[np.ndarray, np.ndarray]:
        shuffle = GroupShuffleSplit(n_splits=1, test_size=share, random_state=split.seed)
        rest, chosen = next(shuffle.split(rows, groups=groups[rows]))
        return rows[rest], rows[chosen]

    try:
        rest, test = cut(np.arange(len(y)), split.test)
        train, validation = cut(rest, split.validation / (1 - split.test)) if split.validation else (rest, rest[:0])
    except ValueError:
        wrong = f"the {len(np.unique(groups))} groups of column {split.column!r} are too few to train, validate and test on"
        raise SettingError(wrong, "data", "split") from None
    chosen = {"train": train, "validation": validation, "test": test}
    return {name: (x[rows], y[rows]) for name, rows in chosen.items() if len(rows)}


def by_time(parts: dict[str, Rows], times: np.ndarray, split: TimeSplit) -> dict[str, Rows]:
    """The oldest rows to train on, then those to validate on, then the newest to test on. Equal times stay in their order.

    Raises SettingError if a split would be left without rows.

    Args:
        times: of each row of all parts, (n,).
    """
    x, y = together(parts)
    if times.dtype.kind == "U":
        wrong = f"column {split.column!r} holds {str(times[0])!r}, which is no number and no date"
        raise SettingError(wrong, "data", "split", "column")
    order = np.argsort(times, kind="stable")
    test, validation = round(len(y) * split.test), round(len(y) * split.validation)
    train = len(y) - test - validation
    if train < 1 or test < 1 or (split.validation and validation < 1):
        raise SettingError(f"{len(y)} rows are too few for these shares", "data", "split")
    chosen = {"train": order[:train], "validation": order[train : len(y) - test], "test": order[len(y) - test :]}
    return {name: (x[rows], y[rows]) for name, rows in chosen.items() if len(rows)}


def as_given(parts: dict[str, Rows], split: RowsSplit) -> dict[str, Rows]:
    """Ranges of rows of the data set's parts, in their order.

    Raises SettingError for a part that the data set does not have, rows past its end, or training rows in another split.
    """

    def take(name: str, rows: RowRange) -> Rows:
        with at("data", "split", name):
            if rows.part not in parts:
                raise SettingError(f"the data set has no part {rows.part!r}; it has: {', '.join(parts)}", "part")
            x, y = parts[rows.part]
            first, stop = rows.rows
            if stop > len(y):
                raise SettingError(f"[{first}, {stop}] goes past the {len(y)} rows of part {rows.part!r}", "rows")
            return x[first:stop], y[first:stop]

    ranges = {"train": split.train, "validation": split.validation, "test": split.test}
    wanted = {name: rows for name, rows in ranges.items() if isinstance(rows, RowRange)}
    for name, rows in wanted.items():
        if name != "train" and rows.overlaps(split.train):
            wrong = f"{list(rows.rows)} overlaps the training rows {list(split.train.rows)} of part {rows.part!r}"
            raise SettingError(wrong, "data", "split", name, "rows")
    return {name: take(name, rows) for name, rows in wanted.items()}


def split_up(study: Study, dataset: Dataset, parts: Parts) -> dict[str, Rows]:
    """The study's splits, each cut to `limits.rows`. Raises SettingError for a split that the data set does not allow."""
    split = study.data.split
    if isinstance(split, StratifiedSplit):
        if dataset.task != "classification":
            wrong = "stratified needs classes; a regression takes another method"
            raise SettingError(wrong, "data", "split", "method")
        splits = stratified(parts, split)
    elif isinstance(split, TrainTestSplit):
        splits = train_test(parts, split)
    elif isinstance(split, GroupSplit | TimeSplit):
        beside = np.concatenate([parts.beside[part] for part in parts])
        splits = by_groups(parts, beside, split) if isinstance(split, GroupSplit) else by_time(parts, beside, split)
    else:
        splits = as_given(parts, split)
    if dataset.task == "classification":
        _check_classes(study, parts, splits)
    return {name: (x[: study.limits.rows], y[: study.limits.rows]) for name, (x, y) in splits.items()}


def _check_classes(study: Study, parts: Parts, splits: dict[str, Rows]) -> None:
    """Raises SettingError for training rows of a single class, and for a class that a stratified split has too few rows of."""
    labels = splits["train"][1]
    if len(np.unique(labels)) < 2:
        wrong = f"all {len(labels)} training rows are of class {labels[0]}; a classification needs two classes or more"
        raise SettingError(wrong, "data", "split")
    if isinstance(study.data.split, StratifiedSplit):
        classes, rows = np.unique(together(parts)[1], return_counts=True)
        scarce = int(np.argmin(rows))
        if rows[scarce] < len(splits):
            name = parts.class_names[classes[scarce]] if parts.class_names else classes[scarce]
            wrong = f"class {name} has {rows[scarce]} of {sum(rows)} rows, too few for {len(splits)} splits to have one each"
            raise SettingError(wrong, "data", "split")


def _check_folds(study: Study, splits: dict[str, Rows]) -> None:
    """Raises SettingError for more folds than rows, or for no row to set apart."""
    rows = sum(len(splits[name][1]) for name in ("train", "validation") if name in splits)
    used: list[tuple[int, tuple[str, ...]]]
    used = [(recipe.k_fold.folds, ("data", "k_fold")) for recipe in study.recipes.values() if recipe.k_fold]
    if study.search:
        used.append((study.search.folds, ("search",)))
    for folds, place in used:
        if folds > rows:
            raise SettingError(f"{folds} folds of {rows} rows; a fold needs a row", *place, "folds")
    for name, recipe in study.recipes.items():
        if recipe.train.validation_rows and len(splits["train"][1]) < 2:
            raise SettingError("there is one training row, and none to set apart", "variants", name, "train", "validation_rows")


def short(value: float, digits: int) -> float:
    """The number with this many significant digits. Never -0.0."""
    return float(f"{value:.{digits}g}") + 0.0


def facts(
    dataset: Dataset, given: Mapping[str, Rows], splits: dict[str, Rows], fitted: dict[str, FittedView]
) -> dict[str, Any]:
    """What a report says of the data: where they are from, their first rows, and the extremes of each split in each view.

    The extremes of raw values are exact. Those of views have six digits: noise is drawn through functions whose last digit may
    differ from one processor to another. `columns` are there for a table with missing values or categories.
    """
    parts = Parts.of(given)
    classes = max(int(y.max()) for _, y in parts.values()) + 1 if dataset.task == "classification" else 0
    x, y = next(iter(parts.values()))
    first = [_first_row(row, y[n], parts.columns) for n, row in enumerate(x[:FIRST_ROWS])] if x.ndim == 2 else []

    def extremes(x: np.ndarray, digits: int = 17) -> dict[str, float]:
        if (absent := checks.missing_in(x)).any():
            x = x[~absent] if not absent.all() else np.zeros(1)
        return {"smallest": short(x.min(), digits), "largest": short(x.max(), digits)}

    return {
        "title": dataset.title,
        "description": dataset.description,
        "licence": dataset.licence,
        "citation": dataset.citation,
        "task": dataset.task,
        "target": dataset.target,
        "class_names": list(parts.class_names or dataset.class_names) or [str(label) for label in range(classes)],
        "feature_names": list(dataset.named_features),
        "first_rows": first,
        "splits": {name: {"shape": list(x.shape), "type": str(x.dtype), **extremes(x)} for name, (x, _) in splits.items()},
        "views": {
            view: {name: extremes(views.apply(how, x, name), digits=6) for name, (x, _) in splits.items()}
            for view, how in fitted.items()
        },
        **({"columns": checks.described(parts)} if checks.is_special(parts) else {}),
    }


def _first_row(row: np.ndarray, target: float, columns: Sequence[Column]) -> list[Any]:
    """The values of a row and its target for readers: categories by name, and None for what is missing."""
    cells: list[Any] = []
    for number, value in enumerate(row):
        values = columns[number].values if columns else ()
        cells.append(None if np.isnan(value) else values[int(value)] if values else short(value, 7))
    return [*cells, short(target, 7)]


def prepare(study: Study, dataset: Dataset, given: Mapping[str, Rows]) -> Prepared:
    """The study's data, from the parts of the data set.

    Raises SettingError for a split that the data set does not allow, for a metric that its task does not have, or for a view
    that does not say what becomes of missing values.
    """
    check_task(study, dataset.task)
    parts = checks.usable(study, Parts.of(given))
    checks.check_views(study, parts)
    splits = split_up(study, dataset, parts)
    _check_folds(study, splits)
    columns = [asdict(column) for column in parts.columns] if checks.is_special(parts) or checks.asked_for(study) else []
    fitted = {
        name: views.fit(view, {split: x for split, (x, _) in splits.items()}, columns) for name, view in study.views.items()
    }
    return Prepared(splits, fitted, facts(dataset, parts, splits, fitted))
