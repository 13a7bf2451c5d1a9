"""Residuals: errors, what diverged, and a target that never changes."""

from __future__ import annotations

import math

import pandas as pd

from helpers.figures import words
from stages.lib.report.figures.residuals import residuals


def test_residuals_show_the_error_and_what_diverged() -> None:
    rows = [["a", tenth, tenth / 10, tenth / 10 + 0.1, 0.25] for tenth in range(1, 11)]
    rows += [["lost", tenth, tenth / 10, math.nan, math.nan] for tenth in range(1, 11)]
    table = pd.DataFrame(rows, columns=["variant", "tenth", "target", "prediction", "mae"])
    text = words(residuals(table, {"lost"}, "price"))
    assert {"a", "lost", "mean absolute error 0.25", "diverged", "target: price"} <= text


def test_residuals_of_a_constant_target() -> None:
    table = pd.DataFrame({"variant": "a", "tenth": [1, 2], "target": 1.0, "prediction": [0.5, 1e9], "mae": 0.5})
    assert "a" in words(residuals(table, set()))
