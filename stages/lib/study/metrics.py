"""The metrics that claims may name: one table says what each of them is and needs."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

Task = Literal["classification", "regression"]


@dataclass(frozen=True)
class Metric:
    """A number that is measured of every replicate.

    meaning: for readers of a report.
    quantity: what is measured, as an axis says it. The generalization gap is one of accuracies in a classification, and of
        losses in a regression.
    tasks: the tasks in which it is measured.
    needs_validation: whether it is measured on validation rows.
    two_outputs: whether it needs a network with a second output, on its deep part.
    on_demand: whether it is measured only if a claim or a reported number names it. `collapsed` always is.
    of_predictions: whether it is computed from predictions by scikit-learn, or by a function of the study.
    of_layers: whether it is computed from what `replicates.diagnostics` measures of the layers.
    judged_by: the metric on the test rows that judges the winner of a search for this metric, if one may search for it.
    """

    meaning: str
    quantity: str
    higher_is_better: bool = False
    tasks: tuple[Task, ...] = ("classification", "regression")
    needs_validation: bool = False
    two_outputs: bool = False
    on_demand: bool = False
    of_predictions: bool = False
    of_layers: bool = False
    judged_by: str | None = None


_accuracy = partial(Metric, quantity="accuracy", higher_is_better=True, tasks=("classification",))
_of_layers = partial(Metric, quantity="log10 of a ratio", on_demand=True, of_layers=True)
_epochs_to = partial(Metric, quantity="epochs", tasks=("classification",), on_demand=True)
_mae = partial(Metric, quantity="mean absolute error", tasks=("regression",))
_mse = partial(Metric, quantity="mean squared error", tasks=("regression",), two_outputs=True)


def _of_predictions(name: str, meaning: str, quantity: str, task: Task, higher_is_better: bool = False) -> dict[str, Metric]:
    """A metric on the test rows and on the validation rows."""
    on_rows = partial(Metric, quantity=quantity, higher_is_better=higher_is_better, tasks=(task,), on_demand=True)
    return {
        f"test_{name}": on_rows(f"{meaning}; on the test rows", of_predictions=True),
        f"val_{name}": on_rows(
            f"{meaning}; on the validation rows", of_predictions=True, needs_validation=True, judged_by=f"test_{name}"
        ),
    }


METRICS = {
    "train_loss": Metric("loss on the training rows, measured after training", "loss"),
    "val_loss": Metric("loss on the validation rows, after training", "loss", needs_validation=True, judged_by="test_loss"),
    "test_loss": Metric("loss on the test rows, after training", "loss"),
    "train_accuracy": _accuracy("accuracy on the training rows, measured after training"),
    "val_accuracy": _accuracy(
        "accuracy on the validation rows, after training", needs_validation=True, judged_by="test_accuracy"
    ),
    "test_accuracy": _accuracy("accuracy on the test rows, after training"),
    "train_mae": _mae("mean absolute error on the training rows, in the target's unit"),
    "val_mae": _mae(
        "mean absolute error on the validation rows, in the target's unit", needs_validation=True, judged_by="test_mae"
    ),
    "test_mae": _mae("mean absolute error on the test rows, in the target's unit"),
    "test_rmse": Metric(
        "root of the mean squared error on the test rows, in the target's unit",
        "root mean squared error",
        tasks=("regression",),
    ),
    "test_mse_joint": _mse("mean squared error on the test rows of the joint output of a network with two"),
    "test_mse_deep": _mse("mean squared error on the test rows of the output on the deep part alone"),
    "test_mse_joint_minus_deep": _mse("mean squared error on the test rows: the joint output's minus the deep one's"),
    "generalization_gap": Metric(
        "how much better training rows do than test rows: in accuracy, or in loss for a regression", "accuracy or loss"
    ),
    "best_val_accuracy": _accuracy(
        "highest validation accuracy of any epoch", needs_validation=True, judged_by="test_accuracy"
    ),
    "best_val_loss": Metric("lowest validation loss of any epoch", "loss", needs_validation=True, judged_by="test_loss"),
    "best_epoch": Metric(
        "epoch of the best validation accuracy (of the best validation loss for a regression), the first such",
        "epochs",
        needs_validation=True,
    ),
    "best_val_minus_test_accuracy": _accuracy(
        "highest validation accuracy of any epoch minus the accuracy on the test rows",
        higher_is_better=False,
        needs_validation=True,
    ),
    "val_loss_roughness": Metric(
        "mean absolute change of the validation loss from one epoch to the next, after the fifth",
        "loss",
        needs_validation=True,
        on_demand=True,
    ),
    "diverged": Metric(
        "1 if the loss of any epoch or a prediction is not a finite number or, in a regression, the squared errors on the test "
        "rows are more than a million times a constant's, else 0",
        "share",
        on_demand=True,
    ),
    "collapsed": Metric(
        "1 if the predictions of the test rows are no better than a constant's or not finite, else 0", "share", on_demand=True
    ),
    "log10_gradient_ratio_at_start": _of_layers(
        "decimal logarithm of the norm of the first layer's gradient over that of the output layer's, before training"
    ),
    "log10_update_ratio_of_epoch_1": _of_layers(
        "decimal logarithm of the change of the first layer's weights in the first epoch, over their norm, divided by the same "
        "of the output layer"
    ),
    "epochs": Metric("epochs trained", "epochs"),
    "epochs_to_<level>_accuracy": _epochs_to("epochs until the running training accuracy reached the level"),
    "epochs_to_<level>_val_accuracy": _epochs_to(
        "epochs until the validation accuracy reached the level", needs_validation=True
    ),
    "accuracy_after_epoch_<n>": _accuracy("running training accuracy of epoch n", on_demand=True),
    "val_accuracy_after_epoch_<n>": _accuracy("validation accuracy after epoch n", needs_validation=True, on_demand=True),
    **_of_predictions(
        "balanced_accuracy",
        "mean over the classes of the share of their rows that are right",
        "balanced accuracy",
        "classification",
        higher_is_better=True,
    ),
    **_of_predictions(
        "f1_macro",
        "mean over the classes of the harmonic mean of precision and recall",
        "F1",
        "classification",
        higher_is_better=True,
    ),
    **_of_predictions(
        "roc_auc",
        "how often a row of a class gets a higher output for it than a row of another: mean over the classes, each against the "
        "rest, or that of the second class of two; undefined if a class has no row",
        "area under the ROC curve",
        "classification",
        higher_is_better=True,
    ),
    **_of_predictions(
        "average_precision",
        "mean precision over the recalls: mean over the classes, or that of the second class of two; undefined if a class has "
        "no row",
        "average precision",
        "classification",
        higher_is_better=True,
    ),
    **_of_predictions(
        "log_loss",
        "mean of minus the logarithm of the probability of a row's class, with outputs divided by their sum; undefined for "
        "outputs below 0",
        "log loss",
        "classification",
    ),
    **_of_predictions(
        "r2",
        "1 minus the squared errors against those of the mean target; undefined if all targets are the same",
        "R²",
        "regression",
        higher_is_better=True,
    ),
    **_of_predictions("median_absolute_error", "median absolute error, in the target's unit", "absolute error", "regression"),
    "val_rmse": Metric(
        "root of the mean squared error on the validation rows, in the target's unit",
        "root mean squared error",
        tasks=("regression",),
        needs_validation=True,
        on_demand=True,
        of_predictions=True,
        judged_by="test_rmse",
    ),
    "own.<name>": Metric(
        "what the function of this name in the study's metrics.py says of the test rows; higher is better if the name ends in "
        "`_score`",
        "",
        on_demand=True,
        of_predictions=True,
    ),
    "seconds_per_epoch": Metric("wall time of an epoch, validation included", "duration"),
    "seconds": Metric("wall time of the replicate", "duration"),
}
"""Name -> metric. <level> is a share such as 0.95, <n> the number of an epoch, such as 1, <name> that of a function."""
_RUNNING = {
    "loss": Metric("running training loss of an epoch", "loss"),
    "accuracy": _accuracy("running training accuracy of an epoch"),
}
"""What early stopping may watch beside metrics."""
METRIC_PATTERNS = (
    r"epochs_to_(0\.\d{1,9}|1\.0)_(accuracy|val_accuracy)",
    r"(accuracy|val_accuracy)_after_epoch_([1-9]\d{0,6})",
    r"own\.([a-z][a-z0-9_]{0,59})",
)
"""Names of metrics with a level, with the number of an epoch, and of the study's own."""
EPOCHS_TO, AFTER_EPOCH, OWN = map(re.compile, METRIC_PATTERNS)
FRACTIONS = ("accuracy", "share", "balanced accuracy", "F1", "area under the ROC curve", "average precision")
"""Quantities between 0 and 1."""
DIGITS = 5
"""Decimals in tables. A test set of 10,000 rows tells accuracies apart to the fourth."""
JUDGED_BY = {name: metric.judged_by for name, metric in METRICS.items() if metric.judged_by}
"""The metrics that a search may choose by -> the metric on the test rows that judges its winner."""


def general_name(name: str) -> str:
    """The metric's name in METRICS: with <level>, <n> or <name> for what differs."""
    if match := EPOCHS_TO.fullmatch(name):
        return f"epochs_to_<level>_{match[2]}"
    if match := AFTER_EPOCH.fullmatch(name):
        return f"{match[1]}_after_epoch_<n>"
    return "own.<name>" if OWN.fullmatch(name) else name


def is_metric(name: str) -> bool:
    """Whether a claim may name it."""
    return "<" not in name and general_name(name) in METRICS


def metric_of(name: str) -> Metric:
    """The metric, or the monitor of early stopping, of this name.

    Names that are unknown here, such as those in results of another version, have no properties.
    """
    if own := OWN.fullmatch(name):
        return replace(
            METRICS["own.<name>"], quantity=own[1].replace("_", " "), higher_is_better=own[1].endswith("_score")
        )  # as scikit-learn names functions whose value is better the higher it is
    return _RUNNING.get(name) or METRICS.get(general_name(name)) or Metric(meaning="", quantity="")


def needs_validation(name: str) -> bool:
    """Whether the metric, or the monitor of early stopping, is measured on validation rows."""
    return metric_of(name).needs_validation


def has_measure(task: str, name: str) -> bool:
    """Whether the metric, or the monitor of early stopping, is measured in this task."""
    return task in metric_of(name).tasks


def of_two_outputs(name: str) -> bool:
    """Whether the metric needs a network with a second output, on its deep part."""
    return metric_of(name).two_outputs


def of_layers(name: str) -> bool:
    """Whether the metric needs what `replicates.diagnostics` measures."""
    return metric_of(name).of_layers


def is_share(name: str) -> bool:
    """Whether the metric is 0 or 1 for a replicate, and so a share of a variant's replicates."""
    return metric_of(name).quantity == "share"


def is_fraction(name: str) -> bool:
    """Whether the metric lies between 0 and 1, or between -1 and 1 if it is a difference."""
    return metric_of(name).quantity in FRACTIONS


def on_demand(name: str) -> bool:
    """Whether the metric is measured only if a claim or a reported number names it."""
    return metric_of(name).on_demand


def is_time(name: str) -> bool:
    """Whether the metric is a duration. No tracked file holds these, since they differ from run to run."""
    return metric_of(name).quantity == "duration"


def higher_is_better(name: str) -> bool:
    """Whether a higher value is better than a lower one."""
    return metric_of(name).higher_is_better


def rank_value(name: str, value: float) -> float:
    """The value for comparisons: NaN, the loss of a network that diverged, is worse than every number."""
    if math.isnan(value):
        return -math.inf if higher_is_better(name) else math.inf
    return value


def round_or_word(name: str, value: float, digits: int = DIGITS) -> float | str:
    """The value as files and reports write it: rounded, or a word if it is not finite."""
    if math.isfinite(value):
        return round(value, digits) + 0.0  # never -0.0
    if metric_of(name).of_predictions or of_layers(name):  # which may have diverged, or be of too few classes or layers
        return "undefined"
    return "never" if name.startswith("epochs_to") else "diverged"


def finite(cell: object) -> float:
    """The number in a cell of a table. NaN for a word, for an empty cell and for an infinite number."""
    try:
        value = float(cell)  # type: ignore[arg-type]  # raises for anything but a number
    except (TypeError, ValueError):
        return math.nan
    return value if math.isfinite(value) else math.nan
