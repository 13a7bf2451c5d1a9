"""Measure every replicate, judge every claim, and write the tables that a reviewer reads.

Reads data/runs, data/timings.json (the environment), data/prepared (labels) and params.yaml. Writes to metrics/, all of it
sorted and rounded, so that a diff shows what changed and nothing else: metrics.json (a headline per variant, a verdict and an
effect per claim), claims.csv, summary.csv (mean, deviation and interval of every metric), replicates.csv, curves.csv (every
epoch), diagnostics.csv (gradients, weights and activations, layer by layer), confusion.csv or, of a regression, residuals.csv,
and environment.json (what of the machine and its software decided the numbers). Claims about time are judged by `plot`, since
no file in Git holds a duration.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

from stages.lib.cli import UserError, arguments, one_line_errors
from stages.lib.data.prepared import read_prepared
from stages.lib.files import write_json, write_text
from stages.lib.judging.tables import (
    DIGITS,
    claims_table,
    confusion_of,
    curves_of,
    diagnostics_of,
    metrics_of,
    residuals_of,
    summary_of,
    tables_of,
)
from stages.lib.study.load import check_task, load_study


def environment_of(timings: Path) -> dict[str, Any]:
    """What of the machine and its software decided the results, as the train stage noted it."""
    try:
        found: dict[str, Any] = json.loads(timings.read_text(encoding="utf-8"))["environment"]
    except FileNotFoundError:
        raise UserError(f"{timings} is missing; run `dvc repro`, or the train stage first") from None
    return found


def write_csv(table: pd.DataFrame, target: Path) -> None:
    write_text(target, table.round(DIGITS).to_csv(index=False, lineterminator="\n"))


def main() -> None:
    study_folder: Path = arguments(__doc__).parse_args().study
    with one_line_errors("evaluate"):
        study = load_study(study_folder)
        prepared = read_prepared(study_folder / "data" / "prepared")
        runs, metrics = study_folder / "data" / "runs", study_folder / "metrics"
        check_task(study, prepared.task)
        labels = {split: y for split, (_, y) in prepared.splits.items()}
        tables, histories = tables_of(study, runs, labels, prepared.task)
        replicates = pd.concat(tables.values())
        summary = summary_of(tables, study.statistics.confidence)
        claims = claims_table(study, replicates, [name for name, claim in study.claims.items() if not claim.about_time])
        write_json(metrics / "environment.json", environment_of(study_folder / "data" / "timings.json"))
        write_json(metrics / "metrics.json", metrics_of(summary, claims, prepared.task))
        write_csv(claims, metrics / "claims.csv")
        write_csv(summary, metrics / "summary.csv")
        write_csv(replicates, metrics / "replicates.csv")
        write_csv(curves_of(histories), metrics / "curves.csv")
        write_text(
            metrics / "diagnostics.csv",
            diagnostics_of(study, runs).to_csv(index=False, lineterminator="\n", float_format="%.4g"),
        )
        if prepared.task == "classification":
            write_csv(confusion_of(study, runs, labels["test"], prepared.facts["class_names"]), metrics / "confusion.csv")
        else:
            write_csv(residuals_of(study, runs, labels["test"]), metrics / "residuals.csv")


if __name__ == "__main__":
    main()
