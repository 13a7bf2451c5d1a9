"""The examples of docs/training.md are settings that load, and claims that can be judged."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ruamel.yaml import YAML

from helpers.checkout import ROOT
from helpers.study import SMALL
from stages.lib.judging import own
from stages.lib.study.load import check_task, load_study
from stages.lib.study.optimizers import KEYS_OF

PAGE = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
EXAMPLES: list[dict[str, Any]] = [
    YAML(typ="safe", pure=True).load(each) for each in re.findall(r"```yaml\n(.*?)```", PAGE, re.S)
]
(SOURCE,) = re.findall(r"```python\n(.*?)```", PAGE, re.S)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda each: next(iter(each["claims"])))
def test_an_example_is_a_study(example: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "metrics.py").write_text(SOURCE)
    with (tmp_path / "params.yaml").open("w", encoding="utf-8") as file:
        YAML(typ="safe", pure=True).dump({**SMALL, **example}, file)
    study = load_study(tmp_path)
    check_task(study, "classification")
    assert len(set(map(repr, study.recipes.values()))) == len(study.variants)
    named = {claim.metric for claim in study.claims.values() if claim.metric.startswith("own.")}
    labels, predictions = np.array([9, 9, 1, 2]), np.eye(10)[[9, 1, 1, 1]]
    expected = {"own.cost": 21 / 4, "own.nines_score": 0.5}
    found = own.measured(own.own_metrics(study, tmp_path), predictions, labels)
    assert found == {name: expected[name] for name in named}


TURNS = re.findall(r"^\| (?:`(optimizer: .*?)`|nothing) \| (.*) \|$", PAGE, re.M)


@pytest.mark.parametrize(
    ("before", "turn"), [(before, turn) for before, turns in TURNS for turn in re.findall(r"-S ([^`]*)`", turns)]
)
def test_a_turn_of_the_page_is_one_that_dvc_makes(before: str, turn: str, tmp_path: Path) -> None:
    from dvc.utils.hydra import apply_overrides

    train = {**SMALL["train"], **YAML(typ="safe", pure=True).load(before or "{}")}
    with (tmp_path / "params.yaml").open("w", encoding="utf-8") as file:
        YAML(typ="safe", pure=True).dump({**SMALL, "train": train}, file)
    plain = load_study(tmp_path).recipes["plain"]
    apply_overrides(tmp_path / "params.yaml", [turn.strip("'")])
    assert load_study(tmp_path).recipes["plain"] != plain


def test_the_table_of_schedules_names_the_keys_of_each_kind() -> None:
    rows = {kind: set(re.findall(r"`(\w+)`", keys)) for kind, keys in re.findall(r"^\| `(\w+)` \|.*\| ([^|]*) \|$", PAGE, re.M)}
    rows["constant"] = set()
    assert rows == {kind: set(keys) for kind, keys in KEYS_OF.items()}
