"""A sigmoid unit whose input is a pixel as it is, or scaled."""

from __future__ import annotations

import numpy as np

from stages.lib.data.prepared import Prepared
from stages.lib.judging.units import short_number, significant
from stages.lib.report.figures.layout import grid, legend, line
from stages.lib.report.figures.style import BLUE, GREY, ORANGE, STYLED
from stages.lib.report.illustrations.illustrated import Illustrated, make_room
from stages.lib.study.settings import Study

WEIGHTS = (0.01, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4)
INPUTS = {255: BLUE, 1: ORANGE}


def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)), without overflow."""
    small = np.exp(-np.abs(x))
    return np.asarray(np.where(x >= 0, 1, small) / (1 + small))


def sigmoid_slope(x: np.ndarray) -> np.ndarray:
    """sigmoid(x) * (1 - sigmoid(x)), exact near 0 too."""
    return np.asarray(sigmoid(x) * sigmoid(-x))


@STYLED
def sigmoid_saturation(study: Study, _: Prepared) -> Illustrated:
    """Outputs and slopes of sigmoid(w * x) over the weights."""
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
    make_room(right, 0.45)
    for axes in (left, right):
        axes.set(xscale="log", xlabel="w")
        axes.set_xticks(weights, [short_number(weight) for weight in weights])
        axes.minorticks_off()
    handles = [line(f"x = {x}", colour, marker="o") for x, colour in INPUTS.items()]
    if reported:
        handles.append(line("as printed by the source", GREY, marker="D", markerfacecolor="none", linestyle=""))
    legend(figure, handles, inches=0.04)
    header = ["w"]
    rows = [[short_number(weight)] for weight in WEIGHTS]
    for x in INPUTS:
        header += [f"output at x = {x}", f"slope at x = {x}"]
        for row, output, slope in zip(rows, outputs[x], slopes[x], strict=True):
            row += [f"{output:.4f}", significant(slope)]
    return Illustrated(
        figure,
        "The output of a sigmoid unit, and its slope, for a pixel of 255 and for the same pixel divided by 255.",
        f"At x = 255 the slope is {significant(slopes[255][0])} at w = 0.01, and at most"
        f" {significant(slopes[255][1:].max())} from w = 0.1 on: a gradient that passes through is lost. At x = 1 it is never"
        f" below {significant(slopes[1].min())} for these weights.",
        {f"x_{x}": tuple(map(float, values)) for x, values in outputs.items()},
        tuple(header),
        tuple(map(tuple, rows)),
    )
