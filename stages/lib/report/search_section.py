"""The report's section about a search: what its template says, worked out from the tables and the settings."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from stages.lib.judging import verdicts
from stages.lib.judging.units import Unit, finite_column, unit_of
from stages.lib.report.page import stage_of, trial_of, verdict_in_words, verdict_row
from stages.lib.report.words import WORDS
from stages.lib.study import space
from stages.lib.study.metrics import finite
from stages.lib.study.settings import Range, Search, Study


def section(study: Study, search: Search, folder: Path, tables: Mapping[str, pd.DataFrame], task: str) -> dict[str, Any]:
    """What the template needs; `tables` are those of metrics/search, `folder` is the study's, for the commands."""
    trials, winners = tables["trials"], tables["winners"]
    complete = trials[trials["strategy"] != space.DEFAULT]
    return {
        "settings": search,
        "trials": len(complete),
        "pruned": int((complete["state"] == "pruned").sum()),
        "diverged": int((complete[search.metric].astype(str) == "diverged").sum()),
        "seeds": winners["seed"].nunique(),
        "refits": sum(str(name).startswith("refit_") for name in winners),
        "ranges": [range_row(name, each) for name, each in search.space.items()],
        "strategies": strategy_rows(study, search, trials, winners, task),
        "claims": [
            {**verdict_row(search.claims[row["claim"]], row, task), "holds": verdict_in_words(row)}
            for row in tables["claims"].to_dict("records")
        ],
        "commands": commands(search, folder),
        "reported": reported_rows(study, search, winners, task),
        "importance": len(tables["importance"]) > 0,
    }


def commands(search: Search, folder: Path) -> list[tuple[str, str]]:
    """What to type, and what for: to search once more, and to judge the claims by more searches."""
    stage, target, seeds = stage_of(folder, "search"), stage_of(folder, "plot"), 2 * search.seeds
    again = f"dvc repro --force --single-item {stage}" if stage else f"python -m stages.search {folder.as_posix()}"
    found = [
        ("search again; trials that the replicate cache holds are not trained", again),
        ("search again past the replicate cache, which trains every trial", f"XDG_CACHE_HOME=$(mktemp -d) {again}"),
    ]
    if target is None:
        return found
    return [
        *found,
        ("judge it, and draw this page", f"dvc repro {target}"),
        (f"judge it by {seeds} seeds, leaving the workspace alone", trial_of(folder, "search.seeds", seeds, target)),
    ]


def range_row(name: str, each: Range) -> tuple[str, str, str, str]:
    """Name, key, kind of range, and its values."""
    values = ", ".join(map(str, each.choices)) if each.choices else " to ".join(f"{value:g}" for value in each.bounds)
    return name, each.key, each.kind.replace("_", "-"), values


def over_seeds(values: pd.Series, unit: Unit, confidence: float) -> tuple[str, str]:
    """The mean over the seeds, and its interval."""
    interval = verdicts.mean_interval(finite_column(values).tolist(), confidence)
    if math.isnan(interval.mean):
        return "diverged", "no interval"
    return unit.bare(interval.mean), unit.interval(interval.low, interval.high) if len(values) > 1 else "no interval"


def strategy_rows(study: Study, search: Search, trials: pd.DataFrame, winners: pd.DataFrame, task: str) -> list[dict[str, Any]]:
    """The strategies and the default, the best mean score first, each with the best trial of any seed."""
    unit, test_unit = unit_of(search.metric, task), unit_of(search.judged_by, task)
    sign = 1 if search.direction == "minimize" else -1
    rows = []
    for name, group in winners.groupby("strategy", sort=False):
        scores = finite_column(group[search.metric]) * sign
        best = group.iloc[int(pd.Series(scores).fillna(float("inf")).argmin())]
        tried = trials[
            (trials["strategy"] == name) & (trials["seed"] == best["seed"]) & (trials["trial"] == best["trial"])
        ].iloc[0]
        mean, interval = over_seeds(group[search.metric], unit, study.statistics.confidence)
        test_mean, test_interval = over_seeds(group[search.judged_by], test_unit, study.statistics.confidence)
        rows.append(
            {
                "name": str(name),
                "method": search.strategies[str(name)].method if name in search.strategies else f"{search.variant}, as it is",
                "trials": search.trials_of(str(name)) if name in search.strategies else 1,
                "score": mean,
                "interval": interval,
                "test": test_mean,
                "test_interval": test_interval,
                "settings": {key: str(tried[each.key]) for key, each in search.space.items()},
                "best": unit.bare(best[search.metric]),
                "best_interval": "no interval" if pd.isna(finite(best["low"])) else unit.interval(best["low"], best["high"]),
                "seed": int(best["seed"]),
                "trial": int(best["trial"]),
                "order": float("inf") if pd.isna(scores).any() else float(scores.mean()),
            }
        )
    return sorted(rows, key=lambda row: row["order"])


def reported_rows(study: Study, search: Search, winners: pd.DataFrame, task: str) -> list[dict[str, str]]:
    """The numbers that the source prints of a strategy, beside ours, and the range of ours over the seeds."""
    rows = []
    for name, strategy in search.strategies.items():
        for metric, value in strategy.reported.items():
            unit, ours = unit_of(metric, task), winners.loc[winners["strategy"] == name, metric]
            mean, interval = over_seeds(ours, unit, study.statistics.confidence)
            known = finite_column(ours)
            rows.append(
                {
                    "strategy": name,
                    "metric": metric,
                    "reported": unit.value(value),
                    "measured": WORDS.get(mean, mean),
                    "interval": interval,
                    "single": "–" if pd.isna(known).any() else unit.interval(known.min(), known.max()),
                }
            )
    return rows
