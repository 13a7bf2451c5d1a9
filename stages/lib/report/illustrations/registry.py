"""Every illustration by its name in params.yaml."""

from __future__ import annotations

from collections.abc import Callable

from stages.lib.data.prepared import Prepared
from stages.lib.report.illustrations.activations import activations
from stages.lib.report.illustrations.illustrated import Illustrated
from stages.lib.report.illustrations.images import digit_grid, first_image, label_grid
from stages.lib.report.illustrations.inversion_histogram import inversion_histogram
from stages.lib.report.illustrations.learning_rate_on_a_line import learning_rate_on_a_line
from stages.lib.report.illustrations.losses import losses
from stages.lib.report.illustrations.scaling_contours import scaling_contours
from stages.lib.report.illustrations.sigmoid_saturation import sigmoid_saturation
from stages.lib.report.illustrations.softmax import softmax
from stages.lib.report.illustrations.weight_updates import weight_updates
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
