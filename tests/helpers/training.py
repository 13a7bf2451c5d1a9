"""A replicate of the small study, trained in this process."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from helpers.study import prepared_for, study_with
from stages.lib.study.recipe import Recipe
from stages.lib.training import replicate, views
from stages.lib.training.result import Result

Splits = dict[str, tuple[np.ndarray, np.ndarray]]


def recipe_with(model: Mapping[str, Any] | None = None, train: Mapping[str, Any] | None = None) -> Recipe:
    return study_with({"model": model or {}, "train": train or {}}).recipes["plain"]


def diverging(recipe: Recipe) -> Recipe:
    """The recipe with a learning rate that settings do not allow."""
    return recipe.model_copy(update={"train": recipe.train.model_copy(update={"learning_rate": 1e30})})


def inputs() -> Splits:
    prepared = prepared_for(study_with())
    view = prepared.views["scaled"]
    return {split: (views.apply(view, x, split), y.astype(np.int32)) for split, (x, y) in prepared.splits.items()}


def trained(recipe: Recipe, seed: int = 0, splits: Splits | None = None) -> Result:
    return replicate.train_replicate(recipe, seed, splits or inputs(), 4, "classification")


def history_of(result: Result) -> pd.DataFrame:
    return pd.read_csv(io.BytesIO(result.files["history.csv"]))
