"""The argument about the learning rate, step by step."""

from __future__ import annotations

import numpy as np
import pytest

from helpers.illustrations import drawn
from stages.lib.report.illustrations.learning_rate_on_a_line import (
    STEP,
    descend,
    line_finding,
    line_gradient,
    line_hessian,
    standstill,
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
