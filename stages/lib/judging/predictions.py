"""Metrics of predictions, by scikit-learn, which is imported with the first of them, and by a study's own functions."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

SPLITS = {"val": "validation", "test": "test"}
"""What the name of a metric begins with -> the split."""
Function = Callable[[np.ndarray, np.ndarray], Any]
"""(labels (n,), predictions (n, classes), of a regression (n, outputs)) -> a number."""


def of_predictions(name: str, predictions: Mapping[str, np.ndarray], labels: Mapping[str, np.ndarray]) -> float:
    """A metric of METRICS that is of predictions. NaN if an output is not finite, or if these rows do not define it.

    predictions: split -> (n, classes); of a regression (n, outputs), of which the first counts.
    labels: split -> (n,).
    """
    short, _, kind = name.partition("_")
    split = SPLITS[short]
    found, true = predictions[split].astype(np.float64), labels[split]
    found = found[:, 0] if kind in OF_NUMBERS else found
    if not np.isfinite(found).all():
        return math.nan
    return float(OF_NUMBERS[kind](true, found) if kind in OF_NUMBERS else OF_CLASSES[kind](true, found))


def _balanced_accuracy(labels: np.ndarray, predictions: np.ndarray) -> float:
    from sklearn.metrics import recall_score

    present = np.unique(labels)
    return float(recall_score(labels, predictions.argmax(axis=1), labels=present, average="macro", zero_division=0))


def _f1_macro(labels: np.ndarray, predictions: np.ndarray) -> float:
    from sklearn.metrics import f1_score

    return float(f1_score(labels, predictions.argmax(axis=1), average="macro", zero_division=0))


def _ranked(score: str) -> Function:
    """A score of scikit-learn that ranks rows by the output of a class: of the second of two, or the mean over more."""

    def measured(labels: np.ndarray, predictions: np.ndarray) -> float:
        import sklearn.metrics

        classes = predictions.shape[1]
        if len(np.unique(labels)) < classes:
            return math.nan
        function = getattr(sklearn.metrics, score)
        if classes == 2:
            return float(function(labels == 1, predictions[:, 1]))
        return float(function(np.eye(classes, dtype=int)[labels], predictions, average="macro"))

    return measured


def _log_loss(labels: np.ndarray, predictions: np.ndarray) -> float:
    from sklearn.metrics import log_loss

    sums = predictions.sum(axis=1, keepdims=True)
    if (predictions < 0).any() or (sums == 0).any():
        return math.nan
    return float(log_loss(labels, predictions / sums, labels=range(predictions.shape[1])))


def _r2(targets: np.ndarray, predictions: np.ndarray) -> float:
    from sklearn.metrics import r2_score

    return float(r2_score(targets, predictions)) if np.ptp(targets) else math.nan


def _median_absolute_error(targets: np.ndarray, predictions: np.ndarray) -> float:
    from sklearn.metrics import median_absolute_error

    return float(median_absolute_error(targets, predictions))


def _rmse(targets: np.ndarray, predictions: np.ndarray) -> float:
    from sklearn.metrics import root_mean_squared_error

    return float(root_mean_squared_error(targets, predictions))


OF_CLASSES: dict[str, Function] = {
    "balanced_accuracy": _balanced_accuracy,
    "f1_macro": _f1_macro,
    "roc_auc": _ranked("roc_auc_score"),
    "average_precision": _ranked("average_precision_score"),
    "log_loss": _log_loss,
}
OF_NUMBERS: dict[str, Function] = {"r2": _r2, "median_absolute_error": _median_absolute_error, "rmse": _rmse}
"""Metric without its split -> its value for labels (n,) and finite predictions: (n, classes), or the first output (n,)."""
