"""The order of the variants, and replicates that diverged or are perfect."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from helpers.figures import words
from stages.lib.report.figures.leaderboard import leaderboard, ranked


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
