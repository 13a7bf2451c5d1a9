"""What arrays seem to be: an NPZ archive, a .npy file each for inputs and targets, or the files of MNIST's format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from stages.lib.cli import UserError
from stages.lib.data.readers.arrays import read_idx, read_npy
from stages.lib.starting.answers import Answers, Seen
from stages.lib.starting.targets import look_at_target

PAIRS = (
    ("x", "y"),
    ("inputs", "targets"),
    ("features", "labels"),
    ("data", "target"),
    ("images", "labels"),
    ("arr_0", "arr_1"),
)
"""Names of inputs and targets, in small letters."""
CHANNELS = (1, 3, 4)
"""How many a picture may have."""


def names_in(path: Path) -> dict[str, tuple[int, ...]]:
    """Name -> shape of the arrays of an NPZ archive. Objects are not read."""
    shapes = {}
    with np.load(path, allow_pickle=False) as archive:
        for name in archive.files:
            try:
                shapes[name] = archive[name].shape
            except ValueError:  # objects: the reader says so, if they are wanted
                shapes[name] = ()
    return shapes


def parts_of(names: Sequence[str], path: Path, answers: Answers) -> dict[str, list[str]]:
    """Part -> names of inputs and targets, by what they are usually called. Raises UserError if that does not tell."""
    small = {name.lower(): name for name in names}
    for inputs, targets in PAIRS:
        for pattern in ("{}_{}", "{1}_{0}"):
            keys = {part: [pattern.format(each, part) for each in (inputs, targets)] for part in ("train", "test")}
            if all(key in small for pair in keys.values() for key in pair):
                return {part: [small[key] for key in pair] for part, pair in keys.items()}
        if inputs in small and targets in small:
            return {"all": [small[inputs], small[targets]]}
    if len(names) == 2 and answers.target in names:
        return {"all": [next(name for name in names if name != answers.target), str(answers.target)]}
    question = f"{path}: holds arrays {', '.join(sorted(names))}; which two are the inputs and the targets?"
    option = "--reader 'parts={all: [INPUTS, TARGETS]}', or by train and test."
    said = answers.ask(question, (), option).replace(",", " ").split()
    if len(said) != 2 or not set(said) <= set(names):
        raise UserError(f"{path}: {' '.join(said)!r} are not two of {', '.join(sorted(names))}")
    return {"all": said}


def look_at_npz(path: Path, answers: Answers) -> Seen:
    """What an NPZ archive was taken for."""
    shapes = names_in(path)
    options: dict[str, Any] = {"kind": "npz", **answers.reader}
    if "parts" not in options:
        options["parts"] = parts_of(list(shapes), path, answers)
    first = next(iter(options["parts"].values()))
    with np.load(path, allow_pickle=False) as archive:
        wanted = {name: archive[name] for name in first if name in archive.files and shapes[name] != ()}
    if set(first) - set(wanted):  # the reader says what is wrong with them
        return Seen(answers.task or "classification", options)
    return _seen(wanted[first[0]], wanted[first[1]], options, path, answers)


def look_at_npy(paths: Mapping[str, Path], answers: Answers) -> Seen:
    """What .npy files of inputs and targets, by role, were taken for."""
    prefix = "" if "inputs" in paths else "train_"
    path = paths[f"{prefix}targets"]
    arrays = read_npy(paths[f"{prefix}inputs"]), read_npy(path)
    return _seen(*arrays, {"kind": "npz", **answers.reader}, path, answers)


def look_at_idx(paths: Mapping[str, Path], answers: Answers) -> Seen:
    """What files of images and labels, by role, were taken for."""
    path = paths.get("labels") or paths["train_labels"]
    seen = look_at_target(pd.Series(read_idx(path).reshape(-1).astype(np.int64)), "label", path, answers)
    seen.reader = {"kind": "idx", **answers.reader}
    seen.said.insert(0, "arrays: images and labels in the format of MNIST")
    return seen


def _seen(x: np.ndarray, y: np.ndarray, options: dict[str, Any], path: Path, answers: Answers) -> Seen:
    if x.ndim == 4 and "channels" not in options and x.shape[1] in CHANNELS and x.shape[3] not in CHANNELS:
        options["channels"] = "first"
    seen = _look_at_targets(y, path, answers)
    seen.reader = options
    rows = f"arrays: {len(x)} rows of shape {x.shape[1:]}, {x.dtype}"
    seen.said.insert(0, rows + (", with the channels first" if options.get("channels") == "first" else ""))
    return seen


def _look_at_targets(y: np.ndarray, path: Path, answers: Answers) -> Seen:
    """The task of targets (n,), (n, 1), or (n, classes) of zeros and ones."""
    if y.ndim == 2 and y.shape[1] > 1 and y.dtype.kind in "biuf":
        if not ((y == 0) | (y == 1)).all() or not (y.sum(axis=1) == 1).all():
            raise UserError(
                f"{path}: targets of shape {y.shape}; a study predicts one number or one class a row, so choose a column"
            )
        return Seen("classification", {}, said=[f"classification: {y.shape[1]} classes, one-hot"])
    if y.ndim not in (1, 2) or y.dtype.kind not in "biufUS":
        raise UserError(f"{path}: targets of shape {y.shape} and type {y.dtype}; must be (n,) numbers or text")
    cells = np.char.decode(y, "utf-8", "replace") if y.dtype.kind == "S" else y
    cells = cells.astype(np.float64) if cells.dtype.kind in "iuf" else cells
    return look_at_target(pd.Series(cells.reshape(-1)), "array", path, answers)
