"""Replicates trained again agree with the committed metrics, to the last digit or within the stated tolerance."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from helpers.checkout import stage
from helpers.study import prepared_for, study_with, write_params
from stages.lib.cli import UserError
from stages.lib.engine import runs
from stages.lib.engine.jobs import Job, jobs_of
from stages.lib.training.result import Result
from stages.tools.verify import draw, main, verify

ENVIRONMENT = Path("metrics/environment.json")


@pytest.fixture
def run(trained: Path) -> Path:
    """The folder of a small study that was trained and evaluated, with the environment that train noted."""
    folder = trained / "study"
    noted = json.loads((folder / "data" / "timings.json").read_text())["environment"]
    (folder / ENVIRONMENT).write_text(json.dumps(noted))
    return folder


def test_what_agrees_is_the_same_and_what_was_changed_by_hand_is_found(run: Path, tmp_path: Path) -> None:
    path = run / "metrics" / "replicates.csv"
    table = pd.read_csv(path)
    table.loc[(table["variant"] == "noisy") & (table["seed"] == 1), "test_loss"] += 1e-5
    table.to_csv(path, index=False)
    done = stage("tools.verify", run, "--replicates", "99", "--seed", "7", cache=tmp_path / "cache")
    assert done.returncode == 1, done.stderr
    assert "9 replicates, drawn with --seed 7: " in done.stdout
    assert done.stdout.count("the same, to the last digit") == 8
    assert "noisy, seed 1: test_loss is " in done.stdout
    assert "verify: 1 numbers are not as committed" in done.stderr
    assert not list((tmp_path / "cache").rglob("manifest.json")), "the replicate cache is not used"


@pytest.fixture
def as_before(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Training gives what it gave."""

    def train(jobs: Sequence[Job], *arguments: Any) -> None:
        for job in jobs:
            folder = run / "data" / "runs" / job.variant / str(job.seed)
            files = {path.name: path.read_bytes() for path in folder.iterdir()}
            arguments[4](job, Result(files, 1.0, 1.0))

    monkeypatch.setattr(runs, "train_missing", train)
    monkeypatch.delenv("XLA_FLAGS")  # which this process has, and a stage has not


@pytest.mark.usefixtures("as_before")
def test_the_replicates_of_a_claim_are_trained_again(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify(run, 1, 0, claim="noise_hurts") == []
    told = capsys.readouterr().out
    assert "6 replicates, which noise_hurts is judged by: " in told
    assert told.count("the same, to the last digit") == 6
    assert "dropped" not in told


@pytest.mark.usefixtures("as_before")
def test_where_looks_are_planned_those_that_were_needed_are_trained_again(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_params(run, {"statistics": {"looks": [3, 5]}})
    path = run / "metrics" / "replicates.csv"
    pd.read_csv(path).assign(collapsed=0).to_csv(path, index=False)
    verify(run, 99, 0)
    told = capsys.readouterr().out
    assert "9 replicates, drawn with --seed 0: " in told
    assert "seed 3" not in told


@pytest.mark.usefixtures("as_before")
def test_other_variables_are_named_and_allow_for_a_tolerance(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "SSE41")
    assert verify(run, 2, 0) == []
    told = capsys.readouterr().out
    assert "not comparable bit for bit: variables: none then, ONEDNN_MAX_CPU_ISA=SSE41 here" in told
    assert told.count("within the tolerance") == 2


SEARCH: dict[str, Any] = {
    "variant": "plain",
    "space": {
        "rate": {"key": "train.learning_rate", "log_uniform": [0.001, 0.1]},
        "activation": {"key": "model.activation", "choices": ["relu", "tanh"]},
    },
    "strategies": {"blind": {"method": "random"}},
    "trials": 2,
    "batch": 2,
    "seeds": 1,
    "folds": 2,
    "refits": 1,
    "metric": "val_loss",
}


@pytest.mark.slow
def test_trials_of_a_search_are_trained_again(run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    shutil.copytree(run, folder)
    write_params(folder, {"search": SEARCH})
    done = stage("search", folder, cache=tmp_path / "cache")
    assert done.returncode == 0, done.stderr
    path = folder / "metrics" / "search" / "trials.csv"
    table = pd.read_csv(path)
    table.loc[(table["strategy"] == "blind") & (table["trial"] == 1), "fold_1"] += 1e-5
    table.to_csv(path, index=False)
    done = stage("tools.verify", folder, "--replicates", "1", "--trials", "9", "--seed", "7", cache=tmp_path / "other")
    assert done.returncode == 1, done.stderr
    assert "3 trials, drawn with --seed 7: " in done.stdout
    for name in ("default 0, trial 0, fold 1", "blind 0, trial 0, fold 0"):
        assert f"{name}: the same, to the last digit" in done.stdout
    assert done.stdout.count("the same, to the last digit") == 6  # of six folds and the replicate, all but one
    assert "blind 0, trial 1, fold 1: val_loss is " in done.stdout
    assert "verify: 1 numbers are not as committed" in done.stderr
    assert not list((tmp_path / "other").rglob("manifest.json")), "the replicate cache is not used"


def test_an_unknown_claim_is_refused(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["verify", str(run), "--claim", "noise_hurt"])
    with pytest.raises(SystemExit, match=r"^verify: --claim: unknown claim 'noise_hurt' \(did you mean 'noise_hurts'\?"):
        main()


@pytest.mark.slow
def test_another_processor_may_differ_within_the_tolerance(run: Path, tmp_path: Path) -> None:
    done = stage("tools.verify", run, "--replicates", "2", cache=tmp_path / "cache", ONEDNN_MAX_CPU_ISA="SSE41")
    assert done.returncode == 0, done.stdout
    assert "not comparable bit for bit: variables: none then, ONEDNN_MAX_CPU_ISA=SSE41 here" in done.stdout
    assert done.stdout.count("within the tolerance") == 2


def test_a_study_that_was_not_run_is_said_to_be_none(run: Path) -> None:
    shutil.rmtree(run / "metrics")
    with pytest.raises(UserError, match="was not run, so there is nothing to verify"):
        verify(run, 1, 0)


def test_the_draw_follows_its_seed() -> None:
    study = study_with()
    jobs = jobs_of(study, prepared_for(study))
    assert draw(jobs, 3, 0) == draw(jobs, 3, 0)
    assert len({str(draw(jobs, 3, seed)) for seed in range(9)}) > 1
    assert len(set(map(str, draw(jobs, 3, 0)))) == 3
    assert sorted(map(str, draw(jobs, 99, 0))) == sorted(map(str, jobs))
