"""The argument about the learning rate, step by step; steps over contours; updates, counted by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from helpers.illustrations import drawn, study_of
from helpers.study import prepared_for
from stages.lib.report.illustrations.illustrated import compare_printed
from stages.lib.report.illustrations.registry import illustrate
from stages.lib.report.illustrations.training import (
    STEP,
    descend,
    line_finding,
    line_gradient,
    line_hessian,
    standstill,
    updates_of,
)


def test_a_rate_below_the_limit_reaches_the_minimum() -> None:
    for rate in (0.01, 0.1):
        w, b = descend(rate)[-1]
        assert w == pytest.approx(2, abs=0.005)
        assert b == pytest.approx(0, abs=0.01)
    assert standstill(descend(0.01)) is None


def test_the_loss_is_convex_and_the_limit_is_that_of_its_hessian() -> None:
    assert line_hessian().tolist() == [[15, 5], [5, 2]]
    smallest, largest = drawn("learning_rate_on_a_line").measured["eigenvalues"]
    assert smallest + largest == pytest.approx(17)  # the trace
    assert smallest * largest == pytest.approx(5)  # the determinant
    assert drawn("learning_rate_on_a_line").measured["stability_limit"][0] == pytest.approx(0.11976, abs=1e-5)


def test_past_the_limit_w_grows_until_a_step_is_rounded_away() -> None:
    path = descend(0.5)
    growth = np.abs(path[2:10, 0] - 2) / np.abs(path[1:9, 0] - 2)
    assert growth[-1] == pytest.approx(0.5 * 16.70061 - 1, rel=0.01)
    epoch = standstill(path)
    assert epoch is not None
    assert epoch < 30
    w, b = map(float, path[-1])
    assert abs(w) > 1e12
    assert [w + STEP, b + STEP] == [w, b]
    assert abs(line_gradient(w, b)[0]) > 1e12  # no minimum


def test_the_finding_on_the_line_names_its_numbers() -> None:
    finding = drawn("learning_rate_on_a_line").finding
    for text in ("[[15, 5], [5, 2]]", "0.299 and 16.7", "2 / 16.7 = 0.12", "multiplies the error by 7.35", "rounded away"):
        assert text in finding
    assert finding.endswith("So the explanation by a local minimum is refuted.")
    calm = line_finding({0.01: descend(0.01)})
    assert "refuted" not in calm


def test_equal_scales_need_one_step() -> None:
    unequal, equal = drawn("scaling_contours").measured["steps"]
    assert equal == 1
    assert unequal > 10


def test_updates_come_from_rows_batches_and_epochs() -> None:
    train = {"batch_size": 64, "epochs": 50}
    variants: dict[str, Any] = {
        "noisy": {"train": {"batch_size": 4096}},
        "dropped": {"train": {"validation_rows": 0, "epochs": 3}},
    }
    study = study_of({"train": train, "variants": variants}, weight_updates={"batch_64": (46900,), "batch_4096": (750,)})
    rows = np.zeros((60000, 1), np.uint8), np.zeros(60000, np.int64)
    prepared = replace(prepared_for(study), splits={"train": rows, "test": rows})
    assert updates_of(study, prepared) == {(64, 50): (938, 46900), (4096, 50): (15, 750), (64, 3): (938, 2814)}
    found = illustrate(study, prepared)
    assert compare_printed(study, found)["agrees"].all()
    assert "62.5 times" in found["weight_updates"].finding


def test_rows_set_apart_to_validate_on_update_nothing() -> None:
    split: dict[str, Any] = {"split": {"validation": 0}}
    study = study_of({"data": split, "train": {"validation_rows": 56, "batch_size": 32, "epochs": 1}}, weight_updates={})
    assert updates_of(study, prepared_for(study)) == {(32, 1): (2, 2)}  # of 120 rows


@pytest.mark.parametrize(
    ("changes", "updates"),
    [
        ({"train": {"validation_rows": 100}}, 2),  # of 60 rows: never more than half are set apart
        ({"data": {"k_fold": {"folds": 2, "repeats": 2, "seed": 0}}, "variants": {"plain": {"k_fold": True}}}, 3),  # 80 of 160
    ],
)
def test_updates_are_those_of_the_rows_that_train(changes: dict[str, Any], updates: int) -> None:
    study = study_of(changes, weight_updates={})
    found = updates_of(study, prepared_for(study))
    assert {each for each, _ in found.values()} == {updates}
