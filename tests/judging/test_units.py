"""Numbers as people read them."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest

from helpers.checkout import ROOT
from stages.lib.judging.units import ACCURACY, Unit, significant, unit_of
from stages.lib.study.metrics import finite


@pytest.mark.parametrize(
    ("metric", "task", "quantity"),
    [
        ("test_accuracy", "classification", "accuracy"),
        ("accuracy_after_epoch_1", "classification", "accuracy"),
        ("generalization_gap", "classification", "accuracy"),
        ("generalization_gap", "regression", "loss"),
        ("epochs_to_0.95_accuracy", "classification", "epochs"),
        ("best_epoch", "regression", "epochs"),
        ("best_val_loss", "regression", "loss"),
        ("test_mae", "regression", "mean absolute error"),
        ("test_rmse", "regression", "root mean squared error"),
        ("test_mse_joint_minus_deep", "regression", "mean squared error"),
        ("seconds_per_epoch", "regression", "duration"),
    ],
)
def test_a_metric_has_its_unit(metric: str, task: str, quantity: str) -> None:
    assert unit_of(metric, task).quantity == quantity


def test_a_number_is_shown_in_its_unit_and_a_word_stays() -> None:
    assert ACCURACY.value(0.9229) == "92.29 %"
    assert ACCURACY.value("0.9229") == "92.29 %"
    assert ACCURACY.change(0.0104) == "+1.04 points"
    assert ACCURACY.change(-0.0536) == "−5.36 points"
    assert ACCURACY.change(-0.000001) == "0.00 points"
    assert ACCURACY.interval(-0.01, 0.02) == "[−1.00, 2.00]"
    assert ACCURACY.value("diverged") == "diverged"
    assert Unit("loss", "", "").value(1234.5) == "1,234.5000"


def test_only_finite_numbers_are_numbers() -> None:
    cells = [1, "0.5", np.float32(2), "never", "diverged", None, math.nan, math.inf, "inf"]
    assert [finite(cell) for cell in cells[:3]] == [1, 0.5, 2]
    assert all(math.isnan(finite(cell)) for cell in cells[3:])


def test_numbers_are_written_as_a_text_would() -> None:
    values = (0.0, 46900.0, 0.11976, 16.70061, 62.5, -3.286e15, 8.42e-12, 1.9971)
    texts = ["0", "46,900", "0.12", "16.7", "62.5", "−3.29 × 10¹⁵", "8.42 × 10⁻¹²", "2"]
    assert [significant(value) for value in values] == texts


@pytest.mark.parametrize("module", ["judging.units", "report.commands", "report.evidence"])
def test_text_needs_no_matplotlib(module: str) -> None:
    check = f"import sys, stages.lib.{module}; assert 'matplotlib' not in sys.modules"
    subprocess.run([sys.executable, "-c", check], cwd=ROOT, check=True)
