"""Gradients of deep variants, in numbers and in a sentence."""

from __future__ import annotations

import math
from dataclasses import dataclass

from stages.lib.judging.units import significant
from stages.lib.report.evidence import SMALL, deep_variants
from stages.lib.report.results import Results


@dataclass(frozen=True)
class GradientRow:
    """A deep variant.

    layers: how many.
    before, after: the first layer's gradient over the output layer's, before training and at its end.
    zero, saturated: the share of units that are always 0, and of activations near a bound, in the worst layer at the end.
    """

    variant: str
    activation: str
    layers: int
    before: float
    after: float
    zero: float
    saturated: float

    @property
    def cells(self) -> list[tuple[float, str]]:
        """The numbers, each as a value to sort by and as text."""
        ratios = [(value, "–" if math.isnan(value) else significant(value)) for value in (self.before, self.after)]
        shares = [(value, "–" if math.isnan(value) else f"{100 * value:.1f} %") for value in (self.zero, self.saturated)]
        return ratios + shares


def gradient_rows(results: Results) -> list[GradientRow]:
    rows = []
    for variant, activation in deep_variants(results.study, results.diagnostics).items():
        layers = results.diagnostics.loc[results.diagnostics["variant"] == variant, "layer"].nunique()
        found = results.evidence[variant]
        rows.append(GradientRow(variant, activation, layers, found.before, found.after, found.zero, found.saturated))
    return rows


def gradient_sentence(rows: list[GradientRow]) -> str:
    """Which gradients vanish before training, with their ratios; or else the smallest ratio."""
    known = [row for row in rows if not math.isnan(row.before)]
    small = [row for row in known if row.before < SMALL]
    if small:
        listed = ", ".join(f"{row.variant} ({significant(row.before)})" for row in small)
        return (
            f"Before training, the first layer's gradient is less than {100 * SMALL:g} % of the output layer's in"
            f" {len(small)} of {len(known)} variant{'s' if len(known) != 1 else ''}: {listed}."
        )
    text = f"Before training, no first layer's gradient is less than {100 * SMALL:g} % of the output layer's."
    if known:
        least = min(known, key=lambda row: row.before)
        text += f" The smallest ratio is {significant(least.before)}, of {least.variant}."
    return text
