"""One hidden layer, as the study's others, but with weights that are drawn evenly from a range of one's own."""

import keras
from keras import layers


def build(inputs: keras.KerasTensor, outputs: int, *, units: int = 1000, spread: float = 1.0) -> keras.Model:
    """spread: the largest size of a weight before training."""

    def drawn() -> keras.initializers.Initializer:
        return keras.initializers.RandomUniform(-spread, spread)

    x = layers.Flatten()(inputs)
    x = layers.Dense(units, activation="relu", kernel_initializer=drawn())(x)
    return keras.Model(inputs, layers.Dense(outputs, activation="softmax", kernel_initializer=drawn())(x))
