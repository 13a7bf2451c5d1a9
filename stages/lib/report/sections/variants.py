"""Variants: the leaderboard, and what there is to know of each tip."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from markupsafe import Markup

from stages.lib.judging.units import finite_column, unit_of
from stages.lib.judging.verdicts import difference_interval
from stages.lib.report.figures.leaderboard import leaderboard_strips, ranked
from stages.lib.report.figures.output import inline
from stages.lib.report.results import Results
from stages.lib.report.sections.knobs import ChangedKnob, changed_knobs
from stages.lib.report.sections.why import Why, why
from stages.lib.study.claims import Claim
from stages.lib.study.metrics import finite
from stages.lib.study.settings import Study, Variant

COLUMNS = ("train_accuracy", "test_mae", "test_rmse", "train_loss", "generalization_gap", "epochs")
"""Metrics of the leaderboard beside the headline, as far as the study has them."""


@dataclass(frozen=True)
class VariantCard:
    """A variant, with all that the page shows of it.

    position: in params.yaml.
    strip: its row of the leaderboard's picture.
    seeds: the headline of each replicate, as text.
    against: the difference from the parent, with its interval; empty if there is none.
    claims: name, claim and verdict of each claim about it.
    interval: of the headline.
    values, means: metric -> the mean, to sort by and as text.
    """

    name: str
    position: int
    variant: Variant
    changed_knobs: list[ChangedKnob]
    strip: Markup
    seeds: str
    why: Why
    against: str
    claims: list[tuple[str, Claim, str]]
    replicates: int
    interval: str
    values: dict[str, float]
    means: dict[str, str]


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
    """The difference of the headline from the variant that it extends, with Welch's interval; empty if there is none."""
    parent, metric = results.parents[variant], results.headline
    if not parent:
        return ""
    before, after = (finite_column(results.rows_of(name)[metric]).tolist() for name in (parent, variant))
    interval = difference_interval(before, after, results.study.statistics.confidence)
    if math.isnan(interval.mean) or min(len(before), len(after)) < 2:
        return ""
    unit = unit_of(metric, results.task)
    return f"{unit.change(interval.mean)} {unit.interval(interval.low, interval.high)}"


def variant_card(results: Results, variant: str, verdicts: Mapping[str, str], strip: Markup) -> VariantCard:
    """verdicts: claim -> verdict."""
    study, metric, task = results.study, results.headline, results.task
    unit, parent, own = unit_of(metric, task), results.parents[variant], results.rows_of(variant)
    shown = [name for name in (metric, *COLUMNS) if name in results.replicates]
    rows = {name: results.measured(variant, name) for name in shown}
    first = rows[metric] or {}
    values = zip(own["seed"], own[metric], strict=True)
    return VariantCard(
        name=variant,
        position=list(study.variants).index(variant),
        variant=study.variants[variant],
        changed_knobs=changed_knobs(study, variant, parent),
        strip=strip,
        seeds="; ".join(f"seed {seed}: {unit.value(value)}" for seed, value in values),
        why=why(results, variant, variant, parent),
        against=against_parent(results, variant),
        claims=[(name, each, verdicts[name]) for name, each in study.claims.items() if variant in each.variants],
        replicates=first["replicates"],
        interval=unit.interval(first["low"], first["high"]),
        values={name: finite(row["mean"]) if row else math.nan for name, row in rows.items()},
        means={name: unit_of(name, task).bare(row["mean"]) if row else "–" for name, row in rows.items()},
    )


def variant_cards(results: Results, verdicts: Mapping[str, str], strips: Mapping[str, Markup]) -> list[VariantCard]:
    """Every variant, the best first."""
    names = ranked(results.summary, results.headline, results.task)["variant"]
    return [variant_card(results, variant, verdicts, strips[variant]) for variant in names]


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
