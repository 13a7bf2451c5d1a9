"""Softmax: logits, their exponentials, and the probabilities."""

from __future__ import annotations

import numpy as np

from stages.lib.judging.units import short_number, with_minus
from stages.lib.report.figures.layout import grid
from stages.lib.report.figures.style import BLUE, EDGE, GREEN, GREY, STYLED
from stages.lib.report.illustrations.illustrated import Illustrated

LOGITS = (2.0, 1.0, 0.1, -1.0)


def probabilities_of(logits: np.ndarray) -> np.ndarray:
    """exp(logits) over their sum. Subtracting the largest first changes nothing and prevents overflow."""
    powers = np.exp(logits - logits.max())
    return np.asarray(powers / powers.sum())


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
        {"probabilities": tuple(map(float, probabilities))},
        ("Class", "Logit", "Exponential", "Probability"),
        tuple(
            (str(i), short_number(LOGITS[i]), f"{exponentials[i]:.4f}", f"{probabilities[i]:.4f}") for i in range(len(LOGITS))
        ),
    )
