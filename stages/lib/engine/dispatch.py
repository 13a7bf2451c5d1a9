"""Replicates on workers: each place trains one at a time, the longest first, and keeps to networks that it has traced."""

from __future__ import annotations

import queue
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from distributed import CancelledError, Future, KilledWorker
from distributed.comm import CommClosedError

from stages.lib.cli import SettingError, UserError
from stages.lib.engine.cluster import LOOK, PATIENCE, Place, Workers, differences
from stages.lib.engine.worker import Answer
from stages.lib.training.result import Result

if TYPE_CHECKING:
    from stages.lib.data.prepared import Prepared
    from stages.lib.study.recipe import Model, Recipe

CONVOLUTION = 2.0
"""Time of a multiply-add in a convolution, against one in a dense layer (measured, one core with AVX-512)."""
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


def cost(model: Model, epochs: int, batch_size: int, rows: int, input_shape: Sequence[int], outputs: int) -> float:
    """About how long a replicate takes, in multiply-adds: those of its layers, three times, and a constant for each step.

    Raises SettingError, with a place below `model`, for convolutions or parts of the features that such rows do not allow.
    """
    wide_deep = model.wide_deep
    if wide_deep.api != "none" and len(input_shape) > 1:
        raise SettingError("is for rows that are lists of numbers, not for images", "wide_deep")
    for part, chosen in (("wide", wide_deep.wide), ("deep", wide_deep.deep)):
        if chosen and chosen[1] > input_shape[0]:
            raise SettingError(f"{list(chosen)} goes past the {input_shape[0]} features", "wide_deep", part)
    if model.conv and len(input_shape) < 2:
        raise SettingError(f"needs images; the rows of this data set are lists of {input_shape[0]} numbers", "conv")
    adds = 0.0
    height, width, channels = (*input_shape, 1)[:3] if len(input_shape) > 1 else (1, int(np.prod(input_shape)), 1)
    for filters in model.conv:
        height, width = height - model.kernel_size + 1, width - model.kernel_size + 1
        adds += CONVOLUTION * height * width * model.kernel_size**2 * channels * filters
        height, width, channels = height // model.pool_size, width // model.pool_size, filters
        if min(height, width) < 1:
            image = " x ".join(map(str, input_shape[:2]))
            wrong = f"{list(model.conv)} leave nothing of {image} pixels; fewer, or a smaller kernel_size or pool_size, do"
            raise SettingError(wrong, "conv")
    units = height * width * channels
    pieces = model.maxout_pieces if model.activation == "maxout" else 1
    for width in model.hidden:
        adds += units * width * pieces
        units = width
    adds += units * outputs
    return epochs * (3 * adds * rows + 2e7 * -(-rows // batch_size))


@dataclass
class _Running:
    job: Job
    place: Place


def run(
    workers: Workers, jobs: Sequence[Job], prepared: Prepared, time_limit: float, on_tick: Callable[[int], None]
) -> Iterator[tuple[Job, Result]]:
    """Train the jobs and yield each as it ends.

    A replicate whose worker dies or falls silent, or that takes longer than `time_limit` seconds, is given to another place.

    Args:
        on_tick: called at least every half second with the number of replicates that are being trained.

    Raises:
        UserError: where a replicate's training raises, or ends without a result ATTEMPTS times, or where the scheduler is gone.
    """
    workers.load(prepared)
    waiting = sorted(jobs, key=lambda job: job.cost, reverse=True)
    running: dict[Future[Answer], _Running] = {}
    ended: queue.SimpleQueue[Future[Answer]] = queue.SimpleQueue()
    traced: dict[Place, set[tuple[Any, ...]]] = {}
    attempts: Counter[str] = Counter()

    def again(future: Future[Answer], why: str) -> None:
        """Give the replicate to another place; without a reason that is its own, however often that was so."""
        failed = running.pop(future)
        future.cancel()
        traced.pop(failed.place, None)
        waiting.insert(0, failed.job)
        attempts[failed.job.key] += bool(why)
        if attempts[failed.job.key] >= ATTEMPTS:
            raise UserError(
                f"{failed.job}: {why}, the last of {ATTEMPTS} times; more memory, fewer workers (TIPS_WORKERS) or "
                "a smaller network may help"
            )

    try:
        while waiting or running:
            workers.look()
            for future, each in list(running.items()):
                if why := workers.lost(each.place.worker):
                    workers.unload(each.place.worker)
                    again(future, why)
            busy = {each.place: each.job.group for each in running.values()}
            for place in workers.free(busy.keys()):
                if not waiting:
                    break
                job = _next(waiting, traced.setdefault(place, set()), set(busy.values()))
                waiting.remove(job)
                request = {
                    "recipe": job.recipe.model_dump_json(),
                    "view": job.view,
                    "seed": job.seed,
                    "cores": workers.cores_of(place, bool(waiting)),
                }
                future = workers.submit(place, request, time_limit)
                running[future] = _Running(job, place)
                future.add_done_callback(ended.put)
                traced[place].add(job.group)
                busy[place] = job.group
            workers.most = max(workers.most, len(running))
            on_tick(len(running))
            try:
                future = ended.get(timeout=LOOK)
            except queue.Empty:
                continue
            if future not in running:  # it was given up
                continue
            job, place = running[future].job, running[future].place
            how, what = _answer(future)
            if how == "result":
                del running[future]
                yield job, Result(*what)
            elif how == "failed":
                raise UserError(f"{job}: {plain(what)[:300]}")
            elif how == "late":
                again(future, f"it took longer than replicates.time_limit ({time_limit:g} s)")
            elif how == "died":
                again(future, what)
            else:
                if how == "empty":
                    workers.unload(place.worker)
                if how in ("refused", "other"):
                    workers.refuse(place.worker, what if how == "refused" else differences(what, workers.expected))
                again(future, "")
    except (OSError, CancelledError) as error:
        ours = isinstance(error, OSError) and not isinstance(error, CommClosedError)  # such as a full disk
        if ours and workers.client.status == "running":
            raise
        raise UserError("the scheduler is gone; what was trained is kept, so `dvc repro` goes on from there") from None
    finally:
        for future in running:
            future.release()


def _answer(future: Future[Answer]) -> Answer:
    """What became of a task: its answer, or what Dask says of it."""
    try:
        return future.result(timeout=PATIENCE)
    except (KilledWorker, TimeoutError):
        return "died", "its worker died"
    except CancelledError:  # the scheduler is gone
        raise
    except Exception as error:  # noqa: BLE001  # such as a function that this worker's Python cannot read
        return "refused", f"{type(error).__name__}: {plain(str(error))[:200]}"


def plain(text: str) -> str:
    """The text on one line, without the escape codes by which Keras makes some of it bold."""
    return " ".join(re.sub(r"\x1b\[[0-9;]*m", "", text).split())


def _next(waiting: Sequence[Job], traced: set[tuple[Any, ...]], elsewhere: set[tuple[Any, ...]]) -> Job:
    """The longest job that this worker has a trace for; else the longest that no other worker has one for; else the longest."""
    fitting = [job for job in waiting if job.group in traced] or [job for job in waiting if job.group not in elsewhere]
    return (fitting or waiting)[0]
