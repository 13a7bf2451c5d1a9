"""What a search may change, and the recipe that its values make. Searches that cannot be made are refused here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations, product
from math import prod
from operator import itemgetter
from typing import Any

from stages.lib.cli import SettingError, as_yaml
from stages.lib.study.keras_names import OPTIMIZER_ARGUMENTS
from stages.lib.study.metrics import metric_of
from stages.lib.study.optimizers import Optimizer
from stages.lib.study.recipe import MOST_LAYERS, Recipe
from stages.lib.study.search import Range, Search, Strategy
from stages.lib.study.settings import Study, resolve
from stages.lib.study.strict_yaml import Section, at, unknown

LAYERS, UNITS = "model.hidden.layers", "model.hidden.units"
"""Keys of networks whose hidden layers all have the same width: how many layers, and how many units in each."""
OPTIMIZER = "train.optimizer"
"""The key of the optimizer's name. Those of its arguments begin with it."""
DEFAULT = "default"
"""The strategy that tries nothing but the variant as it is."""
LEARNERS = ("genetic", "cmaes", "tpe")
"""Methods that learn from one batch for the next."""
MOST_PAIRS = 20_000
"""Pairs of values of two ranges. Each takes a tenth of a millisecond."""
MOST_POINTS = 100_000
"""Points of a grid. Optuna lists them all."""
_NOT_SEARCHED = ("model.options", "train.validation_rows", "train.best_checkpoint", "train.tensorboard")
"""Keys that change no score, or the rows that it is measured on, and the one that holds those of a network of one's own."""
_CHANGE_THE_LOSS = ("train.loss", "model.l2", "model.wide_deep.auxiliary_output")


def keys(study: Study) -> list[str]:
    """Every key that may be searched. Of a network of one's own, these are its options."""

    def of(section: Section, prefix: str) -> Iterator[str]:
        for name in type(section).model_fields:
            value = getattr(section, name)
            if isinstance(value, Section) and not isinstance(value, Optimizer):
                yield from of(value, f"{prefix}{name}.")
            else:
                yield f"{prefix}{name}"

    own = study.recipes[study.search.variant].model.network if study.search else None
    layers = [*of(study.model, "model."), LAYERS, UNITS]
    options = [f"model.options.{name}" for name in own.options] if own else []
    arguments = [f"{OPTIMIZER}.{name}" for name in Optimizer.model_fields if name != "name"]
    every = [*(["model.network", *options] if own else layers), *of(study.train, "train."), *arguments]
    return [key for key in every if key not in _NOT_SEARCHED]


def changes(search: Search, recipe: Recipe, values: Mapping[str, Any]) -> dict[str, Any]:
    """The changes of model and train, as a variant writes them, that values of the ranges (by their names) make."""
    result: dict[str, Any] = {}
    by_key = {search.space[name].key: value for name, value in values.items()}
    for key, value in by_key.items():
        if key not in (LAYERS, UNITS):
            *sections, last = (f"{key}.name" if key == OPTIMIZER else key).split(".")
            place = result
            for section in sections:
                place = place.setdefault(section, {})
            place[last] = value
    if LAYERS in by_key or UNITS in by_key:
        layers = by_key.get(LAYERS, len(recipe.model.hidden))
        units = by_key[UNITS] if UNITS in by_key else recipe.model.hidden[0]
        if isinstance(layers, bool) or not isinstance(layers, int) or not 0 <= layers <= MOST_LAYERS:
            raise SettingError(f"{LAYERS}: {as_yaml(layers)} must be a whole number of at least 0 and at most {MOST_LAYERS}")
        result.setdefault("model", {})["hidden"] = [units] * layers
    return result


def recipe_of(study: Study, search: Search, values: Mapping[str, Any], variant: str | None = None) -> Recipe:
    """The variant's recipe with these values. Raises SettingError for values that the recipe does not allow.

    variant: by default that of the search.
    """
    variant = variant or search.variant
    return resolve(study, variant, changes(search, study.recipes[variant], values))


def values_of(search: Search, recipe: Recipe) -> dict[str, Any]:
    """The recipe's own values of the keys that are searched. None for the width of hidden layers that differ in it."""
    hidden = recipe.model.hidden
    derived = {LAYERS: len(hidden), UNITS: hidden[0] if len(set(hidden)) == 1 else None}
    return {name: derived[it.key] if it.key in derived else _value_at(recipe, it.key) for name, it in search.space.items()}


def _value_at(recipe: Recipe, key: str) -> Any:
    if key.startswith(OPTIMIZER):
        name = recipe.train.optimizer_name
        known = {OPTIMIZER: name, **{f"{OPTIMIZER}.{each}": value for each, value in OPTIMIZER_ARGUMENTS[name].items()}}
        return recipe.train.optimizer_arguments.get(key.removeprefix(f"{OPTIMIZER}."), known.get(key))
    value: Any = recipe.model_dump()
    for part in key.split("."):
        value = value.get(part, "none")  # only a network of one's own is in a recipe by its name
    return list(value) if isinstance(value, tuple) else value


def largest(study: Study, search: Search, variant: str, size: Callable[[Recipe], float]) -> tuple[float, dict[str, Any]]:
    """The largest size of a variant's recipe within the ranges, and the values that make it.

    Along a range a size must only rise or only fall. So one range after the other is set to its best end: beside the lowest
    values of the others, and beside the highest, since more layers are fewer weights if they are very narrow. A size that
    raises SettingError, for values that do not fit each other or the data, counts as 0.
    """

    def of(values: Mapping[str, Any]) -> float:
        try:
            return size(recipe_of(study, search, values, variant))
        except SettingError:
            return 0.0

    ends = {name: it.choices or it.bounds for name, it in search.space.items()}
    found = []
    for first in (0, -1):
        values: dict[str, Any] = {name: each[first] for name, each in ends.items()}
        for name, each in ends.items():
            values = max(({**values, name: value} for value in each), key=of)
        found.append((of(values), values))
    return max(found, key=itemgetter(0))


def points(searched: Range) -> Sequence[Any]:
    """The values of a grid. None of a continuous range that names none."""
    if searched.integers and not searched.grid:
        return range(searched.integers[0], searched.integers[1] + 1)
    return searched.choices or searched.grid or ()


def check(study: Study, search: Search) -> None:
    """Raises SettingError, with a place below `search`, for a search that cannot be made."""
    if search.variant not in study.variants:
        raise unknown("variant", search.variant, study.variants).below("variant")
    for section in ("space", "strategies"):
        if not getattr(search, section):
            raise SettingError("is empty; a search needs at least one", section)
    for name, strategy in search.strategies.items():
        if strategy.variant and strategy.variant not in study.variants:
            raise unknown("variant", strategy.variant, study.variants).below("strategies", name, "variant")
    with at("space"):
        _check_keys(study, search)
        _check_values(study, search)
    _check_folds(study, search)
    for name, strategy in search.strategies.items():
        with at("strategies", name):
            _check_strategy(search, name, strategy)
    _check_claims(search)


def _check_folds(study: Study, search: Search) -> None:
    held_out = all(study.recipes[variant].train.validation_rows for variant in search.variants)
    if search.folds == 1 and not (study.data.sets_validation_apart or held_out):
        raise SettingError("1 needs validation rows, and data.split sets none apart; two or more folds do without", "folds")
    if search.pruning != "none" and search.folds == 1:
        wrong = f"{search.pruning} ends a trial between two of its folds, and there is one; write none, or more folds"
        raise SettingError(wrong, "pruning")


def _check_claims(search: Search) -> None:
    known = (DEFAULT, *search.strategies)
    for name, claim in search.claims.items():
        with at("claims", name):
            for strategy in claim.variants:
                if strategy not in known:
                    raise unknown("strategy", strategy, known).below(claim.names_key)
            _check_measured(search, claim.metric, "metric")


def _check_measured(search: Search, metric: str, *place: str) -> None:
    if metric not in (search.metric, search.judged_by):
        raise SettingError(f"{metric} is not measured of a search; {search.metric} and {search.judged_by} are", *place)


def _check_keys(study: Study, search: Search) -> None:
    known = keys(study)
    taken: dict[str, str] = {}
    for name, searched in search.space.items():
        key = searched.key
        with at(name, "key"):
            if key not in known:
                raise unknown("key", key, known)
            if key in taken:
                raise SettingError(f"{key} is searched by {taken[key]} already")
            if key in _CHANGE_THE_LOSS and metric_of(search.metric).quantity == "loss":
                raise SettingError(f"{key} changes what the loss is; choose by another metric than {search.metric}")
        taken[key] = name
    for variant in search.variants:
        _check_hidden_layers(study.recipes[variant].model.hidden, variant, taken)


def _check_hidden_layers(hidden: tuple[int, ...], variant: str, taken: Mapping[str, str]) -> None:
    """Refuse keys of hidden layers that do not go together. `taken`: key -> name of the range that searches it."""
    if "model.hidden" in taken and (derived := {LAYERS, UNITS} & set(taken)):
        raise SettingError(f"model.hidden cannot be searched beside {min(derived)}", taken["model.hidden"], "key")
    if UNITS in taken and LAYERS not in taken and not hidden:
        raise SettingError(f"{variant} has no hidden layers; search {LAYERS} as well", taken[UNITS], "key")
    if LAYERS in taken and UNITS not in taken and len(set(hidden)) != 1:
        wrong = f"the hidden layers of {variant} are {list(hidden)}; search {UNITS} as well"
        raise SettingError(wrong, taken[LAYERS], "key")


def _check_values(study: Study, search: Search) -> None:
    """Every choice, end and grid point must make a recipe, alone and beside every one of another range."""
    tried = {name: it.choices or (*it.bounds, *(it.grid or ())) for name, it in search.space.items()}
    pairs = sum(len(tried[one]) * len(tried[other]) for one, other in combinations(tried, 2)) * len(search.variants)
    if pairs > MOST_PAIRS:
        wrong = f"holds {pairs} pairs of values, each of which is checked before anything trains; {MOST_PAIRS} are the most"
        raise SettingError(wrong)
    shape = {name for name, it in search.space.items() if it.key in (LAYERS, UNITS)}
    for names in [*((name,) for name in tried), *combinations(tried, 2)]:
        if len(shape) == 2 and len(shape.intersection(names)) == 1:  # one of the two says nothing without the other
            continue
        for variant, *values in product(search.variants, *(tried[name] for name in names)):
            try:
                recipe_of(study, search, dict(zip(names, values, strict=True)), variant)
            except SettingError as error:
                raise SettingError(str(error), names[-1]) from None


def _check_strategy(search: Search, name: str, strategy: Strategy) -> None:
    method = strategy.method
    trials = search.trials_of(name)
    with at("method"):
        if name == DEFAULT:
            raise SettingError(f"{DEFAULT} is what {search.variant}, as it is, is called; choose another name")
        if method == "grid":
            _check_grid(search, trials)
        if method in LEARNERS and trials <= search.batch:
            wrong = f"{method} learns from one batch for the next, and its {trials} trials are one; batch: {search.batch}"
            raise SettingError(wrong)
        if method in ("genetic", "cmaes"):
            if search.batch < 2:
                raise SettingError(f"{method}: a generation is a batch, so search.batch must be at least 2")
            if search.pruning != "none":
                raise SettingError(f"{method} learns from whole trials only; search.pruning must be none")
        if method == "cmaes":
            _check_cmaes(search)
    for metric in strategy.reported:
        _check_measured(search, metric, "reported")


def _check_grid(search: Search, trials: int) -> None:
    for name, searched in search.space.items():
        if not points(searched):
            raise SettingError(f"grid: the range {name} is continuous; give it `grid`, the values to try")
    size = prod(len(points(searched)) for searched in search.space.values())
    if size > MOST_POINTS:
        raise SettingError(f"grid: has {size} points; {MOST_POINTS} are the most")
    if trials > size:
        raise SettingError(f"grid: has {size} points, fewer than the {trials} trials")


def _check_cmaes(search: Search) -> None:
    for name, searched in search.space.items():
        if searched.choices:
            raise SettingError(f"cmaes cannot search choices, and {name} has some; another method can")
    if len(search.space) < 2:
        raise SettingError("cmaes needs two ranges or more; another method does with one")
