"""Names of classes, the errors that are written, and residuals."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from helpers.figures import words
from stages.lib.report.figures.errors import confusion, residuals
from stages.lib.report.figures.style import svg


def test_confusion_names_the_classes_and_the_errors_of_note() -> None:
    names = ["T-shirt", "Ankle boot, for $5 & more"]
    rows = [["a", names[0], 0.8, 80, 20], ["a", names[1], 0.99, 1, 99], ["b", names[0], "", 0, 0], ["b", names[1], "", 0, 0]]
    text = words(confusion(pd.DataFrame(rows, columns=["variant", "class", "accuracy", *names]), {"b"}))
    assert {"T-shirt", "Ankle boot, f…", "20", "89.50 %", "diverged"} <= text
    assert "1" not in text


def test_forty_variants_that_learnt_nothing_stay_small() -> None:
    draw = np.random.default_rng(0)
    names = [f"variant_{number}" for number in range(40)]
    counts = draw.multinomial(1000, np.full(10, 0.1), size=400)  # nothing learnt: every cell is an error of note
    table = pd.DataFrame(counts, columns=[str(label) for label in range(10)])
    table.insert(0, "variant", np.repeat(names, 10))
    table.insert(1, "class", [str(label) for label in range(10)] * 40)
    assert len(svg(confusion(table, set()))) < 300_000


def test_residuals_show_the_error_and_what_diverged() -> None:
    rows = [["a", tenth, tenth / 10, tenth / 10 + 0.1, 0.25] for tenth in range(1, 11)]
    rows += [["lost", tenth, tenth / 10, math.nan, math.nan] for tenth in range(1, 11)]
    table = pd.DataFrame(rows, columns=["variant", "tenth", "target", "prediction", "mae"])
    text = words(residuals(table, {"lost"}, "price"))
    assert {"a", "lost", "mean absolute error 0.25", "diverged", "target: price"} <= text


def test_residuals_of_a_constant_target() -> None:
    table = pd.DataFrame({"variant": "a", "tenth": [1, 2], "target": 1.0, "prediction": [0.5, 1e9], "mae": 0.5})
    assert "a" in words(residuals(table, set()))
