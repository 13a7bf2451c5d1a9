"""Verdicts: rules that keep to their share of false ones, as `benchmarks/verdicts.py` measures.

A claim is judged after fewer and then after more replicates. Each look has an equal part of the error that one look would have
(Bonferroni), so a claim is wrongly decided at any of them with a probability of at most 1 - confidence.

    mean       Welch's interval, or Student's of one group, and P. Hall's, which corrects for skewness (Journal of the Royal
               Statistical Society B 54, 1992). Both with half of the degrees of freedom; the wider end counts.
    median     the sign test's interval, which is exact: of one group, or of the differences seed by seed. It decides where a
               mean says nothing: a value is not finite, a network collapsed, or a group does not vary.
    share      Clopper and Pearson's exact interval; of two shares, the difference of two such, each with half of the error.
               Newcombe's narrower one misses the truth in up to 6 % of samples of 5, where 1 % is meant.

Half of the degrees of freedom is what a variance is worth if the values have an excess kurtosis of about 2. With all of them,
skewed replicates are judged wrongly two to five times as often as they may.

All functions take arrays whose last axis is replicates, and judge any number of such samples at once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from scipy import special, stats

from stages.lib.study.claims import Expect

Verdict = Literal["supported", "refuted", "equivalent", "inconclusive"]
VERDICTS: tuple[Verdict, ...] = ("inconclusive", "supported", "refuted", "equivalent")
"""`decide` gives the position in this list."""
FREEDOM = 0.5
"""Share of the degrees of freedom that counts. With two thirds, 5 replicates decide twice as many claims, and exponential ones
are judged wrongly in 1.1 to 2.4 % where 1 % is meant."""
FEWEST = 3
"""Replicates that an interval of a mean needs: the third moment has no estimate from fewer."""
CLOSE = 2.0
"""Standard errors by which an effect may move when the same study runs on another processor.

Half of the replicates then differ, and with them the mean and the width of the interval (measured by hiding AVX-512 from the
starter).
"""
By = Literal["mean", "median", "share"]


class Interval(NamedTuple):
    """A mean with its confidence interval and its standard error."""

    mean: float
    low: float
    high: float
    standard_error: float


NO_INTERVAL = Interval(math.nan, math.nan, math.nan, math.nan)


class Limits(NamedTuple):
    """Intervals of any number of samples, each an array of their shape.

    typical: whether the interval is of the median, and not of the mean.
    """

    low: np.ndarray
    high: np.ndarray
    typical: np.ndarray


class Judged(NamedTuple):
    """A verdict at one look.

    effect: the mean, the median or the share that the verdict is about, or the difference. Infinite or NaN where most values
        are not finite.
    low, high: its interval; infinite where it has no end.
    close: whether the verdict would be another if the effect moved by CLOSE standard errors. A median is never close.
    by: what the verdict is about.
    """

    verdict: Verdict
    effect: float
    low: float
    high: float
    close: bool
    by: By


# Intervals


def mean_limits(groups: Sequence[np.ndarray], alpha: float) -> tuple[np.ndarray, np.ndarray]:
    """The interval of the one group's mean, or of the second group's minus the first's.

    groups: one or two arrays (..., replicates). NaN for fewer than FEWEST replicates and for values that are not finite.
    """
    signs = (1.0,) if len(groups) == 1 else (-1.0, 1.0)
    shape = groups[0].shape[:-1]
    estimate, variance, third, spent = np.zeros(shape), np.zeros(shape), np.zeros(shape), np.zeros(shape)
    if min(group.shape[-1] for group in groups) < FEWEST:
        return np.full(shape, math.nan), np.full(shape, math.nan)
    with np.errstate(all="ignore"):  # values that are not finite, and those that agree
        for sign, group in zip(signs, groups, strict=True):
            count = group.shape[-1]
            mean = group.mean(axis=-1)
            centred = group - mean[..., None]
            own = (centred**2).sum(axis=-1) / (count - 1) / count
            estimate = estimate + sign * mean
            variance = variance + own
            third = third + sign * (centred**3).sum(axis=-1) / ((count - 1) * (count - 2) * count)
            spent = spent + own**2 / (count - 1)
        freedom = variance**2 / spent  # of Welch and Satterthwaite
        return two_sided(estimate, np.sqrt(variance), third, FREEDOM * freedom, alpha)


def two_sided(
    estimate: np.ndarray, error: np.ndarray, third: np.ndarray, freedom: np.ndarray, alpha: float
) -> tuple[np.ndarray, np.ndarray]:
    """The wider ends of Student's and Hall's interval.

    third: the third central moment of the estimate. Hall's transformation of t is ((1 + s t / 3)^3 - 1) / s + s / 6, where s is
    the estimate's skewness; its inverse is applied to Student's quantiles.
    """
    quantile = special.stdtrit(np.maximum(freedom, 1.0), 1 - alpha / 2)
    skewness = third / error**3
    steady = np.abs(skewness) < 1e-9  # Hall's transformation is then t itself
    s = np.where(steady, 1.0, skewness)
    below, above = (np.where(steady, y, 3 / s * (np.cbrt(1 + s * (y - s / 6)) - 1)) for y in (quantile, -quantile))
    return estimate - error * np.maximum(quantile, below), estimate + error * np.maximum(quantile, -above)


def median_limits(values: np.ndarray, alpha: float) -> tuple[np.ndarray, np.ndarray]:
    """The sign test's interval of the median: the k-th smallest and the k-th largest value.

    It is exact for every distribution. Too few values for it, such as 7 for an alpha of 0.01, leave it without ends. A value
    that is NaN, the difference of two infinite ones, counts against both sides.

    values: (..., replicates).
    """
    count = values.shape[-1]
    chances = stats.binom.cdf(np.arange(count // 2 + 1), count, 0.5)  # that so few values lie on one side
    k = int((2 * chances <= alpha * (1 + 1e-12)).sum())
    if k == 0:
        nothing = np.full(values.shape[:-1], math.inf)
        return -nothing, nothing
    lowest = np.sort(np.where(np.isnan(values), -math.inf, values), axis=-1)
    highest = np.sort(np.where(np.isnan(values), math.inf, values), axis=-1)
    return lowest[..., k - 1], highest[..., count - k]


def _agree(values: np.ndarray) -> np.ndarray:
    """Whether the values along the last axis are equal but for rounding. SciPy warns of such values."""
    with np.errstate(invalid="ignore"):  # infinity - infinity
        return np.asarray(np.ptp(values, axis=-1) <= 1e-14 * np.abs(values).max(axis=-1))


def by_seed(groups: Sequence[np.ndarray]) -> np.ndarray:
    """The one group, or second - first for each seed that both have."""
    if len(groups) == 1:
        return groups[0]
    shared = min(group.shape[-1] for group in groups)
    with np.errstate(invalid="ignore"):  # infinity - infinity is NaN
        return np.asarray(groups[1][..., :shared] - groups[0][..., :shared])


def limits(
    groups: Sequence[np.ndarray],
    alpha: float,
    collapsed: Sequence[np.ndarray] = (),
    paired: bool = False,
    bounds: tuple[float, float] = (-math.inf, math.inf),
) -> Limits:
    """The interval that a claim about numbers is judged by.

    Args:
        groups: one or two arrays (..., replicates).
        collapsed: for each group an array of its shape: whether the network is no better than a constant prediction.
        paired: whether the replicates of one seed are the same network, so that only their differences count.
        bounds: the smallest and the largest value that the effect can have, such as 0 and 1 of an accuracy.
    """
    differences = by_seed(groups)
    of_means = [differences] if paired else groups
    typical = np.zeros(differences.shape[:-1], dtype=bool)
    for group in of_means:
        typical |= ~np.isfinite(group).all(axis=-1)
        typical |= _agree(group)
    for marks in collapsed:
        typical |= marks.any(axis=-1)
    low, high = mean_limits(of_means, alpha)
    lowest, highest = median_limits(differences, alpha)
    return Limits(
        np.where(typical, lowest, np.maximum(low, bounds[0])), np.where(typical, highest, np.minimum(high, bounds[1])), typical
    )


def share_interval(values: Sequence[float], confidence: float) -> Interval:
    """Clopper and Pearson's interval of the share of ones among values that are 0 or 1."""
    data = np.asarray(values, dtype=np.float64)
    count = len(data)
    share = float(data.mean())
    exact = stats.binomtest(int(data.sum()), count).proportion_ci(confidence)
    error = math.sqrt(share * (1 - share) / max(count - 1, 1))
    return Interval(share, float(exact.low), float(exact.high), error)


def share_limits(groups: Sequence[Sequence[float]], alpha: float) -> tuple[float, float, float, float]:
    """The share of ones, or the second group's share minus the first's; its interval, and its standard error.

    The first group's interval and the second's hold together at least as often as 1 - alpha, and so does their difference.
    """
    own = [share_interval(group, 1 - alpha / len(groups)) for group in groups]
    last = own[-1]
    if len(groups) == 1:
        return last.mean, last.low, last.high, last.standard_error
    error = math.hypot(own[0].standard_error, last.standard_error)
    return last.mean - own[0].mean, last.low - own[0].high, last.high - own[0].low, error


# Verdicts


def decide(low: np.ndarray, high: np.ndarray, expect: Expect, margin: float, threshold: float = 0.0) -> np.ndarray:
    """The positions in VERDICTS, by the table of docs/verdicts.md. An interval of NaN decides nothing."""
    if expect in ("lower", "at_most"):
        low, high, threshold = -high, -low, -threshold
    if expect in ("at_least", "at_most"):
        choices = [(low >= threshold, "supported"), (high < threshold, "refuted")]
    else:
        within = (-margin <= low) & (high <= margin)
        choices = [(low > margin, "supported"), (within, "equivalent"), (high < margin, "refuted")]
        if expect == "same":
            choices = [(within, "supported"), ((low > margin) | (high < -margin), "refuted")]
    return np.select([found for found, _ in choices], [VERDICTS.index(verdict) for _, verdict in choices], 0)


def judge(
    groups: Sequence[Sequence[float]],
    expect: Expect,
    margin: float,
    threshold: float | None,
    alpha: float,
    collapsed: Sequence[Sequence[bool]] = (),
    share: bool = False,
    paired: bool = False,
    bounds: tuple[float, float] = (-math.inf, math.inf),
) -> Judged:
    """The verdict of one claim at one look.

    Args:
        groups: the values of one variant's replicates, or of two, in the order of their seeds. A value that diverged, or that
            was never reached, is infinite on the bad side.
        expect: higher, lower and same compare the second group with the first; same can also compare one group with zero.
            at_least and at_most compare one group with `threshold`.
        margin: the smallest difference that counts.
        alpha: how often this look may be wrong.
        collapsed, paired, bounds: as in `limits`.
        share: whether the values are 0 or 1.
    """
    arrays = [np.asarray(group, dtype=np.float64) for group in groups]
    limit = 0.0 if threshold is None else threshold
    by: By = "share"
    if share:
        effect, low, high, error = share_limits(groups, alpha)
    else:
        found = limits(arrays, alpha, [np.asarray(marks, dtype=bool) for marks in collapsed], paired, bounds)
        low, high = float(found.low), float(found.high)
        by = "median" if found.typical else "mean"
        effect, error = _effect(arrays, by, paired)

    def at(shift: float) -> Verdict:
        return VERDICTS[int(decide(np.asarray(low + shift), np.asarray(high + shift), expect, margin, limit))]

    verdict = at(0.0)
    close = by != "median" and any(at(shift) != verdict for shift in (-CLOSE * error, CLOSE * error))
    return Judged(verdict, effect, low, high, close, by)


def _effect(groups: Sequence[np.ndarray], by: By, paired: bool) -> tuple[float, float]:
    """The mean or the median, or the difference, and the mean's standard error."""
    differences = by_seed(groups)
    if by == "median":
        known = differences[~np.isnan(differences)]
        middle = np.sort(known)[[(len(known) - 1) // 2, len(known) // 2]] if len(known) else np.array([math.nan])
        agree = len(middle) == 2 and middle[0] == middle[1]  # the mean of two infinite values is one, but warns
        return float(middle[0] if agree else middle.mean()), 0.0
    of_means = [differences] if paired else groups
    error = math.sqrt(sum(float(group.var(ddof=1)) / len(group) for group in of_means)) if len(of_means[0]) > 1 else 0.0
    means = [float(group.mean()) for group in of_means]
    return means[-1] - (means[0] if len(means) == 2 else 0.0), error


# What is no claim


def mean_interval(values: Sequence[float], confidence: float) -> Interval:
    """Student's interval of the mean, of scores over folds or over searches.

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
