"""Verdicts: what the replicates say of a claim, with an interval.

Replicates of two variants with the same seed are not correlated, so nothing is paired: the interval of a difference of means is
Welch's (B. L. Welch, Biometrika 34, 1947), that of one mean is Student's, that of one share is exact, and that of a difference
of shares is made of the two.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

Verdict = Literal["supported", "refuted", "equivalent", "inconclusive"]
Expect = Literal["higher", "lower", "same", "at_least", "at_most"]

FEWEST = 3  # replicates in a group below which nothing is decided
CLOSE = 2.0
"""Standard errors by which an effect may move when the same study runs on another processor: a half of the replicates then
differ, and with them both the mean and the width of the interval (measured by hiding AVX-512 from the starter)."""
FEWEST_RANKED = 5  # replicates in each group to decide by rank alone: 2 / C(10, 5) = 0.008 by chance


@dataclass(frozen=True)
class Interval:
    """A mean, or a difference of means, with its confidence interval and its standard error."""

    mean: float
    low: float
    high: float
    standard_error: float


@dataclass(frozen=True)
class Judgement:
    """A verdict and what it rests on; the effect is the second group's mean minus the first's, or the one group's mean."""

    verdict: Verdict
    effect: float
    low: float
    high: float
    close: bool  # another verdict, if the effect moved by CLOSE standard errors


def mean_interval(values: Sequence[float], confidence: float) -> Interval:
    """Student's interval of the mean: mean -+ t(n - 1) s / sqrt(n). One value, or values that all agree, give a point.

    Values that are not all finite have no interval: all of it is NaN.
    """
    data = np.asarray(values, dtype=np.float64)
    if not np.isfinite(data).all():
        return Interval(math.nan, math.nan, math.nan, math.nan)
    return _around(_mean(data), _variance_of_mean(data), max(len(data) - 1, 1), confidence)


def share_interval(values: Sequence[float], confidence: float) -> Interval:
    """Clopper and Pearson's exact interval (Biometrika 26, 1934) of the share of ones among values that are 0 or 1."""
    data = np.asarray(values, dtype=np.float64)
    exact = stats.binomtest(int(data.sum()), len(data)).proportion_ci(confidence)
    return Interval(float(data.mean()), float(exact.low), float(exact.high), math.sqrt(_variance_of_mean(data)))


def share_difference_interval(first: Sequence[float], second: Sequence[float], confidence: float) -> Interval:
    """The interval of mean(second) - mean(first) of values that are 0 or 1, from the exact intervals of the two shares.

    An end is as far from the difference as the root of the sum of the squares of the distances from each share to its own end:
    R. G. Newcombe's method 10 (Statistics in Medicine 17, 1998), with Clopper and Pearson's intervals in the place of Wilson's,
    which are too narrow for a handful of replicates.
    """
    a, b = share_interval(first, confidence), share_interval(second, confidence)
    difference = b.mean - a.mean
    low = difference - math.hypot(b.mean - b.low, a.high - a.mean)
    high = difference + math.hypot(b.high - b.mean, a.mean - a.low)
    return Interval(difference, max(low, -1.0), min(high, 1.0), math.hypot(a.standard_error, b.standard_error))


def difference_interval(first: Sequence[float], second: Sequence[float], confidence: float) -> Interval:
    """Welch's interval of mean(second) - mean(first), with Welch and Satterthwaite's degrees of freedom.

    Values that are not all finite have no interval: all of it is NaN.
    """
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return Interval(math.nan, math.nan, math.nan, math.nan)
    va, vb = _variance_of_mean(a), _variance_of_mean(b)
    freedom = 1.0
    if va + vb > 0:
        freedom = (va + vb) ** 2 / (va**2 / max(len(a) - 1, 1) + vb**2 / max(len(b) - 1, 1))
    return _around(_mean(b) - _mean(a), va + vb, freedom, confidence)


def _mean(data: np.ndarray) -> float:
    return float(data.mean() if np.ptp(data) else data[0])  # the mean of three times 0.1 is more than 0.1


def _variance_of_mean(data: np.ndarray) -> float:
    if len(data) < 2 or np.ptp(data) == 0:  # exactly zero, where the mean's rounding would leave 1e-34
        return 0.0
    return float(data.var(ddof=1) / len(data))


def _around(mean: float, variance: float, freedom: float, confidence: float) -> Interval:
    error = math.sqrt(variance)
    reach = float(stats.t.ppf((1 + confidence) / 2, freedom)) * error if error else 0.0
    return Interval(mean, mean - reach, mean + reach, error)


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
        groups: the replicates' values, of one variant or of the two that are compared; what diverged, or was never reached, is
            infinite on the bad side.
        expect: higher, lower and same are of the second group against the first (of the one group against zero, for same);
            at_least and at_most are of one group against `threshold`.
        margin: the smallest difference that counts.
        share: whether the values are 0 or 1, so that a group's mean is a share.
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

    def decide(by: float) -> Verdict:
        return _by_interval(interval.low + by, interval.high + by, expect, margin, limit)

    verdict = decide(0.0)
    shift = CLOSE * interval.standard_error
    close = decide(-shift) != verdict or decide(shift) != verdict
    return Judgement(verdict, interval.mean, interval.low, interval.high, close)


def _by_interval(low: float, high: float, expect: Expect, margin: float, threshold: float) -> Verdict:
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
        low = high = min(second) - max(first)
    elif max(second) < min(first):
        low = high = max(second) - min(first)
    else:
        return "inconclusive"
    verdict = _by_interval(low, high, expect, margin, threshold)
    near = verdict == "equivalent" or (verdict == "supported" and expect == "same")
    return "inconclusive" if near else verdict  # how near groups are cannot be said without their means


def _direction(groups: Sequence[Sequence[float]]) -> float:
    """Which way a difference without a mean points: infinite on the side of the infinite values, NaN where both have some."""
    means = [float(np.mean(group)) if len(set(group)) > 1 else group[0] for group in groups]
    if len(groups) == 1:
        return means[0]
    return means[1] - means[0] if math.isinf(means[0]) != math.isinf(means[1]) else math.nan
