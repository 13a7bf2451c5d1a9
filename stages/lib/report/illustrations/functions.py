"""Functions of a network: activations, a saturated sigmoid, softmax and losses."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch
from scipy.special import expit as sigmoid
from scipy.special import softmax as probabilities_of

from stages.lib.data.prepared import Prepared
from stages.lib.judging.units import short_number, significant, with_minus
from stages.lib.report.figures.style import (
    BLUE,
    DASHED,
    EDGE,
    GREEN,
    GREY,
    ORANGE,
    PANEL_TITLE,
    SMALL_TEXT,
    STYLED,
    grid,
    legend,
    line,
    tick_label,
)
from stages.lib.report.illustrations.illustrated import Illustrated, make_room
from stages.lib.study.settings import Study

SIGMOID_WEIGHTS = (0.01, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4)
SIGMOID_INPUTS = {255: BLUE, 1: ORANGE}


def sigmoid_slope(x: np.ndarray) -> np.ndarray:
    """sigmoid(x) * (1 - sigmoid(x)), exact near 0 too."""
    return np.asarray(sigmoid(x) * sigmoid(-x))


@STYLED
def sigmoid_saturation(study: Study, _: Prepared) -> Illustrated:
    """Outputs and slopes of sigmoid(w * x) over the weights."""
    weights = np.array(SIGMOID_WEIGHTS)
    outputs = {x: sigmoid(weights * x) for x in SIGMOID_INPUTS}
    slopes = {x: sigmoid_slope(weights * x) for x in SIGMOID_INPUTS}
    reported = study.illustrations["sigmoid_saturation"].reported if "sigmoid_saturation" in study.illustrations else {}
    figure, (left, right) = grid(2, 2, 1.9, above=0.35, below=0.4, top=0.3)
    for x, colour in SIGMOID_INPUTS.items():
        left.plot(weights, outputs[x], "o-", color=colour, markersize=4)
        if len(printed := reported.get(f"x_{x}", ())) == len(weights):
            left.plot(weights, printed, "D", color=colour, markerfacecolor="none", markersize=8)
        right.plot(weights, np.maximum(slopes[x], 1e-20), "o-", color=colour, markersize=4)
    left.set_title("sigmoid(w x)")
    right.set_title("Its slope, which a gradient is multiplied by")
    right.set(yscale="log", ylim=(1e-20, 3))
    right.set_yticks([1e-20, 1e-15, 1e-10, 1e-5, 1], ["≤ 10⁻²⁰", "10⁻¹⁵", "10⁻¹⁰", "10⁻⁵", "1"])
    make_room(right, 0.45)
    for axes in (left, right):
        axes.set(xscale="log", xlabel="w")
        axes.set_xticks(weights, [short_number(weight) for weight in weights])
        axes.minorticks_off()
    handles = [line(f"x = {x}", colour, marker="o") for x, colour in SIGMOID_INPUTS.items()]
    if reported:
        handles.append(line("as printed by the source", GREY, marker="D", markerfacecolor="none", linestyle=""))
    legend(figure, handles, inches=0.04)
    header = ["w"]
    rows = [[short_number(weight)] for weight in SIGMOID_WEIGHTS]
    for x in SIGMOID_INPUTS:
        header += [f"output at x = {x}", f"slope at x = {x}"]
        for row, output, slope in zip(rows, outputs[x], slopes[x], strict=True):
            row += [f"{output:.4f}", significant(slope)]
    return Illustrated(
        figure,
        "The output of a sigmoid unit, and its slope, for a pixel of 255 and for the same pixel divided by 255.",
        f"At x = 255 the slope is {significant(slopes[255][0])} at w = 0.01, and at most"
        f" {significant(slopes[255][1:].max())} from w = 0.1 on: a gradient that passes through is lost. At x = 1 it is never"
        f" below {significant(slopes[1].min())} for these weights.",
        {f"x_{x}": values.tolist() for x, values in outputs.items()},
        header,
        rows,
    )


LEAK = 0.1
ACTIVATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
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
    for i, (axes, (name, function)) in enumerate(zip(panels, ACTIVATIONS.items(), strict=True)):
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
    depth = max(len(recipe.model.hidden) for recipe in study.recipes.values()) or 1  # of networks of one's own nobody knows
    largest = float(sigmoid_slope(np.array(0.0)))
    others = max(row[-1] for row in rows[1:])
    return Illustrated(
        figure,
        "Activation functions and their slopes.",
        f"The slope of the sigmoid is at most {significant(largest)}, so {depth} layers of it multiply a gradient by at most"
        f" {significant(largest**depth)}, before the weights; the largest slope of the others is {others}.",
        header=("Function", "At −4", "At 0", "At 4", "Steepest slope"),
        rows=rows,
    )


LOGITS = (2.0, 1.0, 0.1, -1.0)


@STYLED
def softmax(*_: object) -> Illustrated:
    """A panel for each step."""
    logits = np.array(LOGITS)
    exponentials, probabilities = np.exp(logits), probabilities_of(logits)
    figure, panels = grid(3, 3, 1.4, above=0.35, below=0.25, top=0)
    columns = {"logits": (logits, GREY), "exponentials": (exponentials, BLUE), "probabilities": (probabilities, GREEN)}
    for axes, (name, (values, colour)) in zip(panels, columns.items(), strict=True):
        axes.bar(range(len(values)), values, color=colour, width=0.6)
        axes.axhline(0, color=EDGE, linewidth=0.7)
        for i, value in enumerate(values):
            text = with_minus(f"{value:.3g}")
            axes.text(i, max(value, 0) + 0.02 * np.ptp(values), text, ha="center", va="bottom", fontsize=7.5)
        axes.set(yticks=[], ylim=(min(0, values.min()) * 1.1, values.max() * 1.2))
        axes.set_xticks(range(len(values)), [f"class {i}" for i in range(len(values))])
        axes.spines["left"].set_visible(False)
        axes.set_title(name)
    moved = probabilities_of(logits + 100)
    kept = int(min(12, -np.log10(np.abs(moved - probabilities).max() + 1e-300)))
    return Illustrated(
        figure,
        "Softmax: logits, their exponentials, and these divided by their sum.",
        f"The probabilities add up to {probabilities.sum():g}. One more in a logit multiplies the odds against another class"
        f" by {probabilities[0] / probabilities[1]:.4f} (e), and 100 more in every logit changes none of the first"
        f" {kept} decimals of any probability.",
        {"probabilities": probabilities.tolist()},
        ("Class", "Logit", "Exponential", "Probability"),
        tuple(
            (str(i), short_number(LOGITS[i]), f"{exponentials[i]:.4f}", f"{probabilities[i]:.4f}") for i in range(len(LOGITS))
        ),
    )


TRUE_CLASS = 2
EXAMPLES = {"example": (0.2, 0.7, 0.1), "model 1": (0.1, 0.4, 0.5), "model 2": (0.1, 0.2, 0.7)}
COLOURS = dict(zip(EXAMPLES, (GREY, BLUE, ORANGE), strict=True))


def half_squared_error(prediction: np.ndarray, truth: np.ndarray) -> float:
    return float(((prediction - truth) ** 2).sum() / 2)


def absolute_error(prediction: np.ndarray, truth: np.ndarray) -> float:
    return float(np.abs(prediction - truth).sum())


def cross_entropy(prediction: np.ndarray, truth: np.ndarray) -> float:
    return float(-(truth * np.log(prediction)).sum())


LOSSES = {each.__name__: each for each in (half_squared_error, cross_entropy, absolute_error)}


def _bars(axes: Axes, i: int, name: str, heights: np.ndarray) -> None:
    """The three bars of an example, the i-th of three."""
    places = np.arange(3) + 0.27 * (i - 1)
    axes.bar(places, heights, width=0.24, color=COLOURS[name])
    gap = 0.01 * max(1, heights.max())
    for place, height in zip(places, heights, strict=True):
        axes.text(place, height + gap, f"{height:.2f}", ha="center", va="bottom", fontsize=SMALL_TEXT)


@STYLED
def losses(*_: object) -> Illustrated:
    """The predicted probabilities, and the losses."""
    predictions = {name: np.array(values) for name, values in EXAMPLES.items()}
    truth = np.eye(3)[TRUE_CLASS]
    values = {loss: {name: of(each, truth) for name, each in predictions.items()} for loss, of in LOSSES.items()}
    right = {name: float(each.argmax() == TRUE_CLASS) for name, each in predictions.items()}
    titles = [loss.replace("_", " ") for loss in LOSSES]
    figure, (left, second) = grid(2, 2, 1.7, above=0.35, below=0.3, top=0.3)
    for i, (name, prediction) in enumerate(predictions.items()):
        _bars(left, i, name, prediction)
        _bars(second, i, name, np.array([values[loss][name] for loss in LOSSES]))
    left.set_title(f"Predicted probabilities; the true class is {TRUE_CLASS}")
    left.set_xticks(range(3), [f"class {label}" for label in range(3)])
    left.set_ylim(0, 1)
    make_room(second, 0.3)
    second.set_title("Losses")
    second.set_xticks(range(3), titles)
    legend(figure, [Patch(facecolor=colour, label=name) for name, colour in COLOURS.items()], inches=0.04)
    measured: dict[str, tuple[float, ...]] = {}
    for loss, each in values.items():
        measured |= {loss: (each["example"],), f"{loss}_of_models": (each["model 1"], each["model 2"])}
    measured["accuracy_of_models"] = right["model 1"], right["model 2"]
    first_entropy, second_entropy = measured["cross_entropy_of_models"]
    return Illustrated(
        figure,
        "Three predictions for a row of class 2, and what three losses make of them.",
        f"The two models have the same accuracy on this row, {right['model 1']:g} and {right['model 2']:g}, and"
        f" different losses: cross-entropy {first_entropy:.3f} and {second_entropy:.3f}.",
        measured,
        ("Prediction", "Probabilities", "Right", *(title.capitalize() for title in titles)),
        tuple(
            (
                name,
                ", ".join(f"{share:g}" for share in shares),
                "yes" if right[name] else "no",
                *(f"{values[loss][name]:.4f}" for loss in LOSSES),
            )
            for name, shares in EXAMPLES.items()
        ),
    )
