"""The figures of a search: how soon each strategy finds something good, what was tried, and which setting matters."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from itertools import cycle, islice
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from stages.lib.judging.units import Unit, finite_column, unit_of
from stages.lib.report.figures.claims import claims
from stages.lib.report.figures.style import (
    BLUE,
    DASHED,
    GREEN,
    GREY,
    ORANGE,
    OTHERS,
    PALE,
    PANEL_TITLE,
    SMALL_TEXT,
    STYLED,
    faint_grid,
    grid,
    label_outer,
    legend,
    line,
    short,
    text_below,
    tick_label,
)
from stages.lib.study import space
from stages.lib.study.search import Range, Search

COLUMNS = 3
LOOKS = list(zip(2 * "o^sDvPX<>", (3 * (BLUE, ORANGE, GREEN) + 3 * (ORANGE, GREEN, BLUE)), strict=True))
"""Markers and colours of the strategies, in a circle. Neighbours differ in both."""
WORST = 3.0
"""A score beyond this lies on the figure's edge: as a multiple of the best loss, or of the distance from the best accuracy to
the median."""


def search_figures(search: Search, tables: Mapping[str, pd.DataFrame], task: str) -> dict[str, Figure]:
    """File name -> figure.

    tables: those of metrics/search. The claims have `groups`, the strategies that are compared.
    """
    unit = unit_of(search.metric, task)
    drawn = {
        "search_progress.svg": progress(search, tables["trials"], unit),
        "search_settings.svg": settings_tried(search, tables, unit),
    }
    if len(tables["claims"]):
        drawn["search_claims.svg"] = claims(tables["claims"], task)
    return drawn


def best_so_far(search: Search, trials: pd.DataFrame) -> dict[str, np.ndarray]:
    """Strategy -> the best score up to each trial, (seeds, trials). NaN before the first number."""
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
    """A panel for each strategy: its median best score so far and the band over its seeds, in front of the others' medians."""
    best = {name: each * unit.factor for name, each in best_so_far(search, trials).items()}
    medians = {name: np.median(each, axis=0) for name, each in best.items()}
    default = finite_column(trials.loc[trials["strategy"] == space.DEFAULT, search.metric]) * unit.factor
    figure, panels = grid(len(best), min(len(best), COLUMNS), 1.6, above=0.32, below=0.12, top=0.3, bottom=0.45)
    for axes, (name, values) in zip(panels, best.items(), strict=True):
        for other, median in medians.items():
            if other != name:
                axes.plot(np.arange(1, len(median) + 1), median, color=OTHERS, linewidth=0.9, drawstyle="steps-post")
        steps = np.arange(1, values.shape[1] + 1)
        low, high = np.fmin.reduce(values), np.fmax.reduce(values)
        axes.fill_between(steps, low, high, color=BLUE, alpha=0.22, linewidth=0, step="post")
        dot = "o" if len(steps) == 1 else None  # one trial makes no line
        axes.plot(steps, medians[name], color=BLUE, linewidth=1.6, drawstyle="steps-post", marker=dot, markersize=3)
        if np.isfinite(default).any():
            axes.axhline(float(np.nanmean(default)), color=ORANGE, linewidth=1, linestyle=DASHED)
        axes.set_title(short(name, 25), fontsize=PANEL_TITLE)
        axes.set_xlim(1, max(search.trials, 2))
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1))
    _score_scale(panels, np.concatenate([*(each.ravel() for each in best.values()), default]), search)
    label_outer(panels, COLUMNS)
    handles = [
        line("best so far, median over the seeds", BLUE, linewidth=1.6),
        Patch(facecolor=BLUE, alpha=0.22, label="all seeds"),
        line("the other strategies", OTHERS),
        line(f"{search.variant} as it is", ORANGE, linestyle=DASHED),
    ]
    legend(figure, handles, inches=0.04)
    text_below(figure, "trials")
    _score_title(figure, search, unit)
    return figure


def _score_title(figure: Figure, search: Search, unit: Unit) -> None:
    title = f"{search.metric}, {unit.level}" if unit.level else search.metric
    figure.text(0.004, 0.45, title, va="center", rotation=90, color=GREY)


def _score_scale(panels: list[Axes], values: np.ndarray, search: Search, cut: bool = False) -> None:
    """The same scale of scores for all panels: logarithmic for a loss, linear for an accuracy.

    cut: whether the scale of an accuracy ends at WORST. That of a loss always does.
    """
    seen = values[np.isfinite(values)]
    low, high = (float(seen.min()), float(seen.max())) if len(seen) else (0.1, 1.0)
    for axes in panels:
        if search.direction == "minimize" and low > 0:
            axes.set_yscale("log")
            axes.set_ylim(low / 1.03, min(high, WORST * low) * 1.03)
            steps = (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8) if high < 10 * low else (1, 2, 5)
            axes.yaxis.set_major_locator(LogLocator(subs=steps))
            axes.minorticks_off()
        else:
            if cut and len(seen):
                low = max(low, high - WORST * (high - float(np.median(seen))))
            room = 0.05 * (high - low) or 0.01
            axes.set_ylim(low - room, high + room)
            axes.yaxis.set_major_locator(MaxNLocator(5))
        axes.yaxis.set_major_formatter(tick_label)
        faint_grid(axes)


@STYLED
def settings_tried(search: Search, tables: Mapping[str, pd.DataFrame], unit: Unit) -> Figure:
    """A panel for each range: the score of every trial against the setting that it tried, and the range's importance.

    A trial that diverged lies on the edge.
    """
    trials, winners = tables["trials"], tables["winners"]
    shares = dict(zip(tables["importance"]["name"], finite_column(tables["importance"]["share"]), strict=True))
    figure, panels = grid(len(search.space), min(len(search.space), COLUMNS), 2.3, above=0.46, below=0.5, top=0.3)
    scores = finite_column(trials[search.metric]) * unit.factor
    _score_scale(panels, scores, search, cut=True)
    bottom, top = panels[0].get_ylim()
    worst = top if search.direction == "minimize" else bottom
    placed = np.where(np.isnan(scores), worst, np.clip(scores, bottom, top))
    best = set(zip(winners["strategy"], winners["seed"], winners["trial"], strict=True))
    won = np.array([each in best for each in zip(trials["strategy"], trials["seed"], trials["trial"], strict=True)])
    looks = dict(zip(search.strategies, islice(cycle(LOOKS), len(search.strategies)), strict=True))
    for i, (axes, (name, each)) in enumerate(zip(panels, search.space.items(), strict=True)):
        places = _setting_scale(axes, each, trials[each.key].astype(str))
        for strategy, (marker, colour) in looks.items():
            own = (trials["strategy"] == strategy).to_numpy()
            for rows, alpha, size, edge in ((own & ~won, 0.45, 3.2, "none"), (own & won, 1.0, 6.0, "black")):
                look: dict[str, Any] = {"color": colour, "alpha": alpha, "markersize": size, "markeredgecolor": edge}
                axes.plot(places[rows], placed[rows], marker, markeredgewidth=0.8, clip_on=False, **look)
        axes.set_title(short(name.replace("_", " "), 25), fontsize=PANEL_TITLE, pad=13)
        if name in shares:
            _importance(axes, shares[name])
        axes.set_xlabel(short(each.key, 40), color=GREY, fontsize=7.5)
        if i % COLUMNS:
            axes.set_yticklabels([])
    handles = [line(short(name, 16), colour, marker=dot, linestyle="", markersize=4) for name, (dot, colour) in looks.items()]
    handles.append(line("best of a seed", "white", marker="o", linestyle="", markersize=6, markeredgecolor="black"))
    legend(figure, handles, inches=0.03, columns=6 if len(handles) > 8 else 8)  # longer names than those of methods
    _score_title(figure, search, unit)
    return figure


def _setting_scale(axes: Axes, tried: Range, column: pd.Series) -> np.ndarray:
    """Set the scale and the ticks of the x axis. Returns the places of the tried values, (trials,)."""
    if tried.choices:
        choices = [json.dumps(choice).strip('"') for choice in tried.choices]
        names = list(dict.fromkeys([*choices, *column]))
        axes.set_xticks(range(len(names)), [short(value, 12) for value in names])
        axes.set_xlim(-0.5, len(names) - 0.5)
        return np.array([names.index(value) for value in column], dtype=float)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=tried.integers is not None))
    if tried.log_uniform:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(tick_label)
        axes.xaxis.set_minor_formatter(NullFormatter())
    return finite_column(column)


def _importance(axes: Axes, share: float) -> None:
    """A bar above the panel. The panel's width is 100 %."""
    axes.add_patch(Rectangle((0, 1.03), 1, 0.022, transform=axes.transAxes, clip_on=False, color=PALE, linewidth=0))
    axes.add_patch(Rectangle((0, 1.03), share, 0.022, transform=axes.transAxes, clip_on=False, color=BLUE, linewidth=0))
    text = f"importance {100 * share:.0f} %"
    axes.text(1, 1.07, text, transform=axes.transAxes, ha="right", fontsize=SMALL_TEXT, color=GREY)
