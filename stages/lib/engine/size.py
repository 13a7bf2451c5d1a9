"""The layers of a network before it is built, for what it costs and for the memory that it needs."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

from stages.lib.cli import SettingError
from stages.lib.study.recipe import Model

CONVOLUTION = 2.0
"""Time of a multiply-add in a convolution, against one in a dense layer (measured, one core with AVX-512)."""


class Layer(NamedTuple):
    """The weights of a layer's kernel, and its multiply-adds in one row, in those of a dense layer."""

    weights: int
    adds: float


def layers(model: Model, input_shape: Sequence[int], outputs: int) -> list[Layer]:
    """The layers of a network for such rows, from the first to the last. None are known of a network of one's own.

    Raises SettingError, with a place below `model`, for convolutions or parts of the features that such rows do not allow.
    """
    if model.network:
        return []
    _check_wide_deep(model, input_shape)
    if model.conv and len(input_shape) not in (2, 3):
        held = f"lists of {input_shape[0]} numbers" if len(input_shape) == 1 else f"of shape {tuple(input_shape)}"
        raise SettingError(f"needs images; the rows of this data set are {held}", "conv")
    found = []
    height, width, channels = (*input_shape, 1)[:3] if len(input_shape) > 1 else (1, prod(input_shape), 1)
    for filters in model.conv:
        height, width = height - model.kernel_size + 1, width - model.kernel_size + 1
        weights = model.kernel_size**2 * channels * filters
        found.append(Layer(weights, CONVOLUTION * height * width * weights))
        height, width, channels = height // model.pool_size, width // model.pool_size, filters
        if min(height, width) < 1:
            raise SettingError(_too_small(model.conv, input_shape), "conv")
    units = height * width * channels
    pieces = model.maxout_pieces if model.activation == "maxout" else 1
    for hidden in model.hidden:
        found.append(Layer(units * hidden * pieces, units * hidden * pieces))
        units = hidden
    return [*found, Layer(units * outputs, units * outputs)]


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
