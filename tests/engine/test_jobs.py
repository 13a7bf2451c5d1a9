"""What a replicate costs, and which networks the data do not allow."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from helpers.study import prepared_for, study_with
from stages.lib.cli import UserError
from stages.lib.data.prepared import Prepared
from stages.lib.engine import jobs, size
from stages.lib.engine.trainer import StudyData
from stages.lib.study.rows import View
from stages.lib.training import views


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ((8,), "needs images; the rows of this data set are lists of 8 numbers"),
        ((5, 28, 28, 3), r"needs images; the rows of this data set are of shape \(5, 28, 28, 3\)"),
        (
            (1, 28, 28),
            r"\[4\] leave nothing of 1 x 28 pixels; if rows are \(channels, height, width\), set channels: first in the",
        ),
        (
            (50, 2),
            r"\[4\] leave .* do; sequences of \(steps, channels\) need a network of your own \(docs/own-network.md\)$",
        ),
        ((2, 2), r"\[4\] leave nothing of 2 x 2 pixels; fewer, or a smaller kernel_size or pool_size, do$"),
    ],
)
def test_convolutions_of_rows_that_are_no_such_images_are_refused(shape: tuple[int, ...], said: str) -> None:
    with pytest.raises(ValueError, match=f"conv: {said}"):
        jobs.cost(study_with({"model": {"conv": [4]}}).recipes["plain"].model, 1, 64, 1000, shape, 1)


def wide_deep(**parts: Any) -> Any:
    return study_with({"model": {"wide_deep": {"api": "functional", **parts}}}).recipes["plain"].model


@pytest.mark.parametrize(
    ("parts", "shape", "problem"),
    [
        ({}, (8, 8), "wide_deep: is for rows that are lists of numbers, not for images"),
        ({"wide": [0, 9], "deep": [2, 8]}, (8,), r"wide_deep\.wide: \[0, 9\] goes past the 8 features"),
        ({"wide": [0, 5], "deep": [2, 9]}, (8,), r"wide_deep\.deep: \[2, 9\] goes past the 8 features"),
    ],
)
def test_parts_that_the_rows_do_not_have_are_refused(parts: dict[str, Any], shape: tuple[int, ...], problem: str) -> None:
    with pytest.raises(ValueError, match=f"^{problem}$"):
        jobs.cost(wide_deep(**parts), 1, 64, 1000, shape, 1)
    assert jobs.cost(wide_deep(wide=[0, 5], deep=[2, 8]), 1, 64, 1000, (8,), 1) > 0


def test_a_refusal_names_the_variant_and_the_key() -> None:
    study = study_with({"variants": {"dropped": {"model": {"wide_deep": {"api": "subclass"}}}}})
    with pytest.raises(UserError, match=r"^variants\.dropped\.model\.wide_deep: is for rows that are lists"):
        jobs.jobs_of(study, prepared_for(study))


def test_maxout_costs_as_many_multiply_adds_as_it_has_pieces() -> None:
    settings = study_with({"model": {"activation": "maxout", "maxout_pieces": 3, "hidden": [4, 5]}}).recipes["plain"].model
    assert jobs.cost(settings, 2, 10, 100, (8,), 1) == 2 * (3 * (8 * 12 + 4 * 15 + 5) * 100 + 10 * 2e7)


def test_a_convolution_costs_more_than_a_dense_layer() -> None:
    settings = study_with({"model": {"conv": [16, 32], "hidden": [64]}}).recipes["plain"].model
    dense = study_with({"model": {"hidden": [512]}}).recipes["plain"].model
    convolution = jobs.cost(settings, 1, 64, 1000, (28, 28), 10)
    assert convolution > jobs.cost(dense, 1, 64, 1000, (28, 28), 10)
    by_hand = size.CONVOLUTION * (26 * 26 * 9 * 16 + 11 * 11 * 9 * 16 * 32) + 5 * 5 * 32 * 64 + 64 * 10
    assert convolution == pytest.approx(3 * by_hand * 1000 + 16 * 2e7)


def test_words_of_wide_and_deep_need_a_view_with_crosses() -> None:
    """And a network is priced by its encoded columns: a sex, two values, and their crosses with true and false."""
    rows = np.array([[0, 1], [1, 0], [1, 1]] * 4, np.float64)
    columns = [
        {"name": "sex", "kind": "category", "values": ("f", "m"), "ordered": False},
        {"name": "alone", "kind": "boolean", "values": (), "ordered": False},
    ]
    study = study_with({"model": {"wide_deep": {"api": "functional", "wide": "crosses", "deep": "columns"}}})
    crossed = views.fit(View(crosses=(("sex", "alone"),)), {"train": rows}, columns)
    plain = views.fit(View(), {"train": rows}, columns)
    splits = {name: (rows, np.arange(12) % 2) for name in ("train", "test")}
    prepared = Prepared(splits, {"crossed": crossed, "plain": plain}, {"task": "classification", "class_names": ["a", "b"]})
    recipe = study.recipes["plain"]
    assert views.resolved(recipe, crossed).model.wide_deep.wide == (3, 6)
    assert jobs.cost_of(recipe, prepared, "crossed") > 0
    with pytest.raises(UserError, match=r"^wide_deep\.wide: crosses needs a view with crosses, and plain has none$"):
        jobs.cost_of(recipe, prepared, "plain")
    data = StudyData(prepared)
    assert data.resolved(recipe, "crossed", 0).model.wide_deep.deep == (0, 3)
    assert data.inputs(recipe, "crossed", 0)["test"][0].shape == (12, 6)
