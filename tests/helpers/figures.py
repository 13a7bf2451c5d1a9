"""Figures, as tests read them."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from matplotlib.figure import Figure

from stages.lib.report.figures.style import svg


def words(figure: Figure) -> set[str]:
    """The texts of a figure's SVG, which must be well-formed."""
    root = ET.fromstring(svg(figure))  # noqa: S314  # our own
    return {"".join(each.itertext()).strip() for each in root.iter("{http://www.w3.org/2000/svg}text")}
