"""The first training images."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.figure import Figure

from stages.lib.cli import SettingError
from stages.lib.data.prepared import Prepared
from stages.lib.judging.units import short_number
from stages.lib.report.figures.inputs import show_image
from stages.lib.report.figures.layout import short
from stages.lib.report.figures.style import STYLED
from stages.lib.report.illustrations.illustrated import Illustrated
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
