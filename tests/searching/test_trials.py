"""A search: what is refused, what strategies try, that neither workers nor interruptions change it, what becomes of it."""

from __future__ import annotations

import json
import math
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pytest
from ruamel.yaml import YAML

from helpers.checkout import ROOT, environment_of, stage
from helpers.processes import bytes_of, children, entries, until
from helpers.runs import complete_facts, write_runs
from helpers.search import REAL, SEARCH, Pretender, edited, found_by, goodness, searching
from helpers.study import JARGON, SMALL, study_with
from stages import evaluate, plot, search
from stages.lib.cli import UserError
from stages.lib.engine import runs
from stages.lib.engine.plan import plan, plan_search
from stages.lib.judging import tables
from stages.lib.report import results, search_figures, search_section
from stages.lib.searching import trials as library
from stages.lib.searching.trials import Searcher, Trial
from stages.lib.study import space
from stages.lib.study.load import check_task, load_study
from stages.lib.study.settings import Search, Study, merged
from stages.lib.study.strict_yaml import read_yaml
from stages.lib.training.result import Result

LOSS = {"metric": "val_loss", "direction": "minimize", "claims": ..., "strategies.few.reported": ...}
SPLIT = {
    "method": "rows",
    "train": {"part": "all", "rows": [0, 9]},
    "validation": "none",
    "test": {"part": "all", "rows": [9, 12]},
}


# What is refused

Mistake = tuple[dict[str, Any], str, tuple[str, ...]]
"""What is changed in SEARCH, the key's path in the message, and what else the message says."""

MISTAKES: dict[str, Mistake] = {
    "key_of_the_section": ({"refit": 1}, "", ("'refit'", "did you mean 'refits'")),
    "key_of_a_range": ({"space.rate.loguniform": [1, 2]}, "space.rate", ("'loguniform'", "did you mean 'log_uniform'")),
    "key_of_a_strategy": ({"strategies.clever.kind": "tpe"}, "strategies.clever", ("'kind'", "method")),
    "key_that_does_not_exist": ({"space.rate.key": "train.rate"}, "space.rate.key", ("'train.rate'", "train.epochs")),
    "key_of_another_section": ({"space.rate.key": "views.raw.invert"}, "space.rate.key", ("known: model.conv",)),
    "key_that_is_a_section": ({"space.rate.key": "train.early_stopping"}, "space.rate.key", ("early_stopping.patience",)),
    "key_that_decides_the_rows": ({"space.rate.key": "train.validation_rows"}, "space.rate.key", ("unknown key",)),
    "key_that_decides_no_score": ({"space.rate.key": "train.tensorboard"}, "space.rate.key", ("unknown key",)),
    "key_twice": ({"space.layers.key": "train.learning_rate"}, "space.rate.key", ("is searched by layers already",)),
    "key_and_its_like": (
        {"space.widths": {"key": "model.hidden", "choices": [[4], [8]]}},
        "space.widths.key",
        ("cannot be searched beside model.hidden.layers",),
    ),
    "loss_of_what_changes_the_loss": (
        LOSS | {"space.layers": {"key": "train.loss", "choices": ["mse", "poisson"]}},
        "space.layers.key",
        ("train.loss changes what the loss is", "val_loss"),
    ),
    "no_range": ({"space.layers.integers": ...}, "space.layers", ("exactly one of choices, integers, uniform",)),
    "two_ranges": ({"space.layers.uniform": [1, 3]}, "space.layers", ("exactly one", "not integers and uniform")),
    "empty_range": ({"space.layers.integers": [3, 1]}, "space.layers", ("[3, 1] leaves nothing to search",)),
    "range_of_one": ({"space.layers.integers": [2, 2]}, "space.layers", ("[2, 2] leaves nothing to search",)),
    "range_of_three": ({"space.layers.integers": [1, 2, 3]}, "space.layers.integers", ("a list of two",)),
    "range_of_words": ({"space.layers.integers": ["a", "b"]}, "space.layers.integers", ("must be a whole number",)),
    "range_without_end": ({"space.rate.log_uniform": [0.1, math.inf]}, "space.rate.log_uniform", ("a finite number",)),
    "logarithm_of_zero": ({"space.rate.log_uniform": [0.0, 0.1]}, "space.rate", ("0 has no logarithm",)),
    "fractions_of_layers": (
        {"space.layers": {"key": "model.hidden.layers", "uniform": [1, 3]}},
        "space.layers",
        ("1.0", "whole"),
    ),
    "fewer_than_no_layers": ({"space.layers.integers": [-1, 3]}, "space.layers", ("-1", "at least 0")),
    "layers_of_no_units": (
        {"space.layers": {"key": "model.hidden.units", "integers": [0, 3]}},
        "space.layers: model.hidden",
        ("0 must be",),
    ),
    "value_that_the_key_forbids": (
        {"space.rate": {"key": "model.dropout", "uniform": [0, 1]}},
        "space.rate: model.dropout",
        ("1",),
    ),
    "value_of_another_type": (
        {"space.rate": {"key": "train.batch_size", "uniform": [8, 16]}},
        "space.rate: train.batch_size",
        ("8.0",),
    ),
    "choice_that_the_key_forbids": (
        {"space.layers": {"key": "model.activation", "choices": ["relu", "rellu"]}},
        "space.layers: model.activation",
        ("'rellu'", "did you mean 'relu'"),
    ),
    "choice_that_the_recipe_forbids": (
        {"space.layers": {"key": "train.momentum", "choices": [0.0, 0.9]}},
        "space.layers: train",
        ("momentum 0.9 is for sgd and rmsprop",),
    ),
    "choice_that_another_forbids": (
        {
            "space.layers": {"key": "train.optimizer", "choices": ["sgd", "adam"]},
            "space.weight": {"key": "train.momentum", "uniform": [0.0, 0.9], "grid": [0.0]},
            "variant": "pushed",
        },
        "space.weight: train",
        ("momentum 0.9 is for sgd and rmsprop, not for adam",),
    ),
    "one_choice": ({"space.layers": {"key": "train.epochs", "choices": [3]}}, "space.layers", ("two or more different",)),
    "choices_twice": ({"space.layers": {"key": "train.epochs", "choices": [3, 3]}}, "space.layers", ("two or more different",)),
    "empty_space": ({"space": {}}, "space", ("is empty",)),
    "grid_outside": ({"space.rate.grid": [0.0001]}, "space.rate", ("0.0001 is not within [0.001, 0.1]",)),
    "grid_twice": ({"space.rate.grid": [0.01, 0.01]}, "space.rate", ("one or more different",)),
    "grid_of_words": ({"space.rate.grid": ["low"]}, "space.rate", ("'low' is not within",)),
    "grid_of_lists": ({"space.rate.grid": [[0.01]]}, "space.rate", ("[0.01] is not within",)),
    "grid_of_choices": (
        {"space.layers": {"key": "train.epochs", "choices": [3, 4], "grid": [3]}},
        "space.layers",
        ("choices are a grid already",),
    ),
    "fraction_in_a_grid_of_integers": ({"space.layers.grid": [1.5]}, "space.layers", ("1.5 must be a whole number",)),
    "grid_of_a_continuous_range": (
        {"space.rate.grid": ...},
        "strategies.spread.method",
        ("range rate is continuous", "`grid`"),
    ),
    "more_trials_than_the_grid": ({"trials": 10}, "strategies.spread.method", ("9 points, fewer than the 10 trials",)),
    "no_strategies": ({"strategies": {}}, "strategies", ("is empty",)),
    "method_that_does_not_exist": (
        {"strategies.clever.method": "bayes"},
        "strategies.clever.method",
        ("'bayes'", "quasi_random"),
    ),
    "strategy_with_a_taken_name": ({"strategies.default": {"method": "tpe"}}, "strategies.default.method", ("another name",)),
    "strategy_that_is_no_name": ({"strategies.TPE": {"method": "tpe"}}, "strategies.TPE", ("is no name",)),
    "one_batch_to_learn_from": ({"batch": 6}, "strategies.clever.method", ("tpe learns", "6 trials are one")),
    "no_batch": ({"batch": 0}, "batch", ("0 must be",)),
    "generation_of_one": (
        {"strategies.clever.method": "genetic", "batch": 1},
        "strategies.clever.method",
        ("genetic: a generation is a batch", "at least 2"),
    ),
    "cmaes_of_choices": (
        {"strategies.clever.method": "cmaes", "space.layers": {"key": "train.epochs", "choices": [3, 4, 5]}},
        "strategies.clever.method",
        ("cmaes cannot search choices", "layers"),
    ),
    "cmaes_of_one_range": (
        {"strategies": {"clever": {"method": "cmaes"}}, "space.layers": ..., "claims": {}},
        "strategies.clever.method",
        ("two ranges or more",),
    ),
    "metric_that_does_not_exist": ({"metric": "val_acuracy"}, "metric", ("did you mean 'val_accuracy'",)),
    "metric_of_the_test_rows": ({"metric": "test_accuracy"}, "metric", ("known: val_loss",)),
    "direction_that_does_not_exist": ({"direction": "up"}, "direction", ("minimize or maximize",)),
    "direction_to_the_worst": ({"direction": "minimize"}, "direction", ("the worst val_accuracy", "write maximize")),
    "variant_that_does_not_exist": ({"variant": "plian"}, "variant", ("did you mean 'plain'",)),
    "pruning_that_does_not_exist": ({"pruning": "harsh"}, "pruning", ("'harsh'", "successive_halving")),
    "pruning_of_one_fold": ({"pruning": "median", "folds": 1}, "pruning", ("between two of its folds", "none, or more folds")),
    "pruning_of_generations": (
        {"pruning": "median", "strategies.clever.method": "genetic"},
        "strategies.clever.method",
        ("genetic learns from whole trials only",),
    ),
    "claim_about_an_unknown_strategy": (
        {"claims.clever_is_better.compare": ["blind", "clevr"]},
        "claims.clever_is_better.compare",
        ("did you mean 'clever'", "default"),
    ),
    "claim_about_another_metric": (
        {"claims.clever_is_better.metric": "test_loss"},
        "claims.clever_is_better.metric",
        ("val_accuracy and test_accuracy are",),
    ),
    "claim_with_seeds": ({"claims.clever_is_better.seeds": 5}, "claims.clever_is_better.seeds", ("search.seeds",)),
    "claim_that_contradicts_itself": (
        {"claims.clever_is_better.expect": "at_least"},
        "claims.clever_is_better",
        ("a threshold",),
    ),
    "reported_of_another_metric": ({"strategies.few.reported": {"val_loss": 1}}, "strategies.few.reported", ("not measured",)),
}


PUSHED = {"pushed": {"tip": "Plain SGD.", "extends": "plain", "train": {"optimizer": "sgd"}}}


def loaded(folder: Path, content: dict[str, Any]) -> Study:
    with (folder / "params.yaml").open("w", encoding="utf-8") as file:
        YAML(typ="safe", pure=True).dump(content, file)
    return load_study(folder)


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_refused_in_one_line_that_says_where_and_what_is_allowed(name: str, tmp_path: Path) -> None:
    changes, place, hints = MISTAKES[name]
    with pytest.raises(UserError) as caught:
        loaded(tmp_path, merged(SMALL, {"search": edited(changes), "variants": PUSHED}))
    message = str(caught.value).removeprefix(f"{tmp_path / 'params.yaml'}: ")
    assert message.startswith(f"search.{place}".rstrip("."))
    for hint in hints:
        assert hint in message
    assert "\n" not in message
    assert len(message.partition("; known: ")[0]) < 200
    assert not [word for word in JARGON if word in message]


def test_the_search_that_the_mistakes_are_made_in_is_valid(tmp_path: Path) -> None:
    found = loaded(tmp_path, merged(SMALL, {"search": SEARCH})).search
    assert found is not None
    assert {name: found.trials_of(name) for name in found.strategies} == {"spread": 6, "few": 4, "blind": 6, "clever": 6}
    assert found.judged_by == "test_accuracy"


def test_a_single_fold_needs_validation_rows_and_several_do_not(tmp_path: Path) -> None:
    content = merged(SMALL, {"data": {"split": ...}, "search": edited({"folds": 1})})
    content["data"]["split"] = SPLIT
    with pytest.raises(UserError, match=r"search\.folds: 1 needs validation rows"):
        loaded(tmp_path, content)
    content["search"]["folds"] = 2
    loaded(tmp_path, content)


def test_the_accuracy_of_a_regression_is_refused() -> None:
    study, _ = searching(claims={})
    with pytest.raises(UserError, match=r"search\.metric: val_accuracy is not measured in a regression"):
        check_task(study.model_copy(update={"claims": {}}), "regression")


def test_every_mistake_stops_the_stage_before_it_trains(
    small_study: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = small_study({"search": edited({"trials": 10})})
    monkeypatch.setattr(sys, "argv", ["search", str(folder)])
    with pytest.raises(SystemExit, match=r"^search: .*params\.yaml: search\.strategies\.spread\.method: grid: has 9 points"):
        search.main()


def test_a_study_without_a_search_is_told_so(small_study: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["search", str(small_study())])
    with pytest.raises(SystemExit, match=r"params\.yaml: search: is missing; docs/search\.md says"):
        search.main()


# What a strategy tries


def test_values_make_the_recipe_that_a_variant_with_them_would_have() -> None:
    study, settings = searching(space__units={"key": "model.hidden.units", "integers": [4, 8]})
    recipe = space.recipe_of(study, settings, {"layers": 3, "units": 5, "rate": 0.02})
    assert recipe.model.hidden == (5, 5, 5)
    assert recipe.train.learning_rate == 0.02
    plain = study.recipes["plain"]
    assert space.recipe_of(study, settings, {}) == plain
    assert space.values_of(settings, plain) == {"layers": 1, "rate": 0.01, "units": 16}
    variant = {"tip": "Found.", "extends": "plain", **space.changes(settings, plain, {"layers": 3, "units": 5, "rate": 0.02})}
    assert study_with({"variants": {"found": variant}}).recipes["found"] == recipe


def test_a_network_without_hidden_layers_is_given_some() -> None:
    """Neither how many layers nor how many units says anything by itself then."""
    layers, units = ({"key": f"model.hidden.{name}", "integers": [1, 4]} for name in ("layers", "units"))
    both = {"layers": layers, "units": units}
    search = edited({"space": both, "strategies": {"blind": {"method": "random"}}, "claims": {}})
    study = study_with({"model": {"hidden": []}, "search": search})
    assert study.search is not None
    space.check(study, study.search)
    assert space.recipe_of(study, study.search, {"layers": 2, "units": 3}).model.hidden == (3, 3)


def test_nested_keys_and_the_limit_of_epochs_reach_the_recipe() -> None:
    study, settings = searching(
        space__layers={"key": "train.early_stopping.patience", "integers": [0, 9]},
        space__epochs={"key": "train.epochs", "integers": [1, 9]},
    )
    limited = study.model_copy(update={"limits": study.limits.model_copy(update={"epochs": 2})})
    recipe = space.recipe_of(limited, settings, {"layers": 7, "epochs": 5, "rate": 0.02})
    assert recipe.train.early_stopping.patience == 7
    assert recipe.train.epochs == 2


METHODS = ("grid", "random", "quasi_random", "genetic", "cmaes", "tpe")
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
    winner = library.best(searcher.trials, "val_accuracy")
    assert winner.score == max(trial.score for trial in searcher.trials if not math.isnan(trial.score))
    table = library.trials_table(settings, searcher.trials)
    assert list(table["state"]).count("pruned") == len(pruned)


def test_what_diverged_is_the_worst_and_wins_only_where_all_did() -> None:
    study, settings = searching()
    trials = played(study, settings, "blind", 0)
    trials[0].scores = {0: math.nan, 1: 0.99}
    assert library.best(trials, "val_accuracy").number != 0
    for trial in trials:
        trial.scores = {0: math.nan}
    assert library.best(trials, "val_accuracy").number == 0
    trials[2].scores = trials[4].scores = {0: 0.5}
    assert library.best(trials, "val_accuracy").number == 2  # of equals, the first
    trials[3].scores = {0: 0.4}
    assert library.best(trials, "val_loss").number == 3


# A whole search, of networks that are only pretended


@pytest.fixture
def pretender(monkeypatch: pytest.MonkeyPatch) -> Pretender:
    made = Pretender()
    monkeypatch.setattr(runs, "train_missing", made)
    return made


def test_every_trial_has_its_folds_and_no_replicate_is_wanted_twice_in_a_batch(pretender: Pretender, tmp_path: Path) -> None:
    study, settings = searching()
    found = found_by(study, settings, tmp_path)
    assert len(found.trials) == 3 * (1 + 6 + 4 + 6 + 6)
    assert all(set(trial.scores) == {0, 1} for trial in found.trials)
    few, blind = (
        [trial.settings for trial in found.trials if (trial.strategy, trial.seed) == (name, 0)] for name in ("few", "blind")
    )
    assert few == blind[:4]
    trained = [job.key for job, rows in pretender.trained if rows < 160]
    distinct = {(trial.seed, json.dumps(trial.settings)) for trial in found.trials}
    assert len(set(trained)) == 2 * len(distinct) < 2 * 3 * (1 + 6 + 6 + 6)  # tpe's first batch is random's
    assert len(pretender.rounds) == 1 + 2 + 1
    seeds = {trial.seed: {job.seed for job, _ in pretender.trained if str(trial) == str(job)} for trial in found.trials}
    assert all(of_trial <= {2 * seed, 2 * seed + 1} for seed, of_trial in seeds.items() if of_trial)
    for job, rows in pretender.trained:
        assert (job.recipe.k_fold is None) == (rows == 160)
        assert not job.recipe.diagnostics


def test_winners_are_trained_on_all_other_rows_for_as_many_epochs_as_their_folds(pretender: Pretender, tmp_path: Path) -> None:
    early = {"monitor": "val_loss", "patience": 1, "min_delta": 0.0, "restore_best": False}
    study, settings = searching()
    study = study_with({"search": SEARCH, "variants": {"plain": {"train": {"early_stopping": early, "epochs": 40}}}})
    found = found_by(study, settings, tmp_path)
    refits = [job for job, rows in pretender.trained if rows == 120 + 40]
    assert refits
    assert {job.recipe.train.epochs for job in refits} == {2}  # the mean of 2 and 3, rounded to even
    assert {job.recipe.train.early_stopping.monitor for job in refits} == {"none"}
    assert [winner.strategy for winner in found.winners] == [
        name for name in ("default", *settings.strategies) for _ in range(3)
    ]
    assert all(len(values) == 2 for values in found.tested)
    by_seed = {winner.seed: set[int]() for winner in found.winners}
    for job in refits:
        by_seed[int(job.variant.split(",")[0].split()[-1])].add(job.seed)
    assert by_seed == {0: {0, 1}, 1: {2, 3}, 2: {4, 5}}


def test_the_limits_shorten_a_search(pretender: Pretender, tmp_path: Path) -> None:
    study, settings = searching()
    limited = study.model_copy(update={"limits": study.limits.model_copy(update={"seeds": 1})})
    found = found_by(limited, settings, tmp_path)
    assert {trial.seed for trial in found.trials} == {0}
    assert {len(values) for values in found.tested} == {1}


@pytest.mark.parametrize(
    ("changes", "limit"),
    [({}, None), ({}, 1), ({"folds": 1, "batch": 5}, None), ({"refits": 9}, None), ({"pruning": "successive_halving"}, None)],
)
def test_the_plan_says_what_a_search_asks_for(
    changes: dict[str, Any], limit: int | None, pretender: Pretender, tmp_path: Path
) -> None:
    study, settings = searching(**changes)
    study = study.model_copy(update={"limits": study.limits.model_copy(update={"seeds": limit})})
    found_by(study, settings, tmp_path)
    planned = plan_search(study, settings, plan(study, None, lambda _: None, {}), None, None)
    assert planned.rounds == len(pretender.rounds)
    assert planned.at_once == max(pretender.rounds)
    if settings.pruning == "none":
        assert planned.replicates == len(pretender.trained)
    else:  # what is given up is not known before
        assert planned.replicates > len(pretender.trained)


def test_a_search_without_folds_is_scored_on_the_validation_rows(pretender: Pretender, tmp_path: Path) -> None:
    study, settings = searching(folds=1, seeds=2)
    found = found_by(study, settings, tmp_path)
    assert all(job.recipe.k_fold is None for job, _ in pretender.trained)
    assert {job.seed for job, rows in pretender.trained if rows == 120} == {0, 1}
    assert all(set(trial.scores) == {0} for trial in found.trials)


def test_a_network_that_the_data_do_not_allow_ends_the_search_in_one_line(pretender: Pretender, tmp_path: Path) -> None:
    study, settings = searching(
        space__layers={"key": "model.conv", "choices": [[2], [2, 2, 2, 2]]}, strategies__spread__trials=6
    )
    with pytest.raises(
        UserError, match=r"^params\.yaml: search\.space: \w+ \d, trial \d: .*: model\.conv: .* leave nothing of"
    ):
        found_by(study, settings, tmp_path)


def test_the_epochs_that_count_are_those_whose_weights_were_kept() -> None:
    def kept(**stopping: Any) -> int:
        history = "epoch,loss,val_loss,val_accuracy,lost\n1,3,3,0.1,1\n2,2,1,0.2,0.5\n3,1,0.995,0.3,nan\n"
        settings = study_with().train.early_stopping.model_copy(update=stopping)
        return library.epochs_kept(Result({"history.csv": history.encode()}, 1, 1), settings)

    assert kept() == 3
    assert kept(monitor="val_loss") == 3
    assert kept(monitor="val_loss", restore_best=True) == 3
    assert kept(monitor="val_loss", restore_best=True, min_delta=0.01) == 2
    assert kept(monitor="val_accuracy", restore_best=True) == 3
    assert kept(monitor="val_accuracy", restore_best=True, min_delta=0.15) == 3
    assert kept(monitor="val_accuracy", restore_best=True, min_delta=0.25) == 1
    assert kept(monitor="lost", restore_best=True) == 2


# The tables


@pytest.fixture
def written(pretender: Pretender, tmp_path: Path) -> Callable[..., tuple[Study, Path]]:
    """Search, and write what was found; returns the study and the folder of its metrics."""

    def make(**changes: Any) -> tuple[Study, Path]:
        study, settings = searching(**changes)
        search.write_found(study, settings, found_by(study, settings, tmp_path / "cache"), tmp_path / "metrics")
        return study, tmp_path / "metrics"

    return make


def test_the_tables_agree_with_each_other(written: Callable[..., tuple[Study, Path]]) -> None:
    _, metrics = written()
    trials, winners, claims = (pd.read_csv(metrics / "search" / f"{name}.csv") for name in ("trials", "winners", "claims"))
    assert list(trials)[:4] == ["strategy", "seed", "trial", "state"]
    assert {"model.hidden.layers", "train.learning_rate", "val_accuracy", "fold_0", "fold_1", "epochs"} <= set(trials)
    complete = trials[trials["val_accuracy"] != "diverged"].astype({"val_accuracy": float})
    best = complete.groupby(["strategy", "seed"])["val_accuracy"].max()
    for row in winners.to_dict("records"):
        assert float(row["val_accuracy"]) == best[row["strategy"], row["seed"]]
        assert float(row["test_accuracy"]) == pytest.approx((row["refit_0"] + row["refit_1"]) / 2, abs=1e-5)
        assert row["low"] < row["val_accuracy"] < row["high"]
    found = json.loads((metrics / "search.json").read_text())
    searched = winners[winners["strategy"] != "default"]
    assert found["winner"]["val_accuracy"] == searched["val_accuracy"].max()
    assert set(found["winner"]["settings"]) == {"layers", "rate"}
    assert set(found["strategies"]) == {"default", "spread", "few", "blind", "clever"}
    means = searched.groupby("strategy")["test_accuracy"].mean()
    clever = found["strategies"]["clever"]["test_accuracy"]
    assert clever["mean"] == pytest.approx(means["clever"], abs=1e-5)
    assert clever["low"] < clever["mean"] < clever["high"]
    assert claims.loc[0, "claim"] == "clever_is_better"
    assert claims.loc[0, "effect"] == pytest.approx(means["clever"] - means["blind"], abs=1e-5)
    assert claims.loc[0, "replicates"] == 3
    assert found["claims"]["clever_is_better"]["verdict"] == claims.loc[0, "verdict"]
    assert list(claims) == tables.CLAIM_COLUMNS


def test_the_setting_that_decides_is_the_important_one(written: Callable[..., tuple[Study, Path]]) -> None:
    _, metrics = written(seeds=8, space__unused={"key": "train.batch_size", "integers": [8, 64], "grid": [32]})
    shares = pd.read_csv(metrics / "search" / "importance.csv", index_col="name")["share"]
    assert shares.idxmax() == "rate"
    assert shares.sum() == pytest.approx(1, abs=0.001)


def test_a_few_trials_say_nothing_of_importance(written: Callable[..., tuple[Study, Path]]) -> None:
    _, metrics = written(seeds=1)
    assert (metrics / "search" / "importance.csv").read_text() == "name,share\n"


def test_claims_are_judged_over_seeds_and_by_rank_where_a_strategy_diverged() -> None:
    _, settings = searching(claims__clever_is_better__expect="higher")
    groups = {
        "blind": {"test_accuracy": [0.50, 0.51, 0.52, 0.53, 0.54]},
        "clever": {"test_accuracy": [0.90, 0.91, 0.92, 0.93, 0.94]},
    }
    row = library.claims_table(settings, groups, 0.99).iloc[0]
    assert (row["verdict"], row["effect"]) == ("supported", 0.4)
    groups["blind"]["test_accuracy"] = [math.nan] * 5
    row = library.claims_table(settings, groups, 0.99).iloc[0]
    assert row["verdict"] == "supported"
    assert row["low"] == "diverged"


# The report


@pytest.mark.parametrize("changes", [{}, {"seeds": 1, "claims": ..., "strategies.few.reported": ...}])
def test_the_report_has_a_section_and_the_figures(
    changes: dict[str, Any], small_study: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, pretender: Pretender
) -> None:
    settings = {"search": edited(changes)}
    folder = small_study(settings)
    study = study_with(settings)
    assert study.search is not None
    complete_facts(folder, study)
    write_runs(folder, settings)
    search.write_found(study, study.search, found_by(study, study.search, folder / "cache"), folder / "metrics")
    for each in (evaluate, plot):
        monkeypatch.setattr(sys, "argv", ["stage", str(folder)])
        each.main()
    text = (folder / "data" / "report.html").read_text(encoding="utf-8")
    assert '<h2 id="search">' in text
    for name in ("default", *study.search.strategies):
        assert f'id="strategy-{name}"' in text
    drawn = {path.name for path in (folder / "metrics" / "figures").glob("search_*")}
    assert {"search_progress.svg", "search_settings.svg"} <= drawn
    assert ("search_claims.svg" in drawn) == bool(study.search.claims) == ("search-claim-clever_is_better" in text)
    counts = re.findall(r"<strong>(\d+)</strong>", text[text.index('<ul class="counts"') :].partition("</ul>")[0])
    assert sum(map(int, counts)) == len(study.claims) + len(study.search.claims)
    if study.search.claims:
        card = text[text.index('<details class="card" id="search-claim-clever_is_better"') :].partition("</details>")[0]
        for expected in (
            *("Source: the tests", 'href="#metric-test_accuracy"', 'href="#strategy-clever"', 'href="#figure-search_progress"'),
            f"<code>python -m stages.search {folder.as_posix()}</code>",
        ):
            assert expected in card
        assert 'id="figure-search_progress"' in text
    assert ("What the source prints of its search" in text) == ("strategies.few.reported" not in changes)


@pytest.mark.parametrize(
    ("folder", "commands"),
    [
        (
            Path(),
            [
                "dvc repro --force --single-item search",
                "XDG_CACHE_HOME=$(mktemp -d) dvc repro --force --single-item search",
                "dvc repro plot",
                "dvc exp run --temp -S search.seeds=6 plot",
            ],
        ),
        (
            Path("studies/waves"),
            [
                "dvc repro --force --single-item studies/waves/dvc.yaml:search",
                "XDG_CACHE_HOME=$(mktemp -d) dvc repro --force --single-item studies/waves/dvc.yaml:search",
                "dvc repro studies/waves/dvc.yaml:plot",
                "dvc exp run --temp -S studies/waves/params.yaml:search.seeds=6 studies/waves/dvc.yaml:plot",
            ],
        ),
        (Path("mine"), ["python -m stages.search mine", "XDG_CACHE_HOME=$(mktemp -d) python -m stages.search mine"]),
    ],
)
def test_a_claim_about_strategies_says_how_to_search_again(folder: Path, commands: list[str]) -> None:
    _, settings = searching()
    assert [command for _, command in search_section.commands(settings, folder)] == commands


def test_the_best_so_far_skips_what_diverged_and_what_was_pruned() -> None:
    _, settings = searching(**LOSS, strategies={"blind": {"method": "random"}})
    scores = ["diverged", 0.5, 0.2, 0.4, 0.6, 0.3, "diverged", 0.7]
    states = ["complete"] * 2 + ["pruned"] + ["complete"] * 5
    table = pd.DataFrame({"strategy": "blind", "seed": [0] * 4 + [1] * 4, "state": states, "val_loss": scores})
    (best,) = search_figures.best_so_far(settings, table).values()
    np.testing.assert_array_equal(best, [[math.nan, 0.5, 0.5, 0.4], [0.6, 0.3, 0.3, 0.3]])


def test_the_example_of_the_page_is_valid(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "search.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```yaml\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    content = read_yaml(ROOT / "params.yaml") | YAML(typ="safe", pure=True).load(example)
    found = loaded(tmp_path, content).search
    assert found is not None
    assert all(f"| `{method}` |" in text for method in METHODS)


def test_a_study_without_a_search_has_no_section(small_study: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    folder = small_study()
    complete_facts(folder, study_with())
    write_runs(folder, {})
    for each in (evaluate, plot):
        monkeypatch.setattr(sys, "argv", ["stage", str(folder)])
        each.main()
    assert 'id="search"' not in (folder / "data" / "report.html").read_text(encoding="utf-8")
    assert not list((folder / "metrics" / "figures").glob("search_*"))


def test_results_older_than_the_settings_are_refused(written: Callable[..., tuple[Study, Path]]) -> None:
    study, metrics = written()
    renamed = study_with({"search": edited({"strategies.cleverer": {"method": "tpe"}})})
    with pytest.raises(UserError, match=r"trials\.csv knows no cleverer, .*the search stage first"):
        results.read_search(renamed, metrics.parent)
    shutil.rmtree(metrics)
    with pytest.raises(UserError, match=r"trials\.csv is missing; run `dvc repro`, or the search stage first"):
        results.read_search(study, metrics.parent)


# What was found, as a variant


@pytest.mark.parametrize("path", [ROOT, ROOT / "studies" / "housing"], ids=["starter", "housing"])
def test_adopting_adds_a_variant_and_changes_no_other_byte(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (path / "params.yaml").read_text(encoding="utf-8")
    study = load_study(path)
    assert study.search is not None
    values = {"layers": 3, "units": 32, "learning_rate": 0.001605}
    values = {name: value for name, value in values.items() if name in study.search.space}
    winner = {"strategy": "tpe", "seed": 2, "trial": 7, study.search.metric: 0.25, "settings": values}
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics" / "search.json").write_text(json.dumps({"winner": winner}))
    (tmp_path / "params.yaml").write_text(before, encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["search", str(tmp_path), "--adopt", "found"])
    search.main()
    after = (tmp_path / "params.yaml").read_text(encoding="utf-8")
    start = next(i for i, (old, new) in enumerate(zip(before, after, strict=False)) if old != new)
    added = len(after) - len(before)
    assert before == after[:start] + after[start + added :]
    adopted = load_study(tmp_path)
    assert list(adopted.variants)[:-1] == list(study.variants)
    assert adopted.recipes["found"] == space.recipe_of(study, study.search, values)
    assert adopted.variants["found"].ours
    assert adopted.variants["found"].tip == f"Found by the search: trial 7 of tpe with seed 2, {study.search.metric} 0.25."
    with pytest.raises(SystemExit, match="has a variant found already"):
        search.main()


def test_a_variant_is_adopted_where_the_file_ends_with_the_variants(tmp_path: Path) -> None:
    study, settings = searching()
    path = tmp_path / "params.yaml"
    path.write_text("search: {}\nvariants:\n  plain:\n    tip: A start.")
    winner = {"strategy": "tpe", "seed": 0, "trial": 0, "val_accuracy": 0.5, "settings": {"layers": 2, "rate": 0.02}}
    found = YAML(typ="safe", pure=True).load(library.adopted(study, settings, winner, "found", path))
    assert found["variants"]["plain"] == {"tip": "A start."}
    assert found["variants"]["found"]["train"] == {"learning_rate": 0.02}


@pytest.mark.parametrize(
    ("name", "winner", "message"),
    [
        ("Found", {"settings": {}}, "'Found' is no name"),
        ("found", {"settings": {"width": 3}}, r"another search\.space than the search that was run"),
        ("found", None, r"search\.json is missing; run `dvc repro`"),
    ],
)
def test_what_cannot_be_adopted_is_refused(
    name: str, winner: Any, message: str, small_study: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = small_study({"search": SEARCH})
    before = (folder / "params.yaml").read_bytes()
    if winner:
        (folder / "metrics").mkdir()
        (folder / "metrics" / "search.json").write_text(json.dumps({"winner": winner}))
    monkeypatch.setattr(sys, "argv", ["search", str(folder), "--adopt", name])
    with pytest.raises(SystemExit, match=message):
        search.main()
    assert (folder / "params.yaml").read_bytes() == before


# With real workers


def test_neither_the_workers_nor_an_interruption_change_a_byte(small_study: Callable[..., Path], tmp_path: Path) -> None:
    folder, first, second = small_study(REAL), tmp_path / "first", tmp_path / "second"
    done = stage("search", folder, cache=first, TIPS_WORKERS="1")
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    expected = bytes_of(folder / "metrics")
    assert set(expected) == {"search.json", *(f"search/{name}.csv" for name in ("trials", "winners", "claims", "importance"))}
    replicates = len(entries(first))
    assert replicates in (16, 17)  # 2 of the default, 8 of random, 4 more of tpe, and refits of winners that may be the same

    shutil.rmtree(folder / "metrics")
    command = [sys.executable, "-m", "stages.search", str(folder)]
    environment = environment_of(second, TIPS_WORKERS="1")
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL, text=True)
    until(lambda: len(entries(second)) >= 5, seconds=300)
    orphans = children(process)
    process.kill()
    process.wait()
    psutil.wait_procs(orphans, timeout=5)
    known = len(entries(second))
    assert 5 <= known < replicates
    assert not (folder / "metrics").exists()

    done = stage("search", folder, cache=second, TIPS_WORKERS="2")
    assert done.returncode == 0, done.stderr
    assert bytes_of(folder / "metrics") == expected
    assert len(entries(second)) == replicates
    begun = re.findall(r"^search: (\d+) of (\d+) replicates, \1 cached, 0 running$", done.stderr, re.MULTILINE)
    assert sum(int(wanted) - int(cached) for cached, wanted in begun) == replicates - known  # one such line for each batch
