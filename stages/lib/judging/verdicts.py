"""Verdicts: what replicates say of a claim, with an interval.

Replicates of two variants with the same seed are not correlated, so nothing is paired.

    one mean                 Student's interval
    two means                Welch's interval (B. L. Welch, Biometrika 34, 1947)
    one share                Clopper and Pearson's exact interval (Biometrika 26, 1934)
    two shares               R. G. Newcombe's method 10 (Statistics in Medicine 17, 1998)
    values that are infinite no interval; groups that lie wholly apart decide
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

from stages.lib.study.claims import Expect

Verdict = Literal["supported", "refuted", "equivalent", "inconclusive"]

FEWEST = 3
"""Replicates in a group that a verdict needs."""
FEWEST_RANKED = 5
"""Replicates in each group that a verdict by rank needs: 2 / C(10, 5) = 0.008 by chance."""
CLOSE = 2.0
"""Standard errors by which an effect may move when the same study runs on another processor.

Half of the replicates then differ, and with them the mean and the width of the interval (measured by hiding AVX-512 from the
starter).
"""


@dataclass(frozen=True)
class Interval:
    """A mean, or a difference of means, with its confidence interval and its standard error."""

    mean: float
    low: float
    high: float
    standard_error: float


NO_INTERVAL = Interval(math.nan, math.nan, math.nan, math.nan)


@dataclass(frozen=True)
class Judgement:
    """A verdict, and the effect that it rests on.

    effect: the second group's mean minus the first's, or the one group's mean. It is infinite or NaN if values are infinite.
    low, high: the interval of the effect; NaN if values are infinite.
    close: whether the verdict would be another if the effect moved by CLOSE standard errors.
    """

    verdict: Verdict
    effect: float
    low: float
    high: float
    close: bool


def mean_interval(values: Sequence[float], confidence: float) -> Interval:
    """Student's interval of the mean.

    It is a point for a single value and for values that agree, and NO_INTERVAL if a value is not finite.
    """
    data = np.asarray(values, dtype=np.float64)
    if not np.isfinite(data).all():
        return NO_INTERVAL
    if _agree(data):
        value = float(data[0])  # the mean of three times 0.1 would be more than 0.1
        return Interval(value, value, value, 0.0)
    limits = stats.ttest_1samp(data, 0.0).confidence_interval(confidence)
    return Interval(float(data.mean()), float(limits.low), float(limits.high), float(stats.sem(data)))


def difference_interval(first: Sequence[float], second: Sequence[float], confidence: float) -> Interval:
    """Welch's interval of mean(second) - mean(first); NO_INTERVAL if a value is not finite.

    If one group does not vary, Welch's interval is Student's of the other one.
    """
    a = np.asarray(first, dtype=np.float64)
    b = np.asarray(second, dtype=np.float64)
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return NO_INTERVAL
    if _agree(a):
        return mean_interval(list(b - a[0]), confidence)
    if _agree(b):
        return mean_interval(list(b[0] - a), confidence)
    limits = stats.ttest_ind(b, a, equal_var=False).confidence_interval(confidence)
    error = math.hypot(stats.sem(a), stats.sem(b))
    return Interval(float(b.mean() - a.mean()), float(limits.low), float(limits.high), error)


def _agree(data: np.ndarray) -> bool:
    """Whether all values are equal but for rounding. SciPy warns of such values."""
    return bool(np.ptp(data) <= 1e-14 * np.abs(data).max())


def share_interval(values: Sequence[float], confidence: float) -> Interval:
    """Clopper and Pearson's interval of the share of ones among values that are 0 or 1."""
    data = np.asarray(values, dtype=np.float64)
    count = len(data)
    share = float(data.mean())
    exact = stats.binomtest(int(data.sum()), count).proportion_ci(confidence)
    error = math.sqrt(share * (1 - share) / max(count - 1, 1))
    return Interval(share, float(exact.low), float(exact.high), error)


def share_difference_interval(first: Sequence[float], second: Sequence[float], confidence: float) -> Interval:
    """Newcombe's interval of mean(second) - mean(first) of values that are 0 or 1.

    Each end is as far from the difference as the two shares are from their own ends, by Pythagoras. Newcombe takes Wilson's
    intervals of the shares; these are Clopper and Pearson's, as Wilson's are too narrow for a handful of replicates.
    """
    a, b = share_interval(first, confidence), share_interval(second, confidence)
    difference = b.mean - a.mean
    low = difference - math.hypot(b.mean - b.low, a.high - a.mean)
    high = difference + math.hypot(b.high - b.mean, a.mean - a.low)
    return Interval(difference, max(low, -1.0), min(high, 1.0), math.hypot(a.standard_error, b.standard_error))


def judge(
    groups: Sequence[Sequence[float]],
    expect: Expect,
    margin: float,
    threshold: float | None,
    confidence: float,
    share: bool = False,
) -> Judgement:
    """The verdict of one claim.

    Args:
        groups: the values of the replicates, of one variant or of two. A value that diverged, or that was never reached, is
            infinite on the bad side.
        expect: higher, lower and same compare the second group with the first; same can also compare one group with zero.
            at_least and at_most compare one group with `threshold`.
        margin: the smallest difference that counts.
        share: whether the values are 0 or 1, so that a mean is a share.
    """
    of_one, of_two = (share_interval, share_difference_interval) if share else (mean_interval, difference_interval)
    interval = of_two(groups[0], groups[1], confidence) if len(groups) == 2 else of_one(groups[0], confidence)
    limit = 0.0 if threshold is None else threshold
    enough = min(len(group) for group in groups) >= FEWEST
    if math.isnan(interval.mean):
        verdict = _by_rank(groups, expect, margin, limit) if enough else "inconclusive"
        return Judgement(verdict, _direction(groups), math.nan, math.nan, False)
    if not enough:
        return Judgement("inconclusive", interval.mean, interval.low, interval.high, False)

    def decide(shift: float) -> Verdict:
        return _by_interval(interval.low + shift, interval.high + shift, expect, margin, limit)

    verdict = decide(0.0)
    shift = CLOSE * interval.standard_error
    close = decide(-shift) != verdict or decide(shift) != verdict
    return Judgement(verdict, interval.mean, interval.low, interval.high, close)


def _by_interval(low: float, high: float, expect: Expect, margin: float, threshold: float) -> Verdict:
    """The table of docs/verdicts.md."""
    if expect in ("at_least", "at_most"):
        if expect == "at_most":
            low, high, threshold = -high, -low, -threshold
        return "supported" if low >= threshold else "refuted" if high < threshold else "inconclusive"
    if expect == "lower":
        low, high = -high, -low
    within = -margin <= low and high <= margin
    if expect == "same":
        return "supported" if within else "refuted" if low > margin or high < -margin else "inconclusive"
    if low > margin:
        return "supported"
    if within:
        return "equivalent"
    return "refuted" if high < margin else "inconclusive"


def _by_rank(groups: Sequence[Sequence[float]], expect: Expect, margin: float, threshold: float) -> Verdict:
    """Without a mean, only groups that lie wholly apart decide, and only with enough replicates in each."""
    if min(len(group) for group in groups) < FEWEST_RANKED:
        return "inconclusive"
    if expect in ("at_least", "at_most"):
        return _by_interval(min(groups[0]), max(groups[0]), expect, margin, threshold)
    first, second = ([0.0], groups[0]) if len(groups) == 1 else groups
    if min(second) > max(first):
        gap = min(second) - max(first)
    elif max(second) < min(first):
        gap = max(second) - min(first)
    else:
        return "inconclusive"
    verdict = _by_interval(gap, gap, expect, margin, threshold)
    near = verdict == "equivalent" or (verdict == "supported" and expect == "same")
    return "inconclusive" if near else verdict  # without means, nobody can say how near the groups are


def _direction(groups: Sequence[Sequence[float]]) -> float:
    """The effect without a mean: infinite on the side of the infinite values, and NaN if both groups have some."""
    means = [float(np.mean(group)) if len(set(group)) > 1 else group[0] for group in groups]
    if len(groups) == 1:
        return means[0]
    return means[1] - means[0] if math.isinf(means[0]) != math.isinf(means[1]) else math.nan
