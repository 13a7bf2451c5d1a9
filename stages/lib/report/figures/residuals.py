"""Residuals of a regression: where along the target the errors are."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pandas as pd
from matplotlib import ticker
from matplotlib.figure import Figure

from stages.lib.judging.units import finite_column
from stages.lib.report.figures.layout import grid, label_outer, legend, line, panel_title, short, text_below, tick_label
from stages.lib.report.figures.style import BLUE, OTHERS, STYLED

COLUMNS = 4
OFF_SCALE = 10
"""Ranges of the target. Predictions with a larger mean absolute error are not drawn: the network is about to diverge."""


@STYLED
def residuals(table: pd.DataFrame, diverged: Collection[str], target: str = "") -> Figure:
    """A panel for each variant: mean prediction and mean absolute error of each tenth of the test rows by target.

    table: the columns of residuals.csv; diverged: variants with a diverged replicate; target: what is predicted.
    """
    groups = {str(name): group for name, group in table.groupby("variant", sort=False)}
    figure, panels = grid(len(groups), COLUMNS, 1.5, above=0.4, below=0.06, top=0.3, bottom=0.45)
    truth = finite_column(table["target"])
    low, high = float(truth.min()), float(truth.max())
    room = 0.12 * (high - low) or 0.5
    for axes, (variant, group) in zip(panels, groups.items(), strict=True):
        x, y, error = (finite_column(group[name]) for name in ("target", "prediction", "mae"))
        axes.plot([low, high], [low, high], color=OTHERS, linewidth=1)
        known = error[~np.isnan(error)]
        if len(known) and known.mean() < OFF_SCALE * (high - low or 1):
            axes.vlines(x, y - error, y + error, color=BLUE, alpha=0.3, linewidth=4)
            axes.plot(x, y, "o-", color=BLUE, markersize=3, linewidth=1.2)
        text = f"mean absolute error {known.mean():.4g}" if len(known) else ""  # tenths have equal sizes, to within a row
        if variant in diverged:
            text = f"{text}; some diverged" if text else "diverged"
        panel_title(axes, variant, text)
        axes.set(xlim=(low - room, high + room), ylim=(low - 2 * room, high + 2 * room))
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(ticker.MaxNLocator(4))
            axis.set_major_formatter(tick_label)
    label_outer(panels, COLUMNS)
    handles = [
        line("mean prediction", BLUE, marker="o", markersize=3),
        line("mean absolute error", BLUE, alpha=0.3, linewidth=4),
        line("prediction = target", OTHERS),
    ]
    legend(figure, handles)
    text_below(figure, short(f"target: {target}" if target else "target", 90))
    return figure
