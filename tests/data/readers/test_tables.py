"""Tables are read to the last digit, and a mistake in a cell says where it is."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.datasets import (
    ENTRY,
    message,
    npz,
    read,
    read_csv,
)
from stages.lib.cli import UserError
from stages.lib.data.catalogue import Dataset
from stages.lib.data.readers.tables import Csv


def test_csv_by_position(tmp_path: Path) -> None:
    x, y = read_csv(tmp_path, "1,2,0.5\n3,4,1e-3\n")
    assert (x.dtype.name, x.tolist()) == ("float32", [[1, 2], [3, 4]])
    assert (y.dtype.name, y.tolist()) == ("float64", [0.5, 0.001])


def test_csv_by_header(tmp_path: Path) -> None:
    x, y = read_csv(tmp_path, "a,b,y,c\n1,2,3,4\n", header=True, target="y", features=["c", "a", 1], dtype="int16")
    assert (x.dtype.name, x.tolist(), y.tolist()) == ("int16", [[4, 1, 2]], [3])


@pytest.mark.parametrize("ending", ["gz", "zip", "bz2", "xz", "zst", "tar"])
def test_the_name_of_a_file_does_not_say_how_it_is_packed(tmp_path: Path, ending: str) -> None:
    content = b"1,2,0.5\n3,4,1e-3\n"
    (tmp_path / f"all.{ending}").write_bytes(content)
    raw = Csv.model_validate({"kind": "csv"}).read({"all": tmp_path / f"all.{ending}"}, ())["all"]
    assert raw.x.tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b,a,y\n1,2,3,4\n", "the header names column 'a' twice"),
        ("\ufeffa,b,a,y\n1,2,3,4\n", "the header names column 'a' twice"),
        ("1,2,3,4\n5,6,7,8\n", "the header holds nothing but numbers, as a row of data does; set header: false"),
        (",a,b,y\n0,5,6,7\n1,6,7,8\n", "column 1 has no name in the header, as the index of a data frame has none"),
    ],
)
def test_a_header_that_means_something_else_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UserError) as caught:
        read_csv(tmp_path, text, header=True)
    assert str(caught.value).startswith(f"{tmp_path / 'all'}: {said}")


def test_an_index_may_be_left_out_and_columns_may_be_numbered(tmp_path: Path) -> None:
    x, y = read_csv(tmp_path, ",a,b,y\n0,5,6,7\n1,6,7,8\n", header=True, features=["a", "b"], target="y")
    assert (x.tolist(), y.tolist()) == ([[5, 6], [6, 7]], [7, 8])
    x, y = read_csv(tmp_path, "0,1,2\n5,6,7\n", header=True)
    assert (x.tolist(), y.tolist()) == ([[5, 6]], [7])


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
        (
            "west,8,2,5\n",
            "row 1, column 'longitude' (counted from 1): 'west' is no finite number that float64 can hold; "
            "list the column under categories, or under leave_out",
        ),
        ("1,8,2,5\n1,8,2,<br>\n", "row 2, column 'value' (counted from 1): '<br>' is no finite number that float64 can hold"),
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
        ("1,2\n,4\n", {"dtype": "int32"}, "row 2, column 1 (counted from 1): is missing, and int32 has no sign for that; set"),
        ("1,2\nnan,4\n", {"missing": []}, "row 2, column 1 (counted from 1): 'nan' is no finite number"),
        ("1,2\ninf,4\n", {}, "row 2, column 1 (counted from 1): 'inf' is no finite number"),
        ("True,2\n1,4\n", {}, "row 1, column 1 (counted from 1): 'True' is no finite number"),
        ("1,2,3\n4,5\n", {}, "line 2 has 2 columns, the first has 3"),
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
