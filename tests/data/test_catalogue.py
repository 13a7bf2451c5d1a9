"""The catalogue refuses what is misspelt, the readers what is damaged: each in one line that says where."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from helpers.checkout import ROOT
from stages.lib.cli import UserError
from stages.lib.data import catalogue
from stages.lib.data.catalogue import Dataset, load_catalogue, pick, read_parts

FILE = {"name": "all.csv", "sha256": "0" * 64, "sources": ["https://example.org/all.csv"]}
ENTRY: dict[str, Any] = {
    "title": "Numbers",
    "task": "classification",
    "reader": {"kind": "csv"},
    "files": {"all": FILE},
    "licence": "CC0",
    "citation": "none",
}
CODES = {"u1": 0x08, "i1": 0x09, ">i2": 0x0B, ">i4": 0x0C, ">f4": 0x0D, ">f8": 0x0E}


def dataset(folder: Path, reader: dict[str, Any], contents: Mapping[str, bytes], **others: Any) -> Dataset:
    """A data set whose files, role -> content, lie in `folder`."""
    files = {}
    for role, content in contents.items():
        (folder / role).write_bytes(content)
        sha256 = hashlib.sha256(content).hexdigest()
        files[role] = {"name": role, "sha256": sha256, "sources": ["https://example.org/file"]}
    return Dataset.model_validate({**ENTRY, "reader": reader, "files": files, **others})


def read(folder: Path, reader: dict[str, Any], contents: Mapping[str, bytes], **others: Any) -> Any:
    return read_parts(dataset(folder, reader, contents, **others), folder)


def read_csv(folder: Path, text: str, task: str = "regression", **options: Any) -> tuple[np.ndarray, np.ndarray]:
    x, y = read(folder, {"kind": "csv", **options}, {"all": text.encode()}, task=task)["all"]
    return x, y


def idx(array: Any, dtype: str = "u1") -> bytes:
    array = np.asarray(array, dtype)
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, CODES[dtype], array.ndim, *array.shape) + bytes(array.tobytes())


def npz(folder: Path, **arrays: Any) -> bytes:
    np.savez(folder / "made.npz", **arrays)
    return (folder / "made.npz").read_bytes()


def message(call: Any, *given: Any, **options: Any) -> str:
    with pytest.raises(UserError) as caught:
        call(*given, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def refused(folder: Path, **changes: Any) -> str:
    """What load_catalogue says about ENTRY with changes, without the file's name."""
    path = folder / "datasets.yaml"
    entry = {key: value for key, value in {**ENTRY, **changes}.items() if value is not None}
    path.write_text(json.dumps({"mine": entry}))
    said = message(load_catalogue, path)
    assert said.startswith(f"{path}: mine")
    return said.removeprefix(f"{path}: mine")


# The catalogue


def test_shipped_catalogue_is_valid() -> None:
    catalogue = load_catalogue(ROOT / "data" / "datasets.yaml")
    assert list(catalogue) == ["mnist_5k", "mnist", "fashion_mnist", "california_housing"]
    assert all(entry.description and entry.target for entry in catalogue.values())
    assert len(catalogue["fashion_mnist"].class_names) == 10


def test_examples_in_comments_are_valid(tmp_path: Path) -> None:
    lines = (ROOT / "data" / "datasets.yaml").read_text().split("# Examples:\n")[1].splitlines()
    examples = [line.removeprefix("#").removeprefix(" ") for line in lines if line.startswith("#")]
    (tmp_path / "datasets.yaml").write_text("\n".join(examples))
    kinds = {name: entry.reader.kind for name, entry in load_catalogue(tmp_path / "datasets.yaml").items()}
    assert kinds == {"flowers": "csv", "prices": "csv", "letters": "idx", "waves": "npz", "shells": "images"}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"titel": "x"}, ": unknown key 'titel' (did you mean 'title'?); known: title, task, reader, files,"),
        ({"licence": None}, ".licence: is missing"),
        ({"task": "ranking"}, ".task: unknown task 'ranking'; known: classification, regression"),
        ({"title": 5}, ".title: 5 must be text"),
        ({"reader": "csv"}, ".reader: 'csv' must be a mapping"),
        ({"reader": {"kind": "tsv"}}, ".reader: unknown kind 'tsv'"),
        ({"reader": {"kind": ["csv"]}}, ".reader: unknown kind ['csv']"),
        ({"reader": {"kind": "csv", "dtype": "float16"}}, ".reader.dtype: unknown dtype 'float16'"),
        ({"reader": {"kind": "csv", "shape": [28, 0]}}, ".reader.shape.1: 0 must be greater than or equal to 1"),
        ({"reader": {"kind": "csv", "header": "yes"}}, ".reader.header: 'yes' must be true or false"),
        ({"reader": {"kind": "csv", "target": "y"}}, ".reader: 'y' names a column, which needs header: true, or columns"),
        ({"reader": {"kind": "csv", "ratios": {"r": ["a", 1]}}}, ".reader: 'a' names a column, which needs header: true, or"),
        ({"reader": {"kind": "csv", "features": ["r"]}}, ".reader: 'r' names a column, which needs header: true, or columns"),
        ({"reader": {"kind": "csv", "columns": ["a", "y"], "header": True}}, ".reader.columns: are named by the header"),
        ({"reader": {"kind": "csv", "columns": ["a", "y", "a"]}}, ".reader.columns: 'a' occurs twice"),
        ({"reader": {"kind": "csv", "columns": ["a", "y"], "target": "z"}}, ".reader: unknown column 'z'; known: a, y"),
        ({"reader": {"kind": "csv", "columns": ["area", "y"], "features": ["aera"]}}, ".reader: unknown column 'aera' (did"),
        ({"reader": {"kind": "csv", "columns": ["a"], "ratios": {"a": [0, 1]}}}, ".reader.ratios: 'a' is a column already"),
        ({"reader": {"kind": "csv", "columns": ["a"], "ratios": {"r": ["a", "b"]}}}, ".reader: unknown column 'b'; known: a"),
        ({"reader": {"kind": "csv", "ratios": {"r": [0]}}}, ".reader.ratios.r: [0] must be a list of two"),
        ({"reader": {"kind": "csv", "target_divisor": 0}}, ".reader.target_divisor: 0 must be greater than 0"),
        ({"reader": {"kind": "csv", "target_divisor": 2}}, ".reader.target_divisor: labels of classes are not divided"),
        ({"reader": {"kind": "idx", "shape": [2]}}, ".reader: unknown key 'shape'"),
        ({"reader": {"kind": "npz", "parts": {"train": ["x", "y"]}}}, ".reader.parts: holds train; it must hold all,"),
        ({"reader": {"kind": "idx"}}, ".files: holds all; a reader of idx needs images + labels, or train_images +"),
        ({"files": {"train": FILE, "test": FILE}}, ".files: two have the same name"),
        ({"files": {"all": {**FILE, "name": "../all.csv"}}}, ".files.all.name: '../all.csv' must be a file name"),
        ({"files": {"all": {**FILE, "sha256": "0" * 63}}}, ".files.all.sha256: '000000"),
        ({"files": {"all": {**FILE, "sources": ["ftp://a/b"]}}}, ".files.all.sources.0: 'ftp://a/b' must be https://"),
        ({"files": {"all": {**FILE, "sources": []}}}, ".files.all.sources: [] "),
        ({"files": {"all": {**FILE, "mirror_name": "a/b.gz"}}}, ".files.all.mirror_name: 'a/b.gz' must be a file name"),
        ({"task": "regression", "class_names": ["a"]}, ".class_names: a regression has no classes"),
    ],
)
def test_mistake_in_an_entry(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    assert refused(tmp_path, **changes).startswith(said)


def test_mistake_in_a_name(tmp_path: Path) -> None:
    path = tmp_path / "datasets.yaml"
    path.write_text("Mine-5k: {}")
    assert message(load_catalogue, path).startswith(f"{path}: 'Mine-5k' is no name")


def test_entry_is_frozen() -> None:
    entry: Any = Dataset.model_validate(ENTRY)
    with pytest.raises(ValueError, match="frozen"):
        entry.title = "other"


def test_unknown_name_lists_the_known() -> None:
    known = {"mine": Dataset.model_validate(ENTRY)}
    assert pick(known, "mine") is known["mine"]
    assert message(pick, known, "yours").endswith("unknown data set 'yours'; known: mine")


# All readers


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


# CSV


def test_csv_by_position(tmp_path: Path) -> None:
    x, y = read_csv(tmp_path, "1,2,0.5\n3,4,1e-3\n")
    assert (x.dtype.name, x.tolist()) == ("float32", [[1, 2], [3, 4]])
    assert (y.dtype.name, y.tolist()) == ("float64", [0.5, 0.001])


def test_csv_by_header(tmp_path: Path) -> None:
    x, y = read_csv(tmp_path, "a,b,y,c\n1,2,3,4\n", header=True, target="y", features=["c", "a", 1], dtype="int16")
    assert (x.dtype.name, x.tolist(), y.tolist()) == ("int16", [[4, 1, 2]], [3])


def test_csv_shape(tmp_path: Path) -> None:
    x, _ = read_csv(tmp_path, "9,1,2,3,4\n", target=0, shape=[2, 2], dtype="uint8")
    assert (x.dtype.name, x.tolist()) == ("uint8", [[[1, 2], [3, 4]]])


def test_csv_text_elsewhere_does_not_matter(tmp_path: Path) -> None:
    x, y = read_csv(tmp_path, "5,NA,1\n6,,2\n", features=[0])
    assert (x.tolist(), y.tolist()) == ([[5], [6]], [1, 2])


@settings(deadline=None, max_examples=30, derandomize=True)
@given(numbers=st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=5))
def test_csv_numbers_are_read_to_the_last_digit(numbers: list[float]) -> None:
    with TemporaryDirectory() as folder:
        x, _ = read_csv(Path(folder), "".join(f"{number!r},1\n" for number in numbers), dtype="float64")
    assert x[:, 0].tolist() == numbers


HOUSES: dict[str, Any] = {
    "columns": ["longitude", "rooms", "households", "value"],
    "ratios": {"rooms_each": ["rooms", "households"]},
    "target": "value",
    "target_divisor": 100000,
    "features": ["rooms_each", "longitude"],
    "dtype": "float64",
}


def test_csv_ratios_and_unit_of_the_target(tmp_path: Path) -> None:
    x, y = read_csv(tmp_path, "-122.23,880,126,452600\n-122.22,7099,1138,358500\n", **HOUSES)
    assert (x.dtype.name, x.tolist()) == ("float64", [[880 / 126, -122.23], [7099 / 1138, -122.22]])
    assert y.tolist() == [4.526, 3.585]


def test_csv_ratios_come_last_unless_features_say_where(tmp_path: Path) -> None:
    x, y = read_csv(tmp_path, "6,3,9\n", ratios={"r": [0, 1], "s": [-1, 0]})
    assert (x.tolist(), y.tolist()) == ([[6, 3, 2, 1.5]], [9])
    x, y = read_csv(tmp_path, "a,b,y\n6,3,9\n", header=True, ratios={"r": ["a", "b"]}, features=["r", -2])
    assert (x.tolist(), y.tolist()) == ([[2, 3]], [9])


@settings(deadline=None, max_examples=30, derandomize=True)
@given(rows=st.lists(st.tuples(st.integers(-(2**40), 2**40), st.floats(1e-3, 1e6)), min_size=1, max_size=5))
def test_csv_ratio_is_numpy_s_quotient(rows: list[tuple[int, float]]) -> None:
    with TemporaryDirectory() as folder:
        text = "".join(f"{above},{below!r},1\n" for above, below in rows)
        x, _ = read_csv(Path(folder), text, ratios={"r": [0, 1]}, features=["r"], dtype="float64")
    assert x[:, 0].tolist() == [above / below for above, below in rows]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "1,8,2,5\n1,8,0,5\n",
            "row 2, column 'households' (counted from 1): 0, where 'rooms_each' needs something to divide by",
        ),
        ("1,8,2,5\n1,eight,2,5\n", "row 2, column 'rooms' (counted from 1): 'eight' is no finite number that float64 can hold"),
        ("1,8,2,5\n1,8,,5\n", "row 2, column 'households' (counted from 1): '' is no finite number that float64 can hold"),
        ("west,8,2,5\n", "row 1, column 'longitude' (counted from 1): 'west' is no finite number that float64 can hold"),
        ("1,8,2,<br>\n", "row 1, column 'value' (counted from 1): '<br>' is no finite number that float64 can hold"),
        ("1,1e300,1e-300,5\n", "row 1, column 'rooms_each' (counted from 1): 'inf' is no finite number that float64 can hold"),
        ("1,8,2\n", "has 3 columns, where 4 are named"),
        ("1,8,2,5,6\n", "has 5 columns, where 4 are named"),
    ],
)
def test_csv_of_houses_refused(tmp_path: Path, text: str, said: str) -> None:
    refusal = message(read, tmp_path, {"kind": "csv", **HOUSES}, {"all": text.encode()}, task="regression")
    assert refusal == f"{tmp_path / 'all'}: {said}"


def test_csv_ratio_named_like_a_column_of_the_header(tmp_path: Path) -> None:
    reader = {"kind": "csv", "header": True, "ratios": {"a": ["a", "b"]}}
    refusal = message(read, tmp_path, reader, {"all": b"a,b,y\n1,2,3\n"}, task="regression")
    assert refusal == f"{tmp_path / 'all'}: ratios: 'a' is a column already"


def test_names_of_features(tmp_path: Path) -> None:
    def names(reader: dict[str, Any], **others: Any) -> tuple[str, ...]:
        return Dataset.model_validate({**ENTRY, "task": "regression", "reader": reader, **others}).named_features

    assert names({"kind": "csv", **HOUSES}) == ("rooms_each", "longitude")
    assert names({"kind": "csv", **HOUSES}, feature_names=["rooms", "x"]) == ("rooms", "x")
    assert names({"kind": "csv", "header": True, "features": ["a", 1]}) == ()
    assert names({"kind": "csv"}) == ()
    reader = {"kind": "npz", "parts": {"all": ["x", "y"]}}
    content = {"arrays": npz(tmp_path, x=[[1, 2]], y=[0])}
    assert read(tmp_path, reader, content, feature_names=["a", "b"])["all"][0].tolist() == [[1, 2]]
    said = f"{tmp_path / 'arrays'}: rows of 2 values, where feature_names has 3"
    assert message(read, tmp_path, reader, content, feature_names=["a", "b", "c"]) == said


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        ("1,2\n3,x\n", {}, "row 2, column 2 (counted from 1): 'x' is no finite number that float64 can hold"),
        ("a,y\n1,2\n", {}, "row 1, column 1 (counted from 1): 'a' is no finite number that float32 can hold"),
        ("a,y\nx,2\n", {"header": True}, "row 1, column 'a' (counted from 1): 'x' is no finite number"),
        ("1,2\n,4\n", {}, "row 2, column 1 (counted from 1): '' is no finite number"),
        ("1,2\nnan,4\n", {}, "row 2, column 1 (counted from 1): 'nan' is no finite number"),
        ("1,2\ninf,4\n", {}, "row 2, column 1 (counted from 1): 'inf' is no finite number"),
        ("True,2\nFalse,4\n", {}, "row 1, column 1 (counted from 1): 'True' is no finite number"),
        ("1,2,3\n4,5\n", {}, "row 2, column 3 (counted from 1): '' is no finite number"),
        ("1,2\n3,4,5\n", {}, "line 2 has 3 columns, the first has 2"),
        ("a,y\n1,2,3\n", {"header": True}, "rows have more columns than the header, which has 2"),
        ("256,2\n", {"dtype": "uint8"}, "row 1, column 1 (counted from 1): '256' is no finite number that uint8 can"),
        ("1.5,2\n", {"dtype": "uint8"}, "row 1, column 1 (counted from 1): '1.5' is no finite number that uint8 can"),
        ("1e300,2\n", {}, "row 1, column 1 (counted from 1): '1e+300' is no finite number that float32 can hold"),
        ("", {}, "has no rows"),
        ("a,y\n", {"header": True}, "has no rows"),
        ("1,2\n", {"target": 2}, "there is no column 2 among 2; they count from 0, or from -1 backwards"),
        ("a,y\n1,2\n", {"header": True, "target": "z"}, "unknown column 'z'"),
        ("1,2\n", {"features": [1]}, "column -1 is the target and cannot be a feature too"),
        ("1\n", {}, "no column is left for a feature"),
        ("1,2,3\n", {"shape": [3]}, "rows of 2 values do not fit shape [3]"),
        ("\xff\xfe,2\n", {}, "not a CSV file: "),
    ],
)
def test_csv_refused(tmp_path: Path, text: str, options: dict[str, Any], said: str) -> None:
    reader = {"kind": "csv", **options}
    refusal = message(read, tmp_path, reader, {"all": text.encode("latin-1")}, task="regression")
    assert refusal.startswith(f"{tmp_path / 'all'}: {said}")


# IDX


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
        (gzip.compress(b""), "not an IDX file: it begins with 1f 8b 08 00"),
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


# NPZ


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
        ({"x": np.array([[None]]), "y": [0]}, "not an NPZ file of plain arrays: "),
        ({"x": [["a"]], "y": [0]}, "the inputs are of type <U1, not numbers"),
        ({"x": [[1]], "y": [True]}, "the targets are of type bool, not numbers"),
        ({"x": [[np.inf]], "y": [0]}, "the inputs hold inf in row 1, not a finite number"),
        ({"x": [[1]], "y": [np.nan]}, "the targets hold nan in row 1, not a finite number"),
    ],
)
def test_npz_refused(tmp_path: Path, arrays: dict[str, Any], said: str) -> None:
    reader = {"kind": "npz", "parts": {"all": ["x", "y"]}}
    refusal = message(read, tmp_path, reader, {"arrays": npz(tmp_path, **arrays)})
    assert refusal.startswith(f"{tmp_path / 'arrays'}: {said}")


def test_npz_must_be_an_archive(tmp_path: Path) -> None:
    reader = {"kind": "npz", "parts": {"all": ["x", "y"]}}
    said = f"{tmp_path / 'arrays'}: not an NPZ file, which is a zip archive"
    assert message(read, tmp_path, reader, {"arrays": b"\x93NUMPY"}) == said


# Images in folders

CLASSES = ["dog", "cat"]


def picture(array: Any, kind: str = "PNG", mode: str | None = None) -> bytes:
    file = io.BytesIO()
    image = Image.fromarray(np.asarray(array, np.uint8))
    (image.convert(mode) if mode else image).save(file, kind)
    return file.getvalue()


def grey(value: int = 0, height: int = 2, width: int = 3) -> np.ndarray:
    return np.full((height, width), value, np.uint8)


def zipped(members: Mapping[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def tarred(members: Mapping[str, bytes], mode: str = "w:") -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as archive:  # type: ignore[call-overload]
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


def read_folders(folder: Path, archive: bytes, **options: Any) -> tuple[np.ndarray, np.ndarray]:
    reader = {"kind": "images", **options}
    x, y = read(folder, reader, {"archive": archive}, class_names=CLASSES)["all"]
    return x, y


def two(others: Mapping[str, bytes] | None = None) -> dict[str, bytes]:
    """An image of each class, and others."""
    return {"cat/1.png": picture(grey(1)), "dog/1.png": picture(grey(2)), **(others or {})}


def png(width: int, height: int) -> bytes:
    """A PNG that says it has so many pixels, and holds none."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = [header, b"IDAT" + zlib.compress(b""), b"IEND"]
    body = b"".join(struct.pack(">I", len(each) - 4) + each + struct.pack(">I", zlib.crc32(each)) for each in chunks)
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize("pack", [zipped, tarred, lambda members: tarred(members, "w:xz")])
def test_images_are_read_by_class_and_name_whatever_their_order_in_the_archive(tmp_path: Path, pack: Any) -> None:
    members = {
        "cat/2.png": picture(grey(20)),
        "dog/b.png": picture(grey(40)),
        "cat/10.png": picture(grey(10)),
        "dog/a.png": picture(grey(30)),
    }
    x, y = read_folders(tmp_path, pack(members))
    assert x.shape == (4, 2, 3)
    assert x.dtype == np.uint8
    assert x[:, 0, 0].tolist() == [30, 40, 10, 20]  # dog is the first of class_names
    assert y.tolist() == [0, 0, 1, 1]


def test_images_in_colour_have_three_channels(tmp_path: Path) -> None:
    colours = np.arange(18).reshape(2, 3, 3)
    x, _ = read_folders(tmp_path, zipped({"cat/1.png": picture(colours), "dog/1.png": picture(colours + 100)}))
    assert x.tolist() == [(colours + 100).tolist(), colours.tolist()]


@pytest.mark.parametrize(("colour", "shape"), [("grey", (2, 2, 3)), ("rgb", (2, 2, 3, 3))])
def test_images_of_any_colours_are_turned_into_one(tmp_path: Path, colour: str, shape: tuple[int, ...]) -> None:
    members = {"cat/1.png": picture(grey(7)), "dog/1.png": picture(np.full((2, 3, 3), 255), mode="P")}
    x, _ = read_folders(tmp_path, zipped(members), colour=colour)
    assert x.shape == shape
    assert [np.unique(each).tolist() for each in x] == [[255], [7]]


def test_jpeg_images_are_read(tmp_path: Path) -> None:
    members = {f"{name}/1.JPG": picture(grey(90, 16, 16), "JPEG") for name in CLASSES}
    x, _ = read_folders(tmp_path, zipped(members))
    assert np.abs(x.astype(int) - 90).max() <= 1


def test_what_is_not_in_a_class_s_folder_or_hidden_is_left_out(tmp_path: Path) -> None:
    junk = {"README.txt": b"x", "cat/.DS_Store": b"x", "__MACOSX/cat/._1.png": b"x", "dog/Thumbs.db": b"x", ".git/config": b"x"}
    x, _ = read_folders(tmp_path, zipped({**two(), **junk}))
    assert len(x) == 2


def test_images_of_parts_are_in_folders_of_one_archive_or_in_two(tmp_path: Path) -> None:
    members = {f"set/{part}/{name}": content for part in ("old", "new") for name, content in two().items()}
    reader = {"kind": "images", "folders": {"train": "set/old", "test": "set/new"}}
    parts = read(tmp_path, reader, {"archive": zipped(members)}, class_names=CLASSES)
    assert {part: y.tolist() for part, (_, y) in parts.items()} == {"train": [0, 1], "test": [0, 1]}
    contents = {"train": zipped(two({"cat/2.png": picture(grey())})), "test": tarred(two())}
    parts = read(tmp_path, {"kind": "images"}, contents, class_names=CLASSES)
    assert {part: y.tolist() for part, (_, y) in parts.items()} == {"train": [0, 1, 1], "test": [0, 1]}


def test_images_of_the_parts_must_be_alike(tmp_path: Path) -> None:
    large = {f"{name}/1.png": picture(grey(0, 4, 4)) for name in CLASSES}
    said = message(read, tmp_path, {"kind": "images"}, {"train": zipped(two()), "test": zipped(large)}, class_names=CLASSES)
    assert said.endswith("the images of the parts differ in size or colour: train has 2 x 3, test has 4 x 4")


@pytest.mark.parametrize(
    ("members", "said"),
    [
        (
            two({"dog/2.png": picture(grey(0, 2, 4))}),
            "'dog/2.png' is 4 x 2 pixels, grey, where 'cat/1.png' is 3 x 2 pixels, grey",
        ),
        (two({"cat/9.png": b"GIF89a"}), "'cat/9.png' is not a PNG or JPEG image that can be read: cannot identify image file"),
        (two({"cat/9.png": picture(grey())[:-30]}), "'cat/9.png' is not a PNG or JPEG image that can be read: "),
        (two({"cat/9.png": b""}), "'cat/9.png' is not a PNG or JPEG image"),
        (two({"cat/9.txt": b"a note"}), "'cat/9.txt' is not a PNG or JPEG image"),
        (
            two({"cat/9.png": picture(np.zeros((2, 3, 4)))}),
            "'cat/9.png' is neither grey nor RGB but RGBA; set the reader's colour",
        ),
        (two({"cow/1.png": picture(grey())}), "unknown folder 'cow'; known: dog, cat (class_names)"),
        (two({"cat/small/1.png": picture(grey())}), "'cat/small/1.png': a class has images, and no folders of its own"),
        ({"cat/1.png": picture(grey())}, "no image of class 'dog'; its folder must be 'dog'"),
        ({}, "no image of class 'dog'"),
        (two({"../cat/1.png": b""}), "'../cat/1.png' would lie outside the folder that the archive is unpacked in"),
        ({"/cat/1.png": b""}, "'/cat/1.png' would lie outside"),
        ({"cat\\\\1.png": b""}, "would lie outside"),
        (two({"cat/9.png": png(5000, 5000)}), "'cat/9.png' has 5000 x 5000 pixels, more than 16777216"),
        (two({"cat/9.png": png(50000, 50000)}), "'cat/9.png' is not a PNG or JPEG image that can be read: Image size"),
    ],
)
@pytest.mark.parametrize("pack", [zipped, tarred])
def test_images_refused(tmp_path: Path, members: dict[str, bytes], said: str, pack: Any) -> None:
    refusal = message(read_folders, tmp_path, pack(members))
    assert refusal.startswith(f"{tmp_path / 'archive'}: ")
    assert said in refusal


def test_images_of_more_than_8_bits_are_refused(tmp_path: Path) -> None:
    file = io.BytesIO()
    Image.fromarray(np.zeros((2, 3), np.uint16)).save(file, "PNG")
    said = message(read_folders, tmp_path, zipped({**two(), "cat/2.png": file.getvalue()}), colour="grey")
    assert "'cat/2.png' has more than 8 bits a colour (I;16)" in said


def test_grey_and_colour_do_not_mix_unasked(tmp_path: Path) -> None:
    said = message(read_folders, tmp_path, zipped({**two(), "dog/2.png": picture(np.zeros((2, 3, 3)))}))
    assert "'dog/2.png' is 3 x 2 pixels, RGB, where 'cat/1.png' is 3 x 2 pixels, grey; all must be alike" in said


def test_decompression_bombs_are_refused_unopened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "IMAGE_BYTES", 10_000)
    assert "'cat/9.png' has 20000 bytes; an image may have 10000" in message(
        read_folders, tmp_path, zipped(two({"cat/9.png": bytes(20_000)}))
    )
    monkeypatch.setattr(catalogue, "IMAGES_BYTES", 10)
    assert "2 images of 6 bytes each are too many to hold in memory" in message(read_folders, tmp_path, zipped(two()))


@pytest.mark.parametrize(
    ("archive", "said"),
    [
        (b"not an archive", "neither a zip nor a tar archive, or a damaged one"),
        (b"", "neither a zip nor a tar archive, or a damaged one"),
        (zipped(two())[:-30], "neither a zip nor a tar archive, or a damaged one"),
        (tarred(two())[:700], "neither a zip nor a tar archive, or a damaged one"),
        (zipped(two()).replace(b"\x89PNG", b"\x89PNX"), "cannot be unpacked: Bad CRC-32 for file"),
    ],
)
def test_archives_refused(tmp_path: Path, archive: bytes, said: str) -> None:
    assert said in message(read_folders, tmp_path, archive)


def test_an_archive_holds_no_name_twice_and_no_links(tmp_path: Path) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("cat/1.png", picture(grey()))
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("cat/1.png", picture(grey()))
    assert "'cat/1.png' is in it twice" in message(read_folders, tmp_path, file.getvalue())
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as links:
        info = tarfile.TarInfo("cat/1.png")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        links.addfile(info)
    assert "'cat/1.png' is a link or a device, not a file" in message(read_folders, tmp_path, file.getvalue())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"class_names": []},
            ".class_names: must be the names of the folders, two or more, each once, in the order of the labels",
        ),
        ({"class_names": ["cat"]}, ".class_names: must be the names of the folders, two or more"),
        ({"class_names": ["cat", "cat"]}, ".class_names: must be the names of the folders, two or more"),
        ({"task": "regression"}, ".task: folders of images are classes, so it must be classification"),
        ({"reader": {"kind": "images", "colour": "red"}}, ".reader.colour: unknown colour 'red'; known: as_is, grey, rgb"),
        (
            {"reader": {"kind": "images", "folders": {"train": "a"}}},
            ".reader.folders: holds train; it must hold all, or train and test",
        ),
        (
            {"reader": {"kind": "images", "folders": {"all": "/a"}}},
            ".reader.folders.all: '/a' must be a folder inside the archive",
        ),
        ({"files": {"all": FILE}}, ".files: holds all; a reader of images needs archive, or train + test"),
        (
            {
                "reader": {"kind": "images", "folders": {"all": "a"}},
                "files": {"train": FILE, "test": {**FILE, "name": "other.zip"}},
            },
            ".reader.folders: holds all; with files train and test it must hold these, or nothing",
        ),
    ],
)
def test_mistakes_about_images_are_refused(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    valid = {"reader": {"kind": "images"}, "files": {"archive": FILE}, "class_names": CLASSES}
    assert refused(tmp_path, **{**valid, **changes}).startswith(said)


def test_a_catalogue_with_images_is_valid(tmp_path: Path) -> None:
    entry = {**ENTRY, "reader": {"kind": "images"}, "files": {"archive": FILE}, "class_names": CLASSES}
    (tmp_path / "datasets.yaml").write_text(json.dumps({"pets": entry}))
    assert load_catalogue(tmp_path / "datasets.yaml")["pets"].reader.kind == "images"
