"""Experiments stand beside each other, within the width of a terminal."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from helpers.checkout import ROOT, Checkout
from stages.tools.compare import WIDTH, facts_of, table_of

STUDY = Path("studies/one")
PIPELINE = """
stages:
  evaluate:
    wdir: {wdir}
    cmd: "true"
    params: [{{{study}params.yaml: [train]}}]
    metrics: [{{{study}metrics/metrics.json: {{cache: false}}}}]
"""


def write(folder: Path, rate: float, accuracy: float) -> None:
    (folder / "metrics").mkdir(parents=True, exist_ok=True)
    (folder / "params.yaml").write_text(f"title: A study\ntrain:\n  rate: {rate}\n  layers: [3, 4]\n")
    claims = {"it_helps": {"effect": accuracy, "verdict": "supported" if accuracy > 0.5 else "refuted"}}
    metrics = {"variants": {"plain": {"test_accuracy": accuracy}, "same": {"test_accuracy": 0.5}}, "claims": claims}
    (folder / "metrics" / "metrics.json").write_text(json.dumps(metrics))


def test_a_study_s_experiments_are_columns_and_what_differs_are_rows(tmp_path: Path) -> None:
    checkout = Checkout(tmp_path / "project", tmp_path / "cache")
    checkout.environment["PYTHONPATH"] = str(ROOT)
    for study in (Path(), STUDY):
        write(checkout.folder / study, 0.1, 0.4)
        prefix, wdir = ("", ".") if study == Path() else ("studies/one/", "../..")
        (checkout.folder / study / "dvc.yaml").write_text(PIPELINE.format(study=prefix, wdir=wdir))
    checkout.run("git", "init", "-q", "-b", "main")
    checkout.run("dvc", "init", "-q")
    checkout.run("git", "add", "-A")
    checkout.run("git", "commit", "-q", "-m", "base")
    for name, rate, accuracy in (("quick", 0.3, 0.6), ("slow", 0.01, 0.3)):
        write(checkout.folder / STUDY, rate, accuracy)
        checkout.run("dvc", "exp", "save", "-q", "--name", name)
    checkout.run("git", "checkout", "-q", ".")
    command = [sys.executable, "-m", "stages.tools", "compare"]
    lines = checkout.run(*command, str(STUDY)).splitlines()
    names = lines[0].split()
    assert names[0] == "main"
    assert set(names[1:]) == {"quick", "slow"}
    rows = {row[0]: dict(zip(names, row[1:], strict=True)) for row in map(str.split, lines[1:])}
    assert rows == {
        "train.rate": {"main": "0.1", "quick": "0.3", "slow": "0.01"},
        "variants.plain.test_accuracy": {"main": "0.4", "quick": "0.6", "slow": "0.3"},
        "claims.it_helps.verdict": {"main": "refuted", "quick": "supported", "slow": "refuted"},
    }
    assert checkout.run(*command) == "No experiment changed this study.\n"


def test_many_experiments_stay_within_the_width() -> None:
    key = f"variants.{'v' * 40}.test_accuracy"
    table = table_of({f"experiment-{number}": {key: number / 7} for number in range(20)})
    assert max(map(len, table.splitlines())) <= WIDTH
    assert table.count(key) > 1
    assert all(f"experiment-{number}" in table for number in range(20))


def test_intervals_effects_and_winners_have_no_row() -> None:
    score = {"mean": 0.9, "low": 0.8, "high": 1.0}
    search = {"strategies": {"tpe": {"val_accuracy": score}}, "winner": {"seed": 3}, "claims": {"it_wins": {"effect": 1}}}
    content = {"params": {}, "metrics": {"studies/one/metrics/search.json": {"data": search}}}
    assert facts_of(content, STUDY) == {"strategies.tpe.val_accuracy.mean": 0.9}
    assert facts_of(content, Path()) == {}


@pytest.mark.parametrize("content", [{"data": None}, {"error": "unreadable"}])
def test_a_file_that_cannot_be_read_counts_as_empty(content: dict[str, object]) -> None:
    assert facts_of({"params": {"params.yaml": content}, "metrics": {}}, Path()) == {}
