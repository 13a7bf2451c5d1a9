"""Many claims at once: Holm's and Benjamini and Hochberg's procedures by hand."""

from __future__ import annotations

import pandas as pd
import pytest

from helpers.study import study_with
from stages.lib.judging.multiplicity import chance_of, smallest_alpha, together


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


def test_the_chances_of_all_looks_add_up() -> None:
    """All of 10 seeds on one side: 2 / 2^10 at one of three looks, so half of 3 * 2 / 2^10 to one side."""
    study = study_with({"statistics": {"looks": [5, 8, 10]}})
    claim = study.claims["noise_hurts"]

    def chance(count: int) -> float:
        values = [(name, seed, value) for name, value in (("plain", 1.0), ("noisy", 0.5)) for seed in range(count)]
        return chance_of(study, claim, pd.DataFrame(values, columns=["variant", "seed", claim.metric]))

    assert chance(10) == pytest.approx(3 / 2**10, rel=2e-3)
    assert chance(8) == 1
