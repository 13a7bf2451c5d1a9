"""Confusion: which class is taken for which."""

from __future__ import annotations

import math
from collections.abc import Collection

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from stages.lib.judging.units import ACCURACY
from stages.lib.report.figures.layout import grid, panel_title, short
from stages.lib.report.figures.style import SMALL_TEXT, STYLED, WIDTH

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
        _label(axes, names, at_the_left=i % COLUMNS == 0, below=i + COLUMNS >= len(panels))
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


def _label(axes: Axes, names: list[str], at_the_left: bool, below: bool) -> None:
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
