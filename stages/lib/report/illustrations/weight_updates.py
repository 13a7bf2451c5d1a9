"""How often the weights change at each batch size of the study."""

from __future__ import annotations

from stages.lib.data.prepared import Prepared
from stages.lib.judging.units import significant
from stages.lib.report.evidence import updates_of_an_epoch
from stages.lib.report.figures.layout import grid
from stages.lib.report.figures.style import BLUE, GREY, STYLED
from stages.lib.report.illustrations.illustrated import Illustrated
from stages.lib.study.settings import Study


def updates_of(study: Study, prepared: Prepared) -> dict[tuple[int, int], tuple[int, int]]:
    """(batch size, epochs) of any variant -> updates in an epoch and in all, in the order of params.yaml."""
    rows = {split: len(labels) for split, (_, labels) in prepared.splits.items()}
    found = {}
    for recipe in study.recipes.values():
        updates = updates_of_an_epoch(recipe, rows)
        found[recipe.train.batch_size, recipe.train.epochs] = updates, updates * recipe.train.epochs
    return found


@STYLED
def weight_updates(study: Study, prepared: Prepared) -> Illustrated:
    """The updates in a whole training."""
    found = updates_of(study, prepared)
    figure, (axes,) = grid(1, 1, 0.2 + 0.3 * len(found), above=0.1, below=0.4, top=0, left=2.1)
    for y, ((size, epochs), (_, total)) in enumerate(found.items()):
        axes.barh(y, total, height=0.6, color=BLUE)
        axes.text(total * 1.08, y, f"{total:,}", va="center", color=GREY)
        name = f"batch size {size:,}, {epochs} epochs"
        axes.text(-0.01, y, name, transform=axes.get_yaxis_transform(), ha="right", va="center")
    axes.set(xscale="log", xlim=(1, 3 * max(total for _, total in found.values())), ylim=(len(found) - 0.5, -0.5), yticks=[])
    axes.set_xlabel("updates of the weights, on a logarithmic scale", color=GREY)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.minorticks_off()
    totals: dict[int, int] = {}
    for (size, _), (_, total) in found.items():
        totals.setdefault(size, total)
    most, fewest = max(totals, key=lambda size: totals[size]), min(totals, key=lambda size: totals[size])
    finding = ""
    if totals[most] > totals[fewest]:
        ratio = significant(totals[most] / totals[fewest])
        finding = f"At batch size {most} the weights change {ratio} times as often as at {fewest}."
    rows = len(prepared.splits["train"][1])
    return Illustrated(
        figure,
        f"Updates of the weights in a whole training: {rows:,} training rows, divided by the batch"
        " size and rounded up, times the epochs.",
        finding,
        {f"batch_{size}": (float(total),) for size, total in totals.items()},
        ("Batch size", "Updates in an epoch", "Epochs", "Updates"),
        tuple((f"{size:,}", f"{each:,}", str(epochs), f"{total:,}") for (size, epochs), (each, total) in found.items()),
    )
