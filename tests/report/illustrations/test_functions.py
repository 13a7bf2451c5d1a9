"""The sigmoid and losses, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from helpers.illustrations import drawn
from stages.lib.report.illustrations.functions import sigmoid_slope


def test_the_slope_of_the_sigmoid_is_exact_near_zero() -> None:
    assert sigmoid_slope(np.array(40.0)) == pytest.approx(np.exp(-40.0))


def test_the_losses_of_the_example_by_hand() -> None:
    measured = drawn("losses").measured
    assert measured["half_squared_error"] == pytest.approx(((0.04 + 0.49 + 0.81) / 2,))
    assert measured["cross_entropy"] == pytest.approx((np.log(10),))
    assert measured["absolute_error"] == pytest.approx((1.8,))
    assert list(measured["accuracy_of_models"]) == [1, 1]
    assert measured["cross_entropy_of_models"] == pytest.approx((np.log(2), -np.log(0.7)))
