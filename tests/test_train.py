"""The train stage as DVC runs it: in a process of its own, with real workers, and killed at bad moments."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import psutil
import pytest
from filelock import FileLock, Timeout

from helpers.checkout import ROOT, environment_of, stage
from helpers.crew import Crew
from helpers.processes import (
    ENDLESS,
    LONGER,
    PATIENCE,
    bytes_of,
    children,
    entries,
    has_ended,
    listening,
    start,
    timings,
    until,
    workers_of,
)
from helpers.study import SMALL, prepared_for, study_with, write_study
from stages import train
from stages.lib.cli import UserError
from stages.lib.engine import cluster, dispatch, jobs, runs, trainer
from stages.lib.engine.cache import ReplicateCache
from stages.lib.engine.roster import Place
from stages.lib.engine.worker import Trained
from stages.lib.files import write_json
from stages.lib.study.settings import merged

Study = Callable[..., Path]


@pytest.mark.slow
def test_two_workers_one_of_which_is_killed_and_the_user_s_keras_change_no_byte(
    small_study: Study, tmp_path: Path, expected: dict[str, str]
) -> None:
    study, cache = small_study(LONGER), tmp_path / "cache"
    mine = {"floatx": "float64", "epsilon": 0.1, "image_data_format": "channels_first", "backend": "jax"}
    write_json(tmp_path / "home" / ".keras" / "keras.json", mine)
    process = start(study, cache, TIPS_WORKERS="2", HOME=str(tmp_path / "home"))
    until(lambda: len(entries(cache)) >= 2)
    workers_of(process)[0].send_signal(signal.SIGKILL)
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, errors
    assert bytes_of(study / "data" / "runs") == expected
    assert timings(study)["workers"] == 2
    assert "12 replicates trained, 0 from the cache" in errors
    assert "WARNING" not in errors


UNENDING: dict[str, Any] = {
    "train": LONGER["train"],
    "replicates": {"seeds": 1, "time_limit": PATIENCE},
    "claims": {"noise_hurts": {"seeds": 4}},
    "variants": {"dropped": {"train": ENDLESS["train"]}},
}
"""Of the longer study: one replicate of `dropped` trains until it is stopped, beside the eight of the other variants."""


@pytest.mark.slow
@pytest.mark.parametrize("finished", [0, 2, 8])
def test_a_killed_driver_leaves_no_worker_and_the_next_run_goes_on(
    small_study: Study, tmp_path: Path, expected: dict[str, str], finished: int
) -> None:
    study, cache = small_study(UNENDING), tmp_path / "cache"
    process = start(study, cache, TIPS_WORKERS="2")
    until(lambda: len(entries(cache)) >= finished and workers_of(process))
    orphans = children(process)
    process.kill()
    process.communicate()
    assert orphans
    until(lambda: all(map(has_ended, orphans)))
    assert not (study / "data" / "timings.json").exists()

    small_study(LONGER)
    done = stage("train", study, cache=cache, TIPS_WORKERS="2")
    assert done.returncode == 0, done.stderr
    assert timings(study)["cached"] >= finished
    assert bytes_of(study / "data" / "runs") == expected


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system does not let a process choose its core")
@pytest.mark.parametrize(
    "kept_to",
    [
        pytest.param(True, id="a trainer for every core"),
        pytest.param(False, id="fewer trainers", marks=pytest.mark.slow),
    ],
)
def test_trainers_keep_to_a_core_each_where_all_cores_train(small_study: Study, tmp_path: Path, kept_to: bool) -> None:
    cores = sorted(os.sched_getaffinity(0))[:2]
    if not kept_to and len(cores) == 1:
        pytest.skip("one core is all cores")
    process = start(small_study(LONGER), tmp_path / "cache", TIPS_WORKERS=str(len(cores)) if kept_to else "1")
    psutil.Process(process.pid).cpu_affinity(cores)  # before it counts them
    until(lambda: len(entries(tmp_path / "cache")) >= 2 * len(cores))
    assert listening(psutil.Process(process.pid)) == {"127.0.0.1"}
    trainers = [[os.sched_getaffinity(thread.id) for thread in each.threads()] for each in workers_of(process)]
    process.kill()
    process.communicate()
    assert all(len(threads) > 1 for threads in trainers)
    found = sorted(tuple(set().union(*threads)) for threads in trainers)
    assert found == ([(core,) for core in cores] if kept_to else [tuple(cores)])


STAGE = [sys.executable, "-m", "stages.train"]
BUSY_STAGE = """
import pathlib, sys, time
from stages.lib.engine import runs
with runs.alone(pathlib.Path(sys.argv[1], "lock")):
    time.sleep(100_000)
"""


@pytest.mark.parametrize("by_shell", [pytest.param(False, id="started directly"), pytest.param(True, id="by a shell")])
@pytest.mark.parametrize(
    ("command", "processes"),
    [
        pytest.param(STAGE, 2, id="the stage and its trainer"),
        pytest.param([sys.executable, "-c", BUSY_STAGE], 1, id="a stage that is long at something else"),
    ],
)
def test_a_stage_whose_dvc_was_killed_ends_at_once(
    small_study: Study, tmp_path: Path, command: list[str], processes: int, by_shell: bool
) -> None:
    """The next `dvc repro` fails if what this one leaves behind still writes into its outputs."""
    study, cache = small_study(ENDLESS), tmp_path / "cache"
    shell = ["/bin/sh", "-c", '"$@"; true', "sh"] if by_shell else []  # `true` keeps the shell, whichever one it is
    script = "import os, subprocess, sys; subprocess.run(sys.argv[1:], env={**os.environ, 'DVC_STAGE': 'train'})"
    parent = subprocess.Popen([sys.executable, "-c", script, *shell, *command, str(study)], cwd=ROOT, env=environment_of(cache))
    found = psutil.Process(parent.pid)
    until(lambda: list(study.rglob("*lock")) and len(found.children(recursive=True)) >= processes + by_shell)
    orphans = found.children(recursive=True)
    parent.kill()
    parent.wait()
    until(lambda: all(map(has_ended, orphans)))
    assert len(orphans) >= processes + by_shell


@pytest.mark.slow
def test_two_stages_of_one_study_take_turns(small_study: Study, tmp_path: Path) -> None:
    """The first one stands still until the second one waits."""
    study, cache = small_study({"limits": {"seeds": 1, "epochs": 1}}), tmp_path / "cache"
    first = start(study, cache)
    until(lambda: (study / "data" / ".train.lock").exists() and workers_of(first))
    first.send_signal(signal.SIGSTOP)
    second = start(study, cache)
    assert second.stderr
    assert any("another train stage of this study is running" in line for line in second.stderr)
    first.send_signal(signal.SIGCONT)
    _, first_errors = first.communicate(timeout=PATIENCE)
    _, second_errors = second.communicate(timeout=PATIENCE)
    assert (first.returncode, second.returncode) == (0, 0), first_errors + second_errors
    assert "3 replicates trained, 0 from the cache" in first_errors
    assert "0 replicates trained, 3 from the cache" in second_errors


def test_only_what_changed_is_trained_or_is_damaged_in_the_cache(trained: Path) -> None:
    study, cache = trained / "study", trained / "cache"
    first = bytes_of(study / "data" / "runs")
    assert timings(study)["trained"] == 9
    kept = (study / "data" / "runs" / "plain" / "0" / "predictions.npz").read_bytes()
    damaged = next(path for path in cache.rglob("predictions.npz") if path.read_bytes() == kept)
    damaged.write_bytes(b"")

    write_study(study, {"variants": {"dropped": {"model": {"dropout": 0.4}}}})
    done = stage("train", study, cache=cache)
    assert done.returncode == 0, done.stderr
    assert f"the cached replicate {damaged.parent} is damaged; it is removed and trained again" in done.stderr
    assert timings(study)["trained"] == 3 + 1
    changed = {name for name, digest in bytes_of(study / "data" / "runs").items() if first[name] != digest}
    assert changed
    assert all(name.startswith("dropped/") for name in changed)

    write_study(study)
    assert stage("train", study, cache=cache).returncode == 0
    assert timings(study)["trained"] == 0
    assert bytes_of(study / "data" / "runs") == first


@pytest.mark.parametrize(("keep", "kept"), [("first", [True, False]), ("all", [True, True]), ("none", [False, False])])
def test_the_weights_that_the_study_wants_are_kept(
    small_study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keep: str, kept: list[bool]
) -> None:
    """Without workers: the cache holds every replicate."""
    from stages.lib.training.result import Result

    study = small_study({"replicates": {"keep_models": keep, "seeds": 2}})
    settings, prepared = train.load_study(study), train.read_prepared(study / "data" / "prepared")
    cache = ReplicateCache(tmp_path / "cache", 10**9)
    for job in jobs.jobs_of(settings, prepared):
        cache.put(job.key, Result({"history.csv": b"x", "model.weights.h5": b"y"}, 1.0, 1.0), print)
    monkeypatch.setattr(cluster, "workers", None)
    train.train_study(settings, prepared, study / "data" / "runs", cache)
    weights = [(study / "data" / "runs" / "plain" / str(seed) / "model.weights.h5").exists() for seed in (0, 1)]
    assert weights == kept


def test_what_two_variants_ask_for_alike_is_trained_once(
    small_study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without training: workers answer with the place of each replicate among those that they were asked for."""
    study = small_study({"variants": {"again": {"tip": "The same.", "extends": "plain"}}, "limits": {"seeds": 1, "epochs": 1}})
    crew = Crew(*(Trained({"history.csv": b"%d" % number}, 1.0, 1.0) for number in range(3)))
    monkeypatch.setattr(cluster, "workers", lambda *_: nullcontext(crew))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "argv", ["train", str(study)])
    train.main()
    assert "3 replicates trained, 0 from the cache, 1 the same as others, in" in capsys.readouterr().err
    runs = study / "data" / "runs"
    assert bytes_of(runs / "again") == bytes_of(runs / "plain") != bytes_of(runs / "noisy")
    assert set(json.loads((study / "data" / "timings.json").read_text())["replicates"]) == {
        path.name for path in runs.iterdir()
    }


def test_what_is_edited_while_it_trains_is_not_taken_for_trained(
    small_study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = small_study()
    study = train.load_study(folder)
    with runs.unchanged(study, folder, train.SECTIONS):
        small_study({"statistics": {"confidence": 0.9}})  # of no concern to this stage
    edited = pytest.raises(UserError, match=r"params\.yaml: train, views: edited while this trained; `dvc repro` again")
    with edited, runs.unchanged(study, folder, train.SECTIONS):
        small_study({"train": {"epochs": 4}, "views": {"scaled": {"invert": True}}})
    small_study()
    edited = pytest.raises(UserError, match=r"^the training code: edited while this trained")
    with edited, runs.unchanged(study, folder, train.SECTIONS):
        monkeypatch.setattr(runs, "training_source", lambda: "another")


def test_convolutions_that_leave_nothing_are_refused_before_training(small_study: Study, tmp_path: Path) -> None:
    study = small_study({"variants": {"dropped": {"model": {"conv": [4, 4, 4, 4]}}}})
    kept = study / "data" / "runs" / "plain" / "0" / "history.csv"
    kept.parent.mkdir(parents=True)
    kept.write_text("what was trained before")
    done = stage("train", study, cache=tmp_path / "cache")
    assert done.returncode == 1
    assert kept.exists()
    assert done.stderr.strip() == (
        f"train: {study}/params.yaml: variants.dropped.model.conv: [4, 4, 4, 4] leave nothing of 8 x 8 pixels; "
        "fewer, or a smaller kernel_size or pool_size, do"
    )


FOLDED: dict[str, Any] = {
    "data": {"k_fold": {"folds": 2, "repeats": 2, "seed": 0}},
    "variants": {"folded": {"tip": "Folds.", "extends": "plain", "k_fold": True}},
}


def test_a_study_has_a_job_for_every_fold_and_seed_within_its_limits() -> None:
    def seeds(**limits: int) -> dict[str, list[int]]:
        study = study_with({**FOLDED, "limits": limits})
        found: dict[str, list[int]] = {}
        for job in jobs.jobs_of(study, prepared_for(study)):
            found.setdefault(job.variant, []).append(job.seed)
            assert job.recipe.train.epochs == min(limits.get("epochs", 3), 3)
        return found

    three = {"plain": [0, 1, 2], "noisy": [0, 1, 2], "dropped": [0, 1, 2], "folded": [0, 1, 2, 3]}
    assert seeds() == seeds(epochs=50, seeds=50) == three
    assert seeds(epochs=1, seeds=2) == {variant: [0, 1] for variant in three}
    keys: set[str] = set()
    for changes in ({}, {"limits": {"epochs": 1}}):
        study = study_with({**FOLDED, **changes})
        keys |= {job.key for job in jobs.jobs_of(study, prepared_for(study))}
    assert len(keys) == 2 * 13


def test_a_worker_gives_each_replicate_the_rows_that_are_its_own() -> None:
    """Whatever replicates it had before, of the same view; labels have the type that training wants."""
    study = study_with(
        merged(FOLDED, {"variants": {"held": {"tip": "-", "extends": "plain", "train": {"validation_rows": 7}}}})
    )
    prepared = prepared_for(study)
    data = trainer.StudyData(prepared)

    def seen(variant: str, seed: int) -> dict[str, tuple[int, bytes]]:
        splits = data.inputs(study.recipes[variant], "scaled", seed)
        assert all(x.dtype == np.float32 and y.dtype == np.int32 for x, y in splits.values())
        return {name: (len(x), x.tobytes()) for name, (x, _) in splits.items()}

    wanted = [("plain", 0), ("folded", 0), ("folded", 1), ("held", 0), ("plain", 1), ("folded", 0), ("held", 1)]
    found = [seen(*each) for each in wanted]
    assert [{name: rows for name, (rows, _) in each.items()} for each in found[:4]] == [
        {"train": 120, "validation": 40, "test": 40},
        {"train": 80, "validation": 80, "test": 40},
        {"train": 80, "validation": 80, "test": 40},
        {"train": 113, "validation": 7, "test": 40},
    ]
    assert found[0] == found[4]
    assert found[1] == found[5] != found[2]
    assert found[3] == found[6]
    assert len(data.kept) == 2


def test_what_training_writes_is_what_evaluating_reads(
    small_study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Held-out rows, folds, diagnostics and logs, through the cache, in one process; the split has no validation rows."""
    from stages import evaluate
    from stages.lib.training.replicate import train_replicate

    parts: dict[str, Any] = {name: {"part": "all", "rows": [0, 120]} for name in ("train", "test")}
    held = {"tip": "Held out.", "extends": "plain", "train": {"validation_rows": 10, "tensorboard": True}}
    monkeypatch.setitem(SMALL, "data", {"dataset": "blobs", "k_fold": FOLDED["data"]["k_fold"]})
    folder = small_study(
        {
            "data": {"split": {"method": "rows", "validation": "none", **parts}},
            "replicates": {"diagnostics": True, "seeds": 2},
            "train": {"epochs": 2},
            "variants": {**FOLDED["variants"], "held": held},
        }
    )
    (folder / "data" / "prepared" / "validation.npz").unlink()
    study, prepared = train.load_study(folder), train.read_prepared(folder / "data" / "prepared")
    data = trainer.StudyData(prepared)
    cache = ReplicateCache(tmp_path / "cache", 10**9)
    for job in jobs.jobs_of(study, prepared):
        inputs = data.inputs(job.recipe, job.view, job.seed)
        cache.put(job.key, train_replicate(job.recipe, job.seed, inputs, prepared.outputs, prepared.task), print)
    monkeypatch.setattr(cluster, "workers", None)
    timings: Any = train.train_study(study, prepared, folder / "data" / "runs", cache)
    write_json(folder / "data" / "timings.json", timings)
    assert timings["stage"]["trained"] == 0
    assert len(list((folder / "data" / "runs" / "held" / "1" / "logs" / "validation").iterdir())) == 1

    monkeypatch.setattr(sys, "argv", ["evaluate", str(folder)])
    evaluate.main()
    replicates = pd.read_csv(folder / "metrics" / "replicates.csv").set_index("variant")
    assert replicates["val_accuracy"].notna().groupby(level=0).all().to_dict() == {
        **dict.fromkeys(["plain", "noisy", "dropped"], False),
        **dict.fromkeys(["folded", "held"], True),
    }
    for row in replicates[replicates["val_accuracy"].notna()].reset_index().to_dict("records"):
        history = pd.read_csv(folder / "data" / "runs" / row["variant"] / str(row["seed"]) / "history.csv")
        assert row["val_accuracy"] == pytest.approx(history["val_accuracy"].iloc[-1], abs=1e-5)
    measured = pd.read_csv(folder / "metrics" / "diagnostics.csv")
    for variant in study.variants:
        assert measured.loc[measured["variant"] == variant, "epoch"].tolist() == [0, 0, 1, 1, 2, 2]


def test_an_error_in_a_trainer_is_one_line_that_names_the_replicate() -> None:
    study = study_with()
    broken = study_with({"model": {"conv": [4], "kernel_size": 99}}).recipes["plain"]
    job = jobs.Job("plain", 0, broken, "scaled", "key", 1.0)
    with (
        cluster.workers(1, "tensorflow", lambda _: None) as crew,
        pytest.raises(UserError, match=r"^plain, seed 0: ValueError: ") as caught,
    ):
        list(dispatch.run(crew, [job], prepared_for(study), 60.0, lambda _: None))
    assert "\n" not in str(caught.value)


def test_a_backend_that_disagrees_is_refused(small_study: Study, tmp_path: Path) -> None:
    done = stage("train", small_study(), cache=tmp_path, KERAS_BACKEND="jax")
    assert done.returncode == 1
    assert "KERAS_BACKEND is jax, but replicates.backend is tensorflow" in done.stderr


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_other_backends_train_where_they_are_installed(small_study: Study, tmp_path: Path, backend: str) -> None:
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    study = small_study({"replicates": {"backend": backend}, "train": {"epochs": 10}})
    runs = study / "data" / "runs"
    done = stage("train", study, cache=tmp_path / "one", TIPS_WORKERS="1")
    assert done.returncode == 0, done.stderr
    first = bytes_of(runs)
    assert stage("train", study, cache=tmp_path / "two", TIPS_WORKERS="2").returncode == 0
    assert bytes_of(runs) == first
    assert float(json.loads((runs / "plain/0/scores.json").read_text())["test"]["accuracy"]) > 0.9


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system does not let a process choose its core")
def test_a_core_s_two_threads_are_not_taken_for_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    cores = sorted(os.sched_getaffinity(0))
    monkeypatch.setattr(psutil, "cpu_count", lambda **_: 16)
    assert cluster.own_cores(len(cores)) == cores
    assert cluster.own_cores(len(cores) - 1) == cluster.own_cores(len(cores) + 1) == []
    monkeypatch.setattr(psutil, "cpu_count", lambda logical=True: 16 if logical else 8)
    assert cluster.own_cores(len(cores)) == []


def test_a_trainer_leaves_its_core_when_nothing_waits() -> None:
    nothing = cast(Any, None)
    workers = cluster.Workers(nothing, nothing, nothing, 2, [3, 7])
    place = Place("here", 1)
    assert (workers.cores_of(place, more=True), workers.cores_of(place, more=False)) == ([7], [3, 7])
    assert cluster.Workers(nothing, nothing, nothing, 2).cores_of(place, more=True) == []


def test_workers_are_limited_by_the_jobs_and_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIPS_WORKERS", "3")
    assert [cluster.worker_count(jobs) for jobs in (0, 1, 5)] == [0, 1, 3]
    monkeypatch.setenv("TIPS_WORKERS", "many")
    with pytest.raises(UserError, match="TIPS_WORKERS: 'many'"):
        cluster.worker_count(5)


def test_the_lock_is_free_after_the_stage(tmp_path: Path) -> None:
    lock = FileLock(tmp_path / "lock")
    with runs.alone(tmp_path / "lock"), pytest.raises(Timeout):
        lock.acquire(timeout=0)
    lock.acquire(timeout=0)
