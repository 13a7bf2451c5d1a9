"""Updates of the weights, counted by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from helpers.illustrations import study_of
from helpers.study import prepared_for
from stages.lib.report.illustrations.printed import compare_printed
from stages.lib.report.illustrations.registry import illustrate
from stages.lib.report.illustrations.weight_updates import updates_of


def test_updates_come_from_rows_batches_and_epochs() -> None:
    train = {"batch_size": 64, "epochs": 50}
    variants: dict[str, Any] = {
        "noisy": {"train": {"batch_size": 4096}},
        "dropped": {"train": {"validation_rows": 0, "epochs": 3}},
    }
    study = study_of({"train": train, "variants": variants}, weight_updates={"batch_64": (46900,), "batch_4096": (750,)})
    rows = np.zeros((60000, 1), np.uint8), np.zeros(60000, np.int64)
    prepared = replace(prepared_for(study), splits={"train": rows, "test": rows})
    assert updates_of(study, prepared) == {(64, 50): (938, 46900), (4096, 50): (15, 750), (64, 3): (938, 2814)}
    found = illustrate(study, prepared)
    assert compare_printed(study, found)["agrees"].all()
    assert "62.5 times" in found["weight_updates"].finding


def test_rows_set_apart_to_validate_on_update_nothing() -> None:
    split: dict[str, Any] = {"split": {"validation": 0}}
    study = study_of({"data": split, "train": {"validation_rows": 56, "batch_size": 32, "epochs": 1}}, weight_updates={})
    assert updates_of(study, prepared_for(study)) == {(32, 1): (2, 2)}  # of 120 rows


@pytest.mark.parametrize(
    ("changes", "updates"),
    [
        ({"train": {"validation_rows": 100}}, 2),  # of 60 rows: never more than half are set apart
        ({"data": {"k_fold": {"folds": 2, "repeats": 2, "seed": 0}}, "variants": {"plain": {"k_fold": True}}}, 3),  # 80 of 160
    ],
)
def test_updates_are_those_of_the_rows_that_train(changes: dict[str, Any], updates: int) -> None:
    study = study_of(changes, weight_updates={})
    found = updates_of(study, prepared_for(study))
    assert {each for each, _ in found.values()} == {updates}
