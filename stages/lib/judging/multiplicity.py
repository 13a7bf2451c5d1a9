"""Many claims at once: which decided verdicts would stand if all studies were judged together."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import pandas as pd

from stages.lib.judging import planned
from stages.lib.study.claims import Claim
from stages.lib.study.settings import Study

SMALLEST = 1e-12
"""Chances below this are not told apart."""


class Together(NamedTuple):
    """What is left of decided claims if all are judged together.

    decided, judged: claims that are decided, and all of them.
    rate: the false discovery rate at which Benjamini and Hochberg's procedure keeps every decided claim.
    falls: the decided claims that Holm's procedure does not keep at the family-wise level, in their order.
    """

    decided: int
    judged: int
    rate: float
    falls: list[str]


def chance_of(study: Study, claim: Claim, replicates: pd.DataFrame) -> float:
    """The chance of replicates that speak for the claim's verdict as clearly, if it is false; 1 for an inconclusive one.

    It is one-sided: half of the smallest alpha at which the look that decided finds the same verdict, times the number of
    looks, as their chances add up.

    replicates: as in planned.progress_of.
    """
    found = planned.progress_of(study, claim, replicates)
    if not found.decided:
        return 1.0
    groups = [planned.rows_of(study, variant, found.look, replicates) for variant in claim.variants]
    smallest = smallest_alpha(lambda alpha: planned.judge(study, claim, groups, alpha).verdict, planned.alpha_of(study, claim))
    return smallest * len(planned.plan_of(study, claim)) / 2


def smallest_alpha(verdict: Callable[[float], str], alpha: float) -> float:
    """The smallest alpha, to a thousandth of itself, at which the verdict is the one at `alpha`; at least SMALLEST."""
    found = verdict(alpha)
    if verdict(SMALLEST) == found:
        return SMALLEST
    low, high = math.log(SMALLEST), math.log(alpha)
    while high - low > 1e-3:
        middle = (low + high) / 2
        low, high = (low, middle) if verdict(math.exp(middle)) == found else (middle, high)
    return math.exp(high)


def together(chances: Mapping[str, float], level: float = 0.05) -> Together:
    """Benjamini and Hochberg's procedure (1995), and Holm's (1979), over all claims.

    chances: claim -> as chance_of gives it. level: the chance of Holm's procedure that any claim that it keeps is wrong.
    """
    count = len(chances)
    ordered = sorted(chances, key=lambda name: chances[name])
    decided = [name for name in ordered if chances[name] < 1]
    rates = [chances[name] * count / rank for rank, name in enumerate(decided, 1)]
    kept = 0
    while kept < len(decided) and chances[decided[kept]] <= level / (count - kept):
        kept += 1
    fallen = {*decided[kept:]}
    return Together(len(decided), count, max(rates, default=0.0), [name for name in chances if name in fallen])
