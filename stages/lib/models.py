"""Networks from settings. No global random generator is used: every layer that draws has a seed of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras
import numpy as np

if TYPE_CHECKING:
    from stages.lib.settings import Model


def build(settings: Model, input_shape: tuple[int, ...], outputs: int, seed: int) -> keras.Model:
    """A network with freshly drawn weights.

    Layers have fixed names, so that two networks of the same settings are described by the same JSON and HDF5 bytes.

    Args:
        settings: the architecture.
        input_shape: shape of one row; images (height, width) get the channel that convolutions need.
        outputs: classes, or 1 for a regression.
        seed: of the initial weights and of dropout.
    """
    draw = np.random.default_rng([seed, 0])

    def next_seed() -> int:
        return int(draw.integers(2**31))

    def kernel(**arguments: object) -> dict[str, object]:
        config = {} if settings.kernel_initializer in ("ones", "zeros") else {"seed": next_seed()}
        initializer = keras.initializers.get({"class_name": settings.kernel_initializer, "config": config})
        regularizer = keras.regularizers.L2(settings.l2) if settings.l2 else None
        return {"kernel_initializer": initializer, "kernel_regularizer": regularizer, **arguments}

    def activated(name: str, layer: keras.Layer) -> list[keras.Layer]:
        activation = keras.layers.Activation(settings.activation, name=f"{name}_activation")
        if settings.batch_normalization == "none":
            return [layer, activation]
        normalization = keras.layers.BatchNormalization(name=f"{name}_normalization")
        if settings.batch_normalization == "before":
            return [layer, normalization, activation]
        return [layer, activation, normalization]

    layers: list[keras.Layer] = [keras.Input(input_shape, name="inputs")]
    if settings.conv and len(input_shape) == 2:
        layers.append(keras.layers.Reshape((*input_shape, 1), name="channel"))
    for number, filters in enumerate(settings.conv, 1):
        name = f"conv_{number}"
        layers += activated(name, keras.layers.Conv2D(filters, settings.kernel_size, name=name, **kernel()))
        layers.append(keras.layers.MaxPooling2D(settings.pool_size, name=f"{name}_pooling"))
    if settings.conv or len(input_shape) > 1:
        layers.append(keras.layers.Flatten(name="flatten"))
    for number, units in enumerate(settings.hidden, 1):
        name = f"hidden_{number}"
        layers += activated(name, keras.layers.Dense(units, name=name, **kernel()))
        if settings.dropout:
            layers.append(keras.layers.Dropout(settings.dropout, seed=next_seed(), name=f"{name}_dropout"))
    layers.append(keras.layers.Dense(outputs, settings.output_activation, name="outputs", **kernel()))
    return keras.Sequential(layers, name="network")
