"""Arrays become studies: NPZ archives, pairs of .npy files, and the files of MNIST's format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.datasets import idx, npz
from helpers.starting import begin, refusal
from stages.lib.starting.answers import Answers

X = np.linspace(0, 1, 120, dtype=np.float32).reshape(30, 4)
Y = np.arange(30) % 3


def npy(folder: Path, array: Any) -> bytes:
    np.save(folder / "made.npy", np.asarray(array))
    return (folder / "made.npy").read_bytes()


@pytest.mark.parametrize(
    ("arrays", "options"),
    [
        ({"x": X, "y": Y}, {"parts": {"all": ["x", "y"]}}),
        ({"X": X, "Y": Y}, {"parts": {"all": ["X", "Y"]}}),
        ({"arr_0": X, "arr_1": Y}, {"parts": {"all": ["arr_0", "arr_1"]}}),
        (
            {"x_train": X, "y_train": Y, "x_test": X, "y_test": Y},
            {"parts": {"train": ["x_train", "y_train"], "test": ["x_test", "y_test"]}},
        ),
        (
            {"train_images": X, "train_labels": Y, "test_images": X, "test_labels": Y},
            {"parts": {"train": ["train_images", "train_labels"], "test": ["test_images", "test_labels"]}},
        ),
        ({"x": np.zeros((30, 3, 8, 8)) + Y[:, None, None, None], "y": Y}, {"parts": {"all": ["x", "y"]}, "channels": "first"}),
        ({"x": X.reshape(30, 2, 2), "y": Y.astype(">f8")[:, None]}, {"parts": {"all": ["x", "y"]}}),
        ({"x": X > 0.5, "y": np.eye(3)[Y]}, {"parts": {"all": ["x", "y"]}}),
    ],
)
def test_an_archive_is_read_as_it_is(tmp_path: Path, arrays: dict[str, Any], options: dict[str, Any]) -> None:
    begun = begin(tmp_path, {"mine.npz": npz(tmp_path, **arrays)})
    assert begun.reader == {"kind": "npz", **options}
    assert begun.dataset.task == "classification"


def test_labels_may_be_text_or_begin_at_1(tmp_path: Path) -> None:
    assert begin(tmp_path, {"mine.npz": npz(tmp_path, x=X, y=np.array(["u", "v", "w"])[Y])}).dataset.class_names == (
        "u",
        "v",
        "w",
    )
    assert begin(tmp_path, {"mine.npz": npz(tmp_path, x=X, y=Y + 1)}).dataset.labels == (1, 2, 3)


def test_a_regression_of_sequences(tmp_path: Path) -> None:
    begun = begin(tmp_path, {"mine.npz": npz(tmp_path, x=np.repeat(X[..., None], 5, axis=2), y=X.sum(axis=1))})
    assert begun.said == ["arrays: 30 rows of shape (4, 5), float32", "regression: array, from 0.0504202 to 3.94958"]
    assert begun.study.claims["scaling_helps"].metric == "test_mae"


def test_pairs_of_files_find_their_roles(tmp_path: Path) -> None:
    files = {"labels.npy": npy(tmp_path, Y), "inputs.npy": npy(tmp_path, X.astype(np.float64))}
    begun = begin(tmp_path, files)
    assert {role: file.name for role, file in begun.dataset.files.items()} == {"inputs": "inputs.npy", "targets": "labels.npy"}
    images = np.zeros((30, 9, 9)) + Y[:, None, None]
    names = ["t10k-labels", "train-images", "train-labels", "t10k-images"]
    begun = begin(tmp_path, {name: idx(images) if "images" in name else idx(Y) for name in names})
    assert {role: file.name for role, file in begun.dataset.files.items()} == {
        "train_images": "train-images",
        "train_labels": "train-labels",
        "test_images": "t10k-images",
        "test_labels": "t10k-labels",
    }


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        (
            {"u": X, "v": Y},
            "mine.npz: holds arrays u, v; which two are the inputs and the targets? Say it by --reader 'parts=",
        ),
        (
            {"x": X, "y": X},
            "mine.npz: targets of shape (30, 4); a study predicts one number or one class a row, so choose a column",
        ),
        ({"x": np.array([[None]] * 30), "y": Y}, "mine.npz: array 'x': holds Python objects"),
        ({"x": X * np.nan, "y": Y}, "mine.npz: the inputs hold nan in row 1, not a finite number; mend the file, or say by"),
    ],
)
def test_a_refusal_says_what_to_do(tmp_path: Path, arrays: dict[str, Any], said: str) -> None:
    assert said in refusal(tmp_path, {"mine.npz": npz(tmp_path, **arrays)})


def test_files_that_do_not_go_together_are_refused(tmp_path: Path) -> None:
    assert "files of several kinds, csv, npy" in refusal(tmp_path, {"a.npy": npy(tmp_path, X), "b.csv": "a,b\n1,2\n"})
    assert "of the kind npy; give a file of inputs and one of targets" in refusal(tmp_path, {"a.npy": npy(tmp_path, X)})


def test_names_of_arrays_may_be_told(tmp_path: Path) -> None:
    begun = begin(tmp_path, {"mine.npz": npz(tmp_path, u=X, v=Y)}, Answers(reader={"parts": {"all": ["u", "v"]}}))
    assert begun.reader["parts"] == {"all": ["u", "v"]}
