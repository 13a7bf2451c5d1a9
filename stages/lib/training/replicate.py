"""Training of one replicate: a pure function of the recipe, the seed and the arrays."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import pandas as pd
from keras import ops

from stages.lib.files import arrays_to_bytes
from stages.lib.training import augmentation, backends, diagnostics, networks, own, schedules
from stages.lib.training.result import Result
from stages.lib.training.views import Splits

if TYPE_CHECKING:
    from stages.lib.study.recipe import Augmentation, Model, Recipe, Train

CHUNK = 2000
"""Rows that are scored at once. The activations of a convolution on all rows would not fit in memory."""
TRACES = 8
"""Traced networks that a process keeps, so that it need not trace a variant again that it meets again."""
WEIGHTS = "model.weights.h5"


@dataclass(frozen=True)
class Structure:
    """The part of a recipe that decides a trace. The seed, the inputs and the weights of rows are values that flow through it.

    So is the learning rate, unless it changes with every step: `scheduled` then holds it.
    """

    backend: str
    model: Model
    loss: str
    optimizer: str
    arguments: tuple[tuple[str, Any], ...]
    scheduled: schedules.Scheduled | None
    label_smoothing: float
    augmentation: Augmentation
    batch_size: int
    jit_compile: bool
    input_shape: tuple[int, ...]
    outputs: int
    task: str

    @classmethod
    def of(cls, recipe: Recipe, input_shape: tuple[int, ...], outputs: int, task: str, rows: int) -> Structure:
        """`rows` is the number of training rows, which a schedule needs to count epochs."""
        train = recipe.train
        model = recipe.model
        # On one core, XLA makes dropout 9 times as slow and convolutions no faster. It refuses their pooling under determinism.
        # Nor can it turn images.
        compiled = recipe.jit_compile and not model.conv and not model.dropout and not train.augmentation.active
        return cls(
            backend=recipe.backend,
            model=model,
            loss=train.loss,
            optimizer=train.optimizer_name,
            arguments=tuple(sorted(train.optimizer_arguments.items())),
            scheduled=schedules.scheduled(train, rows),
            label_smoothing=train.label_smoothing,
            augmentation=train.augmentation,
            batch_size=train.batch_size,
            jit_compile=compiled,
            input_shape=input_shape,
            outputs=outputs,
            task=task,
        )

    @property
    def quality(self) -> str:
        """The metric beside the loss."""
        return "accuracy" if self.task == "classification" else "mae"


@dataclass(frozen=True)
class Trace:
    """A network, its optimizer and the functions that train and score it.

    trained: the network, behind the layers that augment its inputs if there are any.
    architecture: the content of model.json.
    """

    structure: Structure
    model: keras.Model
    trained: keras.Model
    optimizer: keras.Optimizer
    compiled: backends.Compiled
    architecture: Any


def new_optimizer(structure: Structure, learning_rate: float) -> keras.Optimizer:
    """The optimizer. A schedule has its learning rate from the structure."""
    rate = keras.optimizers.schedules.serialize(schedules.build(structure.scheduled)) if structure.scheduled else learning_rate
    config = {"learning_rate": rate, **dict(structure.arguments)}
    return keras.optimizers.get({"class_name": structure.optimizer, "config": config})


def new_models(structure: Structure, seed: int) -> tuple[keras.Model, keras.Model]:
    """The network, and the network as it is trained, freshly drawn."""
    model = networks.build(structure.model, structure.input_shape, structure.outputs, seed)
    if not structure.augmentation.active:
        return model, model
    return model, augmentation.augmented(model, structure.augmentation, structure.input_shape, seed)


def measure_of(loss_name: str, outputs: int, task: str, label_smoothing: float) -> backends.Measure:
    """The loss and the quality of a batch.

    Labels are (n,): classes, which most losses want one-hot, or target values. With weights beside them, the loss is the mean
    of a row's loss times its weight, as in Keras. The losses of a network with two outputs add up. Its quality is that of the
    first output. Labels are smoothed in training alone.
    """
    loss_of = keras.losses.get(loss_name)
    smoothed = partial(loss_of, label_smoothing=label_smoothing) if label_smoothing else loss_of

    def measure(labels: Any, predictions: Any, training: bool) -> tuple[Any, Any]:
        if isinstance(predictions, list | tuple):
            measured = [measure(labels, output, training) for output in predictions]
            return sum(loss for loss, _ in measured), measured[0][1]
        labels, weights = labels if isinstance(labels, list | tuple) else (labels, None)
        if task == "regression":
            targets = ops.expand_dims(labels, -1)
            quality = ops.sum(ops.abs(targets - predictions))
        else:
            targets = labels if loss_name.startswith("sparse") else ops.one_hot(labels, outputs)
            quality = ops.sum(ops.cast(ops.equal(ops.cast(ops.argmax(predictions, -1), "int32"), labels), "float32"))
        losses = (smoothed if training else loss_of)(targets, predictions)
        return ops.mean(losses if weights is None else losses * weights), quality

    return measure


@lru_cache(maxsize=TRACES)
def trace(structure: Structure) -> Trace:
    """The trace that all replicates share."""
    return _trace(structure, seed=0)


def trace_of(structure: Structure, seed: int) -> Trace:
    """The trace for one replicate. A network of one's own has the shared one only if that changes no result."""
    if structure.model.network is None:
        return trace(structure)
    made, shared = _trace(structure, seed), trace(structure)
    alike = own.shares_functions(made.model, shared.model)
    return replace(shared, architecture=made.architecture) if alike else made


def _trace(structure: Structure, seed: int) -> Trace:
    model, trained = new_models(structure, seed)
    optimizer = new_optimizer(structure, learning_rate=0.001)
    optimizer.build(trained.trainable_variables)
    measure = measure_of(structure.loss, structure.outputs, structure.task, structure.label_smoothing)
    model.optimizer = None  # Keras's callbacks ask for it; the real one would be saved with the weights
    compile_for = backends.COMPILERS[structure.backend]
    jit_compile = structure.jit_compile and (structure.model.network is None or own.is_dense(model))
    compiled = compile_for(trained, optimizer, measure, structure.batch_size, jit_compile)
    return Trace(structure, model, trained, optimizer, compiled, own.architecture(model))


def reset(traced: Trace, learning_rate: float, seed: int) -> None:
    """Set every variable of the shared network and optimizer to what a fresh one, made with this seed, would hold."""
    structure = traced.structure
    _, trained = new_models(structure, seed)
    optimizer = new_optimizer(structure, learning_rate)
    optimizer.build(trained.trainable_variables)
    for shared, fresh in ((traced.trained, trained), (traced.optimizer, optimizer)):
        for variable, value in zip(shared.variables, fresh.variables, strict=True):
            variable.assign(value.value)
    traced.model.stop_training = False


def on_device(settings: Model, x: np.ndarray) -> Any:
    """The rows as the backend's tensors: one, or a pair for a network with two inputs."""
    return keras.tree.map_structure(ops.convert_to_tensor, networks.inputs_of(settings, x))


def score(traced: Trace, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Predictions (n, outputs), mean loss and mean quality of the rows (n, ...), CHUNK rows at a time.

    The predictions of a network with two outputs stand side by side.
    """
    parts = []
    losses = 0.0
    qualities = 0.0
    for first in range(0, len(x), CHUNK):
        rows = slice(first, first + CHUNK)
        inputs = on_device(traced.structure.model, x[rows])
        predictions, loss, quality = traced.compiled.score(inputs, ops.convert_to_tensor(y[rows]))
        parts.append(np.concatenate([ops.convert_to_numpy(output) for output in keras.tree.flatten(predictions)], axis=-1))
        losses += float(loss) * len(x[rows])
        qualities += float(quality)
    return np.concatenate(parts), losses / len(x), qualities / len(x)


def row_weights(labels: np.ndarray, class_weights: Mapping[str, float] | str) -> np.ndarray:
    """The weight of each row, float32 (n,), by its class.

    `balanced` is n / (classes * rows of the class), by the classes that there are, as in scikit-learn. A mapping is by the
    number of the class, as text; a class that it leaves out has weight 1.
    """
    counts = np.bincount(labels)
    if class_weights == "balanced":
        weights = len(labels) / (np.count_nonzero(counts) * np.maximum(counts, 1))
    else:
        weights = np.array([class_weights.get(str(label), 1.0) for label in range(len(counts))])  # type: ignore[union-attr]
    return np.asarray(weights[labels], np.float32)


def _labels(labels: np.ndarray, weights: np.ndarray | None) -> Any:
    """Training labels, with the weights of their rows if there are any, as the backend's tensors."""
    return ops.convert_to_tensor(labels) if weights is None else tuple(map(ops.convert_to_tensor, (labels, weights)))


def callbacks_of(recipe: Recipe, folder: Path, optimizer: keras.Optimizer) -> list[keras.callbacks.Callback]:
    """Keras's own callbacks, which run between epochs and write into `folder`."""
    callbacks: list[keras.callbacks.Callback] = []
    stopping = recipe.train.early_stopping
    if stopping.monitor != "none":
        callbacks.append(
            keras.callbacks.EarlyStopping(
                monitor=stopping.monitor,
                mode="max" if stopping.monitor.endswith("accuracy") else "min",
                patience=stopping.patience,
                min_delta=stopping.min_delta,
                restore_best_weights=stopping.restore_best,
            )
        )
    if recipe.train.schedule.kind == "plateau":
        callbacks.append(schedules.Plateau(recipe.train, optimizer))
    if recipe.train.best_checkpoint:
        path = folder / "best.weights.h5"
        callbacks.append(
            keras.callbacks.ModelCheckpoint(path, monitor="val_loss", mode="min", save_best_only=True, save_weights_only=True)
        )
    if recipe.train.tensorboard:
        callbacks.append(keras.callbacks.TensorBoard(folder / "logs", write_graph=False))
    return callbacks


def train_replicate(recipe: Recipe, seed: int, splits: Splits, outputs: int, task: str) -> Result:
    """Train one replicate and score it on every split.

    Args:
        recipe: the variant's full recipe.
        seed: decides the initial weights, the order of the rows, dropout and augmentation, and nothing else does.
        splits: inputs (n, ...) float32, and labels (n,) int32 for a classification, float32 for a regression.
        outputs: classes, or 1 for a regression.
        task: classification or regression.

    Returns:
        As bytes: history.csv, scores.json, predictions.npz, model.json, model.weights.h5, the files of callbacks, and
        diagnostics.csv if the recipe asks for it.
    """
    started = time.perf_counter()
    x, y = splits["train"]
    weights = None if recipe.train.class_weights == "none" else row_weights(y, recipe.train.class_weights)
    traced = trace_of(Structure.of(recipe, x.shape[1:], outputs, task, len(x)), seed)
    reset(traced, recipe.train.learning_rate, seed)  # type: ignore[arg-type]  # resolved: a number
    probe = None
    if recipe.diagnostics:
        first = slice(diagnostics.ROWS)
        inputs, labels = on_device(recipe.model, x[first]), _labels(y[first], weights if weights is None else weights[first])
        state, is_own = traced.trained.non_trainable_variables, recipe.model.network is not None
        probe = diagnostics.Diagnostics(traced.model, traced.compiled.gradients, inputs, labels, state, is_own)
        probe.measure(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        callbacks = keras.callbacks.CallbackList(callbacks_of(recipe, folder, traced.optimizer), model=traced.model)
        history, epoch_seconds = _train_epochs(traced, recipe.train, seed, splits, weights, callbacks, probe)
        files = _outputs(traced, splits)
        files["history.csv"] = _csv(history)
        if probe:
            files["diagnostics.csv"] = _csv(probe.rows, diagnostics.COLUMNS)
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                files[path.relative_to(folder).as_posix()] = path.read_bytes()
    later = epoch_seconds[1:] or epoch_seconds
    return Result(files, time.perf_counter() - started, sum(later) / len(later))


def check_network(recipe: Recipe, seed: int, splits: Splits, outputs: int, task: str) -> Result:
    """Build the network without training it. Arguments as for `train_replicate`. Returns weights.json: how many it has."""
    x, _ = splits["train"]
    structure = Structure.of(recipe, x.shape[1:], outputs, task, len(x))
    return Result({"weights.json": _json(trace_of(structure, seed).model.count_params())}, 0.0, 0.0)


def _train_epochs(
    traced: Trace,
    settings: Train,
    seed: int,
    splits: Splits,
    weights: np.ndarray | None,
    callbacks: keras.callbacks.CallbackList,
    probe: diagnostics.Diagnostics | None,
) -> tuple[list[dict[str, float]], list[float]]:
    """Train until the last epoch, or until a callback stops. Returns a row of history and the seconds for each epoch.

    The learning rate of a row is that of the epoch's first update. Only a schedule has it.
    """
    quality = traced.structure.quality
    shuffle = np.random.default_rng([seed, 1])
    x, y = splits["train"]
    inputs = on_device(traced.structure.model, x)
    labels = _labels(y, weights)
    history = []
    epoch_seconds = []
    callbacks.on_train_begin()
    for epoch in range(settings.epochs):
        if probe:
            probe.snapshot()
        started = time.perf_counter()
        callbacks.on_epoch_begin(epoch)
        rate = {}
        if settings.schedule.kind != "constant":
            rate["learning_rate"] = float(ops.convert_to_numpy(traced.optimizer.learning_rate))
        loss, value = traced.compiled.epoch(shuffle.permutation(len(x)), inputs, labels)
        row = {"loss": loss, quality: value}
        if "validation" in splits:
            _, row["val_loss"], row[f"val_{quality}"] = score(traced, *splits["validation"])
        history.append({"epoch": epoch + 1, **row, **rate})
        callbacks.on_epoch_end(epoch, row)
        epoch_seconds.append(time.perf_counter() - started)
        ended = traced.model.stop_training or epoch + 1 == settings.epochs
        if probe and (epoch == 0 or ended):
            probe.measure(epoch + 1)
        if ended:
            break
    callbacks.on_train_end()
    return history, epoch_seconds


def _outputs(traced: Trace, splits: Splits) -> dict[str, bytes]:
    """The files that hold the trained network, its scores and its predictions of the rows that it was not trained on."""
    predictions = {}
    scores = {}
    for split, (x, y) in splits.items():
        predicted, loss, quality = score(traced, x, y)
        scores[split] = {"loss": _text(loss), traced.structure.quality: _text(quality)}
        if split != "train":
            predictions[split] = predicted
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / WEIGHTS
        traced.model.save_weights(weights)
        return {
            "scores.json": _json(scores),
            "predictions.npz": arrays_to_bytes(predictions),
            "model.json": _json(traced.architecture),
            WEIGHTS: weights.read_bytes(),
        }


def _csv(rows: list[dict[str, Any]], columns: tuple[str, ...] | None = None) -> bytes:
    return pd.DataFrame(rows, columns=columns).to_csv(index=False, float_format="%.9g", na_rep="nan").encode()


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=2, sort_keys=True) + "\n").encode()


def _text(value: float) -> str:
    """Nine digits, which are enough for a float32. It is text because JSON has no word for NaN."""
    return f"{value:.9g}"
