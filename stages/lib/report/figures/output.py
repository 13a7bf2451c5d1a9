"""Figures as bytes, which are the same from run to run."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from html import escape
from typing import Any

from markupsafe import Markup
from matplotlib.figure import Figure

from stages.lib.report.figures.style import STYLED, THEME


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
