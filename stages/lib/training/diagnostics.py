"""Gradients, weights and activations of a network, layer by layer, before and during training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

if TYPE_CHECKING:
    from stages.lib.training.backends import Gradients

ROWS = 500
"""Gradients and activations are measured on so many training rows, the first ones."""
NEAR = 0.01
"""A bounded activation within this distance of its bound counts as saturated."""
COLUMNS = ("epoch", "layer", "weights_norm", "gradient_norm", "update_norm", "zero_share", "saturated_share")
"""Of the table. A network of one's own may have no layer with a kernel, and so no rows."""
BOUNDS = {"sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0)}


@dataclass
class Diagnostics:
    """Measures one replicate's network at some epochs. `rows` gets a line for each layer with a kernel.

    weights_norm: root of the sum of squares of the kernel.
    gradient_norm: the same of the gradient of the loss, over the first ROWS training rows.
    update_norm: the same of the kernel's change during the epoch. NaN before training.
    zero_share: share of the units whose activation is zero for every row, and every pixel of a convolution.
    saturated_share: share of the activations of sigmoid or tanh that lie within NEAR of their bounds.

    Args:
        state: the variables that gradients change, such as those of dropout, which training must not notice. None: those of
            the network.
    """

    model: keras.Model
    gradients: Gradients
    x: Any
    y: Any
    state: Sequence[keras.Variable] | None = None
    own: bool = False
    """Whether it is a network of one's own. Its activations are not measured, as a layer may count how often it is called."""

    def __post_init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        positions = {id(variable): position for position, variable in enumerate(self.model.trainable_variables)}
        layers = self.model._flatten_layers(include_self=False) if self.own else _all_layers(self.model)
        by_position: dict[int, keras.Layer] = {}
        for layer in layers:
            if (position := positions.get(id(getattr(layer, "kernel", None)))) is not None:
                by_position.setdefault(position, layer)  # a wrapper comes before its layer, whose kernel it has
        self.positions, self.layers = list(by_position), list(by_position.values())
        names = [layer.name for layer in self.layers]
        self.names = [layer.path if names.count(layer.name) > 1 else layer.name for layer in self.layers]
        self.snapshot()

    def snapshot(self) -> None:
        """Keep the kernels as they are before an epoch."""
        self.kernels = [ops.convert_to_numpy(layer.kernel).copy() for layer in self.layers]

    def measure(self, epoch: int) -> None:
        """Add the lines of one epoch. Epoch 0 is before training."""
        state = self.model.non_trainable_variables if self.state is None else self.state
        before = [ops.convert_to_numpy(variable.value).copy() for variable in state]
        gradients = self.gradients(self.x, self.y)
        for variable, value in zip(state, before, strict=True):
            variable.assign(value)
        activations = self._activations()
        for number, (layer, position) in enumerate(zip(self.layers, self.positions, strict=True)):
            kernel = ops.convert_to_numpy(layer.kernel)
            gradient = gradients[position]  # None for a layer that the outputs do not depend on
            zero, saturated = _shares(activations.get(f"{layer.name}_activation"))
            self.rows.append(
                {
                    "epoch": epoch,
                    "layer": self.names[number],
                    "weights_norm": _norm(kernel),
                    "gradient_norm": np.nan if gradient is None else _norm(ops.convert_to_numpy(gradient)),
                    "update_norm": _norm(kernel - self.kernels[number]) if epoch else np.nan,
                    "zero_share": zero,
                    "saturated_share": saturated,
                }
            )

    def _activations(self) -> dict[str, tuple[str, np.ndarray]]:
        """Layer -> its kind of activation and its outputs. Empty for a subclassed model, which does not expose them."""
        if self.own or not isinstance(self.model, keras.Sequential):
            return {}
        x = self.x
        activations = {}
        for layer in self.model.layers:
            x = layer(x)
            if layer.name.endswith("_activation"):
                kind = layer.activation.__name__ if isinstance(layer, keras.layers.Activation) else type(layer).__name__
                activations[layer.name] = kind, ops.convert_to_numpy(x)
        return activations


def _all_layers(model: keras.Model) -> list[keras.Layer]:
    """The layers in the order of the network."""
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
