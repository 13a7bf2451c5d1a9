"""Which trial is the best, and which epochs of it count."""

from __future__ import annotations

import math
from typing import Any

from helpers.search import searching
from helpers.study import study_with
from stages.lib.searching.trials import Trial, best_trial, epochs_kept
from stages.lib.training.result import Result


def test_what_diverged_is_the_worst_and_wins_only_where_all_did() -> None:
    study, _ = searching()
    recipe = study.recipes["plain"]
    trials = [Trial("blind", 0, number, {}, recipe, {0: 0.5 + number / 100}) for number in range(6)]
    trials[0].scores = {0: math.nan, 1: 0.99}
    assert best_trial(trials, "val_accuracy").number != 0
    for trial in trials:
        trial.scores = {0: math.nan}
    assert best_trial(trials, "val_accuracy").number == 0
    trials[2].scores = trials[4].scores = {0: 0.5}
    assert best_trial(trials, "val_accuracy").number == 2  # of equals, the first
    trials[3].scores = {0: 0.4}
    assert best_trial(trials, "val_loss").number == 3


def test_the_epochs_that_count_are_those_whose_weights_were_kept() -> None:
    def kept(**stopping: Any) -> int:
        history = "epoch,loss,val_loss,val_accuracy,lost\n1,3,3,0.1,1\n2,2,1,0.2,0.5\n3,1,0.995,0.3,nan\n"
        settings = study_with().train.early_stopping.model_copy(update=stopping)
        return epochs_kept(Result({"history.csv": history.encode()}, 1, 1), settings)

    assert kept() == 3
    assert kept(monitor="val_loss") == 3
    assert kept(monitor="val_loss", restore_best=True) == 3
    assert kept(monitor="val_loss", restore_best=True, min_delta=0.01) == 2
    assert kept(monitor="val_accuracy", restore_best=True) == 3
    assert kept(monitor="val_accuracy", restore_best=True, min_delta=0.15) == 3
    assert kept(monitor="val_accuracy", restore_best=True, min_delta=0.25) == 1
    assert kept(monitor="lost", restore_best=True) == 2
