"""What takes no training: numbers worked out by hand, and the argument about the learning rate step by step."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from helpers.study import prepared_for, study_with
from stages.lib.cli import UserError
from stages.lib.data.prepared import Prepared
from stages.lib.report import illustrations
from stages.lib.report.figures.output import png, svg
from stages.lib.report.illustrations import Illustrated
from stages.lib.study.settings import ILLUSTRATIONS, Study


def study_of(changes: dict[str, Any] | None = None, **illustrations: dict[str, tuple[float, ...]]) -> Study:
    """A study with illustrations, by the numbers that the source prints."""
    wanted = {name: {"says": "As said.", "reported": reported} for name, reported in illustrations.items()}
    return study_with({**(changes or {}), "illustrations": wanted})


def drawn(name: str, study: Study | None = None) -> Illustrated:
    study = study or study_of(**{name: {}})
    return illustrations.illustrate(study, prepared_for(study))[name]


def compared(study: Study) -> list[tuple[Any, ...]]:
    table = illustrations.compared(study, illustrations.illustrate(study, prepared_for(study)))
    return list(table.itertuples(index=False, name=None))


def test_every_name_has_a_function_and_every_function_a_name() -> None:
    assert sorted(illustrations.ILLUSTRATIONS) == sorted(ILLUSTRATIONS)


@pytest.mark.parametrize("name", ILLUSTRATIONS)
def test_an_illustration_is_small_and_the_same_bytes_each_time(name: str) -> None:
    def content() -> bytes:
        each = drawn(name)
        assert each.name == name
        assert each.file.startswith(f"illustration_{name}.")
        assert all(len(row) == len(each.header) for row in each.rows)
        assert "\n" not in each.finding
        assert "  " not in each.finding + each.caption
        return png(each.figure) if each.image else svg(each.figure)

    first = content()
    assert 0 < len(first) < 300_000
    assert b"mathdefault" not in first
    assert content() == first


def test_the_sigmoid_s_printed_numbers_agree() -> None:
    at_255 = (0.93, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0)
    at_1 = (0.50, 0.52, 0.55, 0.60, 0.69, 0.83, 0.96, 1.00)
    rows = compared(study_of(sigmoid_saturation={"x_255": at_255, "x_1": at_1}))
    assert len(rows) == 16
    assert all(agrees for *_, agrees in rows)
    assert [row[1] for row in rows] == ["x_1"] * 8 + ["x_255"] * 8


def test_the_sigmoid_neither_overflows_nor_loses_its_slope() -> None:
    assert illustrations.sigmoid(np.array([-1e4, 0.0, 1e4])).tolist() == [0.0, 0.5, 1.0]
    assert illustrations.sigmoid_slope(np.array(40.0)) == pytest.approx(np.exp(-40.0))


def test_a_rate_below_the_limit_reaches_the_minimum() -> None:
    for rate in (0.01, 0.1):
        w, b = illustrations.descend(rate)[-1]
        assert w == pytest.approx(2, abs=0.005)
        assert b == pytest.approx(0, abs=0.01)
    assert illustrations.standstill(illustrations.descend(0.01)) is None


def test_the_loss_is_convex_and_the_limit_is_that_of_its_hessian() -> None:
    assert illustrations.line_hessian().tolist() == [[15, 5], [5, 2]]
    smallest, largest = drawn("learning_rate_on_a_line").measured["eigenvalues"]
    assert smallest + largest == pytest.approx(17)  # the trace
    assert smallest * largest == pytest.approx(5)  # the determinant
    assert drawn("learning_rate_on_a_line").measured["stability_limit"][0] == pytest.approx(0.11976, abs=1e-5)


def test_past_the_limit_w_grows_until_a_step_is_rounded_away() -> None:
    path = illustrations.descend(0.5)
    growth = np.abs(path[2:10, 0] - 2) / np.abs(path[1:9, 0] - 2)
    assert growth[-1] == pytest.approx(0.5 * 16.70061 - 1, rel=0.01)
    epoch = illustrations.standstill(path)
    assert epoch is not None
    assert epoch < 30
    w, b = map(float, path[-1])
    assert abs(w) > 1e12
    assert [w + illustrations.STEP, b + illustrations.STEP] == [w, b]
    assert abs(illustrations.line_gradient(w, b)[0]) > 1e12  # no minimum


def test_the_finding_on_the_line_names_its_numbers() -> None:
    finding = drawn("learning_rate_on_a_line").finding
    for text in ("[[15, 5], [5, 2]]", "0.299 and 16.7", "2 / 16.7 = 0.12", "multiplies the error by 7.35", "rounded away"):
        assert text in finding
    assert finding.endswith("So the explanation by a local minimum is refuted.")
    calm = illustrations.line_finding({0.01: illustrations.descend(0.01)})
    assert "refuted" not in calm


def test_updates_come_from_rows_batches_and_epochs() -> None:
    train = {"batch_size": 64, "epochs": 50}
    variants: dict[str, Any] = {
        "noisy": {"train": {"batch_size": 4096}},
        "dropped": {"train": {"validation_rows": 0, "epochs": 3}},
    }
    study = study_of({"train": train, "variants": variants}, weight_updates={"batch_64": (46900,), "batch_4096": (750,)})
    rows = np.zeros((60000, 1), np.uint8), np.zeros(60000, np.int64)
    prepared = replace(prepared_for(study), splits={"train": rows, "test": rows})
    assert illustrations.updates_of(study, prepared) == {(64, 50): (938, 46900), (4096, 50): (15, 750), (64, 3): (938, 2814)}
    found = illustrations.illustrate(study, prepared)
    assert illustrations.compared(study, found)["agrees"].all()
    assert "62.5 times" in found["weight_updates"].finding


def test_rows_set_apart_to_validate_on_update_nothing() -> None:
    split: dict[str, Any] = {"split": {"validation": 0}}
    study = study_of({"data": split, "train": {"validation_rows": 56, "batch_size": 32, "epochs": 1}}, weight_updates={})
    assert illustrations.updates_of(study, prepared_for(study)) == {(32, 1): (2, 2)}  # of 120 rows


def test_the_losses_of_the_example_by_hand() -> None:
    measured = drawn("losses").measured
    assert measured["half_squared_error"] == pytest.approx(((0.04 + 0.49 + 0.81) / 2,))
    assert measured["cross_entropy"] == pytest.approx((np.log(10),))
    assert measured["absolute_error"] == pytest.approx((1.8,))
    assert list(measured["accuracy_of_models"]) == [1, 1]
    assert measured["cross_entropy_of_models"] == pytest.approx((np.log(2), -np.log(0.7)))


def test_softmax_adds_up_to_one_and_never_overflows() -> None:
    assert illustrations.softmax(np.array([0.0, 0.0])).tolist() == [0.5, 0.5]
    assert illustrations.softmax(np.array([1e4, 0.0])).tolist() == [1, 0]


def test_equal_scales_need_one_step() -> None:
    unequal, equal = drawn("scaling_contours").measured["steps"]
    assert equal == 1
    assert unequal > 10


def test_inversion_mirrors_the_inputs() -> None:
    before, after = drawn("inversion_histogram").measured["mean_input"]
    assert before + after == pytest.approx(1)


@pytest.mark.parametrize("name", ["digit_grid", "first_image", "label_grid"])
def test_images_are_needed_where_images_are_shown(name: str) -> None:
    study = study_of(**{name: {}})
    prepared = prepared_for(study)
    flat = {split: (x.reshape(len(x), -1), y) for split, (x, y) in prepared.splits.items()}
    with pytest.raises(UserError, match=f"illustrations.{name}: needs images, which the data set 'blobs' has not"):
        illustrations.illustrate(study, Prepared(flat, prepared.views, prepared.facts))


def test_a_number_agrees_where_it_rounds_to_the_printed_one() -> None:
    assert illustrations.agrees(0.93, 0.9276, 2)
    assert illustrations.agrees(0.67, 0.665, 2)  # at a tie, either way
    assert not illustrations.agrees(0.93, 0.9249, 2)
    assert compared(study_of(losses={"cross_entropy": (2.1,)})) == [("losses", "cross_entropy", 2.1, 2.30259, False)]


def test_a_reported_number_that_is_not_measured_is_refused() -> None:
    with pytest.raises(UserError, match=r"illustrations.losses.reported.hinge: is not measured; known: half_squared_error"):
        compared(study_of(losses={"hinge": (1.0,)}))
    with pytest.raises(UserError, match=r"reported.cross_entropy: has 2 numbers, and 1 are measured"):
        compared(study_of(losses={"cross_entropy": (1.0, 2.0)}))
    with pytest.raises(UserError, match="known: none"):
        compared(study_of(first_image={"pixels": (784.0,)}))
