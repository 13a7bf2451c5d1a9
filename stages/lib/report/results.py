"""What the report shows: the tables of metrics/ and the durations."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from stages.lib.cli import UserError
from stages.lib.judging.claims import COLUMNS, judge_claims, values_of
from stages.lib.judging.reported import single_runs
from stages.lib.study.settings import Study


@dataclass(frozen=True)
class Results:
    """What the figures and the page are made of.

    claims, timed: the columns of claims.csv, and `groups`, what is compared; `timed` are the claims about time.
    summary, replicates, curves, confusion, residuals, diagnostics: as `evaluate` writes them; a regression has residuals and no
    confusion, and a study that measures no gradients has no rows of diagnostics.
    durations: variant, seed, seconds, seconds_per_epoch.
    timings: the whole of timings.json.
    """

    claims: pd.DataFrame
    timed: pd.DataFrame
    summary: pd.DataFrame
    replicates: pd.DataFrame
    curves: pd.DataFrame
    confusion: pd.DataFrame | None
    residuals: pd.DataFrame | None
    diagnostics: pd.DataFrame
    durations: pd.DataFrame
    timings: Mapping[str, Any]


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
