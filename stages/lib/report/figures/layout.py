"""What all figures share: the grid of panels, their titles and labels, and legends."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from stages.lib.judging.units import short_number
from stages.lib.report.figures.style import FAINT, GREY, ORANGE, PANEL_TITLE, SMALL_TEXT, WIDTH


def short(name: str, longest: int = 14) -> str:
    """The name, cut to the room that a figure has. Tables have the whole name."""
    return name if len(name) <= longest else f"{name[: longest - 1]}…"


def drawable(values: np.ndarray, accuracy: bool) -> np.ndarray:
    """Values within the ends of a logit scale (for an accuracy) or of a logarithmic one: 0 and 1 lie at infinity there."""
    return np.asarray(np.clip(values, 1e-4, 1 - 1e-4) if accuracy else np.maximum(values, 1e-9))


def tick_label(tick: float, _: object = None) -> str:
    """For `set_major_formatter`."""
    return short_number(tick)


def grid(
    count: int, columns: int, size: float, *, above: float, below: float, top: float, bottom: float = 0.0, left: float = 0.6
) -> tuple[Figure, list[Axes]]:
    """A figure of `count` panels, row by row.

    size: the height of a panel in inches; above, below: the room for its title and its labels.
    """
    rows, gap = math.ceil(count / columns), 0.16
    height = top + rows * (above + size + below) + bottom
    figure = Figure(figsize=(WIDTH, height))
    wide = (WIDTH - left) / columns - gap
    panels = []
    for i in range(count):
        x = left + (i % columns) * (wide + gap)
        y = height - top - (i // columns + 1) * (above + size + below) + below
        panels.append(figure.add_axes((x / WIDTH, y / height, wide / WIDTH, size / height)))
    return figure, panels


def label_outer(panels: Sequence[Axes], columns: int) -> None:
    """Keep the tick labels of the first column and of the lowest panels only."""
    for i, axes in enumerate(panels):
        if i % columns:
            axes.set_yticklabels([])
        if i + columns < len(panels):
            axes.set_xticklabels([])


def panel_title(axes: Axes, name: str, detail: str, height: float = 1.03) -> None:
    """The panel's name and, below it, a detail in small print; `height` is where the detail begins, in panels."""
    axes.set_title(short(name, 25), fontsize=PANEL_TITLE, pad=12.5)
    axes.text(0, height, detail, transform=axes.transAxes, fontsize=SMALL_TEXT, color=GREY)


def faint_grid(axes: Axes) -> None:
    """Faint horizontal lines, behind what is drawn."""
    axes.grid(axis="y", color=FAINT, linewidth=0.7)
    axes.set_axisbelow(True)


def note_in_the_middle(axes: Axes, text: str) -> None:
    """A warning across the panel."""
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=ORANGE)


def legend(figure: Figure, handles: Sequence[Artist], inches: float = 0.06, columns: int = 8) -> None:
    """A legend in one row, or in rows of `columns`, at the top of the figure: `inches` below its edge."""
    place = (0.01, 1 - inches / figure.get_figheight())
    figure.legend(handles=handles, loc="upper left", bbox_to_anchor=place, ncols=min(columns, len(handles)))


def line(label: str, colour: str, **look: Any) -> Line2D:
    """A line for the legend."""
    return Line2D([], [], color=colour, label=label, **look)


def text_below(figure: Figure, text: str) -> None:
    """The common label of all x axes."""
    figure.text(0.5, 0.1 / figure.get_figheight(), text, ha="center", color=GREY)
