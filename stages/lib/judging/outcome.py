"""The committed results of a study's variants, and those of its search's strategies, in one form.

A strategy is judged as a variant is. A replicate of a variant is one training; a replicate of a strategy is the best trial that
one seed found. So whatever shows or compares results can take an `Outcome` without asking which of the two it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pandas as pd

from stages.lib.judging.claims import COLUMNS
from stages.lib.judging.tables import summary_of
from stages.lib.study.claims import Claim
from stages.lib.study.metrics import JUDGED_BY, rank_value
from stages.lib.study.search import Search
from stages.lib.study.settings import Study, tests_of_tip
from stages.lib.study.space import DEFAULT

Row = Mapping[str, Any]
"""A row of a table: column -> text, or a number where it was computed."""


class Compared(NamedTuple):
    """A variant or a strategy.

    tip: what it is, in a sentence.
    ours: whether the source does not have it.
    reported: metric -> the number that the source prints.
    metrics: what is shown of it beside other variants or strategies; of a variant without reported numbers none, so the
    headline of the study's task.
    claims: those that say whether the tip holds.
    """

    tip: str
    ours: bool
    reported: Mapping[str, float]
    metrics: Sequence[str]
    claims: Sequence[str] = ()


@dataclass(frozen=True)
class Outcome:
    """What a study compares, what it claims, and what the committed metrics say. Without metrics the tables are empty.

    names: in the order of params.yaml; strategies begin with the default. Empty if params.yaml cannot be read.
    claims: the settings of each claim.
    verdicts: claim -> its row of claims.csv.
    numbers: name and metric -> a row with mean, sd, low, high and replicates, as in summary.csv.
    replicates: columns name, seed and metrics; a word, such as `diverged`, is NaN.
    found: strategy -> the settings of its searches' winners, as text; empty of variants.
    """

    kind: Literal["variant", "strategy"]
    names: Mapping[str, Compared]
    claims: Mapping[str, Claim]
    verdicts: Mapping[str, Row]
    numbers: Mapping[tuple[str, str], Row]
    replicates: pd.DataFrame = field(repr=False)
    found: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def has_replicates(self, name: str) -> bool:
        return name in self._groups

    def rows_of(self, name: str) -> pd.DataFrame:
        """The replicates of one name, by seed."""
        return self._groups[name]

    def values(self, name: str, metric: str) -> list[float] | None:
        """The metric of each replicate by seed, infinite on the bad side if it is NaN; None if it was not measured."""
        rows = self._groups.get(name)
        if rows is None or metric not in rows or (name, metric) not in self.numbers:
            return None
        return [rank_value(metric, value) for value in rows[metric]]

    @cached_property
    def _groups(self) -> dict[str, pd.DataFrame]:
        return {str(name): rows.sort_values("seed") for name, rows in self.replicates.groupby("name")}


def of_variants(study: Study | None, metrics: Path) -> Outcome:
    """The outcome of a study's variants. `study` is None if its params.yaml cannot be read.

    metrics: the study's folder of that name.
    """
    names = {}
    if study:
        for name, each in study.variants.items():
            names[name] = Compared(each.tip, each.ours, each.reported, list(each.reported), tests_of_tip(study, name))
    return Outcome(
        kind="variant",
        names=names,
        claims=study.claims if study else {},
        verdicts=_by(_table(metrics / "claims.csv", *COLUMNS[:6]), "claim"),
        numbers=_by(_table(metrics / "summary.csv", "variant", "metric"), ["variant", "metric"]),
        replicates=_replicates(metrics / "replicates.csv", "variant"),
    )


def of_strategies(study: Study | None, metrics: Path) -> Outcome:
    """The outcome of a study's search; of one that has no search, it is empty."""
    search = study.search if study else None
    names = {}
    winners = _replicates(metrics / "search" / "winners.csv", "strategy")
    if search:
        shown = [search.metric, search.judged_by]
        names[DEFAULT] = Compared(f"{search.variant}, as it is", False, {}, shown)
        for name, each in search.strategies.items():
            tip = f"{each.method.replace('_', ' ')}, {search.trials_of(name)} trials"
            tip += f", around {each.variant}" if each.variant else ""
            names[name] = Compared(tip, False, each.reported, shown)
    return Outcome(
        kind="strategy",
        names=names,
        claims=search.claims if search else {},
        verdicts=_by(_table(metrics / "search" / "claims.csv", *COLUMNS[:6]), "claim"),
        numbers=_over_seeds(winners, study.statistics.confidence if study else 0.99),
        replicates=winners,
        found=_found(search, metrics / "search") if search else {},
    )


def _found(search: Search, tables: Path) -> dict[str, list[str]]:
    """Strategy -> the settings of the winner of each search."""
    which, keys = ["strategy", "seed", "trial"], [each.key for each in search.space.values()]
    won = _table(tables / "winners.csv", *which)[which].merge(_table(tables / "trials.csv", *which, *keys), on=which)
    found: dict[str, list[str]] = {}
    for row in won.to_dict("records"):
        found.setdefault(row["strategy"], []).append(", ".join(row[key] for key in keys))
    return found


def _table(path: Path, *columns: str) -> pd.DataFrame:
    """A table of text; an empty one if there is none, or if it lacks one of the columns, as those of the first versions do.

    Only an empty cell is empty: a name may be `nan`.
    """
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding_errors="replace")
    except (FileNotFoundError, pd.errors.EmptyDataError, pd.errors.ParserError):
        table = pd.DataFrame()
    return table if set(columns) <= set(table) else pd.DataFrame(columns=columns)


def _by(table: pd.DataFrame, key: str | list[str]) -> dict[Any, Row]:
    """The rows by the value of a column, or the values of several; the last of equal ones."""
    rows: dict[Any, Any] = table.drop_duplicates(key, keep="last").set_index(key, drop=False).to_dict("index")
    return rows


def _replicates(path: Path, key: str) -> pd.DataFrame:
    """The replicates with numbers in every column but `key`, which becomes `name`."""
    table = _table(path, key, "seed").rename(columns={key: "name"})
    numbers = table.columns.drop("name")
    table[numbers] = table[numbers].apply(pd.to_numeric, errors="coerce")
    return table


def _over_seeds(winners: pd.DataFrame, confidence: float) -> dict[tuple[str, str], Row]:
    """The rows of a summary of strategies: of what they choose by, and of what their winners are judged by."""
    metrics = [name for name in (*JUDGED_BY, *dict.fromkeys(JUDGED_BY.values())) if name in winners]
    kept = winners.rename(columns={"name": "variant"})[["variant", "seed", *metrics]]
    by_strategy = {str(name): rows for name, rows in kept.groupby("variant", sort=False)}
    return _by(summary_of(by_strategy, confidence), ["variant", "metric"]) if by_strategy else {}
