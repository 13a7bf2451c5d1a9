"""Views by numbers worked out by hand: fitted on training rows alone, affine, and the same for every reader."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from stages.lib import views
from stages.lib.settings import SCALINGS, View

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


@pytest.mark.parametrize(("scale", "per"), BY_HAND)
def test_a_scaling_gives_the_numbers_worked_out_by_hand(scale: str, per: str) -> None:
    fitted = views.fit(view_with(scale=scale, per=per), TRAIN)
    train, other = BY_HAND[scale, per]
    np.testing.assert_allclose(views.apply(fitted, TRAIN, "train"), train, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(views.apply(fitted, OTHER, "test"), other, rtol=1e-6, atol=1e-7)


def test_every_scaling_is_worked_out_and_known_to_the_settings() -> None:
    assert set(SCALINGS) == set(views.SCALINGS) == {scale for scale, _ in BY_HAND}


@pytest.mark.parametrize(("per", "mirrored"), [("all", [[10, 8], [6, 0]]), ("feature", [[4, 10], [0, 2]])])
def test_inversion_mirrors_between_the_extremes_of_the_training_rows(per: str, mirrored: list[list[float]]) -> None:
    fitted = views.fit(view_with(invert=True, per=per), TRAIN)
    np.testing.assert_array_equal(views.apply(fitted, TRAIN, "train"), mirrored)


@pytest.mark.parametrize("per", ["all", "feature"])
@pytest.mark.parametrize("scale", SCALINGS)
def test_inverting_is_inverting_first_and_scaling_then(scale: str, per: str) -> None:
    rows = np.random.default_rng(0).integers(3, 200, (20, 4, 3)).astype(np.uint8)
    values = rows.astype(np.float64)
    axis = 0 if per == "feature" else None
    mirror = values.min(axis) + values.max(axis)
    inverted = views.fit(view_with(scale=scale, per=per, invert=True), rows)
    plain = views.fit(view_with(scale=scale, per=per), mirror - values)
    expected = views.apply(plain, mirror - values, "train")
    np.testing.assert_allclose(views.apply(inverted, rows, "train"), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("invert", [False, True])
@pytest.mark.parametrize("scale", SCALINGS)
@pytest.mark.parametrize("constant", [0.0, 0.1, 7.0, -3.0])
def test_a_feature_that_never_changes_stays_small_for_rows_where_it_does(constant: float, scale: str, invert: bool) -> None:
    """The standard deviation of three times 0.1 is 1e-17 in floating point: dividing by it would give 1e16."""
    rows = np.column_stack([np.full(3, constant), [1.0, 2.0, 3.0]])
    fitted = views.fit(view_with(scale=scale, per="feature", invert=invert), rows)
    inputs = views.apply(fitted, rows, "train")
    assert np.isfinite(inputs).all()
    assert np.unique(inputs[:, 0]).size == 1
    moved = views.apply(fitted, rows + 1.0, "test")
    assert np.abs(moved[:, 0] - inputs[:, 0]).max() <= 10.0001


def test_rows_that_are_all_the_same_are_divided_by_one() -> None:
    for scale in ("min_max", "mean", "standard"):
        fitted = views.fit(view_with(scale=scale), np.full((3, 2), 0.1))
        np.testing.assert_allclose(views.apply(fitted, np.full((1, 2), 1.1), "test"), [[1.0, 1.0]], rtol=1e-6)


def test_pixels_are_divided_by_their_maximum() -> None:
    rows = np.array([[0, 51], [255, 102]], np.uint8)
    inputs = views.apply(views.fit(view_with(scale="max"), rows), rows, "train")
    np.testing.assert_allclose(inputs, [[0, 0.2], [1, 0.4]], rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int64, np.float32, np.float64])
@pytest.mark.parametrize("per", ["all", "feature"])
def test_inputs_are_float32_of_the_shape_of_the_rows(dtype: type, per: str) -> None:
    rows: np.ndarray = np.arange(24).reshape(2, 3, 4).astype(dtype)
    before = rows.copy()
    for split in ("train", "validation", "test"):
        inputs = views.apply(views.fit(view_with(scale="standard", per=per, test_noise=1.0), rows), rows, split)
        assert inputs.dtype == np.float32
        assert inputs.shape == rows.shape
    np.testing.assert_array_equal(rows, before)


def test_noise_comes_to_the_test_rows_alone() -> None:
    rows = np.random.default_rng(1).normal(size=(500, 20))
    clean = views.fit(view_with(scale="standard"), rows)
    noisy = views.fit(view_with(scale="standard", test_noise=0.5), rows)
    for split in ("train", "validation"):
        np.testing.assert_array_equal(views.apply(noisy, rows, split), views.apply(clean, rows, split))
    noise = views.apply(noisy, rows, "test") - views.apply(clean, rows, "test")
    assert abs(noise.mean()) < 0.02
    assert abs(noise.std() - 0.5) < 0.02


def test_noise_is_that_of_its_seed_whatever_was_applied_before() -> None:
    rows = np.zeros((5, 3))
    rows[0] = 1.0
    first, same, other = (views.fit(view_with(scale="max", test_noise=1.0, noise_seed=seed), rows) for seed in (0, 0, 1))
    expected = views.apply(first, rows, "test")
    views.apply(same, rows[:2], "train")
    views.apply(same, rows, "test")
    np.testing.assert_array_equal(views.apply(same, rows, "test"), expected)
    assert not np.array_equal(views.apply(other, rows, "test"), expected)


def test_noise_does_not_depend_on_how_many_rows_come_after() -> None:
    rows = np.random.default_rng(2).normal(size=(6, 3))
    fitted = views.fit(view_with(test_noise=1.0), rows)
    np.testing.assert_array_equal(views.apply(fitted, rows[:4], "test"), views.apply(fitted, rows, "test")[:4])


@pytest.mark.parametrize("per", ["all", "feature"])
@pytest.mark.parametrize("scale", SCALINGS)
@pytest.mark.parametrize("invert", [False, True])
def test_a_fitted_view_survives_json(scale: str, per: str, invert: bool) -> None:
    rows = np.random.default_rng(3).normal(size=(9, 2, 2))
    fitted = views.fit(view_with(scale=scale, per=per, invert=invert, test_noise=0.25, noise_seed=4), rows)
    again = views.FittedView(**json.loads(json.dumps(asdict(fitted), allow_nan=False)))
    assert again == fitted
    for split in ("train", "test"):
        np.testing.assert_array_equal(views.apply(again, rows, split), views.apply(fitted, rows, split))


@settings(deadline=None, max_examples=60, derandomize=True)
@given(
    rows=arrays(np.float64, (5, 3), elements=st.floats(-1e6, 1e6, width=32)),
    scale=st.sampled_from(SCALINGS),
    per=st.sampled_from(["all", "feature"]),
    invert=st.booleans(),
)
def test_a_view_of_any_rows_is_finite(rows: np.ndarray, scale: str, per: str, invert: bool) -> None:
    fitted = views.fit(view_with(scale=scale, per=per, invert=invert), rows)
    assert np.isfinite(np.asarray(fitted.factor)).all()
    assert np.isfinite(np.asarray(fitted.shift)).all()
