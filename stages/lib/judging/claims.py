"""The table of claims: what each expects, what was measured, and the verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from stages.lib.judging import looks, planned
from stages.lib.judging.verdicts import judge
from stages.lib.study.claims import Claim
from stages.lib.study.metrics import is_share, rank_value, round_or_word
from stages.lib.study.settings import Study

COLUMNS = "claim verdict effect low high close replicates metric expect threshold margin".split()


def judge_claims(
    study: Study, replicates: pd.DataFrame, names: Sequence[str], per_row: planned.PerRow | None = None
) -> pd.DataFrame:
    """A row for each of the named claims, with COLUMNS; where looks are planned, also with planned.ADDED.

    replicates: has the columns variant and seed, and one for each of the claims' metrics.
    per_row: gives what is measured of single test rows, for planned looks.
    """
    if study.looks:
        return pd.DataFrame(planned.judge_at_looks(study, replicates, names, per_row), columns=[*COLUMNS, *planned.ADDED])
    claims = {name: study.claims[name] for name in names}
    groups = {name: values_of(study, claim, replicates) for name, claim in claims.items()}
    return table(claims, groups, study.statistics.confidence)


def table(claims: Mapping[str, Claim], groups: Mapping[str, Sequence[Sequence[float]]], confidence: float) -> pd.DataFrame:
    """A row for each claim, with COLUMNS.

    groups: claim -> the replicates' values of its one or two variants; NaN is infinite on the bad side.
    """
    rows = []
    for name, claim in claims.items():
        share = is_share(claim.metric)
        judgement = judge(groups[name], claim.expect, claim.margin, claim.threshold, confidence, share)
        numbers = {end: round_or_word(claim.metric, getattr(judgement, end)) for end in ("effect", "low", "high")}
        found = {"verdict": judgement.verdict, "close": judgement.close, "replicates": min(map(len, groups[name]))}
        rows.append({"claim": name, **found, **numbers, **claim.model_dump()})
    return pd.DataFrame(rows, columns=COLUMNS)


def table_at_one_look(
    claims: Mapping[str, Claim],
    groups: Mapping[str, Sequence[Sequence[float]]],
    collapsed: Mapping[str, Sequence[Sequence[bool]]],
    confidence: float,
) -> pd.DataFrame:
    """As `table`, by the rules for planned looks, with planned.ADDED.

    collapsed: claim -> whether the network of each value collapsed.
    """
    rows = []
    for name, claim in claims.items():
        asked = (claim.expect, claim.margin, claim.threshold, 1 - confidence)
        share, bounds = is_share(claim.metric), planned.bounds_of(claim.metric, len(claim.variants) == 2)
        judged = looks.judge(groups[name], *asked, collapsed[name], share=share, bounds=bounds)
        rows.append(planned.row_of(name, claim, judged, min(map(len, groups[name]))))
    return pd.DataFrame(rows, columns=[*COLUMNS, *planned.ADDED])


def replicates_of(study: Study, claim: Claim, variant: str) -> int:
    """How many of a variant's replicates, from the first on, a claim is judged by: all folds, or as many as it asks for."""
    return len(study.seeds(variant)) if study.recipes[variant].k_fold else study.claim_seeds(claim)


def values_of(study: Study, claim: Claim, replicates: pd.DataFrame, look: int | None = None) -> list[list[float]]:
    """For each of the claim's variants, its metric of the replicates that judge it; NaN is infinite on the bad side.

    A claim that asks for more seeds must not change the verdict of another one, so each takes the first seeds only.

    look: how many, where looks are planned.
    """
    groups = []
    for variant in claim.variants:
        asked = replicates_of(study, claim, variant)
        first = asked if look is None or study.recipes[variant].k_fold else look
        chosen = (replicates["variant"] == variant) & (replicates["seed"] < first)
        groups.append([rank_value(claim.metric, float(value)) for value in replicates.loc[chosen, claim.metric]])
    return groups
