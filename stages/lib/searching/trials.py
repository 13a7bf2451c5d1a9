"""Trials of a search, and the replicates that score them and judge the best of them."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

import numpy as np
import pandas as pd

from stages.lib.data.prepared import Prepared
from stages.lib.study import space
from stages.lib.study.metrics import higher_is_better, needs_validation, rank_value
from stages.lib.study.recipe import EarlyStopping, Recipe
from stages.lib.study.rows import KFold
from stages.lib.study.search import Search
from stages.lib.study.settings import Study
from stages.lib.training import views
from stages.lib.training.result import Result


@dataclass
class Trial:
    """Settings that a strategy tries with one seed.

    settings: name of a range -> value.
    scores: fold -> the metric that the search chooses by, which may be NaN.
    epochs: fold -> the epochs after which training left the weights that were scored.
    """

    strategy: str
    seed: int
    number: int
    settings: dict[str, Any]
    recipe: Recipe
    scores: dict[int, float] = field(default_factory=dict)
    epochs: dict[int, int] = field(default_factory=dict)
    pruned: bool = False

    def __str__(self) -> str:
        return f"{self.strategy} {self.seed}, trial {self.number}"

    @property
    def score(self) -> float:
        """The mean over the folds that were trained."""
        return fmean(self.scores.values())


def badness(metric: str, value: float) -> float:
    """A number that is smaller for a better value; NaN is the worst."""
    value = rank_value(metric, value)
    return -value if higher_is_better(metric) else value


def best_trial(trials: Iterable[Trial], metric: str) -> Trial:
    """The best trial that was not pruned; the first of equal ones."""
    complete = [trial for trial in trials if not trial.pruned]
    return min(complete, key=lambda trial: (badness(metric, trial.score), trial.number))


# Trials


def trial_recipe(study: Study, search: Search, strategy: str, settings: Mapping[str, Any]) -> Recipe:
    """The recipe that a strategy's settings make, trained on folds and without files that nobody reads.

    `repeats` decides nothing of a replicate. So a search with more seeds finds the replicates of one with fewer in the cache.
    """
    recipe = space.recipe_of(study, search, settings, search.variant_of(strategy))
    train = recipe.train.model_copy(update={"best_checkpoint": False, "tensorboard": False})
    k_fold = KFold(folds=search.folds, repeats=1, seed=0) if search.folds > 1 else None
    return recipe.model_copy(update={"train": train, "k_fold": k_fold, "diagnostics": False})


def default_trial(study: Study, search: Search, seed: int) -> Trial:
    """The variant as it is, on the same folds as the strategies' trials."""
    settings = space.values_of(search, study.recipes[search.variant])
    return Trial(space.DEFAULT, seed, 0, settings, trial_recipe(study, search, space.DEFAULT, {}))


def fold_seed(search: Search, seed: int, fold: int) -> int:
    """The seed of a trial's replicate. Training derives from it the shuffle of the rows and the fold to validate on."""
    return seed * search.folds + fold


def epochs_kept(result: Result, stopping: EarlyStopping) -> int:
    """The epoch whose weights training left: the last one, or the best one if early stopping restores it.

    As in Keras's EarlyStopping, an epoch is the best if it improves on the best before it by more than `min_delta`.
    """
    history = pd.read_csv(io.BytesIO(result.files["history.csv"]))
    if stopping.monitor == "none" or not stopping.restore_best:
        return len(history)
    monitored = history[stopping.monitor] * (-1 if stopping.monitor.endswith("accuracy") else 1)
    kept = 1
    best = monitored[0]
    for epoch, value in enumerate(monitored, 1):
        if value + stopping.min_delta < best:  # false for NaN
            kept = epoch
            best = value
    return kept


# Refits


def refit_recipe(trial: Trial) -> Recipe:
    """The trial's recipe for training on all rows but the test rows.

    Early stopping by validation rows, of which none are left, gives way to the mean number of epochs of the folds. A schedule
    that waits for a plateau watches the training rows instead.
    """
    train = trial.recipe.train
    changed: dict[str, Any] = {"validation_rows": 0}
    if train.schedule.kind == "plateau":
        changed["schedule"] = train.schedule.model_copy(update={"monitor": train.schedule.monitor.removeprefix("val_")})
    if needs_validation(train.early_stopping.monitor):
        changed["early_stopping"] = train.early_stopping.model_copy(update={"monitor": "none"})
        changed["epochs"] = max(1, round(fmean(trial.epochs.values())))
    return trial.recipe.model_copy(update={"train": train.model_copy(update=changed), "k_fold": None})


def join_rows(study: Study, prepared: Prepared) -> Prepared:
    """The data with the validation rows among the training rows, and every view fitted on them anew."""
    known = [prepared.splits[name] for name in ("train", "validation") if name in prepared.splits]
    x, y = (np.concatenate(arrays) for arrays in zip(*known, strict=True))
    splits = {"train": (x, y), "test": prepared.splits["test"]}
    inputs = {name: values for name, (values, _) in splits.items()}
    fitted = {name: views.fit(view, inputs, prepared.views[name].columns) for name, view in study.views.items()}
    return Prepared(splits, fitted, prepared.facts)
