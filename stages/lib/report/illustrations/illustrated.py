"""The form of an illustration, and the numbers that a source prints with it, compared with ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stages.lib.cli import SettingError
from stages.lib.judging.reported import decimals
from stages.lib.judging.units import with_minus
from stages.lib.report.figures.style import WIDTH
from stages.lib.study.settings import Study


@dataclass(frozen=True)
class Illustrated:
    """An illustration, drawn again.

    finding: what our numbers say, in one paragraph.
    measured: key -> our numbers. A study's `reported` may name these keys.
    header, rows: a table of our numbers, as text.
    is_image: whether the figure shows images, so that it becomes a PNG.
    """

    figure: Figure
    caption: str
    finding: str = ""
    measured: Mapping[str, Sequence[float]] = field(default_factory=dict)
    header: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    is_image: bool = False

    @property
    def width(self) -> int:
        """The figure's width in pixels of a page."""
        return round(96 * float(self.figure.get_figwidth()))


def file_of(name: str, illustrated: Illustrated) -> str:
    """The name of the figure's file."""
    return f"illustration_{name}.{'png' if illustrated.is_image else 'svg'}"


def make_room(axes: Axes, inches: float) -> None:
    """Make room at the panel's left for labels of its own."""
    place, share = axes.get_position(), inches / WIDTH
    axes.set_position((place.x0 + share, place.y0, place.width - share, place.height))


def keep_labels_within(axes: Axes) -> None:
    """Keep the first and the last label of the x axis away from the neighbours' labels."""
    labels = axes.get_xticklabels()
    labels[0].set_horizontalalignment("left")
    labels[-1].set_horizontalalignment("right")


DIGITS = 5
"""Decimals in the table."""
COLUMNS = ("name", "key", "reported", "measured", "agrees")


def agrees(reported: float, measured: float, digits: int) -> bool:
    """Whether the measured number rounds to the reported one with this many decimals. A tie may round either way."""
    return bool(abs(measured - reported) <= 0.5 * 10.0**-digits * (1 + 1e-9) + 1e-12 * abs(reported))


def printed_decimals(reported: tuple[float, ...]) -> int:
    """Those of the most precise number, since a source prints all numbers of a list alike."""
    return max(map(decimals, reported), default=0)


def compare_printed(study: Study, illustrated: Mapping[str, Illustrated]) -> pd.DataFrame:
    """A row for each printed number, with COLUMNS, sorted by name and key.

    Raises SettingError for a key that is not measured, or if there are more or fewer numbers than we have.
    """
    rows = []
    for name, illustration in sorted(study.illustrations.items()):
        measured = illustrated[name].measured
        for key, reported in sorted(illustration.reported.items()):
            place = ("illustrations", name, "reported", key)
            if key not in measured:
                raise SettingError(f"is not measured; known: {', '.join(measured) or 'none'}", *place)
            if len(reported) != len(measured[key]):
                raise SettingError(f"has {len(reported)} numbers, and {len(measured[key])} are measured", *place)
            digits = printed_decimals(reported)
            for theirs, ours in zip(reported, measured[key], strict=True):
                rows.append((name, key, theirs, round(ours, DIGITS) + 0.0, agrees(theirs, ours, digits)))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def printed_numbers(study: Study, table: pd.DataFrame) -> dict[tuple[str, str], list[tuple[str, str, bool]]]:
    """(illustration, key) -> its printed numbers, ours with as many decimals, and whether they agree.

    table: from `compare_printed`.
    """
    numbers = {}
    for (name, key), rows in table.groupby(["name", "key"]):
        digits = printed_decimals(study.illustrations[str(name)].reported[str(key)])
        theirs, ours = ([with_minus(f"{value:,.{digits}f}") for value in rows[who]] for who in ("reported", "measured"))
        numbers[str(name), str(key)] = list(zip(theirs, ours, map(bool, rows["agrees"]), strict=True))
    return numbers
