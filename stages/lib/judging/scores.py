"""What is measured of a replicate: the metrics that claims may name, and how each is computed from what training wrote."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from stages.lib.study.metrics import _AFTER_EPOCH, _EPOCHS_TO


def predicted_classes(predictions: np.ndarray) -> np.ndarray:
    """The class with the highest score of each row of `predictions` (n, classes)."""
    return np.asarray(predictions.argmax(axis=1))


def accuracy(predictions: np.ndarray, labels: np.ndarray) -> float:
    """Share of rows whose highest score is their label's; NaN where any score is not finite, as of a network that diverged."""
    if not np.isfinite(predictions).all():
        return math.nan
    return float((predicted_classes(predictions) == labels).mean())


def mean_absolute_error(predictions: np.ndarray, targets: np.ndarray) -> float:
    """Mean of |prediction - target| over rows; `predictions` is (n, outputs), the first being meant, `targets` (n,)."""
    return float(np.abs(predictions[:, 0].astype(np.float64) - targets).mean())


def mean_squared_errors(predictions: np.ndarray, targets: np.ndarray) -> list[float]:
    """Mean of (prediction - target)^2 over rows, for each column of `predictions` (n, outputs); `targets` is (n,)."""
    with np.errstate(over="ignore"):  # a network that diverged
        return [float(mean) for mean in ((predictions.astype(np.float64) - targets[:, None]) ** 2).mean(axis=0)]


def from_history(name: str, history: pd.DataFrame) -> float:
    """A metric that only claims ask for, from one replicate's history with one row an epoch.

    A level that was never reached took infinitely many epochs; an epoch after training ended is not a number.
    """
    if match := _EPOCHS_TO.fullmatch(name):
        reached = history[match[2]].to_numpy() >= float(match[1])
        return float(reached.argmax() + 1) if reached.any() else math.inf
    if name == "diverged":
        return float(not np.isfinite(history["loss"]).all())
    if name == "val_loss_roughness":
        changes = history["val_loss"].diff().abs().iloc[5:]
        return float(changes.mean(skipna=False)) if len(changes) else math.nan
    if match := _AFTER_EPOCH.fullmatch(name):
        epoch = int(match[2])
        return float(history[match[1]].iloc[epoch - 1]) if epoch <= len(history) else math.nan
    raise ValueError(f"{name} is not a metric of the history")


def replicate_metrics(
    history: pd.DataFrame,
    scores: Mapping[str, Mapping[str, float]],
    predictions: Mapping[str, np.ndarray],
    labels: Mapping[str, np.ndarray],
    task: str,
    extra: Iterable[str] = (),
) -> dict[str, float]:
    """Every metric of one replicate but the durations.

    Args:
        history: columns epoch, loss, accuracy (or mae) and, with a validation split, val_loss and val_accuracy (or val_mae).
        scores: split -> loss and accuracy (or mae), as measured after training.
        predictions: split -> (n, classes), or (n, outputs) for a regression; splits validation (if any) and test.
        labels: split -> (n,); not of validation rows that the replicate set apart by itself, which `scores` then speak for.
        task: classification or regression.
        extra: metrics of the history that claims name.
    """
    quality, measure = ("accuracy", accuracy) if task == "classification" else ("mae", mean_absolute_error)
    result: dict[str, float] = {}
    for split, short in (("train", "train"), ("validation", "val"), ("test", "test")):
        if split in scores:
            result[f"{short}_loss"] = scores[split]["loss"]
            if split in predictions and split in labels:
                value = measure(predictions[split], labels[split])
            else:  # a network of NaN answers the first class for every row, which is no accuracy
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
    if "val_loss" in history:
        losses = history["val_loss"].to_numpy()
        result["best_val_loss"] = float(np.nanmin(losses)) if not np.isnan(losses).all() else math.nan
        if task == "classification":
            accuracies = history["val_accuracy"].to_numpy()
            result["best_val_accuracy"] = float(accuracies.max())
            result["best_epoch"] = float(accuracies.argmax() + 1)
            result["best_val_minus_test_accuracy"] = result["best_val_accuracy"] - result["test_accuracy"]
        else:
            result["best_epoch"] = float(np.where(np.isnan(losses), np.inf, losses).argmin() + 1)
    return result | {name: from_history(name, history) for name in extra}
