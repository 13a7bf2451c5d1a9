"""Verdicts: intervals against numbers worked out by hand and against scipy, and the whole table with its boundaries."""

from __future__ import annotations

import math
from collections.abc import Sequence
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from stages.lib.judging import verdicts
from stages.lib.judging.verdicts import (
    CLOSE,
    Expect,
    Verdict,
    difference_interval,
    judge,
    mean_interval,
    share_difference_interval,
    share_interval,
)

INF = math.inf
QUICK = settings(deadline=None, max_examples=150, derandomize=True)
GROUPS = st.lists(st.integers(-64, 64).map(lambda number: number / 64), min_size=1, max_size=8)
MIRRORED: dict[Expect, Expect] = {
    "higher": "lower",
    "lower": "higher",
    "same": "same",
    "at_least": "at_most",
    "at_most": "at_least",
}


def verdict_of(
    groups: Sequence[Sequence[float]], expect: Expect, margin: float = 0.0, threshold: float | None = None
) -> Verdict:
    return judge(groups, expect, margin, threshold, 0.99).verdict


# Intervals


def test_students_interval_by_hand() -> None:
    """1, 2, 3: mean 2, deviation 1, standard error 1 / sqrt(3); t(2) is 4.30265 at 95 % and 9.92484 at 99 %."""
    interval = mean_interval([1, 2, 3], 0.95)
    assert interval.mean == 2
    assert interval.standard_error == pytest.approx(0.57735, abs=1e-5)
    assert (interval.low, interval.high) == pytest.approx((2 - 2.48414, 2 + 2.48414), abs=1e-5)
    wider = mean_interval([1, 2, 3], 0.99)
    assert (wider.low, wider.high) == pytest.approx((2 - 5.73011, 2 + 5.73011), abs=1e-5)


def test_welchs_interval_by_hand() -> None:
    """Two groups of three with deviation 1: 4 degrees of freedom, t = 2.77645, standard error sqrt(2 / 3)."""
    interval = difference_interval([1, 2, 3], [3, 4, 5], 0.95)
    assert interval.mean == 2
    assert interval.standard_error == pytest.approx(0.81650, abs=1e-5)
    assert (interval.low, interval.high) == pytest.approx((2 - 2.26696, 2 + 2.26696), abs=1e-5)


def test_welchs_degrees_of_freedom_by_hand() -> None:
    """Variances of the means 1/3 and 4/3: (5/3)^2 / ((1/3)^2 / 2 + (4/3)^2 / 2) = 50/17."""
    interval = difference_interval([1, 2, 3], [2, 4, 6], 0.95)
    reach = float(stats.t.ppf(0.975, 50 / 17)) * math.sqrt(5 / 3)
    assert (interval.low, interval.high) == pytest.approx((2 - reach, 2 + reach))


def test_a_group_without_variance_leaves_the_other_group_s_degrees_of_freedom() -> None:
    interval = difference_interval([5, 5, 5, 5, 5], [1, 2, 3], 0.95)
    assert (interval.low, interval.high) == pytest.approx((-3 - 2.48414, -3 + 2.48414), abs=1e-5)


@pytest.mark.parametrize("confidence", [0.9, 0.99])
@pytest.mark.parametrize("seed", range(5))
def test_intervals_follow_their_formulas(seed: int, confidence: float) -> None:
    """Student's: mean -+ t(n - 1) s / sqrt(n). Welch's, with the degrees of freedom of Welch and Satterthwaite."""
    draw = np.random.default_rng(seed)
    first, second = draw.normal(0.9, 0.01, 3 + seed), draw.normal(0.91, 0.05, 10 - seed)
    va, vb = (group.var(ddof=1) / len(group) for group in (first, second))
    freedom = (va + vb) ** 2 / (va**2 / (len(first) - 1) + vb**2 / (len(second) - 1))
    reach = stats.t.ppf((1 + confidence) / 2, freedom) * math.sqrt(va + vb)
    interval = difference_interval(first.tolist(), second.tolist(), confidence)
    effect = second.mean() - first.mean()
    assert (interval.low, interval.high) == pytest.approx((effect - reach, effect + reach), rel=1e-9)
    assert (interval.mean, interval.standard_error) == pytest.approx((effect, math.sqrt(va + vb)), rel=1e-9)
    one = mean_interval(first.tolist(), confidence)
    reach = stats.t.ppf((1 + confidence) / 2, len(first) - 1) * math.sqrt(va)
    assert (one.low, one.high) == pytest.approx((first.mean() - reach, first.mean() + reach), rel=1e-9)
    assert one.standard_error == pytest.approx(math.sqrt(va))


def test_values_that_agree_but_for_rounding_are_a_point() -> None:
    """The last digits of 0.95 - 0.92 and 0.03 differ. SciPy warns of such values, which would fail this test."""
    gaps = [0.95 - 0.92, 0.96 - 0.93, 0.03]
    assert len(set(gaps)) > 1
    assert mean_interval(gaps, 0.99).high == gaps[0]
    assert difference_interval(gaps, [0.1, 0.2, 0.3], 0.99).mean == pytest.approx(0.17)


@pytest.mark.parametrize("value", [0.1, 0.15, 0.3, 1e-9])
@pytest.mark.parametrize("count", [1, 3, 6, 10])
def test_replicates_that_agree_have_exactly_their_value_for_an_interval(value: float, count: int) -> None:
    """The mean of three times 0.1 is 0.10000000000000002 in floating point, and would not be at most 0.1."""
    assert mean_interval([value] * count, 0.99) == verdicts.Interval(value, value, value, 0.0)
    zero = difference_interval([value] * count, [value] * 7, 0.99)
    assert zero == verdicts.Interval(0.0, 0.0, 0.0, 0.0)


def test_values_that_are_not_finite_have_no_interval() -> None:
    for interval in (
        mean_interval([1, 2, INF], 0.99),
        difference_interval([1, 2, 3], [1, 2, -INF], 0.99),
        difference_interval([1, math.nan], [1, 2, 3], 0.99),
    ):
        assert all(math.isnan(number) for number in (interval.mean, interval.low, interval.high, interval.standard_error))


# The table, with a margin of 1 or a threshold of 0.5

HIGHER: list[tuple[float, float, Verdict]] = [
    (1.5, 2, "supported"),
    (1.001, 9, "supported"),
    (1, 2, "inconclusive"),  # low == m is not above it
    (0.5, 2, "inconclusive"),
    (-3, 3, "inconclusive"),
    (-1, 1, "equivalent"),  # both boundaries belong to it
    (1, 1, "equivalent"),
    (-1, -1, "equivalent"),
    (-0.5, 0.5, "equivalent"),
    (-1.001, 1, "inconclusive"),  # high == m is not below it
    (-1.001, 0.999, "refuted"),
    (-2, -1, "refuted"),
    (-3, -2, "refuted"),
]
SAME: list[tuple[float, float, Verdict]] = [
    (-1, 1, "supported"),
    (1, 1, "supported"),
    (-0.5, 0.5, "supported"),
    (-0.5, 1.001, "inconclusive"),
    (1, 2, "inconclusive"),
    (1.001, 2, "refuted"),
    (-2, -1, "inconclusive"),
    (-2, -1.001, "refuted"),
]
AT_LEAST: list[tuple[float, float, Verdict]] = [
    (0.5, 1, "supported"),
    (0.5, 0.5, "supported"),
    (0.499, 1, "inconclusive"),
    (0.4, 0.5, "inconclusive"),
    (0.4, 0.499, "refuted"),
]


@pytest.mark.parametrize(("low", "high", "verdict"), HIGHER)
def test_higher_and_lower_mirrored(low: float, high: float, verdict: Verdict) -> None:
    assert verdicts._by_interval(low, high, "higher", 1, 0) == verdict
    assert verdicts._by_interval(-high, -low, "lower", 1, 0) == verdict


@pytest.mark.parametrize(("low", "high", "verdict"), SAME)
def test_same_and_mirrored(low: float, high: float, verdict: Verdict) -> None:
    assert verdicts._by_interval(low, high, "same", 1, 0) == verdict
    assert verdicts._by_interval(-high, -low, "same", 1, 0) == verdict


@pytest.mark.parametrize(("low", "high", "verdict"), AT_LEAST)
def test_at_least_and_at_most_mirrored(low: float, high: float, verdict: Verdict) -> None:
    assert verdicts._by_interval(low, high, "at_least", 0, 0.5) == verdict
    assert verdicts._by_interval(-high, -low, "at_most", 0, -0.5) == verdict


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(0.001, 1, "supported"), (0, 1, "inconclusive"), (0, 0, "equivalent"), (-1, 0, "inconclusive"), (-1, -0.001, "refuted")],
)
def test_without_a_margin_only_a_point_at_zero_is_equivalent(low: float, high: float, verdict: Verdict) -> None:
    assert verdicts._by_interval(low, high, "higher", 0, 0) == verdict


# Whole claims


def test_a_claim_about_two_groups_is_decided_by_its_interval() -> None:
    judgement = judge([[1, 2, 3], [11, 12, 13]], "higher", 2, None, 0.95)
    assert (judgement.verdict, judgement.effect, judgement.close) == ("supported", 10, False)
    assert (judgement.low, judgement.high) == pytest.approx((7.73304, 12.26696), abs=1e-5)
    assert verdict_of([[11, 12, 13], [1, 2, 3]], "higher", 2) == "refuted"
    assert verdict_of([[11, 12, 13], [1, 2, 3]], "lower", 2) == "supported"


def test_a_claim_about_one_group_is_decided_by_its_mean() -> None:
    assert verdict_of([[0.10, 0.11, 0.12]], "at_most", threshold=0.2) == "supported"
    assert verdict_of([[0.10, 0.11, 0.12]], "at_least", threshold=0.2) == "refuted"
    assert verdict_of([[0.10, 0.11, 0.12]], "at_most", threshold=0.12) == "inconclusive"
    assert verdict_of([[0.10, 0.11, 0.12]], "same", margin=0.2) == "supported"


@pytest.mark.parametrize("expect", MIRRORED)
@pytest.mark.parametrize("few", [1, 2])
def test_fewer_than_three_replicates_decide_nothing(few: int, expect: Expect) -> None:
    one = expect in ("at_least", "at_most")
    many = [5.0, 5.0, 5.0, 5.0]
    for values in ([9.0] * few, [INF] * few):
        for groups in [[values]] if one else [[values, many], [many, values]]:
            assert verdict_of(groups, expect, 0.1, 0.5 if one else None) == "inconclusive"


def test_replicates_that_agree_are_decided_by_their_value() -> None:
    """As of a network that is stuck at chance."""
    assert verdict_of([[0.15] * 3], "at_most", threshold=0.15) == "supported"
    assert verdict_of([[0.1] * 3], "at_least", threshold=0.1) == "supported"
    assert verdict_of([[0.1] * 3], "at_least", threshold=0.11) == "refuted"
    assert verdict_of([[0.25] * 3, [0.5] * 3], "higher", 0.125) == "supported"
    assert verdict_of([[0.25] * 3, [0.5] * 3], "higher", 0.25) == "equivalent"
    assert verdict_of([[0.25] * 3, [0.5] * 3], "lower", 0.125) == "refuted"
    assert verdict_of([[0.25] * 3, [0.5] * 3], "same", 0.25) == "supported"
    assert verdict_of([[0.25] * 3, [0.5] * 3], "same", 0.125) == "refuted"


def test_one_group_without_variance_still_leaves_an_interval() -> None:
    judgement = judge([[0.1] * 3, [0.8, 0.9, 1.0]], "higher", 0.1, None, 0.95)
    assert judgement.verdict == "supported"
    assert judgement.high - judgement.low == pytest.approx(2 * 0.248414, abs=1e-5)


def test_a_verdict_that_a_small_shift_of_the_effect_changes_is_close() -> None:
    """The interval of 0 -+ 1 around x has a standard error of 0.57735: with margin 0, supported from x = 5.73 on."""
    reach, step = 5.73011, CLOSE * 0.57735
    for effect, verdict, close in [
        (reach + step + 0.01, "supported", False),
        (reach + step - 0.01, "supported", True),
        (reach + 0.01, "supported", True),
        (reach - 0.01, "inconclusive", True),
        (reach - step - 0.01, "inconclusive", False),
        (0.0, "inconclusive", False),
        (-reach - step - 0.01, "refuted", False),
    ]:
        judgement = judge([[0.0, 0.0, 0.0], [effect - 1, effect, effect + 1]], "higher", 0, None, 0.99)
        assert (judgement.verdict, judgement.close) == (verdict, close)


def test_without_variance_no_verdict_is_close() -> None:
    assert not judge([[0.5] * 3], "at_least", 0, 0.5, 0.99).close


# What diverged, or was never reached

FINITE = [0.5, 0.6, 0.7, 0.8, 0.9]
DIVERGED = [-INF] * 5


@pytest.mark.parametrize(
    ("groups", "expect", "margin", "verdict"),
    [
        ([DIVERGED, FINITE], "higher", 0.1, "supported"),
        ([FINITE, DIVERGED], "higher", 0.1, "refuted"),
        ([FINITE, DIVERGED], "lower", 0.1, "supported"),
        ([DIVERGED, FINITE], "same", 0.1, "refuted"),
        ([DIVERGED, DIVERGED], "higher", 0.1, "inconclusive"),
        ([DIVERGED, DIVERGED], "same", 0.1, "inconclusive"),
        ([[-INF, 0.1, 0.1, 0.1, 0.1], FINITE], "higher", 0.1, "supported"),
        ([[-INF, 0.1, 0.1, 0.1, 0.5], FINITE], "higher", 0.0, "inconclusive"),  # they touch
        ([[-INF, 0.1, 0.1, 0.1, 0.6], FINITE], "higher", 0.0, "inconclusive"),  # they overlap
        ([[-INF, 0.45, 0.45, 0.45, 0.45], FINITE], "higher", 0.1, "inconclusive"),  # apart, by less than the margin
        ([[-INF, 0.45, 0.45, 0.45, 0.45], FINITE], "same", 0.1, "inconclusive"),  # near, but one diverged
        ([[-INF, 0.1, 0.1, 0.1, 0.1], FINITE], "same", 0.1, "refuted"),
        ([FINITE, [1, 2, 3, 4, INF]], "higher", 0.05, "supported"),
        ([FINITE, [INF] * 5], "lower", 0.0, "refuted"),
    ],
)
def test_without_a_mean_groups_that_lie_apart_decide(
    groups: list[list[float]], expect: Expect, margin: float, verdict: Verdict
) -> None:
    judgement = judge(groups, expect, margin, None, 0.99)
    assert judgement.verdict == verdict
    assert math.isnan(judgement.low)
    assert math.isnan(judgement.high)
    assert not judgement.close


@pytest.mark.parametrize("short", [0, 1])
def test_five_replicates_in_each_group_are_needed_to_decide_by_rank(short: int) -> None:
    groups = [DIVERGED, FINITE]
    groups[short] = groups[short][:4]
    assert verdict_of(groups, "higher") == "inconclusive"


@pytest.mark.parametrize(
    ("values", "expect", "verdict"),
    [
        ([INF] * 5, "at_most", "refuted"),
        ([INF] * 5, "at_least", "supported"),
        ([INF] * 4, "at_most", "inconclusive"),
        ([1, 1, 1, 1, INF], "at_most", "inconclusive"),
        ([3, 3, 3, 3, INF], "at_most", "refuted"),
        ([-INF, 1, 1, 1, 1], "at_least", "refuted"),
        ([-INF, 3, 3, 3, 3], "at_least", "inconclusive"),
    ],
)
def test_one_group_without_a_mean_is_decided_where_all_of_it_lies_on_one_side(
    values: list[float], expect: Expect, verdict: Verdict
) -> None:
    assert verdict_of([values], expect, threshold=2) == verdict


@pytest.mark.parametrize(
    ("groups", "effect"),
    [([DIVERGED, FINITE], INF), ([FINITE, DIVERGED], -INF), ([FINITE, [*FINITE, INF]], INF), ([[INF] * 3], INF)],
)
def test_an_effect_without_a_mean_points_to_where_the_infinite_values_are(groups: list[list[float]], effect: float) -> None:
    assert judge(groups, "same", 0.1, None, 0.99).effect == effect


def test_two_groups_that_diverged_have_no_effect() -> None:
    assert math.isnan(judge([DIVERGED, DIVERGED], "same", 0.1, None, 0.99).effect)


# Properties, by random trial

WITH_INFINITE = GROUPS | st.lists(st.sampled_from([0.5, 0.75, INF]), min_size=1, max_size=8)
EXPECTED: list[Expect] = ["higher", "lower", "same"]
ABSOLUTE: list[Expect] = ["at_least", "at_most"]


@QUICK
@given(
    first=WITH_INFINITE,
    second=WITH_INFINITE,
    expect=st.sampled_from(EXPECTED),
    margin=st.sampled_from([0.0625, 0.25, 1.0]),
)
def test_swapping_the_groups_and_the_direction_keeps_the_verdict(
    first: list[float], second: list[float], expect: Expect, margin: float
) -> None:
    there = judge([first, second], expect, margin, None, 0.95)
    back = judge([second, first], MIRRORED[expect], margin, None, 0.95)
    assert (there.verdict, there.close) == (back.verdict, back.close)
    if math.isfinite(there.effect):
        assert (there.effect, there.low, there.high) == (-back.effect, -back.high, -back.low)


@QUICK
@given(values=GROUPS, expect=st.sampled_from(ABSOLUTE), threshold=st.sampled_from([-0.5, 0.0, 0.25]))
def test_mirroring_values_and_threshold_keeps_the_verdict(values: list[float], expect: Expect, threshold: float) -> None:
    there = judge([values], expect, 0, threshold, 0.95)
    back = judge([[-value for value in values]], MIRRORED[expect], 0, -threshold, 0.95)
    assert (there.verdict, there.close) == (back.verdict, back.close)


@QUICK
@given(
    first=WITH_INFINITE,
    second=WITH_INFINITE,
    expect=st.sampled_from(EXPECTED),
    order=st.randoms(use_true_random=False),
)
def test_the_order_of_the_replicates_does_not_matter(
    first: list[float], second: list[float], expect: Expect, order: Random
) -> None:
    before = judge([first, second], expect, 0.07, None, 0.95)
    shuffled = [order.sample(group, len(group)) for group in (first, second)]
    after = judge(shuffled, expect, 0.07, None, 0.95)
    assert after.verdict == before.verdict
    assert (after.effect, after.low, after.high) == pytest.approx((before.effect, before.low, before.high), nan_ok=True)


@QUICK
@given(first=GROUPS, second=GROUPS, margin=st.sampled_from([0.1, 0.3]), more=st.sampled_from([0.1, 0.5]))
def test_a_larger_margin_never_supports_what_a_smaller_one_does_not(
    first: list[float], second: list[float], margin: float, more: float
) -> None:
    if verdict_of([first, second], "higher", margin + more) == "supported":
        assert verdict_of([first, second], "higher", margin) == "supported"
    if verdict_of([first, second], "same", margin) == "supported":
        assert verdict_of([first, second], "same", margin + more) == "supported"


# Shares


@pytest.mark.parametrize(("ones", "count", "low", "high"), [(0, 5, 0, 0.653), (5, 5, 0.347, 1), (15, 20, 0.440, 0.942)])
def test_the_interval_of_a_share_is_exact_and_stays_between_0_and_1(ones: int, count: int, low: float, high: float) -> None:
    """At the bounds it solves (1 - p)^n = 0.005."""
    interval = share_interval([1.0] * ones + [0.0] * (count - ones), 0.99)
    assert interval.mean == ones / count
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=0.001)


def test_replicates_that_all_agree_do_not_make_a_share_certain() -> None:
    none_of_five = [[0.0] * 5]
    assert judge(none_of_five, "at_most", 0, 0.1, 0.99).verdict == "supported"
    assert judge(none_of_five, "at_most", 0, 0.1, 0.99, share=True).verdict == "inconclusive"
    assert judge([[0.0] * 60], "at_most", 0, 0.1, 0.99, share=True).verdict == "supported"


@pytest.mark.parametrize(("count", "verdict"), [(3, "inconclusive"), (4, "inconclusive"), (5, "supported")])
def test_shares_differ_where_fisher_s_exact_test_says_so(count: int, verdict: str) -> None:
    """None of so many against all of as many."""
    none, every = [0.0] * count, [1.0] * count
    significant = stats.fisher_exact(np.array([[0, count], [count, 0]])).pvalue < 0.01
    assert significant == (verdict == "supported")
    assert judge([none, every], "higher", 0, None, 0.99, share=True).verdict == verdict
    assert judge([every, none], "lower", 0, None, 0.99, share=True).verdict == verdict


def test_the_interval_of_a_difference_of_shares_is_made_of_the_two() -> None:
    first, second = [1.0] * 2 + [0.0] * 8, [1.0] * 9 + [0.0] * 11
    interval = share_difference_interval(first, second, 0.95)
    a, b = share_interval(first, 0.95), share_interval(second, 0.95)
    assert interval.mean == pytest.approx(0.25)
    assert (interval.mean - interval.low) ** 2 == pytest.approx((0.45 - b.low) ** 2 + (a.high - 0.2) ** 2)
    assert (interval.high - interval.mean) ** 2 == pytest.approx((b.high - 0.45) ** 2 + (0.2 - a.low) ** 2)
    mirrored = share_difference_interval(second, first, 0.95)
    assert (mirrored.low, mirrored.high) == pytest.approx((-interval.high, -interval.low))
    agreeing = share_difference_interval([0.0] * 5, [0.0] * 5, 0.99)
    assert agreeing.low < 0 < agreeing.high
