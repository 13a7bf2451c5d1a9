"""A search's winner becomes a variant, and no other byte of params.yaml changes."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from helpers.checkout import ROOT
from helpers.search import SEARCH, searching
from stages.lib.study import space
from stages.lib.study.load import load_study
from stages.tools import adopt


@pytest.mark.parametrize("path", [ROOT, ROOT / "studies" / "housing"], ids=["starter", "housing"])
def test_adopting_adds_a_variant_and_changes_no_other_byte(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (path / "params.yaml").read_text(encoding="utf-8")
    study = load_study(path)
    assert study.search is not None
    values = {"layers": 3, "units": 32, "learning_rate": 0.001605}
    values = {name: value for name, value in values.items() if name in study.search.space}
    winner = {"strategy": "tpe", "seed": 2, "trial": 7, study.search.metric: 0.25, "settings": values}
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics" / "search.json").write_text(json.dumps({"winner": winner}))
    (tmp_path / "params.yaml").write_text(before, encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["adopt", str(tmp_path), "found"])
    adopt.main()
    after = (tmp_path / "params.yaml").read_text(encoding="utf-8")
    start = next(i for i, (old, new) in enumerate(zip(before, after, strict=False)) if old != new)
    added = len(after) - len(before)
    assert before == after[:start] + after[start + added :]
    adopted = load_study(tmp_path)
    assert list(adopted.variants)[:-1] == list(study.variants)
    assert adopted.recipes["found"] == space.recipe_of(study, study.search, values)
    assert adopted.variants["found"].ours
    assert adopted.variants["found"].tip == f"Found by the search: trial 7 of tpe with seed 2, {study.search.metric} 0.25."
    with pytest.raises(SystemExit, match="has a variant found already"):
        adopt.main()


def test_a_variant_is_adopted_where_the_file_ends_with_the_variants() -> None:
    study, settings = searching()
    text = "search: {}\nvariants:\n  plain:\n    tip: A start."
    winner = {"strategy": "tpe", "seed": 0, "trial": 0, "val_accuracy": 0.5, "settings": {"layers": 2, "rate": 0.02}}
    found = YAML(typ="safe", pure=True).load(adopt.with_variant(text, "found", adopt.variant_of(study, settings, winner)))
    assert found["variants"]["plain"] == {"tip": "A start."}
    assert found["variants"]["found"]["train"] == {"learning_rate": 0.02}


@pytest.mark.parametrize(
    ("name", "winner", "message"),
    [
        ("Found", {"settings": {}}, "'Found' is no name"),
        ("found", {"settings": {"width": 3}}, r"another search\.space than the search that was run"),
        ("found", None, r"search\.json is missing; run `dvc repro`"),
    ],
)
def test_what_cannot_be_adopted_is_refused(
    name: str, winner: Any, message: str, small_study: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = small_study({"search": SEARCH})
    before = (folder / "params.yaml").read_bytes()
    if winner:
        (folder / "metrics").mkdir()
        (folder / "metrics" / "search.json").write_text(json.dumps({"winner": winner}))
    monkeypatch.setattr(sys, "argv", ["adopt", str(folder), name])
    with pytest.raises(SystemExit, match=message):
        adopt.main()
    assert (folder / "params.yaml").read_bytes() == before
