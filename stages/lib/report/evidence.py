"""Why a variant learns as it does, so far as it was measured: updates, gradients, weights, activations, in numbers and words.

Every sentence follows from a number and from one of the limits below; where nothing is beyond them, nothing is said.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from stages.lib.judging.units import finite_column, significant
from stages.lib.study.recipe import Recipe
from stages.lib.study.settings import Study

SMALL = 0.01
"""Share of the output layer's gradient below which the first layer's is called out."""
LARGE = 100.0
"""Times by which a gradient grows on its way back, or is larger than another variant's, or by which weights grow in training,
from which that is called out."""
MOST = 0.5
"""Share of a layer's units, or activations, from which what befalls them is called out."""
FOLD = 4.0
"""Ratio of two numbers of updates from which it is called out."""
BATCH = 500
"""Training rows, the first ones, that gradients and activations are measured on."""

DEEP = 3
"""Hidden layers from which on a variant's gradients are drawn."""


@dataclass(frozen=True)
class Evidence:
    """What is known of a variant, in means over its replicates; NaN where it was not measured.

    rows, updates: training rows, and updates of the weights, of an epoch.
    epochs, planned: trained on average, and at most.
    lost, replicates: those whose loss ceased to be a number, of all.
    first: the norm of the first layer's gradient, before training.
    before, after: the norm of the first layer's gradient over the output layer's, before training and at its end.
    moved: the change of the first layer's weights in the first epoch, over their norm before it.
    grown, growing: the norm of the weights at the end over that before, of the layer where it is the largest, and that layer.
    early: the share of units that are 0 for every row after the first epoch, of the layer with the most.
    zero, dead: the same at the end, and that layer.
    saturated, flat: the share of activations near a bound at the end, likewise.
    """

    rows: int
    updates: int
    epochs: float
    planned: int
    lost: int
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
    """Variant -> activation, of those with at least DEEP hidden layers whose gradients were measured."""
    known = set(diagnostics["variant"])
    return {
        name: recipe.model.activation
        for name, recipe in study.recipes.items()
        if name in known and len(recipe.model.conv) + len(recipe.model.hidden) >= DEEP
    }


def ratio(layers: pd.DataFrame) -> float:
    """The first layer's gradient norm over the output layer's: the rows of diagnostics.csv of one variant and epoch."""
    outputs = layers[layers["layer"] == "outputs"] if "outputs" in set(layers["layer"]) else layers.iloc[-1:]
    first, last = finite_column(layers["gradient_norm"])[0], finite_column(outputs["gradient_norm"])[0]
    return float(first / last) if last > 0 else math.nan


def _worst(values: np.ndarray, layers: pd.Series) -> tuple[float, str]:
    """The largest value, and whose it is; NaN where there is none."""
    if np.isnan(values).all():
        return math.nan, ""
    return float(np.nanmax(values)), str(layers.iloc[int(np.nanargmax(values))])


def _of_layers(table: pd.DataFrame) -> dict[str, float | str]:
    """What diagnostics.csv says of one variant."""
    epochs = sorted(set(table["epoch"]))
    start, end = table[table["epoch"] == epochs[0]], table[table["epoch"] == epochs[-1]]
    found: dict[str, float | str] = {"first": float(finite_column(start["gradient_norm"])[0])}
    if len(start) > 1:
        found |= {"before": ratio(start), "after": ratio(end)}
    norms = finite_column(start["weights_norm"])
    if len(epochs) > 1:
        then = table[table["epoch"] == epochs[1]]
        found["moved"] = float(finite_column(then["update_norm"])[0] / norms[0]) if norms[0] > 0 else math.nan
        found["early"], _ = _worst(finite_column(then["zero_share"]), then["layer"])
    with np.errstate(divide="ignore", invalid="ignore"):
        grown = finite_column(end["weights_norm"]) / norms
    found["grown"], found["growing"] = _worst(np.where(np.isfinite(grown), grown, np.nan), end["layer"])
    found["zero"], found["dead"] = _worst(finite_column(end["zero_share"]), end["layer"])
    found["saturated"], found["flat"] = _worst(finite_column(end["saturated_share"]), end["layer"])
    return found


def training_rows(recipe: Recipe, rows: Mapping[str, int]) -> int:
    """Rows of an epoch: the training split without the rows that the recipe validates on, as stages/lib/training/views.py does.

    Folds may differ by one row; this is the first fold.

    rows: split -> its rows.
    """
    if recipe.k_fold:
        both = rows["train"] + rows.get("validation", 0)
        return both - math.ceil(both / recipe.k_fold.folds)
    return max(rows["train"] - recipe.train.validation_rows, math.ceil(rows["train"] / 2))


def updates_of_an_epoch(recipe: Recipe, rows: Mapping[str, int]) -> int:
    """Updates of the weights: one for each batch, the last of which may be smaller.

    rows: split -> its rows.
    """
    return math.ceil(training_rows(recipe, rows) / recipe.train.batch_size)


def evidence_of(
    study: Study,
    variant: str,
    replicates: pd.DataFrame,
    diagnostics: pd.DataFrame,
    rows: Mapping[str, int],
) -> Evidence:
    """What is known of a variant.

    rows: split -> its rows.
    """
    recipe, own = study.recipes[variant], replicates[replicates["variant"] == variant]
    table = diagnostics[diagnostics["variant"] == variant]
    return Evidence(
        rows=training_rows(recipe, rows),
        updates=updates_of_an_epoch(recipe, rows),
        epochs=float(np.mean(finite_column(own["epochs"]))),
        planned=recipe.train.epochs,
        lost=int(np.isnan(finite_column(own["train_loss"])).sum()),
        replicates=len(own),
        **(_of_layers(table) if len(table) else {}),  # type: ignore[arg-type]  # by name
    )


def _share(value: float) -> str:
    return f"{significant(100 * value)} %"


ROWS = {
    "updates": ("updates of the weights, an epoch", significant),
    "epochs": ("epochs trained", significant),
    "first": ("norm of the first layer's gradient, before training", significant),
    "before": ("first layer's gradient over the output layer's, before training", significant),
    "after": ("the same at the end", significant),
    "moved": ("change of the first layer's weights in the first epoch, of their norm", _share),
    "grown": ("norm of the weights at the end over that before, of the layer that grew most", significant),
    "early": ("units that are 0 for every row after the first epoch, of the layer with the most", _share),
    "zero": ("units that are 0 for every row at the end, of the layer with the most", _share),
    "saturated": ("activations near a bound at the end, of the layer with the most", _share),
}
"""Field of Evidence -> what it is, and how it is shown."""


def table_of(*found: Evidence) -> list[tuple[str, list[str]]]:
    """What was measured of these variants: a row for each field that any of them has."""
    rows = []
    for field, (label, shown) in ROWS.items():
        values = [float(getattr(each, field)) for each in found]
        if not all(map(math.isnan, values)):
            rows.append((label, ["–" if math.isnan(value) else shown(value) for value in values]))
    return rows


def sentences(variant: str, own: Evidence, other: str = "", others: Evidence | None = None) -> list[str]:
    """What stands out of a variant, by itself and against another: a sentence for each limit that it is beyond."""
    said = []
    if others and max(own.updates, others.updates) >= FOLD * min(own.updates, others.updates):
        said.append(
            f"{variant} makes {own.updates:,} update{'s' * (own.updates > 1)} of the weights in an epoch,"
            f" {other} makes {others.updates:,}."
        )
    if others and own.first > LARGE * others.first > 0:
        said.append(
            f"Before training the gradient of the first layer of {variant} is {significant(own.first / others.first)} times"
            f" that of {other}."
        )
    if own.lost:
        said.append(f"The loss of {own.lost} of the {own.replicates} replicates of {variant} ceased to be a number.")
    if own.epochs < own.planned - 0.5 and not own.lost:
        said.append(f"{variant} stopped after {significant(own.epochs)} of {own.planned} epochs, on average.")
    if own.before < SMALL:
        moved = "" if math.isnan(own.moved) else f" In the first epoch its weights change by {_share(own.moved)} of their norm."
        said.append(
            f"In {variant} the gradient vanishes on its way back: before training the first layer's is"
            f" {significant(own.before)} of the output layer's.{moved}"
        )
    if own.before > LARGE:
        said.append(
            f"In {variant} the gradient grows on its way back: before training the first layer's is"
            f" {significant(own.before)} times the output layer's."
        )
    if own.grown > LARGE:
        said.append(f"The weights of the layer {own.growing} of {variant} grow to {significant(own.grown)} times their norm.")
    if own.zero >= MOST:
        said.append(
            f"At the end {_share(own.zero)} of the units in the layer {own.dead} of {variant} are 0 for each of {BATCH}"
            " training rows."
        )
    if own.saturated >= MOST:
        said.append(
            f"At the end {_share(own.saturated)} of the activations in the layer {own.flat} of {variant} lie near a bound,"
            " where the slope is next to nothing."
        )
    return said
