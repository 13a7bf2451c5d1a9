"""Training of one replicate: a pure function of recipe, seed and arrays, whatever was trained before."""

from __future__ import annotations

import io
import json
import math
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
from conftest import blobs, merged, prepared_for, study_with
from tensorboard.backend.event_processing.event_accumulator import TENSORS, EventAccumulator

from stages.lib import models, training, views
from stages.lib.result import Result
from stages.lib.settings import ACTIVATIONS, DEFAULT_RATES, INITIALIZERS, LOSSES, Recipe

Splits = dict[str, tuple[np.ndarray, np.ndarray]]


def recipe_with(model: Mapping[str, Any] | None = None, train: Mapping[str, Any] | None = None) -> Recipe:
    return study_with({"model": model or {}, "train": train or {}}).recipes["plain"]


def inputs() -> Splits:
    prepared = prepared_for(study_with())
    view = prepared.views["scaled"]
    return {split: (views.apply(view, x, split), y.astype(np.int32)) for split, (x, y) in prepared.splits.items()}


def trained(recipe: Recipe, seed: int = 0, splits: Splits | None = None) -> Result:
    return training.train_replicate(recipe, seed, splits or inputs(), 4, "classification")


def history_of(result: Result) -> pd.DataFrame:
    return pd.read_csv(io.BytesIO(result.files["history.csv"]))


def scores_of(result: Result) -> dict[str, dict[str, float]]:
    scores = json.loads(result.files["scores.json"])
    return {split: {name: float(text) for name, text in values.items()} for split, values in scores.items()}


def test_the_small_network_learns() -> None:
    result = trained(recipe_with(train={"epochs": 15}))
    assert scores_of(result)["test"]["accuracy"] > 0.9
    losses = history_of(result)["loss"]
    assert losses.iloc[-1] < losses.iloc[0] / 2


@pytest.mark.parametrize(
    ("model", "train"),
    [
        ({}, {}),
        ({"dropout": 0.5, "batch_normalization": "before", "l2": 0.001}, {}),
        ({"conv": [4, 4], "kernel_size": 2, "hidden": [8]}, {"optimizer": "sgd", "momentum": 0.9}),
        ({"activation": "selu", "kernel_initializer": "lecun_normal"}, {"optimizer": "nadam", "batch_size": 1000}),
        ({}, {"optimizer": "schedulefreeadamw"}),
    ],
)
def test_a_shared_trace_changes_no_bit(model: Mapping[str, Any], train: Mapping[str, Any]) -> None:
    recipe = recipe_with(model, train)
    training.trace.cache_clear()
    after_none = trained(recipe, seed=1)
    training.trace.cache_clear()
    other = trained(recipe, seed=0)
    after_another = trained(recipe, seed=1)
    assert after_another.files == after_none.files
    assert other.files["model.weights.h5"] != after_none.files["model.weights.h5"]


def test_replicates_share_one_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    traced = 0
    original = training.measure_of

    def counting(*arguments: Any) -> Any:
        measure = original(*arguments)

        def counted(*tensors: Any) -> Any:
            nonlocal traced
            traced += 1
            return measure(*tensors)

        return counted

    monkeypatch.setattr(training, "measure_of", counting)
    training.trace.cache_clear()
    trained(recipe_with())
    at_first = traced
    trained(recipe_with(), seed=1)
    trained(recipe_with(train={"learning_rate": 0.5, "epochs": 5}), seed=2)
    assert traced == at_first > 0
    trained(recipe_with(model={"hidden": [17]}))
    assert traced > at_first
    training.trace.cache_clear()


def test_the_learning_rate_of_a_shared_trace_is_the_replicate_s_own() -> None:
    slow = trained(recipe_with(train={"learning_rate": 1e-6}))
    fast = trained(recipe_with(train={"learning_rate": 0.01}))
    assert history_of(slow)["loss"].iloc[-1] > history_of(fast)["loss"].iloc[-1] + 0.1


def test_global_generators_neither_matter_nor_move() -> None:
    recipe = recipe_with(model={"dropout": 0.3, "conv": [2]})
    random.seed(1)
    first = trained(recipe)
    keras.utils.set_random_seed(2)
    training.trace.cache_clear()
    state, numpy_state = random.getstate(), repr(np.random.get_state())  # noqa: NPY002
    second = trained(recipe)
    assert second.files == first.files
    assert random.getstate() == state
    assert repr(np.random.get_state()) == numpy_state  # noqa: NPY002


@pytest.mark.parametrize(
    ("model", "train"),
    [
        ({}, {}),
        ({"l2": 0.01, "hidden": [8, 8]}, {"optimizer": "sgd", "momentum": 0.9, "batch_size": 50}),
        ({"batch_normalization": "before"}, {"loss": "mse", "optimizer": "rmsprop", "batch_size": 500}),
        ({"conv": [4]}, {"loss": "sparse_categorical_crossentropy"}),
    ],
)
def test_an_epoch_is_what_fit_computes(model: Mapping[str, Any], train: Mapping[str, Any]) -> None:
    recipe = recipe_with(model, {**train, "epochs": 1})
    splits = inputs()
    ours = trained(recipe, splits=splits)

    x, y = splits["train"]
    order = np.random.default_rng([0, 1]).permutation(len(x))
    network = models.build(recipe.model, x.shape[1:], 4, seed=0)
    structure = training.Structure.of(recipe, x.shape[1:], 4, "classification")
    network.compile(
        optimizer=training.new_optimizer(structure, 0.01),
        loss=recipe.train.loss,
        metrics=["accuracy"],
    )

    def encode(labels: np.ndarray) -> np.ndarray:
        return labels if recipe.train.loss.startswith("sparse") else np.eye(4, dtype=np.float32)[labels]

    fitted = network.fit(x[order], encode(y[order]), batch_size=recipe.train.batch_size, shuffle=False, verbose=0)
    loss, accuracy = network.evaluate(splits["test"][0], encode(splits["test"][1]), verbose=0)

    row = history_of(ours).iloc[0]
    assert row["loss"] == pytest.approx(fitted.history["loss"][0], rel=1e-4)
    assert row["accuracy"] == pytest.approx(fitted.history["accuracy"][0], abs=1e-6)
    assert scores_of(ours)["test"]["loss"] == pytest.approx(loss, rel=1e-4)
    assert scores_of(ours)["test"]["accuracy"] == pytest.approx(accuracy, abs=1e-6)
    predictions = np.load(io.BytesIO(ours.files["predictions.npz"]))["test"]
    np.testing.assert_allclose(predictions, network.predict(splits["test"][0], verbose=0), atol=1e-5)


def test_the_saved_configuration_and_weights_give_the_saved_predictions(tmp_path: Path) -> None:
    splits = inputs()
    result = trained(recipe_with(model={"conv": [3], "batch_normalization": "after", "dropout": 0.2}), splits=splits)
    (tmp_path / "model.weights.h5").write_bytes(result.files["model.weights.h5"])
    network = keras.models.model_from_json(result.files["model.json"].decode())
    network.load_weights(tmp_path / "model.weights.h5")
    archive = np.load(io.BytesIO(result.files["predictions.npz"]))
    np.testing.assert_allclose(archive["test"], network.predict(splits["test"][0], verbose=0), atol=1e-6)
    np.testing.assert_allclose(archive["validation"], network.predict(splits["validation"][0], verbose=0), atol=1e-6)


def test_scoring_in_chunks_is_scoring_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    at_once = scores_of(trained(recipe_with()))
    monkeypatch.setattr(training, "CHUNK", 7)
    in_chunks = scores_of(trained(recipe_with()))
    for split, values in at_once.items():
        for name, value in values.items():
            assert in_chunks[split][name] == pytest.approx(value, rel=1e-5)


def test_a_loss_that_diverges_is_a_result() -> None:
    result = trained(recipe_with(train={"optimizer": "sgd", "learning_rate": 1e30, "loss": "mse"}))
    assert math.isnan(scores_of(result)["test"]["loss"])
    assert history_of(result)["loss"].isna().all()


def test_training_without_a_validation_split() -> None:
    splits = inputs()
    del splits["validation"]
    result = trained(recipe_with(), splits=splits)
    assert list(history_of(result)) == ["epoch", "loss", "accuracy"]
    assert set(scores_of(result)) == {"train", "test"}


def test_a_regression_measures_absolute_errors() -> None:
    draw = np.random.default_rng(0)
    x = draw.standard_normal((200, 3), dtype=np.float32)
    y = (x @ np.array([1.0, -2.0, 0.5], dtype=np.float32)).astype(np.float32)
    splits = {"train": (x[:150], y[:150]), "test": (x[150:], y[150:])}
    model = {"hidden": [], "output_activation": "linear"}
    recipe = recipe_with(model, {"loss": "mse", "optimizer": "sgd", "learning_rate": 0.1, "epochs": 20})
    result = training.train_replicate(recipe, 0, splits, 1, "regression")
    scores = scores_of(result)["test"]
    predictions = np.load(io.BytesIO(result.files["predictions.npz"]))["test"]
    assert predictions.shape == (50, 1)
    assert scores["loss"] == pytest.approx(float(((predictions[:, 0] - y[150:]) ** 2).mean()), rel=1e-4)
    assert scores["mae"] == pytest.approx(float(np.abs(predictions[:, 0] - y[150:]).mean()), rel=1e-4)
    assert scores["mae"] < 0.05


def test_early_stopping_ends_training_and_restores_the_best_epoch() -> None:
    stopping = {"monitor": "val_loss", "patience": 2, "min_delta": 0.0, "restore_best": True}
    recipe = recipe_with(train={"epochs": 60, "learning_rate": 0.1, "early_stopping": stopping})
    result = trained(recipe)
    history = history_of(result)
    assert len(history) < 60
    best = history["val_loss"].min()
    assert history["val_loss"].iloc[-1] > best
    assert scores_of(result)["validation"]["loss"] == pytest.approx(best, rel=1e-5)
    assert len(history) == history["val_loss"].argmin() + 1 + 2


def test_the_best_checkpoint_is_kept_beside_the_last_weights(tmp_path: Path) -> None:
    recipe = recipe_with(train={"epochs": 20, "learning_rate": 0.1, "best_checkpoint": True})
    splits = inputs()
    result = trained(recipe, splits=splits)
    (tmp_path / "best.weights.h5").write_bytes(result.files["best.weights.h5"])
    network = models.build(recipe.model, (8, 8), 4, seed=9)
    network.load_weights(tmp_path / "best.weights.h5")
    network.compile(loss="sparse_categorical_crossentropy")
    assert network.evaluate(*splits["validation"], verbose=0) == pytest.approx(history_of(result)["val_loss"].min(), rel=1e-4)


def test_tensorboard_reads_the_logs(tmp_path: Path) -> None:
    result = trained(recipe_with(train={"tensorboard": True}))
    logs = {name: content for name, content in result.files.items() if name.startswith("logs/train/")}
    assert logs
    for name, content in logs.items():
        (tmp_path / Path(name).name).write_bytes(content)
    events = EventAccumulator(str(tmp_path), size_guidance={TENSORS: 0})
    events.Reload()
    assert len(events.Tensors("epoch_loss")) == 3


@pytest.mark.parametrize("optimizer", DEFAULT_RATES)
def test_every_optimizer_trains(optimizer: str) -> None:
    result = trained(recipe_with(train={"optimizer": optimizer, "epochs": 1}))
    assert math.isfinite(scores_of(result)["train"]["loss"])


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_trains(loss: str) -> None:
    result = trained(recipe_with(model={"hidden": []}, train={"loss": loss, "epochs": 1}))
    assert math.isfinite(scores_of(result)["train"]["loss"])


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_builds(name: str) -> None:
    network = models.build(recipe_with(model={"activation": name}).model, (8, 8), 4, seed=0)
    assert network(blobs(3)[0].astype(np.float32)).shape == (3, 4)


@pytest.mark.parametrize("name", INITIALIZERS)
def test_every_initializer_draws_from_the_replicate_s_seed(name: str) -> None:
    model = recipe_with(model={"kernel_initializer": name}).model
    kernels = [models.build(model, (8, 8), 4, seed).get_weights()[0] for seed in (0, 0, 1)]
    np.testing.assert_array_equal(kernels[0], kernels[1])
    assert (kernels[0] == kernels[2]).all() == (name in ("ones", "zeros"))


def test_layers_of_the_same_shape_start_from_different_weights() -> None:
    weights = models.build(recipe_with(model={"hidden": [8, 8, 8]}).model, (8, 8), 4, seed=0).get_weights()
    assert not np.array_equal(weights[2], weights[4])


def test_networks_have_the_layers_that_the_settings_name() -> None:
    settings = recipe_with(model={"conv": [2], "hidden": [5], "batch_normalization": "before", "dropout": 0.1}).model
    network = models.build(settings, (8, 8), 4, seed=0)
    assert [type(layer).__name__ for layer in network.layers] == [
        *("Reshape", "Conv2D", "BatchNormalization", "Activation", "MaxPooling2D", "Flatten"),
        *("Dense", "BatchNormalization", "Activation", "Dropout", "Dense"),
    ]
    assert models.build(recipe_with(model={"hidden": [1000]}).model, (28, 28), 10, 0).count_params() == 795010


def test_changes_merge_mapping_by_mapping() -> None:
    assert merged({"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 4}}) == {"a": {"b": 4, "c": 2}, "d": 3}
