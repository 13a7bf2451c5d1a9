"""Text as people have it: delimiters, signs, encodings, comments and rows of unequal length, each with its right answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.datasets import message, read
from helpers.tables import FORMATS, ROWS, X
from stages.lib.data.readers.tables import Csv


def given(folder: Path, content: str | bytes, **options: Any) -> Any:
    """The rows of a text with a header and classes in the last column."""
    reader = {"kind": "csv", "header": True, **options}
    return read(folder, reader, {"all": content if isinstance(content, bytes) else content.encode()})


def refusal(folder: Path, content: str | bytes, **options: Any) -> str:
    said = message(given, folder, content, **options)
    assert said.startswith(f"{folder / 'all'}: ")
    return said.removeprefix(f"{folder / 'all'}: ")


@pytest.mark.parametrize("name", FORMATS)
def test_the_same_rows_in_many_forms(tmp_path: Path, name: str) -> None:
    content, options = FORMATS[name]
    parts = given(tmp_path, content, **options)
    assert parts["all"][0].tolist() == X
    assert parts["all"][1].tolist() == [0, 1, 2]
    assert parts.class_names == ("0", "1", "2")
    assert {column.kind for column in parts.columns} == {"number"}


def test_thousands_are_grouped_by_three(tmp_path: Path) -> None:
    text = "a;b;label\n1.234.567,5;1.000;0\n12;-1.234;1\n"
    x, _ = given(tmp_path, text, delimiter=";", decimal=",", thousands=".", dtype="float64")["all"]
    assert x.tolist() == [[1234567.5, 1000], [12, -1234]]
    said = refusal(tmp_path, "a;label\n31.12.2024;0\n1;1\n", delimiter=";", decimal=",", thousands=".")
    assert said.startswith(
        "row 1, column 'a' (counted from 1): '31.12.2024' is no finite number that float32 can hold; if it is"
    )
    x, _ = given(tmp_path, "a;label\n1 234;0\n1;1\n", delimiter=";", thousands="blank")["all"]
    assert x.tolist() == [[1234], [1]]


def test_a_comment_sign_within_a_line_is_text(tmp_path: Path) -> None:
    x, _ = given(tmp_path, '#!\na,flat,label\n1,"no. #3",0\n2,#4,1\n', comment="#", leave_out=["flat"])["all"]
    assert x.tolist() == [[1], [2]]


def test_a_quoted_cell_may_hold_delimiters(tmp_path: Path) -> None:
    x, _ = given(tmp_path, 'name,a,label\n"Braund, Mr. Owen",1,0\n"Say ""yes""",2,1\n', leave_out=["name"])["all"]
    assert x.tolist() == [[1], [2]]
    x, _ = given(tmp_path, 'name,a,label\n5" screen,1,0\nnone,2,1\n', leave_out=["name"], quote="none")["all"]
    assert x.tolist() == [[1], [2]]


@pytest.mark.parametrize(
    ("content", "options", "said"),
    [
        (
            "Größe,b,label\n1,2,0\n".encode("latin-1"),
            {},
            "not a CSV file: no text in utf-8 at byte 2: ~ set the reader's encoding, to latin-1 or cp1252, say",
        ),
        (
            ROWS.encode("utf-16"),
            {},
            "not a CSV file: no text in utf-8 at byte 0: ~ set the reader's encoding, to utf-16",
        ),
        (ROWS.replace(",", ";"), {}, "has one column, and ';' in each line; set delimiter to it"),
        (ROWS.replace(",", "\t"), {}, "has one column, and a tab in each line; set delimiter to it"),
        (ROWS.replace(",", "  "), {}, "has one column, and blanks in each line; set delimiter: whitespace"),
        (ROWS, {"delimiter": ";"}, "has one column, and ',' in each line; set delimiter to it"),
        (ROWS.replace(",", ";").replace(".", ","), {}, "has one column, and ';' in each line; set delimiter to it"),
        (
            ROWS.replace(",", ";").replace(".", ","),
            {"delimiter": ";"},
            "row 1, column 'a' (counted from 1): '0,5' ~ if ',' is the decimal sign, set decimal to it",
        ),
        ("# measured by me\n" + ROWS, {}, "the first line begins with '#'; set comment to it, if such lines are no rows"),
        (ROWS.replace("1.5,1.25,1", "1.5,1.25"), {}, "line 3 has 2 columns, the first has 3"),
        (ROWS.replace("1.5,1.25,1", "1.5,1.25,1,7"), {}, "line 3 has 4 columns, the first has 3"),
        (
            ROWS + "Total,,\n",
            {},
            "row 4, column 'a' (counted from 1): 'Total' ~ it seems to begin a row of totals: leave_out_last: 1 leaves it out",
        ),
        (
            ROWS,
            {"header": False},
            "row 1, column 1 (counted from 1): 'a' is no ~ if the first row names the columns, set header: true",
        ),
        (ROWS.partition("\n")[2], {}, "the header holds nothing but numbers, as a row of data does; set header: false"),
        (
            "a,b,label\n0,0.5,0.25,0\n1,1.5,1.25,1\n",
            {},
            "rows have more columns than the header, which has 3; if each row begins with ~ set row_names: true",
        ),
        (
            ",a,label\n0,0.5,0\n1,1.5,1\n",
            {},
            "column 1 has no name in the header, as the index of ~ put 0 under leave_out, or name the column",
        ),
        ("a,a,label\n1,2,0\n", {}, "the header names column 'a' twice; rename one of them"),
        ("a, a ,label\n1,2,0\n", {}, "the header names column 'a' twice; rename one of them"),
        (
            ROWS.replace("1.5", "0x1F"),
            {},
            "row 2, column 'a' (counted from 1): '0x1F' is no finite number that float32 can hold",
        ),
        (ROWS.replace("1.5", "45%"), {}, "row 2, column 'a' (counted from 1): '45%' is no finite number that float32 can hold"),
        (
            ROWS.replace("1.5", "1_000"),
            {},
            "row 2, column 'a' (counted from 1): '1_000' is no finite number that float32 can hold",
        ),
        (ROWS.replace("1.5", "inf"), {}, "row 2, column 'a' (counted from 1): 'inf' is no finite number that float32 can hold"),
        (
            "a,sex,label\n1,M,0\n2,F,1\n",
            {},
            "row 1, column 'sex' (counted from 1): 'M' ~ list the column under categories, or under leave_out",
        ),
        (
            "day,label\n2024-01-01,0\n2024-01-02,1\n",
            {},
            "row 1, column 'day' (counted from 1): '2024-01-01' ~ if it is a date, list the column under dates",
        ),
        ("a,b,label\n99999999999999999999,x,0\n", {}, "row 1, column 'b' (counted from 1): 'x' is no ~ under leave_out"),
        ('a,"b\n (m)",label\n1,x,0\n', {}, "row 1, column 'b (m)' (counted from 1): 'x' is no ~ under leave_out"),
        ("label\n1\n2\n", {"row_names": True}, "has one column, and row_names: true leaves it out"),
        ("a,b\n1,\x00\n2,\x00\n", {"encoding": "punycode"}, "not a CSV file: no text in ~ to latin-1 or cp1252, say"),
        ("", {}, "has no rows"),
        ("a,b,label\n", {}, "has no rows"),
        ("\n\n", {}, "has no rows"),
        (",,\n,,\n", {"header": False}, "has no rows"),
        (ROWS, {"leave_out_last": 3}, "has 3 rows, and leave_out_last is 3"),
        (ROWS, {"leave_out": ["c"]}, "unknown column 'c'; known: a, b, label"),
    ],
)
def test_what_is_no_such_table_says_what_would_make_it_one(
    tmp_path: Path, content: str | bytes, options: dict[str, Any], said: str
) -> None:
    found = refusal(tmp_path, content, **options)
    start, cut, end = said.partition("~")
    assert found.startswith(start) and found.endswith(end) if cut else found == said


def test_whole_numbers_beside_others_keep_all_digits(tmp_path: Path) -> None:
    large = 2**53 + 1
    x, _ = given(tmp_path, f"a,b,label\n{large},1.0,0\n-{large},2.0,1\n", dtype="int64")["all"]
    assert (x.dtype, x.tolist()) == (np.int64, [[large, 1], [-large, 2]])
    said = refusal(tmp_path, f"a,b,label\n{large},1.5,0\n", dtype="int64")
    assert said == "row 1, column 'b' (counted from 1): '1.5' is no finite number that int64 can hold"


def test_one_call_gives_the_cells_of_a_file(tmp_path: Path) -> None:
    """As a tool that looks at a file calls it."""
    (tmp_path / "mine.csv").write_text(" a ;day;sex;ok\n1,5; 2024-01-01;M;true\n?;2024-01-02; F ;false\n")
    reader = Csv.model_validate({"kind": "csv", "header": True, "delimiter": ";", "decimal": ","})
    frame = reader.frame(tmp_path / "mine.csv")
    assert list(frame.columns) == ["a", "day", "sex", "ok"]
    assert frame["a"].dtype == np.float64
    assert frame["a"][0] == 1.5
    assert np.isnan(frame["a"][1])
    assert frame["sex"].tolist() == ["M", "F"]
    assert frame["ok"].tolist() == [True, False]


@pytest.mark.parametrize(("kind", "library"), [("parquet", "pyarrow"), ("excel", "openpyxl")])
def test_a_library_that_is_not_installed_is_named(
    tmp_path: Path, kind: str, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    said = message(read, tmp_path, {"kind": kind, "target": "y"}, {"all": b"PK"})
    assert said.endswith(f"files need {library}, which is not installed: pip install {library}")


def test_parquet(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    import pandas as pd

    table = pd.DataFrame({"a": [1, None, 3], "sex": ["M", "F", None], "ok": [True, False, True], "y": [0.5, 1.5, 2.5]})
    table["day"] = [pd.Timestamp(day) for day in ("2024-01-01", "2024-01-02T12:00", "1970-01-01")]
    table.to_parquet(tmp_path / "made")
    reader = {"kind": "parquet", "target": "y", "categories": ["sex"], "dates": ["day"]}
    parts = read(tmp_path, reader, {"all": (tmp_path / "made").read_bytes()}, task="regression")
    np.testing.assert_array_equal(parts["all"][0], [[1, 1, 1, 19723], [np.nan, 0, 0, 19724.5], [3, np.nan, 1, 0]])
    assert message(read, tmp_path, reader, {"all": b"none"}, task="regression").startswith(
        f"{tmp_path / 'all'}: not a table in"
    )


def test_excel(tmp_path: Path) -> None:
    pytest.importorskip("openpyxl")
    import pandas as pd

    table = pd.DataFrame({"a": [1, None, 3], "size": [1, 2, None], "y": [0.5, 1.5, 2.5]})
    table["day"] = [pd.Timestamp(day) for day in ("2024-01-01", "2024-01-02T12:00", "1970-01-01")]
    table = table.rename(columns={"a": 2024})
    table.to_excel(tmp_path / "made.xlsx", index=False, startrow=2, sheet_name="answers")
    reader = {"kind": "excel", "target": "y", "categories": ["size"], "dates": ["day"], "skip_lines": 2, "sheet": "answers"}
    content = {"all": (tmp_path / "made.xlsx").read_bytes()}
    parts = read(tmp_path, reader, content, task="regression")
    np.testing.assert_array_equal(parts["all"][0], [[1, 0, 19723], [np.nan, 1, 19724.5], [3, np.nan, 0]])
    assert [(column.name, column.values) for column in parts.columns] == [("2024", ()), ("size", ("1", "2")), ("day", ())]
    said = message(read, tmp_path, {**reader, "sheet": "other"}, content, task="regression")
    assert said.startswith(f"{tmp_path / 'all'}: not a table in an Excel file: ")
