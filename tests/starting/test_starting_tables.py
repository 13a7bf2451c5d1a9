"""Tables as people have them become studies, or are refused in one line that says what to do."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from helpers.datasets import zipped
from helpers.starting import begin, refusal, table
from stages.lib.data.readers.columns import MISSING
from stages.lib.starting.answers import Answers

PLAIN = table("a,b,label", "{0},{1},{label}")


@pytest.mark.parametrize(
    ("content", "options"),
    [
        (PLAIN, {}),
        (b"\xef\xbb\xbf" + PLAIN.encode(), {}),
        (PLAIN.encode("utf-16"), {"encoding": "utf-16"}),
        (PLAIN.replace("a,b", "gr\u00f6\u00dfe,b").encode("latin-1"), {"encoding": "cp1252"}),
        (PLAIN.replace(",", ";"), {"delimiter": ";"}),
        (PLAIN.replace(",", "\t"), {"delimiter": "\t"}),
        (PLAIN.replace(",", "|"), {"delimiter": "|"}),
        (PLAIN.replace(",", "  "), {"delimiter": "whitespace"}),
        (PLAIN.replace(",", ", "), {}),
        (PLAIN.replace("\n", "\r\n"), {}),
        (PLAIN.replace("\n", "\r"), {}),
        (PLAIN.replace(",", ";").replace(".", ","), {"delimiter": ";", "decimal": ","}),
        ("# by me\n" + PLAIN, {"comment": "#"}),
        ("A table\nof mine\n\n" + PLAIN, {"skip_lines": 3}),
        (table(",a,b,label", "{i},{0},{1},{label}"), {"row_names": True}),
        (table("a b label", "r{i} {0} {1} {label}"), {"delimiter": "whitespace", "row_names": True}),
        (table("a,b,label", "{0},{1},{label},"), {}),
        (PLAIN + "Total,9,1\n", {"leave_out_last": 1}),
        (PLAIN.replace("2.25", "."), {"missing": [*MISSING, "."]}),
        (PLAIN.replace("2.25", "?"), {}),
        (table("id,a,label", "{i},{0},{label}"), {"leave_out": ["id"]}),
        (table("a,same,label", "{0},7,{label}"), {"leave_out": ["same"]}),
        (table("a,name,label", "{0},name {i},{label}"), {"leave_out": ["name"]}),
        (table("a,sex,label", "{0},{three},{label}"), {"categories": ["sex"]}),
        (table("a,sex,label", "{0},true,{label}").replace("1.0,true", "1.0,false"), {}),
        (table("a,day,label", "{0},2024-01-1{label},{label}"), {"dates": ["day"]}),
        (table("a,day,label", "{0},2{label}.12.2024,{label}"), {"dates": ["day"], "date_format": "%d.%m.%Y"}),
        (table("a,day,label", "{0},12/2{label}/2024,{label}"), {"dates": ["day"], "date_format": "%m/%d/%Y"}),
        (table("a,pay,label", '{0},"1,{i:03}",{label}'), {"thousands": ","}),
        (
            table("a;pay;label", "{i},5;1.{i:03},5;{label}"),
            {"delimiter": ";", "decimal": ",", "thousands": "."},
        ),
    ],
)
def test_a_table_is_read_as_it_is_written(tmp_path: Path, content: Any, options: dict[str, Any]) -> None:
    begun = begin(tmp_path, {"mine.csv": content})
    assert begun.reader == {"kind": "csv", "header": True, "target": "label", **options}
    assert begun.dataset.task == "classification"


def test_a_table_without_a_header_has_positions(tmp_path: Path) -> None:
    begun = begin(tmp_path, {"iris.data": table("", "{0},{1},{three},{text}")}, Answers(target="-1"))
    assert begun.reader == {"kind": "csv", "target": 3, "categories": [2]}
    assert begun.dataset.class_names == ("a", "b")
    assert begun.said[:-1] == [
        "table: , between cells, no header",
        "classification: column_4, 2 classes with their rows: a 20, b 20",
        "numbers: column_1, column_2",
        "categories: column_3 (3 values)",
    ]


@pytest.mark.parametrize(
    ("row", "task", "classes", "labels"),
    [
        ("{0},{1},{label}", "classification", (), ()),
        ("{0},{1},{text}", "classification", ("a", "b"), ()),
        ("{0},{1},{label}.0", "classification", (), ()),
        ("{0},{1},{three}7", "classification", ("x7", "y7", "z7"), ()),
        ("{0},{1},{i}", "regression", (), ()),
        ("{0},{1},{0}", "regression", (), ()),
    ],
)
def test_the_target_tells_the_task(tmp_path: Path, row: str, task: str, classes: Any, labels: Any) -> None:
    dataset = begin(tmp_path, {"mine.csv": table("a,b,y", row)}).dataset
    assert (dataset.task, dataset.class_names, dataset.labels) == (task, classes, labels)


def test_labels_may_begin_anywhere(tmp_path: Path) -> None:
    content = table("a,b,y", "{0},{1},{label}").replace(",1\n", ",8\n").replace(",0\n", ",3\n")
    assert begin(tmp_path, {"mine.csv": content}).dataset.labels == (3, 8)


def test_labels_may_be_true_and_false(tmp_path: Path) -> None:
    content = table("a,b,y", "{0},{1},{label}").replace(",1\n", ",True\n").replace(",0\n", ",False\n")
    begun = begin(tmp_path, {"mine.csv": content})
    assert begun.dataset.class_names == ("false", "true")
    assert "classification: y, 2 classes with their rows: false 20, true 20" in begun.said


def test_what_the_data_do_not_say_is_asked(tmp_path: Path) -> None:
    asked = []

    def answer(question: str, choices: Any) -> str:
        asked.append(question.replace(f"{tmp_path}/", ""))
        return {"c": "c", "classes": "quantity", "yes": "yes"}[
            next(each for each in ("c", "classes", "yes") if each in choices)
        ]

    content = "a,b,c\n" + "".join(f"{i / 2},{i % 7},{i % 12}\n" for i in range(40))
    begun = begin(tmp_path, {"mine.csv": content}, Answers(answer=answer))
    assert asked == [
        "mine.csv: which of its columns is to be predicted: a, b, c?",
        "mine.csv: the target c has 12 different numbers; are they classes, or a quantity to predict?",
    ]
    assert (begun.dataset.task, begun.reader["target"]) == ("regression", "c")


@pytest.mark.parametrize(
    ("content", "answers", "said"),
    [
        ("", {}, "mine.csv: has no rows"),
        ("a,b,label\n", {}, "mine.csv: has no rows"),
        (
            "one\ntwo\n",
            {},
            "mine.csv: no sign divides its lines into as many cells each; a table has a column to predict and another",
        ),
        (b"\0\1\2", {}, "mine.csv: neither text nor an image, an NPZ, NPY or IDX file, an archive, Parquet or Excel"),
        (
            table("a,b,c", "{0},{1},{label}"),
            {},
            "which of its columns is to be predicted: a, b, c? Say it by --target, by its name.",
        ),
        (
            table("", "{0},{1},{label}"),
            {},
            "to be predicted: 0, 1, 2? Say it by --target, by its position from 0, or -1 for the last.",
        ),
        (
            table("", "{three}{i},{text}{i},{text}{i}"),
            {},
            "does the first row, x0, a0, a0, name the columns? Say it by --reader header=true",
        ),
        (PLAIN, {"target": "lable"}, "unknown column 'lable' (did you mean 'label'?); known: a, b, label"),
        (PLAIN, {"target": "7"}, "there is no column 7 among 3"),
        (table("a,b,y", "{0},{1},7"), {}, "the target y holds '7' in every row, so there is nothing to predict"),
        (
            table("a,b,y", "{0},{1},t{i}"),
            {},
            "the target y has 40 different texts in 40 rows, such as 't0'; is another",
        ),
        (
            table("a,b,y", "{0},{1},{text}"),
            {"task": "regression"},
            "the target y is text, such as 'a'; a regression needs numbers",
        ),
        (
            table("a,b,y", "{0},{1},{label}").replace(",1\n", ",0.5\n"),
            {},
            "2 different numbers; are they classes, or a quantity",
        ),
        (table("a,b,label", "{0},{1},{label}", 8), {}, "8 rows are too few: a study needs 10, to train, validate and test on"),
        (
            PLAIN + "1,2,5\n",
            {},
            "class 5 has 1 of 41 rows: it needs 3, to train, validate and test on; add rows, or take it out",
        ),
        (
            PLAIN.replace("\n2.0,", "\n0x1F,"),
            {},
            "mine.csv: row 5, column 'a' (counted from 1): '0x1F' is no finite number that float32",
        ),
        (PLAIN.replace("\n2.0,", "\n2,0,"), {}, "mine.csv: line 6 has 4 columns, the first has 3"),
        (PLAIN.replace("a,b,", "a,a,"), {}, "mine.csv: the header names column 'a' twice"),
        (PLAIN, {"reader": {"delimeter": ";"}}, "reader: unknown key 'delimeter' (did you mean 'delimiter'?)"),
        (
            table("a,day,label", "{0},0{label}/02/2024,{label}").replace("00/", "03/"),
            {},
            "is 03/02/2024 a date of the form %d/%m/%Y or",
        ),
    ],
)
def test_a_refusal_says_what_to_do(tmp_path: Path, content: Any, answers: dict[str, Any], said: str) -> None:
    assert said in refusal(tmp_path, {"mine.csv": content}, Answers(**answers))


def test_rows_without_a_target_are_left_out(tmp_path: Path) -> None:
    begun = begin(tmp_path, {"mine.csv": PLAIN.replace("\n1.0,2.25,0", "\n1.0,2.25,")})
    assert begun.study.data.incomplete_rows == "leave_out"
    assert begun.study.data.split.train + 2 * begun.study.data.split.test == 39  # type: ignore[operator, union-attr]
    assert "left out: rows without a target, and all others with a missing value" in begun.said


def test_missing_values_are_filled_and_tried(tmp_path: Path) -> None:
    begun = begin(tmp_path, {"mine.csv": PLAIN.replace("2.25", "")})
    assert {name: (view.missing, view.missing_indicator) for name, view in begun.study.views.items()} == {
        "standardized": ("median", False),
        "indicated": ("median", True),
        "raw": ("median", False),
    }
    assert "missing: b in 6 of 40 rows" in begun.said


def test_a_sign_for_a_missing_value_is_pointed_at_and_can_be_named(tmp_path: Path) -> None:
    content = PLAIN.replace("\n2.0,", "\n-999,")
    assert any("column a holds -999, far from all else" in line for line in begin(tmp_path, {"mine.csv": content}).said)
    begun = begin(tmp_path, {"mine.csv": content}, Answers(reader={"missing": [-999]}), name="other_one")
    assert begun.reader["missing"][-1] == -999
    assert "missing: a in 1 of 40 rows" in begun.said


def test_what_the_user_says_of_columns_counts(tmp_path: Path) -> None:
    content = table("a,b,sex,day,label", "{0},{1},{three},1{label}.12.2024,{label}")
    reader = {"categories": ["b"], "leave_out": ["day"], "header": True}
    begun = begin(tmp_path, {"mine.csv": content}, Answers(reader=reader))
    assert (begun.reader["categories"], begun.reader["leave_out"]) == (["b", "sex"], ["day"])
    assert "date_format" not in begun.reader


@pytest.mark.parametrize("pack", ["gzip", "zip"])
def test_a_table_may_be_packed(tmp_path: Path, pack: str) -> None:
    content = gzip.compress(PLAIN.encode()) if pack == "gzip" else zipped({"mine/all.csv": PLAIN.encode(), ".hidden": b""})
    file = begin(tmp_path, {"mine.csv.gz" if pack == "gzip" else "mine.zip": content}).dataset.files["all"]
    assert (file.name, file.member) == (("mine.csv", None) if pack == "gzip" else ("all.csv", "mine/all.csv"))


def test_of_several_packed_files_one_must_be_named(tmp_path: Path) -> None:
    files = {"mine.zip": zipped({"a.csv": PLAIN.encode(), "b.csv": b""})}
    assert "an archive of 2 files; which is the data: a.csv, b.csv? Say it by --member NAME." in refusal(tmp_path, files)


def test_a_table_of_pixels_is_one_of_pictures(tmp_path: Path) -> None:
    names = ",".join(f"pixel{number}" for number in range(64))
    rows = "".join(f"{row % 2},{','.join(str((row * number) % 256) for number in range(64))}\n" for row in range(40))
    begun = begin(tmp_path, {"digits.csv": f"label,{names}\n{rows}"})
    assert begun.reader == {"kind": "csv", "target": "label", "header": True, "dtype": "uint8", "shape": [8, 8]}
    assert begun.said[2] == "pictures: each row has 8 x 8 pixels from 0 to 255"
    assert "convolution_helps" in begun.study.claims


def test_columns_are_left_out_in_a_line_for_each_reason(tmp_path: Path) -> None:
    said = begin(tmp_path, {"mine.csv": table("a,b,c,d,label", "{0},7,7,name {i},{label}")}).said
    assert "left out: b, c, '7' in every row" in said
    assert "left out: d, 40 different texts in 40 rows" in said


def test_two_tables_are_parts(tmp_path: Path) -> None:
    begun = begin(tmp_path, {"my_test.csv": PLAIN, "my_train.csv": table("a,b,label", "{0},{1},{label}", 60)})
    assert {role: file.name for role, file in begun.dataset.files.items()} == {"train": "my_train.csv", "test": "my_test.csv"}
    split: Any = begun.study.data.split
    assert (split.train.rows, split.validation.rows, split.test.rows) == ((0, 48), (48, 60), (0, 40))


def test_validation_rows_that_lack_a_class_are_not_set_apart(tmp_path: Path) -> None:
    rows = PLAIN.splitlines()
    in_order = "\n".join([rows[0], *sorted(rows[1:], key=lambda row: row[-1])])
    split: Any = begin(tmp_path, {"train.csv": in_order, "test.csv": PLAIN}).study.data.split
    assert (split.train.rows, split.validation) == ((0, 40), "none")


def test_parquet_and_excel_files_are_tables(tmp_path: Path) -> None:
    pytest.importorskip("openpyxl")
    frame = pd.DataFrame({"a": range(40), "label": ["x", "y"] * 20})
    frame["a"] *= 0.5
    frame.to_excel(tmp_path / "mine.xlsx", index=False)
    begun = begin(tmp_path, {"mine.xlsx": (tmp_path / "mine.xlsx").read_bytes()})
    assert begun.reader == {"kind": "excel", "target": "label"}
