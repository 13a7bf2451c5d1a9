"""Gradients: how they vanish or explode on their way back through the layers."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib import ticker
from matplotlib.figure import Figure

from stages.lib.judging.units import finite_column, power_of_ten
from stages.lib.report.figures.layout import grid, legend, line, note_in_the_middle, panel_title
from stages.lib.report.figures.style import BLUE, DASHED, FAINT, GREY, ORANGE, OTHERS, STYLED, WIDTH

COLUMNS = 4
FLOOR = 1e-30
"""The smallest norm that is drawn. Smaller ones, and a gradient of exactly 0, lie on it."""


def gradient_norms(group: pd.DataFrame) -> dict[int, np.ndarray]:
    """Epoch -> the gradient norm of each layer, in the order of the rows.

    group: the rows of diagnostics.csv of one variant.
    """
    rows = group.drop_duplicates(["epoch", "layer"], keep="last")
    return {int(epoch): finite_column(rows.loc[rows["epoch"] == epoch, "gradient_norm"]) for epoch in rows["epoch"].unique()}


def _power_label(value: float) -> str:
    return f"{value:g}" if 1e-2 <= value <= 100 else power_of_ten(round(math.log10(value)))


def _limits(norms: list[np.ndarray]) -> tuple[float, float]:
    """The powers of ten around all norms."""
    seen = np.concatenate(norms)
    seen = np.maximum(seen[~np.isnan(seen)], FLOOR)
    low, high = (float(seen.min()), float(seen.max())) if len(seen) else (1e-3, 1.0)
    return 10.0 ** math.floor(math.log10(low)), 10.0 ** math.ceil(math.log10(high * 1.01))


@STYLED
def gradients(table: pd.DataFrame, activations: Mapping[str, str]) -> Figure:
    """A panel for each variant: the gradient norm of each layer before training, after the first epoch and at the end.

    table: the columns of diagnostics.csv; activations: variant -> its activation, in the order of the panels.
    """
    groups = {name: gradient_norms(table[table["variant"] == name]) for name in activations}
    figure, panels = grid(len(groups), COLUMNS, 1.3, above=0.38, below=0.2, top=0.3, bottom=0.3)
    low, high = _limits([norms for epochs in groups.values() for norms in epochs.values()])
    step = max(1, math.ceil(math.log10(high / low) / 4))
    ticks = [10.0**power for power in range(round(math.log10(low)), round(math.log10(high)) + 1, step)]
    for i, (axes, (variant, epochs)) in enumerate(zip(panels, groups.items(), strict=True)):
        last = max(epochs)
        looks = {0: (BLUE, "-", "o"), last: (ORANGE, DASHED, "s")}
        for epoch, norms in epochs.items():
            colour, dashes, dot = looks.get(epoch, (OTHERS, "-", ""))
            layers, drawn = range(1, len(norms) + 1), np.maximum(norms, FLOOR)
            axes.plot(layers, drawn, color=colour, linestyle=dashes, marker=dot, markersize=2.6, linewidth=1.2)
        if np.isnan(epochs[last]).any():
            note_in_the_middle(axes, "not finite at the end")
        axes.set(yscale="log", ylim=(low / 1.5, high * 1.5))
        axes.set_yticks(ticks, [] if i % COLUMNS else [_power_label(tick) for tick in ticks])
        axes.set_xlim(0.5, max(len(norms) for norms in epochs.values()) + 0.5)
        axes.minorticks_off()
        axes.grid(axis="y", color=FAINT, linewidth=0.7)
        axes.xaxis.set_major_locator(ticker.MaxNLocator(5, integer=True, min_n_ticks=1))
        panel_title(axes, variant, activations[variant])
    handles = [
        line("before training", BLUE, marker="o", markersize=3),
        line("after the first epoch", OTHERS),
        line("after the last", ORANGE, marker="s", markersize=3, linestyle=DASHED),
    ]
    legend(figure, handles)
    text = "layer, from the inputs' to the output layer"
    figure.text(0.6 / WIDTH, 0.1 / figure.get_figheight(), text, color=GREY)
    return figure
