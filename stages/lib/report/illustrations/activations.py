"""Activation functions and their slopes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from stages.lib.data.prepared import Prepared
from stages.lib.judging.units import significant
from stages.lib.report.figures.layout import grid, legend, line, tick_label
from stages.lib.report.figures.style import BLUE, DASHED, ORANGE, PANEL_TITLE, STYLED
from stages.lib.report.illustrations.illustrated import Illustrated
from stages.lib.report.illustrations.sigmoid_saturation import sigmoid, sigmoid_slope
from stages.lib.study.settings import Study

LEAK = 0.1
FUNCTIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "sigmoid": sigmoid,
    "tanh": np.tanh,
    "relu": lambda x: np.maximum(x, 0),
    f"leaky relu ({LEAK})": lambda x: np.where(x < 0, LEAK * x, x),
    "elu": lambda x: np.where(x < 0, np.expm1(x), x),
    "maxout of x and −x / 2": lambda x: np.maximum(x, -x / 2),
}
SMOOTH = ("sigmoid", "tanh", "elu")


@STYLED
def activations(study: Study, _: Prepared) -> Illustrated:
    """A panel for each function."""
    x = np.linspace(-4, 4, 161)
    figure, panels = grid(6, 3, 1.25, above=0.33, below=0.22, top=0.3)
    rows = []
    for i, (axes, (name, function)) in enumerate(zip(panels, FUNCTIONS.items(), strict=True)):
        slope = (function(x + 1e-6) - function(x - 1e-6)) / 2e-6
        kink = np.isclose(x, 0) & (name not in SMOOTH)
        axes.axhline(0, color="#cccccc", linewidth=0.7)
        axes.axvline(0, color="#cccccc", linewidth=0.7)
        axes.plot(x, function(x), color=BLUE)
        axes.plot(x, np.where(kink, np.nan, slope), color=ORANGE, linestyle=DASHED, linewidth=1.1)
        axes.set(xlim=(-4, 4), ylim=(-1.3, 2.4), xticks=[-3, -2, -1, 0, 1, 2, 3])
        axes.set_yticks([-1, 0, 1, 2], labels=[] if i % 3 else ["−1", "0", "1", "2"])
        axes.xaxis.set_major_formatter(tick_label)
        axes.set_title(name, fontsize=PANEL_TITLE)
        values = (significant(float(function(np.array(at))) + 0.0) for at in (-4.0, 0.0, 4.0))
        rows.append((name, *values, significant(float(np.abs(slope[~kink]).max()))))
    legend(figure, [line("value", BLUE), line("slope", ORANGE, linestyle=DASHED)], inches=0.04)
    depth = max(len(recipe.model.hidden) for recipe in study.recipes.values())
    largest = float(sigmoid_slope(np.array(0.0)))
    others = max(row[-1] for row in rows[1:])
    return Illustrated(
        figure,
        "Activation functions and their slopes.",
        f"The slope of the sigmoid is at most {significant(largest)}, so {depth} layers of it multiply a gradient by at most"
        f" {significant(largest**depth)}, before the weights; the largest slope of the others is {others}.",
        header=("Function", "At −4", "At 0", "At 4", "Steepest slope"),
        rows=tuple(rows),
    )
