"""Workers for replicates: threads of this process, or the Dask cluster that DASK_SCHEDULER_ADDRESS names.

In both cases a thread hands each replicate to a trainer, a process of its own with this checkout's source. Where training runs
is not a parameter of the study. It changes neither a result nor what DVC runs again.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import lru_cache

import dask
import psutil
from dask.system import cpu_count
from distributed import Client, LocalCluster
from distributed.system import memory_limit

from stages.lib import environment
from stages.lib.cli import UserError
from stages.lib.engine import scheduler, worker
from stages.lib.engine.conditions import HARDWARE, differences, expected_report, only_one, trainer_variables
from stages.lib.engine.key import local_environment
from stages.lib.engine.roster import Place, Roster
from stages.lib.engine.source import project_files
from stages.lib.engine.tasks import Tasks

WORKER_MEMORY = 1.5e9
"""Bytes that a trainer is planned for: TensorFlow, one data set and its view, a few traced networks."""


@dataclass
class Workers:
    """The workers of a run.

    roster: who is there.
    tasks: what was sent to them.
    limit: replicates that may train at once.
    cores: for each thread of this machine's worker, the core of its trainer. Empty if the system chooses.
    most: replicates that have trained at once, so far.
    """

    client: Client
    roster: Roster
    tasks: Tasks
    limit: int
    cores: Sequence[int] = ()
    most: int = 0

    def free(self, busy: Collection[Place]) -> list[Place]:
        """The places that can take a replicate, within the limit."""
        return self.roster.free(busy)[: max(0, self.limit - len(busy))]

    def cores_of(self, place: Place, more: bool) -> list[int]:
        """The cores for a trainer. While more replicates wait it keeps to its own, so that no other disturbs its caches."""
        return [self.cores[place.thread]] if self.cores and more else list(self.cores)


def worker_count(jobs: int) -> int:
    """How many replicates train at once: as many as there are cores, memory and jobs for, or threads of a cluster.

    TIPS_WORKERS overrides all but the jobs.
    """
    chosen = environment.workers()
    if chosen is not None:
        return min(chosen, jobs)
    if address := environment.scheduler():
        with scheduler.connected(address) as client:
            return min(int(sum(client.nthreads().values())), jobs)
    room = int(min(psutil.virtual_memory().available, memory_limit()) // WORKER_MEMORY)
    return min(max(1, min(cpu_count(), room)), jobs)


def own_cores(trainers: int) -> list[int]:
    """One core for each trainer. Empty if there are more or fewer cores, or if two of them may be threads of one core."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    return cores if len(cores) == trainers and psutil.cpu_count() == psutil.cpu_count(logical=False) else []


def training_environment(backend: str) -> dict[str, object]:
    """The facts about the machine that trains, and its software, that decide a result: this one, or the cluster's workers.

    Raises UserError if a worker's software differs from this machine's, or if two workers differ in hardware.
    """
    here = local_environment(backend)
    address = environment.scheduler()
    if address is None:
        return here
    return {name: value for name, value in here.items() if name not in HARDWARE} | _hardware(backend, address)


@lru_cache
def _hardware(backend: str, address: str) -> dict[str, object]:
    """The hardware that all the cluster's workers report."""
    expected = expected_report(backend, {})
    with scheduler.connected(address) as client:
        scheduler.wait_for_worker(client)
        scheduler.check_versions(client)
        answers = scheduler.answers(client, worker.ByValue(worker.ask), project_files(), trainer_variables(backend))
    reports = {}
    for name, answer in answers.items():
        why = answer.why if isinstance(answer, worker.Refused) else differences(answer.report, expected, ignore=HARDWARE)
        if why:
            raise UserError(f"worker {name}: {why}")
        reports[name] = {fact: answer.report[fact] for fact in HARDWARE if fact in answer.report}
    if not reports:
        raise UserError(
            f"{environment.SCHEDULER}: no worker of {address} answers within {scheduler.WORKER_SECONDS:g} s; are they all busy?"
        )
    first, hardware = next(iter(reports.items()))
    for name, report in reports.items():
        for fact in HARDWARE:
            if report.get(fact) != hardware.get(fact):
                raise UserError(
                    f"workers {first} and {name} have different hardware: {fact}, "
                    f"{only_one(hardware.get(fact), report.get(fact))}. Results would depend on who trains what; "
                    "use workers of one kind"
                )
    return hardware


@contextmanager
def workers(jobs: int, backend: str, say: Callable[[str], None]) -> Iterator[Workers]:
    """Workers for so many jobs. `say` tells the user where they are.

    On this machine they are threads of this process, with a scheduler that listens nowhere. Trainers end with the process.
    """
    made_in = training_environment(backend)
    address = environment.scheduler()
    with ExitStack() as stack:
        if address is not None:
            client = stack.enter_context(scheduler.connected(address))
            scheduler.wait_for_worker(client)
            say(f"training on the cluster at {address}; watch it at {client.dashboard_link}")
            here = local_environment(backend)
            for name in HARDWARE:
                if made_in.get(name) != here.get(name):
                    say(f"its workers have another {name} than this machine. Last digits may differ, and are cached as theirs")
            limit = worker_count(jobs) if environment.workers() else jobs
            cores = []
        else:
            limit = worker_count(jobs)
            cores = own_cores(limit)
            # Else Dask asks for the card that CUDA_VISIBLE_DEVICES names. With -1, for none, it fails.
            stack.enter_context(dask.config.set({"distributed.diagnostics.nvml": False}))
            cluster = stack.enter_context(_local_cluster(limit))
            client = stack.enter_context(Client(cluster))
            port = scheduler.identity(client)["services"]["dashboard"]
            say(f"watch the workers at http://127.0.0.1:{port}/status")
        tasks = Tasks(client, expected_report(backend, made_in), trainer_variables(backend))
        yield Workers(client, Roster(client, tasks.prefix, say), tasks, limit, cores)


def _local_cluster(threads: int) -> LocalCluster:
    """A worker with so many threads in this process. Nothing listens but the dashboards, on loopback."""
    return LocalCluster(
        n_workers=1,
        threads_per_worker=threads,
        processes=False,
        protocol="inproc://",  # a user's configuration for clusters could make it listen
        memory_limit=0,
        dashboard_address="127.0.0.1:0",
        worker_dashboard_address="127.0.0.1:0",
        silence_logs="CRITICAL",
    )
