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
    def mark(self) -> str:
        """Beyond noise if the interval leaves zero out; undecided if there are too few replicates for an interval."""
        fewest = min(len(self.before), len(self.after))
        if fewest < FEWEST or (self.judged.by == "median" and math.isinf(self.judged.low) and math.isinf(self.judged.high)):
            return UNDECIDED
        return BEYOND if self.judged.verdict in ("supported", "refuted") else WITHIN
