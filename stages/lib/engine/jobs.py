"""The replicates of a study as jobs, with what each of them costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stages.lib.cli import SettingError
from stages.lib.data.prepared import Prepared
from stages.lib.engine import cluster
from stages.lib.engine.key import replicate_key
from stages.lib.engine.size import layers
from stages.lib.study.recipe import Model, Recipe
from stages.lib.study.settings import Study
from stages.lib.study.strict_yaml import at, unknown
from stages.lib.training import encoding, views

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

    Nobody knows those of a network of one's own, so they are taken to be OWN for each row. Raises SettingError as `layers`.
    """
    adds = sum(each.adds for each in layers(model, input_shape, outputs)) or OWN
    return epochs * (3 * adds * rows + STEP * -(-rows // batch_size))
