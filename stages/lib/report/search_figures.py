"""The figures of a search: how soon each strategy finds something good, what was tried, and which setting matters."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from itertools import cycle
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from stages.lib.judging.units import Unit, finite_column, unit_of
from stages.lib.report.figures import BLUE, GREEN, GREY, ORANGE, PALE, STYLED, claims, grid, short
from stages.lib.study import space
from stages.lib.study.settings import Search

OTHERS = "#aaaaaa"
LOOKS = list(zip("o^sDvPX<>", 3 * (BLUE, ORANGE, GREEN), strict=True))
"""Marker and colour of each strategy, over and over; strategies next to each other differ in both."""
WORST = 3.0
"""A loss so many times the best, or an accuracy so many times as far from the best as the median, is on a figure's edge."""


def drawn(search: Search, tables: Mapping[str, pd.DataFrame], task: str) -> dict[str, Figure]:
    """File name -> figure. `tables` are those of metrics/search, the claims with `groups`, what is compared."""
    unit = unit_of(search.metric, task)
    found = {
        "search_progress.svg": progress(search, tables["trials"], unit),
        "search_settings.svg": settings(search, tables, unit),
    }
    if len(tables["claims"]):
        found["search_claims.svg"] = claims(tables["claims"], task)
    return found


def best_so_far(search: Search, trials: pd.DataFrame) -> dict[str, np.ndarray]:
    """Strategy -> the best score up to each trial (seeds, trials), NaN before the first number. Without the default."""
    better, worst = (np.fmin, math.inf) if search.direction == "minimize" else (np.fmax, -math.inf)
    found = {}
    for name in search.strategies:
        rows = trials[trials["strategy"] == name]
        scores = finite_column(rows[search.metric].where(rows["state"] == "complete")).reshape(rows["seed"].nunique(), -1)
        best = better.accumulate(np.where(np.isnan(scores), worst, scores), axis=1)
        found[name] = np.where(np.isinf(best), math.nan, best)
    return found


@STYLED
def progress(search: Search, trials: pd.DataFrame, unit: Unit) -> Figure:
    """A panel for each strategy: its median best score so far and the band over its seeds, before those of the others."""
    best = {name: each * unit.factor for name, each in best_so_far(search, trials).items()}
    medians = {name: np.array([_middle(column) for column in each.T]) for name, each in best.items()}
    default = finite_column(trials.loc[trials["strategy"] == space.DEFAULT, search.metric]) * unit.factor
    figure, panels = grid(len(best), min(len(best), 3), 1.6, above=0.32, below=0.12, top=0.3, bottom=0.45)
    for axes, (name, values) in zip(panels, best.items(), strict=True):
        for other, line in medians.items():
            if other != name:
                axes.plot(np.arange(1, len(line) + 1), line, color=OTHERS, linewidth=0.9, drawstyle="steps-post")
        steps = np.arange(1, values.shape[1] + 1)
        axes.fill_between(
            steps, np.fmin.reduce(values), np.fmax.reduce(values), color=BLUE, alpha=0.22, linewidth=0, step="post"
        )
        dot = "o" if len(steps) == 1 else None  # one trial makes no line
        axes.plot(steps, medians[name], color=BLUE, linewidth=1.6, drawstyle="steps-post", marker=dot, markersize=3)
        if np.isfinite(default).any():
            axes.axhline(float(np.nanmean(default)), color=ORANGE, linewidth=1, linestyle=(0, (3, 1)))
        axes.set_title(short(name, 25), fontsize=8.5)
        axes.set_xlim(1, max(search.trials, 2))
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1))
    _score_scale(panels, np.concatenate([*(each.ravel() for each in best.values()), default]), search)
    for i, axes in enumerate(panels):
        if i % 3:
            axes.set_yticklabels([])
        if i + 3 < len(panels):
            axes.set_xticklabels([])
    handles = [
        Line2D([], [], color=BLUE, linewidth=1.6, label="best so far, median over the seeds"),
        Patch(facecolor=BLUE, alpha=0.22, label="all seeds"),
        Line2D([], [], color=OTHERS, label="the other strategies"),
        Line2D([], [], color=ORANGE, linestyle=(0, (3, 1)), label=f"{search.variant} as it is"),
    ]
    height = figure.get_figheight()
    figure.legend(handles=handles, loc="upper left", bbox_to_anchor=(0.01, 1 - 0.04 / height), ncols=4)
    figure.text(0.5, 0.1 / height, "trials", ha="center", color=GREY)
    _score_title(figure, search, unit)
    return figure


def _score_title(figure: Figure, search: Search, unit: Unit) -> None:
    title = f"{search.metric}, {unit.level}" if unit.level else search.metric
    figure.text(0.004, 0.45, title, va="center", rotation=90, color=GREY)


def _middle(values: np.ndarray) -> float:
    """The median, where at least half of the values are numbers; what has none yet counts as worse than all."""
    known = np.sort(values[np.isfinite(values)])
    return float(np.median(known)) if len(known) == len(values) else math.nan


def _score_scale(panels: list[Axes], values: np.ndarray, search: Search, cut: bool = False) -> None:
    """One scale of scores for all panels: logarithmic, up to WORST, for a loss; linear, `cut` there or not, for an accuracy."""
    seen = values[np.isfinite(values)]
    low, high = (float(seen.min()), float(seen.max())) if len(seen) else (0.1, 1.0)
    for axes in panels:
        if search.direction == "minimize" and low > 0:
            axes.set_yscale("log")
            axes.set_ylim(low / 1.03, min(high, WORST * low) * 1.03)
            axes.yaxis.set_major_locator(
                LogLocator(subs=(1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8) if high < 10 * low else (1, 2, 5))
            )
            axes.minorticks_off()
        else:
            if cut and len(seen):
                low = max(low, high - WORST * (high - float(np.median(seen))))
            room = 0.05 * (high - low) or 0.01
            axes.set_ylim(low - room, high + room)
            axes.yaxis.set_major_locator(MaxNLocator(5))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda tick, _: f"{tick:g}"))
        axes.grid(axis="y", color="#eeeeee", linewidth=0.7)
        axes.set_axisbelow(True)


@STYLED
def settings(search: Search, tables: Mapping[str, pd.DataFrame], unit: Unit) -> Figure:
    """A panel for each range: the score of every trial against what it tried; on the edge, what diverged. Bars: importance."""
    trials, winners = tables["trials"], tables["winners"]
    shares = dict(zip(tables["importance"]["name"], finite_column(tables["importance"]["share"]), strict=True))
    figure, panels = grid(len(search.space), min(len(search.space), 3), 2.3, above=0.46, below=0.5, top=0.3)
    scores = finite_column(trials[search.metric]) * unit.factor
    _score_scale(panels, scores, search, cut=True)
    bottom, top = panels[0].get_ylim()
    worst = top if search.direction == "minimize" else bottom
    placed = np.where(np.isnan(scores), worst, np.clip(scores, bottom, top))
    best = set(zip(winners["strategy"], winners["seed"], winners["trial"], strict=True))
    won = np.array([each in best for each in zip(trials["strategy"], trials["seed"], trials["trial"], strict=True)])
    for i, (axes, (name, each)) in enumerate(zip(panels, search.space.items(), strict=True)):
        column = trials[each.key].astype(str)
        if each.choices:
            names = list(dict.fromkeys([*(json.dumps(choice).strip('"') for choice in each.choices), *column]))
            places = np.array([names.index(value) for value in column], dtype=float)
            axes.set_xticks(range(len(names)), [short(value, 12) for value in names])
            axes.set_xlim(-0.5, len(names) - 0.5)
        else:
            places = finite_column(column)
            axes.xaxis.set_major_locator(MaxNLocator(5, integer=each.integers is not None))
        if each.log_uniform:
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter(FuncFormatter(lambda tick, _: f"{tick:g}"))
            axes.xaxis.set_minor_formatter(NullFormatter())
        for (marker, colour), strategy in zip(cycle(LOOKS), search.strategies, strict=False):
            for chosen, alpha, size in ((~won, 0.45, 3.2), (won, 1.0, 6.0)):
                rows = (trials["strategy"] == strategy).to_numpy() & chosen
                edge = "black" if size > 4 else "none"
                look: dict[str, Any] = {"color": colour, "alpha": alpha, "markersize": size, "markeredgecolor": edge}
                axes.plot(places[rows], placed[rows], marker, markeredgewidth=0.8, clip_on=False, **look)
        axes.set_title(short(name.replace("_", " "), 25), fontsize=8.5, pad=13)
        if name in shares:
            _importance(axes, shares[name])
        axes.set_xlabel(short(each.key, 40), color=GREY, fontsize=7.5)
        if i % 3:
            axes.set_yticklabels([])
    handles = [
        Line2D([], [], color=colour, marker=marker, linestyle="", markersize=4, label=short(strategy, 16))
        for (marker, colour), strategy in zip(cycle(LOOKS), search.strategies, strict=False)
    ]
    handles.append(
        Line2D([], [], color="white", marker="o", linestyle="", markersize=6, markeredgecolor="black", label="best of a seed")
    )
    figure.legend(handles=handles, loc="upper left", bbox_to_anchor=(0.01, 1 - 0.03 / figure.get_figheight()), ncols=8)
    _score_title(figure, search, unit)
    return figure


def _importance(axes: Axes, share: float) -> None:
    """A bar above the panel as long as the share, of the panel's width."""
    axes.add_patch(Rectangle((0, 1.03), 1, 0.022, transform=axes.transAxes, clip_on=False, color=PALE, linewidth=0))
    axes.add_patch(Rectangle((0, 1.03), share, 0.022, transform=axes.transAxes, clip_on=False, color=BLUE, linewidth=0))
    axes.text(1, 1.07, f"importance {100 * share:.0f} %", transform=axes.transAxes, ha="right", fontsize=6.8, color=GREY)
