"""Write the worked examples of docs/verdicts.md from the results of a study whose claims are judged once.

Reads its params.yaml, metrics/claims.csv and metrics/replicates.csv. Every number of the page stands between two markers and is
made here, by guide.md.j2. A test fails if one is out of date, or stands elsewhere.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
from scipy import stats

from stages.lib.cli import UserError, arguments, one_line_errors, written_by
from stages.lib.files import write_text
from stages.lib.judging.claims import values_of
from stages.lib.judging.verdicts import CLOSE, FEWEST, FEWEST_RANKED, Verdict, difference_interval
from stages.lib.markdown import between_markers, cell, markers
from stages.lib.study.load import load_study
from stages.lib.study.metrics import finite, round_or_word
from stages.lib.study.places import FOLDER
from stages.lib.study.settings import Study
from stages.lib.templates import render

PAGE = Path("docs/verdicts.md")
EXAMPLE = FOLDER / "fashion"
"""A study without planned looks, whose rules are on another page."""
TEMPLATE = Path(__file__).with_name("guide.md.j2")
PARTS = ("worked", "one_of_each", "close", "by_rank", "rules")
COMMAND = "python -m stages.tools guide"


def format_number(value: object) -> str:
    """Four significant digits; never in the form 1e-05."""
    return np.format_float_positional(float(str(value)), precision=4, fractional=False, trim="-")


def worked_example(study: Study, claims: pd.DataFrame, replicates: pd.DataFrame) -> dict[str, Any]:
    """Welch's interval step by step, of the first claim that compares two variants which both vary."""
    for name, claim in study.claims.items():
        if claim.compare is None or name not in claims.index:
            continue
        groups = values_of(study, claim, replicates)
        if all(len(group) >= FEWEST and np.isfinite(group).all() and len(set(group)) > 1 for group in groups):
            break
    else:
        raise UserError("metrics/: no claim compares two variants whose replicates differ; is the study run?")
    interval = difference_interval(groups[0], groups[1], study.statistics.confidence)
    described = [
        (variant, group, np.mean(group), np.std(group, ddof=1)) for variant, group in zip(claim.variants, groups, strict=True)
    ]
    return {
        "name": name,
        "claim": claim,
        "groups": described,
        "interval": interval,
        "freedom": stats.ttest_ind(*groups, equal_var=False).df,
        "reach": (interval.high - interval.low) / 2,
        "verdict": claims.loc[name, "verdict"],
    }


def examples(study: Study, rows: list[dict[str, Any]]) -> dict[str, dict[str, Any] | None]:
    """For each verdict a claim with an interval. One that compares two variants and is not close comes first."""

    def order(row: dict[str, Any]) -> bool:
        claim = study.claims[row["claim"]]
        return not (claim.compare and claim.margin and not row["close"])

    judged = sorted((row for row in rows if not math.isnan(row["low"])), key=order)
    return {verdict: next((row for row in judged if row["verdict"] == verdict), None) for verdict in get_args(Verdict)}


def ranked_example(study: Study, claims: pd.DataFrame, replicates: pd.DataFrame) -> dict[str, Any] | None:
    """A claim that is decided without means, if there is one."""
    ranked = [str(name) for name in claims.index if claims.loc[name, "effect"] in ("never", "diverged", "undefined")]
    if not ranked:
        return None
    claim = study.claims[ranked[0]]

    def word(value: float) -> object:
        return format_number(value) if math.isfinite(value) else round_or_word(claim.metric, value)

    groups = zip(claim.variants, values_of(study, claim, replicates), strict=True)
    words = [(variant, [word(value) for value in group]) for variant, group in groups]
    return {"name": ranked[0], "claim": claim, "groups": words, "verdict": claims.loc[ranked[0], "verdict"]}


def parts(folder: Path) -> dict[str, str]:
    """Marker -> what stands between it and its end. Raises UserError if the study was not run."""
    study = load_study(folder)
    with written_by("evaluate"):
        claims = pd.read_csv(folder / "metrics" / "claims.csv", keep_default_na=False).set_index("claim", drop=False)
        replicates = pd.read_csv(folder / "metrics" / "replicates.csv")
    numbers = {name: claims[name].map(finite) for name in ("effect", "low", "high")}
    rows = [{str(name): value for name, value in row.items()} for row in claims.assign(**numbers).to_dict("records")]
    values: dict[str, object] = {
        "number": format_number,
        "cell": cell,
        "claims": study.claims,
        "confidence": study.statistics.confidence,
        "judged": len(claims),
        "worked": worked_example(study, claims, replicates),
        "examples": examples(study, rows),
        "close": [row for row in rows if row["close"]],
        "moved": CLOSE,
        "ranked": ranked_example(study, claims, replicates),
        "chance": 2 / math.comb(2 * FEWEST_RANKED, FEWEST_RANKED),
        "fewest": FEWEST,
        "fewest_ranked": FEWEST_RANKED,
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
