"""Numbers that a source reports, compared with the replicates."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np

from stages.lib.judging.units import Unit, with_minus
from stages.lib.study.claims import Claim
from stages.lib.study.metrics import finite
from stages.lib.study.strict_yaml import Printed

STANDINGS = ("inside", "one run", "outside", "undecided")
"""Where a reported number may lie."""


def decimals(number: float) -> int:
    """The decimals of a number as params.yaml has it; of other numbers, without zeros at the end."""
    if isinstance(number, Printed):
        return max(0, -int(Decimal(number.text.replace("_", "")).as_tuple().exponent))
    text = f"{number:.12f}".rstrip("0")
    return len(text) - text.index(".") - 1


@dataclass(frozen=True)
class Comparison:
    """A metric of a variant or of a strategy, beside the number that the source prints of it.

    reported: None if the source prints none.
    row: as in summary.csv, with mean, sd, low, high and replicates. None if it was not measured.
    singles: the metric of each replicate, as far as it is known.
    """

    name: str
    metric: str
    unit: Unit
    reported: float | None
    row: Mapping[str, Any] | None
    singles: Sequence[float] = ()

    @property
    def standing(self) -> str:
        """Where the reported number lies. It stands for every number that rounds to it.

        `inside`: in the confidence interval of the mean.
        `one run`: in Student's prediction interval for one more replicate, which is sqrt(n + 1) times as wide.
        `outside`: in neither.
        `undecided`: there is no interval, or one that covers every possible accuracy.

        Empty if there is no reported number, or nothing to compare it with.
        """
        if self.reported is None or self.row is None:
            return ""
        mean, low, high = (finite(self.row[name]) for name in ("mean", "low", "high"))
        count = int(self.row["replicates"])
        covers_all = "accuracy" in self.metric and low <= 0 and high >= 1
        if np.isnan([mean, low, high]).any() or count < 2 or covers_all:
            return "undecided"
        rounding = 0.0 if self.reported.is_integer() else 0.5 * 10.0 ** -decimals(self.reported)
        rounding *= 1 + 1e-9  # 0.975 rounds to 0.98, but its binary value is a little less
        if low - rounding <= self.reported <= high + rounding:
            return "inside"
        wider = math.sqrt(count + 1)
        lowest = mean - (mean - low) * wider - rounding
        highest = mean + (high - mean) * wider + rounding
        return "one run" if lowest <= self.reported <= highest else "outside"

    @property
    def distance(self) -> tuple[float, str]:
        """The distance of the reported number from the mean, in standard deviations of the replicates; and as text.

        The distance is NaN if the replicates agree or have no deviation.
        """
        if self.reported is None or self.row is None:
            return math.nan, ""
        mean, deviation = (finite(self.row.get(name)) for name in ("mean", "sd"))
        off = (self.reported - mean) / deviation if deviation > 0 else math.nan
        if math.isnan(off):
            return math.nan, "all alike" if deviation == 0 else "–"
        return off, with_minus(f"{off:+.1f}")

    @property
    def mean(self) -> float:
        return finite(self.row["mean"]) if self.row else math.nan

    @property
    def printed(self) -> str:
        """The reported number in the metric's unit, with the decimals that are printed."""
        if self.reported is None:
            return ""
        places = max(decimals(self.reported) - round(math.log10(self.unit.factor)), 0)
        return with_minus(f"{self.reported * self.unit.factor:,.{places}f} {self.unit.level}").strip()

    @property
    def measured(self) -> str:
        """The mean in the metric's unit."""
        return self.unit.value(self.row["mean"]) if self.row else "not measured"

    @property
    def interval(self) -> str:
        return self.unit.interval(self.row["low"], self.row["high"]) if self.row else ""

    @property
    def spread(self) -> str:
        """The range of single runs."""
        whole = len(self.singles) and not np.isnan(self.singles).any()
        return self.unit.interval(min(self.singles), max(self.singles)) if whole else "–"


def single_runs(claim: Claim, groups: Sequence[Sequence[float]]) -> tuple[int, int]:
    """What readers who train once would see: the runs, or pairs of runs, that do not show what is claimed, and all of them.

    groups: the values of the one variant, or of the two; NaN is infinite on the bad side.
    """
    if claim.threshold is not None:
        values = np.array(groups[0])
        shown = values >= claim.threshold if claim.expect == "at_least" else values <= claim.threshold
    else:
        first = groups[0] if len(groups) == 2 else [0.0]
        with np.errstate(invalid="ignore"):  # infinity minus infinity, which shows nothing
            effects = np.subtract.outer(groups[-1], first)
        if claim.expect == "same":
            shown = np.abs(effects) <= claim.margin
        else:
            shown = effects > claim.margin if claim.expect == "higher" else effects < -claim.margin
    return int((~shown).sum()), shown.size
