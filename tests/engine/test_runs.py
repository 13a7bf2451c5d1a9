"""Runs of many replicates: what the cache has, what is trained, and what happens when nothing can be kept."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from helpers.study import prepared_for, study_with
from stages.lib.engine import dispatch, runs
from stages.lib.engine.cache import ReplicateCache
from stages.lib.engine.cluster import Workers
from stages.lib.engine.jobs import Job, jobs_of
from stages.lib.training.result import Result

WORKERS = cast(Workers, type("Nobody", (), {"most": 1}))


@pytest.fixture(autouse=True)
def trained(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The jobs that were given to the workers, whose results are made up."""
    given: list[str] = []

    def run(workers: object, jobs: Sequence[Job], *_: object) -> Iterator[tuple[Job, Result]]:
        for job in jobs:
            given.append(str(job))
            yield job, Result({"history.csv": str(job).encode()}, 1.0, 0.5)

    monkeypatch.setattr(dispatch, "run", run)
    return given


def train(cache: ReplicateCache, changes: dict[str, Any] | None = None) -> tuple[runs.Totals, dict[str, bytes]]:
    """Counts, and what was handed on for each job."""
    study = study_with(changes)
    prepared = prepared_for(study)
    results: dict[str, bytes] = {}

    def finish(job: Job, result: Result) -> None:
        results[str(job)] = result.files["history.csv"]

    return runs.train_missing(jobs_of(study, prepared), prepared, cache, 60.0, lambda *_: WORKERS, finish), results


def test_what_is_cached_is_handed_on_without_workers(tmp_path: Path, trained: list[str]) -> None:
    cache = ReplicateCache(tmp_path / "cache", 10**9)
    first, results = train(cache)
    assert (first.trained, first.cached, len(results)) == (9, 0, 9)
    second, again = train(cache)
    assert (second.trained, second.cached) == (0, 9)
    assert again == results
    assert len(trained) == 9


def test_jobs_with_one_key_are_trained_once(tmp_path: Path, trained: list[str]) -> None:
    again = {"variants": {"again": {"tip": "The same.", "extends": "plain"}}}
    totals, results = train(ReplicateCache(tmp_path / "cache", 10**9), again)
    assert (totals.trained, totals.cached, len(trained), len(results)) == (9, 0, 9, 12)
    assert results["again, seed 1"] == b"plain, seed 1"


def test_a_run_whose_cache_cannot_be_written_says_so_first_and_hands_everything_on(
    capsys: pytest.CaptureFixture[str], trained: list[str]
) -> None:
    cache = ReplicateCache(Path("/dev/null/cache"), 10**9)
    for _ in range(2):
        totals, results = train(cache)
        assert (totals.trained, totals.cached, len(results)) == (9, 0, 9)
    lines = capsys.readouterr().err.splitlines()
    said = "train: the replicate cache /dev/null/cache cannot be written (Not a directory), so nothing more is kept in it"
    assert lines.count(said) == 1
    assert said in lines[:2]
    assert len(trained) == 18


@pytest.mark.parametrize("year", [1970, 2040])
def test_files_of_a_clock_that_was_wrong_are_used_and_do_not_drive_out_new_ones(
    tmp_path: Path, trained: list[str], year: int
) -> None:
    cache = ReplicateCache(tmp_path / "cache", 10**9)
    _, results = train(cache)
    moment = datetime(year, 1, 2, tzinfo=UTC).timestamp()
    files = [path for path in cache.folder.rglob("*") if path.is_file()]
    for path in cache.folder.rglob("*"):
        os.utime(path, (moment, moment))
    again, same = train(cache)
    assert (again.trained, again.cached) == (0, 9)
    assert same == results
    for path in cache.folder.rglob("*"):
        os.utime(path, (moment, moment))
    cache.limit = sum(path.stat().st_size for path in files) + 100  # of nine entries
    changed = {"variants": {"dropped": {"model": {"dropout": 0.25}}}}
    assert train(cache, changed)[0].trained == 3
    assert train(cache, changed)[0].trained == 0
