"""Variants: the leaderboard, tips, learning curves, gradients, and the numbers that the source prints."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd
from markupsafe import Markup

from stages.lib.judging.forensics import of_study
from stages.lib.judging.reported import STANDINGS, Comparison
from stages.lib.judging.units import finite_column, significant, unit_of
from stages.lib.judging.verdicts import limits
from stages.lib.report.evidence import SMALL, Evidence, deep_variants
from stages.lib.report.figures.claims import leaderboard_strips, ranked
from stages.lib.report.figures.curves import compared_curves, curve_measures, curve_panels, kinds
from stages.lib.report.figures.style import WIDTH, inline
from stages.lib.report.results import Results
from stages.lib.study.metrics import finite
from stages.lib.study.settings import Study, tests_of_tip

COLUMNS = ("train_accuracy", "test_mae", "test_rmse", "train_loss", "generalization_gap", "epochs")
"""Metrics of the leaderboard beside the headline, as far as the study has them."""


def content(results: Results) -> dict[str, object]:
    """What the template of the page reads about variants."""
    study, curves = results.study, results.curves
    reported = [
        results.compared(variant, metric) for variant, settings in study.variants.items() for metric in settings.reported
    ]
    deep = deep_variants(study, results.diagnostics)
    axis, strips = strips_of(results)
    return {
        "variants": measured_variants(results),
        "axis": axis,
        "variant_strips": strips,
        "against_parent": against_parent,
        "tests_of_tip": tests_of_tip,
        "other_losses": other_losses(study) if results.task == "regression" else [],
        "validated": [name for name in study.variants if study.has_validation(name)],
        "curves": {measure: curve_pictures(curves, results.parents, measure) for measure in curve_measures(curves)},
        "longest": int(curves["epoch"].max()),
        "values": {measure: curve_values(curves, measure) for measure in curve_measures(curves)},
        "reported": reported,
        "standings": {name: sum(row.standing == name for row in reported) for name in STANDINGS},
        "printings": of_study(study, results.facts),
        "deep": deep,
        "layers": results.diagnostics.groupby("variant")["layer"].nunique(),
        "gradient_cells": gradient_cells,
        "gradient_sentence": gradient_sentence({name: results.evidence[name] for name in deep}),
    }


def strips_of(results: Results) -> tuple[Markup, dict[str, Markup]]:
    """The axis, and variant -> the picture of its mean, its interval and its replicates, with tool tips."""
    metric, reported, unit = results.headline, results.reported, unit_of(results.headline, results.task)
    head, strips = leaderboard_strips(results.summary, results.replicates, reported, metric, results.task)
    drawn = {}
    for variant, strip in strips.items():
        rows = results.rows_of(variant)
        values = zip(rows["seed"], rows[metric], strict=True)
        marks = {f"seed {seed}": {"title": f"seed {seed}: {unit.value(value)}"} for seed, value in values}
        if variant in reported:
            marks["reported"] = {"title": f"reported by the source: {unit.value(reported[variant])}"}
        drawn[variant] = inline(strip, f"{variant}-", marks)
    return inline(head, "leaderboard-"), drawn


def against_parent(results: Results, variant: str) -> str:
    """The difference of the headline from the variant that it extends, with its interval; empty if there is none."""
    parent, metric = results.parents[variant], results.headline
    if not parent:
        return ""
    before, after = (finite_column(results.rows_of(name)[metric]) for name in (parent, variant))
    found = limits([before, after], 1 - results.study.statistics.confidence)
    if found.typical or math.isnan(float(found.low)):
        return ""
    unit = unit_of(metric, results.task)
    return f"{unit.change(after.mean() - before.mean())} {unit.interval(float(found.low), float(found.high))}"


def measured_variants(results: Results) -> dict[str, dict[str, Comparison]]:
    """Variant -> metric -> what was measured, the best variant first, the headline before the other COLUMNS."""
    metrics = [results.headline, *(name for name in COLUMNS if name in results.replicates)]
    names = ranked(results.summary, results.headline, results.task)["variant"]
    return {name: {metric: results.compared(name, metric) for metric in metrics} for name in names}


def other_losses(study: Study) -> list[tuple[str, str]]:
    """The variants whose loss cannot be compared with the others', and why. A regression is ranked by its loss."""
    found = []
    for name, recipe in study.recipes.items():
        if recipe.train.loss != study.train.loss:
            found.append((name, f"its loss is {recipe.train.loss}"))
        if recipe.model.wide_deep.auxiliary_output:
            found.append((name, "its loss is the sum of two outputs' losses"))
        if recipe.model.l2:
            found.append((name, "its loss includes a penalty on the weights"))
    return found


def curve_pictures(curves: pd.DataFrame, parents: Mapping[str, str | None], measure: str) -> dict[str, object]:
    """The curves of one measure. A line or a band of the comparison is a group that the page's script finds.

    kinds: the measure on the training rows and, if there are any, on the validation rows.
    comparison: all variants on the same axes.
    axis: the left and the right end of these axes in the picture's coordinates, and the epochs there.
    panels, ends: variant -> its own panel, and its value on the training rows after the last epoch.
    """
    marks = {
        f"{kind}{part} {variant}": {"class": f"curve{part}", "data-variant": variant, "data-kind": kind, "title": variant}
        for variant in parents
        for kind in (measure, f"val_{measure}")
        for part in ("", "-band")
    }
    unit = unit_of(measure, "classification" if measure == "accuracy" else "regression")
    drawn = compared_curves(curves, measure)
    (axes,) = drawn.axes
    last = curves.drop_duplicates("variant", keep="last").set_index("variant")[f"{measure}_mean"]
    return {
        "kinds": kinds(curves, measure),
        "comparison": inline(drawn, f"{measure}-", marks),
        "axis": [*(72 * WIDTH * edge for edge in axes.get_position().intervalx), *axes.get_xlim()],
        "panels": {name: inline(panel, f"{measure}-{name}-") for name, panel in curve_panels(curves, parents, measure).items()},
        "ends": {name: unit.value(finite(value)) for name, value in last.items()},
    }


def curve_values(curves: pd.DataFrame, measure: str) -> dict[str, dict[str, object]]:
    """Variant -> what the page's script reads: `epochs` and, for each kind, the means, lows and highs."""
    values: dict[str, dict[str, object]] = {}
    for name, group in curves.groupby("variant", sort=False):
        values[str(name)] = {"epochs": len(group)}
        for kind in kinds(group, measure):
            columns = [finite_column(group[f"{kind}_{how}"]) for how in ("mean", "min", "max")]
            if not np.isnan(columns[1]).all():  # a variant without validation rows
                values[str(name)][kind] = [[_short_value(value) for value in column] for column in columns]
    return values


def _short_value(value: float) -> float | None:
    return None if math.isnan(value) else float(f"{value:.5g}")


def gradient_cells(found: Evidence) -> list[tuple[float, str]]:
    """Both ratios of the gradients, and the shares of dead units and of saturated activations: to sort by and as text."""
    ratios = [(value, "–" if math.isnan(value) else significant(value)) for value in (found.before, found.after)]
    shares = [(value, "–" if math.isnan(value) else f"{100 * value:.1f} %") for value in (found.zero, found.saturated)]
    return ratios + shares


def gradient_sentence(evidence: Mapping[str, Evidence]) -> str:
    """Which gradients of these variants vanish before training, with their ratios; or else the smallest ratio."""
    ratios = {name: found.before for name, found in evidence.items() if not math.isnan(found.before)}
    small = {name: ratio for name, ratio in ratios.items() if ratio < SMALL}
    if small:
        listed = ", ".join(f"{name} ({significant(ratio)})" for name, ratio in small.items())
        return (
            f"Before training, the first layer's gradient is less than {100 * SMALL:g} % of the output layer's in"
            f" {len(small)} of {len(ratios)} variant{'s' if len(ratios) != 1 else ''}: {listed}."
        )
    text = f"Before training, no first layer's gradient is less than {100 * SMALL:g} % of the output layer's."
    if ratios:
        least = min(ratios, key=lambda name: ratios[name])
        text += f" The smallest ratio is {significant(ratios[least])}, of {least}."
    return text
