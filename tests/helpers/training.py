"""A replicate of the small study, trained in this process."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np
import pandas as pd

from helpers.study import prepared_for, study_with
from stages.lib.study.settings import Recipe
from stages.lib.training import replicate, views
from stages.lib.training.result import Result

Splits = dict[str, tuple[np.ndarray, np.ndarray]]


def recipe_with(model: Mapping[str, Any] | None = None, train: Mapping[str, Any] | None = None) -> Recipe:
    return study_with({"model": model or {}, "train": train or {}}).recipes["plain"]


def inputs() -> Splits:
    prepared = prepared_for(study_with())
    view = prepared.views["scaled"]
    return {split: (views.apply(view, x, split), y.astype(np.int32)) for split, (x, y) in prepared.splits.items()}


def trained(recipe: Recipe, seed: int = 0, splits: Splits | None = None) -> Result:
    return replicate.train_replicate(recipe, seed, splits or inputs(), 4, "classification")


def history_of(result: Result) -> pd.DataFrame:
    return pd.read_csv(io.BytesIO(result.files["history.csv"]))


def mirrored_beside_plain() -> None:
    """For a process that has two devices. Batches of 119 leave one row, of which one device has none."""
    splits = inputs()
    network, together = {"hidden": [8], "l2": 0.01}, {"strategy": "mirrored", "batch_size": 119}
    plain = trained(recipe_with(network, {"batch_size": 119}), seed=1, splits=splits)
    recipe = recipe_with(network, together).model_copy(update={"diagnostics": True})
    first = trained(recipe, seed=1, splits=splits)
    assert trained(recipe, seed=0, splits=splits).files != first.files
    assert trained(recipe, seed=1, splits=splits).files == first.files
    assert type(
        replicate.trace(replicate.Structure.of(recipe, (8, 8), 4, "classification")).model.weights[0].value
    ).__name__ == ("MirroredVariable")
    pd.testing.assert_frame_equal(history_of(first), history_of(plain), rtol=1e-4)
    with (
        h5py.File(io.BytesIO(first.files["model.weights.h5"])) as ours,
        h5py.File(io.BytesIO(plain.files["model.weights.h5"])) as theirs,
    ):
        assert sorted(ours["layers"]) == sorted(theirs["layers"])
    for model, optimizer in (({"conv": [4], "dropout": 0.2, "batch_normalization": "before"}, "sgd"), ({}, "muon")):
        result = trained(recipe_with(model, {**together, "optimizer": optimizer, "epochs": 2}), splits=splits)
        assert history_of(result)["loss"].map(math.isfinite).all()
