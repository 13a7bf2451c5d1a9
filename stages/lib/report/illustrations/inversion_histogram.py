"""How often each input value occurs, before and after inversion."""

from __future__ import annotations

import numpy as np

from stages.lib.data.prepared import Prepared
from stages.lib.report.figures.inputs import bins, share_axis
from stages.lib.report.figures.layout import grid
from stages.lib.report.figures.style import BLUE, ORANGE, STYLED
from stages.lib.report.illustrations.illustrated import Illustrated, keep_labels_within
from stages.lib.report.illustrations.images import first_rows
from stages.lib.study.settings import Study

SAMPLE_ROWS = 2000
"""The first training rows, in which the values are counted."""


@STYLED
def inversion_histogram(_: Study, prepared: Prepared) -> Illustrated:
    """A panel before, and one after."""
    before = first_rows(prepared, SAMPLE_ROWS).ravel()
    inputs = {"before: white on black": (before, BLUE), "after: black on white": (1 - before, ORANGE)}
    figure, panels = grid(2, 2, 1.6, above=0.35, below=0.4, top=0)
    edges = bins(0.0, 1.0)
    rows = []
    for axes, (name, (values, colour)) in zip(panels, inputs.items(), strict=True):
        shares = np.histogram(values, edges)[0] / values.size
        axes.stairs(shares, edges, color=colour, fill=True, alpha=0.7, baseline=0)
        axes.set(title=name, xlabel="input")
        share_axis(axes, edges, labelled=colour == BLUE)
        axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "0.25", "0.5", "0.75", "1"])
        keep_labels_within(axes)
        at_the_ends = [f"{100 * float((values == end).mean()):.1f} %" for end in (0, 1)]
        rows.append((name.split(":")[0], *at_the_ends, f"{values.mean():.3f}"))
    first, second = rows
    count = min(SAMPLE_ROWS, len(prepared.splits["train"][0]))
    return Illustrated(
        figure,
        f"Input values of the first {count:,} training rows, from 0 to 1, before and after inversion. The scale is"
        " logarithmic.",
        f"Before inversion {first[1]} of the inputs are 0, after it {second[1]}; the mean input rises from"
        f" {first[3]} to {second[3]}. An input of 0 adds nothing to the gradient of its weights.",
        {"mean_input": (float(before.mean()), float(1 - before.mean()))},
        ("Inputs", "Are 0", "Are 1", "Mean"),
        tuple(rows),
    )
