"""Searches: their settings, and replicates that nothing trained."""

from __future__ import annotations

import copy
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from helpers.study import prepared_for, study_with
from stages.lib.data.prepared import Prepared
from stages.lib.engine.cache import ReplicateCache
from stages.lib.engine.jobs import Job
from stages.lib.files import arrays_to_bytes
from stages.lib.searching import rounds
from stages.lib.searching.trials import Trial
from stages.lib.study import space
from stages.lib.study.recipe import Recipe
from stages.lib.study.search import Search
from stages.lib.study.settings import Study
from stages.lib.training import views
from stages.lib.training.result import Result

SEARCH: dict[str, Any] = {
    "variant": "plain",
    "space": {
        "layers": {"key": "model.hidden.layers", "integers": [1, 3]},
        "rate": {"key": "train.learning_rate", "log_uniform": [0.001, 0.1], "grid": [0.001, 0.01, 0.1]},
    },
    "strategies": {
        "spread": {"method": "grid"},
        "few": {"method": "random", "trials": 4, "reported": {"val_accuracy": 0.9}},
        "blind": {"method": "random"},
        "clever": {"method": "tpe"},
    },
    "trials": 6,
    "batch": 3,
    "seeds": 3,
    "folds": 2,
    "metric": "val_accuracy",
    "pruning": "none",
    "refits": 2,
    "claims": {
        "clever_is_better": {
            "says": "TPE does better.",
            "compare": ["blind", "clever"],
            "metric": "test_accuracy",
            "expect": "higher",
        }
    },
}


def edited(changes: dict[str, Any]) -> dict[str, Any]:
    """SEARCH with other values at dotted paths; `...` removes one."""
    made = copy.deepcopy(SEARCH)
    for path, value in changes.items():
        *above, last = path.split(".")
        place = made
        for name in above:
            place = place.setdefault(name, {})
        place[last] = value
        if value is ...:
            del place[last]
    return made


def searching(**changes: Any) -> tuple[Study, Search]:
    """A valid study with the search, edited by paths whose dots are written as two underscores."""
    study = study_with({"search": edited({path.replace("__", "."): value for path, value in changes.items()})})
    assert study.search is not None
    space.check(study, study.search)
    return study, study.search


def goodness(trial: Trial) -> float:
    """An accuracy with one peak; the largest rates end in no number."""
    rate = trial.recipe.train.learning_rate
    assert isinstance(rate, float)
    return (
        math.nan if rate > 0.09 else 0.9 - 0.2 * abs(math.log10(rate / 0.01)) - 0.05 * abs(len(trial.recipe.model.hidden) - 2)
    )


class Pretender:
    """In the place of train_missing: makes results up from recipe and seed, and notes what was asked for."""

    def __init__(self) -> None:
        self.trained: list[tuple[Job, int]] = []
        self.rounds: list[int] = []

    def __call__(self, jobs: list[Job], prepared: Prepared, *arguments: Any) -> None:
        finish = arguments[3]
        self.rounds.append(len(jobs))
        for job in reversed(jobs):  # in another order than asked
            self.trained.append((job, len(prepared.splits["train"][1])))
            finish(job, pretended(job.recipe, job.seed, prepared))


def outputs(labels: np.ndarray, accuracy: float) -> np.ndarray:
    """Of four classes, (n, 4), with this share of rows right; NaN without an accuracy."""
    if math.isnan(accuracy):
        return np.full((len(labels), 4), math.nan)
    right = np.arange(len(labels)) < round(accuracy * len(labels))
    return np.eye(4)[np.where(right, labels, (labels + 1) % 4)]


def pretended(recipe: Recipe, seed: int, prepared: Prepared) -> Result:
    trial = Trial("", 0, 0, {}, recipe)
    accuracy = goodness(trial) - 0.01 * np.random.default_rng(seed).random()
    epochs = 2 + seed % 2
    history = pd.DataFrame({"epoch": range(1, epochs + 1), "loss": 1.0, "accuracy": 0.5})
    labels = prepared.splits["test"][1]
    scores = {"train": {"loss": "1", "accuracy": "0.5"}, "test": {"loss": "1", "accuracy": "0.5"}}
    predictions = {"test": outputs(labels, accuracy)}
    if recipe.k_fold or "validation" in prepared.splits:
        history = history.assign(val_loss=1 - accuracy, val_accuracy=accuracy)
        every = {split: y for split, (_, y) in prepared.splits.items()}
        predictions["validation"] = outputs(views.labels_of(recipe, every, seed)["validation"], accuracy)
        scores["validation"] = {"loss": f"{1 - accuracy}", "accuracy": f"{accuracy}"}
    files = {
        "history.csv": history.to_csv(index=False, na_rep="nan").encode(),
        "scores.json": json.dumps(scores).encode(),
        "predictions.npz": arrays_to_bytes(predictions),
    }
    return Result(files, 1.0, 1.0)


def found_by(study: Study, settings: Search, tmp_path: Path) -> rounds.Found:
    return rounds.search_study(study, settings, prepared_for(study), ReplicateCache(tmp_path, 10**9))


REAL = {
    "search": edited(
        {
            "space": {"rate": {"key": "train.learning_rate", "log_uniform": [0.001, 0.1]}},  # one network, traced once
            "strategies": {"blind": {"method": "random"}, "clever": {"method": "tpe"}},
            "trials": 4,
            "batch": 2,
            "seeds": 1,
            "refits": 1,
        }
    ),
    "train": {"epochs": 30},  # long enough to be killed in the middle
    "replicates": {"time_limit": 600.0},
}
