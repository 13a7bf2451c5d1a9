"""The section about a search."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from stages.lib.judging.outcome import Outcome, of_strategies, of_variants
from stages.lib.judging.reported import Comparison
from stages.lib.judging.tuned import judged_twice
from stages.lib.judging.units import finite_column, unit_of
from stages.lib.report.results import Results
from stages.lib.report.sections.claims import judged_claim
from stages.lib.study import space
from stages.lib.study.search import Range, Search


def search_section(results: Results, search: Search, tables: Mapping[str, pd.DataFrame]) -> dict[str, Any]:
    """What was searched, and what was found.

    tables: those of metrics/search.
    Returns:
        trials: without the default's; pruned, diverged: how many of them.
        refits: how often a winner was trained again.
        ranges: name, key, kind and values.
        strategies: the best first.
        reported: what the source prints, in the order of params.yaml.
        tuned: the claims that are judged as given, and once more with both sides tuned.
    """
    outcome = of_strategies(results.study, results.folder / "metrics")
    trials, winners = tables["trials"], tables["winners"]
    tried = trials[trials["strategy"] != space.DEFAULT]
    strategies = [strategy_row(search, outcome, str(name), trials, results.task) for name in winners["strategy"].unique()]
    sign = 1 if search.direction == "minimize" else -1
    reported = ((name, metric) for name, strategy in search.strategies.items() for metric in strategy.reported)
    return {
        "trials": len(tried),
        "pruned": int((tried["state"] == "pruned").sum()),
        "diverged": int(np.isnan(finite_column(tried[search.metric])).sum()),
        "seeds": winners["seed"].nunique(),
        "refits": sum(str(name).startswith("refit_") for name in winners),
        "ranges": [range_row(name, each) for name, each in search.space.items()],
        "strategies": sorted(strategies, key=lambda row: (math.isnan(row["score"].mean), sign * row["score"].mean)),
        "claims": [judged_claim(search.claims[row["claim"]], row, results.task) for row in tables["claims"].to_dict("records")],
        "reported": [compared(outcome, name, metric, results.task) for name, metric in reported],
        "has_importance": len(tables["importance"]) > 0,
        "tuned": judged_twice(results.study, of_variants(results.study, results.folder / "metrics"), outcome, results.task),
    }


def range_row(name: str, each: Range) -> tuple[str, str, str, str]:
    """Name, key, kind and values of a range."""
    values = ", ".join(map(str, each.choices)) if each.choices else " to ".join(f"{value:g}" for value in each.bounds)
    return name, each.key, each.kind.replace("_", "-"), values


def compared(outcome: Outcome, name: str, metric: str, task: str) -> Comparison:
    """A metric of a strategy, beside the number that the source prints."""
    reported, singles = outcome.names[name].reported.get(metric), outcome.rows_of(name)[metric].tolist()
    return Comparison(name, metric, unit_of(metric, task), reported, outcome.numbers.get((name, metric)), singles)


def strategy_row(search: Search, outcome: Outcome, name: str, trials: pd.DataFrame, task: str) -> dict[str, Any]:
    """A strategy, or the default, with the best trial of any of its seeds.

    score, test: over the seeds, what trials are chosen by, and what the winners are judged by.
    settings: name of a range -> the best trial's value.
    """
    unit, winners = unit_of(search.metric, task), outcome.rows_of(name)
    losses = winners[search.metric] * (1 if search.direction == "minimize" else -1)
    best = winners.iloc[int(losses.fillna(math.inf).argmin())]
    own = (trials["strategy"] == name) & (trials["seed"] == best["seed"]) & (trials["trial"] == best["trial"])
    tried = trials[own].iloc[0]
    return {
        "name": name,
        "score": compared(outcome, name, search.metric, task),
        "test": compared(outcome, name, search.judged_by, task),
        "settings": {key: str(tried[each.key]) for key, each in search.space.items()},
        "best": unit.value(tried[search.metric]),
        "best_interval": unit.interval(best["low"], best["high"]),
        "seed": int(best["seed"]),
        "trial": int(best["trial"]),
    }
