"""The table of claims: what each expects, what was measured, and the verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from stages.lib.judging import planned, verdicts
from stages.lib.study.claims import Claim
from stages.lib.study.metrics import is_share, rank_value
from stages.lib.study.settings import Study

COLUMNS = "claim verdict effect low high close replicates metric expect threshold margin".split() + planned.ADDED


def judge_claims(
    study: Study, replicates: pd.DataFrame, names: Sequence[str], per_row: planned.PerRow | None = None
) -> pd.DataFrame:
    """A row for each of the named claims, with COLUMNS.

    replicates: has the columns variant and seed, and one for each of the claims' metrics.
    per_row: gives what is measured of single test rows.
    """
    return pd.DataFrame(planned.judge_at_looks(study, replicates, names, per_row), columns=COLUMNS)


def judge_once(
    claims: Mapping[str, Claim],
    groups: Mapping[str, Sequence[Sequence[float]]],
    collapsed: Mapping[str, Sequence[Sequence[bool]]],
    confidence: float,
) -> pd.DataFrame:
    """A row for each claim about strategies, with COLUMNS: all of their searches are looked at, once.

    groups: claim -> the values of its one or two strategies, a value for each search; NaN is infinite on the bad side.
    collapsed: claim -> whether the network of each value collapsed.
    """
    rows = []
    for name, claim in claims.items():
        asked = (claim.expect, claim.margin, claim.threshold, 1 - confidence)
        share, bounds = is_share(claim.metric), planned.bounds_of(claim.metric, len(claim.variants) == 2)
        judged = verdicts.judge(groups[name], *asked, collapsed[name], share=share, bounds=bounds)
        rows.append(planned.row_of(name, claim, judged, min(map(len, groups[name]))))
    return pd.DataFrame(rows, columns=COLUMNS)


def values_of(study: Study, claim: Claim, replicates: pd.DataFrame, look: int) -> list[list[float]]:
    """For each of the claim's variants, its metric of the replicates that a look is at; NaN is infinite on the bad side."""

    def values(rows: pd.DataFrame) -> list[Any]:
        return [rank_value(claim.metric, float(value)) for value in rows[claim.metric]]

    return [values(planned.rows_of(study, variant, look, replicates)) for variant in claim.variants]
