"""Planned looks: what undecided claims still need is trained and nothing else, the cheapest look first."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

from helpers.processes import bytes_of
from helpers.study import prepared_for, study_with, write_study
from stages import evaluate, train
from stages.lib.cli import UserError
from stages.lib.engine import cluster, dispatch, runs
from stages.lib.engine.cache import ReplicateCache
from stages.lib.engine.cluster import Workers
from stages.lib.engine.jobs import Job
from stages.lib.files import arrays_to_bytes, write_json
from stages.lib.study.settings import merged
from stages.lib.training.result import Result
from stages.tools import pipelines, plan

LOOKS: dict[str, Any] = {
    "statistics": {"looks": [5, 8, 12]},
    "claims": {
        "noise_hurts": {"margin": 0.0},
        "dropout_hurts": {"says": "-", "compare": ["plain", "dropped"], "metric": "test_accuracy", "expect": "lower"},
        "noisy_is_good": {"says": "-", "variant": "noisy", "metric": "test_accuracy", "expect": "at_least", "threshold": 0.75},
    },
}
"""Dropout's claim is decided at the first look, and the others never."""
WORKERS = cast(Workers, type("Nobody", (), {"most": 1}))


@cache
def labels_of_test_rows() -> np.ndarray:
    return prepared_for(study_with(LOOKS)).splits["test"][1]


def result_of(job: Job) -> Result:
    """Of 40 test rows, plain and noisy have 28 to 32 right, dropped 16 or 17."""
    labels = labels_of_test_rows()
    right = 16 + job.seed % 2 if job.variant == "dropped" else 28 + (3 * job.seed + len(job.variant)) % 5
    answers = np.where(np.arange(40) < right, labels, (labels + 1) % 4)
    history = pd.DataFrame({"epoch": [1], "loss": [0.5], "accuracy": [0.5], "val_loss": [0.5], "val_accuracy": [0.5]})
    scores = {split: {"loss": "0.5", "accuracy": "0.5"} for split in ("train", "validation", "test")}
    predictions = {"test": np.eye(4, dtype=np.float32)[answers], "validation": np.eye(4, dtype=np.float32)[labels]}
    text = io.StringIO()
    history.to_csv(text, index=False)
    files = {
        "history.csv": text.getvalue().encode(),
        "scores.json": json.dumps(scores).encode(),
        "predictions.npz": arrays_to_bytes(predictions),
    }
    return Result(files, 2.0, 1.0)


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The jobs that were trained, in their order."""
    given: list[str] = []

    def run(workers: object, jobs: Sequence[Job], *_: object) -> Iterator[tuple[Job, Result]]:
        for job in jobs:
            given.append(str(job))
            yield job, result_of(job)

    @contextmanager
    def nobody(*_: object) -> Iterator[object]:
        yield lambda *_: WORKERS

    monkeypatch.setattr(dispatch, "run", run)
    monkeypatch.setattr(runs, "workers_on_demand", nobody)
    monkeypatch.setattr(cluster, "training_environment", lambda *_: {"keras": "1"})
    return given


def train_it(folder: Path, changes: dict[str, Any] = LOOKS) -> dict[str, Any]:
    study = study_with(changes)
    timings = train.train_study(study, prepared_for(study), folder / "runs", ReplicateCache(folder / "cache", 10**9))
    return cast(dict[str, Any], timings["replicates"])


def test_only_what_undecided_claims_need_is_trained(tmp_path: Path, trained: list[str]) -> None:
    counts = {variant: len(seeds) for variant, seeds in train_it(tmp_path).items()}
    assert counts == {"plain": 12, "noisy": 12, "dropped": 5}
    assert len(trained) == len(set(trained)) == 29
    assert {path.name for path in (tmp_path / "runs" / "dropped").iterdir()} == set("01234")


def test_the_cheapest_look_comes_first(tmp_path: Path, trained: list[str]) -> None:
    train_it(tmp_path)
    first, later = trained[:15], trained[15:]
    assert {job.rpartition(" ")[2] for job in first} == set("01234")
    assert later[:3] == [f"noisy, seed {seed}" for seed in (5, 6, 7)]  # one variant, and not two
    assert later[3:6] == [f"plain, seed {seed}" for seed in (5, 6, 7)]  # three replicates, and not four
    assert [job for job in later[6:] if job.startswith("noisy")] == [f"noisy, seed {seed}" for seed in (8, 9, 10, 11)]


def test_looks_that_are_due_fill_the_workers(tmp_path: Path, trained: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The same is trained, in fewer rounds."""
    rounds: list[int] = []
    whole = runs.train_missing

    def counted(jobs: Sequence[Job], *given: Any) -> runs.Totals:
        rounds.append(len(jobs))
        return whole(jobs, *given)._replace(workers=5)

    monkeypatch.setattr(runs, "train_missing", counted)
    train_it(tmp_path)
    assert rounds == [15, 6, 8]
    assert len(trained) == 29


@pytest.mark.parametrize("after", [3, 15, 17, 22])
def test_an_interrupted_run_goes_on_to_the_same_bytes(
    after: int, tmp_path: Path, trained: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    train_it(tmp_path / "whole")
    trained.clear()
    whole = dispatch.run

    def broken(*given: Any) -> Iterator[tuple[Job, Result]]:
        for ended in whole(*given):
            if len(trained) > after:
                raise UserError("interrupted")
            yield ended

    monkeypatch.setattr(dispatch, "run", broken)
    with pytest.raises(UserError, match="interrupted"):
        train_it(tmp_path / "broken")
    monkeypatch.setattr(dispatch, "run", whole)
    trained.clear()
    train_it(tmp_path / "broken")
    assert len(trained) == 29 - after
    assert bytes_of(tmp_path / "broken" / "runs") == bytes_of(tmp_path / "whole" / "runs")


def test_without_looks_everything_is_trained_at_once(tmp_path: Path, trained: list[str]) -> None:
    assert {len(seeds) for seeds in train_it(tmp_path, {}).values()} == {3}


def test_a_limit_of_replicates_cuts_looks(tmp_path: Path, trained: list[str]) -> None:
    counts = train_it(tmp_path, merged(LOOKS, {"limits": {"seeds": 6}}))
    assert {variant: len(seeds) for variant, seeds in counts.items()} == {"plain": 6, "noisy": 6, "dropped": 5}


def test_rows_of_claims_say_after_how_many_replicates_they_were_decided(tmp_path: Path, trained: list[str]) -> None:
    folder = write_study(tmp_path / "study", LOOKS)
    study = study_with(LOOKS)
    timings = train.train_study(study, prepared_for(study), folder / "data" / "runs", ReplicateCache(tmp_path / "cache", 10**9))
    write_json(folder / "data" / "timings.json", timings)
    evaluate.evaluate(study, prepared_for(study), folder)
    rows = pd.read_csv(folder / "metrics" / "claims.csv", dtype=str, keep_default_na=False).set_index("claim")
    assert rows["decided_after"].to_dict() == {"noise_hurts": "", "dropout_hurts": "5", "noisy_is_good": ""}
    assert rows["replicates"].to_dict() == {"noise_hurts": "12", "dropout_hurts": "5", "noisy_is_good": "12"}
    assert rows["verdict"].to_dict()["dropout_hurts"] == "supported"
    assert rows["on_other_rows"].to_dict()["dropout_hurts"] in ("supported", "inconclusive")
    replicates = pd.read_csv(folder / "metrics" / "replicates.csv")
    assert replicates.groupby("variant").size().to_dict() == {"plain": 12, "noisy": 12, "dropped": 5}
    assert set(replicates["collapsed"]) <= {0.0, 1.0}


def test_a_plan_says_what_the_next_look_would_cost(
    tmp_path: Path, trained: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, study = write_study(tmp_path / "study", LOOKS), study_with(LOOKS)
    cache = ReplicateCache(tmp_path / "cache", 10**9)
    monkeypatch.setattr(plan, "current_data", lambda *_: prepared_for(study))
    monkeypatch.setattr(ReplicateCache, "of_user", lambda: cache)
    monkeypatch.setattr(cluster, "worker_count", lambda *_: 2)
    plan.show_plan(study, folder)
    before = capsys.readouterr().out.splitlines()
    assert "claims are judged after that; what is still undecided then needs more replicates" in before
    assert any(line.startswith("15 of 15 replicates to train") for line in before)
    for job in train.jobs_of(study, prepared_for(study)):
        if job.seed < 5:
            cache.put(job.key, result_of(job), print)
    plan.show_plan(study, folder)
    after = capsys.readouterr().out.splitlines()
    start = "undecided; its look after 8 replicates needs"
    assert f"claims.noisy_is_good: {start} 3 more replicates, about 3.0 s of training by 2 at once" in after
    assert f"claims.noise_hurts: {start} 6 more replicates, about 6.0 s of training by 2 at once" in after
    assert not any("dropout_hurts" in line for line in after)


def test_the_train_stage_depends_on_what_judges(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Picked:
        task = "classification"

    monkeypatch.setattr(pipelines, "pick", lambda *_: Picked)
    for changes in (LOOKS, {}):
        write_study(tmp_path / "study", changes)
        text = pipelines.pipeline(tmp_path / "study")
        stage = text[text.index("  train:\n") : text.index("  evaluate:\n")]
        assert "stages/lib/judging" in stage
        assert "- statistics" in stage
