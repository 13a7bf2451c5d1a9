"""Training: gradient descent on a line and over contours, and how often the weights change."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Ellipse

from stages.lib.data.prepared import Prepared
from stages.lib.judging.units import significant
from stages.lib.report.evidence import updates_of_an_epoch
from stages.lib.report.figures.style import BLUE, EDGE, GREY, ORANGE, STYLED, grid, tick_label
from stages.lib.report.illustrations.illustrated import Illustrated, keep_labels_within, make_room
from stages.lib.study.settings import Study

RATES = (0.01, 0.1, 0.5)
STEP = 0.0001
"""Of the forward differences."""
EPOCHS = 1000
FIRST_POINT = (1.477, 0.0)
"""w and b before the first epoch."""
X = np.array([1.0, 2.0, 3.0, 4.0])
Y = 2.0 * X


def line_loss(w: float, b: float) -> float:
    """The mean squared error of y = w x + b."""
    return float(np.mean((w * X + b - Y) ** 2))


def line_gradient(w: float, b: float) -> tuple[float, float]:
    """The gradient of `line_loss` by its formula."""
    error = w * X + b - Y
    return float(np.mean(2 * error * X)), float(np.mean(2 * error))


def line_hessian() -> np.ndarray:
    """The Hessian of `line_loss`, which is the same everywhere."""
    return 2 / len(X) * np.array([[(X**2).sum(), X.sum()], [X.sum(), len(X)]])


def curvatures() -> tuple[float, float]:
    """The smallest and the largest eigenvalue of the Hessian."""
    smallest, largest = map(float, np.linalg.eigvalsh(line_hessian()))
    return smallest, largest


def error_factor(rate: float) -> float:
    """What an epoch multiplies the slowest error by."""
    return max(abs(1 - rate * curvature) for curvature in curvatures())


def descend(rate: float, epochs: int = EPOCHS) -> np.ndarray:
    """(epochs + 1, 2): w and b before and after each epoch of gradient descent by forward differences."""
    path = [FIRST_POINT]
    for _ in range(epochs):
        w, b = path[-1]
        loss = line_loss(w, b)
        slope_w = (line_loss(w + STEP, b) - loss) / STEP
        slope_b = (line_loss(w, b + STEP) - loss) / STEP
        path.append((w - rate * slope_w, b - rate * slope_b))
    return np.array(path)


def standstill(path: np.ndarray) -> int | None:
    """The epoch from which w and b never change again, or None."""
    changed = np.flatnonzero((np.diff(path, axis=0) != 0).any(axis=1))
    last = int(changed[-1]) + 1 if len(changed) else 0
    return last if last < len(path) - 1 else None


def is_rounded_away(path: np.ndarray) -> bool:
    """Whether STEP is too small to change w or b at the path's end, so that forward differences are 0."""
    w, b = map(float, path[-1])
    return w + STEP == w and b + STEP == b


def line_finding(paths: Mapping[float, np.ndarray]) -> str:
    """Why w reaches 2 or does not, with a number for each step of the argument."""
    hessian, (smallest, largest) = line_hessian(), curvatures()
    convex = smallest > 0
    caught = any(is_rounded_away(path) for rate, path in paths.items() if rate >= 2 / largest and standstill(path) is not None)
    return " ".join(
        [
            f"The Hessian of the loss is [[{hessian[0, 0]:g}, {hessian[0, 1]:g}], [{hessian[1, 0]:g}, {hessian[1, 1]:g}]]"
            f", with eigenvalues {significant(smallest)} and {significant(largest)}.",
            "Both are positive, so the loss is convex and has one minimum, at w = 2 and b = 0: no local one can catch w."
            if convex
            else "They are not both positive, so the loss is not convex.",
            f"Steps shrink the error only at learning rates below 2 / {significant(largest)} = {significant(2 / largest)}.",
            *(sentence for rate, path in paths.items() for sentence in path_finding(rate, path)),
            *(["So the explanation by a local minimum is refuted."] if convex and caught else []),
        ]
    )


def path_finding(rate: float, path: np.ndarray) -> list[str]:
    """What becomes of the error at one rate."""
    w, b = map(float, path[-1])
    factor = significant(error_factor(rate))
    if rate < 2 / curvatures()[1]:
        return [f"At {rate:g}, each epoch leaves {factor} of the slowest error: w = {significant(w, 5)} in the end."]
    grown = (abs(path[10, 0] - 2) / abs(path[1, 0] - 2)) ** (1 / 9)
    text = [f"At {rate:g}, each epoch multiplies the error by {factor} (measured: {significant(grown)})."]
    epoch = standstill(path)
    if epoch is None:
        return text
    why = ""
    if is_rounded_away(path):
        why = (
            f", since adding {STEP:g} is rounded away there from both w and b: the gradient by differences is 0,"
            f" while the true one is {significant(line_gradient(w, b)[0])}. It looks like a minimum and is none"
        )
    return [*text, f"From epoch {epoch} on w stands still at {significant(w)}{why}."]


def _draw_explosion(axes: Axes, path: np.ndarray) -> None:
    shown = path[: (standstill(path) or 0) + 16, 0]
    axes.plot(np.arange(len(shown)), shown, color=ORANGE, marker="o", markersize=2.5)
    axes.set_yscale("symlog", linthresh=10)
    axes.set_yticks([-1e12, -1e8, -1e4, 0, 1e4, 1e8, 1e12], ["−10¹²", "−10⁸", "−10⁴", "0", "10⁴", "10⁸", "10¹²"])
    make_room(axes, 0.35)
    axes.set_xlabel("epoch", color=GREY)


def _draw_approach(axes: Axes, path: np.ndarray) -> None:
    axes.plot(np.arange(len(path)), path[:, 0], color=BLUE, markersize=2.5)
    axes.set_xscale("symlog", linthresh=1)
    axes.set_xlim(0, EPOCHS)
    axes.set_xticks([0, 1, 10, 100, 1000], ["0", "1", "10", "100", "1000"])
    axes.set_ylim(1.3, 2.4)
    keep_labels_within(axes)
    axes.set_xlabel("epoch, from 1 on a logarithmic scale", color=GREY)


@STYLED
def learning_rate_on_a_line(*_: object) -> Illustrated:
    """w over the epochs."""
    paths = {rate: descend(rate) for rate in RATES}
    figure, panels = grid(3, 3, 1.7, above=0.35, below=0.45, top=0.05)
    for axes, (rate, path) in zip(panels, paths.items(), strict=True):
        axes.axhline(2, color=EDGE, linewidth=0.8, linestyle=(0, (3, 2)))
        explodes = bool(np.abs(path[:, 0]).max() > 100)
        (_draw_explosion if explodes else _draw_approach)(axes, path)
        axes.minorticks_off()
        axes.set_title(f"learning rate {rate:g}")
    panels[1].set_yticklabels([])
    panels[0].set_ylabel("w", color=GREY)
    rows = []
    for rate, path in paths.items():
        stop = standstill(path)
        w, b = (significant(float(end), 5) for end in path[-1])
        rows.append((f"{rate:g}", significant(error_factor(rate)), w, b, "no" if stop is None else str(stop)))
    measured: dict[str, Sequence[float]] = {
        f"w_at_{rate:g}".replace(".", "_"): (float(path[-1, 0]),) for rate, path in paths.items()
    }
    return Illustrated(
        figure,
        f"w over the epochs, from {FIRST_POINT[0]:g}; the dashed line is the best value, 2."
        f" The gradient is taken by forward differences of {STEP:g}.",
        line_finding(paths),
        {**measured, "eigenvalues": curvatures(), "stability_limit": (2 / curvatures()[1],)},
        ("Learning rate", "Factor of the error, an epoch", f"w after {EPOCHS} epochs", "b", "Stands still from epoch"),
        rows,
    )


CURVATURES = {"unequal scales": (1.0, 25.0), "equal scales": (1.0, 1.0)}
"""Of a quadratic loss along two weights. They grow with the square of a feature's scale, which is here 1 to 5."""
FIRST_WEIGHTS = (-4.0, 1.2)
LEVELS = (0.02, 0.1, 0.25, 0.5, 1.0, 1.7)
"""Contours, as shares of the loss at the first point."""
GOAL = 0.01
"""The share of that loss at which descent ends."""


def quadratic_path(curvatures: tuple[float, float], steps: int) -> tuple[float, np.ndarray]:
    """The best fixed learning rate, 2 / (smallest + largest curvature), and the weights on its path, (steps + 1, 2)."""
    rate = 2 / sum(curvatures)
    return rate, np.array(FIRST_WEIGHTS) * (1 - rate * np.array(curvatures)) ** np.arange(steps + 1)[:, None]


def _draw_descent(axes: Axes, curvatures: tuple[float, float]) -> tuple[float, int]:
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
        rate, steps = _draw_descent(axes, curvatures)
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
        {"steps": counts},
        ("Features", "Curvatures", "Learning rate", "Steps"),
        rows,
    )


def updates_of(study: Study, prepared: Prepared) -> dict[tuple[int, int], tuple[int, int]]:
    """(batch size, epochs) of any variant -> updates in an epoch and in all, in the order of params.yaml."""
    rows = {split: len(labels) for split, (_, labels) in prepared.splits.items()}
    found = {}
    for recipe in study.recipes.values():
        updates = updates_of_an_epoch(recipe, rows)
        found[recipe.train.batch_size, recipe.train.epochs] = updates, updates * recipe.train.epochs
    return found


@STYLED
def weight_updates(study: Study, prepared: Prepared) -> Illustrated:
    """The updates in a whole training."""
    found = updates_of(study, prepared)
    figure, (axes,) = grid(1, 1, 0.2 + 0.3 * len(found), above=0.1, below=0.4, top=0, left=2.1)
    for y, ((size, epochs), (_, total)) in enumerate(found.items()):
        axes.barh(y, total, height=0.6, color=BLUE)
        axes.text(total * 1.08, y, f"{total:,}", va="center", color=GREY)
        name = f"batch size {size:,}, {epochs} epoch{'s' * (epochs != 1)}"
        axes.text(-0.01, y, name, transform=axes.get_yaxis_transform(), ha="right", va="center")
    axes.set(xscale="log", xlim=(1, 3 * max(total for _, total in found.values())), ylim=(len(found) - 0.5, -0.5), yticks=[])
    axes.set_xlabel("updates of the weights, on a logarithmic scale", color=GREY)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.minorticks_off()
    totals: dict[int, int] = {}
    for (size, _), (_, total) in found.items():
        totals.setdefault(size, total)
    most, fewest = max(totals, key=lambda size: totals[size]), min(totals, key=lambda size: totals[size])
    finding = ""
    if totals[most] > totals[fewest]:
        ratio = significant(totals[most] / totals[fewest])
        finding = f"At batch size {most} the weights change {ratio} times as often as at {fewest}."
    rows = len(prepared.splits["train"][1])
    return Illustrated(
        figure,
        f"Updates of the weights in a whole training: {rows:,} training rows, divided by the batch"
        " size and rounded up, times the epochs.",
        finding,
        {f"batch_{size}": (float(total),) for size, total in totals.items()},
        ("Batch size", "Updates in an epoch", "Epochs", "Updates"),
        tuple((f"{size:,}", f"{each:,}", str(epochs), f"{total:,}") for (size, epochs), (each, total) in found.items()),
    )
