"""Columns of a table: numbers, true and false, dates, categories, and what is missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.datasets import message, read

nan = np.nan


def given(folder: Path, text: str, test: str | None = None, **options: Any) -> Any:
    """A text with a header, and another one to test on."""
    contents = {"all": text.encode()} if test is None else {"train": text.encode(), "test": test.encode()}
    return read(folder, {"kind": "csv", "header": True, **options}, contents, task="regression")


@pytest.mark.parametrize("token", ["", "NA", "N/A", "NaN", "nan", "null", "NULL", "?", "-", " ? "])
def test_what_is_missing_is_nan(tmp_path: Path, token: str) -> None:
    parts = given(tmp_path, f"a,b,y\n1,{token},3\n{token},5,6\n7,8,9\n")
    np.testing.assert_array_equal(parts["all"][0], np.array([[1, nan], [nan, 5], [7, 8]], np.float32))
    assert [column.kind for column in parts.columns] == ["number", "number"]


def test_the_settings_say_what_is_missing(tmp_path: Path) -> None:
    text = "a,b,y\n-999,1,3\n5,-999.0,6\n7,none,9\n"
    x, _ = given(tmp_path, text, missing=[-999, "none"])["all"]
    np.testing.assert_array_equal(x, [[nan, 1], [5, nan], [7, nan]])
    said = "row 3, column 'b' (counted from 1): '?' is no finite number that float32 can hold"
    assert message(given, tmp_path, text.replace("none", "?"), missing=[-999]) == f"{tmp_path / 'all'}: {said}"


def test_true_and_false_are_1_and_0(tmp_path: Path) -> None:
    parts = given(tmp_path, "a,b,c,y\ntrue,FALSE,True,1\nfalse,TRUE,?,2\n")
    np.testing.assert_array_equal(parts["all"][0], [[1, 0, 1], [0, 1, nan]])
    assert {column.kind for column in parts.columns} == {"boolean"}
    assert given(tmp_path, "a,y\ntrue,1\nfalse,2\n", dtype="uint8")["all"][0].tolist() == [[1], [0]]


def test_a_date_is_its_days_since_1970(tmp_path: Path) -> None:
    text = "day,y\n1970-01-02,1\n2024-01-01T12:00:00,2\n1969-12-31 00:00,3\n,4\n"
    parts = given(tmp_path, text, dates=["day"])
    np.testing.assert_array_equal(parts["all"][0][:, 0], np.array([1, 19723.5, -1, nan], np.float32))
    assert parts.columns[0].kind == "date"
    x, _ = given(tmp_path, "day,y\n31.12.1970,1\n", dates=["day"], date_format="%d.%m.%Y")["all"]
    assert x.tolist() == [[364]]
    said = message(given, tmp_path, "day,y\n1970-01-02,1\n31.12.1970,2\n", dates=["day"])
    assert said.endswith(
        "row 2, column 'day' (counted from 1): '31.12.1970' is no date; 2024-12-31 is one; set date_format for others"
    )


def test_a_category_is_the_place_of_its_value_among_those_that_occur_in_all_parts(tmp_path: Path) -> None:
    train, test = "sex,port,y\nmale,S,1\nfemale,,2\n", "sex,port,y\nfemale,C,3\nunknown,S,4\n"
    parts = given(tmp_path, train, test, categories=["sex", "port"])
    np.testing.assert_array_equal(parts["train"][0], [[1, 1], [0, nan]])
    np.testing.assert_array_equal(parts["test"][0], [[0, 0], [2, 1]])
    assert [(column.values, column.ordered) for column in parts.columns] == [
        (("female", "male", "unknown"), False),
        (("C", "S"), False),
    ]


def test_numbers_may_be_categories_and_sort_by_size(tmp_path: Path) -> None:
    parts = given(tmp_path, "origin,zip,y\n10,01,1\n9,02,2\n?,01,3\n", categories=["origin", "zip"])
    assert [column.values for column in parts.columns] == [("9", "10"), ("01", "02")]
    np.testing.assert_array_equal(parts["all"][0], [[1, 0], [0, 1], [nan, 0]])


def test_an_order_of_values_is_kept_and_others_are_refused(tmp_path: Path) -> None:
    order = {"size": ["small", "NA", "large"], "colour": None}
    text = "size,colour,y\nlarge,red,1\nsmall,blue,2\nNA,NA,3\n"
    parts = given(tmp_path, text, categories=order)
    np.testing.assert_array_equal(parts["all"][0], [[2, 1], [0, 0], [1, nan]])  # NA is a size, but no colour
    assert [(column.values, column.ordered) for column in parts.columns] == [
        (("small", "NA", "large"), True),
        (("blue", "red"), False),
    ]
    said = message(given, tmp_path, text.replace("large", "lagre"), categories=order)
    assert said.endswith("unknown value 'lagre' (did you mean 'large'?); known: small, NA, large (categories)")


def test_columns_without_names_are_counted(tmp_path: Path) -> None:
    reader = {"kind": "csv", "categories": [1], "leave_out": [0], "dates": [2]}
    parts = read(tmp_path, reader, {"all": b"x,b,2024-01-01,1\ny,a,2024-01-02,2\n"}, task="regression")
    assert parts["all"][0].tolist() == [[1, 19723], [0, 19724]]
    assert [column.name for column in parts.columns] == ["column_2", "column_3"]


def test_a_ratio_of_what_is_missing_is_missing(tmp_path: Path) -> None:
    parts = given(tmp_path, "a,b,y\n6,3,1\n?,3,2\n", ratios={"r": ["a", "b"]}, features=["r"])
    np.testing.assert_array_equal(parts["all"][0], [[2], [nan]])


def test_parts_must_have_as_many_features(tmp_path: Path) -> None:
    said = message(given, tmp_path, "a,b,y\n1,2,3\n", "a,y\n1,2\n")
    assert said == f"{tmp_path / 'test'}: has 1 features, where the first part has 2"


def test_a_column_beside_the_features(tmp_path: Path) -> None:
    reader = {"kind": "csv", "header": True, "leave_out": ["who", "day"], "missing": ["?"]}
    content = {"all": b"who,day,a,y\np1,2024-01-02,1,1\n7,2024-01-01,2,2\n"}
    from helpers.datasets import dataset
    from stages.lib.data.parts import read_parts

    entry = dataset(tmp_path, reader, content, task="regression")
    assert read_parts(entry, tmp_path, "who").beside["all"].tolist() == ["p1", "7"]
    assert read_parts(entry, tmp_path, "day").beside["all"].tolist() == [19724, 19723]
    assert read_parts(entry, tmp_path, "a").beside["all"].tolist() == [1, 2]
    assert message(read_parts, entry, tmp_path, "whom").endswith(
        "unknown column 'whom' (did you mean 'who'?); known: who, day, a, y"
    )
    entry = dataset(tmp_path, reader, {"all": content["all"].replace(b"p1", b"?")}, task="regression")
    assert message(read_parts, entry, tmp_path, "who").endswith(
        "row 1, column 'who' (counted from 1): is missing, and the split needs it"
    )


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        ("a,y\n1,\n2,high\n", {}, "row 2, column 'y' (counted from 1): 'high' is no finite number that float64 can hold"),
        ("a,y\n1,inf\n", {}, "row 1, column 'y' (counted from 1): 'inf' is no finite number that float64 can hold"),
        ("a,b,y\n1,?,1\n2,?,2\n", {}, "column 'b' holds no value at all; put it under leave_out"),
        (
            "a,b,y\nred,1,1\nblue,2,2\n",
            {"categories": ["a"], "shape": [2, 1]},
            "a row with categories has no shape; leave shape out",
        ),
    ],
)
def test_more_that_is_refused(tmp_path: Path, text: str, options: dict[str, Any], said: str) -> None:
    found = message(given, tmp_path, text, **options)
    assert found.startswith(f"{tmp_path / 'all'}: {said}")
