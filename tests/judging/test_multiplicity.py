"""Many claims at once: Holm's and Benjamini and Hochberg's procedures by hand, and on what is committed."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from helpers.checkout import ROOT
from stages.lib.judging.claims import values_of
from stages.lib.judging.multiplicity import chance_of, smallest_alpha, together
from stages.lib.study.claims import Claim
from stages.lib.study.load import load_study
from stages.lib.study.places import studies


def test_procedures_by_hand() -> None:
    """Four claims. Holm at 5 %: 0.01 <= 0.05 / 4 stays, 0.02 > 0.05 / 3 falls, and so do all after it."""
    found = together({"c": 0.02, "a": 0.01, "undecided": 1.0, "b": 0.021})
    assert (found.decided, found.judged, found.falls) == (3, 4, ["c", "b"])
    assert found.rate == pytest.approx(max(0.01 * 4, 0.02 * 2, 0.021 * 4 / 3))
    assert together({"a": 1.0}).rate == 0


def test_the_smallest_alpha_is_found() -> None:
    assert smallest_alpha(lambda alpha: "supported" if alpha > 0.003 else "inconclusive", 0.01) == pytest.approx(
        0.003, rel=2e-3
    )


def test_chances_by_hand() -> None:
    """Mean 3, standard error sqrt(0.5), above 1: t = 2.828 with 4 degrees of freedom, one-sided 0.0237. By rank 1 / 2^5."""
    claim = Claim(says="x", variant="a", metric="test_loss", expect="at_least", threshold=1.0)
    assert chance_of(claim, [[1, 2, 3, 4, 5]], 0.9) == pytest.approx(0.0237, abs=1e-4)
    assert chance_of(claim, [[1, 2, 3, 4, 5]], 0.99) == 1
    assert chance_of(claim, [[math.inf] * 5], 0.99) == 1 / 32
    pair = Claim(says="x", compare=("a", "b"), metric="test_loss", expect="higher")
    assert chance_of(pair, [[1.0] * 5, [math.inf] * 5], 0.99) == 1 / 252


WITH_INTERVAL = """
standardizing_is_as_good rate_0_1_hurts_more stopping_early_saves_epochs inversion_hurts big_batch_still_gets_there
rate_0_01_hurts the_mean_does_the_harm batch_64_only_restores third_layer_no_train_gain width_restores_it
""".split()


def test_ten_committed_claims_with_an_interval_do_not_stand_by_holm() -> None:
    """Worked out before by others, with code of their own. All claims stand by Benjamini and Hochberg at a low rate."""
    chances: dict[str, float] = {}
    for folder in studies(ROOT):
        study = load_study(ROOT / folder)
        replicates = pd.read_csv(ROOT / folder / "metrics" / "replicates.csv")
        for name, claim in study.claims.items():
            groups = [] if claim.about_time else values_of(study, claim, replicates)
            if groups and all(np.isfinite(group).all() for group in groups):
                chances[f"{folder.name}.{name}"] = chance_of(claim, groups, study.statistics.confidence)
    found = together(chances)
    assert sorted(name.partition(".")[2] for name in found.falls) == sorted(WITH_INTERVAL)
    assert found.rate < 0.01
