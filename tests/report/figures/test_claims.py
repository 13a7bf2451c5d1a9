"""Claims of every verdict, where a supported one lies, and the order of the variants."""

from __future__ import annotations

import math

import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from helpers.figures import words
from stages.lib.report.figures.claims import VERDICTS, claim_strips, claims, leaderboard, ranked, zone_of

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
    assert len({marker for marker, _, _ in VERDICTS.values()}) == len(VERDICTS)


def test_the_best_variant_comes_first_and_what_diverged_last() -> None:
    rows = [("a", "0.5"), ("b", "diverged"), ("c", "0.9"), ("d", "0.5")]
    summary = pd.DataFrame([{"variant": name, "metric": "test_accuracy", "mean": mean} for name, mean in rows])
    assert list(ranked(summary, "test_accuracy", "classification")["variant"]) == ["c", "a", "d", "b"]
    loss = summary.assign(metric="test_loss")
    assert list(ranked(loss, "test_loss", "regression")["variant"]) == ["a", "d", "c", "b"]


@pytest.mark.parametrize(("metric", "task"), [("test_accuracy", "classification"), ("test_loss", "regression")])
def test_a_leaderboard_where_replicates_diverged_or_are_perfect(metric: str, task: str) -> None:
    numbers = ["mean", "low", "high"]
    summary = pd.DataFrame([["perfect", 1.0, 1.0, 1.0], ["lost", *["diverged"] * 3]], columns=["variant", *numbers])
    replicates = pd.DataFrame({"variant": ["perfect"] * 2 + ["lost"] * 2, metric: [1.0, 1.0, 0.4, math.nan]})
    figure = leaderboard(summary.assign(metric=metric), replicates, {"lost": 0.3}, metric, task)
    assert {"perfect", "lost", "diverged: 1 of 2", "reported by the source"} <= words(figure)


def test_a_leaderboard_where_all_diverged() -> None:
    summary = pd.DataFrame([["lost", "test_loss", *["diverged"] * 3]], columns=["variant", "metric", "mean", "low", "high"])
    replicates = pd.DataFrame({"variant": ["lost"], "test_loss": [math.nan]})
    assert "diverged: 1 of 1" in words(leaderboard(summary, replicates, {}, "test_loss", "regression"))
