"""What a report is made of: a study, the tables of its metrics, and its durations."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from stages.lib.cli import UserError, written_by
from stages.lib.judging.claims import COLUMNS, judge_claims, values_of
from stages.lib.judging.reported import Comparison, collapsed_of, single_runs
from stages.lib.judging.tables import HEADLINES
from stages.lib.judging.units import finite_column, unit_of
from stages.lib.report.evidence import Evidence, evidence_of
from stages.lib.study.claims import Claim
from stages.lib.study.metrics import DIGITS
from stages.lib.study.search import Search
from stages.lib.study.settings import Study

SEARCH_TABLES = ("trials", "winners", "claims", "importance")


@dataclass(frozen=True)
class Results:
    """A study and its results.

    folder: the study's, relative to the checkout's root.
    facts: those of the prepared data.
    claims, timed: the columns of claims.csv, with what `with_single_runs` adds; `timed` are the claims about time.
    summary, replicates, curves, diagnostics: as `evaluate` writes them. A study that measures no gradients has no rows of
    diagnostics.
    confusion: of a classification; residuals: of a regression.
    durations: columns variant, seed, seconds, seconds_per_epoch.
    timings: the whole of timings.json.
    """

    study: Study
    folder: Path
    facts: Mapping[str, Any]
    claims: pd.DataFrame
    timed: pd.DataFrame
    summary: pd.DataFrame
    replicates: pd.DataFrame
    curves: pd.DataFrame
    diagnostics: pd.DataFrame
    durations: pd.DataFrame
    timings: Mapping[str, Any]
    confusion: pd.DataFrame | None = None
    residuals: pd.DataFrame | None = None

    @property
    def task(self) -> str:
        return str(self.facts["task"])

    @property
    def headline(self) -> str:
        """The metric by which variants are ranked."""
        return HEADLINES[self.task]

    @property
    def parents(self) -> dict[str, str | None]:
        """Variant -> the one that it extends."""
        return {name: each.extends for name, each in self.study.variants.items()}

    @property
    def reported(self) -> dict[str, float]:
        """Variant -> the headline that the source reports, of those variants of which it does, as a picture can show it."""
        variants = self.study.variants.items()
        found = {name: each.reported[self.headline] for name, each in variants if self.headline in each.reported}
        return {name: round(float(number), DIGITS) for name, number in found.items()}

    @cached_property
    def evidence(self) -> dict[str, Evidence]:
        """Variant -> what was measured of its training."""
        rows = {split: each["shape"][0] for split, each in self.facts["splits"].items()}
        return {name: evidence_of(self.study, name, self.replicates, self.diagnostics, rows) for name in self.study.variants}

    def measured(self, variant: str, metric: str) -> dict[str, Any] | None:
        """A row of the summary; None if there is none."""
        chosen = self.summary[(self.summary["variant"] == variant) & (self.summary["metric"] == metric)]
        return {str(name): value for name, value in chosen.iloc[0].items()} if len(chosen) else None

    def rows_of(self, variant: str) -> pd.DataFrame:
        return self.replicates[self.replicates["variant"] == variant]

    def compared(self, variant: str, metric: str) -> Comparison:
        """A metric of a variant, beside the number that the source prints."""
        reported, own = self.study.variants[variant].reported.get(metric), self.rows_of(variant)
        singles = finite_column(own[metric]).tolist() if metric in own else ()
        row, confidence = self.measured(variant, metric), self.study.statistics.confidence
        return Comparison(variant, metric, unit_of(metric, self.task), reported, row, singles, collapsed_of(own), confidence)


def read_table(path: Path, stage: str) -> pd.DataFrame:
    """A table that a stage wrote. Only an empty cell is empty: a variant may be called nan, and a class NA."""
    with written_by(stage):
        names = dict.fromkeys(("variant", "class", "strategy"), str)
        return pd.read_csv(path, keep_default_na=False, na_values=[""], dtype=names)


def require(names: Collection[str], present: Collection[str], path: Path, stage: str) -> None:
    """Raises UserError if a file lacks a name of params.yaml, because it is older."""
    if missing := [name for name in names if name not in set(present)]:
        raise UserError(f"{path} knows no {missing[0]}, which params.yaml names; run `dvc repro`, or the {stage} stage first")


def read_timings(study: Study, path: Path) -> tuple[dict[str, Any], pd.DataFrame]:
    """timings.json, and the durations of the study's replicates."""
    with written_by("train"):
        timings: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    require(study.variants, timings["replicates"], path, "train")
    rows = [
        {"variant": variant, "seed": int(seed), **seconds}
        for variant in study.variants
        for seed, seconds in timings["replicates"][variant].items()
    ]
    return timings, pd.DataFrame(rows, columns=["variant", "seed", "seconds", "seconds_per_epoch"])


def with_groups(claims: pd.DataFrame, settings: Mapping[str, Claim]) -> pd.DataFrame:
    """The claims that params.yaml still has, with `groups`: `second − first`, or the one variant."""
    claims = claims[claims["claim"].isin(list(settings))]
    return claims.assign(groups=[" − ".join(reversed(settings[name].variants)) for name in claims["claim"]])


def with_single_runs(study: Study, claims: pd.DataFrame, replicates: pd.DataFrame) -> pd.DataFrame:
    """The claims with their groups, and how many of how many single `runs` do not show what is claimed (`missed`)."""
    claims = with_groups(claims.reindex(columns=COLUMNS), study.claims)
    looked = [(study.claims[name], int(look)) for name, look in zip(claims["claim"], claims["replicates"], strict=True)]
    counts = [single_runs(claim, values_of(study, claim, replicates, look)) for claim, look in looked]
    return claims.assign(missed=[missed for missed, _ in counts], runs=[runs for _, runs in counts])


def read_results(study: Study, folder: Path, facts: Mapping[str, Any]) -> Results:
    """Read every table, and judge the claims about time.

    Raises UserError if a table is missing, or older than params.yaml.
    """
    metrics = folder / "metrics"
    timings, durations = read_timings(study, folder / "data" / "timings.json")
    by_task = "confusion" if facts["task"] == "classification" else "residuals"
    names = ("claims", "summary", "replicates", "curves", "diagnostics", by_task)
    tables = {name: read_table(metrics / f"{name}.csv", "evaluate") for name in names}
    for name in ("summary", "replicates", "curves", by_task, *(["diagnostics"] if study.replicates.diagnostics else [])):
        require(study.variants, tables[name]["variant"], metrics / f"{name}.csv", "evaluate")
        tables[name] = tables[name][tables[name]["variant"].isin(list(study.variants))]
    timed = [name for name, claim in study.claims.items() if claim.about_time]
    judged = [name for name in study.claims if name not in timed]
    require(judged, tables["claims"]["claim"], metrics / "claims.csv", "evaluate")
    tables |= {
        "claims": with_single_runs(study, tables["claims"], tables["replicates"]),
        "timed": with_single_runs(study, judge_claims(study, durations, timed), durations),
        "durations": durations,
    }
    return Results(study=study, folder=folder, facts=facts, timings=timings, **tables)


def read_search(search: Search, folder: Path) -> dict[str, pd.DataFrame]:
    """The tables of the search of the study in that folder.

    Raises UserError if one is missing, or older than params.yaml.
    """
    paths = {name: folder / "metrics" / "search" / f"{name}.csv" for name in SEARCH_TABLES}
    tables = {name: read_table(path, "search") for name, path in paths.items()}
    require(search.strategies, tables["trials"]["strategy"], paths["trials"], "search")
    keys = [search.metric, *(each.key for each in search.space.values())]
    require(keys, tables["trials"].columns, paths["trials"], "search")
    require(search.claims, tables["claims"]["claim"], paths["claims"], "search")
    return {**tables, "claims": with_groups(tables["claims"], search.claims)}
