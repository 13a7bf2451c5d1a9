"""Numbers that a source reports, compared with the replicates."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from stages.lib.judging.units import with_minus
from stages.lib.study.claims import Claim
from stages.lib.study.metrics import finite

STANDINGS = ("inside", "one run", "outside", "undecided")
"""What `standing` may answer."""


def decimals(number: float) -> int:
    """The decimals of a number as params.yaml has it. YAML drops zeros at the end."""
    text = f"{number:.12f}".rstrip("0")
    return len(text) - text.index(".") - 1


def standing(reported: float, row: Mapping[str, Any]) -> str:
    """Where a reported number lies. It stands for every number that rounds to it.

    `inside`: in the confidence interval of the mean.
    `one run`: in Student's prediction interval for one more replicate, which is sqrt(n + 1) times as wide.
    `outside`: in neither.
    `undecided`: there is no interval, or one that covers every possible accuracy.

    row: of summary.csv, with mean, low, high and replicates.
    """
    mean, low, high = (finite(row[name]) for name in ("mean", "low", "high"))
    count = int(row["replicates"])
    covers_all = "accuracy" in row.get("metric", "") and low <= 0 and high >= 1
    if np.isnan([mean, low, high]).any() or count < 2 or covers_all:
        return "undecided"
    rounding = 0.0 if reported.is_integer() else 0.5 * 10.0 ** -decimals(reported)
    rounding *= 1 + 1e-9  # 0.975 rounds to 0.98, but its binary value is a little less
    if low - rounding <= reported <= high + rounding:
        return "inside"
    wider = math.sqrt(count + 1)
    lowest = mean - (mean - low) * wider - rounding
    highest = mean + (high - mean) * wider + rounding
    return "one run" if lowest <= reported <= highest else "outside"


def distance(reported: float, row: Mapping[str, Any]) -> tuple[float, str]:
    """The distance of a reported number from the mean, in standard deviations of the replicates; and as text.

    The distance is NaN if the replicates agree or have no deviation.

    row: of summary.csv, with mean and sd.
    """
    mean, deviation = (finite(row.get(name)) for name in ("mean", "sd"))
    off = (reported - mean) / deviation if deviation > 0 else math.nan
    if math.isnan(off):
        return math.nan, "all alike" if deviation == 0 else "–"
    return off, with_minus(f"{off:+.1f}")


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
