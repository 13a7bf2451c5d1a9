"""Split the data set, fit the views, and note the facts.

Reads data/raw, data/datasets.yaml and params.yaml. Writes data/prepared/: train.npz, validation.npz (if any) and test.npz, each
once and in its original type; views.json, every view as a shift and a factor fitted on the training split alone; facts.json.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np

from stages.lib import views
from stages.lib.cli import UserError, arguments, one_line_errors
from stages.lib.datasets import CATALOGUE, Dataset, load_catalogue, pick, read_parts
from stages.lib.prepared import Prepared, write_prepared
from stages.lib.settings import RowRange, RowsSplit, StratifiedSplit, Study, check_task, load_study

Rows = tuple[np.ndarray, np.ndarray]
"""Values (n, ...) and labels (n,)."""


def stratified(parts: dict[str, Rows], split: StratifiedSplit) -> dict[str, Rows]:
    """Disjoint random splits of all rows, each class in each split in the proportion that it has in the whole.

    Within each class the rows are shuffled and spread evenly over [0, 1); sorted by that place, any run of rows holds the
    classes in proportion, to within two rows of each where no class is many times larger than the others.

    Raises UserError where the sizes add up to more rows than there are.
    """
    x = np.concatenate([x for x, _ in parts.values()])
    y = np.concatenate([y for _, y in parts.values()])
    wanted = split.train + split.validation + split.test
    if wanted > len(y):
        raise UserError(
            f"params.yaml: data.split: train, validation and test add up to {wanted} rows; the data set has {len(y)}"
        )
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


def as_given(parts: dict[str, Rows], split: RowsSplit) -> dict[str, Rows]:
    """Ranges of rows of the data set's parts, in their order.

    Raises UserError for a part that the data set does not have, or rows past its end.
    """

    def take(name: str, rows: RowRange) -> Rows:
        place = f"params.yaml: data.split.{name}"
        if rows.part not in parts:
            raise UserError(f"{place}.part: the data set has no part {rows.part!r}; it has: {', '.join(parts)}")
        x, y = parts[rows.part]
        first, stop = rows.rows
        if stop > len(y):
            raise UserError(f"{place}.rows: [{first}, {stop}] goes past the {len(y)} rows of part {rows.part!r}")
        return x[first:stop], y[first:stop]

    ranges = {"train": split.train, "validation": split.validation, "test": split.test}
    return {name: take(name, rows) for name, rows in ranges.items() if rows != "none"}


def facts(dataset: Dataset, splits: dict[str, Rows]) -> dict[str, Any]:
    """What a report says of the data: where they are from, and the shape and the extremes of each split."""
    classes = sorted({int(label) for _, y in splits.values() for label in y}) if dataset.task == "classification" else []
    names = list(dataset.class_names) or [str(label) for label in range(max(classes, default=-1) + 1)]
    return {
        "title": dataset.title,
        "licence": dataset.licence,
        "citation": dataset.citation,
        "task": dataset.task,
        "class_names": names,
        "splits": {
            name: {"shape": list(x.shape), "type": str(x.dtype), "smallest": float(x.min()), "largest": float(x.max())}
            for name, (x, _) in splits.items()
        },
    }


def prepare(study: Study, dataset: Dataset, parts: dict[str, Rows]) -> Prepared:
    """Raises UserError for a split that the data set does not allow, or a measure that its task does not have."""
    check_task(study, dataset.task)
    split = study.data.split
    if isinstance(split, StratifiedSplit):
        if dataset.task != "classification":
            raise UserError("params.yaml: data.split.method: stratified needs classes; a regression takes rows")
        splits = stratified(parts, split)
    else:
        splits = as_given(parts, split)
    fitted = {name: views.fit(view, splits["train"][0]) for name, view in study.views.items()}
    return Prepared(splits, fitted, facts(dataset, splits))


def main() -> None:
    study_folder: Path = arguments(__doc__).parse_args().study
    with one_line_errors("prepare"):
        study = load_study(study_folder)
        dataset = pick(load_catalogue(CATALOGUE), study.data.dataset)
        prepared = prepare(study, dataset, read_parts(dataset, study_folder / "data" / "raw"))
        target = study_folder / "data" / "prepared"
        shutil.rmtree(target, ignore_errors=True)  # a split that is no longer wanted must not stay
        write_prepared(prepared, target)


if __name__ == "__main__":
    main()
