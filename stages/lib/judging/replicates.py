"""The metrics of one replicate, from the files that its training wrote."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from stages.lib.cli import written_by
from stages.lib.files import read_arrays
from stages.lib.judging import own
from stages.lib.judging.predictions import Function, of_predictions
from stages.lib.study.load import measures
from stages.lib.study.metrics import (
    AFTER_EPOCH,
    EPOCHS_TO,
    OWN,
    finite,
    is_metric,
    metric_of,
    needs_validation,
    of_layers,
    on_demand,
)
from stages.lib.study.settings import Study
from stages.lib.training import views

COLLAPSED = "collapsed"
"""The metric that says which networks are no better than a constant."""
DIVERGED = "diverged"
FAR = 1e6
"""Squared errors that are so many times those of a constant are those of weights that grew without bound."""
HISTORY, SCORES, PREDICTIONS = FILES = ("history.csv", "scores.json", "predictions.npz")
LAYERS = "diagnostics.csv"
"""Written if `replicates.diagnostics` is on."""


class Replicate(NamedTuple):
    """What training measured.

    history: a row for each epoch, with the columns epoch, loss and accuracy (or mae); if there are validation rows, also
        val_loss and val_accuracy (or val_mae).
    scores: split -> loss and accuracy (or mae), measured after training.
    predictions: validation (if there are such rows) and test -> (n, classes); of a regression (n, outputs).
    layers: what stages/lib/training/diagnostics.py measured, if it was asked to.
    """

    history: pd.DataFrame
    scores: Mapping[str, Mapping[str, float]]
    predictions: Mapping[str, np.ndarray]
    layers: pd.DataFrame | None = None


# Files


def parse(files: Mapping[str, bytes]) -> Replicate:
    """The replicate whose files these are."""
    texts = json.loads(files[SCORES])
    return Replicate(
        pd.read_csv(io.BytesIO(files[HISTORY])),
        {split: {name: float(text) for name, text in values.items()} for split, values in texts.items()},
        read_arrays(io.BytesIO(files[PREDICTIONS])),
        pd.read_csv(io.BytesIO(files[LAYERS])) if LAYERS in files else None,
    )


def read(folder: Path) -> Replicate:
    """The replicate in a folder of data/runs. Raises UserError if it is not there."""
    with written_by("train"):
        layers = [LAYERS] if (folder / LAYERS).exists() else []
        return parse({name: (folder / name).read_bytes() for name in [*FILES, *layers]})


# Metrics


def measure(
    study: Study,
    variant: str,
    seed: int,
    replicate: Replicate,
    labels: Mapping[str, np.ndarray],
    task: str,
    functions: Mapping[str, Function],
) -> dict[str, float]:
    """The metrics of a variant's replicate.

    labels: those of the study's validation and test rows, and of its training rows.
    functions: the study's own metrics.
    """
    recipe = study.recipes[variant]
    own_rows = views.labels_of(recipe, labels, seed)
    if recipe.k_fold or recipe.train.validation_rows:  # training chose validation rows of its own, and measured on them
        labels = {"test": labels["test"]}
    measured = metrics(replicate, labels, task, metrics_on_demand(study, variant), own_rows)
    return measured | own.measured(functions, replicate.predictions["test"], labels["test"])


def metrics_on_demand(study: Study, variant: str) -> list[str]:
    """The metrics that only a claim or a reported number asks for, of this variant or of another, and that it can have."""
    listed = {each.measure for each in measures(study) if is_metric(each.measure) and on_demand(each.measure)}
    named = {COLLAPSED, *(name for name in listed if not OWN.fullmatch(name))}
    return sorted(name for name in named if study.has_validation(variant) or not needs_validation(name))


def metrics(
    replicate: Replicate,
    labels: Mapping[str, np.ndarray],
    task: str,
    extra: Iterable[str] = (),
    own_rows: Mapping[str, np.ndarray] | None = None,
) -> dict[str, float]:
    """Every metric of a replicate but the durations.

    labels: split -> (n,), those of the test rows at least. Without those of the validation rows, the accuracy (or mae) that
        training measured on them counts.
    task: classification or regression.
    extra: metrics on demand, which are of the history, of predictions or of layers.
    own_rows: the labels that predictions are compared with for these. None: `labels`.
    """
    history, scores, predictions = with_losses(replicate.history), replicate.scores, replicate.predictions
    quality, quality_of = ("accuracy", accuracy) if task == "classification" else ("mae", mean_absolute_error)
    result: dict[str, float] = {}
    for split, short in (("train", "train"), ("validation", "val"), ("test", "test")):
        if split in scores:
            result[f"{short}_loss"] = scores[split]["loss"]
            if split in predictions and split in labels:
                value = quality_of(predictions[split], labels[split])
            else:  # a diverged network predicts the first class for every row, which counts as no accuracy
                value = math.nan if math.isnan(scores[split]["loss"]) else scores[split][quality]
            result[f"{short}_{quality}"] = value
    if task == "classification":
        result["generalization_gap"] = result["train_accuracy"] - result["test_accuracy"]
    else:
        result["generalization_gap"] = result["test_loss"] - result["train_loss"]
        joint, *deep = mean_squared_errors(predictions["test"], labels["test"])
        result["test_rmse"] = math.sqrt(joint)
        if deep:
            result |= {"test_mse_joint": joint, "test_mse_deep": deep[0], "test_mse_joint_minus_deep": joint - deep[0]}
    result["epochs"] = float(len(history))
    result |= best_epochs(history, task)
    if "best_val_accuracy" in result:
        result["best_val_minus_test_accuracy"] = result["best_val_accuracy"] - result["test_accuracy"]
    true = labels if own_rows is None else own_rows
    for name in extra:
        if name == COLLAPSED:
            result[name] = float(collapsed(predictions["test"], labels["test"], task))
        elif name == DIVERGED:
            result[name] = float(diverged(history, predictions["test"], labels["test"], task))
        elif metric_of(name).of_predictions:
            result[name] = of_predictions(name, predictions, true)
        elif of_layers(name):
            result[name] = from_layers(name, replicate.layers)
        else:
            result[name] = from_history(name, history)
    return result


def with_losses(history: pd.DataFrame) -> pd.DataFrame:
    """The history without the accuracy of networks whose loss is NaN: they predict the first class for every row."""
    measured = history.copy()
    for loss, accuracy in (("loss", "accuracy"), ("val_loss", "val_accuracy")):
        if accuracy in measured and loss in measured:
            measured[accuracy] = measured[accuracy].where(measured[loss].notna())
    return measured


def best_epochs(history: pd.DataFrame, task: str) -> dict[str, float]:
    """The best epoch of a history, and its validation loss and accuracy; nothing without validation rows."""
    if "val_loss" not in history:
        return {}
    losses = history["val_loss"].to_numpy()
    best_loss = float(np.nanmin(losses)) if not np.isnan(losses).all() else math.nan
    if task == "regression":
        epoch = np.where(np.isnan(losses), np.inf, losses).argmin() + 1
        return {"best_val_loss": best_loss, "best_epoch": float(epoch)}
    accuracies = history["val_accuracy"].to_numpy()
    epoch = np.where(np.isnan(accuracies), -np.inf, accuracies).argmax()
    return {
        "best_val_loss": best_loss,
        "best_val_accuracy": float(accuracies[epoch]),
        "best_epoch": float(epoch + 1),
    }


def from_history(name: str, history: pd.DataFrame) -> float:
    """A metric on demand that the history alone suffices for.

    A level that training never reached took infinitely many epochs. The accuracy after an epoch that was not trained is NaN.
    """
    if match := EPOCHS_TO.fullmatch(name):
        reached = history[match[2]].to_numpy() >= float(match[1])
        return float(reached.argmax() + 1) if reached.any() else math.inf
    if name == "val_loss_roughness":
        changes = history["val_loss"].diff().abs().iloc[5:]
        return float(changes.mean(skipna=False)) if len(changes) else math.nan
    if match := AFTER_EPOCH.fullmatch(name):
        epoch = int(match[2])
        return float(history[match[1]].iloc[epoch - 1]) if epoch <= len(history) else math.nan
    raise ValueError(f"{name} is not a metric of the history")


def from_layers(name: str, layers: pd.DataFrame | None) -> float:
    """A metric of the first layer against the output layer. NaN if there are no such layers, or if the output's is 0."""
    if layers is None or layers.empty:
        return math.nan
    if name == "log10_gradient_ratio_at_start":
        return _log10(gradient_ratio(layers[layers["epoch"] == 0]))
    if name == "log10_update_ratio_of_epoch_1":
        start, end = (layers[layers["epoch"] == epoch].set_index("layer") for epoch in (0, 1))
        return _log10(_first_over_output(end["update_norm"] / start["weights_norm"]))
    raise ValueError(f"{name} is not a metric of layers")


def _log10(ratio: float) -> float:
    return math.log10(ratio) if ratio > 0 else -math.inf if ratio == 0 else math.nan


def gradient_ratio(layers: pd.DataFrame) -> float:
    """The first layer's gradient norm over the output layer's, in rows of diagnostics.csv of one network and one epoch."""
    return _first_over_output(layers.set_index("layer")["gradient_norm"])


def _first_over_output(values: pd.Series) -> float:
    """layer -> value. The output layer is that of this name, or the last."""
    if values.empty:
        return math.nan
    output = finite(values["outputs"] if "outputs" in values.index else values.iloc[-1])
    return finite(values.iloc[0]) / output if output > 0 else math.nan


def predicted_classes(predictions: np.ndarray) -> np.ndarray:
    """The class with the highest score of each row of `predictions` (n, classes)."""
    return np.asarray(predictions.argmax(axis=1))


def accuracy(predictions: np.ndarray, labels: np.ndarray) -> float:
    """The share of rows whose highest score is that of their label; NaN if any score is not finite."""
    if not np.isfinite(predictions).all():
        return math.nan
    return float((predicted_classes(predictions) == labels).mean())


def collapsed(predictions: np.ndarray, labels: np.ndarray, task: str) -> bool:
    """Whether a network predicts no better than a constant would.

    Such a constant is the most frequent class of these rows or, in a regression, the mean of their targets, by squared errors.
    Predictions that are not finite are no better.
    """
    if not np.isfinite(predictions).all():
        return True
    if task == "classification":
        return accuracy(predictions, labels) <= float(np.unique(labels, return_counts=True)[1].max()) / len(labels)
    return mean_squared_errors(predictions, labels)[0] >= float(np.var(labels.astype(np.float64)))


def diverged(history: pd.DataFrame, predictions: np.ndarray, labels: np.ndarray, task: str) -> bool:
    """Whether a loss or a prediction is not finite or, in a regression, squared errors are FAR times those of a constant.

    A network may end before its loss overflows: one of ours ends with 2e19, where a constant has 1.3.
    """
    if not np.isfinite(history["loss"]).all() or not np.isfinite(predictions).all():
        return True
    return task == "regression" and mean_squared_errors(predictions, labels)[0] > FAR * float(np.var(labels.astype(np.float64)))


def mean_absolute_error(predictions: np.ndarray, targets: np.ndarray) -> float:
    """Mean of |prediction - target| over rows, for the first column of `predictions` (n, outputs); `targets` is (n,)."""
    return float(np.abs(predictions[:, 0].astype(np.float64) - targets).mean())


def mean_squared_errors(predictions: np.ndarray, targets: np.ndarray) -> list[float]:
    """Mean of (prediction - target)^2 over rows, for each column of `predictions` (n, outputs); `targets` is (n,)."""
    with np.errstate(over="ignore"):  # a network that diverged
        return [float(mean) for mean in ((predictions.astype(np.float64) - targets[:, None]) ** 2).mean(axis=0)]
