"""Curves and gradients: parents, what explodes, vanishes or is missing, and how large the file gets."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from helpers.figures import words
from stages.lib.report.figures.curves import curve_measures, gradient_norms, gradients, learning_curves, thinned
from stages.lib.report.figures.style import svg


def curves_of(**losses: list[float]) -> pd.DataFrame:
    """Curves of variants without validation rows, by their training loss; the band is the mean itself."""
    rows = [
        {"variant": variant, "epoch": epoch, "replicates": 5, **{f"loss_{how}": loss for how in ("mean", "min", "max")}}
        for variant, values in losses.items()
        for epoch, loss in enumerate(values, 1)
    ]
    return pd.DataFrame(rows)


def test_curves_without_validation_rows_show_each_against_its_parent() -> None:
    figure = learning_curves(curves_of(first=[2, 1], second=[2, 0.5]), {"first": None, "second": "first"}, "loss")
    text = words(figure)
    assert {"first", "second", "grey: first"} <= text
    assert "validation rows" not in text
    assert "diverged" not in text


def test_a_curve_that_explodes_is_marked_and_leaves_room_for_the_others() -> None:
    figure = learning_curves(curves_of(calm=[2, 1, 1], wild=[3, 1e30, math.nan]), {}, "loss")
    assert "diverged" in words(figure)
    assert figure.axes[0].get_ylim()[1] < 100


@pytest.mark.parametrize("losses", [[1.0], [math.nan], [0.0, 0.0]])
def test_curves_of_one_epoch_of_zeros_and_of_nothing(losses: list[float]) -> None:
    assert "only" in words(learning_curves(curves_of(only=losses), {"only": None}, "loss"))


def test_forty_variants_of_a_hundred_epochs_stay_small() -> None:
    draw = np.random.default_rng(0)
    names = [f"variant_{number}" for number in range(40)]
    curves = curves_of(**{name: list(draw.random(100)) for name in names})
    measured = [f"loss_{how}" for how in ("mean", "min", "max")]
    curves = curves.join(draw.random() + curves[measured].add_prefix("val_"))
    assert len(svg(learning_curves(curves, dict.fromkeys(names[1:], names[0]), "loss"))) < 300_000


def test_thinned_curves_keep_their_ends() -> None:
    group = pd.DataFrame({"epoch": range(1, 101)})
    assert list(thinned(group, 3)["epoch"]) == [1, 51, 100]
    assert len(thinned(group, 200)) == 100


def test_variants_without_validation_curves_stand_beside_those_with() -> None:
    curves = curves_of(without=[2, 1], validated=[2, 1])
    for how in ("mean", "min", "max"):
        curves[f"val_loss_{how}"] = curves[f"loss_{how}"].where(curves["variant"] == "validated")
    text = words(learning_curves(curves, {}, "loss"))
    assert {"without", "validated", "validation rows"} <= text
    assert "diverged" not in text


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


def test_a_learning_rate_is_in_the_table_and_is_no_curve_of_what_is_measured() -> None:
    names = ("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate")
    curves = pd.DataFrame({f"{name}_mean": [0.5] for name in names})
    assert curve_measures(curves) == ["loss", "accuracy"]
