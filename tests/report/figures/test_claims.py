"""Claims of every verdict, and where a supported one lies."""

from __future__ import annotations

import math

import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from helpers.figures import words
from stages.lib.report.figures.claims import VERDICTS, claim_strips, claims, zone_of

COLUMNS = "claim verdict effect low high close replicates metric expect threshold margin groups".split()


def claim(name: str, verdict: str, numbers: tuple[object, object, object], **others: object) -> list[object]:
    row = {"metric": "test_accuracy", "expect": "higher", "threshold": math.nan, "margin": 0.01, "groups": "b − a", **others}
    return [name, verdict, *numbers, False, 5, *(row[column] for column in COLUMNS[7:])]


@pytest.mark.parametrize(
    ("expect", "zone"),
    [
        ("higher", (0.1, math.inf)),
        ("lower", (-math.inf, -0.1)),
        ("same", (-0.1, 0.1)),
        ("at_least", (0.9, math.inf)),
        ("at_most", (-math.inf, 0.9)),
    ],
)
def test_the_zone_of_a_supported_claim(expect: str, zone: tuple[float, float]) -> None:
    assert zone_of(expect, 0.1, 0.9) == zone


def test_claims_of_every_verdict_and_unit_are_drawn() -> None:
    never = {"metric": "epochs_to_0.95_accuracy", "margin": 0.0, "expect": "lower"}
    threshold = {"expect": "at_most", "threshold": 0.2, "margin": 0.0, "groups": "a"}
    rows = [
        claim("helps", "supported", (0.05, 0.03, 0.07)),
        claim("far", "refuted", (-0.6, -0.7, -0.5)),  # beside a margin of one point: the axis becomes logarithmic
        claim("equal", "equivalent", ("0.001", "-0.002", "0.004")),
        claim("lost", "inconclusive", ("diverged", "diverged", "diverged")),
        claim("slow", "supported", ("never", "never", "never"), **never),
        claim("low", "supported", (0.1, 0.1, 0.1), **threshold),
    ]
    text = words(claims(pd.DataFrame(rows, columns=COLUMNS), "classification"))
    assert {"helps", "far", "equal", "lost", "slow", "low", *VERDICTS} <= text
    assert {"no interval: diverged", "no interval: never reached"} <= text
    assert {"Difference in accuracy, points", "Difference in epochs", "Accuracy, %", "logarithmic beyond ±2"} <= text
    assert "5.00 [3.00, 7.00]" in text


def test_a_logarithmic_strip_says_so_within_its_own_picture() -> None:
    """Beside it, in the next column of the table, it would lie over what is expected."""
    rows = [claim("far", "refuted", (-0.6, -0.7, -0.5)), claim("helps", "supported", (0.05, 0.03, 0.07))]
    table = pd.DataFrame(rows, columns=COLUMNS)
    far, helps = claim_strips(table, "classification").values()
    [note] = far.texts
    assert note.get_text() == "logarithmic beyond ±2"
    renderer = FigureCanvasAgg(far).get_renderer()  # type: ignore[no-untyped-call]
    far.draw(renderer)
    box = note.get_window_extent(renderer)
    assert far.bbox.x0 <= box.x0 < box.x1 <= far.bbox.x1
    assert far.bbox.y0 <= box.y0
    ticks = [tick.label1.get_window_extent(renderer) for tick in far.axes[0].xaxis.get_major_ticks()]
    assert ticks
    assert box.y1 <= min(tick.y0 for tick in ticks)
    assert not helps.texts


def test_verdicts_differ_by_more_than_their_colour() -> None:
    assert len({look.marker for look in VERDICTS.values()}) == len(VERDICTS)
