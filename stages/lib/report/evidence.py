"""Why a variant learns as it does: what was measured of updates, gradients, weights and activations, in numbers and sentences.

Each sentence follows from a number and one of the limits below. If no limit is passed, nothing is said.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from stages.lib.judging.replicates import DIVERGED, gradient_ratio
from stages.lib.judging.units import finite_column, significant
from stages.lib.study.metrics import finite
from stages.lib.study.recipe import Recipe
from stages.lib.study.settings import Study

SMALL = 0.01
"""Limit below which a gradient vanishes: the first layer's over the output layer's."""
LARGE = 100.0
"""Limit above which that ratio explodes, a first gradient is much larger than another variant's, and weights have grown."""
MOST = 0.5
"""Share of a layer's units or activations from which we say that they are dead or saturated."""
FOLD = 4.0
"""Ratio of two variants' numbers of updates from which we name both."""
BATCH = 500
"""Training rows, the first ones, on which gradients and activations are measured."""
DEEP = 3
"""Hidden layers from which a variant's gradients are drawn."""


@dataclass(frozen=True)
class Evidence:
    """What was measured of a variant, as means over its replicates. NaN: not measured.

    updates: of the weights, in an epoch.
    epochs, planned: epochs trained on average, and at most.
    diverged, replicates: how many replicates diverged, and how many there are.
    first: norm of the first layer's gradient before training.
    before, after: that norm over the output layer's, before training and at the end.
    moved: change of the first layer's weights in the first epoch, over their norm.
    grown, growing: norm of the weights at the end over that before training, in the layer where it is largest, and that layer.
    early: share of units that are 0 for every row after the first epoch, in the layer with the most.
    zero, dead: the same at the end, and that layer.
    saturated, flat: share of activations near a bound at the end, in the layer with the most, and that layer.
    """

    updates: int
    epochs: float
    planned: int
    diverged: int
    replicates: int
    first: float = math.nan
    before: float = math.nan
    after: float = math.nan
    moved: float = math.nan
    grown: float = math.nan
    growing: str = ""
    early: float = math.nan
    zero: float = math.nan
    dead: str = ""
    saturated: float = math.nan
    flat: str = ""


def deep_variants(study: Study, diagnostics: pd.DataFrame) -> dict[str, str]:
    """Variant -> activation, of the variants with at least DEEP hidden layers and measured gradients."""
    measured = set(diagnostics["variant"])
    return {
        name: recipe.model.activation
        for name, recipe in study.recipes.items()
        if name in measured and len(recipe.model.conv) + len(recipe.model.hidden) >= DEEP
    }


def updates_of_an_epoch(recipe: Recipe, rows: Mapping[str, int]) -> int:
    """Updates of the weights: one for each batch, the last of which may be smaller.

    Rows that the recipe validates on are left out, as stages/lib/training/views.py does. Folds may differ by one row; this is
    the first fold.

    rows: split -> its rows.
    """
    trained_on = max(rows["train"] - recipe.train.validation_rows, math.ceil(rows["train"] / 2))
    if recipe.k_fold:
        both = rows["train"] + rows.get("validation", 0)
        trained_on = both - math.ceil(both / recipe.k_fold.folds)
    return math.ceil(trained_on / recipe.train.batch_size)


def evidence_of(
    study: Study, variant: str, replicates: pd.DataFrame, diagnostics: pd.DataFrame, rows: Mapping[str, int]
) -> Evidence:
    """What was measured of a variant.

    replicates, diagnostics: the tables of metrics/; rows: split -> its rows.
    """
    recipe, own = study.recipes[variant], replicates[replicates["variant"] == variant]
    table = diagnostics[diagnostics["variant"] == variant]
    lost = finite_column(own[DIVERGED]) if DIVERGED in own else np.isnan(finite_column(own["train_loss"]))
    return Evidence(
        updates=updates_of_an_epoch(recipe, rows),
        epochs=float(np.mean(finite_column(own["epochs"]))),
        planned=recipe.train.epochs,
        diverged=int(lost.sum()),
        replicates=len(own),
        **(_of_layers(table) if len(table) else {}),  # type: ignore[arg-type]  # by name
    )


def _of_layers(table: pd.DataFrame) -> dict[str, float | str]:
    """The fields that come from the variant's rows of diagnostics.csv."""
    epochs = sorted(set(table["epoch"]))
    start, end = table[table["epoch"] == epochs[0]], table[table["epoch"] == epochs[-1]]
    found: dict[str, float | str] = {"first": finite(start["gradient_norm"].iloc[0])}
    if len(start) > 1:
        found |= {"before": gradient_ratio(start), "after": gradient_ratio(end)}
    norms = finite_column(start["weights_norm"])
    if len(epochs) > 1:
        second = table[table["epoch"] == epochs[1]]
        found["moved"] = finite(second["update_norm"].iloc[0]) / norms[0] if norms[0] > 0 else math.nan
        found["early"], _ = _largest(finite_column(second["zero_share"]), second["layer"])
    with np.errstate(divide="ignore", invalid="ignore"):
        grown = finite_column(end["weights_norm"]) / norms
    found["grown"], found["growing"] = _largest(np.where(np.isfinite(grown), grown, np.nan), end["layer"])
    found["zero"], found["dead"] = _largest(finite_column(end["zero_share"]), end["layer"])
    found["saturated"], found["flat"] = _largest(finite_column(end["saturated_share"]), end["layer"])
    return found


def _largest(values: np.ndarray, layers: pd.Series) -> tuple[float, str]:
    """The largest value and its layer; NaN and an empty name if no value is known."""
    if np.isnan(values).all():
        return math.nan, ""
    return float(np.nanmax(values)), str(layers.iloc[int(np.nanargmax(values))])


def _percent(share: float) -> str:
    return f"{significant(100 * share)} %"


ROWS: dict[str, tuple[str, Callable[[float], str]]] = {
    "updates": ("updates of the weights in an epoch", significant),
    "epochs": ("epochs trained", significant),
    "first": ("norm of the first layer's gradient, before training", significant),
    "before": ("first layer's gradient over the output layer's, before training", significant),
    "after": ("first layer's gradient over the output layer's, at the end", significant),
    "moved": ("change of the first layer's weights in the first epoch, over their norm", _percent),
    "grown": ("norm of the weights at the end over that before training, in the layer that grew most", significant),
    "early": ("units that are 0 for every row after the first epoch, in the layer with the most", _percent),
    "zero": ("units that are 0 for every row at the end, in the layer with the most", _percent),
    "saturated": ("activations near a bound at the end, in the layer with the most", _percent),
}
"""Field of Evidence -> its label, and how its values are written."""


def table_of(*columns: Evidence) -> list[tuple[str, list[str]]]:
    """A label and a cell for each column, of every field that was measured of any of them."""
    rows = []
    for field, (label, written) in ROWS.items():
        values = [float(getattr(each, field)) for each in columns]
        if not all(map(math.isnan, values)):
            rows.append((label, ["–" if math.isnan(value) else written(value) for value in values]))
    return rows


def sentences(variant: str, own: Evidence, other: str = "", others: Evidence | None = None) -> list[str]:
    """A sentence for each limit that a variant passes, by itself or compared with another one."""
    return (_compared(variant, own, other, others) if others else []) + _by_itself(variant, own)


def _compared(variant: str, own: Evidence, other: str, others: Evidence) -> list[str]:
    said = []
    if max(own.updates, others.updates) >= FOLD * min(own.updates, others.updates):
        said.append(
            f"{variant} makes {own.updates:,} update{'s' * (own.updates > 1)} of the weights in an epoch,"
            f" {other} makes {others.updates:,}."
        )
    if own.first > LARGE * others.first > 0:
        times = significant(own.first / others.first)
        said.append(f"Before training, the first layer's gradient in {variant} is {times} times that in {other}.")
    return said


def _by_itself(variant: str, own: Evidence) -> list[str]:
    said = []
    if own.diverged:
        said.append(f"{own.diverged} of the {own.replicates} replicates of {variant} diverged.")
    if own.epochs < own.planned - 0.5 and not own.diverged:
        said.append(f"{variant} stopped after {significant(own.epochs)} of {own.planned} epochs, on average.")
    if own.before < SMALL:
        moved = (
            "" if math.isnan(own.moved) else f" In the first epoch its weights change by {_percent(own.moved)} of their norm."
        )
        said.append(
            f"In {variant} the gradient vanishes on its way back: before training, the first layer's is"
            f" {significant(own.before)} of the output layer's.{moved}"
        )
    if own.before > LARGE:
        said.append(
            f"In {variant} the gradient explodes on its way back: before training, the first layer's is"
            f" {significant(own.before)} times the output layer's."
        )
    if own.grown > LARGE:
        said.append(f"The weights of the layer {own.growing} of {variant} grow to {significant(own.grown)} times their norm.")
    if own.zero >= MOST:
        said.append(
            f"At the end, {_percent(own.zero)} of the units in the layer {own.dead} of {variant} are 0 for each of {BATCH}"
            " training rows."
        )
    if own.saturated >= MOST:
        said.append(
            f"At the end, {_percent(own.saturated)} of the activations in the layer {own.flat} of {variant} lie near a bound,"
            " where the slope is almost 0."
        )
    return said
