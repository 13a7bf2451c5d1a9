"""Numbers that the source prints of variants, beside ours."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from stages.lib.judging.reported import decimals, distance, standing
from stages.lib.judging.units import finite_column, unit_of, with_minus
from stages.lib.report.results import Results
from stages.lib.report.words import WORDS
from stages.lib.study.metrics import finite


@dataclass(frozen=True)
class ReportedRow:
    """A printed number, and what was measured.

    value, mean, off: the printed number, our mean, and their distance in standard deviations, to sort by.
    single: the range of single runs.
    standing: see judging/reported.py; empty if the metric was not measured.
    """

    variant: str
    metric: str
    value: float
    mean: float
    off: float
    reported: str
    measured: str
    interval: str
    single: str
    standing: str
    distance: str


def reported_row(results: Results, variant: str, metric: str, value: float) -> ReportedRow:
    unit, row = unit_of(metric, results.task), results.measured(variant, metric)
    places = max(decimals(value) - round(math.log10(unit.factor)), 0)
    printed = with_minus(f"{value * unit.factor:,.{places}f} {unit.level}").strip()
    if row is None:
        return ReportedRow(variant, metric, value, math.nan, math.nan, printed, "not measured", "no interval", "", "", "–")
    single = finite_column(results.rows_of(variant)[metric])
    off, off_text = distance(value, row)
    return ReportedRow(
        variant=variant,
        metric=metric,
        value=value,
        mean=finite(row["mean"]),
        off=off,
        reported=printed,
        measured=WORDS.get(str(row["mean"]), unit.value(finite(row["mean"]))),
        interval="no interval" if math.isnan(finite(row["low"])) else unit.interval(row["low"], row["high"]),
        single="" if np.isnan(single).any() or not len(single) else unit.interval(single.min(), single.max()),
        standing=standing(value, row),
        distance=off_text,
    )


def reported_rows(results: Results) -> list[ReportedRow]:
    """In the order of params.yaml."""
    return [
        reported_row(results, variant, metric, value)
        for variant, settings in results.study.variants.items()
        for metric, value in settings.reported.items()
    ]
