"""Measure every replicate, judge every claim, and write the tables that a reviewer reads.

Reads params.yaml, data/prepared (labels), data/runs and data/timings.json (the environment). Runs the study's metrics.py if a
claim or a reported number names one of its functions. Writes to metrics/:

    metrics.json      a headline for each variant; a verdict and an effect for each claim
    claims.csv        what each claim expects, its effect with its interval, and its verdict
    summary.csv       mean, standard deviation and interval of every metric of every variant
    replicates.csv    every metric of every replicate
    curves.csv        every epoch
    diagnostics.csv   gradients, weights and activations, layer by layer
    confusion.csv     of a classification; a regression has residuals.csv instead
    environment.json  what of the machine and its software decided the numbers

Everything is rounded. No file in Git holds a duration, so `plot` judges the claims about time.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

from stages.lib.cli import arguments, one_line_errors, written_by
from stages.lib.data.prepared import Prepared, read_prepared
from stages.lib.files import write_json, write_text
from stages.lib.judging import tables
from stages.lib.judging.claims import judge_claims
from stages.lib.judging.own import own_metrics
from stages.lib.study.load import check_task, load_study
from stages.lib.study.settings import Study


def environment_of(timings: Path) -> dict[str, Any]:
    """What of the machine and its software decided the results, as the train stage noted it."""
    with written_by("train"):
        environment: dict[str, Any] = json.loads(timings.read_text(encoding="utf-8"))["environment"]
    return environment


def evaluate(study: Study, prepared: Prepared, folder: Path) -> None:
    """Write metrics/ of the study in `folder`."""
    task = prepared.task
    runs = folder / "data" / "runs"
    metrics = folder / "metrics"
    labels = {split: y for split, (_, y) in prepared.splits.items()}
    by_variant, histories = tables.measure_replicates(study, runs, labels, task, own_metrics(study, folder))
    replicates = pd.concat(by_variant.values())
    summary = tables.summary_of(by_variant, study.statistics.confidence)
    judged = [name for name, claim in study.claims.items() if not claim.about_time]
    claims = judge_claims(study, replicates, judged, tables.per_row(study, runs, labels))
    written = {"claims": claims, "summary": summary, "replicates": replicates, "curves": tables.curves_of(histories)}
    if task == "classification":
        written["confusion"] = tables.confusion_of(study, runs, labels["test"], prepared.facts["class_names"])
    else:
        written["residuals"] = tables.residuals_of(study, runs, labels["test"])
    write_json(metrics / "environment.json", environment_of(folder / "data" / "timings.json"))
    write_json(metrics / "metrics.json", tables.metrics_json(summary, claims, task))
    for name, table in written.items():
        write_text(metrics / f"{name}.csv", tables.csv_text(table))
    diagnostics = tables.diagnostics_of(study, runs)
    write_text(metrics / "diagnostics.csv", diagnostics.to_csv(index=False, lineterminator="\n", float_format="%.4g"))


def main() -> None:
    folder: Path = arguments(__doc__).parse_args().study
    with one_line_errors("evaluate", folder):
        study = load_study(folder)
        prepared = read_prepared(folder / "data" / "prepared")
        check_task(study, prepared.task)
        evaluate(study, prepared, folder)


if __name__ == "__main__":
    main()
