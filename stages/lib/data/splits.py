"""The rows of each split, the views fitted on them, and what a report says of the data."""

from __future__ import annotations

from typing import Any

import numpy as np

from stages.lib.cli import SettingError
from stages.lib.data.catalogue import Dataset
from stages.lib.data.prepared import Prepared
from stages.lib.study.load import check_task
from stages.lib.study.rows import RowRange, RowsSplit, StratifiedSplit, TrainTestSplit
from stages.lib.study.settings import Study
from stages.lib.study.strict_yaml import at
from stages.lib.training import views
from stages.lib.training.views import FittedView

FIRST_ROWS = 5
"""Rows of a table that a report shows."""
Rows = tuple[np.ndarray, np.ndarray]
"""Values (n, ...) and labels (n,)."""


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


def split_up(study: Study, dataset: Dataset, parts: dict[str, Rows]) -> dict[str, Rows]:
    """The study's splits, each cut to `limits.rows`. Raises SettingError for a split that the data set does not allow."""
    split = study.data.split
    if isinstance(split, StratifiedSplit):
        if dataset.task != "classification":
            wrong = "stratified needs classes; a regression takes another method"
            raise SettingError(wrong, "data", "split", "method")
        splits = stratified(parts, split)
    elif isinstance(split, TrainTestSplit):
        splits = train_test(parts, split)
    else:
        splits = as_given(parts, split)
    if dataset.task == "classification":
        _check_classes(study, dataset, parts, splits)
    return {name: (x[: study.limits.rows], y[: study.limits.rows]) for name, (x, y) in splits.items()}


def _check_classes(study: Study, dataset: Dataset, parts: dict[str, Rows], splits: dict[str, Rows]) -> None:
    """Raises SettingError for training rows of a single class, and for a class that a stratified split has too few rows of."""
    labels = splits["train"][1]
    if len(np.unique(labels)) < 2:
        wrong = f"all {len(labels)} training rows are of class {labels[0]}; a classification needs two classes or more"
        raise SettingError(wrong, "data", "split")
    if isinstance(study.data.split, StratifiedSplit):
        classes, rows = np.unique(together(parts)[1], return_counts=True)
        scarce = int(np.argmin(rows))
        if rows[scarce] < len(splits):
            name = dataset.class_names[classes[scarce]] if dataset.class_names else classes[scarce]
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


def facts(dataset: Dataset, parts: dict[str, Rows], splits: dict[str, Rows], fitted: dict[str, FittedView]) -> dict[str, Any]:
    """What a report says of the data: where they are from, their first rows, and the extremes of each split in each view.

    The extremes of raw values are exact. Those of views have six digits: noise is drawn through functions whose last digit may
    differ from one processor to another.
    """
    classes = max(int(y.max()) for _, y in parts.values()) + 1 if dataset.task == "classification" else 0
    x, y = next(iter(parts.values()))
    first = [[short(value, 7) for value in (*row, y[n])] for n, row in enumerate(x[:FIRST_ROWS])] if x.ndim == 2 else []

    def extremes(x: np.ndarray, digits: int = 17) -> dict[str, float]:
        return {"smallest": short(x.min(), digits), "largest": short(x.max(), digits)}

    return {
        "title": dataset.title,
        "description": dataset.description,
        "licence": dataset.licence,
        "citation": dataset.citation,
        "task": dataset.task,
        "target": dataset.target,
        "class_names": list(dataset.class_names) or [str(label) for label in range(classes)],
        "feature_names": list(dataset.named_features),
        "first_rows": first,
        "splits": {name: {"shape": list(x.shape), "type": str(x.dtype), **extremes(x)} for name, (x, _) in splits.items()},
        "views": {
            view: {name: extremes(views.apply(how, x, name), digits=6) for name, (x, _) in splits.items()}
            for view, how in fitted.items()
        },
    }


def prepare(study: Study, dataset: Dataset, parts: dict[str, Rows]) -> Prepared:
    """The study's data, from the parts of the data set.

    Raises SettingError for a split that the data set does not allow, or for a metric that its task does not have.
    """
    check_task(study, dataset.task)
    splits = split_up(study, dataset, parts)
    _check_folds(study, splits)
    fitted = {name: views.fit(view, {split: x for split, (x, _) in splits.items()}) for name, view in study.views.items()}
    return Prepared(splits, fitted, facts(dataset, parts, splits, fitted))
