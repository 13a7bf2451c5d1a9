"""The section about a search."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from stages.lib.judging import verdicts
from stages.lib.judging.units import Unit, finite_column, unit_of
from stages.lib.report.document import WORDS
from stages.lib.report.results import Results
from stages.lib.report.sections.claims import JudgedClaim, judged_claim
from stages.lib.study import space
from stages.lib.study.metrics import finite
from stages.lib.study.search import Range, Search


@dataclass(frozen=True)
class Strategy:
    """A strategy, or the default, with the best trial of any of its seeds.

    score, test: the mean over the seeds of what trials are chosen by, and of what the winners are judged by.
    settings: name of a range -> the best trial's value.
    order: by which strategies are sorted, the best first.
    """

    name: str
    score: str
    interval: str
    test: str
    test_interval: str
    settings: dict[str, str]
    best: str
    best_interval: str
    seed: int
    trial: int
    order: float


@dataclass(frozen=True)
class ReportedScore:
    """A number that the source prints of a strategy; single: the range of ours over the seeds."""

    strategy: str
    metric: str
    reported: str
    measured: str
    interval: str
    single: str


@dataclass(frozen=True)
class SearchSection:
    """What was searched, and what was found.

    trials: without the default's; pruned, diverged: how many of them.
    refits: how often a winner was trained again.
    ranges: name, key, kind and values.
    has_importance: whether the importance of settings is known.
    """

    trials: int
    pruned: int
    diverged: int
    seeds: int
    refits: int
    ranges: list[tuple[str, str, str, str]]
    strategies: list[Strategy]
    claims: list[JudgedClaim]
    reported: list[ReportedScore]
    has_importance: bool


def search_section(results: Results, search: Search, tables: Mapping[str, pd.DataFrame]) -> SearchSection:
    """tables: those of metrics/search."""
    trials, winners, confidence = tables["trials"], tables["winners"], results.study.statistics.confidence
    tried = trials[trials["strategy"] != space.DEFAULT]
    strategies = [
        strategy_row(search, str(name), trials, group, results.task, confidence)
        for name, group in winners.groupby("strategy", sort=False)
    ]
    return SearchSection(
        trials=len(tried),
        pruned=int((tried["state"] == "pruned").sum()),
        diverged=int((tried[search.metric].astype(str) == "diverged").sum()),
        seeds=winners["seed"].nunique(),
        refits=sum(str(name).startswith("refit_") for name in winners),
        ranges=[range_row(name, each) for name, each in search.space.items()],
        strategies=sorted(strategies, key=lambda each: each.order),
        claims=[judged_claim(search.claims[row["claim"]], row, results.task) for row in tables["claims"].to_dict("records")],
        reported=reported_scores(search, winners, results.task, confidence),
        has_importance=len(tables["importance"]) > 0,
    )


def range_row(name: str, each: Range) -> tuple[str, str, str, str]:
    """Name, key, kind and values of a range."""
    values = ", ".join(map(str, each.choices)) if each.choices else " to ".join(f"{value:g}" for value in each.bounds)
    return name, each.key, each.kind.replace("_", "-"), values


def over_seeds(values: pd.Series, unit: Unit, confidence: float) -> tuple[str, str]:
    """The mean over the seeds, and its interval."""
    interval = verdicts.mean_interval(finite_column(values).tolist(), confidence)
    if math.isnan(interval.mean):
        return "diverged", "no interval"
    return unit.bare(interval.mean), unit.interval(interval.low, interval.high) if len(values) > 1 else "no interval"


def strategy_row(
    search: Search, name: str, trials: pd.DataFrame, winners: pd.DataFrame, task: str, confidence: float
) -> Strategy:
    """winners: those of this strategy, one for each seed."""
    unit, test_unit = unit_of(search.metric, task), unit_of(search.judged_by, task)
    losses = finite_column(winners[search.metric]) * (1 if search.direction == "minimize" else -1)
    best = winners.iloc[int(pd.Series(losses).fillna(math.inf).argmin())]
    own = (trials["strategy"] == name) & (trials["seed"] == best["seed"]) & (trials["trial"] == best["trial"])
    tried = trials[own].iloc[0]
    score, interval = over_seeds(winners[search.metric], unit, confidence)
    test, test_interval = over_seeds(winners[search.judged_by], test_unit, confidence)
    return Strategy(
        name=name,
        score=score,
        interval=interval,
        test=test,
        test_interval=test_interval,
        settings={key: str(tried[each.key]) for key, each in search.space.items()},
        best=unit.bare(best[search.metric]),
        best_interval="no interval" if math.isnan(finite(best["low"])) else unit.interval(best["low"], best["high"]),
        seed=int(best["seed"]),
        trial=int(best["trial"]),
        order=math.inf if pd.isna(losses).any() else float(losses.mean()),
    )


def reported_scores(search: Search, winners: pd.DataFrame, task: str, confidence: float) -> list[ReportedScore]:
    """In the order of params.yaml."""
    rows = []
    for name, settings in search.strategies.items():
        own = winners[winners["strategy"] == name]
        for metric, value in settings.reported.items():
            unit = unit_of(metric, task)
            mean, interval = over_seeds(own[metric], unit, confidence)
            single = finite_column(own[metric])
            spread = "–" if pd.isna(single).any() else unit.interval(single.min(), single.max())
            rows.append(ReportedScore(name, metric, unit.value(value), WORDS.get(mean, mean), interval, spread))
    return rows
