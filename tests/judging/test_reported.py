"""Where reported numbers lie, and what one run would show."""

from __future__ import annotations

import math
from typing import Any

import pytest

from stages.lib.judging.reported import Comparison, decimals, single_runs
from stages.lib.judging.units import unit_of
from stages.lib.study.claims import Claim


def compared(reported: float | None, row: dict[str, str] | None, metric: str = "test_accuracy", *singles: float) -> Comparison:
    return Comparison("plain", metric, unit_of(metric, "classification"), reported, row, singles)


@pytest.mark.parametrize(
    ("reported", "expected"),
    [
        (0.98, "inside"),
        (0.975, "inside"),
        (0.9849, "one run"),  # 0.98 +- 0.003 * sqrt(6) reaches 0.98735
        (0.9728, "one run"),
        (0.988, "outside"),
        (0.9725, "outside"),
        (0.99, "inside"),  # as do all of 0.985 to 0.995: 0.99 has two decimals
        (1.0, "outside"),
    ],
)
def test_where_a_reported_number_lies(reported: float, expected: str) -> None:
    high = "0.985" if reported == 0.99 else "0.983"
    row = {"replicates": "5", "mean": "0.98", "sd": "0.001457", "low": "0.977" if reported != 0.975 else "0.975", "high": high}
    assert compared(reported, row).standing == expected


def test_the_distance_is_that_of_the_nearest_number_that_is_printed_so() -> None:
    row = {"mean": "0.977", "sd": "0.001", "low": "0.976", "high": "0.978", "replicates": "5"}
    assert compared(0.98, row).distance == (0.0, "0.0")  # 0.977 is printed as 0.98
    assert compared(0.99, row).distance[0] == pytest.approx(8.0)
    assert compared(0.97, row).distance[0] == pytest.approx(-2.0)


def test_no_number_is_inside_where_no_run_falls() -> None:
    """The interval of planned looks may be wider than Student's prediction interval, 0.9526 +- 0.0295."""
    row = {"replicates": "10", "mean": "0.9526", "sd": "0.00863", "low": "0.9196", "high": "0.9643"}
    assert compared(0.9217, row).standing == "outside"
    assert compared(0.93, row).standing == "inside"
    assert compared(0.975, row).standing == "one run"


HEALTHY = [0.956, 0.957, 0.958, 0.957, 0.9565, 0.9575, 0.9568, 0.9572, 0.957]


@pytest.mark.parametrize(
    ("collapsed", "expected", "aside"),
    [
        ([False] * 9 + [True], "outside", "1 of 10 collapsed, and is left out"),
        ([False] * 10, "inside", ""),
        ([], "inside", ""),
        ([True] * 9 + [False], "inside", ""),  # then collapsing is what these networks do
    ],
)
def test_a_network_that_collapsed_makes_no_number_inside(collapsed: list[bool], expected: str, aside: str) -> None:
    """0.953 is far from the nine; with the tenth, the interval reaches from 0.59 to 1.15."""
    row = {"replicates": "10", "mean": "0.871", "sd": "0.27", "low": "0.594", "high": "1.151"}
    metric, unit = "test_accuracy", unit_of("test_accuracy", "classification")
    found = Comparison("deep", metric, unit, 0.9531, {**row, "high": "0.99"}, [*HEALTHY, 0.1], collapsed)
    assert (found.standing, found.aside) == (expected, aside)
    assert (abs(found.distance[0]) > 3) == (expected == "outside")


@pytest.mark.parametrize(
    "row",
    [
        {"replicates": "1", "mean": "0.98", "low": "0.98", "high": "0.98"},
        {"replicates": "5", "mean": "diverged", "low": "diverged", "high": "diverged"},
        {"replicates": "5", "mean": "never", "low": "never", "high": "never"},
    ],
)
def test_without_an_interval_nothing_is_decided(row: dict[str, str]) -> None:
    assert compared(0.98, row).standing == "undecided"


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"mean": "0.95", "sd": "0.01"}, "+2.5"),  # 0.975 is printed as 0.98
        ({"mean": "0.99", "sd": "0.004"}, "−1.2"),
        ({"mean": "0.98", "sd": "0.0"}, "all alike"),
        ({"mean": "never", "sd": "never"}, "–"),
        ({"mean": "0.98", "sd": ""}, "–"),
        ({}, "–"),
    ],
)
def test_how_far_a_reported_number_is_in_deviations_of_single_runs(row: dict[str, str], expected: str) -> None:
    off, shown = compared(0.98, row).distance
    assert shown == expected
    assert math.isnan(off) == (expected in ("all alike", "–"))


def test_an_interval_that_holds_every_accuracy_says_nothing_of_a_reported_one() -> None:
    row = {"mean": "0.79", "sd": "0.39", "low": "-0.01", "high": "1.6", "replicates": "5"}
    assert compared(0.95, row).standing == "undecided"
    assert compared(0.95, {**row, "high": "0.99"}).standing == "inside"
    assert compared(0.95, row, "test_loss").standing == "inside"


def test_a_reported_number_and_ours_are_written_in_the_unit_of_the_metric() -> None:
    made = compared(0.93, {"mean": "0.95", "low": "0.92", "high": "0.98"}, "test_accuracy", 0.94, 0.96)
    assert (made.printed, made.measured, made.interval, made.spread) == ("93 %", "95.00 %", "[92.00, 98.00]", "[94.00, 96.00]")
    never = dict.fromkeys(("mean", "low", "high"), "never")
    made = compared(None, never, "epochs_to_0.95_accuracy", 9.0, math.inf)
    assert (made.printed, made.measured, made.interval, made.standing) == ("", "never reached", "no interval", "")
    made = compared(46900.0, None, "epochs")
    assert (made.printed, made.measured, made.interval, made.spread) == ("46,900 epochs", "not measured", "", "–")


@pytest.mark.parametrize(
    ("changes", "groups", "missed", "runs"),
    [
        ({"expect": "higher", "margin": 0.1}, [[0.5, 0.6], [0.65, 0.9]], 1, 4),  # 0.65 is within the margin of 0.6
        ({"expect": "lower"}, [[3.0, 3.0], [2.0, math.inf]], 2, 4),
        ({"expect": "same", "margin": 0.1}, [[1.0], [1.05, 1.2, 0.95]], 1, 3),
        ({"expect": "higher"}, [[math.inf], [math.inf]], 1, 1),  # neither is ahead
    ],
)
def test_single_runs_that_do_not_show_what_is_claimed(
    changes: dict[str, Any], groups: list[list[float]], missed: int, runs: int
) -> None:
    claim = Claim(says="So.", compare=("a", "b"), metric="test_loss", **changes)
    assert single_runs(claim, groups) == (missed, runs)


@pytest.mark.parametrize(("expect", "missed"), [("at_least", 1), ("at_most", 2)])
def test_single_runs_short_of_a_threshold(expect: Any, missed: int) -> None:
    claim = Claim(says="So.", variant="a", metric="test_loss", expect=expect, threshold=0.5)
    assert single_runs(claim, [[0.4, 0.5, 0.6, 0.7]]) == (missed, 4)


def test_decimals_are_those_that_are_written() -> None:
    assert [decimals(number) for number in (46900, 0.5, 0.93, 1e-9, -1.25)] == [0, 1, 2, 9, 2]
