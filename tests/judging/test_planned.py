"""Claims at planned looks: which replicates a look is at, what is due, and what else is taken into account."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from helpers.study import study_with, write_params
from stages.lib.cli import UserError
from stages.lib.judging import planned
from stages.lib.judging.claims import COLUMNS, judge_claims, judge_once
from stages.lib.study.claims import Claim
from stages.lib.study.load import load_study
from stages.lib.study.settings import merged

LOOKS = {"statistics": {"looks": [5, 10, 20]}}


def table(values: dict[str, list[float]], metric: str = "test_accuracy", **columns: Any) -> pd.DataFrame:
    rows = [
        {"variant": name, "seed": seed, metric: value} for name, group in values.items() for seed, value in enumerate(group)
    ]
    return pd.DataFrame(rows).assign(**columns)


def progress(values: dict[str, list[float]], changes: dict[str, Any] | None = None) -> planned.Progress:
    study = study_with(merged(LOOKS, changes or {}))
    return planned.progress_of(study, study.claims["noise_hurts"], table(values))


def around(middle: float, count: int) -> list[float]:
    return [middle + (0.01 if seed % 2 else -0.01) for seed in range(count)]


def test_a_claim_that_a_look_decides_needs_no_more() -> None:
    found = progress({"plain": around(0.9, 5), "noisy": around(0.5, 5)})
    assert (found.replicates, found.next, found.decided) == (5, None, True)


def test_more_replicates_do_not_change_what_a_look_decided() -> None:
    found = progress({"plain": around(0.9, 20), "noisy": around(0.5, 5) + [1.0] * 15})
    assert (found.replicates, found.decided) == (5, True)


def test_an_undecided_claim_is_due_at_the_next_look_until_the_last() -> None:
    values = {"plain": [0.9, 0.5] * 10, "noisy": [0.6, 0.8] * 10}
    for count, due in ((0, 5), (5, 10), (7, 10), (10, 20), (20, None)):
        found = progress({name: group[:count] for name, group in values.items()} if count else {"dropped": [0.5]})
        assert (found.next, found.decided) == (due, False)


def test_each_look_has_its_part_of_the_error() -> None:
    """2 / 2^8 = 0.0078 decides at one look of 8 with a confidence of 0.99, and not at the second of two."""
    values = {"plain": [1.0] * 8, "noisy": [0.5] * 8}
    assert progress(values, {"statistics": {"looks": [8]}}).decided
    assert not progress(values, {"statistics": {"looks": [5, 8]}}).decided


def test_noise_on_the_test_rows_leaves_the_networks_the_same() -> None:
    study = study_with({"views": {"noisy": {"scale": "max"}}})
    assert planned.shares_networks(study, ["plain", "noisy"])
    assert not planned.shares_networks(study, ["plain", "dropped"])
    assert not planned.shares_networks(study_with(), ["plain", "noisy"])  # their scaling differs too
    assert not planned.shares_networks(study, ["plain"])


@pytest.mark.parametrize(
    ("metric", "one", "two"),
    [
        ("test_accuracy", (0, 1), (-1, 1)),
        ("best_val_minus_test_accuracy", (-1, 1), (-2, 2)),
        ("test_loss", (-math.inf, math.inf), (-math.inf, math.inf)),
    ],
)
def test_accuracies_have_bounds(metric: str, one: tuple[float, float], two: tuple[float, float]) -> None:
    assert planned.bounds_of(metric, difference=True) == two
    assert planned.bounds_of(metric, difference=False) == one


def test_a_variant_s_interval_ends_at_1_and_is_none_where_replicates_agree() -> None:
    values = np.array([0.99, 0.98, 1.0, 0.7, 1.0])
    assert planned.ends_of("test_accuracy", values, 0.01)["high"] == 1
    assert planned.ends_of("epochs", np.array([3.0] * 5), 0.01) == {"low": "none", "high": "none"}
    assert planned.ends_of("test_loss", np.array([0.1, 0.2]), 0.01) == {"low": "none", "high": "none"}


def of_rows(noisy: float, rows: int = 400) -> dict[str, Any]:
    """Five replicates of two variants that agree on each row; the noisy one has `noisy` of the rows right, the other 0.9."""
    study = study_with({"statistics": {"looks": [5]}})
    draw = np.random.default_rng(0)
    shares = {"plain": 0.9, "noisy": noisy}
    right = {name: draw.permutation(rows) < share * rows for name, share in shares.items()}

    def per_row(claim: Claim, variant: str, seeds: int) -> np.ndarray:
        flipped = np.arange(rows)[None, :] < np.arange(seeds)[:, None]  # a few rows, so that replicates differ
        assert claim.metric == "test_accuracy"
        return (right[variant] ^ flipped).astype(float)

    values = {name: per_row(study.claims["noise_hurts"], name, 5).mean(axis=1).tolist() for name in shares}
    row = judge_claims(study, table(values), ["noise_hurts"], per_row).iloc[0]
    return {str(name): value for name, value in row.items()}


def test_a_difference_may_hold_on_these_rows_alone() -> None:
    """Of 400 rows, 12 differ: a standard error over rows of about 0.02. Over seeds it is 0.002."""
    row = of_rows(0.87)
    assert row["verdict"] == "supported"
    assert row["on_other_rows"] == "inconclusive"
    assert row["rows_low"] < row["low"]
    assert row["rows_high"] > row["high"]


def test_a_large_difference_holds_on_other_rows_too() -> None:
    row = of_rows(0.5)
    assert (row["verdict"], row["on_other_rows"]) == ("supported", "supported")


LEVEL = {"says": "-", "variant": "noisy", "metric": "test_accuracy", "expect": "at_least", "threshold": 0.5}


def test_all_folds_count_at_one_look_and_are_spread_out() -> None:
    """Five folds, twice: the standard error is the root of 1 + 10 / 4, 1.87 times that of ten independent replicates."""
    k_fold = {"data": {"k_fold": {"folds": 5, "repeats": 2, "seed": 0}}, "variants": {"noisy": {"k_fold": True}}}
    widths = []
    for changes in (k_fold, {"statistics": {"looks": [10]}}):
        study = study_with(merged(merged(LOOKS, {"claims": {"level": LEVEL}}), changes))
        found = planned.progress_of(study, study.claims["level"], table({"noisy": around(0.8, 10)}))
        assert found.replicates == 10
        assert found.judged
        widths.append(found.judged.high - found.judged.low)
    assert widths[0] / widths[1] == pytest.approx(3.5**0.5)


def test_what_collapsed_is_judged_by_the_median() -> None:
    study = study_with({"statistics": {"looks": [10]}})
    rows = table({"plain": around(0.9, 10), "noisy": around(0.5, 10)}, collapsed=0.0)
    assert judge_claims(study, rows, ["noise_hurts"]).loc[0, "by"] == "mean"
    rows.loc[3, "collapsed"] = 1.0
    found = judge_claims(study, rows, ["noise_hurts"])
    assert list(found.columns) == COLUMNS
    assert [found.loc[0, name] for name in ["by", "verdict", "decided_after"]] == ["median", "supported", "10"]


def test_too_few_replicates_for_a_median_have_no_interval() -> None:
    study = study_with({"statistics": {"looks": [5]}})
    found = judge_claims(study, table({"plain": [0.9] * 5, "noisy": [0.5] * 5}), ["noise_hurts"])
    assert [found.loc[0, name] for name in ["low", "high", "verdict", "decided_after"]] == ["none", "none", "inconclusive", ""]


def test_strategies_are_looked_at_once() -> None:
    claim = study_with().claims["noise_hurts"]
    found = judge_once({"better": claim}, {"better": [around(0.9, 6), around(0.2, 6)]}, {"better": []}, 0.99)
    assert [found.loc[0, name] for name in ["verdict", "decided_after"]] == ["supported", "6"]


def test_an_undecided_claim_has_a_price() -> None:
    study = study_with({"statistics": {"looks": [5]}})
    claim = study.claims["noise_hurts"]
    draw = np.random.default_rng(0)
    values = {"plain": draw.normal(0.6, 0.05, 5).tolist(), "noisy": draw.normal(0.55, 0.05, 5).tolist()}
    price = planned.price_of(study, claim, table(values))
    assert price
    assert price[0.5]
    assert price[0.9]
    assert 5 < price[0.5] < price[0.9]
    assert planned.price_of(study, claim, table({"plain": around(0.9, 5), "noisy": around(0.5, 5)})) is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"statistics": {"looks": [5, 5]}}, r"statistics\.looks: \[5, 5\] must rise: "),
        ({"statistics": {"looks": []}}, r"statistics\.looks: "),
        ({"statistics": {"looks": [1, 5]}}, r"statistics\.looks\.0: "),
    ],
)
def test_looks_that_go_wrong_are_refused(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    write_params(tmp_path, changes)
    with pytest.raises(UserError, match=message):
        load_study(tmp_path)
