"""Intervals that cover more than seeds: the choice of the test rows, and folds that share their training rows."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from stages.lib.judging.verdicts import FREEDOM, two_sided


def seeds_and_rows_limits(groups: Sequence[np.ndarray], alpha: float) -> tuple[float, float]:
    """The interval of a mean, or of a difference of two, for other seeds and other test rows together.

    The variance of the mean over rows is added to that over seeds. What a seed and a row do together is in both, so the
    interval is a little too wide, and not too narrow.

    groups: one or two arrays (replicates, rows): whether each row was predicted correctly, or its loss. Both are of the same
        rows. NaN for fewer than 2 replicates or rows.
    """
    if min(min(group.shape) for group in groups) < 2:
        return math.nan, math.nan
    parts = []  # of each: variance of the mean, degrees of freedom, third central moment of the mean
    for sign, group in zip((-1.0, 1.0)[-len(groups) :], groups, strict=True):
        parts.append(_moments(sign * group.mean(axis=1)))
    of_rows = groups[-1].mean(axis=0) - (groups[0].mean(axis=0) if len(groups) == 2 else 0.0)
    parts.append(_moments(of_rows))
    variance = sum(part[0] for part in parts)
    if not variance > 0:
        return float(of_rows.mean()), float(of_rows.mean())
    freedom = variance**2 / sum(own**2 / degrees for own, degrees, _ in parts)
    third = sum(part[2] for part in parts)
    mean, error, skewed, half = (np.asarray(each) for each in (of_rows.mean(), math.sqrt(variance), third, FREEDOM * freedom))
    low, high = two_sided(mean, error, skewed, half, alpha)
    return float(low), float(high)


def _moments(values: np.ndarray) -> tuple[float, int, float]:
    """The variance of the mean of these values, its degrees of freedom, and the third central moment of the mean."""
    count = len(values)
    centred = values - values.mean()
    third = float((centred**3).sum()) / ((count - 1) * (count - 2) * count) if count > 2 else 0.0
    return float((centred**2).sum()) / (count - 1) / count, count - 1, third


def k_fold_factor(folds: int, repeats: int) -> float:
    """How many times the standard error of repeated k-fold validation is that of as many independent replicates.

    Folds share most of their training rows, so their results are correlated. C. Nadeau and Y. Bengio (Machine Learning 52,
    2003) take the correlation for the share of rows that is validated on: the variance is multiplied by
    1 + replicates x validated / trained rows.
    """
    return math.sqrt(1 + folds * repeats / (folds - 1))


def spread_out(values: Sequence[float], factor: float) -> list[float]:
    """Values with the same mean and a deviation that is `factor` times as large; as they are, if one is not finite."""
    mean = math.fsum(values) / len(values)
    return [mean + factor * (value - mean) for value in values] if math.isfinite(mean) else list(values)
