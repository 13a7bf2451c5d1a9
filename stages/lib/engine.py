"""Replicates on Dask workers: each worker trains one at a time, the longest first, and keeps to networks that it has traced.

Where training runs is not a parameter of the study: it changes neither a result nor what DVC runs again.
"""

from __future__ import annotations

import logging
import os
import re
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import dask
import numpy as np
import psutil
from distributed import Client, Future, KilledWorker, LocalCluster, WorkerPlugin, get_worker, wait

from stages.lib import views
from stages.lib.cli import UserError
from stages.lib.result import Result

if TYPE_CHECKING:
    from stages.lib.prepared import Prepared
    from stages.lib.settings import Model, Recipe

WORKER_MEMORY = 1.5e9
"""Bytes that a worker is planned for: TensorFlow, one data set and its view, a few traced networks."""
CONVOLUTION = 2.0
"""Time of a multiply-add in a convolution, against one in a dense layer (measured, one core with AVX-512)."""
MALLOC = {"MALLOC_TRIM_THRESHOLD_": "1073741824", "MALLOC_MMAP_THRESHOLD_": "33554432"}
"""Variables of glibc's allocator, read as a process starts. Dask's own, made for data frames, hand every freed megabyte back to
the system: page faults then take a third of the time of a step that XLA compiled."""
ATTEMPTS = 3
"""Times that a replicate is given to a worker before its deaths are taken for the replicate's own fault."""


@dataclass(frozen=True)
class Job:
    """One replicate to train."""

    variant: str
    seed: int
    recipe: Recipe
    view: str  # its name
    key: str
    cost: float  # relative, by `cost`

    def __str__(self) -> str:
        return f"{self.variant}, seed {self.seed}"

    @property
    def group(self) -> tuple[Any, ...]:
        """Jobs of one group share a traced network."""
        train = self.recipe.train
        return (self.recipe.model, train.loss, train.optimizer, train.momentum, train.batch_size)


class StudyData(WorkerPlugin):
    """The study's arrays, sent once to every worker, also to one that joins later or replaces another."""

    name = "study-data"

    def __init__(self, prepared: Prepared) -> None:
        self.prepared = prepared

    def setup(self, worker: Any) -> None:  # noqa: ARG002
        self.kept: OrderedDict[Any, dict[str, tuple[np.ndarray, np.ndarray]]] = OrderedDict()

    def inputs(self, recipe: Recipe, view: str, seed: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Every split's inputs as the replicate sees them, and its labels."""
        key = (view, recipe.train.validation_rows, recipe.k_fold, seed if recipe.k_fold else None)
        if key not in self.kept:
            if len(self.kept) == 2:  # a worker's next replicate mostly has the same view
                self.kept.popitem(last=False)
            label_type = np.int32 if self.prepared.task == "classification" else np.float32
            splits = views.inputs_of(recipe, self.prepared.views[view], self.prepared.splits, seed)
            self.kept[key] = {split: (x, y.astype(label_type)) for split, (x, y) in splits.items()}
        return self.kept[key]


@contextmanager
def _quiet_errors() -> Iterator[None]:
    """Hold back standard error: TensorFlow greets there on import, whatever its log level is set to."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def train_on_worker(recipe: Recipe, view: str, seed: int) -> Result:
    """The task that a worker runs; Keras is imported by the first."""
    with _quiet_errors():
        from stages.lib.training import train_replicate
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # it warns of networks that differ, as those of a search do

    data = cast(StudyData, get_worker().plugins[StudyData.name])
    inputs = data.inputs(recipe, view, seed)
    with np.errstate(over="ignore", invalid="ignore"):  # that a network diverges is a result
        return train_replicate(recipe, seed, inputs, data.prepared.outputs, data.prepared.task)


def cost(model: Model, epochs: int, batch_size: int, rows: int, input_shape: Sequence[int], outputs: int) -> float:
    """About how long a replicate takes, in multiply-adds: those of its layers, three times, and a constant for each step.

    Raises ValueError for convolutions, or parts of the features, that the rows of this shape do not allow.
    """
    wide_deep = model.wide_deep
    if wide_deep.api != "none" and len(input_shape) > 1:
        raise ValueError("wide_deep: is for rows that are lists of numbers, not for images")
    for part, chosen in (("wide", wide_deep.wide), ("deep", wide_deep.deep)):
        if chosen and chosen[1] > input_shape[0]:
            raise ValueError(f"wide_deep.{part}: {list(chosen)} goes past the {input_shape[0]} features")
    if model.conv and len(input_shape) < 2:
        raise ValueError(f"conv: convolutions need images; the rows of this data set are lists of {input_shape[0]} numbers")
    adds = 0.0
    height, width, channels = (*input_shape, 1)[:3] if len(input_shape) > 1 else (1, int(np.prod(input_shape)), 1)
    for filters in model.conv:
        height, width = height - model.kernel_size + 1, width - model.kernel_size + 1
        adds += CONVOLUTION * height * width * model.kernel_size**2 * channels * filters
        height, width, channels = height // model.pool_size, width // model.pool_size, filters
        if min(height, width) < 1:
            image = " x ".join(map(str, input_shape[:2]))
            raise ValueError(
                f"conv: {list(model.conv)} leave nothing of {image} pixels; fewer, or a smaller kernel_size or pool_size, do"
            )
    units = height * width * channels
    pieces = model.maxout_pieces if model.activation == "maxout" else 1
    for width in model.hidden:
        adds += units * width * pieces
        units = width
    adds += units * outputs
    return epochs * (3 * adds * rows + 2e7 * -(-rows // batch_size))


def worker_count(jobs: int) -> int:
    """As many as there are cores, memory and jobs for. `TIPS_WORKERS` overrides the first two."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    room = int(psutil.virtual_memory().available // WORKER_MEMORY)
    wanted = os.environ.get("TIPS_WORKERS", str(max(1, min(cores, room))))
    if not wanted.isdecimal() or int(wanted) < 1:
        raise UserError(f"TIPS_WORKERS: {wanted!r} is not allowed; a whole number of at least 1 is")
    return min(int(wanted), jobs)


@contextmanager
def local_client(workers: int, environment: dict[str, str]) -> Iterator[Client]:
    """A client of `workers` single-threaded processes on this machine, reachable from this machine alone.

    They end with the process that started them, even when that is killed: Dask's nanny watches a pipe to its parent.
    """
    with (
        dask.config.set(
            {
                "distributed.scheduler.allowed-failures": 0,
                "distributed.worker.daemon": True,
                "distributed.nanny.pre-spawn-environ": MALLOC,
            }
        ),
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            memory_limit=0,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            env=environment,
            silence_logs="CRITICAL",
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


@dataclass
class _Running:
    job: Job
    worker: str
    started: float


def run(
    client: Client,
    jobs: Sequence[Job],
    prepared: Prepared,
    time_limit: float,
    on_tick: Callable[[int], None],
) -> Iterator[tuple[Job, Result]]:
    """Train the jobs and yield each as it ends.

    A replicate whose worker dies, or that takes longer than `time_limit` seconds, is given to another worker.

    Args:
        on_tick: called at least every half second with the number of replicates that are being trained.

    Raises:
        UserError: where a replicate's training raises, or its workers died or timed out ATTEMPTS times.
    """
    client.register_plugin(StudyData(prepared))
    waiting = sorted(jobs, key=lambda job: job.cost, reverse=True)
    running: dict[Future[Result], _Running] = {}
    traced: dict[str, set[tuple[Any, ...]]] = {}
    attempts: Counter[str] = Counter()

    def again(future: Future[Result], why: str) -> None:
        failed = running.pop(future)
        future.cancel()
        attempts[failed.job.key] += 1
        if attempts[failed.job.key] >= ATTEMPTS:
            raise UserError(
                f"{failed.job}: {why} {ATTEMPTS} times; more memory, fewer workers (TIPS_WORKERS) or a smaller network may help"
            )
        waiting.insert(0, failed.job)

    while waiting or running:
        workers = set(client.scheduler_info(n_workers=-1)["workers"])
        for future, each in list(running.items()):
            if each.worker not in workers:
                again(future, "its worker died")
            elif time.monotonic() - each.started > time_limit:
                client.restart_workers([each.worker], raise_for_error=False)
                again(future, f"it took longer than replicates.time_limit ({time_limit:g} s)")
        busy = {each.worker: each.job.group for each in running.values()}
        for worker in sorted(workers - busy.keys()):
            if not waiting:
                break
            job = _next(waiting, traced.setdefault(worker, set()), set(busy.values()))
            waiting.remove(job)
            future = client.submit(
                train_on_worker, job.recipe, job.view, job.seed, workers=[worker], allow_other_workers=False, pure=False
            )
            running[future] = _Running(job, worker, time.monotonic())
            traced[worker].add(job.group)
            busy[worker] = job.group
        on_tick(len(running))
        if not running:  # every worker is being replaced
            time.sleep(0.1)
            continue
        try:
            done = wait(list(running), timeout=0.5, return_when="FIRST_COMPLETED").done
        except TimeoutError:
            continue
        for future in done:
            if future.status == "finished":
                result = future.result()
                yield running.pop(future).job, result
            elif future.status == "error" and not isinstance(error := future.exception(), KilledWorker):
                raise UserError(f"{running[future].job}: {type(error).__name__}: {plain(str(error))[:300]}")
            else:
                again(future, "its worker died")


def plain(text: str) -> str:
    """The text on one line, without the escape codes by which Keras makes some of it bold."""
    return " ".join(re.sub(r"\x1b\[[0-9;]*m", "", text).split())


def _next(waiting: Sequence[Job], traced: set[tuple[Any, ...]], elsewhere: set[tuple[Any, ...]]) -> Job:
    """The longest job that this worker has a trace for; else the longest that no other worker has one for; else the longest."""
    fitting = [job for job in waiting if job.group in traced] or [job for job in waiting if job.group not in elsewhere]
    return (fitting or waiting)[0]
