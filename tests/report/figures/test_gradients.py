"""Gradients that vanish, or are not finite."""

from __future__ import annotations

import math

import pandas as pd

from helpers.figures import words
from stages.lib.report.figures.gradients import gradient_norms, gradients
from stages.lib.report.figures.output import svg


def diagnostics_of(**norms: list[list[float]]) -> pd.DataFrame:
    """Diagnostics of variants, by their gradient norms at the epochs 0, 1, ...: a list for each, from first to last layer."""
    rows = [
        {"variant": variant, "epoch": epoch, "layer": f"hidden_{layer}", "gradient_norm": norm}
        for variant, epochs in norms.items()
        for epoch, values in enumerate(epochs)
        for layer, norm in enumerate(values, 1)
    ]
    return pd.DataFrame(rows)


def test_gradients_that_vanish_or_are_lost_are_drawn() -> None:
    table = diagnostics_of(vanishing=[[1e-12, 1e-6, 1], [0, 0, 1e-3]], lost=[[1, 1, 1], [math.nan] * 3])
    text = words(gradients(table, {"vanishing": "sigmoid", "lost": "relu"}))
    assert {"vanishing", "sigmoid", "lost", "relu", "not finite at the end", "before training"} <= text


def test_gradients_keep_the_order_of_the_layers() -> None:
    table = diagnostics_of(deep=[[float(layer) for layer in range(1, 13)]])
    assert gradient_norms(table)[0].tolist() == list(range(1, 13))


def test_sixteen_deep_variants_stay_small() -> None:
    table = diagnostics_of(**{f"variant_{number}": [[0.5**layer for layer in range(21)]] * 3 for number in range(16)})
    figure = gradients(table, dict.fromkeys(table["variant"].unique(), "relu"))
    assert len(svg(figure)) < 300_000
