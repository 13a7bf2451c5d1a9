"""Experiments stand beside each other, within the width of a terminal."""

from __future__ import annotations

import json
import re
import shlex
import sys
from pathlib import Path

import pytest

from helpers.checkout import ROOT, Checkout
from stages.tools.compare import WIDTH, facts_of, table_of

STUDY = Path("studies/one")
PIPELINE = """
stages:
  train:
    wdir: WDIR
    cmd: mkdir -p STUDYdata && cp STUDYparams.yaml STUDYdata/runs
    params: [{STUDYparams.yaml: [train]}]
    outs: [STUDYdata/runs]
    metrics: [{STUDYmetrics/metrics.json: {cache: false, persist: true}}]
"""


def write(folder: Path, rate: float, accuracy: float) -> None:
    (folder / "metrics").mkdir(parents=True, exist_ok=True)
    (folder / "params.yaml").write_text(f"title: A study\ntrain:\n  rate: {rate}\n  layers: [3, 4]\n")
    claims = {"it_helps": {"effect": accuracy, "verdict": "supported" if accuracy > 0.5 else "refuted"}}
    metrics = {"variants": {"plain": {"test_accuracy": accuracy}, "same": {"test_accuracy": 0.5}}, "claims": claims}
    (folder / "metrics" / "metrics.json").write_text(json.dumps(metrics))


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout with two studies that were run. The second one has two experiments."""
    folder = tmp_path_factory.mktemp("compare")
    checkout = Checkout(folder / "project", folder / "cache")
    checkout.environment["PYTHONPATH"] = str(ROOT)
    for study in (Path(), STUDY):
        write(checkout.folder / study, 0.1, 0.4)
        prefix, wdir = ("", ".") if study == Path() else ("studies/one/", "../..")
        (checkout.folder / study / "dvc.yaml").write_text(PIPELINE.replace("STUDY", prefix).replace("WDIR", wdir))
    (checkout.folder / ".gitignore").write_text("data\n")
    checkout.run("git", "init", "-q", "-b", "main")
    checkout.run("dvc", "init", "-q")
    checkout.run("dvc", "repro", "-q", "--all-pipelines")
    checkout.run("git", "add", "-A")
    checkout.run("git", "commit", "-q", "-m", "base")
    for name, rate, accuracy in (("quick", 0.3, 0.6), ("slow", 0.01, 0.3)):
        write(checkout.folder / STUDY, rate, accuracy)
        checkout.run("dvc", "repro", "-q", f"{STUDY}/dvc.yaml")
        checkout.run("dvc", "exp", "save", "-q", "--name", name)
    checkout.run("git", "checkout", "-q", ".")
    return checkout


def test_a_study_s_experiments_are_columns_and_what_differs_are_rows(checkout: Checkout) -> None:
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


def test_an_experiment_becomes_a_branch_where_other_studies_have_no_data(checkout: Checkout) -> None:
    """The commands of docs/review.md, in the study's folder. `dvc exp apply` fails there."""
    page = (ROOT / "docs" / "review.md").read_text(encoding="utf-8")
    block = re.search(r"^```sh\n(dvc exp branch .*?)^```$", page, flags=re.MULTILINE | re.DOTALL)
    assert block
    commands = [shlex.split(line.partition("#")[0].replace("NAME", "quick")) for line in block[1].splitlines()]
    digest = re.search("md5: ([0-9a-f]{32})", (checkout.folder / "dvc.lock").read_text())
    assert digest
    (checkout.folder / "data" / "runs").unlink()
    (checkout.folder / ".dvc" / "cache" / "files" / "md5" / digest[1][:2] / digest[1][2:]).unlink()
    assert "Checkout failed" in checkout.run("dvc", "exp", "apply", "slow", fails=True)
    checkout.run("git", "checkout", "-q", ".")
    for command in commands:
        checkout.run("env", "--chdir", str(STUDY), *command)
    assert (checkout.folder / STUDY / "data" / "runs").read_text() == (checkout.folder / STUDY / "params.yaml").read_text()
    assert "rate: 0.3" in (checkout.folder / STUDY / "params.yaml").read_text()
    assert checkout.run("git", "branch", "--show-current") == "wider\n"


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
