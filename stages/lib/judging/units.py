"""Numbers as people read them: the unit of a metric, decimals, significant digits, and a real minus sign.

No Matplotlib here: the tools that write text need these too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from stages.lib.study.metrics import finite, metric_of

WORDS = {"never": "never reached", "diverged": "diverged", "undefined": "undefined", "none": "none"}
"""Word in a table -> what readers see."""


def with_minus(text: str) -> str:
    """The text with minus signs for its hyphens."""
    return text.replace("-", "−")


def short_number(value: float) -> str:
    """Up to six significant digits and no zeros at the end: 0.5, −3, 1e+06."""
    return with_minus(f"{value:g}")


def power_of_ten(exponent: int) -> str:
    """10⁻³: Matplotlib's own labels need mathematical text."""
    return "10" + str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def significant(value: float, digits: int = 3) -> str:
    """A number with this many significant digits, as in a text: 46,900, 0.12, 8.4 × 10⁻¹²."""
    if value and math.isfinite(value) and not 1e-4 <= abs(value) < 1e7:
        mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
        return f"{with_minus(mantissa)} × {power_of_ten(int(exponent))}"
    whole = value == round(value) or abs(value) >= 10**digits
    return with_minus(f"{value:,.0f}" if whole else f"{value:.{digits}g}")


def finite_column(column: pd.Series) -> np.ndarray:
    """A column as float64, with `finite` applied to every cell."""
    return np.array([finite(cell) for cell in column], dtype=np.float64)


@dataclass(frozen=True)
class Unit:
    """How values of a metric are written.

    level: the unit of a value.
    difference: the unit of a difference of two values.
    factor: what a value is multiplied by first, 100 for a share in percent.
    """

    quantity: str
    level: str
    difference: str
    factor: float = 1.0
    digits: int = 4

    def bare(self, value: object, signed: bool = False) -> str:
        """The value without its unit; for a word, such as `never`, what readers see."""
        number = finite(value)
        if math.isnan(number):
            return WORDS.get(str(value), str(value))
        text = f"{number * self.factor:{'+' if signed else ''},.{self.digits}f}"
        return with_minus(text) if float(text.replace(",", "")) else text.lstrip("+-")

    def value(self, value: object) -> str:
        """The value with its unit."""
        return self._with(self.bare(value), value, self.level)

    def change(self, value: object) -> str:
        """The difference with its sign and its unit."""
        return self._with(self.bare(value, signed=True), value, self.difference)

    def title(self, difference: bool) -> str:
        """The title of an axis of values, or of differences."""
        text, unit = (f"difference in {self.quantity}", self.difference) if difference else (self.quantity, self.level)
        return text.capitalize() + (f", {unit}" if unit and unit != self.quantity else "")

    def interval(self, low: object, high: object) -> str:
        """The interval in brackets. Words instead of its ends say that there is none."""
        return "no interval" if math.isnan(finite(low)) else f"[{self.bare(low)}, {self.bare(high)}]"

    def _with(self, text: str, value: object, unit: str) -> str:
        return text if math.isnan(finite(value)) or not unit else f"{text} {unit}"


ACCURACY = Unit("accuracy", "%", "points", 100, 2)
UNITS = {
    "accuracy": ACCURACY,
    "balanced accuracy": Unit("balanced accuracy", "%", "points", 100, 2),
    "duration": Unit("duration", "s", "s", digits=3),
    "epochs": Unit("epochs", "epochs", "epochs", digits=1),
}
"""Quantity -> its unit. Other quantities have none."""


def unit_of(metric: str, task: str) -> Unit:
    """The unit of a metric in a study of this task: classification or regression."""
    quantity = metric_of(metric).quantity
    if quantity == "accuracy or loss":
        quantity = "accuracy" if task == "classification" else "loss"
    if quantity == "share":
        return Unit(metric, "", "")
    return UNITS.get(quantity) or Unit(quantity or metric.replace("_", " "), "", "")
