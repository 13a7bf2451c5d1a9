"""Gradient descent over the contours of a quadratic loss, with features of unequal and of equal scale."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Ellipse

from stages.lib.judging.units import significant
from stages.lib.report.figures.layout import grid, tick_label
from stages.lib.report.figures.style import BLUE, ORANGE, STYLED
from stages.lib.report.illustrations.illustrated import Illustrated

CURVATURES = {"unequal scales": (1.0, 25.0), "equal scales": (1.0, 1.0)}
"""Of a quadratic loss along two weights. They grow with the square of a feature's scale, which is here 1 to 5."""
FIRST_POINT = (-4.0, 1.2)
LEVELS = (0.02, 0.1, 0.25, 0.5, 1.0, 1.7)
"""Contours, as shares of the loss at the first point."""
GOAL = 0.01
"""The share of that loss at which descent ends."""


def quadratic_path(curvatures: tuple[float, float], steps: int) -> tuple[float, np.ndarray]:
    """The best fixed learning rate, 2 / (smallest + largest curvature), and the weights on its path, (steps + 1, 2)."""
    rate = 2 / sum(curvatures)
    return rate, np.array(FIRST_POINT) * (1 - rate * np.array(curvatures)) ** np.arange(steps + 1)[:, None]


def _descend(axes: Axes, curvatures: tuple[float, float]) -> tuple[float, int]:
    """Draw the contours and the path; return the learning rate and the number of steps."""
    rate, path = quadratic_path(curvatures, 400)
    loss = (path**2 * curvatures).sum(axis=1) / 2
    steps = int(np.argmax(loss <= GOAL * loss[0]))
    for level in loss[0] * np.array(LEVELS):
        half = np.sqrt(2 * level / np.array(curvatures))
        axes.add_patch(Ellipse((0, 0), 2 * half[0], 2 * half[1], fill=False, edgecolor="#a9bdcd", linewidth=0.9))
    axes.plot(*path[: steps + 1].T, "o-", color=ORANGE, markersize=3, linewidth=1.1)
    axes.plot(0, 0, "+", color=BLUE, markersize=9, markeredgewidth=1.8)
    return rate, steps


@STYLED
def scaling_contours(*_: object) -> Illustrated:
    """A panel for each pair of curvatures."""
    figure, panels = grid(2, 2, 2.3, above=0.35, below=0.4, top=0)
    rows, counts = [], []
    for axes, (name, curvatures) in zip(panels, CURVATURES.items(), strict=True):
        rate, steps = _descend(axes, curvatures)
        axes.set(xlim=(-5, 5), ylim=(-3, 3), xlabel="first weight")
        axes.set_title(f"{name}: {steps} step{'' if steps == 1 else 's'}")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(tick_label)
        counts.append(steps)
        rows.append((name, ", ".join(f"{each:g}" for each in curvatures), significant(rate), str(steps)))
    panels[0].set_ylabel("second weight")
    panels[1].set_yticklabels([])
    ratio = max(CURVATURES["unequal scales"]) / min(CURVATURES["unequal scales"])
    return Illustrated(
        figure,
        "Gradient descent over contour lines of a quadratic loss, each at its best fixed learning rate, until the loss"
        " is 1 % of the first.",
        f"With one feature {math.sqrt(ratio):g} times as large as the other, the curvatures differ by a factor of"
        f" {ratio:g}, and gradient descent at its best fixed rate takes {counts[0]} steps to bring the loss to 1 % of"
        f" the first; with equal scales, {counts[1]}.",
        {"steps": tuple(map(float, counts))},
        ("Features", "Curvatures", "Learning rate", "Steps"),
        tuple(rows),
    )
