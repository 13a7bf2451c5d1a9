"""A metric on both sides of a change, and whether the difference is more than noise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from stages.lib.judging.verdicts import FEWEST, FEWEST_RANKED, Judgement, judge
from stages.lib.study.metrics import is_share

BEYOND, WITHIN, UNDECIDED = "beyond noise", "within noise", "undecided"
SMALLEST = 1e-9
"""Means that differ by less are the same: metrics have five decimals, and sums round."""


@dataclass(frozen=True)
class Change:
    """A metric of a variant or strategy, replicate by replicate. `old` is its name in the base.

    before, after: infinite on the metric's bad side for a replicate that diverged.
    """

    name: str
    old: str
    metric: str
    before: Sequence[float]
    after: Sequence[float]
    confidence: float

    @cached_property
    def judgement(self) -> Judgement:
        return judge([self.before, self.after], "higher", 0.0, None, self.confidence, is_share(self.metric))

    @cached_property
    def means(self) -> tuple[float, float]:
        return float(np.mean(self.before)), float(np.mean(self.after))

    @property
    def changed(self) -> bool:
        """Whether the mean did. Of values that are infinite, whether any value did: a constant of more seeds is the same."""
        if all(map(math.isfinite, self.means)):
            return not math.isclose(*self.means, rel_tol=SMALLEST, abs_tol=SMALLEST)
        return self.before != self.after and len({*self.before, *self.after}) > 1

    @property
    def continued(self) -> bool:
        """Whether one side begins with all values of the other: seeds were added or taken away."""
        return all(before == after for before, after in zip(self.before, self.after, strict=False))

    @property
    def by_rank(self) -> bool:
        return math.isnan(self.judgement.low)

    @property
    def apart(self) -> bool:
        return self.rose or max(self.after) < min(self.before)

    @property
    def rose(self) -> bool:
        """Whether every value is above every one before."""
        return min(self.after) > max(self.before)

    @property
    def mark(self) -> str:
        """Beyond noise if the interval leaves zero out or, without an interval, if the groups lie apart."""
        fewest = min(len(self.before), len(self.after))
        if fewest < FEWEST or (self.by_rank and self.apart and fewest < FEWEST_RANKED):
            return UNDECIDED
        return BEYOND if self.judgement.verdict in ("supported", "refuted") else WITHIN
