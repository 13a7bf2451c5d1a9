"""A difference of means is told from noise by its interval, or by rank if there is none."""

from __future__ import annotations

import pytest

from stages.lib.review.changes import BEYOND, UNDECIDED, WITHIN, Change
from stages.lib.review.rows import change_row

GOOD, BAD = [0.95, 0.951, 0.952, 0.953, 0.954], [0.8, 0.801, 0.802, 0.803, 0.804]
"""The 99 % interval of the difference of two such groups is 0.0046 on either side: of 8 degrees of freedom half count."""


@pytest.mark.parametrize(
    ("before", "after", "difference", "mark"),
    [
        (GOOD, [0.96, 0.961, 0.962, 0.963, 0.964], "0.01 (0.0054 to 0.0146)", BEYOND),
        (GOOD, [0.9511, *GOOD[1:]], "0.00022 (-0.0041 to 0.00507)", WITHIN),
        ([0.5] * 5, [0.6] * 5, "by rank: all higher", BEYOND),
        (GOOD, [0.953] * 5, "by rank: they overlap", WITHIN),
        (GOOD[:2], BAD[:2], "-0.15 (no interval)", UNDECIDED),
        (GOOD, [float("-inf")] * 5, "by rank: all lower", BEYOND),
        ([float("-inf")] * 5, GOOD, "by rank: all higher", BEYOND),
        (GOOD, [*BAD[:4], float("-inf")], "by rank: all lower", BEYOND),
        (GOOD, [*GOOD[:4], float("-inf")], "by rank: they overlap", WITHIN),
        (GOOD[:4], [float("-inf")] * 4, "by rank: all lower", UNDECIDED),
    ],
)
def test_what_is_beyond_noise(before: list[float], after: list[float], difference: str, mark: str) -> None:
    row = change_row("starter", Change("plain", "plain", "test_accuracy", before, after, 0.99))
    assert (row[5], row[6]) == (difference, mark)


def test_means_that_differ_by_rounding_alone_are_the_same() -> None:
    def changed(before: list[float], after: list[float]) -> bool:
        return Change("plain", "plain", "val_accuracy", before, after, 0.99).changed

    assert not changed([0.6, 0.60834], [0.59167, 0.61667])
    assert 0.1 + 0.2 + 0.3 != 0.3 + 0.2 + 0.1
    assert not changed([0.1, 0.2, 0.3], [0.3, 0.2, 0.1])
    assert changed([0.1, 0.2, 0.3], [0.1, 0.2, 0.30001])
    assert changed([0.1, float("-inf")], [float("-inf"), float("-inf")])
