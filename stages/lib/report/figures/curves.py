"""What changes in training: learning curves over the epochs, and gradients over the layers.

Curves are means over the seeds, with the band from the smallest to the largest value.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import ticker
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from stages.lib.judging.units import finite_column, power_of_ten
from stages.lib.report.figures.claims import ACCURACY_TICKS
from stages.lib.report.figures.style import (
    BLUE,
    DASHED,
    FAINT,
    GREY,
    ORANGE,
    OTHERS,
    STYLED,
    WIDTH,
    drawable,
    faint_grid,
    grid,
    label_outer,
    legend,
    line,
    note_in_the_middle,
    panel_title,
    text_below,
    tick_label,
)
from stages.lib.study.metrics import finite

VERTICES = 10_000
"""Of all curves of a figure together, about. Longer curves are thinned, so that the file stays small."""
COLUMNS = 4


def curve_measures(curves: pd.DataFrame) -> list[str]:
    """What is measured on the training rows: loss, and accuracy or mae. A learning rate is set, and by some variants alone."""
    means = [name.removesuffix("_mean") for name in curves.columns if name.endswith("_mean")]
    return [name for name in means if not name.startswith("val_") and name != "learning_rate"]


def kinds(curves: pd.DataFrame, measure: str) -> list[str]:
    """The measure on the training rows and, if there are any, on the validation rows: `loss`, `val_loss`."""
    return [kind for kind in (measure, f"val_{measure}") if f"{kind}_mean" in curves]


def thinned(group: pd.DataFrame, points: int) -> pd.DataFrame:
    """At most `points` rows, evenly spaced, with the first and the last."""
    return group.iloc[np.linspace(0, len(group) - 1, min(points, len(group))).round().astype(int)]


@STYLED
def learning_curves(curves: pd.DataFrame, parents: Mapping[str, str | None], measure: str) -> Figure:
    """A panel for each variant, in front of its parent in grey."""
    groups = _groups(curves)
    figure, panels = grid(len(groups), COLUMNS, 1.2, above=0.38, below=0.06, top=0.3, bottom=0.45)
    for axes, (variant, group) in zip(panels, groups.items(), strict=True):
        parent = parents.get(variant)
        _panel(axes, group, groups.get(parent or ""), measure)
        panel_title(axes, variant, f"grey: {parent}" if parent in groups else "")
    _scale(panels, curves, measure)
    handles: list[Artist] = [line(f"{measure}, training rows", BLUE)]
    if f"val_{measure}_mean" in curves:
        handles.append(line("validation rows", ORANGE, linestyle=DASHED))
    handles.append(Patch(facecolor="#cccccc", label="smallest to largest over the seeds"))
    if any(parent in groups for parent in parents.values()):
        handles.append(line("the variant that it extends", OTHERS))
    legend(figure, handles)
    text_below(figure, "epoch")
    return figure


@STYLED
def curve_panels(curves: pd.DataFrame, parents: Mapping[str, str | None], measure: str) -> dict[str, Figure]:
    """Variant -> its panel by itself, on the scale that all panels share."""
    groups, panels = _groups(curves), {}
    for variant, group in groups.items():
        panels[variant] = Figure(figsize=(2.4, 1.5))
        axes = panels[variant].add_axes((0.17, 0.15, 0.78, 0.82))
        _panel(axes, group, groups.get(parents.get(variant) or ""), measure)
        _scale([axes], curves, measure)
    return panels


@STYLED
def compared_curves(curves: pd.DataFrame, measure: str) -> Figure:
    """The curves of all variants on the same axes. The page shows those that its reader chooses.

    A line is a group with the gid `KIND VARIANT`, and a band one with `KIND-band VARIANT`: see `kinds`.
    """
    figure = Figure(figsize=(WIDTH, 3.9))
    axes = figure.add_axes((0.06, 0.1, 0.93, 0.88))
    for variant, group in _groups(curves).items():
        for kind in kinds(curves, measure):
            mean, low, high = _mean_and_band(group, kind)
            axes.fill_between(group["epoch"], low, high, color=BLUE, alpha=0.15, linewidth=0, gid=f"{kind}-band {variant}")
            look = {**_look(kind, group), "color": BLUE}
            axes.plot(group["epoch"], mean, linewidth=1.6, gid=f"{kind} {variant}", **look)
    _scale([axes], curves, measure)
    bottom, top = axes.get_ylim()
    if measure == "accuracy":
        ticks = [tick for tick in ACCURACY_TICKS if bottom <= tick <= top]
        axes.set_yticks(ticks, [f"{100 * tick:g} %" for tick in ticks])
    else:
        axes.yaxis.set_major_locator(ticker.LogLocator(numticks=12, subs=(1, 2, 5) if top < 2000 * bottom else (1,)))
    axes.xaxis.set_major_locator(ticker.MaxNLocator(10, integer=True, min_n_ticks=1))
    axes.set_xlabel("epoch", color=GREY)
    return figure


def _groups(curves: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Variant -> its curves, thinned to its share of VERTICES."""
    points = max(VERTICES // (8 * curves["variant"].nunique()), 2)  # eight: four lines and two bands
    return {str(name): thinned(group, points) for name, group in curves.groupby("variant", sort=False)}


def _look(kind: str, group: pd.DataFrame) -> dict[str, Any]:
    look: dict[str, Any] = (
        {"color": ORANGE, "linestyle": DASHED} if kind.startswith("val_") else {"color": BLUE, "linestyle": "-"}
    )
    return {**look, "marker": "o" if len(group) == 1 else None}  # one epoch makes no line


def _mean_and_band(group: pd.DataFrame, kind: str) -> list[np.ndarray]:
    return [drawable(finite_column(group[f"{kind}_{how}"]), kind.endswith("accuracy")) for how in ("mean", "min", "max")]


def _panel(axes: Axes, group: pd.DataFrame, parent: pd.DataFrame | None, measure: str) -> None:
    for kind in kinds(group, measure):
        look = _look(kind, group)
        if parent is not None:
            before, *_ = _mean_and_band(parent, kind)
            axes.plot(parent["epoch"], before, color=OTHERS, linestyle=look["linestyle"], linewidth=1.1)
        mean, low, high = _mean_and_band(group, kind)
        axes.fill_between(group["epoch"], low, high, color=look["color"], alpha=0.22, linewidth=0)
        axes.plot(group["epoch"], mean, linewidth=1.4, markersize=3, **look)
    if math.isnan(finite(group[f"{measure}_mean"].iloc[-1])):
        note_in_the_middle(axes, "diverged")
    axes.xaxis.set_major_locator(ticker.MaxNLocator(4, integer=True, min_n_ticks=1))


def _scale(panels: Sequence[Axes], curves: pd.DataFrame, measure: str) -> None:
    """The same scale for all panels: logit for an accuracy, logarithmic for a loss.

    A loss that explodes does not set the upper limit.
    """
    columns = [f"{kind}_mean" for kind in kinds(curves, measure)]
    seen = np.concatenate([finite_column(curves[name]) for name in columns])
    seen = seen[seen > 0]  # drops NaN too
    steady = max((each.max() for each in _steady(curves, columns)), default=math.inf)
    longest = curves["epoch"].max()
    for axes in panels:
        if measure == "accuracy":
            lowest = float(np.clip(0.8 * seen.min(), 0.005, 0.4)) if len(seen) else 0.05
            axes.set_yscale("logit")
            axes.set_yticks([0.01, 0.1, 0.5, 0.9, 0.99], ["1 %", "10 %", "50 %", "90 %", "99 %"])
            axes.set_ylim(lowest, 0.998)
        else:
            low, high = (seen.min(), min(seen.max(), 10 * steady)) if len(seen) else (0.1, 10.0)
            axes.set(yscale="log", ylim=(low / 1.3, high * 1.3))
            axes.yaxis.set_major_locator(ticker.LogLocator(numticks=5, subs=(1,) if high > 20 * low else (1, 2, 5)))
            axes.yaxis.set_major_formatter(tick_label)
        axes.minorticks_off()
        axes.set_xlim(1 if longest > 1 else 0.5, max(longest, 1.5))
        faint_grid(axes)
    label_outer(panels, COLUMNS)


def _steady(curves: pd.DataFrame, columns: list[str]) -> Iterator[np.ndarray]:
    """The values of every curve that is finite to its end."""
    for _, group in curves.groupby("variant", sort=False):
        for name in columns:
            if np.isfinite(values := finite_column(group[name])).all():
                yield values


FLOOR = 1e-30
"""The smallest norm that is drawn. Smaller ones, and a gradient of exactly 0, lie on it."""


def gradient_norms(group: pd.DataFrame) -> dict[int, np.ndarray]:
    """Epoch -> the gradient norm of each layer, in the order of the rows.

    group: the rows of diagnostics.csv of one variant.
    """
    rows = group.drop_duplicates(["epoch", "layer"], keep="last")
    return {int(epoch): finite_column(rows.loc[rows["epoch"] == epoch, "gradient_norm"]) for epoch in rows["epoch"].unique()}


def _power_label(value: float) -> str:
    return f"{value:g}" if 1e-2 <= value <= 100 else power_of_ten(round(math.log10(value)))


def _limits(norms: list[np.ndarray]) -> tuple[float, float]:
    """The powers of ten around all norms."""
    seen = np.concatenate(norms)
    seen = np.maximum(seen[~np.isnan(seen)], FLOOR)
    low, high = (float(seen.min()), float(seen.max())) if len(seen) else (1e-3, 1.0)
    return 10.0 ** math.floor(math.log10(low)), 10.0 ** math.ceil(math.log10(high * 1.01))


@STYLED
def gradients(table: pd.DataFrame, activations: Mapping[str, str]) -> Figure:
    """A panel for each variant: the gradient norm of each layer before training, after the first epoch and at the end.

    table: the columns of diagnostics.csv; activations: variant -> its activation, in the order of the panels.
    """
    groups = {name: gradient_norms(table[table["variant"] == name]) for name in activations}
    figure, panels = grid(len(groups), COLUMNS, 1.3, above=0.38, below=0.2, top=0.3, bottom=0.3)
    low, high = _limits([norms for epochs in groups.values() for norms in epochs.values()])
    step = max(1, math.ceil(math.log10(high / low) / 4))
    ticks = [10.0**power for power in range(round(math.log10(low)), round(math.log10(high)) + 1, step)]
    for i, (axes, (variant, epochs)) in enumerate(zip(panels, groups.items(), strict=True)):
        last = max(epochs)
        looks = {0: (BLUE, "-", "o"), last: (ORANGE, DASHED, "s")}
        for epoch, norms in epochs.items():
            colour, dashes, dot = looks.get(epoch, (OTHERS, "-", ""))
            layers, drawn = range(1, len(norms) + 1), np.maximum(norms, FLOOR)
            axes.plot(layers, drawn, color=colour, linestyle=dashes, marker=dot, markersize=2.6, linewidth=1.2)
        if np.isnan(epochs[last]).any():
            note_in_the_middle(axes, "not finite at the end")
        axes.set(yscale="log", ylim=(low / 1.5, high * 1.5))
        axes.set_yticks(ticks, [] if i % COLUMNS else [_power_label(tick) for tick in ticks])
        axes.set_xlim(0.5, max(len(norms) for norms in epochs.values()) + 0.5)
        axes.minorticks_off()
        axes.grid(axis="y", color=FAINT, linewidth=0.7)
        axes.xaxis.set_major_locator(ticker.MaxNLocator(5, integer=True, min_n_ticks=1))
        panel_title(axes, variant, activations[variant])
    handles = [
        line("before training", BLUE, marker="o", markersize=3),
        line("after the first epoch", OTHERS),
        line("after the last", ORANGE, marker="s", markersize=3, linestyle=DASHED),
    ]
    legend(figure, handles)
    text = "layer, from the inputs' to the output layer"
    figure.text(0.6 / WIDTH, 0.1 / figure.get_figheight(), text, color=GREY)
    return figure
