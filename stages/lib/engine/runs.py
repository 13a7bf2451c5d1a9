"""Runs of many replicates. What the cache does not hold is trained, and every result is handed on."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import psutil
from filelock import FileLock, Timeout
from rich.console import Console

from stages.lib.cli import UserError
from stages.lib.data.prepared import Prepared
from stages.lib.engine import cluster, dispatch
from stages.lib.engine.cache import ReplicateCache
from stages.lib.engine.jobs import Job
from stages.lib.engine.progress import ReplicateProgress
from stages.lib.engine.source import training_source
from stages.lib.files import write_bytes
from stages.lib.study.load import load_study
from stages.lib.study.settings import Study
from stages.lib.training.result import Result

WEIGHTS = ".weights.h5"

Start = Callable[[int, Callable[[str], None]], cluster.Workers]
"""(number of replicates, log) -> workers. The workers report progress through `log`."""


class Totals(NamedTuple):
    """Counts of a run. `workers` is the number of replicates that trained at once, `seconds` the sum over all that trained."""

    trained: int
    cached: int
    workers: int
    seconds: float

    def facts(self, wall: float) -> dict[str, float | None]:
        """What timings.json says of a stage that took `wall` seconds. `busy` is the share of them in which workers trained."""
        return {
            "trained": self.trained,
            "cached": self.cached,
            "workers": self.workers,
            "seconds": round(wall, 3),
            "busy": round(self.seconds / (self.workers * wall), 3) if self.workers else None,
        }

    def sentence(self, replicates: int, wall: float) -> str:
        """The same for the user, of so many replicates. Some are the same as others, of variants that differ in name alone."""
        shared = replicates - self.trained - self.cached
        equal = f", {shared} the same as others" if shared else ""
        return f"{self.trained} replicates trained, {self.cached} from the cache{equal}, in {wall:.1f} s"


def added(totals: Sequence[Totals]) -> Totals:
    """The totals of several runs, one after the other, by the same workers."""
    return Totals(
        trained=sum(each.trained for each in totals),
        cached=sum(each.cached for each in totals),
        workers=max((each.workers for each in totals), default=0),
        seconds=sum(each.seconds for each in totals),
    )


def write_replicate(folder: Path, result: Result, keep_model: bool) -> None:
    for name, content in result.files.items():
        if keep_model or not name.endswith(WEIGHTS):
            write_bytes(folder / name, content)


@contextmanager
def workers_on_demand(backend: str, at_least: int = 0) -> Iterator[Start]:
    """A function that starts the workers at its first call. Later calls get the same workers, until the end of the block.

    at_least: replicates to start workers for. The first call may ask for few, and later ones for many.
    """
    started: list[cluster.Workers] = []
    with ExitStack() as stack:

        def start(jobs: int, say: Callable[[str], None]) -> cluster.Workers:
            if not started:
                started.append(stack.enter_context(cluster.workers(max(jobs, at_least), backend, say)))
            started[0].roster.say = say
            return started[0]

        yield start


def train_missing(
    jobs: Sequence[Job],
    prepared: Prepared,
    cache: ReplicateCache,
    time_limit: float,
    start: Start,
    finish: Callable[[Job, Result], None],
    stage: str = "train",
) -> Totals:
    """Hand every job's result to `finish`, from the cache or from training. Jobs with one key are trained once.

    Args:
        start: gives the workers. It is only called if something is missing.
        stage: the name that its messages begin with.
    """
    notes: list[str] = []
    same_key: dict[str, list[Job]] = {}
    for job in jobs:
        same_key.setdefault(job.key, []).append(job)
    missing = []
    cache.check(notes.append)
    for key, same in same_key.items():
        if result := cache.get(key, notes.append):
            for job in same:
                finish(job, result)
        else:
            missing.append(same[0])
    most = 0
    seconds = 0.0
    with ReplicateProgress(len(same_key), len(same_key) - len(missing), sum(job.cost for job in missing), stage) as progress:
        for note in notes:
            progress.say(note)
        if missing:
            workers = start(len(missing), progress.say)
            for trained, result in dispatch.run(workers, missing, prepared, time_limit, progress.tick):
                cache.put(trained.key, result, progress.say)
                for job in same_key[trained.key]:
                    finish(job, result)
                seconds += result.seconds
                progress.finished(trained.cost)
            most = workers.most
            cache.prune()
    shared = sum(len(same_key[job.key]) - 1 for job in missing)
    return Totals(len(missing), len(jobs) - len(missing) - shared, most, seconds)


def _end_with_dvc(stage: str) -> None:
    """End this process as soon as DVC, which started it, is gone, whatever it is doing.

    The next `dvc repro` removes the stage's outputs before it starts a stage of its own. It fails on a file that appears there
    in the meantime. What trains ends with this process; the next stage goes on from the replicates in the cache.
    """
    dvc = _started_by()

    def watch(dvc: psutil.Process) -> None:
        while _is_alive(dvc):
            time.sleep(0.1)
        try:
            Console(stderr=True).show_cursor()  # a progress bar hides it
            why = "dvc, which started this stage, is gone; run `dvc repro` to go on where this stopped"
            print(f"{stage}: {why}", file=sys.stderr, flush=True)
        finally:
            os._exit(1)

    if dvc:
        threading.Thread(target=watch, args=[dvc], daemon=True).start()


def _started_by() -> psutil.Process | None:
    """The DVC that runs this stage: the nearest process above without the variable that DVC sets. A shell may be in between."""
    with suppress(psutil.Error):
        for process in psutil.Process().parents() if "DVC_STAGE" in os.environ else ():
            if "DVC_STAGE" not in process.environ():
                return process
    return None


def _is_alive(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


@contextmanager
def alone(lock: Path, stage: str = "train") -> Iterator[None]:
    """Hold the study's lock. Wait while another stage of this name holds it. The system frees the lock of a killed stage."""
    _end_with_dvc(stage)
    lock.parent.mkdir(parents=True, exist_ok=True)
    file_lock = FileLock(lock)
    try:
        file_lock.acquire(timeout=0)
    except Timeout:
        waiting = f"{stage}: another {stage} stage of this study is running; waiting for it to end"
        print(waiting, file=sys.stderr, flush=True)
        file_lock.acquire()
    try:
        yield
    finally:
        file_lock.release()


@contextmanager
def unchanged(study: Study, folder: Path, sections: Sequence[str]) -> Iterator[None]:
    """Raises UserError if these sections or the training code are edited in the meantime.

    DVC would take the results for those of the edited files.
    """
    source = training_source()
    yield
    now = load_study(folder)
    edited = [name for name in sections if getattr(now, name) != getattr(study, name)]
    for name, network in study.networks.read.items():
        if now.networks.read.get(name) != network:
            raise UserError(f"{network.path}: edited while this trained; `dvc repro` again, what was trained is kept")
    if edited or training_source() != source:
        what = f"{folder / 'params.yaml'}: {', '.join(edited)}" if edited else "the training code"
        raise UserError(f"{what}: edited while this trained; `dvc repro` again, what was trained is kept")
