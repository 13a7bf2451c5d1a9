"""Strategies stay in their space, learn if they can, and give up hopeless trials."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import get_args

import pytest

from helpers.search import goodness, searching
from stages.lib.searching.results import trials_table
from stages.lib.searching.strategies import Searcher
from stages.lib.searching.trials import Trial, best_trial
from stages.lib.study import space
from stages.lib.study.search import Search, Strategy
from stages.lib.study.settings import Study

METHODS = get_args(Strategy.model_fields["method"].annotation)


WIDE = {
    "space": {
        "layers": {"key": "model.hidden.layers", "integers": [1, 3]},
        "rate": {"key": "train.learning_rate", "log_uniform": [0.001, 0.1], "grid": [0.001, 0.005, 0.02, 0.1]},
    },
    "strategies": {name: {"method": name} for name in METHODS},
    "trials": 12,
    "batch": 4,
    "claims": {},
}


def played(study: Study, settings: Search, name: str, seed: int, how_good: Callable[[Trial], float] = goodness) -> list[Trial]:
    """All trials of a strategy, told how good they are, without training."""
    searcher = Searcher(study, settings, name, seed)
    while batch := searcher.ask():
        for trial in batch:
            trial.scores = dict.fromkeys(range(settings.folds), how_good(trial))
        searcher.tell(batch)
    return searcher.trials


@pytest.mark.parametrize("method", METHODS)
def test_a_strategy_stays_in_its_space_and_is_the_same_again(method: str) -> None:
    study, settings = searching(**WIDE)
    first, again, other = (played(study, settings, method, seed) for seed in (0, 0, 1))
    assert [trial.number for trial in first] == list(range(12))
    for trial in first:
        assert 1 <= trial.settings["layers"] <= 3
        assert 0.001 <= trial.settings["rate"] <= 0.1
        assert trial.settings["rate"] == float(f"{trial.settings['rate']:.4g}")
        assert trial.recipe.train.learning_rate == trial.settings["rate"]
    assert [trial.settings for trial in first] == [trial.settings for trial in again]
    assert [trial.settings for trial in first] != [trial.settings for trial in other]


@pytest.mark.parametrize("method", METHODS)
def test_what_a_strategy_tries_depends_on_what_it_was_told_only_if_it_learns(method: str) -> None:
    study, settings = searching(**WIDE)
    good = [trial.settings for trial in played(study, settings, method, 0)]
    bad = [trial.settings for trial in played(study, settings, method, 0, lambda trial: 1 - goodness(trial))]
    assert good[:4] == bad[:4]
    assert (good != bad) == (method in space.LEARNERS)


def test_a_grid_tries_every_point_once() -> None:
    study, settings = searching(**WIDE)
    tried = {(trial.settings["layers"], trial.settings["rate"]) for trial in played(study, settings, "grid", 0)}
    assert tried == {(layers, rate) for layers in (1, 2, 3) for rate in (0.001, 0.005, 0.02, 0.1)}


def test_what_learns_draws_its_first_batch_as_random_search_does() -> None:
    study, settings = searching(**WIDE)
    first = {name: [trial.settings for trial in Searcher(study, settings, name, 3).ask()] for name in METHODS}
    assert first["genetic"] == first["cmaes"] == first["tpe"] == first["random"]
    assert first["quasi_random"] != first["random"]


def test_quasi_random_trials_are_spread_evenly_from_the_first_on() -> None:
    study, settings = searching(**WIDE | {"trials": 8, "batch": 8, "strategies": {"quasi_random": {"method": "quasi_random"}}})
    rates = [math.log10(trial.settings["rate"]) for trial in Searcher(study, settings, "quasi_random", 0).ask()]
    assert sorted(int((rate + 3) * 4) for rate in rates) == [0, 0, 0, 0, 1, 1, 1, 1] or sorted(
        int((rate + 3) * 4) for rate in rates
    ) == [0, 1, 2, 3, 4, 5, 6, 7]


def test_choices_are_tried_as_they_are_written() -> None:
    choices = [[16], [8, 8], []]
    study, settings = searching(
        space__layers={"key": "model.hidden", "choices": choices}, strategies__spread__trials=9, trials=9
    )
    tried = played(study, settings, "spread", 0) + played(study, settings, "clever", 0, lambda _: 0.5)
    assert {json.dumps(trial.settings["layers"]) for trial in tried} == {"[16]", "[8, 8]", "[]"}
    assert all(list(trial.recipe.model.hidden) == trial.settings["layers"] for trial in tried)


@pytest.mark.parametrize("pruning", ["median", "successive_halving"])
def test_hopeless_trials_end_after_a_fold_and_do_not_win(pruning: str) -> None:
    study, settings = searching(pruning=pruning, folds=4, trials=9, batch=3)
    searcher = Searcher(study, settings, "blind", 0)
    while batch := searcher.ask():
        for fold in range(4):
            for trial in batch:
                if not trial.pruned:
                    trial.scores[fold] = goodness(trial)
                    trial.epochs[fold] = 1
            if fold < 3:
                searcher.prune(batch)
        searcher.tell(batch)
    pruned = [trial for trial in searcher.trials if trial.pruned]
    assert 0 < len(pruned) < 9
    assert all(1 <= len(trial.scores) < 4 for trial in pruned)
    assert all(len(trial.scores) == 4 for trial in searcher.trials if not trial.pruned)
    winner = best_trial(searcher.trials, "val_accuracy")
    assert winner.score == max(trial.score for trial in searcher.trials if not math.isnan(trial.score))
    table = trials_table(settings, searcher.trials)
    assert list(table["state"]).count("pruned") == len(pruned)
