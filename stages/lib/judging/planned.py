"""Claims judged at planned looks: after how many replicates each is decided, and which look is next."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from stages.lib.judging import verdicts
from stages.lib.judging.price import chance_by_mean, chance_by_median, seeds_needed
from stages.lib.judging.replicates import COLLAPSED
from stages.lib.judging.wider import k_fold_factor, seeds_and_rows_limits, spread_out
from stages.lib.study.claims import Claim
from stages.lib.study.metrics import higher_is_better, is_fraction, is_share, rank_value, round_or_word
from stages.lib.study.settings import Study

OF_ROWS = ["rows_low", "rows_high", "on_other_rows"]
ADDED = ["by", "decided_after", *OF_ROWS]
"""Columns of claims.csv: what the verdict is about, and after how many replicates it was found, which is empty if no look
decided. Of means of test rows also the interval for other seeds and other rows together, and the verdict by it."""
PerRow = Callable[[Claim, str, int], np.ndarray | None]
"""(claim, variant, number of seeds) -> what the claim's metric is the mean of, (seeds, test rows); None for other metrics."""
NO_END = "none"
"""The ends of an interval of a median that too few replicates leave without any."""


class Progress(NamedTuple):
    """How far a claim has come.

    look: the last one that there are replicates for. 0 if there are not even replicates for the first.
    replicates: of its smaller group, at that look.
    judged: the verdict there. None without a look.
    next: the look that is due. None if the claim is decided, or was looked at for the last time.
    """

    look: int
    replicates: int
    judged: verdicts.Judged | None
    next: int | None

    @property
    def decided(self) -> bool:
        return self.judged is not None and self.judged.verdict != "inconclusive"


def plan_of(study: Study, claim: Claim) -> Sequence[int]:
    """The looks at a claim, in replicates of each of its variants.

    A claim about time is looked at once, since another run takes other times. So is one about folds alone, as their number is
    fixed.
    """
    fixed = claim.about_time or all(study.recipes[variant].k_fold for variant in claim.variants)
    return study.looks[:1] if fixed else study.looks


def alpha_of(study: Study, claim: Claim) -> float:
    """How often each look at a claim may be wrong: equal parts of 1 - confidence."""
    return (1 - study.statistics.confidence) / len(plan_of(study, claim))


def progress_of(study: Study, claim: Claim, replicates: pd.DataFrame) -> Progress:
    """Look at a claim as often as it takes to decide it, as far as there are replicates.

    replicates: has the columns variant, seed, the claim's metric and, but for durations, COLLAPSED.
    """
    plan = plan_of(study, claim)
    found = Progress(0, 0, None, None)
    for look in plan:
        groups = [rows_of(study, variant, look, replicates) for variant in claim.variants]
        needed = [len(study.seeds(variant)) if study.recipes[variant].k_fold else look for variant in claim.variants]
        if any(len(rows) < count for rows, count in zip(groups, needed, strict=True)):
            return found._replace(next=look)
        judged = judge(study, claim, groups, alpha_of(study, claim))
        found = Progress(look, min(map(len, groups)), judged, None)
        if found.decided:
            break
    return found


def rows_of(study: Study, variant: str, look: int, replicates: pd.DataFrame) -> pd.DataFrame:
    """The rows of a variant's replicates that a look is at: the first seeds, or all folds."""
    own = replicates[replicates["variant"] == variant].sort_values("seed")
    return own if study.recipes[variant].k_fold else own[own["seed"] < look]


def judge(study: Study, claim: Claim, groups: Sequence[pd.DataFrame], alpha: float) -> verdicts.Judged:
    """The verdict of a claim by these rows of replicates of its variants."""
    values, collapsed = [], []
    for variant, rows in zip(claim.variants, groups, strict=True):
        own = [rank_value(claim.metric, float(value)) for value in rows[claim.metric]]
        if k_fold := study.recipes[variant].k_fold:
            own = spread_out(own, k_fold_factor(k_fold.folds, k_fold.repeats))
        values.append(own)
        collapsed.append([bool(mark) for mark in rows[COLLAPSED]] if COLLAPSED in rows else [False] * len(own))
    return verdicts.judge(
        values,
        claim.expect,
        claim.margin,
        claim.threshold,
        alpha,
        collapsed,
        is_share(claim.metric),
        shares_networks(study, claim.variants),
        bounds_of(claim.metric, len(claim.variants) == 2),
    )


def shares_networks(study: Study, variants: Sequence[str]) -> bool:
    """Whether two variants are the same networks, measured on test rows with and without noise."""
    if len(variants) < 2:
        return False
    quiet = {"test_noise": 0.0, "noise_seed": 0}
    recipes = [study.recipes[variant] for variant in variants]
    same = [recipe.model_copy(update={"view": recipe.view.model_copy(update=quiet)}) for recipe in recipes]
    return same[0] == same[1]


def bounds_of(metric: str, difference: bool) -> tuple[float, float]:
    """The smallest and the largest value that a metric can have, or the difference of two."""
    if not is_fraction(metric):
        return -math.inf, math.inf
    low, high = (0.0 if higher_is_better(metric) else -1.0), 1.0
    return (low - high, high - low) if difference else (low, high)


def ends_of(metric: str, values: np.ndarray, alpha: float) -> dict[str, float | str]:
    """The ends of the interval of the mean of a variant's replicates, for a table: NO_END if they agree, or are too few."""
    found = verdicts.limits([values], alpha, bounds=bounds_of(metric, difference=False))
    if found.typical or math.isnan(float(found.low)):
        return {"low": NO_END, "high": NO_END}
    return {"low": round_or_word(metric, float(found.low)), "high": round_or_word(metric, float(found.high))}


def on_other_rows(study: Study, claim: Claim, found: Progress, per_row: PerRow) -> dict[str, Any]:
    """The columns OF_ROWS, at the look that decided or was the last; empty for medians, shares, folds and other metrics.

    The interval is no narrower than that of the seeds alone. So a verdict may become inconclusive, or refuted where it was
    equivalent, which says less.
    """
    folded = any(study.recipes[variant].k_fold for variant in claim.variants)
    scores = [per_row(claim, variant, found.replicates) for variant in claim.variants] if not folded else [None]
    groups = [each for each in scores if each is not None and np.isfinite(each).all()]
    if found.judged is None or found.judged.by != "mean" or len(groups) < len(scores):
        return dict.fromkeys(OF_ROWS, "")
    if shares_networks(study, claim.variants):
        groups = [groups[1] - groups[0]]
    low, high = seeds_and_rows_limits(groups, alpha_of(study, claim))
    low, high = min(low, found.judged.low), max(high, found.judged.high)
    bounds = bounds_of(claim.metric, len(claim.variants) == 2)
    low, high = max(low, bounds[0]), min(high, bounds[1])
    code = int(verdicts.decide(np.asarray(low), np.asarray(high), claim.expect, claim.margin, claim.threshold or 0.0))
    ends = (round_or_word(claim.metric, end) for end in (low, high))
    return dict(zip(OF_ROWS, (*ends, verdicts.VERDICTS[code]), strict=True))


def judge_at_looks(
    study: Study, replicates: pd.DataFrame, names: Sequence[str], per_row: PerRow | None = None
) -> list[dict[str, Any]]:
    """A row of claims.csv for each of the named claims. One without replicates is inconclusive."""
    rows = []
    for name in names:
        claim = study.claims[name]
        found = progress_of(study, claim, replicates)
        judged = found.judged or verdicts.Judged("inconclusive", math.nan, math.nan, math.nan, False, "mean")
        of_rows = on_other_rows(study, claim, found, per_row) if per_row else dict.fromkeys(OF_ROWS, "")
        rows.append(row_of(name, claim, judged, found.replicates) | of_rows)
    return rows


def row_of(name: str, claim: Claim, judged: verdicts.Judged, replicates: int) -> dict[str, Any]:
    """A row of claims.csv. Too few replicates for a median leave its interval without both ends: NO_END."""
    numbers = {end: round_or_word(claim.metric, getattr(judged, end)) for end in ("effect", "low", "high")}
    if math.isnan(judged.low) or (judged.low == -math.inf and judged.high == math.inf):
        numbers |= {"low": NO_END, "high": NO_END}
    decided = judged.verdict != "inconclusive"
    return {
        "claim": name,
        "verdict": judged.verdict,
        **numbers,
        "close": judged.close,
        "replicates": replicates,
        "by": judged.by,
        "decided_after": str(replicates) if decided else "",
        **claim.model_dump(),
    }


def price_of(study: Study, claim: Claim, replicates: pd.DataFrame) -> Mapping[float, int | None] | None:
    """Chance -> how many replicates of each variant would decide an inconclusive claim with it, were they the only look left.

    It takes what was measured for the truth. None for what is decided, for a share, for folds, and without replicates.
    """
    found = progress_of(study, claim, replicates)
    folded = any(study.recipes[variant].k_fold for variant in claim.variants)
    if found.judged is None or found.decided or found.judged.by == "share" or folded:
        return None
    columns = [rows_of(study, variant, found.look, replicates)[claim.metric] for variant in claim.variants]
    groups = [[rank_value(claim.metric, float(value)) for value in column] for column in columns]
    if shares_networks(study, claim.variants):
        groups = [[second - first for first, second in zip(*groups, strict=True)]]
    chance_of = chance_by_mean if found.judged.by == "mean" else chance_by_median
    chance = chance_of(groups, claim.expect, claim.margin, claim.threshold, alpha_of(study, claim))
    return {wanted: seeds_needed(wanted, chance) for wanted in (0.5, 0.9)}
