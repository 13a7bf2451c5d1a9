"""Why a network learns or does not: gradients, weights and activations, layer by layer, before and during training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

if TYPE_CHECKING:
    from stages.lib.training.backends import Gradients

ROWS = 500
"""Training rows, the first ones, that gradients and activations are measured on."""
NEAR = 0.01
"""Distance from its bound at which a bounded activation counts as saturated."""
BOUNDS = {"sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0)}
COLUMNS = ("epoch", "layer", "weights_norm", "gradient_norm", "update_norm", "zero_share", "saturated_share")


@dataclass
class Diagnostics:
    """Measures one replicate's network at some epochs; `rows` gathers a line for each layer with a kernel.

    weights_norm, gradient_norm, update_norm: root of the sum of squares of the kernel; of the gradient of the loss of the first
    ROWS training rows; of the kernel's change during the epoch (none before training).
    zero_share: units whose activation is zero for every row (of a convolution: for every row and pixel).
    saturated_share: activations of sigmoid or tanh that are within NEAR of their bounds.
    """

    model: keras.Model
    gradients: Gradients
    x: Any
    y: Any

    def __post_init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.layers = [layer for layer in _all_layers(self.model) if hasattr(layer, "kernel")]
        positions = {id(variable): position for position, variable in enumerate(self.model.trainable_variables)}
        self.positions = [positions[id(layer.kernel)] for layer in self.layers]
        self.snapshot()

    def snapshot(self) -> None:
        """Note the kernels, as they are before an epoch."""
        self.kernels = [ops.convert_to_numpy(layer.kernel).copy() for layer in self.layers]

    def measure(self, epoch: int) -> None:
        """Add the lines of one epoch; 0 is before training."""
        state = [ops.convert_to_numpy(variable.value).copy() for variable in self.model.non_trainable_variables]
        gradients = self.gradients(self.x, self.y)
        for variable, value in zip(self.model.non_trainable_variables, state, strict=True):  # training must not notice
            variable.assign(value)
        activations = self._activations()
        for number, (layer, position) in enumerate(zip(self.layers, self.positions, strict=True)):
            kernel = ops.convert_to_numpy(layer.kernel)
            zero, saturated = _shares(activations.get(f"{layer.name}_activation"))
            values = (
                *(_norm(kernel), _norm(ops.convert_to_numpy(gradients[position]))),
                *(_norm(kernel - self.kernels[number]) if epoch else np.nan, zero, saturated),
            )
            self.rows.append(dict(zip(COLUMNS, (epoch, layer.name, *values), strict=True)))

    def _activations(self) -> dict[str, tuple[str, np.ndarray]]:
        """Layer -> its kind of activation and its outputs; none of a subclassed model, which does not tell them."""
        if not isinstance(self.model, keras.Sequential):
            return {}
        x, found = self.x, {}
        for layer in self.model.layers:
            x = layer(x)
            if layer.name.endswith("_activation"):
                kind = layer.activation.__name__ if isinstance(layer, keras.layers.Activation) else type(layer).__name__
                found[layer.name] = kind, ops.convert_to_numpy(x)
        return found


def _all_layers(model: keras.Model) -> list[keras.Layer]:
    """The layers with weights, in the order of the network."""
    stack = getattr(model, "stack", None)
    return model.layers if stack is None else [*stack, *(each for each in (model.head, model.auxiliary) if each is not None)]


def _norm(values: np.ndarray) -> float:
    return float(np.sqrt(np.sum(values.astype(np.float64) ** 2)))


def _shares(activation: tuple[str, np.ndarray] | None) -> tuple[float, float]:
    if activation is None:
        return np.nan, np.nan
    kind, values = activation
    zero = float((values == 0).all(axis=tuple(range(values.ndim - 1))).mean())
    if kind not in BOUNDS:
        return zero, np.nan
    low, high = BOUNDS[kind]
    return zero, float(((values < low + NEAR) | (values > high - NEAR)).mean())
