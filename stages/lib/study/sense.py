"""Losses and output activations that do not fit a task.

What can never be meant is refused. What may be meant, such as the squared error of classes, is allowed, and some of it is said
before anything trains.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from stages.lib.cli import SettingError, first_of
from stages.lib.study import space
from stages.lib.study.recipe import OWN, Recipe
from stages.lib.study.settings import Study

ONE_OF_MANY = (
    "categorical_crossentropy sparse_categorical_crossentropy categorical_focal_crossentropy categorical_hinge "
    "cosine_similarity"
).split()
"""Losses that compare a row's outputs with each other. A regression has one output."""
CONSTANT = ("softmax", "log_softmax", "sparsemax")
"""Activations that are the same for every single output."""
CROSSENTROPIES = (
    "categorical_crossentropy sparse_categorical_crossentropy categorical_focal_crossentropy binary_crossentropy "
    "binary_focal_crossentropy kl_divergence"
).split()
"""Losses that take outputs for probabilities."""
OF_SHARES = ("binary_crossentropy", "binary_focal_crossentropy", "kl_divergence", "dice", "tversky")
"""Losses of targets between 0 and 1."""
HINGES = ("hinge", "squared_hinge")
"""Losses of targets that are -1 or 1. Keras makes 0 a -1."""
NEVER_PROBABILITIES = ("linear", "log_softmax", "log_sigmoid")
PROBABILITIES = ("softmax", "sigmoid", "hard_sigmoid", "sparsemax", "sparse_sigmoid", "exponential", "softplus")
"""Activations whose outputs are probabilities, or are made such by Keras, which divides them by their sum."""
_LOSS = ("train", "loss")
_OUTPUT = ("model", "output_activation")


def check(study: Study, task: str) -> None:
    """Raises SettingError for a variant, or a choice of the search, that cannot learn the task."""
    for name, recipe in study.recipes.items():
        _check_recipe(recipe, task, "variants", name)
    if study.search:
        searched = [(name, each) for name, each in study.search.space.items() if each.key in ("train.loss", ".".join(_OUTPUT))]
        for name, each in searched:
            for value, variant in product(each.choices or (), study.search.variants):
                recipe = space.recipe_of(study, study.search, {name: value}, variant)
                if len(searched) == 1:  # another choice may go with it
                    _check_recipe(recipe, task, "search", "space", name)


def _output(recipe: Recipe) -> str:
    """The output activation. Nothing for a network of one's own, whose last layer has it."""
    return "" if recipe.model.network else recipe.model.output_activation


def _check_recipe(recipe: Recipe, task: str, *place: str) -> None:
    loss = recipe.train.loss
    output = _output(recipe)
    inside = () if place[0] == "search" else _OUTPUT
    if task == "regression":
        if output in CONSTANT:
            raise SettingError(f"{output} of one output is a constant; a regression has linear, say", *place, *inside)
        if loss in ONE_OF_MANY:
            wrong = f"{loss} compares outputs with each other, and a regression has one; mse or mae, say, are for numbers"
            raise SettingError(wrong, *place, *(inside and _LOSS))
    elif loss in CROSSENTROPIES and output in NEVER_PROBABILITIES:
        wrong = f"{loss} takes outputs for probabilities, which those of {output} are not; softmax, say, makes such"
        raise SettingError(wrong, *place, *inside)


def doubts(study: Study, task: str, outputs: int) -> Iterator[str]:
    """What may be meant and is seldom: a line for each pair of a loss and an output activation.

    Keys of the model that no variant reads, as each has a network of its own, are named too.

    Args:
        outputs: classes, or 1 for a regression.
    """
    written = [key for key in type(study.model).model_fields if key in study.model.model_fields_set and key not in OWN]
    if written and all(recipe.model.network for recipe in study.recipes.values()):
        yield f"model.{written[0]}: no variant reads it, since each has a network of its own"
    said: dict[str, list[str]] = {}
    for name, recipe in study.recipes.items():
        if doubt := _doubt(recipe.train.loss, _output(recipe), task, outputs):
            said.setdefault(doubt, []).append(name)
    for doubt, names in said.items():
        yield f"variants.{first_of(names, 1)}: {doubt}; it trains, if that is what you mean"


def _doubt(loss: str, output: str, task: str, outputs: int) -> str:
    """What is seldom meant, or nothing. Where no output activation is known, the loss alone is looked at."""
    if task == "regression":
        if loss in OF_SHARES:
            return f"{loss} is for targets between 0 and 1"
        return f"{loss} is for targets of -1 and 1" if loss in HINGES else ""
    if loss in HINGES and output:
        return "" if output in ("linear", "tanh") else f"{loss} is for outputs around -1 and 1, and {output} has none below 0"
    if loss == "mean_absolute_percentage_error" or loss == "mape":
        return f"{loss} divides by the target, which is 0 for all classes but one"
    if not output:
        return ""
    if loss in ("binary_crossentropy", "binary_focal_crossentropy") and outputs > 2 and output == "softmax":
        return f"{loss} judges each of {outputs} classes by itself, and softmax lets one win; sigmoid goes with it"
    if loss in CROSSENTROPIES and output not in PROBABILITIES:
        return f"{loss} takes outputs for probabilities, which those of {output} are not"
    if output == "linear" and loss != "categorical_hinge":
        return f"the linear outputs of {outputs} classes are no probabilities"
    return ""
