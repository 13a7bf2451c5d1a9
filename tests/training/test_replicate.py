"""Training of one replicate: a pure function of recipe, seed and arrays, whatever was trained before."""

from __future__ import annotations

import io
import json
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pandas as pd
import pytest
from tensorboard.backend.event_processing.event_accumulator import TENSORS, EventAccumulator
from tensorboard.util.tensor_util import make_ndarray

from helpers.study import blobs
from helpers.training import Splits, diverging, history_of, inputs, recipe_with, trained
from stages.lib.study.keras_names import ACTIVATIONS, DEFAULT_RATES, INITIALIZERS, LOSSES
from stages.lib.study.recipe import Recipe
from stages.lib.study.settings import merged
from stages.lib.training import networks, replicate
from stages.lib.training.result import Result


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
    replicate.trace.cache_clear()
    after_none = trained(recipe, seed=1)
    replicate.trace.cache_clear()
    other = trained(recipe, seed=0)
    after_another = trained(recipe, seed=1)
    assert after_another.files == after_none.files
    assert other.files["model.weights.h5"] != after_none.files["model.weights.h5"]


def test_replicates_share_one_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    traced = 0
    original = replicate.measure_of

    def counting(*arguments: Any) -> Any:
        measure = original(*arguments)

        def counted(*tensors: Any) -> Any:
            nonlocal traced
            traced += 1
            return measure(*tensors)

        return counted

    monkeypatch.setattr(replicate, "measure_of", counting)
    replicate.trace.cache_clear()
    trained(recipe_with())
    at_first = traced
    trained(recipe_with(), seed=1)
    trained(recipe_with(train={"learning_rate": 0.5, "epochs": 5}), seed=2)
    assert traced == at_first > 0
    trained(recipe_with(model={"hidden": [17]}))
    assert traced > at_first
    replicate.trace.cache_clear()


def test_the_seed_and_the_epoch_decide_the_order_of_the_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = recipe_with(train={"epochs": 2})
    traced = replicate.trace(replicate.Structure.of(recipe, (8, 8), 4, "classification", 120))
    orders: list[list[int]] = []

    def epoch(order: np.ndarray, x: Any, y: Any) -> tuple[float, float]:
        orders.append(order.tolist())
        return traced.compiled.epoch(order, x, y)

    recording = replace(traced, compiled=replace(traced.compiled, epoch=epoch))
    monkeypatch.setattr(replicate, "trace", lambda _: recording)
    for seed in (0, 1, 0):
        trained(recipe, seed)
    assert all(sorted(order) == list(range(120)) for order in orders)
    assert orders[:2] == orders[4:]
    assert len(set(map(tuple, orders))) == 4


def test_the_learning_rate_of_a_shared_trace_is_the_replicate_s_own() -> None:
    slow = trained(recipe_with(train={"learning_rate": 1e-6}))
    fast = trained(recipe_with(train={"learning_rate": 0.01}))
    assert history_of(slow)["loss"].iloc[-1] > history_of(fast)["loss"].iloc[-1] + 0.1


def test_global_generators_neither_matter_nor_move() -> None:
    recipe = recipe_with(model={"dropout": 0.3, "conv": [2]})
    random.seed(1)
    first = trained(recipe)
    keras.utils.set_random_seed(2)
    replicate.trace.cache_clear()
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
    network = networks.build(recipe.model, x.shape[1:], 4, seed=0)
    structure = replicate.Structure.of(recipe, x.shape[1:], 4, "classification", len(x))
    network.compile(
        optimizer=replicate.new_optimizer(structure, 0.01),
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
    monkeypatch.setattr(replicate, "CHUNK", 7)
    in_chunks = scores_of(trained(recipe_with()))
    for split, values in at_once.items():
        for name, value in values.items():
            assert in_chunks[split][name] == pytest.approx(value, rel=1e-5)


def test_a_loss_that_diverges_is_a_result() -> None:
    result = trained(diverging(recipe_with(train={"optimizer": "sgd", "loss": "mse"})))
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
    result = replicate.train_replicate(recipe, 0, splits, 1, "regression")
    scores = scores_of(result)["test"]
    predictions = np.load(io.BytesIO(result.files["predictions.npz"]))["test"]
    assert predictions.shape == (50, 1)
    assert scores["loss"] == pytest.approx(float(((predictions[:, 0] - y[150:]) ** 2).mean()), rel=1e-4)
    assert scores["mae"] == pytest.approx(float(np.abs(predictions[:, 0] - y[150:]).mean()), rel=1e-4)
    assert scores["mae"] < 0.05


# Wide & Deep


def flat_splits() -> Splits:
    """A regression on eight features, of which the target needs the first and the last."""
    draw = np.random.default_rng(0)
    x = draw.standard_normal((120, 8), dtype=np.float32)
    y = (x[:, 0] + np.abs(x[:, 7])).astype(np.float32)
    return {"train": (x[:70], y[:70]), "validation": (x[70:90], y[70:90]), "test": (x[90:], y[90:])}


def wide_deep(api: str, train: Mapping[str, Any] | None = None, **parts: Any) -> Recipe:
    model = {"hidden": [6, 5], "output_activation": "linear", "wide_deep": {"api": api, **parts}}
    return recipe_with(model, {"loss": "mse", "epochs": 4, **(train or {})})


def regressed(recipe: Recipe, splits: Splits | None = None) -> Result:
    return replicate.train_replicate(recipe, 0, splits or flat_splits(), 1, "regression")


TWO_OF_EACH: dict[str, Any] = {"wide": [0, 5], "deep": [2, 8], "auxiliary_output": True}


@pytest.fixture(scope="module")
def both_apis() -> dict[str, Result]:
    """The same network with two inputs and two outputs, written in both ways."""
    return {api: regressed(wide_deep(api, **TWO_OF_EACH)) for api in ("functional", "subclass")}


def test_functional_and_subclass_train_alike(both_apis: dict[str, Result]) -> None:
    functional, subclass = both_apis.values()
    pd.testing.assert_frame_equal(history_of(functional), history_of(subclass), rtol=1e-5)
    first, second = (np.load(io.BytesIO(each.files["predictions.npz"])) for each in (functional, subclass))
    for split in ("validation", "test"):
        np.testing.assert_allclose(first[split], second[split], rtol=1e-4, atol=1e-5)
    losses = history_of(functional)["loss"]
    assert losses.iloc[-1] < losses.iloc[0]


def test_the_losses_of_two_outputs_add_up_and_the_quality_is_the_joint_one_s(both_apis: dict[str, Result]) -> None:
    splits = flat_splits()
    for result in both_apis.values():
        archive = np.load(io.BytesIO(result.files["predictions.npz"]))
        for split, name in (("validation", "validation"), ("test", "test")):
            predictions, targets = archive[split], splits[split][1]
            assert predictions.shape == (len(targets), 2)
            joint, deep = ((predictions - targets[:, None]) ** 2).mean(axis=0)
            assert scores_of(result)[name]["loss"] == pytest.approx(joint + deep, rel=1e-5)
            assert scores_of(result)[name]["mae"] == pytest.approx(np.abs(predictions[:, 0] - targets).mean(), rel=1e-5)
        last = history_of(result).iloc[-1]
        assert scores_of(result)["validation"] == pytest.approx({"loss": last["val_loss"], "mae": last["val_mae"]}, rel=1e-6)


def test_the_first_batch_s_loss_is_that_of_both_outputs_of_the_fresh_network() -> None:
    """With all rows in one batch, the running loss of the first epoch is from before any update."""
    splits = flat_splits()
    recipe = wide_deep("functional", {"batch_size": 1000, "epochs": 1}, **TWO_OF_EACH)
    x, y = splits["train"]
    network = networks.build(recipe.model, (8,), 1, seed=0)
    joint, deep = (keras.ops.convert_to_numpy(each)[:, 0] for each in network(networks.inputs_of(recipe.model, x)))
    row = history_of(regressed(recipe, splits)).iloc[0]
    assert row["loss"] == pytest.approx(((joint - y) ** 2).mean() + ((deep - y) ** 2).mean(), rel=1e-5)
    assert row["mae"] == pytest.approx(np.abs(joint - y).mean(), rel=1e-5)


@pytest.mark.parametrize("api", ["functional", "subclass"])
def test_a_saved_network_with_two_inputs_gives_the_saved_predictions(
    api: str, both_apis: dict[str, Result], tmp_path: Path
) -> None:
    result, settings = both_apis[api], wide_deep(api, **TWO_OF_EACH).model
    (tmp_path / "model.weights.h5").write_bytes(result.files["model.weights.h5"])
    network = keras.models.model_from_json(result.files["model.json"].decode())
    rows = networks.inputs_of(settings, flat_splits()["test"][0])
    network(rows)  # a subclass has its weights from the first call on
    network.load_weights(tmp_path / "model.weights.h5")
    predictions = np.concatenate([keras.ops.convert_to_numpy(each) for each in network(rows)], axis=1)
    np.testing.assert_allclose(np.load(io.BytesIO(result.files["predictions.npz"]))["test"], predictions, atol=1e-6)


# XLA


def compiled(recipe: Recipe) -> Recipe:
    return recipe.model_copy(update={"jit_compile": True})


def test_a_compiled_epoch_computes_the_same() -> None:
    """To rounding; and to the byte the same as itself, also after another replicate."""
    recipe = recipe_with({"activation": "maxout", "batch_normalization": "after", "l2": 0.01, "hidden": [8]}, {"epochs": 2})
    splits = inputs()
    plain = trained(recipe, seed=1, splits=splits)
    fresh = trained(compiled(recipe), seed=1, splits=splits)
    assert trained(compiled(recipe), seed=0, splits=splits).files != fresh.files
    assert trained(compiled(recipe), seed=1, splits=splits).files == fresh.files
    pd.testing.assert_frame_equal(history_of(fresh), history_of(plain), rtol=1e-4)
    for split in ("validation", "test"):
        ours, theirs = (np.load(io.BytesIO(each.files["predictions.npz"]))[split] for each in (fresh, plain))
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("model", "expected"),
    [({}, True), ({"batch_normalization": "after"}, True), ({"dropout": 0.5}, False), ({"conv": [2]}, False)],
)
def test_only_dense_networks_without_dropout_are_compiled(model: Mapping[str, Any], expected: bool) -> None:
    recipe = recipe_with(model)
    assert replicate.Structure.of(compiled(recipe), (8, 8), 4, "classification", 120).jit_compile == expected
    assert not replicate.Structure.of(recipe, (8, 8), 4, "classification", 120).jit_compile


# What Keras's callbacks do between epochs


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


def arrays_in(weights: bytes) -> dict[str, np.ndarray]:
    """Every array of a file of weights, by its place."""
    found: dict[str, np.ndarray] = {}

    def collect(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            found[name] = item[()]

    with h5py.File(io.BytesIO(weights)) as file:
        file.visititems(collect)
    return found


def test_the_best_checkpoint_holds_the_weights_of_the_epoch_with_the_smallest_validation_loss(tmp_path: Path) -> None:
    """Which are those of a replicate that is trained no longer; the last weights are kept beside it."""
    train = {"epochs": 12, "learning_rate": 0.5, "best_checkpoint": True}
    splits = inputs()
    result = trained(recipe_with(train=train), splits=splits)
    losses = history_of(result)["val_loss"]
    best = int(losses.argmin()) + 1
    assert 1 < best < len(losses)
    shorter = trained(recipe_with(train={**train, "epochs": best}), splits=splits)
    kept, expected = arrays_in(result.files["best.weights.h5"]), arrays_in(shorter.files["model.weights.h5"])
    assert expected
    assert kept.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_array_equal(kept[name], values)
    assert result.files["model.weights.h5"] != shorter.files["model.weights.h5"]

    (tmp_path / "best.weights.h5").write_bytes(result.files["best.weights.h5"])
    network = networks.build(recipe_with().model, (8, 8), 4, seed=9)
    network.load_weights(tmp_path / "best.weights.h5")
    network.compile(loss="sparse_categorical_crossentropy")
    assert network.evaluate(*splits["validation"], verbose=0) == pytest.approx(losses.min(), rel=1e-4)


def epochs_until_stopped(values: Sequence[float], patience: int, min_delta: float) -> int:
    """Epochs until `patience` in a row were not better, that is smaller, by more than `min_delta`."""
    best, waited = math.inf, 0
    for epoch, value in enumerate(values, 1):
        if value < best - min_delta:
            best, waited = value, 0
        else:
            waited += 1
            if waited >= max(patience, 1):
                return epoch
    return len(values)


def test_early_stopping_waits_for_a_large_enough_improvement() -> None:
    """A replicate that is stopped is the beginning of one that is not."""
    train = {"epochs": 25, "learning_rate": 0.1}
    splits = inputs()
    history = history_of(trained(recipe_with(train=train), splits=splits))
    lengths = set()
    for monitor in ("val_loss", "val_accuracy", "loss"):
        values = (-history[monitor] if monitor.endswith("accuracy") else history[monitor]).tolist()
        for patience, min_delta in ((0, 0.0), (1, 0.0), (1, 0.05), (3, 0.02), (5, 0.0), (25, 0.0)):
            stopping = {"monitor": monitor, "patience": patience, "min_delta": min_delta, "restore_best": False}
            stopped = history_of(trained(recipe_with(train={**train, "early_stopping": stopping}), splits=splits))
            assert len(stopped) == epochs_until_stopped(values, patience, min_delta), (monitor, patience, min_delta)
            pd.testing.assert_frame_equal(stopped, history[: len(stopped)])
            lengths.add(len(stopped))
    assert len(lengths) > 4


def test_tensorboard_reads_in_the_logs_what_the_history_holds(tmp_path: Path) -> None:
    result = trained(recipe_with(train={"tensorboard": True}))
    history = history_of(result)
    for run, prefix in (("train", ""), ("validation", "val_")):
        folder = tmp_path / run
        folder.mkdir()
        logs = {name: content for name, content in result.files.items() if name.startswith(f"logs/{run}/")}
        assert logs
        for name, content in logs.items():
            (folder / Path(name).name).write_bytes(content)
        events = EventAccumulator(str(folder), size_guidance={TENSORS: 0})
        events.Reload()
        for quantity in ("loss", "accuracy"):
            found = events.Tensors(f"epoch_{quantity}")
            assert [event.step for event in found] == [0, 1, 2]
            values = [float(make_ndarray(event.tensor_proto)) for event in found]
            assert values == pytest.approx(history[f"{prefix}{quantity}"].tolist(), rel=1e-6)


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
    network = networks.build(recipe_with(model={"activation": name}).model, (8, 8), 4, seed=0)
    assert network(blobs(3)[0].astype(np.float32)).shape == (3, 4)


@pytest.mark.parametrize("name", INITIALIZERS)
def test_every_initializer_draws_from_the_replicate_s_seed(name: str) -> None:
    model = recipe_with(model={"kernel_initializer": name}).model
    kernels = [networks.build(model, (8, 8), 4, seed).get_weights()[0] for seed in (0, 0, 1)]
    np.testing.assert_array_equal(kernels[0], kernels[1])
    assert (kernels[0] == kernels[2]).all() == (name in ("ones", "zeros"))


def test_layers_of_the_same_shape_start_from_different_weights() -> None:
    weights = networks.build(recipe_with(model={"hidden": [8, 8, 8]}).model, (8, 8), 4, seed=0).get_weights()
    assert not np.array_equal(weights[2], weights[4])


def test_networks_have_the_layers_that_the_settings_name() -> None:
    settings = recipe_with(model={"conv": [2], "hidden": [5], "batch_normalization": "before", "dropout": 0.1}).model
    network = networks.build(settings, (8, 8), 4, seed=0)
    assert [type(layer).__name__ for layer in network.layers] == [
        *("Reshape", "Conv2D", "BatchNormalization", "Activation", "MaxPooling2D", "Flatten"),
        *("Dense", "BatchNormalization", "Activation", "Dropout", "Dense"),
    ]
    assert networks.build(recipe_with(model={"hidden": [1000]}).model, (28, 28), 10, 0).count_params() == 795010


def test_changes_merge_mapping_by_mapping() -> None:
    assert merged({"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 4}}) == {"a": {"b": 4, "c": 2}, "d": 3}
