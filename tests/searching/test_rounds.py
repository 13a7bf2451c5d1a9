"""A whole search, of networks that are only pretended."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from helpers.search import SEARCH, Pretender, found_by, goodness, searching
from helpers.study import study_with
from stages.lib.cli import UserError
from stages.lib.engine.plan import plan, plan_search


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


@pytest.mark.parametrize("folds", [1, 2])
def test_a_search_may_choose_by_predictions_of_the_rows_of_each_fold(folds: int, pretender: Pretender, tmp_path: Path) -> None:
    """Predictions were made right for the rows of the fold. Compared with the labels of others, a quarter would be right."""
    strategies = {"blind": {"method": "random"}, "clever": {"method": "tpe"}}
    study, settings = searching(metric="val_balanced_accuracy", folds=folds, batch=5, strategies=strategies, claims={})
    found = found_by(study, settings, tmp_path)
    assert pretender.rounds
    scores = [score for trial in found.trials for score in trial.scores.values()]
    expected = [goodness(trial) for trial in found.trials for _ in trial.scores]
    diverged = [math.isnan(value) for value in expected]
    assert [math.isnan(score) for score in scores] == diverged
    pairs = zip(scores, expected, strict=True)
    assert all(abs(score - value) < 0.1 for score, value in pairs if not math.isnan(value))
    assert settings.judged_by == "test_balanced_accuracy"
    assert all(0.5 < value <= 1 for values in found.tested for value in values)


def test_a_schedule_that_waits_for_validation_rows_watches_training_rows_where_there_are_none(
    pretender: Pretender, tmp_path: Path
) -> None:
    plateau = {"kind": "plateau", "monitor": "val_accuracy"}
    study, settings = searching()
    study = study_with({"search": SEARCH, "variants": {"plain": {"train": {"schedule": plateau}}}})
    found_by(study, settings, tmp_path)
    monitors = {(rows == 160, job.recipe.train.schedule.monitor) for job, rows in pretender.trained}
    assert monitors == {(True, "accuracy"), (False, "val_accuracy")}


def test_a_strategy_may_change_a_variant_of_its_own(pretender: Pretender, tmp_path: Path) -> None:
    strategies = {"blind": {"method": "random"}, "noisy": {"method": "random", "variant": "noisy"}}
    study, settings = searching(strategies=strategies, claims={})
    found = found_by(study, settings, tmp_path)
    views = {job.variant.split()[0]: job.view for job, _ in pretender.trained}
    assert views == {"default": "scaled", "blind": "scaled", "noisy": "noisy"}
    own = [trial for trial in found.trials if trial.strategy == "noisy"]
    assert {trial.recipe.view for trial in own} == {study.recipes["noisy"].view}
    assert [trial.settings for trial in own] == [trial.settings for trial in found.trials if trial.strategy == "blind"]


def test_a_winner_s_refit_that_collapsed_is_marked(pretender: Pretender, tmp_path: Path) -> None:
    study, settings = searching()
    found = found_by(study, settings, tmp_path)
    assert found.collapsed == [False] * len(found.winners)
    diverging = {"rate": {"key": "train.learning_rate", "choices": [0.095, 0.1]}}
    study, settings = searching(space=diverging, strategies={"blind": {"method": "random"}}, claims={}, trials=1)
    assert pretender.rounds
    found = found_by(study, settings, tmp_path)
    marks = {(winner.strategy, mark) for winner, mark in zip(found.winners, found.collapsed, strict=True)}
    assert marks == {("default", False), ("blind", True)}


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
    with pytest.raises(UserError, match=r"^search\.space: \w+ \d, trial \d: .*: model\.conv: .* leave nothing of"):
        found_by(study, settings, tmp_path)
