"""What the report shows: the tables of metrics/, and the figures made of them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from stages.lib.cli import UserError
from stages.lib.data.prepared import Prepared
from stages.lib.files import write_bytes
from stages.lib.judging.claims import COLUMNS, judge_claims, values_of
from stages.lib.judging.reported import single_runs
from stages.lib.judging.tables import HEADLINES
from stages.lib.report import figures
from stages.lib.report.page import Results, deep_variants
from stages.lib.study.settings import Study
from stages.lib.training import views

SAMPLE_ROWS = 2000
"""Rows of each split that histograms and the range of a view are drawn from."""
SAMPLE_CLASSES = 10
"""Classes of which an image is shown."""


def read_table(path: Path) -> pd.DataFrame:
    """A table that `evaluate` wrote. Only an empty cell is no value: a variant may be called nan, a class NA."""
    try:
        return pd.read_csv(path, keep_default_na=False, na_values=[""], dtype={"variant": str, "class": str})
    except FileNotFoundError:
        raise UserError(f"{path} is missing; run `dvc repro`, or the evaluate stage first") from None


def require(names: Any, found: Any, path: Path, stage: str) -> None:
    """Raises UserError where a table is older than params.yaml."""
    if missing := [name for name in names if name not in set(found)]:
        raise UserError(f"{path} knows no {missing[0]}, which params.yaml names; run `dvc repro`, or the {stage} stage first")


def durations_of(study: Study, timings: dict[str, Any]) -> pd.DataFrame:
    rows = [
        {"variant": variant, "seed": int(seed), **seconds}
        for variant in study.variants
        for seed, seconds in timings["replicates"].get(variant, {}).items()
    ]
    return pd.DataFrame(rows, columns=["variant", "seed", "seconds", "seconds_per_epoch"])


def compared(study: Study, claims: pd.DataFrame, replicates: pd.DataFrame) -> pd.DataFrame:
    """The claims with what each is about, `second − first` or the one variant, and how many single runs miss what it says."""
    claims = claims.reindex(columns=COLUMNS)
    named = [study.claims[name] for name in claims["claim"]]
    counts = [single_runs(claim, values_of(study, claim, replicates)) for claim in named]
    return claims.assign(
        groups=[" − ".join(reversed(claim.variants)) for claim in named],
        missed=[missed for missed, _ in counts],
        runs=[runs for _, runs in counts],
    )


def read_results(study: Study, folder: Path, task: str) -> Results:
    """Every table, with the claims about time judged. Raises UserError where one is missing or older than params.yaml."""
    metrics, timings_file = folder / "metrics", folder / "data" / "timings.json"
    try:
        timings = json.loads(timings_file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{timings_file} is missing; run `dvc repro`, or the train stage first") from None
    durations = durations_of(study, timings)
    require(study.variants, durations["variant"], timings_file, "train")
    by_task = "confusion" if task == "classification" else "residuals"
    names = ("claims", "summary", "replicates", "curves", "diagnostics", by_task)
    tables = {name: read_table(metrics / f"{name}.csv") for name in names}
    for name in ("summary", "replicates", "curves", by_task, *(["diagnostics"] if study.replicates.diagnostics else [])):
        require(study.variants, tables[name]["variant"], metrics / f"{name}.csv", "evaluate")
        tables[name] = tables[name][tables[name]["variant"].isin(list(study.variants))]
    claims = tables["claims"].reindex(columns=COLUMNS)
    timed = [name for name, claim in study.claims.items() if claim.about_time]
    require([name for name in study.claims if name not in timed], claims["claim"], metrics / "claims.csv", "evaluate")
    return Results(
        claims=compared(study, claims[claims["claim"].isin(list(study.claims))], tables["replicates"]),
        timed=compared(study, judge_claims(study, durations, timed), durations),
        summary=tables["summary"],
        replicates=tables["replicates"],
        curves=tables["curves"],
        confusion=tables.get("confusion"),
        residuals=tables.get("residuals"),
        diagnostics=tables["diagnostics"],
        durations=durations,
        timings=timings,
    )


def read_search(study: Study, folder: Path) -> dict[str, pd.DataFrame]:
    """The tables of the study's search; none where it has none. Raises UserError where they are older than params.yaml."""
    if study.search is None:
        return {}
    found = {}
    for name in ("trials", "winners", "claims", "importance"):
        path = folder / "metrics" / "search" / f"{name}.csv"
        try:
            found[name] = pd.read_csv(path, keep_default_na=False, na_values=[""], dtype={"strategy": str})
        except FileNotFoundError:
            raise UserError(f"{path} is missing; run `dvc repro`, or the search stage first") from None
    path = folder / "metrics" / "search" / "trials.csv"
    require(study.search.strategies, found["trials"]["strategy"], path, "search")
    require([study.search.metric, *(each.key for each in study.search.space.values())], found["trials"].columns, path, "search")
    require(study.search.claims, found["claims"]["claim"], folder / "metrics" / "search" / "claims.csv", "search")
    claims = found["claims"][found["claims"]["claim"].isin(list(study.search.claims))]
    groups = [" − ".join(reversed(study.search.claims[name].variants)) for name in claims["claim"]]
    return {**found, "claims": claims.assign(groups=groups)}


def result_figures(study: Study, results: Results, task: str, target: str = "") -> dict[str, Figure]:
    """File name -> figure of what was measured, save durations.

    target: what a regression predicts.
    """
    metric = HEADLINES[task]
    reported = {name: each.reported[metric] for name, each in study.variants.items() if metric in each.reported}
    parents = {name: each.extends for name, each in study.variants.items()}
    drawn = {"leaderboard.svg": figures.leaderboard(results.summary, results.replicates, reported, metric, task)}
    if len(results.claims):
        drawn["claims.svg"] = figures.claims(results.claims, task)
    for measure in figures.measures(results.curves):
        drawn[f"curves_{measure}.svg"] = figures.learning_curves(results.curves, parents, measure)
    means = results.summary[results.summary["metric"] == metric]
    diverged = set(means.loc[means["mean"].astype(str) == "diverged", "variant"])
    if results.confusion is not None:
        drawn["confusion.svg"] = figures.confusion(results.confusion, diverged)
    if results.residuals is not None:
        drawn["residuals.svg"] = figures.residuals(results.residuals, diverged, target)
    if kinds := deep_variants(study, results.diagnostics):
        drawn["gradients.svg"] = figures.gradients(results.diagnostics, kinds)
    return drawn


def input_figures(study: Study, prepared: Prepared) -> dict[str, Figure]:
    """File name -> figure of what the networks see under each view."""
    train, (test, labels) = prepared.splits["train"][0][:SAMPLE_ROWS], prepared.splits["test"]
    fitted = {name: prepared.views[name] for name in study.views}
    trained_on = {name: views.apply(view, train, "train") for name, view in fitted.items()}
    tested_on = {name: views.apply(view, test, "test") for name, view in fitted.items()}  # all rows: noise is drawn in one go
    values = {
        name: {"train": trained_on[name]} | ({"test": tested_on[name][:SAMPLE_ROWS]} if view.test_noise else {})
        for name, view in fitted.items()
    }
    drawn = {"histograms.svg": figures.histograms(values)}
    if prepared.task == "classification" and test.ndim > 2:
        present = [label for label in range(len(prepared.facts["class_names"])) if (labels == label).any()][:SAMPLE_CLASSES]
        first = [int(np.argmax(labels == label)) for label in present]
        limits = {name: (float(inputs.min()), float(inputs.max())) for name, inputs in trained_on.items()}
        samples = {name: inputs[first] for name, inputs in tested_on.items()}
        drawn["views.png"] = figures.view_samples(samples, limits, [prepared.facts["class_names"][label] for label in present])
    return drawn


def write_figures(folder: Path, pictures: dict[str, bytes]) -> None:
    """The pictures and tables, and nothing else, in `folder`."""
    for path in folder.glob("*"):
        if path.name not in pictures:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for name, content in pictures.items():
        write_bytes(folder / name, content)
