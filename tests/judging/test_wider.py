"""Intervals of seeds and rows, and of folds."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from stages.lib.judging import verdicts
from stages.lib.judging.tables import row_values
from stages.lib.judging.wider import k_fold_factor, seeds_and_rows_limits, spread_out


def test_rows_widen_an_interval_by_their_variance() -> None:
    """Replicates that agree on every row: only rows vary. 3 of 4 rows are correct: variance of the mean 0.25 / 4."""
    correct = np.array([[1.0, 1, 1, 0]] * 3)
    low, high = seeds_and_rows_limits([correct], 0.05)
    alone = verdicts.mean_limits([np.array([1.0, 1, 1, 0])], 0.05)
    assert (low, high) == pytest.approx(tuple(map(float, alone)))
    assert seeds_and_rows_limits([correct, correct], 0.05) == (0, 0)


def test_a_few_rows_or_replicates_have_no_interval() -> None:
    assert all(map(math.isnan, seeds_and_rows_limits([np.ones((1, 100))], 0.01)))
    assert all(map(math.isnan, seeds_and_rows_limits([np.ones((5, 1))], 0.01)))


def test_seeds_and_rows_together_hold_the_truth_for_new_rows() -> None:
    """Accuracies of 5 replicates on 200 rows, some easy and some hard. Over seeds alone, most intervals miss the truth.

    A row is correct if a normal value of mean 1.2 and variance 1 + 0.04 is above 0.
    """
    draw = np.random.default_rng(0)
    truth = float(stats.norm.cdf(1.2 / math.sqrt(1.04)))
    both = alone = 0
    for _ in range(1_000):
        easy = draw.normal(1.2, 1.0, (1, 200))
        correct = (easy + draw.normal(0, 0.2, (5, 200)) > 0).astype(float)
        low, high = seeds_and_rows_limits([correct], 0.01)
        both += not low <= truth <= high
        seeds = correct.mean(axis=1)
        reach = stats.t.ppf(0.995, 4) * stats.sem(seeds)
        alone += abs(seeds.mean() - truth) > reach
    assert both <= 10 + 3 * 3.2  # 1 % of 1,000, and three deviations
    assert alone > 200


def test_the_difference_of_equal_variants_holds_for_new_rows() -> None:
    draw = np.random.default_rng(0)
    missed = 0
    for _ in range(500):
        easy = draw.normal(1.2, 1.0, (1, 200))
        groups = [(easy + draw.normal(0, 0.5, (1, 200)) + draw.normal(0, 0.2, (5, 200)) > 0).astype(float) for _ in range(2)]
        low, high = seeds_and_rows_limits(groups, 0.01)
        missed += not low <= 0 <= high
    assert missed <= 5 + 3 * 2.3


def test_folds_are_worth_fewer_replicates() -> None:
    """Six folds, twice: a fifth as many rows validate as train, so the variance is 1 + 12 / 5 = 3.4 times as large."""
    assert k_fold_factor(6, 2) == pytest.approx(math.sqrt(3.4))
    spread = spread_out([1.0, 2, 3], 2)
    assert spread == [0, 2, 4]
    assert spread_out([1.0, math.inf], 2) == [1.0, math.inf]


# What a metric is the mean of, row by row

SCORES_OF_THREE = np.array([[0.8, 0.2], [0.4, 0.6], [0.0, 1.0]])


@pytest.mark.parametrize(
    ("name", "loss", "expected"),
    [
        ("accuracy", "categorical_crossentropy", [1, 0, 0]),
        ("loss", "categorical_crossentropy", [-math.log(0.8), -math.log(0.4), -math.log(1e-7)]),
        ("loss", "sparse_categorical_crossentropy", [-math.log(0.8), -math.log(0.4), -math.log(1e-7)]),
        ("loss", "mse", None),  # of the scores of two classes
        ("mae", "mse", [0.8, 0.4, 0]),
        ("mse_joint", "mse", [0.64, 0.16, 0]),
        ("mse_deep", "mse", [0.04, 0.36, 1]),
        ("mse_joint_minus_deep", "mse", [0.6, -0.2, -1]),
        ("roc_auc", "categorical_crossentropy", None),
    ],
)
def test_what_a_metric_is_the_mean_of(name: str, loss: str, expected: list[float] | None) -> None:
    found = row_values(name, SCORES_OF_THREE, np.array([0, 0, 0]), loss)
    assert (found is None) == (expected is None)
    if expected is not None:
        assert found == pytest.approx(expected)


def test_the_loss_of_one_output_is_its_squared_error() -> None:
    assert row_values("loss", np.array([[1.0], [3.0]]), np.array([2, 0]), "mse") == pytest.approx([1, 9])
