"""Encodings by numbers worked out by hand, and against scikit-learn's: fitted on the training rows, applied by NumPy alone."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import OneHotEncoder

from helpers.study import study_with
from stages.lib.study.recipe import Recipe
from stages.lib.study.rows import KFold, View
from stages.lib.training import encoding, views

nan = np.nan
COLUMNS = [
    {"name": "age", "kind": "number", "values": (), "ordered": False},
    {"name": "sex", "kind": "category", "values": ("female", "male"), "ordered": False},
    {"name": "alone", "kind": "boolean", "values": (), "ordered": False},
    {"name": "size", "kind": "category", "values": ("small", "medium", "large"), "ordered": True},
]
TRAIN = np.array([[1, 0, 1, 2], [2, 1, 0, 0], [nan, 1, 1, 2], [9, nan, 0, 2]], np.float32)
OTHER = np.array([[nan, 0, 0, 1], [3, nan, nan, nan]], np.float32)
"""A size that no training row has, and a row of almost nothing."""


def fitted(**view: Any) -> views.FittedView:
    return views.fit(View.model_validate(view), {"train": TRAIN}, COLUMNS)


def applied(rows: np.ndarray, **view: Any) -> list[list[float]]:
    inputs = views.apply(fitted(**view), rows, "test")
    assert inputs.dtype == np.float32
    found: list[list[float]] = inputs.tolist()
    return found


@pytest.mark.parametrize(
    ("missing", "age", "sex"),
    [("median", 2, [0, 0]), ("mean", 4, [0, 0]), ("most_frequent", 1, [0, 1]), (7, 7, [0, 0])],
)
def test_a_missing_value_is_filled_from_the_training_rows(missing: Any, age: float, sex: list[float]) -> None:
    """Ages 1, 2 and 9; a man and two; alone or not, two each; sizes in use: small and large, which is the most frequent."""
    alone = {"median": 0.5, "mean": 0.5, "most_frequent": 0, 7: 7}[missing]
    size = [0, 1] if missing == "most_frequent" else [0, 0]
    assert applied(OTHER, missing=missing) == [[age, 0, 1, 0, 0, 0], [3, alone, *sex, *size]]


def test_columns_stand_in_their_order_and_have_names() -> None:
    view = fitted(missing="mean", missing_indicator=True, crosses=[["sex", "size"], ["sex", "alone"]])
    assert encoding.names(view.encoding) == [
        "age",
        "alone",
        "age missing",
        "sex missing",
        "sex female",
        "sex male",
        "size small",
        "size large",
        "sex female x size large",
        "sex male x size small",
        "sex male x size large",
        "sex female x alone true",
        "sex male x alone false",
        "sex male x alone true",
    ]
    assert views.apply(view, TRAIN, "train").tolist() == [
        [1, 1, 0, 0, 1, 0, 0, 1, 1, 0, 0, 1, 0, 0],
        [2, 0, 0, 0, 0, 1, 1, 0, 0, 1, 0, 0, 1, 0],
        [4, 1, 1, 0, 0, 1, 0, 1, 0, 0, 1, 0, 0, 1],
        [9, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0],
    ]
    assert encoding.crossed(view.encoding) == 6
    assert views.shape_of(view, TRAIN) == (14,)


def test_scaling_is_of_numbers_alone() -> None:
    scaled = applied(TRAIN, missing="median", scale="min_max", per="feature", missing_indicator=True)
    plain = applied(TRAIN, missing="median", missing_indicator=True)
    assert [row[0] for row in scaled] == [0, 0.125, 0.125, 1]
    assert [row[1:] for row in scaled] == [row[1:] for row in plain]
    together = applied(TRAIN, missing="median", scale="max")
    assert [row[:2] for row in together] == pytest.approx(np.array([row[:2] for row in plain]) / 9)


def test_an_order_is_a_number_and_the_rest_is_one_hot() -> None:
    assert applied(OTHER, missing="most_frequent", categories="ordinal") == [[1, 0, 1, 0, 1], [3, 0, 0, 1, 2]]
    assert encoding.names(fitted(missing="mean", categories="ordinal").encoding)[-1] == "size"


def test_rare_values_share_a_column_and_unknown_ones_have_none() -> None:
    """Female and small have one training row each, male two, large three; medium has none."""
    rows = np.array([[1, 0, 0, 0], [1, 1, 0, 1], [1, 1, 0, 2]], np.float32)
    assert applied(rows, missing="mean", rare=2) == [[1, 0, 0, 1, 0, 1], [1, 0, 1, 0, 0, 0], [1, 0, 1, 0, 1, 0]]
    assert encoding.names(fitted(missing="mean", rare=2).encoding)[2:] == ["sex male", "sex rare", "size large", "size rare"]


def test_a_table_of_categories_alone_has_nothing_to_scale() -> None:
    view = views.fit(View(scale="standard", per="feature"), {"train": np.array([[0.0], [1.0], [0.0]])}, [COLUMNS[1]])
    assert views.apply(view, np.array([[1.0], [nan]]), "test").tolist() == [[0, 1], [0, 0]]


def test_numbers_without_a_need_are_not_encoded() -> None:
    rows = {"train": TRAIN[:2, :1]}
    assert views.fit(View(scale="max"), rows, COLUMNS[:1]) == views.fit(View(scale="max"), rows)
    assert views.fit(View(scale="max", missing="mean"), rows, COLUMNS[:1]).encoding["fills"] == [1.5]


def test_a_fitted_encoding_survives_json_and_sees_no_other_row() -> None:
    view = fitted(missing="median", missing_indicator=True, rare=2, crosses=[["sex", "size"]], scale="standard")
    read = views.FittedView(**json.loads(json.dumps(asdict(view))))
    assert read == view
    np.testing.assert_array_equal(views.apply(read, OTHER, "test"), views.apply(view, OTHER, "test"))
    with_others = views.fit(View(missing="median"), {"train": TRAIN, "test": OTHER}, COLUMNS)
    assert with_others == views.fit(View(missing="median"), {"train": TRAIN}, COLUMNS)


@settings(deadline=None, max_examples=60, derandomize=True)
@given(
    numbers=st.lists(st.none() | st.integers(-5, 5), min_size=4, max_size=12),
    strategy=st.sampled_from(["mean", "median", "most_frequent"]),
    codes=st.lists(st.integers(0, 4), min_size=12, max_size=12),
)
def test_it_is_what_scikit_learn_makes(numbers: list[int | None], strategy: str, codes: list[int]) -> None:
    """An imputer and an encoder that ignores unknown values, fitted on all rows but the last three."""
    x = np.array([nan if number is None else number for number in numbers])
    rows = np.column_stack([x, codes[: len(x)]])
    train = rows[:-3] if np.isfinite(rows[:-3, 0]).any() else rows
    columns = [COLUMNS[0], {"name": "code", "kind": "category", "values": tuple("abcde"), "ordered": False}]
    view = views.fit(View.model_validate({"missing": strategy}), {"train": train}, columns)
    if not np.isfinite(train[:, 0]).any():
        return
    imputer = SimpleImputer(strategy=strategy).fit(train[:, :1])
    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False).fit(train[:, 1:])
    expected = np.hstack([imputer.transform(rows[:, :1]), encoder.transform(rows[:, 1:])])
    np.testing.assert_allclose(views.apply(view, rows, "test"), expected, rtol=1e-6)


# Replicates


def recipe_with(folds: KFold | None = None, **changes: Any) -> Recipe:
    recipe = study_with({"model": {"wide_deep": changes}}).recipes["plain"]
    view = View(missing="mean", crosses=(("sex", "size"),))
    return recipe.model_copy(update={"k_fold": folds, "view": view})


def test_words_become_ranges_of_the_encoded_columns() -> None:
    recipe = recipe_with(api="functional", wide="crosses", deep="columns")
    view = views.fit(recipe.view, {"train": TRAIN}, COLUMNS)
    resolved = views.resolved(recipe, view).model.wide_deep
    assert (resolved.wide, resolved.deep) == ((6, 9), (0, 6))
    ranges = recipe_with(api="functional", wide=[0, 2], deep=[1, 3])
    assert views.resolved(ranges, view) is ranges
    half = views.resolved(recipe_with(api="functional", wide="crosses", deep=[0, 2]), view).model.wide_deep
    assert (half.wide, half.deep) == ((6, 9), (0, 2))


def test_every_fold_encodes_by_its_own_training_rows() -> None:
    """In one fold of two the only row of a value is held out, so this fold has a column less."""
    rows = np.column_stack([np.arange(8.0), np.zeros(8), np.zeros(8), np.zeros(8)])
    rows[3, 3] = 1
    splits = {"train": (rows, np.arange(8)), "test": (rows, np.arange(8))}
    recipe = recipe_with(KFold(folds=2, repeats=1, seed=0))
    whole = views.fit(recipe.view, {"train": rows}, COLUMNS)
    widths = set()
    for seed in (0, 1):
        own_rows, own = views.of_replicate(recipe, whole, splits, seed)
        assert own.columns == whole.columns
        assert own == views.fit(recipe.view, {"train": own_rows["train"][0]}, COLUMNS)
        inputs = views.inputs_of(recipe, whole, splits, seed)
        widths.add(inputs["train"][0].shape[1])
        assert len({x.shape[1] for x, _ in inputs.values()}) == 1
    assert widths == {5, 7}
