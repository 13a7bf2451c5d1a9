"""The table of metrics says what each of them is and needs."""

from __future__ import annotations

import pytest

from stages.lib.study.metrics import JUDGED_BY, METRICS, general_name, has_measure, higher_is_better, metric_of


def test_only_accuracies_are_better_when_higher() -> None:
    higher = {name for name in METRICS if higher_is_better(name)}
    assert higher == {
        "train_accuracy",
        "val_accuracy",
        "test_accuracy",
        "best_val_accuracy",
        "accuracy_after_epoch_<n>",
        "val_accuracy_after_epoch_<n>",
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
        ("accuracy_after_epoch_0", "accuracy_after_epoch_0"),
    ],
)
def test_a_level_and_an_epoch_are_told_from_the_name(name: str, general: str) -> None:
    assert general_name(name) == general
    assert (metric_of(name) == METRICS.get(general)) == (general in METRICS)


@pytest.mark.parametrize("name", ["loss", "accuracy"])
def test_what_early_stopping_watches_while_training_needs_no_validation(name: str) -> None:
    assert not metric_of(name).needs_validation
    assert metric_of(name).quantity == name


def test_the_results_of_another_version_may_have_metrics_that_are_unknown_here() -> None:
    assert metric_of("test_f1").quantity == ""
    assert has_measure("classification", "test_f1")
    assert not higher_is_better("test_f1")
