"""What the sources compute or draw without training a network, computed again with NumPy: figures, numbers and findings.

Every finding is made of numbers that are computed here. Those that a source prints are compared with ours by `compared`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Ellipse, Patch
from matplotlib.ticker import FuncFormatter

from stages.lib.cli import UserError
from stages.lib.data.prepared import Prepared
from stages.lib.judging.reported import decimals
from stages.lib.judging.units import short_number, significant, with_minus
from stages.lib.report.figures.layout import grid, short
from stages.lib.report.figures.style import BLUE, GREEN, GREY, ORANGE, STYLED, WIDTH
from stages.lib.study.settings import Study

SAMPLE_ROWS = 2000
"""Training rows, the first ones, that input values are counted in."""
DIGITS = 5
"""Decimals in the table of numbers that are compared."""
COLUMNS = ("name", "key", "reported", "measured", "agrees")


@dataclass(frozen=True)
class Illustrated:
    """An illustration, drawn again.

    name: of the illustration.
    measured: key -> our numbers. A study's `reported` may name these keys.
    finding: what our numbers say, in one paragraph.
    header, rows: a table of our numbers, as text.
    image: whether the figure is one of images, for a PNG.
    """

    name: str
    figure: Figure
    caption: str
    finding: str = ""
    measured: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    header: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    image: bool = False

    @property
    def file(self) -> str:
        """Name of the figure's file."""
        return f"illustration_{self.name}.{'png' if self.image else 'svg'}"

    @property
    def width(self) -> int:
        """Of the figure, in the pixels of a page."""
        return round(96 * float(self.figure.get_figwidth()))


Illustrate = Callable[[Study, Prepared], Illustrated]


def illustrate(study: Study, prepared: Prepared) -> dict[str, Illustrated]:
    """Name -> every illustration that the study asks for. Raises UserError where the data do not allow one."""
    return {name: ILLUSTRATIONS[name](study, prepared) for name in study.illustrations}


def agrees(reported: float, measured: float, digits: int) -> bool:
    """Whether the measured number, rounded to that many decimals, is the reported one; at a tie, either way."""
    return bool(abs(measured - reported) <= 0.5 * 10.0**-digits * (1 + 1e-9) + 1e-12 * abs(reported))


def compared(study: Study, illustrated: Mapping[str, Illustrated]) -> pd.DataFrame:
    """Every number that the source prints beside ours; COLUMNS, sorted by name and key.

    The printed decimals are those of the most precise number of a list, since all of a list are printed alike. Raises UserError
    for a key that is not measured, or for another number of numbers.
    """
    rows = []
    for name, illustration in sorted(study.illustrations.items()):
        measured = illustrated[name].measured
        for key, reported in sorted(illustration.reported.items()):
            place = f"params.yaml: illustrations.{name}.reported.{key}"
            if key not in measured:
                raise UserError(f"{place}: is not measured; known: {', '.join(measured) or 'none'}")
            if len(reported) != len(measured[key]):
                raise UserError(f"{place}: has {len(reported)} numbers, and {len(measured[key])} are measured")
            digits = max(map(decimals, reported), default=0)
            for theirs, ours in zip(reported, measured[key], strict=True):
                rows.append((name, key, theirs, round(ours, DIGITS) + 0.0, agrees(theirs, ours, digits)))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _named(rate: float) -> str:
    """A number as part of a key: 0.01 -> 0_01."""
    return f"{rate:g}".replace(".", "_")


def _legend(figure: Figure, *handles: Line2D | Patch) -> None:
    figure.legend(
        handles=handles, loc="upper left", bbox_to_anchor=(0.01, 1 - 0.04 / figure.get_figheight()), ncols=len(handles)
    )


def _room(axes: Axes, inches: float) -> None:
    """Make room for the panel's own labels on its left."""
    place, share = axes.get_position(), inches / WIDTH
    axes.set_position((place.x0 + share, place.y0, place.width - share, place.height))


def _inward(axes: Axes) -> None:
    """Keep the first and last label of the x axis from running into a neighbour's."""
    labels = axes.get_xticklabels()
    labels[0].set_horizontalalignment("left")
    labels[-1].set_horizontalalignment("right")


# The sigmoid

WEIGHTS = (0.01, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4)
INPUTS = {255: BLUE, 1: ORANGE}


def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)), without overflow."""
    small = np.exp(-np.abs(x))
    return np.asarray(np.where(x >= 0, 1, small) / (1 + small))


def sigmoid_slope(x: np.ndarray) -> np.ndarray:
    """sigmoid(x) * (1 - sigmoid(x)), without losing what is near 0 to rounding."""
    return np.asarray(sigmoid(x) * sigmoid(-x))


@STYLED
def sigmoid_saturation(study: Study, _: Prepared) -> Illustrated:
    """Outputs and slopes of sigmoid(w * x) for a pixel as it is, and scaled."""
    weights = np.array(WEIGHTS)
    outputs = {x: sigmoid(weights * x) for x in INPUTS}
    slopes = {x: sigmoid_slope(weights * x) for x in INPUTS}
    reported = study.illustrations["sigmoid_saturation"].reported if "sigmoid_saturation" in study.illustrations else {}
    figure, (left, right) = grid(2, 2, 1.9, above=0.35, below=0.4, top=0.3)
    for x, colour in INPUTS.items():
        left.plot(weights, outputs[x], "o-", color=colour, markersize=4)
        if len(printed := reported.get(f"x_{x}", ())) == len(weights):
            left.plot(weights, printed, "D", color=colour, markerfacecolor="none", markersize=8)
        right.plot(weights, np.maximum(slopes[x], 1e-20), "o-", color=colour, markersize=4)
    left.set_title("sigmoid(w x)")
    right.set_title("Its slope, which a gradient is multiplied by")
    right.set(yscale="log", ylim=(1e-20, 3))
    right.set_yticks([1e-20, 1e-15, 1e-10, 1e-5, 1], ["≤ 10⁻²⁰", "10⁻¹⁵", "10⁻¹⁰", "10⁻⁵", "1"])
    _room(right, 0.45)
    for axes in (left, right):
        axes.set(xscale="log", xlabel="w")
        axes.set_xticks(weights, [short_number(weight) for weight in weights])
        axes.minorticks_off()
    handles = [Line2D([], [], color=colour, marker="o", label=f"x = {x}") for x, colour in INPUTS.items()]
    if reported:
        handles.append(
            Line2D([], [], color=GREY, marker="D", markerfacecolor="none", linestyle="", label="as printed by the source")
        )
    _legend(figure, *handles)
    finding = (
        f"At x = 255 the slope is {significant(slopes[255][0])} at w = 0.01, and at most"
        f" {significant(slopes[255][1:].max())} from w = 0.1 on: a gradient that passes through is lost. At x = 1 it is never"
        f" below {significant(slopes[1].min())} for these weights."
    )
    return Illustrated(
        "sigmoid_saturation",
        figure,
        "The output of a sigmoid unit, and its slope, for a pixel of 255 and for the same pixel divided by 255.",
        finding,
        {f"x_{x}": tuple(map(float, values)) for x, values in outputs.items()},
        ("w", *(f"{what} at x = {x}" for x in INPUTS for what in ("output", "slope"))),
        tuple(
            (short_number(w), *(text for x in INPUTS for text in (f"{outputs[x][i]:.4f}", significant(slopes[x][i]))))
            for i, w in enumerate(WEIGHTS)
        ),
    )


# Gradient descent on a line

RATES = (0.01, 0.1, 0.5)
STEP = 0.0001
"""Of the forward differences."""
EPOCHS = 1000
START = (1.477, 0.0)
X = np.array([1.0, 2.0, 3.0, 4.0])
Y = 2.0 * X


def line_loss(w: float, b: float) -> float:
    """Mean squared error of y = w x + b."""
    return float(np.mean((w * X + b - Y) ** 2))


def line_gradient(w: float, b: float) -> tuple[float, float]:
    """Of `line_loss`, exactly: by the formula."""
    error = w * X + b - Y
    return float(np.mean(2 * error * X)), float(np.mean(2 * error))


def line_hessian() -> np.ndarray:
    """Of `line_loss`, which is the same everywhere."""
    return 2 / len(X) * np.array([[(X**2).sum(), X.sum()], [X.sum(), len(X)]])


def descend(rate: float, epochs: int = EPOCHS) -> np.ndarray:
    """(epochs + 1, 2): w and b before and after each epoch of gradient descent by forward differences."""
    path = [START]
    for _ in range(epochs):
        w, b = path[-1]
        loss = line_loss(w, b)
        slope_w, slope_b = (line_loss(w + STEP, b) - loss) / STEP, (line_loss(w, b + STEP) - loss) / STEP
        path.append((w - rate * slope_w, b - rate * slope_b))
    return np.array(path)


def standstill(path: np.ndarray) -> int | None:
    """The epoch after which w and b never change again; None where they change to the end."""
    changed = np.flatnonzero((np.diff(path, axis=0) != 0).any(axis=1))
    last = int(changed[-1]) + 1 if len(changed) else 0
    return last if last < len(path) - 1 else None


def line_finding(paths: Mapping[float, np.ndarray]) -> str:
    """Why w reaches 2 or does not, with a number for each step of the argument."""
    hessian = line_hessian()
    smallest, largest = map(float, np.linalg.eigvalsh(hessian))
    limit = 2 / largest
    text = [
        f"The Hessian of the loss is [[{hessian[0, 0]:g}, {hessian[0, 1]:g}], [{hessian[1, 0]:g}, {hessian[1, 1]:g}]]"
        f", with eigenvalues {significant(smallest)} and {significant(largest)}."
    ]
    convex = smallest > 0
    text.append(
        "Both are positive, so the loss is convex and has one minimum, at w = 2 and b = 0: no local one can catch w."
        if convex
        else "They are not both positive, so the loss is not convex."
    )
    text.append(f"Steps shrink the error only at learning rates below 2 / {significant(largest)} = {significant(limit)}.")
    caught = []
    for rate, path in paths.items():
        w, b = map(float, path[-1])
        factor = max(abs(1 - rate * value) for value in (smallest, largest))
        if rate < limit:
            text.append(
                f"At {rate:g}, each epoch leaves {significant(factor)} of the slowest error:"
                f" w = {significant(w, 5)} in the end."
            )
            continue
        grown = (abs(path[10, 0] - 2) / abs(path[1, 0] - 2)) ** (1 / 9)
        text.append(f"At {rate:g}, each epoch multiplies the error by {significant(factor)} (measured: {significant(grown)}).")
        epoch = standstill(path)
        if epoch is not None:
            lost = w + STEP == w and b + STEP == b
            caught.append(lost)
            text.append(
                f"From epoch {epoch} on w stands still at {significant(w)}"
                + (
                    f", since adding {STEP:g} is rounded away there from both w and b: the gradient by differences"
                    f" is 0, while the true one is {significant(line_gradient(w, b)[0])}. It looks like a minimum and is none."
                    if lost
                    else "."
                )
            )
    return " ".join(text) + (" So the explanation by a local minimum is refuted." if convex and any(caught) else "")


@STYLED
def learning_rate_on_a_line(*_: object) -> Illustrated:
    """w over the epochs of gradient descent at three learning rates."""
    paths = {rate: descend(rate) for rate in RATES}
    figure, panels = grid(3, 3, 1.7, above=0.35, below=0.45, top=0.05)
    for axes, (rate, path) in zip(panels, paths.items(), strict=True):
        w, epochs = path[:, 0], np.arange(len(path))
        stop = standstill(path)
        wild = bool(np.abs(w).max() > 100)
        shown = slice(0, (stop or 0) + 16) if wild else slice(0, None)
        axes.axhline(2, color="#999999", linewidth=0.8, linestyle=(0, (3, 2)))
        axes.plot(epochs[shown], w[shown], color=ORANGE if wild else BLUE, marker="o" if wild else "", markersize=2.5)
        if wild:
            axes.set_yscale("symlog", linthresh=10)
            axes.set_yticks([-1e12, -1e8, -1e4, 0, 1e4, 1e8, 1e12], ["−10¹²", "−10⁸", "−10⁴", "0", "10⁴", "10⁸", "10¹²"])
            _room(axes, 0.35)
            axes.minorticks_off()
        else:
            axes.set_xscale("symlog", linthresh=1)
            axes.set_xlim(0, EPOCHS)
            axes.set_xticks([0, 1, 10, 100, 1000], ["0", "1", "10", "100", "1000"])
            axes.set_ylim(1.3, 2.4)
            _inward(axes)
            axes.minorticks_off()
        axes.set_title(f"learning rate {rate:g}")
        axes.set_xlabel("epoch, from 1 on a logarithmic scale" if not wild else "epoch", color=GREY)
    panels[1].set_yticklabels([])
    panels[0].set_ylabel("w", color=GREY)
    smallest, largest = map(float, np.linalg.eigvalsh(line_hessian()))
    rows = []
    for rate, path in paths.items():
        stop = standstill(path)
        factor = max(abs(1 - rate * value) for value in (smallest, largest))
        rows.append(
            (
                f"{rate:g}",
                significant(factor),
                *(significant(float(end), 5) for end in path[-1]),
                "no" if stop is None else str(stop),
            )
        )
    return Illustrated(
        "learning_rate_on_a_line",
        figure,
        f"w over the epochs, from {START[0]:g}; the dashed line is the best value, 2."
        f" The gradient is taken by forward differences of {STEP:g}.",
        line_finding(paths),
        {f"w_at_{_named(rate)}": (float(path[-1, 0]),) for rate, path in paths.items()}
        | {"eigenvalues": (smallest, largest), "stability_limit": (2 / largest,)},
        ("Learning rate", "Factor of the error, an epoch", f"w after {EPOCHS} epochs", "b", "Stands still from epoch"),
        tuple(rows),
    )


# Updates


def updates_of(study: Study, prepared: Prepared) -> dict[tuple[int, int], tuple[int, int]]:
    """(batch size, epochs) of any variant -> updates in one epoch and in all, in the order of the file."""
    rows = len(prepared.splits["train"][1])
    found = {}
    for recipe in study.recipes.values():
        train = recipe.train
        each = math.ceil((rows - train.validation_rows) / train.batch_size)
        found[train.batch_size, train.epochs] = each, each * train.epochs
    return found


@STYLED
def weight_updates(study: Study, prepared: Prepared) -> Illustrated:
    """How often the weights change at each batch size of the study."""
    found = updates_of(study, prepared)
    figure, (axes,) = grid(1, 1, 0.2 + 0.3 * len(found), above=0.1, below=0.4, top=0, left=2.1)
    for y, ((size, epochs), (_, total)) in enumerate(found.items()):
        axes.barh(y, total, height=0.6, color=BLUE)
        axes.text(total * 1.08, y, f"{total:,}", va="center", color=GREY)
        axes.text(
            -0.01, y, f"batch size {size:,}, {epochs} epochs", transform=axes.get_yaxis_transform(), ha="right", va="center"
        )
    axes.set(xscale="log", xlim=(1, 3 * max(total for _, total in found.values())), ylim=(len(found) - 0.5, -0.5), yticks=[])
    axes.set_xlabel("updates of the weights, on a logarithmic scale", color=GREY)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda tick, _: f"{tick:,.0f}"))
    axes.minorticks_off()
    measured: dict[str, tuple[float, ...]] = {}
    for (size, _), (_, total) in found.items():
        measured.setdefault(f"batch_{size}", (float(total),))
    most, fewest = max(measured.items(), key=lambda each: each[1]), min(measured.items(), key=lambda each: each[1])
    finding = ""
    if most[1] > fewest[1]:
        names = [each[0].removeprefix("batch_") for each in (most, fewest)]
        ratio = significant(most[1][0] / fewest[1][0])
        finding = f"At batch size {names[0]} the weights change {ratio} times as often as at {names[1]}."
    rows = len(prepared.splits["train"][1])
    return Illustrated(
        "weight_updates",
        figure,
        f"Updates of the weights in a whole training: {rows:,} training rows, divided by the batch"
        " size and rounded up, times the epochs.",
        finding,
        measured,
        ("Batch size", "Updates in an epoch", "Epochs", "Updates"),
        tuple((f"{size:,}", f"{each:,}", str(epochs), f"{total:,}") for (size, epochs), (each, total) in found.items()),
    )


# Activations

LEAK = 0.1
ACTIVATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "sigmoid": sigmoid,
    "tanh": np.tanh,
    "relu": lambda x: np.maximum(x, 0),
    f"leaky relu ({LEAK})": lambda x: np.where(x < 0, LEAK * x, x),
    "elu": lambda x: np.where(x < 0, np.expm1(x), x),
    "maxout of x and −x / 2": lambda x: np.maximum(x, -x / 2),
}


@STYLED
def activations(study: Study, _: Prepared) -> Illustrated:
    """The six functions with their slopes."""
    x = np.linspace(-4, 4, 161)
    figure, panels = grid(6, 3, 1.25, above=0.33, below=0.22, top=0.3)
    rows = []
    depth = max(len(recipe.model.hidden) for recipe in study.recipes.values())
    for i, (axes, (name, function)) in enumerate(zip(panels, ACTIVATIONS.items(), strict=True)):
        slope = (function(x + 1e-6) - function(x - 1e-6)) / 2e-6
        kink = np.isclose(x, 0) & (name not in ("sigmoid", "tanh", "elu"))
        axes.axhline(0, color="#cccccc", linewidth=0.7)
        axes.axvline(0, color="#cccccc", linewidth=0.7)
        axes.plot(x, function(x), color=BLUE)
        axes.plot(x, np.where(kink, np.nan, slope), color=ORANGE, linestyle=(0, (3, 1)), linewidth=1.1)
        axes.set(xlim=(-4, 4), ylim=(-1.3, 2.4), xticks=[-3, -2, -1, 0, 1, 2, 3])
        axes.set_yticks([-1, 0, 1, 2], labels=[] if i % 3 else ["−1", "0", "1", "2"])
        axes.xaxis.set_major_formatter(FuncFormatter(lambda tick, _: short_number(tick)))
        axes.set_title(name, fontsize=8.5)
        rows.append(
            (
                name,
                *(significant(float(function(np.array(at))) + 0.0) for at in (-4.0, 0.0, 4.0)),
                significant(float(np.abs(slope[~kink]).max())),
            )
        )
    _legend(
        figure,
        Line2D([], [], color=BLUE, label="value"),
        Line2D([], [], color=ORANGE, linestyle=(0, (3, 1)), label="slope"),
    )
    largest = float(sigmoid_slope(np.array(0.0)))
    others = max(row[-1] for row in rows[1:])
    finding = (
        f"The slope of the sigmoid is at most {significant(largest)}, so {depth} layers of it multiply a gradient by at most"
        f" {significant(largest**depth)}, before the weights;"
        f" the largest slope of the others is {others}."
    )
    return Illustrated(
        "activations",
        figure,
        "Activation functions and their slopes.",
        finding,
        header=("Function", "At −4", "At 0", "At 4", "Steepest slope"),
        rows=tuple(rows),
    )


# Losses

TRUE_CLASS = 2
EXAMPLES = {"example": (0.2, 0.7, 0.1), "model 1": (0.1, 0.4, 0.5), "model 2": (0.1, 0.2, 0.7)}


def half_squared_error(prediction: np.ndarray, truth: np.ndarray) -> float:
    return float(((prediction - truth) ** 2).sum() / 2)


def absolute_error(prediction: np.ndarray, truth: np.ndarray) -> float:
    return float(np.abs(prediction - truth).sum())


def cross_entropy(prediction: np.ndarray, truth: np.ndarray) -> float:
    return float(-(truth * np.log(prediction)).sum())


LOSSES = {"half_squared_error": half_squared_error, "cross_entropy": cross_entropy, "absolute_error": absolute_error}


@STYLED
def losses(*_: object) -> Illustrated:
    """Three losses of one prediction; and of two models that are right alike, and not equally sure."""
    predictions = {name: np.array(values) for name, values in EXAMPLES.items()}
    truth = np.eye(3)[TRUE_CLASS]
    values = {loss: {name: of(each, truth) for name, each in predictions.items()} for loss, of in LOSSES.items()}
    right = {name: float(each.argmax() == TRUE_CLASS) for name, each in predictions.items()}
    figure, (left, second) = grid(2, 2, 1.7, above=0.35, below=0.3, top=0.3)
    colours = dict(zip(predictions, (GREY, BLUE, ORANGE), strict=True))
    for i, (name, prediction) in enumerate(predictions.items()):
        places = np.arange(3) + 0.27 * (i - 1)
        bars = [(left, prediction), (second, np.array([values[loss][name] for loss in LOSSES]))]
        for axes, heights in bars:
            axes.bar(places, heights, width=0.24, color=colours[name])
            for place, height in zip(places, heights, strict=True):
                axes.text(place, height + 0.01 * max(1, heights.max()), f"{height:.2f}", ha="center", va="bottom", fontsize=6.8)
    left.set_title(f"Predicted probabilities; the true class is {TRUE_CLASS}")
    left.set_xticks(range(3), [f"class {label}" for label in range(3)])
    left.set_ylim(0, 1)
    _room(second, 0.3)
    second.set_title("Losses")
    second.set_xticks(range(3), [loss.replace("_", " ") for loss in LOSSES])
    _legend(figure, *(Patch(facecolor=colour, label=name) for name, colour in colours.items()))
    measured: dict[str, tuple[float, ...]] = {loss: (each["example"],) for loss, each in values.items()}
    measured |= {f"{loss}_of_models": (each["model 1"], each["model 2"]) for loss, each in values.items()}
    measured["accuracy_of_models"] = right["model 1"], right["model 2"]
    entropies = [values["cross_entropy"][name] for name in ("model 1", "model 2")]
    finding = (
        f"The two models have the same accuracy on this row, {right['model 1']:g} and {right['model 2']:g}, and"
        f" different losses: cross-entropy {entropies[0]:.3f} and {entropies[1]:.3f}."
    )
    return Illustrated(
        "losses",
        figure,
        "Three predictions for a row of class 2, and what three losses make of them.",
        finding,
        measured,
        ("Prediction", "Probabilities", "Right", *(loss.replace("_", " ").capitalize() for loss in LOSSES)),
        tuple(
            (
                name,
                ", ".join(f"{p:g}" for p in EXAMPLES[name]),
                "yes" if right[name] else "no",
                *(f"{values[loss][name]:.4f}" for loss in LOSSES),
            )
            for name in EXAMPLES
        ),
    )


# Scales

CURVATURES = {"unequal scales": (1.0, 25.0), "equal scales": (1.0, 1.0)}
"""Of a quadratic loss along two weights; the curvature goes with the square of a feature's scale: here 1 to 5."""
FIRST = (-4.0, 1.2)


def quadratic_path(curvatures: tuple[float, float], steps: int) -> tuple[float, np.ndarray]:
    """The best fixed learning rate, 2 / (smallest + largest curvature), and the weights (steps + 1, 2) that it leads along."""
    rate = 2 / sum(curvatures)
    return rate, np.array(FIRST) * (1 - rate * np.array(curvatures)) ** np.arange(steps + 1)[:, None]


@STYLED
def scaling_contours(*_: object) -> Illustrated:
    """Gradient descent over the contours of a quadratic loss, with features of unequal and of equal scale."""
    figure, panels = grid(2, 2, 2.3, above=0.35, below=0.4, top=0)
    rows = []
    for axes, (name, curvatures) in zip(panels, CURVATURES.items(), strict=True):
        rate, path = quadratic_path(curvatures, 400)
        loss = (path**2 * curvatures).sum(axis=1) / 2
        steps = int(np.argmax(loss <= 0.01 * loss[0]))
        for level in loss[0] * np.array([0.02, 0.1, 0.25, 0.5, 1.0, 1.7]):
            half = np.sqrt(2 * level / np.array(curvatures))
            axes.add_patch(Ellipse((0, 0), 2 * half[0], 2 * half[1], fill=False, edgecolor="#a9bdcd", linewidth=0.9))
        axes.plot(*path[: steps + 1].T, "o-", color=ORANGE, markersize=3, linewidth=1.1)
        axes.plot(0, 0, "+", color=BLUE, markersize=9, markeredgewidth=1.8)
        axes.set(xlim=(-5, 5), ylim=(-3, 3), xlabel="first weight")
        axes.set_title(f"{name}: {steps} step{'' if steps == 1 else 's'}")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(FuncFormatter(lambda tick, _: short_number(tick)))
        rows.append((name, ", ".join(f"{each:g}" for each in curvatures), significant(rate), str(steps)))
    panels[0].set_ylabel("second weight")
    panels[1].set_yticklabels([])
    ratio = max(CURVATURES["unequal scales"]) / min(CURVATURES["unequal scales"])
    finding = (
        f"With one feature {math.sqrt(ratio):g} times as large as the other, the curvatures differ by a factor of"
        f" {ratio:g}, and gradient descent at its best fixed rate takes {rows[0][3]} steps to bring the loss to 1 % of"
        f" the first; with equal scales, {rows[1][3]}."
    )
    return Illustrated(
        "scaling_contours",
        figure,
        "Gradient descent over contour lines of a quadratic loss, each at its best fixed learning rate, until the loss"
        " is 1 % of the first.",
        finding,
        {"steps": tuple(float(row[3]) for row in rows)},
        ("Features", "Curvatures", "Learning rate", "Steps"),
        tuple(rows),
    )


# Softmax

LOGITS = (2.0, 1.0, 0.1, -1.0)


def softmax(logits: np.ndarray) -> np.ndarray:
    """exp(logits) over their sum; the largest is subtracted first, which changes nothing and never overflows."""
    powers = np.exp(logits - logits.max())
    return np.asarray(powers / powers.sum())


@STYLED
def softmax_figure(*_: object) -> Illustrated:
    """Logits, their exponentials, and the probabilities."""
    logits = np.array(LOGITS)
    probabilities, moved = softmax(logits), softmax(logits + 100)
    figure, panels = grid(3, 3, 1.4, above=0.35, below=0.25, top=0)
    columns = {"logits": logits, "exponentials": np.exp(logits), "probabilities": probabilities}
    for axes, (name, values), colour in zip(panels, columns.items(), (GREY, BLUE, GREEN), strict=True):
        axes.bar(range(len(values)), values, color=colour, width=0.6)
        axes.axhline(0, color="#999999", linewidth=0.7)
        for i, value in enumerate(values):
            text = with_minus(f"{value:.3g}")
            axes.text(i, max(value, 0) + 0.02 * np.ptp(values), text, ha="center", va="bottom", fontsize=7.5)
        axes.set(yticks=[], ylim=(min(0, values.min()) * 1.1, values.max() * 1.2))
        axes.set_xticks(range(len(values)), [f"class {i}" for i in range(len(values))])
        axes.spines["left"].set_visible(False)
        axes.set_title(name)
    kept = int(min(12, -np.log10(np.abs(moved - probabilities).max() + 1e-300)))
    finding = (
        f"The probabilities add up to {probabilities.sum():g}. One more in a logit multiplies the odds against another class by"
        f" {probabilities[0] / probabilities[1]:.4f} (e), and 100 more in every logit changes none of the first"
        f" {kept} decimals of any probability."
    )
    return Illustrated(
        "softmax",
        figure,
        "Softmax: logits, their exponentials, and these divided by their sum.",
        finding,
        {"probabilities": tuple(map(float, probabilities))},
        ("Class", "Logit", "Exponential", "Probability"),
        tuple(
            (str(i), short_number(LOGITS[i]), *(f"{columns[name][i]:.4f}" for name in ("exponentials", "probabilities")))
            for i in range(len(logits))
        ),
    )


# Images


def _scaled(prepared: Prepared, rows: int) -> np.ndarray:
    """The first training rows, float64, from 0, the smallest value of them all, to 1."""
    raw = prepared.splits["train"][0]
    low, high = float(raw.min()), float(raw.max())
    return np.asarray((raw[:rows].astype(np.float64) - low) / ((high - low) or 1.0))


def _images(name: str, prepared: Prepared, count: int) -> np.ndarray:
    """The first training images, from 0 to 1. Raises UserError for a data set without images."""
    if prepared.splits["train"][0].ndim < 3:
        raise UserError(
            f"params.yaml: illustrations.{name}: needs images, which the data set {prepared.facts['title']!r} has not"
        )
    return _scaled(prepared, count)


def _show(axes: Axes, image: np.ndarray) -> None:
    axes.imshow(image.squeeze(), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(True)


def _class_of(prepared: Prepared, row: int) -> str:
    label = prepared.splits["train"][1][row]
    return str(prepared.facts["class_names"][int(label)]) if prepared.task == "classification" else short_number(float(label))


def _shape(prepared: Prepared) -> str:
    return " × ".join(map(str, prepared.splits["train"][0].shape[1:]))


@STYLED
def _tiles(images: np.ndarray, titles: list[str], columns: int, side: float) -> Figure:
    """A grid of images, each `side` inches high and wide, with room for titles where there are any."""
    rows, gap, head = math.ceil(len(images) / columns), 0.12, 0.26 if any(titles) else 0.0
    wide, tall = columns * (side + gap) + gap, rows * (side + gap + head) + gap
    figure = Figure(figsize=(wide, tall))
    for i, (image, title) in enumerate(zip(images, titles, strict=True)):
        x, y = gap + i % columns * (side + gap), tall - (i // columns + 1) * (side + gap + head)
        axes = figure.add_axes((x / wide, y / tall, side / wide, side / tall))
        _show(axes, image)
        axes.set_title(short(title, 18), fontsize=9, loc="center", weight="normal")
    return figure


def first_image(_: Study, prepared: Prepared) -> Illustrated:
    """The first training image."""
    image = _images("first_image", prepared, 1)
    raw, name = prepared.splits["train"][0][0], _class_of(prepared, 0)
    inked = float((raw != raw.min()).mean())
    return Illustrated(
        "first_image",
        _tiles(image, [name], 1, 2.6),
        f"The first training image, of class {name}: {_shape(prepared)} values of type {raw.dtype}, from"
        f" {raw.min():g} to {raw.max():g}, {100 * inked:.0f} % of them above the smallest.",
        image=True,
    )


def digit_grid(_: Study, prepared: Prepared) -> Illustrated:
    """Four inverted digits."""
    images = 1 - _images("digit_grid", prepared, 4)
    names = ", ".join(_class_of(prepared, row) for row in range(len(images)))
    return Illustrated(
        "digit_grid",
        _tiles(images, [""] * len(images), 2, 1.9),
        f"The first {len(images)} training images, inverted: black on white. Their classes: {names}.",
        image=True,
    )


def label_grid(_: Study, prepared: Prepared) -> Illustrated:
    """Three rows of five images, titled with their classes."""
    images = _images("label_grid", prepared, 15)
    names = [_class_of(prepared, row) for row in range(len(images))]
    return Illustrated(
        "label_grid",
        _tiles(images, names, 5, 1.45),
        f"The first {len(images)} training images with the names of their classes.",
        image=True,
    )


@STYLED
def inversion_histogram(_: Study, prepared: Prepared) -> Illustrated:
    """How often each input value occurs, before and after inversion."""
    before = _scaled(prepared, SAMPLE_ROWS).ravel()
    inputs = {"before: white on black": (before, BLUE), "after: black on white": (1 - before, ORANGE)}
    figure, panels = grid(2, 2, 1.6, above=0.35, below=0.4, top=0)
    edges = np.linspace(-1 / 510, 1 + 1 / 510, 65)  # half of one level of a byte beyond the ends
    rows = []
    for axes, (name, (values, colour)) in zip(panels, inputs.items(), strict=True):
        shares = np.histogram(values, edges)[0] / values.size
        axes.stairs(shares, edges, color=colour, fill=True, alpha=0.7, baseline=0)
        axes.set(yscale="log", ylim=(1e-4, 1.3), xlim=(edges[0], edges[-1]), title=name, xlabel="input")
        axes.set_yticks([1e-4, 1e-2, 1], labels=["0.01 %", "1 %", "100 %"] if colour == BLUE else [])
        axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "0.25", "0.5", "0.75", "1"])
        _inward(axes)
        axes.minorticks_off()
        numbers = [100 * float((values == edge).mean()) for edge in (0, 1)]
        rows.append((name.split(":")[0], *(f"{each:.1f} %" for each in numbers), f"{values.mean():.3f}"))
    count = min(SAMPLE_ROWS, len(prepared.splits["train"][0]))
    finding = (
        f"Before inversion {rows[0][1]} of the inputs are 0, after it {rows[1][1]}; the mean input rises from"
        f" {rows[0][3]} to {rows[1][3]}. An input of 0 adds nothing to the gradient of its weights."
    )
    return Illustrated(
        "inversion_histogram",
        figure,
        f"Input values of the first {count:,} training rows, from 0 to 1, before and after inversion. The scale is"
        " logarithmic.",
        finding,
        {"mean_input": (float(before.mean()), float(1 - before.mean()))},
        ("Inputs", "Are 0", "Are 1", "Mean"),
        tuple(rows),
    )


ILLUSTRATIONS: dict[str, Illustrate] = {
    "activations": activations,
    "digit_grid": digit_grid,
    "first_image": first_image,
    "inversion_histogram": inversion_histogram,
    "label_grid": label_grid,
    "learning_rate_on_a_line": learning_rate_on_a_line,
    "losses": losses,
    "scaling_contours": scaling_contours,
    "sigmoid_saturation": sigmoid_saturation,
    "softmax": softmax_figure,
    "weight_updates": weight_updates,
}
"""Name -> function; the names are those of settings.ILLUSTRATIONS."""
