"""What a search tries: the keys that it may change, the recipe that values make, and what each strategy can do with a range."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations, product
from math import prod
from typing import Any

from pydantic import ValidationError

from stages.lib.study.settings import Range, Recipe, Search, Strategy, Study
from stages.lib.study.strict_yaml import Section, describe, shown, unknown, wrong

LAYERS, UNITS = "model.hidden.layers", "model.hidden.units"
"""Keys of networks whose hidden layers are all as wide: how many layers, and how many units in each."""
DEFAULT = "default"
"""The strategy that tries nothing but the variant as it is."""
LEARNERS = ("genetic", "cmaes", "tpe")
"""Methods whose second batch learns from the first."""
# They decide no score, or its rows.
_NOT_SEARCHED = ("train.validation_rows", "train.best_checkpoint", "train.tensorboard")
_CHANGE_THE_LOSS = ("train.loss", "model.l2", "model.wide_deep.auxiliary_output")


def keys(study: Study) -> list[str]:
    """Every key that may be searched."""

    def of(section: Section, prefix: str) -> Iterator[str]:
        for name in type(section).model_fields:
            value = getattr(section, name)
            if isinstance(value, Section):
                yield from of(value, f"{prefix}{name}.")
            else:
                yield f"{prefix}{name}"

    found = [*of(study.model, "model."), LAYERS, UNITS, *of(study.train, "train.")]
    return [key for key in found if key not in _NOT_SEARCHED]


def changes(search: Search, recipe: Recipe, values: Mapping[str, Any]) -> dict[str, Any]:
    """What the values, by the names of their ranges, change of the recipe: model and train, as a variant writes it."""
    found: dict[str, Any] = {}
    by_key = {search.space[name].key: value for name, value in values.items()}
    for key, value in by_key.items():
        if key not in (LAYERS, UNITS):
            *sections, last = key.split(".")
            place = found
            for section in sections:
                place = place.setdefault(section, {})
            place[last] = value
    if LAYERS in by_key or UNITS in by_key:
        layers = by_key.get(LAYERS, len(recipe.model.hidden))
        units = by_key[UNITS] if UNITS in by_key else recipe.model.hidden[0]
        if isinstance(layers, bool) or not isinstance(layers, int) or layers < 0:
            raise wrong(f"{LAYERS}: {shown(layers)} must be a whole number of at least 0")
        found.setdefault("model", {})["hidden"] = [units] * layers
    return found


def recipe_of(study: Study, search: Search, values: Mapping[str, Any]) -> Recipe:
    """The variant's recipe with these values. Raises a pydantic error for values that the recipe does not allow."""
    try:
        return study.recipe_with(search.variant, changes(search, study.recipes[search.variant], values))
    except ValidationError as error:
        raise wrong(describe(error.errors(include_url=False)[0])) from None


def values_of(search: Search, recipe: Recipe) -> dict[str, Any]:
    """The recipe's own values of the keys that are searched; None where hidden layers differ in width."""
    hidden = recipe.model.hidden
    known = {LAYERS: len(hidden), UNITS: hidden[0] if len(set(hidden)) == 1 else None}
    found = {}
    for name, each in search.space.items():
        value: Any = recipe
        for part in each.key.split(".") if each.key not in known else ():
            value = getattr(value, part)
        found[name] = known[each.key] if each.key in known else list(value) if isinstance(value, tuple) else value
    return found


def points(each: Range) -> tuple[Any, ...]:
    """The values of a grid; none of a continuous range that names none."""
    if each.integers and not each.grid:
        return tuple(range(each.integers[0], each.integers[1] + 1))
    return each.choices or each.grid or ()


def check(study: Study, search: Search) -> None:
    """Raises a pydantic error, which begins with the place below `search`, for a search that cannot be made."""
    if search.variant not in study.variants:
        raise wrong(f"variant: {unknown('variant', search.variant, study.variants)}")
    for section in ("space", "strategies"):
        if not getattr(search, section):
            raise wrong(f"{section}: is empty; a search needs at least one")
    _check_keys(study, search)
    _check_values(study, search)
    maximized = search.metric.endswith("accuracy")
    if maximized != (search.direction == "maximize"):
        raise wrong(f"direction: {search.direction} looks for the worst {search.metric}; write {_DIRECTIONS[maximized]}")
    if (
        search.folds == 1
        and study.data.split.validation in (0, "none")
        and not study.recipes[search.variant].train.validation_rows
    ):
        raise wrong("folds: 1 needs validation rows, and data.split sets none apart; two or more folds do without")
    if search.pruning != "none" and search.folds == 1:
        raise wrong(
            f"pruning: {search.pruning} ends a trial between two of its folds, and there is one; write none, or more folds"
        )
    for name, strategy in search.strategies.items():
        try:
            _check_strategy(search, name, strategy)
        except ValueError as error:
            raise wrong(f"strategies.{name}.{error}") from None
    for name, claim in search.claims.items():
        for compared in claim.variants:
            if compared not in (DEFAULT, *search.strategies):
                key = "compare" if claim.compare else "variant"
                raise wrong(f"claims.{name}.{key}: {unknown('strategy', compared, (DEFAULT, *search.strategies))}")
        if claim.metric not in (search.metric, search.judged_by):
            raise wrong(f"claims.{name}.metric: {_not_measured(search, claim.metric)}")
        if claim.seeds:
            raise wrong(f"claims.{name}.seeds: a strategy has search.seeds; leave it out")


_DIRECTIONS = {True: "maximize", False: "minimize"}


def _not_measured(search: Search, metric: str) -> str:
    return f"{metric} is not measured of a search; {search.metric} and {search.judged_by} are"


def _check_keys(study: Study, search: Search) -> None:
    hidden = study.recipes[search.variant].model.hidden
    known, taken = keys(study), dict[str, str]()
    for name, each in search.space.items():
        if each.key not in known:
            raise wrong(f"space.{name}.key: {unknown('key', each.key, known)}")
        if each.key in taken:
            raise wrong(f"space.{name}.key: {each.key} is searched by {taken[each.key]} already")
        taken[each.key] = name
        if each.key in _CHANGE_THE_LOSS and search.metric.endswith("loss"):
            raise wrong(f"space.{name}.key: {each.key} changes what the loss is; choose by another metric than {search.metric}")
    if "model.hidden" in taken and (derived := {LAYERS, UNITS} & set(taken)):
        raise wrong(f"space.{taken['model.hidden']}.key: model.hidden cannot be searched beside {min(derived)}")
    if UNITS in taken and LAYERS not in taken and not hidden:
        raise wrong(f"space.{taken[UNITS]}.key: {search.variant} has no hidden layers; search {LAYERS} as well")
    if LAYERS in taken and UNITS not in taken and len(set(hidden)) != 1:
        raise wrong(
            f"space.{taken[LAYERS]}.key: the hidden layers of {search.variant} are {list(hidden)}; search {UNITS} as well"
        )


def _check_values(study: Study, search: Search) -> None:
    """Every choice, end and grid point must make a recipe, also beside every one of another range."""
    tried = {name: each.choices or (*each.bounds, *(each.grid or ())) for name, each in search.space.items()}
    shape = {name for name, each in search.space.items() if each.key in (LAYERS, UNITS)}
    for names in [*((name,) for name in tried), *combinations(tried, 2)]:
        if len(shape) == 2 and len(shape.intersection(names)) == 1:  # neither says anything without the other
            continue
        for values in product(*(tried[name] for name in names)):
            try:
                recipe_of(study, search, dict(zip(names, values, strict=True)))
            except ValueError as error:  # a pydantic error of ours
                raise wrong(f"space.{names[-1]}: {error}") from None


def _check_strategy(search: Search, name: str, strategy: Strategy) -> None:
    method, trials = strategy.method, search.trials_of(name)
    if name == DEFAULT:
        raise wrong(f"method: {DEFAULT} is what {search.variant}, as it is, is called; choose another name")
    if method == "grid":
        for key, each in search.space.items():
            if not points(each):
                raise wrong(f"method: grid: the range {key} is continuous; give it `grid`, the values to try")
        size = prod(len(points(each)) for each in search.space.values())
        if trials > size:
            raise wrong(f"method: grid: has {size} points, fewer than the {trials} trials")
    if method in LEARNERS and trials <= search.batch:
        raise wrong(
            f"method: {method} learns from one batch for the next, and its {trials} trials are one; batch: {search.batch}"
        )
    if method in ("genetic", "cmaes"):
        if search.batch < 2:
            raise wrong(f"method: {method}: a generation is a batch, so search.batch must be at least 2")
        if search.pruning != "none":
            raise wrong(f"method: {method} learns from whole trials only; search.pruning must be none")
    if method == "cmaes":
        for key, each in search.space.items():
            if each.choices:
                raise wrong(f"method: cmaes cannot search choices, and {key} has some; another method can")
        if len(search.space) < 2:
            raise wrong("method: cmaes needs two ranges or more; another method does with one")
    for metric in strategy.reported:
        if metric not in (search.metric, search.judged_by):
            raise wrong(f"reported: {_not_measured(search, metric)}")
