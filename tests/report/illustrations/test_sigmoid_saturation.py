"""A sigmoid far from 0."""

from __future__ import annotations

import numpy as np
import pytest

from stages.lib.report.illustrations.sigmoid_saturation import sigmoid, sigmoid_slope


def test_the_sigmoid_neither_overflows_nor_loses_its_slope() -> None:
    assert sigmoid(np.array([-1e4, 0.0, 1e4])).tolist() == [0.0, 0.5, 1.0]
    assert sigmoid_slope(np.array(40.0)) == pytest.approx(np.exp(-40.0))
