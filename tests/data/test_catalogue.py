"""The catalogue refuses what is misspelt, in one line that says where."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import pytest

from helpers.checkout import ROOT
from helpers.datasets import (
    CLASSES,
    ENTRY,
    FILE,
    message,
    refused,
)
from stages.lib.data.catalogue import AnyReader, Dataset, load_catalogue, pick


def test_shipped_catalogue_is_valid() -> None:
    catalogue = load_catalogue(ROOT / "data" / "datasets.yaml")
    shipped = [catalogue[name] for name in ("mnist_5k", "mnist", "fashion_mnist", "california_housing", "titanic")]
    assert all(entry.description and entry.target for entry in shipped)
    assert len(catalogue["fashion_mnist"].class_names) == 10


def test_examples_in_comments_are_valid(tmp_path: Path) -> None:
    lines = (ROOT / "data" / "datasets.yaml").read_text().split("# Examples:\n")[1].splitlines()
    examples = [line.removeprefix("#").removeprefix(" ") for line in lines if line.startswith("#")]
    (tmp_path / "datasets.yaml").write_text("\n".join(examples))
    kinds = {name: entry.reader.kind for name, entry in load_catalogue(tmp_path / "datasets.yaml").items()}
    assert kinds == {
        "flowers": "csv",
        "prices": "csv",
        "passengers": "csv",
        "trips": "parquet",
        "answers": "excel",
        "letters": "idx",
        "waves": "npz",
        "shells": "images",
    }
    assert set(kinds.values()) == {get_args(each.model_fields["kind"].annotation)[0] for each in get_args(AnyReader)}


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
        (
            {"reader": {"kind": "npz", "parts": {"train": ["x", "y"]}}, "files": {"arrays": FILE}},
            ".reader.parts: holds train; it must hold all, or train and test",
        ),
        ({"reader": {"kind": "npz"}, "files": {"arrays": FILE}}, ".reader.parts: holds nothing; it must hold all,"),
        (
            {
                "reader": {"kind": "npz", "parts": {"all": ["x", "y"]}},
                "files": {"inputs": FILE, "targets": {**FILE, "name": "y.npy"}},
            },
            ".reader.parts: are names in an archive; files of one array each have no names",
        ),
        ({"reader": {"kind": "idx"}}, ".files: holds all; a reader of idx needs images + labels, or train_images +"),
        ({"files": {"train": FILE, "test": FILE}}, ".files: two have the same name"),
        ({"files": {"all": {**FILE, "name": "../all.csv"}}}, ".files.all.name: '../all.csv' must be a file name"),
        ({"files": {"all": {**FILE, "sha256": "0" * 63}}}, ".files.all.sha256: '000000"),
        ({"files": {"all": {**FILE, "sources": ["ftp://a/b"]}}}, ".files.all.sources.0: 'ftp://a/b' must be https://"),
        ({"files": {"all": {**FILE, "sources": []}}}, ".files.all.sources: [] "),
        ({"files": {"all": {**FILE, "mirror_name": "a/b.gz"}}}, ".files.all.mirror_name: 'a/b.gz' must be a file name"),
        ({"class_names": ["a", "b", "a"]}, ".class_names: 'a' occurs twice"),
        (
            {"class_names": ["a", "class"]},
            ".class_names: 'class' is a column of metrics/confusion.csv; the class needs another",
        ),
        ({"class_names": ["variant", "b"]}, ".class_names: 'variant' is a column of metrics/confusion.csv"),
        ({"task": "regression", "class_names": ["a"]}, ".class_names: a regression has no classes"),
        ({"task": "regression", "labels": [0, 1]}, ".labels: a regression has no classes"),
        ({"labels": [1, "1"]}, ".labels: '1' occurs twice"),
        ({"labels": [[1]]}, ".labels.0: [1] must be text, a number, true or false"),
        ({"labels": [1, 2], "class_names": ["a", "b", "c"]}, ".labels: holds 2, and class_names 3; each class has one"),
        (
            {"reader": {"kind": "csv", "delimiter": "ab"}},
            ".reader.delimiter: 'ab' must be one sign between cells, or whitespace",
        ),
        ({"reader": {"kind": "csv", "delimiter": ",", "decimal": ","}}, ".reader.delimiter: ',' has another meaning here"),
        ({"reader": {"kind": "csv", "thousands": "."}}, ".reader.thousands: '.' has another meaning here already"),
        ({"reader": {"kind": "csv", "encoding": "utf8-x"}}, ".reader.encoding: 'utf8-x' is no encoding of text that Python"),
        ({"reader": {"kind": "csv", "encoding": "hex"}}, ".reader.encoding: 'hex' is no encoding of text that Python"),
        ({"reader": {"kind": "csv", "categories": ["sex"]}}, ".reader: 'sex' names a column, which needs header: true"),
        ({"reader": {"kind": "csv", "categories": "sex"}}, ".reader.categories: 'sex' must be a list of columns, or a mapping"),
        (
            {"reader": {"kind": "csv", "header": True, "categories": {"size": "small"}}},
            ".reader.categories.size: 'small' must be a list of values in their order",
        ),
        (
            {"reader": {"kind": "csv", "header": True, "categories": {"size": ["s", "s"]}}},
            ".reader.categories.size: ['s', 's'] holds a value twice",
        ),
        (
            {"reader": {"kind": "csv", "header": True, "categories": ["a"], "dates": ["a"]}},
            ".reader.dates: 'a' is under categories too; list it once",
        ),
        (
            {"reader": {"kind": "csv", "header": True, "features": ["a"], "leave_out": ["a"]}},
            ".reader.leave_out: 'a' is under features too; list it once",
        ),
        (
            {"reader": {"kind": "csv", "header": True, "categories": ["a"], "dtype": "int32"}},
            ".reader.dtype: int32 has no sign for a missing category; float32 or float64 have",
        ),
    ],
)
def test_mistake_in_an_entry(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    assert refused(tmp_path, **changes).startswith(said)


def test_mistake_in_a_name(tmp_path: Path) -> None:
    path = tmp_path / "datasets.yaml"
    path.write_text("Mine-5k: {}")
    assert message(load_catalogue, path).startswith(f"{path}: 'Mine-5k' is no name")


def test_a_checksum_may_be_in_capital_letters() -> None:
    entry = Dataset.model_validate({**ENTRY, "files": {"all": {**FILE, "sha256": "AB" * 32}}})
    assert entry.files["all"].sha256 == "ab" * 32


def test_entry_is_frozen() -> None:
    entry: Any = Dataset.model_validate(ENTRY)
    with pytest.raises(ValueError, match="frozen"):
        entry.title = "other"


def test_unknown_name_lists_the_known() -> None:
    known = {"mine": Dataset.model_validate(ENTRY)}
    assert pick(known, "mine") is known["mine"]
    assert message(pick, known, "yours").endswith("unknown data set 'yours'; known: mine")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"labels": ["a", "b"]}, ".labels: the folders of images are the labels; class_names names them"),
        (
            {"class_names": []},
            ".class_names: must be the names of the folders, two or more, each once, in the order of the labels",
        ),
        ({"class_names": ["cat"]}, ".class_names: must be the names of the folders, two or more"),
        ({"class_names": ["cat", "cat"]}, ".class_names: must be the names of the folders, two or more"),
        ({"task": "regression"}, ".task: folders of images are classes, so it must be classification"),
        ({"reader": {"kind": "images", "colour": "red"}}, ".reader.colour: unknown colour 'red'; known: as_is, grey, rgb"),
        ({"reader": {"kind": "images", "fit": "pad"}}, ".reader.fit: needs size: [height, width]"),
        ({"reader": {"kind": "images", "size": [8]}}, ".reader.size: [8] must be a list of two"),
        ({"reader": {"kind": "images", "size": [8, 0]}}, ".reader.size.1: 0 must be greater than or equal to 1"),
        (
            {"class_names": ["M\u00f6we", "Mo\u0308we"]},
            ".class_names: must be the names of the folders, two or more, each once",
        ),
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
