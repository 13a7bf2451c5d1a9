"""What is predicted: one of several classes, or a number."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from stages.lib.cli import UserError, first_of
from stages.lib.data.readers import columns as cells_of
from stages.lib.data.readers.text import is_text
from stages.lib.starting.answers import Answers, Seen, Task

MOST_CLASSES = 100
"""Classes that text labels may have without being asked."""
SURELY_CLASSES = 10
"""Different whole numbers that are taken for classes."""
PERHAPS_CLASSES = 40
"""Different whole numbers that are asked about."""


def look_at_target(cells: pd.Series[Any], name: str, path: Path, answers: Answers) -> Seen:
    """The task, and the classes in the order of their labels: those that occur, sorted.

    Raises UserError for a target with a single value, or with as many texts as rows.
    """
    present = cells.dropna()
    values = present.nunique()
    if values < 2:
        held = f"holds {str(present.iloc[0])!r} in every row" if values else "has no value"
        raise UserError(f"{path}: the target {name} {held}, so there is nothing to predict")
    text = is_text(cells) or cells.dtype.kind == "b"
    if text and cells_of.booleans(cells) is None and (values > MOST_CLASSES or values * 2 > len(present)):
        wrong = (
            f"{path}: the target {name} has {values} different texts in {len(present)} rows, such as {str(present.iloc[0])!r}"
        )
        raise UserError(f"{wrong}; is another column meant, or are these numbers that --reader can say how to read?")
    task = answers.task or ("classification" if text else _task_of(present, name, path, answers))
    if task == "regression" and text:
        raise UserError(f"{path}: the target {name} is text, such as {str(present.iloc[0])!r}; a regression needs numbers")
    seen = Seen(task, {})
    if task == "regression":
        seen.said.append(f"regression: {name}, from {present.min():g} to {present.max():g}")
    elif (truths := cells_of.booleans(present)) is not None:
        seen.class_names = ["false", "true"]
        seen.said.append(_classes(name, {each: int(np.sum(truths == number)) for number, each in enumerate(seen.class_names)}))
    else:
        _name_classes(seen, present, name)
    return seen


def _task_of(present: pd.Series[Any], name: str, path: Path, answers: Answers) -> Task:
    """What numbers to predict are for."""
    values = present.nunique()
    whole = bool((present % 1 == 0).all())
    if whole and values <= SURELY_CLASSES and len(present) >= 3 * values:
        return "classification"
    if (whole and values > PERHAPS_CLASSES) or (not whole and values > SURELY_CLASSES) or values * 3 > len(present):
        return "regression"
    question = f"{path}: the target {name} has {values} different numbers; are they classes, or a quantity to predict?"
    said = answers.ask(question, ("classes", "quantity"), "--task classification, or --task regression.")
    return "classification" if said == "classes" else "regression"


def _name_classes(seen: Seen, present: pd.Series[Any], name: str) -> None:
    labels = cells_of.values_of([present])
    counts = present.map(cells_of.as_text).value_counts()
    if is_text(present):
        seen.class_names = list(labels)
    elif list(labels) != [str(number) for number in range(len(labels))]:
        seen.labels = [int(label) if label.lstrip("-").isdigit() else float(label) for label in labels]
    seen.said.append(_classes(name, {label: int(counts[label]) for label in labels}))


def _classes(name: str, counts: dict[str, int]) -> str:
    """The classes and their rows in a line."""
    listed = [f"{label} {count}" for label, count in counts.items()]
    return f"classification: {name}, {len(listed)} classes with their rows: {first_of(listed, 12)}"
