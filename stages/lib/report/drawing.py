"""Which figures a study has, by file name."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from stages.lib.data.prepared import Prepared
from stages.lib.files import write_bytes
from stages.lib.report.evidence import deep_variants
from stages.lib.report.figures.claims import claims, leaderboard
from stages.lib.report.figures.curves import curve_measures, gradients, learning_curves
from stages.lib.report.figures.errors import confusion, residuals
from stages.lib.report.figures.inputs import histograms, view_samples
from stages.lib.report.figures.style import png, svg
from stages.lib.report.results import Results
from stages.lib.study.settings import Study
from stages.lib.training import views

SAMPLE_ROWS = 2000
"""Rows of each split for the histograms, and for the limits of black and white."""
SAMPLE_CLASSES = 10
"""Classes of which an image is shown."""


def result_figures(results: Results) -> dict[str, Figure]:
    """The figures of what was measured, without the durations."""
    metric, task = results.headline, results.task
    drawn = {"leaderboard.svg": leaderboard(results.summary, results.replicates, results.reported, metric, task)}
    if len(results.claims):
        drawn["claims.svg"] = claims(results.claims, task)
    for measure in curve_measures(results.curves):
        drawn[f"curves_{measure}.svg"] = learning_curves(results.curves, results.parents, measure)
    means = results.summary[results.summary["metric"] == metric]
    diverged = set(means.loc[means["mean"].astype(str) == "diverged", "variant"])
    if results.confusion is not None:
        drawn["confusion.svg"] = confusion(results.confusion, diverged)
    if results.residuals is not None:
        drawn["residuals.svg"] = residuals(results.residuals, diverged, results.facts["target"])
    if activations := deep_variants(results.study, results.diagnostics):
        drawn["gradients.svg"] = gradients(results.diagnostics, activations)
    return drawn


def input_figures(study: Study, prepared: Prepared) -> dict[str, Figure]:
    """The figures of what the networks see under each view."""
    train, (test, labels) = prepared.splits["train"][0][:SAMPLE_ROWS], prepared.splits["test"]
    fitted = {name: prepared.views[name] for name in study.views}
    trained_on = {name: views.apply(view, train, "train") for name, view in fitted.items()}
    tested_on = {name: views.apply(view, test, "test") for name, view in fitted.items()}  # the noise is drawn for all rows
    values = {name: {"train": inputs} for name, inputs in trained_on.items()}
    for name, view in fitted.items():
        if view.test_noise:
            values[name]["test"] = tested_on[name][:SAMPLE_ROWS]
    drawn = {"histograms.svg": histograms(values)}
    if prepared.task == "classification" and test.ndim > 2:
        class_names = prepared.facts["class_names"]
        present = [label for label in range(len(class_names)) if (labels == label).any()][:SAMPLE_CLASSES]
        first = [int(np.argmax(labels == label)) for label in present]
        limits = {name: (float(inputs.min()), float(inputs.max())) for name, inputs in trained_on.items()}
        samples = {name: inputs[first] for name, inputs in tested_on.items()}
        drawn["views.png"] = view_samples(samples, limits, [class_names[label] for label in present])
    return drawn


def encoded(figures: Mapping[str, Figure]) -> dict[str, bytes]:
    """File name -> the figure as PNG or SVG, by the name's suffix."""
    return {name: (png if name.endswith(".png") else svg)(figure) for name, figure in figures.items()}


def write_figures(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write these files, and remove all others from the folder."""
    for path in folder.glob("*"):
        if path.name not in contents:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for name, content in contents.items():
        write_bytes(folder / name, content)
