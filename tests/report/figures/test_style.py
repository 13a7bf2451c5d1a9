"""The bytes of a figure."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np
from matplotlib.figure import Figure

from stages.lib.report.figures.inputs import histograms
from stages.lib.report.figures.style import svg


def test_many_markers_that_look_alike_have_their_style_once() -> None:
    figure = Figure()
    axes = figure.subplots()
    axes.plot(range(2000), "o", alpha=0.5)
    axes.plot(range(0, 200, 10), "s")
    root = ET.fromstring(svg(figure))  # noqa: S314  # our own
    space = "{http://www.w3.org/2000/svg}"
    (group,) = (each for each in root.iter(f"{space}g") if len(each.findall(f"{space}use")) == 2000)
    assert "fill-opacity: 0.5" in group.attrib["style"]
    assert all(set(each.attrib) == {"{http://www.w3.org/1999/xlink}href", "x", "y"} for each in group)
    assert [len(each) for each in root.iter(f"{space}g") if len(each.findall(f"{space}use[@style]")) == 20] == [20]


def test_the_user_s_own_style_changes_nothing() -> None:
    import matplotlib

    def drawn() -> bytes:
        return svg(histograms({"view": {"train": np.arange(10.0)}}))

    plain = drawn()
    with matplotlib.rc_context({"font.size": 20, "axes.facecolor": "black", "svg.hashsalt": "other", "savefig.dpi": 30}):
        assert drawn() == plain
    assert b"<dc:date>" not in plain
    assert b"Matplotlib" not in plain
