"""What a search may change: what is refused, and the recipes that values make."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from helpers.search import SEARCH, edited, searching
from helpers.study import JARGON, SMALL, study_with
from stages.lib.cli import UserError
from stages.lib.study import space
from stages.lib.study.load import check_task, load_study
from stages.lib.study.settings import Study, merged

LOSS = {"metric": "val_loss", "claims": ..., "strategies.few.reported": ...}


SPLIT = {
    "method": "rows",
    "train": {"part": "all", "rows": [0, 9]},
    "validation": "none",
    "test": {"part": "all", "rows": [9, 12]},
}


Mistake = tuple[dict[str, Any], str, tuple[str, ...]]
"""What is changed in SEARCH, the key's path in the message, and what else the message says."""

MISTAKES: dict[str, Mistake] = {
    "key_of_the_section": ({"refit": 1}, "", ("'refit'", "did you mean 'refits'")),
    "key_of_a_range": ({"space.rate.loguniform": [1, 2]}, "space.rate", ("'loguniform'", "did you mean 'log_uniform'")),
    "key_of_a_strategy": ({"strategies.clever.kind": "tpe"}, "strategies.clever", ("'kind'", "method")),
    "key_that_does_not_exist": ({"space.rate.key": "train.rate"}, "space.rate.key", ("'train.rate'", "train.epochs")),
    "key_of_another_section": ({"space.rate.key": "views.raw.invert"}, "space.rate.key", ("; known: ", " more")),
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
        ("train.momentum: 0.9 is for sgd and rmsprop",),
    ),
    "choice_that_another_forbids": (
        {
            "space.layers": {"key": "train.optimizer", "choices": ["sgd", "adam"]},
            "space.weight": {"key": "train.momentum", "uniform": [0.0, 0.9], "grid": [0.0]},
            "variant": "pushed",
        },
        "space.weight: train",
        ("train.momentum: 0.9 is for sgd and rmsprop, not for adam",),
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
    "direction_that_the_metric_has_already": ({"direction": "minimize"}, "", ("unknown key 'direction'",)),
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
