"""Views: how raw values become inputs. The scalings and the inversion are affine, so a view is a shift and a factor.

A table with missing values or categories is encoded before. The shift and the factor are then those of its numbers alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from stages.lib.training import encoding as encodings

if TYPE_CHECKING:
    from stages.lib.study.recipe import Recipe
    from stages.lib.study.rows import KFold, View

Splits = Mapping[str, tuple[np.ndarray, np.ndarray]]
"""train, validation (may be absent) and test -> values (n, ...) and labels (n,)."""


@dataclass(frozen=True)
class FittedView:
    """inputs = (raw - shift) * factor, plus normal noise for the test split.

    shift, factor: numbers, or nested lists with the shape of one row if they differ between features.
    own: split -> [shift, factor], for the splits beside `train` of a view that is fitted on each split by itself.
    encoding: of a table with missing values or categories, as encoding.py makes it. Otherwise empty.
    """

    shift: Any
    factor: Any
    test_noise: float
    noise_seed: int
    own: dict[str, list[Any]] = field(default_factory=dict)
    encoding: dict[str, Any] = field(default_factory=dict)

    @property
    def columns(self) -> encodings.Columns:
        """What the raw columns are, if they are encoded."""
        found: encodings.Columns = self.encoding.get("columns", ())
        return found


def _max(x: np.ndarray, axis: int | None) -> tuple[Any, Any]:
    return np.zeros_like(x.max(axis)), x.max(axis)


def _min_max(x: np.ndarray, axis: int | None) -> tuple[Any, Any]:
    return x.min(axis), x.max(axis) - x.min(axis)


def _mean(x: np.ndarray, axis: int | None) -> tuple[Any, Any]:
    return x.mean(axis), x.max(axis) - x.min(axis)


def _standard(x: np.ndarray, axis: int | None) -> tuple[Any, Any]:
    deviation = x.std(axis)
    return x.mean(axis), np.where(
        x.max(axis) == x.min(axis), 0.0, deviation
    )  # a constant's deviation is rounded to 1e-17, not to 0


def _none(x: np.ndarray, axis: int | None) -> tuple[Any, Any]:
    return np.zeros_like(x.max(axis)), np.ones_like(x.max(axis))


SCALINGS: dict[str, Callable[[np.ndarray, int | None], tuple[Any, Any]]] = {
    "none": _none,
    "max": _max,
    "min_max": _min_max,
    "mean": _mean,
    "standard": _standard,
}
"""Scaling -> (what is subtracted, what is then divided by). Axis 0 gives one of each for every feature."""


def _as_float32(statistic: Any) -> Any:
    """The statistic rounded to float32, in which it is used, and written as the shortest decimal that gives this float32.

    A sum of float64 differs in its last bits from one processor to another; these are rounded off here.
    """
    return np.asarray(statistic, np.float32).astype(str).astype(np.float64).tolist()


def _affine(view: View, rows: np.ndarray) -> list[Any]:
    """[shift, factor] of the scaling and inversion, fitted on `rows` (n, ...)."""
    x = rows.astype(np.float64)
    axis = 0 if view.per == "feature" else None
    mirror = x.min(axis) + x.max(axis)
    if view.invert:
        x = mirror - x
    shift, divisor = SCALINGS[view.scale](x, axis)
    factor = 1.0 / np.where(divisor == 0, 1.0, divisor)
    if view.invert:  # ((mirror - raw) - shift) * factor, written as (raw - shift') * factor'
        shift, factor = mirror - shift, -factor
    return [_as_float32(shift), _as_float32(factor)]


def fit(view: View, splits: Mapping[str, np.ndarray], columns: encodings.Columns = ()) -> FittedView:
    """The view fitted on the training rows alone, or on each split by itself if it says so.

    A constant feature is divided by 1.

    Args:
        splits: train, and the others if the view is fitted on each split -> raw values (n, ...).
        columns: what the columns of a table are.
    """
    if encodings.is_needed(view, columns):
        encoded = encodings.fit(view, splits["train"], columns)
        numbers = encodings.numbers(encoded, splits["train"])
        shift, factor = _affine(view, numbers) if numbers.size else [0.0, 1.0]
        return FittedView(shift, factor, view.test_noise, view.noise_seed, encoding=encoded)
    others = [name for name in splits if name != "train"] if view.fit_on == "each_split" else []
    own = {name: _affine(view, splits[name]) for name in others}
    shift, factor = _affine(view, splits["train"])
    return FittedView(shift, factor, view.test_noise, view.noise_seed, own)


def scale_of(view: FittedView, split: str) -> tuple[np.ndarray, np.ndarray]:
    """shift and factor of one split, float32."""
    shift, factor = view.own.get(split, [view.shift, view.factor])
    return np.asarray(shift, np.float32), np.asarray(factor, np.float32)


def apply(view: FittedView, raw: np.ndarray, split: str) -> np.ndarray:
    """The inputs of one split, float32, with the shape of `raw` (n, ...), or (n, encoded columns).

    Only the split `test` gets noise.
    """
    shift, factor = scale_of(view, split)
    if view.encoding:
        numbers = (encodings.numbers(view.encoding, raw) - shift) * factor
        return np.concatenate([numbers, encodings.others(view.encoding, raw)], axis=1)
    inputs: np.ndarray = (raw.astype(np.float32) - shift) * factor
    if split == "test" and view.test_noise:
        noise = np.random.default_rng(view.noise_seed).standard_normal(inputs.shape, dtype=np.float32)
        inputs += np.float32(view.test_noise) * noise
    return inputs


def shape_of(view: FittedView, raw: np.ndarray) -> tuple[int, ...]:
    """The shape of one row's inputs, of raw values (n, ...)."""
    return (len(encodings.names(view.encoding)),) if view.encoding else raw.shape[1:]


def resolved(recipe: Recipe, view: FittedView) -> Recipe:
    """The recipe with ranges of encoded columns in place of the words `columns` and `crosses` of its wide and deep part."""
    parts = recipe.model.wide_deep
    if not {"columns", "crosses"}.intersection(part for part in (parts.wide, parts.deep) if isinstance(part, str)):
        return recipe
    width = len(encodings.names(view.encoding))
    first = width - encodings.crossed(view.encoding)
    ranges: dict[Any, tuple[int, int]] = {"columns": (0, first), "crosses": (first, width)}
    found = {name: ranges.get(part, part) for name, part in (("wide", parts.wide), ("deep", parts.deep))}
    model = recipe.model.model_copy(update={"wide_deep": parts.model_copy(update=found)})
    return recipe.model_copy(update={"model": model})


def _fold(splits: Splits, k_fold: KFold, seed: int) -> Splits:
    """The training and validation rows, shuffled and split anew. The seed counts through the folds of all repeats."""
    repeat, fold = divmod(seed, k_fold.folds)
    together = [splits[name] for name in ("train", "validation") if name in splits]
    x, y = (np.concatenate(arrays) for arrays in zip(*together, strict=True))
    folds = np.array_split(np.random.default_rng([k_fold.seed, repeat]).permutation(len(y)), k_fold.folds)
    train = np.concatenate([rows for number, rows in enumerate(folds) if number != fold])
    return {**splits, "train": (x[train], y[train]), "validation": (x[folds[fold]], y[folds[fold]])}


def _held_out(splits: Splits, rows: int) -> Splits:
    """The last training rows as the validation split, but never more than half of them."""
    x, y = splits["train"]
    first = max(len(y) - rows, -(-len(y) // 2))
    return {**splits, "train": (x[:first], y[:first]), "validation": (x[first:], y[first:])}


def _own_rows(recipe: Recipe, splits: Splits, seed: int) -> Splits:
    """The splits of a replicate: those that are given, or some in which it has validation rows of its own."""
    if recipe.k_fold:
        return _fold(splits, recipe.k_fold, seed)
    return _held_out(splits, recipe.train.validation_rows) if recipe.train.validation_rows else splits


def labels_of(recipe: Recipe, labels: Mapping[str, np.ndarray], seed: int) -> dict[str, np.ndarray]:
    """The labels of a replicate's own rows of each split."""
    return {name: y for name, (_, y) in _own_rows(recipe, {name: (y, y) for name, y in labels.items()}, seed).items()}


def of_replicate(recipe: Recipe, fitted: FittedView, splits: Splits, seed: int) -> tuple[Splits, FittedView]:
    """A replicate's own rows of each split, raw, and its view.

    Args:
        fitted: the recipe's view, fitted on the training rows. It is fitted anew if the recipe chooses its own validation rows.
        splits: raw values and labels.
        seed: the replicate's. It only chooses the fold of k-fold validation here.
    """
    rows = _own_rows(recipe, splits, seed)
    if rows is splits:
        return splits, fitted
    return rows, fit(recipe.view, {name: x for name, (x, _) in rows.items()}, fitted.columns)


def inputs_of(recipe: Recipe, fitted: FittedView, splits: Splits, seed: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The inputs and labels of each split that a replicate is trained and scored on. Arguments as for `of_replicate`."""
    rows, view = of_replicate(recipe, fitted, splits, seed)
    return {name: (apply(view, x, name), y) for name, (x, y) in rows.items()}
