"""The figures: tables in, Matplotlib figures out, and their bytes, which are the same from run to run.

Nothing here uses pyplot, whose state is global, nor the user's matplotlibrc. Verdicts differ by marker as well as by colour,
and the colours (after Okabe and Ito, darkened for contrast on white) stay apart for the colour-blind.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import style, ticker
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.transforms import blended_transform_factory

from stages.lib.judging.units import ACCURACY, Unit, finite_column, power_of_ten, short_number, unit_of, with_minus
from stages.lib.study.metrics import finite

WIDTH = 9.375  # inches: 900 pixels, what a README shows without scaling
GREY, PALE, BLUE, ORANGE, GREEN = "#666666", "#dfe7ee", "#0060a8", "#b84100", "#00735a"
FAINT = "#eeeeee"
THEME = {GREY: "soft", PALE: "pale", BLUE: "blue", ORANGE: "orange", GREEN: "green", FAINT: "grid"}
THEME |= {"#999999": "edge", "#aaaaaa": "edge", "#8fa5b8": "edge", "#000000": "ink", "#ffffff": "back"}
"""Colour -> the variable of the page's style sheet that stands for it."""

STYLED = style.context(
    [
        "default",
        {
            "font.family": "DejaVu Sans",  # ships with Matplotlib
            "font.size": 8.5,
            "axes.titlesize": 9.5,
            "axes.titlelocation": "left",
            "axes.titleweight": "bold",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.edgecolor": "#999999",
            "axes.linewidth": 0.7,
            "xtick.color": GREY,
            "ytick.color": GREY,
            "xtick.major.width": 0.7,
            "ytick.major.width": 0.7,
            "legend.frameon": False,
            "text.parse_math": False,  # a class may be called $5
            "svg.hashsalt": "tips-on-trial",  # fixed ids
            "svg.fonttype": "none",  # text stays text: a fifth of the bytes
        },
    ]
)
"""Decorator: the style of every figure, whatever the user's own."""


@dataclass(frozen=True)
class Look:
    """How a verdict is drawn."""

    marker: str
    colour: str
    face: str


VERDICTS = {
    "supported": Look("o", GREEN, GREEN),
    "refuted": Look("X", ORANGE, ORANGE),
    "equivalent": Look("s", BLUE, BLUE),
    "inconclusive": Look("D", GREY, "white"),
}


def drawable(values: np.ndarray, accuracy: bool) -> np.ndarray:
    """Values that a logit scale (of an accuracy) or a logarithmic one can show: its ends lie at infinity."""
    return np.asarray(np.clip(values, 1e-4, 1 - 1e-4) if accuracy else np.maximum(values, 1e-9))


# Bytes


def svg(figure: Figure) -> bytes:
    """The figure as SVG, without date or version, and at half of the size that Matplotlib writes.

    Where DejaVu Sans is missing, its relative Verdana is as wide, and the usual sans serifs are narrower: no text runs over.
    """
    text = _svg(figure).replace(b"<svg ", b"<svg font-family=\"'DejaVu Sans', Verdana, sans-serif\" ", 1)
    return re.sub(rb'<g id="[^"]*"', b"<g", text)


def inline(figure: Figure, prefix: str, marks: Mapping[str, Mapping[str, str]] | None = None) -> str:
    """The figure as an element of a page: no background, as wide as there is room, in the colours of the page's theme.

    prefix: of every id, since no two figures of a page may share one.
    marks: gid -> the attributes that its group has instead; `title` becomes a child, which browsers show as a tool tip.
    """
    figure.patch.set_visible(False)
    for axes in figure.axes:
        axes.patch.set_visible(False)
    width, height = 72 * figure.get_size_inches()
    text = _svg(figure).decode()
    text = text[text.index("</style>") :].partition("</defs>")[2]  # what is before holds no mark of the figure's
    text = re.sub('#[0-9a-f]{6}(?=[;"])', lambda match: f"var(--{THEME[match[0]]})", text)

    def marked(match: re.Match[str]) -> str:
        attributes = dict((marks or {}).get(match[1], {}))
        title = attributes.pop("title", "")
        pairs = "".join(f' {name}="{escape(value)}"' for name, value in attributes.items())
        return f"<g{pairs}>" + (f"<title>{escape(title)}</title>" if title else "")

    text = re.sub(r'(?<= id=")|(?<=href="#)|(?<=url\(#)', prefix, re.sub('<g id="([^"]*)">', marked, text))
    return f'<svg viewBox="0 0 {width:g} {height:g}">{text.replace("xlink:href", "href").strip()}'


def _svg(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    _save(figure, buffer, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    text = buffer.getvalue().replace(b" font-family: 'DejaVu Sans';", b"")
    text = re.sub(rb' transform="rotate\(-0 [^"]*"', b"", text)  # not turned at all
    text = re.sub(rb' (?:d|x|y)="[^"]*"', lambda match: re.sub(rb"\d+\.\d+", _rounded, match[0]), text)
    text = re.sub(rb"(?<=\d) \nL (?=[^\"]*\")", b" ", text)  # a line goes on without its letter
    return _ALIKE.sub(_with_one_style, re.sub(rb"\n +", b"\n", text))


_ALIKE = re.compile(rb'<use [^>]* style="([^"]*)"/>\n(?:<use [^>]* style="\1"/>\n){49,}')
"""Fifty markers or more, one after the other, that look the same."""


def _with_one_style(match: re.Match[bytes]) -> bytes:
    """These markers in a group that has their style."""
    style = b' style="%s"' % match[1]
    return b"<g%s>\n%s</g>\n" % (style, match[0].replace(style, b""))


def png(figure: Figure) -> bytes:
    """The figure as PNG with two pixels to each of the page's, without date or version."""
    buffer = io.BytesIO()
    _save(figure, buffer, format="png", dpi=192, metadata={"Software": None})
    return buffer.getvalue()


@STYLED
def _save(figure: Figure, buffer: io.BytesIO, **how: Any) -> None:
    figure.savefig(buffer, facecolor="white", **how)


def _rounded(match: re.Match[bytes]) -> bytes:
    number = float(match[0])
    return f"{number:.{2 if number < 10 else 1}f}".rstrip("0").rstrip(".").encode()


# Claims


def target(expect: str, margin: float, threshold: float) -> tuple[float, float]:
    """Where the whole interval must lie for the claim to be supported."""
    return {
        "higher": (margin, math.inf),
        "lower": (-math.inf, -margin),
        "same": (-margin, margin),
        "at_least": (threshold, math.inf),
        "at_most": (-math.inf, threshold),
    }[expect]


@STYLED
def claims(table: pd.DataFrame, task: str) -> Figure:
    """Effects with their intervals, and the zone in which a supported claim's interval lies: a panel for each unit.

    table: the columns of claims.csv, and `groups`, what is compared.
    """
    left, right, row, head, foot, legend = 3.05, 1.75, 0.4, 0.36, 0.36, 0.42  # inches
    units = [unit_of(metric, task) for metric in table["metric"]]
    titles = [unit.title(" − " in groups) for unit, groups in zip(units, table["groups"], strict=True)]
    panels = {title: [i for i, each in enumerate(titles) if each == title] for title in dict.fromkeys(titles)}
    height = legend + sum(head + row * len(rows) + foot for rows in panels.values())
    figure = Figure(figsize=(WIDTH, height))
    _claims_legend(figure, set(table["verdict"]), height)
    top = height - legend
    for title, rows in panels.items():
        top -= head
        tall = row * len(rows)
        axes = figure.add_axes((left / WIDTH, (top - tall) / height, 1 - (left + right) / WIDTH, tall / height))
        axes.set_title(title, x=-left / (WIDTH - left - right) + 0.02, pad=7)
        _claims_panel(axes, table.iloc[rows], units[rows[0]])
        top -= tall + foot
    return figure


def _claims_legend(figure: Figure, present: Collection[str], height: float) -> None:
    handles: list[Any] = [
        Line2D([], [], marker=look.marker, color=look.colour, markerfacecolor=look.face, label=verdict, linewidth=1.6)
        for verdict, look in VERDICTS.items()
        if verdict in present
    ]
    handles.append(Patch(facecolor=PALE, label="supported if the whole interval lies here"))
    figure.legend(handles=handles, loc="upper left", bbox_to_anchor=(0.01, 1 - 0.06 / height), ncols=len(handles))


def _claims_panel(axes: Axes, rows: pd.DataFrame, unit: Unit) -> None:
    effects, lows, highs = (finite_column(rows[name]) * unit.factor for name in ("effect", "low", "high"))
    margins, thresholds = (finite_column(rows[name]) * unit.factor for name in ("margin", "threshold"))
    zones = [target(*each) for each in zip(rows["expect"], margins, thresholds, strict=True)]
    difference = " − " in rows["groups"].iloc[0]
    edges = np.array([edge for zone in zones for edge in zone if math.isfinite(edge)])
    scale = _effect_scale(
        axes, np.concatenate([effects, lows, highs, edges, -edges if difference else edges]), margins, difference
    )
    axes.text(1.02, -0.012, scale, transform=axes.transAxes, va="top", fontsize=6.8, color=GREY)
    if difference:
        axes.axvline(0, color="#999999", linewidth=0.8)
    for y, claim in enumerate(rows.to_dict("records")):
        look = VERDICTS[claim["verdict"]]
        _claim_row(axes, y, claim, zones[y], (effects[y], lows[y], highs[y]))
        about = short(f"{claim['groups']}: {claim['metric']}", 54)
        _two_lines(axes, y, -0.02, "right", short(claim["claim"], 42), about, "black")
        measured = "" if math.isnan(lows[y]) else f"{unit.bare(claim['effect'])} {unit.interval(claim['low'], claim['high'])}"
        _two_lines(axes, y, 1.02, "left", claim["verdict"] + (", close" if claim["close"] else ""), measured, look.colour)
    axes.set(ylim=(len(rows) - 0.5, -0.5), yticks=[])
    axes.spines["left"].set_visible(False)


def _claim_row(
    axes: Axes, y: int, claim: Mapping[Any, Any], zone: tuple[float, float], numbers: tuple[float, float, float]
) -> None:
    """The zone of a supported claim, and the effect with its interval: `numbers`, low and high NaN where there is none."""
    first, last = axes.get_xlim()
    beside = blended_transform_factory(axes.transAxes, axes.transData)
    look, (effect, low, high) = VERDICTS[claim["verdict"]], numbers
    left, right = max(zone[0], first), min(zone[1], last)
    axes.barh(y, right - left, left=left, height=0.8, color=PALE, zorder=0)
    for edge in zone:
        if math.isfinite(edge):
            axes.vlines(edge, y - 0.4, y + 0.4, color="#8fa5b8", linewidth=1)
        else:  # the zone goes on
            axes.plot(
                0.985 if edge > 0 else 0.015, y, ">" if edge > 0 else "<", color="#8fa5b8", markersize=4, transform=beside
            )
    if math.isnan(low):
        text = "no interval: " + {"never": "never reached"}.get(claim["effect"], claim["effect"])
        free = {"facecolor": "white", "edgecolor": "none", "pad": 2}  # of the line at zero
        axes.text(0.5, y, text, transform=beside, ha="center", va="center", color=look.colour, bbox=free)
    else:
        axes.hlines(y, low, high, color=look.colour, linewidth=1.8)
        axes.plot(effect, y, look.marker, color=look.colour, markerfacecolor=look.face, markersize=6)
    axes.set_xlim(first, last)


STRIP = 3.1  # inches: the width of a picture in a row of a table


@STYLED
def claim_strips(table: pd.DataFrame, task: str) -> dict[str, Figure]:
    """Claim -> its row of the figure above by itself, on a scale of its own. table: as there."""
    strips = {}
    for i, claim in enumerate(table.to_dict("records")):
        unit = unit_of(claim["metric"], task)
        figure = Figure(figsize=(STRIP, 0.5))
        axes = figure.add_axes((0, 0.5, 1, 0.5))
        effect, low, high, margin, threshold = (
            finite(claim[name]) * unit.factor for name in ("effect", "low", "high", "margin", "threshold")
        )
        zone = target(claim["expect"], margin, threshold)
        difference = " − " in claim["groups"]
        edges = np.array([edge for edge in zone if math.isfinite(edge)])
        seen = np.concatenate([[effect, low, high], edges, -edges if difference else edges])
        if scale := _effect_scale(axes, seen, np.array([margin]), difference, ticks=5):
            figure.set_size_inches(STRIP, 0.64)
            axes.set_position((0, 0.61, 1, 0.39))
            figure.text(1, 0.02, scale, ha="right", va="bottom", fontsize=6.8, color=GREY)
        if difference:
            axes.axvline(0, color="#999999", linewidth=0.8)
        _claim_row(axes, 0, claim, zone, (effect, low, high))
        axes.set(ylim=(0.5, -0.5), yticks=[])
        axes.spines["left"].set_visible(False)
        axes.tick_params(length=2)
        if math.isnan(low):  # no scale either
            axes.set_xticks([])
        strips[str(table["claim"].iloc[i])] = figure
    return strips


def _two_lines(axes: Axes, y: float, x: float, align: str, first: str, second: str, colour: str) -> None:
    beside = blended_transform_factory(axes.transAxes, axes.transData)
    axes.text(
        x, y - (0.06 if second else 0), first, transform=beside, ha=align, va="bottom" if second else "center", color=colour
    )
    axes.text(x, y + 0.04, second, transform=beside, ha=align, va="top", fontsize=6.8, color=GREY)


def _effect_scale(axes: Axes, values: np.ndarray, margins: np.ndarray, difference: bool, ticks: int = 7) -> str:
    """Limits, scale and ticks: where effects dwarf the smallest margin the axis is linear only around it, which is said.

    Returns what is said of the scale; nothing of a linear one.
    """
    said, seen = "", np.append(values[np.isfinite(values)], [0.0] if difference else [])
    low, high = (float(seen.min()), float(seen.max())) if len(seen) else (-1.0, 1.0)
    counted = margins[margins > 0]
    linear = _round_up(2 * float(counted.min())) if len(counted) else math.inf
    if difference and max(-low, high) > 10 * linear:
        axes.set_xscale("symlog", linthresh=linear, linscale=0.8)
        steps = [linear, *(step for power in range(-6, 9) for step in (10.0**power, 3 * 10.0**power) if step > 1.9 * linear)]
        signed = [sign * step for step in steps for sign in (-1, 1)]
        low, high = (
            edge * 1.5 if abs(edge) > linear else math.copysign(linear * 1.5, edge or side)
            for edge, side in ((low, -1), (high, 1))
        )
        axes.set_xticks(sorted([0.0, *(tick for tick in signed if low <= tick <= high)]))
        axes.minorticks_off()
        said = f"logarithmic beyond ±{linear:g}"
    else:
        room = 0.08 * (high - low) or 0.1 * abs(high) or 1.0
        low, high = low - room, high + room
        axes.xaxis.set_major_locator(ticker.MaxNLocator(ticks, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(ticker.FuncFormatter(lambda tick, _: short_number(tick)))
    axes.set_xlim(low, high)
    return said


def _round_up(value: float) -> float:
    """The next number of the form 1, 2 or 5 times a power of ten."""
    power = 10 ** math.floor(math.log10(value))
    return float(next(step * power for step in (1, 2, 5, 10) if step * power >= value * (1 - 1e-9)))


# Variants

ACCURACY_TICKS = (0.01, 0.1, 0.2, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.97, 0.98, 0.99, 0.995, 0.998, 0.999)


@STYLED
def leaderboard(
    summary: pd.DataFrame, replicates: pd.DataFrame, reported: Mapping[str, float], metric: str, task: str
) -> Figure:
    """Every variant's mean of the metric with its interval, its replicates as dots, the best first and what diverged last."""
    unit = unit_of(metric, task)
    rows = ranked(summary, metric, task).to_dict("records")
    left, right, row, top, bottom = 2.1, 1.75, 0.25, 0.42, 0.55  # inches
    height = top + row * len(rows) + bottom
    figure = Figure(figsize=(WIDTH, height))
    axes = figure.add_axes((left / WIDTH, bottom / height, 1 - (left + right) / WIDTH, row * len(rows) / height))
    accuracy = unit is ACCURACY
    _quality_scale(axes, _leaderboard_values(replicates, reported, metric, accuracy), accuracy)
    for y, line in enumerate(rows):
        dots = drawable(finite_column(replicates.loc[replicates["variant"] == line["variant"], metric]), accuracy)
        missing = int(np.isnan(dots).sum())
        axes.axhline(y, color="#eeeeee", linewidth=0.7, zorder=0)
        axes.plot(dots, np.full(len(dots), y + 0.24), "o", color=BLUE, alpha=0.4, markersize=3.4, markeredgewidth=0)
        text = f"{unit.bare(line['mean'])} {unit.interval(line['low'], line['high'])}"
        if missing:
            text = f"diverged: {missing} of {len(dots)}"
        _leaderboard_row(axes, y, line, reported, accuracy, whole=not missing)
        axes.text(1.02, y, text, transform=blended_transform_factory(axes.transAxes, axes.transData), va="center", color=GREY)
    axes.set_yticks(range(len(rows)), [short(line["variant"], 29) for line in rows], color="black")
    axes.set(ylim=(len(rows) - 0.5, -0.5))
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    handles = [
        Line2D([], [], color=BLUE, marker="|", markersize=9, markeredgewidth=2, linewidth=1.8, label="mean and interval"),
        Line2D([], [], color=BLUE, marker="o", alpha=0.35, markersize=4, linestyle="", label="one replicate"),
        Line2D([], [], color=ORANGE, marker="D", markerfacecolor="none", linestyle="", label="reported by the source"),
    ]
    figure.legend(handles=handles[: 3 if reported else 2], loc="upper left", bbox_to_anchor=(0.01, 1 - 0.04 / height), ncols=3)
    return figure


def _leaderboard_values(replicates: pd.DataFrame, reported: Mapping[str, float], metric: str, accuracy: bool) -> np.ndarray:
    """What the axis has to hold: beside replicates of NaN there may be one of 1e19, which it need not."""
    lost = replicates.loc[np.isnan(drawable(finite_column(replicates[metric]), accuracy)), "variant"]
    steady = replicates[~replicates["variant"].isin(lost)]
    return np.concatenate([finite_column((steady if len(steady) else replicates)[metric]), finite_column(pd.Series(reported))])


def _leaderboard_row(
    axes: Axes, y: int, line: Mapping[Any, Any], reported: Mapping[str, float], accuracy: bool, whole: bool
) -> None:
    """The mean with its interval, where the replicates are whole, and what the source reports."""
    low, mean, high = drawable(np.array([finite(line[name]) for name in ("low", "mean", "high")]), accuracy)
    if whole:
        axes.hlines(y, low, high, color=BLUE, linewidth=1.8)
        axes.plot(mean, y, "|", color=BLUE, markersize=9, markeredgewidth=2)
    if line["variant"] in reported:
        value = drawable(np.array(reported[line["variant"]]), accuracy)
        axes.plot(value, y, "D", color=ORANGE, markerfacecolor="none", markersize=5.5, gid="reported")


@STYLED
def leaderboard_strips(
    summary: pd.DataFrame, replicates: pd.DataFrame, reported: Mapping[str, float], metric: str, task: str
) -> tuple[Figure, dict[str, Figure]]:
    """The axis, and variant -> its row of the figure above by itself, each replicate a group whose gid is its seed."""
    accuracy = unit_of(metric, task) is ACCURACY
    values = _leaderboard_values(replicates, reported, metric, accuracy)

    def strip() -> tuple[Figure, Axes]:
        figure = Figure(figsize=(STRIP, 0.3))
        axes = figure.add_axes((0.01, 0, 0.98, 1))
        _quality_scale(axes, values, accuracy)
        axes.set(ylim=(0.55, -0.45), yticks=[], xlabel="")
        axes.minorticks_off()
        axes.spines[:].set_visible(False)
        return figure, axes

    head, axes = strip()
    axes.tick_params(axis="x", length=0, pad=-14)
    strips = {}
    for line in ranked(summary, metric, task).to_dict("records"):
        figure, axes = strip()
        axes.grid(axis="x", color=FAINT, linewidth=0.7)
        axes.tick_params(axis="x", length=0, labelbottom=False)
        rows = replicates[replicates["variant"] == line["variant"]]
        dots = drawable(finite_column(rows[metric]), accuracy)
        for seed, dot in zip(rows["seed"], dots, strict=True):
            axes.plot(dot, 0.26, "o", color=BLUE, alpha=0.4, markersize=3.8, markeredgewidth=0, gid=f"seed {seed}")
        _leaderboard_row(axes, 0, line, reported, accuracy, whole=not np.isnan(dots).any())
        strips[str(line["variant"])] = figure
    return head, strips


def ranked(summary: pd.DataFrame, metric: str, task: str) -> pd.DataFrame:
    """The summary's rows of one metric, the best mean first; equals, and what diverged, in the order of the file."""
    rows = summary[summary["metric"] == metric]
    key = finite_column(rows["mean"]) * (-1 if unit_of(metric, task) is ACCURACY else 1)
    return rows.iloc[np.argsort(key, kind="stable")]  # NaN goes last


def _quality_scale(axes: Axes, values: np.ndarray, accuracy: bool) -> None:
    """Logit for an accuracy, logarithmic for a loss: the best variants differ by little, and are what one looks at."""
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
        axes.xaxis.set_major_formatter(ticker.FuncFormatter(lambda tick, _: f"{tick:g}"))
        axes.xaxis.set_minor_formatter(ticker.NullFormatter())
        axes.set_xlabel("test loss, on a logarithmic scale", color=GREY)


# Curves


def measures(curves: pd.DataFrame) -> list[str]:
    """What the curves measure of the training rows: loss, and accuracy or mae."""
    means = [name.removesuffix("_mean") for name in curves.columns if name.endswith("_mean")]
    return [name for name in means if not name.startswith("val_")]


VERTICES = 10_000
"""Of all curves of a figure, about: many variants with many epochs are thinned, so that the file stays small."""


def thinned(group: pd.DataFrame, points: int) -> pd.DataFrame:
    """At most that many rows, evenly, the first and the last among them."""
    return group.iloc[np.linspace(0, len(group) - 1, min(points, len(group))).round().astype(int)]


@STYLED
def learning_curves(curves: pd.DataFrame, parents: Mapping[str, str | None], measure: str) -> Figure:
    """A panel for each variant: its mean over the seeds and the band from smallest to largest, before its parent in grey."""
    groups = _groups(curves)
    validated = f"val_{measure}_mean" in curves
    figure, panels = grid(len(groups), 4, 1.2, above=0.38, below=0.06, top=0.3, bottom=0.45)
    for axes, (variant, group) in zip(panels, groups.items(), strict=True):
        parent = parents.get(variant)
        _curve_panel(axes, group, groups.get(parent or ""), measure)
        axes.set_title(short(variant, 25), fontsize=8.5, pad=12.5)
        axes.text(0, 1.03, f"grey: {parent}" if parent in groups else "", transform=axes.transAxes, fontsize=6.8, color=GREY)
    _curve_scale(panels, curves, measure)
    handles: list[Any] = [Line2D([], [], color=BLUE, label=f"{measure}, training rows")]
    if validated:
        handles.append(Line2D([], [], color=ORANGE, linestyle=(0, (3, 1)), label="validation rows"))
    handles.append(Patch(facecolor="#cccccc", label="smallest to largest over the seeds"))
    if any(parent in groups for parent in parents.values()):
        handles.append(Line2D([], [], color="#aaaaaa", label="the variant that it extends"))
    figure.legend(handles=handles, loc="upper left", bbox_to_anchor=(0.01, 1 - 0.06 / figure.get_figheight()), ncols=4)
    figure.text(0.5, 0.1 / figure.get_figheight(), "epoch", ha="center", color=GREY)
    return figure


def _groups(curves: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Variant -> its curves, thinned to what all of them together may take."""
    points = max(VERTICES // (8 * curves["variant"].nunique()), 2)  # eight: four lines and two bands
    return {str(name): thinned(group, points) for name, group in curves.groupby("variant", sort=False)}


def _kinds(curves: pd.DataFrame, measure: str) -> dict[str, tuple[str, Any]]:
    """Column -> colour and dashes, of the training rows and, where there are any, of the validation rows."""
    kinds = {measure: (BLUE, "-"), f"val_{measure}": (ORANGE, (0, (3, 1)))}
    return {name: look for name, look in kinds.items() if f"{name}_mean" in curves}


def _curve_panel(axes: Axes, group: pd.DataFrame, parent: pd.DataFrame | None, measure: str) -> None:
    accuracy = measure == "accuracy"
    for name, (colour, dashes) in _kinds(group, measure).items():
        if parent is not None:
            mean = drawable(finite_column(parent[f"{name}_mean"]), accuracy)
            axes.plot(parent["epoch"], mean, color="#aaaaaa", linestyle=dashes, linewidth=1.1)
        mean, low, high = (drawable(finite_column(group[f"{name}_{how}"]), accuracy) for how in ("mean", "min", "max"))
        axes.fill_between(group["epoch"], low, high, color=colour, alpha=0.22, linewidth=0)
        dot = "o" if len(group) == 1 else None  # one epoch makes no line
        axes.plot(group["epoch"], mean, color=colour, linestyle=dashes, linewidth=1.4, marker=dot, markersize=3)
    if math.isnan(finite(group[f"{measure}_mean"].iloc[-1])):
        axes.text(0.5, 0.5, "diverged", transform=axes.transAxes, ha="center", va="center", color=ORANGE)
    axes.xaxis.set_major_locator(ticker.MaxNLocator(4, integer=True, min_n_ticks=1))


@STYLED
def curve_panels(curves: pd.DataFrame, parents: Mapping[str, str | None], measure: str) -> dict[str, Figure]:
    """Variant -> its panel of the figure above by itself, on the scale that all panels share."""
    groups, panels = _groups(curves), {}
    for variant, group in groups.items():
        panels[variant] = Figure(figsize=(2.4, 1.5))
        axes = panels[variant].add_axes((0.17, 0.15, 0.78, 0.82))
        _curve_panel(axes, group, groups.get(parents.get(variant) or ""), measure)
        _curve_scale([axes], curves, measure)
    return panels


@STYLED
def comparison(curves: pd.DataFrame, measure: str) -> Figure:
    """The curves of all variants on the same axes, for a page on which one chooses some of them.

    A line, and a band from the smallest to the largest, is a group with the gid `KIND VARIANT` or `KIND-band VARIANT`, where
    KIND is the column: `loss` or `val_loss`, say.
    """
    figure = Figure(figsize=(WIDTH, 3.9))
    axes = figure.add_axes((0.06, 0.1, 0.93, 0.88))
    for variant, group in _groups(curves).items():
        for name, (_, dashes) in _kinds(curves, measure).items():
            mean, low, high = (
                drawable(finite_column(group[f"{name}_{how}"]), measure == "accuracy") for how in ("mean", "min", "max")
            )
            axes.fill_between(group["epoch"], low, high, color=BLUE, alpha=0.15, linewidth=0, gid=f"{name}-band {variant}")
            dot = "o" if len(group) == 1 else None
            axes.plot(*(group["epoch"], mean), color=BLUE, linestyle=dashes, linewidth=1.6, marker=dot, gid=f"{name} {variant}")
    _curve_scale([axes], curves, measure)
    if measure == "accuracy":
        ticks = [tick for tick in ACCURACY_TICKS if axes.get_ylim()[0] <= tick <= axes.get_ylim()[1]]
        axes.set_yticks(ticks, [f"{100 * tick:g} %" for tick in ticks])
    else:
        bottom, top = axes.get_ylim()
        axes.yaxis.set_major_locator(ticker.LogLocator(numticks=12, subs=(1, 2, 5) if top < 2000 * bottom else (1,)))
    axes.xaxis.set_major_locator(ticker.MaxNLocator(10, integer=True, min_n_ticks=1))
    axes.set_xlabel("epoch", color=GREY)
    return figure


def _curve_scale(panels: Sequence[Axes], curves: pd.DataFrame, measure: str) -> None:
    """One scale for all panels: logit for an accuracy; logarithmic, without the last leap of what explodes, for a loss."""
    columns = [name for name in (f"{measure}_mean", f"val_{measure}_mean") if name in curves]
    seen = np.concatenate([finite_column(curves[name]) for name in columns])
    seen = seen[seen > 0]  # and so no NaN
    steady = max((each.max() for each in _steady(curves, columns)), default=math.inf)
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
            axes.yaxis.set_major_formatter(ticker.FuncFormatter(lambda tick, _: f"{tick:g}"))
        axes.minorticks_off()
    longest = curves["epoch"].max()
    for i, axes in enumerate(panels):
        axes.set_xlim(1 if longest > 1 else 0.5, max(longest, 1.5))
        axes.grid(axis="y", color="#eeeeee", linewidth=0.7)
        axes.set_axisbelow(True)
        if i % 4:
            axes.set_yticklabels([])
        if i + 4 < len(panels):
            axes.set_xticklabels([])


def _steady(curves: pd.DataFrame, columns: list[str]) -> Iterator[np.ndarray]:
    """The values of every curve that is finite to its end."""
    for _, group in curves.groupby("variant", sort=False):
        for name in columns:
            if np.isfinite(values := finite_column(group[name])).all():
                yield values


def grid(
    count: int, columns: int, size: float, *, above: float, below: float, top: float, bottom: float = 0.0, left: float = 0.6
) -> tuple[Figure, list[Axes]]:
    """A figure with `count` panels, row by row: each `size` inches high, with room `above` for its title and `below`."""
    rows, gap = math.ceil(count / columns), 0.16
    height = top + rows * (above + size + below) + bottom
    figure = Figure(figsize=(WIDTH, height))
    wide = (WIDTH - left) / columns - gap
    panels = []
    for i in range(count):
        x = left + (i % columns) * (wide + gap)
        y = height - top - (i // columns + 1) * (above + size + below) + below
        panels.append(figure.add_axes((x / WIDTH, y / height, wide / WIDTH, size / height)))
    return figure, panels


# Confusion


@STYLED
def confusion(table: pd.DataFrame, diverged: Collection[str]) -> Figure:
    """For each variant, the share of every true class (row) that was taken for each class (column), on a logarithmic scale."""
    names = [str(name) for name in table["class"].unique()]
    groups = {str(name): group for name, group in table.groupby("variant", sort=False)}
    label = min(max(map(len, names)), 14) * 0.075 + 0.35  # inches
    columns = 4
    side = (WIDTH - label) / columns - 0.16
    figure, panels = grid(len(groups), columns, side, above=0.4, below=0.04, top=0.35, bottom=label, left=label)
    image: Any = None
    for i, (axes, (variant, group)) in enumerate(zip(panels, groups.items(), strict=True)):
        counts = group[names].to_numpy(dtype=np.float64)
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        accuracy = "diverged" if variant in diverged else ACCURACY.value(np.trace(counts) / max(counts.sum(), 1))
        axes.set_title(short(variant, 25), fontsize=8.5, pad=12.5)
        axes.text(0, 1.02, accuracy, transform=axes.transAxes, fontsize=6.8, color=GREY)
        image = axes.imshow(np.maximum(shares, 1e-3), norm=LogNorm(1e-3, 1), cmap="Blues", interpolation="none", aspect="auto")
        axes.spines[:].set_visible(True)
        every = math.ceil(len(names) / 20)
        ticks = range(0, len(names), every)
        below = i + columns >= len(panels)
        labels = [short(name) for name in names[::every]]
        axes.set_xticks(*((ticks, labels) if below else ([], [])), fontsize=6.8)
        axes.set_yticks(*((ticks, labels) if i % columns == 0 else ([], [])), fontsize=6.8)
        axes.tick_params(length=0, labelrotation=0)
        if max(map(len, names)) > 2:
            axes.tick_params(axis="x", labelrotation=90)
        if len(names) <= 12:
            _errors(axes, shares)
    if image is not None:
        height = figure.get_figheight()
        bar = figure.colorbar(
            image,
            cax=figure.add_axes((1 - 2.6 / WIDTH, 1 - 0.2 / height, 2.3 / WIDTH, 0.09 / height)),
            orientation="horizontal",
        )
        bar.set_ticks([1e-3, 1e-2, 1e-1, 1], labels=["0.1 %", "1 %", "10 %", "100 %"], fontsize=6.8)
        bar.outline.set_visible(False)
        bar.ax.minorticks_off()
        figure.text(
            0.01,
            1 - 0.2 / height,
            "Rows: true class. Columns: predicted class. Share of the row; numbers: the greatest errors, from 5 %.",
        )
    return figure


def _errors(axes: Axes, shares: np.ndarray) -> None:
    """Write the greatest errors into their cells; all of them would hide the pattern of a network that learnt nothing."""
    errors = shares - np.diag(np.diag(shares))
    for cell in np.argsort(-errors, axis=None, kind="stable")[:15]:
        true, predicted = divmod(int(cell), len(shares))
        share = errors[true, predicted]
        if share >= 0.05:
            ink = "white" if share > 0.12 else "black"
            axes.text(predicted, true, f"{100 * share:.0f}", ha="center", va="center", fontsize=5.6, color=ink)


def short(name: str, longest: int = 14) -> str:
    """The name, cut where it would leave its place in a figure; tables have it whole."""
    return name if len(name) <= longest else f"{name[: longest - 1]}…"


# Views


@STYLED
def view_samples(
    images: Mapping[str, np.ndarray], limits: Mapping[str, tuple[float, float]], class_names: Sequence[str]
) -> Figure:
    """The same images under each view: a row for each view, a column for each class.

    images: view -> (classes, height, width[, channels]); limits: view -> the values drawn black and white.
    """
    columns = len(class_names)
    left, top, gap = 1.75, 0.32, 0.05  # inches
    side = (WIDTH - left - gap * columns) / columns
    side = min(side, 0.9)
    height = top + len(images) * (side + gap) + 0.05
    figure = Figure(figsize=(WIDTH, height))
    for i, (view, row) in enumerate(images.items()):
        low, high = limits[view]
        y = height - top - (i + 1) * (side + gap) + gap
        figure.text(0.1 / WIDTH, (y + side / 2 + 0.03) / height, view, va="bottom", weight="bold")
        extremes = with_minus(f"black {low + 0.0:.3g}, white {high:.3g}")
        figure.text(0.1 / WIDTH, (y + side / 2 - 0.03) / height, extremes, va="top", fontsize=7.5, color=GREY)
        for j, image in enumerate(row):
            x = left + j * (side + gap)
            axes = figure.add_axes((x / WIDTH, y / height, side / WIDTH, side / height))
            scaled = np.clip((image - low) / ((high - low) or 1.0), 0, 1)
            axes.imshow(scaled.squeeze(), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(True)
            if i == 0:
                axes.set_title(short(class_names[j], 11), fontsize=8 if columns <= 10 else 6, loc="center", weight="normal")
    return figure


@STYLED
def histograms(inputs: Mapping[str, Mapping[str, np.ndarray]]) -> Figure:
    """The share of the inputs in each of 64 equal bins, for every view: view -> split (train, perhaps test) -> values."""
    figure, panels = grid(len(inputs), 3, 1.25, above=0.3, below=0.3, top=0.3)
    for i, (axes, (view, splits)) in enumerate(zip(panels, inputs.items(), strict=True)):
        extremes = [float(extreme) for values in splits.values() for extreme in (values.min(), values.max())]
        low, high = min(extremes), max(extremes)
        half = (high - low) / 510 or 0.5  # of one level of a byte: so each bin holds equally many of the 256
        edges = np.linspace(low - half, high + half, 65)
        for split, (colour, filled) in {"train": (BLUE, True), "test": (ORANGE, False)}.items():
            if split in splits:
                shares = np.histogram(splits[split], edges)[0] / splits[split].size
                axes.stairs(shares, edges, color=colour, fill=filled, alpha=0.55 if filled else 1, linewidth=1.1, baseline=0)
        axes.set(yscale="log", ylim=(1e-4, 1.3), xlim=(edges[0], edges[-1]))
        axes.set_yticks([1e-4, 1e-2, 1], labels=[] if i % 3 else ["0.01 %", "1 %", "100 %"])
        axes.minorticks_off()
        axes.xaxis.set_major_locator(ticker.MaxNLocator(5))
        axes.xaxis.set_major_formatter(ticker.FuncFormatter(lambda tick, _: short_number(tick)))
        axes.set_title(view, fontsize=8.5)
    handles = [
        Patch(facecolor=BLUE, alpha=0.55, label="training rows"),
        Line2D([], [], color=ORANGE, label="test rows, with their noise"),
    ]
    noisy = any("test" in splits for splits in inputs.values())
    figure.legend(
        handles=handles[: 1 + noisy], loc="upper left", bbox_to_anchor=(0.01, 1 - 0.04 / figure.get_figheight()), ncols=2
    )
    return figure


# Regressions


OFF_SCALE = 10
"""Mean absolute error, in ranges of the target, from which predictions are not drawn: of a network that is about to diverge."""


@STYLED
def residuals(table: pd.DataFrame, diverged: Collection[str], target: str = "") -> Figure:
    """A panel for each variant: the mean prediction, and the mean absolute error, of each tenth of the test rows by target.

    table: the columns of residuals.csv; target: what is predicted, for the axis.
    """
    groups = {str(name): group for name, group in table.groupby("variant", sort=False)}
    figure, panels = grid(len(groups), 4, 1.5, above=0.4, below=0.06, top=0.3, bottom=0.45)
    truth = finite_column(table["target"])
    low, high = float(truth.min()), float(truth.max())
    room = 0.12 * (high - low) or 0.5
    for i, (axes, (variant, group)) in enumerate(zip(panels, groups.items(), strict=True)):
        x, y, error = (finite_column(group[name]) for name in ("target", "prediction", "mae"))
        axes.plot([low, high], [low, high], color="#aaaaaa", linewidth=1)
        known = error[~np.isnan(error)]
        if len(known) and known.mean() < OFF_SCALE * (high - low or 1):
            axes.vlines(x, y - error, y + error, color=BLUE, alpha=0.3, linewidth=4)
            axes.plot(x, y, "o-", color=BLUE, markersize=3, linewidth=1.2)
        text = f"mean absolute error {known.mean():.4g}" if len(known) else ""  # tenths are of equal size, to within a row
        if variant in diverged:
            text = f"{text}; some diverged" if text else "diverged"
        axes.set_title(short(variant, 25), fontsize=8.5, pad=12.5)
        axes.text(0, 1.03, text, transform=axes.transAxes, fontsize=6.8, color=GREY)
        axes.set(xlim=(low - room, high + room), ylim=(low - 2 * room, high + 2 * room))
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(ticker.MaxNLocator(4))
            axis.set_major_formatter(ticker.FuncFormatter(lambda tick, _: short_number(tick)))
        if i % 4:
            axes.set_yticklabels([])
        if i + 4 < len(panels):
            axes.set_xticklabels([])
    handles = [
        Line2D([], [], color=BLUE, marker="o", markersize=3, label="mean prediction"),
        Line2D([], [], color=BLUE, alpha=0.3, linewidth=4, label="mean absolute error"),
        Line2D([], [], color="#aaaaaa", label="prediction = target"),
    ]
    height = figure.get_figheight()
    figure.legend(handles=handles, loc="upper left", bbox_to_anchor=(0.01, 1 - 0.06 / height), ncols=3)
    figure.text(0.5, 0.1 / height, short(f"target: {target}" if target else "target", 90), ha="center", color=GREY)
    return figure


# Gradients

FLOOR = 1e-30
"""Of the norms that are drawn: smaller ones, and a gradient of exactly 0, lie on it."""


def gradient_norms(group: pd.DataFrame) -> dict[int, np.ndarray]:
    """Epoch -> the gradient norm of each layer, in the order of the rows: those of one variant of diagnostics.csv."""
    rows = group.drop_duplicates(["epoch", "layer"], keep="last")
    return {int(epoch): finite_column(rows.loc[rows["epoch"] == epoch, "gradient_norm"]) for epoch in rows["epoch"].unique()}


def _power(value: float) -> str:
    """A power of ten as a label; Matplotlib's own need mathematical text."""
    return power_of_ten(round(math.log10(value))) if not 1e-2 <= value <= 100 else f"{value:g}"


@STYLED
def gradients(table: pd.DataFrame, kinds: Mapping[str, str]) -> Figure:
    """A panel for each variant: the norm of the gradient of each layer, before training, after one epoch and at the end.

    table: the columns of diagnostics.csv; kinds: variant -> its activation, in the order of the panels.
    """
    groups = {name: gradient_norms(table[table["variant"] == name]) for name in kinds}
    figure, panels = grid(len(groups), 4, 1.3, above=0.38, below=0.2, top=0.3, bottom=0.3)
    seen = np.concatenate([norms for each in groups.values() for norms in each.values()])
    seen = np.maximum(seen[~np.isnan(seen)], FLOOR)
    low, high = (float(seen.min()), float(seen.max())) if len(seen) else (1e-3, 1.0)
    low, high = 10.0 ** math.floor(math.log10(low)), 10.0 ** math.ceil(math.log10(high * 1.01))
    step = max(1, math.ceil(math.log10(high / low) / 4))
    ticks = [10.0**power for power in range(round(math.log10(low)), round(math.log10(high)) + 1, step)]
    for i, (axes, (variant, epochs)) in enumerate(zip(panels, groups.items(), strict=True)):
        styles = {0: (BLUE, "-", "o"), max(epochs): (ORANGE, (0, (3, 1)), "s")}
        for epoch, norms in epochs.items():
            colour, dashes, dot = styles.get(epoch, ("#aaaaaa", "-", ""))
            places = range(1, len(norms) + 1)
            axes.plot(
                places, np.maximum(norms, FLOOR), color=colour, linestyle=dashes, marker=dot, markersize=2.6, linewidth=1.2
            )
        if np.isnan(epochs[max(epochs)]).any():
            axes.text(0.5, 0.5, "not finite at the end", transform=axes.transAxes, ha="center", va="center", color=ORANGE)
        axes.set(yscale="log", ylim=(low / 1.5, high * 1.5))
        axes.set_yticks(ticks, [] if i % 4 else [_power(tick) for tick in ticks])
        axes.set_xlim(0.5, max(len(norms) for norms in epochs.values()) + 0.5)
        axes.minorticks_off()
        axes.grid(axis="y", color="#eeeeee", linewidth=0.7)
        axes.xaxis.set_major_locator(ticker.MaxNLocator(5, integer=True, min_n_ticks=1))
        axes.set_title(short(variant, 25), fontsize=8.5, pad=12.5)
        axes.text(0, 1.03, kinds[variant], transform=axes.transAxes, fontsize=6.8, color=GREY)
    handles = [
        Line2D([], [], color=BLUE, marker="o", markersize=3, label="before training"),
        Line2D([], [], color="#aaaaaa", label="after the first epoch"),
        Line2D([], [], color=ORANGE, marker="s", markersize=3, linestyle=(0, (3, 1)), label="after the last"),
    ]
    height = figure.get_figheight()
    figure.legend(handles=handles, loc="upper left", bbox_to_anchor=(0.01, 1 - 0.06 / height), ncols=3)
    figure.text(0.6 / WIDTH, 0.1 / height, "layer, from the inputs' to the output layer", color=GREY)
    return figure
