"""Inputs: what the networks see under each view."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import ticker
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from stages.lib.judging.units import with_minus
from stages.lib.report.figures.style import (
    BLUE,
    GREY,
    ORANGE,
    PANEL_TITLE,
    SIZE,
    STYLED,
    WIDTH,
    grid,
    legend,
    line,
    short,
    tick_label,
)

COLUMNS = 3
BYTE_LEVELS = 255


def show_image(axes: Axes, image: np.ndarray) -> None:
    """Draw an image of values from 0 to 1, (height, width[, channels])."""
    axes.imshow(image.squeeze(), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(True)


@STYLED
def view_samples(
    images: Mapping[str, np.ndarray], limits: Mapping[str, tuple[float, float]], class_names: Sequence[str]
) -> Figure:
    """The same images under each view: a row for each view, a column for each class.

    images: view -> (classes, height, width[, channels]); limits: view -> the values that are drawn black and white.
    """
    columns = len(class_names)
    left, top, gap = 1.75, 0.32, 0.05  # inches
    side = (WIDTH - left - gap * columns) / columns
    side = min(side, 0.9)
    height = top + len(images) * (side + gap) + 0.05
    figure = Figure(figsize=(WIDTH, height))
    for i, (view, row) in enumerate(images.items()):
        low, high = limits[view]
        y = height - top - (i + 1) * (side + gap) + gap
        size = SIZE * min(1.0, 18 / len(view))  # so many bold letters fit beside the images
        figure.text(0.1 / WIDTH, (y + side / 2 + 0.03) / height, view, va="bottom", weight="bold", fontsize=size)
        extremes = with_minus(f"black {low + 0.0:.3g}, white {high:.3g}")
        figure.text(0.1 / WIDTH, (y + side / 2 - 0.03) / height, extremes, va="top", fontsize=7.5, color=GREY)
        for j, image in enumerate(row):
            x = left + j * (side + gap)
            axes = figure.add_axes((x / WIDTH, y / height, side / WIDTH, side / height))
            show_image(axes, np.clip((image - low) / ((high - low) or 1.0), 0, 1))
            if i == 0:
                axes.set_title(short(class_names[j], 11), fontsize=8 if columns <= 10 else 6, loc="center", weight="normal")
    return figure


def share_axis(axes: Axes, edges: np.ndarray, labelled: bool) -> None:
    """The axes of a histogram of shares."""
    axes.set(yscale="log", ylim=(1e-4, 1.3), xlim=(edges[0], edges[-1]))
    axes.set_yticks([1e-4, 1e-2, 1], labels=["0.01 %", "1 %", "100 %"] if labelled else [])
    axes.minorticks_off()


def bins(low: float, high: float) -> np.ndarray:
    """The edges of 64 equal bins. Each holds the same number of a byte's 256 levels, if these go from low to high."""
    half = (high - low) / (2 * BYTE_LEVELS) or 0.5
    return np.linspace(low - half, high + half, 65)


@STYLED
def histograms(inputs: Mapping[str, Mapping[str, np.ndarray]]) -> Figure:
    """A panel for each view: the share of the inputs in each of 64 bins.

    inputs: view -> split (train, perhaps test) -> values.
    """
    figure, panels = grid(len(inputs), COLUMNS, 1.25, above=0.3, below=0.3, top=0.3)
    for i, (axes, (view, splits)) in enumerate(zip(panels, inputs.items(), strict=True)):
        edges = bins(
            min(float(values.min()) for values in splits.values()), max(float(values.max()) for values in splits.values())
        )
        for split, (colour, filled) in {"train": (BLUE, True), "test": (ORANGE, False)}.items():
            if split in splits:
                shares = np.histogram(splits[split], edges)[0] / splits[split].size
                axes.stairs(shares, edges, color=colour, fill=filled, alpha=0.55 if filled else 1, linewidth=1.1, baseline=0)
        share_axis(axes, edges, labelled=i % COLUMNS == 0)
        axes.xaxis.set_major_locator(ticker.MaxNLocator(5))
        axes.xaxis.set_major_formatter(tick_label)
        axes.set_title(view, fontsize=PANEL_TITLE)
    handles: list[Artist] = [Patch(facecolor=BLUE, alpha=0.55, label="training rows")]
    if any("test" in splits for splits in inputs.values()):
        handles.append(line("test rows, with their noise", ORANGE))
    legend(figure, handles, inches=0.04)
    return figure
