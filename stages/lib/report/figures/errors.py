"""Errors on the test rows: which class is taken for which, and where along the target a regression errs."""

from __future__ import annotations

import math
from collections.abc import Collection

import numpy as np
import pandas as pd
from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from stages.lib.judging.units import ACCURACY, finite_column
from stages.lib.report.figures.style import (
    BLUE,
    OTHERS,
    SMALL_TEXT,
    STYLED,
    WIDTH,
    grid,
    label_outer,
    legend,
    line,
    panel_title,
    short,
    text_below,
    tick_label,
)

COLUMNS = 4
WRITTEN_FROM = 0.05
"""Share of a row from which an error is written into its cell."""


@STYLED
def confusion(table: pd.DataFrame, diverged: Collection[str]) -> Figure:
    """A panel for each variant: the share of each true class (row) that was taken for each class (column).

    The scale is logarithmic.

    table: the columns of confusion.csv; diverged: variants with a diverged replicate.
    """
    names = [str(name) for name in table["class"].unique()]
    groups = {str(name): group for name, group in table.groupby("variant", sort=False)}
    label = min(max(map(len, names)), 14) * 0.075 + 0.35  # inches
    side = (WIDTH - label) / COLUMNS - 0.16
    figure, panels = grid(len(groups), COLUMNS, side, above=0.4, below=0.04, top=0.35, bottom=label, left=label)
    image = None
    for i, (axes, (variant, group)) in enumerate(zip(panels, groups.items(), strict=True)):
        counts = group[names].to_numpy(dtype=np.float64)
        accuracy = "diverged" if variant in diverged else ACCURACY.value(np.trace(counts) / max(counts.sum(), 1))
        panel_title(axes, variant, accuracy, height=1.02)
        image = _matrix(axes, counts / np.maximum(counts.sum(axis=1, keepdims=True), 1))
        _label_classes(axes, names, at_the_left=i % COLUMNS == 0, below=i + COLUMNS >= len(panels))
    if image is not None:
        _colour_bar(figure, image)
        text = "Rows: true class. Columns: predicted class. Share of the row; numbers: the greatest errors, from 5 %."
        figure.text(0.01, 1 - 0.2 / figure.get_figheight(), text)
    return figure


def _matrix(axes: Axes, shares: np.ndarray) -> AxesImage:
    visible = np.maximum(shares, 1e-3)
    image = axes.imshow(visible, norm=LogNorm(1e-3, 1), cmap="Blues", interpolation="none", aspect="auto")
    axes.spines[:].set_visible(True)
    if len(shares) <= 12:
        _write_errors(axes, shares)
    return image


def _label_classes(axes: Axes, names: list[str], at_the_left: bool, below: bool) -> None:
    every = math.ceil(len(names) / 20)
    ticks = range(0, len(names), every)
    labels = [short(name) for name in names[::every]]
    axes.set_xticks(*((ticks, labels) if below else ([], [])), fontsize=SMALL_TEXT)
    axes.set_yticks(*((ticks, labels) if at_the_left else ([], [])), fontsize=SMALL_TEXT)
    axes.tick_params(length=0, labelrotation=0)
    if max(map(len, names)) > 2:
        axes.tick_params(axis="x", labelrotation=90)


def _write_errors(axes: Axes, shares: np.ndarray) -> None:
    """Write the greatest errors into their cells. All errors would hide the pattern of a network that learnt nothing."""
    errors = shares - np.diag(np.diag(shares))
    for cell in np.argsort(-errors, axis=None, kind="stable")[:15]:
        true, predicted = divmod(int(cell), len(shares))
        share = errors[true, predicted]
        if share >= WRITTEN_FROM:
            ink = "white" if share > 0.12 else "black"
            axes.text(predicted, true, f"{100 * share:.0f}", ha="center", va="center", fontsize=5.6, color=ink)


def _colour_bar(figure: Figure, image: AxesImage) -> None:
    height = figure.get_figheight()
    place = figure.add_axes((1 - 2.6 / WIDTH, 1 - 0.2 / height, 2.3 / WIDTH, 0.09 / height))
    bar = figure.colorbar(image, cax=place, orientation="horizontal")
    bar.set_ticks([1e-3, 1e-2, 1e-1, 1], labels=["0.1 %", "1 %", "10 %", "100 %"], fontsize=SMALL_TEXT)
    bar.outline.set_visible(False)
    bar.ax.minorticks_off()


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
