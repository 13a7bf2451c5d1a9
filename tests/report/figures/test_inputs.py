"""Histograms and images of the inputs."""

from __future__ import annotations

import numpy as np
import pytest

from helpers.figures import words
from stages.lib.report.figures.inputs import histograms, view_samples
from stages.lib.report.figures.style import png


def test_histograms_of_a_constant_and_of_noise() -> None:
    inputs = {"constant": {"train": np.zeros(10)}, "noisy": {"train": np.ones(10), "test": np.linspace(-1, 1, 10)}}
    assert {"constant", "noisy", "test rows, with their noise"} <= words(histograms(inputs))


@pytest.mark.parametrize("shape", [(2, 8, 8), (2, 8, 8, 1), (2, 8, 8, 3)])
def test_grey_and_coloured_images_are_drawn(shape: tuple[int, ...]) -> None:
    images = np.random.default_rng(0).random(shape)
    figure = view_samples({"scaled": images}, {"scaled": (0.0, 1.0)}, ["one", "two"])
    assert png(figure) == png(figure)
