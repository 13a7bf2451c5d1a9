"""Networks from settings. Every layer that draws has a seed of its own, so no global random generator is used."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from stages.lib.training import own

if TYPE_CHECKING:
    from stages.lib.study.recipe import Model

Draw = Callable[[], int]
"""The next seed."""


@keras.saving.register_keras_serializable(package="tips")
class WideAndDeep(keras.Model):  # type: ignore[misc]  # Keras has no types
    """Wide & Deep as a subclass: the head sees the wide inputs beside the outputs of the stack, which sees the deep inputs.

    A single tensor is the input of both parts. Of a pair, the first is for the wide part and the second for the deep part.
    """

    __module__ = "tips"  # Keras writes it into model.json, whose bytes must not depend on where this file lies

    def __init__(
        self, stack: Sequence[keras.Layer], head: keras.Layer, auxiliary: keras.Layer | None = None, **arguments: Any
    ) -> None:
        super().__init__(**arguments)
        self.stack, self.head, self.auxiliary = list(stack), head, auxiliary
        self.beside = keras.layers.Concatenate(name="wide_and_deep")

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        wide, deep = inputs if isinstance(inputs, list | tuple) else (inputs, inputs)
        for layer in self.stack:
            deep = layer(deep, training=training) if _has_phases(layer) else layer(deep)
        joint = self.head(self.beside([wide, deep]))
        return joint if self.auxiliary is None else [joint, self.auxiliary(deep)]

    def get_config(self) -> dict[str, Any]:
        parts = {"stack": self.stack, "head": self.head, "auxiliary": self.auxiliary}
        return {**super().get_config(), **{name: keras.saving.serialize_keras_object(part) for name, part in parts.items()}}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> WideAndDeep:
        deserialized = keras.saving.deserialize_keras_object
        parts = {name: deserialized(config[name], custom_objects) for name in ("stack", "head", "auxiliary")}
        return cls(**{**config, **parts})


def _has_phases(layer: keras.Layer) -> bool:
    """Whether a layer works differently in training."""
    return isinstance(layer, keras.layers.BatchNormalization | keras.layers.Dropout | keras.layers.AlphaDropout)


def inputs_of(settings: Model, x: Any) -> Any:
    """The rows `x` (n, ...) as the network takes them: unchanged, or as the pair of its wide and its deep features."""
    wide, deep = settings.wide_deep.wide, settings.wide_deep.deep
    return (x[:, slice(*wide)], x[:, slice(*deep)]) if wide and deep else x


def build(settings: Model, input_shape: tuple[int, ...], outputs: int, seed: int) -> keras.Model:
    """A network with freshly drawn weights.

    Layers have fixed names, so that two networks of the same settings have the same JSON and HDF5 bytes. A network of one's own
    is built as `own.build` says, and may have layers without a seed.

    Args:
        settings: the architecture.
        input_shape: shape of one row. Images (height, width) get the channel that convolutions need.
        outputs: classes, or 1 for a regression.
        seed: of the initial weights and of dropout.
    """
    if settings.network:
        return own.build(settings.network, settings, input_shape, outputs, seed)
    generator = np.random.default_rng([seed, 0])

    def draw() -> int:
        return int(generator.integers(2**31))

    stack = _stack(settings, input_shape, draw)
    head = keras.layers.Dense(outputs, settings.output_activation, name="outputs", **_kernel(settings, draw))
    wide_deep = settings.wide_deep
    if wide_deep.api == "none":
        return keras.Sequential([keras.Input(input_shape, name="inputs"), *stack, head], name="network")
    auxiliary = None
    if wide_deep.auxiliary_output:
        auxiliary = keras.layers.Dense(outputs, settings.output_activation, name="deep_outputs", **_kernel(settings, draw))
    if wide_deep.api == "subclass":
        model = WideAndDeep(stack, head, auxiliary, name="network")
        model(inputs_of(settings, keras.ops.zeros((1, *input_shape))))  # its layers get their weights
        return model
    if wide_deep.wide and wide_deep.deep:
        ranges = [part for part in (wide_deep.wide, wide_deep.deep) if isinstance(part, tuple)]  # not words: it is resolved
        shapes = [(stop - first,) for first, stop in ranges]
        wide, deep = inputs = [
            keras.Input(shape, name=f"{name}_inputs") for shape, name in zip(shapes, ("wide", "deep"), strict=True)
        ]
    else:
        wide = deep = inputs = keras.Input(input_shape, name="inputs")
    for layer in stack:
        deep = layer(deep)
    joint = head(keras.layers.Concatenate(name="wide_and_deep")([wide, deep]))
    return keras.Model(inputs, joint if auxiliary is None else [joint, auxiliary(deep)], name="network")


def _kernel(settings: Model, draw: Draw) -> dict[str, Any]:
    config = {} if settings.kernel_initializer in ("ones", "zeros") else {"seed": draw()}
    initializer = keras.initializers.get({"class_name": settings.kernel_initializer, "config": config})
    regularizer = keras.regularizers.L2(settings.l2) if settings.l2 else None
    return {"kernel_initializer": initializer, "kernel_regularizer": regularizer}


def _activation(settings: Model, units: int, name: str) -> list[keras.Layer]:
    """The layers of an activation. The last one has this name."""
    if settings.activation == "leaky_relu":
        return [keras.layers.LeakyReLU(settings.negative_slope, name=name)]
    if settings.activation == "maxout":  # the largest of each unit's linear pieces
        return [
            keras.layers.Reshape((units, settings.maxout_pieces), name=f"{name}_pieces"),
            keras.layers.GlobalMaxPooling1D(data_format="channels_first", name=name),
        ]
    return [keras.layers.Activation(settings.activation, name=name)]


def _activated(settings: Model, layer: keras.Layer, units: int) -> list[keras.Layer]:
    """A layer, its activation and its normalization, in the order of the settings."""
    activation = _activation(settings, units, f"{layer.name}_activation")
    if settings.batch_normalization == "none":
        return [layer, *activation]
    normalization = keras.layers.BatchNormalization(name=f"{layer.name}_normalization")
    return (
        [layer, normalization, *activation] if settings.batch_normalization == "before" else [layer, *activation, normalization]
    )


def _stack(settings: Model, input_shape: tuple[int, ...], draw: Draw) -> list[keras.Layer]:
    """All layers between the inputs and the output layer."""
    layers: list[keras.Layer] = []
    if settings.conv and len(input_shape) == 2:
        layers.append(keras.layers.Reshape((*input_shape, 1), name="channel"))
    for number, filters in enumerate(settings.conv, 1):
        name = f"conv_{number}"
        convolution = keras.layers.Conv2D(filters, settings.kernel_size, name=name, **_kernel(settings, draw))
        layers += [
            *_activated(settings, convolution, filters),
            keras.layers.MaxPooling2D(settings.pool_size, name=f"{name}_pooling"),
        ]
    if settings.conv or len(input_shape) > 1:
        layers.append(keras.layers.Flatten(name="flatten"))
    pieces = settings.maxout_pieces if settings.activation == "maxout" else 1
    dropout = {"dropout": keras.layers.Dropout, "alpha_dropout": keras.layers.AlphaDropout}[settings.dropout_type]
    for number, units in enumerate(settings.hidden, 1):
        name = f"hidden_{number}"
        layers += _activated(settings, keras.layers.Dense(units * pieces, name=name, **_kernel(settings, draw)), units)
        if settings.dropout and (settings.dropout_layers == "all" or number == len(settings.hidden)):
            layers.append(dropout(settings.dropout, seed=draw(), name=f"{name}_dropout"))
    return layers
