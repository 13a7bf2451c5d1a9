"""Softmax."""

from __future__ import annotations

import numpy as np

from stages.lib.report.illustrations.softmax import probabilities_of


def test_softmax_adds_up_to_one_and_never_overflows() -> None:
    assert probabilities_of(np.array([0.0, 0.0])).tolist() == [0.5, 0.5]
    assert probabilities_of(np.array([1e4, 0.0])).tolist() == [1, 0]
