"""A study's prepared data: each split once, in its original type, the fitted views, and facts about the data set."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from stages.lib.cli import written_by
from stages.lib.files import arrays_to_bytes, read_arrays, write_bytes, write_json
from stages.lib.training.views import FittedView

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Prepared:
    """One study's data.

    splits: train, validation (may be absent) and test -> raw values (n, ...) and labels (n,).
    views: name -> fitted view.
    facts: title, description, licence, citation, task, target, class_names and feature_names of the data set; `splits`, the
        shape, type and extremes of each split; `views`, the extremes of each split in each view; `first_rows`, a few rows of a
        table as they were read, with the target at the end (empty for images); `columns`, what each column of a table is, if
        it has missing values or categories.
    """

    splits: dict[str, tuple[np.ndarray, np.ndarray]]
    views: dict[str, FittedView]
    facts: dict[str, Any]

    @property
    def task(self) -> str:
        return str(self.facts["task"])

    @property
    def outputs(self) -> int:
        """Units of the output layer: classes, or 1 for a regression."""
        return len(self.facts["class_names"]) if self.task == "classification" else 1

    def fingerprint(self) -> str:
        """SHA-256 of the splits and the task: what of the data decides a replicate's result, beside the view."""
        digest = hashlib.sha256(f"{self.task} {self.outputs}".encode())
        for split in sorted(self.splits):
            for array in self.splits[split]:
                digest.update(f"{split} {array.dtype.str} {array.shape}".encode())
                digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()


def write_prepared(prepared: Prepared, folder: Path) -> None:
    """Write train.npz, validation.npz (if there is one), test.npz, views.json and facts.json."""
    for split, (x, y) in prepared.splits.items():
        write_bytes(folder / f"{split}.npz", arrays_to_bytes({"x": x, "y": y}))
    write_json(folder / "views.json", {name: _as_json(view) for name, view in prepared.views.items()})
    write_json(folder / "facts.json", prepared.facts)


def _as_json(view: FittedView) -> dict[str, Any]:
    """The view, without what only tables have if it has none."""
    return {key: value for key, value in asdict(view).items() if value or key != "encoding"}


def read_split(folder: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Values (n, ...) and labels (n,) of one split."""
    arrays = read_arrays(folder / f"{split}.npz")
    return arrays["x"], arrays["y"]


def read_prepared(folder: Path) -> Prepared:
    """What `write_prepared` wrote. Raises UserError if the prepare stage has not run."""
    with written_by("prepare"):
        splits = {split: read_split(folder, split) for split in SPLITS if (folder / f"{split}.npz").exists()}
        views = {name: FittedView(**view) for name, view in json.loads((folder / "views.json").read_text()).items()}
        return Prepared(splits, views, json.loads((folder / "facts.json").read_text()))
