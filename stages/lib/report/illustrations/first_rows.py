"""The first training rows: as images, and their input values before and after inversion."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.figure import Figure

from stages.lib.cli import SettingError
from stages.lib.data.prepared import Prepared
from stages.lib.judging.units import short_number
from stages.lib.report.figures.inputs import bins, share_axis, show_image
from stages.lib.report.figures.style import BLUE, ORANGE, STYLED, grid, short
from stages.lib.report.illustrations.illustrated import Illustrated, keep_labels_within
from stages.lib.study.settings import Study


def first_rows(prepared: Prepared, rows: int) -> np.ndarray:
    """The first training rows, float64: 0 for the smallest value of all training rows, 1 for the largest."""
    raw = prepared.splits["train"][0]
    low, high = float(raw.min()), float(raw.max())
    return np.asarray((raw[:rows].astype(np.float64) - low) / ((high - low) or 1.0))


def _first_images(name: str, prepared: Prepared, count: int) -> np.ndarray:
    """As `first_rows`. Raises SettingError for a data set without images."""
    if prepared.splits["train"][0].ndim < 3:
        raise SettingError(f"needs images, which the data set {prepared.facts['title']!r} has not", "illustrations", name)
    return first_rows(prepared, count)


def _class_of(prepared: Prepared, row: int) -> str:
    label = prepared.splits["train"][1][row]
    return str(prepared.facts["class_names"][int(label)]) if prepared.task == "classification" else short_number(float(label))


@STYLED
def _tiles(images: np.ndarray, titles: list[str], columns: int, side: float) -> Figure:
    """A grid of images, each `side` inches high and wide, with room for titles if there are any."""
    rows, gap, head = math.ceil(len(images) / columns), 0.12, 0.26 if any(titles) else 0.0
    wide, tall = columns * (side + gap) + gap, rows * (side + gap + head) + gap
    figure = Figure(figsize=(wide, tall))
    for i, (image, title) in enumerate(zip(images, titles, strict=True)):
        x, y = gap + i % columns * (side + gap), tall - (i // columns + 1) * (side + gap + head)
        axes = figure.add_axes((x / wide, y / tall, side / wide, side / tall))
        show_image(axes, image)
        axes.set_title(short(title, 18), fontsize=9, loc="center", weight="normal")
    return figure


def first_image(_: Study, prepared: Prepared) -> Illustrated:
    """The first training image."""
    image = _first_images("first_image", prepared, 1)
    raw, name = prepared.splits["train"][0][0], _class_of(prepared, 0)
    inked = float((raw != raw.min()).mean())
    return Illustrated(
        _tiles(image, [name], 1, 2.6),
        f"The first training image, of class {name}: {' × '.join(map(str, raw.shape))} values of type {raw.dtype}, from"
        f" {raw.min():g} to {raw.max():g}, {100 * inked:.0f} % of them above the smallest.",
        is_image=True,
    )


def digit_grid(_: Study, prepared: Prepared) -> Illustrated:
    """Four inverted images."""
    images = 1 - _first_images("digit_grid", prepared, 4)
    names = ", ".join(_class_of(prepared, row) for row in range(len(images)))
    return Illustrated(
        _tiles(images, [""] * len(images), 2, 1.9),
        f"The first {len(images)} training images, inverted: black on white. Their classes: {names}.",
        is_image=True,
    )


def label_grid(_: Study, prepared: Prepared) -> Illustrated:
    """Three rows of five images, titled with their classes."""
    images = _first_images("label_grid", prepared, 15)
    names = [_class_of(prepared, row) for row in range(len(images))]
    return Illustrated(
        _tiles(images, names, 5, 1.45),
        f"The first {len(images)} training images with the names of their classes.",
        is_image=True,
    )


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
        rows,
    )
