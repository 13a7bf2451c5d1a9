"""Three losses of one prediction, and of two models that are both right but not equally sure."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from stages.lib.report.figures.layout import grid, legend
from stages.lib.report.figures.style import BLUE, GREY, ORANGE, SMALL_TEXT, STYLED
from stages.lib.report.illustrations.illustrated import Illustrated, make_room

TRUE_CLASS = 2
EXAMPLES = {"example": (0.2, 0.7, 0.1), "model 1": (0.1, 0.4, 0.5), "model 2": (0.1, 0.2, 0.7)}
COLOURS = dict(zip(EXAMPLES, (GREY, BLUE, ORANGE), strict=True))


def half_squared_error(prediction: np.ndarray, truth: np.ndarray) -> float:
    return float(((prediction - truth) ** 2).sum() / 2)


def absolute_error(prediction: np.ndarray, truth: np.ndarray) -> float:
    return float(np.abs(prediction - truth).sum())


def cross_entropy(prediction: np.ndarray, truth: np.ndarray) -> float:
    return float(-(truth * np.log(prediction)).sum())


FUNCTIONS = {each.__name__: each for each in (half_squared_error, cross_entropy, absolute_error)}


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
    values = {loss: {name: of(each, truth) for name, each in predictions.items()} for loss, of in FUNCTIONS.items()}
    right = {name: float(each.argmax() == TRUE_CLASS) for name, each in predictions.items()}
    titles = [loss.replace("_", " ") for loss in FUNCTIONS]
    figure, (left, second) = grid(2, 2, 1.7, above=0.35, below=0.3, top=0.3)
    for i, (name, prediction) in enumerate(predictions.items()):
        _bars(left, i, name, prediction)
        _bars(second, i, name, np.array([values[loss][name] for loss in FUNCTIONS]))
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
                *(f"{values[loss][name]:.4f}" for loss in FUNCTIONS),
            )
            for name, shares in EXAMPLES.items()
        ),
    )
