"""Networks of one's own, written into the folder of a small study."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from helpers.study import SMALL, write_study
from stages.lib.study.load import load_study
from stages.lib.study.networks import Network
from stages.lib.study.settings import Study, merged

TINY = """
import keras
from keras import layers


def build(inputs, outputs, *, width: int = 4, dropout: float = 0.0):
    x = layers.Flatten()(inputs)
    x = layers.Dense(width, activation="relu")(x)
    if dropout:
        x = layers.Dropout(dropout)(x)
    return keras.Model(inputs, layers.Dense(outputs, activation="softmax")(x))
"""
"""One hidden layer."""
CUSTOM = """
import keras
import numpy as np
from keras import layers


@keras.saving.register_keras_serializable()
class Odd(layers.Layer):
    def __init__(self, **arguments):
        super().__init__(**arguments)
        self.constant = np.random.normal()
        self.factor = self.add_weight(shape=(), initializer="random_normal")
        self.calls = self.add_weight(shape=(), initializer="zeros", trainable=False)
        self.seeds = keras.random.SeedGenerator()

    def call(self, x, training=False):
        if training:
            self.calls.assign_add(1.0)
        noise = keras.random.normal(keras.ops.shape(x), seed=self.seeds)
        return x * (1.0 + self.factor + 0.01 * self.calls) + 0.1 * self.constant + 0.01 * noise


def build(inputs, outputs):
    x = layers.Dense(6, activation="relu")(layers.Flatten()(inputs))
    return keras.Model(inputs, layers.Dense(outputs, activation="softmax")(Odd()(x)))
"""
"""A layer with weights, a constant that is drawn when it is made, a state, and noise."""
ONE: dict[str, Any] = {
    "claims": {},
    "variants": {"own": {"tip": "Mine.", "view": "scaled", "model": {"network": "tiny"}}},
    "replicates": {"seeds": 1},
    "train": {"epochs": 1},
}
"""A study of one variant."""


def with_own(changes: Mapping[str, Any] | None = None, model: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The small study with the variant `own` beside its others, and with changes; `model` replaces its model section."""
    content: dict[str, Any] = merged(json.loads(json.dumps(SMALL)), ONE)
    content["claims"] = {}
    content = merged(content, changes or {})
    return content if model is None else {**content, "model": dict(model)}


def write_networks(folder: Path, **networks: str) -> Path:
    """Write files of `networks`, and return the folder."""
    (folder / "networks").mkdir(parents=True, exist_ok=True)
    for name, text in networks.items():
        (folder / "networks" / f"{name}.py").write_text(text, encoding="utf-8")
    return folder


def own_study(folder: Path, content: Mapping[str, Any] | None = None, **networks: str) -> Study:
    """The study with these settings (default: `with_own()`) and networks (default: `tiny`), its prepared data included."""
    folder.mkdir(parents=True, exist_ok=True)
    write_networks(write_study(folder), **(networks or {"tiny": TINY}))
    (folder / "params.yaml").write_text(json.dumps(content or with_own()), encoding="utf-8")
    return load_study(folder)


def network(text: str, name: str = "tiny") -> Network:
    return Network(name, f"networks/{name}.py", text)
