"""Learning curves, as the page draws and reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from markupsafe import Markup

from stages.lib.judging.units import finite_column, unit_of
from stages.lib.report.figures.curves import compared_curves, curve_measures, curve_panels, kinds
from stages.lib.report.figures.output import inline
from stages.lib.report.figures.style import WIDTH
from stages.lib.study.metrics import finite


@dataclass(frozen=True)
class CurvePictures:
    """The curves of one measure.

    kinds: the measure on the training rows and, if there are any, on the validation rows.
    comparison: all variants on the same axes.
    axis: the left and the right end of these axes in the picture's coordinates, and the epochs there.
    panels, ends: variant -> its own panel, and its value on the training rows after the last epoch.
    """

    kinds: list[str]
    comparison: Markup
    axis: list[float]
    panels: dict[str, Markup]
    ends: dict[str, str]


def curve_pictures(curves: pd.DataFrame, parents: Mapping[str, str | None]) -> dict[str, CurvePictures]:
    """Measure -> its pictures. A line or a band of the comparison is a group that the page's script finds."""
    return {measure: _pictures(curves, parents, measure) for measure in curve_measures(curves)}


def _pictures(curves: pd.DataFrame, parents: Mapping[str, str | None], measure: str) -> CurvePictures:
    marks = {
        f"{kind}{part} {variant}": {"class": f"curve{part}", "data-variant": variant, "data-kind": kind, "title": variant}
        for variant in parents
        for kind in (measure, f"val_{measure}")
        for part in ("", "-band")
    }
    unit = unit_of(measure, "classification" if measure == "accuracy" else "regression")
    drawn = compared_curves(curves, measure)
    (axes,) = drawn.axes
    last = {str(name): group[f"{measure}_mean"].iloc[-1] for name, group in curves.groupby("variant", sort=False)}
    return CurvePictures(
        kinds=kinds(curves, measure),
        comparison=inline(drawn, f"{measure}-", marks),
        axis=[*(72 * WIDTH * edge for edge in axes.get_position().intervalx), *axes.get_xlim()],
        panels={name: inline(panel, f"{measure}-{name}-") for name, panel in curve_panels(curves, parents, measure).items()},
        ends={name: unit.value(finite(value)) for name, value in last.items()},
    )


Values = dict[str, int | list[list[float | None]]]


def curve_values(curves: pd.DataFrame) -> dict[str, dict[str, Values]]:
    """Measure -> variant -> what the page's script reads: `epochs` and, for each kind, the means, lows and highs."""
    return {
        measure: {str(name): _values(group, measure) for name, group in curves.groupby("variant", sort=False)}
        for measure in curve_measures(curves)
    }


def _values(group: pd.DataFrame, measure: str) -> Values:
    values: Values = {"epochs": len(group)}
    for kind in kinds(group, measure):
        columns = [finite_column(group[f"{kind}_{how}"]) for how in ("mean", "min", "max")]
        if not np.isnan(columns[1]).all():  # a variant without validation rows
            values[kind] = [[None if np.isnan(value) else float(f"{value:.5g}") for value in column] for column in columns]
    return values
