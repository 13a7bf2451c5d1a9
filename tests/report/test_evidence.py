"""Why a variant learns as it does: numbers from made-up tables, and sentences where a limit is passed, nowhere else."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
import pytest

from helpers.checkout import ROOT
from helpers.study import prepared_for, study_with
from stages.lib.report.evidence import (
    BATCH,
    FOLD,
    LARGE,
    MOST,
    SMALL,
    Evidence,
    evidence_of,
    gradient_ratio,
    sentences,
    table_of,
    updates_of_an_epoch,
)
from stages.lib.training.views import of_replicate

ROWS = {"train": 120, "validation": 40, "test": 40}
PLAIN = Evidence(updates=4, epochs=3.0, planned=3, diverged=0, replicates=3)


def diagnostics(**columns: list[Any]) -> pd.DataFrame:
    """Two layers before training, after the first epoch and at the end: six rows."""
    given = {"weights_norm": [1.0] * 6, "gradient_norm": [1.0] * 6, "update_norm": [math.nan] * 6}
    shares = dict.fromkeys(("zero_share", "saturated_share"), [math.nan] * 6)
    layers = {"variant": "plain", "epoch": [0, 0, 1, 1, 3, 3], "layer": ["hidden_1", "outputs"] * 3}
    return pd.DataFrame(layers | given | shares | columns)


def replicates(**columns: list[Any]) -> pd.DataFrame:
    return pd.DataFrame({"variant": "plain", "seed": [0, 1, 2], "epochs": [3.0] * 3, "train_loss": [0.5] * 3} | columns)


def test_the_numbers_come_from_the_first_the_worst_and_the_last() -> None:
    table = diagnostics(
        gradient_norm=[0.5, 2.0, 1, 1, 3.0, 1.5],
        weights_norm=[2.0, 4.0, 2, 4, 10.0, 4.0],
        update_norm=[math.nan, math.nan, 0.5, 9, 9, 9],
        zero_share=[0, math.nan, 0.1, math.nan, 0.75, math.nan],
        saturated_share=[0.9, math.nan, 0.2, math.nan, 0.25, math.nan],
    )
    found = evidence_of(study_with(), "plain", replicates(), table, ROWS)
    assert (found.updates, found.epochs, found.planned, found.diverged) == (4, 3, 3, 0)  # 120 / 32, rounded up
    assert (found.first, found.before, found.after, found.moved) == (0.5, 0.25, 2, 0.25)
    assert (found.grown, found.growing) == (5, "hidden_1")
    assert (found.early, found.zero, found.dead, found.saturated, found.flat) == (0.1, 0.75, "hidden_1", 0.25, "hidden_1")


def test_what_was_not_measured_is_no_number() -> None:
    found = evidence_of(study_with(), "plain", replicates(train_loss=[0.5, math.nan, math.inf]), diagnostics().iloc[:0], ROWS)
    assert found.diverged == 2
    assert all(
        math.isnan(value) for value in (found.first, found.before, found.moved, found.early, found.zero, found.saturated)
    )
    assert [label for label, _ in table_of(found)] == ["updates of the weights in an epoch", "epochs trained"]


def test_weights_and_gradients_that_are_lost_are_no_numbers() -> None:
    nan = [1.0, 1.0, math.nan, math.nan, math.nan, math.nan]
    found = evidence_of(study_with(), "plain", replicates(), diagnostics(weights_norm=nan, gradient_norm=nan), ROWS)
    assert found.before == 1
    assert math.isnan(found.after)
    assert math.isnan(found.grown)


def test_a_gradient_of_zero_has_no_ratio() -> None:
    assert math.isnan(gradient_ratio(diagnostics(gradient_norm=[0.0] * 6).iloc[:2]))


@pytest.mark.parametrize(
    ("changes", "rows"),
    [
        ({}, 120),
        ({"variants": {"plain": {"train": {"validation_rows": 20}}}}, 100),
        ({"variants": {"plain": {"train": {"validation_rows": 100}}}}, 60),  # never more than half
        ({"data": {"k_fold": {"folds": 4, "repeats": 1, "seed": 0}}, "variants": {"plain": {"k_fold": True}}}, 120),
        ({"data": {"k_fold": {"folds": 3, "repeats": 2, "seed": 0}}, "variants": {"plain": {"k_fold": True}}}, 106),
    ],
)
def test_rows_of_an_epoch_are_those_that_a_replicate_trains_on(changes: dict[str, Any], rows: int) -> None:
    study = study_with({**changes, "train": {"batch_size": 1}})
    prepared = prepared_for(study)
    recipe = study.recipes["plain"]
    seen, _ = of_replicate(recipe, prepared.views[study.view_of("plain")], prepared.splits, seed=0)
    assert updates_of_an_epoch(recipe, ROWS) == len(seen["train"][1]) == rows


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, ""),
        (
            {"before": 0.009, "moved": 0.001},
            "the gradient vanishes on its way back: before training, the first layer's is 0.009",
        ),
        ({"before": 0.011}, ""),
        ({"before": 101.0}, "explodes on its way back"),
        ({"grown": 99.0}, ""),
        ({"grown": 1e20, "growing": "hidden_2"}, "hidden_2 of plain grow to 1.00 × 10²⁰ times their norm"),
        (
            {"zero": 0.5, "dead": "hidden_1"},
            "50 % of the units in the layer hidden_1 of plain are 0 for each of 500 training rows",
        ),
        ({"zero": 0.49}, ""),
        ({"saturated": 0.9, "flat": "hidden_1"}, "90 % of the activations in the layer hidden_1 of plain lie near a bound"),
        ({"diverged": 1}, "1 of the 3 replicates of plain diverged."),
        ({"epochs": 2.0}, "plain stopped after 2 of 3 epochs, on average."),
        ({"epochs": 2.0, "diverged": 1}, "1 of the 3 replicates of plain diverged."),
    ],
)
def test_a_sentence_for_each_limit_and_none_without(changes: dict[str, Any], said: str) -> None:
    found = sentences("plain", Evidence(**{**vars(PLAIN), **changes}))
    assert len(found) == bool(said)
    assert said in "".join(found)


def test_updates_are_compared_with_another_variant_s() -> None:
    huge = Evidence(**{**vars(PLAIN), "updates": 1})
    assert sentences("huge", huge, "plain", PLAIN) == ["huge makes 1 update of the weights in an epoch, plain makes 4."]
    assert sentences("plain", PLAIN, "huge", huge) == ["plain makes 4 updates of the weights in an epoch, huge makes 1."]
    assert sentences("half", Evidence(**{**vars(PLAIN), "updates": 2}), "plain", PLAIN) == []


def test_gradients_are_compared_with_another_variant_s() -> None:
    mild, raw = (Evidence(**{**vars(PLAIN), "first": first}) for first in (0.5, 51.0))
    said = ["Before training, the first layer's gradient in raw is 102 times that in mild."]
    assert sentences("raw", raw, "mild", mild) == said
    half, dead = (Evidence(**{**vars(PLAIN), "first": first}) for first in (0.51, 0.0))
    assert sentences("mild", mild, "raw", raw) == sentences("raw", raw, "half", half) == []
    assert sentences("raw", raw, "dead", dead) == sentences("raw", raw, "plain", PLAIN) == []


def test_the_table_has_what_any_of_them_has() -> None:
    table = dict(table_of(PLAIN, Evidence(**{**vars(PLAIN), "zero": 0.125, "updates": 12_000})))
    assert table["updates of the weights in an epoch"] == ["4", "12,000"]
    assert table["units that are 0 for every row at the end, in the layer with the most"] == ["–", "12.5 %"]
    assert len(table) == 3


def test_the_page_about_reports_has_these_limits() -> None:
    text = (ROOT / "docs" / "report.md").read_text(encoding="utf-8")
    limits = text.partition("<!-- limits")[2].partition("<!-- end of limits")[0]
    for expected in (
        *(f"below {SMALL:g}, or above {LARGE:g}", f"each of {BATCH} training rows", f"| {MOST:g} or more"),
        f"before training, over that of the variant compared with | above {LARGE:g}",
        *(f"| {FOLD:g} times as many, or as few", f"over that before training | above {LARGE:g}"),
    ):
        assert expected in limits
