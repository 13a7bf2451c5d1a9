"""The functions of a study's metrics.py, run on the test rows. A mistake in them is one line with its place."""

from __future__ import annotations

import runpy
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from stages.lib.cli import UserError
from stages.lib.judging.predictions import Function
from stages.lib.study.load import measures
from stages.lib.study.metrics import OWN
from stages.lib.study.own import FILE
from stages.lib.study.settings import Study


def own_metrics(study: Study, folder: Path) -> dict[str, Function]:
    """Metric, such as own.cost -> its function, of those that the study names. Its file is run only if it names one.

    Raises UserError for a file that fails.
    """
    named = {each.measure: own[1] for each in measures(study) if (own := OWN.fullmatch(each.measure))}
    if not named:
        return {}
    path = folder / FILE
    try:
        content = runpy.run_path(str(path))
    except Exception as error:  # noqa: BLE001  # whatever a user's file raises
        raise _mistake(path, error, "cannot be run") from None
    return {metric: _one_line(path, metric, content[name]) for metric, name in named.items()}


def measured(functions: Mapping[str, Function], predictions: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Metric -> its value on the test rows. `predictions` are (n, classes), or (n, outputs); `labels` are (n,)."""
    return {metric: function(labels, predictions) for metric, function in functions.items()}


def _one_line(path: Path, metric: str, function: Any) -> Function:
    def called(labels: np.ndarray, predictions: np.ndarray) -> float:
        try:
            value = function(labels.copy(), predictions.copy())  # it may change what it is given
            return float(value)
        except Exception as error:  # noqa: BLE001  # whatever a user's function raises
            raise _mistake(path, error, metric) from None

    return called


def _mistake(path: Path, error: Exception, what: str) -> UserError:
    """The mistake, with the last line of the file that led to it."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    place = f"line {lines[-1]}: " if lines else ""
    return UserError(f"{path}: {place}{what}: {type(error).__name__}: {' '.join(str(error).split())}")
