"""Gives each place one replicate at a time. The longest come first, and go to places that have traced their network."""

from __future__ import annotations

import json
import queue
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from distributed import CancelledError, Future, KilledWorker
from distributed.comm import CommClosedError
from distributed.system import memory_limit

from stages.lib import environment
from stages.lib.cli import UserError
from stages.lib.data.prepared import Prepared
from stages.lib.engine import memory, scheduler
from stages.lib.engine.cluster import Workers
from stages.lib.engine.conditions import differences
from stages.lib.engine.jobs import Job
from stages.lib.engine.roster import LOOK, Place
from stages.lib.engine.worker import Answer, Died, Failed, Late, NoFiles, Refused, Reported, Trained, Unwanted
from stages.lib.study.strict_yaml import at
from stages.lib.training.result import Result

ATTEMPTS = 3
"""A replicate that fails so often is itself at fault, not its workers."""


def run(
    workers: Workers, jobs: Sequence[Job], prepared: Prepared, time_limit: float, on_tick: Callable[[int], None]
) -> Iterator[tuple[Job, Result]]:
    """Train the jobs and yield each as it ends. Networks of one's own are all built once before anything trains.

    A replicate is tried again elsewhere if its worker dies or falls silent, or if it takes longer than `time_limit` seconds.

    Args:
        on_tick: called at least every half second with the number of replicates that are being trained.

    Raises:
        UserError: if training raises an exception, if a replicate ends ATTEMPTS times without a result, if the scheduler is
            gone, or if this machine's memory cannot hold a network of one's own.
    """
    workers.tasks.load(prepared)
    own = {(job.view, job.recipe.model): job for job in jobs if job.recipe.model.network}
    for job, checked in _all(_Dispatch(workers, [*own.values()], time_limit, check=True), on_tick):
        weights = json.loads(checked.files["weights.json"])
        if not environment.scheduler():
            with at("variants", job.variant, "model"):
                memory.check_weights(weights, memory_limit())
    yield from _all(_Dispatch(workers, jobs, time_limit), on_tick)


def _all(dispatch: _Dispatch, on_tick: Callable[[int], None]) -> Iterator[tuple[Job, Result]]:
    """Each job as it ends, until all have."""
    workers = dispatch.workers
    try:
        while dispatch.waiting or dispatch.running:
            workers.roster.look()
            dispatch.take_back_lost()
            dispatch.give_out()
            on_tick(len(dispatch.running))
            if ended := dispatch.next_ended():
                yield ended
    except (OSError, CancelledError) as error:
        ours = isinstance(error, OSError) and not isinstance(error, CommClosedError)  # such as a full disk
        if ours and workers.client.status == "running":
            raise
        raise UserError("the scheduler is gone. Trained replicates are kept; `dvc repro` goes on from there") from None
    finally:
        for future in dispatch.running:
            future.release()


class _Dispatch:
    """The replicates that wait and those that are being trained."""

    def __init__(self, workers: Workers, jobs: Sequence[Job], time_limit: float, check: bool = False) -> None:
        """`check` has their networks built, and nothing trained."""
        self.workers = workers
        self.time_limit = time_limit
        self.check = check
        self.waiting = sorted(jobs, key=lambda job: job.cost, reverse=True)
        self.running: dict[Future[Answer], tuple[Job, Place]] = {}
        self._ended: queue.SimpleQueue[Future[Answer]] = queue.SimpleQueue()
        self._traced: dict[Place, set[tuple[Any, ...]]] = {}
        self._failures: Counter[str] = Counter()

    def take_back_lost(self) -> None:
        """Queue the replicates of lost workers again."""
        for future, (_, place) in list(self.running.items()):
            if why := self.workers.roster.lost(place.worker):
                self.workers.tasks.forget(place.worker)
                self._again(future, why)

    def give_out(self) -> None:
        """Have waiting replicates trained wherever a place is free."""
        busy = {place: job.group for job, place in self.running.values()}
        for place in self.workers.free(busy.keys()):
            if not self.waiting:
                break
            traced = self._traced.setdefault(place, set())
            job = _next(self.waiting, traced, set(busy.values()))
            self.waiting.remove(job)
            request = {
                **job.recipe.wire,
                "view": job.view,
                "seed": job.seed,
                "check": self.check,
                "cores": self.workers.cores_of(place, bool(self.waiting)),
            }
            future = self.workers.tasks.submit(place, request, self.time_limit)
            self.running[future] = job, place
            future.add_done_callback(self._ended.put)
            traced.add(job.group)
            busy[place] = job.group
        self.workers.most = max(self.workers.most, len(self.running))

    def next_ended(self) -> tuple[Job, Result] | None:
        """Wait a moment for a replicate to end. None if none does, or if it has to be tried again."""
        try:
            future = self._ended.get(timeout=LOOK)
        except queue.Empty:
            return None
        if future not in self.running:  # it was given up
            return None
        job, place = self.running[future]
        match _answer(future):
            case Trained(files, seconds, seconds_per_epoch):
                del self.running[future]
                return job, Result(files, seconds, seconds_per_epoch)
            case Failed(why, trace):
                raise UserError(f"{job}: {plain(why)[:300]}", trace)
            case Died(why):
                self._again(future, why)
            case Late():
                self._again(future, f"it took longer than replicates.time_limit ({self.time_limit:g} s)", "a higher limit")
            case Refused(why):
                self.workers.roster.refuse(place.worker, why)
                self._again(future)
            case Reported(report):
                self.workers.roster.refuse(place.worker, differences(report, self.workers.tasks.expected))
                self._again(future)
            case NoFiles():
                self.workers.tasks.forget(place.worker)
                self._again(future)
            case Unwanted():
                self._again(future)
        return None

    def _again(self, future: Future[Answer], failure: str = "", remedy: str = "more memory") -> None:
        """Queue a replicate again. A failure that may be its own fault is said, and counts towards ATTEMPTS."""
        job, place = self.running.pop(future)
        future.cancel()
        self._traced.pop(place, None)
        self.waiting.insert(0, job)
        self._failures[job.key] += bool(failure)
        if self._failures[job.key] >= ATTEMPTS:
            raise UserError(
                f"{job}: {failure}, the last of {ATTEMPTS} times; {remedy}, fewer workers (TIPS_WORKERS) or a smaller network "
                "may help"
            )
        if failure:
            self.workers.roster.say(f"{job}: {failure}; it is trained again")


def _answer(future: Future[Answer]) -> Answer:
    """The answer of a task that has ended, or what Dask says about it."""
    try:
        return future.result(timeout=scheduler.ANSWER_SECONDS)
    except (KilledWorker, TimeoutError):
        return Died("its worker died")
    except CancelledError:  # the scheduler is gone
        raise
    except Exception as error:  # noqa: BLE001  # such as a function that this worker's Python cannot read
        return Refused(f"{type(error).__name__}: {plain(str(error))[:200]}")


def plain(text: str) -> str:
    """The text on one line, without the escape codes by which Keras makes some of it bold."""
    return " ".join(re.sub(r"\x1b\[[0-9;]*m", "", text).split())


def _next(waiting: Sequence[Job], traced: set[tuple[Any, ...]], elsewhere: set[tuple[Any, ...]]) -> Job:
    """The longest job that this place has traced, else the longest that no other place has, else the longest."""
    fitting = [job for job in waiting if job.group in traced] or [job for job in waiting if job.group not in elsewhere]
    return (fitting or waiting)[0]
