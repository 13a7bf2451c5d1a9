"""Tables with missing values and categories: rows that are used, views that can take them, and what is worth a line."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from helpers.datasets import ENTRY
from helpers.study import REGRESSION, study_with
from stages.lib.cli import UserError
from stages.lib.data import checks
from stages.lib.data.catalogue import Dataset
from stages.lib.data.parts import Parts
from stages.lib.data.readers.raw import Column
from stages.lib.data.splits import prepare
from stages.lib.study.settings import Study, merged

nan = np.nan
COLUMNS = (
    Column("age", "number"),
    Column("sex", "category", ("female", "male")),
    Column("alone", "boolean"),
    Column("size", "category", ("small", "large"), ordered=True),
)
ROWS = np.array([[i % 7, i % 2, i % 3 == 0, i % 5 == 0] for i in range(40)], np.float32)
NUMBERS = Dataset.model_validate({**ENTRY, "task": "regression"})
NO_CLAIMS = {"claims": {"noise_hurts": {"metric": "test_loss"}}, "views": {"noisy": {"test_noise": 0.0}}}


def parts_of(x: np.ndarray, y: np.ndarray | None = None, columns: tuple[Column, ...] = COLUMNS) -> Parts:
    parts = Parts({"all": (x, np.arange(len(x)) / 2 if y is None else y)})
    parts.columns = columns
    return parts


def study_of(view: dict[str, Any], split: dict[str, Any] | None = None, **data: Any) -> Study:
    """A regression with all views alike."""
    changes: dict[str, Any] = merged(REGRESSION, merged(NO_CLAIMS, {"views": {"scaled": view, "noisy": view}}))
    usual = {"method": "train_test_split", "test": 0.25, "test_seed": 0, "validation": 0.25, "validation_seed": 0}
    content = study_with(merged(changes, {"data": data})).model_dump()
    content["data"]["split"] = split or usual
    return Study.model_validate(content)


def refused(view: dict[str, Any], parts: Parts, **data: Any) -> str:
    with pytest.raises(UserError) as caught:
        prepare(study_of(view, **data), NUMBERS, parts)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def with_gaps(*columns: int) -> np.ndarray:
    rows = ROWS.copy()
    for column in columns:
        rows[column::9, column] = nan
    return rows


@pytest.mark.parametrize(
    ("view", "gaps", "said"),
    [
        (
            {},
            (0, 1),
            "views.scaled.missing: values are missing in age, sex; set median, mean, most_frequent or a number, or data",
        ),
        ({"invert": True}, (), "views.scaled.invert: is not for a table with categories or missing values; it must be false"),
        (
            {"test_noise": 0.1},
            (),
            "views.scaled.test_noise: is not for a table with categories or missing values; it must be 0.0",
        ),
        ({"fit_on": "each_split"}, (), "views.scaled.fit_on: is not for a table with categories or missing values; it must be"),
        (
            {"crosses": [["sex", "sise"]]},
            (),
            "views.scaled.crosses.0: unknown column 'sise' (did you mean 'size'?); known: age,",
        ),
        (
            {"crosses": [["sex", "age"]]},
            (),
            "views.scaled.crosses.0: 'age' is a number; a cross is of categories, or of true and",
        ),
        (
            {"categories": "ordinal", "missing": "mean"},
            (3,),
            "views.scaled.categories: size has missing values, so missing must",
        ),
    ],
)
def test_a_view_that_the_table_does_not_allow_is_refused(view: dict[str, Any], gaps: tuple[int, ...], said: str) -> None:
    assert refused(view, parts_of(with_gaps(*gaps))).startswith(said)


def test_more_that_a_view_cannot_have() -> None:
    without_order = parts_of(ROWS[:, :2], columns=COLUMNS[:2])
    assert refused({"categories": "ordinal"}, without_order).startswith("views.scaled.categories: no column has an order; the")
    pixels = Parts({"all": (ROWS, np.arange(40) / 2)})
    assert refused({"missing": "mean"}, pixels).startswith("views.scaled: missing, categories, rare and crosses are for tables")
    names = Column("name", "category", tuple(map(str, range(30_000))))
    said = refused({}, parts_of(ROWS[:, :1] * 0, columns=(names,)))
    assert said == "views.scaled: 30000 inputs, 30000 of them for name; 20000 are the most: leave it out"


def test_facts_tell_of_columns_only_where_they_matter() -> None:
    prepared = prepare(study_of({"missing": "mean"}), NUMBERS, parts_of(with_gaps(0, 1)))
    assert prepared.facts["columns"][:2] == [
        {"name": "age", "kind": "number", "values": (), "ordered": False, "missing": 5},
        {"name": "sex", "kind": "category", "values": ("female", "male"), "ordered": False, "missing": 5},
    ]
    assert prepared.facts["first_rows"][:2] == [[None, "female", 1.0, "large", 0.0], [1.0, None, 0.0, "small", 0.5]]
    assert prepared.facts["splits"]["train"]["smallest"] == 0
    numbers = prepare(study_of({}), NUMBERS, parts_of(ROWS[:, :1], columns=COLUMNS[:1]))
    assert "columns" not in numbers.facts
    assert numbers.views["scaled"].encoding == {}


def test_rows_with_a_missing_value_may_be_left_out() -> None:
    rows = with_gaps(0, 1)
    study = study_of({}, incomplete_rows="leave_out")
    prepared = prepare(study, NUMBERS, parts_of(rows))
    kept = sum(len(y) for _, y in prepared.splits.values())
    assert kept == np.isfinite(rows).all(axis=1).sum() == 30
    assert all(np.isfinite(x).all() for x, _ in prepared.splits.values())
    rows[:, 2] = nan
    said = refused({}, parts_of(rows), incomplete_rows="leave_out")
    assert said == "data.incomplete_rows: leave_out leaves no row: each has a missing value"


def test_a_row_without_a_target_is_refused_or_left_out() -> None:
    y = np.arange(40.0)
    y[[4, 6]] = nan
    said = refused({}, parts_of(ROWS, y))
    assert said == "data.incomplete_rows: row 5 of part 'all' has no target (2 rows have none); leave_out drops such rows"
    prepared = prepare(study_of({}, incomplete_rows="leave_out"), NUMBERS, parts_of(ROWS, y))
    assert sum(len(y) for _, y in prepared.splits.values()) == 38


# Rows by groups and by time


def by(method: str, **keys: Any) -> dict[str, Any]:
    return {"method": method, "column": "it", "test": 0.2, "validation": 0.2, **keys}


def chosen(split: dict[str, Any], beside: np.ndarray) -> dict[str, np.ndarray]:
    """Split -> the cells of the column in its rows."""
    parts = parts_of(ROWS)
    parts.beside = {"all": beside}
    prepared = prepare(study_of({}, split=split), NUMBERS, parts)
    return {name: beside[(y * 2).astype(int)] for name, (_, y) in prepared.splits.items()}


@pytest.mark.parametrize("seed", range(5))
def test_no_group_lies_in_two_splits(seed: int) -> None:
    groups = np.array([f"p{number % 10}" for number in range(40)])
    found = {name: set(cells) for name, cells in chosen(by("groups", seed=seed), groups).items()}
    assert {name: len(cells) for name, cells in found.items()} == {"train": 6, "validation": 2, "test": 2}
    assert len(set.union(*found.values())) == 10


def test_the_seed_decides_which_groups() -> None:
    groups = np.arange(40) // 4
    first, again, other = (chosen(by("groups", seed=seed), groups)["test"].tolist() for seed in (0, 0, 1))
    assert first == again != other
    assert "validation" not in chosen(by("groups", seed=0, validation=0.0), groups)


def test_the_oldest_rows_train_and_the_newest_test() -> None:
    times = np.random.default_rng(0).permutation(40)
    found = chosen(by("time"), times)
    assert found["train"].tolist() == list(range(24))
    assert found["validation"].tolist() == list(range(24, 32))
    assert found["test"].tolist() == list(range(32, 40))
    assert list(chosen(by("time", validation=0.0), times)) == ["train", "test"]


@pytest.mark.parametrize(
    ("split", "beside", "said"),
    [
        (by("groups", seed=0), np.arange(40) // 20, "data.split: the 2 groups of column 'it' are too few to train, validate"),
        (by("time", validation=0.001), np.arange(40), "data.split: 40 rows are too few for these shares"),
        (by("time", validation=0.8), np.arange(40), "data.split: 40 rows are too few for these shares"),
        (by("time"), np.array(["x"] * 40), "data.split.column: column 'it' holds 'x', which is no number and no date"),
    ],
)
def test_a_column_that_does_not_split_is_refused(split: dict[str, Any], beside: np.ndarray, said: str) -> None:
    parts = parts_of(ROWS)
    parts.beside = {"all": beside}
    assert refused({}, parts, split=split).startswith(said)


# What is worth a line


def doubts(labels: dict[str, list[int]], names: list[str]) -> list[str]:
    splits = {name: (np.zeros((len(y), 1)), np.array(y)) for name, y in labels.items()}
    return list(checks.doubts(splits, splits, names))


def test_classes_that_nothing_can_learn_are_named() -> None:
    many = [0] * 9 + [1] * 9
    assert doubts({"train": many, "test": many}, ["a", "b"]) == []
    assert doubts({"train": many, "test": [*many, 2, 2]}, ["a", "b", "c", "d"]) == [
        "data.split: class d: no row",
        "data.split: class c: no training row, so nothing can learn it",
    ]
    assert doubts({"train": many, "test": [0, 1] * 3}, ["a", "b"]) == [
        "data.split: class a (9 in train, 3 in test), b (9 in train, 3 in test): few rows"
    ]
    several = doubts({"train": many, "test": many}, list("abcdefg"))
    assert several == ["data.split: class c, d, e and 2 more: no row"]


@pytest.mark.parametrize("first", [0, 1])
def test_a_column_that_numbers_the_rows_is_named(first: int) -> None:
    x = np.array([[first + row, row * row] for row in range(20)], float)
    parts = parts_of(x, columns=(Column("0", "number"), Column("1", "number")))
    said = "column 0 numbers the rows, as an index does; if it means nothing, list it under leave_out"
    assert list(checks.doubts(parts, parts, [])) == [said]
    parts = parts_of(np.delete(x, 7, axis=0), columns=(Column("0", "number"), Column("1", "number")))
    assert list(checks.doubts(parts, parts, [])) == []


def test_a_number_that_stands_for_nothing_is_named() -> None:
    parts = parts_of(np.array([[1.0, -999], [-999, -998], [3, nan]]), columns=(Column("a", "number"), Column("b", "number")))
    said = "column a holds -999, far from all else; if it means nothing, list it under missing"
    assert list(checks.doubts(parts, parts, [])) == [said]
