"""What the card of a claim says of the variants that it compares."""

from __future__ import annotations

from typing import Any

import pytest

from helpers.study import study_with
from stages.lib.report.sections.claims import changed_knobs

OWN = "Keras's own"


@pytest.mark.parametrize(
    ("train", "changed"),
    [
        ({"optimizer": {"name": "adam", "beta_1": 0.8}}, [("optimizer.beta_1", OWN, "0.8")]),
        ({"optimizer": "sgd", "momentum": 0.9}, [("optimizer", "adam", "sgd"), ("momentum", "0.0", "0.9")]),
        ({"optimizer": {"name": "sgd", "momentum": 0.9}}, [("optimizer", "adam", "sgd"), ("momentum", "0.0", "0.9")]),
        (
            {"schedule": {"kind": "cosine"}},
            [("schedule.kind", "constant", "cosine"), ("schedule.decay_epochs", "all", "3.0")],
        ),
        ({"class_weights": "balanced"}, [("class_weights", "none", "balanced")]),
        ({"augmentation": {"rotate": 10}}, [("augmentation.rotate", "0.0", "10.0")]),
    ],
)
def test_each_knob_that_differs_is_shown_with_both_values(train: dict[str, Any], changed: list[tuple[str, str, str]]) -> None:
    study = study_with({"variants": {"child": {"tip": "-", "extends": "plain", "train": train}}})
    assert sorted(changed_knobs(study, "child", "plain")) == sorted(changed)
    assert sorted(changed_knobs(study, "plain", "child")) == sorted((knob, new, old) for knob, old, new in changed)
