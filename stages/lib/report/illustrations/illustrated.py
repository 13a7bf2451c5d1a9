"""The form of an illustration, and what several of them draw alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stages.lib.report.figures.style import WIDTH


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
    measured: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    header: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
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
