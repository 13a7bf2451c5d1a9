"""A study to begin with: a baseline, two variants and a claim that make sense for the data."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from stages.lib.cli import UserError
from stages.lib.data.catalogue import Dataset
from stages.lib.data.checks import missing_in
from stages.lib.data.parts import NO_LABEL, Parts

SHARE = 0.2
"""Of the rows, to test on; and as many to validate on."""
FEWEST = 10
"""Rows that a study needs."""
SPLITS = 3
STEPS = 2000
"""Updates of one replicate, about. A small network takes a few seconds for them."""
MANY = 5000
"""Training rows from which a batch is larger."""
IMAGE = 8
"""Pixels of the shorter side from which a convolution makes sense."""
WIDE = 100
"""Inputs from which the hidden layer is larger."""
LOOKS = [5, 10, 20]
"""Replicates after which the claim is judged, as long as it is undecided."""


class Idea(NamedTuple):
    """A variant by what it changes of the baseline, and what one may try it for."""

    name: str
    tip: str
    changes: dict[str, Any]


def propose(name: str, dataset: Dataset, given: Parts, source: str) -> dict[str, Any]:
    """The params.yaml of a study of these data. Raises UserError for too few rows, in all or of a class.

    Rows without a target cannot be used. If there are some, all rows with something missing are left out.
    """
    unlabelled = any((np.isnan(y) if y.dtype.kind == "f" else y == NO_LABEL).any() for _, y in given.values())
    parts = _complete(given) if unlabelled else given
    rows = sum(len(y) for _, y in parts.values())
    if rows < FEWEST:
        raise UserError(f"{rows} rows are too few: a study needs {FEWEST}, to train, validate and test on")
    x = next(iter(parts.values()))[0]
    is_classes = dataset.task == "classification"
    training = rows * (1 - 2 * SHARE)
    batch = 32 if training < MANY else 128
    units = 64 if x[0].size < WIDE else 128
    views = _views(x, parts)
    ideas = _ideas(x, views, units)
    leave_out = {"incomplete_rows": "leave_out"} if unlabelled else {}
    output, loss = ("softmax", "categorical_crossentropy") if is_classes else ("linear", "mse")
    return {
        "title": f"What helps a network with {name}?",
        "source": source,
        "data": {"dataset": name, **leave_out, "split": _split(is_classes, parts)},
        "views": views,
        "model": {"hidden": [units], "activation": "relu", "output_activation": output},
        "train": {
            "loss": loss,
            "optimizer": "adam",
            "batch_size": batch,
            "epochs": int(np.clip(STEPS * batch / training, 5, 100)),
        },
        "replicates": {"seeds": 5},
        "limits": {},
        "statistics": {"looks": LOOKS},
        "variants": {
            "baseline": {"tip": "One hidden layer and scaled inputs are a sound start.", "view": next(iter(views))},
            **{idea.name: {"tip": idea.tip, "extends": "baseline", **idea.changes} for idea in ideas},
        },
        "claims": _claim(ideas[0].name, is_classes),
    }


def _complete(parts: Parts) -> Parts:
    """The rows without a missing value and with a target."""
    kept = Parts()
    kept.columns, kept.class_names = parts.columns, parts.class_names
    for part, (x, y) in parts.items():
        unlabelled = np.isnan(y) if y.dtype.kind == "f" else y == NO_LABEL
        rows = ~(unlabelled | missing_in(x).reshape(len(x), -1).any(axis=1))
        kept[part] = x[rows], y[rows]
    return kept


def _claim(variant: str, is_classes: bool) -> dict[str, Any]:
    """What is said of the first variant, or of the baseline against it."""
    scaling = variant == "unscaled"
    what = "Scaled inputs" if scaling else f"A {variant}"
    does = f"{'raise' if is_classes else 'lower'}{'' if scaling else 's'}"
    claim = {
        "says": f"{what} {does} the {'accuracy' if is_classes else 'mean error'} on the test rows.",
        "compare": [variant, "baseline"] if scaling else ["baseline", variant],
        "metric": "test_accuracy" if is_classes else "test_mae",
        "expect": "higher" if is_classes else "lower",
    }
    return {"scaling_helps" if scaling else f"{variant}_helps": claim}


def _split(is_classes: bool, parts: Parts) -> dict[str, Any]:
    """Random rows of one part, each class in proportion; or the parts as they are given."""
    if "test" in parts:
        return _given(is_classes, parts)
    if not is_classes:
        share = round(SHARE / (1 - SHARE), 2)
        return {"method": "train_test_split", "test": SHARE, "test_seed": 0, "validation": share, "validation_seed": 0}
    y = parts["all"][1]
    labels, counts = np.unique(y, return_counts=True)
    if counts.min() < SPLITS:
        name = parts.class_names[labels[counts.argmin()]]
        advice = f"it needs {SPLITS}, to train, validate and test on; add rows, or take it out of the file"
        raise UserError(f"class {name} has {counts.min()} of {len(y)} rows: {advice}")
    part = max(len(labels), round(len(y) * SHARE))
    return {"method": "stratified", "train": len(y) - 2 * part, "validation": part, "test": part, "seed": 0}


def _given(is_classes: bool, parts: Parts) -> dict[str, Any]:
    """The test part as it is, and the last training rows to validate on, unless these or the others lack a class."""
    y = parts["train"][1]
    train = len(y) - max(1, round(len(y) * SHARE))
    validation: Any = {"part": "train", "rows": [train, len(y)]}
    if is_classes and not set(y.tolist()) == set(y[:train].tolist()) == set(y[train:].tolist()):
        train, validation = len(y), "none"
    test = {"part": "test", "rows": [0, len(parts["test"][1])]}
    return {"method": "rows", "train": {"part": "train", "rows": [0, train]}, "validation": validation, "test": test}


def _views(x: np.ndarray, parts: Parts) -> dict[str, Any]:
    """The views. The first is the baseline's."""
    if x.ndim > 2 and x.dtype == np.uint8:
        return {"scaled": {"scale": "max"}, "raw": {"scale": "none"}}
    standard = {"scale": "standard", **({"per": "feature"} if x.ndim == 2 else {})}
    missing = np.any([missing_in(part).any(axis=0) for part, _ in parts.values()], axis=0)
    if not parts.columns or not missing.any():
        return {"standardized": standard, "raw": {"scale": "none"}}
    numbers = any(column.kind != "category" for column, absent in zip(parts.columns, missing, strict=True) if absent)
    filled = {"missing": "median" if numbers else "most_frequent"}
    return {
        "standardized": {**standard, **filled},
        "indicated": {**standard, **filled, "missing_indicator": True},
        "raw": {"scale": "none", **filled},
    }


def _ideas(x: np.ndarray, views: dict[str, Any], units: int) -> list[Idea]:
    """Two variants. The claim is about the first."""
    unscaled = Idea("unscaled", "Raw values will do as well.", {"view": "raw"})
    if x.ndim in (3, 4) and min(x.shape[1:3]) >= IMAGE and x.dtype == np.uint8:
        return [Idea("convolution", "Convolutions see shapes wherever they are.", {"model": {"conv": [16]}}), unscaled]
    if "indicated" in views:
        return [unscaled, Idea("indicated", "That a value is missing tells something by itself.", {"view": "indicated"})]
    return [unscaled, Idea("wider", "Four times the units learn more.", {"model": {"hidden": [4 * units]}})]
