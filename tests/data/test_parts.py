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
        ([0, 1, 3], [], "row 3: label 3.0; labels of 3 classes are 0 to 2"),
        ([1, 2, 3], [], "row 3: label 3.0; labels of 3 classes are 0 to 2"),
        ([0, -1, 1], [], "row 2: label -1.0; labels of 3 classes are 0 to 2"),
        ([0, 0.5, 1], [], "row 2: label 0.5; labels of 3 classes are 0 to 2"),
        ([0, 1, 2], ["a", "b"], "row 3: label 2.0; labels of 2 classes are 0 to 1"),
    ],
)
def test_labels_are_0_to_k_minus_1(tmp_path: Path, labels: list[float], names: list[str], said: str) -> None:
    text = "".join(f"7,{label}\n" for label in labels).encode()
    assert message(read, tmp_path, {"kind": "csv"}, {"all": text}, class_names=names) == f"{tmp_path / 'all'}: {said}"


def test_class_may_be_absent_from_a_part(tmp_path: Path) -> None:
    parts = read(tmp_path, {"kind": "csv"}, {"train": b"7,0\n8,1\n9,2\n", "test": b"7,2\n"})
    assert [(part, y.tolist()) for part, (_, y) in parts.items()] == [("train", [0, 1, 2]), ("test", [2])]
    assert all(y.dtype == np.int64 for _, y in parts.values())
