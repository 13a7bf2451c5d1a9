"""Networks of one's own: one seed gives the same bytes whatever came before, and a mistake is one line with its place."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest

from helpers.checkout import ROOT, environment_of
from helpers.networks import CUSTOM, TINY, network, own_study, with_own
from helpers.study import blobs, study_with
from stages.lib.engine.conditions import training_variables
from stages.lib.engine.trainer import in_one_line
from stages.lib.study.recipe import Recipe
from stages.lib.training import own, replicate
from stages.lib.training.result import Result

KERAS_S = """
from keras import Model, layers

def build(inputs, outputs):
    x = layers.Reshape((8, 8, 1))(inputs)
    x = layers.SpectralNormalization(layers.Conv2D(3, 3, padding="same"))(x)
    y = layers.BatchNormalization()(layers.Conv2D(3, 3, padding="same", use_bias=False)(x))
    x = layers.Add()([x, layers.Activation("relu")(y)])
    x = layers.Dropout(0.3)(layers.GlobalAveragePooling2D()(layers.GaussianNoise(0.1)(x)))
    return Model(inputs, layers.Dense(outputs, activation="softmax")(x))
"""
"""Layers that draw, and layers that keep a state."""
SUBCLASSED = """
import keras
from keras import layers

@keras.saving.register_keras_serializable()
class Mine(keras.Model):
    def __init__(self, outputs, **arguments):
        super().__init__(**arguments)
        self.outputs_ = outputs
        self.flatten, self.dense = layers.Flatten(), layers.Dense(outputs, activation="softmax")

    def call(self, inputs):
        return self.dense(self.flatten(inputs))

    def get_config(self):
        return {**super().get_config(), "outputs": self.outputs_}

def build(inputs, outputs):
    return Mine(outputs)
"""
BUILDS = {
    "sequential": "return keras.Sequential([layers.Flatten(), layers.Dense(outputs, activation='softmax')])",
    "lambda": "return last(layers.Lambda(lambda x: 2 * x)(layers.Flatten()(inputs)))",
    "drawn_constant": "return last(layers.Flatten()(inputs) * np.random.normal())",
    "drawn_width": "return last(layers.Dense(random.randint(2, 9))(layers.Flatten()(inputs)))",
    "drawn_function": "factor = random.random()\n    def f(x):\n        return x * factor\n"
    "    return last(layers.Dense(3, activation=f)(layers.Flatten()(inputs)))",
    "mixed_precision": "keras.config.set_dtype_policy('mixed_float16')\n    x = layers.Dense(3)(layers.Flatten()(inputs))\n"
    "    return keras.Model(inputs, layers.Dense(outputs, activation='softmax', dtype='float32')(x))",
}
"""Bodies of `build`."""
HEAD = """
import random
import keras
import numpy as np
from keras import layers

made = []

def build(inputs, outputs):
    made.append(1)
    assert len(made) == 1, "a module is made anew for each network"
    def last(x):
        return keras.Model(inputs, layers.Dense(outputs, activation="softmax")(x))
    """
TEXTS = {
    "tiny": TINY,
    "keras_s": KERAS_S,
    "custom": CUSTOM,
    "subclassed": SUBCLASSED,
    **{name: HEAD + body + "\n" for name, body in BUILDS.items()},
}
SHARED = {"tiny", "keras_s", "sequential", "mixed_precision"}
DENSE = {"tiny", "sequential", "mixed_precision", "drawn_constant", "drawn_width"}
"""What XLA may compile."""


def splits() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    x, y = blobs(90)
    x, y = x.astype(np.float32) / 200, y.astype(np.int32)
    return {"train": (x[:50], y[:50]), "test": (x[50:], y[50:])}


def recipe_of(folder: Path, name: str, **changes: Any) -> Recipe:
    content = with_own({"variants": {"own": {"model": {"network": name}}}, "train": {"batch_size": 20}, **changes})
    return own_study(folder, content, **{name: TEXTS[name]}).recipes["own"]


def trained(recipe: Recipe, seed: int = 0) -> Result:
    return replicate.train_replicate(recipe, seed, splits(), 4, "classification")


@pytest.mark.parametrize("name", TEXTS)
def test_a_trace_is_shared_where_all_that_differs_is_in_variables(tmp_path: Path, name: str) -> None:
    recipe = recipe_of(tmp_path, name)
    structure = replicate.Structure.of(recipe, (8, 8), 4, "classification", 50)
    shares = replicate.trace_of(structure, 1).compiled is replicate.trace(structure).compiled
    assert shares == (name in SHARED)
    assert own.is_dense(built(recipe)) == (name in DENSE)
    assert keras.config.dtype_policy().name == "float32"


@pytest.mark.parametrize("name", ["keras_s", "custom", "drawn_function", pytest.param("subclassed", marks=pytest.mark.slow)])
def test_neither_what_was_built_before_nor_a_shared_trace_changes_a_bit(tmp_path: Path, name: str) -> None:
    recipe = recipe_of(tmp_path, name, replicates={"diagnostics": name == "keras_s"})
    replicate.trace.cache_clear()
    after_none = trained(recipe, seed=1)
    replicate.trace.cache_clear()
    layers = [keras.layers.Dense(2) for _ in range(3)]  # names that Keras makes up go on counting
    other = trained(recipe, seed=0)
    assert layers
    assert trained(recipe, seed=1).files == after_none.files
    assert other.files["model.weights.h5"] != after_none.files["model.weights.h5"]


SCRIPT = """
import sys
sys.path[:0] = sys.argv[1:3]
from pathlib import Path
from training.test_own import recipe_of, trained
for name, content in trained(recipe_of(Path(sys.argv[3]), sys.argv[4]), seed=1).files.items():
    Path(sys.argv[3], name).write_bytes(content)
"""


@pytest.mark.parametrize("name", ["keras_s", pytest.param("custom", marks=pytest.mark.slow)])
def test_a_fresh_process_trains_the_same(tmp_path: Path, name: str) -> None:
    recipe = recipe_of(tmp_path / "here", name)
    trained(recipe, seed=0)
    files = trained(recipe, seed=1).files
    arguments = [str(ROOT), str(ROOT / "tests"), str(tmp_path / "here"), name]
    environment = environment_of(tmp_path, **training_variables("tensorflow"))
    done = subprocess.run([sys.executable, "-c", SCRIPT, *arguments], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert {each: (tmp_path / "here" / each).read_bytes() for each in files} == files


def test_a_built_in_network_does_not_notice_one_of_one_s_own(tmp_path: Path) -> None:
    plain = study_with({"model": {"dropout": 0.5}}).recipes["plain"]
    before = trained(plain)
    trained(recipe_of(tmp_path, "mixed_precision"))
    assert trained(plain, seed=1).files != before.files
    assert trained(plain).files == before.files
    replicate.trace.cache_clear()
    assert trained(plain).files == before.files


def test_the_options_reach_the_network(tmp_path: Path) -> None:
    content = with_own({"variants": {"own": {"model": {"options": {"width": 3}}}}})
    recipe = own_study(tmp_path, content).recipes["own"]
    checked = replicate.check_network(recipe, 0, splits(), 4, "classification")
    assert json.loads(checked.files["weights.json"]) == 65 * 3 + 4 * 4


def test_a_regression_has_one_output(tmp_path: Path) -> None:
    text = TINY.replace('activation="softmax"', 'activation="linear"')
    content = with_own({"train": {"loss": "mse"}, "claims": {}})
    recipe = own_study(tmp_path, content, tiny=text).recipes["own"]
    x = {name: (x, y.astype(np.float32)) for name, (x, y) in splits().items()}
    scores = json.loads(replicate.train_replicate(recipe, 0, x, 1, "regression").files["scores.json"])
    assert 0 < float(scores["test"]["mae"]) < 3


def test_the_bytecode_of_a_lambda_is_not_in_model_json(tmp_path: Path) -> None:
    content = trained(recipe_of(tmp_path, "lambda")).files["model.json"].decode()
    assert '"class_name": "__lambda__"' in content
    assert '"code"' not in content


def built(recipe: Recipe, shape: tuple[int, ...] = (8, 8)) -> keras.Model:
    assert recipe.model.network
    return own.build(recipe.model.network, recipe.model, shape, 4, 0)


# Mistakes


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("return None", "networks/tiny.py: NetworkError: build returns nothing, not a keras.Model"),
        ("return inputs", "networks/tiny.py: NetworkError: build returns a KerasTensor, not a keras.Model"),
        ("return keras.Model(inputs, inputs)", "networks/tiny.py: NetworkError: the network returns (None, 8, 8) for each"),
        ("return keras.Model(inputs, [inputs] * 2)", "networks/tiny.py: NetworkError: the network returns (None, 8, 8) and ("),
        (
            "one = keras.Input((3,))\n    return keras.Model(one, layers.Dense(4)(one))",
            "networks/tiny.py: NetworkError: the network takes inputs of (None, 3); it must take `inputs` alone",
        ),
        ("x = 1\n    return layers.Dense(unit=3)(inputs)", "networks/tiny.py: line 7: TypeError: "),
        ("return layers.Conv2D(3, 9)(inputs)", "networks/tiny.py: line 6: ValueError: "),
        ("return 1 / 0", "networks/tiny.py: line 6: ZeroDivisionError: division by zero"),
        ("raise KeyError", "networks/tiny.py: line 6: KeyError"),
        (
            "class Mine(keras.Model):\n        def call(self, x):\n            return x[:, :4, 0]\n    return Mine()",
            "",
        ),
        (
            "class Mine(keras.Model):\n        def __init__(self, n):\n            super().__init__()\n"
            "        def call(self, x):\n            return x[:, :4, 0]\n    return Mine(3)",
            "networks/tiny.py: NetworkError: model.json cannot be written; a layer or model of your own needs get_config: ",
        ),
        (
            "class Mine(keras.Model):\n        def call(self, x):\n            return x.nothing\n    return Mine()",
            "networks/tiny.py: line 8: AttributeError: ",
        ),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_with_the_file_and_the_line(tmp_path: Path, body: str, said: str) -> None:
    text = f"import keras\nfrom keras import layers\n\n\ndef build(inputs, outputs):\n    {body}\n"
    recipe = own_study(tmp_path, tiny=text).recipes["own"]
    mine = network(text)
    recipe = recipe.model_copy(update={"model": recipe.model.model_copy(update={"network": mine})})
    if not said:
        replicate.check_network(recipe, 0, splits(), 4, "classification")
        return
    with pytest.raises(Exception) as caught:  # noqa: PT011  # any
        replicate.check_network(recipe, 0, splits(), 4, "classification")
    assert in_one_line(caught.value, mine).startswith(said)


def test_a_mistake_in_a_module_is_told_like_one_in_build(tmp_path: Path) -> None:
    mine = network("import no_such_package\n\ndef build(inputs, outputs): ...\n")
    with pytest.raises(ModuleNotFoundError) as caught:
        own.module_of(mine)
    assert in_one_line(caught.value, mine) == "networks/tiny.py: line 1: ModuleNotFoundError: No module named 'no_such_package'"
    assert in_one_line(ValueError("no"), None) == "ValueError: no"


# Diagnostics

NESTED = """
from keras import Model, layers

def build(inputs, outputs):
    x = layers.Embedding(200, 3)(layers.Rescaling(199)(layers.Flatten()(inputs)))  # tokens that differ, to attend to
    for _ in range(2):
        x = layers.add([x, layers.MultiHeadAttention(1, 2)(x, x)])
    frozen = layers.Dense(4, name="frozen")
    frozen.trainable = False
    x = layers.SpectralNormalization(layers.Dense(5, name="inner"), name="outer")(frozen(x))
    return Model(inputs, layers.Dense(outputs, activation="softmax")(layers.GlobalAveragePooling1D()(x)))
"""
KERNELLESS = """
import keras

@keras.saving.register_keras_serializable()
class Bias(keras.layers.Layer):
    def __init__(self, **arguments):
        super().__init__(**arguments)
        self.bias = self.add_weight(shape=(4,), initializer="zeros")

    def call(self, x):
        return keras.ops.softmax(x[:, :4, 0] + self.bias)

def build(inputs, outputs):
    return keras.Model(inputs, Bias()(inputs))
"""


def diagnosed(folder: Path, text: str) -> pd.DataFrame:
    content = with_own({"replicates": {"diagnostics": True}})
    recipe = own_study(folder, content, tiny=text).recipes["own"]
    return pd.read_csv(io.BytesIO(trained(recipe).files["diagnostics.csv"]))


def test_layers_within_layers_are_measured_under_names_of_their_own(tmp_path: Path) -> None:
    table = diagnosed(tmp_path, NESTED)
    before = table[table["epoch"] == 0]
    names = before["layer"].tolist()
    assert len(set(names)) == len(names) == 10
    assert {"outer", "dense"} <= set(names)
    assert {"multi_head_attention/key", "multi_head_attention_1/key"} <= set(names)
    assert not {"frozen", "inner"} & set(names)
    assert before["gradient_norm"].gt(0).all()
    assert before["zero_share"].isna().all()
    updates = table[table["epoch"] == 1].set_index("layer")["update_norm"]
    assert updates.gt(0).all()


def test_a_network_without_kernels_has_an_empty_table(tmp_path: Path) -> None:
    table = diagnosed(tmp_path, KERNELLESS)
    assert table.empty
    assert "gradient_norm" in table
