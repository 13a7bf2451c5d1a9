"""Views: how raw values become inputs. Every scaling, and the inversion, is affine, so a view is a shift and a factor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from stages.lib.settings import View


@dataclass(frozen=True)
class FittedView:
    """inputs = (raw - shift) * factor, and for the test split normal noise on top.

    shift and factor are numbers, or nested lists with the shape of one row where they differ from feature to feature.
    """

    shift: Any
    factor: Any
    test_noise: float
    noise_seed: int


def _max(x: np.ndarray, axis: int | None) -> tuple[Any, Any]:
    return np.zeros_like(x.max(axis)), x.max(axis)


def _min_max(x: np.ndarray, axis: int | None) -> tuple[Any, Any]:
    return x.min(axis), x.max(axis) - x.min(axis)


def _mean(x: np.ndarray, axis: int | None) -> tuple[Any, Any]:
    return x.mean(axis), x.max(axis) - x.min(axis)


def _standard(x: np.ndarray, axis: int | None) -> tuple[Any, Any]:
    deviation = x.std(axis)
    return x.mean(axis), np.where(x.max(axis) == x.min(axis), 0.0, deviation)  # rounding leaves 1e-17 of a constant


def _none(x: np.ndarray, axis: int | None) -> tuple[Any, Any]:
    return np.zeros_like(x.max(axis)), np.ones_like(x.max(axis))


SCALINGS: dict[str, Callable[[np.ndarray, int | None], tuple[Any, Any]]] = {
    "none": _none,
    "max": _max,
    "min_max": _min_max,
    "mean": _mean,
    "standard": _standard,
}
"""Scaling -> (what is subtracted, what is then divided by), of all values or of each feature (axis 0)."""


def fit(view: View, train: np.ndarray) -> FittedView:
    """The view fitted on the training rows `train` (n, ...) alone. A feature that never changes is divided by 1."""
    x = train.astype(np.float64)
    axis = 0 if view.per == "feature" else None
    mirror = x.min(axis) + x.max(axis)
    if view.invert:
        x = mirror - x
    shift, divisor = SCALINGS[view.scale](x, axis)
    factor = 1.0 / np.where(divisor == 0, 1.0, divisor)
    if view.invert:  # ((mirror - raw) - shift) * factor, written as (raw - shift') * factor'
        shift, factor = mirror - shift, -factor
    return FittedView(np.asarray(shift).tolist(), factor.tolist(), view.test_noise, view.noise_seed)


def apply(view: FittedView, raw: np.ndarray, split: str) -> np.ndarray:
    """The inputs of one split, float32 and of the shape of `raw` (n, ...); noise is added to the split `test` only."""
    shift, factor = np.asarray(view.shift, np.float32), np.asarray(view.factor, np.float32)
    inputs = (raw.astype(np.float32) - shift) * factor
    if split == "test" and view.test_noise:
        noise = np.random.default_rng(view.noise_seed).standard_normal(inputs.shape, dtype=np.float32)
        inputs += np.float32(view.test_noise) * noise
    return inputs
