"""The table of metrics says what each of them is and needs."""

from __future__ import annotations

import pytest

from stages.lib.study.metrics import JUDGED_BY, METRICS, general_name, has_measure, higher_is_better, metric_of, on_demand


def test_higher_is_better_of_accuracies_and_scores() -> None:
    higher = {name for name in METRICS if higher_is_better(name)}
    assert higher == {
        "train_accuracy",
        "val_accuracy",
        "test_accuracy",
        "best_val_accuracy",
        "accuracy_after_epoch_<n>",
        "val_accuracy_after_epoch_<n>",
        *(f"{rows}_{name}" for rows in ("test", "val") for name in ("balanced_accuracy", "f1_macro", "roc_auc", "r2")),
        *("test_average_precision", "val_average_precision"),
    }


def test_every_metric_that_a_search_may_choose_by_has_its_like_on_the_test_rows() -> None:
    for name, judge in JUDGED_BY.items():
        assert METRICS[name].needs_validation
        assert not METRICS[judge].needs_validation
        assert judge.startswith("test_")
        assert METRICS[judge].quantity == METRICS[name].quantity
        assert METRICS[judge].tasks == METRICS[name].tasks


@pytest.mark.parametrize(
    ("name", "general"),
    [
        ("epochs_to_0.95_accuracy", "epochs_to_<level>_accuracy"),
        ("epochs_to_1.0_val_accuracy", "epochs_to_<level>_val_accuracy"),
        ("accuracy_after_epoch_12", "accuracy_after_epoch_<n>"),
        ("val_accuracy_after_epoch_1", "val_accuracy_after_epoch_<n>"),
        ("test_loss", "test_loss"),
        ("own.cost", "own.<name>"),
        ("own.Cost", "own.Cost"),
        ("accuracy_after_epoch_0", "accuracy_after_epoch_0"),
    ],
)
def test_a_level_and_an_epoch_are_told_from_the_name(name: str, general: str) -> None:
    assert general_name(name) == general
    assert (metric_of(name).meaning == METRICS[general].meaning) if general in METRICS else not metric_of(name).meaning


def test_an_own_metric_is_better_when_higher_if_its_name_ends_as_those_of_scikit_learn() -> None:
    assert higher_is_better("own.profit_score")
    assert not higher_is_better("own.cost")
    assert not higher_is_better("own.score_of_errors")
    assert metric_of("own.profit_score").quantity == "profit score"
    assert on_demand("own.cost")
    assert has_measure("regression", "own.cost")


@pytest.mark.parametrize("name", ["loss", "accuracy"])
def test_what_early_stopping_watches_while_training_needs_no_validation(name: str) -> None:
    assert not metric_of(name).needs_validation
    assert metric_of(name).quantity == name


def test_the_results_of_another_version_may_have_metrics_that_are_unknown_here() -> None:
    assert metric_of("test_f1").quantity == ""
    assert has_measure("classification", "test_f1")
    assert not higher_is_better("test_f1")
