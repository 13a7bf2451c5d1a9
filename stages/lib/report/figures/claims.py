"""Claims with their intervals, and variants with theirs: the forest plot and the leaderboard."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import ticker
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.transforms import blended_transform_factory

from stages.lib.judging.units import ACCURACY, WORDS, Unit, finite_column, unit_of
from stages.lib.report.figures.style import (
    BLUE,
    EDGE,
    FAINT,
    GREEN,
    GREY,
    ORANGE,
    PALE,
    SMALL_TEXT,
    STYLED,
    WIDTH,
    ZONE,
    drawable,
    legend,
    line,
    short,
    tick_label,
)
from stages.lib.study.metrics import finite

STRIP = 3.1
"""Inches: the width of a picture in a row of a table."""


VERDICTS = {
    "supported": ("o", GREEN, GREEN),
    "refuted": ("X", ORANGE, ORANGE),
    "equivalent": ("s", BLUE, BLUE),
    "inconclusive": ("D", GREY, "white"),
}
"""How a verdict is drawn: marker, colour, and colour of the marker's face. The marker alone tells it."""


def zone_of(expect: str, margin: float, threshold: float) -> tuple[float, float]:
    """Where the whole interval must lie if the claim is to be supported."""
    return {
        "higher": (margin, math.inf),
        "lower": (-math.inf, -margin),
        "same": (-margin, margin),
        "at_least": (threshold, math.inf),
        "at_most": (-math.inf, threshold),
    }[expect]


@dataclass(frozen=True)
class Row:
    """A claim in the unit of its figure. Numbers that are missing are NaN."""

    claim: Mapping[Any, Any]
    effect: float
    low: float
    high: float
    margin: float
    zone: tuple[float, float]

    @property
    def is_difference(self) -> bool:
        return " − " in self.claim["groups"]

    @property
    def seen(self) -> list[float]:
        """What the axis must show. Zero is in the middle of it for a difference."""
        edges = [edge for edge in self.zone if math.isfinite(edge)]
        mirrored = [-edge for edge in edges] if self.is_difference else []
        return [self.effect, self.low, self.high, *edges, *mirrored]


def _rows(table: pd.DataFrame, unit: Unit) -> list[Row]:
    names = ("effect", "low", "high", "margin", "threshold")
    numbers = zip(*(finite_column(table[name]) * unit.factor for name in names), strict=True)
    return [
        Row(claim, effect, low, high, margin, zone_of(claim["expect"], margin, threshold))
        for claim, (effect, low, high, margin, threshold) in zip(table.to_dict("records"), numbers, strict=True)
    ]


@STYLED
def claims(table: pd.DataFrame, task: str) -> Figure:
    """A panel for each unit, with a row for each claim.

    table: the columns of claims.csv, and `groups`, the variants that are compared.
    """
    left, right, row, head, foot, top = 3.05, 1.75, 0.4, 0.36, 0.36, 0.42  # inches
    units = [unit_of(metric, task) for metric in table["metric"]]
    titles = [unit.title(" − " in groups) for unit, groups in zip(units, table["groups"], strict=True)]
    panels = {title: [i for i, each in enumerate(titles) if each == title] for title in dict.fromkeys(titles)}
    height = top + float(np.sum([head + row * len(rows) + foot for rows in panels.values()]))
    figure = Figure(figsize=(WIDTH, height))
    legend(figure, _claims_legend(set(table["verdict"])))
    place = height - top
    for title, rows in panels.items():
        place -= head
        tall = row * len(rows)
        axes = figure.add_axes((left / WIDTH, (place - tall) / height, 1 - (left + right) / WIDTH, tall / height))
        axes.set_title(title, x=-left / (WIDTH - left - right) + 0.02, pad=7)
        unit = units[rows[0]]
        _claims_panel(axes, _rows(table.iloc[rows], unit), unit)
        place -= tall + foot
    return figure


def _claims_legend(present: Collection[str]) -> list[Artist]:
    verdicts: list[Artist] = [
        line(verdict, colour, marker=marker, markerfacecolor=face, linewidth=1.6)
        for verdict, (marker, colour, face) in VERDICTS.items()
        if verdict in present
    ]
    return [*verdicts, Patch(facecolor=PALE, label="supported if the whole interval lies here")]


def _claims_panel(axes: Axes, rows: list[Row], unit: Unit) -> None:
    note = _effect_scale(axes, rows)
    axes.text(1.02, -0.012, note, transform=axes.transAxes, va="top", fontsize=SMALL_TEXT, color=GREY)
    for y, row in enumerate(rows):
        claim = row.claim
        _draw_effect(axes, y, row)
        about = short(f"{claim['groups']}: {claim['metric']}", 54)
        _two_lines(axes, y, -0.02, "right", short(claim["claim"], 42), about, "black")
        verdict = claim["verdict"] + (", close" if claim["close"] else "")
        measured = "" if math.isnan(row.low) else f"{unit.bare(claim['effect'])} {unit.interval(claim['low'], claim['high'])}"
        _two_lines(axes, y, 1.02, "left", verdict, measured, VERDICTS[claim["verdict"]][1])
    axes.set(ylim=(len(rows) - 0.5, -0.5), yticks=[])
    axes.spines["left"].set_visible(False)


def _draw_effect(axes: Axes, y: int, row: Row) -> None:
    """The zone of a supported claim, and the effect with its interval or the reason why there is none."""
    first, last = axes.get_xlim()
    beside = blended_transform_factory(axes.transAxes, axes.transData)
    marker, colour, face = VERDICTS[row.claim["verdict"]]
    left, right = max(row.zone[0], first), min(row.zone[1], last)
    axes.barh(y, right - left, left=left, height=0.8, color=PALE, zorder=0)
    for edge in row.zone:
        if math.isfinite(edge):
            axes.vlines(edge, y - 0.4, y + 0.4, color=ZONE, linewidth=1)
        else:  # an arrow: the zone goes on
            place, arrow = (0.985, ">") if edge > 0 else (0.015, "<")
            axes.plot(place, y, arrow, color=ZONE, markersize=4, transform=beside)
    if math.isnan(row.low):
        text = f"no interval: {WORDS.get(row.claim['effect'], row.claim['effect'])}"
        over_the_zero_line = {"facecolor": "white", "edgecolor": "none", "pad": 2}
        axes.text(0.5, y, text, transform=beside, ha="center", va="center", color=colour, bbox=over_the_zero_line)
    else:
        axes.hlines(y, row.low, row.high, color=colour, linewidth=1.8)
        axes.plot(row.effect, y, marker, color=colour, markerfacecolor=face, markersize=6)
    axes.set_xlim(first, last)


def _two_lines(axes: Axes, y: float, x: float, align: str, first: str, second: str, colour: str) -> None:
    beside = blended_transform_factory(axes.transAxes, axes.transData)
    rise, place = (0.06, "bottom") if second else (0, "center")
    axes.text(x, y - rise, first, transform=beside, ha=align, va=place, color=colour)
    axes.text(x, y + 0.04, second, transform=beside, ha=align, va="top", fontsize=SMALL_TEXT, color=GREY)


@STYLED
def claim_strips(table: pd.DataFrame, task: str) -> dict[str, Figure]:
    """Claim -> its row by itself, on a scale of its own.

    table: as for `claims`.
    """
    strips = {}
    for i, metric in enumerate(table["metric"]):
        (row,) = _rows(table.iloc[[i]], unit_of(metric, task))
        figure = Figure(figsize=(STRIP, 0.5))
        axes = figure.add_axes((0, 0.5, 1, 0.5))
        if note := _effect_scale(axes, [row], ticks=5):
            figure.set_size_inches(STRIP, 0.64)
            axes.set_position((0, 0.61, 1, 0.39))
            figure.text(1, 0.02, note, ha="right", va="bottom", fontsize=SMALL_TEXT, color=GREY)
        _draw_effect(axes, 0, row)
        axes.set(ylim=(0.5, -0.5), yticks=[])
        axes.spines["left"].set_visible(False)
        axes.tick_params(length=2)
        if math.isnan(row.low):  # nothing to read off a scale
            axes.set_xticks([])
        strips[str(row.claim["claim"])] = figure
    return strips


def _effect_scale(axes: Axes, rows: list[Row], ticks: int = 7) -> str:
    """Set the limits, the scale and the ticks, with a line at zero for differences. All rows have the same unit.

    Where effects dwarf the smallest margin, the axis is linear around zero only. Returns a note about that.
    """
    difference = rows[0].is_difference
    seen = [value for row in rows for value in row.seen if math.isfinite(value)] + ([0.0] if difference else [])
    low, high = (min(seen), max(seen)) if seen else (-1.0, 1.0)
    linear = min((_round_up(2 * row.margin) for row in rows if row.margin > 0), default=math.inf)
    logarithmic = difference and max(-low, high) > 10 * linear
    if logarithmic:
        axes.set_xscale("symlog", linthresh=linear, linscale=0.8)
        low = low * 1.5 if abs(low) > linear else math.copysign(linear * 1.5, low or -1)
        high = high * 1.5 if abs(high) > linear else math.copysign(linear * 1.5, high or 1)
        steps = [linear, *(step for power in range(-6, 9) for step in (10.0**power, 3 * 10.0**power) if step > 1.9 * linear)]
        signed = [sign * step for step in steps for sign in (-1, 1)]
        axes.set_xticks(sorted([0.0, *(tick for tick in signed if low <= tick <= high)]))
        axes.minorticks_off()
    else:
        room = 0.08 * (high - low) or 0.1 * abs(high) or 1.0
        low, high = low - room, high + room
        axes.xaxis.set_major_locator(ticker.MaxNLocator(ticks, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(tick_label)
    axes.set_xlim(low, high)
    if difference:
        axes.axvline(0, color=EDGE, linewidth=0.8)
    return f"logarithmic beyond ±{linear:g}" if logarithmic else ""


def _round_up(value: float) -> float:
    """The next number of the form 1, 2 or 5 times a power of ten."""
    power = 10 ** math.floor(math.log10(value))
    return float(next(step * power for step in (1, 2, 5, 10) if step * power >= value * (1 - 1e-9)))


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
    _mean_scale(axes, _steady_values(replicates, reported, metric, accuracy), accuracy)
    beside = blended_transform_factory(axes.transAxes, axes.transData)
    for y, each in enumerate(rows):
        dots = drawable(finite_column(replicates.loc[replicates["variant"] == each["variant"], metric]), accuracy)
        missing = int(np.isnan(dots).sum())
        axes.axhline(y, color=FAINT, linewidth=0.7, zorder=0)
        axes.plot(dots, np.full(len(dots), y + 0.24), "o", color=BLUE, alpha=0.4, markersize=3.4, markeredgewidth=0)
        text = f"{unit.bare(each['mean'])} {unit.interval(each['low'], each['high'])}"
        if missing:
            text = f"diverged: {missing} of {len(dots)}"
        _draw_mean(axes, y, each, reported, accuracy, whole=not missing)
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
    values = _steady_values(replicates, reported, metric, accuracy)
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
        _draw_mean(axes, 0, each, reported, accuracy, whole=not np.isnan(dots).any())
        strips[str(each["variant"])] = figure
    return head, strips


def _strip(values: np.ndarray, accuracy: bool) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(STRIP, 0.3))
    axes = figure.add_axes((0.01, 0, 0.98, 1))
    _mean_scale(axes, values, accuracy)
    axes.set(ylim=(0.55, -0.45), yticks=[], xlabel="")
    axes.minorticks_off()
    axes.spines[:].set_visible(False)
    return figure, axes


def _steady_values(replicates: pd.DataFrame, reported: Mapping[str, float], metric: str, accuracy: bool) -> np.ndarray:
    """The values that set the limits of the axis.

    Variants with a diverged replicate are left out: the loss of their other replicates can be 1e19.
    """
    diverged = replicates.loc[np.isnan(drawable(finite_column(replicates[metric]), accuracy)), "variant"]
    steady = replicates[~replicates["variant"].isin(diverged)]
    return np.concatenate([finite_column((steady if len(steady) else replicates)[metric]), finite_column(pd.Series(reported))])


def _draw_mean(axes: Axes, y: int, row: Mapping[Any, Any], reported: Mapping[str, float], accuracy: bool, whole: bool) -> None:
    """The mean with its interval, if `whole`: if no replicate diverged; and what the source reports."""
    low, mean, high = drawable(np.array([finite(row[name]) for name in ("low", "mean", "high")]), accuracy)
    if whole:
        axes.hlines(y, low, high, color=BLUE, linewidth=1.8)
        axes.plot(mean, y, "|", color=BLUE, markersize=9, markeredgewidth=2)
    if row["variant"] in reported:
        value = drawable(np.array(reported[row["variant"]]), accuracy)
        axes.plot(value, y, "D", color=ORANGE, markerfacecolor="none", markersize=5.5, gid="reported")


def _mean_scale(axes: Axes, values: np.ndarray, accuracy: bool) -> None:
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
