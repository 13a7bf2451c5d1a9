"""Views by numbers worked out by hand: fitted on the rows that they may see, affine, and the same for every reader.

And which rows a replicate is trained and validated on, where it sets some apart by itself.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from helpers.study import study_with
from stages.lib.study.recipe import Recipe
from stages.lib.study.rows import KFold, Scaling, View
from stages.lib.training import views

SCALINGS = get_args(Scaling)
TRAIN = np.array([[0.0, 2.0], [4.0, 10.0]])
"""Smallest 0, largest 10, mean 4, standard deviation sqrt(14); by feature 0 and 2, 4 and 10, 2 and 6, 2 and 4."""
OTHER = np.array([[8.0, 12.0]])
ROOT_14 = 14**0.5
BY_HAND: dict[tuple[str, str], tuple[list[list[float]], list[list[float]]]] = {
    ("none", "all"): ([[0, 2], [4, 10]], [[8, 12]]),
    ("max", "all"): ([[0, 0.2], [0.4, 1]], [[0.8, 1.2]]),
    ("min_max", "all"): ([[0, 0.2], [0.4, 1]], [[0.8, 1.2]]),
    ("mean", "all"): ([[-0.4, -0.2], [0, 0.6]], [[0.4, 0.8]]),
    ("standard", "all"): ([[-4 / ROOT_14, -2 / ROOT_14], [0, 6 / ROOT_14]], [[4 / ROOT_14, 8 / ROOT_14]]),
    ("none", "feature"): ([[0, 2], [4, 10]], [[8, 12]]),
    ("max", "feature"): ([[0, 0.2], [1, 1]], [[2, 1.2]]),
    ("min_max", "feature"): ([[0, 0], [1, 1]], [[2, 1.25]]),
    ("mean", "feature"): ([[-0.5, -0.5], [0.5, 0.5]], [[1.5, 0.75]]),
    ("standard", "feature"): ([[-1, -1], [1, 1]], [[3, 1.5]]),
}


def view_with(**changes: Any) -> View:
    return View.model_validate(changes)


def fitted_on(view: View, rows: np.ndarray) -> views.FittedView:
    return views.fit(view, {"train": rows})


@pytest.mark.parametrize(("scale", "per"), BY_HAND)
def test_a_scaling_gives_the_numbers_worked_out_by_hand(scale: str, per: str) -> None:
    fitted = fitted_on(view_with(scale=scale, per=per), TRAIN)
    train, other = BY_HAND[scale, per]
    np.testing.assert_allclose(views.apply(fitted, TRAIN, "train"), train, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(views.apply(fitted, OTHER, "test"), other, rtol=1e-6, atol=1e-7)


def test_every_scaling_is_worked_out_and_known_to_the_settings() -> None:
    assert set(SCALINGS) == set(views.SCALINGS) == {scale for scale, _ in BY_HAND}


@pytest.mark.parametrize(("per", "mirrored"), [("all", [[10, 8], [6, 0]]), ("feature", [[4, 10], [0, 2]])])
def test_inversion_mirrors_between_the_extremes_of_the_training_rows(per: str, mirrored: list[list[float]]) -> None:
    fitted = fitted_on(view_with(invert=True, per=per), TRAIN)
    np.testing.assert_array_equal(views.apply(fitted, TRAIN, "train"), mirrored)


@pytest.mark.parametrize("per", ["all", "feature"])
@pytest.mark.parametrize("scale", SCALINGS)
def test_inverting_is_inverting_first_and_scaling_then(scale: str, per: str) -> None:
    rows = np.random.default_rng(0).integers(3, 200, (20, 4, 3)).astype(np.uint8)
    values = rows.astype(np.float64)
    axis = 0 if per == "feature" else None
    mirror = values.min(axis) + values.max(axis)
    inverted = fitted_on(view_with(scale=scale, per=per, invert=True), rows)
    plain = fitted_on(view_with(scale=scale, per=per), mirror - values)
    expected = views.apply(plain, mirror - values, "train")
    np.testing.assert_allclose(views.apply(inverted, rows, "train"), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("invert", [False, True])
@pytest.mark.parametrize("scale", SCALINGS)
@pytest.mark.parametrize("constant", [0.0, 0.1, 7.0, -3.0])
def test_a_feature_that_never_changes_stays_small_for_rows_where_it_does(constant: float, scale: str, invert: bool) -> None:
    """The standard deviation of three times 0.1 is 1e-17 in floating point: dividing by it would give 1e16."""
    rows = np.column_stack([np.full(3, constant), [1.0, 2.0, 3.0]])
    fitted = fitted_on(view_with(scale=scale, per="feature", invert=invert), rows)
    inputs = views.apply(fitted, rows, "train")
    assert np.isfinite(inputs).all()
    assert np.unique(inputs[:, 0]).size == 1
    moved = views.apply(fitted, rows + 1.0, "test")
    assert np.abs(moved[:, 0] - inputs[:, 0]).max() <= 10.0001


def test_rows_that_are_all_the_same_are_divided_by_one() -> None:
    for scale in ("min_max", "mean", "standard"):
        fitted = fitted_on(view_with(scale=scale), np.full((3, 2), 0.1))
        np.testing.assert_allclose(views.apply(fitted, np.full((1, 2), 1.1), "test"), [[1.0, 1.0]], rtol=1e-6)


def test_pixels_are_divided_by_their_maximum() -> None:
    rows = np.array([[0, 51], [255, 102]], np.uint8)
    inputs = views.apply(fitted_on(view_with(scale="max"), rows), rows, "train")
    np.testing.assert_allclose(inputs, [[0, 0.2], [1, 0.4]], rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int64, np.float32, np.float64])
@pytest.mark.parametrize("per", ["all", "feature"])
def test_inputs_are_float32_of_the_shape_of_the_rows(dtype: type, per: str) -> None:
    rows: np.ndarray = np.arange(24).reshape(2, 3, 4).astype(dtype)
    before = rows.copy()
    for split in ("train", "validation", "test"):
        inputs = views.apply(fitted_on(view_with(scale="standard", per=per, test_noise=1.0), rows), rows, split)
        assert inputs.dtype == np.float32
        assert inputs.shape == rows.shape
    np.testing.assert_array_equal(rows, before)


def test_noise_comes_to_the_test_rows_alone() -> None:
    rows = np.random.default_rng(1).normal(size=(500, 20))
    clean = fitted_on(view_with(scale="standard"), rows)
    noisy = fitted_on(view_with(scale="standard", test_noise=0.5), rows)
    for split in ("train", "validation"):
        np.testing.assert_array_equal(views.apply(noisy, rows, split), views.apply(clean, rows, split))
    noise = views.apply(noisy, rows, "test") - views.apply(clean, rows, "test")
    assert abs(noise.mean()) < 0.02
    assert abs(noise.std() - 0.5) < 0.02


def test_noise_is_that_of_its_seed_whatever_was_applied_before() -> None:
    rows = np.zeros((5, 3))
    rows[0] = 1.0
    first, same, other = (fitted_on(view_with(scale="max", test_noise=1.0, noise_seed=seed), rows) for seed in (0, 0, 1))
    expected = views.apply(first, rows, "test")
    views.apply(same, rows[:2], "train")
    views.apply(same, rows, "test")
    np.testing.assert_array_equal(views.apply(same, rows, "test"), expected)
    assert not np.array_equal(views.apply(other, rows, "test"), expected)


def test_noise_does_not_depend_on_how_many_rows_come_after() -> None:
    rows = np.random.default_rng(2).normal(size=(6, 3))
    fitted = fitted_on(view_with(test_noise=1.0), rows)
    np.testing.assert_array_equal(views.apply(fitted, rows[:4], "test"), views.apply(fitted, rows, "test")[:4])


@pytest.mark.parametrize("per", ["all", "feature"])
@pytest.mark.parametrize("scale", SCALINGS)
@pytest.mark.parametrize("invert", [False, True])
def test_a_fitted_view_survives_json(scale: str, per: str, invert: bool) -> None:
    rows = np.random.default_rng(3).normal(size=(9, 2, 2))
    fitted = fitted_on(view_with(scale=scale, per=per, invert=invert, test_noise=0.25, noise_seed=4), rows)
    again = views.FittedView(**json.loads(json.dumps(asdict(fitted), allow_nan=False)))
    assert again == fitted
    for split in ("train", "test"):
        np.testing.assert_array_equal(views.apply(again, rows, split), views.apply(fitted, rows, split))


# Statistics as float32


def unrounded(statistic: Any) -> Any:
    return np.asarray(statistic).tolist()


@pytest.mark.parametrize("invert", [False, True])
@pytest.mark.parametrize("fit_on", ["train", "each_split"])
@pytest.mark.parametrize("per", ["all", "feature"])
@pytest.mark.parametrize("scale", SCALINGS)
def test_rounded_statistics_give_the_same_inputs_to_the_bit(
    scale: str, per: str, fit_on: str, invert: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = np.random.default_rng(4)
    splits = {"train": draw.normal(3, 50, (200, 6)), "test": draw.normal(2, 40, (50, 6))}
    view = view_with(scale=scale, per=per, fit_on=fit_on, invert=invert)
    rounded = views.fit(view, splits)
    monkeypatch.setattr(views, "_as_float32", unrounded)
    full = views.fit(view, splits)
    for split, rows in splits.items():
        assert views.apply(rounded, rows, split).tobytes() == views.apply(full, rows, split).tobytes()
    if scale in ("mean", "standard"):
        assert rounded != full


def test_the_last_bits_of_a_float64_sum_do_not_reach_the_statistics() -> None:
    """Sums of float64 depend on the vector instructions of the processor."""
    mean = 33.3184214478
    nearby = [float(np.nextafter(mean, towards)) for towards in (0.0, 100.0)]
    assert [views._as_float32(value) for value in (mean, *nearby)] == [33.31842] * 3


@settings(deadline=None, derandomize=True, max_examples=500)
@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_a_statistic_is_the_shortest_decimal_of_its_float32(value: float) -> None:
    written = views._as_float32(value)
    assert np.float32(written) == np.float32(value)
    assert float(str(np.float32(value))) == written


# Fitted on each split by itself

VALIDATION = np.array([[1.0, 6.0], [3.0, 6.0]])
"""Smallest 1, largest 6; by feature 1 and 6, 3 and 6: the second never changes."""


@pytest.mark.parametrize(
    ("per", "validation", "test"),
    [("all", [[0, 1], [0.4, 1]], [[0, 1]]), ("feature", [[0, 0], [1, 0]], [[0, 0]])],
)
def test_a_view_fitted_on_each_split_scales_it_by_its_own_rows(
    per: str, validation: list[list[float]], test: list[list[float]]
) -> None:
    splits = {"train": TRAIN, "validation": VALIDATION, "test": OTHER}
    own = views.fit(view_with(scale="min_max", per=per, fit_on="each_split"), splits)
    usual = views.fit(view_with(scale="min_max", per=per), splits)
    np.testing.assert_array_equal(views.apply(own, TRAIN, "train"), views.apply(usual, TRAIN, "train"))
    np.testing.assert_allclose(views.apply(own, VALIDATION, "validation"), validation, rtol=1e-6)
    np.testing.assert_allclose(views.apply(own, OTHER, "test"), test, rtol=1e-6)
    assert usual.own == {}
    assert usual == fitted_on(view_with(scale="min_max", per=per), TRAIN)


def test_a_view_fitted_on_each_split_adds_noise_and_mirrors_by_the_split_s_own_extremes() -> None:
    splits = {"train": TRAIN, "test": VALIDATION}
    view = view_with(scale="max", invert=True, fit_on="each_split")
    np.testing.assert_allclose(views.apply(views.fit(view, splits), VALIDATION, "test") * 6, [[6, 1], [4, 1]], rtol=1e-6)
    noisy = views.fit(view.model_copy(update={"test_noise": 0.5}), splits)
    assert not np.array_equal(views.apply(noisy, VALIDATION, "test"), views.apply(views.fit(view, splits), VALIDATION, "test"))
    assert views.FittedView(**json.loads(json.dumps(asdict(noisy)))) == noisy


# The rows of a replicate: row number n holds n, and its label is n


def numbered(train: int, validation: int, test: int) -> views.Splits:
    """Splits whose rows count on from the training rows' 0; test rows are from 1000."""
    starts = {"train": (0, train), "validation": (train, train + validation), "test": (1000, 1000 + test)}
    return {name: (np.arange(*ends)[:, None], np.arange(*ends)) for name, ends in starts.items() if ends[1] > ends[0]}


def recipe_with(folds: KFold | None = None, validation_rows: int = 0, **view: Any) -> Recipe:
    recipe = study_with({"train": {"validation_rows": validation_rows}}).recipes["plain"]
    return recipe.model_copy(update={"k_fold": folds, "view": view_with(**view)})


def seen(recipe: Recipe, splits: views.Splits, seed: int = 0) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    fitted = views.fit(recipe.view, {name: x for name, (x, _) in splits.items()})
    return views.inputs_of(recipe, fitted, splits, seed)


def test_a_replicate_without_rows_of_its_own_sees_the_splits_as_they_are() -> None:
    splits = numbered(6, 2, 2)
    inputs = seen(recipe_with(scale="max"), splits)
    assert list(inputs) == ["train", "validation", "test"]
    for name, (x, y) in inputs.items():
        np.testing.assert_array_equal(y, splits[name][1])
        np.testing.assert_allclose(x[:, 0] * 5, y, rtol=1e-6)  # the largest training row


@pytest.mark.parametrize(
    ("rows", "asked", "kept"),
    [(10, 3, 7), (10, 5, 5), (10, 6, 5), (10, 1000, 5), (9, 4, 5), (9, 5, 5), (3, 1, 2), (2, 1, 1)],
)
def test_the_last_training_rows_are_held_out_but_never_more_than_half(rows: int, asked: int, kept: int) -> None:
    splits = numbered(rows, 0, 4)
    inputs = seen(recipe_with(validation_rows=asked, scale="max"), splits)
    assert inputs["train"][1].tolist() == list(range(kept))
    assert inputs["validation"][1].tolist() == list(range(kept, rows))
    assert inputs["test"][1].tolist() == [1000, 1001, 1002, 1003]
    for x, y in inputs.values():
        np.testing.assert_allclose(x[:, 0] * max(kept - 1, 1), y, rtol=1e-6)  # the view is fitted on the rows that are left
    assert splits["train"][1].tolist() == list(range(rows))


@pytest.mark.parametrize("seed", [0, 7])
def test_held_out_rows_are_the_same_for_every_seed(seed: int) -> None:
    splits = numbered(10, 0, 4)
    recipe = recipe_with(validation_rows=3)
    np.testing.assert_array_equal(seen(recipe, splits, seed)["validation"][1], [7, 8, 9])


FOLDS = KFold(folds=4, repeats=3, seed=5)


@pytest.mark.parametrize("validation", [0, 3])
def test_the_folds_of_a_repeat_are_disjoint_and_hold_all_rows(validation: int) -> None:
    """14 training rows, or 11 and 3 validation rows: the folds have 4, 4, 3 and 3."""
    splits = numbered(14 - validation, validation, 2)
    recipe = recipe_with(FOLDS, scale="none")
    repeats = []
    for repeat in range(FOLDS.repeats):
        folds = []
        for fold in range(FOLDS.folds):
            inputs = seen(recipe, splits, seed=repeat * FOLDS.folds + fold)
            (x, y), (held_x, held_y) = inputs["train"], inputs["validation"]
            assert sorted([*y, *held_y]) == list(range(14))
            np.testing.assert_array_equal(x[:, 0], y)
            np.testing.assert_array_equal(held_x[:, 0], held_y)
            assert inputs["test"][1].tolist() == [1000, 1001]
            folds.append(held_y.tolist())
        assert sorted(row for each in folds for row in each) == list(range(14))
        assert [len(each) for each in folds] == [4, 4, 3, 3]
        repeats.append(folds)
    assert len({tuple(sorted(each)) for folds in repeats for each in folds}) == 12  # each repeat is shuffled anew
    assert repeats[0] != [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10], [11, 12, 13]]


def test_folds_depend_on_their_seed_and_on_nothing_else() -> None:
    splits = numbered(14, 0, 2)
    first, again, other = (
        seen(recipe_with(KFold(folds=4, repeats=3, seed=seed)), splits, seed=6)["validation"][1].tolist() for seed in (5, 5, 6)
    )
    assert first == again != other


def test_folds_come_before_held_out_rows() -> None:
    inputs = seen(recipe_with(FOLDS, validation_rows=7), numbered(14, 0, 2))
    assert len(inputs["validation"][1]) == 4


def test_the_view_is_fitted_anew_on_each_fold_s_training_rows() -> None:
    """Row 13 is the largest: where it is validated on, the largest training row is smaller, and it is scaled beyond 1."""
    recipe, splits = recipe_with(FOLDS, scale="min_max"), numbered(14, 0, 2)
    beyond = []
    for fold in range(FOLDS.folds):
        inputs = seen(recipe, splits, fold)
        assert (inputs["train"][0].min(), inputs["train"][0].max()) == (0, 1)
        beyond.append(float(inputs["validation"][0].max()))
    assert sum(largest > 1 for largest in beyond) == 1
    own = seen(recipe_with(FOLDS, scale="min_max", fit_on="each_split"), splits)
    assert all((x.min(), x.max()) == (0, 1) for x, _ in own.values())


@settings(deadline=None, max_examples=60, derandomize=True)
@given(
    rows=arrays(np.float64, (5, 3), elements=st.floats(-1e6, 1e6, width=32)),
    scale=st.sampled_from(SCALINGS),
    per=st.sampled_from(["all", "feature"]),
    invert=st.booleans(),
)
def test_a_view_of_any_rows_is_finite(rows: np.ndarray, scale: str, per: str, invert: bool) -> None:
    fitted = fitted_on(view_with(scale=scale, per=per, invert=invert), rows)
    assert np.isfinite(np.asarray(fitted.factor)).all()
    assert np.isfinite(np.asarray(fitted.shift)).all()
