"""The price of a claim, against the rules themselves."""

from __future__ import annotations

import math

import numpy as np
import pytest

from stages.lib.judging import verdicts
from stages.lib.judging.price import chance_by_mean, chance_by_median, seeds_needed
from stages.lib.study.claims import Expect


@pytest.mark.parametrize(
    ("expect", "effect"), [("higher", 1.0), ("higher", -0.4), ("lower", -1.5), ("same", 0.0), ("same", 1.2)]
)
def test_as_many_replicates_decide_about_as_often(expect: Expect, effect: float) -> None:
    draw = np.random.default_rng(0)
    groups = [draw.normal(0, 1, 10), draw.normal(0, 1.5, 10)]
    groups[1] += effect - (groups[1].mean() - groups[0].mean())
    chance = chance_by_mean([group.tolist() for group in groups], expect, 0.5, None, 0.01)
    for wanted in (0.5, 0.9):
        count = seeds_needed(wanted, chance)
        assert count is not None
        assert count > 10
        more = [draw.normal(group.mean(), group.std(ddof=1), (2_000, count - 10)) for group in groups]
        both = [np.hstack([np.tile(group, (2_000, 1)), new]) for group, new in zip(groups, more, strict=True)]
        found = verdicts.limits(both, 0.01)
        decided = float((verdicts.decide(found.low, found.high, expect, 0.5) > 0).mean())
        assert decided == pytest.approx(wanted, abs=0.06)


def test_a_claim_at_its_margin_is_never_decided() -> None:
    group = [0.0, 1, 2]
    assert seeds_needed(0.5, chance_by_mean([group], "at_least", 0.0, 1.0, 0.01)) is None


def test_one_side_of_a_threshold_needs_eight_replicates() -> None:
    chance = chance_by_median([[-math.inf] * 5], "at_most", 0.0, 0.5, 0.01)
    assert (seeds_needed(0.5, chance), seeds_needed(0.9, chance)) == (8, 8)
    mixed = chance_by_median([[-math.inf] * 9 + [1.0]], "at_most", 0.0, 0.5, 0.01)
    assert mixed(10) == 0  # those were measured, and did not decide
    of_ten = [math.comb(10, above) * 0.1**above * 0.9 ** (10 - above) for above in range(3)]
    assert mixed(20) == pytest.approx(sum(of_ten))  # three of twenty may be above, and one is
