"""Training of one replicate: a pure function of the recipe, the seed and the arrays."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import pandas as pd
from keras import ops

from stages.lib.files import arrays_to_bytes
from stages.lib.training import backends, diagnostics, networks
from stages.lib.training.result import Result

if TYPE_CHECKING:
    from stages.lib.study.settings import EarlyStopping, Model, Recipe

CHUNK = 2000
"""Rows scored at once: the activations of a convolution on all rows would not fit in memory."""
TRACES = 8
"""Compiled networks that a worker keeps: enough for the variants that it is likely to meet again."""


@dataclass(frozen=True)
class Structure:
    """What of a recipe a trace depends on; the learning rate, the seed and the view are values that flow through it."""

    backend: str
    strategy: str
    model: Model
    loss: str
    optimizer: str
    momentum: float
    batch_size: int
    jit_compile: bool
    input_shape: tuple[int, ...]
    outputs: int
    task: str

    @classmethod
    def of(cls, recipe: Recipe, input_shape: tuple[int, ...], outputs: int, task: str) -> Structure:
        train, model = recipe.train, recipe.model
        # One core: XLA makes dropout 9 times as slow, and convolutions no faster; it refuses their pooling under determinism.
        compiled = recipe.jit_compile and not model.conv and not model.dropout
        return cls(
            *(recipe.backend, train.strategy, model, train.loss, train.optimizer, train.momentum, train.batch_size, compiled),
            *(input_shape, outputs, task),
        )


@dataclass(frozen=True)
class Trace:
    """A network, its optimizer and the functions that train and score it."""

    model: keras.Model
    optimizer: keras.Optimizer
    compiled: backends.Compiled


def new_optimizer(structure: Structure, learning_rate: float) -> keras.Optimizer:
    config: dict[str, Any] = {"learning_rate": learning_rate}
    if structure.momentum:
        config["momentum"] = structure.momentum
    return keras.optimizers.get({"class_name": structure.optimizer, "config": config})


def measure_of(loss_name: str, outputs: int, task: str) -> backends.Measure:
    """The loss and the quality of a batch. Labels are (n,): classes, which most losses want one-hot, or target values.

    Of a network with two outputs the losses add up, and the quality is the first one's.
    """
    loss_of = keras.losses.get(loss_name)

    def measure(labels: Any, predictions: Any) -> tuple[Any, Any]:
        if isinstance(predictions, list | tuple):
            measured = [measure(labels, each) for each in predictions]
            return sum(loss for loss, _ in measured), measured[0][1]
        if task == "regression":
            targets = ops.expand_dims(labels, -1)
            quality = ops.sum(ops.abs(targets - predictions))
        else:
            targets = labels if loss_name.startswith("sparse") else ops.one_hot(labels, outputs)
            quality = ops.sum(ops.cast(ops.equal(ops.cast(ops.argmax(predictions, -1), "int32"), labels), "float32"))
        return ops.mean(loss_of(targets, predictions)), quality

    return measure


@lru_cache(maxsize=TRACES)
def trace(structure: Structure) -> Trace:
    with backends.strategy_of(structure.strategy):
        model = networks.build(structure.model, structure.input_shape, structure.outputs, seed=0)
        optimizer = new_optimizer(structure, learning_rate=0.001)
        optimizer.build(model.trainable_variables)
        measure = measure_of(structure.loss, structure.outputs, structure.task)
        model.optimizer = None  # Keras's callbacks ask for it; the real one would be saved with the weights
        compile_for = backends.COMPILERS[structure.backend]
        return Trace(model, optimizer, compile_for(model, optimizer, measure, structure.batch_size, structure.jit_compile))


def reset(traced: Trace, structure: Structure, learning_rate: float, seed: int) -> None:
    """Set every variable of the shared network and optimizer to what a fresh one, made with this seed, would hold."""
    model = networks.build(structure.model, structure.input_shape, structure.outputs, seed)
    optimizer = new_optimizer(structure, learning_rate)
    optimizer.build(model.trainable_variables)
    for shared, fresh in ((traced.model, model), (traced.optimizer, optimizer)):
        for variable, value in zip(shared.variables, fresh.variables, strict=True):
            variable.assign(value.value)
    traced.model.stop_training = False


def on_device(settings: Model, x: np.ndarray) -> Any:
    """The rows as the backend's tensors: one, or a pair for a network with two inputs."""
    return keras.tree.map_structure(ops.convert_to_tensor, networks.inputs_of(settings, x))


def score(traced: Trace, settings: Model, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Predictions (n, outputs), mean loss and mean quality of the rows (n, ...), CHUNK rows at a time.

    The predictions of a network with two outputs are one beside the other.
    """
    parts, losses, qualities = [], 0.0, 0.0
    for first in range(0, len(x), CHUNK):
        rows = slice(first, first + CHUNK)
        predictions, loss, quality = traced.compiled.score(on_device(settings, x[rows]), ops.convert_to_tensor(y[rows]))
        parts.append(np.concatenate([ops.convert_to_numpy(each) for each in keras.tree.flatten(predictions)], axis=-1))
        losses += float(loss) * len(x[rows])
        qualities += float(quality)
    return np.concatenate(parts), losses / len(x), qualities / len(x)


def callbacks_of(recipe: Recipe, folder: Path) -> list[keras.callbacks.Callback]:
    """Keras's own callbacks, run between epochs; those that write do so in `folder`."""
    found: list[keras.callbacks.Callback] = []
    stopping: EarlyStopping = recipe.train.early_stopping
    if stopping.monitor != "none":
        found.append(
            keras.callbacks.EarlyStopping(
                monitor=stopping.monitor,
                mode="max" if stopping.monitor.endswith("accuracy") else "min",
                patience=stopping.patience,
                min_delta=stopping.min_delta,
                restore_best_weights=stopping.restore_best,
            )
        )
    if recipe.train.best_checkpoint:
        path = folder / "best.weights.h5"
        found.append(
            keras.callbacks.ModelCheckpoint(path, monitor="val_loss", mode="min", save_best_only=True, save_weights_only=True)
        )
    if recipe.train.tensorboard:
        found.append(keras.callbacks.TensorBoard(folder / "logs", write_graph=False))
    return found


def train_replicate(
    recipe: Recipe, seed: int, splits: Mapping[str, tuple[np.ndarray, np.ndarray]], outputs: int, task: str
) -> Result:
    """Train one replicate and score it on every split.

    Args:
        recipe: the variant's full recipe.
        seed: decides the initial weights, the order of the rows and dropout, and nothing else does.
        splits: train, validation (may be absent) and test -> inputs (n, ...) float32 and labels (n,), int32 or float32.
        outputs: classes, or 1 for a regression.
        task: classification or regression.

    Returns:
        history.csv, scores.json, predictions.npz, model.json, model.weights.h5, what callbacks wrote and, if the recipe asks
        for it, diagnostics.csv, as bytes.
    """
    started = time.perf_counter()
    x, y = splits["train"]
    structure = Structure.of(recipe, x.shape[1:], outputs, task)
    traced = trace(structure)
    reset(traced, structure, recipe.train.learning_rate, seed)  # type: ignore[arg-type]  # resolved: a number
    shuffle = np.random.default_rng([seed, 1])
    x_device, y_device = on_device(recipe.model, x), ops.convert_to_tensor(y)
    probe = None
    if recipe.diagnostics:
        sample = slice(diagnostics.ROWS)
        samples = on_device(recipe.model, x[sample]), ops.convert_to_tensor(y[sample])
        probe = diagnostics.Diagnostics(traced.model, traced.compiled.gradients, *samples)
        probe.measure(0)
    quality = "accuracy" if task == "classification" else "mae"
    history, epoch_seconds = [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        callbacks = keras.callbacks.CallbackList(callbacks_of(recipe, folder), model=traced.model)
        callbacks.on_train_begin()
        for epoch in range(recipe.train.epochs):
            if probe:
                probe.snapshot()
            epoch_started = time.perf_counter()
            callbacks.on_epoch_begin(epoch)
            loss, value = traced.compiled.epoch(shuffle.permutation(len(x)), x_device, y_device)
            row = {"loss": loss, quality: value}
            if "validation" in splits:
                _, row["val_loss"], row[f"val_{quality}"] = score(traced, recipe.model, *splits["validation"])
            history.append({"epoch": epoch + 1, **row})
            callbacks.on_epoch_end(epoch, row)
            epoch_seconds.append(time.perf_counter() - epoch_started)
            ended = traced.model.stop_training or epoch + 1 == recipe.train.epochs
            if probe and (epoch == 0 or ended):
                probe.measure(epoch + 1)
            if ended:
                break
        callbacks.on_train_end()
        files = _outputs(traced, recipe.model, splits, pd.DataFrame(history), quality)
        if probe:
            files["diagnostics.csv"] = _csv(pd.DataFrame(probe.rows))
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                files[path.relative_to(folder).as_posix()] = path.read_bytes()
    later = epoch_seconds[1:] or epoch_seconds
    return Result(files, time.perf_counter() - started, sum(later) / len(later))


def _csv(table: pd.DataFrame) -> bytes:
    return table.to_csv(index=False, float_format="%.9g", na_rep="nan").encode()


def _outputs(
    traced: Trace, settings: Model, splits: Mapping[str, tuple[np.ndarray, np.ndarray]], history: pd.DataFrame, quality: str
) -> dict[str, bytes]:
    predictions, scores = {}, {}
    for split, (x, y) in splits.items():
        predicted, loss, value = score(traced, settings, x, y)
        scores[split] = {"loss": _text(loss), quality: _text(value)}
        if split != "train":
            predictions[split] = predicted
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "model.weights.h5"
        traced.model.save_weights(weights)
        return {
            "history.csv": _csv(history),
            "scores.json": (json.dumps(scores, indent=2, sort_keys=True) + "\n").encode(),
            "predictions.npz": arrays_to_bytes(predictions),
            "model.json": (json.dumps(json.loads(traced.model.to_json()), indent=2, sort_keys=True) + "\n").encode(),
            "model.weights.h5": weights.read_bytes(),
        }


def _text(value: float) -> str:
    """Nine digits, which are enough for a float32; text, since JSON has no word for a loss that is not a number."""
    return f"{value:.9g}"
