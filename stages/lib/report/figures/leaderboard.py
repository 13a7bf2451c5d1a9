"""The leaderboard: every variant's mean with its interval, its replicates, and what the source reports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import blended_transform_factory

from stages.lib.judging.units import ACCURACY, finite_column, unit_of
from stages.lib.report.figures.claims import STRIP
from stages.lib.report.figures.layout import drawable, legend, line, short, tick_label
from stages.lib.report.figures.style import BLUE, FAINT, GREY, ORANGE, STYLED, WIDTH
from stages.lib.study.metrics import finite

ACCURACY_TICKS = (0.01, 0.1, 0.2, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.97, 0.98, 0.99, 0.995, 0.998, 0.999)


def ranked(summary: pd.DataFrame, metric: str, task: str) -> pd.DataFrame:
    """The summary's rows of one metric, the best mean first. Equal means stay in order; what diverged comes last."""
    rows = summary[summary["metric"] == metric]
    key = finite_column(rows["mean"]) * (-1 if unit_of(metric, task) is ACCURACY else 1)
    return rows.iloc[np.argsort(key, kind="stable")]  # NaN goes last


@STYLED
def leaderboard(
    summary: pd.DataFrame, replicates: pd.DataFrame, reported: Mapping[str, float], metric: str, task: str
) -> Figure:
    """A row for each variant, the best first.

    reported: variant -> the number that the source reports.
    """
    unit = unit_of(metric, task)
    rows = ranked(summary, metric, task).to_dict("records")
    left, right, row, top, bottom = 2.1, 1.75, 0.25, 0.42, 0.55  # inches
    height = top + row * len(rows) + bottom
    figure = Figure(figsize=(WIDTH, height))
    axes = figure.add_axes((left / WIDTH, bottom / height, 1 - (left + right) / WIDTH, row * len(rows) / height))
    accuracy = unit is ACCURACY
    _scale(axes, _values(replicates, reported, metric, accuracy), accuracy)
    beside = blended_transform_factory(axes.transAxes, axes.transData)
    for y, each in enumerate(rows):
        dots = drawable(finite_column(replicates.loc[replicates["variant"] == each["variant"], metric]), accuracy)
        missing = int(np.isnan(dots).sum())
        axes.axhline(y, color=FAINT, linewidth=0.7, zorder=0)
        axes.plot(dots, np.full(len(dots), y + 0.24), "o", color=BLUE, alpha=0.4, markersize=3.4, markeredgewidth=0)
        text = f"{unit.bare(each['mean'])} {unit.interval(each['low'], each['high'])}"
        if missing:
            text = f"diverged: {missing} of {len(dots)}"
        _draw_row(axes, y, each, reported, accuracy, whole=not missing)
        axes.text(1.02, y, text, transform=beside, va="center", color=GREY)
    axes.set_yticks(range(len(rows)), [short(each["variant"], 29) for each in rows], color="black")
    axes.set(ylim=(len(rows) - 0.5, -0.5))
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    handles = [
        line("mean and interval", BLUE, marker="|", markersize=9, markeredgewidth=2, linewidth=1.8),
        line("one replicate", BLUE, marker="o", alpha=0.35, markersize=4, linestyle=""),
    ]
    if reported:
        handles.append(line("reported by the source", ORANGE, marker="D", markerfacecolor="none", linestyle=""))
    legend(figure, handles, inches=0.04)
    return figure


@STYLED
def leaderboard_strips(
    summary: pd.DataFrame, replicates: pd.DataFrame, reported: Mapping[str, float], metric: str, task: str
) -> tuple[Figure, dict[str, Figure]]:
    """The axis by itself, and variant -> its row by itself. Each replicate is a group, whose gid is its seed."""
    accuracy = unit_of(metric, task) is ACCURACY
    values = _values(replicates, reported, metric, accuracy)
    head, axes = _strip(values, accuracy)
    axes.tick_params(axis="x", length=0, pad=-14)
    strips = {}
    for each in ranked(summary, metric, task).to_dict("records"):
        figure, axes = _strip(values, accuracy)
        axes.grid(axis="x", color=FAINT, linewidth=0.7)
        axes.tick_params(axis="x", length=0, labelbottom=False)
        rows = replicates[replicates["variant"] == each["variant"]]
        dots = drawable(finite_column(rows[metric]), accuracy)
        for seed, dot in zip(rows["seed"], dots, strict=True):
            axes.plot(dot, 0.26, "o", color=BLUE, alpha=0.4, markersize=3.8, markeredgewidth=0, gid=f"seed {seed}")
        _draw_row(axes, 0, each, reported, accuracy, whole=not np.isnan(dots).any())
        strips[str(each["variant"])] = figure
    return head, strips


def _strip(values: np.ndarray, accuracy: bool) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(STRIP, 0.3))
    axes = figure.add_axes((0.01, 0, 0.98, 1))
    _scale(axes, values, accuracy)
    axes.set(ylim=(0.55, -0.45), yticks=[], xlabel="")
    axes.minorticks_off()
    axes.spines[:].set_visible(False)
    return figure, axes


def _values(replicates: pd.DataFrame, reported: Mapping[str, float], metric: str, accuracy: bool) -> np.ndarray:
    """The values that set the limits of the axis.

    Variants with a diverged replicate are left out: the loss of their other replicates can be 1e19.
    """
    diverged = replicates.loc[np.isnan(drawable(finite_column(replicates[metric]), accuracy)), "variant"]
    steady = replicates[~replicates["variant"].isin(diverged)]
    return np.concatenate([finite_column((steady if len(steady) else replicates)[metric]), finite_column(pd.Series(reported))])


def _draw_row(axes: Axes, y: int, row: Mapping[Any, Any], reported: Mapping[str, float], accuracy: bool, whole: bool) -> None:
    """The mean with its interval, if `whole`: if no replicate diverged; and what the source reports."""
    low, mean, high = drawable(np.array([finite(row[name]) for name in ("low", "mean", "high")]), accuracy)
    if whole:
        axes.hlines(y, low, high, color=BLUE, linewidth=1.8)
        axes.plot(mean, y, "|", color=BLUE, markersize=9, markeredgewidth=2)
    if row["variant"] in reported:
        value = drawable(np.array(reported[row["variant"]]), accuracy)
        axes.plot(value, y, "D", color=ORANGE, markerfacecolor="none", markersize=5.5, gid="reported")


def _scale(axes: Axes, values: np.ndarray, accuracy: bool) -> None:
    """Logit for an accuracy, logarithmic for a loss: the best variants matter most, and they differ by little."""
    seen = drawable(values[np.isfinite(values)], accuracy)
    if accuracy:
        low, high = (float(seen.min()), float(seen.max())) if len(seen) else (0.1, 0.9)
        low, high = 0.85 * low, 1 - 0.85 * (1 - high)
        axes.set_xscale("logit")
        axes.set_xlim(low, high)
        ticks = [tick for tick in ACCURACY_TICKS if low <= tick <= high]
        axes.set_xticks(ticks, [f"{100 * tick:g}" for tick in ticks])
        axes.minorticks_off()
        axes.set_xlabel("test accuracy, %, on a logit scale", color=GREY)
    else:
        low, high = (float(seen.min()), float(seen.max())) if len(seen) else (0.1, 1.0)
        axes.set_xscale("log")
        axes.set_xlim(low / 1.15, high * 1.15)
        axes.xaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 3, 5, 7) if high < 20 * low else (1,)))
        axes.xaxis.set_major_formatter(tick_label)
        axes.xaxis.set_minor_formatter(ticker.NullFormatter())
        axes.set_xlabel("test loss, on a logarithmic scale", color=GREY)
