"""What all figures share: style, colours, panels, legends, and the bytes of a file.

Nothing here uses pyplot, which has global state, or the user's matplotlibrc. The colours (after Okabe and Ito, darkened for
contrast on white) can be told apart by the colour-blind.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib import style
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from stages.lib.judging.units import short_number

WIDTH = 9.375
"""Inches: 900 pixels, which a README shows unscaled."""
SIZE = 8.5
"""Of letters, in points."""
GREY, PALE, BLUE, ORANGE, GREEN = "#666666", "#dfe7ee", "#0060a8", "#b84100", "#00735a"
FAINT, EDGE, OTHERS, ZONE = "#eeeeee", "#999999", "#aaaaaa", "#8fa5b8"
"""Of grid lines, of axes and zero lines, of curves in the background, of the ends of a zone."""
THEME = {GREY: "soft", PALE: "pale", BLUE: "blue", ORANGE: "orange", GREEN: "green", FAINT: "grid"}
THEME |= {EDGE: "edge", OTHERS: "edge", ZONE: "edge", "#000000": "ink", "#ffffff": "back"}
"""Colour -> its variable in the page's style sheet."""
SMALL_TEXT, PANEL_TITLE = 6.8, 8.5
DASHED = (0, (3, 1))

STYLED = style.context(
    [
        "default",
        {
            "font.family": "DejaVu Sans",  # ships with Matplotlib
            "font.size": SIZE,
            "axes.titlesize": 9.5,
            "axes.titlelocation": "left",
            "axes.titleweight": "bold",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.edgecolor": EDGE,
            "axes.linewidth": 0.7,
            "xtick.color": GREY,
            "ytick.color": GREY,
            "xtick.major.width": 0.7,
            "ytick.major.width": 0.7,
            "legend.frameon": False,
            "text.parse_math": False,  # a class may be called $5
            "svg.hashsalt": "tips-on-trial",  # the same ids each time
            "svg.fonttype": "none",  # text stays text: a fifth of the bytes
        },
    ]
)
"""Decorator: our style, whatever the user's is."""


def short(name: str, longest: int = 14) -> str:
    """The name, cut to the room that a figure has. Tables have the whole name."""
    return name if len(name) <= longest else f"{name[: longest - 1]}…"


def drawable(values: np.ndarray, accuracy: bool) -> np.ndarray:
    """Values within the ends of a logit scale (for an accuracy) or of a logarithmic one: 0 and 1 lie at infinity there."""
    return np.asarray(np.clip(values, 1e-4, 1 - 1e-4) if accuracy else np.maximum(values, 1e-9))


def tick_label(tick: float, _: object = None) -> str:
    """For `set_major_formatter`."""
    return short_number(tick)


def grid(
    count: int, columns: int, size: float, *, above: float, below: float, top: float, bottom: float = 0.0, left: float = 0.6
) -> tuple[Figure, list[Axes]]:
    """A figure of `count` panels, row by row.

    size: the height of a panel in inches; above, below: the room for its title and its labels.
    """
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


def label_outer(panels: Sequence[Axes], columns: int) -> None:
    """Keep the tick labels of the first column and of the lowest panels only."""
    for i, axes in enumerate(panels):
        if i % columns:
            axes.set_yticklabels([])
        if i + columns < len(panels):
            axes.set_xticklabels([])


def panel_title(axes: Axes, name: str, detail: str, height: float = 1.03) -> None:
    """The panel's name and, below it, a detail in small print; `height` is where the detail begins, in panels."""
    axes.set_title(short(name, 25), fontsize=PANEL_TITLE, pad=12.5)
    axes.text(0, height, detail, transform=axes.transAxes, fontsize=SMALL_TEXT, color=GREY)


def faint_grid(axes: Axes) -> None:
    """Faint horizontal lines, behind what is drawn."""
    axes.grid(axis="y", color=FAINT, linewidth=0.7)
    axes.set_axisbelow(True)


def note_in_the_middle(axes: Axes, text: str) -> None:
    """A warning across the panel."""
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=ORANGE)


def legend(figure: Figure, handles: Sequence[Artist], inches: float = 0.06, columns: int = 8) -> None:
    """A legend in one row, or in rows of `columns`, at the top of the figure: `inches` below its edge."""
    place = (0.01, 1 - inches / figure.get_figheight())
    figure.legend(handles=handles, loc="upper left", bbox_to_anchor=place, ncols=min(columns, len(handles)))


def line(label: str, colour: str, **look: Any) -> Line2D:
    """A line for the legend."""
    return Line2D([], [], color=colour, label=label, **look)


def text_below(figure: Figure, text: str) -> None:
    """The common label of all x axes."""
    figure.text(0.5, 0.1 / figure.get_figheight(), text, ha="center", color=GREY)


def svg(figure: Figure) -> bytes:
    """The figure as SVG, without a date or a version, in half of the bytes that Matplotlib writes.

    Without DejaVu Sans, a browser takes Verdana, which is as wide, or another sans serif, which is narrower: no text runs over.
    """
    text = _svg(figure).replace(b"<svg ", b"<svg font-family=\"'DejaVu Sans', Verdana, sans-serif\" ", 1)
    return re.sub(rb'<g id="[^"]*"', b"<g", text)


def inline(figure: Figure, prefix: str, marks: Mapping[str, Mapping[str, str]] | None = None) -> Markup:
    """The figure as an element of a page: without a background, as wide as there is room, in the colours of the page's theme.

    prefix: put before every id. Two figures of a page must not share an id.
    marks: gid -> attributes for its group. `title` becomes a child element, which browsers show as a tool tip.
    """
    figure.patch.set_visible(False)
    for axes in figure.axes:
        axes.patch.set_visible(False)
    width, height = 72 * figure.get_size_inches()
    text = _svg(figure).decode()
    text = text[text.index("</style>") :].partition("</defs>")[2]  # no drawing comes before
    text = re.sub('#[0-9a-f]{6}(?=[;"])', lambda match: f"var(--{THEME[match[0]]})", text)

    def marked(match: re.Match[str]) -> str:
        attributes = dict((marks or {}).get(match[1], {}))
        title = attributes.pop("title", "")
        pairs = "".join(f' {name}="{escape(value)}"' for name, value in attributes.items())
        return f"<g{pairs}>" + (f"<title>{escape(title)}</title>" if title else "")

    text = re.sub('<g id="([^"]*)">', marked, text)
    text = re.sub(r'(?<= id=")|(?<=href="#)|(?<=url\(#)', prefix, text)
    text = text.replace("xlink:href", "href").strip()
    return Markup(f'<svg viewBox="0 0 {width:g} {height:g}">{text}')  # noqa: S704  # Matplotlib escapes what we give it


def png(figure: Figure) -> bytes:
    """The figure as PNG, with two pixels for each of the page's, without a date or a version."""
    buffer = io.BytesIO()
    _save(figure, buffer, format="png", dpi=192, metadata={"Software": None})
    return buffer.getvalue()


def _svg(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    _save(figure, buffer, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    text = buffer.getvalue().replace(b" font-family: 'DejaVu Sans';", b"")
    text = re.sub(rb' transform="rotate\(-0 [^"]*"', b"", text)  # a rotation by nothing
    text = re.sub(rb' (?:d|x|y)="[^"]*"', lambda match: re.sub(rb"\d+\.\d+", _rounded, match[0]), text)
    text = re.sub(rb"(?<=\d) \nL (?=[^\"]*\")", b" ", text)  # a line continues without its letter
    return _ALIKE.sub(_with_one_style, re.sub(rb"\n +", b"\n", text))


_ALIKE = re.compile(rb'<use [^>]* style="([^"]*)"/>\n(?:<use [^>]* style="\1"/>\n){49,}')
"""Fifty markers or more of the same style in a row."""


def _with_one_style(match: re.Match[bytes]) -> bytes:
    """These markers in a group that has their style."""
    style = b' style="%s"' % match[1]
    return b"<g%s>\n%s</g>\n" % (style, match[0].replace(style, b""))


def _rounded(match: re.Match[bytes]) -> bytes:
    number = float(match[0])
    return f"{number:.{2 if number < 10 else 1}f}".rstrip("0").rstrip(".").encode()


@STYLED
def _save(figure: Figure, buffer: io.BytesIO, **how: Any) -> None:
    figure.savefig(buffer, facecolor="white", **how)
