"""Metrics of predictions, with numbers worked out by hand: scikit-learn's, and a study's own."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from helpers.checkout import ROOT
from helpers.study import study_with, write_params
from stages.lib.cli import UserError
from stages.lib.judging import own
from stages.lib.judging.predictions import OF_CLASSES, OF_NUMBERS, of_predictions
from stages.lib.judging.replicates import Replicate, measure
from stages.lib.study.load import load_study
from stages.lib.study.metrics import METRICS
from stages.lib.study.own import check_pipeline, functions, meaning

LABELS = np.array([0, 0, 0, 1, 2])
SCORES = np.array([[0.6, 0.3, 0.1], [0.5, 0.2, 0.3], [0.2, 0.7, 0.1], [0.3, 0.6, 0.1], [0.1, 0.2, 0.7]])
"""Of three classes. The third row, of class 0, is taken for class 1; all others are right."""
TWO = np.array([[0.9, 0.1], [0.4, 0.6], [0.65, 0.35], [0.2, 0.8]])
TARGETS = np.array([1.0, 2.0, 3.0, 6.0])
NUMBERS = np.array([[1.0], [4.0], [3.0], [5.0]])
"""Errors of 0, 2, 0 and 1; the mean target is 3, and the squared distances from it are 4, 1, 0 and 9."""


def test(name: str, predictions: np.ndarray, labels: np.ndarray) -> float:
    return of_predictions(f"test_{name}", {"test": predictions.astype(np.float32)}, {"test": labels})


test.__test__ = False  # type: ignore[attr-defined]  # it is no test


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("balanced_accuracy", (2 / 3 + 1 + 1) / 3),
        ("f1_macro", (2 * (2 / 3) / (5 / 3) + 2 * 0.5 / 1.5 + 1) / 3),
        ("roc_auc", (1.0 * 5 / 6 + 0.75 + 1) / 3),  # pairs in the right order: 5 of 6, 3 of 4, 4 of 4
        ("log_loss", -np.log([0.6, 0.5, 0.2, 0.6, 0.7]).mean()),
    ],
)
def test_metrics_of_several_classes(name: str, value: float) -> None:
    assert test(name, SCORES, LABELS) == pytest.approx(value, rel=1e-6)


def test_precisions_are_averaged_over_the_recalls_of_each_class() -> None:
    """Class 0 is ranked: right, right, wrong, right; class 1: wrong, right; class 2: right."""
    assert test("average_precision", SCORES, LABELS) == pytest.approx(((1 + 1 + 3 / 4) / 3 + 1 / 2 + 1) / 3)


def test_of_two_classes_the_second_is_the_one_that_is_found() -> None:
    """Rows of class 1 are first and third by its output: 3 of 4 pairs are in order, and precision is 1 and 2/3."""
    labels = np.array([0, 0, 1, 1])
    assert test("roc_auc", TWO, labels) == 0.75
    assert test("average_precision", TWO, labels) == pytest.approx((1 + 2 / 3) / 2)


@pytest.mark.parametrize(("name", "value"), [("r2", 1 - 5 / 14), ("median_absolute_error", 0.5), ("rmse", math.sqrt(5 / 4))])
def test_metrics_of_numbers_are_of_the_first_output(name: str, value: float) -> None:
    assert test(name, NUMBERS, TARGETS) == pytest.approx(value)
    assert test(name, np.hstack([NUMBERS, np.full((4, 1), np.nan)]), TARGETS) == pytest.approx(value)


def test_outputs_that_are_no_shares_of_one_are_made_such() -> None:
    assert test("log_loss", SCORES * 3, LABELS) == pytest.approx(test("log_loss", SCORES, LABELS))


@pytest.mark.parametrize(
    ("name", "predictions", "labels"),
    [
        *((name, np.where(SCORES == 0.5, np.nan, SCORES), LABELS) for name in OF_CLASSES),
        *((name, np.where(NUMBERS == 5, np.inf, NUMBERS), TARGETS) for name in OF_NUMBERS),
        ("roc_auc", SCORES, np.zeros(5, int)),
        ("roc_auc", SCORES, np.array([0, 0, 0, 1, 1])),
        ("average_precision", TWO, np.ones(4, int)),
        ("log_loss", SCORES - 0.5, LABELS),
        ("log_loss", SCORES * 0, LABELS),
        ("r2", NUMBERS, np.ones(4)),
    ],
)
def test_what_cannot_be_computed_is_not_a_number(name: str, predictions: np.ndarray, labels: np.ndarray) -> None:
    assert math.isnan(test(name, predictions, labels))


def test_what_one_class_of_rows_suffices_for_is_computed() -> None:
    one = np.zeros(5, int)
    assert test("balanced_accuracy", SCORES, one) == 0.4
    assert test("log_loss", SCORES, one) == pytest.approx(-np.log([0.6, 0.5, 0.2, 0.3, 0.1]).mean())


def test_every_listed_metric_of_predictions_has_a_function() -> None:
    listed = {name for name, metric in METRICS.items() if metric.of_predictions and "<" not in name}
    assert {name.partition("_")[2] for name in listed} == OF_CLASSES.keys() | OF_NUMBERS.keys()


def test_scikit_learn_is_imported_with_the_first_metric_that_needs_it() -> None:
    code = "import sys; import stages.evaluate; print([name for name in sys.modules if name.startswith('sklearn')])"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize("changes", [{"train": {"validation_rows": 4}}, {"k_fold": True}])
def test_validation_rows_that_a_replicate_chose_are_compared_with_their_own_labels(changes: dict[str, Any]) -> None:
    """The predictions of fold 1 of 2, or of the last 4 rows, are right for these rows alone."""
    claim = {"metric": "val_balanced_accuracy", "compare": None, "variant": "plain", "expect": "at_least", "threshold": 0.5}
    study = study_with(
        {
            "data": {"k_fold": {"folds": 2, "repeats": 1, "seed": 3}, "split": {"validation": 0}},
            "variants": {"plain": changes},
            "claims": {"noise_hurts": claim},
        }
    )
    labels = {"train": np.array([0, 1, 2, 3, 0, 1, 2, 3, 3, 0]), "test": np.array([0, 1])}
    shuffled = np.array_split(np.random.default_rng([3, 0]).permutation(10), 2)[1]
    chosen = labels["train"][shuffled] if "k_fold" in changes else labels["train"][6:]
    measured = {name: {"loss": 1.0, "accuracy": 0.25} for name in ("train", "validation", "test")}
    predictions = {"validation": np.eye(4)[chosen], "test": np.eye(4)[labels["test"]]}
    history = pd.DataFrame({"epoch": [1], "loss": 1.0, "accuracy": 0.5, "val_loss": 1.0, "val_accuracy": 0.5})
    found = measure(study, "plain", 1, Replicate(history, measured, predictions), labels, "classification", {})
    assert found["val_balanced_accuracy"] == 1.0
    assert found["val_accuracy"] == 0.25


# Metrics of a study's own

GOOD = '''
"""Costs."""
import numpy as np

PRICES = np.array([1.0, 5.0])


def cost(labels: np.ndarray, predictions: np.ndarray) -> float:
    """What the mistakes cost,
    in money.

    Class 1 is the dear one.
    """
    return float(PRICES[labels][predictions.argmax(axis=1) != labels].sum())


def found_score(labels, predictions):
    """Rows of class 1 that are found."""
    labels[:] = 7
    return np.int64((predictions[:, 1] > 0.5).sum())


def broken(labels, predictions):
    """A mistake in line 25."""
    return _shared(labels) / 0


def _shared(labels):
    return len(labels)


def worded(labels, predictions):
    """No number."""
    return "many"


def alone(labels):
    """One argument."""
    return 0.0


def silent(labels, predictions):
    return 0.0
'''


def written(folder: Path, metric: str, source: str | None = GOOD) -> Path:
    """A study that claims something of a metric, with this metrics.py."""
    write_params(folder, {"claims": {"noise_hurts": {"metric": metric}}})
    if source is not None:
        (folder / "metrics.py").write_text(source)
    return folder


def value_of(folder: Path) -> dict[str, float]:
    labels = np.array([0, 0, 1, 1])
    found = own.measured(own.own_metrics(load_study(folder), folder), TWO, labels)
    assert labels.tolist() == [0, 0, 1, 1]
    return found


def test_a_function_of_metrics_py_is_a_metric_of_the_test_rows(tmp_path: Path) -> None:
    """Of the four rows, the second and the third are wrong: one of class 0 and one of class 1."""
    assert value_of(written(tmp_path, "own.cost")) == {"own.cost": 6.0}
    assert value_of(written(tmp_path, "own.found_score")) == {"own.found_score": 2.0}
    assert value_of(written(tmp_path, "test_accuracy", "raise SystemError")) == {}


def test_the_first_paragraph_of_its_docstring_is_its_meaning(tmp_path: Path) -> None:
    known = functions(written(tmp_path, "own.cost") / "metrics.py")
    assert meaning(known["cost"]) == "What the mistakes cost, in money."


@pytest.mark.parametrize(
    ("metric", "source", "said"),
    [
        ("own.cots", GOOD, "params.yaml: claims.noise_hurts.metric: unknown metric 'own.cots' (did you mean 'own.cost'?)"),
        ("own._shared", GOOD, "params.yaml: claims.noise_hurts.metric: unknown metric 'own._shared'"),
        ("own.cost", None, "params.yaml: claims.noise_hurts.metric: own.cost needs the function cost(labels, predic"),
        ("own.cost", "x = = 1", "metrics.py: line 1: not valid Python: invalid syntax"),
        ("own.cost", "x\x00", "metrics.py: not valid Python: source code string cannot contain null bytes"),
        ("own.alone", GOOD, "metrics.py: line 37: alone must take labels and predictions: alone(labels, predictions)"),
        ("own.silent", GOOD, "metrics.py: line 42: silent needs a docstring"),
    ],
)  # fmt: skip
def test_a_mistake_that_can_be_read_is_refused_before_anything_trains(
    metric: str, source: str | None, said: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError) as caught:
        load_study(written(tmp_path, metric, source))
    assert str(caught.value).startswith(f"{tmp_path}/{said}")


@pytest.mark.parametrize(
    ("metric", "source", "said"),
    [
        ("own.broken", GOOD, "line 25: own.broken: ZeroDivisionError: division by zero"),
        ("own.worded", GOOD, "own.worded: ValueError: could not convert string to float: 'many'"),
        ("own.cost", f"{GOOD}\nimport nothing_of_this_name\n", "line 45: cannot be run: ModuleNotFoundError: No module named"),
    ],
)
def test_a_mistake_that_shows_when_it_runs_is_one_line_with_its_place(
    metric: str, source: str, said: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError) as caught:
        value_of(written(tmp_path, metric, source))
    assert str(caught.value).startswith(f"{tmp_path}/metrics.py: {said}")
    assert "\n" not in str(caught.value)


def test_a_pipeline_that_does_not_watch_the_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(written(tmp_path, "own.cost"))
    check_pipeline(Path())  # without a pipeline, nothing is missing in it
    Path("dvc.yaml").write_text("stages:\n  evaluate:\n    deps:\n      - other/metrics.py\n")
    with pytest.raises(UserError, match=r"^dvc\.yaml: does not name metrics\.py; run `python -m stages\.tools pipelines`"):
        check_pipeline(Path())
    Path("dvc.yaml").write_text("stages:\n  evaluate:\n    deps:\n      - metrics.py\n")
    check_pipeline(Path())
