"""The metrics that claims may name, and what each of them needs."""

from __future__ import annotations

import math
import re

# Metric -> what it is. <level> is an accuracy such as 0.95, <n> the number of an epoch.
METRICS = {
    "train_loss": "loss on the training rows, measured after training",
    "val_loss": "loss on the validation rows, after training",
    "test_loss": "loss on the test rows, after training",
    "train_accuracy": "accuracy on the training rows, measured after training",
    "val_accuracy": "accuracy on the validation rows, after training",
    "test_accuracy": "accuracy on the test rows, after training",
    "train_mae": "mean absolute error on the training rows, in the target's unit",
    "val_mae": "mean absolute error on the validation rows, in the target's unit",
    "test_mae": "mean absolute error on the test rows, in the target's unit",
    "test_rmse": "root of the mean squared error on the test rows, in the target's unit",
    "test_mse_joint": "mean squared error on the test rows of the joint output of a network with two",
    "test_mse_deep": "mean squared error on the test rows of the output on the deep part alone",
    "test_mse_joint_minus_deep": "mean squared error on the test rows: the joint output's minus the deep one's",
    "generalization_gap": "how much better training rows do than test rows: in accuracy, or in loss for a regression",
    "best_val_accuracy": "highest validation accuracy of any epoch",
    "best_val_loss": "lowest validation loss of any epoch",
    "best_epoch": "epoch of the best validation accuracy (of the best validation loss for a regression), the first such",
    "best_val_minus_test_accuracy": "highest validation accuracy of any epoch minus the accuracy on the test rows",
    "val_loss_roughness": "mean absolute change of the validation loss from one epoch to the next, after the fifth",
    "diverged": "1 if the loss of any epoch is not a finite number, else 0",
    "epochs": "epochs trained",
    "epochs_to_<level>_accuracy": "epochs until the running training accuracy reached the level",
    "epochs_to_<level>_val_accuracy": "epochs until the validation accuracy reached the level",
    "accuracy_after_epoch_<n>": "running training accuracy of epoch n",
    "val_accuracy_after_epoch_<n>": "validation accuracy after epoch n",
    "seconds_per_epoch": "wall time of an epoch, validation included",
    "seconds": "wall time of the replicate",
}
ON_DEMAND = ("diverged", "val_loss_roughness")
"""Metrics that are worked out only where a claim or a reported number names them, beside those with a level or an epoch."""
METRIC_PATTERNS = (r"epochs_to_(0\.\d+|1\.0)_(accuracy|val_accuracy)", r"(accuracy|val_accuracy)_after_epoch_([1-9]\d*)")
"""Names of metrics with a level, and with the number of an epoch."""
_EPOCHS_TO, _AFTER_EPOCH = map(re.compile, METRIC_PATTERNS)
DIGITS = 5
"""Decimals in tables; a test set of 10,000 rows tells accuracies apart to the fourth."""


def is_metric(name: str) -> bool:
    if "<" in name:
        return False
    return name in METRICS or bool(_EPOCHS_TO.fullmatch(name) or _AFTER_EPOCH.fullmatch(name))


def needs_validation(name: str) -> bool:
    """Whether the metric, or the monitor of early stopping, is measured on validation rows."""
    return name.startswith(("val_", "best_")) or "_val_" in name


def has_measure(task: str, name: str) -> bool:
    """Whether a classification, or a regression, has the metric, or the monitor of early stopping."""
    regression = name.endswith(("_mae", "_rmse")) or of_two_outputs(name)
    return not regression if task == "classification" else "accuracy" not in name


def of_two_outputs(name: str) -> bool:
    """Whether the metric needs a network with a second output, on its deep part."""
    return name.startswith("test_mse_")


def is_share(name: str) -> bool:
    """Whether the metric is 0 or 1 for a replicate, and so a share of a variant's replicates."""
    return name == "diverged"


def on_demand(name: str) -> bool:
    """Whether the metric is worked out only where it is asked for."""
    return name in ON_DEMAND or name not in METRICS


def is_time(name: str) -> bool:
    """Whether the metric is a duration: no tracked file holds it, since it differs from run to run."""
    return name.startswith("seconds")


def higher_is_better(name: str) -> bool:
    return name.startswith(("train_accuracy", "val_accuracy", "test_accuracy", "accuracy", "best_val_accuracy"))


def rank_value(name: str, value: float) -> float:
    """The value with what is not a number (a loss that diverged) in the place of the worst: beyond every number."""
    if math.isnan(value):
        return -math.inf if higher_is_better(name) else math.inf
    return value


def round_or_word(name: str, value: float, digits: int = DIGITS) -> float | str:
    """The value as files and reports show it: rounded, or the word for what is not finite."""
    if math.isfinite(value):
        return round(value, digits) + 0.0  # never -0.0
    return "never" if name.startswith("epochs_to") else "diverged"


def finite(cell: object) -> float:
    """The number in a cell of a table; NaN for a word, for an empty cell and for an infinite number."""
    try:
        value = float(cell)  # type: ignore[arg-type]  # raises for anything but a number
    except (TypeError, ValueError):
        return math.nan
    return value if math.isfinite(value) else math.nan
