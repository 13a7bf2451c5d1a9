"""Every illustration by its name in params.yaml."""

from __future__ import annotations

from collections.abc import Callable

from stages.lib.data.prepared import Prepared
from stages.lib.report.illustrations.first_rows import digit_grid, first_image, inversion_histogram, label_grid
from stages.lib.report.illustrations.functions import activations, losses, sigmoid_saturation, softmax
from stages.lib.report.illustrations.illustrated import Illustrated
from stages.lib.report.illustrations.training import learning_rate_on_a_line, scaling_contours, weight_updates
from stages.lib.study.settings import Study

FUNCTIONS: tuple[Callable[[Study, Prepared], Illustrated], ...] = (
    activations,
    digit_grid,
    first_image,
    inversion_histogram,
    label_grid,
    learning_rate_on_a_line,
    losses,
    scaling_contours,
    sigmoid_saturation,
    softmax,
    weight_updates,
)
REGISTRY = {function.__name__: function for function in FUNCTIONS}
"""A test compares the names with those that the settings allow."""


def illustrate(study: Study, prepared: Prepared) -> dict[str, Illustrated]:
    """Name -> each illustration that the study asks for. Raises UserError if the data do not allow one."""
    return {name: REGISTRY[name](study, prepared) for name in study.illustrations}
