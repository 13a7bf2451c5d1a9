"""Norms and shares by hand, by finite differences, or from the weights that training left; and training does not notice."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pandas as pd
import pytest
from keras import ops

from helpers.study import study_with
from helpers.training import diverging
from stages.lib.judging import tables
from stages.lib.report import evidence
from stages.lib.study.recipe import Recipe
from stages.lib.training import diagnostics, replicate
from stages.lib.training.diagnostics import Diagnostics
from stages.lib.training.result import Result

DRAW = np.random.default_rng(0)
X = DRAW.standard_normal((40, 5), dtype=np.float32)
TARGETS = (X @ np.array([1, -2, 0.5, 0, 3], np.float32) + 1).astype(np.float32)
CLASSES = DRAW.integers(0, 3, 40).astype(np.int32)


def recipe_with(train: dict[str, Any] | None = None, measured: bool = True, **model: Any) -> Recipe:
    """Of a regression on five features; `measured`: with diagnostics."""
    changes = {
        "model": {"hidden": [4], "output_activation": "linear", **model},
        "train": {"loss": "mse", "batch_size": 16, "epochs": 1, "optimizer": "sgd", **(train or {})},
        "replicates": {"diagnostics": measured},
    }
    return study_with(changes).recipes["plain"]


def trained(recipe: Recipe, task: str = "regression") -> Result:
    y, outputs = (TARGETS, 1) if task == "regression" else (CLASSES, 3)
    splits = {"train": (X[:30], y[:30]), "test": (X[30:], y[30:])}
    return replicate.train_replicate(recipe, 0, splits, outputs, task)


def table_of(result: Result) -> pd.DataFrame:
    return pd.read_csv(io.BytesIO(result.files["diagnostics.csv"]))


def norm(values: np.ndarray) -> float:
    return float(np.linalg.norm(values.astype(np.float64).ravel()))


def probed(recipe: Recipe, y: np.ndarray, outputs: int, task: str) -> tuple[replicate.Trace, Diagnostics]:
    """A fresh network and its probe on all rows."""
    structure = replicate.Structure.of(recipe, X.shape[1:], outputs, task, len(X))
    traced = replicate.trace(structure)
    replicate.reset(traced, 0.01, seed=0)
    samples = replicate.on_device(recipe.model, X), ops.convert_to_tensor(y)
    return traced, Diagnostics(traced.model, traced.compiled.gradients, *samples)


# Gradients, weights and updates


def test_the_gradient_of_one_linear_layer_is_that_of_least_squares() -> None:
    """2 X'(Xw + b - y) / n, and the penalty's 2 l2 w."""
    traced, probe = probed(recipe_with(hidden=[], l2=0.1), TARGETS, 1, "regression")
    kernel, bias = traced.model.get_weights()
    probe.measure(0)
    gradient = 2 * X.T @ (X @ kernel + bias - TARGETS[:, None]) / len(X) + 2 * 0.1 * kernel
    (row,) = probe.rows
    assert (row["epoch"], row["layer"]) == (0, "outputs")
    assert row["gradient_norm"] == pytest.approx(norm(gradient), rel=1e-4)
    assert row["weights_norm"] == pytest.approx(norm(kernel), rel=1e-5)
    assert all(math.isnan(row[name]) for name in ("update_norm", "zero_share", "saturated_share"))


def test_the_gradient_of_softmax_and_cross_entropy_is_the_error_of_the_probabilities() -> None:
    """X'(p - y) / n; the kernel's change since the snapshot is the update."""
    changes = {"loss": "categorical_crossentropy"}
    recipe = recipe_with(changes, hidden=[], output_activation="softmax")
    traced, probe = probed(recipe, CLASSES, 3, "classification")
    kernel, bias = traced.model.get_weights()
    traced.model.set_weights([kernel * 2, bias])
    probe.snapshot()
    traced.model.set_weights([kernel, bias])
    probe.measure(7)
    scores = np.exp(X @ kernel + bias)
    gradient = X.T @ (scores / scores.sum(axis=1, keepdims=True) - np.eye(3)[CLASSES]) / len(X)
    assert probe.rows[0]["epoch"] == 7
    assert probe.rows[0]["gradient_norm"] == pytest.approx(norm(gradient), rel=1e-4)
    assert probe.rows[0]["update_norm"] == pytest.approx(norm(kernel), rel=1e-5)


def test_gradients_of_hidden_layers_are_those_of_finite_differences() -> None:
    """Of both outputs' losses together, by central differences of the loss that scoring computes."""
    parts = {"api": "functional", "auxiliary_output": True}
    recipe = recipe_with(hidden=[2, 2], activation="tanh", wide_deep=parts)
    traced, probe = probed(recipe, TARGETS, 1, "regression")
    probe.measure(0)
    assert [row["layer"] for row in probe.rows] == ["hidden_1", "hidden_2", "outputs", "deep_outputs"]
    step = 0.02
    for row in probe.rows:
        variable = traced.model.get_layer(row["layer"]).kernel
        kernel = ops.convert_to_numpy(variable).copy()
        slopes = []
        for place in np.ndindex(kernel.shape):
            losses = []
            for sign in (1, -1):
                moved = kernel.copy()
                moved[place] += sign * step
                variable.assign(moved)
                losses.append(float(traced.compiled.score(probe.x, probe.y)[1]))
            slopes.append((losses[0] - losses[1]) / (2 * step))
        variable.assign(kernel)
        assert row["gradient_norm"] == pytest.approx(norm(np.array(slopes)), rel=5e-3)


def test_the_table_of_all_variants_has_the_same_columns() -> None:
    assert ["variant", *diagnostics.COLUMNS] == tables.DIAGNOSTICS


def test_only_the_first_training_rows_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = recipe_with({"learning_rate": 1e-9}, hidden=[])
    monkeypatch.setattr(diagnostics, "ROWS", 7)
    before = table_of(trained(recipe)).iloc[0]
    traced, _ = probed(recipe, TARGETS, 1, "regression")
    kernel, bias = traced.model.get_weights()
    gradient = 2 * X[:7].T @ (X[:7] @ kernel + bias - TARGETS[:7, None]) / 7
    assert before["gradient_norm"] == pytest.approx(norm(gradient), rel=1e-4)


def kernels_of(result: Result, folder: Path) -> list[np.ndarray]:
    (folder / "model.weights.h5").write_bytes(result.files["model.weights.h5"])
    found: list[np.ndarray] = []

    def collect(_: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.ndim == 2:
            found.append(item[:])

    with h5py.File(folder / "model.weights.h5") as file:
        file.visititems(collect)
    return found


def test_updates_are_the_changes_of_one_epoch_before_the_first_and_the_last(tmp_path: Path) -> None:
    """Replicates of 1, 2 and 3 epochs are the same until they end."""
    one, two, three = (trained(recipe_with({"epochs": epochs})) for epochs in (1, 2, 3))
    table = table_of(three)
    assert table["epoch"].tolist() == [0, 0, 1, 1, 3, 3]
    assert table["layer"].tolist() == ["hidden_1", "outputs"] * 3
    assert table_of(one)["epoch"].tolist() == [0, 0, 1, 1]
    assert table_of(one).equals(table[:4])
    before, after = (kernels_of(result, tmp_path) for result in (two, three))
    for number in range(2):
        row = table.iloc[4 + number]
        assert row["update_norm"] == pytest.approx(norm(after[number] - before[number]), rel=1e-4)
        assert row["weights_norm"] == pytest.approx(norm(after[number]), rel=1e-5)
    assert table["update_norm"].isna().tolist() == [True, True, False, False, False, False]


def test_the_last_epoch_is_that_of_early_stopping() -> None:
    stopping = {"monitor": "loss", "patience": 1, "min_delta": 1e9, "restore_best": False}
    table = table_of(trained(recipe_with({"epochs": 50, "early_stopping": stopping})))
    assert sorted(set(table["epoch"])) == [0, 1, 2]


def test_what_diverged_is_measured_too() -> None:
    table = table_of(trained(diverging(recipe_with({"epochs": 3}))))
    assert table["epoch"].tolist() == [0, 0, 1, 1, 3, 3]
    assert not np.isfinite(table["weights_norm"].iloc[2:]).any()


# Shares of activations


def shares(activation: str, kernel: Any, bias: Any, rows: Any) -> tuple[float, float]:
    """zero_share and saturated_share of one hidden layer with these weights."""
    values, biases = np.array(kernel, np.float32), np.array(bias, np.float32)
    layers = [
        keras.layers.Dense(len(biases), name="hidden_1"),
        keras.layers.Activation(activation, name="hidden_1_activation"),
    ]
    network = keras.Sequential([keras.Input(values.shape[:1]), *layers, keras.layers.Dense(1, name="outputs")])
    layers[0].set_weights([values, biases])
    probe = Diagnostics(network, no_gradients(network), np.array(rows, np.float32), None)
    probe.measure(0)
    assert math.isnan(probe.rows[1]["zero_share"])  # the output layer's activation is a part of it
    return probe.rows[0]["zero_share"], probe.rows[0]["saturated_share"]


def no_gradients(network: keras.Model) -> Callable[[Any, Any], list[Any]]:
    return lambda *_: [np.zeros(variable.shape) for variable in network.trainable_variables]


def test_a_unit_is_dead_only_where_no_row_moves_it() -> None:
    """Of four units two are zero for both rows, one for one of them."""
    zero, saturated = shares("relu", [[1.0, 1.0, 1.0, 0.0]], [0.0, -9.0, 5.0, 0.0], [[-1.0], [2.0]])
    assert zero == 0.5
    assert math.isnan(saturated)


@pytest.mark.parametrize(
    ("activation", "values", "share"),
    [
        ("sigmoid", [-9.0, -4.59, 0.0, 9.0], 0.5),  # 0.0101 at -4.59
        ("sigmoid", [-4.61, 4.59, 4.61, 0.0], 0.5),  # 0.0099 and 0.9901 at -4.61 and 4.61
        ("tanh", [-9.0, 0.0, 2.64, 2.66], 0.5),  # 0.9899 and 0.9903: a tanh of zero is not saturated
        ("tanh", [-2.66, -2.64, 0.5, 0.5], 0.25),
    ],
)
def test_activations_near_their_bounds_are_saturated(activation: str, values: list[float], share: float) -> None:
    assert shares(activation, [values], [0.0] * 4, [[1.0]])[1] == share
    assert shares(activation, [values], [0.0] * 4, [[1.0], [0.0]])[1] == share / 2


def test_a_filter_is_dead_where_no_pixel_of_any_row_moves_it() -> None:
    """The first filter sees only the brightest pixel of one row, the second nothing."""
    convolution = keras.layers.Conv2D(2, 1, name="conv_1")
    activation = keras.layers.Activation("relu", name="conv_1_activation")
    network = keras.Sequential([keras.Input((3, 3, 1)), convolution, activation, keras.layers.Flatten()])
    convolution.set_weights([np.ones((1, 1, 1, 2), np.float32), np.array([-8.5, -9.5], np.float32)])
    rows = np.stack([np.arange(9.0), np.arange(1.0, 10.0)]).reshape(2, 3, 3, 1)
    probe = Diagnostics(network, no_gradients(network), rows.astype(np.float32), None)
    probe.measure(0)
    assert [row["layer"] for row in probe.rows] == ["conv_1"]
    assert probe.rows[0]["zero_share"] == 0.5
    assert probe.rows[0]["weights_norm"] == pytest.approx(2**0.5)


def test_networks_that_are_no_stack_have_norms_but_no_shares() -> None:
    parts = {"api": "subclass", "auxiliary_output": True}
    table = table_of(trained(recipe_with(hidden=[3, 2], activation="sigmoid", wide_deep=parts)))
    assert table["layer"].tolist() == ["hidden_1", "hidden_2", "outputs", "deep_outputs"] * 2
    assert table[["zero_share", "saturated_share"]].isna().all(axis=None)
    assert (table[["weights_norm", "gradient_norm"]] > 0).all(axis=None)


# Training does not notice

NOTICING: dict[str, tuple[dict[str, Any], bool]] = {
    "dropout and normalization": ({"dropout": 0.5, "batch_normalization": "before", "hidden": [4, 4]}, False),
    "subclass": (
        {"dropout": 0.5, "batch_normalization": "after", "wide_deep": {"api": "subclass", "auxiliary_output": True}},
        False,
    ),
    "compiled": ({"batch_normalization": "before"}, True),
}


@pytest.mark.parametrize("name", NOTICING)
def test_measuring_changes_no_byte_of_training(name: str) -> None:
    model, compiled = NOTICING[name]
    measured, plain = (
        recipe_with({"epochs": 3, "optimizer": "adam"}, measured, **model).model_copy(update={"jit_compile": compiled})
        for measured in (True, False)
    )
    replicate.trace.cache_clear()
    with_probe = dict(trained(measured).files)
    replicate.trace.cache_clear()
    without = trained(plain).files
    assert len(with_probe.pop("diagnostics.csv")) > 0
    assert with_probe == without


def test_the_report_says_on_how_many_rows_they_are_measured() -> None:
    assert evidence.BATCH == diagnostics.ROWS
