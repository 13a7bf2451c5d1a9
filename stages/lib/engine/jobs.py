"""The replicates of a study as jobs, with what each of them costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from stages.lib.cli import SettingError
from stages.lib.data.prepared import Prepared
from stages.lib.engine import cluster
from stages.lib.engine.key import replicate_key
from stages.lib.study.recipe import Model, Recipe
from stages.lib.study.settings import Study
from stages.lib.study.strict_yaml import at, unknown
from stages.lib.training import encoding, views

CONVOLUTION = 2.0
"""Time of a multiply-add in a convolution, against one in a dense layer (measured, one core with AVX-512)."""
OWN = 1e6
"""Multiply-adds of one row in a network of one's own: about those of three small convolutions of an image of 28 x 28."""
STEP = 2e7
"""Time of a step beside its multiply-adds, in multiply-adds."""


@dataclass(frozen=True)
class Job:
    """One replicate to train. `view` is a name, and `cost` is relative, by `cost`."""

    variant: str
    seed: int
    recipe: Recipe
    view: str
    key: str
    cost: float

    def __str__(self) -> str:
        return f"{self.variant}, seed {self.seed}"

    @property
    def group(self) -> tuple[Any, ...]:
        """Jobs of one group share a traced network."""
        train = self.recipe.train
        by_step = (train.schedule, train.learning_rate) if train.schedule.by_step else ()
        updates = (train.loss, train.label_smoothing, train.optimizer, train.momentum, train.batch_size, *by_step)
        return (self.recipe.model, train.augmentation, *updates)


def jobs_of(study: Study, prepared: Prepared) -> list[Job]:
    """Every replicate of the study, in the order of params.yaml.

    Raises SettingError for a network or a training that the data do not allow.
    """
    fingerprint = prepared.fingerprint()
    made_in = cluster.training_environment(study.replicates.backend)
    jobs = []
    for variant, recipe in study.recipes.items():
        view = study.view_of(variant)
        with at("variants", variant):
            recipe, price = for_data(recipe, prepared, view)
        for seed in study.seeds(variant):
            key = replicate_key(recipe, prepared.views[view], seed, fingerprint, made_in)
            jobs.append(Job(variant, seed, recipe, view, key, price))
    return jobs


def for_data(recipe: Recipe, prepared: Prepared, view: str) -> tuple[Recipe, float]:
    """The recipe with weights by the numbers of the classes, and about how long a replicate takes.

    Raises SettingError, with a place below the variant, for what the data do not allow.
    """
    with at("model"):
        price = cost_of(recipe, prepared, view)
    if recipe.train.augmentation.active and prepared.splits["train"][0].ndim < 3:
        raise SettingError("is for images; the rows of this data set are lists of numbers", "train", "augmentation")
    if isinstance(recipe.train.class_weights, str):
        return recipe, price
    with at("train", "class_weights"):
        weights = by_number(recipe.train.class_weights, prepared.facts["class_names"]) or "none"
    return recipe.model_copy(update={"train": recipe.train.model_copy(update={"class_weights": weights})}), price


def by_number(weights: Mapping[str, float], class_names: Sequence[str]) -> dict[str, float]:
    """The number of a class, as text -> its weight, if that is not 1.

    Raises SettingError for a class that there is not, or that is named twice.
    """
    found: dict[str, float] = {}
    for key, weight in weights.items():
        number = str(class_names.index(key)) if key in class_names else key
        if number not in map(str, range(len(class_names))):
            raise unknown("class", key, class_names)
        if number in found:
            raise SettingError(f"is class {number}, which has a weight already", key)
        found[number] = weight
    return {number: weight for number, weight in sorted(found.items()) if weight != 1}


def cost_of(recipe: Recipe, prepared: Prepared, view: str) -> float:
    """About how long a replicate of these data takes, in this view. Raises as `cost`."""
    x, fitted = prepared.splits["train"][0], prepared.views[view]
    rows, input_shape = len(x), views.shape_of(fitted, x)
    for part, chosen in (("wide", recipe.model.wide_deep.wide), ("deep", recipe.model.wide_deep.deep)):
        if isinstance(chosen, str) and not encoding.crossed(fitted.encoding):
            raise SettingError(f"{chosen} needs a view with crosses, and {view} has none", "wide_deep", part)
    recipe = views.resolved(recipe, fitted)
    return cost(recipe.model, recipe.train.epochs, recipe.train.batch_size, rows, input_shape, prepared.outputs)


def cost(model: Model, epochs: int, batch_size: int, rows: int, input_shape: Sequence[int], outputs: int) -> float:
    """About how long a replicate takes, in multiply-adds: those of its layers, three times, and a constant for each step.

    Nobody knows those of a network of one's own, so they are taken to be OWN for each row.

    Raises SettingError, with a place below `model`, for convolutions or parts of the features that such rows do not allow.
    """
    steps = -(-rows // batch_size)
    if model.network:
        return epochs * (3 * OWN * rows + STEP * steps)
    _check_wide_deep(model, input_shape)
    if model.conv and len(input_shape) not in (2, 3):
        held = f"lists of {input_shape[0]} numbers" if len(input_shape) == 1 else f"of shape {tuple(input_shape)}"
        raise SettingError(f"needs images; the rows of this data set are {held}", "conv")
    adds = 0.0
    height, width, channels = (*input_shape, 1)[:3] if len(input_shape) > 1 else (1, int(np.prod(input_shape)), 1)
    for filters in model.conv:
        height = height - model.kernel_size + 1
        width = width - model.kernel_size + 1
        adds += CONVOLUTION * height * width * model.kernel_size**2 * channels * filters
        height //= model.pool_size
        width //= model.pool_size
        channels = filters
        if min(height, width) < 1:
            raise SettingError(_too_small(model.conv, input_shape), "conv")
    units = height * width * channels
    pieces = model.maxout_pieces if model.activation == "maxout" else 1
    for hidden in model.hidden:
        adds += units * hidden * pieces
        units = hidden
    adds += units * outputs
    return epochs * (3 * adds * rows + STEP * steps)


def _too_small(conv: Sequence[int], input_shape: Sequence[int]) -> str:
    """What to do where convolutions leave nothing of the images, which may be none."""
    wrong = f"{list(conv)} leave nothing of {' x '.join(map(str, input_shape[:2]))} pixels; "
    if len(input_shape) == 3 and input_shape[0] < min(4, *input_shape[1:]):
        return f"{wrong}if rows are (channels, height, width), set channels: first in the data set's reader"
    wrong += "fewer, or a smaller kernel_size or pool_size, do"
    sequences = len(input_shape) == 2 and input_shape[0] != input_shape[1]
    return f"{wrong}; sequences of (steps, channels) need a network of your own (docs/own-network.md)" if sequences else wrong


def _check_wide_deep(model: Model, input_shape: Sequence[int]) -> None:
    wide_deep = model.wide_deep
    if wide_deep.api != "none" and len(input_shape) > 1:
        raise SettingError("is for rows that are lists of numbers, not for images", "wide_deep")
    for part, chosen in (("wide", wide_deep.wide), ("deep", wide_deep.deep)):
        if isinstance(chosen, tuple) and chosen[1] > input_shape[0]:
            raise SettingError(f"{list(chosen)} goes past the {input_shape[0]} features", "wide_deep", part)
