"""Steps over contours."""

from __future__ import annotations

from helpers.illustrations import drawn


def test_equal_scales_need_one_step() -> None:
    unequal, equal = drawn("scaling_contours").measured["steps"]
    assert equal == 1
    assert unequal > 10
