"""An export of a network of one's own: Keras's formats have its file beside them if it has layers of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from helpers.checkout import environment_of
from helpers.networks import CUSTOM, TINY, own_study, with_own
from helpers.training import inputs
from stages.lib.cli import UserError
from stages.lib.data.prepared import read_split
from stages.lib.engine.conditions import training_variables
from stages.lib.files import read_arrays, write_bytes
from stages.lib.training import replicate
from stages.tools import export

SCALED = """
import keras
from keras import layers


@keras.saving.register_keras_serializable()
class Scale(layers.Layer):
    def __init__(self, start=2.0, **arguments):
        super().__init__(**arguments)
        self.start = start
        self.factor = self.add_weight(shape=(), initializer=keras.initializers.Constant(start))

    def call(self, x):
        return self.factor * x

    def get_config(self):
        return {**super().get_config(), "start": self.start}


def build(inputs, outputs):
    x = layers.Dense(3, activation="relu")(Scale()(layers.Flatten()(inputs)))
    return keras.Model(inputs, layers.Dense(outputs, activation="softmax")(x))
"""
DECORATOR = "@keras.saving.register_keras_serializable()\n"
LOAD = """
import sys
import keras, numpy as np
import networks.tiny
folder = sys.argv[1]
whole = keras.saving.load_model(f"{folder}/model.keras")
parts = keras.models.model_from_json(open(f"{folder}/model.json").read())
parts.load_weights(f"{folder}/model.weights.h5")
for name, model in (("whole", whole), ("parts", parts)):
    np.save(f"{folder}/{name}.npy", model.predict(np.load(f"{folder}/raw.npy"), verbose=0))
assert "stages" not in sys.modules
"""


def trained(folder: Path, text: str, seed: int = 0) -> Path:
    """The folder of a study with one trained replicate of its own network."""
    study = own_study(folder, with_own({"replicates": {"seeds": 2}}), tiny=text)
    result = replicate.train_replicate(study.recipes["own"], seed, inputs(), 4, "classification")
    for name, content in result.files.items():
        write_bytes(folder / "data" / "runs" / "own" / str(seed) / name, content)
    return folder


@pytest.mark.parametrize("seed", [0, 1])
def test_a_network_of_keras_s_layers_needs_no_file(tmp_path: Path, seed: int) -> None:
    folder, target = trained(tmp_path / "study", TINY, seed), tmp_path / "export"
    facts = export.export(folder, "own", seed, ["json"], target)
    assert facts["needs"] == []
    assert not (target / "networks").exists()


@pytest.mark.slow
def test_a_layer_of_one_s_own_is_loaded_from_the_copied_file(tmp_path: Path) -> None:
    folder, target = trained(tmp_path / "study", SCALED), tmp_path / "export"
    facts = export.export(folder, "own", 0, ["keras", "json"], target)
    assert json.loads((target / "export.json").read_text())["needs"] == facts["needs"] == ["networks.tiny"]
    assert (target / "networks" / "tiny.py").read_text() == SCALED
    np.save(target / "raw.npy", read_split(folder / "data" / "prepared", "test")[0])
    environment = environment_of(tmp_path, PYTHONPATH=str(target), **training_variables("tensorflow"))
    done = subprocess.run(
        [sys.executable, "-c", LOAD, str(target)], env=environment, cwd=target, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    expected = read_arrays(folder / "data" / "runs" / "own" / "0" / "predictions.npz")["test"]
    for name in ("whole", "parts"):
        np.testing.assert_allclose(np.load(target / f"{name}.npy"), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (CUSTOM, "a layer keeps something that is neither a weight nor in its get_config, so it would predict something else"),
        (
            SCALED.replace("@keras.saving.register_keras_serializable()\n", ""),
            "Keras cannot load what it writes; classes of your own need",
        ),
    ],
)
def test_what_keras_s_formats_would_lose_is_said(tmp_path: Path, text: str, said: str) -> None:
    noiseless = text.replace("0.01 * noise", "0.0 * noise")
    folder, target = trained(tmp_path / "study", noiseless), tmp_path / "export"
    with pytest.raises(UserError) as caught:
        export.export(folder, "own", 0, ["keras"], target)
    assert str(caught.value).startswith(f"{folder}/networks/tiny.py: {said}")
    assert "--formats saved_model" in str(caught.value)
    assert not target.exists()


def test_a_file_that_changed_since_it_was_trained_is_said(tmp_path: Path) -> None:
    folder = trained(tmp_path / "study", TINY)
    (folder / "networks" / "tiny.py").write_text(TINY.replace("relu", "tanh"))
    with pytest.raises(UserError, match=r"holds another network than params\.yaml describes"):
        export.export(folder, "own", 0, ["json"], tmp_path / "export")
