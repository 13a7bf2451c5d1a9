"""A metric on both sides of a change, and whether the difference is more than noise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from stages.lib.judging.verdicts import FEWEST, Judged, judge
from stages.lib.study.metrics import is_share

BEYOND, WITHIN, UNDECIDED = "beyond noise", "within noise", "undecided"
SMALLEST = 1e-9
"""Means that differ by less are the same: metrics have five decimals, and sums round."""
FEWEST_APART = 5
"""Replicates of each side that lie wholly apart by chance with a probability of 2 / C(10, 5) = 0.008."""


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
    def judged(self) -> Judged:
        return judge([self.before, self.after], "higher", 0.0, None, 1 - self.confidence, share=is_share(self.metric))

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
        """Whether a mean says nothing."""
        return self.judged.by == "median"

    @property
    def apart(self) -> bool:
        return self.rose or max(self.after) < min(self.before)

    @property
    def rose(self) -> bool:
        """Whether every value is above every one before."""
        return min(self.after) > max(self.before)

    @property
    def mark(self) -> str:
        """Beyond noise if the interval leaves zero out or, where a mean says nothing, if the sides lie apart."""
        fewest = min(len(self.before), len(self.after))
        if fewest < FEWEST or (self.by_rank and self.apart and fewest < FEWEST_APART):
            return UNDECIDED
        beyond = self.apart if self.by_rank else self.judged.verdict in ("supported", "refuted")
        return BEYOND if beyond else WITHIN
