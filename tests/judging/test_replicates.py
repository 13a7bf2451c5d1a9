"""Every metric on tables small enough to be worked out by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from stages.lib.judging import replicates
from stages.lib.judging.replicates import Replicate
from stages.lib.study.metrics import (
    METRICS,
    has_measure,
    is_metric,
    is_time,
    needs_validation,
    of_two_outputs,
    on_demand,
    rank_value,
    round_or_word,
)

LABELS = {"validation": np.array([0, 1, 2]), "test": np.array([0, 1, 2, 2])}
PREDICTIONS = {
    "validation": np.array([[0.9, 0.1, 0.0], [0.2, 0.5, 0.3], [0.4, 0.4, 0.2]], np.float32),  # right, right, wrong
    "test": np.array([[0.1, 0.9, 0.0], [0.0, 1.0, 0.0], [0.3, 0.3, 0.4], [0.5, 0.2, 0.3]], np.float32),  # one and three wrong
}
SCORES = {
    "train": {"loss": 0.25, "accuracy": 0.875},
    "validation": {"loss": 0.5, "accuracy": 0.1},
    "test": {"loss": 0.75, "accuracy": 0.1},
}


def history(**columns: list[float]) -> pd.DataFrame:
    epochs = len(next(iter(columns.values())))
    return pd.DataFrame({"epoch": range(1, epochs + 1), **columns})


HISTORY = history(
    loss=[1.0, 0.5, 0.25, 0.2],
    accuracy=[0.5, 0.75, 0.95, 0.9],
    val_loss=[0.9, 0.4, 0.45, 0.5],
    val_accuracy=[0.4, 0.7, 0.8, 0.8],
)


def test_every_metric_of_a_classification() -> None:
    extra = ["epochs_to_0.75_accuracy", "epochs_to_0.8_val_accuracy", "accuracy_after_epoch_1", "val_accuracy_after_epoch_4"]
    assert replicates.metrics(Replicate(HISTORY, SCORES, PREDICTIONS), LABELS, "classification", extra) == pytest.approx(
        {
            "train_loss": 0.25,
            "train_accuracy": 0.875,
            "val_loss": 0.5,
            "val_accuracy": 2 / 3,
            "test_loss": 0.75,
            "test_accuracy": 0.5,
            "generalization_gap": 0.375,
            "epochs": 4,
            "best_val_loss": 0.4,
            "best_val_accuracy": 0.8,
            "best_epoch": 3,
            "best_val_minus_test_accuracy": 0.3,
            "epochs_to_0.75_accuracy": 2,
            "epochs_to_0.8_val_accuracy": 3,
            "accuracy_after_epoch_1": 0.5,
            "val_accuracy_after_epoch_4": 0.8,
        }
    )


def test_every_metric_of_a_regression() -> None:
    table = history(loss=[9.0, 4.0], mae=[3.0, 2.0], val_loss=[5.0, 6.0], val_mae=[2.0, 2.5])
    measured = {"train": {"loss": 4.0, "mae": 1.5}, "validation": {"loss": 6.0, "mae": 9.0}, "test": {"loss": 5.0, "mae": 9.0}}
    predictions = {"validation": np.array([[1.0], [2.0]], np.float32), "test": np.array([[1.0], [4.0]], np.float32)}
    targets = {"validation": np.array([2.0, 4.0]), "test": np.array([1.5, 3.0])}
    assert replicates.metrics(Replicate(table, measured, predictions), targets, "regression") == pytest.approx(
        {
            "train_loss": 4.0,
            "train_mae": 1.5,
            "val_loss": 6.0,
            "val_mae": 1.5,
            "test_loss": 5.0,
            "test_mae": 0.75,
            "test_rmse": (0.25 / 2 + 1.0 / 2) ** 0.5,
            "generalization_gap": 1.0,
            "epochs": 2,
            "best_val_loss": 5.0,
            "best_epoch": 1,
        }
    )


@pytest.mark.parametrize("task", ["classification", "regression"])
@pytest.mark.parametrize("validation", [True, False])
def test_every_metric_that_settings_allow_is_measured(task: str, validation: bool) -> None:
    """So that a claim that is accepted before training can be judged after it; durations come from the timings."""
    quality = "accuracy" if task == "classification" else "mae"
    columns = ["loss", quality] + (["val_loss", f"val_{quality}"] if validation else [])
    splits = ["train", "test"] + (["validation"] if validation else [])
    predictions = {name: np.ones((2, 2)) for name in splits if name != "train"}  # of a regression: two outputs
    extra = [
        name
        for name in (
            *(name for name, metric in METRICS.items() if metric.on_demand and "<" not in name),
            "epochs_to_0.5_accuracy",
            "epochs_to_0.5_val_accuracy",
            "accuracy_after_epoch_1",
            "val_accuracy_after_epoch_1",
        )
        if has_measure(task, name) and (validation or not needs_validation(name))
    ]
    measured = replicates.metrics(
        Replicate(
            history(**{name: [0.5] for name in columns}), {name: {"loss": 0.5, quality: 0.5} for name in splits}, predictions
        ),
        {name: np.zeros(2, int) for name in predictions},
        task,
        extra,
    )
    allowed = {
        name
        for name in METRICS
        if is_metric(name) and not is_time(name) and has_measure(task, name) and (validation or not needs_validation(name))
    }
    assert set(measured) == allowed | set(extra)


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_what_is_on_demand_is_worked_out_only_where_it_is_named(task: str) -> None:
    quality = "accuracy" if task == "classification" else "mae"
    table = history(**{name: [0.5] for name in ("loss", quality, "val_loss", f"val_{quality}")})
    split_scores = {name: {"loss": 0.5, quality: 0.5} for name in SCORES}
    measured = replicates.metrics(Replicate(table, split_scores, PREDICTIONS), LABELS, task)
    assert not any(on_demand(name) for name in measured)
    elsewhere = {name for name, metric in METRICS.items() if metric.of_predictions or metric.of_layers}
    of_history = {name for name, metric in METRICS.items() if metric.on_demand} - elsewhere
    assert {name for name in of_history if "<" not in name} == {"collapsed", "diverged", "val_loss_roughness"}
    assert on_demand("epochs_to_0.5_accuracy")
    assert on_demand("accuracy_after_epoch_1")


# Collapse


@pytest.mark.parametrize(("right", "expected"), [(4, True), (5, True), (6, False)])
def test_a_network_that_is_no_better_than_the_most_frequent_class_has_collapsed(right: int, expected: bool) -> None:
    """Of ten rows, five are of class 0."""
    labels = np.array([0] * 5 + [1] * 3 + [2] * 2)
    answers = np.where(np.arange(10) < right, labels, (labels + 1) % 3)
    assert replicates.collapsed(np.eye(3)[answers], labels, "classification") is expected


@pytest.mark.parametrize(("scale", "expected"), [(0.0, True), (0.5, False), (1.0, False), (3.0, True), (np.inf, True)])
def test_a_regression_that_is_no_better_than_the_mean_has_collapsed(scale: float, expected: bool) -> None:
    """Targets -1 and 1 with mean 0 and variance 1: a prediction of 3 times the target is off by 2."""
    targets = np.array([-1.0, 1, -1, 1])
    assert replicates.collapsed((scale * targets)[:, None], targets, "regression") is expected


# A regression's squared errors


def measured_regression(test: list[list[float]]) -> dict[str, float]:
    """The metrics of a regression without validation, of two test rows with the targets 1 and 3."""
    numbers = {name: {"loss": 1.0, "mae": 1.0} for name in ("train", "test")}
    predictions = {"test": np.array(test, np.float32)}
    replicate = Replicate(history(loss=[1.0], mae=[1.0]), numbers, predictions)
    return replicates.metrics(replicate, {"test": np.array([1.0, 3.0])}, "regression")


def test_two_outputs_have_a_squared_error_each() -> None:
    """Errors of 0 and 2 of the joint output, of 1 and -3 of the deep one."""
    measured = measured_regression([[1.0, 2.0], [5.0, 0.0]])
    assert measured["test_mse_joint"] == 2.0
    assert measured["test_mse_deep"] == 5.0
    assert measured["test_mse_joint_minus_deep"] == -3.0
    assert measured["test_rmse"] == pytest.approx(2**0.5)
    assert measured["test_mae"] == 1.0


def test_one_output_has_no_squared_error_of_a_second() -> None:
    assert not any(of_two_outputs(name) for name in measured_regression([[1.0], [5.0]]))


def test_squared_errors_of_what_diverged_are_not_finite() -> None:
    measured = measured_regression([[math.nan, 2.0], [5.0, 0.0]])
    assert math.isnan(measured["test_rmse"])
    assert math.isnan(measured["test_mse_joint_minus_deep"])
    assert measured["test_mse_deep"] == 5.0
    assert measured_regression([[math.inf], [5.0]])["test_rmse"] == math.inf


# Validation rows that a replicate set apart by itself


@pytest.mark.parametrize(("loss", "accuracy"), [(0.5, 0.1), (math.nan, math.nan)])
def test_the_accuracy_on_rows_whose_labels_are_not_known_is_that_which_training_measured(loss: float, accuracy: float) -> None:
    measured = replicates.metrics(
        Replicate(HISTORY, {**SCORES, "validation": {"loss": loss, "accuracy": 0.1}}, PREDICTIONS),
        {"test": LABELS["test"]},
        "classification",
    )
    assert measured["val_accuracy"] == pytest.approx(accuracy, nan_ok=True)
    assert measured["test_accuracy"] == 0.5


# What diverged


def test_a_loss_that_was_not_finite_at_any_epoch_has_diverged() -> None:
    for losses, diverged in (([1.0, 2.0], 0), ([1.0, math.nan], 1), ([math.inf, 1.0], 1), ([1.0, -math.inf], 1)):
        assert replicates.diverged(history(loss=losses), PREDICTIONS["test"], LABELS["test"], "classification") == diverged


@pytest.mark.parametrize(("error", "diverged"), [(900.0, False), (1100.0, True), (1e19, True), (math.inf, True)])
def test_errors_a_million_times_those_of_a_constant_have_diverged(error: float, diverged: bool) -> None:
    """The targets have a variance of 1, so a constant's root mean squared error is 1, and 1,000 is the limit."""
    targets = np.array([-1.0, 1.0, -1.0, 1.0])
    predictions = (targets + error)[:, None]
    replicate = Replicate(
        history(loss=[5.0], mae=[1.0]), {name: {"loss": 5.0, "mae": 1.0} for name in SCORES}, {"test": predictions}
    )
    measured = replicates.metrics(replicate, {"test": targets}, "regression", ["diverged"])
    assert measured["diverged"] == diverged


def test_roughness_is_the_mean_step_of_the_validation_loss_after_the_fifth_epoch() -> None:
    """The steps from the fifth epoch to the sixth, seventh and eighth: 1, 2 and 0.5; before, they are large."""
    table = history(val_loss=[100.0, 0.0, 100.0, 0.0, 7.0, 6.0, 8.0, 7.5])
    assert replicates.from_history("val_loss_roughness", table) == pytest.approx(3.5 / 3)
    assert math.isnan(replicates.from_history("val_loss_roughness", table[:5]))
    assert replicates.from_history("val_loss_roughness", table[:6]) == 1.0


@pytest.mark.parametrize("late", [math.nan, math.inf])
def test_the_roughness_of_what_diverged_is_not_finite(late: float) -> None:
    table = history(val_loss=[1.0, 1.0, 1.0, 1.0, 1.0, 2.0, late, late])
    assert not math.isfinite(replicates.from_history("val_loss_roughness", table))


def test_a_network_that_diverged_has_no_accuracy() -> None:
    """Its scores are not numbers: the highest of them would be the first, and the accuracy the share of that class."""
    table = history(loss=[math.nan], accuracy=[0.1], val_loss=[math.nan], val_accuracy=[0.1])
    nothing = {name: {"loss": math.nan, "accuracy": 0.1} for name in SCORES}
    predictions = {name: np.full_like(values, np.nan) for name, values in PREDICTIONS.items()}
    measured = replicates.metrics(Replicate(table, nothing, predictions), LABELS, "classification")
    for name in ("train_loss", "train_accuracy", "val_accuracy", "test_accuracy", "generalization_gap", "best_val_loss"):
        assert math.isnan(measured[name])


def test_a_network_that_diverged_has_no_accuracy_in_any_epoch() -> None:
    table = history(loss=[math.nan] * 2, accuracy=[0.1, 0.2], val_loss=[math.nan] * 2, val_accuracy=[0.1, 0.2])
    asked = ["accuracy_after_epoch_1", "val_accuracy_after_epoch_2", "epochs_to_0.1_val_accuracy"]
    measured = replicates.metrics(Replicate(table, SCORES, PREDICTIONS), LABELS, "classification", asked)
    assert math.isnan(measured["best_val_accuracy"])
    assert math.isnan(measured["best_val_minus_test_accuracy"])
    assert measured["best_epoch"] == 1
    assert [measured[name] for name in asked] == pytest.approx([math.nan, math.nan, math.inf], nan_ok=True)


def test_one_score_that_is_not_finite_is_enough_to_have_diverged() -> None:
    predictions = PREDICTIONS["test"].copy()
    predictions[3, 2] = np.inf
    assert math.isnan(replicates.accuracy(predictions, LABELS["test"]))


def test_a_loss_that_diverges_late_keeps_its_best_epoch() -> None:
    table = history(loss=[1, math.nan], accuracy=[0.5, 0.1], val_loss=[0.7, math.nan], val_accuracy=[0.6, 0.1])
    measured = replicates.metrics(Replicate(table, SCORES, PREDICTIONS), LABELS, "classification")
    assert (measured["best_val_loss"], measured["best_val_accuracy"], measured["best_epoch"]) == (0.7, 0.6, 1)


def test_a_regression_s_best_epoch_is_that_of_the_lowest_finite_loss() -> None:
    table = history(loss=[1, 1, 1], mae=[1, 1, 1], val_loss=[math.nan, 3.0, 2.0], val_mae=[1, 1, 1])
    measured = {name: {"loss": 1.0, "mae": 1.0} for name in SCORES}
    ones = {name: np.ones((len(labels), 1)) for name, labels in LABELS.items()}
    assert replicates.metrics(Replicate(table, measured, ones), LABELS, "regression")["best_epoch"] == 3


def test_a_level_counts_from_the_first_epoch_that_reaches_it() -> None:
    table = history(accuracy=[0.5, 0.95, 0.5, 0.96])
    levels = {"epochs_to_0.5_accuracy": 1, "epochs_to_0.95_accuracy": 2, "epochs_to_0.951_accuracy": 4}
    for name, epoch in levels.items():
        assert replicates.from_history(name, table) == epoch


def test_a_level_that_is_never_reached_takes_for_ever() -> None:
    assert replicates.from_history("epochs_to_0.97_accuracy", history(accuracy=[0.5, 0.96])) == math.inf
    assert replicates.from_history("epochs_to_1.0_val_accuracy", history(val_accuracy=[math.nan, 0.96])) == math.inf


def test_an_epoch_that_training_did_not_come_to_has_no_accuracy() -> None:
    assert replicates.from_history("accuracy_after_epoch_2", history(accuracy=[0.5, 0.75])) == 0.75
    assert math.isnan(replicates.from_history("accuracy_after_epoch_3", history(accuracy=[0.5, 0.75])))


def layers(*rows: tuple[int, str, float, float, float]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["epoch", "layer", "weights_norm", "gradient_norm", "update_norm"])


LAYERS = layers(
    (0, "hidden_1", 10.0, 0.02, math.nan),
    (0, "outputs", 2.0, 0.5, math.nan),
    (1, "hidden_1", 11.0, 0.3, 1.0),
    (1, "outputs", 3.0, 0.1, 0.5),
)


def test_the_first_layer_against_the_output_layer() -> None:
    """0.02 / 0.5 before training; in the first epoch 1 of 10 over 0.5 of 2."""
    asked = ["log10_gradient_ratio_at_start", "log10_update_ratio_of_epoch_1"]
    measured = replicates.metrics(Replicate(HISTORY, SCORES, PREDICTIONS, LAYERS), LABELS, "classification", asked)
    assert [measured[name] for name in asked] == pytest.approx([math.log10(0.04), math.log10(0.4)])


def test_a_gradient_that_is_0_has_vanished_wholly() -> None:
    table = layers((0, "hidden_1", 1.0, 0.0, math.nan), (0, "outputs", 1.0, 0.5, math.nan))
    assert replicates.from_layers("log10_gradient_ratio_at_start", table) == -math.inf


@pytest.mark.parametrize(
    "table",
    [
        None,
        layers(),
        layers((0, "hidden_1", 1.0, 1.0, math.nan), (0, "outputs", 1.0, 0.0, math.nan), (1, "hidden_1", 1.0, 1.0, 1.0)),
        layers((0, "hidden_1", 1.0, math.nan, math.nan), (0, "outputs", 0.0, math.inf, math.nan)),
    ],
)
def test_without_an_output_layer_that_learns_there_is_no_ratio(table: pd.DataFrame | None) -> None:
    for name in ("log10_gradient_ratio_at_start", "log10_update_ratio_of_epoch_1"):
        assert math.isnan(replicates.from_layers(name, table))


def test_other_metrics_are_not_of_the_history() -> None:
    with pytest.raises(ValueError, match="test_loss is not a metric of the history"):
        replicates.from_history("test_loss", HISTORY)


@pytest.mark.parametrize(
    "name",
    [
        *(name for name in METRICS if "<" not in name),
        "epochs_to_0.95_accuracy",
        "epochs_to_1.0_accuracy",
        "epochs_to_0.5_val_accuracy",
        "accuracy_after_epoch_1",
        "val_accuracy_after_epoch_10",
        "own.cost",
    ],
)
def test_what_is_listed_or_follows_a_pattern_is_a_metric(name: str) -> None:
    assert is_metric(name)


@pytest.mark.parametrize(
    "name",
    [
        *(name for name in METRICS if "<" in name),
        "epochs_to_2_accuracy",
        "epochs_to_95_accuracy",
        "epochs_to_1.5_accuracy",
        "epochs_to_.5_accuracy",
        "epochs_to_0._accuracy",
        "epochs_to_-0.5_accuracy",
        "epochs_to_0.95_test_accuracy",
        "epochs_to_0.95_loss",
        "accuracy_after_epoch_0",
        "accuracy_after_epoch_-1",
        "accuracy_after_epoch_01",
        "accuracy_after_epoch_1.5",
        "test_accuracy_after_epoch_1",
        "accuracy_after_epoch_1\n",
        "own.",
        "own.Cost",
        "own.<name>",
        "own.cost.more",
        "",
        "accuracy",
        "Test_accuracy",
        "test_accuracy ",
    ],
)
def test_anything_else_is_no_metric(name: str) -> None:
    assert not is_metric(name)


@pytest.mark.parametrize(
    ("name", "worst", "word"),
    [
        ("test_accuracy", -math.inf, "diverged"),
        ("best_val_accuracy", -math.inf, "diverged"),
        ("accuracy_after_epoch_3", -math.inf, "diverged"),
        ("val_accuracy_after_epoch_3", -math.inf, "diverged"),
        ("test_loss", math.inf, "diverged"),
        ("test_mae", math.inf, "diverged"),
        ("generalization_gap", math.inf, "diverged"),
        ("test_rmse", math.inf, "diverged"),
        ("val_loss_roughness", math.inf, "diverged"),
        ("test_roc_auc", -math.inf, "undefined"),
        ("val_log_loss", math.inf, "undefined"),
        ("own.cost", math.inf, "undefined"),
        ("own.profit_score", -math.inf, "undefined"),
        ("epochs_to_0.9_accuracy", math.inf, "never"),
        ("epochs_to_0.9_val_accuracy", math.inf, "never"),
    ],
)
def test_what_is_not_a_number_ranks_as_the_worst_and_is_shown_as_a_word(name: str, worst: float, word: str) -> None:
    assert rank_value(name, math.nan) == worst
    assert rank_value(name, 0.5) == 0.5
    assert round_or_word(name, worst) == round_or_word(name, math.nan) == word
    assert round_or_word(name, 0.123456789) == 0.12346


@pytest.mark.parametrize(
    ("name", "needed"),
    [
        ("val_loss", True),
        ("best_epoch", True),
        ("epochs_to_0.9_val_accuracy", True),
        ("val_accuracy_after_epoch_1", True),
        ("epochs_to_0.9_accuracy", False),
        ("val_loss_roughness", True),
        ("best_val_minus_test_accuracy", True),
        ("diverged", False),
        ("test_mse_joint", False),
        ("test_loss", False),
        ("epochs", False),
        ("none", False),
    ],
)
def test_validation_rows_are_needed_where_they_are_measured(name: str, needed: bool) -> None:
    assert needs_validation(name) == needed


@pytest.mark.parametrize(
    ("name", "tasks"),
    [
        ("test_rmse", ["regression"]),
        ("test_mse_joint_minus_deep", ["regression"]),
        ("val_mae", ["regression"]),
        ("best_val_minus_test_accuracy", ["classification"]),
        ("val_loss_roughness", ["classification", "regression"]),
        ("diverged", ["classification", "regression"]),
    ],
)
def test_a_measure_is_of_its_tasks(name: str, tasks: list[str]) -> None:
    assert [task for task in ("classification", "regression") if has_measure(task, name)] == tasks


def test_durations_are_told_apart() -> None:
    times: list[Any] = [name for name in METRICS if is_time(name)]
    assert times == ["seconds_per_epoch", "seconds"]
