"""The price of an inconclusive claim: how many replicates, those that there are among them, would probably decide it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from scipy import special, stats

from stages.lib.judging.verdicts import FREEDOM, by_seed
from stages.lib.study.claims import Expect

MOST = 1000
"""Replicates. A study may not ask for more."""
_QUANTILES = (np.arange(500) + 0.5) / 500


def seeds_needed(chance: float, decided: Callable[[int], float]) -> int | None:
    """The smallest number of replicates that decides with at least this chance; None if MOST do not.

    decided: the chance of a number of replicates, which rises with it.
    """
    if decided(MOST) < chance:
        return None
    low, high = 2, MOST
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if decided(middle) >= chance else (middle + 1, high)
    return low


def chance_by_mean(
    groups: Sequence[Sequence[float]], expect: Expect, margin: float, threshold: float | None, alpha: float
) -> Callable[[int], float]:
    """A function: so many replicates of each group -> the chance that the interval of the mean decides the claim.

    The measured ones are among them, so it is 0 up to their number. It takes the measured means and deviations for the truth of
    those to come, and normal replicates: the mean of all then varies by the new ones alone, which is called conditional power
    under the current trend. It is summed over quantiles of the deviation, as for Student's noncentral t. Hall's correction of
    the interval is left out; it changes little where replicates are normal.
    """
    arrays = [np.asarray(group, dtype=np.float64) for group in groups]
    measured = min(map(len, arrays))
    variances = np.array([group.var(ddof=1) for group in arrays])
    effect = float(arrays[-1].mean() - (arrays[0].mean() if len(arrays) == 2 else 0.0))

    def chance(count: int) -> float:
        if count <= measured:
            return 0.0
        error = math.sqrt(variances.sum() / count)
        still_free = math.sqrt((count - measured) / count)  # of the error of the mean
        freedom = float(variances.sum() ** 2 / (variances**2).sum() * (count - 1))
        quantile = special.stdtrit(max(FREEDOM * freedom, 1.0), 1 - alpha / 2)

        deviations = np.sqrt(special.chdtri(freedom, _QUANTILES) / freedom)  # of a sample, for a true one of 1

        def above(limit: float) -> float:  # that the whole interval is
            return float(special.ndtr(((effect - limit) / error - quantile * deviations) / still_free).mean())

        def below(limit: float) -> float:
            return float(special.ndtr(((limit - effect) / error - quantile * deviations) / still_free).mean())

        if expect == "same":
            return above(margin) + below(-margin) + max(0.0, below(margin) + above(-margin) - 1)
        limit = threshold if threshold is not None else -margin if expect == "lower" else margin
        return above(limit) + below(limit)

    return chance


def chance_by_median(
    groups: Sequence[Sequence[float]], expect: Expect, margin: float, threshold: float | None, alpha: float
) -> Callable[[int], float]:
    """A function: so many replicates -> the chance that the sign test's interval decides the claim.

    The measured ones are among them. Of those to come, it takes the measured share of replicates, or of differences seed by
    seed, on either side of the limit for the truth.
    """
    values = by_seed([np.asarray(group, dtype=np.float64) for group in groups])
    limit = threshold if threshold is not None else -margin if expect == "lower" else margin
    known = values[~np.isnan(values)]
    sides = [float((known > limit).sum()), float((known < limit).sum())]
    if expect == "same":
        sides = [float((np.abs(known) <= margin).sum()), float((known > margin).sum()), float((known < -margin).sum())]
    measured = len(values)
    wrong = measured - max(sides)

    def chance(count: int) -> float:
        if count <= measured:
            return 0.0
        tails = stats.binom.cdf(np.arange(count // 2 + 1), count, 0.5)
        others = int((2 * tails <= alpha).sum()) - 1  # that may lie on the wrong side
        return float(stats.binom.cdf(others - wrong, count - measured, wrong / measured))

    return chance
