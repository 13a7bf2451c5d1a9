"""Random changes of training images, by Keras's own layers. They are no part of the network that is scored and saved."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras
import numpy as np

if TYPE_CHECKING:
    from stages.lib.study.recipe import Augmentation

LARGEST = 3e38
"""Of float32, about. Keras clips pixels to a range. Inputs have that of their view, so here it clips nothing."""
FLIPS = {"both": "horizontal_and_vertical"}


def augmented(model: keras.Model, settings: Augmentation, input_shape: tuple[int, ...], seed: int) -> keras.Model:
    """`model` behind layers that change its inputs in training. With training=False it is `model`.

    Both share their weights. The random states of the layers are variables of the new model alone.

    Args:
        input_shape: (height, width), or with channels.
        seed: of the replicate. The layers' seeds are drawn apart from those of the network.
    """
    layers = _layers(settings, np.random.default_rng([seed, 2]))
    if len(input_shape) == 2:
        image = keras.layers.Reshape((*input_shape, 1), name="augmentation_channel")
        layers = [image, *layers, keras.layers.Reshape(input_shape, name="augmentation_plane")]
    return keras.Sequential([keras.Input(input_shape, name="images"), *layers, model], name="augmented")


def _layers(settings: Augmentation, generator: np.random.Generator) -> list[keras.Layer]:
    def seed() -> int:
        return int(generator.integers(2**31))

    fill = settings.fill
    layers = []
    if settings.flip != "none":
        layers.append(keras.layers.RandomFlip(FLIPS.get(settings.flip, settings.flip), seed=seed()))
    if settings.translate:
        layers.append(keras.layers.RandomTranslation(settings.translate, settings.translate, fill, seed=seed()))
    if settings.rotate:
        layers.append(keras.layers.RandomRotation(settings.rotate / 360, fill, seed=seed()))
    if settings.zoom:
        layers.append(keras.layers.RandomZoom(settings.zoom, fill_mode=fill, seed=seed()))
    if settings.contrast:
        layers.append(keras.layers.RandomContrast(settings.contrast, (-LARGEST, LARGEST), seed=seed()))
    return layers
