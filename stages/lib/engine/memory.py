"""What training needs of this machine's memory, so that what cannot fit is said before anything trains."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from math import prod

from distributed.system import memory_limit

from stages.lib.cli import SettingError, UserError
from stages.lib.data.prepared import Prepared
from stages.lib.engine.size import layers
from stages.lib.study import space
from stages.lib.study.recipe import Model, Recipe
from stages.lib.study.search import Search
from stages.lib.study.settings import Study
from stages.lib.study.strict_yaml import at
from stages.lib.training import views

FLOAT32 = 4
"""Bytes."""
COPIES = 3
"""Of each weight at least: itself, its gradient, and what the optimizer keeps of it."""


def weights_of(model: Model, input_shape: Sequence[int], outputs: int) -> int:
    """The weights of a network's kernels. Those of biases and normalization are few beside them.

    0 for a network of one's own: they are counted by `check_weights`, when it has been built. Raises SettingError as `layers`.
    """
    return sum(each.weights for each in layers(model, input_shape, outputs))


def check(study: Study, prepared: Prepared, workers: int, available: int | None = None) -> None:
    """Raises UserError for a network, or for inputs of all workers together, that this machine's memory cannot hold.

    Args:
        workers: how many train at once on this machine.
        available: bytes. Default: what this machine, or the limit of this process, allows.
    """
    available = available or memory_limit()
    for name, recipe in study.recipes.items():
        with at("variants", name, "model"):
            check_weights(_weights(recipe, prepared, study.view_of(name)), available)
    _check_inputs(prepared, workers, available)


def check_search(study: Study, search: Search, prepared: Prepared, workers: int, available: int | None = None) -> None:
    """The same for the largest network within the ranges of a search, which some strategy may try."""
    available = available or memory_limit()
    for variant in search.variants:
        view = study.view_of(variant)
        weights, values = space.largest(study, search, variant, partial(_weights, prepared=prepared, view=view))
        of_network = {name: value for name, value in values.items() if search.space[name].key.startswith("model.")}
        with at("search", "space"):
            check_weights(weights, available, f"{json.dumps(of_network)}: ")
    _check_inputs(prepared, workers, available)


def _weights(recipe: Recipe, prepared: Prepared, view: str) -> int:
    shape = views.shape_of(prepared.views[view], prepared.splits["train"][0])
    return weights_of(recipe.model, shape, prepared.outputs)


def check_weights(weights: float, available: int, tried: str = "") -> None:
    """Raises SettingError for more weights than so many bytes can hold. `tried` begins the message."""
    if (needed := weights * FLOAT32 * COPIES) > available:
        wrong = f"{weights:.3g} weights need {_gigabytes(needed)} to be trained; this machine has {_gigabytes(available)}"
        raise SettingError(tried + wrong)


def _check_inputs(prepared: Prepared, workers: int, available: int) -> None:
    rows = prepared.splits.values()
    inputs = max(sum(len(x) * prod(views.shape_of(view, x)) for x, _ in rows) for view in prepared.views.values()) * FLOAT32
    if (needed := inputs * workers) > available:
        wrong = f"the inputs of {workers} workers need {_gigabytes(needed)} of memory; this machine has {_gigabytes(available)}"
        raise UserError(f"{wrong}. Set TIPS_WORKERS to fewer, or limits.rows")


def _gigabytes(amount: float) -> str:
    return f"{amount / 1e9:.3g} GB"
