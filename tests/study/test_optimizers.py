"""Optimizers, schedules and the other knobs of training: two spellings are one experiment, and mistakes are refused by name."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import keras
import pytest

from helpers.search import edited
from helpers.study import REGRESSION, prepared_for, study_with
from stages.lib.cli import SettingError, UserError
from stages.lib.engine import jobs
from stages.lib.study import space
from stages.lib.study.keras_names import LOSSES, OPTIMIZER_ARGUMENTS, SMOOTHING_LOSSES
from stages.lib.study.load import _check_measures, check_task
from stages.lib.study.optimizers import KEYS_OF, Optimizer, Schedule
from stages.lib.study.recipe import Recipe, Train
from stages.lib.study.strict_yaml import at


def recipe_of(train: Mapping[str, Any], child: Mapping[str, Any] | None = None, **more: Any) -> Recipe:
    """The recipe of a variant with these defaults of training and these changes."""
    variants = {"child": {"tip": "-", "extends": "plain", "train": child or {}}}
    with at():
        return study_with({"train": train, "variants": variants, **more}).recipes["child"]


def refusal(train: Mapping[str, Any], child: Mapping[str, Any] | None = None) -> str:
    with pytest.raises(SettingError) as caught:
        recipe_of(train, child)
    return str(caught.value)


# The names and values that Keras knows

EXCLUDED = {
    "learning_rate": "a knob of train",
    "name": "names variables that are saved nowhere",
    "kwargs": "for arguments of older versions",
    "use_ema": "ends training with other weights than those that its last update left",
    "ema_momentum": "of use_ema",
    "ema_overwrite_frequency": "of use_ema",
    "loss_scale_factor": "for half precision",
    "gradient_accumulation_steps": "is a larger batch_size",
    "exclude_layers": "a list of names of layers",
    "exclude_embeddings": "no network here has embeddings",
}
"""Arguments that a recipe cannot give, and why."""


@pytest.mark.parametrize("name", OPTIMIZER_ARGUMENTS)
def test_the_arguments_and_their_values_are_those_of_the_installed_keras(name: str) -> None:
    parameters = inspect.signature(type(keras.optimizers.get(name))).parameters
    known = {argument: each.default for argument, each in parameters.items() if argument not in EXCLUDED}
    assert known == OPTIMIZER_ARGUMENTS[name]
    assert [type(value) for value in known.values()] == [type(OPTIMIZER_ARGUMENTS[name][argument]) for argument in known]


@pytest.mark.parametrize("name", OPTIMIZER_ARGUMENTS)
def test_keras_makes_an_optimizer_of_every_argument_that_a_mapping_may_give(name: str) -> None:
    """Each is given another value than Keras's own; three of them exclude each other."""
    for argument, own in OPTIMIZER_ARGUMENTS[name].items():
        other = {bool: not own, int: 3, type(None): 0.5}.get(type(own), float(own or 0.0) * 0.5 or 0.5)
        given = Optimizer.model_validate({"name": name, argument: other}).given
        config = keras.optimizers.get({"class_name": name, "config": {"learning_rate": 0.1, **given}}).get_config()
        assert config[argument] == other


def test_every_argument_is_of_an_optimizer_and_no_name_is_excluded_in_vain() -> None:
    known = {argument for arguments in OPTIMIZER_ARGUMENTS.values() for argument in arguments}
    assert known == Optimizer.model_fields.keys() - {"name"}
    assert not known & EXCLUDED.keys()
    there = {each for name in OPTIMIZER_ARGUMENTS for each in inspect.signature(type(keras.optimizers.get(name))).parameters}
    assert EXCLUDED.keys() <= there


def test_the_losses_that_smooth_labels_are_those_of_the_installed_keras() -> None:
    found = [name for name in LOSSES if "label_smoothing" in inspect.signature(keras.losses.get(name)).parameters]
    assert sorted(found) == sorted(SMOOTHING_LOSSES)


# One experiment, spelt in several ways

SPELLINGS: list[list[dict[str, Any]]] = [
    [{"optimizer": "adam"}, {"optimizer": {"name": "adam"}}, {"optimizer": {"name": "adam", "beta_1": 0.9, "amsgrad": False}}],
    [
        {"optimizer": "sgd", "momentum": 0.9},
        {"optimizer": {"name": "sgd", "momentum": 0.9}},
        {"optimizer": {"name": "sgd", "momentum": 0.9, "nesterov": False}, "momentum": 0.9},
    ],
    [
        {"optimizer": {"name": "sgd", "momentum": 0.9, "nesterov": True}},
        {"optimizer": {"name": "sgd", "nesterov": True}, "momentum": 0.9},
    ],
    [{"optimizer": {"name": "muon", "momentum": 0.95}}, {"optimizer": "muon"}],
    [{"schedule": {"kind": "constant"}}, {}, {"augmentation": {"flip": "none"}, "class_weights": "none"}],
    [{"schedule": {"kind": "cosine"}, "epochs": 8}, {"schedule": {"kind": "cosine", "decay_epochs": 8}, "epochs": 8}],
    [
        {"schedule": {"kind": "cosine", "warmup_epochs": 2}, "epochs": 8, "learning_rate": "default"},
        {"schedule": {"kind": "cosine", "warmup_epochs": 2.0, "decay_epochs": 6.0}, "epochs": 8, "learning_rate": 0.001},
    ],
]


@pytest.mark.parametrize("spellings", SPELLINGS)
def test_two_spellings_are_one_experiment(spellings: list[dict[str, Any]]) -> None:
    recipes = [recipe_of({}, each) for each in spellings]
    assert all(each == recipes[0] for each in recipes)
    assert recipe_of(spellings[-1]) == recipes[0]
    assert len({each.model_dump_json(exclude_defaults=True) for each in recipes}) == 1
    assert Recipe.model_validate_json(recipes[0].model_dump_json()) == recipes[0]


def test_an_optimizer_without_arguments_is_its_name_as_in_recipes_before_there_were_any() -> None:
    assert recipe_of({}).model_dump(exclude_defaults=True)["train"].keys() == {
        *("loss", "optimizer", "learning_rate", "batch_size", "epochs", "early_stopping")
    }
    assert recipe_of({"optimizer": {"name": "adam"}}).train.optimizer == "adam"
    assert recipe_of({"optimizer": {"name": "sgd", "momentum": 0.5}}).train.optimizer == "sgd"


INHERITED: list[tuple[dict[str, Any], dict[str, Any], str, dict[str, Any]]] = [
    ({"optimizer": "adam"}, {"optimizer": {"beta_1": 0.8}}, "adam", {"beta_1": 0.8}),
    (
        {"optimizer": {"name": "adam", "beta_1": 0.8}},
        {"optimizer": {"clipnorm": 1.0}},
        "adam",
        {"beta_1": 0.8, "clipnorm": 1.0},
    ),
    (
        {"optimizer": {"name": "adam", "beta_1": 0.8}},
        {"optimizer": {"name": "sgd", "nesterov": True}},
        "sgd",
        {"nesterov": True},
    ),
    ({"optimizer": {"name": "adam", "beta_1": 0.8}}, {"optimizer": "sgd"}, "sgd", {}),
    ({"optimizer": {"name": "adam", "beta_1": 0.8}}, {"optimizer": "adam"}, "adam", {}),
    ({"optimizer": {"name": "adam", "beta_1": 0.8}}, {"epochs": 2}, "adam", {"beta_1": 0.8}),
    ({"optimizer": {"name": "sgd", "momentum": 0.9}}, {"optimizer": {"momentum": 0.5}}, "sgd", {"momentum": 0.5}),
    ({"optimizer": {"name": "sgd", "momentum": 0.9}}, {"optimizer": "adam"}, "adam", {}),
]


@pytest.mark.parametrize(("train", "child", "name", "arguments"), INHERITED)
def test_arguments_are_inherited_by_the_same_optimizer_alone(
    train: dict[str, Any], child: dict[str, Any], name: str, arguments: dict[str, Any]
) -> None:
    recipe = recipe_of(train, child)
    assert (recipe.train.optimizer_name, recipe.train.optimizer_arguments) == (name, arguments)


def test_keys_of_a_schedule_are_inherited_by_the_same_kind_alone() -> None:
    steps = {"schedule": {"kind": "steps", "at": [1, 2], "factor": 0.1}}
    assert recipe_of(steps, {"schedule": {"factor": 0.2}}).train.schedule == Schedule(kind="steps", at=(1, 2), factor=0.2)
    assert recipe_of(steps, {"schedule": {"kind": "exponential"}}).train.schedule.factor == 0.5
    assert recipe_of(steps, {"schedule": {"kind": "constant"}}).train.schedule == Schedule()


def test_limits_of_epochs_shorten_a_schedule_and_refuse_none() -> None:
    recipe = recipe_of({"epochs": 9, "schedule": {"kind": "cosine", "warmup_epochs": 5}}, limits={"epochs": 2})
    assert (recipe.train.schedule.warmup_epochs, recipe.train.schedule.decay_epochs, recipe.train.epochs) == (1.0, 1.0, 2)


# Mistakes


@pytest.mark.parametrize(
    ("train", "said"),
    [
        ({"optimizer": {"name": "adma"}}, "train.optimizer.name: unknown optimizer 'adma' (did you mean 'adamax'?)"),
        ({"optimizer": {"beta_1": 0.9, "name": "sgd"}}, "train.optimizer: unknown argument of sgd 'beta_1'"),
        ({"optimizer": {"name": "adam", "beta1": 0.9}}, "train.optimizer: unknown key 'beta1' (did you mean 'beta_1'?)"),
        ({"optimizer": {"name": "adam", "beta_1": 1.0}}, "train.optimizer.beta_1: 1.0 must be less than 1"),
        ({"optimizer": {"name": "adam", "amsgrad": 1}}, "train.optimizer.amsgrad: 1 must be true or false"),
        ({"optimizer": {"name": "adam", "learning_rate": 0.1}}, "train.optimizer.learning_rate: stands beside the optimizer"),
        ({"optimizer": {"name": "adam", "clipnorm": 1.0, "clipvalue": 1.0}}, "train.optimizer.clipvalue: clipnorm and"),
        ({"optimizer": ["adam"]}, "train.optimizer: ['adam'] must be text, or a mapping of name and arguments"),
        ({"optimizer": {"name": "sgd", "momentum": 0.5}, "momentum": 0.9}, "train.optimizer.momentum: 0.5 is not train."),
        ({"schedule": {"kind": "cosin"}}, "train.schedule.kind: unknown kind 'cosin' (did you mean 'cosine'?)"),
        ({"schedule": {"factor": 0.1}}, "train.schedule.factor: is for exponential and steps and plateau, not for constant"),
        ({"schedule": {"kind": "steps"}}, "train.schedule.at: steps needs one epoch or more"),
        ({"schedule": {"kind": "steps", "at": [3, 2]}}, "train.schedule.at: [3.0, 2.0] must rise"),
        ({"schedule": {"kind": "exponential", "factor": 1.0}}, "train.schedule.factor: 1.0 must be less than 1"),
        ({"schedule": {"kind": "cosine", "decay_epochs": "most"}}, "train.schedule.decay_epochs: 'most' must be a number of"),
        ({"schedule": {"kind": "cosine", "decay_epochs": 0}}, "train.schedule.decay_epochs: 0 must be a number of epochs"),
        ({"schedule": {"kind": "cosine", "warmup_epochs": 3}}, "train.schedule.warmup_epochs: 3 leaves none of the 3 epochs"),
        ({"schedule": "cosine"}, "train.schedule: 'cosine' must be a mapping"),
        ({"label_smoothing": 0.1, "loss": "mse"}, "train.label_smoothing: mse smooths no labels; set it to 0.0"),
        ({"label_smoothing": 1.0}, "train.label_smoothing: 1.0 must be less than 1"),
        ({"class_weights": "balance"}, "train.class_weights: 'balance' must be none, balanced, or a mapping"),
        ({"class_weights": {}}, "train.class_weights: {} must be none, balanced, or a mapping"),
        ({"class_weights": {"a": 0}}, "train.class_weights.a: 0 must be greater than 0"),
        ({"class_weights": "balanced", "loss": "dice"}, "train.class_weights: dice is a loss of a whole batch"),
        ({"augmentation": {"rotate": 200}}, "train.augmentation.rotate: 200 must be less than or equal to 180"),
        ({"augmentation": {"flip": "left"}}, "train.augmentation.flip: unknown flip 'left'; known: none, horizontal"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_that_says_where_and_what_is_allowed(train: dict[str, Any], said: str) -> None:
    assert refusal({}, train).startswith(said)
    with pytest.raises(SettingError), at():
        recipe_of(train)


def test_every_key_of_a_schedule_is_of_some_kind() -> None:
    assert {key for keys in KEYS_OF.values() for key in keys} == Schedule.model_fields.keys() - {"kind"}


@pytest.mark.parametrize("train", [{"class_weights": "balanced"}, {"class_weights": {"0": 2.0}}])
def test_a_regression_has_no_classes_to_weigh(train: dict[str, Any]) -> None:
    study = study_with({**REGRESSION, "train": {"loss": "mse", **train}, "claims": {"noise_hurts": {"metric": "test_mae"}}})
    with pytest.raises(
        SettingError, match=r"^variants\.plain\.train\.class_weights: is for classes, and a regression has none"
    ):
        check_task(study, "regression")


def test_a_plateau_needs_what_it_watches() -> None:
    rows = {"split": {"validation": 0}}
    plateau = {"train": {"schedule": {"kind": "plateau", "monitor": "val_loss"}}, "data": rows}
    with pytest.raises(SettingError, match=r"^variants\.plain\.train\.schedule\.monitor: val_loss needs validation rows"):
        _check_measures(study_with(plateau))
    watching = {**REGRESSION, "train": {"loss": "mse", "schedule": {"kind": "plateau", "monitor": "val_accuracy"}}}
    with pytest.raises(SettingError, match=r"train\.schedule\.monitor: val_accuracy is not measured in a regression"):
        check_task(study_with({**watching, "claims": {"noise_hurts": {"metric": "test_mae"}}}), "regression")


# What the data do not allow


def for_data(train: dict[str, Any]) -> Train:
    study = study_with({"train": train})
    return jobs.for_data(study.recipes["plain"], prepared_for(study), "scaled")[0].train


def test_classes_are_weighed_by_name_or_number_and_equal_weights_are_one_experiment() -> None:
    """The classes of the small study are called a, b, c and d."""
    assert for_data({"class_weights": {"d": 3.0, "0": 2.0}}).class_weights == {"0": 2.0, "3": 3.0}
    assert for_data({"class_weights": {"d": 3.0, "a": 1.0}}) == for_data({"class_weights": {"3": 3}})
    assert for_data({"class_weights": {"a": 1.0}}) == for_data({})
    assert for_data({"class_weights": "balanced"}).class_weights == "balanced"


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ({"e": 2.0}, "train.class_weights: unknown class 'e'; known: a, b, c, d"),
        ({"4": 2.0}, "train.class_weights: unknown class '4'; known: a, b, c, d"),
        ({"a": 2.0, "0": 2.0}, "train.class_weights.0: is class 0, which has a weight already"),
    ],
)
def test_a_class_that_there_is_not_is_refused(weights: dict[str, float], said: str) -> None:
    study = study_with({"train": {"class_weights": weights}})
    with pytest.raises(UserError) as caught:
        jobs.jobs_of(study, prepared_for(study))
    assert str(caught.value) == f"variants.plain.{said}"


def test_augmentation_is_for_images() -> None:
    study = study_with({"train": {"augmentation": {"zoom": 0.1}}})
    prepared = prepared_for(study)
    assert jobs.for_data(study.recipes["plain"], prepared, "scaled")[0] == study.recipes["plain"]
    for name, (x, y) in prepared.splits.items():
        prepared.splits[name] = x.reshape(len(x), -1), y
    with pytest.raises(UserError, match=r"^variants\.plain\.train\.augmentation: is for images"):
        jobs.jobs_of(study, prepared)


def test_jobs_of_one_group_have_the_same_trace() -> None:
    def group(**train: Any) -> tuple[Any, ...]:
        study = study_with({"train": train})
        return jobs.jobs_of(study, prepared_for(study))[0].group

    assert group(learning_rate=0.5, class_weights="balanced", schedule={"kind": "plateau"}) == group()
    others: list[dict[str, Any]] = [
        {"optimizer": {"name": "adam", "beta_1": 0.8}},
        {"label_smoothing": 0.1},
        {"augmentation": {"zoom": 0.1}},
        {"schedule": {"kind": "cosine"}},
        {"schedule": {"kind": "cosine"}, "learning_rate": 0.5},
    ]
    assert len({group(), *(group(**each) for each in others)}) == 6


# Searches

CHOSEN: dict[str, Any] = {
    "optimizer": {"key": "train.optimizer.name", "choices": ["adam", "adamw"]},
    "decay": {"key": "train.optimizer.weight_decay", "log_uniform": [0.0001, 0.1]},
    "warmup": {"key": "train.schedule.warmup_epochs", "uniform": [0.0, 2.0]},
    "smoothing": {"key": "train.label_smoothing", "choices": [0.0, 0.1]},
    "zoom": {"key": "train.augmentation.zoom", "uniform": [0.0, 0.3]},
}


def searching(variant: Mapping[str, Any], **chosen: Mapping[str, Any]) -> Any:
    search = edited({"space": chosen or CHOSEN, "strategies": {"few": {"method": "random"}}, "claims": {}})
    study = study_with({"search": search, "variants": {"plain": {"train": variant}}})
    space.check(study, study.search)  # type: ignore[arg-type]  # it has one
    return study


def test_a_search_finds_arguments_whichever_way_the_variant_names_its_optimizer() -> None:
    values = {"optimizer": "adamw", "decay": 0.01, "warmup": 1.5, "smoothing": 0.1, "zoom": 0.2}
    for optimizer in ("adam", {"name": "adam"}):
        study = searching({"optimizer": optimizer, "schedule": {"kind": "cosine"}})
        train = space.recipe_of(study, study.search, values).train
        assert (train.optimizer_name, train.optimizer_arguments) == ("adamw", {"weight_decay": 0.01})
        assert (train.schedule.warmup_epochs, train.label_smoothing, train.augmentation.zoom) == (1.5, 0.1, 0.2)
        own = space.values_of(study.search, study.recipes["plain"])
        assert own == {"optimizer": "adam", "decay": None, "warmup": 0.0, "smoothing": 0.0, "zoom": 0.0}


def test_an_argument_that_one_of_the_searched_optimizers_lacks_is_refused() -> None:
    chosen: dict[str, Any] = {
        "optimizer": {"key": "train.optimizer", "choices": ["adam", "sgd"]},
        "beta": {"key": "train.optimizer.beta_1", "uniform": [0.5, 0.9]},
    }
    with pytest.raises(SettingError, match=r"beta: train\.optimizer: unknown argument of sgd 'beta_1'"):
        searching({}, **chosen)
    one: dict[str, Any] = {
        name: {**CHOSEN["optimizer"], "key": key} for name, key in (("a", "train.optimizer.name"), ("b", "train.optimizer"))
    }
    with pytest.raises(SettingError, match=r"b\.key: train\.optimizer is searched by a already"):
        searching({}, **one)
