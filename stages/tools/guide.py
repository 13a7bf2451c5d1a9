"""Write the worked examples of docs/verdicts.md from the results of the fashion study.

Reads its params.yaml, metrics/claims.csv and metrics/replicates.csv. Every number of the page stands between two markers and is
made here, by guide.md.j2, or by benchmarks/verdicts.py. A test fails if one is out of date, or stands elsewhere.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
from scipy import stats

from stages.lib.cli import UserError, arguments, one_line_errors, written_by
from stages.lib.files import write_text
from stages.lib.judging.claims import values_of
from stages.lib.judging.planned import alpha_of
from stages.lib.judging.verdicts import CLOSE, FREEDOM, Verdict, mean_limits
from stages.lib.markdown import between_markers, cell, markers
from stages.lib.study.load import load_study
from stages.lib.study.metrics import finite, round_or_word
from stages.lib.study.places import FOLDER
from stages.lib.study.settings import Study
from stages.lib.templates import render

PAGE = Path("docs/verdicts.md")
EXAMPLE = FOLDER / "fashion"
TEMPLATE = Path(__file__).with_name("guide.md.j2")
PARTS = ("worked", "one_of_each", "close", "by_median", "looks")
COMMAND = "python -m stages.tools guide"

Row = Mapping[str, Any]
"""A row of claims.csv, with NaN for what is no number."""


def format_number(value: object) -> str:
    """Four significant digits; never in the form 1e-05."""
    return np.format_float_positional(float(str(value)), precision=4, fractional=False, trim="-")


def judged_by(study: Study, rows: Sequence[Row], by: str) -> Row:
    """The first decided claim that one variant is ahead of another by a mean, or by a median. Raises UserError without one."""
    for row in rows:
        if row["by"] == by and row["decided_after"] and study.claims[row["claim"]].expect in ("higher", "lower"):
            return row
    raise UserError(f"metrics/claims.csv: no claim compares two variants by their {by} and is decided; is the study run?")


def worked_example(study: Study, rows: Sequence[Row], replicates: pd.DataFrame) -> dict[str, Any]:
    """The interval of a difference of means, step by step."""
    row = judged_by(study, rows, "mean")
    claim = study.claims[row["claim"]]
    groups = [np.array(group) for group in values_of(study, claim, replicates, row["replicates"])]
    alpha = alpha_of(study, claim)
    effect = float(groups[1].mean() - groups[0].mean())
    error = math.hypot(*map(stats.sem, groups))
    freedom = float(stats.ttest_ind(*groups, equal_var=False).df)
    reach = error * float(stats.t.ppf(1 - alpha / 2, max(FREEDOM * freedom, 1)))
    low, high = map(float, mean_limits(groups, alpha))
    return {
        "name": row["claim"],
        "claim": claim,
        "groups": [
            (variant, len(group), group.mean(), group.std(ddof=1))
            for variant, group in zip(claim.variants, groups, strict=True)
        ],
        "effect": effect,
        "error": error,
        "alpha": alpha,
        "freedom": freedom,
        "reach": reach,
        "ends": [
            format_number(end) for end, plain in ((low, effect - reach), (high, effect + reach)) if not math.isclose(end, plain)
        ],
        "low": low,
        "high": high,
        "verdict": row["verdict"],
    }


def examples(study: Study, rows: Sequence[Row]) -> dict[str, Row | None]:
    """For each verdict a claim with both ends of an interval. One that compares two variants and is not close comes first."""

    def order(row: Row) -> bool:
        claim = study.claims[row["claim"]]
        return not (claim.compare and claim.margin and not row["close"])

    judged = sorted((row for row in rows if not math.isnan(row["low"] + row["high"])), key=order)
    return {verdict: next((row for row in judged if row["verdict"] == verdict), None) for verdict in get_args(Verdict)}


def median_example(study: Study, rows: Sequence[Row], replicates: pd.DataFrame) -> dict[str, Any]:
    """A claim that is judged by a median."""
    row = judged_by(study, rows, "median")
    claim = study.claims[row["claim"]]

    def word(value: float) -> object:
        return format_number(value) if math.isfinite(value) else round_or_word(claim.metric, value)

    groups = zip(claim.variants, values_of(study, claim, replicates, row["replicates"]), strict=True)
    words = [(variant, [word(value) for value in group]) for variant, group in groups]
    return {"name": row["claim"], "claim": claim, "groups": words, "row": row}


def parts(folder: Path) -> dict[str, str]:
    """Marker -> what stands between it and its end. Raises UserError if the study was not run."""
    study = load_study(folder)
    with written_by("evaluate"):
        table = pd.read_csv(folder / "metrics" / "claims.csv", keep_default_na=False)
        replicates = pd.read_csv(folder / "metrics" / "replicates.csv")
    numbers = {name: table[name].map(finite) for name in ("effect", "low", "high")}
    rows = [{str(name): value for name, value in row.items()} for row in table.assign(**numbers).to_dict("records")]
    values: dict[str, object] = {
        "number": format_number,
        "cell": cell,
        "claims": study.claims,
        "confidence": study.statistics.confidence,
        "judged": len(rows),
        "worked": worked_example(study, rows, replicates),
        "examples": examples(study, rows),
        "close": [row for row in rows if row["close"]],
        "moved": CLOSE,
        "median": median_example(study, rows, replicates),
        "planned": study.looks,
        "decided": Counter(str(row["decided_after"]) for row in rows),
    }
    return {part: render(TEMPLATE, part=part, **values).strip("\n") for part in PARTS}


def filled(page: str, content: dict[str, str]) -> str:
    """The page with the content between its markers. Raises UserError for a marker that it lacks."""
    for name, text in content.items():
        page = between_markers(page, markers(name, COMMAND), text, str(PAGE))
    return page


def main() -> None:
    arguments(__doc__, study=False).parse_args()
    with one_line_errors("guide"):
        write_text(PAGE, filled(PAGE.read_text(encoding="utf-8"), parts(EXAMPLE)))
        print(f"written: {PAGE}")


if __name__ == "__main__":
    main()
