"""Runs of many replicates: what is missing in the cache is trained, and every result is handed on."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock, Timeout

from stages.lib.cli import UserError
from stages.lib.data.prepared import Prepared
from stages.lib.engine import cluster, dispatch
from stages.lib.engine.cache import ReplicateCache
from stages.lib.engine.key import replicate_key
from stages.lib.engine.progress import ReplicateProgress
from stages.lib.engine.source import training_source
from stages.lib.files import write_bytes
from stages.lib.study.load import load_study
from stages.lib.study.settings import Study
from stages.lib.study.strict_yaml import at
from stages.lib.training.result import Result

WEIGHTS = ".weights.h5"


def jobs_of(study: Study, prepared: Prepared) -> list[dispatch.Job]:
    """Every replicate of the study, in the order of params.yaml. Raises UserError for a network that the data do not allow."""
    fingerprint, surroundings = prepared.fingerprint(), cluster.surroundings(study.replicates.backend)
    rows, *input_shape = prepared.splits["train"][0].shape
    jobs = []
    for variant, recipe in study.recipes.items():
        view = study.view_of(variant)
        train = recipe.train
        with at("variants", variant, "model"):
            price = dispatch.cost(recipe.model, train.epochs, train.batch_size, rows, input_shape, prepared.outputs)
        for seed in study.seeds(variant):
            key = replicate_key(recipe, prepared.views[view], seed, fingerprint, surroundings)
            jobs.append(dispatch.Job(variant, seed, recipe, view, key, price))
    return jobs


def write_replicate(folder: Path, result: Result, keep_model: bool) -> None:
    for name, content in result.files.items():
        if keep_model or not name.endswith(WEIGHTS):
            write_bytes(folder / name, content)


class Trained(NamedTuple):
    """How many replicates were trained, how many the cache had, how many workers trained, and the seconds of all replicates."""

    replicates: int
    cached: int
    workers: int
    seconds: float


Start = Callable[[int, Callable[[str], None]], cluster.Workers]
"""Gives the workers for a number of replicates, which say through the second argument what there is to know of them."""


@contextmanager
def workers_on_demand(backend: str, at_least: int = 0) -> Iterator[Start]:
    """A function that starts the workers when it is first called, and then hands the same ones on until the end.

    at_least: replicates to start workers for. The first call may ask for few, and later ones for many.
    """
    started: list[cluster.Workers] = []
    with ExitStack() as stack:

        def start(jobs: int, say: Callable[[str], None]) -> cluster.Workers:
            if not started:
                started.append(stack.enter_context(cluster.workers(max(jobs, at_least), backend, say)))
            started[0].say = say
            return started[0]

        yield start


def train_missing(
    jobs: Sequence[dispatch.Job],
    prepared: Prepared,
    cache: ReplicateCache,
    time_limit: float,
    start: Start,
    finish: Callable[[dispatch.Job, Result], None],
    stage: str = "train",
) -> Trained:
    """Hand every job's result to `finish`, from the cache or from training; what several jobs ask for is trained once.

    Args:
        start: gives the workers, and is called only where something is missing.
        stage: the name that its messages begin with.
    """
    notes: list[str] = []
    alike: dict[str, list[dispatch.Job]] = {}
    for job in jobs:
        alike.setdefault(job.key, []).append(job)
    missing = []
    for key, same in alike.items():
        if result := cache.get(key, notes.append):
            for job in same:
                finish(job, result)
        else:
            missing.append(same[0])
    workers, seconds = 0, 0.0
    with ReplicateProgress(len(alike), len(alike) - len(missing), sum(job.cost for job in missing), stage) as progress:
        for note in notes:
            progress.say(note)
        if missing:
            crew = start(len(missing), progress.say)

            def tick(running: int) -> None:
                progress.tick(running)
                stop_when_orphaned()

            for job, result in dispatch.run(crew, missing, prepared, time_limit, tick):
                cache.put(job.key, result)
                for each in alike[job.key]:
                    finish(each, result)
                seconds += result.seconds
                progress.finished(job.cost)
            workers = crew.most
            cache.prune()
    shared = sum(len(alike[job.key]) - 1 for job in missing)
    return Trained(len(missing), len(jobs) - len(missing) - shared, workers, seconds)


_PARENT = os.getppid()


def stop_when_orphaned() -> None:
    """End when DVC, which started this stage, is gone: the next `dvc repro` starts a stage of its own."""
    if "DVC_STAGE" in os.environ and os.getppid() != _PARENT:
        raise UserError("dvc, which started this stage, is gone; run `dvc repro` to go on where this stopped")


@contextmanager
def alone(lock: Path, stage: str = "train") -> Iterator[None]:
    """Hold the study's lock, waiting for another such stage of it to end; the system frees the lock of one that was killed."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    file_lock = FileLock(lock)
    try:
        file_lock.acquire(timeout=0)
    except Timeout:
        waiting = f"{stage}: another {stage} stage of this study is running; waiting for it to end"
        print(waiting, file=sys.stderr, flush=True)
        while not file_lock.is_locked:
            stop_when_orphaned()
            try:
                file_lock.acquire(timeout=0.5)
            except Timeout:
                continue
    try:
        yield
    finally:
        file_lock.release()


def check_backend(study: Study) -> None:
    """Raises UserError where the environment asks for another backend than the study."""
    chosen = os.environ.get("KERAS_BACKEND", study.replicates.backend)
    if chosen != study.replicates.backend:
        raise UserError(f"KERAS_BACKEND is {chosen}, but replicates.backend is {study.replicates.backend}; unset or change one")


@contextmanager
def unchanged(study: Study, folder: Path, sections: Sequence[str]) -> Iterator[None]:
    """Raises UserError where these sections, or the training code, are edited meanwhile.

    DVC would take what is made for the result of what they are at the end.
    """
    source = training_source()
    yield
    now = load_study(folder)
    edited = [name for name in sections if getattr(now, name) != getattr(study, name)]
    if edited or training_source() != source:
        what = f"{folder / 'params.yaml'}: {', '.join(edited)}" if edited else "the training code"
        raise UserError(f"{what}: edited while this trained; `dvc repro` again, what was trained is kept")
