"""Numbers that a source reports, compared with the replicates."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
from scipy import special

from stages.lib.judging.replicates import COLLAPSED
from stages.lib.judging.units import Unit, with_minus
from stages.lib.judging.verdicts import mean_interval
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
    collapsed: whether each of these networks collapsed; empty if that is not known.
    confidence: of the interval in `row`.
    """

    name: str
    metric: str
    unit: Unit
    reported: float | None
    row: Mapping[str, Any] | None
    singles: Sequence[float] = ()
    collapsed: Sequence[bool] = ()
    confidence: float = 0.99

    @property
    def healthy(self) -> list[float]:
        """The metric of the replicates that did not collapse, if some did and most did not; else nothing.

        One collapsed network makes the interval so wide that any reported number is inside.
        """
        kept = [value for value, collapsed in zip(self.singles, self.collapsed, strict=False) if not collapsed]
        some = len(kept) < len(self.singles) < 2 * len(kept)
        return kept if some and len(kept) > 1 and np.isfinite(kept).all() else []

    @property
    def aside(self) -> str:
        """What a reported number is not compared with, in words."""
        count = len(self.singles) - len(self.healthy)
        return f"{count} of {len(self.singles)} collapsed, and {'is' if count == 1 else 'are'} left out" if self.healthy else ""

    @property
    def _compared_with(self) -> Mapping[str, Any]:
        """The mean, deviation, interval and number of the replicates that a reported number is compared with."""
        if not self.healthy or not self.row:
            return self.row or {}
        found = mean_interval(self.healthy, self.confidence)
        deviation = float(np.std(self.healthy, ddof=1))
        return {"mean": found.mean, "sd": deviation, "low": found.low, "high": found.high, "replicates": len(self.healthy)}

    @property
    def _rounding(self) -> float:
        """How far a number may lie from the reported one, and still be printed as it."""
        if self.reported is None or self.reported.is_integer():
            return 0.0
        half = 0.5 * 10.0 ** -decimals(self.reported)
        return half * (1 + 1e-9)  # 0.975 rounds to 0.98, but its binary value is a little less

    @property
    def standing(self) -> str:
        """Where the reported number lies. It stands for every number that rounds to it; networks that collapsed are left out.

        `inside`: in the confidence interval of the mean.
        `one run`: not there, but in Student's prediction interval for one more replicate.
        `outside`: not where one more replicate may fall, even if the interval is wider than that, as with planned looks.
        `undecided`: there is no interval, or one that covers every possible accuracy.

        Empty if there is no reported number, or nothing to compare it with.
        """
        if self.reported is None or self.row is None:
            return ""
        row = self._compared_with
        mean, low, high = (finite(row[name]) for name in ("mean", "low", "high"))
        count = int(row["replicates"])
        covers_all = "accuracy" in self.metric and low <= 0 and high >= 1
        if np.isnan([mean, low, high]).any() or count < 2 or covers_all:
            return "undecided"
        rounding = self._rounding
        reach = float(special.stdtrit(count - 1, 0.5 + self.confidence / 2)) * finite(row["sd"]) * math.sqrt(1 + 1 / count)
        if abs(self.reported - mean) > reach + rounding:
            return "outside"
        return "inside" if low - rounding <= self.reported <= high + rounding else "one run"

    @property
    def distance(self) -> tuple[float, str]:
        """The distance of the reported number from the mean, in standard deviations of the replicates; and as text.

        It is that of the nearest number that rounds to the reported one. Networks that collapsed are left out.
        The distance is NaN if the replicates agree or have no deviation.
        """
        if self.reported is None or self.row is None:
            return math.nan, ""
        mean, deviation = (finite(self._compared_with.get(name)) for name in ("mean", "sd"))
        apart = max(abs(self.reported - mean) - self._rounding, 0.0)
        off = math.copysign(apart, self.reported - mean) / deviation if deviation > 0 else math.nan
        if math.isnan(off):
            return math.nan, "all alike" if deviation == 0 else "–"
        text = f"{off:+.1f}"
        return off, with_minus(text) if float(text) else "0.0"

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
    def text(self) -> str:
        """The reported number as the source prints it."""
        if self.reported is None:
            return ""
        return self.reported.text if isinstance(self.reported, Printed) else f"{self.reported:g}"

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


def collapsed_of(replicates: pd.DataFrame) -> list[bool]:
    """Whether each replicate's network collapsed; empty if that was not measured."""
    return [float(mark) == 1 for mark in replicates[COLLAPSED]] if COLLAPSED in replicates else []


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
