"""IDX files and NumPy archives are read as they are, or refused."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.datasets import (
    CODES,
    idx,
    message,
    npz,
    read,
)


def test_idx_images(tmp_path: Path) -> None:
    images = np.arange(3 * 28 * 28).reshape(3, 28, 28) % 256
    x, y = read(tmp_path, {"kind": "idx"}, {"images": idx(images), "labels": idx([0, 1, 0])})["all"]
    assert (x.shape, x.dtype, y.dtype, y.tolist()) == ((3, 28, 28), np.uint8, np.int64, [0, 1, 0])
    assert np.array_equal(x, images)


def test_idx_parts(tmp_path: Path) -> None:
    names = ("train_images", "train_labels", "test_images", "test_labels")
    arrays = ([[1], [2]], [0, 1], [[3]], [1])
    parts = read(tmp_path, {"kind": "idx"}, {name: idx(array) for name, array in zip(names, arrays, strict=True)})
    assert {part: (x.tolist(), y.tolist()) for part, (x, y) in parts.items()} == {
        "train": ([[1], [2]], [0, 1]),
        "test": ([[3]], [1]),
    }


@pytest.mark.parametrize("dtype", CODES)
def test_idx_types(tmp_path: Path, dtype: str) -> None:
    x, _ = read(tmp_path, {"kind": "idx"}, {"images": idx([[1, 100]], dtype), "labels": idx([0])})["all"]
    assert (x.tolist(), x.dtype) == ([[1, 100]], np.dtype(dtype).newbyteorder("="))
    assert x.dtype.isnative
    assert x.flags.writeable


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (b"", "not an IDX file: it begins with nothing"),
        (gzip.compress(b"", mtime=0), "not an IDX file: it begins with 1f 8b 08 00"),
        (b"\0\0\x07\x01\0\0\0\x01\0", "not an IDX file: it begins with 00 00 07 01"),
        (idx([[1, 2]])[:-1], "an IDX file of [1, 2] values has 14 bytes, not 13"),
        (idx([[1, 2]]) + b"\0", "an IDX file of [1, 2] values has 14 bytes, not 15"),
        (idx([[1, 2]])[:6], "an IDX file of [0, 0] values has 12 bytes, not 6"),
    ],
)
def test_idx_refused(tmp_path: Path, images: bytes, said: str) -> None:
    contents = {"images": images, "labels": idx([0])}
    assert message(read, tmp_path, {"kind": "idx"}, contents) == f"{tmp_path / 'images'}: {said}"


@pytest.mark.parametrize(
    ("images", "labels", "said"),
    [
        (idx([[1], [2]]), idx([0]), "inputs of shape (2, 1), targets of shape (1,); must be (n, ...) and (n,)"),
        (idx([1]), idx([0]), "inputs of shape (1,), targets of shape (1,); must be (n, ...) and (n,)"),
        (idx(np.empty((0, 2))), idx([]), "inputs of shape (0, 2), targets of shape (0,); must be (n, ...) and (n,)"),
        (idx([[1.0], [np.nan]], ">f4"), idx([0, 1]), "the inputs hold nan in row 2, not a finite number"),
    ],
)
def test_idx_rows_must_agree(tmp_path: Path, images: bytes, labels: bytes, said: str) -> None:
    contents = {"images": images, "labels": labels}
    assert message(read, tmp_path, {"kind": "idx"}, contents) == f"{tmp_path / 'labels'}: {said}"


def test_npz_parts(tmp_path: Path) -> None:
    content = npz(tmp_path, a=np.ones((2, 4), np.float32), b=[[0], [1]], c=np.zeros((1, 4), np.float32), d=[1])
    reader = {"kind": "npz", "parts": {"train": ["a", "b"], "test": ["c", "d"]}, "shape": [2, 2]}
    parts = read(tmp_path, reader, {"arrays": content})
    assert {part: (x.shape, x.dtype, y.tolist(), y.dtype) for part, (x, y) in parts.items()} == {
        "train": ((2, 2, 2), np.float32, [0, 1], np.int64),
        "test": ((1, 2, 2), np.float32, [1], np.int64),
    }


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"x": [[1]]}, "unknown array 'y'; known: x"),
        ({"x": np.array([[None]]), "y": [0]}, "array 'x': holds Python objects, which run code when they are read; save"),
        ({"x": [["a"]], "y": [0]}, "the inputs are of type <U1, not numbers"),
        ({"x": [[1]], "y": [1j]}, "the targets are of type complex128, not numbers"),
        ({"x": [[np.inf]], "y": [0]}, "the inputs hold inf in row 1, not a finite number"),
        ({"x": [[1]], "y": [np.nan]}, "the targets hold nan in row 1, not a finite number"),
    ],
)
def test_npz_refused(tmp_path: Path, arrays: dict[str, Any], said: str) -> None:
    reader = {"kind": "npz", "parts": {"all": ["x", "y"]}}
    refusal = message(read, tmp_path, reader, {"arrays": npz(tmp_path, **arrays)})
    assert refusal.startswith(f"{tmp_path / 'arrays'}: {said}")


def test_several_targets_are_refused(tmp_path: Path) -> None:
    reader = {"kind": "npz", "parts": {"all": ["x", "y"]}}
    said = message(read, tmp_path, reader, {"arrays": npz(tmp_path, x=[[1], [2]], y=[[1, 2], [3, 4]])}, task="regression")
    assert said.endswith("targets of shape (2, 2); a study predicts one number a row, so choose a column")


def test_npz_must_be_an_archive(tmp_path: Path) -> None:
    reader = {"kind": "npz", "parts": {"all": ["x", "y"]}}
    said = f"{tmp_path / 'arrays'}: not an NPZ file, which is a zip archive; .npy files are inputs and targets, a file each"
    assert message(read, tmp_path, reader, {"arrays": b"\x93NUMPY"}) == said


def test_a_damaged_archive_is_refused(tmp_path: Path) -> None:
    content = bytearray(npz(tmp_path, x=[[1]], y=[0]))
    content[content.index(b"NUMPY") + 122] ^= 1  # the first byte of x
    reader = {"kind": "npz", "parts": {"all": ["x", "y"]}}
    assert "array 'x': not plain arrays: Bad CRC-32" in message(read, tmp_path, reader, {"arrays": bytes(content)})


def test_what_is_not_asked_for_may_be_anything(tmp_path: Path) -> None:
    content = npz(tmp_path, arr_0=[[1]] * 2, arr_1=[0, 1], notes=np.array([None]))
    x, y = read(tmp_path, {"kind": "npz", "parts": {"all": ["arr_0", "arr_1"]}}, {"arrays": content})["all"]
    assert (x.tolist(), y.tolist()) == ([[1], [1]], [0, 1])


@pytest.mark.parametrize(
    ("inputs", "options", "expected", "dtype"),
    [
        ([True, False], {}, [[1], [0]], np.uint8),
        ([0.5, 1.5], {}, [[0.5], [1.5]], np.float64),
        (np.arange(12, dtype=np.float16).reshape(2, 3, 2), {}, [[[0, 1], [2, 3], [4, 5]], [[6, 7], [8, 9], [10, 11]]], "f2"),
        (np.arange(8).reshape(2, 2, 1, 2), {"channels": "first"}, [[[[0, 2], [1, 3]]], [[[4, 6], [5, 7]]]], np.int64),
        (np.arange(8).reshape(2, 2, 2), {"channels": "first"}, [[[0, 2], [1, 3]], [[4, 6], [5, 7]]], np.int64),
        (np.arange(8).reshape(2, 4), {"shape": [2, 2], "channels": "first"}, [[[0, 2], [1, 3]], [[4, 6], [5, 7]]], np.int64),
    ],
)
def test_inputs_of_npz(tmp_path: Path, inputs: Any, options: dict[str, Any], expected: Any, dtype: Any) -> None:
    reader = {"kind": "npz", "parts": {"all": ["x", "y"]}, **options}
    x, _ = read(tmp_path, reader, {"arrays": npz(tmp_path, x=inputs, y=[0, 1])})["all"]
    assert (x.tolist(), x.dtype) == (expected, dtype)


def test_rows_of_numbers_have_no_channels(tmp_path: Path) -> None:
    reader = {"kind": "npz", "parts": {"all": ["x", "y"]}, "channels": "first"}
    said = message(read, tmp_path, reader, {"arrays": npz(tmp_path, x=[[1, 2]] * 2, y=[0, 1])})
    assert said.endswith("channels: first is for rows such as (channels, height, width), not (2,)")


def test_an_array_may_have_a_file_of_its_own(tmp_path: Path) -> None:
    def npy(array: Any) -> bytes:
        np.save(tmp_path / "made.npy", np.asarray(array))
        return (tmp_path / "made.npy").read_bytes()

    parts = read(tmp_path, {"kind": "npz"}, {"inputs": npy([[1.5], [2.5]]), "targets": npy([[1], [0]])})
    assert {part: (x.tolist(), y.tolist()) for part, (x, y) in parts.items()} == {"all": ([[1.5], [2.5]], [1, 0])}
    names = ("train_inputs", "train_targets", "test_inputs", "test_targets")
    parts = read(tmp_path, {"kind": "npz"}, dict(zip(names, map(npy, ([[1], [2]], [0, 1], [[3]], [1])), strict=True)))
    assert {part: y.tolist() for part, (_, y) in parts.items()} == {"train": [0, 1], "test": [1]}
    assert message(read, tmp_path, {"kind": "npz"}, {"inputs": b"PK", "targets": npy([0])}).endswith(
        "inputs: not an NPY file, which holds one array"
    )
    objects = npy(np.array([[None]]))
    assert "holds Python objects" in message(read, tmp_path, {"kind": "npz"}, {"inputs": objects, "targets": npy([0])})
