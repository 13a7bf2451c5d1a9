"""Inverted inputs."""

from __future__ import annotations

import pytest

from helpers.illustrations import drawn


def test_inversion_mirrors_the_inputs() -> None:
    before, after = drawn("inversion_histogram").measured["mean_input"]
    assert before + after == pytest.approx(1)
