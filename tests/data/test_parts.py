"""Raw files are checked before they are read, and what they hold after."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from helpers.datasets import (
    ENTRY,
    dataset,
    message,
    npz,
    read,
)
from stages.lib.data.catalogue import Dataset
from stages.lib.data.parts import read_parts


def test_altered_file_is_refused(tmp_path: Path) -> None:
    entry = dataset(tmp_path, {"kind": "csv"}, {"all": b"1,0\n"})
    (tmp_path / "all").write_bytes(b"2,0\n")
    expected, found = (hashlib.sha256(content).hexdigest() for content in (b"1,0\n", b"2,0\n"))
    said = f"{tmp_path / 'all'}: altered since its fetch: SHA-256 expected {expected}, found {found}"
    assert message(read_parts, entry, tmp_path) == said


def test_missing_file(tmp_path: Path) -> None:
    said = f"{tmp_path / 'all.csv'}: missing; run the fetch stage"
    assert message(read_parts, Dataset.model_validate(ENTRY), tmp_path) == said


@pytest.mark.parametrize(
    ("labels", "names", "said"),
    [
        ([0, 1, 3], ["a", "b", "c"], "row 3: label 3.0; labels of 3 classes are 0 to 2"),
        ([0, -1, 1], ["a", "b", "c"], "row 2: label -1.0; labels of 3 classes are 0 to 2"),
        ([0, 0.5, 1], [], "row 2: label 0.5; labels of 3 classes are 0 to 2"),
        ([0, 1, 2], ["a", "b"], "row 3: label 2.0; labels of 2 classes are 0 to 1"),
    ],
)
def test_labels_are_0_to_k_minus_1(tmp_path: Path, labels: list[float], names: list[str], said: str) -> None:
    text = "".join(f"7,{label}\n" for label in labels).encode()
    hint = "; `labels` of the data set says what others stand for"
    assert message(read, tmp_path, {"kind": "csv"}, {"all": text}, class_names=names) == f"{tmp_path / 'all'}: {said}{hint}"


def test_class_may_be_absent_from_a_part(tmp_path: Path) -> None:
    parts = read(tmp_path, {"kind": "csv"}, {"train": b"7,0\n8,1\n9,2\n", "test": b"7,2\n"})
    assert [(part, y.tolist()) for part, (_, y) in parts.items()] == [("train", [0, 1, 2]), ("test", [2])]
    assert all(y.dtype == np.int64 for _, y in parts.values())


# What stands for a class


def labels_of(folder: Path, cells: list[object], **entry: object) -> tuple[list[int], tuple[str, ...]]:
    """The labels 0, 1, ... of rows with these cells in the target, and the names of the classes."""
    text = "".join(f"7,{cell}\n" for cell in cells).encode()
    parts = read(folder, {"kind": "csv"}, {"all": text}, **entry)
    return parts["all"][1].tolist(), parts.class_names


@pytest.mark.parametrize(
    ("cells", "entry", "expected"),
    [
        ([1, 2, 3, 1], {}, ([0, 1, 2, 0], ("1", "2", "3"))),
        ([3, 8, 5], {}, ([0, 2, 1], ("3", "5", "8"))),
        ([0, 1, 3], {}, ([0, 1, 2], ("0", "1", "3"))),
        ([-1, 1], {}, ([0, 1], ("-1", "1"))),
        (["1.0", "2.0"], {}, ([0, 1], ("1", "2"))),
        ([1, 2], {"class_names": ["a", "b"], "labels": [1, 2]}, ([0, 1], ("a", "b"))),
        ([2, 1], {"class_names": ["a", "b"], "labels": [2, 1]}, ([0, 1], ("a", "b"))),
        ([1, 2], {"labels": [3, 2, 1]}, ([2, 1], ("3", "2", "1"))),
        ([0.5, 1], {"labels": [0.5, 1]}, ([0, 1], ("0.5", "1"))),
        (["setosa", "virginica"], {}, ([0, 1], ("setosa", "virginica"))),
        (["b", "a"], {"class_names": ["b", "a"]}, ([0, 1], ("b", "a"))),
        (["<=50K", ">50K"], {"class_names": ["poor", "rich"], "labels": ["<=50K", ">50K"]}, ([0, 1], ("poor", "rich"))),
        (["False", "True"], {}, ([0, 1], ("false", "true"))),
        (["TRUE", "FALSE"], {"class_names": ["no", "yes"]}, ([1, 0], ("no", "yes"))),
        (["true", "false"], {"class_names": ["no", "yes"], "labels": [True, False]}, ([0, 1], ("no", "yes"))),
        (["NA", "None", "x"], {"class_names": ["NA", "None", "x"]}, ([0, 1, 2], ("NA", "None", "x"))),
        (["-", "+"], {"labels": ["-", "+"]}, ([0, 1], ("-", "+"))),
        ([1, "x"], {}, ([0, 1], ("1", "x"))),
    ],
)
def test_labels_as_people_have_them(
    tmp_path: Path, cells: list[object], entry: dict[str, object], expected: tuple[list[int], tuple[str, ...]]
) -> None:
    assert labels_of(tmp_path, cells, **entry) == expected


@pytest.mark.parametrize(
    ("cells", "entry", "said"),
    [
        (["setosa", "virginca"], {"class_names": ["setosa", "virginica"]}, "row 2: unknown label 'virginca' (did you mean"),
        ([1, 4], {"labels": [1, 2, 3]}, "row 2: label 4.0; labels of 3 classes are 1, 2, 3"),
        ([1, 2, 3], {"class_names": ["a", "b", "c"]}, "row 3: label 3.0; labels of 3 classes are 0 to 2; `labels` of the data"),
        (list(range(1001)), {}, "the target has 1001 values; a regression predicts those, or class_names name them"),
    ],
)
def test_labels_that_are_no_class_are_refused(tmp_path: Path, cells: list[object], entry: dict[str, object], said: str) -> None:
    text = "".join(f"7,{cell}\n" for cell in cells).encode()
    found = message(read, tmp_path, {"kind": "csv"}, {"all": text}, **entry)
    assert found.startswith(f"{tmp_path / 'all'}: {said}")


def test_labels_are_those_of_all_parts(tmp_path: Path) -> None:
    parts = read(tmp_path, {"kind": "csv"}, {"train": b"7,a\n8,c\n", "test": b"7,b\n"})
    assert (parts["train"][1].tolist(), parts["test"][1].tolist(), parts.class_names) == ([0, 2], [1], ("a", "b", "c"))


def test_a_row_without_a_target_is_marked(tmp_path: Path) -> None:
    assert labels_of(tmp_path, ["a", "?", "b"]) == ([0, -1, 1], ("a", "b"))
    assert labels_of(tmp_path, [1, "", 2]) == ([0, -1, 1], ("1", "2"))
    targets = read(tmp_path, {"kind": "csv"}, {"all": b"7,1.5\n8,\n"}, task="regression")["all"][1]
    np.testing.assert_array_equal(targets, [1.5, np.nan])


def test_a_name_that_the_results_need_is_refused_wherever_it_comes_from(tmp_path: Path) -> None:
    said = message(read, tmp_path, {"kind": "csv"}, {"all": b"7,accuracy\n8,b\n"})
    assert said == "class_names: 'accuracy' is a column of metrics/confusion.csv; the class needs another name"


ARRAYS = {"kind": "npz", "parts": {"all": ["x", "y"]}}


@pytest.mark.parametrize(
    ("y", "entry", "expected"),
    [
        (["b", "a"], {}, ([1, 0], ("a", "b"))),
        ([b"b", b"a"], {"class_names": ["b", "a"]}, ([0, 1], ("b", "a"))),
        ([1, 2], {}, ([0, 1], ("1", "2"))),
        ([[0, 1, 0], [1, 0, 0]], {"class_names": ["a", "b", "c"]}, ([1, 0], ("a", "b", "c"))),
        ([[0.0, 1.0], [1.0, 0.0]], {}, ([1, 0], ("0", "1"))),
        ([[2], [1]], {"labels": [1, 2]}, ([1, 0], ("1", "2"))),
        ([True, False], {}, ([1, 0], ("false", "true"))),
    ],
)
def test_labels_of_arrays(
    tmp_path: Path, y: list[object], entry: dict[str, object], expected: tuple[list[int], tuple[str, ...]]
) -> None:
    content = {"arrays": npz(tmp_path, x=[[1], [2]], y=np.array(y))}
    parts = read(tmp_path, ARRAYS, content, **entry)
    assert (parts["all"][1].tolist(), parts.class_names) == expected


@pytest.mark.parametrize("y", [[[0, 2], [1, 0]], [[0, 0], [1, 0]], [[0.5, 0.5], [1, 0]]])
def test_rows_of_targets_must_be_one_hot(tmp_path: Path, y: list[list[float]]) -> None:
    said = message(read, tmp_path, ARRAYS, {"arrays": npz(tmp_path, x=[[1], [2]], y=np.array(y))})
    assert said == f"{tmp_path / 'arrays'}: targets of shape (2, 2) must be one-hot: one 1 in each row, and 0 elsewhere"
